"""Excuses: where a subject is known to be wrong, as data, and what is then not held against it.

An entry excuses exactly the elements of the teacher-forced trace that it covers, and only if they
have the very values that the entry predicts, or any if it predicts none. Once an element is
excused, the states that follow from it are no longer the oracle's, so the free-running run of that
row is not judged; every step of it still is, teacher-forced.
"""

from dataclasses import dataclass
from typing import Any, Callable, Collection, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case, smallest_case
from rnndiff.harness.judging.verdict import FREE_RUNNING, TEACHER_FORCED, ArrayVerdict, Verdict

Trace = Mapping[str, np.ndarray]


class Minimal(NamedTuple):
    """The smallest case of an entry: sizes of 1, defaults and zeros, but for what is named here."""

    model: str
    sizes: Mapping[str, Any]
    numbers: Mapping[str, Mapping[Tuple[int, ...], float]]

    def case(self) -> Case:
        """The case."""
        case = smallest_case(self.model, self.sizes, {})
        for name, numbers in self.numbers.items():
            for index, number in numbers.items():
                case.arrays[name][index] = number
        return case


@dataclass(frozen=True, eq=False)
class Entry:
    """What all entries say: the name, what is wrong, where, and the smallest case that shows it.

    ``where`` says, as a text, in which versions and modes of the subject.
    """

    name: str
    what: str
    where: Any
    minimal: Minimal


class Instead(NamedTuple):
    """What a subject has instead of what it should.

    ``covered`` marks the elements of an array that an entry covers, ``values`` are those that
    the subject has there, within ``rad``; without values, it may have any.
    """

    covered: np.ndarray
    values: Optional[np.ndarray] = None
    rad: Any = 0.0

    def is_met_by(self, actual: np.ndarray) -> np.ndarray:
        """Where the subject, which has `actual`, has just these values, covered or not."""
        if self.values is None:
            return np.ones(actual.shape, dtype=bool)
        near = (np.abs(actual - self.values) <= self.rad) | np.isinf(self.rad)
        return (actual == self.values) | near | (np.isnan(actual) & np.isnan(self.values))


@dataclass(frozen=True, eq=False)
class KnownDivergence(Entry):
    """An entry for elements of the trace.

    ``arrays`` names the arrays in which it shows; ``instead(case, trace, array)`` says, of the
    verdict on such an array, teacher-forced, what the subject has there.
    """

    arrays: Tuple[str, ...]
    instead: Callable[[Case, Trace, ArrayVerdict], Instead]


@dataclass(frozen=True, eq=False)
class KnownError(Entry):
    """An entry for cases in which the subject raises an error instead of computing anything."""

    covers: Callable[[Case], bool]
    error: str


@dataclass(frozen=True, eq=False)
class KnownRewrite(Entry):
    """An entry for cases that the subject computes as if they were others.

    ``computes`` gives that other case, which must then agree.
    """

    covers: Callable[[Case], bool]
    computes: Callable[[Case], Case]


@dataclass(frozen=True, eq=False)
class KnownEnding(Entry):
    """An entry for cases in which the subject ends the process, by one of ``signals``.

    The first such case of each model with other options is computed in a process of its own, to see
    that it still does; the others are then taken to do the same.
    """

    covers: Callable[[Case], bool]
    signals: Tuple[str, ...]


def excuse_error(case: Case, error: str, known: Tuple[Entry, ...]) -> Verdict:
    """The verdict on a case in which the subject raised `error`."""
    met = [
        entry.name
        for entry in known
        if isinstance(entry, KnownError) and entry.covers(case) and entry.error in error
    ]
    return Verdict([], tuple(met), error)


def excuse_ending(case: Case, signal: str, known: Tuple[Entry, ...]) -> Verdict:
    """The verdict on a case in which the subject ended the process."""
    met = [
        entry.name
        for entry in known
        if isinstance(entry, KnownEnding) and signal in entry.signals and entry.covers(case)
    ]
    return Verdict([], tuple(met), "{}: the process was ended".format(signal))


def rewrites(case: Case, known: Tuple[Entry, ...]) -> Tuple[KnownRewrite, ...]:
    """The entries by which the subject may have computed another case."""
    return tuple(entry for entry in known if isinstance(entry, KnownRewrite) and entry.covers(case))


def excuse(verdict: Verdict, case: Case, trace: Trace, known: Tuple[Entry, ...]) -> Verdict:
    """Excuse what the entries cover; the verdict itself if they cover nothing."""
    entries = [entry for entry in known if isinstance(entry, KnownDivergence)]
    met: List[str] = []
    arrays = []
    for array in verdict.arrays:
        for entry in entries if array.run == TEACHER_FORCED else ():
            if array.name in entry.arrays and array.worst > 1:
                array, covered = _excused(array, entry, case, trace)
                met.extend([entry.name] if covered else [])
        arrays.append(array)
    if not met:
        return verdict
    rows, numbers = np.zeros(case.config.batch, dtype=bool), set()
    for array in arrays:
        if array.run == TEACHER_FORCED and array.known is not None:
            if array.known.ndim:
                rows |= array.known.any(axis=tuple(range(1, array.known.ndim)))
            else:
                numbers.add(array.name)
    arrays = [
        _without(array, rows, numbers) if array.run == FREE_RUNNING else array for array in arrays
    ]
    return verdict._replace(arrays=arrays, known=tuple(sorted(set(met))))


def _excused(
    array: ArrayVerdict, entry: KnownDivergence, case: Case, trace: Trace
) -> Tuple[ArrayVerdict, bool]:
    with np.errstate(all="ignore"):
        found = entry.instead(case, trace, array)
        known = array.wrong & found.covered & found.is_met_by(array.actual)
    return (array.excused(known), True) if known.any() else (array, False)


def _without(array: ArrayVerdict, rows: np.ndarray, numbers: Collection[str]) -> ArrayVerdict:
    """The array, free-running, without what follows from excused elements.

    These are the rows that are marked, as no row follows from another; the numbers that are means
    over all rows, if one is marked; and the numbers that are named.
    """
    if array.actual.ndim:
        gone = np.zeros(array.actual.shape, dtype=bool)
        gone[rows] = True
    else:
        gone = np.array(rows.any() or array.name in numbers)
    if not gone.any():
        return array
    undecided = array.undecided & ~gone
    doubts = int(np.count_nonzero(undecided))
    return array.excused(gone)._replace(undecided=undecided, doubts=doubts)
