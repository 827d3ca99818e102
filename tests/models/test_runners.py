"""Cells that are run over a sequence: lengths, initial states and directions."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.harness.judging.verdict import AGREE, TEACHER_FORCED, judge
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.models import MODELS
from rnndiff.models.cells.cell import flat, like
from rnndiff.models.cells.kinds import KINDS, Kind, class_of
from rnndiff.models.layout import choices_of
from rnndiff.models.rnn.config import Config

every_kind = pytest.mark.parametrize("kind", KINDS)
LENGTHS = [0, 1, 3, 4, 2]
FLOAT64 = arithmetic("float64", dict.fromkeys(("tanh", "exp"), Accuracy(4, 0)))


def with_lengths(name, **options):
    """A case whose rows have all lengths."""
    model = MODELS[name]
    chosen = dict(batch=5, time=4, inputs=4, num_units=4, sequence_length=True, initial_state=True)
    config = model.Config(**dict(chosen, **options))
    case = normal_case(np.random.RandomState(0), model, config, gain=0.5)
    case.arrays["sequence_length"][:] = LENGTHS
    return case


def of_options(kind):
    """The options of a kind of cell, none at its default but for sizes and the activation."""
    fields = KINDS[kind].Options.__dataclass_fields__
    chosen = {name: choices_of(KINDS[kind].Options, name)[-1] for name in fields}
    chosen.pop("activation", None)
    return dict(chosen, num_proj=3) if "num_proj" in chosen else chosen


def alone(kind, case, row, weights, inputs, initial, prefix):
    """The trace of one row that ends where its inputs end; None without any."""
    if not len(inputs):
        return None
    model = MODELS["rnn-" + kind]
    known = {name: getattr(case.config, name) for name in KINDS[kind].Options.__dataclass_fields__}
    config = model.Config(
        **dict(known, num_units=case.config.num_units, inputs=inputs.shape[1]),
        **dict(batch=1, time=len(inputs), initial_state=True),
    )
    noise = ["{}{}_noise".format(prefix, name) for name, _, _ in KINDS[kind].noise]
    more = [
        case.arrays[name][row : row + 1].astype(float) if name in case.arrays else None
        for name in initial + noise
    ]
    return model.compute(config, [x.astype(float) for x in weights], inputs[None], None, *more)


def row_by_row(kind, case, directions):
    """The trace of a case by runs of each of its rows alone.

    `directions` are the prefixes of the names of each direction, the second one running backward.
    """
    trace = case.oracle(float)
    names, units = [part for part, _ in KINDS[kind].state], trace["outputs"].shape[2]
    trace = {name: np.zeros_like(array) for name, array in trace.items()}
    half = len(case.parameters) // len(directions)
    for row, length in enumerate(case.arrays["sequence_length"]):
        for number, prefix in enumerate(directions):
            order = slice(None, None, -1 if number else 1)
            mine = slice(number * units // 2, (number + 1) * units // 2)
            mine = mine if len(directions) > 1 else slice(None)
            initial = ["{}initial_{}".format(prefix, name) for name in names]
            inputs = case.inputs[row, :length].astype(float)[order]
            weights = case.parameters[number * half : (number + 1) * half]
            found = alone(kind, case, row, weights, inputs, initial, prefix)
            for name, start in zip(names, initial):
                final = case.arrays[start][row] if found is None else found["final_" + name][0]
                trace["{}final_{}".format(prefix, name)][row] = final
                if found is not None:
                    states = found["states_" + name][0][order]
                    trace["{}states_{}".format(prefix, name)][row, :length] = states
            if found is not None:
                trace["outputs"][row, :length, mine] = found["outputs"][0][order]
    return trace


def assert_agrees(case, trace):
    __tracebackhide__ = True
    verdict = judge(case, trace, FLOAT64)
    assert verdict.status == AGREE and not verdict.missing, verdict.summary()
    assert verdict.undecided(TEACHER_FORCED) == 0


@every_kind
def test_a_row_that_ends_is_what_it_is_alone(kind):
    for case in (with_lengths("rnn-" + kind), with_lengths("rnn-" + kind, **of_options(kind))):
        assert_agrees(case, row_by_row(kind, case, [""]))


@every_kind
def test_backward_a_row_is_itself_reversed_by_its_own_length(kind):
    for case in (with_lengths("birnn-" + kind), with_lengths("birnn-" + kind, **of_options(kind))):
        assert_agrees(case, row_by_row(kind, case, ["forward_", "backward_"]))


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_past_its_end_a_row_is_zero_and_its_state_that_at_the_end_bit_for_bit(kind, dtype):
    case = with_lengths("birnn-" + kind)
    trace = case.oracle(dtype)
    for row, length in enumerate(LENGTHS):
        assert not trace["outputs"][row, length:].any()
        for part, _ in KINDS[kind].state:
            for direction, last in (("forward", length - 1), ("backward", 0)):
                states, final, initial = (
                    "{}_{}_{}".format(direction, name, part)
                    for name in ("states", "final", "initial")
                )
                assert not trace[states][row, length:].any()
                expected = trace[states][row, last] if length else case.arrays[initial][row]
                assert trace[final][row].tobytes() == expected.astype(dtype).tobytes()


@every_kind
@pytest.mark.parametrize("runner", ["rnn", "birnn"])
def test_full_lengths_are_none(kind, runner):
    case = with_lengths("{}-{}".format(runner, kind))
    case.arrays["sequence_length"][:] = 4
    without = {name: x for name, x in case.arrays.items() if name != "sequence_length"}
    config = replace(case.config, sequence_length=False)
    found, expected = case.oracle(float), Case(case.model, config, without).oracle(float)
    assert {name: x.tobytes() for name, x in found.items()} == {
        name: x.tobytes() for name, x in expected.items()
    }


def test_the_initial_state_of_each_direction_moves_that_alone():
    case = with_lengths("birnn-lstm")
    before = case.oracle(float)
    case.arrays["backward_initial_c"][:] += 1
    after = case.oracle(float)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {
        "outputs",
        *("backward_{}_{}".format(name, part) for name in ("states", "final") for part in "ch"),
    }


STATES = [
    0,
    (0, 1),
    ((0, 1), (2, 3)),
    (0, (1, (2,)), 3),
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_state_is_unpacked_and_packed_again(state):
    parts = flat(state)
    assert parts == list(range(len(parts)))
    assert like(state, parts) == state
    assert like(state, (x + 10 for x in parts)) == like(state, [x + 10 for x in parts])


@pytest.mark.parametrize("name", [name for name in MODELS if "rnn-" in name])
def test_a_config_of_any_cell_goes_from_process_to_process(name):
    config = replace(MODELS[name].article, num_units=4, sequence_length=True)
    again = pickle.loads(pickle.dumps(config))
    assert again == config and type(again) is type(config) and again.kind is config.kind
    assert repr(again) == repr(config)


def test_a_class_of_configs_has_the_options_of_its_cell_and_the_fields_of_its_runner():
    made = class_of(Kind("some-cell", None, KINDS["lstm"].Options), Config)
    assert (made.__name__, made.__module__) == ("Config_some_cell", Config.__module__)
    assert set(made.__dataclass_fields__) == set(Config.__dataclass_fields__) | set(
        KINDS["lstm"].Options.__dataclass_fields__
    )
    assert made.kind.name == "some-cell" and "kind" not in made.__dataclass_fields__
