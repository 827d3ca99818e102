"""Comparison of single numbers, and choice between them: nothing is rounded."""

from typing import Any, Tuple

import numpy as np

from rnndiff.harness.numerics.balls import (
    INFLATE,
    UNIT64,
    BoundedArray,
    broadcast,
    exact,
    lift,
    operands,
    propagate_specials,
)
from rnndiff.harness.numerics.elementwise import negative, of_two
from rnndiff.harness.numerics.register import Example, bound
from rnndiff.models.functions import dropout_mask


@bound(np.equal, examples=of_two(np.equal))
def equal(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """1 where ``a == b``, 0 where not, both where rounding decides."""
    a, b = broadcast(a, b)
    possible, doubt = a.mid == b.mid, None
    if a.operand_rad() is not None or b.operand_rad() is not None:
        rad = a.rad_as_operand() + b.rad_as_operand()
        possible = possible | (np.abs(a.mid - b.mid) <= rad)
        doubt = 0.5 * (possible & (rad > 0))
    if doubt is None or not np.count_nonzero(doubt):
        mid = np.asarray(possible, dtype=np.float64)
        return BoundedArray(mid, None, a.arithmetic, 1.0, a.stacked, normal=True)
    return BoundedArray(possible - doubt, doubt, a.arithmetic, stacked=a.stacked)


def _less(a: BoundedArray, b: BoundedArray, or_equal: bool) -> BoundedArray:
    """1 where ``a < b``, or ``a <= b``, 0 where not, both where rounding decides."""
    a, b = broadcast(a, b)
    # Float64 rounds monotonically: what is no more than another is so when both are rounded.
    rad = a.rad_as_operand() + b.rad_as_operand()
    doubt = 0.5 * ((np.abs(a.mid - b.mid) <= rad) & (rad > 0))
    holds = (a.mid <= b.mid) if or_equal else (a.mid < b.mid)
    if not doubt.any():
        mid = np.asarray(holds, dtype=np.float64)
        return BoundedArray(mid, None, a.arithmetic, 1.0, a.stacked, normal=True)
    return BoundedArray(np.where(doubt > 0, 0.5, holds), doubt, a.arithmetic, stacked=a.stacked)


@bound(np.less, examples=of_two(np.less))
def less(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a < b``."""
    return _less(a, b, or_equal=False)


@bound(np.less_equal, examples=of_two(np.less_equal))
def less_equal(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a <= b``."""
    return _less(a, b, or_equal=True)


@bound(np.greater, examples=of_two(np.greater))
def greater(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a > b``."""
    return _less(b, a, or_equal=False)


@bound(np.greater_equal, examples=of_two(np.greater_equal))
def greater_equal(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a >= b``."""
    return _less(b, a, or_equal=True)


@bound(np.maximum, examples=of_two(np.maximum))
def maximum(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """The larger one of each two numbers; NaN if either is NaN.

    It moves by no more than what moves more; and where subnormals are taken for zeros, that of
    numbers between minus and plus the smallest normal one may be either of them.
    """
    a, b = broadcast(a, b)
    smallest = a.arithmetic.smallest
    mid = np.maximum(a.mid, b.mid)
    rad = (np.maximum(a.rad, b.rad) + 2 * smallest) * INFLATE
    reach = 2 * max(a.reach(), b.reach()) + 4 * smallest
    result = BoundedArray(mid, rad, a.arithmetic, reach, a.stacked)
    return result if reach < np.inf else propagate_specials(result, ~np.isinf(rad))


@bound(np.minimum, examples=of_two(np.minimum))
def minimum(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """The smaller one of each two numbers; NaN if either is NaN."""
    return negative(maximum(negative(a), negative(b)))


@bound(
    np.clip,
    examples=[
        # Limits that are no numbers of the subject's, and that are.
        Example(lambda x: np.clip(x, 0.1, 1.0), ((4,),)),
        Example(lambda x: np.clip(x, -2.0, -1.0), ((4,),)),
        Example(lambda x: np.clip(x, a_min=0.0, a_max=4.0), ((4,),)),
    ],
)
def clip(a: BoundedArray, a_min: Any, a_max: Any) -> BoundedArray:
    """``min(max(a, a_min), a_max)``, with numbers as limits, or None where there is none."""
    least = lift(-np.inf if a_min is None else a_min, a.arithmetic).ends()
    most = lift(np.inf if a_max is None else a_max, a.arithmetic).ends()
    # As np.clip does, in less time.
    low, high = map(np.minimum, map(np.maximum, a.ends(), least), most)
    mid = low / 2 + high / 2
    rad = np.maximum(high - mid, mid - low) * INFLATE + a.arithmetic.smallest
    result = BoundedArray(mid, rad, a.arithmetic, stacked=a.stacked)
    if a.reach() < np.inf and result.reach() < np.inf:
        return result
    return propagate_specials(result, ~a.unknown())


@bound(
    np.where,
    examples=[
        Example(lambda x, y: np.where(np.equal(x, y), 1, 0), ((3,), (3,))),
        Example(lambda x, y: np.where(np.equal(x, 1.0), x, y), ((3,), (3,))),
        Example(lambda x, y: np.where(np.array([True, False, True]), x, y), ((2, 3), (3,))),
        Example(lambda x: np.where(np.array([[True], [False]]), x, 0.1), ((3,),)),
    ],
)
def where(condition: Any, x: Any, y: Any) -> BoundedArray:
    """`x` where a condition holds, elsewhere `y`; where it may or may not, a ball around both."""
    condition, x, y = operands(condition, x, y)
    condition, x, y = broadcast(condition, x, y)
    holds, doubt = condition.mid != 0, condition.operand_rad()
    is_doubtful = doubt is not None and np.count_nonzero(doubt)
    chosen = np.where(holds, x.mid, y.mid)
    if x.exact and y.exact and not is_doubtful:
        return BoundedArray(chosen, None, x.arithmetic, stacked=x.stacked)
    rad = np.where(holds, x.rad_as_operand(), y.rad_as_operand())
    if is_doubtful:
        doubt = condition.rad_as_operand() > 0
        mid_of_both, rad_of_both = _hull(x, y)
        chosen, rad = np.where(doubt, mid_of_both, chosen), np.where(doubt, rad_of_both, rad)
    return BoundedArray(chosen, rad, x.arithmetic, stacked=x.stacked)


def _hull(x: BoundedArray, y: BoundedArray) -> Tuple[np.ndarray, np.ndarray]:
    """Midpoints and radii of balls around both; of two special values that are not one, unknown."""
    (low_x, high_x), (low_y, high_y) = x.ends(), y.ends()
    low, high = np.minimum(low_x, low_y) / 2, np.maximum(high_x, high_y) / 2
    mid, rad = low + high, high - low
    exact_halves = _is_exact(mid, low, high) & _is_exact(rad, high, -low)
    rad = np.where(exact_halves, rad, rad * INFLATE + np.abs(mid) * (2 * UNIT64))
    same = (x.rad + y.rad == 0) & ((x.mid == y.mid) | (np.isnan(x.mid) & np.isnan(y.mid)))
    known = np.isfinite(mid)
    # A zero of either sign is no number bit for bit.
    signs = same & (np.signbit(x.mid) != np.signbit(y.mid)) & (x.mid == 0)
    rad = np.where(signs, x.arithmetic.smallest, rad)
    same = same & ~signs
    mid = np.where(same, x.mid, np.where(known, mid, 0.0))
    return mid, np.where(same, 0.0, np.where(known, rad, np.inf))


def _is_exact(total: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which sums ``a + b`` are not rounded: the smaller one is their difference from the larger."""
    return (total - a == b) & (total - b == a)


@bound(np.ones_like, examples=[Example(np.ones_like, ((2, 3),))])
def ones_like(a: BoundedArray) -> BoundedArray:
    """Ones, exactly."""
    return exact(np.ones(a.shape), a.arithmetic)


# --- what is kept and what is dropped ---------------------------------------------------------


@bound(
    dropout_mask,
    examples=[
        Example(lambda x: dropout_mask(0.9, x), ((2, 3),)),
        Example(lambda x: dropout_mask(0.5, x), ((3,),)),
        Example(lambda x: dropout_mask(0.1, x - 0.25), ((3,),)),
    ],
)
def dropout_mask_of_balls(keep_prob: float, noise: BoundedArray) -> BoundedArray:
    """``floor(keep_prob + noise)``: bit for bit, or where rounding decides, both whole numbers.

    A sum that is rounded to the nearest never falls below a whole number that the subject has, but
    may rise to one. For keep probabilities that are numbers of float32 from 1/2 to 1, every noise
    that TensorFlow draws, a multiple of 2^-23, is decided: the sums are multiples of 2^-24, and
    those below 1 numbers of float32, which are not rounded. The largest, 1 - 2^-24, is farther from
    1 than its bound reaches. The same holds of 0.9, in float32 and in more bits, and in float16 of
    multiples of 2^-10.
    """
    arithmetic, special = noise.arithmetic, ~np.isfinite(noise.mid)
    held = float(arithmetic.precision.rounded(keep_prob))
    # Some subjects hold the probability in more bits.
    ends = [_mask_ends(each, noise) for each in {held, keep_prob}]
    low, high = np.minimum.reduce([x for x, _ in ends]), np.maximum.reduce([x for _, x in ends])
    mid = np.where(special, noise.mid, (low + high) / 2)
    rad = np.where(special, 0.0, (high - low) / 2)
    large = ~special & (np.abs(mid) * arithmetic.unit > _HAS_ALL_WHOLE_NUMBERS)
    rad = np.where(large, rad * INFLATE + np.abs(mid) * (2 * UNIT64), rad)
    unknown = noise.unknown() | (np.abs(mid) + rad > arithmetic.largest * arithmetic.overflow_edge)
    unknown &= ~special
    mid, rad = np.where(unknown, 0.0, mid), np.where(unknown, np.inf, rad)
    return BoundedArray(mid, rad if rad.any() else None, arithmetic, stacked=noise.stacked)


# Up to this, times the inverse of its unit roundoff, a subject has all whole numbers.
_HAS_ALL_WHOLE_NUMBERS = 0.25


def _mask_ends(keep_prob: float, noise: BoundedArray) -> Tuple[np.ndarray, np.ndarray]:
    """The least and the largest of what ``floor(keep_prob + noise)`` may be."""
    arithmetic, (low, high) = noise.arithmetic, noise.ends()
    least, most = keep_prob + low, keep_prob + high
    size, unit = np.abs(least), (arithmetic.unit + 2 * UNIT64) * INFLATE
    slack = np.where(_is_exact(least, low, keep_prob), 0.0, 2 * UNIT64 * size)
    slack = np.where(size * arithmetic.unit > _HAS_ALL_WHOLE_NUMBERS, unit * size, slack)
    # Rounding moves a sum by so much, or to zero; that of float64 is rounded already. And float64
    # rounds monotonically: what reaches a whole number before it is rounded, does so afterwards.
    size = np.abs(most)
    reach = arithmetic.unit * arithmetic.binade(size) + arithmetic.smallest
    reach = np.where(_is_exact(most, high, keep_prob), reach, reach + 2 * UNIT64 * size)
    return np.floor(least - slack), np.floor(most + reach)
