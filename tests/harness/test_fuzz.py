"""The fuzzer, the tally and the command line."""

import html
import io
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import wait
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from click.testing import CliRunner
from examples import Float32Port, random_case
from rich.console import Console

from rnndiff.harness.cases.case import Case, load, save
from rnndiff.harness.cases.random_cases import batch_size, random_batch
from rnndiff.harness.checking.against import PairTally
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.checking.fuzz import Progress, _Run, fuzz
from rnndiff.harness.checking.fuzz_worker import Task, Worker
from rnndiff.harness.checking.messages import Channel
from rnndiff.harness.checking.saving import UnsavedFailure
from rnndiff.harness.checking.verdicts import verdict_on, verdicts_on
from rnndiff.harness.cli import cli
from rnndiff.harness.commands.fuzz import _page, _table
from rnndiff.harness.errors import SubjectError
from rnndiff.harness.files import write_new
from rnndiff.harness.judging.excuses import KnownEnding
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import AGREE
from rnndiff.harness.report.describe import describe, matrix
from rnndiff.harness.stop import Stop
from rnndiff.harness.subjects.alone import Alone, Ending, first_endings
from rnndiff.harness.subjects.run import GRACE
from rnndiff.harness.subjects.subject import TIMEOUT

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def rnndiff(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "rnndiff"] + list(arguments),
        capture_output=True,
        text=True,
        **kwargs,
    )


def test_a_failing_case_is_reported_in_words_and_saved(tmp_path):
    def mistake(trace):
        trace["scores"] = trace["scores"] + np.float32(0.25)
        return trace

    tally = Tally()
    check = Checker(Float32Port(mistake), tally, str(tmp_path))
    case = random_case("bidirectional")
    (failure,) = check([case]).failures
    assert tally.cases["disagree"] == 1
    for words in (
        "scores",
        "teacher-forced",
        "difference 0.25",
        "forward/kernel [2, 1] =",
        "saved as",
    ):
        assert words in failure.report
    saved = load(failure.path)
    assert os.listdir(str(tmp_path)) == ["bidirectional-scores-teacher-forced.npz"]
    assert verdict_on(Float32Port(mistake), saved.case)[0].status == "disagree"
    assert saved.notes["numpy"] == np.__version__


def test_a_trace_of_the_wrong_shape_is_a_failing_case_like_any_other(tmp_path):
    def mistake(trace):
        trace["loss"] = np.zeros(3, np.float32)
        return trace

    check = Checker(Float32Port(mistake), Tally(), str(tmp_path))
    (failure,) = check([random_case("seq2seq")]).failures
    assert "'loss'" in failure.report
    assert os.listdir(str(tmp_path)) == ["seq2seq-WrongTrace.npz"]
    assert load(failure.path).case.config.num_units == 1


def test_shrinking_keeps_to_the_way_of_failing_and_so_finds_every_mistake(tmp_path):
    def mistake(trace):
        # One mistake in larger networks, and another one in all.
        if trace["encoder_states"].shape[-1] > 3:
            trace["encoder_states"] = trace["encoder_states"] + np.float32(0.25)
        trace["loss"] = trace["loss"] + np.float32(0.25)
        return trace

    check = Checker(Float32Port(mistake), Tally(), str(tmp_path))
    for units in (4, 2):
        check([random_case("seq2seq", num_units=units)])
    assert sorted(os.listdir(str(tmp_path))) == [
        "seq2seq-encoder_states-teacher-forced.npz",
        "seq2seq-loss-teacher-forced.npz",
    ]
    # The first mistake is not lost to the second, which smaller networks have, too.
    kept = load(str(tmp_path / "seq2seq-encoder_states-teacher-forced.npz"))
    assert kept.case.config.num_units == 4
    assert "encoder_states" in kept.notes["verdict"]


def test_a_failing_case_is_on_disk_before_it_is_shrunk(tmp_path):
    class Killed(KeyboardInterrupt):
        pass

    runs = []

    def mistake(trace):
        # Not in the smallest cases: shrinking would be over at once.
        if trace["encoder_states"].shape[-1] < 4:
            return trace
        runs.append(trace)
        if len(runs) > 4:
            raise Killed
        return dict(trace, loss=trace["loss"] + np.float32(0.25))

    with pytest.raises(Killed):
        Checker(Float32Port(mistake), Tally(), str(tmp_path))([random_case("seq2seq")])
    assert len(os.listdir(str(tmp_path))) == 1


def test_a_port_may_write_every_trace_into_the_same_arrays(tmp_path):
    kept = {}

    def into_the_same(trace):
        for name, array in trace.items():
            kept.setdefault(name, np.array(array))[...] = array
        return kept

    check = Checker(Float32Port(into_the_same), Tally(), str(tmp_path))
    assert not check([random_case("seq2seq", seed) for seed in range(5)]).failures


def test_an_error_that_is_raised_only_once_is_a_failure(tmp_path):
    raised = []

    def mistake(trace):
        if not raised:
            raised.append(True)
            raise SubjectError("Broken: once")
        return trace

    tally = Tally()
    check = Checker(Float32Port(mistake), tally, str(tmp_path))
    check([random_case("seq2seq", seed) for seed in range(3)])
    assert tally.cases["disagree"] == 1 and tally.cases["agree"] == 2


def test_the_arrays_that_disagree_stand_side_by_side_if_there_is_room():
    def mistake(trace):
        trace["scores"][0, 0, 1] += np.float32(1)
        return trace

    def lines(outputs):
        case = random_case("seq2seq", outputs=outputs)
        report = describe(case, verdict_on(Float32Port(mistake), case)[0])
        return [line for line in report.splitlines() if "of the" in line or "[. x" in line]

    title, row = lines(3)
    assert title.split() == "of the subject of the oracle wrong".split()
    assert row.index("[. x .]") == title.index("wrong") - title.index("of") + 6
    assert len(lines(12)) == 3


