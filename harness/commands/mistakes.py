"""``rnndiff mistakes``: how soon planted mistakes are found, and by what else they would be."""

import difflib
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rnndiff.harness.commands.drawing import plot_option, pyplot_for, save
from rnndiff.harness.commands.options import ModelName, json_option
from rnndiff.harness.errors import INTERRUPTED, UserError
from rnndiff.harness.files import check_writable, write_json
from rnndiff.harness.quality.power import (
    BOUNDS,
    EXAMPLES,
    FUZZ,
    GRAPH,
    METHODS,
    ORACLE,
    SECONDS,
    STRATEGIES,
    TOLERANCES,
    Line,
    Trial,
    alarms,
    lines_of,
    tasks_of,
    trials_of,
)
from rnndiff.harness.quality.trials import run_trials, seconds_of_imports
from rnndiff.harness.stop import Stop
from rnndiff.harness.versions import tensorflow_version, versions

# Of the table where no terminal has another one.
_WIDTH = 150


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--model",
    "models",
    type=ModelName(),
    multiple=True,
    metavar="MODEL",
    help="Plant them in this one, too; by default each in one that can have it.",
)
@click.option(
    "--planted-in",
    "places",
    type=click.Choice([ORACLE, GRAPH]),
    multiple=True,
    help="Where; by default in both, if there is TensorFlow.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="one for each core",
)
@json_option
@plot_option
def mistakes(
    names: Tuple[str, ...],
    models: Tuple[str, ...],
    places: Tuple[str, ...],
    seeds: int,
    workers: int,
    json_path: Optional[str],
    plot: Optional[str],
) -> None:
    """Plant mistakes one at a time, NAME or all, and measure how soon each is found.

    By the strategies of the tests (100 examples, each of some cases of one config) and by the
    fuzzer (10 seconds of a processor); beside that, whether a fixed tolerance around a float64 run
    finds it in the same cases, and how often that blames what is right. Seconds are those of a
    processor from a cold start, imports included. Ctrl-C keeps what was measured. Exit status: 1 if
    a mistake is not found from every seed, 130 if Ctrl-C ended the run, 2 if nothing was measured.
    """
    pyplot = pyplot_for(plot) if plot else None
    if json_path and json_path != "-":
        check_writable(json_path)
    if not places:
        places = (ORACLE, GRAPH) if tensorflow_version() else (ORACLE,)
    tasks = tasks_of(_known(names), models, places)
    if not tasks:
        raise UserError("None of these mistakes can be made there.")
    trials = trials_of(tasks, seeds)
    results: List[Tuple[Trial, Dict[str, Any]]] = []
    with Stop() as stop, _progress() as progress:
        bar = progress.add_task("imports", total=len(trials))
        imports = {place: seconds_of_imports(place == GRAPH) for place in places}
        for trial, result in run_trials(trials, workers, stop):
            results.append((trial, result))
            said = "{} from seed {}".format(trial.task.mistake or "none", trial.seed)
            progress.update(bar, advance=1, description=said)
    lines, right = lines_of(results), alarms(results)
    if not lines:
        raise UserError("Nothing was measured.")
    report = {
        "seeds": seeds,
        "examples": EXAMPLES,
        "seconds": SECONDS,
        "imports": imports,
        "whole": not stop.signal,
        "versions": versions(),
        "mistakes": [line.as_dict(imports[line.task.planted_in]) for line in lines],
        "right": right,
    }
    # Files come first: what was measured for long outlives a terminal that is gone.
    if json_path:
        write_json(json_path, report)
    if pyplot:
        _draw(pyplot, lines, imports, str(plot))
    # An error's text may look like markup.
    out = Console(stderr=json_path == "-", markup=False, highlight=False)
    if not out.is_terminal:
        out.width = max(out.width, _WIDTH)
    out.print(_table(lines, imports))
    for sentence in _summary(lines, right):
        out.print(sentence, soft_wrap=True)
    if stop.signal:
        raise SystemExit(INTERRUPTED)
    raise SystemExit(1 if any(line.missed() or line.errors() for line in lines) else 0)


def _known(names: Sequence[str]) -> Sequence[str]:
    """The names, each of which is one.

    Raises
    ------
    UserError
        If one is not.
    """
    known = list(dict.fromkeys(task.mistake for task in tasks_of()))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise UserError(
                "There is no mistake {!r}{}.".format(
                    name, " (is it {}?)".format(near[0]) if near else ""
                )
            )
    return names


def _progress() -> Progress:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    return Progress(*columns, console=Console(stderr=True))


