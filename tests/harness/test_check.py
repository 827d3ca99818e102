"""Whatever a subject does with a case is an outcome: it is judged, kept, shrunk and counted."""

import contextlib
import os
import signal
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from examples import Float32Port, random_case
from hypothesis import HealthCheck, assume, given, settings

from rnndiff.harness.cases.case import Case, load
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.checking.verdicts import verdict_on, way_of_failing
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.judging.excuses import (
    Instead,
    KnownDivergence,
    KnownEnding,
    KnownError,
    KnownRewrite,
)
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import AGREE, DISAGREE, KNOWN, UNDECIDED
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects import Subject
from rnndiff.harness.subjects.run import Running, name_of_end, run
from rnndiff.harness.subjects.tensorflow.divergences import Where
from rnndiff.models import ARTICLE, MODELS


def checked(subject, cases, tmp_path, **options):
    """The failures of some cases, and the tally."""
    tally = Tally()
    failures = Checker(subject, tally, str(tmp_path), **options)(cases).failures
    return failures, tally


def saved(tmp_path):
    """The names of the files of the failures."""
    return sorted(os.listdir(str(tmp_path)))


def bits(case):
    return {name: array.tobytes() for name, array in case.arrays.items()}


class Does(Float32Port):
    """A right port that does something with the case before it computes it."""

    def __init__(self, something):
        Float32Port.__init__(self)
        self._something = something

    def __call__(self, case):
        trace = Float32Port.__call__(self, case)
        self._something(case)
        return trace


# --- traces that are none ---------------------------------------------------------------------


def with_array(name, change):
    return lambda trace: dict(trace, **{name: change(trace[name])})


NO_TRACES = {
    "nothing": (lambda trace: None, "no dict of arrays"),
    "a list": (lambda trace: list(trace.values()), "no dict of arrays"),
    "no arrays": (lambda trace: {}, "it has none of encoder_states, decoder_states, fed_back"),
    "other arrays": (lambda trace: {"score": trace["scores"]}, "it has none of encoder_states"),
    "None": (with_array("scores", lambda a: None), "'scores' is object, not float32"),
    "objects": (with_array("scores", lambda a: a.astype(object)), "'scores' is object"),
    "strings": (with_array("scores", lambda a: a.astype(str)), "'scores' is str"),
    "complex": (with_array("scores", lambda a: a + 0j), "'scores' is complex64, not float32"),
    "float64": (with_array("loss", np.float64), "'loss' is float64, not float32"),
    "float16": (with_array("loss", np.float16), "'loss' is float16, not float32"),
    "a number of Python": (with_array("loss", float), "'loss' is float64, not float32"),
    "bool": (with_array("predictions", lambda a: a > 0), "'predictions' is bool, not of integers"),
    "floats": (with_array("predictions", np.float32), "'predictions' is float32, not of integers"),
    "ragged": (with_array("scores", lambda a: [[1.0], [1.0, 2.0]]), "'scores'"),
    "no array": (with_array("scores", lambda a: NoArray()), "no arrays can be made of 'scores'"),
    "wrong shapes": (
        lambda trace: dict(trace, loss=trace["loss"][None], scores=trace["scores"][:, :, 1:]),
        "'scores' has the shape [2, 3, 2], not [2, 3, 3]; 'loss' has the shape [1], not []",
    ),
    "wrong shape of predictions": (
        with_array("predictions", lambda a: a[:, :1]),
        "'predictions' has the shape [2, 1], not [2, 3]",
    ),
    "all that is wrong": (
        lambda trace: {"loss": np.float64(trace["loss"]), "scores": trace["scores"] + 0j},
        "'scores' is complex64, not float32; 'loss' is float64, not float32",
    ),
}


class NoArray:
    def __array__(self, *args, **kwargs):
        raise RuntimeError("not on this device")


@pytest.mark.filterwarnings("ignore:Creating an ndarray from ragged")
@pytest.mark.parametrize("kind", list(NO_TRACES))
def test_what_is_no_trace_is_a_failure_that_names_the_arrays(kind, tmp_path):
    mistake, named = NO_TRACES[kind]
    cases = [random_case("seq2seq", seed) for seed in range(3)]
    # In one case of three: the others are judged all the same.
    wrong = cases[1].inputs.copy()

    class Port(Float32Port):
        def __call__(self, case):
            trace = Float32Port.__call__(self, case)
            return mistake(trace) if np.array_equal(case.inputs, wrong) else trace

    (failure,), tally = checked(Port(), cases, tmp_path, evaluations=0)
    assert failure.way == "seq2seq-WrongTrace"
    assert named in failure.report.splitlines()[0]
    assert tally.cases == {AGREE: 2, UNDECIDED: 0, KNOWN: 0, DISAGREE: 1}
    assert bits(load(failure.path).case) == bits(cases[1])


