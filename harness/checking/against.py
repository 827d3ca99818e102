"""Checking cases on two subjects: each against the oracle, and one against the other."""

from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.checking.pair import (
    Pair,
    Side,
    differ_beyond_flushing,
    difference,
    finding,
    side_of,
)
from rnndiff.harness.checking.verdicts import Judged, verdict_on
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import DISAGREE, StackVerdict, Verdict
from rnndiff.harness.records.compare import (
    KINDS,
    ONE_SIDED,
    UNKNOWN,
    ArrayDifference,
    ModelDifference,
)
from rnndiff.harness.subjects.run import Outcome
from rnndiff.harness.subjects.statements import advice_of, supported
from rnndiff.harness.subjects.subject import TIMEOUT, Subject, Wrapper
from rnndiff.models import Model

# Whom the oracle blames where the two differ in meaning.
_FIRST, _SECOND, _BOTH, _KNOWN, _NEITHER = "first", "second", "both", "known", "neither"


class PairTally(Tally):
    """The tally of a subject, with that of a second one and what differs between them.

    Parameters
    ----------
    names : two of str
        As both are called.

    Attributes
    ----------
    second : Tally
    differences : dict of str to ModelDifference
        Of each model, without examples.
    blamed : dict of str to int
        Whom the oracle blames in how many of the cases that differ in meaning: the "first", the
        "second", "both", "neither"; or a "known" divergence of either was met.
    """

    def __init__(self, names: Tuple[str, str]) -> None:
        self.names, self.second = names, Tally()
        super().__init__()

    def clear(self) -> None:
        """Start again from nothing."""
        super().clear()
        self.second.clear()
        self.differences: Dict[str, ModelDifference] = {}
        self.blamed = dict.fromkeys((_FIRST, _SECOND, _BOTH, _KNOWN, _NEITHER), 0)

    @property
    def judged(self) -> int:
        """How many cases were judged on either, or on both."""
        return max(super().judged, self.second.judged)

    @property
    def parts(self) -> List[Tally]:
        """Those of both."""
        return [self, self.second]

    def of(self, name: str) -> Tally:
        """That of the second if this is what it is called, else that of the first."""
        return self.second if name == self.names[1] else self

    def add_difference(self, found: ModelDifference, first: Side, second: Side) -> None:
        """Count what differs between the two in one case."""
        self._add(found)
        if differ_beyond_flushing(found):
            self.blamed[_blame(first.is_wrong, second.is_wrong, bool(found.named))] += 1

    def _add(self, found: ModelDifference) -> None:
        before = self.differences.get(found.model)
        found = found._replace(examples={})
        self.differences[found.model] = _together(before, found) if before else found

    def as_dict(self) -> Dict[str, Any]:
        """Everything in JSON's types; of the second, no case is kept."""
        against = {
            "names": list(self.names),
            "second": dict(self.second.as_dict(), worst_case=""),
            "blamed": dict(self.blamed),
            "models": {name: found.as_dict() for name, found in self.differences.items()},
        }
        return dict(super().as_dict(), against=against)

    def add_dict(self, other: Dict[str, Any]) -> None:
        """Add what :meth:`as_dict` gave."""
        super().add_dict(other)
        against = other["against"]
        self.second.add_dict(against["second"])
        for whom, count in against["blamed"].items():
            self.blamed[whom] += count
        for name, found in against["models"].items():
            self._add(_from_dict(name, found))

    @property
    def is_apart(self) -> bool:
        """Whether of all that both computed there was nothing to compare: no array of both."""
        found = self.differences.values()
        return bool(found) and all(_is_apart(each) for each in found)

    def lines(self) -> Iterator[str]:
        """The tallies of both, and what differs, as lines of text."""
        for name, lines in zip(self.names, (super().lines(), self.second.lines())):
            yield "{}:".format(name)
            yield from ("  " + line for line in lines)
        yield "{} against {}:".format(*self.names)
        yield from ("  " + line for line in self.of_both())

    def of_both(self) -> Iterator[str]:
        """What differs between the two, in words."""
        found = list(self.differences.values())
        counts = {kind: sum(each.cases[kind] for each in found) for kind in KINDS}
        said = ", ".join("{:,} {}".format(*reversed(x)) for x in counts.items() if x[1])
        yield "{:,} cases: {}".format(sum(counts.values()), said or "none of both")
        blamed = {
            _FIRST: "{} is wrong by the oracle".format(self.names[0]),
            _SECOND: "{} is wrong by the oracle".format(self.names[1]),
            _BOTH: "both are wrong by the oracle",
            _KNOWN: "a known divergence was met",
            _NEITHER: "the oracle blames neither",
        }
        differ = [(n, blamed[whom]) for whom, n in self.blamed.items() if n]
        if differ:
            each = ", ".join("in {:,} {}".format(*one) for one in differ)
            yield "different in meaning: {:,}; {}".format(sum(n for n, _ in differ), each)
        arrays = [array for each in found for array in each.arrays.values()]
        unknown = sum(array.counts[UNKNOWN] for array in arrays)
        if unknown:
            said = "{:,} elements moved where it is undecided whether by rounding"
            yield said.format(unknown)
        apart = [each.model for each in found if _is_apart(each)]
        if apart:
            yield "not compared, as both have no array in common: {}".format(", ".join(apart))


