"""The table of kernels: only what was taken can pass."""

import importlib.util
import os
import sys

import pytest

KERNELS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kernels.py")


@pytest.fixture
def kernels(monkeypatch):
    """The module, and a function that runs it with one kernel of a library: the exit status."""
    spec = importlib.util.spec_from_file_location("kernels", KERNELS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def table(taken, *arguments, is_default=False):
        kernel = module.Kernel("openblas", "Haswell", {}, taken, is_default)
        monkeypatch.setattr(module, "LIBRARIES", {"openblas": lambda: [kernel]})
        monkeypatch.setattr(sys, "argv", ["kernels.py"] + list(arguments))
        return module.main()

    return table


PASSES = ["--", "-n", "0", "tests/models/test_layout.py", "-k", "no_rows"]
# To find no test is an error, too.
FAILS = ["--", "-n", "0", "tests/models/test_layout.py", "-k", "no_such_test"]


def test_a_kernel_that_was_taken_passes_or_fails_with_its_tests(kernels, capfd):
    assert kernels("Haswell", "openblas", *PASSES) == 0
    assert "passed in" in capfd.readouterr().out
    assert kernels("Haswell", *FAILS) == 1
    assert "FAILED in" in capfd.readouterr().out


def test_a_kernel_that_was_not_taken_has_passed_nothing(kernels, capfd):
    assert kernels("SIGILL", *PASSES) == 0
    assert kernels("SIGILL", "openblas", *PASSES) == 1
    told = capfd.readouterr().out
    assert "SIGILL" in told and "not taken, nothing tested" in told and "passed in" not in told


def test_a_kernel_that_is_taken_unasked_is_not_tested_twice(kernels, capfd):
    assert kernels("Haswell", *FAILS, is_default=True) == 0
    told = capfd.readouterr().out
    assert "taken unasked" in told and "FAILED" not in told
