"""Records of what an environment computes: the fixed set, the file, and the comparison."""

import json
import os
import signal
import sys
from dataclasses import replace
from hashlib import sha256
from unittest import mock

import numpy as np
import pytest
from examples import random_case

from rnndiff.harness.cases.case import save as save_case
from rnndiff.harness.cases.fixed import (
    GROUPS,
    SET,
    Wanted,
    digest,
    drawn_inputs,
    fixed_group,
)
from rnndiff.harness.cases.regimes import noise_of, regimes_of
from rnndiff.harness.checking.recording import Task, _About, _computed, _OfFunction, _result_of
from rnndiff.harness.cli import main
from rnndiff.harness.commands import record as command
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.excuses import KnownRewrite
from rnndiff.harness.records.compare import (
    BEYOND,
    CHOICE,
    ERROR,
    FAILS,
    FLUSHED,
    FOLLOWS,
    IDENTICAL,
    INFINITY,
    NAN,
    ONE_SIDED,
    ROUNDING,
    UNKNOWN,
    compare,
)
from rnndiff.harness.records.record import (
    KNOWN,
    OUTSIDE,
    UNDECIDED,
    UNJUDGED,
    Record,
    case_of,
    load,
    save,
)
from rnndiff.harness.report.comparison import sentences
from rnndiff.harness.subjects.float32 import Float32

# Of the cases of four models, as Python 3.7 with NumPy 1.18 and Python 3.13 with NumPy 2.x have
# them. If it has to change, SET does: records of before are of other cases.
DIGESTS = {
    "seq2seq": "505c5e44 d8f7bd7d 37fc5714 9532e4e4 de5d906c b42651f6",
    "attention-lstm": "deebc5ce aa175670 52f72107 bb98e587 c5d3ef61 94e890e7",
    "birnn-gru": "bfc727c1 fe096f16 a06feef6 5fa8fab9 38a6017c dfa1bff6",
    "keras-bidirectional-lstm": "6f3a54fd 6266beb0 76ffe7ad 176c6ad6 662391a9 b2831bcc",
}
SUBJECT = """
import os
from rnndiff.harness.subjects.float32 import Float32

class Bad(Float32):
    modes = {"good": "As it should be.", "bad": "As it should not."}

    def __init__(self, mode="good"):
        super().__init__()
        self.seen = 0

    def __call__(self, case):
        self.seen += 1
        if self.mode == "bad" and self.seen == 2:
            raise ValueError("the second case")
        if self.mode == "bad" and self.seen == 4 and not os.path.exists(__file__ + ".ended"):
            open(__file__ + ".ended", "w").close()
            os.abort()
        return super().__call__(case)

def twice(x, weights):
    return {"doubled": 2 * x, "product": x @ weights}

def other(x, weights):
    return {"doubled": x + x, "product": (x[:, ::-1].copy() @ weights[::-1].copy())}

def wrong(x, weights):
    return {"doubled": x + x, "product": x @ weights * x.dtype.type(1.01)}

def nothing(x, weights):
    return {}

def text(x, weights):
    return {"doubled": x, "label": "cat"}
"""


def rnndiff(*arguments):
    """The exit status of a command, in this process."""
    with mock.patch.object(sys, "argv", ["rnndiff", *arguments]), mock.patch.dict(os.environ):
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A record of the oracle itself in float32."""
    path = str(tmp_path_factory.mktemp("records") / "float32.npz")
    assert rnndiff("record", "seq2seq", "--subject", "float32", "-o", path) == 0
    return path


@pytest.fixture(scope="module")
def record(path):
    return load(path)


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "recorded_subject.py").write_text(SUBJECT)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "recorded_subject"


def planted(record, array, change, code=None):
    """The record with the first case's array of the first group changed."""
    group, *others = record.groups
    trace = {name: a.copy() for name, a in group.trace.items()}
    codes = {name: a.copy() for name, a in group.codes.items()}
    change(trace[array][0])
    if code is not None:
        codes[array][0].flat[0] = code
    return record._replace(groups=[group._replace(trace=trace, codes=codes), *others])


def set_first(value):
    def change(array):
        array.flat[0] = value

    return change


def of_first(record, **change):
    """The record with its first group changed."""
    group, *others = record.groups
    return record._replace(groups=[group._replace(**change), *others])


