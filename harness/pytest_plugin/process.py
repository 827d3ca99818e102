"""The processes of a run: what each has found is on disk, whatever ends it."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
from types import FrameType
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    Generator,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

import pytest

from rnndiff.harness.cases.case import Case
from rnndiff.harness.checking import journal
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.diagnosis.diagnose import report_with_diagnosis
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.pytest_plugin.summary import Summary, mode_of, profile
from rnndiff.harness.subjects.run import GRACE
from rnndiff.harness.subjects.subject import COMMAND, TENSORFLOW, TIMEOUT, Subject
from rnndiff.harness.subjects.tensorflow.accuracy import coverage
from rnndiff.harness.versions import version_of, versions

# What the fixture `check` is.
Check = Callable[[Union[Case, Sequence[Case]]], None]
# Seconds that workers have for their end after Ctrl-C.
_WORKERS_END = 3.0
# Seconds in which two signals are one Ctrl-C, and after which one comes again that would be lost.
_SAME_INTERRUPT = 0.5
_INTERRUPTS_AGAIN = 0.01
# Seconds in which a run that ends cannot be interrupted: those in which it tells what it found.
_TELLS = 20.0
# Functions out of which no exception comes; Hypothesis's own is called by the garbage collector.
_IGNORED_IN = "__del__", "gc_callback"


def _is_ignored_in(frame: Optional[FrameType]) -> bool:
    """Whether an exception that is raised in a frame would be ignored."""
    while frame:
        if frame.f_code.co_name in _IGNORED_IN:
            return True
        frame = frame.f_back
    return False


def _uncaptured(config: Any) -> ContextManager[None]:
    """What is written meanwhile is not taken for the output of a test."""
    manager = config.pluginmanager.get_plugin("capturemanager")
    return manager.global_and_fixture_disabled() if manager else contextlib.nullcontext()


class _Process:
    """A process of the run: what it has found, on disk as far as that can be written."""

    def __init__(self, config: Any) -> None:
        self.record = journal.Record()
        self.in_flight: Optional[str] = None
        # While a test runs, pytest captures what is written to the descriptor 2.
        with _uncaptured(config):
            self._errors = os.dup(2)
        self._config = config
        self._run: Optional[journal.Run] = None
        self._checks: List[Tuple[Subject, Check]] = []
        self._interrupted = False
        self._ends_since = 0.0
        self._interrupted_at = -_SAME_INTERRUPT
        self._handlers: Dict[int, Any] = {}

    def check_on(self, subject: Subject, seed: Optional[int] = None, **how: Any) -> Check:
        """What the fixture `check` is: one function for each subject.

        `how` it checks are the arguments of :class:`rnndiff.harness.checking.check.Checker`. With a
        seed, what fails is diagnosed.
        """
        if not isinstance(subject, Subject):
            pytest.fail(
                "The fixture `subject` returns {!r}, which is no subject: derive its class from "
                "rnndiff.Subject, and return an instance.".format(subject),
                pytrace=False,
            )
        names = r"[\w./:-]*$|" + COMMAND
        if not (isinstance(subject.name, str) and re.match(names, subject.name)):
            pytest.fail(
                "The name of a subject is MODULE:CLASS or empty, not {!r}.".format(subject.name),
                pytrace=False,
            )
        if not (isinstance(subject.mode, str) and re.match(r"[\w.-]*$", subject.mode)):
            pytest.fail(
                "The mode of a subject is a word, not {!r}.".format(subject.mode), pytrace=False
            )
        for known, check in self._checks:
            if known is subject:
                return check
        self._checks.append((subject, self._check_on(subject, seed, how)))
        return self._checks[-1][1]

    def _check_on(self, subject: Subject, seed: Optional[int], how: Mapping[str, Any]) -> Check:
        timeout = self._config.getoption("--rnndiff-timeout") or TIMEOUT
        record, path, number = self.record, self.in_flight, len(self._checks)
        record.subjects.add((subject.name, subject.mode))
        journaled = journal.Journaled(subject, path, timeout + GRACE, self._errors)

        def found(failure: Failure) -> None:
            record.add_failure(failure, number)

        checker = Checker(journaled, record.tally, found=found, timeout=timeout, **how)

        def check(cases: Union[Case, Sequence[Case]]) -> None:
            __tracebackhide__ = True
            why = ""
            try:
                checked = checker(cases)
            except UserError as error:
                why = str(error)
            if why:
                pytest.fail(why, pytrace=False)
            record.count_changed()
            for failure in checked.failures:
                found(failure)
            report = checked.failures[0].report if checked.failures else ""
            if report and seed is not None:
                # Whatever the port does meanwhile, the failure has been written.
                report = report_with_diagnosis(
                    journaled, checked.failures[0], how["restriction"], seed, timeout
                )
            journal.close(path)
            if report:
                pytest.fail(report, pytrace=False)
            _look_for_more(checked.worst)

        return check

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: Any) -> None:
        """Let the parameters of a test that is given `check` draw different cases."""
        test, given = getattr(item, "obj", None), list(getattr(item, "funcargs", {}).values())
        is_ours = any(check is each for _, check in self._checks for each in given)
        if is_ours and hasattr(test, "is_hypothesis_test"):
            from rnndiff.harness.profiles import seed_by_name

            seed_by_name(test, item.nodeid)

    def _write_into(self, run: journal.Run, name: str) -> None:
        self._run = run
        self.in_flight = journal.in_flight(run.folder, name)
        self.record = journal.Record(journal.record_of(run.folder, name))
        self.record.write()

    def _interrupt_at(self, number: int, instead_of: Any) -> None:
        """Make a signal a Ctrl-C, unless it has another handler than this, or can have none."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(number) == instead_of:
            self._handlers[number] = signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: Optional[FrameType]) -> None:
        # Once pytest knows of it, all that was found is being told. Another Ctrl-C would end that,
        # unless it is somebody else's part that takes so long. One that comes right after the first
        # may be the same, by way of the main process.
        recent = time.monotonic() - self._interrupted_at < _SAME_INTERRUPT
        telling = self._ends_since and time.monotonic() - self._ends_since < _TELLS
        if telling or recent:
            return
        if _is_ignored_in(frame):
            again = threading.Timer(_INTERRUPTS_AGAIN, os.kill, [os.getpid(), number])
            again.daemon = True
            again.start()
            return
        self._interrupted_at = time.monotonic()
        raise KeyboardInterrupt

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        # Before pytest describes where it was, which may take seconds.
        self._interrupted = True
        self._ends_since = self._ends_since or time.monotonic()
        self._write()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._ends_since = self._ends_since or time.monotonic()
        self._write()

    def pytest_unconfigure(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._errors)

    def _write(self) -> None:
        self.record.write()
        journal.close(self.in_flight)


