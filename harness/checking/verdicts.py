"""What comes of cases on a subject, and the verdicts on that."""

import contextlib
import re
from collections import OrderedDict
from typing import List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case, SavedCase
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.judging.excuses import Entry, excuse, excuse_ending, excuse_error, rewrites
from rnndiff.harness.judging.verdict import DISAGREE, StackVerdict, Verdict, judge, judge_stacks
from rnndiff.harness.shrinking.smallest import random_cases
from rnndiff.harness.subjects.run import (
    CRASH,
    HANG,
    NOT_REPEATABLE,
    Outcome,
    Running,
    not_repeatable,
    outcome_of_end,
    run,
)
from rnndiff.harness.subjects.statements import (
    arithmetic_of,
    supported,
)
from rnndiff.harness.subjects.subject import TIMEOUT, Subject

# After so many of one kind, what is left of some cases is not run: what hangs twice may hang on
# all, and a program takes its time to be started again.
MOST_OF_A_KIND = {HANG: 2, CRASH: 8}
# Memory that is read before it is written may hold the same number twice.
TRIES_TO_DIFFER = 3


class Judged(NamedTuple):
    """A case, what came of it on the subject, and the verdict on that."""

    case: Case
    outcome: Outcome
    verdict: Verdict

    @property
    def trace(self) -> Mapping[str, np.ndarray]:
        """The subject's trace; empty if it is none that could be judged."""
        return {} if self.verdict.error else self.outcome.trace or {}


def verdicts_on(
    subject: Subject, cases: Sequence[Case], timeout: float = TIMEOUT, repeated: Sequence[int] = ()
) -> Tuple[List[StackVerdict], List[Judged]]:
    """The verdicts on many cases: on those that agree or are undecided in stacks, then the others.

    They are those of :func:`verdict_on`, at a fraction of the time for cases of one config. The
    second one on which the subject hangs is the last, and so is the eighth that ends a program.

    Parameters
    ----------
    subject : Subject
    cases : list of Case
    timeout : float
        Seconds that the subject has for each.
    repeated : list of int
        The places of cases that are run a second time, after all others.
    """
    outcomes: List[Outcome] = []
    left = dict(MOST_OF_A_KIND)
    with Running(subject, timeout) as running:
        for case in cases:
            outcomes.append(running(case))
            kind = outcomes[-1].kind
            if kind in left:
                left[kind] -= 1
            if 0 in left.values():
                repeated = []
                break
        for place in repeated if subject.repeatable else ():
            other = not_repeatable(outcomes[place], running(cases[place]))
            outcomes[place] = other or outcomes[place]
    stacks, others, ran = [], [], OrderedDict()
    for case, outcome in zip(cases, outcomes):
        if outcome.trace is None:
            others.append(Judged(case, outcome, _verdict(subject, case, outcome, subject.known)))
        else:
            ran.setdefault((case.model.name, case.config), []).append((case, outcome))
    for pairs in ran.values():
        together = [case for case, _ in pairs]
        try:
            traces = [outcome.trace for _, outcome in pairs]
            judged = judge_stacks(together, traces, arithmetic_of(subject, together[0]))
        except SubjectError:
            others.extend(
                Judged(case, outcome, _verdict(subject, case, outcome, subject.known))
                for case, outcome in pairs
            )
            continue
        for stack in judged:
            wrong = stack.disagree()
            stacks.append(stack.only(~wrong))
            for place in np.flatnonzero(wrong):
                case, trace = stack.cases[place], stack.trace(place)
                verdict = _excused(subject, case, stack.verdict(place), trace, subject.known)
                others.append(Judged(case, Outcome(trace), verdict))
    return stacks, others


def verdict_on(
    subject: Subject,
    case: Case,
    timeout: float = TIMEOUT,
    known: Optional[Tuple[Entry, ...]] = None,
) -> Tuple[Verdict, Mapping[str, np.ndarray]]:
    """The verdict on a case, and the subject's trace.

    What is excused are the divergences in `known`, by default those that are known of the subject.
    """
    judged = judged_on(subject, case, timeout, known)
    return judged.verdict, judged.trace


def verdict_on_ending(
    case: Case, name: str, known: Tuple[Entry, ...] = (), timeout: float = TIMEOUT
) -> Verdict:
    """The verdict on a case that ended a process by the signal `name`, or hung ("Hang")."""
    return _without_trace(case, outcome_of_end(name, timeout), known)