def test_a_failure_that_cannot_be_written_is_still_told_of_and_the_run_goes_on(tmp_path):
    def mistake(trace):
        trace["loss"] = trace["loss"] + np.float32(1)
        return trace

    (tmp_path / "file").write_text("where the folder should be")
    tally = Tally()
    check = Checker(Float32Port(mistake), tally, str(tmp_path / "file"))
    failures = check([random_case("seq2seq", seed) for seed in range(3)]).failures
    assert tally.cases["disagree"] == 3
    for failure in failures:
        assert failure.path == "" and "not saved: Cannot write" in failure.report
        assert "encoder/kernel" in failure.report


def test_tallies_of_workers_add_up():
    whole, parts = Tally(), [Tally(), Tally()]
    for seed in range(6):
        case = random_case("seq2seq", seed)
        verdict, _ = verdict_on(Float32Port(), case)
        whole.add(case, verdict)
        parts[seed % 2].add(case, verdict)
    total = Tally()
    for part in parts:
        total.add_dict(json.loads(json.dumps(part.as_dict())))
    assert total.as_dict() == whole.as_dict()


def test_a_tally_counts_the_cases_of_each_model():
    tally, cases = Tally(), random_batch("bidirectional", 0, 0)[:9]
    stacks, others = verdicts_on(Float32Port(), [random_case("seq2seq", seed) for seed in range(3)])
    for stack in stacks:
        tally.add_stack(stack)
    for case in cases:
        tally.add(case, verdict_on(Float32Port(), case)[0])
    tally.count("attention", "disagree")
    of_each = {name: sum(counts.values()) for name, counts in tally.models.items()}
    assert of_each == {"seq2seq": 3 - len(others), "bidirectional": 9, "attention": 1}
    for status, count in tally.cases.items():
        assert count == sum(counts[status] for counts in tally.models.values())


def test_the_case_with_the_largest_ratio_is_kept(tmp_path):
    tally, cases = Tally(), [random_case("seq2seq", seed) for seed in range(4)]
    verdicts = [verdict_on(Float32Port(), case)[0] for case in cases]
    for case, verdict in zip(cases, verdicts):
        tally.add(case, verdict)
    kept = load(tally.save_worst(str(tmp_path / "worst.npz"))).case
    ratios = [verdict.worst().worst for verdict in verdicts]
    assert np.array_equal(kept.inputs, cases[int(np.argmax(ratios))].inputs)
    assert tally.worst == max(ratios)


def test_fuzz_judges_as_many_cases_as_asked_in_two_workers(tensorflow, tmp_path):
    progress = fuzz(("bidirectional",), seed=3, workers=2, cases=200, folder=str(tmp_path))
    assert progress.tally.premise.startswith("accuracy of functions: ")
    assert progress.cases >= 200 and not progress.failures
    assert os.listdir(str(tmp_path)) == []


