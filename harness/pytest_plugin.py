"""What pytest needs for differential tests.

Profiles, options, the report's header and summary, and the fixture that checks cases. Whatever ends
a run or one of its processes, what was found is told: by the run itself, or else by the next one.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import zlib
from typing import Any

# Before NumPy and TensorFlow are imported: the workers of xdist share the cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings, target

from harness.checking import journal
from harness.checking.check import Checker
from harness.errors import UserError, in_one_line
from harness.judging.failure import Failure
from harness.judging.tally import WORST
from harness.report import page
from harness.report.exhibits import exhibits
from harness.report.growth import sampled
from harness.subjects.run import GRACE, TIMEOUT
from harness.subjects.tensorflow import TensorFlow
from harness.subjects.tensorflow.accuracy import coverage
from harness.versions import versions
from models import MODELS

# Seconds that workers have for their end after Ctrl-C.
_WORKERS_END = 3.0
# Seconds in which two signals are one Ctrl-C, and after which one comes again that would be lost.
_SAME_INTERRUPT = 0.5
_INTERRUPTS_AGAIN = 0.01
# Functions out of which no exception comes; Hypothesis's own is called by the garbage collector.
_IGNORED_IN = "__del__", "gc_callback"
_COMMON: Any = dict(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=False,
    report_multiple_bugs=False,
)
# A failing case is shrunk by harness.shrinking: Hypothesis, which knows nothing of graphs, would
# build a new one at almost every step.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
settings.register_profile("quick", max_examples=5, derandomize=True, phases=_PHASES, **_COMMON)
settings.register_profile("default", max_examples=20, derandomize=True, phases=_PHASES, **_COMMON)
# A profile inherits what it does not say from the one before.
settings.register_profile(
    "thorough", max_examples=1000, derandomize=False, phases=_PHASES + (Phase.target,), **_COMMON
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser):
    parser.addoption(
        "--report", metavar="FILE", help="Write a page of HTML on what was judged, with figures."
    )
    parser.addoption(
        "--case-timeout",
        metavar="SECONDS",
        type=float,
        default=TIMEOUT,
        help="Seconds that TensorFlow has for each case, by default {:g}.".format(TIMEOUT),
    )
    parser.addoption(
        "--without-tensorflow",
        action="store_true",
        help="Skip the tests that need TensorFlow; they fail otherwise, should it not import.",
    )


_NO_TENSORFLOW = (
    "TensorFlow does not import, so the tests that need it fail; "
    "pytest --without-tensorflow leaves them out."
)


def _profile(config):
    chosen = config.getoption("--hypothesis-profile")
    return chosen or os.environ.get("HYPOTHESIS_PROFILE", "default")


def pytest_report_header(config):
    found = versions()
    return [
        "rnndiff: TensorFlow {}, NumPy {}, Hypothesis {}, profile {!r}".format(
            found["tensorflow"], found["numpy"], hypothesis.__version__, _profile(config)
        ),
        "rnndiff: {processor}, {instruction_set}, threads {threads}, mode {mode}".format(**found),
        "rnndiff: environment {}".format(found["environment"] or "without any of its variables"),
        "rnndiff: {}".format(coverage(found["tensorflow"])),
    ]


def pytest_runtest_setup(item):
    # Parametrized tests are one function to Hypothesis, which would draw the same cases for all.
    test = getattr(item, "obj", None)
    if getattr(test, "is_hypothesis_test", False) and settings().derandomize:
        hypothesis.seed(zlib.crc32(item.nodeid.encode()))(test)


def pytest_configure(config):
    kind = _Worker if hasattr(config, "workerinput") else _Main
    config.rnndiff = kind(config)
    config.pluginmanager.register(config.rnndiff, "rnndiff-process")
    if kind is _Main and config.getoption("--report"):
        try:
            page.check(config.getoption("--report"))
        except UserError as error:
            pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="session")
def tensorflow(pytestconfig):
    """The subject. What needs it fails where it does not import: skipped, it would seem to pass."""
    if pytestconfig.getoption("--without-tensorflow"):
        pytest.skip("--without-tensorflow")
    try:
        return TensorFlow(timeout=pytestconfig.getoption("--case-timeout"))
    except Exception as error:
        # An ImportError comes as a UserError; an unfit protobuf or NumPy raises what it likes.
        why = (
            error if isinstance(error, UserError) else "{}: {}".format(type(error).__name__, error)
        )
    pytest.fail("{}\n{}".format(why, _NO_TENSORFLOW), pytrace=False)


@pytest.fixture(scope="session")
def check(tensorflow, pytestconfig):
    """A function that fails unless TensorFlow agrees with the oracle on each of some cases."""
    process, timeout = pytestconfig.rnndiff, pytestconfig.getoption("--case-timeout")
    record, path = process.record, process.in_flight
    journaled = journal.Journaled(tensorflow, path, timeout + GRACE, process.errors)
    checker = Checker(journaled, record.tally, found=record.found, timeout=timeout)

    def check_cases(cases):
        __tracebackhide__ = True
        checked = checker(cases)
        record.judged()
        for failure in checked.failures:
            record.found(failure)
        journal.close(path)
        for failure in checked.failures[:1]:
            pytest.fail(failure.report, pytrace=False)
        if Phase.target in settings().phases:
            target(checked.worst, label="error over bound")

    return check_cases


def _is_ignored_in(frame):
    """Whether an exception that is raised in a frame would be ignored."""
    while frame:
        if frame.f_code.co_name in _IGNORED_IN:
            return True
        frame = frame.f_back
    return False


class _Process:
    """A process of the run: what it has found, on disk as far as that can be written."""

    def __init__(self, config):
        self.record = journal.Record()
        self.in_flight = None
        # While a test runs, pytest captures what is written to the descriptor 2.
        self.errors = os.dup(2)
        self._config = config
        self._run = None
        self._interrupted = False
        self._interrupted_at = -_SAME_INTERRUPT
        self._handlers = {}

    def _begin(self, run, name):
        self._run = run
        self.in_flight = journal.in_flight(run.folder, name)
        self.record = journal.Record(journal.record_of(run.folder, name))
        self.record.write()

    def _interrupt_at(self, number, instead_of):
        """Make a signal a Ctrl-C, unless it has another handler than this, or can have none."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(number) == instead_of:
            self._handlers[number] = signal.signal(number, self._interrupt)

    def _interrupt(self, number, frame):
        # Once pytest knows of it, all that was found is being told. Another Ctrl-C would end that.
        # One that comes right after the first may be the same, by way of the main process.
        if self._interrupted or time.monotonic() - self._interrupted_at < _SAME_INTERRUPT:
            return
        if _is_ignored_in(frame):
            again = threading.Timer(_INTERRUPTS_AGAIN, os.kill, [os.getpid(), number])
            again.daemon = True
            again.start()
            return
        self._interrupted_at = time.monotonic()
        raise KeyboardInterrupt

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self):
        # Before pytest describes where it was, which may take seconds.
        self._interrupted = True
        self._write()

    def pytest_sessionfinish(self):
        self._write()

    def _write(self):
        self.record.write()
        journal.close(self.in_flight)