@pytest.mark.parametrize("dtype", [np.dtype(kind) for kind in "bBhHiIlLqQ"], ids=str)
def test_predictions_of_any_width_agree(dtype, tmp_path):
    port = Float32Port(with_array("predictions", lambda a: a.astype(dtype)))
    assert not checked(port, [random_case("seq2seq", seed) for seed in range(3)], tmp_path)[0]


@pytest.mark.parametrize(
    "mistake",
    [
        lambda trace: dict(trace, more=np.zeros(7), less=None),
        lambda trace: {
            name: array.astype(array.dtype.newbyteorder()) for name, array in trace.items()
        },
        lambda trace: dict(trace, loss=trace["loss"][()], scores=list(trace["scores"])),
        lambda trace: dict(trace, scores=np.asfortranarray(trace["scores"])),
    ],
    ids=["more arrays", "the other byte order", "a scalar, a list", "the other order of axes"],
)
def test_a_right_trace_in_other_clothes_agrees(mistake, tmp_path):
    cases = [random_case("seq2seq", seed) for seed in range(3)]
    assert not checked(Float32Port(mistake), cases, tmp_path)[0]
    assert verdict_on(Float32Port(mistake), cases[0])[0].status == AGREE


@pytest.mark.parametrize("sizes", [{"output_time": 1}, {"batch": 0}], ids=str)
def test_an_array_without_numbers_may_be_of_any(sizes, tmp_path):
    def widened(trace):
        return {n: a if a.size else a.astype(np.float64) for n, a in trace.items()}

    cases = [random_case("seq2seq", seed, **sizes) for seed in range(3)]
    assert not checked(Float32Port(widened), cases, tmp_path)[0]


def test_a_port_may_return_views_of_its_inputs(tmp_path):
    class Port(Float32Port):
        def __call__(self, case):
            trace = Float32Port.__call__(self, case)
            # The first row that is fed to the cell, where nothing is projected.
            return dict(trace, labels=case.labels, fed_back=case.labels[:, :-1])

    case = random_case("seq2seq")
    case.arrays["projection/kernel"][:] = 0
    case.arrays["projection/bias"][:] = [1, 0, 0]
    case.labels[:] = [1, 0, 0]
    assert not checked(Port(), [case], tmp_path)[0]


# --- exceptions -------------------------------------------------------------------------------


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError


class Cancelled(BaseException):
    """As asyncio's CancelledError is."""


Panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})


def raising(error):
    def something(case):
        raise error

    return Does(something)


@pytest.mark.parametrize(
    "error",
    [
        IndexError("index 4 is out\nof bounds"),
        KeyError("tanh"),
        AssertionError(),
        MemoryError(),
        SystemExit(3),
        Unspeakable(),
        Panic("index out of bounds"),
        Cancelled(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_port_raises_is_a_failure_with_type_and_message(error, tmp_path):
    name = type(error).__name__
    cases = [random_case("bidirectional", seed) for seed in range(3)]
    failures, tally = checked(raising(error), cases, tmp_path)
    assert {failure.way for failure in failures} == {"bidirectional-" + name}
    assert saved(tmp_path) == ["bidirectional-{}.npz".format(name)]
    first = failures[0].report.splitlines()[0]
    assert "disagree: {}:".format(name) in first and "test_check.py" in first
    if not isinstance(error, Unspeakable):
        assert " ".join(str(error).split()) in first
    assert tally.cases[DISAGREE] == 3 and tally.cases[AGREE] == 0
    assert load(failures[0].path).case.config.num_units == 1


def test_what_a_port_says_is_told_in_a_line_that_can_be_printed_anywhere(tmp_path):
    error = type("Long" * 100, (Exception,), {})("\ud800 \0 \x1b[2J" + "x" * 10**6)
    (failure,), _ = checked(raising(error), [random_case("seq2seq")], tmp_path)
    first = failure.report.splitlines()[0]
    assert first.isascii() and first.isprintable() and len(first) < 1500
    assert len(saved(tmp_path)) == 1


def test_an_array_that_is_none_of_the_trace_hides_no_mistake(tmp_path):
    def mistake(trace):
        return dict(trace, loss=trace["loss"] + np.float32(1), hidden=np.zeros(2))

    (failure,), _ = checked(Float32Port(mistake), [random_case("bidirectional")], tmp_path)
    assert failure.way == "bidirectional-loss-teacher-forced"


def test_what_a_port_sets_of_numpys_error_handling_is_its_own(tmp_path):
    before = np.geterr()

    def something(case):
        np.seterr(all="raise")
        return case.oracle("float32")

    failures, _ = checked(Does(something), [random_case("seq2seq")], tmp_path)
    assert not failures and np.geterr() == before


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), UserError("No compiler."), GeneratorExit()], ids=repr
)
def test_what_is_no_failure_of_the_port_passes_through(error, tmp_path):
    with pytest.raises(type(error)):
        checked(raising(error), [random_case("seq2seq")], tmp_path)
    assert saved(tmp_path) == []


