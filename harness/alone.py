"""A process of its own for cases that may end it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any, List, NamedTuple, Optional

from harness.case import Case, load, save

_COMPUTED = b"computed\n"


class Ending(NamedTuple):
    """A case that ended its process, and the name of the signal by which it did."""

    case: Case
    signal: str


class Alone:
    """A process that computes cases on TensorFlow, and is replaced when one of them ends it.

    A context manager: the process ends with it.
    """

    def __init__(self) -> None:
        self._process: Any = None

    def __enter__(self) -> "Alone":
        self._folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()

    def ended_by(self, case: Case) -> Optional[str]:
        """The signal by which TensorFlow ends the process in computing `case`, or None."""
        path = os.path.join(self._folder.name, "case.npz")
        save(path, case)
        process = self._process = self._process or _start()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write((path + "\n").encode())
            process.stdin.flush()
        # What a library may have printed is no answer.
        if any(line == _COMPUTED for line in iter(process.stdout.readline, b"")):
            return None
        self._process = None
        process.communicate()
        if process.returncode >= 0:
            raise RuntimeError(
                "harness.alone failed with exit status {}".format(process.returncode)
            )
        return signal.Signals(-process.returncode).name


def _start() -> Any:
    # In a session of its own, Ctrl-C does not reach it.
    return subprocess.Popen(
        [sys.executable, "-m", "harness.alone"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def ended_by(case: Case) -> Optional[str]:
    """The signal by which TensorFlow ends the process that it computes `case` in, or None."""
    ending = first_ending([case])
    return ending.signal if ending else None


def first_ending(cases: List[Case]) -> Optional[Ending]:
    """The first of some cases by which TensorFlow ends the process that computes them in turn."""
    with Alone() as alone:
        for case in cases:
            name = alone.ended_by(case)
            if name:
                return Ending(case, name)
    return None


def _main() -> None:
    from harness.errors import SubjectError
    from harness.subjects.tensorflow import TensorFlow

    subject = TensorFlow()
    for line in sys.stdin:
        try:
            subject(load(line.rstrip("\n")).case)
        except SubjectError:
            pass
        print(_COMPUTED.decode(), end="", flush=True)


if __name__ == "__main__":
    _main()
