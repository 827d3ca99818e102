"""A process that is ended in the middle of a case loses nothing."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from examples import Float32Port, random_case

from harness.case import load
from harness.journal import Journaled, close, keep

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENDS_ITSELF = """
import collections
import itertools
import os
import signal

import pytest
from examples import random_case


@pytest.mark.parametrize("number", range(4))
def test_it(number, check, tensorflow, monkeypatch):
    case = random_case("seq2seq", seed=number)

    def ended(case):
        {ends}

    if number == 2:
        monkeypatch.setattr(type(tensorflow), "__call__", lambda self, case: ended(case))
    check([case])
"""


def test_what_is_journaled_states_what_the_subject_does(tmp_path):
    class Port(Float32Port):
        known, repeatable, called = ("an entry",), False, 0

        def __call__(self, case):
            self.called += 1
            return Float32Port.__call__(self, case)

        def ended_by(self, case):
            return "SIGSEGV"

    port, case = Port(), random_case("seq2seq")
    journaled = Journaled(port, str(tmp_path / "flight.npz"))
    assert journaled.known == port.known and journaled.repeatable is False
    assert journaled.label == "Port" and journaled.ended_by(case) == "SIGSEGV"
    assert journaled.arithmetic(case) == port.arithmetic(case)
    fresh = journaled.fresh()
    fresh(case)
    assert port.called == 0 and os.path.exists(str(tmp_path / "flight.npz"))
    # TensorFlow has nothing to forget, and its graphs are dear.
    port.fresh = lambda: port
    assert journaled.fresh() is journaled


def test_the_case_in_flight_is_on_disk_while_the_subject_computes_it(tmp_path):
    path, case, seen = str(tmp_path / "flight.npz"), random_case("seq2seq"), []

    class Looks(Float32Port):
        def __call__(self, case):
            seen.append(load(path).case)
            return Float32Port.__call__(self, case)

    Journaled(Looks(), path)(case)
    assert np.array_equal(seen[0].inputs, case.inputs)
    close(path)
    assert not os.path.exists(path) and keep(path, str(tmp_path)) is None


# No signal interrupts it: it does not come back to Python.
HANG = "collections.deque(itertools.repeat(0), maxlen=0)"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "hang"])
@pytest.mark.parametrize("workers", [["-n", "2"], ["-p", "no:xdist"]])
def test_pytest_keeps_the_case_in_flight_of_a_process_that_is_ended(name, workers, tmp_path):
    shutil.copy(os.path.join(ROOT, "conftest.py"), str(tmp_path))
    shutil.copy(os.path.join(ROOT, "tests", "harness", "examples.py"), str(tmp_path))
    ends = HANG if name == "hang" else "os.kill(os.getpid(), signal.{})".format(name)
    (tmp_path / "test_it.py").write_text(ENDS_ITSELF.format(ends=ends))
    environment = dict(os.environ, PYTHONPATH=ROOT)
    environment.pop("PYTEST_XDIST_WORKER", None)

    def pytest_again(*arguments):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--case-timeout=10"]
        run = subprocess.run(
            command + list(arguments),
            cwd=str(tmp_path),
            env=environment,
            capture_output=True,
            text=True,
        )
        return run.stdout, run.stderr

    told, errors = pytest_again(*workers)
    if name == "hang":
        assert "Timeout (0:00:20)!" in errors and "in ended" in errors
    if workers[0] != "-n":
        # The only process was ended: the next run tells.
        told, _ = pytest_again("-k", "it[0]")
    assert "in flight when a process was ended" in told
    (kept,) = (tmp_path / ".rnndiff" / "failures").glob("in-flight-*.npz")
    assert str(kept.name) in told
    assert np.array_equal(load(str(kept)).case.inputs, random_case("seq2seq", seed=2).inputs)
