"""Run cases on a subject. Whatever comes of one is an outcome: nothing that a subject does escapes.

Each case is handed over as a copy, so a subject that changes it is seen to, and harms nobody; and
it has a time limit, within which Python code of a subject is interrupted. What it prints goes to
the standard error: the other may be that of a result. Code that does not come
back to Python can be stopped by its process alone (``rnndiff.harness.subjects.alone``,
``rnndiff.harness.checking.journal``, and ``rnndiff.harness.checking.fuzz`` with its workers), later
by ``GRACE``.
"""

import contextlib
import os
import signal
import sys
import threading
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.limits import seconds
from rnndiff.harness.numerics.precisions import held
from rnndiff.harness.subjects.subject import TIMEOUT, Subject
from rnndiff.harness.text import printable

GRACE = 10.0
HANG = "Hang"
# Of a process that is not the one that this runs in.
CRASH = "Crash"
NOT_REPEATABLE = "NotRepeatable"
# Whose exceptions steer a test, and are no failures: of `assume`, `skip` and the like.
_TESTING = ("hypothesis", "_pytest", "unittest")


class Outcome(NamedTuple):
    """What came of a case on a subject: a trace, an error or a signal.

    ``trace`` holds arrays of its own, None if there is none. ``error`` is "TYPE: message": what the
    subject raised, "WrongTrace" if it returned no arrays, "ChangedInput" if it changed the case,
    "Hang" if it took too long, "NotRepeatable" if it computed something else before. ``signal``
    names the signal by which it would end the process.
    """

    trace: Optional[Dict[str, np.ndarray]] = None
    error: str = ""
    signal: str = ""

    @property
    def kind(self) -> str:
        """The type of the error, or the signal; empty for a trace."""
        return self.signal or self.error.partition(":")[0]


def name_of_end(exitcode: int) -> str:
    """What ended a process, by its exit code: the name of a signal, "signal-37" or "exit-1"."""
    if exitcode >= 0:
        return "exit-{}".format(exitcode)
    try:
        return signal.Signals(-exitcode).name
    except ValueError:  # Of the real-time ones, two have names.
        return "signal-{}".format(-exitcode)


def outcome_of_end(name: str, timeout: float, progress: str = "") -> Outcome:
    """The outcome of a case that ended a process by a signal or, if `name` is "Hang", hung.

    The progress, if any is known, is how far a hang had come.
    """
    if name == HANG:
        said = "{}: no result after {:g} s".format(HANG, timeout)
        return Outcome(error=printable("; ".join(filter(None, [said, progress]))))
    return Outcome(signal=name)


class Running:
    """A context manager to run cases on a subject, each for `timeout` seconds at most.

    The limit is kept by SIGALRM: in the main thread, where the system has it and nobody else
    handles it. Elsewhere a subject is not interrupted.

    Raises
    ------
    ValueError
        If that is no limit: see :func:`rnndiff.harness.limits.seconds`.
    """

    def __init__(self, subject: Subject, timeout: float = TIMEOUT) -> None:
        self._subject, self._timeout = subject, seconds(timeout)
        self._limited = self._is_late = False

    def __enter__(self) -> "Running":
        if (
            hasattr(signal, "setitimer")
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
        ):
            self._limited = True
            signal.signal(signal.SIGALRM, self._interrupt)
        return self

    def __exit__(self, *error: Any) -> None:
        # A subject may have come to handle it.
        if self._limited and signal.getsignal(signal.SIGALRM) == self._interrupt:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._limited = False

    def __call__(self, case: Case) -> Outcome:
        """The outcome of a case."""
        copy = case.copy()
        arrays = dict(copy.arrays)
        try:
            name = self._subject.ended_by(case)
            if name:
                return outcome_of_end(name, self._timeout)
            # What it sets of NumPy's error handling is its own. That all is set back is no part of
            # what is timed: it is not to be interrupted.
            with np.errstate(), contextlib.redirect_stdout(sys.stderr):
                try:
                    self._start()
                    trace = _arrays(self._subject(copy))
                finally:
                    self._stop()
        except TimeIsUp as late:
            # It may have come while the clock was being stopped.
            self._stop()
            return outcome_of_end(HANG, self._timeout, str(late))
        except BaseException as error:
            if not _is_of_subject(error):
                raise
            return Outcome(error=_in_words(error))
        if self._is_late:
            # It caught the interruption, and came to an end all the same.
            return outcome_of_end(HANG, self._timeout)
        changed = _changed(case.arrays, arrays)
        if changed:
            return Outcome(error="ChangedInput: it changed {} of the case".format(_listed(changed)))
        return Outcome(trace)

    def _interrupt(self, number: int, frame: Any) -> None:
        self._is_late = True
        raise TimeIsUp

    def _start(self) -> None:
        self._is_late = False
        if self._limited:
            # Once more every second, should the subject have caught it.
            signal.setitimer(signal.ITIMER_REAL, self._timeout, 1.0)

    def _stop(self) -> None:
        if self._limited:
            signal.setitimer(signal.ITIMER_REAL, 0.0)


