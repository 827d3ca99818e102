"""Runs of a plan's operations on balls, with the subject's numbers in the place of the oracle's."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.errors import OracleError
from rnndiff.harness.judging.plan import Plan, Recorded
from rnndiff.harness.numerics.addends import Addends
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, compute, lift, read_stack
from rnndiff.harness.numerics.register import REGISTER
from rnndiff.harness.numerics.rows import admissible, first_and_last
from rnndiff.models.functions import accumulate, affine

# The functions that are sums of products of their arguments.
_PRODUCTS = (affine, accumulate, np.matmul, np.dot)
# So many radii are two numbers apart that are in one ball.
_BOTH = 2.0
OTHER_OPERATIONS = "the oracle makes other operations for other values of its arrays"


class Expected(NamedTuple):
    """What is expected of a subject: midpoints and radii [rows, elements] of the plan's arrays.

    A radius of 0 is a number that has to be there bit for bit.
    """

    mid: np.ndarray
    rad: np.ndarray


class Undecided(Exception):
    """An arg max that rounding may decide is an index."""


class BoundedRun:
    """Computes operations on balls, with the subject's numbers in the place of the oracle's.

    The first ``free`` rows of its stacks run freely, all others are teacher-forced. ``recorded``
    [rows, elements] is what the subject recorded, ``apart`` how far from that it may be where it is
    read, None if it is that number. ``choices`` are those of an arg max that the
    trace does not have: the first and the last class that rows which are teacher-forced admit.
    """

    def __init__(
        self,
        plan: Plan,
        recorded: np.ndarray,
        free: int,
        arithmetic: Arithmetic,
        choices: Optional[Dict[int, Tuple[np.ndarray, np.ndarray]]] = None,
        apart: Optional[np.ndarray] = None,
    ) -> None:
        self._plan, self._recorded, self._free, self._arithmetic = plan, recorded, free, arithmetic
        self._rows = len(recorded)
        size = np.abs(recorded)
        # Like any exact number, a recorded one may be flushed to zero where it is read.
        small = np.where(size < arithmetic.smallest, size, 0.0)
        self._flushed = small if small.any() else None
        largest = size.max() if size.size else 0.0
        self._reach = largest if largest <= np.inf else np.inf
        self._apart = apart
        self.choices = {} if choices is None else choices
        self._expected: List[Tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def given(self, array: Optional[np.ndarray]) -> Optional[BoundedArray]:
        """An array [rows, ...] of the case, as the subject reads it."""
        return None if array is None else read_stack(array, self._arithmetic)

    def constant(self, array: np.ndarray) -> BoundedArray:
        """An array that is the same in all rows, as the subject holds it."""
        return lift(array, self._arithmetic).as_stack()

    def make(
        self, number: int, function: Callable[..., Any], args: List[Any], kwargs: Mapping[str, Any]
    ) -> BoundedArray:
        """The balls of an operation, and the subject's numbers in place of those it recorded."""
        recorded = self._plan.recorded.get(number)
        if function is np.argmax:
            return self._choice(number, recorded, *args, **kwargs)
        if function in REGISTER:
            balls = compute(function, self._arithmetic, args, kwargs)
        else:
            # It may be made of others, as what stands in for a function where a subject diverges.
            balls = function(*args, **kwargs)
        self._check(number, balls.shape)
        return balls if recorded is None else self._replaced(balls, recorded)

    def index(self, chosen: BoundedArray) -> np.ndarray:
        """An arg max that is an index; :class:`Undecided` is raised if rounding may decide it."""
        if chosen.rad.any():
            raise Undecided
        # Of all rows it is the same, if there are several: the last one is teacher-forced.
        return np.asarray(chosen.mid[-1].astype(np.intp))

    def _check(self, number: int, shape: Tuple[int, ...]) -> None:
        """Raise an OracleError if the plan has no such operation, or one of another shape."""
        shapes = self._plan.operations
        if number >= len(shapes) or shape != shapes[number]:
            raise OracleError(OTHER_OPERATIONS)

    def expected(self, unmade: Mapping[str, BoundedArray], otherwise: float = 0.0) -> Expected:
        """What is expected of all elements, those of `unmade` arrays that no operation makes.

        `otherwise` is the radius of what was not computed.
        """
        mid = np.zeros(self._recorded.shape)
        rad = np.full(mid.shape, otherwise)
        for name, _, elements in self._plan.stretches() if unmade else ():
            if name in unmade:
                mid[:, elements] = _of_all_rows(unmade[name].mid, self._rows)
                rad[:, elements] = _of_all_rows(unmade[name].rad, self._rows)
        if self._expected:
            elements, mids, rads = zip(*self._expected)
            places = np.concatenate(elements)
            mid[:, places] = np.concatenate(mids, axis=1)
            rad[:, places] = np.concatenate(rads, axis=1)
        return Expected(mid, rad)

    def with_copies(self, expected: Expected) -> Expected:
        """The same with the elements that hold the number of another one, which have every bit.

        A subject that recomputes may have there what else that number may be.
        """
        free, copies, originals = self._free, self._plan.copies, self._plan.originals
        numbers = self._recorded[free:, originals]
        again = np.zeros(numbers.shape, dtype=bool)
        if self._arithmetic.recomputes:
            others = self._recorded[free:, copies]
            again = (others != numbers) | (np.signbit(others) != np.signbit(numbers))
            again &= ~(np.isnan(others) & np.isnan(numbers))
        for array, forced in zip(expected, (numbers, 0.0)):
            array[:free, copies] = array[:free, originals]
            array[free:, copies] = np.where(again, array[free:, originals], forced)
        return expected

    def _replaced(self, balls: BoundedArray, recorded: Recorded) -> BoundedArray:
        """The balls of the rows that run freely, and the subject's numbers in all others."""
        shape, free = (self._rows,) + balls.shape, self._free
        places, elements = recorded.places, recorded.elements
        mid, rad = _of_all_rows(balls.mid, self._rows), _of_all_rows(balls.rad, self._rows)
        numbers = self._recorded[free:, elements]
        if self._flushed is None:
            flushed = np.zeros(numbers.shape)
        else:
            flushed = self._flushed[free:, elements]
        if self._apart is not None:
            numbers, flushed = _off(numbers, np.maximum(flushed, self._apart[free:, elements]))
        if places is None:
            self._expected.append((elements, mid, rad))
            mid = np.concatenate([mid[:free], numbers])
            rad = np.concatenate([rad[:free], flushed])
        else:
            self._expected.append((elements, mid[:, places], rad[:, places]))
            mid, rad = mid.copy(), rad.copy()
            mid[free:, places], rad[free:, places] = numbers, flushed
        reach = max(balls.reach(), self._reach)
        if self._apart is not None:
            reach = max(reach, np.max(np.abs(mid) + rad, initial=0.0))
            reach = reach if reach <= np.inf else np.inf
        mid, rad = mid.reshape(shape), rad.reshape(shape)
        result = BoundedArray(mid, rad, self._arithmetic, reach, stacked=True)
        result.is_affine = balls.is_affine
        made_of = balls.made_of
        if isinstance(made_of, Addends) and made_of.factors and not made_of.terms:
            # What is recorded of products that go on to a bias may be rounded for that alone.
            result.made_of, result.computed = made_of, balls
        return result

    def _choice(
        self, number: int, recorded: Optional[Recorded], operand: BoundedArray, axis: int
    ) -> BoundedArray:
        """The arg max that the subject chose where rounding may lead to it, else any such one."""
        mid, rad, may_be = (
            x if axis == -1 else np.moveaxis(x, operand.axes(axis), -1)
            for x in (operand.mid, operand.rad, admissible(operand, axis))
        )
        self._check(number, may_be.shape[1:-1])
        if operand.reach() == np.inf:
            # What is NaN is judged where it is teacher-forced.
            may_be[: self._free] |= np.isnan(mid[: self._free]).any(axis=-1, keepdims=True)
            if self._arithmetic.recomputes:
                # Numbers beside NaN may be off by rounding, but the first NaN is where it is.
                nan, forced = np.isnan(mid[self._free :]), may_be[self._free :]
                is_sure = nan.any(axis=-1) & np.isfinite(rad[self._free :]).all(axis=-1)
                forced[is_sure] = np.eye(nan.shape[-1], dtype=bool)[nan.argmax(axis=-1)[is_sure]]
        if recorded is None:
            low, high = self._followed(number, may_be)
        else:
            low, high = self._recorded_choice(number, recorded, mid, may_be)
        reach = may_be.shape[-1]
        if low is high or (low == high).all():
            chosen = low.astype(np.float64)
            return BoundedArray(chosen, None, self._arithmetic, reach, stacked=True, normal=True)
        return BoundedArray(
            (low + high) / 2, (high - low) / 2, self._arithmetic, reach, stacked=True
        )

    def _recorded_choice(
        self, number: int, recorded: Recorded, mid: np.ndarray, may_be: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray]:
        """The same where the trace has choices, which are compared with those that may be."""
        theirs, places = self._recorded[:, recorded.elements], recorded.places
        low = high = class_or_first(theirs, may_be.shape[-1])
        if places is not None:
            theirs = low
            low, high = (x.reshape(self._rows, -1).copy() for x in self._followed(number, may_be))
            low[:, places] = high[:, places] = theirs
        low, high = low.reshape(may_be.shape[:-1]), high.reshape(may_be.shape[:-1])
        own = np.where(_marked(may_be, low), low, mid.argmax(axis=-1)).reshape(self._rows, -1)
        own = own if places is None else own[:, places]
        self._expected.append((recorded.elements, own, np.zeros(own.shape)))
        return low, high

    def _followed(self, number: int, may_be: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The first and the last choice that may be; of rows that run freely, the forced ones'."""
        free, (first, last) = self._free, first_and_last(may_be)
        if free < self._rows:
            self.choices[number] = first[free:], last[free:]
        if not free:
            return first, last
        theirs, their_last = self.choices.get(number, (first, last))
        follow = (theirs == their_last) & _marked(may_be[:free], theirs)
        first[:free] = np.where(follow, theirs, first[:free])
        last[:free] = np.where(follow, theirs, last[:free])
        return first, last


class RecomputedRun(BoundedRun):
    """The same, that finds how far what is read may be from what is recorded.

    Where a subject recomputes, numbers may be computed anew for each that reads them, and so may
    what they are made of, up to the products before, whose operands are read once. So all
    evaluations of a number are in the ball that rounding makes of the same products: the first rows
    go on with their balls, but that products are of what the rows which are teacher-forced have.

    That is presumed to be a number which is large against what it is apart itself: what is rounded
    after the product of another one, of which nothing is left but rounding, may be more.
    """

    def __init__(self, plan: Plan, recorded: np.ndarray, arithmetic: Arithmetic) -> None:
        super().__init__(plan, np.concatenate([recorded] * 2), len(recorded), arithmetic)
        self.apart = np.zeros(recorded.shape)

    def given(self, array: Optional[np.ndarray]) -> Optional[BoundedArray]:
        """As in :class:`BoundedRun`, of an array that has half of the rows."""
        return super().given(None if array is None else np.concatenate([array] * 2))

    def make(
        self, number: int, function: Callable[..., Any], args: List[Any], kwargs: Mapping[str, Any]
    ) -> BoundedArray:
        """As in :class:`BoundedRun`."""
        if function in _PRODUCTS:
            args = [*map(self._as_forced, args[:2]), *args[2:]]
        return super().make(number, function, args, kwargs)

    def _as_forced(self, operand: Any) -> Any:
        """What the rows that are teacher-forced have of an operand, for all rows."""
        if not isinstance(operand, BoundedArray) or len(operand.mid) != self._rows:
            return operand
        mid, rad = (
            None if x is None else np.concatenate([x[self._free :]] * 2)
            for x in (operand.mid, operand._rad)
        )
        return BoundedArray(mid, rad, operand.arithmetic, operand.reach(), stacked=True)

    def _replaced(self, balls: BoundedArray, recorded: Recorded) -> BoundedArray:
        """As in :class:`BoundedRun`."""
        rad = _of_all_rows(balls.rad, self._rows)[: self._free]
        rad = rad if recorded.places is None else rad[:, recorded.places]
        self.apart[:, recorded.elements] = _BOTH * rad
        return super()._replaced(balls, recorded)


class ByChanceRun(BoundedRun):
    """The same, teacher-forced, with what errors come to by chance.

    ``sums`` marks the elements [elements] that are sums of products of what the subject recorded or
    was given, and no more.
    """

    def __init__(self, plan: Plan, recorded: np.ndarray, arithmetic: Arithmetic) -> None:
        super().__init__(plan, recorded, 0, arithmetic.by_chance())
        self.sums = np.zeros(recorded.shape[1], dtype=bool)

    def make(
        self, number: int, function: Callable[..., Any], args: List[Any], kwargs: Mapping[str, Any]
    ) -> BoundedArray:
        """As in :class:`BoundedRun`."""
        balls = super().make(number, function, args, kwargs)
        recorded = self._plan.recorded.get(number)
        if recorded is not None:
            summed = _summed(function, args, balls)
            self.sums[recorded.elements] = bool(summed) and not any(x.rad.any() for x in summed)
        return balls


def _summed(
    function: Callable[..., Any], args: Sequence[Any], balls: BoundedArray
) -> Sequence[BoundedArray]:
    """What is multiplied and added up if an operation is a sum of products and no more, or ()."""
    if function in _PRODUCTS:
        return args
    if function is np.add and balls.is_affine:
        # A product, and a bias that was written after it.
        of_each = [x.made_of.factors if isinstance(x.made_of, Addends) else () for x in args]
        return [y for x, factors in zip(args, of_each) for y in (factors[0] if factors else (x,))]
    return ()


def _off(numbers: np.ndarray, apart: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Balls around numbers, of which those that may be anything are unknown."""
    unknown = np.isinf(apart)
    apart = np.where(unknown | np.isfinite(numbers), apart, 0.0)
    return np.where(unknown, 0.0, numbers), apart


def _marked(marked: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether these places along the last axis are marked."""
    chosen = np.arange(marked.shape[-1]) == places[..., None]
    return np.logical_and(chosen, marked).any(axis=-1)


def class_or_first(predictions: np.ndarray, classes: int) -> np.ndarray:
    """The subject's predictions, to be followed; one that is no class at all counts as class 0.

    Following it is safe: what it is fed back as and the arg max are compared as well.
    """
    is_class = (predictions >= 0) & (predictions < classes)
    return np.where(is_class, predictions, 0).astype(np.intp)


def _of_all_rows(array: np.ndarray, rows: int) -> np.ndarray:
    """[rows, elements] of an array [rows, ...], or [1, ...] if it is the same in all rows."""
    if len(array) != rows:
        array = np.broadcast_to(array, (rows,) + array.shape[1:])
    return array.reshape(rows, -1)
