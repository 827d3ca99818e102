"""The project's own tests: rnndiff's plugin, in the profile that CI takes, with shorter options."""

import os

# Before NumPy and TensorFlow are imported: the workers of xdist share the cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# What the tests start prints what a user reads: pytest repeats itself in CI, and colors are codes.
for _name in ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "PYTEST_ADDOPTS", "FORCE_COLOR", "PY_COLORS"):
    os.environ.pop(_name, None)

import pytest

from rnndiff.harness.limits import seconds
from rnndiff.harness.profiles import load_profile

load_profile()

NO_TENSORFLOW = (
    "TensorFlow does not import, so the tests that need it fail; "
    "pytest --without-tensorflow leaves them out."
)


def pytest_addoption(parser):
    parser.addoption("--report", metavar="FILE", help="As --rnndiff-report.")
    parser.addoption(
        "--case-timeout", metavar="SECONDS", help="As --rnndiff-timeout.", type=seconds
    )
    parser.addoption(
        "--without-tensorflow",
        action="store_true",
        help="Skip the tests that need TensorFlow; they fail otherwise, should it not import.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.option.rnndiff_report = config.option.rnndiff_report or config.option.report
    config.option.rnndiff_timeout = config.option.rnndiff_timeout or config.option.case_timeout


@pytest.fixture(scope="session")
def tensorflow(pytestconfig):
    """TensorFlow. What needs it fails where it does not import: skipped, it would seem to pass."""
    if pytestconfig.getoption("--without-tensorflow"):
        pytest.skip("--without-tensorflow")
    from rnndiff.harness.errors import UserError
    from rnndiff.harness.subjects.named import subject_named

    try:
        timeout, mode = (pytestconfig.getoption("--rnndiff-" + x) for x in ("timeout", "mode"))
        return subject_named("tensorflow", timeout, mode)
    except Exception as error:
        # An ImportError comes as a UserError; an unfit protobuf or NumPy raises what it likes.
        named = "{}: {}".format(type(error).__name__, error)
        why = error if isinstance(error, UserError) else named
    pytest.fail("{}\n{}".format(why, NO_TENSORFLOW), pytrace=False)


@pytest.fixture(scope="session")
def subject(tensorflow):
    """What `check` tests."""
    return tensorflow


def pytest_terminal_summary(terminalreporter):
    errors = terminalreporter.stats.get("error", [])
    if any(NO_TENSORFLOW in str(report.longrepr) for report in errors):
        terminalreporter.write_line(NO_TENSORFLOW, red=True)