class _Worker(_Process):
    """A worker of xdist."""

    _sent = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self):
        self._interrupt_at(signal.SIGINT, signal.default_int_handler)
        told = self._config.workerinput
        # It is none on another machine.
        with contextlib.suppress(UserError):
            if told.get("rnndiff_run"):
                self._begin(journal.Run(told["rnndiff_run"]), told["workerid"])

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call):
        # Where nothing can be written, this is all that is heard of a worker.
        outcome = yield
        record = self.record.as_dict() if call.when == "teardown" else {"changes": self._sent}
        if record["changes"] != self._sent:
            self._sent = record["changes"]
            outcome.get_result().rnndiff_record = record


class _Main(_Process):
    """The process that tells what was found: the only one, or the controller of the workers."""

    def __init__(self, config):
        super().__init__(config)
        self._cannot_write = ""
        self._heard = {}
        self._down = set()
        self._lost = 0
        self._clock = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self):
        try:
            self._begin(journal.Run.begin(), "main")
        except UserError as error:
            self._cannot_write = str(error)
        self._interrupt_at(signal.SIGINT, signal.default_int_handler)
        # It ends what takes too long in CI. A worker is ended by it, and replaced.
        self._interrupt_at(signal.SIGTERM, signal.SIG_DFL)

    def pytest_report_header(self):
        if self._cannot_write:
            return "rnndiff: {} What ends a process is not kept.".format(self._cannot_write)
        return []

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self):
        super().pytest_keyboard_interrupt()
        # Ctrl-C may have come to this process alone. xdist waits up to ten seconds for its workers.
        self._signal_workers(signal.SIGINT)
        deadly = getattr(signal, "SIGKILL", signal.SIGTERM)
        self._clock = threading.Timer(_WORKERS_END, self._signal_workers, [deadly])
        self._clock.daemon = True
        self._clock.start()

    def _signal_workers(self, number):
        for name, record in self._left().records.items():
            if name != "main" and name not in self._down:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(record["process"], number)

    def pytest_unconfigure(self):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node):
        node.workerinput["rnndiff_run"] = self._run.folder if self._run else None

    def pytest_runtest_logreport(self, report):
        if hasattr(report, "rnndiff_record"):
            self._heard[report.node.gateway.id] = report.rnndiff_record

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        self._down.add(node.gateway.id)
        self._lost += not hasattr(node, "workeroutput")

    def _left(self):
        return journal.left_in(self._run.folder) if self._run else journal.Left({}, [])

    def pytest_terminal_summary(self, terminalreporter):
        if self._clock:
            self._clock.cancel()
        left = self._left()
        for name in (set(left.records) | set(self._heard)) - {"main"}:
            heard = [known[name] for known in (left.records, self._heard) if name in known]
            self.record.add_dict(max(heard, key=lambda record: record["changes"]))
        summary = _Summary(terminalreporter, self._config, self._interrupted)
        with journal.ended_runs() as ended:
            summary.tell(self.record, left.in_flight, self._lost, ended)
        if self._run:
            self._run.remove()


