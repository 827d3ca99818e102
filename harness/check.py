"""Run a case on a subject, judge it, and if it fails, shrink it and keep it."""

import os
from collections import OrderedDict
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from harness.alone import ended_by
from harness.case import Case, SavedCase, save
from harness.divergences import excuse, excuse_ending, excuse_error, rewrites
from harness.errors import SubjectError, UserError
from harness.report import describe
from harness.shrink import Shrinker
from harness.subjects import Subject
from harness.tally import Tally
from harness.verdict import DISAGREE, StackVerdict, Verdict, judge, judge_stacks
from harness.versions import versions

FAILURES = os.path.join(".rnndiff", "failures")
EVALUATIONS = 500
TENSORFLOW = "TensorFlow"


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


def verdicts_on(
    subject: Subject, cases: Sequence[Case]
) -> Tuple[List[StackVerdict], List[Tuple[Case, Verdict]]]:
    """The verdicts on many cases: on those that agree or are undecided in stacks, then the others.

    They are those of :func:`verdict_on`, at a fraction of the time for cases of one config.
    """
    stacks, others, ran = [], [], OrderedDict()
    for case in cases:
        signal = subject.ended_by(case)
        if signal:
            others.append((case, excuse_ending(case, signal, subject.known)))
            continue
        try:
            # A port may write its next trace into the same arrays.
            trace = {name: np.array(array) for name, array in subject(case).items()}
        except SubjectError as error:
            others.append((case, excuse_error(case, str(error), subject.known)))
            continue
        ran.setdefault((case.model.name, case.config), []).append((case, trace))
    for pairs in ran.values():
        together, traces = zip(*pairs)
        try:
            judged = judge_stacks(together, traces, subject.arithmetic(together[0]))
        except SubjectError:
            others.extend((case, verdict_on(subject, case)[0]) for case in together)
            continue
        for stack in judged:
            wrong = stack.disagree()
            stacks.append(stack.only(~wrong))
            for place in np.flatnonzero(wrong):
                case, trace = stack.cases[place], stack.trace(place)
                others.append((case, _excused(subject, case, stack.verdict(place), trace)))
    return stacks, others


def verdict_on(subject: Subject, case: Case) -> Tuple[Verdict, Mapping[str, np.ndarray]]:
    """The verdict on a case, known divergences excused, and the subject's trace."""
    signal = subject.ended_by(case)
    if signal:
        return excuse_ending(case, signal, subject.known), {}
    verdict, trace = computed(subject, case)
    if verdict.error:
        return excuse_error(case, verdict.error, subject.known), {}
    return _excused(subject, case, verdict, trace), trace


def _excused(
    subject: Subject, case: Case, verdict: Verdict, trace: Mapping[str, np.ndarray]
) -> Verdict:
    """The verdict with known divergences excused."""
    verdict = excuse(verdict, case, trace, subject.known)
    for entry in rewrites(case, subject.known) if verdict.status == DISAGREE else ():
        other = entry.computes(case)
        on_other = judge(other, trace, subject.arithmetic(case))
        on_other = excuse(on_other, other, trace, subject.known)
        if on_other.status != DISAGREE:
            return on_other._replace(known=on_other.known + (entry.name,))
    return verdict


def ended_again_by(subject: Subject, saved: SavedCase) -> Optional[str]:
    """The signal by which a saved case ends the process, if it is known to, or did so before."""
    signal = subject.ended_by(saved.case)
    return signal or (ended_by(saved.case) if saved.notes.get("ended_by") else None)


def computed(subject: Subject, case: Case) -> Tuple[Verdict, Mapping[str, np.ndarray]]:
    """The verdict on a case with nothing excused, and the subject's trace."""
    try:
        trace = subject(case)
        return judge(case, trace, subject.arithmetic(case)), trace
    except SubjectError as error:
        return Verdict([], error=str(error)), {}


def way_of_failing(case: Case, verdict: Verdict) -> str:
    """One name for each way of failing: model, array and run, or the error's type."""
    wrong = verdict.first_wrong()
    way = "{}-{}".format(wrong.name, wrong.run) if wrong else verdict.error.partition(":")[0]
    return "{}-{}".format(case.model.name, way)


def fails(subject: Subject, way: str, case: Case) -> bool:
    """Whether the subject fails on a case, and in that way."""
    verdict, _ = verdict_on(subject, case)
    return verdict.status == DISAGREE and way_of_failing(case, verdict) == way


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
    """

    def __init__(
        self,
        subject: Subject,
        tally: Tally,
        folder: str = FAILURES,
        evaluations: int = EVALUATIONS,
        found: Callable[[Failure], None] = lambda failure: None,
    ) -> None:
        self._subject = subject
        self._tally = tally
        self._folder = folder
        self._evaluations = evaluations
        self._found = found
        self._seen: Dict[str, Failure] = {}

    def __call__(self, cases: Sequence[Case]) -> Checked:
        """Check cases, and count them.

        One that disagrees is shrunk to the smallest case that fails in the same way; a second such
        case is not shrunk again.
        """
        self._tally.premise = self._subject.premise
        stacks, others = verdicts_on(self._subject, cases)
        for stack in stacks:
            self._tally.add_stack(stack)
        worst = max([stack.largest() for stack in stacks], default=0.0)
        failures = []
        for case, verdict in others:
            self._tally.add(case, verdict)
            if verdict.status == DISAGREE:
                way = way_of_failing(case, verdict)
                if way not in self._seen:
                    self._seen[way] = self._shrunk(way, case)
                failures.append(self._seen[way])
        return Checked(worst, failures)

    def _shrunk(self, way: str, case: Case) -> Failure:
        path = os.path.join(self._folder, way + ".npz")
        # Shrinking may be killed: what it starts from is kept first.
        self._found(self._kept(way, path, case))
        smallest = Shrinker(
            case, lambda case: fails(self._subject, way, case), self._evaluations
        ).run()
        return self._kept(way, path, smallest)

    def _kept(self, way: str, path: str, case: Case) -> Failure:
        verdict, trace = verdict_on(self._subject, case)
        notes = dict(
            versions(),
            subject=self._subject.label,
            premise=self._subject.premise,
            verdict=verdict.summary(),
        )
        again = "saved as {}".format(path)
        if self._subject.label == TENSORFLOW:
            again = "{}; run it again: rnndiff replay {}".format(again, path)
        try:
            save(path, case, trace, notes)
        except UserError as error:
            # A full disk is no reason to lose what stands in the report.
            path, again = "", "not saved: {}".format(error)
        return Failure(way, path, "{}\n\n{}".format(describe(case, verdict), again))
