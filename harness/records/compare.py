"""Two records side by side: what is bit-identical, what moved, and what differs in meaning."""

import math
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.errors import UserError
from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.records.record import KNOWN, OUTSIDE, UNDECIDED, UNJUDGED, Computed, Record

# What can be said of an element, or of a case that ended in an error, from good to bad.
IDENTICAL, ROUNDING, FOLLOWS, UNKNOWN = "identical", "rounding", "follows", "not known"
ONE_SIDED, FAILS = "array of one side", "error on both sides"
FLUSHED, BEYOND, CHOICE = "flushed", "beyond rounding", "arg max"
INFINITY, NAN, ERROR = "infinity", "NaN", "error"
KINDS = {
    IDENTICAL: "the same bit for bit, or the same number of another type, or NaN on both sides",
    ROUNDING: "moved, and within the bound of the oracle on both sides, or near to the reference",
    FOLLOWS: "moved in a case that differs in meaning elsewhere",
    UNKNOWN: "moved, and nobody knows whether by rounding: there is no bound, or it is too wide",
    ONE_SIDED: "in an array that only one side has",
    FAILS: "the same error on both sides: nothing was computed",
    FLUSHED: "0 on one side, a subnormal number on the other, and outside neither bound",
    BEYOND: "moved, and outside the bound of the oracle on a side, or far from the reference",
    CHOICE: "another class or count: of nearly equal scores, say, the other one",
    INFINITY: "an infinity on one side, or another one",
    NAN: "NaN on one side",
    ERROR: "an error or a crash on one side, another one, or arrays of another shape",
}
MEANING = (FLUSHED, BEYOND, CHOICE, INFINITY, NAN, ERROR)
# Why a model is not compared, or not all of it.
MISSING = "not in both records"
UNSUPPORTED = "not supported by both, in some config or in all"
_NAMES = list(KINDS)
_RANKS = {kind: rank for rank, kind in enumerate(KINDS)}
# How many times farther from a float64 run one side may be than the other. It is a convention, and
# no bound: the largest errors of two right evaluations in float32 seldom differ by more.
_AS_NEAR = 8.0


Arrays = Dict[str, np.ndarray]


class Example(NamedTuple):
    """The smallest case that shows a kind: of an array the first such element, or the errors."""

    group: Computed
    case: int
    array: str
    place: Tuple[int, ...]
    values: Tuple[str, ...]
    known: Tuple[str, ...]


class ArrayDifference(NamedTuple):
    """How many elements of an array are of each kind, and the largest moves of those that moved.

    Moves that follow from something else, and infinite ones, are not among these. ``ulp`` is in
    units of the last place of the first record's numbers, of those that are not 0; ``bounds`` is in
    sums of what rounding can come to on both sides, free-running, None where that is not known.
    ``types`` are those of both sides, where they are not the same.
    """

    counts: Dict[str, int]
    absolute: float
    ulp: float
    bounds: Optional[float] = None
    types: Tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The worst."""
        return worst_of(self.counts)

    def as_dict(self) -> Dict[str, Any]:
        """In JSON's types."""
        found: Dict[str, Any] = {
            "kind": self.kind,
            "elements": dict(self.counts),
            "largest_move": _finite(self.absolute),
            "largest_move_in_ulp": _finite(self.ulp),
        }
        if self.bounds is not None:
            found["largest_move_in_bounds"] = self.bounds
        return dict(found, types=list(self.types)) if self.types else found


