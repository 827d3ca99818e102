"""Profiles, the report's header and summary, and the fixture that checks a case."""

import glob
import os
import zlib

# Before NumPy and TensorFlow are imported: the workers of xdist share the cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings, target

from harness import journal
from harness.check import Checker
from harness.errors import UserError
from harness.tally import WORST, Tally
from harness.versions import tensorflow_version

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

_TALLY = "rnndiff_tally"


def pytest_report_header(config):
    profile = config.getoption("--hypothesis-profile") or os.environ.get(
        "HYPOTHESIS_PROFILE", "default"
    )
    return "rnndiff: TensorFlow {}, NumPy {}, Hypothesis {}, profile {!r}".format(
        tensorflow_version() or "missing", np.__version__, hypothesis.__version__, profile
    )


def pytest_runtest_setup(item):
    # Parametrized tests are one function to Hypothesis, which would draw the same cases for all.
    test = getattr(item, "obj", None)
    if getattr(test, "is_hypothesis_test", False) and settings().derandomize:
        hypothesis.seed(zlib.crc32(item.nodeid.encode()))(test)


def pytest_configure(config):
    config.rnndiff_tally = Tally()
    config.rnndiff_kept = []
    config.rnndiff_lost = 0


@pytest.fixture(scope="session")
def tensorflow():
    """The subject; tests that need it are skipped where TensorFlow is missing."""
    from harness.subjects import TensorFlow

    try:
        return TensorFlow()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def check(tensorflow, pytestconfig):
    """A function that fails unless TensorFlow agrees with the oracle on each of some cases."""
    journaled = journal.Journaled(tensorflow, _in_flight(pytestconfig))
    checker = Checker(journaled, pytestconfig.rnndiff_tally)

    def check_cases(cases):
        __tracebackhide__ = True
        checked = checker(cases)
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
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_TALLY] = session.config.rnndiff_tally.as_dict()


class _Workers:
    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        tally = getattr(node, "workeroutput", {}).get(_TALLY)
        if tally:
            node.config.rnndiff_tally.add_dict(tally)
        else:
            _keep(node.config, journal.path_of(node.gateway.id))
            node.config.rnndiff_lost += 1


def pytest_terminal_summary(terminalreporter, config):
    for path in config.rnndiff_kept:
        terminalreporter.write_line(
            "in flight when a process was ended: {0}; run it again: rnndiff replay {0}".format(path)
        )
    if config.rnndiff_lost:
        terminalreporter.write_line(
            "{} processes were ended: their cases are not counted".format(config.rnndiff_lost)
        )
    tally = config.rnndiff_tally
    if sum(tally.cases.values()):
        terminalreporter.section("differential testing")
        for line in tally.lines():
            terminalreporter.write_line(line)
        terminalreporter.write_line("its case: {}".format(tally.save_worst(WORST)))


def pytest_plugin_registered(plugin, manager):
    if not manager.has_plugin("rnndiff-workers"):
        manager.register(_Workers(), "rnndiff-workers")
