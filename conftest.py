"""Profiles, the report's header and summary, and the fixture that checks a case."""

import glob
import os
import zlib

# Before NumPy and TensorFlow are imported: the workers of xdist share the cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings, target

from harness import journal, page
from harness.check import Checker, Failure
from harness.errors import UserError
from harness.exhibits import exhibits
from harness.growth import sampled
from harness.run import GRACE, TIMEOUT
from harness.subjects.tensorflow import TensorFlow
from harness.subjects.tensorflow_accuracy import coverage
from harness.tally import WORST, Tally
from harness.versions import versions
from models import MODELS

_COMMON = dict(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=False,
    report_multiple_bugs=False,
)
# A failing case is shrunk by harness.shrink: Hypothesis, which knows nothing of graphs, would build
# a new one at almost every step.
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
    config.rnndiff_tally = Tally()
    config.rnndiff_failures = {}
    config.rnndiff_kept = []
    config.rnndiff_lost = 0
    # While a test runs, pytest captures what is written to the descriptor 2.
    config.rnndiff_errors = os.dup(2)
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(_Workers(config), "rnndiff-workers")
    if config.getoption("--report"):
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
    timeout = pytestconfig.getoption("--case-timeout")
    path, errors = _in_flight(pytestconfig), pytestconfig.rnndiff_errors
    journaled = journal.Journaled(tensorflow, path, timeout + GRACE, errors)
    checker = Checker(journaled, pytestconfig.rnndiff_tally, timeout=timeout)

    def check_cases(cases):
        __tracebackhide__ = True
        checked = checker(cases)
        for failure in checked.failures:
            pytestconfig.rnndiff_failures[failure.way] = failure
        for failure in checked.failures[:1]:
            pytest.fail(failure.report, pytrace=False)
        if Phase.target in settings().phases:
            target(checked.worst, label="error over bound")

    return check_cases


def _in_flight(config):
    return journal.path_of(getattr(config, "workerinput", {}).get("workerid", "main"))


def _keep(config, path):
    kept = journal.keep(path)
    if kept:
        config.rnndiff_kept.append(kept)


def pytest_sessionstart(session):
    # Of a run that was killed together with its controller.
    if not hasattr(session.config, "workerinput"):
        for path in glob.glob(journal.path_of("*")):
            _keep(session.config, path)


def pytest_sessionfinish(session):
    journal.close(_in_flight(session.config))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    # With each test, not at the end of the session: after Ctrl-C nobody listens to a worker's end.
    outcome = yield
    config = item.config
    if call.when == "teardown" and hasattr(config, "workerinput"):
        report = outcome.get_result()
        report.rnndiff_tally = config.rnndiff_tally.as_dict()
        report.rnndiff_failures = [list(failure) for failure in config.rnndiff_failures.values()]
        config.rnndiff_tally.clear()
        config.rnndiff_failures.clear()


class _Workers:
    """What the controller of xdist hears of its workers."""

    def __init__(self, config):
        self._config = config

    def pytest_runtest_logreport(self, report):
        if hasattr(report, "rnndiff_tally"):
            self._config.rnndiff_tally.add_dict(report.rnndiff_tally)
            for failure in map(Failure._make, report.rnndiff_failures):
                self._config.rnndiff_failures[failure.way] = failure

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        if not hasattr(node, "workeroutput"):
            _keep(self._config, journal.path_of(node.gateway.id))
            self._config.rnndiff_lost += 1


def pytest_terminal_summary(terminalreporter, config):
    for path in config.rnndiff_kept:
        terminalreporter.write_line(
            "in flight when a process was ended: {0}; run it again: rnndiff replay {0}".format(path)
        )
    if config.rnndiff_lost:
        terminalreporter.write_line(
            "{} processes were ended: the cases of the tests that they were at are not "
            "counted".format(config.rnndiff_lost)
        )
    errors = terminalreporter.stats.get("error", [])
    if any(_NO_TENSORFLOW in str(report.longrepr) for report in errors):
        terminalreporter.write_line(_NO_TENSORFLOW, red=True)
    tally = config.rnndiff_tally
    if sum(tally.cases.values()):
        terminalreporter.section("differential testing")
        for line in tally.lines():
            terminalreporter.write_line(line)
        terminalreporter.write_line("its case: {}".format(tally.save_worst(WORST)))
    if config.getoption("--report"):
        try:
            _write_page(config.getoption("--report"), config)
        except UserError as error:
            terminalreporter.write_line(str(error), red=True)
        else:
            terminalreporter.write_line("report: {}".format(config.getoption("--report")))


def _write_page(path, config):
    failures = list(config.rnndiff_failures.values())
    for kept in config.rnndiff_kept:
        way = os.path.basename(kept)
        failures.append(Failure(way, kept, "{} was in flight when a process was ended".format(way)))
    try:
        # Not the fixture: under xdist, this process has had no TensorFlow so far.
        subject = TensorFlow()
    except UserError:
        subject = None
    tally = config.rnndiff_tally
    growths = sampled(subject, [name for name in MODELS if name in tally.ratios]) if subject else []
    found = page.Report("pytest", tally, growths, exhibits(failures, subject))
    page.write(path, found._replace(environment={"profile": _profile(config)}))