def failed(record, error, known=()):
    """The record with an error instead of the first case's trace of the first group."""
    group = record.groups[0]
    return of_first(
        record,
        errors=[error] + group.errors[1:],
        known=[list(known)] + group.known[1:],
        trace={name: a[1:] for name, a in group.trace.items()},
        codes={name: a[1:] for name, a in group.codes.items()},
    )


def ulp(array):
    array.flat[0] = np.nextafter(array.flat[0], np.float32(9))


def kinds_of(found):
    (model,) = found.models
    return {kind: count for kind, count in model.cases.items() if count}


@pytest.mark.parametrize("name", DIGESTS)
def test_the_fixed_set_is_the_same_everywhere(name):
    groups = [digest(fixed_group(name, number).cases)[:8] for number in range(len(GROUPS))]
    assert (SET, " ".join(groups)) == (1, DIGESTS[name])


def test_the_fixed_set_draws_from_no_generator():
    no = mock.Mock(side_effect=AssertionError)
    with mock.patch("numpy.random.RandomState", no), mock.patch("random.Random.random", no):
        for table in (regimes_of, noise_of):
            table.cache_clear()
        fixed_group("rnn-lstm", 5)
        fixed_group("rnn-dropout-lstm", 0)


def test_a_record_is_read_back_as_it_was_written(path, record, tmp_path):
    copy = str(tmp_path / "copy.npz")
    save(copy, record)
    with open(path, "rb") as one, open(copy, "rb") as other:
        assert len(one.read()) == len(other.read())
    again = load(copy)
    assert again.notes == record.notes
    for one, other in zip(record.groups, again.groups):
        assert one._replace(trace={}, codes={}) == other._replace(trace={}, codes={})
        for name, array in one.trace.items():
            assert array.tobytes() == other.trace[name].tobytes()
            assert array.dtype == other.trace[name].dtype
            assert np.array_equal(one.codes[name], other.codes[name])


def test_a_record_says_on_what_it_was_made(record):
    notes = record.notes
    assert notes["subject"] == "Float32" and notes["numpy"] == np.__version__
    assert {"processor", "instruction_set", "threads", "environment", "python"} <= set(notes)


def test_the_cases_of_a_record_can_be_had_again(record):
    case, group = case_of(record.groups[0], 3), record.groups[0]
    np.testing.assert_array_equal(case.oracle("float32")["scores"], group.trace["scores"][3])
    assert case_of(group._replace(digest="0"), 3) is None
    for name in ("none such", "none such@pytorch", "seq2seq@pytorch", "rnn-lstm@none"):
        assert case_of(group._replace(model=name), 3) is None


@pytest.mark.parametrize("place", [-1, 12])
def test_a_case_that_the_set_does_not_have_is_none(record, place):
    assert case_of(record.groups[0], place) is None


def test_a_case_of_a_model_in_a_layout_can_be_had_again(record):
    cases = fixed_group("rnn-lstm@pytorch", 0).cases
    group = record.groups[0]._replace(model="rnn-lstm@pytorch", digest=digest(cases))
    assert digest([case_of(group, 3)]) == digest(cases[3:4])


def test_a_record_is_the_same_as_itself(path, record, capsys):
    assert rnndiff("compare", path, path) == 0
    assert "The same but for rounding." in capsys.readouterr().out
    assert kinds_of(compare(record, load(path))) == {IDENTICAL: 60}


@pytest.mark.parametrize(
    "array, change, code, kind",
    [
        ("encoder_states", ulp, None, ROUNDING),
        ("encoder_states", ulp, OUTSIDE, BEYOND),
        ("encoder_states", ulp, KNOWN, BEYOND),
        ("encoder_states", ulp, UNDECIDED, UNKNOWN),
        ("encoder_states", set_first(np.nan), OUTSIDE, NAN),
        ("encoder_states", set_first(-np.inf), OUTSIDE, INFINITY),
        ("predictions", set_first(7), None, CHOICE),
    ],
)
def test_what_differs_is_told_by_its_kind(record, array, change, code, kind):
    found = compare(record, planted(record, array, change, code))
    assert kinds_of(found) == {IDENTICAL: 59, kind: 1}
    assert found.same == (kind == ROUNDING)
    (model,) = found.models
    assert model.arrays[array].counts[kind] == 1
    assert model.examples[kind].array == array and not any(model.examples[kind].place)
    if kind in (ROUNDING, BEYOND, UNKNOWN):
        assert 0.5 <= model.arrays[array].ulp <= 1