class ModelDifference(NamedTuple):
    """What differs in a model.

    Parameters
    ----------
    model : str
    cases : dict of str to int
        How many cases are of each kind, by the worst of their elements.
    arrays : dict of str to ArrayDifference
    known : dict of str to int
        In how many cases that differ in meaning a known divergence of either side was met.
    named : int
        How many of the cases that differ in meaning those are.
    failed : int
        How many cases end in the same error on both sides, without a known divergence on both.
    examples : dict of str to Example
        Of each kind of difference.
    """

    model: str
    cases: Dict[str, int]
    arrays: Dict[str, ArrayDifference]
    known: Dict[str, int]
    named: int
    failed: int
    examples: Dict[str, Example]

    @property
    def kind(self) -> str:
        """The worst."""
        return worst_of(self.cases)

    @property
    def differ(self) -> int:
        """How many cases differ in meaning."""
        return sum(self.cases[kind] for kind in MEANING)

    def as_dict(self) -> Dict[str, Any]:
        """All but the examples, in JSON's types."""
        return {
            "kind": self.kind,
            "cases": dict(self.cases),
            "known": dict(self.known),
            "differ_in_meaning": self.differ,
            "of_these_known": self.named,
            "failed_and_not_known": self.failed,
            "arrays": {name: array.as_dict() for name, array in self.arrays.items()},
        }


class Comparison(NamedTuple):
    """What differs between two records; ``left_out`` says of models why they are not compared."""

    first: Record
    second: Record
    models: List[ModelDifference]
    left_out: Dict[str, str]

    @property
    def cases(self) -> Dict[str, int]:
        """How many cases are of each kind."""
        return {
            kind: sum(each.cases[kind] for each in self.models)
            for kind in KINDS
            if any(each.cases.get(kind) for each in self.models)
        }

    @property
    def same(self) -> bool:
        """Whether all that is compared is the same but for rounding.

        Errors on both sides are, if a known divergence of both says so.
        """
        failed = sum(each.failed for each in self.models)
        return not failed and set(self.cases) <= {IDENTICAL, ROUNDING, FAILS}

    @property
    def complete(self) -> bool:
        """Whether both records are whole, and all is compared that both sides support."""
        whole = self.first.whole and self.second.whole
        return whole and MISSING not in self.left_out.values()


def worst_of(counts: Dict[str, int]) -> str:
    """The worst of the kinds of which there are any."""
    return _NAMES[max((_RANKS[kind] for kind, count in counts.items() if count), default=0)]


def compare(first: Record, second: Record, reference: Optional[Record] = None) -> Comparison:
    """Compare two records, case by case.

    Parameters
    ----------
    first, second : Record
    reference : Record, optional
        Of the same cases in float64: what moved where no bound decides is rounding if both are as
        near to it.

    Raises
    ------
    UserError
        If they have no group in common, or other cases under the same name, or not as many; if the
        reference has no numbers, or not in float64.
    """
    others = {group.key: group for group in second.groups}
    exact = {group.key: group for group in reference.groups} if reference else {}
    if reference and not {group.digest for group in reference.groups} & {
        group.digest for group in first.groups
    }:
        raise UserError("The reference holds none of the cases: record the same ones in float64.")
    if reference and not any(group.trace for group in reference.groups):
        ended = next((error for group in reference.groups for error in group.errors), "nothing")
        raise UserError("The reference holds no numbers, but {}: record it again.".format(ended))
    for group in reference.groups if reference else ():
        for name, array in group.trace.items():
            if array.dtype.kind == "f" and array.dtype.itemsize < 8:
                raise UserError(
                    "The reference holds {} in {}: record one that computes in float64.".format(
                        name, array.dtype
                    )
                )
    pairs: Dict[str, List[Tuple[Computed, Computed]]] = {}
    left_out: Dict[str, str] = {}
    for group in first.groups:
        other = others.get(group.key)
        if other is None:
            left_out[group.model] = MISSING
            continue
        for each in filter(None, (other, exact.get(group.key))):
            if each.digest != group.digest:
                raise UserError(
                    "The records hold other cases of {}: record both with the same rnndiff, and "
                    "the same inputs.".format(group.model)
                )
            if each.supported and group.supported and len(each.errors) != len(group.errors):
                raise UserError(
                    "One of the records is damaged: of the same cases of {}, they hold {} and "
                    "{}.".format(group.model, len(group.errors), len(each.errors))
                )
        if group.supported and other.supported:
            pairs.setdefault(group.model, []).append((group, other))
        else:
            left_out.setdefault(group.model, UNSUPPORTED)
    known = {group.key for group in first.groups}
    for group in second.groups:
        if group.key not in known:
            left_out[group.model] = MISSING
    if not pairs:
        raise UserError(
            "The records {} and {} have no model in common.".format(first.title, second.title)
        )
    models = [of_model(name, groups, exact) for name, groups in pairs.items()]
    return Comparison(first, second, models, left_out)


