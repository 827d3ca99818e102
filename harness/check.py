"""Run cases on a subject, judge them, and shrink and keep those that fail."""

import os
import re
from collections import OrderedDict
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from harness.alone import ended_by
from harness.case import Case, SavedCase, save
from harness.divergences import Entry, excuse, excuse_ending, excuse_error, rewrites
from harness.errors import SubjectError, UserError
from harness.numerics.arithmetic import Arithmetic
from harness.report import describe
from harness.run import HANG, NOT_REPEATABLE, TIMEOUT, Outcome, Running, ended, not_repeatable, run
from harness.shrink import Shrinker
from harness.simplicity import fingerprint
from harness.smallest import random_cases
from harness.subjects import Subject
from harness.tally import Tally
from harness.verdict import DISAGREE, StackVerdict, Verdict, judge, judge_stacks
from harness.versions import versions

FAILURES = os.path.join(".rnndiff", "failures")
EVALUATIONS = 500
TENSORFLOW = "TensorFlow"
# One case in so many is run a second time.
_REPEATED_EVERY = 64
# Shrinking a hang takes no longer than a hang: so many cases, each for the same part of its time.
HANGS = 20
_ONCE = (
    "not shrunk: {}, once; run again, the case did not do so "
    "(a busy machine, a pause or the lack of memory may have been the cause)"
)
# Failing cases that are remembered: more than Hypothesis comes back to.
_REMEMBERED = 4096


class Failure(NamedTuple):
    """A shrunk case that fails: its way of failing, its file, and a report to be read.

    The path is empty if the file could not be written.
    """

    way: str
    path: str
    report: str


class Checked(NamedTuple):
    """What is to be said of some cases: the largest ratio of error to bound, and the failures.

    The ratio is teacher-forced, and of the cases that agree or are undecided.
    """

    worst: float
    failures: List[Failure]


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

    They are those of :func:`verdict_on`, at a fraction of the time for cases of one config.

    Parameters
    ----------
    subject : Subject
    cases : list of Case
    timeout : float
        Seconds that the subject has for each.
    repeated : list of int
        The places of cases that are run a second time, after all others.
    """
    with Running(subject, timeout) as running:
        outcomes = [running(case) for case in cases]
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
            judged = judge_stacks(together, traces, _stated(subject, together[0]))
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
    judged = _judged(subject, case, timeout, known)
    return judged.verdict, judged.trace


def verdict_on_ending(
    case: Case, name: str, known: Tuple[Entry, ...] = (), timeout: float = TIMEOUT
) -> Verdict:
    """The verdict on a case that ended a process by the signal `name`, or hung ("Hang")."""
    outcome = ended(name, timeout)
    if outcome.signal:
        return excuse_ending(case, outcome.signal, known)
    return excuse_error(case, outcome.error, known)


def _judged(
    subject: Subject,
    case: Case,
    timeout: float,
    known: Optional[Tuple[Entry, ...]] = None,
) -> Judged:
    outcome = run(subject, case, timeout)
    known = subject.known if known is None else known
    return Judged(case, outcome, _verdict(subject, case, outcome, known))


def _verdict(subject: Subject, case: Case, outcome: Outcome, known: Tuple[Entry, ...]) -> Verdict:
    """The verdict on what came of a case, whatever that is."""
    if outcome.signal:
        return excuse_ending(case, outcome.signal, known)
    if outcome.trace is None:
        return excuse_error(case, outcome.error, known)
    try:
        verdict = judge(case, outcome.trace, _stated(subject, case))
    except SubjectError as error:
        return excuse_error(case, str(error), known)
    return _excused(subject, case, verdict, outcome.trace, known)


def _stated(subject: Subject, case: Case) -> Arithmetic:
    """The arithmetic that the subject states; a SubjectError if it does not come to that."""
    try:
        stated = subject.arithmetic(case)
    except (SubjectError, UserError):
        raise
    except Exception as error:
        raise SubjectError("{}: {}, in stating its arithmetic".format(type(error).__name__, error))
    if not isinstance(stated, Arithmetic):
        raise SubjectError("WrongArithmetic: it states {!r}".format(stated))
    return stated


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
        on_other = judge(other, trace, _stated(subject, case))
        on_other = excuse(on_other, other, trace, known)
        if on_other.status != DISAGREE:
            return on_other._replace(known=on_other.known + (entry.name,))
    return verdict


def _said_by(subject: Subject, name: str) -> str:
    """The label or the premise of a subject; the type of the error if it raises one."""
    try:
        return str(getattr(subject, name))
    except UserError:
        raise
    except Exception as error:
        return "{}, in stating its {}".format(type(error).__name__, name)


def ended_again_by(subject: Subject, saved: SavedCase, timeout: float = TIMEOUT) -> Optional[str]:
    """The signal by which a saved case ends the process, if it is known to, or did so before.

    "Hang" if it does not come to an end.
    """
    signal = subject.ended_by(saved.case)
    return signal or (ended_by(saved.case, timeout) if saved.notes.get("ended_by") else None)


def way_of_failing(case: Case, verdict: Verdict) -> str:
    """One name for each way of failing: model, array and run, or the error's type."""
    wrong = verdict.first_wrong()
    way = "{}-{}".format(wrong.name, wrong.run) if wrong else verdict.error.partition(":")[0]
    return "{}-{}".format(case.model.name, re.sub(r"[^\w.-]+", "-", way))


