"""What is made of whole rows: softmax, the maximum, the arg max."""

import math
from typing import NamedTuple, Optional, Tuple, Union

import numpy as np

from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.balls import (
    FUNCTION64,
    INFLATE,
    UNIT64,
    BoundedArray,
    propagate_specials,
    with_specials,
)
from rnndiff.harness.numerics.elementwise import LARGEST_EXPONENT
from rnndiff.harness.numerics.register import Example, bound
from rnndiff.models.functions import softmax

# Below it, float64 numbers lose digits and vanish.
_VANISHING = 2.0**-1060
# By more than this, in units of a result, the roundings of a row's sum are not bounded.
_MOST_ROUNDING = 1.0
# The reciprocal in a softmax of Eigen's is up to 3.33 ULP off, that of others correctly rounded.
_RECIPROCAL_ULP = 3.4


# --- softmax, and the common formulas of it ---------------------------------------------------


def softmax_by_powers_of_two(scores: np.ndarray) -> np.ndarray:
    """Powers of two of the differences from the maximum, times a factor, over their sum."""
    differences = scores - np.max(scores, axis=-1, keepdims=True)
    powers = np.exp2(differences * (1 / math.log(2)))
    return powers / np.sum(powers, axis=-1, keepdims=True)


def softmax_online(scores: np.ndarray) -> np.ndarray:
    """In one pass, in which the sum is scaled at every larger score."""
    largest, total = scores[..., :1], np.ones_like(scores[..., :1])
    for k in range(1, scores.shape[-1]):
        new = np.maximum(largest, scores[..., k : k + 1])
        total = total * np.exp(largest - new) + np.exp(scores[..., k : k + 1] - new)
        largest = new
    return np.exp(scores - largest) / total


def softmax_by_log_sum_exp(scores: np.ndarray) -> np.ndarray:
    """The exponentials of the differences from the logarithm of the sum of the exponentials."""
    largest = np.max(scores, axis=-1, keepdims=True)
    total = np.sum(np.exp(scores - largest), axis=-1, keepdims=True)
    return np.exp(scores - (largest + np.log(total)))


class _SoftmaxError(NamedTuple):
    """What a subject's softmax errs by of its own.

    It returns the softmax of scores that are off by ``argument`` [..., count], times
    ``1 + relative``, times the exponential of up to ``common`` [..., 1], and no more than
    ``largest``, plus ``absolute``.
    """

    argument: np.ndarray
    common: Union[float, np.ndarray]
    relative: float
    absolute: float
    largest: float


def _stated_softmax(arithmetic: Arithmetic, depth: np.ndarray, top: np.ndarray) -> _SoftmaxError:
    """The error of a softmax whose accuracy is stated.

    Parameters
    ----------
    arithmetic : Arithmetic
    depth : array [..., count]
        How far each score may be below the largest one of its row.
    top : array [..., 1]
        The largest magnitude that the largest score may have.
    """
    ulp, absolute = arithmetic.functions["softmax"]
    relative = math.expm1((2 * ulp + depth.shape[-1] - 1) * arithmetic.unit)
    return _SoftmaxError(
        argument=depth * arithmetic.unit + arithmetic.smallest,
        common=0.0,
        relative=relative,
        absolute=absolute + arithmetic.smallest,
        largest=1 + relative,
    )