def of_model(
    name: str,
    groups: Sequence[Tuple[Computed, Computed]],
    exact: Mapping[Tuple[str, int], Computed],
) -> ModelDifference:
    """Compare pairs of groups of a model, of the same cases; `exact` are those in float64."""
    cases = dict.fromkeys(KINDS, 0)
    arrays: Dict[str, ArrayDifference] = {}
    known: Dict[str, int] = {}
    examples: Dict[str, Example] = {}
    named = failed = 0
    # The smallest first.
    for one, other in sorted(groups, key=lambda pair: (pair[0].numbers, pair[0].number)):
        for case, kinds, rows, said in _cases(one, other, exact.get(one.key)):
            worst = _NAMES[max(int(np.max(found, initial=0)) for found in kinds.values())]
            cases[worst] += 1
            failed += worst == FAILS and not (one.known[case] and other.known[case])
            met = tuple(dict.fromkeys(one.known[case] + other.known[case]))
            if worst in MEANING:
                named += bool(met)
                for entry in met:
                    known[entry] = known.get(entry, 0) + 1
            for array, found in kinds.items():
                if rows:
                    sides = [row[array] for row in rows if array in row]
                    arrays[array] = _added(arrays.get(array), found, sides[0], sides[-1])
                for rank in set(found.ravel().tolist()) - {0}:
                    if _NAMES[rank] in examples:
                        continue
                    index = tuple(int(i) for i in np.argwhere(found == rank)[0])
                    values = said or tuple(
                        _number(row[array][index]) if array in row else "none" for row in rows
                    )
                    examples[_NAMES[rank]] = Example(one, case, array, index, values, met)
    return ModelDifference(name, cases, arrays, known, named, failed, examples)


def _cases(
    one: Computed, other: Computed, exact: Optional[Computed]
) -> Iterator[Tuple[int, Arrays, Tuple[Arrays, ...], Any]]:
    """Of each case its place, the ranks of its elements' kinds, and the arrays of both sides.

    Without arrays, there is what came instead of them.
    """
    for case, errors in enumerate(zip(one.errors, other.errors)):
        if any(errors):
            rank = _RANKS[FAILS if errors[0] == errors[1] else ERROR]
            yield case, {"": np.array([rank])}, (), tuple(each or "a trace" for each in errors)
            continue
        a, b = _row(one, one.trace, case), _row(other, other.trace, case)
        names = [name for name in a if name in b]
        shapes = tuple(", ".join(map(str, [side[n].shape for n in names])) for side in (a, b))
        if not (a or b) or shapes[0] != shapes[1]:
            said = tuple("shapes " + each if each else "no arrays" for each in shapes)
            yield case, {"": np.array([_RANKS[ERROR]])}, (), said
            continue
        codes = _row(one, one.codes, case), _row(other, other.codes, case)
        wanted: Arrays = {}
        if exact and not "".join(exact.errors[case : case + 1]):
            wanted = _row(exact, exact.trace, case)
        kinds = {
            name: _kinds(a[name], b[name], codes[0][name], codes[1][name], wanted.get(name))
            for name in names
        }
        for name in sorted(set(a) ^ set(b)):
            kinds[name] = np.full({**a, **b}[name].shape, _RANKS[ONE_SIDED])
        if any(np.any(codes[0][name] != UNJUDGED) for name in names):
            _mark_what_follows(kinds)
        yield case, kinds, (a, b), None


def _mark_what_follows(kinds: Arrays) -> None:
    """Where a case differs in meaning, no other move of it is taken for rounding."""
    causes = [_RANKS[kind] for kind in MEANING if kind != FLUSHED]
    if any(np.isin(found, causes).any() for found in kinds.values()):
        for found in kinds.values():
            found[np.isin(found, [_RANKS[ROUNDING], _RANKS[UNKNOWN]])] = _RANKS[FOLLOWS]


