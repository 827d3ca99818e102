"""Failures as a page shows them: in words, in heat maps and as a script."""

from typing import Dict, Iterable, List, NamedTuple, Optional

import numpy as np

from rnndiff.harness.cases.case import Case, load
from rnndiff.harness.errors import UserError, in_one_line
from rnndiff.harness.judging.excuses import excuse
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.verdict import ArrayVerdict, Verdict, judge
from rnndiff.harness.report.describe import number, other_class, ulps
from rnndiff.harness.report.heatmaps import HeatMap, heat_map, largest
from rnndiff.harness.subjects import Subject
from rnndiff.harness.subjects.statements import statement_of
from rnndiff.harness.versions import versions_in
from rnndiff.models.layout import CHOICE

# A script of more numbers than this is read by nobody.
_NUMBERS = 20000


class Exhibit(NamedTuple):
    """A failure to be shown.

    ``text`` is the whole report, ``first`` what is to be said of the first wrong element;
    ``compared`` are the array that disagrees, of the subject and of the oracle, and the difference;
    ``given`` are parameters and inputs, but for those in ``zeros``, that have nothing else in them.
    """

    way: str
    summary: str
    path: str = ""
    text: str = ""
    where: str = ""
    first: Dict[str, str] = {}
    compared: List[HeatMap] = []
    given: List[HeatMap] = []
    zeros: List[str] = []
    script: str = ""


def exhibits(failures: Iterable[Failure], subject: Optional[Subject]) -> List[Exhibit]:
    """Failures with their cases, from their files, judged in the arithmetic of the subject.

    Parameters
    ----------
    failures : iterable of Failure
    subject : Subject or None
        Without it, failures are shown in words alone, as those are whose file cannot be
        read.
    """
    found = []
    for failure in failures:
        summary = failure.report.splitlines()[0]
        exhibit = Exhibit(failure.way, summary, failure.path, failure.report)
        if failure.path and subject is not None:
            try:
                exhibit = _from_file(exhibit, subject)
            except UserError as error:
                exhibit = exhibit._replace(text="{}\n\n{}".format(exhibit.text, error))
            except Exception as error:
                # Of a failing subject's trace, say: what is drawn of it is not worth the page.
                said = "It cannot be drawn: {}.".format(in_one_line(error))
                exhibit = exhibit._replace(text="{}\n\n{}".format(exhibit.text, said))
        found.append(exhibit)
    return found


def _from_file(exhibit: Exhibit, subject: Subject) -> Exhibit:
    case, trace, notes = load(exhibit.path)
    verdict = Verdict([], error=str(notes.get("verdict", "")))
    if trace:
        # What was computed then is shown. Computed again, it might end the process.
        verdict = judge(case, trace, subject.arithmetic(case))
        verdict = excuse(verdict, case, trace, subject.known)
    exhibit = with_heat_maps(exhibit, case, verdict)
    numbers = sum(array.size for array in case.arrays.values())
    label = statement_of(subject, "label")
    if numbers <= _NUMBERS and notes.get("subject", label) == label:
        exhibit = exhibit._replace(script=subject.script(case, verdict, versions_in(notes)))
    return exhibit


def with_heat_maps(exhibit: Exhibit, case: Case, verdict: Verdict) -> Exhibit:
    """The exhibit with heat maps."""
    wrong = verdict.first_wrong()
    if wrong is not None:
        exhibit = exhibit._replace(
            where="{}, {}".format(
                case.model.place(case.config, wrong.name, wrong.first_wrong()), wrong.run
            ),
            first=_first(case, verdict, wrong),
            compared=_compared(wrong),
        )
    zeros = [name for name, array in case.arrays.items() if _is_plain(array)]
    given = [
        heat_map(name, array, largest(array))
        for name, array in case.arrays.items()
        if name not in zeros
    ]
    return exhibit._replace(given=given, zeros=_with_shapes(case, zeros))


def _first(case: Case, verdict: Verdict, wrong: ArrayVerdict) -> Dict[str, str]:
    index = wrong.first_wrong()
    actual, expected = wrong.actual[index], float(wrong.expected[index])
    if case.model.traced(wrong.name).role == CHOICE:
        return {"subject and oracle": other_class(case, verdict, wrong, index)}
    bound, difference = float(wrong.bound[index]), abs(float(actual) - expected)
    found = {
        "subject": number(actual, wrong.precision),
        "oracle": number(expected, wrong.precision),
        "bound": "{:.3g}".format(bound),
        "bound in ULP": ulps(bound, expected, wrong.precision),
        "difference": "{:.3g}".format(difference) if np.isfinite(difference) else "",
        "difference in ULP": ulps(difference, expected, wrong.precision),
    }
    return {name: text for name, text in found.items() if text}


def _compared(wrong: ArrayVerdict) -> List[HeatMap]:
    actual, expected = (np.asarray(x, np.float64) for x in (wrong.actual, wrong.expected))
    with np.errstate(invalid="ignore"):
        difference = np.where(actual == expected, 0.0, actual - expected)
    scale = largest(actual, expected)
    return [
        heat_map("subject", actual, scale, wrong.wrong),
        heat_map("oracle", expected, scale, wrong.wrong),
        heat_map("difference", difference, largest(difference), wrong.wrong),
    ]


def _is_plain(array: np.ndarray) -> bool:
    return not np.any(array) and not np.any(np.signbit(array))


def _with_shapes(case: Case, names: List[str]) -> List[str]:
    return ["{} {}".format(name, list(case.arrays[name].shape)) for name in names]