def judged_on(
    subject: Subject,
    case: Case,
    timeout: float,
    known: Optional[Tuple[Entry, ...]] = None,
) -> Judged:
    """The same with what came of the case, whatever that is."""
    outcome = run(subject, case, timeout)
    known = subject.known if known is None else known
    return Judged(case, outcome, _verdict(subject, case, outcome, known))


def _verdict(subject: Subject, case: Case, outcome: Outcome, known: Tuple[Entry, ...]) -> Verdict:
    """The verdict on what came of a case, whatever that is."""
    if outcome.trace is None:
        return _without_trace(case, outcome, known)
    try:
        verdict = judge(case, outcome.trace, arithmetic_of(subject, case))
    except SubjectError as error:
        return excuse_error(case, str(error), known)
    return _excused(subject, case, verdict, outcome.trace, known)


def _without_trace(case: Case, outcome: Outcome, known: Tuple[Entry, ...]) -> Verdict:
    if outcome.signal:
        return excuse_ending(case, outcome.signal, known)
    return excuse_error(case, outcome.error, known)


def _excused(
    subject: Subject,
    case: Case,
    verdict: Verdict,
    trace: Mapping[str, np.ndarray],
    known: Tuple[Entry, ...],
) -> Verdict:
    """The verdict with known divergences excused."""
    verdict = excuse(verdict, case, trace, known)
    for entry in rewrites(case, known) if verdict.status == DISAGREE else ():
        other = entry.computes(case)
        on_other = judge(other, trace, arithmetic_of(subject, case))
        on_other = excuse(on_other, other, trace, known)
        if on_other.status != DISAGREE:
            return on_other._replace(known=on_other.known + (entry.name,))
    return verdict


def first_wrong_of(judged: Sequence[Judged]) -> List[Judged]:
    """Of cases that disagree the one in which the earliest array is wrong, if there are any."""

    def place(each: Judged) -> int:
        arrays = each.verdict.arrays
        # What yields no trace at all comes first.
        return next((k for k, array in enumerate(arrays) if array.status == DISAGREE), -1)

    return [min(judged, key=place)] if judged else []


def way_of_failing(case: Case, verdict: Verdict) -> str:
    """One name for each way of failing: model, array and run, or the error's type."""
    wrong = verdict.first_wrong()
    way = "{}-{}".format(wrong.name, wrong.run) if wrong else verdict.error.partition(":")[0]
    return "{}-{}".format(case.model.name, re.sub(r"[^\w.-]+", "-", way))


def named_way(of: str, way: str) -> str:
    """A way of failing as that of a subject, if it is named."""
    return "{}-{}".format(re.sub(r"[^\w.-]+", "-", of), way) if of else way


def fails(subject: Subject, way: str, case: Case, timeout: float = TIMEOUT) -> bool:
    """Whether the subject fails on a case that it supports, and in that way."""
    return supported(subject, case) and failed_so(judged_on(subject, case, timeout), way)


def failed_so(judged: Judged, way: str) -> bool:
    """Whether a case failed, and in that way."""
    disagrees = judged.verdict.status == DISAGREE
    return disagrees and way_of_failing(judged.case, judged.verdict) == way


def difference_between_calls(
    subject: Subject, case: Case, timeout: float = TIMEOUT
) -> Optional[Outcome]:
    """The outcome "NotRepeatable" if it matters what a subject was called with before, or None.

    On fresh subjects the case is run first, a second time, and after another case.
    """
    used = subject.fresh()
    first, second = run(used, case, timeout), run(used, case, timeout)
    other = subject.fresh()
    run(other, next(random_cases(case.model, case.config, precision=case.precision)), timeout)
    third = run(other, case, timeout)
    return not_repeatable(first, second) or not_repeatable(first, third)


def verdict_on_saved(
    subject: Subject, saved: SavedCase, timeout: float = TIMEOUT
) -> Tuple[Verdict, Mapping[str, np.ndarray]]:
    """The verdict on a saved case, and the trace.

    One on which a subject was not repeatable is run several times, if it can be made anew and does
    not say that it may do so: :data:`TRIES_TO_DIFFER` times as :func:`difference_between_calls`.
    """
    if subject.repeatable and NOT_REPEATABLE in str(saved.notes.get("verdict", "")):
        # One that cannot be made a second time is judged as any other.
        with contextlib.suppress(UserError):
            for _ in range(TRIES_TO_DIFFER):
                outcome = difference_between_calls(subject, saved.case, timeout)
                if outcome:
                    return Verdict([], error=outcome.error), {}
    return verdict_on(subject, saved.case, timeout)
