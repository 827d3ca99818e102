"""Making a record, in a process of its own, which a case may end.

The process computes and judges one group of cases after the other, and tells of every case. If a
case ends it, that is what came of the case, and another process goes on with the next one.
"""

import math
import multiprocessing
import os
import traceback
from hashlib import sha256
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.fixed import digest, fixed_group
from rnndiff.harness.checking.verdicts import verdict_on, verdict_on_ending
from rnndiff.harness.errors import UserError
from rnndiff.harness.records.record import UNJUDGED, Computed
from rnndiff.harness.records.result import CaseResult, result_of
from rnndiff.harness.stop import Stop, without_signals_of_a_terminal
from rnndiff.harness.subjects.named import import_object, subject_named
from rnndiff.harness.subjects.orphans import end_with
from rnndiff.harness.subjects.run import GRACE, HANG, name_of_end, run
from rnndiff.harness.subjects.statements import statement_of, supported
from rnndiff.harness.subjects.subject import TENSORFLOW, Subject
from rnndiff.harness.text import printable
from rnndiff.models import load_modules, modules

Arrays = Dict[str, np.ndarray]

# Seconds between two looks at the process, and at whether to stop.
_LOOKS_EVERY = 0.1


class Task(NamedTuple):
    """What is recorded.

    ``subject`` is the name of one, in a ``mode``; or with ``inputs`` that of a function, as
    MODULE:FUNCTION, which takes the arrays of each case by their names. ``timeout`` are the seconds
    that it has for each case.
    """

    subject: str
    mode: str
    timeout: float
    inputs: Optional[Sequence[Arrays]] = None


class _About(NamedTuple):
    """What is known of a group before it is computed."""

    config: str
    numbers: int
    digest: str
    cases: int
    supported: bool


class Recorder:
    """A context manager that computes groups of the fixed set, or a function.

    Parameters
    ----------
    task : Task
    stop : Stop
        The wish to end, looked at after every case.

    Attributes
    ----------
    notes : dict of str to str
        What the subject says of itself: label and premise; known once something is computed.
    """

    def __init__(self, task: Task, stop: Stop) -> None:
        self._task, self._stop = task, stop
        self._process: Any = None
        self._end: Any = None
        self.notes: Dict[str, str] = {}

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._process:
            self._process.kill()
            self._process.join()

    def compute(self, jobs: Sequence[Tuple[str, int]]) -> Iterator[Computed]:
        """Compute groups, each named by a model and a number, until it is to end.

        Raises
        ------
        UserError
            If there is no such subject or function.
        """
        for name, number in jobs:
            about: Optional[_About] = None
            came: List[CaseResult] = []
            while about is None or len(came) < about.cases:
                about = None
                try:
                    if not self._process:
                        self._start()
                    self._end.send((name, number, len(came)))
                    about = self._hear()
                    while len(came) < about.cases:
                        came.append(self._hear(self._task.timeout + GRACE))
                except (EOFError, OSError) as error:
                    # Those who asked for the end may have ended it, too.
                    if self._stop.signal:
                        return
                    how = self._end_of_process(HANG in error.args)
                    if about is None:
                        said = "Group {} of {} ended its process ({}) before its first case."
                        raise UserError(said.format(number, name, how))
                    came.append(self._ended(name, number, len(came), how))
            yield _computed(name, number, about, came)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, theirs = context.Pipe()
        arguments = (theirs, self._task, os.getpid(), modules())
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        with without_signals_of_a_terminal():
            self._process.start()
        theirs.close()
        try:
            # What making the subject takes, such as the import of TensorFlow, has no limit.
            self.notes = self._hear()
        except (EOFError, OSError):
            if self._stop.signal:
                raise
            raise UserError(
                "Nothing is recorded: making {} ended the process ({}).".format(
                    self._task.subject, self._end_of_process()
                )
            )

    def _hear(self, seconds: float = math.inf) -> Any:
        """What the process says next; an EOFError if it is gone, too late, or all is to end."""
        waited = 0.0
        # By looks, not by a clock: Ctrl-Z stops both processes.
        while not self._end.poll(_LOOKS_EVERY):
            waited += _LOOKS_EVERY
            if self._stop.signal:
                raise EOFError
            # Python code that hangs is interrupted there.
            if waited > seconds:
                self._process.kill()
                raise EOFError(HANG)
        message = self._end.recv()
        if self._stop.signal:
            raise EOFError
        if isinstance(message, UserError):
            raise message
        return message

    def _end_of_process(self, hung: bool = False) -> str:
        """By what the process ended, which is gone then."""
        self._process.join()
        code, self._process = self._process.exitcode, None
        return HANG if hung else name_of_end(code)

    def _ended(self, name: str, number: int, place: int, how: str) -> CaseResult:
        """What came of the case that ended the process."""
        if self._task.inputs is not None:
            return CaseResult({}, {}, "{}: the process was ended".format(how), [])
        case = fixed_group(name, number).cases[place]
        verdict = verdict_on_ending(case, how, timeout=self._task.timeout)
        return CaseResult({}, {}, verdict.error, [])