@pytest.mark.filterwarnings("ignore:Using .assume. outside a property-based test")
@pytest.mark.parametrize("steer", [lambda case: assume(False), lambda case: pytest.skip("no GPU")])
def test_a_port_may_steer_the_test_that_it_is_in(steer, tmp_path):
    with pytest.raises(BaseException) as raised:
        checked(Does(steer), [random_case("seq2seq")], tmp_path)
    assert type(raised.value).__name__ in ("UnsatisfiedAssumption", "Skipped")


@pytest.mark.parametrize(
    "stated, said",
    [(lambda: {}["tanh"], "KeyError: 'tanh', in stating"), (lambda: None, "WrongArithmetic: ")],
)
def test_an_arithmetic_that_is_none_is_a_failure(stated, said, tmp_path):
    class Port(Float32Port):
        def arithmetic(self, case):
            return stated()

    (failure,), tally = checked(Port(), [random_case("seq2seq")], tmp_path)
    assert said in failure.report and tally.cases[DISAGREE] == 1


def test_what_a_port_raises_in_saying_by_what_it_is_ended_is_a_failure(tmp_path):
    class Port(Float32Port):
        def ended_by(self, case):
            raise ValueError("no such device")

    failures, tally = checked(Port(), [random_case("seq2seq", k) for k in range(2)], tmp_path)
    assert "ValueError: no such device" in failures[0].report and tally.cases[DISAGREE] == 2


def test_a_port_that_cannot_say_its_name_or_premise_is_judged_and_its_case_kept(tmp_path):
    def nothing(self):
        raise ValueError

    class Port(Float32Port):
        label = premise = property(nothing)

    cases = [random_case("seq2seq", seed) for seed in range(3)]
    failures, tally = checked(Port(), cases, tmp_path)
    assert not failures and tally.premise == "ValueError, in stating its premise"
    port = Port(with_array("loss", lambda loss: loss + np.float32(1)))
    failure = checked(port, cases, tmp_path, evaluations=5)[0][0]
    notes = load(failure.path).notes
    assert notes["subject"] == "ValueError, in stating its label"
    assert notes["premise"] == "ValueError, in stating its premise"


def test_an_error_names_one_file_whatever_its_text(tmp_path):
    (failure,), _ = checked(
        raising(SubjectError("../cannot open a/b")), [random_case("seq2seq")], tmp_path
    )
    assert saved(tmp_path) == ["seq2seq-SubjectError.npz"]
    assert "SubjectError: ../cannot open a/b" in failure.report


# --- cases that are changed -------------------------------------------------------------------


@pytest.mark.parametrize(
    "model, name",
    [
        (name, field.name)
        for name in ARTICLE
        for field in MODELS[name].fields(random_case(name).config)
    ],
)
def test_a_port_that_changes_the_case_does_not_agree_and_the_case_stays_as_it_was(
    model, name, tmp_path
):
    def change(case):
        case.arrays[name].flat[-1] = -0.0 if case.arrays[name].flat[-1] == 0 else 7

    cases = [random_case(model, seed) for seed in range(3)]
    before = [bits(case) for case in cases]
    failures, tally = checked(Does(change), cases, tmp_path)
    assert {failure.way for failure in failures} == {model + "-ChangedInput"}
    assert "ChangedInput: it changed {!r} of the case".format(name) in failures[0].report
    assert tally.cases[DISAGREE] == 3
    assert [bits(case) for case in cases] == before
    assert not (load(failures[0].path).case.arrays[name] == 7).any()


@pytest.mark.parametrize(
    "change",
    [
        lambda case: case.arrays.clear(),
        lambda case: case.arrays.update(inputs=case.inputs + 1),
        lambda case: case.inputs.setflags(write=False),
        lambda case: setattr(case.inputs, "shape", (-1,)),
    ],
    ids=["cleared", "another array", "read-only", "another shape"],
)
def test_what_a_port_does_to_its_own_copy_of_a_case_harms_nobody(change, tmp_path):
    cases = [random_case("seq2seq", seed) for seed in range(3)]
    before = [bits(case) for case in cases]
    assert not checked(Does(change), cases, tmp_path)[0]
    assert [bits(case) for case in cases] == before
    assert cases[0].inputs.shape == (2, 3, 2)