# Imported by every Python that starts: a subject in the place of TensorFlow that needs none of it.
STAND_IN = """
import os
import signal
import sys
import threading
import time
import zlib

import numpy as np

sys.path.append({folder!r})
from examples import Float32Port

from rnndiff.harness.subjects import tensorflow


class StandIn(Float32Port):
    label = "TensorFlow"
    version = 0, 0

    def __init__(self, timeout=60.0):
        Float32Port.__init__(self)
        self.start()

    def start(self):
        pass

    def __call__(self, case):
        key = zlib.crc32(case.inputs.tobytes())
        return self.change(case, key, Float32Port.__call__(self, case))

    def change(self, case, key, trace):
        return trace

    def fresh(self):
        return self


{changes}

tensorflow.TensorFlow = StandIn
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A function: what it is given is part of the class of the subject, in all new processes."""

    def use(changes=""):
        (tmp_path / "site").mkdir(exist_ok=True)
        changes = "\n".join("    " + line for line in ["pass"] + changes.splitlines())
        text = STAND_IN.format(
            folder=os.path.dirname(os.path.abspath(__file__)),
            changes="class StandIn(StandIn):\n" + changes,
        )
        (tmp_path / "site" / "sitecustomize.py").write_text(text)
        paths = [str(tmp_path / "site"), ROOT, os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
        monkeypatch.chdir(tmp_path)

    return use


# Two arrays are wrong, and one of them in networks of more than two units alone.
WRONG = """
def change(self, case, key, trace):
    trace["loss"] = trace["loss"] + np.float32(1)
    if case.config.num_units > 2:
        trace["encoder_states"] = trace["encoder_states"] + np.float32(1)
    return trace
"""
# Shrinking does not come to its end, nor to what it is told of the smallest cases.
SLOWLY_WRONG = """
def change(self, case, key, trace):
    if case.config.num_units > 2:
        trace["encoder_states"] = trace["encoder_states"] + np.float32(1)
        time.sleep(0.01)
    else:
        time.sleep(0.3)
    return trace
"""


FUZZ = ("fuzz", "seq2seq", "--seed", "3")


def key_of(case):
    """How the stand-in knows a case."""
    return zlib.crc32(case.inputs.tobytes())


@pytest.fixture(autouse=True)
def ctrl_c(monkeypatch):
    """What a shell starts in the background ignores Ctrl-C, and so would the runs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def started(*arguments, **kwargs):
    """A run of ``rnndiff fuzz`` that goes on."""
    command = [sys.executable, "-W", "ignore", "-m", "rnndiff", "fuzz", "seq2seq", "--seed", "3"]
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    return subprocess.Popen(command + list(arguments), **dict(streams, **kwargs))


def until(condition, seconds=60.0):
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def any_on_disk():
    """Whether a failing case is saved; another may be written at the same time."""
    folder = os.path.join(".rnndiff", "failures")
    return os.path.isdir(folder) and any(n.endswith(".npz") for n in os.listdir(folder))


def on_disk():
    """The failing cases that are saved, by path."""
    folder = os.path.join(".rnndiff", "failures")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return {os.path.join(folder, n): load(os.path.join(folder, n)) for n in names if "npz" in n}


def assert_all_agree(out, result, saved):
    """The words, the JSON and the files of a run are about the same cases."""
    listed = {each["path"]: each["shrunk"] for each in result["failures"] if each["path"]}
    assert sorted(listed) == sorted(saved)
    assert result["cases"]["disagree"] >= len(listed)
    start = 0
    for path in listed:
        end = out.index("saved as {}".format(path))
        said, start = out[start:end], end
        assert str(saved[path].case.config) in said
        for name, array in saved[path].case.arrays.items():
            assert "{} {} =\n{}".format(name, list(array.shape), matrix(array)) in said
        assert ("not shrunk" in out[end:].partition("\n\n")[0]) == (not listed[path])


def test_the_same_batches_are_judged_by_any_number_of_workers(stand_in, tmp_path):
    stand_in(WRONG)
    runs = {
        workers: fuzz(("seq2seq",), 3, workers, cases=1000, folder=str(tmp_path / str(workers)))
        for workers in (1, 3)
    }
    assert runs[1].cases == sum(batch_size(3, number) for number in range(8))
    assert runs[1].tally.as_dict() == runs[3].tally.as_dict()
    ways = {
        workers: sorted(failure.way for failure in run.failures) for workers, run in runs.items()
    }
    assert ways[1] == ways[3] and len(ways[1]) == 2


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_a_worker_that_is_killed_is_told_of_and_its_batch_judged_again(stand_in, tmp_path, name):
    stand_in()

    def run(report):
        return fuzz(("seq2seq",), 3, workers=1, cases=900, folder=str(tmp_path), report=report)

    killed = []

    def kill_once(progress):
        if not killed and progress.cases:
            killed.extend(multiprocessing.active_children())
            os.kill(killed[0].pid, getattr(signal, name))

    progress = run(kill_once)
    (end,) = progress.ends
    assert "a worker was ended by {} in batch".format(name) in end and "of seed 3" in end
    assert not (progress.failures or progress.lost or progress.error)
    assert progress.tally.as_dict() == run(lambda progress: None).tally.as_dict()


@pytest.mark.parametrize(
    "ends, said",
    [("os.kill(os.getpid(), 11)", "SIGSEGV"), ("os._exit(70)", "exit-70")],
    ids=["killed", "exits"],
)
def test_a_case_that_ends_a_worker_is_saved_and_all_others_are_judged(
    ends, said, stand_in, tmp_path
):
    def run():
        return fuzz(("seq2seq",), 3, workers=2, cases=300, folder=str(tmp_path / "failures"))

    stand_in()
    whole, case = run(), random_batch("seq2seq", 3, 0)[17]
    change = "def change(self, case, key, trace):\n    if key == {}:\n        {}\n    return trace"
    stand_in(change.format(key_of(case), ends))
    progress = run()
    assert [failure.way for failure in progress.failures] == ["seq2seq-ends-process"]
    assert progress.tally.cases["disagree"] == 1
    assert progress.cases == whole.cases
    saved = load(progress.failures[0].path)
    assert saved.notes["ended_by"] == said
    assert np.array_equal(saved.case.inputs, case.inputs)


def test_a_worker_that_is_ended_at_a_case_known_to_end_processes_is_no_failure_of_it(
    stand_in, tmp_path
):
    known = random_batch("seq2seq", 3, 0)[17]
    # Killed from without once, at the moment at which the case would be computed elsewhere.
    stand_in(
        "def ended_by(self, case):\n"
        "    if zlib.crc32(case.inputs.tobytes()) != {0}:\n        return None\n"
        "    if not os.path.exists('killed'):\n"
        "        open('killed', 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return 'SIGABRT'\n"
        "def change(self, case, key, trace):\n"
        "    if key == {0}:\n        os.abort()\n"
        "    return trace\n"
        "from rnndiff.harness.judging.excuses import KnownEnding\n"
        "known = (KnownEnding('aborts', '', '', None, lambda case: True, ('SIGABRT',)),)\n".format(
            key_of(known)
        )
    )
    progress = fuzz(("seq2seq",), 3, workers=1, cases=128, folder=str(tmp_path / "failures"))
    assert not progress.failures and len(progress.ends) == 1 and "SIGTERM" in progress.ends[0]
    assert progress.tally.cases["disagree"] == 0 and progress.cases == 128


def test_a_case_that_asks_for_the_exit_hides_no_other_that_ends_the_process(stand_in, tmp_path):
    asks, ends = (random_batch("seq2seq", 3, 0)[place] for place in (3, 17))
    stand_in(
        "def change(self, case, key, trace):\n"
        "    if key == {}:\n        sys.exit(1)\n"
        "    if key == {}:\n        os.kill(os.getpid(), 11)\n"
        "    return trace".format(key_of(asks), key_of(ends))
    )
    progress = fuzz(("seq2seq",), 3, workers=1, cases=100, folder=str(tmp_path / "failures"))
    ways = sorted(failure.way for failure in progress.failures)
    assert ways == ["seq2seq-SystemExit", "seq2seq-ends-process"]
    assert not progress.error


@pytest.mark.slow
def test_of_a_subject_that_always_ends_its_process_a_few_cases_are_run(stand_in, tmp_path):
    stand_in("def change(self, case, key, trace):\n    os._exit(3)")
    progress = fuzz(("seq2seq",), 3, workers=1, cases=20, folder=str(tmp_path / "failures"))
    assert [failure.way for failure in progress.failures] == ["seq2seq-ends-process"]
    assert progress.cases == progress.tally.cases["disagree"] == 4
    assert progress.tally.not_run == batch_size(3, 0) - 4
    assert "124 cases were not run, as others like them" in "".join(progress.tally.lines())


def test_those_that_end_their_process_right_after_another_are_found_with_it(stand_in):
    cases = random_batch("seq2seq", 3, 0)[:5]
    keys = [key_of(cases[place]) for place in (1, 2, 4)]
    stand_in("def change(self, case, key, trace):\n    if key in {}: os.abort()".format(keys))
    endings = first_endings(cases, most=4)
    assert [cases.index(ending.case) for ending in endings] == [1, 2]
    assert {ending.signal for ending in endings} == {"SIGABRT"}


def ended_batch(run, number):
    """What a run makes of a batch of three cases of which the first ends its process."""
    worker, explain = mock.Mock(), ("explain", (number, [], "SIGSEGV"))
    worker.job = explain
    failing = UnsavedFailure("seq2seq-ends-process", b"", "It ended.", "", True, "")
    run._explained(worker, ([(0, "seq2seq", failing)], [1, 2]))
    worker.job = run._first.pop()
    assert worker.job == ("judge", (number, [0, 1, 2]))
    run._judged(worker, (Tally().as_dict(), []))


@pytest.mark.parametrize("judged", [False, True])
def test_batches_of_nothing_but_cases_that_end_their_process_end_the_run(tmp_path, judged):
    run = _Run(Task(("seq2seq",), 3), str(tmp_path), 10000)
    if judged:
        tally = Tally()
        tally.count("seq2seq", AGREE)
        run._judged(mock.Mock(job=("judge", (9, []))), (tally.as_dict(), []))
    for number in range(3):
        assert not run.error
        ended_batch(run, number)
    assert run.tally.cases["disagree"] == 3 and run.tally.not_run == 6
    assert ("of 3 batches, ended their process" in run.error) != judged


def at_work(kind, number):
    worker = mock.Mock(job=(kind, (number, [])))
    worker.is_at = lambda *kinds: kind in kinds
    return worker


@pytest.mark.parametrize(
    "models, workers, least",
    [
        (("seq2seq", "rnn-basic"), [], 4),
        (("seq2seq",), [at_work("judge", 9)] * 5, 5),
        # One that was drawn before is not done yet.
        (("seq2seq",), [at_work("judge", 0)], None),
        (("seq2seq",), [at_work("explain", 0)], None),
    ],
    ids=["of-all-models", "of-all-workers", "one-is-judged", "one-is-explained"],
)
def test_a_run_ends_after_no_less_than_some_batches_of_each_model_and_worker(
    models, workers, least, tmp_path
):
    run = _Run(Task(models, 3), str(tmp_path), 10000)
    run.workers = workers
    for number in range(1, 8):
        if run.error:
            break
        ended_batch(run, number)
    assert len(run._in_vain) == (least or 7) and bool(run.error) == bool(least)


def test_cases_that_are_judged_on_the_second_of_two_are_not_in_vain(tmp_path):
    run = _Run(Task(("seq2seq",), 3, against="float32"), str(tmp_path), 10000)
    tally = PairTally(("", "float32"))
    tally.second.count("seq2seq", AGREE)
    run._lost_in_a_row = 2
    run._judged(mock.Mock(job=("judge", (0, [7]))), (tally.as_dict(), []))
    assert run._judged_any and not run._in_vain and not run._lost_in_a_row


def test_what_is_not_run_on_one_of_two_is_not_run_on_the_other(tmp_path):
    run = _Run(Task(("seq2seq",), 3, against="float32"), str(tmp_path), 10000)
    failing = UnsavedFailure("way", b"", "It ended.", "", True, "", of="float32")
    worker = mock.Mock(job=("explain", (0, [], "SIGSEGV")))
    run._explained(worker, ([(0, "seq2seq", failing)], [1, 2]))
    assert run.tally.not_run == run.tally.second.not_run == 2
    assert run.tally.second.cases["disagree"] == 1 and not run.tally.cases["disagree"]


def test_of_what_is_left_the_unsupported_and_the_known_are_counted_as_that():
    batch = [random_case("seq2seq", seed, num_units=2 + (seed == 5)) for seed in range(9)]

    class Port(Float32Port):
        def supports(self, model, config):
            return config.num_units == 2

        def ended_by(self, case):
            return "SIGABRT" if case is batch[6] else None

    worker = Worker(mock.Mock(), Port(), Task(("seq2seq",), 3))
    endings = [Ending(case, "SIGSEGV") for case in batch[:4]]
    module = "rnndiff.harness.checking.fuzz_worker."
    with mock.patch(module + "first_endings", return_value=endings):
        with mock.patch(module + "random_batch", return_value=batch):
            worker.explain((0, [], "SIGSEGV"))
    ((_, (found, left)),) = worker._channel.send.call_args[0]
    assert [place for place, _, _ in found] == [0, 1, 2, 3] and left == [4, 7, 8]


def test_a_subject_that_ends_its_process_when_asked_what_it_supports_ends_the_run(tmp_path):
    run = _Run(Task(("seq2seq",), 3), str(tmp_path), 100)
    run.start = mock.Mock()
    jobs, job = [], ("judge", (0, []))
    while job:
        jobs.append(job[0])
        worker = mock.Mock(job=job, is_at=lambda *kinds, job=job: job[0] in kinds)
        worker.process.exitcode = -11
        run.workers.append(worker)
        run._gone(worker)
        assert len(jobs) < 9
        job = run._first.pop(0) if run._first else None
    assert jobs == ["judge", "explain", "judge", "explain"]
    # A batch that is not counted is made up for by another one, but not for ever.
    assert not run.error
    for number in range(2):
        for _ in range(2):
            run._judge_again(7 + number, [], "SIGSEGV")
    assert run.error.startswith("3 batches in a row ended their worker")
    assert not run.failures and run.progress().lost == [0, 7, 8]


# Wrong once, which it is not when asked again; much later wrong in the same array for good.
ONCE_AND_FOR_GOOD = """
def start(self):
    self.calls = 0

def change(self, case, key, trace):
    self.calls += 1
    if self.calls == 5 or case.config.outputs == 4 and self.calls > 200:
        trace["scores"] = trace["scores"] + np.float32(1)
    return trace
"""


def test_what_was_not_what_it_seemed_hides_no_later_failure_that_is(stand_in, tmp_path):
    stand_in(ONCE_AND_FOR_GOOD)
    folder = str(tmp_path / "failures")
    progress = fuzz(("seq2seq",), 3, workers=1, cases=1500, folder=folder)
    found = {failure.way: failure for failure in progress.failures}
    assert set(found) == {"seq2seq-NotRepeatable", "seq2seq-scores-teacher-forced"}
    for failure in found.values():
        assert load(failure.path).case.model.name == "seq2seq"


def test_workers_that_never_get_to_judge_end_the_run_with_a_sentence(stand_in, tmp_path):
    stand_in("def start(self):\n    os.kill(os.getpid(), signal.SIGKILL)")
    run = rnndiff("fuzz", "seq2seq", "--cases", "100", "--json", "run.json")
    assert run.returncode == 2
    assert "3 workers in a row were ended by SIGKILL before they could judge" in run.stderr
    result = json.loads((tmp_path / "run.json").read_text())
    assert not result["failures"]
    assert set(result["ended_workers"]) == {"a worker was ended by SIGKILL before its first batch"}


KILLED_ONCE = """
def start(self):
    if not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_first_worker_that_is_killed_does_not_end_the_run_to_the_first_failure(
    stand_in, tmp_path
):
    stand_in(KILLED_ONCE)
    folder = str(tmp_path / "failures")
    progress = fuzz(("seq2seq",), 3, workers=1, cases=100, folder=folder, first_alone=True)
    assert progress.cases == 128 and not (progress.failures or progress.error or progress.lost)
    assert progress.ends == ["a worker was ended by SIGKILL before its first batch"]


@pytest.mark.parametrize("first_alone", [False, True])
def test_a_batch_that_ends_its_worker_once_is_judged_after_all(tmp_path, first_alone):
    run = _Run(Task(("seq2seq",), 3, first_alone=first_alone), str(tmp_path), 100)
    run._planned = 128
    run._judge_again(0, [], "SIGKILL")
    assert not run.is_over(None) and run._first == [("judge", (0, []))]
    assert not (run.failures or run.progress().lost) and len(run.progress().ends) == 1


@pytest.mark.parametrize("cases, interrupted", [(100, False), (20000, True)])
def test_a_run_that_is_asked_to_end_once_all_is_done_is_not_interrupted(
    stand_in, tmp_path, cases, interrupted
):
    stand_in()
    stop = Stop()

    def end(progress):
        if progress.cases:
            stop.signal = "SIGTERM"

    how = dict(cases=cases, folder=str(tmp_path), report=end, stop=stop, first_alone=True)
    progress = fuzz(("seq2seq",), 3, workers=1, **how)
    assert progress.cases and progress.interrupted == interrupted


def test_what_a_worker_was_at_as_both_were_asked_to_end_is_not_done(tmp_path):
    stop = Stop()
    run = _Run(Task(("seq2seq",), 3), str(tmp_path), 100, stop)
    run._planned, stop.signal = 128, "SIGTERM"
    worker = at_work("judge", 0)
    run.workers.append(worker)
    run._gone(worker)
    assert not run.workers and not run.is_over(None)


FUZZES, CHECKS = ["fuzz", "rnn-basic"], ["check", "--model", "rnn-basic", "float32"]
KILLED = {"ends": ["a worker was ended by SIGKILL before its first batch"]}
FAILED = {"failures": [Failure("rnn-basic-loss", "", "")], "interrupted": True}


@pytest.mark.parametrize(
    "command, came, status, said",
    [
        (FUZZES, KILLED, 0, "rnndiff: a worker was ended by SIGKILL"),
        (CHECKS, KILLED, 0, "rnndiff: a worker was ended by SIGKILL"),
        (FUZZES, {"lost": [3]}, 2, "rnndiff: Not judged, .*: batch 3[.]"),
        (CHECKS, {"lost": [3, 5]}, 2, "rnndiff: Not judged, .*: batches 3, 5[.]"),
        (FUZZES, {"interrupted": True}, 0, ""),
        (CHECKS, {"interrupted": True}, 130, "ended the run before it was over: it is not known"),
        (CHECKS, FAILED, 1, ""),
    ],
    ids=["killed", "killed", "lost", "lost", "interrupted", "interrupted", "failed"],
)
def test_the_exit_status_says_what_is_known_of_the_cases(command, came, status, said, tmp_path):
    progress = Progress(Tally(), [], 1.0)._replace(**came)
    progress.tally.count("rnn-basic", AGREE)
    path = tmp_path / "run.json"
    with mock.patch("rnndiff.harness.commands.fuzz.run", return_value=progress):
        run = CliRunner().invoke(cli, [*command, "--json", str(path)])
    assert run.exit_code == status and re.search(said, run.output), run.output
    result = json.loads(path.read_text())
    assert result["ended_workers"] == progress.ends and result["lost_batches"] == progress.lost
    assert result["interrupted"] == progress.interrupted


def test_time_counts_from_when_a_worker_can_judge(stand_in, tmp_path):
    stand_in("def start(self):\n    time.sleep(3)")
    progress = fuzz(("seq2seq",), 3, workers=1, seconds=1.5, folder=str(tmp_path))
    assert progress.cases and 1.5 <= progress.seconds < 3


def test_that_no_case_was_judged_is_said_and_is_no_success(stand_in):
    stand_in("def change(self, case, key, trace):\n    time.sleep(1)\n    return trace")
    run = rnndiff("fuzz", "seq2seq", "--time", "0.5", "--workers", "1")
    assert run.returncode == 2
    assert "No case was judged" in run.stderr and "Traceback" not in run.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_run_that_is_asked_to_end_writes_all_and_says_what_is_not_shrunk(
    stand_in, tmp_path, name, times
):
    stand_in(SLOWLY_WRONG)
    run = started("--workers", "2", "--json", "run.json", "--report", "run.html")
    until(any_on_disk)
    time.sleep(1.0)
    for _ in range(times):
        run.send_signal(getattr(signal, name))
        time.sleep(0.1)
    # Five seconds, but for a machine that is busy with other tests.
    out, err = run.communicate(timeout=30)
    assert run.returncode == 1 and "Traceback" not in err
    result, saved = json.loads((tmp_path / "run.json").read_text()), on_disk()
    assert_all_agree(out, result, saved)
    assert [each["shrunk"] for each in result["failures"]] == [False]
    (path,) = saved
    assert "unshrunk" in path
    assert path in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_signals_that_are_ignored_are_ignored_on(stand_in):
    stand_in()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert stop.signal == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("error, ignored", [(SystemExit, True), (ValueError, False)])
def test_who_asks_once_more_while_python_ends_does_not_change_the_exit_status(error, ignored):
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(error), Stop():
            os.kill(os.getpid(), signal.SIGINT)
            raise error
        assert (signal.getsignal(signal.SIGINT) is signal.SIG_IGN) == ignored
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_that_nobody_asked_to_end_leaves_the_handlers_as_they_were():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit), Stop():
        raise SystemExit
    assert signal.getsignal(signal.SIGINT) is before


