"""What a run of many cases adds up to."""

import base64
import math
import os
from typing import Any, Dict, Iterator, List, Optional

import numpy as np

from rnndiff.harness.cases.case import Case, packed
from rnndiff.harness.files import written_whole
from rnndiff.harness.judging.suspicion import Suspicion
from rnndiff.harness.judging.verdict import (
    AGREE,
    DISAGREE,
    FREE_RUNNING,
    KNOWN,
    TEACHER_FORCED,
    UNDECIDED,
    StackVerdict,
    Verdict,
)

WORST = os.path.join(".rnndiff", "worst.npz")
_COUNTS = (AGREE, UNDECIDED, KNOWN, DISAGREE)
# The upper ends, each included, of the bins in which ratios of error to bound are counted; one more
# bin holds what is larger. The first holds what equals the oracle bit for bit, or says nothing.
EDGES = np.concatenate([[0.0], 2.0 ** np.arange(-12, 4)])


class Tally:
    """Counts of cases and elements, and the largest ratio of error to bound.

    ``models`` has the counts of cases of each model. ``ratios`` is, for each model, how many
    teacher-forced elements have a ratio in each bin of ``EDGES``, those that known divergences
    excuse left out. ``premise`` is that of the subject. ``suspicion`` has what is known of errors
    within bounds: it makes no case disagree.

    A tally turns into a dict for another process or a JSON file, and such dicts add up again.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start again from nothing."""
        self.cases = dict.fromkeys(_COUNTS, 0)
        self.models: Dict[str, Dict[str, int]] = {}
        self.elements = {TEACHER_FORCED: 0, FREE_RUNNING: 0}
        self.undecided = {TEACHER_FORCED: 0, FREE_RUNNING: 0}
        # Of those that are undecided: the ones with an infinite bound.
        self.overflow = {TEACHER_FORCED: 0, FREE_RUNNING: 0}
        self.known: Dict[str, int] = {}
        # Arrays that the subject does not have, each with the number of cases.
        self.missing: Dict[str, int] = {}
        # Cases that were left out.
        self.unsupported = 0
        # Cases of which so many others hung, or ended their process, that nobody waited for them.
        self.not_run = 0
        # Rows that were computed again in another batch; of these, those of which bits differ.
        self.rows = {"again": 0, "differ": 0}
        self.ratios: Dict[str, List[int]] = {}
        self.suspicion = Suspicion()
        self.premise = ""
        self.worst = 0.0
        self.worst_where = ""
        # Bytes of its file, so that it goes from process to process like all the rest.
        self.worst_case = b""

    @property
    def judged(self) -> int:
        """How many cases were judged."""
        return sum(self.cases.values())

    @property
    def parts(self) -> List["Tally"]:
        """Those of all subjects: this one alone."""
        return [self]

    def of(self, name: str) -> "Tally":
        """That of one of the subjects: of the only one, this."""
        return self

    def count(self, model: str, status: str, cases: int = 1) -> None:
        """Count cases of a model by what came of them, and nothing else of them."""
        self.cases[status] += cases
        mine = self.models.setdefault(model, dict.fromkeys(_COUNTS, 0))
        mine[status] += cases

    def add(self, case: Case, verdict: Verdict) -> None:
        """Count one case."""
        self.count(case.model.name, verdict.status)
        for run in self.elements:
            self.elements[run] += verdict.elements(run)
            self.undecided[run] += verdict.undecided(run)
            self.overflow[run] += verdict.overflow(run)
        for name in verdict.known:
            self.known[name] = self.known.get(name, 0) + 1
        for name in verdict.missing:
            self.missing[name] = self.missing.get(name, 0) + 1
        self._add_ratios(case.model.name, _binned(_ratios(verdict)))
        array = verdict.worst() if verdict.status != DISAGREE else None
        if array is not None:
            self._add_worst(array.worst, array.name, case)

    def add_stack(self, stack: StackVerdict) -> None:
        """Count cases of which none disagrees."""
        doubtful = int(np.count_nonzero(stack.doubtful()))
        for case in stack.cases[:1]:
            self.count(case.model.name, UNDECIDED, doubtful)
            self.count(case.model.name, AGREE, len(stack.cases) - doubtful)
        for run in self.elements:
            mine = stack.of(run)
            self.elements[run] += len(stack.cases) * int(stack.sizes()[mine].sum())
            self.undecided[run] += int(stack.doubts[:, mine].sum())
            if stack.doubts[:, mine].any():
                infinite = stack.undecided & np.isinf(stack.bound)
                self.overflow[run] += int(infinite[:, np.repeat(mine, stack.sizes())].sum())
        for name in stack.missing:
            self.missing[name] = self.missing.get(name, 0) + len(stack.cases)
        forced = np.repeat(stack.of(TEACHER_FORCED), stack.sizes())
        if stack.cases:
            self._add_ratios(stack.cases[0].model.name, _binned(stack.ratios[:, forced].ravel()))
        worst = np.where(stack.of(TEACHER_FORCED), stack.worst, 0.0)
        if worst.size:
            place, k = np.unravel_index(np.argmax(worst), worst.shape)
            self._add_worst(float(worst[place, k]), stack.arrays[k][1], stack.cases[place])

    def add_rows(self, again: int, differ: int) -> None:
        """Count rows that were computed again in another batch, and those with other bits then."""
        self.rows["again"] += again
        self.rows["differ"] += differ

    def _add_worst(self, worst: float, name: str, case: Case) -> None:
        if worst > self.worst:
            self.worst = worst
            self.worst_where = "{} ({}) of {}".format(name, TEACHER_FORCED, case)
            self.worst_case = packed(case)

    def as_dict(self) -> Dict[str, Any]:
        """Everything in JSON's types, the worst case in base 64."""
        return {
            "cases": dict(self.cases),
            "models": {name: dict(counts) for name, counts in self.models.items()},
            "elements": dict(self.elements),
            "undecided": dict(self.undecided),
            "overflow": dict(self.overflow),
            "known": dict(self.known),
            "missing": dict(self.missing),
            "unsupported": self.unsupported,
            "not_run": self.not_run,
            "rows": dict(self.rows),
            "ratios": {name: list(counts) for name, counts in self.ratios.items()},
            "chance": self.suspicion.as_dict(),
            "suspicious": [each._asdict() for each in self.suspicion.suspicious()],
            "premise": self.premise,
            "worst": self.worst,
            "worst_where": self.worst_where,
            "worst_case": base64.b64encode(self.worst_case).decode(),
        }

    def add_dict(self, other: Dict[str, Any]) -> None:
        """Add what :meth:`as_dict` gave."""
        for name, counts in other["models"].items():
            for status, count in counts.items():
                self.count(name, status, count)
        for mine, theirs in (
            (self.elements, other["elements"]),
            (self.undecided, other["undecided"]),
            (self.overflow, other["overflow"]),
            (self.known, other["known"]),
            (self.missing, other["missing"]),
            (self.rows, other["rows"]),
        ):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count
        self.unsupported += other["unsupported"]
        self.not_run += other["not_run"]
        for name, counts in other["ratios"].items():
            self._add_ratios(name, counts)
        self.suspicion.add_dict(other.get("chance", {}))
        self.premise = other["premise"] or self.premise
        # Of equal ones the same, in whatever order they are added.
        theirs = other["worst"], other["worst_where"], base64.b64decode(other["worst_case"])
        if theirs > (self.worst, self.worst_where, self.worst_case):
            self.worst, self.worst_where, self.worst_case = theirs

    def _add_ratios(self, name: str, counts: List[int]) -> None:
        mine = self.ratios.get(name, [0] * len(counts))
        self.ratios[name] = [a + b for a, b in zip(mine, counts)]

    def _why(self, run: str) -> str:
        """Why so many elements are undecided."""
        overflow, wide = self.overflow[run], self.undecided[run] - self.overflow[run]
        reasons = []
        if overflow:
            reasons.append("{} may overflow or not".format(overflow))
        if wide:
            free = run == FREE_RUNNING
            grown = "grows too wide along the steps" if free else "is too wide after one step"
            reasons.append("of {} the bound {}".format(wide, grown))
        return ": " + ", ".join(reasons) if reasons else ""

    def save_worst(self, path: str) -> Optional[str]:
        """Save the case with the largest ratio; its path, or None if there is none."""
        if not self.worst_case:
            return None
        with written_whole(path) as file:
            file.write(self.worst_case)
        return path

    def in_another_batch(self) -> Iterator[str]:
        """What came of the same rows in another batch, in words."""
        if self.rows["again"]:
            yield "{} rows computed again in another batch, {} of them to other bits".format(
                self.rows["again"], self.rows["differ"]
            )

    def left_out(self) -> Iterator[str]:
        """What was not judged, in words."""
        if self.unsupported:
            yield "{} cases are left out, as the subject does not support them".format(
                self.unsupported
            )
        if self.not_run:
            yield "{} cases were not run, as others like them hung or ended the process".format(
                self.not_run
            )
        if self.missing:
            names = ", ".join("{} ({})".format(*each) for each in sorted(self.missing.items()))
            yield "not judged, as the subject does not have it, in so many cases: " + names

    def lines(self) -> Iterator[str]:
        """The tally as lines of text."""
        yield "{} cases: {}".format(
            sum(self.cases.values()),
            ", ".join("{} {}".format(count, status) for status, count in self.cases.items()),
        )
        for run, count in self.elements.items():
            undecided = self.undecided[run]
            yield "{} elements {}, {} undecided ({:.2%}){}".format(
                count, run, undecided, undecided / max(count, 1), self._why(run)
            )
        yield from self.in_another_batch()
        for name, count in sorted(self.known.items()):
            yield "known divergence {}: {} case{}".format(name, count, "s" if count > 1 else "")
        yield from self.left_out()
        yield from self.suspicion.lines()
        if self.premise:
            yield self.premise
        if self.worst_where:
            # Rounded down: an error that is just inside its bound is not at it.
            worst = math.floor(1000 * self.worst) / 1000
            yield "largest error {:.3f} of its bound: {}".format(worst, self.worst_where)


def _ratios(verdict: Verdict) -> np.ndarray:
    """Those of the teacher-forced elements that no known divergence excuses."""
    arrays = [array for array in verdict.arrays if array.run == TEACHER_FORCED]
    ratios = [a.ratios.ravel() if a.known is None else a.ratios[~a.known] for a in arrays]
    return np.concatenate(ratios) if ratios else np.zeros(0)


def _binned(ratios: np.ndarray) -> List[int]:
    """How many ratios are in each bin."""
    return np.bincount(np.searchsorted(EDGES, ratios), minlength=EDGES.size + 1).tolist()
