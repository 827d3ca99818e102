"""Differential tests in pytest: the fixture `check`, its options, and what a run of it tells.

Installed with rnndiff, it is in every run of pytest. So until a test is given the fixture `check`,
it imports nothing, prints nothing, writes nothing and leaves signals as they are.
"""

import importlib.util
import os
import uuid
from typing import Any

import pytest

from rnndiff.harness.limits import seconds
from rnndiff.harness.pytest_plugin.beginning import begin
from rnndiff.harness.pytest_plugin.fixtures import rnndiff_check, subject

__all__ = ["rnndiff_check", "subject"]

if importlib.util.find_spec("pytest_check") is None:
    from rnndiff.harness.pytest_plugin.fixtures import check  # noqa: F401


def pytest_addoption(parser: Any) -> None:
    """Add the options."""
    group = parser.getgroup("rnndiff", "differential testing")
    group.addoption(
        "--rnndiff-report",
        metavar="FILE",
        help="Write a page of HTML on what was judged, with figures.",
    )
    group.addoption(
        "--rnndiff-json",
        metavar="FILE",
        help="Write what was judged as JSON: cases and elements, for each model, too.",
    )
    group.addoption(
        "--rnndiff-subject",
        metavar="SUBJECT",
        help="What the fixture `check` tests, as `rnndiff fuzz --subject` takes it; by default "
        "tensorflow.",
    )
    group.addoption(
        "--rnndiff-mode",
        metavar="MODE",
        default="",
        help="How it is run, as `rnndiff fuzz --mode` takes it.",
    )
    group.addoption(
        "--rnndiff-timeout",
        metavar="SECONDS",
        type=seconds,
        help="Seconds that the subject has for each case, by default a minute, at most a day.",
    )


def pytest_configure(config: Any) -> None:
    """Say now what would keep a run from being judged or told."""
    config.rnndiff = None
    # The same for all processes of a run; it is there once one of them has something to write.
    config.rnndiff_run = os.path.abspath(os.path.join(".rnndiff", "runs", uuid.uuid4().hex))
    if hasattr(config, "workerinput"):
        config.rnndiff_run = config.workerinput["rnndiff_run"]
        return
    page_path, json_path, name, mode = (
        config.getoption("--rnndiff-" + option) for option in ("report", "json", "subject", "mode")
    )
    if page_path or json_path or name or mode:
        from rnndiff.harness.errors import UserError
        from rnndiff.harness.files import check_writable
        from rnndiff.harness.report import page
        from rnndiff.harness.subjects.named import subject_named
        from rnndiff.harness.subjects.subject import TENSORFLOW

        try:
            if page_path:
                page.check(page_path)
            if json_path:
                check_writable(json_path)
            if name or mode:
                subject_named(name or TENSORFLOW, mode=mode)
        except UserError as error:
            pytest.exit(str(error), returncode=2)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where this run writes."""
    node.workerinput["rnndiff_run"] = node.config.rnndiff_run


def pytest_sessionstart(session: Any) -> None:
    """What is written of no cases is written, too."""
    told = any(session.config.getoption("--rnndiff-" + x) for x in ("report", "json"))
    if told and not session.config.option.collectonly:
        begin(session.config)


def pytest_runtest_logreport(report: Any) -> None:
    """Of workers, the main process hears first by a report of the setting up of a fixture."""
    if hasattr(report, "node") and getattr(report, "rnndiff_record", None):
        begin(report.node.config).hear(report)
