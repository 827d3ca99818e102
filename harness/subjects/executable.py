"""A program as a subject: a process that reads cases and writes what it computes of them.

``examples/README.md`` says what is read and written. The program is started without a shell, and
nothing that it writes is taken for more than arrays of names and shapes that the case has: memory
is taken for those alone, and for a line of each. Nothing is read from what it is given, either.
"""

import contextlib
import os
import re
import selectors
import shlex
import signal
import subprocess
import threading
import time
import warnings
import weakref
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.files import numbers_in
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.orphans import ending_with_this
from rnndiff.harness.subjects.port import UNNAMED, WRONG, about_empty_sizes, defaults
from rnndiff.harness.subjects.run import CRASH, HANG, TimeIsUp, name_of_end, outcome_of_end
from rnndiff.harness.subjects.subject import COMMAND, Subject
from rnndiff.harness.text import printable
from rnndiff.models import Model
from rnndiff.models.layout import options_in

# Of the numbers in an answer, with the names of NumPy; all are little-endian.
_DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("float32", "float64", "float16", "int32", "int64")
}
_ARRAY = b"array "
_LINE = re.compile(r"array (\S+) (\S+)((?: \d{1,9})*) *$")
# Characters of a line of an answer, and of what is shown of one.
_MOST_LINE, _SHOWN = 1000, 60
# Bytes that are read or written at once, and of the standard error that are kept.
_CHUNK, _MOST_ERRORS = 2**16, 2**14
# How often the standard error is read at once.
_READS = 16
# Lines of the standard error that are shown, and characters of them.
_LINES, _MOST_SHOWN = 5, 400
# Seconds that a program which has closed its output may take to exit.
_EXITS = 5.0
# Exit statuses by which shells, `env` and loaders say that a program cannot be run.
_CANNOT_RUN = 126, 127


class Executable(Subject):
    """A program in any language, which is given many cases.

    Its crash, a hang and an answer in a wrong form are findings, with the last lines of its
    standard error; then it is started again. So it is if it exits with the status 0 between two
    cases. It ends with this object, and on Linux with this process, whatever ends that.

    Parameters
    ----------
    command : str
        The program, found on PATH or by its path, and its arguments, quoted as for a shell.
    stated : Arithmetic, optional
        What it computes in; by default float32, of which nothing else is stated.

    Raises
    ------
    UserError
        If this is no command; and from a call, if the program cannot be started.
    """

    def __init__(self, command: str, stated: Optional[Arithmetic] = None) -> None:
        self._command = command
        self._stated = stated or arithmetic("float32")
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UserError("The command {} cannot be read: {}.".format(printable(command), error))
        if not self._words:
            raise UserError("There is no program in the command {!r}: name one.".format(command))
        self.name = COMMAND + command
        self._process: Optional[_Process] = None

    def fresh(self) -> Subject:
        """Another process of the program."""
        other = Executable(self._command, self._stated)
        other.timeout = self.timeout
        return other

    @property
    def label(self) -> str:
        """The command."""
        return self._command

    def knows(self, model: Model) -> Dict[str, Any]:
        """The options, with their values, that keep their defaults: all."""
        return defaults(model, ())

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """What the program answers to a case.

        Raises
        ------
        SubjectError
            If it crashes, hangs, or its answer has a wrong form.
        UserError
            If it cannot be started.
        """
        answer, content = _Answer(case), written(case)
        while True:
            process = self._process = self._process or _Process(self._words)
            try:
                process.exchange(content, answer, self.timeout)
                return answer.arrays()
            except TimeIsUp as late:
                self._end()
                late.args = (answer.progress(hangs=True),)
                raise
            except _Ended as end:
                self._end()
                # It computes one case, or some, and that is all that it does.
                if not (end.status == 0 and process.answers and not answer.has_begun):
                    raise end.told(answer, process.answers) from None
            except BaseException:
                self._end()
                raise

    def arithmetic(self, case: Case) -> Arithmetic:
        """As stated."""
        return self._stated

    def advice(self, case: Case) -> str:
        """How not to be asked for empty arrays."""
        return about_empty_sizes(case)

    def _end(self) -> None:
        if self._process:
            self._process.end()
        self._process = None


def written(case: Case) -> bytes:
    """A case as a program reads it: a header of lines, and the numbers of all arrays."""
    model, config = case.model, case.config
    lines = ["model {}".format(_word(model.name))]
    lines += ["size {} {}".format(name, size) for name, size in config.sizes().items()]
    for name in options_in(config):
        lines.append("option {} {}".format(name, _value(getattr(config, name))))
    arrays = [case.arrays[field.name] for field in model.fields(config)]
    for field, array in zip(model.fields(config), arrays):
        shape = map(str, array.shape)
        lines.append(" ".join(["array", _word(field.name), array.dtype.name, *shape]))
    numbers = [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays]
    return "\n".join(lines + ["", ""]).encode("utf-8") + b"".join(numbers)