def run(subject: Subject, case: Case, timeout: float = TIMEOUT) -> Outcome:
    """The outcome of one case."""
    with Running(subject, timeout) as running:
        return running(case)


def not_repeatable(before: Outcome, again: Outcome) -> Optional[Outcome]:
    """The outcome of a case that came out differently when it was run again; None if it did not.

    The same are arrays that are the same bit for bit, but for the bits of a NaN, and errors of one
    type. A hang or a signal is no such thing: a busy machine, a pause, or somebody who ends the
    process may be its cause.
    """
    if before.kind or again.kind:
        from_without = before.signal or again.signal or HANG in (before.kind, again.kind)
        if before.kind == again.kind or from_without:
            return None
        outcomes = " and ".join(each.error or each.kind or "a trace" for each in (before, again))
        what = "had another outcome ({})".format(outcomes)
    else:
        # One that only one of the two has is none that is judged.
        names = sorted(set(before.trace or {}) & set(again.trace or {}), key=str)
        names = [name for name in names if not _same(before, again, name)]
        if not names:
            return None
        what = "gave other numbers in {}".format(_listed(names))
    said = (
        "{}: a second call on the same case {}: something is kept from one call to the next, or "
        "memory is read before it is written; a subject that may do so says repeatable = False"
    )
    return Outcome(error=said.format(NOT_REPEATABLE, what))


def _same(before: Outcome, again: Outcome, name: str) -> bool:
    one, other = before.trace[name], again.trace[name]  # type: ignore[index]
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    # What is no number is wrong in itself, and its bits may be addresses.
    if one.tobytes() == other.tobytes() or one.dtype.kind not in "biufc":
        return True
    nan = np.isnan(one)
    return bool(
        np.array_equal(nan, np.isnan(other)) and one[~nan].tobytes() == other[~nan].tobytes()
    )


class TimeIsUp(BaseException):
    """Interrupts a subject that hangs; its text, if it is given one there, says how far that came.

    No Exception: a subject may catch those.
    """


def _is_of_subject(error: BaseException) -> bool:
    """Whether an exception is a failure of the subject; Ctrl-C, for one, is not."""
    # Not its own module alone: pytest's say that they are of `builtins`.
    modules = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    others = UserError, KeyboardInterrupt, GeneratorExit
    return not isinstance(error, others) and modules.isdisjoint(_TESTING)


def _in_words(error: BaseException) -> str:
    """Type, message and place of an exception, in one line that can be printed anywhere."""
    kind = printable(type(error).__name__, 80)
    try:
        message = str(error)
    except Exception as another:
        message = "no message, for {}".format(type(another).__name__)
    if isinstance(error, SubjectError):
        named = message.partition(":")[0].isidentifier()
        return printable(message if named else "{}: {}".format(kind, message))
    text = printable(" ".join(message.split()))
    traceback = error.__traceback__
    # The first frame is this module's own.
    if traceback is not None and traceback.tb_next is not None:
        while traceback.tb_next is not None:
            traceback = traceback.tb_next
        place = os.path.basename(traceback.tb_frame.f_code.co_filename)
        text = "{} (line {} of {})".format(text, traceback.tb_lineno, place).strip()
    return "{}: {}".format(kind, text)


def _arrays(result: Any) -> Dict[str, np.ndarray]:
    """Copies of the arrays of a trace: a port may write its next one into the same."""
    if not isinstance(result, Mapping):
        raise SubjectError("WrongTrace: it is no dict of arrays, but {!r}".format(type(result)))
    arrays: Dict[str, np.ndarray] = {}
    wrong: List[str] = []
    for name, value in result.items():
        try:
            arrays[name] = held(np.array(value))
        except Exception as error:
            wrong.append("{!r} ({})".format(name, type(error).__name__))
    if wrong:
        raise SubjectError("WrongTrace: no arrays can be made of {}".format(", ".join(wrong)))
    return arrays


def _changed(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> Tuple[str, ...]:
    """The names of the arrays that are not the same bit for bit."""
    if _bits(before) == _bits(after):
        return ()
    return tuple(name for name in before if before[name].tobytes() != after[name].tobytes())


def _bits(arrays: Mapping[str, np.ndarray]) -> bytes:
    return b"".join([array.tobytes() for array in arrays.values()])


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))
