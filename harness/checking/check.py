"""Check cases on a subject: count them, shrink and keep those that fail."""

import math
from collections import OrderedDict
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple, Union

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.checking.saving import FAILURES, UnsavedFailure, save_failure, unsaved_failure
from rnndiff.harness.checking.verdicts import (
    Judged,
    difference_between_calls,
    failed_so,
    fails,
    first_wrong_of,
    judged_on,
    named_way,
    verdicts_on,
    way_of_failing,
)
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.same_rows import same_rows
from rnndiff.harness.judging.suspicion import sample_for_chance
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import DISAGREE, StackVerdict, Verdict
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.shrinking.simplicity import fingerprint, simpler
from rnndiff.harness.subjects.run import (
    HANG,
    NOT_REPEATABLE,
    Outcome,
    not_repeatable,
)
from rnndiff.harness.subjects.statements import (
    arithmetic_of,
    statement_of,
    supported,
)
from rnndiff.harness.subjects.subject import TIMEOUT, Subject

EVALUATIONS = 500
# What one failure may take to be shrunk where it is waited for.
SECONDS = 8.0
# One case in so many is run a second time.
REPEATED_EVERY = 64
# Shrinking a hang takes no longer than a hang: so many cases, each for the same part of its time.
TRIES_IN_A_HANG = 20
_ONCE = (
    "not shrunk: {}, once; run again, the case did not do so "
    "(a busy machine, a pause or the lack of memory may have been the cause)"
)
_NOT_AGAIN = "not shrunk: run again, it did not fail in this way"
_UNFINISHED = "not shrunk to the end"
# Failing cases that are remembered: more than Hypothesis comes back to.
_REMEMBERED = 4096


class CheckResult(NamedTuple):
    """What is to be said of some cases: the largest ratio of error to bound, and the failures.

    The ratio is teacher-forced, and of the cases that agree or are undecided.
    """

    worst: float
    failures: List[Failure]


