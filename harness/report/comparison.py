"""Comparisons of records as one page: a matrix that one clicks through to the smallest cases."""

from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from rnndiff.harness.files import write_text
from rnndiff.harness.judging.verdict import Verdict
from rnndiff.harness.records.compare import (
    FAILS,
    IDENTICAL,
    KINDS,
    MEANING,
    ONE_SIDED,
    ROUNDING,
    UNKNOWN,
    Comparison,
    Example,
    ModelDifference,
)
from rnndiff.harness.records.record import case_of
from rnndiff.harness.report.exhibits import Exhibit, with_heat_maps
from rnndiff.harness.report.page import check, environment_of, templates

__all__ = ["check", "render", "sentences", "write"]

# Cases of more numbers than this are read by nobody.
_NUMBERS = 2000
# Arrays whose names a sentence holds.
_NAMED = 4


class _Field(NamedTuple):
    """Of the matrix: its colour, text and anchor, and what the anchor leads to."""

    id: str
    color: str
    text: str
    title: str
    heading: str
    arrays: List[List[str]]
    examples: List[Dict[str, Any]]


def sentences(found: Comparison) -> Iterator[str]:
    """What there is to say of a comparison."""
    counts = found.cases
    said = ", ".join("{:,} {}".format(counts[kind], kind) for kind in counts)
    yield "{:,} cases: {}".format(sum(counts.values()), said)
    differ = sum(counts.get(kind, 0) for kind in MEANING)
    if found.same:
        yield "The same but for rounding{}.".format(_of_what(found))
    elif differ:
        named = sum(model.named for model in found.models)
        yield "Different in meaning: {:,}, of these with a known divergence met: {:,}.".format(
            differ, named
        )
    elif counts.get(UNKNOWN):
        yield "Whether all that moved is rounding, nobody knows: see --reference."
    if counts.get(FAILS):
        failed = sum(model.failed for model in found.models)
        said = "The same error on both sides, nothing computed: {:,}, of these not known: {:,}."
        yield said.format(counts[FAILS], failed)
    alone = sorted(
        "{} of {}".format(name, model.model)
        for model in found.models
        for name, array in model.arrays.items()
        if array.counts[ONE_SIDED]
    )
    if alone:
        yield "Only one side has the arrays {}.".format(", ".join(alone))
    yield from _of_types(found)
    known: Dict[str, int] = {}
    for model in found.models:
        for name, count in model.known.items():
            known[name] = known.get(name, 0) + count
    if known:
        each = ", ".join("{} ({})".format(*item) for item in sorted(known.items()))
        yield "Known divergences of either, and in how many such cases: {}.".format(each)
    for why in sorted(set(found.left_out.values())):
        names = ", ".join(name for name, reason in found.left_out.items() if reason == why)
        yield "Not compared, as {}: {}.".format(why, names)
    for record in (found.first, found.second):
        if not record.whole:
            yield "The record of {} is not whole: it was interrupted.".format(record.title)


def _of_types(found: Comparison) -> Iterator[str]:
    """Which arrays hold numbers of another type than those of the first record."""
    typed: Dict[Tuple[str, ...], List[str]] = {}
    for model in found.models:
        for name, array in model.arrays.items():
            if array.types:
                typed.setdefault(array.types, []).append("{} of {}".format(name, model.model))
    for types, names in typed.items():
        if len(names) > _NAMED:
            names[_NAMED - 1 :] = ["{} more".format(len(names) - _NAMED + 1)]
        yield "Of another type, {} and then {}: {}.".format(*types, ", ".join(names))


def _of_what(found: Comparison) -> str:
    return "" if found.complete and not found.left_out else ", of what both have"


def write(path: str, comparisons: Sequence[Comparison]) -> None:
    """Write the page to `path`, whole or not at all.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    write_text(path, render(comparisons))


def render(comparisons: Sequence[Comparison]) -> str:
    """The text of the page, of comparisons with the same first record."""
    rows: Dict[str, List[Any]] = {}
    for place, found in enumerate(comparisons):
        for model in found.models:
            row = rows.setdefault(model.model, [None] * len(comparisons))
            row[place] = _field(
                found, model, "of-{}-{}".format(place, list(rows).index(model.model))
            )
    same = sum(found.same for found in comparisons)
    if len(comparisons) == 1:
        only = comparisons[0]
        headline = "{} against {}: {}".format(
            only.second.title,
            only.first.title,
            "the same but for rounding" + _of_what(only) if only.same else "not the same",
        )
    else:
        headline = "{} of {} records are the same but for rounding{}".format(
            same, len(comparisons), max(map(_of_what, comparisons))
        )
    first = comparisons[0].first
    return (
        templates()
        .get_template("comparison.html.j2")
        .render(
            comparisons=comparisons,
            headline=headline,
            same=all(found.same and found.complete for found in comparisons),
            first=first,
            rows=rows,
            details=[field for fields in rows.values() for field in fields if field],
            sentences=sentences,
            kinds=KINDS,
            records=[first] + [found.second for found in comparisons],
            environment=environment_of(),
        )
    )


def _field(found: Comparison, model: ModelDifference, anchor: str) -> _Field:
    kind, differ = model.kind, sum(model.cases[each] for each in MEANING)
    colors = {IDENTICAL: "same", ROUNDING: "moved"}
    color = colors.get(kind, "doubt")
    if differ:
        color = "named" if model.named == differ else "meant"
    said = ", ".join("{} {}".format(count, each) for each, count in model.cases.items() if count)
    arrays = []
    for name, array in model.arrays.items():
        total, other = sum(array.counts.values()), dict(array.counts)
        share = other.pop(IDENTICAL) / max(total, 1)
        words = ", ".join("{} {}".format(count, each) for each, count in other.items() if count)
        moves = ["{:.2g}".format(array.absolute), "{:.3g}".format(array.ulp)]
        moves = moves if array.absolute else ["", ""]
        arrays.append([name, "{:,}".format(total), "{:.1%}".format(share), *moves, words])
    worst_first = sorted(model.examples, key=list(KINDS).index, reverse=True)
    return _Field(
        anchor,
        color,
        kind if kind == IDENTICAL else "{} {}".format(model.cases[kind], kind),
        "{} cases: {}".format(sum(model.cases.values()), said),
        "{}: {} against {}".format(model.model, found.second.title, found.first.title),
        arrays,
        [_example(each, model.examples[each]) for each in worst_first],
    )


def _example(kind: str, example: Example) -> Dict[str, Any]:
    shown = Exhibit("", "")
    small = example.group.numbers <= _NUMBERS
    # Of rounding the numbers themselves say little.
    case = case_of(example.group, example.case) if small and kind != ROUNDING else None
    if case is not None:
        with np.errstate(all="ignore"):
            shown = with_heat_maps(shown, case, Verdict([]))
    return {
        "kind": kind,
        "what": KINDS[kind],
        "case": example.case,
        "group": example.group.number,
        "config": example.group.config,
        "array": example.array,
        "index": list(example.place),
        "values": example.values,
        "known": example.known,
        "given": shown.given,
        "zeros": shown.zeros,
    }