class Worker(_Process):
    """A worker of xdist."""

    # Not even that it has begun.
    _sent = -1

    def begin(self) -> None:
        """Keep what is found from now on."""
        self._interrupt_at(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(UserError):
            run = journal.Run(self._config.rnndiff_run)
            self._write_into(run, self._config.workerinput["workerid"])

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call: Any) -> Generator[None, Any, None]:
        # Where nothing can be written, this is all that is heard of a worker.
        outcome = yield
        if call.when != "call" and self.record.changes != self._sent:
            self._sent = self.record.changes
            outcome.get_result().rnndiff_record = self.record.as_dict()


class Main(_Process):
    """The process that tells what was found: the only one, or the controller of the workers."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._heard: Dict[str, Dict[str, Any]] = {}
        self._down: Set[str] = set()
        self._lost = 0
        self._clock: Optional[threading.Timer] = None
        self._introduced = False

    def begin(self) -> None:
        """Keep what is found from now on."""
        try:
            self._write_into(journal.Run(self._config.rnndiff_run), "main")
        except UserError as error:
            self._say("{} What ends a process is not kept.".format(error))
        self._interrupt_at(signal.SIGINT, signal.default_int_handler)
        # It ends what takes too long in CI. A worker is ended by it, and replaced.
        self._interrupt_at(signal.SIGTERM, signal.SIG_DFL)

    def check_on(self, subject: Subject, seed: Optional[int] = None, **how: Any) -> Check:
        """What the fixture `check` is: one function for each subject."""
        check = super().check_on(subject, seed, **how)
        self._introduce()
        return check

    def hear(self, report: Any) -> None:
        """Keep what a worker says with its report of a test."""
        self._heard[report.node.gateway.id] = report.rnndiff_record
        self._introduce()

    def _introduce(self) -> None:
        """Say once on what is judged."""
        if not self._introduced:
            heard = [each for record in self._heard.values() for each in record["subjects"]]
            for line in _header(self.record.subjects.union(map(tuple, heard))):
                self._say(line)
        self._introduced = True

    def _say(self, line: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter and self._config.getoption("verbose") >= 0:
            with _uncaptured(self._config):
                reporter.write_line("rnndiff: " + line)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        super().pytest_keyboard_interrupt()
        # Ctrl-C may have come to this process alone. xdist waits up to ten seconds for its workers.
        self._signal_workers(signal.SIGINT)
        deadly = getattr(signal, "SIGKILL", signal.SIGTERM)
        self._clock = threading.Timer(_WORKERS_END, self._signal_workers, [deadly])
        self._clock.daemon = True
        self._clock.start()

    def _signal_workers(self, number: int) -> None:
        for name, record in self._left().records.items():
            if name != "main" and name not in self._down:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(record["process"], number)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        self._down.add(node.gateway.id)
        self._lost += not hasattr(node, "workeroutput")

    def _left(self) -> journal.Leftovers:
        return journal.leftovers_in(self._run.folder) if self._run else journal.Leftovers({}, [])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._clock:
            self._clock.cancel()
        left = self._left()
        for name in (set(left.records) | set(self._heard)) - {"main"}:
            heard = [known[name] for known in (left.records, self._heard) if name in known]
            self.record.add_dict(max(heard, key=lambda record: record["changes"]))
        summary = Summary(terminalreporter, self._config, self._interrupted)
        with journal.ended_runs() as ended:
            summary.tell(self.record, left.in_flight, self._lost, ended)
        if self._run:
            self._run.remove()


def _look_for_more(ratio: float) -> None:
    """In a test of Hypothesis that has this phase, let it look for a larger ratio."""
    hypothesis = sys.modules.get("hypothesis")
    if hypothesis and hypothesis.currently_in_test_context():
        if hypothesis.Phase.target in hypothesis.settings().phases:
            # It takes one of an example, and the example may be of several calls.
            with contextlib.suppress(hypothesis.errors.InvalidArgument):
                hypothesis.target(ratio, label="error over bound")


def _header(subjects: Set[Tuple[str, str]]) -> Iterator[str]:
    """On what the cases of a run are judged, by the names and modes of the subjects."""
    found = versions(mode_of(subjects))
    yield "TensorFlow {}, NumPy {}, Hypothesis {}, profile {!r}".format(
        found["tensorflow"], found["numpy"], version_of("hypothesis") or "missing", profile()
    )
    yield "{processor}, {instruction_set}, threads {threads}, mode {mode}".format(**found)
    yield "environment {}".format(found["environment"] or "without any of its variables")
    if TENSORFLOW in {name for name, _ in subjects}:
        yield coverage(found["tensorflow"])
