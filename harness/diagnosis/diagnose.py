"""Which mistake, or pair of them, planted in the oracle, makes a port agree with it?

The cases are judged once against the oracle as it is, then against each oracle with a mistake in
it, of which nearly all are out at the first stack. What is left explains the port: it computes the
wrong formula, and computes that rightly. If none does, pairs are tried, those first whose mistakes
leave the least of the first stack wrong: of two mistakes that a port has, each by itself makes some
of its elements right.
"""

import itertools
import math
import time
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from rnndiff.harness.cases.case import Case, load
from rnndiff.harness.cases.random_cases import SMALL_BATCH, batch_size, random_batch
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.diagnosis.catalogue import mistakes_of
from rnndiff.harness.diagnosis.planting import Mistake, both, plant_in
from rnndiff.harness.errors import SubjectError
from rnndiff.harness.judging.excuses import excuse
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.verdict import DISAGREE, StackVerdict, judge_stacks
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.subjects.run import HANG, run
from rnndiff.harness.subjects.statements import arithmetic_of, supported
from rnndiff.harness.subjects.subject import TIMEOUT, Subject
from rnndiff.models import Model

# Of cases that are tried, and of those that share a config: an option, such as that of lengths,
# shows in some configs alone.
CASES, _OF_A_CONFIG = 200, 10
# What all of it may take, and the part of that which is the port's.
SECONDS, _OF_PORT = 10.0, 0.4
# What fewer cases speak for is not said without a word on that.
_ENOUGH = 5
# Of mistakes that all explain a port, so many are told in words.
_SHOWN = 5


class Diagnosis(NamedTuple):
    """What came of trying the catalogue.

    Parameters
    ----------
    cases : int
        How many the port computed.
    wrong : int
        In how many of them it disagrees with the oracle as it is: those tell a mistake from none.
    tried, known : int
        How many mistakes there was time to try, of those that can be made in the model.
    explained_by : tuple of Mistake
        Those with which the oracle and the port agree on all cases; a pair of them is one, too.
    pairs_tried, pairs_known : int
        The same of pairs, which are tried if no single mistake explains the port.
    """

    cases: int
    wrong: int
    tried: int
    known: int
    explained_by: Tuple[Mistake, ...]
    pairs_tried: int = 0
    pairs_known: int = 0

    def as_dict(self) -> Dict[str, Any]:
        """For JSON."""
        found = [{"name": x.name, "says": x.says, "look": x.look} for x in self.explained_by]
        return dict(self._asdict(), explained_by=found)

    def __str__(self) -> str:
        """For people, in one line for each mistake, and one on what was tried."""
        tried = "{} were tried".format(_of(self.tried, self.known, "known mistakes"))
        if self.pairs_known:
            pairs = _of(self.pairs_tried, self.pairs_known, "pairs of them")
            tried = tried.replace(" were", ", and {}, were".format(pairs))
        if self.tried < self.known or self.pairs_tried < self.pairs_known:
            tried += ", as time allowed"
        if not self.explained_by and self.tried < self.known:
            return (
                "diagnosis: not finished: {}, and none of these explains it; a port that is "
                "faster, or a machine that is less busy, leaves time for the others".format(tried)
            )
        if not self.explained_by:
            return (
                "diagnosis: no single mistake that is known explains it{} ({}): look at what is "
                "first wrong above, all before it is right".format(
                    ", and no pair that was tried" if self.pairs_tried else "", tried
                )
            )
        all_cases = "diagnosis: your port agrees with the oracle on all {} cases".format(self.cases)
        if len(self.explained_by) == 1:
            (only,) = self.explained_by
            lines = ["{} if {}".format(all_cases, only.says), "look at: " + only.look]
        else:
            lines = [all_cases + " if any one of these is so, which these cases do not tell apart:"]
            shown = self.explained_by[:_SHOWN]
            lines += ["{}; look at: {}".format(x.says, x.look) for x in shown]
            if len(shown) < len(self.explained_by):
                lines.append("and {} more".format(len(self.explained_by) - len(shown)))
        if self.pairs_tried:
            lines.append("(no single mistake explains it, but two together)")
        lines.append("(as it should be, it disagrees on {} of them; {})".format(self.wrong, tried))
        if self.wrong < _ENOUGH:
            lines.append("(so few may have another cause)")
        return "\n    ".join(lines)


def _of(tried: int, known: int, what: str) -> str:
    return (
        "all {} {}".format(known, what)
        if tried == known
        else "{} of {} {}".format(tried, known, what)
    )


# A case, and what the port computed of it.
_Computed = Tuple[Case, Mapping[str, np.ndarray]]


