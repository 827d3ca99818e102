"""A run as one page of HTML that needs no network: what was found, drawn and in words."""

import datetime
import math
import os
import shlex
import sys
from typing import Any, Dict, List, NamedTuple

from rnndiff.harness.errors import optional_import
from rnndiff.harness.files import check_writable, write_text
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import AGREE, KNOWN
from rnndiff.harness.report.exhibits import Exhibit
from rnndiff.harness.report.growth import Growth
from rnndiff.harness.versions import versions
from rnndiff.models import MODELS

_RIGHT = (AGREE, KNOWN)


class Table(NamedTuple):
    """Lines of words above, a row of names, rows, and the verdict: its status and in words."""

    heading: List[str]
    names: List[str]
    rows: List[List[str]]
    verdict: str
    status: str


class Report(NamedTuple):
    """What a page is made of.

    ``title`` is the command's name, ``tables`` are those of ``rnndiff verify``, ``notes`` sentences
    to the summary, ``environment`` what is to be said besides versions and command.
    """

    title: str
    tally: Tally
    growths: List[Growth]
    failures: List[Exhibit]
    tables: List[Table] = []
    notes: List[str] = []
    environment: Dict[str, Any] = {}


def check(path: str) -> None:
    """Say now what would keep :func:`write` from writing to `path` later.

    Raises
    ------
    UserError
        If a package is missing or broken, or the file cannot be written.
    """
    with optional_import("Jinja and Matplotlib, for the report", "report"):
        import jinja2  # noqa: F401
        import matplotlib.figure  # noqa: F401
    check_writable(path)


def write(path: str, report: Report) -> None:
    """Write the page to `path`, whole or not at all.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    write_text(path, render(report))


def render(report: Report) -> str:
    """The text of the page."""
    from rnndiff.harness.report import plots

    found = report.tally.ratios
    # Those that are registered in their order, then those in a layout.
    ratios = {name: found[name] for name in [*MODELS, *sorted(found)] if name in found}
    most = max((max(counts) for counts in ratios.values()), default=0)
    return (
        templates()
        .get_template("page.html.j2")
        .render(
            report=report,
            tally=report.tally,
            cases=sum(report.tally.cases.values()),
            histograms=[plots.histogram(name, counts, most) for name, counts in ratios.items()],
            growths=[plots.along_the_steps(growth) for growth in report.growths],
            samples=list(dict.fromkeys(growth.sample for growth in report.growths)),
            # Rounded down: an error that is just inside its bound is not at it.
            worst="{:.3f}".format(math.floor(1000 * report.tally.worst) / 1000),
            failed=report.failures or any(table.status not in _RIGHT for table in report.tables),
            headline=_headline(report),
            environment=dict(environment_of(), premise=report.tally.premise, **report.environment),
        )
    )


def templates() -> Any:
    """Jinja's environment, with the templates of the pages."""
    import jinja2

    loader = jinja2.PackageLoader("rnndiff.harness.report", "templates")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def _headline(report: Report) -> str:
    cases, ways = sum(report.tally.cases.values()), len(report.failures)
    if report.tables:
        agree = sum(table.status in _RIGHT for table in report.tables)
        said = "TensorFlow and the oracle agree on {} of {} models"
        return said.format(agree, len(report.tables))
    if ways:
        return "{} {} of failing in {:,} cases".format(ways, "way" if ways == 1 else "ways", cases)
    return "None of {:,} cases disagrees".format(cases) if cases else "No case was judged"


def environment_of() -> Dict[str, Any]:
    """The command that runs, when, and on what."""
    folder, program = os.path.split(sys.argv[0])
    module = ["python", "-m", os.path.basename(folder)]
    words = (module if program == "__main__.py" else [program]) + sys.argv[1:]
    now = datetime.datetime.now(datetime.timezone.utc)
    return dict(
        command=" ".join(map(shlex.quote, words)),
        written=now.strftime("%Y-%m-%d %H:%M UTC"),
        cores=os.cpu_count(),
        **versions(),
    )
