"""Two subjects, each judged by the oracle, and one compared with the other."""

import json
import os
import sys
import time
import zlib
from unittest import mock

import numpy as np
import pytest
from examples import random_case

from rnndiff.harness.cases.case import load, save
from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.checking.against import Against, PairTally
from rnndiff.harness.checking.fuzz import Progress, _Run, fuzz
from rnndiff.harness.checking.fuzz_worker import Task, _see_that_some_are_common
from rnndiff.harness.checking.pair import Pair
from rnndiff.harness.checking.verdicts import fails, verdict_on, way_of_failing
from rnndiff.harness.cli import main
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.judging.excuses import KnownError, KnownRewrite
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.verdict import FREE_RUNNING, KNOWN, judge
from rnndiff.harness.records.compare import (
    BEYOND,
    ERROR,
    FLUSHED,
    IDENTICAL,
    NAN,
    ONE_SIDED,
    ROUNDING,
    UNKNOWN,
)
from rnndiff.harness.subjects.float32 import Float32

SUBJECTS = """
import os
import zlib
import numpy as np
from rnndiff.harness.judging.verdict import judge
from rnndiff.harness.subjects.float32 import Float32


class Wrong(Float32):
    modes = {"always": "In all cases.", "never": "In none."}

    def __init__(self, mode="always"):
        pass

    def __call__(self, case):
        trace = super().__call__(case)
        return dict(trace, outputs=trace["outputs"] + np.float32(0.25))


class Flushes(Float32):
    def __call__(self, case):
        trace = super().__call__(case)
        return {n: np.where(np.abs(x) < 2.0**-126, 0 * x, x) for n, x in trace.items()}


class NaNIfItMay(Float32):
    def __call__(self, case):
        trace = super().__call__(case)
        nan = {n: np.full_like(x, np.nan) for n, x in trace.items()}
        return trace if judge(case, nan, self.arithmetic(case)).status == "disagree" else nan


class Ends(Float32):
    def __call__(self, case):
        if zlib.crc32(case.inputs.tobytes()) == {}:
            os._exit(1)
        return super().__call__(case)


class Fragile(Wrong):
    def __call__(self, case):
        if min(case.config.sizes().values()) < 2:
            if os.environ["RNNDIFF_TEST_PARENT"] != str(os.getpid()):
                os._exit(3)
            open("ended-the-command", "w").close()
        return super().__call__(case)


class AlwaysEnds(Float32):
    def __call__(self, case):
        os._exit(3)


class Refuses(Float32):
    def supports(self, model, config):
        return False


def relu(parameters, inputs):
    kernel, bias = parameters
    h, outputs = np.zeros((len(inputs), bias.size), np.float32), []
    for x in np.moveaxis(inputs, 1, 0):
        h = np.maximum(np.concatenate([x, h], 1) @ kernel + bias, 0)
        outputs.append(h)
    return np.stack(outputs, 1)
"""


class First(Float32):
    """A right subject."""

    name = "first"


class Second(Float32):
    """Another one; `change` is done to its traces."""

    name = "second"

    def __init__(self, change=lambda trace: trace):
        self._change = change

    def __call__(self, case):
        return self._change(super().__call__(case))


class FromDouble(Float32):
    """A right subject that rounds otherwise: once, at the end."""

    name = "from double"

    def __call__(self, case):
        trace = case.of_precision("float64").oracle("float64")
        return {n: x.astype(np.float32) if x.dtype.kind == "f" else x for n, x in trace.items()}


def compared(cases, second, first=None):
    """The tally of cases on two subjects, and the names and texts of what was found."""
    pair = Pair(first or First(), second)
    tally = PairTally(pair.names)
    found = Against(pair, tally).find_failures(cases, [])
    return tally, [(check.of, judged.verdict.summary()) for check, js in found for judged in js]


def kinds_of(tally):
    (found,) = tally.differences.values()
    return {kind: count for kind, count in found.cases.items() if count}


def blamed(tally):
    return {whom: count for whom, count in tally.blamed.items() if count}


def rnndiff(*arguments):
    """The exit status of a command, in this process."""
    with mock.patch.object(sys, "argv", ["rnndiff", *arguments]), mock.patch.dict(os.environ):
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code