class _Stack(NamedTuple):
    """Cases of one config, what the port computed, and which of them it should have otherwise.

    ``outside`` marks of each case the elements that are outside their bounds.
    """

    cases: List[Case]
    traces: List[Mapping[str, np.ndarray]]
    stated: Arithmetic
    wrong: np.ndarray
    outside: List[np.ndarray]


def diagnose(
    subject: Subject,
    model: Model,
    failing: Case,
    restriction: Restriction = ANY,
    seed: int = 0,
    timeout: float = TIMEOUT,
    seconds: float = SECONDS,
    cases: int = CASES,
) -> Optional[Diagnosis]:
    """Try every mistake of the catalogue, then pairs, on a port that disagrees with the oracle.

    Parameters
    ----------
    subject : Subject
        The port.
    model : Model
    failing : Case
        One on which it disagrees.
    restriction : Restriction
        What is drawn beside it.
    seed : int
        What is drawn depends on it.
    timeout : float
        Seconds that the port has for each case.
    seconds : float
        What all of it takes at most.
    cases : int
        How many are drawn.

    Returns
    -------
    Diagnosis or None
        None if no mistake is known of the model, or the port does not disagree with the oracle.
    """
    began = time.monotonic()
    known = mistakes_of(model)
    if not known:
        return None
    until, of_port = began + seconds, began + seconds * _OF_PORT
    drawn = _drawn(model, subject.precision, restriction, seed, cases)
    # Without the one on which it disagrees there may be nothing to explain.
    batches = itertools.chain([([failing], until)], ((batch, of_port) for batch in drawn))
    stacks = list(_stacks(subject, batches, timeout))
    # An oracle that is wrong is out at the first case that tells it from what the port computes.
    stacks.sort(key=lambda stack: -int(np.count_nonzero(stack.wrong)))
    wrong = sum(int(np.count_nonzero(stack.wrong)) for stack in stacks)
    if not wrong:
        return None
    found, left = _singles(known, stacks, until)
    computed = sum(len(stack.cases) for stack in stacks)
    diagnosis = Diagnosis(computed, wrong, len(left), len(known), tuple(found))
    if found or len(left) < len(known):
        return diagnosis
    pairs = _pairs(left)
    found, tried = _explaining(pairs, stacks, until)
    return diagnosis._replace(explained_by=tuple(found), pairs_tried=tried, pairs_known=len(pairs))


def _singles(
    known: Sequence[Mistake], stacks: Sequence[_Stack], until: float
) -> Tuple[List[Mistake], List[Tuple[float, Mistake]]]:
    """Which of them explain the port, and what each that was tried leaves wrong, until a time."""
    found, left = [], []
    for mistake in known:
        if time.monotonic() > until:
            break
        wrong = _left_wrong(mistake, stacks)
        left.append((wrong, mistake))
        if not wrong:
            found.append(mistake)
    return found, left


def _pairs(left: Sequence[Tuple[float, Mistake]]) -> List[Tuple[Mistake, Mistake]]:
    """All pairs of mistakes, those first that leave least wrong when each is there alone.

    A pair of the best and the hundredth is as good as one of the tenth and the eleventh.
    """
    best = [
        mistake for wrong, mistake in sorted(left, key=lambda each: each[0]) if wrong < math.inf
    ]
    places = sorted(
        itertools.combinations(range(1, len(best) + 1), 2), key=lambda pair: pair[0] * pair[1]
    )
    return [(best[one - 1], best[other - 1]) for one, other in places]


def _explaining(
    pairs: Sequence[Tuple[Mistake, Mistake]], stacks: Sequence[_Stack], until: float
) -> Tuple[List[Mistake], int]:
    """Which pairs explain the port, as one mistake each, and how many were tried until a time."""
    found = []
    for tried, pair in enumerate(pairs):
        if time.monotonic() > until:
            return found, tried
        try:
            mistake = both(*pair)
        except LookupError:  # Of the same piece: two orders of the gates, say.
            continue
        if not _left_wrong(mistake, stacks):
            found.append(mistake)
    return found, len(pairs)


def diagnosis_of(
    subject: Subject,
    failure: Failure,
    restriction: Restriction,
    seed: int,
    timeout: float = TIMEOUT,
) -> Optional[Diagnosis]:
    """The same of a failure that was saved; None if nothing was computed that could be judged.

    Whatever goes wrong with it, the failure is the failure that it was.
    """
    if not failure.path:
        return None
    try:
        saved = load(failure.path)
        if not saved.trace:
            return None
        model = saved.case.model
        return diagnose(subject, model, saved.case, restriction, seed, timeout)
    except Exception:
        return None


