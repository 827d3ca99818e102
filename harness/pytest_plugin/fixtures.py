"""What differential tests ask for: the subject, and a function that checks cases on it."""

from typing import Any

import pytest

from rnndiff.harness.pytest_plugin.beginning import begin


@pytest.fixture(scope="session")
def subject(pytestconfig: Any) -> Any:
    """What `check` tests: what --rnndiff-subject and --rnndiff-mode name, or TensorFlow.

    A `conftest.py` or a module that has a fixture of this name, of the scope of a module or a
    session, tests another one.
    """
    from rnndiff.harness.errors import UserError
    from rnndiff.harness.subjects.named import subject_named
    from rnndiff.harness.subjects.subject import TENSORFLOW

    name, timeout, mode = (
        pytestconfig.getoption("--rnndiff-" + option) for option in ("subject", "timeout", "mode")
    )
    try:
        return subject_named(name or TENSORFLOW, timeout, mode)
    except UserError as error:
        why = str(error)
    pytest.fail(why, pytrace=False)


@pytest.fixture(scope="module")
def rnndiff_check(subject: Any, pytestconfig: Any) -> Any:
    """A function that fails unless the subject agrees with the oracle on each of some cases."""
    return begin(pytestconfig).check_on(subject)


@pytest.fixture(scope="module")
def check(rnndiff_check: Any) -> Any:
    """The same, where pytest-check is not installed, which has a fixture of this name."""
    return rnndiff_check
