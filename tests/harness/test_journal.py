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
import os
import signal

import pytest
from examples import random_case


@pytest.mark.parametrize("number", range(4))
def test_it(number, check, tensorflow, monkeypatch):
    case = random_case("seq2seq", seed=number)

    def ended(case):
        os.kill(os.getpid(), signal.{signal})

    if number == 2:
        monkeypatch.setattr(type(tensorflow), "__call__", lambda self, case: ended(case))
    check([case])
"""


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
@pytest.mark.parametrize("workers", [["-n", "2"], ["-p", "no:xdist"]])
def test_pytest_keeps_the_case_in_flight_of_a_process_that_is_ended(name, workers, tmp_path):
    shutil.copy(os.path.join(ROOT, "conftest.py"), str(tmp_path))
    shutil.copy(os.path.join(ROOT, "tests", "harness", "examples.py"), str(tmp_path))
    (tmp_path / "test_it.py").write_text(ENDS_ITSELF.format(signal=name))
    environment = dict(os.environ, PYTHONPATH=ROOT)
    environment.pop("PYTEST_XDIST_WORKER", None)

    def pytest_again(*arguments):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"] + list(arguments)
        run = subprocess.run(
            command, cwd=str(tmp_path), env=environment, stdout=subprocess.PIPE, text=True
        )
        return run.stdout

    told = pytest_again(*workers)
    if workers[0] != "-n":
        # The only process was ended: the next run tells.
        told = pytest_again("-k", "it[0]")
    assert "in flight when a process was ended" in told
    (kept,) = (tmp_path / ".rnndiff" / "failures").glob("in-flight-*.npz")
    assert str(kept.name) in told
    assert np.array_equal(load(str(kept)).case.inputs, random_case("seq2seq", seed=2).inputs)
