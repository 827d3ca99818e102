"""Sums in any order: of an array's elements, and what sums of products have in common."""

import math
from functools import lru_cache
from typing import Any, Callable, NamedTuple, Optional, Tuple, Union

import numpy as np

from rnndiff.harness.numerics.addends import unrounded
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.balls import (
    INFLATE,
    UNIT64,
    BoundedArray,
    largest_of,
    lift,
    with_specials,
)
from rnndiff.harness.numerics.elementwise import LARGEST_EXPONENT, divide
from rnndiff.harness.numerics.register import Example, bound

# Sums of no more terms than this are bounded term by term, which takes as much time as they have
# terms. Where large networks meet small ones: the article's have 140, the small ones up to 8.
MOST_TERMS_ONE_BY_ONE = 32
# A power of two by which as many large numbers do not overflow in float64 when they are added up.
_SCALE = 2.0**-6


class _Factors(NamedTuple):
    """By what the errors of sums of so many terms go, whatever the terms are; see :class:`Sums`."""

    inflate: float
    unit: float
    gamma: float
    per_magnitude: float
    per_radius: float
    per_result: float


@lru_cache(maxsize=1024)
def _factors_of(count: int, roundings: int, unit: float) -> _Factors:
    # The radius is itself computed in `count` roundings.
    inflate = 1 + (count + 8) * 4 * UNIT64
    # The midpoint is such a sum as well, in float64.
    unit = (unit + 2 * UNIT64) * inflate
    # (1 + u)^n - 1, which is less than Higham's n u / (1 - n u), and finite for n u >= 1 too.
    exponent = count * unit
    gamma = math.expm1(exponent) if exponent < LARGEST_EXPONENT else np.inf
    return _Factors(
        inflate,
        unit,
        gamma,
        # Below 0 of one term alone, which is no sum: of its result, this takes back all but u^2.
        per_magnitude=unit * (count / 2 - 1 + roundings + count * gamma),
        per_radius=inflate + unit * count / 2,
        per_result=unit * count / 2,
    )