class Stopped(_Run):
    """Hears nothing between what workers say at first and the end."""

    def listen(self, seconds=0.1):
        if self._started is None or not self._listening:
            return super().listen(seconds)
        assert wait([worker.channel.end for worker in self.workers], 60)
        time.sleep(seconds)
        return False


def test_a_run_that_was_stopped_past_its_time_takes_what_the_workers_found(
    stand_in, tmp_path, monkeypatch
):
    stand_in(WRONG)
    monkeypatch.setattr("rnndiff.harness.checking.fuzz._Run", Stopped)
    folder = str(tmp_path / "failures")
    progress = fuzz(("seq2seq",), 3, workers=1, seconds=1.0, folder=folder)
    assert progress.failures and progress.cases == batch_size(3, 0)
    assert [os.path.basename(failure.path) for failure in progress.failures] == os.listdir(folder)


def test_at_the_end_all_is_heard_that_was_said(tmp_path):
    run = _Run(Task(("seq2seq",), 3, TIMEOUT), str(tmp_path))
    ours, theirs = map(Channel, socket.socketpair())
    run.workers = [
        SimpleNamespace(
            channel=ours,
            begun=SimpleNamespace(value=0),
            since=None,
            job=None,
            is_at=lambda *kinds: False,
        )
    ]
    tally = Tally()
    tally.count("seq2seq", AGREE)
    # More than a socket holds.
    message = "judged", (dict(tally.as_dict(), more="x" * (1 << 22)), [])
    sender = threading.Thread(target=theirs.send, args=(message,), daemon=True)
    sender.start()
    time.sleep(0.1)
    run.hear_the_rest()
    assert run.progress().cases == 1


