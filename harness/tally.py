"""What a run of many cases adds up to."""

from typing import Any, Dict, Optional

from harness.case import Case
from harness.verdict import FREE_RUNNING, TEACHER_FORCED, Verdict

_COUNTS = ("agree", "undecided", "known", "disagree")


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
        self.worst_case: Optional[Case] = None

    def add(self, case: Case, verdict: Verdict) -> None:
        """Count one case."""
        self.cases[verdict.status] += 1
        for run in self.elements:
            self.elements[run] += verdict.elements(run)
            self.undecided[run] += verdict.undecided(run)
        for name in verdict.known:
            self.known[name] = self.known.get(name, 0) + 1
        if verdict.status != "disagree":
            array = verdict.worst()
            if array is not None and array.worst > self.worst:
                self.worst = array.worst
                self.worst_where = "{} ({}) of {}".format(array.name, array.run, case)
                self.worst_case = case

    def as_dict(self) -> Dict[str, Any]:
        """Everything but the case itself, in JSON's types."""
        return {
            "cases": dict(self.cases),
            "elements": dict(self.elements),
            "undecided": dict(self.undecided),
            "known": dict(self.known),
            "worst": self.worst,
            "worst_where": self.worst_where,
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
            yield "largest error {:.3f} of its bound: {}".format(self.worst, self.worst_where)