def fails(subject: Subject, way: str, case: Case, timeout: float = TIMEOUT) -> bool:
    """Whether the subject fails on a case, and in that way."""
    return _failed(_judged(subject, case, timeout), way)


def _failed(judged: Judged, way: str) -> bool:
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
    run(other, next(random_cases(case.model, case.config)), timeout)
    third = run(other, case, timeout)
    return not_repeatable(first, second) or not_repeatable(first, third)


class Checker:
    """Checks cases on one subject, counts them, shrinks and saves those that fail.

    Parameters
    ----------
    subject : Subject
    tally : Tally
        Where the cases are counted; those that shrinking tries are not.
    folder : str
        Where failing cases are saved, one file for each way of failing.
    evaluations : int
        How many cases shrinking may try.
    found : function of a Failure
        Called with each new failure before it is shrunk.
    timeout : float
        Seconds that the subject has for each case.
    """

    def __init__(
        self,
        subject: Subject,
        tally: Tally,
        folder: str = FAILURES,
        evaluations: int = EVALUATIONS,
        found: Callable[[Failure], None] = lambda failure: None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._subject = subject
        self._tally = tally
        self._folder = folder
        self._evaluations = evaluations
        self._found = found
        self._timeout = timeout
        self._seen: Dict[str, Failure] = {}
        self._failing: OrderedDict[bytes, Failure] = OrderedDict()
        self._until_repeated = self._repeated = 0

    def __call__(self, cases: Sequence[Case]) -> Checked:
        """Check cases, and count them.

        One that disagrees is shrunk to the smallest case that fails in the same way; a second such
        case is not shrunk again. A case that failed before, as when Hypothesis comes back to it, is
        the same failure again, and is neither run nor counted.
        """
        self._tally.premise = _said_by(self._subject, "premise")
        failures, new = [], []
        for case in cases:
            failure = self._failing.get(fingerprint(case)) if self._failing else None
            (failures if failure else new).append(failure or case)
        repeated = []
        if new and self._until_repeated <= 0:
            # Another place each time: a subject may treat the first of a batch in a way of its own.
            repeated.append(self._repeated % len(new))
            self._repeated += 1
        self._until_repeated = (_REPEATED_EVERY if repeated else self._until_repeated) - len(new)
        stacks, others = verdicts_on(self._subject, new, self._timeout, repeated)
        for stack in stacks:
            self._tally.add_stack(stack)
        worst = max([stack.largest() for stack in stacks], default=0.0)
        for judged in others:
            self._tally.add(judged.case, judged.verdict)
            if judged.verdict.status == DISAGREE:
                failures.append(self._failure(judged))
                self._failing[fingerprint(judged.case)] = failures[-1]
                if len(self._failing) > _REMEMBERED:
                    self._failing.popitem(last=False)
        return Checked(worst, failures)

    def _failure(self, judged: Judged) -> Failure:
        """The failure that a case is one of, shrunk if it is the first one."""
        way = way_of_failing(judged.case, judged.verdict)
        if way in self._seen:
            return self._seen[way]
        if judged.outcome.kind == NOT_REPEATABLE:
            return self._not_repeatable(judged)
        # Not one that depends on the cases before it: that is another failure.
        try:
            again = self._afresh(judged.case)
        except UserError as error:
            self._seen[way] = self._kept(way, judged, "not shrunk: {}".format(error))
            self._found(self._seen[way])
            return self._seen[way]
        other = not_repeatable(judged.outcome, again.outcome)
        if other and self._subject.repeatable:
            return self._not_repeatable(Judged(judged.case, other, Verdict([], error=other.error)))
        if not _failed(again, way):
            kind = judged.outcome.kind
            once = _ONCE.format(kind) if judged.outcome.signal or kind == HANG else ""
            self._seen[way] = self._kept(way, judged, once)
            return self._seen[way]
        timeout, evaluations = self._timeout, self._evaluations
        if judged.outcome.kind == HANG:
            timeout, evaluations = timeout / HANGS, min(evaluations, HANGS)

        def still_fails(case: Case) -> bool:
            if not fails(self._subject, way, case, timeout):
                return False
            fresh = self._subject.fresh()
            return fresh is self._subject or fails(fresh, way, case, timeout)

        return self._shrunk(way, again, still_fails, evaluations, self._afresh)

    def _not_repeatable(self, judged: Judged) -> Failure:
        """The failure of a subject that computes something else in a second call."""
        way = way_of_failing(judged.case, judged.verdict)
        if way in self._seen:
            return self._seen[way]

        def differs(case: Case) -> bool:
            return difference_between_calls(self._subject, case, self._timeout) is not None

        def afresh(case: Case) -> Judged:
            outcome = difference_between_calls(self._subject, case, self._timeout) or Outcome()
            return Judged(case, outcome, Verdict([], error=outcome.error))

        return self._shrunk(way, judged, differs, self._evaluations, afresh)

    def _afresh(self, case: Case) -> Judged:
        return _judged(self._subject.fresh(), case, self._timeout)

    def _shrunk(
        self,
        way: str,
        judged: Judged,
        still_fails: Callable[[Case], bool],
        evaluations: int,
        afresh: Callable[[Case], Judged],
    ) -> Failure:
        # Shrinking may be killed: what it starts from is kept first.
        self._seen[way] = self._kept(way, judged)
        self._found(self._seen[way])
        try:
            smallest = Shrinker(judged.case, still_fails, evaluations).run()
            again = judged if smallest is judged.case else afresh(smallest)
        except UserError as error:
            self._seen[way] = self._kept(way, judged, "not shrunk: {}".format(error))
            return self._seen[way]
        if again is not judged and _failed(again, way):
            self._seen[way] = self._kept(way, again)
        return self._seen[way]

    def _kept(self, way: str, judged: Judged, more: str = "") -> Failure:
        path = os.path.join(self._folder, way + ".npz")
        case, verdict = judged.case, judged.verdict
        premise, label = (_said_by(self._subject, name) for name in ("premise", "label"))
        notes = dict(versions(), premise=premise, subject=label, verdict=verdict.summary())
        again = "saved as {}".format(path)
        if label == TENSORFLOW:
            again = "{}; run it again: rnndiff replay {}".format(again, path)
        try:
            save(path, case, judged.trace, notes)
        except UserError as error:
            # A full disk is no reason to lose what stands in the report.
            path, again = "", "not saved: {}".format(error)
        again = "{}\n{}".format(again, more) if more else again
        return Failure(way, path, "{}\n\n{}".format(describe(case, verdict), again))
