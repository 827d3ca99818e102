"""What is drawn: the same in CI, something else in every process when exploring."""

import os
import shutil
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WRITES_DOWN = """
import os

from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 2**64))
def test_it(number):
    with open(os.environ["PYTEST_XDIST_WORKER"], "a") as file:
        file.write("{} ".format(number))
"""


@pytest.mark.slow
@pytest.mark.parametrize("profile, alike", [("default", True), ("thorough", False)])
def test_workers_draw_the_same_in_ci_and_not_when_exploring(profile, alike, tmp_path):
    shutil.copy(os.path.join(ROOT, "conftest.py"), str(tmp_path))
    (tmp_path / "test_it.py").write_text(WRITES_DOWN)
    # With --dist=each, every worker runs every test.
    options = ["--tx=2*popen", "--dist=each", "--hypothesis-profile=" + profile]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"] + options
    run = subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.PIPE)
    assert run.returncode == 0, run.stdout
    one, other = ((tmp_path / name).read_text().split() for name in ("gw0", "gw1"))
    assert len(one) == len(other) > 1
    assert (one == other) == alike