def _any_softmax(arithmetic: Arithmetic, depth: np.ndarray, top: np.ndarray) -> _SoftmaxError:
    """The error of a softmax by any of the common formulas; parameters as above.

    These are ``exp(s - max) / sum``, with exponentials or with powers of two of the difference
    times a factor; the same "online", where ``exp(old - new)`` scales the sum at every larger score
    (Milakov and Gimelshein, *Online normalizer calculation for softmax*, arXiv 1805.02867); and
    ``exp(s - log(sum(exp)))``, whose error grows with the scores themselves (Blanchard, Higham and
    Higham, *Accurately computing the log-sum-exp and softmax functions*, IMA J. Numer. Anal. 41,
    2021).
    """
    unit, smallest, count = arithmetic.unit, arithmetic.smallest, depth.shape[-1]
    exp, log = arithmetic.accuracy("exp"), arithmetic.accuracy("log")
    # The logarithm of a sum that is from 1 to `count`.
    logarithm = math.log(count)
    inexact = 2 * unit * log.ulp * logarithm + log.absolute + smallest
    # Online, a term is the product of up to `count` exponentials.
    factors = (2 * exp.ulp + 3) * count + 2 * exp.ulp + 2 * _RECIPROCAL_ULP + 2
    relative = math.expm1(factors * unit + 2 * count * (exp.absolute + smallest))
    return _SoftmaxError(
        # A difference is rounded, and so are the factor that scales it and the product.
        argument=(depth + logarithm) * (3 * unit * (1 + 2 * unit)) + count * smallest,
        common=(top + logarithm) * (unit * (1 + unit)) + inexact,
        relative=relative,
        absolute=exp.absolute + smallest,
        # Of a sum of at least 1 the logarithm is not below zero but for its error, and so the
        # largest score plus the logarithm not below that score.
        largest=(1 + relative) * math.exp(min(6 * (relative + inexact), LARGEST_EXPONENT)),
    )


@bound(
    softmax,
    examples=[Example(softmax, shape) for shape in (((1,),), ((2,),), ((4,),), ((2, 3),))],
    accuracies={"softmax": None},
    formulas=[softmax_by_powers_of_two, softmax_online, softmax_by_log_sum_exp],
)
def softmax_of_balls(a: BoundedArray) -> BoundedArray:
    """Softmax over the last axis, as accurate as it is stated to be, or by any formula.

    A share grows with its own score and falls with each other: over a box of scores, it is least
    and largest at corners.
    """
    arithmetic, rad, count = a.arithmetic, a.rad_as_operand(), a.mid.shape[-1]
    # Of so many scores that roundings may add up to everything, nothing is known.
    if count * arithmetic.unit > _MOST_ROUNDING:
        unknown = np.full(a.mid.shape, np.inf)
        return BoundedArray(np.zeros(a.mid.shape), unknown, arithmetic, stacked=a.stacked)
    top = np.maximum.reduce(a.mid, axis=-1, keepdims=True)
    # Of special scores this is NaN or infinite, as if they were far below: what they are not,
    # is decided in the end.
    depth = top - a.mid
    depth = np.where(depth < np.inf, depth, np.inf)
    width = np.maximum.reduce(rad, axis=-1, keepdims=True)
    error = (_stated_softmax if "softmax" in arithmetic.functions else _any_softmax)(
        arithmetic, (depth + 2 * width) * INFLATE, (np.abs(top) + width) * INFLATE
    )
    off = np.where(depth < np.inf, (error.argument + rad + depth * (2 * UNIT64)) * INFLATE, 0.0)
    powers, low = np.exp(-depth), np.exp(-depth - off)
    high = np.exp(np.minimum(off - depth, LARGEST_EXPONENT))
    totals = [np.add.reduce(x, axis=-1, keepdims=True) for x in (powers, low, high)]
    # Of the exponentials, the sums and the quotients in float64.
    slack = 4 * FUNCTION64 + (2 * count + 16) * UNIT64
    least = low / (low + (totals[2] - high) + slack * totals[2])
    most = high / (high + np.maximum(totals[1] - low - slack * totals[1], 0.0))
    # Of wide balls exponentials overflow or vanish, and only the ends of all shares are known.
    least = np.where(totals[2] < math.exp(LARGEST_EXPONENT), least, 0.0)
    most = np.where(totals[1] * arithmetic.smallest > _VANISHING, most, 1.0)
    relative = error.relative + slack
    is_near = error.common < 1
    least = np.where(is_near, least * (1 - relative) * np.exp(-error.common), 0.0)
    most = np.where(is_near, most * (1 + relative) * np.exp(error.common), error.largest)
    most = np.minimum(most, error.largest)
    mid = powers / totals[0]
    rad = (np.maximum(most - mid, mid - least) + error.absolute) * INFLATE
    if a.reach() == np.inf:
        return _special_rows(a, BoundedArray(mid, rad, arithmetic, stacked=a.stacked), top)
    reach = 1 + (error.largest + 2 * error.absolute) * INFLATE
    return BoundedArray(mid, rad, arithmetic, reach, a.stacked)


