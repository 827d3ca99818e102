"""``rnndiff compare``: what moved between records, and what differs in meaning."""

import os
import re
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnndiff.harness.cases import case as cases
from rnndiff.harness.commands.options import json_option
from rnndiff.harness.files import check_writable, write_json
from rnndiff.harness.records.compare import (
    IDENTICAL,
    KINDS,
    ROUNDING,
    Comparison,
    Example,
    ModelDifference,
)
from rnndiff.harness.records.compare import compare as compare_records
from rnndiff.harness.records.record import Record, case_of, load
from rnndiff.harness.report import comparison as page

JSON_FORMAT = 1


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FIRST OTHER...", type=click.Path())
@click.option(
    "--reference",
    "reference_path",
    metavar="FILE",
    help="A record of the same in float64: where no bound decides, what moved is rounding if both "
    "sides are as near to it.",
)
@click.option("--arrays", is_flag=True, help="Print a line for each array, too.")
@click.option(
    "--save",
    "folder",
    metavar="FOLDER",
    help="Save the smallest case of each difference, for `rnndiff replay` and `minimize`.",
)
@json_option
@click.option(
    "--report",
    "report_path",
    metavar="FILE",
    help="Write a page of HTML: a heat map of models and records, each with its smallest case "
    "(needs the extra [report]).",
)
def compare(
    paths: Tuple[str, ...],
    reference_path: Optional[str],
    arrays: bool,
    folder: Optional[str],
    json_path: Optional[str],
    report_path: Optional[str],
) -> None:
    """Compare records of `rnndiff record` with the FIRST of them.

    For each model and array: what is the same bit for bit, what moved and by how much, whether that
    is rounding (within the bound of the oracle on both sides), and what differs in meaning: NaN,
    infinities, another class, subnormals flushed to 0, errors. No TensorFlow is needed.

    Exit status: 0 if all is the same but for rounding; 1 if anything differs in meaning, or moved
    and nothing says whether by rounding, if an array is of one side only, if both sides end in the
    same error and no known divergence of both says so, if a record is not whole, or if one has a
    model that the other has not (what a side does not support is left out, which is no reason); 2
    if a file is no such record.
    """
    if len(paths) < 2:
        raise click.UsageError("there is nothing to compare: name two records or more")
    if report_path:
        page.check(report_path)
    if json_path and json_path != "-":
        check_writable(json_path)
    if folder:
        check_writable(os.path.join(folder, "case.npz"))
    first, *others = [load(path) for path in paths]
    reference = load(reference_path) if reference_path else None
    comparisons = [compare_records(first, other, reference) for other in others]
    console = Console(stderr=json_path == "-")
    for each in comparisons:
        _print(console, each, arrays)
    saved: Dict[Any, str] = _save(folder, comparisons) if folder else {}
    if json_path:
        write_json(json_path, _result(comparisons, saved))
    if report_path:
        page.write(report_path, comparisons)
    sys.exit(0 if all(each.same and each.complete for each in comparisons) else 1)


def _print(console: Console, found: Comparison, arrays: bool) -> None:
    console.print(
        Text("{} against {}".format(found.second.title, found.first.title)), soft_wrap=True
    )
    console.print(table_of(found.models, arrays))
    for text in page.sentences(found):
        console.print(Text(text), soft_wrap=True)
    console.print()


def table_of(models: Sequence[ModelDifference], arrays: bool) -> Table:
    """A row for each model, and with `arrays` one for each of its arrays."""
    table = Table()
    # What rounding can come to is known of what was judged, and of no record.
    judged = any(_bounds(model) is not None for model in models)
    names = ["", "cases", "identical", "largest move", "in ULP", "cases that differ"]
    names[5:5] = ["in bounds"] * judged
    for name in names:
        justify: Any = "left" if name in ("", "cases that differ") else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for model in models:
        absolute = max((array.absolute for array in model.arrays.values()), default=0.0)
        ulp = max((array.ulp for array in model.arrays.values()), default=0.0)
        counts = [str(sum(model.cases.values())), str(model.cases[IDENTICAL])]
        moves = [*_moves(absolute, ulp), *[_share(_bounds(model))] * judged]
        table.add_row(model.model, *counts, *moves, _said(model.cases))
        for name, array in model.arrays.items() if arrays else ():
            total = sum(array.counts.values())
            share = "{:.0%}".format(array.counts.get(IDENTICAL, 0) / max(total, 1))
            moves = [*_moves(array.absolute, array.ulp), *[_share(array.bounds)] * judged]
            table.add_row("  " + name, str(total), share, *moves, _said(array.counts))
    return table


def _bounds(model: ModelDifference) -> Optional[float]:
    return max((x.bounds for x in model.arrays.values() if x.bounds is not None), default=None)


def _share(bounds: Optional[float]) -> str:
    return "{:.2g}".format(bounds) if bounds else ""


def _moves(absolute: float, ulp: float) -> Tuple[str, str]:
    if not absolute:
        return "", ""
    return "{:.2g}".format(absolute), "{:.3g}".format(ulp)


def _said(counts: Dict[str, int]) -> str:
    """How many are of each kind, the worst first, but for those that are the same."""
    named = [kind for kind in reversed(list(KINDS)) if counts.get(kind) and kind != IDENTICAL]
    return ", ".join("{} {}".format(counts[kind], kind) for kind in named)


def _save(folder: str, comparisons: List[Comparison]) -> Dict[Any, str]:
    """Save the smallest cases; their files by model and group and case."""
    saved: Dict[Any, str] = {}
    for found in comparisons:
        for model in found.models:
            for kind, example in model.examples.items():
                case = None if kind == ROUNDING else case_of(example.group, example.case)
                if case is None:
                    continue
                name = "{}-{}-{}".format(model.model, example.group.number, example.case)
                path = os.path.join(folder, re.sub(r"[^\w.-]+", "-", name) + ".npz")
                saved[model.model, example.group.number, example.case] = path
                cases.save(path, case, notes=found.second.notes)
    for path in sorted(set(saved.values())):
        click.echo("saved as {}".format(path), err=True)
    if comparisons and not saved:
        click.echo("no case is saved: none differs, or this rnndiff has other cases", err=True)
    return saved


def _result(comparisons: List[Comparison], saved: Dict[Any, str]) -> Dict[str, Any]:
    return {
        "format": JSON_FORMAT,
        "same_but_for_rounding": all(each.same for each in comparisons),
        "complete": all(each.complete for each in comparisons),
        "kinds": dict(KINDS),
        "first": _about(comparisons[0].first),
        "comparisons": [
            {
                "with": _about(found.second),
                "same_but_for_rounding": found.same,
                "complete": found.complete,
                "cases": found.cases,
                "left_out": found.left_out,
                "models": {model.model: _of_model(model, saved) for model in found.models},
            }
            for found in comparisons
        ],
    }


def _about(record: Record) -> Dict[str, Any]:
    return {"title": record.title, "whole": record.whole, "notes": record.notes}


def _of_model(model: ModelDifference, saved: Dict[Any, str]) -> Dict[str, Any]:
    smallest = {
        kind: _of_example(model.model, example, saved) for kind, example in model.examples.items()
    }
    return dict(model.as_dict(), smallest=smallest)


def _of_example(model: str, example: Example, saved: Dict[Any, str]) -> Dict[str, Any]:
    group, case = example.group.number, example.case
    return {
        "group": group,
        "case": case,
        "config": example.group.config,
        "array": example.array,
        "index": list(example.place),
        "values": list(example.values),
        "known": list(example.known),
        "file": saved.get((model, group, case)),
    }