def _table(lines: Sequence[Line], imports: Dict[str, float]) -> Table:
    table = Table(
        *("mistake", "in", "found", "examples", "s", "by fuzz", "s", "smallest case"),
        *TOLERANCES,
        caption="found: from how many seeds; examples and seconds to the first failure: the "
        "median, and the largest",
    )
    for line in lines:
        start = imports[line.task.planted_in]
        examples = line.examples(BOUNDS)
        table.add_row(
            line.task.mistake,
            line.task.model + (", TensorFlow" if line.task.planted_in == GRAPH else ""),
            _part(len(examples), line.tried(STRATEGIES)),
            _spread(examples, "{:.0f}"),
            _spread(line.seconds(STRATEGIES, start), "{:.1f}"),
            _part(len(line.cases()), line.tried(FUZZ)),
            _spread(line.seconds(FUZZ, start), "{:.1f}"),
            _case(line),
            *[_part(len(line.examples(each)), line.tried(STRATEGIES)) for each in TOLERANCES],
        )
    return table


def _part(found: int, tried: int) -> str:
    return "{} of {}".format(found, tried)


def _spread(values: Sequence[float], form: str) -> str:
    """The median and the largest."""
    if not values:
        return ""
    return ", ".join(form.format(value) for value in (np.median(values), max(values)))


def _case(line: Line) -> str:
    """The shrunk case: the sizes that are not 1, and how many numbers are not 0."""
    case = line.shrunk()
    if not case:
        return ""
    sizes = ["{} {}".format(name, size) for name, size in case["sizes"].items() if size != 1]
    return "; ".join(sizes + ["{} not 0".format(case["nonzero"])])


def _summary(lines: Sequence[Line], right: Dict[str, Dict[str, int]]) -> List[str]:
    """What the table says in short."""
    tried = sum(line.tried(STRATEGIES) for line in lines)
    said = ["mistakes: {}; searches: {}".format(len({x.task.mistake for x in lines}), tried)]
    for method in METHODS:
        found = sum(len(line.examples(method)) for line in lines)
        cases = sum(of_model["cases"] for of_model in right.values())
        blamed = sum(of_model[method] for of_model in right.values())
        sentence = "{}: found in {:.1%} within {} examples".format(
            method, found / max(tried, 1), EXAMPLES
        )
        if cases:
            sentence += "; a right subject is blamed in {} of {} cases".format(blamed, cases)
        said.append(sentence)
    searched = sum(line.tried(FUZZ) for line in lines)
    found = sum(len(line.cases()) for line in lines)
    if searched:
        said.append("fuzz: found in {:.1%} within {:.0f} s".format(found / searched, SECONDS))
    for line in lines:
        for search in line.missed():
            said.append("not found from every seed: {} by {}".format(line.task.mistake, search))
        for error in dict.fromkeys(line.errors()):
            said.append("not measured: {}: {}".format(line.task.mistake, error))
    return said


def _draw(pyplot: Any, lines: Sequence[Line], imports: Dict[str, float], path: str) -> None:
    """Which part of the searches has found its mistake, over examples and over seconds."""
    figure, (of_examples, of_seconds) = pyplot.subplots(
        1, 2, figsize=(10, 4), constrained_layout=True, sharey=True
    )
    tried = {search: sum(line.tried(search) for line in lines) for search in (STRATEGIES, FUZZ)}
    for method in METHODS:
        found = [number for line in lines for number in line.examples(method)]
        _steps(of_examples, found, tried[STRATEGIES], EXAMPLES, method)
    for search, name in ((STRATEGIES, "the tests' strategies"), (FUZZ, "fuzz")):
        found = [x for line in lines for x in line.seconds(search, imports[line.task.planted_in])]
        _steps(of_seconds, found, tried[search], SECONDS, name)
    of_examples.set_xlabel("examples")
    of_examples.set_ylabel("mistakes found, % of searches")
    of_seconds.set_xlabel("seconds of a processor from a cold start")
    for axes in (of_examples, of_seconds):
        axes.set_xscale("log")
        axes.set_ylim(0, 102)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    save(pyplot, figure, path)


def _steps(axes: Any, found: Sequence[float], tried: int, most: float, label: str) -> None:
    """One curve: the part of what was tried that was found by then."""
    places = sorted(found)
    shares = [100.0 * (k + 1) / max(tried, 1) for k in range(len(places))]
    last = shares[-1] if shares else 0.0
    end = max([most, *places])
    axes.step([*places, end], [*shares, last], where="post", label=label)