def test_the_same_error_on_both_sides_is_not_the_same_result(record):
    found = compare(*[failed(record, "ValueError: it") for _ in range(2)])
    assert kinds_of(found) == {IDENTICAL: 59, FAILS: 1} and not found.same
    assert "nothing computed: 1, of these not known: 1." in " ".join(sentences(found))


def test_an_error_that_is_known_on_both_sides_is_the_same(record):
    known, unknown = failed(record, "ValueError: it", ["raises"]), failed(record, "ValueError: it")
    assert compare(known, known).same
    assert not compare(known, unknown).same and not compare(unknown, known).same


def test_errors_of_other_texts_differ(record):
    found = compare(failed(record, "ValueError: it"), failed(record, "ValueError: another"))
    assert kinds_of(found) == {IDENTICAL: 59, ERROR: 1}


@pytest.mark.parametrize("first", [True, False])
def test_an_array_of_one_side_is_a_difference(record, first):
    trace = {name: a for name, a in record.groups[0].trace.items() if name != "scores"}
    pair = [record, of_first(record, trace=trace)]
    found = compare(*(pair if first else reversed(pair)))
    assert kinds_of(found) == {IDENTICAL: 48, ONE_SIDED: 12} and not found.same
    values = found.models[0].examples[ONE_SIDED].values
    assert [value == "none" for value in values] == [not first, first]
    assert "Only one side has the arrays scores of seq2seq." in list(sentences(found))


def of_function(**trace):
    """The record of a function that computed these arrays."""
    codes = {name: np.full(a.shape, UNJUDGED, np.uint8) for name, a in trace.items()}
    group = _computed("function", 0, _About("x [2]", 2, "digest", 1, True), [])
    trace, codes = ({n: a[None] for n, a in side.items()} for side in (trace, codes))
    return Record({}, [group._replace(errors=[""], known=[[]], trace=trace, codes=codes)])


def test_no_array_in_common_is_a_difference_of_names():
    found = compare(of_function(old=np.float32([1, 2])), of_function(new=np.float32([1, 2])))
    assert kinds_of(found) == {ONE_SIDED: 1} and not found.same
    said = list(sentences(found))
    assert "Only one side has the arrays new of function, old of function." in said
    assert not any("type" in sentence for sentence in said)


@pytest.mark.parametrize("types", [("float64", "int32"), ("int32", "float64"), ("bool", "float32")])
def test_whole_numbers_beside_others_are_counts(types):
    one, other = np.array([1, 0], types[0]), np.array([1, 1], types[1])
    found = compare(of_function(y=one), of_function(y=other))
    assert found.models[0].arrays["y"].counts[CHOICE] == 1
    assert found.models[0].arrays["y"].counts[IDENTICAL] == 1


def test_the_same_numbers_of_another_type_are_told_as_such():
    arrays = {"y{}".format(k): np.float32([1, 2]) for k in range(6)}
    wider = {name: np.float64(array) for name, array in arrays.items()}
    found = compare(of_function(**arrays), of_function(**wider))
    names = "y0 of function, y1 of function, y2 of function, 3 more"
    said = "Of another type, float32 and then float64: {}.".format(names)
    assert found.same and said in sentences(found)
    assert found.models[0].as_dict()["arrays"]["y0"]["types"] == ["float32", "float64"]
    found = compare(of_function(**arrays), of_function(**arrays))
    assert "types" not in found.models[0].as_dict()["arrays"]["y0"]
    assert not any("type" in sentence for sentence in sentences(found))


def test_a_reference_that_is_not_in_float64_is_none():
    one, other = of_function(y=np.float32([1, 2])), of_function(y=np.float32([1, 3]))
    with pytest.raises(UserError, match="holds y in float32: record one that computes in float64"):
        compare(one, other, one)


def test_a_flushed_subnormal_is_told_as_such_beside_a_reference():
    one, other = np.float32([1e-40, 2e-40, 0]), np.float32([0, 2e-40, 1])
    exact = of_function(y=one.astype(np.float64))
    counts = compare(of_function(y=one), of_function(y=other), exact).models[0].arrays["y"].counts
    assert {kind: count for kind, count in counts.items() if count} == {
        FLUSHED: 1,
        IDENTICAL: 1,
        BEYOND: 1,
    }


