"""Whatever ends a run of pytest, and whatever cannot be written, what it found is told."""

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from rnndiff.harness.cases.case import load

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# A port in the place of TensorFlow, wrong in one model, on which shrinking takes its time.
PORT = """
import time

import numpy as np
from examples import Float32Port


class Port(Float32Port):
    def __call__(self, case):
        time.sleep({seconds} if case.model.name == "bidirectional" else 0.01)
        trace = Float32Port.__call__(self, case)
        wrong = case.model.name == "bidirectional" and case.config.num_units == 4
        return dict(trace, loss=trace["loss"] + np.float32(wrong))
"""
TESTS = """
import pytest
from examples import random_case


@pytest.mark.parametrize("name", ["seq2seq", "bidirectional", "attention"])
def test_it(name, check):
    for seed in range({cases}):
        check([random_case(name, seed)])
"""
# Seconds: how long anything may take on a busy machine.
PATIENCE = 100


class Pytest:
    """A run of it, in a folder and a session of its own."""

    def __init__(self, folder, *options, cases=100, seconds=0.0, before=()):
        folder = str(folder)
        for name, text in (("port.py", PORT), ("test_it.py", TESTS)):
            with open(os.path.join(folder, name), "w") as file:
                file.write(text.format(cases=cases, seconds=seconds))
        shutil.copy(os.path.join(ROOT, "tests", "harness", "examples.py"), folder)
        environment = dict(os.environ, PYTHONPATH=folder, COLUMNS="500")
        environment.pop("PYTEST_XDIST_WORKER", None)
        self.failures = os.path.join(folder, ".rnndiff", "failures")
        self._runs = os.path.join(folder, ".rnndiff", "runs")
        self._process = subprocess.Popen(
            [*before, sys.executable, "-m", "pytest", "--rnndiff-subject", "port:Port"]
            + ["-p", "no:cacheprovider"]
            + list(options),
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # What is started in the background of a shell ignores it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def shrinks(self):
        """Wait until a failing case is being shrunk, of which its process has left a record."""
        began = time.monotonic()
        while not any(record["failures"] for record in self.records().values()):
            assert self._process.poll() is None and time.monotonic() - began < PATIENCE
            time.sleep(0.02)

    def saved(self, pattern="*.npz"):
        return glob.glob(os.path.join(self.failures, pattern))

    def records(self):
        """What each process has written by now, by its name."""
        found = {}
        for path in glob.glob(os.path.join(self._runs, "*", "*.json")):
            with open(path) as file:
                found[os.path.basename(path)] = json.load(file)
        return found

    def send(self, number, to_all=False):
        (os.killpg if to_all else os.kill)(self._process.pid, number)

    def output(self):
        try:
            return self._process.communicate(timeout=PATIENCE)[0]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


WORKERS = pytest.mark.parametrize("workers", ["0", "2"])
WAYS = {
    "Ctrl-C": [(signal.SIGINT, True)],
    "SIGINT": [(signal.SIGINT, False)],
    "Ctrl-C twice": [(signal.SIGINT, True), (signal.SIGINT, True)],
    "SIGTERM": [(signal.SIGTERM, False)],
}


@pytest.mark.slow
@WORKERS
@pytest.mark.parametrize("way", list(WAYS))
def test_an_interrupted_run_tells_what_it_judged_and_what_it_was_shrinking(way, workers, tmp_path):
    run = Pytest(tmp_path, "-n", workers, "--rnndiff-report", "page.html", seconds=0.2)
    run.shrinks()
    time.sleep(1.0)
    judged = sum(sum(record["tally"]["cases"].values()) for record in run.records().values())
    for k, (number, to_all) in enumerate(WAYS[way]):
        time.sleep(0.3 * k)
        run.send(number, to_all)
    output = run.output()
    assert "Traceback" not in output and "KeyboardInterrupt" in output
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    counts = next(line for line in output.splitlines() if " cases: " in line)
    assert int(counts.split()[0]) >= judged > 0 and " 1 disagree" in counts
    assert "its case: .rnndiff/worst.npz" in output
    (saved,) = run.saved()
    name = os.path.basename(saved)
    assert name in output and name in page
    assert output.count("not shrunk to the end") == 1 and "not shrunk to the end" in page
    assert str(load(saved).case.config) in output
    # Nobody is left behind, nor anything to be told by the next run.
    assert run.records() == {}


@pytest.mark.slow
@WORKERS
def test_what_a_killed_run_found_is_told_by_the_next(workers, tmp_path):
    run = Pytest(tmp_path, "-n", workers, seconds=0.2)
    run.shrinks()
    run.send(signal.SIGKILL, to_all=True)
    assert "differential testing" not in run.output()
    (saved,) = run.saved()
    again = Pytest(tmp_path, "-n", "0", "--rnndiff-report", "page.html", "-k", "seq2seq", cases=3)
    output = again.output()
    assert "an earlier run was ended before it could tell" in output
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for name in map(os.path.basename, again.saved()):
        assert name in output and name in page
    assert os.path.basename(saved) in output and "not shrunk to the end" in page
    # It is told once.
    assert "earlier run" not in Pytest(tmp_path, "-k", "seq2seq", cases=3).output()


@pytest.mark.slow
def test_a_run_leaves_alone_what_one_beside_it_is_at(tmp_path):
    run = Pytest(tmp_path, "-n", "1", seconds=0.5)
    run.shrinks()
    beside = Pytest(tmp_path, "-n", "0", "-k", "seq2seq", cases=3).output()
    assert "earlier run" not in beside and "in flight" not in beside
    assert sorted(run.records()) == ["gw0.json", "main.json"]
    run.send(signal.SIGINT)
    assert "not shrunk to the end" in run.output()


@pytest.mark.slow
def test_the_judged_cases_of_a_killed_worker_are_counted(tmp_path):
    run = Pytest(tmp_path, "-n", "1", "-k", "bidirectional or seq2seq", seconds=0.5)
    run.shrinks()
    time.sleep(1.0)
    os.kill(run.records()["gw0.json"]["process"], signal.SIGKILL)
    # The one in its place has nothing left to do. An interruption does not keep it from being told.
    time.sleep(2.0)
    with contextlib.suppress(ProcessLookupError):
        run.send(signal.SIGINT)
    output = run.output()
    counts = next(line for line in output.splitlines() if " cases: " in line)
    # Those of the first test, which it had told of, and of the second, which it had not.
    assert int(counts.split()[0]) > 100 and " 1 disagree" in counts
    assert "1 process was ended" in output
    for saved in run.saved():
        assert os.path.basename(saved) in output


# Hypothesis has a callback of this name, out of which no exception comes.
COLLECTS = """
import gc
import os
import signal

import pytest


def gc_callback(phase, info):
    gc.callbacks.remove(gc_callback)
    os.kill(os.getpid(), signal.SIGINT)


def pytest_runtest_call():
    gc.callbacks.append(gc_callback)
    gc.collect()
"""


@pytest.mark.slow
@WORKERS
def test_an_interruption_that_python_would_ignore_is_not_lost(workers, tmp_path):
    (tmp_path / "collects.py").write_text(COLLECTS)
    options = ["-n", workers, "-p", "collects", "-k", "seq2seq"]
    output = Pytest(tmp_path, *options, cases=300).output()
    assert "KeyboardInterrupt" in output or "keyboard-interrupt" in output
    assert "1 passed" not in output and "Traceback" not in output


SAVES = """
import os


def pytest_runtest_call():
    os.makedirs(".rnndiff/failures")
    with open(".rnndiff/failures/by-nobody.npz", "w"):
        pass
"""


def test_a_file_that_a_process_was_ended_before_it_could_tell_of_is_told(tmp_path):
    (tmp_path / "saves.py").write_text(SAVES)
    options = ["-p", "saves", "-k", "seq2seq", "--rnndiff-report", "page.html"]
    output = Pytest(tmp_path, *options, cases=1).output()
    assert "saved meanwhile, by a process that was ended or by another run" in output
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ".rnndiff/failures/by-nobody.npz" in output and "by-nobody.npz" in page
    assert "by-nobody" not in Pytest(tmp_path, "-k", "seq2seq", cases=1).output()


def test_a_run_without_an_error_or_a_bound_names_no_case_for_it(tmp_path):
    output = Pytest(tmp_path, "-k", "bidirectional", cases=1).output()
    assert "1 cases: 0 agree, 0 undecided, 0 known, 1 disagree" in output
    assert "None" not in output and "its case" not in output


# Where the disk is full, the page cannot be written either; a bug in it is no other matter.
BROKEN = """
from rnndiff.harness.report import page


def write(path, report):
    raise {}


page.write = write
"""


@pytest.mark.parametrize("error", ["OSError(28, 'No space left on device')", "IndexError('a bug')"])
def test_a_page_that_fails_hides_nothing(error, tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN.format(error))
    options = ["-p", "broken", "--rnndiff-report", "page.html", "-k", "bidirectional"]
    output = Pytest(tmp_path, *options, cases=1).output()
    (line,) = [line for line in output.splitlines() if "report is not written" in line]
    assert line.endswith(error.split("'")[1] + ".")
    assert "1 disagree" in output and "failure, told above" in output
    assert "INTERNALERROR" not in output and "Traceback" not in output


def mounted(folder, then):
    """A command that runs what follows it in a file system of its own, where that is allowed."""
    source = str(folder) + "-before"
    shutil.copytree(str(folder), source)
    steps = [
        "mount -t tmpfs -o size=256k tmpfs {}".format(folder),
        "cp -r {}/. {}".format(source, folder),
        "cd {}".format(folder),
        then.format(folder),
        'exec "$@"',
    ]
    return ["unshare", "--mount", "sh", "-c", " && ".join(steps), "sh"]


def can_mount():
    with contextlib.suppress(OSError):
        command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.call(command, stderr=subprocess.DEVNULL) == 0
    return False


THEN = {
    "full": "! dd if=/dev/zero of=fill bs=1k 2>/dev/null",
    "read-only": "mount -o remount,ro {0} {0} && cd {0}",
}


@pytest.mark.slow
@pytest.mark.skipif("not can_mount()", reason="no file system can be mounted")
@WORKERS
@pytest.mark.parametrize("kind", list(THEN))
def test_where_nothing_can_be_written_everything_is_told(kind, workers, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    Pytest(folder, "--version", cases=2).output()
    options = ["-n", workers, "-k", "bidirectional or seq2seq"]
    output = Pytest(folder, *options, cases=2, before=mounted(folder, THEN[kind])).output()
    assert "3 cases: 2 agree, 0 undecided, 0 known, 1 disagree" in output
    assert output.count("\nnot saved: Cannot write") == 1
    assert "subject " in output and "failure, told above: bidirectional-loss" in output
    assert "its case is not saved: Cannot write" in output
    assert "Traceback" not in output and "INTERNALERROR" not in output
