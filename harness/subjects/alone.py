"""A process of its own for cases that may end it."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from rnndiff.harness.cases.case import Case, load, save
from rnndiff.harness.errors import UserError
from rnndiff.harness.subjects.run import HANG, name_of_end
from rnndiff.harness.subjects.subject import TENSORFLOW, TIMEOUT
from rnndiff.models import load_modules, modules

_READY = b"ready\n"
# The exit status of a process that failed without a case.
FAILED = 70
_COMPUTED = b"computed\n"
# It failed without a case; a subject may exit with the same status in one.
_UNABLE = b"unable\n"
# With the modules that this process has: `python -m` would look into the working folder first.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[5:]; from rnndiff.harness.subjects import orphans; "
    "orphans.end_with(int(sys.argv[1])); "
    "from rnndiff.harness.subjects.alone import main; main(*sys.argv[2:5])"
)


class Ending(NamedTuple):
    """A case that ended its process, and the name of the signal by which it did, or "Hang"."""

    case: Case
    signal: str


class Alone:
    """A process that computes cases on a subject, and is replaced when one of them ends it.

    A context manager: the process ends with it. Each case has `timeout` seconds. The subject is
    named as on a command line, with its mode: see
    :func:`rnndiff.harness.subjects.named.subject_named`.
    """

    def __init__(self, timeout: float = TIMEOUT, subject: str = TENSORFLOW, mode: str = "") -> None:
        self._timeout, self._subject, self._mode = timeout, subject, mode
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
        """The signal by which the subject ends the process in computing `case`, or None.

        "Hang" if it does not come to an end: then the process is ended from here.

        Raises
        ------
        UserError
            If the subject cannot be made there.
        """
        path = os.path.join(self._folder.name, "case.npz")
        save(path, case)
        process = self._process = self._process or _start(self._subject, self._mode)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write((path + "\n").encode())
            process.stdin.flush()
        hung = threading.Event()

        def end() -> None:
            hung.set()
            process.kill()

        clock = threading.Timer(self._timeout, end)
        clock.daemon = True
        clock.start()
        try:
            said = _heard(process)
        finally:
            clock.cancel()
        if said == _COMPUTED and not hung.is_set():
            return None
        self._process = None
        process.communicate()
        if hung.is_set():
            return HANG
        if said == _UNABLE:
            raise _cannot_be_made(self._subject)
        return name_of_end(process.returncode)


class Alones:
    """Such processes, one for each subject and mode that is asked for. A context manager."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout, self._stack = timeout, contextlib.ExitStack()
        self._made: Dict[Tuple[str, str], Alone] = {}
        # Of what cannot be made, no second process is started for the next case.
        self._unable: Dict[Tuple[str, str], UserError] = {}

    def __enter__(self) -> "Alones":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def ended_by(self, case: Case, subject: str, mode: str) -> Optional[str]:
        """The signal by which a subject in a mode ends the process, as of :class:`Alone`."""
        which = subject, mode
        if which in self._unable:
            raise self._unable[which]
        if which not in self._made:
            self._made[which] = self._stack.enter_context(Alone(self._timeout, *which))
        try:
            return self._made[which].ended_by(case)
        except UserError as error:
            self._unable[which] = error
            raise


def _heard(process: Any) -> bytes:
    """What a process answers next; nothing if it comes to its end before."""
    answers = _READY, _COMPUTED, _UNABLE
    return next((each for each in iter(process.stdout.readline, b"") if each in answers), b"")


def _cannot_be_made(subject: str) -> UserError:
    said = "{} cannot be made in a process of its own, for cases that may end it."
    return UserError(said.format(subject))


def _start(subject: str, mode: str) -> Any:
    paths = map(os.path.abspath, sys.path)
    arguments = [str(os.getpid()), subject, mode, ",".join(modules()), *paths]
    # In a session of its own, Ctrl-C does not reach it.
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # What making the subject takes, such as the import of TensorFlow, is in no case's time.
    if _heard(process) != _READY:
        process.communicate()
        raise _cannot_be_made(subject)
    return process


def ended_by(
    case: Case, timeout: float = TIMEOUT, subject: str = TENSORFLOW, mode: str = ""
) -> Optional[str]:
    """The signal by which a subject ends the process that it computes `case` in, or None.

    "Hang" if it is not done after `timeout` seconds.
    """
    endings = first_endings([case], timeout, subject, mode)
    return endings[0].signal if endings else None


def first_endings(
    cases: List[Case],
    timeout: float = TIMEOUT,
    subject: str = TENSORFLOW,
    mode: str = "",
    most: int = 1,
    hangs: int = 1,
) -> List[Ending]:
    """The first of some cases by which a subject ends the process that computes them in turn.

    And those that do so right after it, up to `most` in all, of which `hangs` may hang.
    """
    endings: List[Ending] = []
    with Alone(timeout, subject, mode) as alone:
        for case in cases:
            name = alone.ended_by(case)
            if name:
                endings.append(Ending(case, name))
            elif endings:
                break
            if len(endings) >= most or sum(each.signal == HANG for each in endings) >= hangs:
                break
    return endings


def main(name: str, mode: str, names: str) -> None:
    """Compute the cases whose files are named on standard input, one after the other.

    The modules are those that register the models, with commas between them.
    """
    from rnndiff.harness.subjects.named import subject_named

    # What a library or the subject prints, a part of a line, say, is no answer.
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        load_modules(names.split(","))
        subject = subject_named(name, mode=mode)
        os.write(answers, _READY)
        for line in sys.stdin:
            case = load(line.rstrip("\n")).case
            # A subject may ask for its exit, too.
            with contextlib.suppress(BaseException):
                subject(case)
            os.write(answers, _COMPUTED)
    except Exception:
        with contextlib.suppress(OSError):
            os.write(answers, _UNABLE)
        sys.exit(FAILED)