@pytest.mark.parametrize(
    "change, status",
    [
        (lambda record: record, 0),
        (lambda record: record._replace(whole=False), 1),
        (lambda record: record._replace(groups=record.groups[1:]), 1),
        (lambda record: of_first(record, model="another"), 1),
        (
            lambda record: of_first(
                record, supported=False, errors=[], known=[], trace={}, codes={}
            ),
            0,
        ),
    ],
    ids=["whole", "interrupted", "a group less", "another model", "not supported"],
)
def test_what_is_missing_is_said_and_not_taken_for_the_same(
    path, record, tmp_path, capsys, change, status
):
    other, changed = str(tmp_path / "other.npz"), change(record)
    save(other, changed)
    for pair in ((path, other), (other, path)):
        assert rnndiff("compare", *pair) == status
        said = capsys.readouterr().out
        assert ("The same but for rounding.\n" in said) == (changed is record)
        assert ("for rounding, of what both have.\n" in said) == (changed is not record)


@pytest.mark.parametrize("one, other", [(0.0, 2.0**-140), (-(2.0**-149), -0.0)])
def test_a_flushed_subnormal_is_told_as_such(record, one, other):
    first = planted(record, "decoder_states", set_first(one))
    found = compare(first, planted(record, "decoder_states", set_first(other)))
    assert kinds_of(found) == {IDENTICAL: 59, FLUSHED: 1} and not found.same


@pytest.mark.parametrize("code, kind", [(OUTSIDE, BEYOND), (UNJUDGED, FLUSHED)])
def test_a_flushed_subnormal_is_told_as_such_unless_it_is_outside_a_bound(record, code, kind):
    first = planted(record, "decoder_states", set_first(2.0**-140))
    found = compare(first, planted(record, "decoder_states", set_first(0.0), code))
    assert kinds_of(found) == {IDENTICAL: 59, kind: 1} and not found.same


def test_what_is_known_to_be_computed_of_another_case_is_not_within_the_bound_of_this_one(record):
    def other(case):
        return replace(case, arrays=dict(case.arrays, inputs=np.zeros_like(case.inputs)))

    class OfZeros(Float32):
        known = (KnownRewrite("of-zeros", "", "", None, lambda case: True, other),)

        def __call__(self, case):
            return super().__call__(other(case))

    cases = [case_of(group, 1) for group in record.groups]
    came = [each for each in (_result_of(OfZeros(), case, 60.0) for case in cases) if each.known]
    assert came
    assert all((codes == KNOWN).all() for each in came for codes in each.codes.values())


def test_what_moves_beside_a_difference_of_meaning_is_not_taken_for_rounding(record):
    other = planted(planted(record, "predictions", set_first(7)), "probabilities", ulp)
    (model,) = compare(record, other).models
    assert model.arrays["probabilities"].kind == FOLLOWS


def test_errors_and_endings_are_recorded_and_the_run_goes_on(module, record, tmp_path, capsys):
    bad = str(tmp_path / "bad.npz")
    options = ["--subject", module + ":Bad", "--mode", "bad", "-o", bad]
    assert rnndiff("record", "seq2seq", *options) == 0
    errors = [error for group in load(bad).groups for error in group.errors]
    assert [(place, error.partition(":")[0]) for place, error in enumerate(errors) if error] == [
        (1, "ValueError"),
        (3, "SIGABRT"),
        # The process that went on is a new one.
        (5, "ValueError"),
    ]
    found = compare(record, load(bad))
    assert kinds_of(found) == {IDENTICAL: 57, ERROR: 3}
    assert found.models[0].examples[ERROR].values[0] == "a trace"
    assert found.second.title == "Bad, bad" and not found.same


