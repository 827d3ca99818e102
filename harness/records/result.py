"""What came of one case on a subject, with what the oracle says of each element of it."""

from typing import Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.judging.excuses import Entry, KnownRewrite
from rnndiff.harness.judging.verdict import TEACHER_FORCED, Verdict
from rnndiff.harness.records.record import KNOWN, OUTSIDE, UNDECIDED, UNJUDGED, WITHIN
from rnndiff.harness.text import printable

Arrays = Dict[str, np.ndarray]


class CaseResult(NamedTuple):
    """The arrays of the trace, the codes of their elements, and the known divergences met.

    With an ``error`` there is no trace.
    """

    trace: Arrays
    codes: Arrays
    error: str
    known: List[str]


def result_of(
    case: Case, verdict: Verdict, trace: Mapping[str, np.ndarray], known: Tuple[Entry, ...]
) -> CaseResult:
    """What came of a case that was judged; `known` are the divergences known of the subject."""
    if verdict.error:
        return CaseResult({}, {}, printable(verdict.error), list(verdict.known))
    arrays = {each.name: trace[each.name] for each in case.model.trace if each.name in trace}
    codes, met = _codes(verdict, arrays), list(verdict.known)
    if any(isinstance(entry, KnownRewrite) and entry.name in met for entry in known):
        # What was judged is another case.
        codes = {name: np.full(array.shape, KNOWN, np.uint8) for name, array in arrays.items()}
    return CaseResult(arrays, codes, "", met)


def _codes(verdict: Verdict, arrays: Mapping[str, np.ndarray]) -> Arrays:
    codes = {name: np.full(array.shape, UNJUDGED, np.uint8) for name, array in arrays.items()}
    for each in verdict.arrays:
        if each.run == TEACHER_FORCED:
            known = np.zeros(each.ratios.shape, bool) if each.known is None else each.known
            conditions, choices = [known, each.undecided], [KNOWN, UNDECIDED]
            codes[each.name] = np.select(conditions, choices, WITHIN).astype(np.uint8)
        codes[each.name] = np.where(each.wrong, np.uint8(OUTSIDE), codes[each.name])
    return codes