def _special_rows(a: BoundedArray, result: BoundedArray, top: np.ndarray) -> BoundedArray:
    """The shares of rows with special scores: all NaN if one is NaN or infinite, or all are -inf.

    A score of -inf beside others has the share 0.
    """
    unknown = a.unknown().any(axis=-1, keepdims=True)
    nan = np.isnan(top) | (top == np.inf) | ((top == -np.inf) & ~unknown)
    clear, nan, never = np.broadcast_arrays(~unknown & ~nan, nan, False, a.mid)[:3]
    return with_specials(result, clear, nan, never, never)


# --- the maximum, and where it is -------------------------------------------------------------


@bound(
    np.max,
    examples=[
        Example(np.max, ((2, 3),)),
        Example(lambda x: np.max(x, axis=0), ((3, 2),)),
        Example(lambda x: np.max(x, axis=-1, keepdims=True), ((2, 3),)),
    ],
)
def largest(a: BoundedArray, axis: Optional[int] = None, keepdims: bool = False) -> BoundedArray:
    """The largest element of all, or along an axis.

    It moves by no more than what moves most; and where subnormals are taken for zeros, that of
    numbers between minus and plus the smallest normal one may be any of them.
    """
    axis = a.axes(axis)
    mid = np.maximum.reduce(a.mid, axis=axis, keepdims=keepdims)
    if a.exact:
        rad = np.full(np.shape(mid), 2 * a.arithmetic.smallest)
    else:
        rad = np.maximum.reduce(a.rad, axis=axis, keepdims=keepdims)
        rad = (rad + 2 * a.arithmetic.smallest) * INFLATE
    reach = 2 * a.reach() + 4 * a.arithmetic.smallest
    result = BoundedArray(mid, rad, a.arithmetic, reach, a.stacked)
    return result if reach < np.inf else propagate_specials(result, ~np.isinf(rad))


def admissible(a: BoundedArray, axis: int) -> np.ndarray:
    """Which elements may be the arg max along an axis: those that no other is larger than for sure.

    Of exact numbers, where two are the largest it is the first. Where subnormal ones are taken for
    zeros, all of a row are.
    """
    axis, rad, size = a.axes(axis) % a.mid.ndim, a.rad_as_operand(), np.abs(a.mid)
    exact = rad == 0
    flushed = (size < a.arithmetic.smallest) & ~exact
    exact |= flushed & (rad == size)
    largest = np.maximum.reduce(a.mid - rad, axis=axis, keepdims=True)
    may_be = a.mid + rad >= largest
    if a.reach() == np.inf:
        may_be |= (np.isnan(a.mid) | np.isinf(rad)).any(axis=axis, keepdims=True)
    if not np.count_nonzero(exact):
        return may_be
    places = np.arange(a.mid.shape[axis]).reshape([-1] + [1] * (a.mid.ndim - axis - 1))
    chosen = places == a.mid.argmax(axis=axis).reshape(largest.shape)
    if np.count_nonzero(flushed):
        of_zeros = np.where(flushed, 0.0, a.mid).argmax(axis=axis).reshape(largest.shape)
        chosen |= places == of_zeros
    return np.where(exact.all(axis=axis, keepdims=True), chosen, may_be)


def first_and_last(marked: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The first and the last place that is marked along the last axis."""
    return marked.argmax(axis=-1), marked.shape[-1] - 1 - marked[..., ::-1].argmax(axis=-1)


@bound(
    np.argmax,
    examples=[
        Example(lambda x: np.argmax(x, axis=-1), ((2, 3),)),
        Example(lambda x: np.argmax(x, axis=0), ((3, 2),)),
    ],
)
def argmax(a: BoundedArray, axis: int) -> BoundedArray:
    """The arg max: of those that may be it, the first and the last are the ends of the ball."""
    first, last = first_and_last(np.moveaxis(admissible(a, axis), a.axes(axis), -1))
    if (first == last).all():
        mid = np.asarray(first, dtype=np.float64)
        return BoundedArray(mid, None, a.arithmetic, stacked=a.stacked)
    mid, rad = (first + last) / 2, (last - first) / 2
    return BoundedArray(mid, rad, a.arithmetic, stacked=a.stacked)