def _row(group: Computed, arrays: Arrays, case: int) -> Arrays:
    place = group.errors[:case].count("")
    return {name: array[place] for name, array in arrays.items()}


def _kinds(
    a: np.ndarray, b: np.ndarray, codes_a: np.ndarray, codes_b: np.ndarray, exact: Any
) -> np.ndarray:
    """The rank of the kind of each element."""
    nan, inf = [np.isnan(a), np.isnan(b)], [np.isinf(a), np.isinf(b)]
    with np.errstate(all="ignore"):
        same = ((a == b) & (np.signbit(a) == np.signbit(b))) | (nan[0] & nan[1])
        flushed = (_subnormal(a) & (b == 0)) | (_subnormal(b) & (a == 0))
    outside = np.maximum(*(np.isin(codes, (KNOWN, OUTSIDE)) for codes in (codes_a, codes_b)))
    unsaid = np.maximum(*(np.isin(codes, (UNDECIDED, UNJUDGED)) for codes in (codes_a, codes_b)))
    if exact is not None and exact.shape == a.shape:
        near = _as_near(a, b, exact)
        outside = outside | (unsaid & ~near & ~flushed)
        unsaid = unsaid & False
    conditions = {
        IDENTICAL: same,
        NAN: nan[0] != nan[1],
        INFINITY: inf[0] | inf[1],
        CHOICE: np.full(a.shape, {a.dtype.kind, b.dtype.kind} != {"f"}),
        BEYOND: outside,
        FLUSHED: flushed,
        UNKNOWN: unsaid,
    }
    ranks = [_RANKS[kind] for kind in conditions]
    return np.asarray(np.select(list(conditions.values()), ranks, _RANKS[ROUNDING]))


def _subnormal(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f":
        return np.zeros(array.shape, bool)
    return (array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)


def _as_near(a: np.ndarray, b: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Whether both are as near to a float64 run, of all elements together."""
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(exact)
    if a.dtype.kind != "f" or not finite.any():
        return finite
    exact = exact[finite].astype(np.float64)
    far = sorted(float(np.max(np.abs(side[finite].astype(np.float64) - exact))) for side in (a, b))
    # Each of them is rounded at least once.
    least = float(ulp_of(np.max(np.abs(exact)), a.dtype))
    return np.full(a.shape, far[1] <= _AS_NEAR * max(far[0], least))


def _added(
    before: Optional[ArrayDifference], kinds: np.ndarray, a: np.ndarray, b: np.ndarray
) -> ArrayDifference:
    counts = dict(before.counts) if before else dict.fromkeys(KINDS, 0)
    absolute, ulp = (before.absolute, before.ulp) if before else (0.0, 0.0)
    for kind, number in zip(KINDS, np.bincount(kinds.ravel(), minlength=len(KINDS)).tolist()):
        counts[kind] += number
    moved = np.isin(kinds, [_RANKS[kind] for kind in (ROUNDING, UNKNOWN, BEYOND)])
    moved &= np.isfinite(a) & np.isfinite(b)
    if moved.any():
        x, y = (side[moved].astype(np.float64) for side in (a, b))
        with np.errstate(over="ignore"):
            far = np.abs(x - y)
        absolute = max(absolute, float(np.max(far)))
        coarser = min((a.dtype, b.dtype), key=lambda dtype: dtype.itemsize)
        units = far[x != 0] / ulp_of(x[x != 0], coarser.name)
        ulp = max(ulp, float(np.max(units, initial=0.0)))
    types = before.types if before else ()
    types = types if a.dtype == b.dtype else (a.dtype.name, b.dtype.name)
    return ArrayDifference(counts, absolute, ulp, types=types)


def _number(value: Any) -> str:
    digits = 17 if value.dtype == np.float64 else 9
    return "{:.{}g}".format(float(value), digits) if value.dtype.kind == "f" else str(value)


def _finite(number: float) -> Any:
    """A number as JSON has it."""
    return number if math.isfinite(number) else str(number)