def test_the_arrays_handed_out_can_be_written_and_are_contiguous():
    seen = []
    case = random_case("seq2seq")
    case.arrays["inputs"] = np.asfortranarray(case.inputs)
    case.arrays["labels"].setflags(write=False)
    run(Does(lambda case: seen.extend(case.arrays.values())), case)
    assert all(array.flags.writeable and array.flags.c_contiguous for array in seen)


# --- state ------------------------------------------------------------------------------------


class KeepsItsState(Float32Port):
    """Starts from what a state of its last case was."""

    last = np.float32(0)

    def __call__(self, case):
        trace = Float32Port.__call__(self, case)
        trace["encoder_states"][:, 0, 0] += self.last
        self.last = trace["encoder_states"][0, -1, 0]
        return trace


class KeepsItsWeights(Float32Port):
    """Computes every case of a config with the weights of the first one."""

    def __init__(self):
        Float32Port.__init__(self)
        self._weights = {}

    def __call__(self, case):
        fields = case.model.parameters(case.config)
        mine = {field.name: case.arrays[field.name] for field in fields}
        kept = self._weights.setdefault(case.config, mine)
        return Float32Port.__call__(self, Case(case.model, case.config, dict(case.arrays, **kept)))


class RightTheFirstTime(Float32Port):
    calls = 0

    def __call__(self, case):
        trace = Float32Port.__call__(self, case)
        self.calls += 1
        return trace if self.calls == 1 else dict(trace, loss=trace["loss"] + np.float32(1))


class RaisesTheSecondTime(Float32Port):
    calls = 0

    def __call__(self, case):
        self.calls += 1
        if self.calls == 2:
            raise ValueError
        return Float32Port.__call__(self, case)


STATEFUL = [KeepsItsState, KeepsItsWeights, RightTheFirstTime, RaisesTheSecondTime]


@pytest.mark.parametrize("port", STATEFUL)
def test_a_port_that_keeps_its_state_is_a_finding_of_its_own(port, tmp_path):
    cases = [random_case("seq2seq", seed) for seed in range(4)]
    failures, tally = checked(port(), cases, tmp_path)
    assert {failure.way for failure in failures} == {"seq2seq-NotRepeatable"}
    assert "NotRepeatable: a second call on the same case" in failures[0].report.splitlines()[0]
    assert len(failures) == tally.cases[DISAGREE] and sum(tally.cases.values()) == len(cases)
    # It is shrunk, and what is saved shows it.
    case = load(failures[0].path).case
    assert saved(tmp_path) == ["seq2seq-NotRepeatable.npz"]
    assert case.config.num_units == 1 and case.config.batch == 1


@pytest.mark.parametrize("port", [KeepsItsState, RightTheFirstTime, RaisesTheSecondTime])
def test_one_right_case_is_enough_to_find_that_a_port_keeps_its_state(port, tmp_path):
    (failure,), tally = checked(port(), [random_case("seq2seq")], tmp_path)
    assert failure.way == "seq2seq-NotRepeatable"
    assert tally.cases[DISAGREE] == 1


def test_now_and_then_a_case_is_run_twice_and_seldom_enough():
    runs, cases = [], [random_case("seq2seq", seed) for seed in range(16)]
    check = Checker(Does(runs.append), Tally())
    for _ in range(16):
        assert not check(cases).failures
    assert len(runs) == 16 * 16 + 4


def test_the_case_that_is_run_twice_has_another_place_in_its_batch_each_time():
    cases, runs = [random_case("seq2seq", seed) for seed in range(64)], []
    check = Checker(Does(lambda case: runs.append(case.inputs.tobytes())), Tally())
    places = []
    for _ in range(3):
        assert not check(cases).failures
        places.append([case.inputs.tobytes() for case in cases].index(runs[-1]))
    assert places == [0, 1, 2] and len(runs) == 3 * (64 + 1)


class Wanders(Float32Port):
    """Adds a bit of noise, well within its bounds."""

    random = np.random.RandomState(0)

    def __call__(self, case):
        trace = Float32Port.__call__(self, case)
        noise = self.random.randint(2, size=trace["encoder_states"].shape)
        states = trace["encoder_states"]
        return dict(trace, encoder_states=np.where(noise, np.nextafter(states, 0), states))


