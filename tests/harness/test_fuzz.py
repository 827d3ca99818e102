"""The fuzzer, the tally and the command line."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import zlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from examples import Float32Port, random_case

from harness.alone import Alone, Ending
from harness.case import Case, load, save
from harness.check import Checker, verdict_on
from harness.divergences import Ending as KnownEnding
from harness.errors import SubjectError
from harness.fuzz import _Run, fuzz
from harness.random_cases import random_batch
from harness.report import describe
from harness.run import GRACE, TIMEOUT
from harness.tally import Tally

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def rnndiff(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "harness"] + list(arguments),
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_a_worker_that_is_killed_is_told_of_and_its_batch_judged_again(tensorflow, tmp_path, name):
    def run(report):
        return fuzz(("seq2seq",), 3, workers=1, cases=300, folder=str(tmp_path), report=report)

    killed = []

    def kill_once(progress):
        if not killed:
            killed.extend(multiprocessing.active_children())
            os.kill(killed[0].pid, getattr(signal, name))

    progress = run(kill_once)
    assert [failure.way for failure in progress.failures] == ["worker-ended-by-" + name]
    assert "seed 3" in progress.failures[0].report
    assert progress.tally.as_dict() == run(lambda progress: None).tally.as_dict()


@pytest.mark.slow
def test_a_case_that_ends_a_worker_is_saved_and_all_others_are_judged(
    tensorflow, tmp_path, monkeypatch
):
    def run(report=lambda progress: None):
        return fuzz(("seq2seq",), 3, workers=1, cases=300, folder=str(tmp_path), report=report)

    killed, whole = [], run()

    def kill_once(progress):
        if not killed:
            killed.extend(multiprocessing.active_children())
            os.kill(killed[0].pid, signal.SIGSEGV)

    # No case does it but those that are known to, which no worker computes.
    monkeypatch.setattr(
        "harness.fuzz.first_ending", lambda cases, timeout: Ending(cases[17], "SIGSEGV")
    )
    progress = run(kill_once)
    assert [failure.way for failure in progress.failures] == ["seq2seq-ends-process"]
    assert progress.tally.cases["disagree"] == 1
    assert progress.cases == whole.cases
    saved = load(progress.failures[0].path)
    assert saved.notes["ended_by"] == "SIGSEGV"
    assert np.array_equal(saved.case.inputs, random_batch("seq2seq", 3, 0)[17].inputs)


def test_a_pause_of_all_processes_ends_no_worker_and_a_long_case_does(monkeypatch, tmp_path):
    class Process:
        killed = False

        def kill(self):
            self.killed = True

    clock, process = [0.0], Process()
    monkeypatch.setattr("harness.fuzz.time.monotonic", lambda: clock[0])
    run = _Run(("seq2seq",), 3, str(tmp_path), timeout=TIMEOUT)
    run._processes["worker"] = process
    run._begun["worker"] = SimpleNamespace(value=1)

    def looks_every_second_until(end):
        while clock[0] < end:
            clock[0] += 1.0
            run.end_idle()

    looks_every_second_until(30.0)
    clock[0] += 1000.0
    # After the pause the case has all its time again.
    looks_every_second_until(1030.0 + TIMEOUT)
    assert not process.killed
    looks_every_second_until(1030.0 + TIMEOUT + GRACE + 2.0)
    assert process.killed


# Imported by every Python that starts: on one case, TensorFlow does not come back.
HANGS = """
import collections
import itertools
import os
import zlib

from harness.subjects.tensorflow import TensorFlow

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


@pytest.mark.slow
def test_a_case_on_which_a_worker_hangs_is_saved_and_all_others_are_judged(
    tensorflow, tmp_path, monkeypatch, hanging
):
    monkeypatch.setattr("harness.fuzz.GRACE", 1.0)
    folder = str(tmp_path / "failures")
    progress = fuzz(("seq2seq",), 3, workers=1, cases=200, folder=folder, timeout=10.0)
    assert [failure.way for failure in progress.failures] == ["seq2seq-Hang"]
    assert "Hang: no result after 10 s" in progress.failures[0].report
    assert progress.tally.cases["disagree"] == 1 and progress.cases == 256
    saved = load(progress.failures[0].path)
    assert saved.notes["ended_by"] == "Hang"
    assert np.array_equal(saved.case.inputs, hanging.inputs)


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
    parts = sum(spent[phase] for phase in ("draw", "run", "oracle", "verdict"))
    assert spent["steady"] == pytest.approx(parts)
