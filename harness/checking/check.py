"""Run cases on a subject, judge them, and shrink and keep those that fail."""

import contextlib
import math
import os
import re
import uuid
from collections import OrderedDict
from itertools import count
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from rnndiff.harness.cases.case import Case, SavedCase, holds, packed
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.files import write_new, written_whole
from rnndiff.harness.judging.excuses import Entry, excuse, excuse_ending, excuse_error, rewrites
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.same_rows import same_rows
from rnndiff.harness.judging.suspicion import sample_for_chance
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import DISAGREE, StackVerdict, Verdict, judge, judge_stacks
from rnndiff.harness.report.describe import describe
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.shrinking.simplicity import fingerprint, simpler
from rnndiff.harness.shrinking.smallest import random_cases
from rnndiff.harness.subjects.alone import Alones
from rnndiff.harness.subjects.named import SHIPPED, options_of
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
    advice_of,
    arithmetic_of,
    statement_of,
    supported,
)
from rnndiff.harness.subjects.subject import COMMAND, TIMEOUT, Subject
from rnndiff.harness.versions import versions

FAILURES = os.path.join(".rnndiff", "failures")
EVALUATIONS = 500
# What one failure may take to be shrunk where it is waited for.
SECONDS = 8.0
# One case in so many is run a second time.
REPEATED_EVERY = 64
# Shrinking a hang takes no longer than a hang: so many cases, each for the same part of its time.
TRIES_IN_A_HANG = 20
# After so many of one kind, what is left of some cases is not run: what hangs twice may hang on
# all, and a program takes its time to be started again.
MOST_OF_A_KIND = {HANG: 2, CRASH: 8}
_ONCE = (
    "not shrunk: {}, once; run again, the case did not do so "
    "(a busy machine, a pause or the lack of memory may have been the cause)"
)
_NOT_AGAIN = "not shrunk: run again, it did not fail in this way"
_UNFINISHED = "not shrunk to the end"
_SIMPLER = "\n\na simpler case that fails in the same way:\n\n"
# Failing cases that are remembered: more than Hypothesis comes back to.
_REMEMBERED = 4096


class UnsavedFailure(NamedTuple):
    """A case that fails and is in no file yet.

    ``content`` are the bytes of its file, ``report`` describes it. ``why`` says why it is not
    shrunk, if it is not. A ``final`` one is the last that is told of a failure. ``subject`` is the
    name of what it failed on, "" if it has none for a command line, ``mode`` its mode, ``premise``
    that of the premise that it was given. ``against`` is the name of the one that it differs from,
    "" if it differs from the oracle; ``of`` is what it is a failure of, where several are checked.
    """

    way: str
    content: bytes
    report: str
    why: str
    final: bool
    subject: str
    mode: str = ""
    premise: str = ""
    against: str = ""
    of: str = ""


def save_failure(folder: str, failing: UnsavedFailure, before: Optional[Failure] = None) -> Failure:
    """Save a failing case, in a folder where other runs may be saving theirs.

    A final one gets the first of the names WAY.npz, WAY-2.npz, ... that no other case has; a file
    that is there is never changed, and one of this case and this trace serves as well. Until then
    it has a file of its own, WAY-unshrunk-*.npz, which is written anew as the case shrinks.

    Parameters
    ----------
    folder : str
    failing : UnsavedFailure
    before : Failure, optional
        What was saved of this failure so far, none of it final; it is replaced.

    Returns
    -------
    Failure
        Says all that there is to say of the case, even if it cannot be saved.
    """
    path = before.path if before else ""
    try:
        saved = _save(folder, failing, path)
    except UserError as error:
        # A full disk is no reason to lose what stands in the report.
        said = "{}\n\nnot saved: {}".format(failing.report, error)
        if before and path:
            said = before.report.partition(_SIMPLER)[0] + _SIMPLER + said
        shrunk = not (path or failing.why)
        return Failure(failing.way, path, _lines(said, failing.why), shrunk, failing.of)
    if path and path != saved:
        with contextlib.suppress(OSError):
            os.unlink(path)
    said = "{}\n\nsaved as {}".format(failing.report, saved)
    # One without a name was made by the user's own code.
    name = failing.subject or "MODULE:CLASS"
    options = options_of(name, failing.mode, failing.premise, failing.against)
    said = "{}; run it again: rnndiff replay {}{}".format(said, saved, options)
    return Failure(failing.way, saved, _lines(said, failing.why), not failing.why, failing.of)


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _save(folder: str, failing: UnsavedFailure, path: str) -> str:
    if failing.final:
        names = (failing.way if n == 1 else "{}-{}".format(failing.way, n) for n in count(1))
        paths = (os.path.join(folder, name + ".npz") for name in names)
        content = failing.content
        return next(p for p in paths if write_new(p, content) or holds(p, content))
    name = "{}-unshrunk-{}.npz".format(failing.way, uuid.uuid4().hex[:8])
    path = path or os.path.join(folder, name)
    with written_whole(path) as file:
        file.write(failing.content)
    return path