def test_a_port_may_say_that_it_is_not_repeatable(tmp_path):
    cases = [random_case("seq2seq", seed) for seed in range(3)]
    assert {f.way for f in checked(Wanders(), cases, tmp_path)[0]} == {"seq2seq-NotRepeatable"}

    class SaysSo(Wanders):
        repeatable = False

    assert not checked(SaysSo(), cases, tmp_path / "other")[0]


def test_nan_is_repeatable_whatever_its_bits(tmp_path):
    class Port(Float32Port):
        calls = 0

        def __call__(self, case):
            trace = Float32Port.__call__(self, case)
            self.calls += 1
            for array in trace.values():
                if array.dtype == np.float32:
                    array[np.isnan(array)] = np.uint32(0x7FC00000 + self.calls).view(np.float32)
            return trace

    case = random_case("bidirectional")
    case.inputs[:] = np.nan
    assert not checked(Port(), [case], tmp_path)[0]


def test_what_fails_in_a_row_of_cases_and_not_by_itself_is_not_reported_as_that(tmp_path):
    def mistake(trace):
        return dict(trace, scores=trace["scores"] + np.float32(1))

    class Port(Float32Port):
        """Wrong from its second case on, and from its first one in networks of three units."""

        calls = 0

        def __call__(self, case):
            trace = Float32Port.__call__(self, case)
            self.calls += 1
            wrong = self.calls > 1 or case.config.num_units == 3
            return mistake(trace) if wrong else trace

    cases = [random_case("seq2seq", seed, num_units=units) for seed, units in enumerate([4, 4, 3])]
    failures, _ = checked(Port(), cases, tmp_path)
    assert sorted({failure.way for failure in failures}) == [
        "seq2seq-NotRepeatable",
        "seq2seq-scores-teacher-forced",
    ]
    # A port of which every case but the first is wrong shrinks anywhere; not so afresh.
    kept = load(str(tmp_path / "seq2seq-scores-teacher-forced.npz")).case
    assert kept.config.num_units == 3 and kept.config.batch == kept.config.time == 1


class CannotBeMadeTwice:
    """The first that is made of a class is the last."""

    def __init__(self):
        if hasattr(type(self), "made"):
            raise OSError("in use")
        type(self).made = True
        Float32Port.__init__(self)


@pytest.mark.parametrize(
    "port", [Float32Port, RightTheFirstTime, RaisesTheSecondTime, KeepsItsState]
)
def test_a_case_on_a_port_that_cannot_be_made_twice_is_kept_and_told_of(port, tmp_path):
    class Port(CannotBeMadeTwice, port):
        def __call__(self, case):
            trace = port.__call__(self, case)
            wrong = port is Float32Port
            return dict(trace, loss=trace["loss"] + np.float32(1)) if wrong else trace

    case, found = random_case("seq2seq"), []
    (failure,), tally = checked(Port(), [case], tmp_path, found=found.append)
    assert {each.way for each in found} == {failure.way} and tally.cases[DISAGREE] == 1
    assert found[-1] == failure and not failure.shrunk
    assert bits(load(failure.path).case) == bits(case)
    said = "not shrunk: Port cannot be made a second time (OSError: in use): make it so"
    assert said in failure.report.splitlines()[-1]


def test_a_fresh_port_is_made_of_the_same_arguments():
    class Port(Subject):
        def __init__(self, one, other=0):
            self.arguments = one, other

    port = Port(1, other=2)
    port.called = True
    fresh = port.fresh()
    assert fresh.arguments == (1, 2) and not hasattr(fresh, "called")
    assert fresh.fresh().arguments == (1, 2)


@pytest.mark.parametrize("port", [KeepsItsState, RightTheFirstTime, RaisesTheSecondTime])
def test_hypothesis_says_it_in_one_short_message(port, tmp_path):
    check = Checker(port(), Tally(), str(tmp_path), evaluations=50)

    @settings(
        deadline=None,
        database=None,
        derandomize=True,
        max_examples=30,
        suppress_health_check=list(HealthCheck),
    )
    @given(batches(MODELS["bidirectional"], "ordinary"))
    def agrees(cases):
        failures = check(cases).failures
        assert not failures, failures[0].report

    with pytest.raises(AssertionError) as raised:
        agrees()
    if port is not KeepsItsState:
        assert "): disagree: NotRepeatable" in str(raised.value)
    assert len(str(raised.value).splitlines()) < 60


@given(cases=batches(MODELS["seq2seq"], "ordinary"))
@settings(deadline=None, max_examples=5, suppress_health_check=list(HealthCheck))
def test_a_case_that_failed_fails_again_without_another_run(cases, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("failures"))
    runs, tally = [], Tally()

    def something(case):
        runs.append(case)
        raise ValueError

    port = Does(something)
    check = Checker(port, tally, folder, evaluations=20)
    once = check(cases).failures
    before, counted = len(runs), sum(tally.cases.values())
    assert check([case.copy() for case in cases]).failures == once
    assert len(runs) == before and sum(tally.cases.values()) == counted