def _blame(first: bool, second: bool, known: bool) -> str:
    """Whom the oracle blames, by which of the two are wrong, and whether a divergence was met."""
    if first and second:
        return _BOTH
    if first or second:
        return _FIRST if first else _SECOND
    return _KNOWN if known else _NEITHER


def _is_apart(found: ModelDifference) -> bool:
    return 0 < found.cases[ONE_SIDED] == sum(found.cases.values())


def _together(one: ModelDifference, other: ModelDifference) -> ModelDifference:
    arrays = dict(one.arrays)
    for name, array in other.arrays.items():
        arrays[name] = _farther(arrays[name], array) if name in arrays else array
    return ModelDifference(
        one.model,
        _sum(one.cases, other.cases),
        arrays,
        _sum(one.known, other.known),
        one.named + other.named,
        one.failed + other.failed,
        {},
    )


def _farther(one: ArrayDifference, other: ArrayDifference) -> ArrayDifference:
    return ArrayDifference(
        _sum(one.counts, other.counts),
        max(one.absolute, other.absolute),
        max(one.ulp, other.ulp),
        max((x.bounds for x in (one, other) if x.bounds is not None), default=None),
    )


def _sum(one: Dict[str, int], other: Dict[str, int]) -> Dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


def _from_dict(model: str, found: Dict[str, Any]) -> ModelDifference:
    arrays = {
        name: ArrayDifference(
            each["elements"],
            float(each["largest_move"]),
            float(each["largest_move_in_ulp"]),
            each.get("largest_move_in_bounds"),
        )
        for name, each in found["arrays"].items()
    }
    named, failed = found["of_these_known"], found["failed_and_not_known"]
    return ModelDifference(model, found["cases"], arrays, found["known"], named, failed, {})


class _Beside(Wrapper):
    """One of the two, asked for what both compute, which says of a failure what the other does."""

    def __init__(self, subject: Subject, pair: Pair, place: int, timeout: float) -> None:
        super().__init__(subject)
        self._pair, self._place, self._timeout = pair, place, timeout

    def supports(self, model: Model, config: Any) -> bool:
        """What both do."""
        return self._pair.supports(model, config)

    def advice(self, case: Case) -> str:
        """Whether the other fails on the case, too."""
        advice, other = advice_of(self._subject, case), self._pair.parts[1 - self._place]
        names = self._pair.names[self._place], self._pair.names[1 - self._place]
        try:
            if not supported(other, case):
                return advice
            verdict, _ = verdict_on(other.fresh(), case, self._timeout)
        except UserError:
            # What is told of this one is not lost for it.
            return advice
        said = "\n{} is wrong here by the oracle, and {} is not, {}"
        if verdict.status == DISAGREE:
            said = "\n{} is wrong here by the oracle, and so is {}, {}"
        return said.format(*names, verdict.summary()) + advice


class Against:
    """Checks cases on both subjects, and compares what came of them.

    Parameters
    ----------
    pair : Pair
    tally : PairTally
    timeout, how : as of Checker
    """

    def __init__(self, pair: Pair, tally: PairTally, timeout: float = TIMEOUT, **how: Any) -> None:
        how["timeout"] = timeout
        self._pair, self._tally = pair, tally
        self._sides: List[Dict[int, Side]] = [{}, {}]
        tallies = tally, tally.second
        self.parts = [
            Checker(
                _Beside(part, pair, place, timeout),
                tallies[place],
                of=pair.names[place],
                on_judged=lambda *came, place=place: self._hear(place, *came),
                **how,
            )
            for place, part in enumerate(pair.parts)
        ]
        self._of_both = Checker(pair, Tally(), of="{} against {}".format(*pair.names), **how)

    def find_failures(
        self, cases: Sequence[Case], repeated: Sequence[int]
    ) -> List[Tuple[Checker, List[Judged]]]:
        """Judge and count cases: who shrinks what was found, and that."""
        found = [each for part in self.parts for each in part.find_failures(cases, repeated)]
        differ = [self._compared(case) for case in cases]
        for sides in self._sides:
            sides.clear()
        return [*found, (self._of_both, [judged for judged in differ if judged])]

    def _hear(self, place: int, stacks: List[StackVerdict], others: List[Judged]) -> None:
        part = self._pair.parts[place]
        came: List[Tuple[Case, Verdict, Mapping[str, np.ndarray]]] = [
            (stack.cases[row], stack.verdict(row), stack.trace(row))
            for stack in stacks
            for row in range(len(stack.cases))
        ]
        came += [(judged.case, judged.verdict, judged.trace) for judged in others]
        for case, verdict, trace in came:
            self._sides[place][id(case)] = side_of(part, case, verdict, trace)

    def _compared(self, case: Case) -> Optional[Judged]:
        """A difference in meaning of which neither is to blame, if it is one; all are counted."""
        first, second = (sides.get(id(case)) for sides in self._sides)
        # After some hangs and crashes, the rest of a batch is not run.
        if first is None or second is None:
            return None
        found = difference(case, first, second)
        self._tally.add_difference(found, first, second)
        text = finding(case, found, (first, second), self._pair.names)
        if not text:
            return None
        return Judged(case, Outcome(error=text), Verdict([], error=text))
