"""What a run of many cases adds up to."""

import base64
import math
import os
from typing import Any, Dict, List, Optional

import numpy as np

from harness.case import Case, packed
from harness.files import written_whole
from harness.verdict import FREE_RUNNING, TEACHER_FORCED, Verdict

WORST = os.path.join(".rnndiff", "worst.npz")
_COUNTS = ("agree", "undecided", "known", "disagree")
# The upper ends, each included, of the bins in which ratios of error to bound are counted; one more
# bin holds what is larger. The first holds what equals the oracle bit for bit, or says nothing.
EDGES = np.concatenate([[0.0], 2.0 ** np.arange(-12, 4)])


class Tally:
    """Counts of cases and elements, and the largest ratio of error to bound.

    ``ratios`` is, for each model, how many teacher-forced elements have a ratio in each bin of
    ``EDGES``, those that known divergences excuse left out.

    A tally turns into a dict for another process or a JSON file, and such dicts add up again.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start again from nothing."""
        self.cases = dict.fromkeys(_COUNTS, 0)
        self.elements = {TEACHER_FORCED: 0, FREE_RUNNING: 0}
        self.undecided = {TEACHER_FORCED: 0, FREE_RUNNING: 0}
        self.known: Dict[str, int] = {}
        self.ratios: Dict[str, List[int]] = {}
        self.worst = 0.0
        self.worst_where = ""
        # Bytes of its file, so that it goes from process to process like all the rest.
        self.worst_case = b""

    def add(self, case: Case, verdict: Verdict) -> None:
        """Count one case."""
        self.cases[verdict.status] += 1
        for run in self.elements:
            self.elements[run] += verdict.elements(run)
            self.undecided[run] += verdict.undecided(run)
        for name in verdict.known:
            self.known[name] = self.known.get(name, 0) + 1
        self._add_ratios(case.model.name, _binned(verdict))
        if verdict.status != "disagree":
            array = verdict.worst()
            if array is not None and array.worst > self.worst:
                self.worst = array.worst
                self.worst_where = "{} ({}) of {}".format(array.name, array.run, case)
                self.worst_case = packed(case)

    def as_dict(self) -> Dict[str, Any]:
        """Everything in JSON's types, the worst case in base 64."""
        return {
            "cases": dict(self.cases),
            "elements": dict(self.elements),
            "undecided": dict(self.undecided),
            "known": dict(self.known),
            "ratios": {name: list(counts) for name, counts in self.ratios.items()},
            "worst": self.worst,
            "worst_where": self.worst_where,
            "worst_case": base64.b64encode(self.worst_case).decode(),
        }

    def add_dict(self, other: Dict[str, Any]) -> None:
        """Add what :meth:`as_dict` gave."""
        for mine, theirs in (
            (self.cases, other["cases"]),
            (self.elements, other["elements"]),
            (self.undecided, other["undecided"]),
            (self.known, other["known"]),
        ):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count
        for name, counts in other["ratios"].items():
            self._add_ratios(name, counts)
        if other["worst"] > self.worst:
            self.worst, self.worst_where = other["worst"], other["worst_where"]
            self.worst_case = base64.b64decode(other["worst_case"])

    def _add_ratios(self, name: str, counts: List[int]) -> None:
        mine = self.ratios.get(name, [0] * len(counts))
        self.ratios[name] = [a + b for a, b in zip(mine, counts)]

    def save_worst(self, path: str) -> Optional[str]:
        """Save the case with the largest ratio; its path, or None if there is none."""
        if not self.worst_case:
            return None
        with written_whole(path) as file:
            file.write(self.worst_case)
        return path

    def lines(self) -> Any:
        """The tally as lines of text."""
        yield "{} cases: {}".format(
            sum(self.cases.values()),
            ", ".join("{} {}".format(count, status) for status, count in self.cases.items()),
        )
        for run, count in self.elements.items():
            undecided = self.undecided[run]
            yield "{} elements {}, {} undecided ({:.2%})".format(
                count, run, undecided, undecided / max(count, 1)
            )
        for name, count in sorted(self.known.items()):
            yield "known divergence {}: {} cases".format(name, count)
        if self.worst_where:
            # Rounded down: an error that is just inside its bound is not at it.
            worst = math.floor(1000 * self.worst) / 1000
            yield "largest error {:.3f} of its bound: {}".format(worst, self.worst_where)


def _binned(verdict: Verdict) -> List[int]:
    """How many teacher-forced elements of a verdict are in each bin."""
    arrays = [array for array in verdict.arrays if array.run == TEACHER_FORCED]
    ratios = [a.ratios.ravel() if a.known is None else a.ratios[~a.known] for a in arrays]
    bins = np.searchsorted(EDGES, np.concatenate(ratios)) if ratios else []
    return np.bincount(np.asarray(bins, int), minlength=EDGES.size + 1).tolist()