def _computed(name: str, number: int, about: _About, came: List[CaseResult]) -> Computed:
    errors: List[str] = []
    first: Any = None
    for each in came:
        kinds = [(n, a.shape, a.dtype) for n, a in each.trace.items()]
        first = first or kinds
        unlike = bool(not each.error and kinds != first)
        errors.append("WrongTrace: it is not like that of another case" if unlike else each.error)
    traces = [each for each, error in zip(came, errors) if not error]
    names = list(traces[0].trace) if traces else []
    return Computed(
        name,
        number,
        about.config,
        about.numbers,
        about.digest,
        about.supported,
        errors,
        [each.known for each in came],
        {n: np.stack([each.trace[n] for each in traces]) for n in names},
        {n: np.stack([each.codes[n] for each in traces]) for n in names},
    )


def _work(end: Any, task: Task, parent: int, names: List[str]) -> None:
    """The process: compute what is asked for until the parent is gone."""
    end_with(parent)
    try:
        load_modules(names)
        hands: Any = _OfSubject(task) if task.inputs is None else _OfFunction(task)
        end.send(hands.notes)
        for name, number, begin in iter(end.recv, None):
            for message in hands.compute(name, number, begin):
                end.send(message)
    except UserError as error:
        end.send(error)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except Exception:
        traceback.print_exc()
        end.send(UserError("Recording failed by itself; its error stands above."))


class _OfSubject:
    """Computes groups of the fixed set on a subject."""

    def __init__(self, task: Task) -> None:
        self._timeout = task.timeout
        self._subject = subject_named(task.subject, task.timeout, task.mode)
        self.notes = {
            "subject": statement_of(self._subject, "label"),
            "premise": statement_of(self._subject, "premise"),
        }
        if task.subject != TENSORFLOW:
            modes = self._subject.modes
            self.notes["mode"] = self._subject.mode or next(iter(modes), "")

    def compute(self, name: str, number: int, begin: int) -> Iterator[Any]:
        """What is known of the group, then what came of each case."""
        cases = fixed_group(name, number).cases
        numbers = sum(array.size for array in cases[0].arrays.values())
        is_supported = supported(self._subject, cases[0])
        count = len(cases) if is_supported else 0
        yield _About(str(cases[0].config), numbers, digest(cases), count, is_supported)
        for case in cases[begin:count]:
            yield _result_of(
                self._subject, case.of_precision(self._subject.precision), self._timeout
            )


def _result_of(subject: Subject, case: Case, timeout: float) -> CaseResult:
    verdict, trace = verdict_on(subject, case, timeout)
    return result_of(case, verdict, trace, subject.known)


class _Given:
    """Arrays for a function, as a case is for a subject."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    def copy(self) -> "_Given":
        """The same with arrays of its own."""
        return _Given({name: array.copy() for name, array in self.arrays.items()})


class _Function(Subject):
    """A function that takes arrays by name, as a subject."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, case: Any) -> Arrays:
        """What it returns, by names."""
        result = self._function(**case.arrays)
        if isinstance(result, Mapping):
            return {str(name): np.asarray(array) for name, array in result.items()}
        if isinstance(result, (tuple, list)):
            return {"output_{}".format(k): np.asarray(each) for k, each in enumerate(result)}
        return {"output": np.asarray(result)}


class _OfFunction:
    """Computes a function of a user's own."""

    def __init__(self, task: Task) -> None:
        function = import_object(task.subject, "function", "MODULE:FUNCTION")
        if not callable(function):
            raise UserError("{} is no function.".format(task.subject))
        self._function, self._timeout = _Function(function), task.timeout
        self._inputs = task.inputs or ()
        self.notes = {"subject": task.subject, "premise": "", "mode": ""}

    def compute(self, name: str, number: int, begin: int) -> Iterator[Any]:
        """What is known of the inputs, then what came of them."""
        found = sha256()
        for inputs in self._inputs:
            for key, array in sorted(inputs.items()):
                found.update("{} {} {}".format(key, array.dtype.str, array.shape).encode())
                found.update(array.tobytes())
        first = self._inputs[0]
        shapes = ", ".join("{} {}".format(key, list(a.shape)) for key, a in first.items())
        numbers = sum(array.size for array in first.values())
        yield _About(shapes, numbers, found.hexdigest(), len(self._inputs), True)
        for inputs in self._inputs[begin:]:
            yield self._computed(inputs)

    def _computed(self, inputs: Arrays) -> CaseResult:
        given: Any = _Given(inputs)
        outcome = run(self._function, given, self._timeout)
        trace = outcome.trace or {}
        unfit = [key for key, array in trace.items() if array.dtype.kind not in "fiub"]
        error = outcome.error or outcome.signal
        if unfit:
            kind = trace[unfit[0]].dtype
            error = "WrongTrace: {!r} holds no real numbers, but {}".format(unfit[0], kind)
        elif not trace and not error:
            error = "WrongTrace: it returns no arrays"
        if error:
            return CaseResult({}, {}, printable(error), [])
        codes = {key: np.full(array.shape, UNJUDGED, np.uint8) for key, array in trace.items()}
        return CaseResult(trace, codes, "", [])
