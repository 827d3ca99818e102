"""Two subjects side by side on one case: how far apart they are, and whether in meaning.

Two that are both within their bounds of the oracle cannot be proved wrong by each other: they lie
within the sum of these bounds of one another already. So the oracle judges each, and what is said
beyond that is how far apart they are, and where they differ in meaning though neither is blamed.
"""

import copy
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.judging.verdict import DISAGREE, FREE_RUNNING, ArrayVerdict, Verdict
from rnndiff.harness.records.compare import (
    CHOICE,
    FLUSHED,
    INFINITY,
    KINDS,
    NAN,
    ONE_SIDED,
    ModelDifference,
    of_model,
)
from rnndiff.harness.records.record import Computed
from rnndiff.harness.records.result import CaseResult, result_of
from rnndiff.harness.subjects.statements import statement_of
from rnndiff.harness.subjects.subject import Subject, Wrapper, in_mode
from rnndiff.models import Model

_OVERFLOW = "its bound is infinite there, as something may overflow"
# Why the oracle may blame neither.
_WHY = {
    CHOICE: "within rounding, either may be the largest",
    INFINITY: _OVERFLOW,
    NAN: _OVERFLOW,
}


class Side(NamedTuple):
    """What came of a case on one of the two, and the verdict on that."""

    verdict: Verdict
    result: CaseResult

    @property
    def is_wrong(self) -> bool:
        """Whether the oracle says so."""
        return self.verdict.status == DISAGREE


def side_of(
    subject: Subject, case: Case, verdict: Verdict, trace: Mapping[str, np.ndarray]
) -> Side:
    """What came of a case on a subject that was judged."""
    return Side(verdict, result_of(case, verdict, trace, subject.known))


def difference(case: Case, first: Side, second: Side) -> ModelDifference:
    """What differs between the two in one case, in the arrays that both have.

    Two traces that have none in common count as an array of one side.
    """
    traces = first.result.trace, second.result.trace
    common = [name for name in traces[0] if name in traces[1]]
    if all(traces) and not common:
        cases = dict(dict.fromkeys(KINDS, 0), **{ONE_SIDED: 1})
        return ModelDifference(case.model.name, cases, {}, {}, 0, 0, {})
    groups = _alone(case, first.result, common), _alone(case, second.result, common)
    found = of_model(case.model.name, [groups], {})
    # Where one has another meaning, what follows is no move.
    bounds = {} if differ_beyond_flushing(found) else _in_bounds(first.verdict, second.verdict)
    arrays = {name: x._replace(bounds=bounds.get(name)) for name, x in found.arrays.items()}
    return found._replace(arrays=arrays)


def differ_beyond_flushing(found: ModelDifference) -> bool:
    """Whether what differs does so in more than subnormal numbers, which all premises let flush."""
    return found.differ > found.cases[FLUSHED]


def finding(
    case: Case, found: ModelDifference, sides: Tuple[Side, Side], names: Tuple[str, str]
) -> str:
    """A difference in meaning for which the oracle blames neither, as "TYPE: message"; else "".

    One for which a known divergence of either was met is no finding.
    """
    if not differ_beyond_flushing(found) or found.named or any(side.is_wrong for side in sides):
        return ""
    kind = found.kind
    example = found.examples[kind]
    values = ", ".join("{} by {}".format(*each) for each in zip(example.values, names))
    where = example.array and case.model.place(case.config, example.array, example.place)
    said = "{} is {}".format(where, values) if where else values
    named = "".join(word[0].upper() + word[1:] for word in kind.split())
    return "DifferBy{}: {}; the oracle blames neither: {}".format(
        named, said, _WHY.get(kind, "both are right")
    )


def _alone(case: Case, came: CaseResult, names: Sequence[str]) -> Computed:
    traces = {name: came.trace[name][None] for name in names}
    codes = {name: came.codes[name][None] for name in names}
    ended = [came.error], [came.known]
    return Computed(case.model.name, 0, "", 0, "", True, *ended, traces, codes)


def _in_bounds(first: Verdict, second: Verdict) -> Dict[str, float]:
    """The largest difference in each array, in sums of the bounds of both, free-running.

    Teacher-forced each goes on from its own numbers, so the bounds are around different ones.
    """
    others = {array.name: array for array in second.arrays if array.run == FREE_RUNNING}
    return {
        one.name: _most(one, others[one.name])
        for one in first.arrays
        if one.run == FREE_RUNNING and one.name in others
    }


def _most(one: ArrayVerdict, other: ArrayVerdict) -> float:
    a, b = (np.asarray(each.actual, np.float64) for each in (one, other))
    with np.errstate(all="ignore"):
        shares = np.where(a == b, 0.0, np.abs(a - b) / (one.bound + other.bound))
    return float(np.max(shares[np.isfinite(shares)], initial=0.0))


class Pair(Wrapper):
    """Two subjects as one: it ends in an error where they differ in meaning and neither is blamed.

    Elsewhere it is the first, and what is known of it is what is known of that.

    Attributes
    ----------
    names : two of str
        As both are called.

    Raises
    ------
    UserError
        If they are one and the same, or compute in other precisions.
    """

    def __init__(self, first: Subject, second: Subject) -> None:
        super().__init__(first)
        if (first.name, first.mode) == (second.name, second.mode):
            raise UserError(
                "{} is both what is tested and what it is compared with: name another one, or "
                "another mode.".format(command_name(first))
            )
        if first.precision != second.precision:
            raise UserError(
                "{} computes in {}, and {} in {}: what is compared computes in the same.".format(
                    command_name(first), first.precision, command_name(second), second.precision
                )
            )
        self.second, self.against = second, second.name
        self.names = command_name(first), command_name(second)
        self.repeatable = first.repeatable and second.repeatable

    @property
    def parts(self) -> List[Subject]:
        """Both."""
        return [self._subject, self.second]

    @property
    def label(self) -> str:
        """As of both."""
        return "{} against {}".format(*(statement_of(part, "label") for part in self.parts))

    def supports(self, model: Model, config: Any) -> bool:
        """What both do."""
        return all(part.supports(model, config) for part in self.parts)

    def fresh(self) -> Subject:
        """Of fresh ones."""
        other = copy.copy(self)
        other._subject, other.second = (part.fresh() for part in self.parts)
        return other

    def ended_by(self, case: Case) -> Optional[str]:
        """The signal by which either would end the process."""
        return self._subject.ended_by(case) or self.second.ended_by(case)

    def advice(self, case: Case) -> str:
        """None: neither is blamed."""
        return ""

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """The trace of the first; a SubjectError if there is something to find."""
        came = [verdict_on(part, case) for part in self.parts]
        sides = [side_of(part, case, *each) for part, each in zip(self.parts, came)]
        text = finding(case, difference(case, *sides), (sides[0], sides[1]), self.names)
        if text:
            raise SubjectError(text)
        verdict, trace = came[0]
        if verdict.error:
            raise SubjectError(verdict.error)
        return trace


def command_name(subject: Subject) -> str:
    """What a subject is called on a command line, and its mode if it is not the default."""
    return in_mode(subject.name, subject.mode)
