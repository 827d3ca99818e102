"""A failing case in words and small matrices."""

from itertools import zip_longest
from typing import Any, Iterator, Mapping, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.judging.verdict import ArrayVerdict, Verdict
from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.report.undecided import why_undecided
from rnndiff.models.layout import CHOICE, SCORE

_ROWS = 12
_WIDTH = 132


def describe(case: Case, verdict: Verdict) -> str:
    """The case, and the first element that disagrees, to be read by a person."""
    return "\n".join(_lines(case, verdict))


def _lines(case: Case, verdict: Verdict) -> Iterator[str]:
    yield "{!r}: {}".format(case, verdict.summary())
    wrong = verdict.first_wrong()
    if wrong is None:
        yield from why_undecided(case, verdict)
    else:
        yield from _disagreement(case, verdict, wrong)
    yield ""
    for name, array in case.arrays.items():
        yield "{} {} =".format(name, list(array.shape))
        yield matrix(array)


def _disagreement(case: Case, verdict: Verdict, wrong: ArrayVerdict) -> Iterator[str]:
    yield from first_difference(case, verdict, wrong)
    yield "{} {}:".format(wrong.name, list(wrong.actual.shape))
    yield _side_by_side(
        {"of the subject": wrong.actual, "of the oracle": wrong.expected, "wrong": _marks(wrong)},
        _digits(wrong.precision),
    )


def first_difference(
    case: Case, verdict: Verdict, wrong: ArrayVerdict, subject: str = "subject"
) -> Iterator[str]:
    """The first element of an array that is wrong: its place, and what both sides have there."""
    index = wrong.first_wrong()
    actual, expected = wrong.actual[index], wrong.expected[index]
    place = case.model.place(case.config, wrong.name, index)
    yield "first in {}, {}:".format(place, wrong.run)
    if case.model.traced(wrong.name).role == CHOICE:
        yield "    " + other_class(case, verdict, wrong, index)
    else:
        bound = float(wrong.bound[index])
        yield "    {} {}, oracle {} +- {}".format(
            subject,
            number(actual, wrong.precision),
            number(expected, wrong.precision),
            with_ulp(bound, expected, wrong.precision),
        )
        yield "    " + difference(actual, expected, wrong.precision)


def other_class(case: Case, verdict: Verdict, wrong: ArrayVerdict, index: Tuple[int, ...]) -> str:
    """Why the class at an index of the predictions is not the arg max of the subject's scores."""
    actual, expected = int(wrong.actual[index]), int(wrong.expected[index])
    arrays = [x.actual for x in verdict.arrays if case.model.traced(x.name).role == SCORE]
    if not 0 <= actual < case.config.outputs:
        why = "there are {} classes".format(case.config.outputs)
    elif not arrays:
        why = "its score, which the subject does not have, cannot be the largest"
    else:
        why = _why_not(arrays[0][index], actual, expected)
    return "class {}, not {}: {}".format(actual, expected, why)


def _why_not(scores: np.ndarray, actual: int, expected: int) -> str:
    """Why one class is not the arg max of scores, but another."""
    if np.isnan(scores).any():
        return "a score is NaN"
    if scores[actual] == scores[expected]:
        return "the scores tie"
    if scores[actual] < scores[expected]:
        return "its score is lower"
    return "its score is higher than the oracle's arg max allows"


def _marks(wrong: ArrayVerdict) -> np.ndarray:
    return np.where(wrong.wrong, "x", ".")


def _side_by_side(arrays: Mapping[str, np.ndarray], digits: int) -> str:
    """Arrays of one shape as columns under their titles; wide ones one below the other."""
    blocks = []
    for title, array in arrays.items():
        lines = ["    " + title] + matrix(array, digits).replace("'", "").splitlines()
        width = max(map(len, lines))
        blocks.append([line.ljust(width) for line in lines])
    if sum(len(block[0]) for block in blocks) > _WIDTH:
        return "\n".join(line.rstrip() for block in blocks for line in block)
    # Numbers of many digits may break a row in one column and not in another.
    rows = zip_longest(*blocks, fillvalue="")
    return "\n".join("".join(row).rstrip() for row in rows)


def difference(actual: Any, expected: Any, precision: str) -> str:
    """How far an element is from what is expected, in words."""
    if actual == expected:
        return "the sign of the zero differs"
    if not (np.isfinite(actual) and np.isfinite(expected)):
        return "NaN and infinities must be the same"
    distance = abs(float(actual) - float(expected))
    return "difference {}".format(with_ulp(distance, expected, precision))


def with_ulp(distance: float, expected: Any, precision: str) -> str:
    """A distance, and beside it in ULP of what is expected."""
    counted = ulps(distance, expected, precision)
    return "{:.3g} ({} ULP)".format(distance, counted) if counted else "{:.3g}".format(distance)


def ulps(distance: float, expected: Any, precision: str) -> str:
    """A distance in ULP of what is expected; empty if it is 0, infinite, or 0 is expected.

    An ULP of 0 is the smallest subnormal, in which nobody counts.
    """
    if not distance or not np.isfinite(distance) or not expected or not np.isfinite(expected):
        return ""
    return "{:.3g}".format(distance / float(ulp_of(expected, precision)))


def _digits(precision: str) -> int:
    """How many decimal digits tell any two numbers apart; of fewer bits, as many as of float32."""
    return 17 if precision == "float64" else 9


def number(value: Any, precision: str) -> str:
    """A number with as many digits as the subject's precision has."""
    return "{:.{}g}".format(float(value), _digits(precision))


def matrix(array: np.ndarray, digits: int = 9) -> str:
    """The array, indented; a large one abridged."""
    text = np.array2string(
        np.asarray(array), precision=digits, threshold=400, max_line_width=96, floatmode="maxprec"
    )
    lines = text.splitlines()
    if len(lines) > 4 * _ROWS:
        lines = lines[: 2 * _ROWS] + ["..."] + lines[-2 * _ROWS :]
    return "\n".join("    " + line for line in lines)