def test_both_workers_fail_and_what_is_printed_is_what_is_saved(stand_in, tmp_path):
    stand_in(WRONG)
    run = rnndiff(*FUZZ, "--cases", "400", "--workers", "2", "--json", "run.json")
    result, saved = json.loads((tmp_path / "run.json").read_text()), on_disk()
    assert [os.path.basename(path) for path in saved] == [
        "seq2seq-encoder_states-teacher-forced.npz",
        "seq2seq-loss-teacher-forced.npz",
    ]
    assert_all_agree(run.stdout, result, saved)
    assert all(each["shrunk"] for each in result["failures"])


def test_a_later_run_leaves_the_cases_of_an_earlier_one_as_they_are(stand_in, tmp_path):
    stand_in(WRONG)
    arguments = (*FUZZ, "--cases", "400", "--json", "run.json")
    rnndiff(*arguments)
    before = {path: open(path, "rb").read() for path in on_disk()}
    # The same cases are in no second file.
    rnndiff(*arguments)
    assert {path: open(path, "rb").read() for path in on_disk()} == before
    # Others are in files of their own.
    stand_in(WRONG.replace("float32(1)", "float32(2)"))
    run = rnndiff(*arguments)
    after = {path: open(path, "rb").read() for path in on_disk()}
    assert {path: after[path] for path in before} == before
    mine = {path: saved for path, saved in on_disk().items() if path not in before}
    assert len(mine) == 2 and all(path.endswith("-2.npz") for path in mine)
    assert_all_agree(run.stdout, json.loads((tmp_path / "run.json").read_text()), mine)