class Checker:
    """Checks cases on one subject, counts them, shrinks and saves those that fail.

    Parameters
    ----------
    subject : Subject
    tally : Tally
        Where the cases are counted; those that shrinking tries are not.
    folder : str
        Where failing cases are saved, one for each way of failing; see :func:`save_failure`.
    evaluations : int
        How many cases shrinking may try.
    found : function of a Failure
        Called with each new failure as it is saved: before it is shrunk, as it becomes smaller, and
        at last.
    timeout : float
        Seconds that the subject has for each case.
    restriction : Restriction
        What failing cases may shrink to.
    seconds : float
        How long shrinking one may take.
    first_alone : bool
        Whether of cases that are checked together and disagree just one is shrunk and told: that in
        which the earliest array is wrong.
    of : str
        What failures are said to be of, where there are those of two subjects; "" says nothing.
    on_judged : function of a list of StackVerdict and a list of Judged
        Called with what came of the cases that are counted: those that agree or are undecided, then
        the others.
    """

    def __init__(
        self,
        subject: Subject,
        tally: Tally,
        folder: str = FAILURES,
        evaluations: int = EVALUATIONS,
        found: Callable[[Failure], None] = lambda failure: None,
        timeout: float = TIMEOUT,
        restriction: Restriction = ANY,
        seconds: float = math.inf,
        first_alone: bool = False,
        of: str = "",
        on_judged: Callable[[List[StackVerdict], List[Judged]], None] = lambda stacks, others: None,
    ) -> None:
        self.subject = subject
        self.of, self._on_judged = of, on_judged
        self._tally = tally
        self._restriction, self._seconds = restriction, seconds
        self._first_alone = first_alone
        self._folder = folder
        self._evaluations = evaluations
        self._found = found
        self._timeout = timeout
        self._seen: Dict[str, Failure] = {}
        self._failing: OrderedDict[bytes, Failure] = OrderedDict()
        self._until_repeated = self._repeated = 0

    def __call__(self, cases: Union[Case, Sequence[Case]]) -> CheckResult:
        """Check cases, or one, and count them.

        One that disagrees is shrunk to the smallest case that fails in the same way; a second such
        case is not shrunk again. A case that failed before, as when Hypothesis comes back to it, is
        the same failure again, and is neither run nor counted.
        """
        failures, new = [], []
        for case in [cases] if isinstance(cases, Case) else cases:
            failure = self._failing.get(fingerprint(case)) if self._failing else None
            (failures if failure else new).append(failure or case)
        repeated = []
        if new and self._until_repeated <= 0:
            # Another place each time: a subject may treat the first of a batch in a way of its own.
            repeated.append(self._repeated % len(new))
            self._repeated += 1
        self._until_repeated = (REPEATED_EVERY if repeated else self._until_repeated) - len(new)
        worst, disagree = self.count(new, repeated)
        for judged in first_wrong_of(disagree) if self._first_alone else disagree:
            failures.append(self._failure(judged))
            self._failing[fingerprint(judged.case)] = failures[-1]
            if len(self._failing) > _REMEMBERED:
                self._failing.popitem(last=False)
        return CheckResult(worst, failures)

    def count(self, cases: Sequence[Case], repeated: Sequence[int]) -> Tuple[float, List[Judged]]:
        """Judge and count cases, no more: the largest ratio, and those that disagree."""
        places = [place for place, case in enumerate(cases) if supported(self.subject, case)]
        self._tally.unsupported += len(cases) - len(places)
        repeated = [places.index(place) for place in repeated if place in places]
        cases = [cases[place] for place in places]
        self._tally.premise = statement_of(self.subject, "premise")
        stacks, others = verdicts_on(self.subject, cases, self._timeout, repeated)
        self._on_judged(stacks, others)
        came = sum(len(stack.cases) for stack in stacks) + len(others)
        self._tally.not_run += len(cases) - came
        for stack in stacks:
            self._tally.add_stack(stack)
            part = sample_for_chance(stack)
            if part.cases:
                self._tally.suspicion.add(part, arithmetic_of(self.subject, part.cases[0]))
        self._tally.add_rows(*same_rows(stacks))
        for judged in others:
            self._tally.add(judged.case, judged.verdict)
        worst = max([stack.largest() for stack in stacks], default=0.0)
        return worst, [judged for judged in others if judged.verdict.status == DISAGREE]

    def find_failures(
        self, cases: Sequence[Case], repeated: Sequence[int]
    ) -> List[Tuple["Checker", List[Judged]]]:
        """Judge and count cases: who shrinks those that disagree, this one, and they."""
        return [(self, self.count(cases, repeated)[1])]

    @property
    def parts(self) -> List["Checker"]:
        """Who checks: this one alone."""
        return [self]

    def way(self, case: Case, verdict: Verdict) -> str:
        """The way of failing, and of whom if that is to be told."""
        return named_way(self.of, way_of_failing(case, verdict))

    def _failure(self, judged: Judged) -> Failure:
        """The failure that a case is one of, shrunk if it is the first one."""
        way = way_of_failing(judged.case, judged.verdict)
        if way in self._seen:
            return self._seen[way]
        judged, why = self._again(judged)
        way = way_of_failing(judged.case, judged.verdict)
        if way in self._seen:
            return self._seen[way]

        def tell(failing: UnsavedFailure) -> None:
            self._seen[way] = save_failure(self._folder, failing, self._seen.get(way))
            self._found(self._seen[way])

        self._shrink(judged, why, tell)
        return self._seen[way]

    def investigate(self, judged: Judged, tell: Callable[[UnsavedFailure], None]) -> None:
        """Shrink a case that disagrees; tell of it, of what it becomes, at last of the smallest.

        What is told may fail in another way than the case seemed to: it may be that the subject
        computes something else in a second call.
        """
        self._shrink(*self._again(judged), tell)

    def unfinished(self, judged: Judged) -> UnsavedFailure:
        """A case that disagrees, as it is before it is shrunk."""
        return self._unsaved(judged, _UNFINISHED, final=False)

    def _again(self, judged: Judged) -> Tuple[Judged, str]:
        """What came of a failing case on a fresh subject, and why it is not to be shrunk, if so."""
        kind = judged.outcome.kind
        if kind == NOT_REPEATABLE:
            return judged, ""
        # Not one that depends on the cases before it: that is another failure.
        try:
            again = self._afresh(judged.case)
        except UserError as error:
            return judged, "not shrunk: {}".format(error)
        other = not_repeatable(judged.outcome, again.outcome)
        if other and self.subject.repeatable:
            return Judged(judged.case, other, Verdict([], error=other.error)), ""
        if failed_so(again, way_of_failing(judged.case, judged.verdict)):
            return again, ""
        return judged, _ONCE.format(kind) if judged.outcome.signal or kind == HANG else _NOT_AGAIN

    def _afresh(self, case: Case) -> Judged:
        return judged_on(self.subject.fresh(), case, self._timeout)

    def _differing(self, case: Case) -> Judged:
        outcome = difference_between_calls(self.subject, case, self._timeout) or Outcome()
        return Judged(case, outcome, Verdict([], error=outcome.error))

    def _shrink(self, judged: Judged, why: str, tell: Callable[[UnsavedFailure], None]) -> None:
        if why:
            tell(self._unsaved(judged, why, final=True))
            return
        # Shrinking may be killed: what it starts from is kept first.
        tell(self.unfinished(judged))
        way, hangs = way_of_failing(judged.case, judged.verdict), judged.outcome.kind == HANG
        timeout = self._timeout / TRIES_IN_A_HANG if hangs else self._timeout
        evaluations = min(self._evaluations, TRIES_IN_A_HANG) if hangs else self._evaluations
        differs = judged.outcome.kind == NOT_REPEATABLE
        best = judged.case

        def still_fails(case: Case) -> bool:
            nonlocal best
            if not supported(self.subject, case):
                return False
            if differs:
                one = self._differing(case)
                if not one.outcome.kind:
                    return False
            else:
                one = judged_on(self.subject, case, timeout)
                fresh = self.subject.fresh() if failed_so(one, way) else None
                if not fresh or not (fresh is self.subject or fails(fresh, way, case, timeout)):
                    return False
            # A hang that had little time may be none.
            if not hangs and simpler(case, best):
                best = case
                tell(self.unfinished(one))
            return True

        try:
            smallest = Shrinker(
                judged.case, still_fails, evaluations, self._restriction, self._seconds
            ).run()
            again = judged
            if smallest is not judged.case:
                again = self._differing(smallest) if differs else self._afresh(smallest)
        except UserError as error:
            tell(self._unsaved(judged, "not shrunk: {}".format(error), final=True))
            return
        failed = again is judged or failed_so(again, way)
        tell(self._unsaved(again if failed else judged, "" if failed else _NOT_AGAIN, final=True))

    def _unsaved(self, judged: Judged, why: str, final: bool) -> UnsavedFailure:
        case, verdict = judged.case, judged.verdict
        way = way_of_failing(case, verdict)
        return unsaved_failure(self.subject, case, verdict, way, judged.trace, why, final, self.of)
