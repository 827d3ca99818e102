"""The fuzzer, the tally and the command line."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from examples import Float32Port, random_case

from harness.case import load, save
from harness.check import Checker, verdict_on
from harness.cli import COMMANDS
from harness.fuzz import fuzz
from harness.tally import Tally


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
    verdict, failure = check(case)
    assert tally.cases["disagree"] == 1
    for words in ("scores", "teacher-forced", "ULP", "forward/kernel [2, 1] =", "saved as"):
        assert words in failure.report
    saved = load(failure.path)
    assert os.listdir(str(tmp_path)) == ["bidirectional-scores-teacher-forced.npz"]
    assert verdict_on(Float32Port(mistake), saved.case)[0].status == "disagree"
    assert saved.notes["numpy"] == np.__version__


def test_a_trace_of_the_wrong_shape_is_a_failing_case_like_any_other(tmp_path):
    def mistake(trace):
        trace["loss"] = np.zeros(3, np.float32)
        return trace

    _, failure = Checker(Float32Port(mistake), Tally(), str(tmp_path))(random_case("seq2seq"))
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
        check(random_case("seq2seq", num_units=units))
    assert sorted(os.listdir(str(tmp_path))) == [
        "seq2seq-encoder_states-teacher-forced.npz",
        "seq2seq-loss-teacher-forced.npz",
    ]
    # The first mistake is not lost to the second, which smaller networks have, too.
    kept = load(str(tmp_path / "seq2seq-encoder_states-teacher-forced.npz"))
    assert kept.case.config.num_units == 4
    assert "encoder_states" in kept.notes["verdict"]


def test_a_failing_case_is_on_disk_before_it_is_shrunk(tmp_path):
    class Killed(BaseException):
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
        Checker(Float32Port(mistake), Tally(), str(tmp_path))(random_case("seq2seq"))
    assert len(os.listdir(str(tmp_path))) == 1


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
    for case in cases:
        tally.add(case, verdict_on(Float32Port(), case)[0])
    kept = load(tally.save_worst(str(tmp_path / "worst.npz"))).case
    ratios = [verdict_on(Float32Port(), case)[0].worst().worst for case in cases]
    assert np.array_equal(kept.inputs, cases[int(np.argmax(ratios))].inputs)
    assert tally.worst == max(ratios)


def test_fuzz_judges_as_many_cases_as_asked_in_two_workers(tensorflow, tmp_path):
    progress = fuzz(("bidirectional",), seed=3, workers=2, cases=200, folder=str(tmp_path))
    assert progress.cases >= 200 and not progress.failures
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_of_and_replaced(tensorflow, tmp_path):
    killed = []

    def report(progress):
        if not killed:
            killed.extend(multiprocessing.active_children())
            os.kill(killed[0].pid, signal.SIGKILL)

    progress = fuzz(("seq2seq",), 3, workers=1, cases=100, folder=str(tmp_path), report=report)
    assert [failure.way for failure in progress.failures] == ["worker-ended-by-SIGKILL"]
    assert "seed 3" in progress.failures[0].report
    assert progress.cases >= 100


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


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    run = rnndiff(command, "--help")
    assert run.returncode == 0 and "Usage: rnndiff" in run.stdout


@pytest.mark.slow
def test_bench_tells_what_the_naive_way_costs_and_what_ours_does(tensorflow, tmp_path):
    path = tmp_path / "bench.json"
    run = rnndiff("bench", "bidirectional", "--time", "1", "--runs", "1", "--json", str(path))
    assert run.returncode == 0, run.stderr
    figures = json.loads(path.read_text())["models"]["bidirectional"]
    rate, spent = figures["per second"], figures["phases"]
    assert rate["naive"] > 0
    assert spent["steady"] > figures["floor"] > 0
    assert spent["steady"] == pytest.approx(sum(spent.values()) - spent["steady"] - spent["build"])