def test_two_runs_at_the_same_time_in_one_folder_lose_nothing(stand_in, tmp_path):
    stand_in(
        """
def change(self, case, key, trace):
    # Each process is wrong in its own way.
    trace["loss"] = trace["loss"] + np.float32(int(os.environ["OFF_BY"]))
    time.sleep(0.001)
    return trace
"""
    )
    runs = [
        started(
            *("--cases", "100", "--workers", "1", "--json", "{}.json".format(off)),
            env=dict(os.environ, OFF_BY=str(off)),
        )
        for off in (1, 2)
    ]
    told = {}
    for off, run in zip((1, 2), runs):
        out, _ = run.communicate(timeout=60)
        result = json.loads((tmp_path / "{}.json".format(off)).read_text())
        path = result["failures"][0]["path"]
        assert_all_agree(out, result, {path: load(path)})
        told[path] = off
    assert sorted(told) == sorted(on_disk()) and len(told) == 2
    for path, off in told.items():
        saved = load(path)
        assert saved.trace["loss"] - saved.case.oracle(np.float64)["loss"] == pytest.approx(off)


def mounted(folder, *options):
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    try:
        if subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0:
            return
    except OSError:
        pass
    pytest.skip("no file system can be mounted here")


@pytest.fixture(params=["full", "nearly full", "read-only", "below a file"])
def unwritable(request, tmp_path):
    """``.rnndiff`` is a folder that nothing can be written to; what the system says of it."""
    folder = tmp_path / ".rnndiff"
    if request.param == "below a file":
        folder.write_text("")
        yield "ot a directory"
        return
    size = {"full": "4k", "nearly full": "12k"}.get(request.param, "1m")
    mounted(folder, "-o", "size={}".format(size))
    try:
        if request.param == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
            yield "Read-only"
        else:
            yield "No space left"
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_what_cannot_be_saved_is_told_in_full(stand_in, tmp_path, unwritable):
    stand_in(WRONG)
    run = rnndiff(
        *(*FUZZ, "--cases", "400", "--workers", "2"),
        *("--json", "run.json", "--report", "run.html"),
    )
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr and "case of the largest error" in run.stderr
    result = json.loads((tmp_path / "run.json").read_text())
    saved = on_disk() if os.path.isdir(".rnndiff") else {}
    assert {each["path"] for each in result["failures"]} - {None} == set(saved)
    assert result["cases"]["disagree"] >= len(result["failures"]) == 2
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    for text in (run.stdout, html.unescape(page)):
        assert "not saved: Cannot write" in text and unwritable in text
        # The shrunk cases, whatever is on disk.
        for name in ("encoder_states", "loss"):
            assert "disagree: {} (teacher-forced)".format(name) in text
        smallest = "Config(batch=1, time=1, output_time=1, inputs=1, outputs=1, num_units={}, "
        assert smallest.format(1) in text
        assert smallest.format(3) in text and "encoder/kernel [2, 1] =" in text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_failures_are_told_if_one_stream_is_full(stand_in, tmp_path, name, unbuffered, monkeypatch):
    # In a buffer it stays until Python ends.
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    stand_in(WRONG)
    with open("/dev/full", "w") as full:
        run = started("--cases", "400", "--workers", "1", "--json", "run.json", **{name: full})
        out, err = run.communicate(timeout=60)
    text = err if name == "stdout" else out
    assert run.returncode == 1
    assert "disagree: loss (teacher-forced)" in text and "Traceback" not in text
    assert json.loads((tmp_path / "run.json").read_text())["failures"]