def _word(name: str) -> str:
    """A name without spaces."""
    return re.sub(r"\s", "_", name)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return _word(str(int(value) if isinstance(value, bool) else value))


class _Ended(Exception):
    """The program closed its output, with what status it exited, and what it wrote last."""

    def __init__(self, status: Optional[int], errors: bytes) -> None:
        super().__init__(status)
        self.status, self._errors = status, errors

    def told(self, answer: "_Answer", answers: int) -> Exception:
        """The error that this is: of the subject, or of the user if it could not be run."""
        lines = self._errors.decode("utf-8", "replace").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        # A sanitizer ends with many lines about memory, but says in this one what it has found.
        lines = [x for x in lines if x.startswith("SUMMARY: ")] or lines[-_LINES:]
        said = printable(" | ".join(lines))[-_MOST_SHOWN:]
        wrote = "its standard error ends with: {}".format(said) if said else ""
        if self.status in _CANNOT_RUN and not (answers or answer.has_begun):
            return UserError(
                "The program cannot be run: it ended with the exit status {} before it had "
                "answered any case{}.".format(self.status, wrote and "; " + wrote)
            )
        if self.status is None:
            how = "closed its output, and went on"
        elif self.status < 0:
            how = "was ended by {}".format(name_of_end(self.status))
        else:
            how = "exited with the status {}".format(self.status)
        parts = ["{}: the program {}".format(CRASH, how), answer.progress(), wrote]
        return SubjectError("; ".join(filter(None, parts)))


