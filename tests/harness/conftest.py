"""Makes `examples` importable for the tests beside it, which run commands in this process."""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

_SIGNALS = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]


@pytest.fixture(autouse=True)
def signals():
    """A command that was interrupted ignores signals from then on: a test does not."""
    before = [(number, signal.getsignal(number)) for number in _SIGNALS if number is not None]
    yield
    for number, handler in before:
        signal.signal(number, handler)
