"""The oracles: worked out by hand, rows by themselves, and both runs of them the same."""

import os
import subprocess
import sys
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnndiff.models
from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.strategies import small_batches
from rnndiff.harness.judging import forcing
from rnndiff.harness.judging.verdict import DISAGREE, TEACHER_FORCED, judge
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, exact
from rnndiff.models import ARTICLE, MODELS
from rnndiff.models.cells import AttentionCellWrapper, BasicRNNCell

LN2, LN3, LN4 = log(2), log(3), log(4)
# NumPy's, whose functions are right to 4 ULP, whatever the kernels of its matrix products.
FLOAT64 = arithmetic(
    "float64", dict.fromkeys(("tanh", "affine tanh", "exp", "log"), Accuracy(4, 0))
)
# Of a number that is the result of a few operations in float64, relative.
FEW_ROUNDINGS = 2.0**-50


def run(model, parameters, inputs, labels, **sizes):
    """The trace of one row, and balls that hold what it is of the exact numbers."""
    model = MODELS[model]
    config = model.Config(batch=1, time=len(inputs), inputs=1, num_units=1, **sizes)
    parameters = [np.array(parameter, float) for parameter in parameters]
    shapes = [field.shape(config) for field in model.parameters(config)]
    assert [parameter.shape for parameter in parameters] == shapes
    data = [np.array([inputs], float)[..., None], np.array([labels], float)]
    trace = model.oracle(config, parameters, *data)
    balls = [
        BoundedArray(array, np.abs(array) * FEW_ROUNDINGS, FLOAT64)
        for array in parameters + data[:1]
    ]
    labels = exact(data[1], FLOAT64)
    return trace, model.oracle(config, balls[:-1], balls[-1], labels)


def assert_within(values, ball):
    """`values` are what the ball allows."""
    __tracebackhide__ = True
    with np.errstate(invalid="ignore"):
        inside = (np.abs(values - ball.mid) <= ball.rad) | (values == ball.mid)
    inside |= (np.isnan(values) & np.isnan(ball.mid)) | np.isinf(ball.rad)
    assert np.all(inside), (values, ball)


def as_ball(array):
    return array if isinstance(array, BoundedArray) else exact(array, FLOAT64)


def assert_close(traces, **expected):
    trace, balls = traces
    for name, values in expected.items():
        assert trace[name].shape == np.shape(values)
        ball = as_ball(balls[name])
        assert_within(trace[name], ball)
        # What is written down here is rounded, too.
        rad = ball.rad + np.abs(values) * FEW_ROUNDINGS
        assert_within(np.array(values), BoundedArray(ball.mid, rad, FLOAT64))
        # Far less than any mistake that can be made here.
        assert np.all(rad < 2.0**-30), name


# By hand: tanh(log 2) = 3/5, tanh(log 3) = 4/5, and softmax([0, log 3]) = [1/4, 3/4].


def test_seq2seq_by_hand():
    trace = run(
        "seq2seq",
        [
            # x = 1: (log 2 - 0.1) + 0.1 = log 2. Then x = 0: 0.6 w + 0.1 = log 3.
            [[LN2 - 0.1], [(LN3 - 0.1) / 0.6]],
            [0.1],
            # Scores [1, 1 + log 3], so class 1 is fed back: (log 2 - 1) + 0.8 + 0.2 = log 2.
            [[0, LN3 / 0.8]],
            [1, 1],
            [[99], [LN2 - 1], [1]],
            [0.2],
        ],
        [1, 0],
        [[1, 0], [0, 1]],
        output_time=2,
        outputs=2,
    )
    odds = 3**0.75
    assert_close(
        trace,
        encoder_states=[[[0.6], [0.8]]],
        decoder_states=[[[0.6]]],
        fed_back=[[[0, 1]]],
        scores=[[[1, 1 + LN3], [1, 1 + 0.75 * LN3]]],
        probabilities=[[[0.25, 0.75], [1 / (1 + odds), odds / (1 + odds)]]],
        predictions=[[1, 1]],
        accuracy=0.5,
        loss=(LN4 + log(1 + 1 / odds)) / 2,
    )


def test_bidirectional_by_hand():
    trace = run(
        "bidirectional",
        [
            # Forward as above.
            [[LN2 - 0.1], [(LN3 - 0.1) / 0.6]],
            [0.1],
            # Backward x = 0 comes first: log 2. Then x = 1: w + 0.5 * 0.6 + log 2 = log 3.
            [[LN3 - LN2 - 0.3], [0.5]],
            [LN2],
            # The last output is [0.8, 0.6]: scores [0.8 - 0.8, 0.8 + log 3 - 0.8].
            [[1, 1], [0, LN3 / 0.6]],
            [-0.8, -0.8],
        ],
        [1, 0],
        [1, 0],
        outputs=2,
    )
    assert_close(
        trace,
        outputs=[[[0.6, 0.8], [0.8, 0.6]]],
        forward_final_state=[[0.8]],
        backward_final_state=[[0.8]],
        scores=[[0, LN3]],
        probabilities=[[0.25, 0.75]],
        predictions=[1],
        accuracy=0,
        loss=LN4,
    )