class CheckResult(NamedTuple):
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
    judged = _judged(subject, case, timeout, known)
    return judged.verdict, judged.trace


def verdict_on_ending(
    case: Case, name: str, known: Tuple[Entry, ...] = (), timeout: float = TIMEOUT
) -> Verdict:
    """The verdict on a case that ended a process by the signal `name`, or hung ("Hang")."""
    outcome = outcome_of_end(name, timeout)
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
        verdict = judge(case, outcome.trace, arithmetic_of(subject, case))
    except SubjectError as error:
        return excuse_error(case, str(error), known)
    return _excused(subject, case, verdict, outcome.trace, known)


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


def ended_again_by(subject: Subject, saved: SavedCase, alones: Alones) -> Optional[str]:
    """The signal by which a saved case ends the process, in one of `alones`.

    "Hang" if it does not come to an end. It is tried if the case is known to end the process, or
    did so before, and on all subjects that are not of this package, of which nobody knows.
    """
    try:
        signal = subject.ended_by(saved.case)
    except UserError:
        raise
    except Exception:  # It is run all the same, and this is what comes of it.
        signal = None
    if signal or not subject.name:
        return signal
    did = bool(saved.notes.get("ended_by"))
    if not did and (subject.name in SHIPPED or subject.name.startswith(COMMAND)):
        return None
    try:
        return alones.ended_by(saved.case, subject.name, subject.mode)
    except UserError:
        # It may be that there can be one of it alone.
        if did:
            raise
        return None


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
    return supported(subject, case) and _failed(_judged(subject, case, timeout), way)


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
    run(other, next(random_cases(case.model, case.config, precision=case.precision)), timeout)
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
        if _failed(again, way_of_failing(judged.case, judged.verdict)):
            return again, ""
        return judged, _ONCE.format(kind) if judged.outcome.signal or kind == HANG else _NOT_AGAIN

    def _afresh(self, case: Case) -> Judged:
        return _judged(self.subject.fresh(), case, self._timeout)

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
                one = _judged(self.subject, case, timeout)
                fresh = self.subject.fresh() if _failed(one, way) else None
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
        failed = again is judged or _failed(again, way)
        tell(self._unsaved(again if failed else judged, "" if failed else _NOT_AGAIN, final=True))

    def _unsaved(self, judged: Judged, why: str, final: bool) -> UnsavedFailure:
        case, verdict = judged.case, judged.verdict
        premise, label = (statement_of(self.subject, name) for name in ("premise", "label"))
        notes = dict(versions(self.subject.mode), premise=premise, subject=label)
        notes["verdict"] = verdict.summary()
        if why:
            notes["shrunk"] = why
        return UnsavedFailure(
            self.way(case, verdict),
            packed(case, judged.trace, notes),
            _lines(self._told(case, verdict), advice_of(self.subject, case)),
            why,
            final,
            self.subject.name,
            self.subject.mode,
            self.subject.stated,
            self.subject.against,
            self.of,
        )

    def _told(self, case: Case, verdict: Verdict) -> str:
        described = describe(case, verdict)
        return "{}: {}".format(self.of, described) if self.of else described