# --- time -------------------------------------------------------------------------------------


class Hangs(Float32Port):
    """Never comes back from networks of more than two units."""

    def __call__(self, case):
        while case.config.num_units > 2:
            try:
                time.sleep(0.01)
            except Exception:
                pass
        return Float32Port.__call__(self, case)


ALARM = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no SIGALRM")


@ALARM
def test_after_a_second_hang_the_rest_of_a_batch_is_left_alone(tmp_path):
    called = []

    class Port(Float32Port):
        def __call__(self, case):
            called.append(case)
            time.sleep(0 if len(called) == 1 else 100)
            return super().__call__(case)

    cases = [random_case("seq2seq", seed) for seed in range(9)]
    tally = Tally()
    check = Checker(Port(), tally, str(tmp_path), evaluations=0, timeout=0.2)
    assert {failure.way for failure in check(cases).failures} == {"seq2seq-Hang"}
    assert tally.cases == {
        AGREE: 1,
        UNDECIDED: 0,
        KNOWN: 0,
        DISAGREE: 2,
    }
    # One that is right, two that hang, and the first of these again: none is run a second time.
    assert len(called) == 4


@ALARM
def test_a_hang_is_a_failure_that_is_counted_kept_and_shrunk_in_little_time(tmp_path):
    cases = [random_case("seq2seq", seed, num_units=units) for seed, units in enumerate([2, 9, 2])]
    found, started = [], time.monotonic()
    (failure,), tally = checked(Hangs(), cases, tmp_path, timeout=2.0, found=found.append)
    assert failure.way == found[0].way == "seq2seq-Hang"
    assert "Hang: no result after 2 s" in failure.report
    assert tally.cases[DISAGREE] == 1 and tally.cases[AGREE] == 2
    assert 2 < load(failure.path).case.config.num_units < 9
    # Once in the batch, once afresh, shrinking, and once more what was shrunk.
    assert time.monotonic() - started < 4 * 2.0 + 10
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@ALARM
@pytest.mark.parametrize("slow", [0, 1], ids=["the first run", "the second run"])
def test_a_case_that_is_slow_once_is_a_hang_once_and_does_not_count_as_not_repeatable(
    slow, tmp_path
):
    runs = []

    def something(case):
        runs.append(case)
        time.sleep(30 if len(runs) == slow + 1 else 0)

    case = random_case("seq2seq")
    failures, tally = checked(Does(something), [case], tmp_path, timeout=1.0)
    assert len(runs) == (3 if slow == 0 else 2)
    if slow:
        assert not failures and tally.cases[AGREE] == 1
        return
    (failure,) = failures
    assert failure.way == "seq2seq-Hang" and tally.cases[DISAGREE] == 1
    assert "not shrunk: Hang, once" in failure.report.splitlines()[-1]
    assert bits(load(failure.path).case) == bits(case)


@ALARM
def test_a_port_that_catches_everything_is_interrupted_again(tmp_path):
    class Port(Float32Port):
        caught = []

        def __call__(self, case):
            try:
                time.sleep(30)
            except BaseException as error:
                self.caught.append(error)
            time.sleep(30)

    outcome = run(Port(), random_case("seq2seq"), timeout=0.1)
    assert outcome.kind == "Hang" and len(Port.caught) == 1


@ALARM
def test_a_port_that_is_late_is_a_hang_though_it_catches_everything_and_then_is_right():
    class Port(Float32Port):
        def __call__(self, case):
            with contextlib.suppress(BaseException):
                time.sleep(30)
            return super().__call__(case)

    with Running(Port(), timeout=0.1) as running:
        assert running(random_case("seq2seq")).kind == "Hang"
    with Running(Float32Port(), timeout=10) as running:
        assert running(random_case("seq2seq")).kind == ""


@ALARM
def test_a_case_within_its_time_is_no_hang_however_long_all_take():
    port = Does(lambda case: time.sleep(0.4))
    with Running(port, timeout=1.0) as running:
        kinds = [running(random_case("seq2seq", seed)).kind for seed in range(4)]
    assert kinds == [""] * 4