def test_attention_by_hand():
    trace = run(
        "attention",
        [
            # z = x + a = x. Inner cell: z log 2 + h, that is log 2, then (log 3 - 0.6) + 0.6.
            [[1], [1]],
            [0],
            [[LN2], [1]],
            [0],
            # Energies v tanh(M log 2 + h - 0.8): v tanh(-0.2) in both empty slots; then h = 0.8
            # and M = [0, 1]: v [0, 0.6] = [0, log 3].
            [[[[LN2]]]],
            [LN3 / 0.6],
            [[1]],
            [-0.8],
            # y = h + 2 a + 0.4: 0.6 + 0 + 0.4, then 0.8 + 2 * 0.75 + 0.4.
            [[1], [2]],
            [0.4],
            # Scores [0, 2.7 - 2.7 + log 3], so class 1 is fed back.
            [[0, 1]],
            [0, LN3 - 2.7],
            # z = 0.5 + 2 * 0.75 - 1 = 1. Inner cell: (log 3 - 1.6) + 2 * 0.8 = log 3.
            [[99], [0.5], [2]],
            [-1],
            [[LN3 - 1.6], [2]],
            [0],
            # M = [1, 2.7] does not count: both energies are 7 tanh(log 3 + 0.8 - 0.8).
            [[[[0]]]],
            [7],
            [[1]],
            [LN3 - 0.8],
            # y = 0.8 + 2 * (1 + 2.7) / 2.
            [[1], [2]],
            [0],
        ],
        [1, (LN3 - 0.6) / LN2],
        [[0, 1], [1, 0]],
        output_time=2,
        outputs=2,
        attn_length=2,
        input_size=1,
    )
    odds = 3 * exp(4.5 - 2.7)
    empty = LN3 / 0.6 * np.tanh(-0.2)
    assert_close(
        trace,
        encoder_cell_inputs=[[[1], [(LN3 - 0.6) / LN2]]],
        encoder_states=[[[0.6], [0.8]]],
        encoder_energies=[[[empty, empty], [0, LN3]]],
        encoder_alignments=[[[0.5, 0.5], [0.25, 0.75]]],
        encoder_attentions=[[[0], [0.75]]],
        encoder_outputs=[[[1], [2.7]]],
        encoder_windows=[[[[0], [1]], [[1], [2.7]]]],
        decoder_cell_inputs=[[[1]]],
        decoder_states=[[[0.8]]],
        decoder_energies=[[[5.6, 5.6]]],
        decoder_alignments=[[[0.5, 0.5]]],
        decoder_attentions=[[[1.85]]],
        decoder_outputs=[[[4.5]]],
        decoder_windows=[[[[2.7], [4.5]]]],
        fed_back=[[[0, 1]]],
        scores=[[[0, LN3], [0, 1.8 + LN3]]],
        probabilities=[[[0.25, 0.75], [1 / (1 + odds), odds / (1 + odds)]]],
        predictions=[[1, 1]],
        accuracy=0.5,
        loss=(log(4 / 3) + log(1 + odds)) / 2,
    )


def test_the_loss_of_probability_0_is_kept_finite():
    trace = run(
        "bidirectional",
        [[[0], [0]], [0], [[0], [0]], [0], [[0, 0], [0, 0]], [-800, 0]],
        [1],
        [1, 0],
        outputs=2,
    )
    assert_close(trace, probabilities=[[0, 1]], loss=10 * log(10))


def drawn(data, name):
    return data.draw(small_batches(MODELS[name], "ordinary", most=1), label="case")[0]


def arguments(case, dtype=float):
    """What both runs of an oracle take."""
    parameters = [array.astype(dtype) for array in case.parameters]
    return [case.config, parameters, case.inputs.astype(dtype), case.labels.astype(dtype)]


def free_running(case, *changed):
    return case.model.compute(*(changed or arguments(case)))


def balls_of_steps(case, trace):
    """What one step in float64 from each state of the trace may yield, as bounded arrays."""
    return {
        array.name: BoundedArray(array.expected, array.bound, FLOAT64)
        for array in judge(case, trace, FLOAT64).arrays
        if array.run == TEACHER_FORCED
    }


@pytest.mark.parametrize("name", ARTICLE)
@given(data=st.data())
def test_what_a_row_yields_does_not_depend_on_the_other_rows(name, data):
    case = drawn(data, name)
    config, parameters, inputs, labels = arguments(case)
    trace = free_running(case)
    for row in range(config.batch):
        others = (np.arange(config.batch) != row)[:, None, None]
        alone = free_running(case, config, parameters, np.where(others, np.nan, inputs), labels)
        for key, array in trace.items():
            if key not in ("accuracy", "loss"):
                array[row] = alone[key][row]
    # The rows, each computed beside rows of NaN, are what the batch may yield.
    verdict = judge(case, trace, FLOAT64)
    assert verdict.status != DISAGREE, verdict.summary()