def processes_of(parent):
    """The processes of Linux whose parent it is, and theirs."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/{}/stat".format(name)) as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found += [int(name)] + processes_of(int(name))
    return found


LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@LINUX
@pytest.mark.parametrize("stopped", [False, True])
def test_no_process_outlives_a_run_that_is_killed(stand_in, stopped):
    stand_in(
        """
def change(self, case, key, trace):
    open(str(os.getpid()), "w").close()
    time.sleep(0.1)
    return trace
"""
    )
    run = started("--workers", "2")
    until(lambda: sum(map(str.isdigit, os.listdir("."))) == 2)
    left = processes_of(run.pid)
    if stopped:
        # Not Python's own process that tracks what is shared: nothing of ours would end that.
        for pid in left:
            if b"spawn_main" in cmdline(pid):
                os.kill(pid, signal.SIGSTOP)
    run.kill()
    run.wait()
    until(lambda: not any(map(alive, left)), 10)
    run.communicate()


def cmdline(pid):
    try:
        with open("/proc/{}/cmdline".format(pid), "rb") as file:
            return file.read()
    except OSError:
        return b""


def alive(pid):
    """Whether there is such a process, and it is no zombie."""
    try:
        with open("/proc/{}/stat".format(pid)) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@LINUX
def test_a_process_for_cases_that_may_end_it_ends_with_its_parent(stand_in):
    stand_in("def change(self, case, key, trace):\n    signal.pause()")
    code = "from rnndiff.harness.subjects.alone import ended_by\n"
    code += "from rnndiff.harness.cases.random_cases import random_batch\n"
    code += "print(ended_by(random_batch('seq2seq', 3, 0)[0]))"
    run = subprocess.Popen([sys.executable, "-c", code])
    until(lambda: processes_of(run.pid))
    time.sleep(1.0)
    left = processes_of(run.pid)
    run.kill()
    run.wait()
    until(lambda: not any(map(alive, left)), 5)


def test_a_message_whose_sender_is_gone_is_no_message():
    ours, theirs = map(Channel, socket.socketpair())
    theirs.send("whole")
    theirs.send("cut off")
    content = ours.end.recv(1 << 10)
    again, sender = map(Channel, socket.socketpair())
    sender.end.sendall(content[:-3])
    assert again.read() == ["whole"] and again.waits
    sender.close()
    assert again.read() is None


def test_of_several_that_write_a_new_file_one_does(tmp_path):
    path, contents = str(tmp_path / "new"), [bytes([k]) * 1000 for k in range(16)]
    with ThreadPoolExecutor(16) as pool:
        wrote = list(pool.map(lambda content: write_new(path, content), contents))
    assert wrote.count(True) == 1
    assert (tmp_path / "new").read_bytes() == contents[wrote.index(True)]
    assert os.listdir(str(tmp_path)) == ["new"]


def test_a_new_file_takes_no_other_place_where_there_are_no_links(tmp_path, monkeypatch):
    def none(*paths):
        raise PermissionError

    monkeypatch.setattr(os, "link", none)
    path = str(tmp_path / "new")
    assert write_new(path, b"first") and not write_new(path, b"second")
    assert (tmp_path / "new").read_bytes() == b"first" and os.listdir(str(tmp_path)) == ["new"]


def test_a_pause_of_all_processes_ends_no_worker_and_a_long_case_does(monkeypatch, tmp_path):
    killed, clock = [], [0.0]
    monkeypatch.setattr("rnndiff.harness.checking.fuzz.time.monotonic", lambda: clock[0])
    run = _Run(Task(("seq2seq",), 3, TIMEOUT), str(tmp_path))
    at_work, waiting = (
        SimpleNamespace(
            begun=SimpleNamespace(value=1),
            since=None,
            process=SimpleNamespace(kill=lambda kind=kind: killed.append(kind)),
            is_at=lambda *kinds, kind=kind: kind in kinds,
        )
        for kind in ("judge", "none")
    )
    run.workers = [at_work, waiting]

    def looks_every_second_until(end):
        while clock[0] < end:
            clock[0] += 1.0
            run.end_idle()

    looks_every_second_until(30.0)
    clock[0] += 1000.0
    # After the pause the case has all its time again.
    looks_every_second_until(1030.0 + TIMEOUT)
    assert not killed
    looks_every_second_until(1030.0 + TIMEOUT + GRACE + 2.0)
    assert set(killed) == {"judge"}


# Imported by every Python that starts: on one case, TensorFlow does not come back.
HANGS = """
import collections
import itertools
import os
import zlib

