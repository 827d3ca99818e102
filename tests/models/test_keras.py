"""Keras' recurrent layers: masks, directions, and what they are made of."""

from dataclasses import replace

import numpy as np
import pytest

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.models import MODELS
from rnndiff.models.cells.kinds import KERAS_KINDS
from rnndiff.models.functions import hard_sigmoid

every_kind = pytest.mark.parametrize("kind", KERAS_KINDS)
MASKS = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], np.int32)


def masked_case(name, **options):
    """A case whose rows are masked in all ways."""
    model = MODELS[name]
    chosen = dict(batch=4, time=5, inputs=3, num_units=3, mask=True, initial_state=True)
    case = normal_case(
        np.random.RandomState(0), model, model.Config(**dict(chosen, **options)), gain=0.5
    )
    case.arrays["mask"][:] = MASKS
    return case


def without_masked_steps(case, row):
    """One row, as if its steps that are masked were not there; None if none is left."""
    left = np.flatnonzero(MASKS[row])
    arrays = {}
    for field in case.model.fields(case.config):
        array = case.arrays[field.name]
        arrays[field.name] = array[row : row + 1] if field.axes[0] == ("batch",) else array
    arrays["inputs"] = arrays["inputs"][:, left]
    del arrays["mask"]
    if not len(left):
        return None
    return Case(case.model, replace(case.config, batch=1, time=len(left), mask=False), arrays)


@every_kind
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("zero_output_for_mask", [False, True])
def test_a_masked_step_is_as_if_it_were_not_there(kind, go_backwards, zero_output_for_mask):
    case = masked_case(
        "keras-" + kind, go_backwards=go_backwards, zero_output_for_mask=zero_output_for_mask
    )
    trace = case.oracle(float)
    for row, mask in enumerate(MASKS):
        alone = without_masked_steps(case, row)
        computed = [] if alone is None else list(alone.oracle(float)["outputs"][0])
        output = np.zeros(3)
        for k, is_in in enumerate(mask[::-1] if go_backwards else mask):
            output = computed.pop(0) if is_in else output * (not zero_output_for_mask)
            np.testing.assert_allclose(trace["outputs"][row, k], output, rtol=1e-12)
        for part, _ in KERAS_KINDS[kind].state:
            expected = case.arrays["initial_" + part][row]
            if alone is not None:
                expected = alone.oracle(float)["final_" + part][0]
            np.testing.assert_allclose(trace["final_" + part][row], expected, rtol=1e-12)


@every_kind
@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_backward_layer_is_the_forward_one_of_rows_in_reversed_order(kind, go_backwards):
    case = masked_case("keras-bidirectional-" + kind, go_backwards=go_backwards)
    trace = case.oracle(float)
    half = len(case.parameters) // 2
    names = [field.name for field in case.model.parameters(case.config)]
    arrays = dict(case.arrays)
    for forward, backward in zip(names[:half], names[half:]):
        arrays[forward], arrays[backward] = case.arrays[backward], case.arrays[forward]
    for part, _ in KERAS_KINDS[kind].state:
        forward, backward = ("{}_initial_{}".format(d, part) for d in ("forward", "backward"))
        arrays[forward], arrays[backward] = case.arrays[backward], case.arrays[forward]
    arrays["inputs"], arrays["mask"] = case.inputs[:, ::-1], MASKS[:, ::-1]
    other = Case(case.model, case.config, arrays).oracle(float)
    outputs = np.roll(other["outputs"][:, ::-1], 3, axis=2)
    np.testing.assert_allclose(trace["outputs"], outputs, rtol=1e-12)
    assert not trace["outputs"][(MASKS[:, ::-1] if go_backwards else MASKS) == 0].any()


@every_kind
@pytest.mark.parametrize("name", ["keras-", "keras-bidirectional-"])
def test_the_last_output_is_that_of_the_last_step_taken(name, kind):
    case = masked_case(name + kind)
    whole = case.oracle(float)
    last = Case(case.model, replace(case.config, return_sequences=False), case.arrays)
    last = last.oracle(float)["outputs"]
    assert last.shape[1] == 1
    # Of a step that is masked it is that of the one before, and not zero, in both directions.
    final = [whole[x] for x in whole if x.endswith("final_h")]
    in_any = MASKS.any(axis=1)
    assert np.array_equal(last[in_any, 0], np.concatenate(final, axis=1)[in_any])
    assert not last[~in_any].any()


@pytest.mark.parametrize(
    "mode, merge",
    [
        ("sum", lambda forward, backward: forward + backward),
        ("mul", lambda forward, backward: forward * backward),
        ("ave", lambda forward, backward: (forward + backward) / 2),
        (None, lambda *outputs: np.concatenate(outputs, axis=2)),
    ],
)
def test_outputs_are_merged_as_the_mode_says(mode, merge):
    case = masked_case("keras-bidirectional-gru")
    concatenated = case.oracle(float)["outputs"]
    other = Case(case.model, replace(case.config, merge_mode=mode), case.arrays)
    expected = merge(*np.split(concatenated, 2, axis=2))
    assert np.array_equal(other.oracle(float)["outputs"], expected)


@pytest.mark.parametrize(
    "kind, options",
    [
        ("simple-rnn", {}),
        ("lstm", {}),
        ("lstm", {"use_bias": False}),
        ("gru", {}),
        ("gru", {"reset_after": False}),
    ],
)
def test_the_parameters_are_those_of_keras_in_its_order(kind, options, tensorflow):
    model = MODELS["keras-bidirectional-" + kind]
    config = model.Config(**dict(options, batch=2, time=2, inputs=3, num_units=4))
    fields = model.parameters(config)
    variables = model.graph().build(config).parameters
    assert [field.shape(config) for field in fields] == [
        tuple(v.shape.as_list()) for v in variables
    ]
    ends = [field.name.split("/")[-1] for field in fields]
    assert ends == [variable.op.name.split("/")[-1] for variable in variables]


def test_the_hard_sigmoid_is_that_of_keras_2():
    x = np.array([-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0, np.nan])
    np.testing.assert_allclose(hard_sigmoid(x), [0, 0, 0.3, 0.5, 0.7, 1, 1, np.nan])