class _Process:
    """The program as it runs. It is ended when nothing refers to this any more."""

    def __init__(self, words: List[str]) -> None:
        # The system ends what a thread started when that thread is over.
        in_main = threading.current_thread() is threading.main_thread()
        try:
            with warnings.catch_warnings():
                # Of threads, which what is called in the child does not wait for.
                warnings.simplefilter("ignore", DeprecationWarning)
                # In a session of its own, Ctrl-C does not reach it.
                process: Any = subprocess.Popen(
                    words,
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    preexec_fn=ending_with_this() if in_main else None,
                )
        except (OSError, ValueError) as error:
            raise UserError(
                "The program {} cannot be started: {}.".format(
                    printable(words[0]), getattr(error, "strerror", None) or error
                )
            )
        self.answers = 0
        self._process, self._errors = process, b""
        self._selector = selectors.DefaultSelector()
        self._finalizer = weakref.finalize(self, _end, process, self._selector)
        for pipe in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
        for pipe in (process.stdout, process.stderr):
            self._selector.register(pipe, selectors.EVENT_READ)

    def end(self) -> None:
        """End it, if it has not come to an end."""
        self._finalizer()

    def exchange(self, content: bytes, answer: "_Answer", timeout: float) -> None:
        """Give it a case, and read its answer.

        Raises
        ------
        SubjectError
            If the answer has a wrong form, or `timeout` seconds are over and nobody else looks at
            a clock.
        """
        process, selector, left = self._process, self._selector, memoryview(content)
        self._check_nothing_is_left()
        selector.register(process.stdin, selectors.EVENT_WRITE)
        until = time.monotonic() + timeout
        while left or not answer.is_whole:
            seconds = None if _has_clock() else until - time.monotonic()
            if seconds is not None and seconds <= 0:
                raise SubjectError(outcome_of_end(HANG, timeout, answer.progress(hangs=True)).error)
            for key, _ in selector.select(seconds):
                if key.fileobj is process.stdin:
                    left = self._write(left)
                elif key.fileobj is process.stderr:
                    self._read_errors()
                else:
                    self._read(answer)
        self.answers += 1

    def _write(self, left: memoryview) -> memoryview:
        """What is left to be written, after some of it was."""
        try:
            left = left[os.write(self._process.stdin.fileno(), left[:_CHUNK]) :]
        except BlockingIOError:
            return left
        except BrokenPipeError:
            # It reads no more, which need not keep it from answering.
            left = left[:0]
        if not left:
            self._selector.unregister(self._process.stdin)
        return left

    def _read(self, answer: "_Answer") -> None:
        data = os.read(self._process.stdout.fileno(), _CHUNK)
        if not data:
            raise self._ended()
        answer.add(data)

    def _check_nothing_is_left(self) -> None:
        """What was written since the last answer is no part of the next one."""
        if not self.answers:
            return
        try:
            data = os.read(self._process.stdout.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise self._ended()
        raise SubjectError(
            "{}: after its answer to the case before it wrote {}".format(WRONG, _shown(data))
        )

    def _ended(self) -> _Ended:
        status: Optional[int] = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(_EXITS)
        self._read_errors()
        return _Ended(status, self._errors)

    def _read_errors(self) -> None:
        """Read what there is of the standard error, and keep the last of it."""
        pipe = self._process.stderr
        # A pipe holds less; a program that writes without an end is not waited for.
        for _ in range(_READS):
            try:
                data = os.read(pipe.fileno(), _CHUNK)
            except BlockingIOError:
                return
            if not data:
                with contextlib.suppress(KeyError):
                    self._selector.unregister(pipe)
                return
            self._errors = (self._errors + data)[-_MOST_ERRORS:]


def _end(process: Any, selector: Any) -> None:
    selector.close()
    if process.poll() is None:
        # With what it started: it may be a script that runs the program.
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    process.wait()


def _has_clock() -> bool:
    """Whether a signal will interrupt what hangs."""
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and signal.getitimer(signal.ITIMER_REAL)[0] > 0


class _Answer:
    """What has come of the answer to a case."""

    def __init__(self, case: Case) -> None:
        self._model = case.model.name
        self._known = {_word(x.name): (x.name, x.shape(case.config)) for x in case.model.trace}
        self._arrays: Dict[str, Tuple[Any, Tuple[int, ...]]] = {}
        # Of a line of the header or, once it is over, of the arrays, which have so many bytes.
        self._come = bytearray()
        self._size: Optional[int] = None

    @property
    def has_begun(self) -> bool:
        """Whether anything has come."""
        return bool(self._come or self._arrays)

    @property
    def is_whole(self) -> bool:
        """Whether all has come."""
        return self._size == len(self._come)

    def add(self, data: bytes) -> None:
        """Take what has come.

        Raises
        ------
        SubjectError
            If that cannot be, or goes beyond, an answer to the case.
        """
        self._come += data
        while self._size is None:
            line, newline, rest = self._come.partition(b"\n")
            if line[: len(_ARRAY)] != _ARRAY[: len(line)] or len(line) > _MOST_LINE:
                raise self._no_line(bytes(line))
            if not newline:
                return
            self._come = rest
            if line:
                self._name(bytes(line))
            elif self._arrays:
                self._size = sum(_bytes_of(*each) for each in self._arrays.values())
            else:
                raise SubjectError("{}: its answer names no array".format(WRONG))
        if len(self._come) > self._size:
            beyond = bytes(self._come[self._size :])
            raise SubjectError("{}: after its answer it wrote {}".format(WRONG, _shown(beyond)))

    def _name(self, line: bytes) -> None:
        """One more array is named by a line of the header."""
        read = _LINE.match(line.decode("utf-8", "backslashreplace"))
        if not read:
            raise self._no_line(line)
        said, dtype, shape = read[1], read[2], tuple(map(int, read[3].split()))
        wrong = ""
        if said not in self._known:
            wrong = "it returns an array {!r}, but the arrays of {} are {}".format(
                said, self._model, ", ".join(self._known)
            )
        elif dtype not in _DTYPES:
            wrong = "{!r} has numbers of {!r}, which may be {}".format(
                said, dtype, ", ".join(_DTYPES)
            )
        elif shape != self._known[said][1]:
            wrong = "{!r} has the shape {}, not {}".format(
                said, list(shape), list(self._known[said][1])
            )
        elif self._known[said][0] in self._arrays:
            wrong = "it returns {!r} twice".format(said)
        if wrong:
            raise SubjectError("{}: {}".format(WRONG, wrong))
        self._arrays[self._known[said][0]] = _DTYPES[dtype], shape

    def _no_line(self, line: bytes) -> SubjectError:
        likely = [name for name in UNNAMED if name in self._known]
        said = (likely or list(self._known))[0]
        shape = self._known[said][1]
        return SubjectError(
            "{}: its answer has {} where a line such as {!r} or an empty one has to be".format(
                WRONG, _shown(line), " ".join(["array", said, "float32", *map(str, shape)])
            )
        )

    def arrays(self) -> Dict[str, np.ndarray]:
        """The arrays of an answer that is whole."""
        found, start = {}, 0
        for name, (dtype, shape) in self._arrays.items():
            size = _bytes_of(dtype, shape)
            numbers = np.frombuffer(bytes(self._come[start : start + size]), dtype)
            found[name] = numbers.astype(dtype.newbyteorder("=")).reshape(shape)
            start += size
        return found

    def progress(self, hangs: bool = False) -> str:
        """How much has come of one that is not whole; and if the program hangs, a likely reason."""
        if self._size is not None:
            return "{} of the {} bytes of its arrays came".format(len(self._come), self._size)
        if self._come:
            return "its answer breaks off after {}".format(_shown(bytes(self._come)))
        if self._arrays:
            return "its answer breaks off before the empty line after the names of its arrays"
        waits = (
            ", which may not have been flushed, or it waits for more than the case has (a layout?)"
        )
        return "nothing of its answer came" + waits * hangs


def _bytes_of(dtype: Any, shape: Tuple[int, ...]) -> int:
    return int(dtype.itemsize) * numbers_in(shape)


def _shown(data: bytes) -> str:
    text = data[:_SHOWN].decode("utf-8", "backslashreplace")
    return "{!r}{}".format(text, "..." if len(data) > _SHOWN else "")