def test_setting_the_standard_output_back_is_no_part_of_the_time_of_a_case(monkeypatch):
    redirected = []
    clocks = {name: getattr(Running, name) for name in ("_start", "_stop")}
    for name in clocks:

        def clock(self, name=name):
            redirected.append(sys.stdout is sys.stderr)
            clocks[name](self)

        monkeypatch.setattr(Running, name, clock)
    assert run(Float32Port(), random_case("seq2seq")).kind == ""
    assert redirected == [True, True] and sys.stdout is not sys.stderr


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_time_is_no_fault_of_the_subject(timeout):
    with pytest.raises(ValueError, match="a limit is above 0 and up to 86400 seconds, not "):
        run(Float32Port(), random_case("seq2seq"), timeout)


@ALARM
def test_a_handler_of_somebody_else_is_left_alone():
    rung = []
    signal.signal(signal.SIGALRM, lambda *args: rung.append(args))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        port = Does(lambda case: time.sleep(0.4))
        assert run(port, random_case("seq2seq"), timeout=0.05).kind == ""
        assert len(rung) == 1
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


@ALARM
def test_a_port_may_use_the_alarm_itself():
    rung = []

    def uses_it(case):
        before = signal.signal(signal.SIGALRM, lambda *args: rung.append(args))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        time.sleep(0.2)
        signal.signal(signal.SIGALRM, before)

    with Running(Does(uses_it), timeout=5.0) as running:
        assert [running(random_case("seq2seq")).kind for _ in range(2)] == ["", ""]
    assert len(rung) == 2
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_without_an_alarm_a_case_is_run_without_a_limit(monkeypatch):
    case, kinds = random_case("seq2seq"), []
    port = Does(lambda case: time.sleep(0.1))
    # No other thread but the main one is interrupted ...
    thread = threading.Thread(target=lambda: kinds.append(run(port, case, timeout=0.01).kind))
    thread.start()
    thread.join()
    # ... and on Windows none.
    monkeypatch.delattr("signal.setitimer", raising=False)
    kinds.append(run(port, case, timeout=0.01).kind)
    assert kinds == ["", ""]


# --- known divergences ------------------------------------------------------------------------


class Known(Float32Port):
    """A port with entries of its own, which adds 1 to the bias of the scores."""

    def __init__(self, *entries, mistake=lambda trace: trace):
        Float32Port.__init__(self, mistake)
        self.known = entries

    def __call__(self, case):
        return Float32Port.__call__(self, with_bias(case))


def with_bias(case):
    bias = case.arrays["projection/bias"]
    return Case(case.model, case.config, dict(case.arrays, **{"projection/bias": bias + 1}))


REWRITE = KnownRewrite(
    name="bias-is-one-more",
    what="the bias is one more",
    where=Where((0, 0)),
    covers=lambda case: True,
    computes=with_bias,
    minimal=None,
)


def test_a_known_rewrite_excuses_what_agrees_with_it_and_nothing_else(tmp_path):
    cases = [random_case("seq2seq", seed) for seed in range(3)]
    failures, tally = checked(Known(REWRITE), cases, tmp_path)
    assert not failures and tally.cases[KNOWN] == 3
    assert tally.known == {"bias-is-one-more": 3}

    def mistake(trace):
        return dict(trace, loss=trace["loss"] * np.float32(1.001))

    for port in (Known(REWRITE, mistake=mistake), Known()):
        failures, tally = checked(port, cases, tmp_path)
        assert len(failures) == tally.cases[DISAGREE] == 3
        # What is reported is the case itself, not the other one.
        assert tally.known == {} and failures[0].way == "seq2seq-scores-teacher-forced"


def test_of_two_known_rewrites_the_one_that_agrees_excuses():
    other = replace(REWRITE, name="nothing-is-changed", computes=lambda case: case)
    for entries in ((REWRITE, other), (other, REWRITE)):
        verdict, _ = verdict_on(Known(*entries), random_case("seq2seq"))
        assert verdict.status == KNOWN and verdict.known == (REWRITE.name,)


def test_a_known_failure_excuses_its_error_and_no_other(tmp_path):
    entry = KnownError(
        name="no-space",
        what="there is no space",
        where=Where((0, 0)),
        covers=lambda case: case.config.num_units == 4,
        error="no space left",
        minimal=None,
    )

    class Port(Float32Port):
        known = (entry,)

        def __call__(self, case):
            raise OSError("no space left" if case.config.batch == 2 else "no such file")

    sizes = [dict(), dict(batch=1), dict(num_units=3)]
    cases = [random_case("seq2seq", **each) for each in sizes]
    assert [verdict_on(Port(), case)[0].status for case in cases] == [KNOWN, DISAGREE, DISAGREE]
    failures, tally = checked(Port(), cases, tmp_path)
    assert {failure.way for failure in failures} == {"seq2seq-OSError"}
    assert tally.cases[KNOWN] == 1 and tally.cases[DISAGREE] == 2