def report_with_diagnosis(
    subject: Subject,
    failure: Failure,
    restriction: Restriction,
    seed: int,
    timeout: float = TIMEOUT,
) -> str:
    """What is to be read of a failure, with the diagnosis if there is one."""
    diagnosis = diagnosis_of(subject, failure, restriction, seed, timeout)
    return "{}\n\n{}".format(failure.report, diagnosis) if diagnosis else failure.report


def _drawn(
    model: Model, precision: str, restriction: Restriction, seed: int, count: int
) -> Iterator[List[Case]]:
    """Batches of small cases, or of such as there are, each of another config."""
    is_small = restriction.is_small(model)
    left = count
    for number in itertools.count():
        if left <= 0:
            return
        if is_small and batch_size(seed, number) < SMALL_BATCH:
            continue
        most = min(_OF_A_CONFIG, left)
        cases = random_batch(model, seed, number, precision, restriction, most)
        left -= len(cases)
        yield cases


def _stacks(
    subject: Subject, batches: Iterable[Tuple[List[Case], float]], timeout: float
) -> Iterator[_Stack]:
    """What the port computes of each batch until a time, but for what it raises an error on."""
    for cases, until in batches:
        if not supported(subject, cases[0]):
            continue
        ran, is_whole = _ran(subject, cases, timeout, until)
        for pairs in ran.values():
            try:
                yield _judged(subject, pairs, arithmetic_of(subject, cases[0]))
            except SubjectError:
                continue
        if not is_whole:
            return


def _ran(
    subject: Subject, cases: Sequence[Case], timeout: float, until: float
) -> Tuple[Dict[Any, List[_Computed]], bool]:
    """What the port computes, by config, and whether it came to the end of all cases in time."""
    ran: Dict[Any, List[_Computed]] = {}
    for case in cases:
        left = until - time.monotonic()
        outcome = run(subject, case, min(timeout, left)) if left > 0 else None
        if outcome is None or outcome.kind == HANG:
            return ran, False
        if outcome.trace is not None:
            ran.setdefault(case.config, []).append((case, outcome.trace))
    return ran, True


def _judged(subject: Subject, pairs: Sequence[_Computed], stated: Arithmetic) -> _Stack:
    """What disagrees, without the cases in which the subject is known to diverge."""
    wrong, known = [], []
    verdicts = _by_case(pairs, stated)
    for place, (stack, row) in enumerate(verdicts):
        wrong.append(bool(stack.disagree()[row]))
        if wrong[-1] and subject.known:
            case, trace = pairs[place]
            verdict = excuse(stack.verdict(row), case, trace, subject.known)
            if verdict.status != DISAGREE:
                known.append(place)
    places = [place for place in range(len(pairs)) if place not in known]
    return _Stack(
        [pairs[place][0] for place in places],
        [pairs[place][1] for place in places],
        stated,
        np.array([wrong[place] for place in places], dtype=bool),
        [verdicts[place][0].ratios[verdicts[place][1]] > 1 for place in places],
    )


def _by_case(pairs: Sequence[_Computed], stated: Arithmetic) -> List[Tuple[StackVerdict, int]]:
    """For each case the verdict on its stack, and its row there."""
    cases = [case for case, _ in pairs]
    found = {}
    for stack in judge_stacks(cases, [trace for _, trace in pairs], stated):
        found.update({id(case): (stack, row) for row, case in enumerate(stack.cases)})
    return [found[id(case)] for case in cases]


def _left_wrong(mistake: Mistake, stacks: Sequence[_Stack]) -> float:
    """How many elements of the first stack that does disagree are wrong with this mistake.

    0 if no case disagrees with the oracle that has it, and an element speaks for it: one that is
    outside the bound of the oracle as it is, and is decided by that of this one. That explains the
    port. Infinite if none does, or if the mistake cannot be made.
    """
    speaks = False
    for stack in stacks:
        if not stack.cases:
            continue
        try:
            pairs = list(zip(plant_in(stack.cases, mistake), stack.traces))
            verdicts = _by_case(pairs, stack.stated)
        except Exception:  # In sizes that it cannot be made in, such as of a kernel not square.
            return math.inf
        wrong = sum(int(np.count_nonzero(judged.ratios[row] > 1)) for judged, row in verdicts)
        if wrong:
            return float(wrong)
        speaks = speaks or any(
            (outside & ~judged.undecided[row]).any()
            for outside, (judged, row) in zip(stack.outside, verdicts)
        )
    return 0.0 if speaks else math.inf