class Sums:
    """An array of sums of ``count`` terms each, which are added up in any order.

    An addition errs by ``u`` times its result: a partial sum of the terms, and the errors so far.
    With P and N the sums of the positive and the negative terms, a partial sum is at most
    ``max(P, N) = (magnitude + abs(mid)) / 2``, and the last one ``mid``; what the errors so far add
    is of second order. A product that is rounded errs by ``u`` times itself. Together, for a sum
    that cancels, this is half of ``gamma_n magnitude`` (Higham, section 3.1; n u instead of gamma:
    Jeannerod and Rump, *Improved error bounds for inner products in floating-point arithmetic*,
    SIAM J. Matrix Anal. Appl. 34, 2013).

    Parameters
    ----------
    arithmetic : Arithmetic
    mid : array
        The sums of the midpoints.
    reach : float
        What no sum of magnitudes exceeds.
    count : int
    roundings : int
        How often each term may be rounded before it is added: 1 if it is a product, 2 if it is
        divided by way of the reciprocal, else 0.
    stacked : bool
    unit : float
        The unit roundoff of an addition.
    """

    def __init__(
        self,
        arithmetic: Arithmetic,
        mid: np.ndarray,
        reach: float,
        count: int,
        roundings: int,
        stacked: bool,
        unit: float,
    ) -> None:
        self.arithmetic, self.mid, self.reach, self.count = arithmetic, mid, reach, count
        self.stacked, self.roundings = stacked, roundings
        factors = _factors_of(count, roundings, unit)
        self.inflate, self.unit, self.gamma = factors.inflate, factors.unit, factors.gamma
        self.per_magnitude, self.per_radius = factors.per_magnitude, factors.per_radius
        self.per_result = factors.per_result
        # What no partial sum of zeros exceeds.
        self.flushed = self.largest_partial(0.0)

    def magnitude(self) -> np.ndarray:
        """The sums of the terms' magnitudes."""
        raise NotImplementedError

    def errors(self) -> np.ndarray:
        """The sums of ``per_magnitude`` times magnitude and ``per_radius`` times radius."""
        raise NotImplementedError

    def error_of_each(self, a: BoundedArray) -> np.ndarray:
        """Of each number, ``per_magnitude`` times magnitude and ``per_radius`` times radius."""
        rad = a.operand_rad()
        if rad is None:
            return a.magnitude() * self.per_magnitude
        return np.abs(a.mid) * self.per_magnitude + rad * (self.per_magnitude + self.per_radius)

    def squares(self) -> np.ndarray:
        """The sums of the squares of the terms' midpoints."""
        raise NotImplementedError

    def radii(self) -> Union[np.ndarray, float]:
        """The sums of what the terms are off by, to first order."""
        raise NotImplementedError

    def exact_terms(self) -> Optional[Tuple[Any, np.ndarray, Any]]:
        """The sums whose terms are exact, where these are not too many; None if there are none.

        The cases of the stack that have such sums (`...` for all), of those cases the terms along
        a last axis, and which of their sums are such (True for all), in a shape that broadcasts.
        """
        return None

    def has_unknown(self) -> np.ndarray:
        """Which sums have a term of which nothing is known."""
        raise NotImplementedError

    def has_nan(self) -> np.ndarray:
        """Which sums have a term that is NaN for certain, a factor or an element being so."""
        raise NotImplementedError

    def ends(self, where: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The lower and upper ends of the terms of the sums that are marked, [marked, count].

        Both are infinite of a term that may be special or something else.
        """
        raise NotImplementedError

    def balls(self) -> BoundedArray:
        """The sums in the subject's arithmetic."""
        limit = self.arithmetic.largest * self.arithmetic.overflow_edge
        reach = self.largest_end(self.reach)
        if not reach <= limit:
            reach = self.largest_end(largest_of(self.magnitude()))
        if reach <= limit:
            return BoundedArray(self.mid, self.rad(), self.arithmetic, reach, self.stacked)
        return self.resolve_overflow()

    def largest_end(self, magnitude: float) -> float:
        """What no ball of a sum reaches beyond.

        Where numbers are subnormal, they are rounded by more than their share, and may be flushed
        as well: by less than the smallest normal number, but both are in the radius.
        """
        end: float = self.largest_partial(magnitude) + self.gamma * self.flushed
        return end

    def largest_partial(self, magnitude: Any) -> Any:
        """What no partial sum exceeds as the subject computes it."""
        flushed = 2 * self.count * self.arithmetic.smallest
        return (magnitude + flushed) * ((1 + self.gamma) ** 2 * self.inflate)

    def rad(self, wide: Optional[np.ndarray] = None) -> np.ndarray:
        """The radii, which are narrower than the `wide` ones where all terms are exact."""
        if self.arithmetic.likely:
            return self.likely_rad()
        exact_terms = self.exact_terms()
        if exact_terms is None:
            return self.wide_rad() if wide is None else wide
        where, terms, exact = exact_terms
        narrow = self.error_of(terms, self.mid[where]) + self.flushed
        if where is ... and exact is True:
            return narrow
        rad = self.wide_rad() if wide is None else wide.copy()
        rad[where] = np.where(exact, narrow, rad[where])
        return rad

    def wide_rad(self) -> np.ndarray:
        """The radii, whatever the terms are."""
        return self.errors() + np.abs(self.mid) * self.per_result + self.flushed

    def likely_rad(self) -> np.ndarray:
        """Bounds on the root mean square of the errors, by chance.

        Each of up to `count` additions errs by up to half an ULP of a partial sum s, and if it does
        so evenly and independently of the others, by a root mean square of ``u s / sqrt(3)`` at
        most, which then add up as squares do (Higham and Mary, *A new approach to probabilistic
        rounding error analysis*, SIAM J. Sci. Comput. 41, 2019: errors grow as the root of the
        count). The mean square of a partial sum of terms whose signs are as by chance is at most
        the sum of all squares of terms, or the square of the whole sum if that is larger, in any
        order that does not depend on the signs. That is what keeps these radii from growing as the
        count does (Higham and Mary, *Sharper probabilistic backward error analysis for basic linear
        algebra kernels with random data*, SIAM J. Sci. Comput. 42, 2020).
        """
        squares = self.squares()
        partial = self.count * np.maximum(squares, self.mid * self.mid) + self.roundings * squares
        return self.unit * np.sqrt(partial / 3) + self.radii() + self.flushed

    def error_of(self, terms: np.ndarray, mid: np.ndarray) -> np.ndarray:
        """The errors of sums of exact terms, which are `mid`.

        In whatever order they are added, the j-th largest partial sum has at most
        ``count - j + 1`` terms, and a partial sum of k terms is at most the sum of the k largest of
        one sign. Of a sum that is rounded, the power of two below counts (Rump 2012). A zero makes
        an addition exact.
        """
        ordered = np.sort(terms, axis=-1)
        up = np.add.accumulate(np.maximum(ordered, 0.0)[..., ::-1], axis=-1)
        down = np.add.accumulate(np.minimum(ordered, 0.0), axis=-1)
        partial = np.maximum(up, -down)
        magnitude = up[..., -1] - down[..., -1]
        # One term alone is no sum; in its place, the last sum of all.
        partial[..., 0] = np.abs(mid)
        errors = magnitude * (self.gamma * (2 + self.gamma)) + self.flushed
        partial += errors[..., None]
        binades, scale = self.arithmetic.binade(partial), 1.0
        if self.arithmetic.largest / _SCALE == np.inf:
            binades, scale = binades * _SCALE, _SCALE
        additions = np.add.reduce(binades[..., :-1], axis=-1)
        if np.count_nonzero(terms) < terms.size:
            additions -= np.add.reduce(terms == 0, axis=-1) * binades[..., -1]
        products = np.add.reduce(np.abs(terms - self.arithmetic.precision.rounded(terms)), axis=-1)
        # In float64 the terms are rounded already.
        return additions * (self.unit / scale) + products * self.inflate + magnitude * (2 * UNIT64)

    def resolve_overflow(self) -> BoundedArray:
        """The sums, decided one by one: by the terms, if something is known of all of them."""
        arithmetic, largest = self.arithmetic, self.arithmetic.largest
        known = ~self.has_unknown()
        clear = known & (
            self.largest_partial(self.magnitude()) <= largest * arithmetic.overflow_edge
        )
        rad = self.wide_rad()
        nan, up, down = (np.zeros(np.shape(clear), dtype=bool) for _ in range(3))
        # NaN whatever the other terms are; so a network full of it takes no look at its terms.
        poisoned = np.isnan(self.mid) & self.has_nan()
        where = known & ~clear & ~poisoned
        low, high = self.ends(where)
        # Infinite if a term is or may be.
        positive, negative = (np.sum(np.maximum(x, 0.0), axis=-1) for x in (high, -low))
        has_nan = np.isnan(low).any(axis=-1)
        has_infinity, has_minus = (low == np.inf).any(axis=-1), (high == -np.inf).any(axis=-1)
        # Short of overflow, the roundings err by no more than this in all, flushes included.
        slack = 2 * self.count * self.unit * largest
        edge = arithmetic.overflow_edge
        room, beyond = largest * edge - slack, largest / edge + slack
        nan[where] = has_nan | (has_infinity & has_minus)
        nan |= poisoned
        # What overflows for certain to one side must not be able to overflow to the other.
        up[where] = has_infinity | ((self.mid - rad)[where] > beyond)
        up[where] &= negative <= room
        down[where] = has_minus | ((self.mid + rad)[where] < -beyond)
        down[where] &= positive <= room
        rad = np.where(clear, self.rad(rad), rad)
        result = BoundedArray(self.mid, rad, arithmetic, stacked=self.stacked)
        return with_specials(result, clear, nan, up, down)


class SumsOfElements(Sums):
    """The sums of an array along an axis, of whose terms each may have been rounded."""

    def __init__(
        self, a: BoundedArray, axis: Optional[int], keepdims: bool, roundings: int = 0
    ) -> None:
        self.rounded, a = a, unrounded(a)
        self.a, self.axis, self.keepdims = a, a.axes(axis), keepdims
        count = int(np.prod(a.shape)) if axis is None else a.shape[axis]
        mid, reach = self.along(a.mid), count * a.reach()
        unit = a.arithmetic.unit
        Sums.__init__(self, a.arithmetic, mid, reach, count, roundings, a.stacked, unit)

    def along(
        self, part: np.ndarray, reduce: Callable[..., np.ndarray] = np.add.reduce
    ) -> np.ndarray:
        """What `reduce` makes of each sum's elements of an array."""
        return reduce(part, axis=self.axis, keepdims=self.keepdims)

    def magnitude(self) -> np.ndarray:
        """As in :class:`Sums`."""
        return self.along(self.a.magnitude())

    def errors(self) -> np.ndarray:
        """As in :class:`Sums`."""
        return self.along(self.error_of_each(self.a))

    def squares(self) -> np.ndarray:
        """As in :class:`Sums`."""
        return self.along(np.square(self.a.mid))

    def radii(self) -> np.ndarray:
        """As in :class:`Sums`."""
        return self.along(self.a.rad_as_operand())

    def has_unknown(self) -> np.ndarray:
        """As in :class:`Sums`."""
        return self.along(self.a.unknown(), np.logical_or.reduce)

    def has_nan(self) -> np.ndarray:
        """As in :class:`Sums`."""
        return self.along(np.isnan(self.a.mid), np.logical_or.reduce)

    def has_infinity(self) -> np.ndarray:
        """Which sums have an element that is infinite for certain."""
        return self.along(np.isinf(self.rounded.mid), np.logical_or.reduce)

    def ends(self, where: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """As in :class:`Sums`."""
        whole = isinstance(self.axis, tuple)
        low, high = (x if whole else np.moveaxis(x, self.axis, -1) for x in self.a.ends())
        shape = np.shape(self.mid) + (self.count,)
        return low.reshape(shape)[where], high.reshape(shape)[where]


@bound(
    np.sum,
    examples=[
        Example(np.sum, ((2, 3),)),
        Example(lambda x: np.sum(x, axis=0), ((3, 2),)),
        Example(lambda x: np.sum(x, axis=-1, keepdims=True), ((2, 4),)),
        Example(lambda x: np.sum(x, axis=1), ((2, 3, 2),)),
        Example(lambda x, y: np.sum(x * y, axis=-1), ((2, 3), (3,))),
    ],
)
def sum_of_elements(
    a: BoundedArray, axis: Optional[int] = None, keepdims: bool = False
) -> BoundedArray:
    """The sum of all elements, or along an axis."""
    return SumsOfElements(a, axis, keepdims).balls()


@bound(
    np.mean,
    examples=[
        Example(np.mean, ((2, 3),)),
        Example(lambda x: np.mean(x, axis=0), ((3, 2),)),
        Example(lambda x: np.mean(x, axis=-1), ((2, 3),)),
    ],
)
def mean(a: BoundedArray, axis: Optional[int] = None) -> BoundedArray:
    """The sum over the count; or, as a subject may do it, the sum of what is over the count.

    By a reciprocal, each element of the latter is rounded twice, and it may be flushed.
    """
    total = SumsOfElements(a, axis, False, roundings=2)
    sums, smallest = total.balls(), a.arithmetic.smallest
    quotient = divide(sums, lift(total.count, a.arithmetic))
    rad = quotient.rad + total.count * smallest * INFLATE
    if sums.reach() < np.inf:
        reach = quotient.reach() + 2 * total.count * smallest
        return BoundedArray(quotient.mid, rad, a.arithmetic, reach, a.stacked)
    # What is over the count first may not overflow where the sum does.
    unknown = np.isinf(rad) | (np.isinf(sums.mid) & ~total.has_infinity())
    mid, rad = np.where(unknown, 0.0, quotient.mid), np.where(unknown, np.inf, rad)
    rad = np.where(np.isfinite(mid), rad, 0.0)
    return BoundedArray(mid, rad, a.arithmetic, stacked=a.stacked)
