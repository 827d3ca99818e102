"""What a run of many cases adds up to."""

import base64
import math
import os
from typing import Any, Dict, Optional

import numpy as np

from harness.case import Case, packed
from harness.files import written_whole
from harness.verdict import (
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


class Tally:
    """Counts of cases and elements, and the largest ratio of error to bound.

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
        array = verdict.worst() if verdict.status != DISAGREE else None
        if array is not None:
            self._add_worst(array.worst, array.name, case)

    def add_stack(self, stack: StackVerdict) -> None:
        """Count cases of which none disagrees."""
        doubtful = int(np.count_nonzero(stack.doubtful()))
        self.cases[UNDECIDED] += doubtful
        self.cases[AGREE] += len(stack.cases) - doubtful
        for run in self.elements:
            mine = stack.of(run)
            self.elements[run] += len(stack.cases) * int(stack.sizes()[mine].sum())
            self.undecided[run] += int(stack.doubts[:, mine].sum())
        worst = np.where(stack.of(TEACHER_FORCED), stack.worst, 0.0)
        if worst.size:
            place, k = np.unravel_index(np.argmax(worst), worst.shape)
            self._add_worst(float(worst[place, k]), stack.arrays[k][1], stack.cases[place])

    def _add_worst(self, worst: float, name: str, case: Case) -> None:
        if worst > self.worst:
            self.worst = worst
            self.worst_where = "{} ({}) of {}".format(name, TEACHER_FORCED, case)
            self.worst_case = packed(case)

    def as_dict(self) -> Dict[str, Any]:
        """Everything in JSON's types, the worst case in base 64."""
        return {
            "cases": dict(self.cases),
            "elements": dict(self.elements),
            "undecided": dict(self.undecided),
            "known": dict(self.known),
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
        if other["worst"] > self.worst:
            self.worst, self.worst_where = other["worst"], other["worst_where"]
            self.worst_case = base64.b64decode(other["worst_case"])

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