def test_a_function_of_ones_own_is_judged_by_a_float64_run(module, tmp_path):
    random, records = np.random.RandomState(0), []
    inputs = dict(x=random.randn(5, 40), weights=random.randn(40, 3))
    np.savez(str(tmp_path / "float32.npz"), **{name: np.float32(a) for name, a in inputs.items()})
    for function in ("twice", "other", "wrong"):
        task = Task("{}:{}".format(module, function), "", 60.0, [_arrays(tmp_path / "float32.npz")])
        about, came = _OfFunction(task).compute("f", 0, 0)
        records.append(Record({}, [_computed("f", 0, about, [came])]))
    one, right, wrong = records
    exact = {name: a.astype(np.float64) for name, a in one.groups[0].trace.items()}
    x, weights = (np.float32(inputs[name]).astype(np.float64) for name in ("x", "weights"))
    exact["product"] = (x @ weights)[None]
    reference = Record({}, [one.groups[0]._replace(trace=exact)])
    found = compare(one, right)
    assert found.models[0].arrays["doubled"].kind == IDENTICAL
    assert found.models[0].arrays["product"].kind == UNKNOWN and not found.same
    assert compare(one, right, reference).same
    assert compare(one, wrong, reference).models[0].arrays["product"].kind == BEYOND


def test_a_function_is_recorded_by_its_name(module, tmp_path):
    inputs, target = str(tmp_path / "inputs.npz"), str(tmp_path / "function.npz")
    np.savez(inputs, x=np.float32([[1, 2]]), weights=np.float32([[3], [4]]))
    assert rnndiff("record", "--subject", module + ":twice", "--inputs", inputs, "-o", target) == 0
    (group,) = load(target).groups
    assert group.model == "function" and load(target).title.startswith(module + ":twice beside ")
    assert group.trace["product"].tolist() == [[[11]]]
    for name, said in (("nothing", "returns no arrays"), ("text", "'label' holds no real numbers")):
        options = ["--subject", "{}:{}".format(module, name), "--inputs", inputs]
        assert rnndiff("record", *options, "-o", target) == 1
        assert said in load(target).groups[0].errors[0]
    for name, said in ((":none", "has no 'none'"), (":os", "is no function")):
        with pytest.raises(UserError, match=said):
            _OfFunction(Task(module + name, "", 60.0, [{}]))


def test_the_inputs_of_a_function_are_drawn_the_same_everywhere(module, tmp_path, capsys):
    weights, target = str(tmp_path / "weights.npz"), str(tmp_path / "function.npz")
    np.savez(weights, weights=np.int32([[3], [4]]))
    options = ["--subject", module + ":twice", "-o", target]
    for more in (
        ["--inputs", weights, "--draw", "x=5x2"],
        ["--draw=x=5x2", "--draw=weights=2x1:9"],
    ):
        assert rnndiff("record", *options, *more) == 0
        (group,) = load(target).groups
        assert group.errors == [""] * 6 and group.trace["doubled"].shape == (6, 5, 2)
        # Of the regimes, sorted by their names, that of special numbers.
        assert np.argwhere(np.isnan(group.trace["doubled"]).any(axis=(1, 2))).tolist() == [[3]]
    assert "6 cases of 1 models" in capsys.readouterr().out
    inputs = drawn_inputs({"x": Wanted((5, 2)), "ids": Wanted((20,), 3)})
    found = sha256(b"".join(each["x"].tobytes() + each["ids"].tobytes() for each in inputs))
    assert found.hexdigest()[:8] == "749b23b8"
    assert all(set(each["ids"].tolist()) == {0, 1, 2, 3} for each in inputs)