@pytest.mark.parametrize("name", ARTICLE)
@given(data=st.data())
def test_teacher_forcing_a_free_running_trace_gives_that_trace_again(name, data):
    case = drawn(data, name)
    free = free_running(case)
    balls = balls_of_steps(case, free)
    assert sorted(balls) == sorted(free)
    for key, array in free.items():
        assert balls[key].shape == array.shape
        assert_within(array, balls[key])


@pytest.mark.parametrize("name", ARTICLE)
@given(data=st.data())
def test_teacher_forced_a_recorded_state_counts_in_the_step_beside_it_alone(name, data):
    case = drawn(data, name)
    key = "outputs" if name == "bidirectional" else "encoder_states"
    step = data.draw(st.integers(0, case.config.time - 1), label="step")
    free = free_running(case)
    wrong = dict(free, **{key: free[key].copy()})
    wrong[key][:, step] += 0.125
    changed, ball = (balls_of_steps(case, trace)[key] for trace in (wrong, free))
    outside = np.abs(changed.mid - ball.mid) > changed.rad + ball.rad
    differ = [t for t in range(case.config.time) if outside[:, t].any()]
    assert set(differ) <= {step - 1, step + 1}


def shapes(case):
    return {array.name: array.shape(case.config) for array in case.model.trace}


@pytest.mark.parametrize("name", ARTICLE)
@given(data=st.data())
def test_every_array_of_the_trace_has_its_shape(name, data):
    case = drawn(data, name)
    free = free_running(case)
    expected = shapes(case)
    assert {key: np.shape(array) for key, array in free.items()} == expected
    forced = balls_of_steps(case, free)
    assert {key: ball.shape for key, ball in forced.items()} == expected


def least(name, **sizes):
    """A case of ones, with one of everything but `sizes`."""
    model = MODELS[name]
    names = set(model.article.sizes()) & set(model.Config.__dataclass_fields__)
    config = model.Config(**dict(dict.fromkeys(names, 1), **sizes))
    shapes = {field.name: field.shape(config) for field in model.fields(config)}
    return Case(model, config, {key: np.ones(shapes[key], np.float32) for key in shapes})


@pytest.mark.parametrize("name", ARTICLE)
@pytest.mark.parametrize("batch", [0, 1])
def test_one_of_everything_is_enough(name, batch):
    case = least(name, batch=batch)
    trace = free_running(case)
    assert {key: np.shape(array) for key, array in trace.items()} == shapes(case)
    assert sorted(balls_of_steps(case, trace)) == sorted(trace)
    # One class: whatever the scores are, it is the right one, with probability 1.
    assert (trace["probabilities"] == 1).all()
    assert np.isnan(trace["loss"]) if batch == 0 else trace["loss"] == 0
    assert np.isnan(trace["accuracy"]) if batch == 0 else trace["accuracy"] == 1


@pytest.mark.parametrize("name", ["seq2seq", "attention"])
def test_the_decoder_is_fed_the_tokens_that_it_shall_follow(name):
    case = least(name, batch=2, output_time=3, outputs=2)
    follow = np.array([[0, 1, 0], [1, 0, 1]])
    trace = forcing.follow(case, {"predictions": follow})
    assert trace["predictions"].tolist() == follow.tolist()
    assert trace["fed_back"].tolist() == [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]


@pytest.mark.parametrize("name", ARTICLE)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_arithmetic_is_that_of_the_arrays_given(name, dtype):
    case = least(name, batch=2, time=2)
    trace = free_running(case, *arguments(case, dtype))
    found = {key: np.asarray(array).dtype for key, array in trace.items() if np.size(array)}
    assert found.pop("predictions").kind == "i"
    assert set(found.values()) == {np.dtype(dtype)}


def test_a_window_without_slots_is_an_error_as_in_tensorflow():
    with pytest.raises(ValueError, match="^attn_length should be greater than zero, got 0$"):
        AttentionCellWrapper(BasicRNNCell(3), 0)


WITHOUT_TENSORFLOW = """
import sys

for name in ("tensorflow", "keras", "tf_keras"):
    sys.modules[name] = None  # An import of it raises ImportError.

import rnndiff.models
import numpy as np

for model in rnndiff.models.MODELS.values():
    parameters = [np.ones(field.shape(model.article)) for field in model.parameters(model.article)]
    data = [np.ones(field.shape(model.article)) for field in model.data]
    model.oracle(model.article, parameters, *data)
    try:
        model.graph()
    except ImportError:
        print(model.name)
"""


def test_the_oracles_work_without_tensorflow():
    root = os.path.dirname(os.path.dirname(os.path.abspath(rnndiff.models.__file__)))
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().split() == list(MODELS)