@pytest.fixture
def subjects(tmp_path, monkeypatch):
    """A module of this name in the working folder, and nothing else."""
    ends = zlib.crc32(random_batch("rnn-basic", 1, 0)[17].inputs.tobytes())
    (tmp_path / "compared_subjects.py").write_text(SUBJECTS.replace("{}", str(ends)))
    paths = [str(tmp_path), os.getcwd(), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield "compared_subjects:"
    sys.modules.pop("compared_subjects", None)


@pytest.mark.parametrize("model", ["seq2seq", "rnn-gru"])
def test_two_right_subjects_agree_and_it_is_said_how_far_apart_they_are(model):
    cases = [random_case(model, seed) for seed in range(8)]
    tally, found = compared(cases, FromDouble())
    assert not found and not blamed(tally)
    assert set(kinds_of(tally)) == {ROUNDING} and sum(kinds_of(tally).values()) == 8
    arrays = [x for each in tally.differences.values() for x in each.arrays.values()]
    assert all(x.ulp > 0 for x in arrays if x.absolute) and any(x.absolute for x in arrays)
    # What both may be off explains it: they are within the sum of their bounds.
    assert 0 < max(x.bounds for x in arrays) <= 1
    assert sum(tally.cases.values()) == sum(tally.second.cases.values()) == 8
    lines = list(tally.lines())
    assert "first:" in lines and "from double:" in lines
    assert "  8 cases: 8 rounding" in lines


def test_how_far_apart_they_are_is_said_in_sums_of_both_bounds_free_running():
    case, subjects = random_case("rnn-gru"), (First(), FromDouble())
    traces = [subject(case) for subject in subjects]
    verdicts = [judge(case, t, s.arithmetic(case)) for t, s in zip(traces, subjects)]
    tally, _ = compared([case], subjects[1])
    (found,) = tally.differences.values()
    for name, array in found.arrays.items():
        one, other = (
            next(x for x in verdict.arrays if (x.name, x.run) == (name, FREE_RUNNING))
            for verdict in verdicts
        )
        far = np.abs(traces[0][name].astype(np.float64) - traces[1][name])
        assert array.bounds == np.max(far / (one.bound + other.bound))
        assert array.absolute == np.max(far) > 0


def test_where_one_is_wrong_it_is_not_known_how_far_that_is_in_bounds():
    def mistake(trace):
        return {n: x + np.float32(1) if x.dtype.kind == "f" else x for n, x in trace.items()}

    case = random_case("rnn-basic")
    wrong, _ = compared([case], Second(mistake))
    (found,) = wrong.differences.values()
    assert found.arrays["outputs"].absolute > 0 and found.arrays["outputs"].bounds is None
    assert "largest_move_in_bounds" not in found.as_dict()["arrays"]["outputs"]
    right, _ = compared([case], FromDouble())
    (known,) = right.differences.values()
    # Of several cases, it is that of those of which it is known.
    for one, other in ((wrong, right), (right, wrong)):
        total = PairTally(("first", "second"))
        for tally in (one, other):
            total.add_dict(json.loads(json.dumps(tally.as_dict())))
        (found,) = total.differences.values()
        assert found.arrays["outputs"].bounds == known.arrays["outputs"].bounds > 0


def test_the_same_bits_are_identical():
    tally, found = compared([random_case("rnn-lstm")], Second())
    assert not found and kinds_of(tally) == {IDENTICAL: 1}


def test_of_two_the_one_that_is_wrong_is_told_and_what_differs_then_is_no_finding_of_both():
    def mistake(trace):
        return dict(trace, outputs=trace["outputs"] + np.float32(1))

    cases = [random_case("rnn-basic", seed) for seed in range(4)]
    tally, found = compared(cases, Second(mistake))
    assert {of for of, _ in found} == {"second"} and len(found) == 4
    assert kinds_of(tally) == {BEYOND: 4} and blamed(tally) == {"second": 4}
    assert tally.cases["disagree"] == 0 and tally.second.cases["disagree"] == 4
    said = "  different in meaning: 4; in 4 second is wrong by the oracle"
    assert said in list(tally.lines())
    assert tally.of("second") is tally.second and tally.of("first") is tally
    # The other way round.
    other = PairTally(("second", "first"))
    found = Against(Pair(Second(mistake), First()), other).find_failures(cases, [])
    assert blamed(other) == {"first": 4} and len(found[0][1]) == 4 and not found[1][1]


def test_both_may_be_wrong():
    def mistake(trace):
        return dict(trace, outputs=trace["outputs"] + np.float32(1))

    class AlsoWrong(Second):
        name = "also wrong"

    def another(trace):
        return dict(trace, outputs=trace["outputs"] + np.float32(2))

    tally, found = compared([random_case("rnn-basic")], Second(mistake), AlsoWrong(mistake))
    assert {of for of, _ in found} == {"second", "also wrong"}
    # They are wrong in the same way.
    assert kinds_of(tally) == {IDENTICAL: 1} and not blamed(tally)
    tally, _ = compared([random_case("rnn-basic")], Second(mistake), AlsoWrong(another))
    assert kinds_of(tally) == {BEYOND: 1} and blamed(tally) == {"both": 1}


def told_beside(second, **how):
    """The report of a failure of the first."""
    first = FirstOf(lambda trace: dict(trace, outputs=trace["outputs"] + np.float32(1)))
    pair = Pair(first, second)
    check, judged = Against(pair, PairTally(pair.names), **how).find_failures(
        [random_case("rnn-basic")], []
    )[0]
    return check.unfinished(judged[0]).report


def test_a_failure_is_told_though_the_other_cannot_be_made_a_second_time():
    class Once(Second):
        def fresh(self):
            raise UserError("There is one of it.")

    told = told_beside(Once())
    assert told.startswith("first: rnn-basic") and "by the oracle" not in told
    assert "first is wrong here by the oracle, and second is not" in told_beside(Second())


def test_the_other_has_no_more_time_than_that_of_a_case():
    class Late(Second):
        def __call__(self, case):
            time.sleep(2)
            return super().__call__(case)

    assert "and so is second, disagree: Hang" in told_beside(Late(), timeout=0.1)


def overflowing():
    """A case in which the one output may be NaN, or any number: its terms overflow."""
    case = random_case("rnn-basic", batch=1, time=1, inputs=2, num_units=1)
    for array in case.arrays.values():
        array[...] = 0
    case.arrays["cell/kernel"][:2, 0] = [-2, -100]
    case.inputs[0, 0] = [2.5521175e38, -8.5070587e37]
    return case


def full_of(value):
    return lambda trace: {name: np.full_like(x, value) for name, x in trace.items()}


@pytest.mark.parametrize("value, kind", [(np.nan, NAN), (0.5, UNKNOWN)], ids=["nan", "number"])
def test_where_the_bound_says_nothing_a_nan_of_one_is_found_and_a_number_counted(value, kind):
    case = overflowing()
    tally, found = compared([case], Second(full_of(value)), FirstOf(full_of(-1.0)))
    assert kinds_of(tally) == {kind: 1}
    assert tally.cases["undecided"] == tally.second.cases["undecided"] == 1
    lines = "\n".join(tally.lines())
    if kind == UNKNOWN:
        assert not found and "elements moved where it is undecided whether by rounding" in lines
    else:
        ((of, said),) = found
        assert of == "first against second" and blamed(tally) == {"neither": 1}
        assert "DifferByNaN: states_h[row 0, step 0, unit 0] is -1 by first, nan by second" in said
        assert "the oracle blames neither" in said


class FirstOf(Second):
    """As the second, by the name of the first."""

    name = "first"


def test_what_is_known_of_either_is_no_finding():
    class Raises(Second):
        known = (KnownError("raises", "", "", None, lambda case: True, "Broken"),)

        def __call__(self, case):
            raise SubjectError("Broken: always")

    tally, found = compared([random_case("rnn-basic")], Raises())
    assert not found and kinds_of(tally) == {ERROR: 1} and blamed(tally) == {"known": 1}


class Raises(FirstOf):
    """What it raises is known of it."""

    known = (KnownError("raises", "", "", None, lambda case: True, "Broken"),)

    def __call__(self, case):
        raise SubjectError("Broken: always")


def without_inputs(case):
    other = case.copy()
    other.inputs[...] = 0
    return other


class TakesNoInputs(FirstOf):
    """That it takes inputs for zeros is known of it."""

    known = (KnownRewrite("zeros", "", "", None, lambda case: True, without_inputs),)

    def __call__(self, case):
        return super().__call__(without_inputs(case))


@pytest.mark.parametrize("subject", [Raises, TakesNoInputs])
def test_what_is_known_of_the_first_is_known_of_the_pair(subject):
    case, pair = random_case("rnn-basic"), Pair(subject(), Second())
    verdict, _ = verdict_on(pair, case)
    assert verdict.status == verdict_on(subject(), case)[0].status == KNOWN
    assert verdict.known == tuple(entry.name for entry in subject.known)
    assert not fails(pair, way_of_failing(case, verdict), case)


def test_arrays_of_one_of_them_are_left_out_and_two_without_a_common_one_are_told():
    def outputs(trace):
        return {"outputs": trace["outputs"]}

    def states(trace):
        return {"states_h": trace["states_h"]}

    case = random_case("rnn-basic")
    tally, found = compared([case], Second(outputs))
    assert not found and kinds_of(tally) == {IDENTICAL: 1}
    assert list(tally.differences["rnn-basic"].arrays) == ["outputs"]
    tally, found = compared([case], Second(outputs), FirstOf(states))
    assert not found and kinds_of(tally) == {ONE_SIDED: 1}


def test_tallies_of_pairs_add_up():
    cases = [random_case(name, seed) for seed in range(3) for name in ("rnn-basic", "rnn-gru")]
    whole, _ = compared(cases, FromDouble())
    total = PairTally(whole.names)
    for part in (cases[:2], cases[2:]):
        tally, _ = compared(part, FromDouble())
        total.add_dict(json.loads(json.dumps(tally.as_dict())))
    assert total.as_dict() == whole.as_dict()
    backwards, _ = compared(cases[::-1], FromDouble())
    assert backwards.differences == whole.differences
    total.clear()
    assert not total.differences and not sum(total.second.cases.values())


@pytest.mark.parametrize(
    "attribute, value, said",
    [
        ("name", "first", "^first is both what is tested and what it is compared with"),
        ("precision", "float64", "^first computes in float32, and second in float64: "),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(attribute, value, said):
    second = Second()
    setattr(second, attribute, value)
    with pytest.raises(UserError, match=said):
        Pair(First(), second)


def test_the_same_in_another_mode_can_be_compared():
    second = Second()
    second.name, second.mode = "first", "fast"
    assert Pair(First(), second).names == ("first", "first, fast")


@pytest.mark.parametrize(
    "other, said",
    [
        ("nosuch", "'nosuch' names no subject"),
        ("float32", "float32 is both what is tested and what it is compared with"),
        ("compared_subjects:Refuses", "supports none of the cases that are drawn for float32"),
    ],
)
def test_another_subject_that_is_none_ends_the_run_with_a_sentence(other, said, subjects):
    progress = fuzz(("rnn-basic",), 0, 1, cases=9, subject="float32", against=other)
    assert said in progress.error and not progress.cases


def test_it_is_looked_once_in_a_run_whether_two_have_anything_in_common(tmp_path):
    run = _Run(Task(("rnn-basic",), 0, against="float32"), str(tmp_path))
    run.workers = [mock.Mock(job=None) for _ in range(3)]
    run.hand_out()
    assert [worker.give.call_args[0][0][0] for worker in run.workers] == ["look"] + ["judge"] * 2


def test_one_case_that_both_compute_will_do():
    task, batch = Task(("rnn-basic",), 0), random_batch("rnn-basic", 0, 0)
    last = batch[-1].config
    assert last != batch[0].config

    class Rarely(Second):
        def supports(self, model, config):
            return config == last

    drawing = "rnndiff.harness.checking.fuzz_worker.random_batch"
    with mock.patch(drawing, wraps=random_batch) as drawn:
        _see_that_some_are_common(Pair(First(), Rarely()), task)
    assert drawn.call_count == 1


def test_a_port_with_a_mistake_is_told_beside_one_that_is_right(subjects, capsys):
    wrong = subjects + "Wrong"
    status = rnndiff(
        *("fuzz", "rnn-basic", "--subject", wrong, "--against", "float32", "--cases", "9"),
        *("--seed", "1", "--workers", "1", "--json", "found.json", "--mode", "always"),
    )
    out = capsys.readouterr().out
    assert status == 1
    assert "{} is wrong here by the oracle, and float32 is not, agree".format(wrong) in out
    assert "{}: rnn-basic Config".format(wrong) in out
    with open("found.json") as file:
        found = json.load(file)
    (failure,) = found["failures"]
    assert failure["of"] == wrong
    assert failure["way"] == "compared_subjects-Wrong-rnn-basic-outputs-teacher-forced"
    assert failure["path"] + " --subject " + wrong in out
    against = found["against"]
    assert against["names"] == [wrong, "float32"]
    assert against["blamed"]["first"] == found["cases"]["disagree"] > 0
    assert against["second"]["cases"]["disagree"] == 0
    assert against["models"]["rnn-basic"]["arrays"]["outputs"]["largest_move"] >= 0.25
    assert rnndiff("replay", failure["path"], "--subject", wrong) == 1


def test_a_difference_of_meaning_is_found_shrunk_saved_replayed_and_minimized(subjects, capsys):
    may = subjects + "NaNIfItMay"
    progress = fuzz(
        ("rnn-basic",), 38, 1, cases=99, subject="float32", against=may, folder="failures"
    )
    (failure,) = progress.failures
    assert failure.way == ("float32-against-compared_subjects-NaNIfItMay-rnn-basic-DifferByNaN")
    assert failure.shrunk and not progress.tally.cases["disagree"]
    saved = load(failure.path)
    assert set(saved.case.config.sizes().values()) == {1}
    options = ("--subject", "float32", "--against", may)
    assert "rnndiff replay {} {}".format(failure.path, " ".join(options)) in failure.report
    assert progress.tally.blamed["neither"] > 0
    (found,) = progress.tally.differences.values()
    assert found.cases[NAN] == progress.tally.blamed["neither"]
    assert rnndiff("replay", failure.path, *options, "--json", "again.json") == 1
    assert "DifferByNaN: " in capsys.readouterr().out
    with open("again.json") as file:
        (again,) = json.load(file)["cases"]
    assert again["verdict"] == again["against"]["verdict"] == "undecided"
    assert again["against"]["difference"] == NAN and again["against"]["disagree"]
    # Each by itself is right.
    for name in ("float32", may):
        assert rnndiff("replay", failure.path, "--subject", name) == 0
        assert "two subjects differed in: --against" in capsys.readouterr().out
    assert rnndiff("minimize", failure.path, *options, "--output", "smallest.npz") == 1
    out = capsys.readouterr().out
    assert "DifferByNaN: " in out and "saved as smallest.npz" in out
    assert rnndiff("replay", "smallest.npz", *options) == 1


def test_of_two_the_one_that_ends_the_process_is_shrunk_in_another(subjects, capsys):
    save("case.npz", random_case("rnn-basic", batch=2))
    options = ("--subject", "float32", "--against", subjects + "AlwaysEnds", "--evaluations", "1")
    assert rnndiff("minimize", "case.npz", *options) == 1
    assert "disagree: exit-3: the process was ended" in capsys.readouterr().out
    smallest = load("case-minimal.npz")
    assert smallest.notes["ended_by"] == "exit-3" and smallest.notes["subject"] == "AlwaysEnds"
    assert smallest.case.config.batch == 1


def test_candidates_that_end_the_process_do_not_end_the_shrinking(subjects, capsys):
    save("case.npz", random_case("rnn-basic", batch=2, time=2, inputs=2, num_units=3))
    options = ("--subject", subjects + "Fragile", "--evaluations", "1")
    with mock.patch.dict(os.environ, RNNDIFF_TEST_PARENT=str(os.getpid())):
        assert rnndiff("minimize", "case.npz", *options) == 1
    assert "1 cases were tried; saved as case-minimal.npz" in capsys.readouterr().out
    assert not os.path.exists("ended-the-command")


def test_one_that_flushes_subnormals_is_counted_and_is_no_failure(subjects):
    flushes = subjects + "Flushes"
    progress = fuzz(("rnn-basic",), 1, 1, cases=300, subject="float32", against=flushes)
    assert not progress.failures and not blamed(progress.tally)
    assert kinds_of(progress.tally)[FLUSHED] > 0
    assert "flushed" in "".join(progress.tally.of_both())


def told_by_fuzz(tally, capsys, failures=()):
    """The exit status of a run that came to this, and what it says on the standard error."""
    progress = Progress(tally, list(failures), 1.0)
    with mock.patch("rnndiff.harness.commands.fuzz.run", return_value=progress):
        status = rnndiff("fuzz", "rnn-basic", "--subject", "first", "--against", "second")
    return status, capsys.readouterr().err


def test_two_that_have_no_array_in_common_are_no_success(subjects, capsys):
    def of(name):
        return lambda trace: {name: trace[name]}

    tally, _ = compared([random_case("rnn-basic")], Second(of("outputs")), FirstOf(of("states_h")))
    status, said = told_by_fuzz(tally, capsys)
    assert status == 2 and "Nothing was compared: first and second return no array" in said
    assert "not compared, as both have no array in common: rnn-basic" in list(tally.of_both())
    # Of another model they have some.
    other, _ = compared([random_case("rnn-gru")], Second())
    other.add_dict(json.loads(json.dumps(tally.as_dict())))
    status, said = told_by_fuzz(other, capsys)
    assert status == 0 and "Nothing was compared" not in said


def test_cases_that_end_the_process_of_the_second_alone_are_judged_ones(subjects, capsys):
    tally = PairTally(("first", "second"))
    tally.second.count("rnn-basic", "disagree", 3)
    ended = Failure("second-rnn-basic-ends-process", "", "It ended.", of="second")
    status, said = told_by_fuzz(tally, capsys, [ended])
    assert status == 1 and "No case was judged" not in said
    assert Progress(tally, [], 1.0).cases == 3


@pytest.mark.slow
def test_what_ends_the_process_on_one_of_them_is_a_failure_of_that_one(subjects):
    ends = subjects + "Ends"
    progress = fuzz(
        ("rnn-basic",), 1, 1, cases=1, subject="float32", against=ends, folder="failures"
    )
    ended = [each for each in progress.failures if each.way.endswith("ends-process")]
    assert [each.of for each in ended] == [ends]
    assert progress.tally.second.cases["disagree"] > 0 and not progress.tally.cases["disagree"]
    assert " --subject " + ends in ended[0].report


def test_check_explains_the_port_of_two_that_are_wrong(subjects, capsys):
    check = "check", "--model", "rnn-basic", "--workers", "1", "--cases", "9"
    assert rnndiff(*check, subjects + "relu", "--against", subjects + "Wrong") == 1
    out = capsys.readouterr().out
    assert "relu is wrong here by the oracle, and so is compared_subjects:Wrong" in out
    assert "your port agrees with the oracle on all" in out
    assert "cases if there is a relu in place of tanh" in out


@pytest.mark.parametrize("whose", [["float32", "relu"], ["float32"]], ids=["both", "the-other"])
def test_what_is_explained_is_a_failure_of_the_port(whose, subjects):
    port = subjects + "relu"
    tally = PairTally((port, "float32"))
    tally.count("rnn-basic", "disagree", len(whose))
    failures = [Failure(of, "", "", of=port if of == "relu" else of) for of in whose]
    commands = "rnndiff.harness.commands."
    with mock.patch(commands + "fuzz.run", return_value=Progress(tally, failures, 1.0)):
        with mock.patch(commands + "check.diagnose_in_own_process", return_value=None) as explain:
            assert rnndiff("check", port, "--model", "rnn-basic", "--against", "float32") == 1
    asked = [call[0][3] for call in explain.call_args_list]
    assert asked == failures[1:]
