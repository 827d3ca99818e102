"""``rnndiff fuzz``: random cases until told to stop."""

import os
import random
from typing import Optional, Tuple

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from harness import page
from harness.errors import INTERRUPTED, UserError
from harness.exhibits import exhibits
from harness.files import check_writable, write_json
from harness.fuzz import Progress
from harness.fuzz import fuzz as run
from harness.growth import sampled
from harness.run import TIMEOUT
from harness.subjects.tensorflow import TensorFlow
from harness.tally import WORST
from harness.versions import versions
from models import MODELS

_SECONDS = click.FloatRange(min=0.0)


@click.command()
@click.argument("models", nargs=-1, type=click.Choice(list(MODELS)), metavar="[MODEL]...")
@click.option("--cases", type=click.IntRange(min=1), help="Stop after so many cases.")
@click.option("--time", "seconds", type=_SECONDS, help="Stop after so many seconds.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="one for each core",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0, min_open=True),
    default=TIMEOUT,
    show_default=True,
    help="Seconds that TensorFlow has for each case.",
)
@click.option("--seed", type=int, help="The cases depend on it alone.  [default: a random one]")
@click.option(
    "--json",
    "json_path",
    metavar="FILE",
    help="Write the result as JSON; - is the standard output.",
)
@click.option(
    "--report",
    "report_path",
    metavar="FILE",
    help="Write a page of HTML, with figures (needs the extra [report]).",
)
def fuzz(
    models: Tuple[str, ...],
    cases: Optional[int],
    seconds: Optional[float],
    workers: int,
    timeout: float,
    seed: Optional[int],
    json_path: Optional[str],
    report_path: Optional[str],
) -> None:
    """Judge random cases of MODEL (all by default), until --cases, --time or Ctrl-C.

    Failing cases are shrunk and saved, one for each way of failing, and the run goes on. Exit
    status: 1 if any case failed, 130 if the run ended before any was judged, else 0.
    """
    if report_path:
        page.check(report_path)
    if json_path and json_path != "-":
        check_writable(json_path)
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    names = models or tuple(MODELS)
    console = Console(stderr=True)
    with Live(console=console, refresh_per_second=2) as live:
        progress = run(
            names,
            seed,
            workers,
            cases,
            seconds,
            report=lambda progress: live.update(_table(progress, seed)),
            timeout=timeout,
        )
        live.update(_table(progress, seed))
    # With --json - the standard output is the JSON's.
    for failure in progress.failures:
        click.echo("\n" + failure.report, err=json_path == "-")
    worst = None
    try:
        worst = progress.tally.save_worst(WORST)
    except UserError as error:
        click.echo("the case of the largest error is not saved: {}".format(error), err=True)
    if worst:
        click.echo("the case of the largest error: {}".format(worst), err=True)
    if json_path:
        result = dict(
            progress.tally.as_dict(),
            worst_case=worst,
            seed=seed,
            seconds=progress.seconds,
            versions=versions(),
            failures=[{"way": f.way, "path": f.path or None} for f in progress.failures],
        )
        write_json(json_path, result)
    if report_path:
        notes = {"seed": seed, "workers": workers, "seconds": round(progress.seconds)}
        subject = TensorFlow()
        shown = exhibits(progress.failures, subject)
        found = page.Report("fuzz", progress.tally, sampled(subject, names), shown)
        page.write(report_path, found._replace(environment=notes))
    if progress.failures:
        raise SystemExit(1)
    raise SystemExit(0 if progress.cases else INTERRUPTED)


def _table(progress: Progress, seed: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row("seed", str(seed))
    rate = progress.cases / max(progress.seconds, 1e-9)
    table.add_row("speed", "{:.0f} cases a second, {:.0f} s".format(rate, progress.seconds))
    for line in progress.tally.lines():
        table.add_row("", line)
    for failure in progress.failures:
        table.add_row("failure", "{}: {}".format(failure.way, failure.path))
    return table
