"""``rnndiff bench``: how fast cases are judged, and what stands in the way."""

import tempfile
from typing import Any, Dict, Optional, Tuple

import click
from rich.console import Console
from rich.table import Table

from rnndiff.harness.commands.drawing import plot_option, pyplot_for, save
from rnndiff.harness.commands.options import SHOWN
from rnndiff.harness.files import check_writable, write_json
from rnndiff.harness.quality.bench import PHASES, UNITS
from rnndiff.harness.quality.bench import bench as measure
from rnndiff.harness.versions import versions
from rnndiff.models import MODELS


@click.command()
@click.argument("models", nargs=-1, type=click.Choice(list(MODELS)), metavar="[MODEL]...")
@click.option(
    "--time",
    "seconds",
    type=click.FloatRange(min=1.0),
    default=60.0,
    show_default=True,
    help="Seconds of each way in each run.",
)
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "json_path", metavar="FILE", help="Write the figures; - is stdout.")
@plot_option
def bench(
    models: Tuple[str, ...],
    seconds: float,
    runs: int,
    json_path: Optional[str],
    plot: Optional[str],
) -> None:
    """Measure how many cases of MODEL are judged in a second.

    The naive way (a graph for each case, numbers drawn one by one) and rnndiff's, from a cold start
    in one process and in two; what a case costs on graphs that are ready, by phases; and the floor,
    session.run alone of the same graphs. By default these are the article's three and rnn-lstm, and
    it takes about 12 minutes a model.
    """
    pyplot = pyplot_for(plot) if plot else None
    if json_path and json_path != "-":
        check_writable(json_path)
    console = Console(stderr=True)
    with console.status("") as status, tempfile.TemporaryDirectory() as folder:
        names = list(dict.fromkeys(models)) or list(SHOWN)
        found = measure(names, seconds, runs, folder, status.update)
    for table in (_rates(found), _phases(found), _scaling(found)):
        Console(stderr=json_path == "-").print(table)
    if plot:
        _draw(pyplot, found, plot)
    if json_path:
        report = {"seconds": seconds, "runs": runs, "versions": versions(), "models": found}
        write_json(json_path, report)


def _rates(found: Dict[str, Any]) -> Table:
    table = Table(
        *("cases a second from a cold start", "naive", "one worker", "two workers"),
        *("two / one", "one / naive", "MiB"),
    )
    for name, figures in found.items():
        rate = figures["per second"]
        table.add_row(
            name,
            *["{:.1f}".format(rate[way]) for way in ("naive", "one worker", "two workers")],
            "{:.2f}".format(rate["two workers"] / max(rate["one worker"], 1e-9)),
            "{:.0f}".format(rate["one worker"] / max(rate["naive"], 1e-9)),
            "{:.0f}".format(figures["memory"]),
        )
    return table


def _phases(found: Dict[str, Any]) -> Table:
    table = Table("ms a case", *PHASES, "all but build", "floor", "steady / floor")
    for name, figures in found.items():
        spent = figures["phases"]
        cells = [spent[phase] for phase in PHASES + ("steady", "floor")]
        ratio = "{:.1f}".format(spent["steady"] / spent["floor"])
        table.add_row(name, *["{:.2f}".format(cell) for cell in cells], ratio)
    return table


def _scaling(found: Dict[str, Any]) -> Table:
    table = Table("ms a case of the article's size", *["{} units".format(u) for u in UNITS])
    for name, figures in found.items():
        table.add_row(name, *["{:.1f}".format(figures["scaling"][units]) for units in UNITS])
    return table


def _draw(pyplot: Any, found: Dict[str, Any], path: str) -> None:
    """Phases of a case as stacked bars beside the floor, and the time over units."""
    figure, (bars, lines) = pyplot.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    names, bottom = list(found), [0.0] * len(found)
    for phase in PHASES:
        heights = [found[name]["phases"][phase] for name in names]
        bars.bar(names, heights, bottom=bottom, label=phase)
        bottom = [low + height for low, height in zip(bottom, heights)]
    floors = [found[name]["phases"]["floor"] for name in names]
    bars.plot(names, floors, "k_", markersize=40, label="floor: session.run")
    bars.set_ylabel("ms a case")
    # Beside the bars, over which it would lie otherwise.
    bars.set_xlim(-0.6, len(names) + 0.4)
    bars.legend(loc="center right")
    for name in names:
        lines.loglog(UNITS, [found[name]["scaling"][u] for u in UNITS], "o-", label=name)
    lines.set_xlabel("units")
    lines.set_ylabel("ms a case of the article's size")
    lines.legend()
    save(pyplot, figure, path)