def test_a_signal_is_a_failure_unless_it_is_known(tmp_path):
    entry = KnownEnding(
        name="no-units",
        what="it ends the process without units",
        where=Where((0, 0)),
        covers=lambda case: case.config.num_units == 4,
        signals=("SIGSEGV", "SIGABRT"),
        minimal=None,
    )

    class Port(Float32Port):
        known = (entry,)

        def ended_by(self, case):
            return "SIGKILL" if case.config.batch == 1 else "SIGSEGV"

    sizes = [dict(num_units=4), dict(num_units=3), dict(num_units=4, batch=1)]
    failures, tally = checked(Port(), [random_case("seq2seq", **each) for each in sizes], tmp_path)
    assert [failure.way for failure in failures] == ["seq2seq-SIGSEGV", "seq2seq-SIGKILL"]
    assert tally.cases[KNOWN] == 1 and tally.cases[DISAGREE] == 2


@pytest.mark.parametrize(
    "exitcode, name", [(3, "exit-3"), (0, "exit-0"), (-9, "SIGKILL"), (-99, "signal-99")]
)
def test_an_end_has_a_name_though_its_signal_has_none(exitcode, name):
    assert name_of_end(exitcode) == name


def test_a_process_that_is_killed_once_does_not_count_as_not_repeatable(tmp_path):
    class Port(Float32Port):
        signals = ["SIGKILL"]

        def ended_by(self, case):
            return self.signals.pop() if self.signals else None

    case = random_case("seq2seq")
    (failure,), _ = checked(Port(), [case], tmp_path)
    assert failure.way == "seq2seq-SIGKILL"
    assert "not shrunk: SIGKILL, once" in failure.report.splitlines()[-1]
    assert bits(load(failure.path).case) == bits(case)


def test_what_is_excused_is_the_value_that_is_known_and_no_other(tmp_path):
    def always_seven(case, trace, array):
        return Instead(np.ones(array.actual.shape, bool), np.full(array.actual.shape, 7))

    entry = KnownDivergence(
        name="always-seven",
        what="7 is predicted",
        where=Where((0, 0)),
        arrays=("predictions",),
        instead=always_seven,
        minimal=None,
    )

    class Port(Float32Port):
        known = (entry,)

    case = random_case("bidirectional")
    for wrong, excused in ((7, True), (6, False)):
        port = Port(with_array("predictions", lambda a, wrong=wrong: np.full_like(a, wrong)))
        verdict, _ = verdict_on(port, case)
        assert (verdict.known == ("always-seven",)) == excused
        # Whatever stands in the predictions, what is made of them is judged.
        if not excused:
            assert way_of_failing(case, verdict) == "bidirectional-predictions-teacher-forced"


def test_a_float64_port_that_says_so_agrees(tmp_path):
    names = ("tanh", "affine tanh", "exp", "log")

    class Port(Subject):
        def __call__(self, case):
            return case.oracle(np.float64)

        def arithmetic(self, case):
            return arithmetic("float64", dict.fromkeys(names, Accuracy(4, 0.0)))

    cases = [random_case("seq2seq", seed) for seed in range(3)]
    assert not checked(Port(), cases, tmp_path)[0]


def test_what_a_subject_does_not_support_is_neither_run_nor_shrunk_to_and_is_counted(tmp_path):
    computed, tally = set(), Tally()

    class Port(Float32Port):
        """Computes networks of two units and more, and those wrongly."""

        def supports(self, model, config):
            return config.num_units >= 2

        def __call__(self, case):
            computed.add(case.config.num_units)
            trace = super().__call__(case)
            return dict(trace, loss=trace["loss"] + np.float32(1))

    check = Checker(Port(), tally, str(tmp_path))
    few, many = random_case("seq2seq", num_units=1), random_case("seq2seq", num_units=3)
    (failure,) = check([few, many, few]).failures
    assert failure.way == "seq2seq-loss-teacher-forced"
    assert load(failure.path).case.config.num_units == 2 and computed == {2, 3}
    assert tally.unsupported == 2 and sum(tally.cases.values()) == 1
    assert "2 cases are left out, as the subject does not support them" in list(tally.lines())
    total = Tally()
    total.add_dict(tally.as_dict())
    total.add_dict(tally.as_dict())
    assert total.unsupported == 4


def test_a_port_that_cannot_say_what_it_supports_is_one_sentence(tmp_path):
    port = Float32Port()
    port.supports = lambda model, config: 1 / 0
    with pytest.raises(UserError, match="^Float32Port.supports fails: ZeroDivisionError"):
        Checker(port, Tally(), str(tmp_path))([random_case("seq2seq")])