@pytest.mark.parametrize(
    "draw, said",
    [
        (["x"], "NAME=SHAPE"),
        (["x=3,4"], "NAME=SHAPE"),
        (["x=-1"], "NAME=SHAPE"),
        (["x=3:-1"], "NAME=SHAPE"),
        (["x=3:4294967296"], "NAME=SHAPE"),
        (["x=3", "x=4"], "two arrays 'x'"),
        (["x=99999999999x99999999999"], "fewer numbers"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_said(module, tmp_path, capsys, draw, said):
    options = ["--subject", module + ":twice", "-o", str(tmp_path / "none.npz")]
    assert rnndiff("record", *options, *["--draw={}".format(each) for each in draw]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert rnndiff("record", "rnn-basic", "--draw=x=3", "-o", str(tmp_path / "none.npz")) == 2


def test_a_function_that_is_no_port_is_told_so_and_no_success(module, tmp_path, capsys):
    options = ["--subject", module + ":twice", "-o", str(tmp_path / "none.npz")]
    assert rnndiff("record", "rnn-basic", *options) == 1
    assert "No case is computed" in capsys.readouterr().err


def test_a_record_that_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr("rnndiff.harness.records.record.MOST_BYTES", 2**21)
    large = np.zeros(2**19, np.float32)
    with pytest.raises(UserError, match="would take 2 MiB, and no record of more than 2 is read"):
        save(str(tmp_path / "large.npz"), of_function(y=large))
    assert not os.listdir(str(tmp_path))


def _arrays(path):
    with np.load(str(path)) as file:
        return dict(file)


def test_ctrl_c_keeps_what_was_recorded(record, tmp_path):
    target, jobs = str(tmp_path / "part.npz"), []

    def update(progress, task, advance, model):
        jobs.append(model)
        os.kill(os.getpid(), signal.SIGINT)

    with mock.patch.object(command.Progress, "update", update):
        assert rnndiff("record", "seq2seq", "--subject", "float32", "-o", target) == 130
    part = load(target)
    assert len(jobs) == len(part.groups) == 1 and not part.whole
    found = compare(record, part)
    assert kinds_of(found) == {IDENTICAL: 12} and "seq2seq" in found.left_out


def test_an_interrupt_before_anything_is_computed_leaves_a_former_record(tmp_path, capsys):
    target = tmp_path / "former.npz"
    target.write_bytes(b"former")
    with mock.patch.object(command.Recorder, "compute", lambda self, jobs: iter(())):
        assert rnndiff("record", "seq2seq", "--subject", "float32", "-o", str(target)) == 130
    assert target.read_bytes() == b"former"
    assert "0 of 6 groups of cases are recorded." in capsys.readouterr().err


ENDS_OR_HANGS = """
import os, signal, time
from rnndiff.harness.subjects.float32 import Float32

class Ends(Float32):
    def supports(self, model, config):
        os.abort()

class Hangs(Float32):
    def __init__(self, mode=""):
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(20)
"""


def test_a_subject_that_ends_its_process_before_any_case_is_one_sentence(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "ends_subject.py").write_text(ENDS_OR_HANGS)
    monkeypatch.syspath_prepend(str(tmp_path))
    target = tmp_path / "ends.npz"
    assert rnndiff("record", "seq2seq", "--subject", "ends_subject:Ends", "-o", str(target)) == 2
    said = "Group 0 of seq2seq ended its process (SIGABRT) before its first case."
    assert said in " ".join(capsys.readouterr().err.split()) and not target.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_ends_a_record_whose_subject_is_never_made(tmp_path, monkeypatch, capsys):
    (tmp_path / "hanging_subject.py").write_text(ENDS_OR_HANGS)
    monkeypatch.syspath_prepend(str(tmp_path))
    target = str(tmp_path / "hangs.npz")
    assert rnndiff("record", "seq2seq", "--subject", "hanging_subject:Hangs", "-o", target) == 130
    assert "0 of 6 groups of cases are recorded." in capsys.readouterr().err


def test_a_part_that_could_be_recorded_is_kept_and_told_by_the_exit_status(record, tmp_path):
    def compute(self, jobs):
        yield record.groups[0]
        raise UserError("It ended.")

    target = str(tmp_path / "part.npz")
    with mock.patch.object(command.Recorder, "compute", compute):
        assert rnndiff("record", "seq2seq", "--subject", "float32", "-o", target) == 1
    assert len(load(target).groups) == 1 and not load(target).whole


@pytest.mark.parametrize("cases", [11, 13])
def test_records_of_more_and_of_fewer_cases_are_not_compared(record, cases):
    errors = (record.groups[0].errors + ["ValueError: it"])[:cases]
    other = of_first(record, errors=errors, known=[[]] * cases)
    with pytest.raises(UserError, match="they hold 12 and {}".format(cases)):
        compare(record, other)


def test_records_of_other_cases_are_not_compared(record):
    group, *others = record.groups
    other = record._replace(groups=[group._replace(digest="0" * 64), *others])
    with pytest.raises(UserError, match="hold other cases of seq2seq"):
        compare(record, other)


DAMAGE = {
    "another format": ({"record": 2}, {}, "has the format 2"),
    "another set": ({"set": 0}, {}, "has the set of cases 0"),
    "no record": ({"record": None}, {}, "has the format None"),
    "no groups": ({"groups": 3}, {}, "is damaged"),
    "a group twice": ({"groups": lambda groups: groups + groups[:1]}, {}, "is damaged"),
    "an array of others": ({}, {"0/scores": np.zeros((2, 2))}, "does not go with its cases"),
    "an array of text": ({}, {"0/scores": np.array(["a"] * 12)}, "does not go with its cases"),
    "verdicts of others": ({}, {"0": np.zeros((12, 1), np.uint8)}, "is damaged"),
    "verdicts of none": ({}, {"0": lambda a: a + np.uint8(9)}, "do not go with its arrays"),
    "terminal escapes": ({"groups": lambda g: [dict(g[0], known=["\x1b[2J"])]}, {}, "is damaged"),
}


@pytest.mark.parametrize("meta, arrays, said", DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_no_record_is_one_sentence(path, tmp_path, capsys, meta, arrays, said):
    content = _arrays(path)
    text = json.loads(str(content["meta"]))
    for name, value in meta.items():
        text[name] = value(text[name]) if callable(value) else value
    for name, value in arrays.items():
        content[name] = value(content[name]) if callable(value) else value
    content["meta"] = np.array(json.dumps(text))
    bad = str(tmp_path / "bad.npz")
    np.savez(bad, **content)
    assert rnndiff("compare", path, bad) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and said in printed.err
    assert printed.err.isascii() and "\x1b" not in printed.err


def test_a_truncated_record_and_a_case_are_one_sentence(path, tmp_path, capsys):
    bad = tmp_path / "bad.npz"
    with open(path, "rb") as file:
        bad.write_bytes(file.read()[:-1000])
    case = os.path.join(os.path.dirname(__file__), "..", "bad-inputs", "note-nul.npz")
    for each in (str(bad), case, str(tmp_path / "none.npz")):
        assert rnndiff("compare", path, each) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_record_of_another_version_of_tensorflow_loads():
    folder = os.path.join(os.path.dirname(__file__), "..", "data")
    record = load(os.path.join(folder, "record_tensorflow_1_15.npz"))
    assert record.title == "TensorFlow 1.15.5, session"
    assert [group.model for group in record.groups] == ["bidirectional"]
    assert case_of(record.groups[0], 0) is not None


def test_the_page_leads_from_each_field_to_its_smallest_case(path, record, tmp_path):
    page, result = str(tmp_path / "page.html"), str(tmp_path / "result.json")
    other = planted(record, "encoder_states", set_first(np.nan), OUTSIDE)
    group = other.groups[0]._replace(known=[["<b>known</b>"]] + other.groups[0].known[1:])
    other = other._replace(groups=[group, *other.groups[1:]])
    paths = [path, str(tmp_path / "other.npz")]
    save(paths[1], other)
    options = ["--report", page, "--json", result, "--save", str(tmp_path / "cases")]
    assert rnndiff("compare", *paths, *options) == 1
    with open(page, encoding="utf-8") as file:
        text = file.read()
    assert '<a href="#of-0-0"' in text and '<article id="of-0-0">' in text
    assert "1 NaN" in text and "Its parameters and inputs" in text
    assert "<b>known</b>" not in text and "http:" not in text
    with open(result) as file:
        smallest = json.load(file)["comparisons"][0]["models"]["seq2seq"]["smallest"]["NaN"]
    assert smallest["values"][1] == "nan" and smallest["known"] == ["<b>known</b>"]
    assert "<b>{}</b> and <b>{}</b>".format(*smallest["values"]) in text
    assert rnndiff("replay", smallest["file"], "--subject", "float32") == 0


REFUSES = """
from rnndiff import Subject


class Refuses(Subject):
    def __call__(self, case):
        raise AssertionError("it is not asked for this")

    def supports(self, model, config):
        return False
"""


def test_what_a_subject_does_not_compute_is_neither_recorded_nor_shrunk(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "refuses.py").write_text(REFUSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    output, case = str(tmp_path / "none.npz"), str(tmp_path / "case.npz")
    subject = ("--subject", "refuses:Refuses")
    assert rnndiff("record", "rnn-basic", *subject, "-o", output) == 2
    assert "Nothing is recorded" in capsys.readouterr().err and not os.path.exists(output)
    save_case(case, random_case("rnn-basic"))
    assert rnndiff("minimize", case, *subject) == 2
    assert "does not support the case" in capsys.readouterr().err