class _Summary:
    """Tells all that was found, whatever cannot be written meanwhile."""

    def __init__(self, terminalreporter, config, interrupted):
        self._write = terminalreporter.write_line
        self._reporter, self._config = terminalreporter, config
        self._interrupted = interrupted

    def tell(self, record, in_flight, lost, ended):
        failures, counted = list(record.failures), sum(record.tally.cases.values())
        if counted or failures or in_flight or lost or ended:
            self._reporter.section("differential testing")
        for line in record.tally.lines() if counted else ():
            self._write(line)
        self._save_worst(record.tally)
        if lost:
            who = "1 process was" if lost == 1 else "{} processes were".format(lost)
            self._write("{} ended; what was being judged then is not counted".format(who))
        for failure in failures:
            self._tell_failure(failure)
        failures.extend(map(self._kept, in_flight))
        for run in ended:
            said = "an earlier run was ended before it could tell: {} cases were judged"
            self._write(said.format(run.cases))
            for failure in run.failures:
                self._tell_failure(failure)
            failures.extend(run.failures)
            failures.extend(map(self._kept, run.in_flight))
        # A process may be ended after it has saved a failure, and before it says so.
        began = min([record.began] + [run.began for run in ended])
        told = {os.path.abspath(failure.path) for failure in failures if failure.path}
        for path in journal.saved_since(began):
            if os.path.abspath(path) not in told:
                failures.append(self._untold(path))
        errors = self._reporter.stats.get("error", [])
        if any(_NO_TENSORFLOW in str(report.longrepr) for report in errors):
            self._write(_NO_TENSORFLOW, red=True)
        if self._config.getoption("--report"):
            self._write_page(self._config.getoption("--report"), record.tally, failures)

    def _save_worst(self, tally):
        try:
            path = tally.save_worst(WORST)
        except UserError as error:
            self._write("its case is not saved: {}".format(error), red=True)
        else:
            if path:
                self._write("its case: {}".format(path))

    def _tell_failure(self, failure):
        told = [str(report.longrepr) for report in self._reporter.stats.get("failed", [])]
        first, _, rest = failure.report.partition("\n")
        if any(failure.report in text for text in told):
            self._write("failure, told above: {}: {}".format(failure.path or failure.way, first))
        else:
            self._write("failure: {}: {}".format(failure.path or failure.way, first), red=True)
            self._write(rest)

    def _kept(self, in_flight):
        path = journal.keep(in_flight)
        said = "in flight when a process was ended: {0}; run it again: rnndiff replay {0}"
        said = said.format(path)
        self._write(said)
        return Failure(os.path.basename(path), path, said)

    def _untold(self, path):
        said = "saved meanwhile, by a process that was ended or by another run: {0}; run it again: "
        said = (said + "rnndiff replay {0}").format(path)
        self._write(said)
        return Failure(os.path.basename(path), path, said)

    def _write_page(self, path, tally, failures):
        try:
            page.write(path, self._page(tally, failures))
        except (Exception, KeyboardInterrupt) as error:
            why = error if isinstance(error, UserError) else in_one_line(error) + "."
            self._write("The report is not written: {}".format(why), red=True)
        else:
            self._write("report: {}".format(path))

    def _page(self, tally, failures):
        growths, notes = [], []
        subject = None
        if self._interrupted:
            notes.append("The run was interrupted. Growth is not measured then.")
        # Not the fixture: under xdist, this process has had no TensorFlow so far, and to import it
        # takes longer than who ends a run waits.
        if not self._interrupted or "tensorflow" in sys.modules:
            with contextlib.suppress(Exception):
                subject = TensorFlow()
        if subject and not self._interrupted:
            growths = sampled(subject, [name for name in MODELS if name in tally.ratios])
        shown = exhibits(failures, subject)
        environment = {"profile": _profile(self._config)}
        return page.Report("pytest", tally, growths, shown, [], notes, environment)