from rnndiff.harness.subjects.tensorflow import TensorFlow

call = TensorFlow.__call__


def hangs(self, case):
    if zlib.crc32(case.inputs.tobytes()) == int(os.environ["RNNDIFF_TEST_HANGS"]):
        collections.deque(itertools.repeat(0), maxlen=0)
    return call(self, case)


TensorFlow.__call__ = hangs
"""


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """A case on which TensorFlow, in any process that starts from now on, does not come back."""
    case = random_batch("seq2seq", 3, 0)[17]
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HANGS)
    paths = [str(tmp_path / "site"), ROOT, os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("RNNDIFF_TEST_HANGS", str(zlib.crc32(case.inputs.tobytes())))
    return case


def test_a_case_on_which_a_worker_hangs_is_saved_and_all_others_are_judged(
    stand_in, tmp_path, monkeypatch
):
    monkeypatch.setattr("rnndiff.harness.checking.fuzz.GRACE", 1.0)
    case = random_batch("seq2seq", 3, 0)[17]
    # In code that does not come back to Python.
    stand_in(
        """
def change(self, case, key, trace):
    if key == {}:
        import collections, itertools
        collections.deque(itertools.repeat(0), maxlen=0)
    return trace
""".format(key_of(case))
    )
    folder = str(tmp_path / "failures")
    progress = fuzz(("seq2seq",), 3, workers=1, cases=200, folder=folder, timeout=5.0)
    assert [failure.way for failure in progress.failures] == ["seq2seq-Hang"]
    assert "Hang: no result after 5 s" in progress.failures[0].report
    assert progress.tally.cases["disagree"] == 1 and progress.cases == 256
    saved = load(progress.failures[0].path)
    assert saved.notes["ended_by"] == "Hang"
    assert np.array_equal(saved.case.inputs, case.inputs)


@pytest.mark.slow
def test_a_process_that_hangs_is_ended_and_the_next_case_gets_another(tensorflow, hanging):
    others = random_batch("seq2seq", 3, 0)[:2]
    with Alone(timeout=10.0) as alone:
        assert [alone.ended_by(case) for case in (others[0], hanging, others[1])] == [
            None,
            "Hang",
            None,
        ]


@pytest.mark.slow
def test_a_case_that_ends_the_process_is_shrunk_in_processes_of_its_own(tensorflow, tmp_path):
    entry = next((each for each in tensorflow.known if isinstance(each, KnownEnding)), None)
    if entry is None:
        pytest.skip("no case is known to end the process of this TensorFlow")
    config = replace(entry.minimal.case().config, batch=2, time=2)
    model = entry.minimal.case().model
    arrays = {field.name: np.zeros(field.shape(config), "f") for field in model.fields(config)}
    arrays["labels"][..., 0] = 1
    path = str(tmp_path / "case.npz")
    save(path, Case(model, config, arrays))
    run = rnndiff("minimize", path)
    assert run.returncode == 1, run.stderr
    smallest = load(str(tmp_path / "case-minimal.npz"))
    assert smallest.case.config == entry.minimal.case().config
    assert smallest.notes["ended_by"] in entry.signals


def test_replay_says_what_is_wrong_with_a_file_in_one_line_and_exits_with_2(tmp_path):
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"not a case")
    for path in (str(damaged), str(tmp_path / "missing.npz"), str(tmp_path / "..")):
        run = rnndiff("replay", path)
        assert run.returncode == 2
        assert len(run.stderr.strip().splitlines()) == 1 and "Traceback" not in run.stderr


def test_replay_runs_the_other_cases_beside_a_damaged_one(tensorflow, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"not a case")
    save(str(tmp_path / "b.npz"), random_case("seq2seq"))
    run = rnndiff("replay", str(tmp_path))
    assert run.returncode == 2
    assert "a.npz" in run.stderr and "b.npz: agree" in run.stdout


def test_replay_runs_a_saved_case_and_tells_what_was_seen_before(tensorflow, tmp_path):
    path = str(tmp_path / "case.npz")
    save(path, random_case("seq2seq"), notes={"tensorflow": "0.0", "verdict": "it disagreed"})
    run = rnndiff("replay", path)
    assert run.returncode == 0, run.stderr
    assert "agree on TensorFlow" in run.stdout and "it disagreed" in run.stdout


@pytest.mark.slow
def test_bench_tells_what_the_naive_way_costs_and_what_ours_does(tensorflow, tmp_path):
    path = tmp_path / "bench.json"
    run = rnndiff("bench", "bidirectional", "--time", "1", "--runs", "1", "--json", str(path))
    assert run.returncode == 0, run.stderr
    figures = json.loads(path.read_text())["models"]["bidirectional"]
    rate, spent = figures["per second"], figures["phases"]
    assert rate["naive"] > 0
    assert spent["steady"] > 0 and spent["floor"] > 0
    parts = sum(spent[phase] for phase in ("draw", "run", "verdict"))
    assert spent["steady"] == pytest.approx(parts)


def test_what_is_printed_of_a_run_is_as_it_is_called():
    progress = Progress(Tally(), [Failure("Crash[/i]", ":a:.npz", "")], 1.0)
    progress.tally.premise, console = "of my:B: [/b] [red]", Console(width=100, file=io.StringIO())
    console.print(_table(progress, 1))
    assert "of my:B: [/b] [red]" in console.file.getvalue()
    assert "Crash[/i]: :a:.npz" in console.file.getvalue()


def test_workers_that_were_ended_are_no_ways_of_failing_in_table_and_page():
    progress = Progress(Tally(), [], 1.0)._replace(**KILLED)
    console = Console(width=100, file=io.StringIO())
    console.print(_table(progress, 1))
    assert "workers ended 1" in console.file.getvalue()
    page = _page(progress, 1, 1, "", Stop())
    assert "a worker was ended by SIGKILL before its first batch." in page.notes
