"""Operations on single numbers: arithmetic and functions."""

import math
from typing import Any, Callable, List, Optional

import numpy as np

from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.addends import Product, finite_products, product_of, sum_of_radii
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.balls import (
    FUNCTION64,
    INFLATE,
    NEGATED,
    UNIT64,
    BoundedArray,
    broadcast,
    largest_of,
    resolve_overflow,
)
from rnndiff.harness.numerics.register import Example, Unstated, bound
from rnndiff.models.functions import affine, sigmoid

# Beyond it, NumPy's exp would overflow.
LARGEST_EXPONENT = 700.0
# Makes up for the rounding of a ball's end, of up to that size, where a function is taken there.
_AT_END64 = 1 + 2.0**-40

_SHAPES = (((4,), (4,)), ((2, 2), (2,)), ((2, 1), (1, 2)), ((3,), ()))


def of_one(function: Callable[..., Any]) -> List[Example]:
    """Examples of an operation on one array."""
    return [Example(function, ((2, 2),)), Example(function, ((),))]


def of_two(function: Callable[..., Any]) -> List[Example]:
    """Examples of an operation on two arrays that broadcast, or on an array and a number."""
    return [Example(function, shapes) for shapes in _SHAPES] + [
        Example(lambda x: function(x, 3.0), ((3,),)),
        Example(lambda x: function(0.1, x), ((3,),)),
        # A single number, which has more axes than the other.
        Example(lambda x: function(np.ones((1, 1)), x), ((1,),)),
    ]


# --- what is rounded to the nearest -----------------------------------------------------------


def rounded(
    mid: np.ndarray,
    rad: Optional[np.ndarray],
    reach: float,
    function: Callable[..., np.ndarray],
    *operands: BoundedArray,
    roundings: float = 1,
) -> BoundedArray:
    """`mid`, off by `rad` because of its operands (None: by nothing), rounded and flushed.

    `function` and `reach` are those of :func:`rnndiff.harness.numerics.balls.resolve_overflow`.
    """
    arithmetic = operands[0].arithmetic
    # The midpoint is rounded too, in float64.
    unit = roundings * arithmetic.unit + 2 * UNIT64
    error = np.abs(mid) * unit + arithmetic.smallest
    if rad is not None:
        error = error + rad * ((1 + unit) * INFLATE)
    reach = reach * ((1 + 2 * unit) * INFLATE) + 2 * arithmetic.smallest
    return resolve_overflow(mid, error, reach, function, *operands)


@bound(np.multiply, examples=of_two(np.multiply))
def multiply(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a * b``."""
    a, b = broadcast(a, b)
    mid, rad = product_of(a, b)
    result = rounded(mid, rad, a.reach() * b.reach(), np.multiply, a, b)
    if result.reach() == np.inf:
        result.made_of = finite_products(result, mid, rad, a, b)
    elif a.arithmetic.bias_anywhere:
        result.made_of = Product(mid, rad)
    return result


@bound(np.square, examples=of_one(np.square))
def square(a: BoundedArray) -> BoundedArray:
    """``a * a``."""
    return multiply(a, a)


@bound(np.true_divide, examples=of_two(np.true_divide))
def divide(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a / b``, or ``a * (1 / b)``."""
    a, b = broadcast(a, b)
    unit, smallest = a.arithmetic.unit, a.arithmetic.smallest
    mid = a.mid / b.mid
    rad, rad_b, nearest = a.operand_rad(), b.operand_rad(), np.abs(b.mid)
    if rad_b is not None:
        rad = sum_of_radii(rad, np.abs(mid) * rad_b)
        # Zero at most: there the quotient has its pole.
        nearest = np.maximum(nearest - rad_b, 0.0)
    if rad is not None:
        rad = rad / nearest
    lowest = -largest_of(-nearest)
    reach = a.reach() / lowest if lowest > 0 else np.inf
    # A subject may multiply by the reciprocal, which is rounded, too, and may be flushed.
    if not b.reach() * smallest < 1:
        rad = sum_of_radii(rad, a.magnitude() * smallest)
        reach += a.reach() * smallest
    return rounded(mid, rad, reach, _quotient(a.arithmetic), a, b, roundings=2 + unit)


def _quotient(arithmetic: Arithmetic) -> Callable[..., np.ndarray]:
    """Less than the quotient, by what it may be off where it overflows."""
    return lambda a, b: (a * arithmetic.overflow_edge) / b


@bound(np.negative, examples=of_one(np.negative))
def negative(a: BoundedArray) -> BoundedArray:
    """``-a``, which is exact."""
    return a.moved(-a.mid, a._rad, NEGATED)


@bound(np.absolute, examples=of_one(np.absolute))
def absolute(a: BoundedArray) -> BoundedArray:
    """``abs(a)``, which is exact."""
    return a.moved(np.abs(a.mid), a._rad)


# --- functions --------------------------------------------------------------------------------


def evaluated(
    mid: np.ndarray,
    rad: Optional[np.ndarray],
    extent: np.ndarray,
    reach: float,
    accuracy: Accuracy,
    function: Callable[..., np.ndarray],
    a: BoundedArray,
) -> BoundedArray:
    """`mid`, off by `rad` because of its operand, as inaccurate as the subject computes it.

    No exact value, nor one near it in float64, exceeds `extent` in magnitude. `function` and
    `reach` are those of :func:`rnndiff.harness.numerics.balls.resolve_overflow`.
    """
    arithmetic = a.arithmetic
    relative = 2 * arithmetic.unit * accuracy.ulp + FUNCTION64
    absolute = accuracy.absolute + arithmetic.smallest
    error = arithmetic.binade(extent) * relative + absolute
    if rad is not None:
        error = error + rad
    return resolve_overflow(mid, error, reach * (1 + 4 * relative) + 2 * absolute, function, a)


# What is unstated is taken to be as inaccurate as the worst that was measured in an engine in its
# default mode, and no less than the ULP that a port by hand may need; in float32, abs(x) to 2^-126
# aside. Of tanh: 6.89 ULP in TensorFlow to 2.18; 1.8e-7 absolute below 1e-3 in onnxruntime 1.32, in
# a sample, and so half as much again (the margin of `rnndiff ulp`): 2.7e-7, or 4.6 roundoffs.
@bound(
    np.tanh,
    examples=of_one(np.tanh)
    + [Example(lambda x, w, b: np.tanh(affine(x, w, b)), ((2, 3), (3, 2), (2,)))],
    accuracies={"tanh": Unstated(6.9, 4.6), "affine tanh": "tanh"},
)
def tanh(a: BoundedArray) -> BoundedArray:
    """``tanh(a)``, as accurate as `tanh`, or as `affine tanh` of a product plus a bias."""
    accuracy = a.arithmetic.accuracy("affine tanh" if a.is_affine else "tanh")
    mid, rad = np.tanh(a.mid), a.operand_rad()
    extent = np.abs(mid)
    if rad is not None:
        # The derivative, 1 - tanh^2, is largest where the ball is nearest to zero.
        least = np.maximum(np.abs(a.mid) - rad, 0.0)
        nearest = np.tanh(least)
        slope = _AT_END64 - nearest * nearest
        # All values are between that one and 1, or if the ball has a zero in it, -1 and 1.
        farthest = np.where(least > 0, (1 + FUNCTION64) - nearest, 2.0)
        rad = np.minimum(rad * slope, farthest)
        extent = extent + rad
    # No value of tanh is in the binade of 1, but that of infinity.
    largest, reach = 1 - UNIT64, 3.0
    if not a.reach() < np.inf:
        largest, reach = np.where(np.isinf(a.mid), 1.0, largest), np.inf
    extent = np.minimum(extent * (1 + FUNCTION64), largest)
    return evaluated(mid, rad, extent, reach, accuracy, np.tanh, a)


# 6.58 ULP in TensorFlow 2.18 on; 2.3e-7 absolute in 1.13, and as much as of tanh is allowed.
@bound(sigmoid, examples=of_one(sigmoid), accuracies={"sigmoid": Unstated(6.6, 4.6)})
def sigmoid_of_balls(a: BoundedArray) -> BoundedArray:
    """``1 / (1 + exp(-a))``, as accurate as `sigmoid`."""
    accuracy = a.arithmetic.accuracy("sigmoid")
    mid, rad = sigmoid(a.mid), a.operand_rad()
    extent = mid
    if rad is not None:
        # The derivative, s (1 - s), is largest where the ball is nearest to zero.
        nearest = sigmoid(-np.maximum(np.abs(a.mid) - rad, 0.0))
        slope = nearest * (1 - nearest) * _AT_END64
        # Far below zero, where the upper end is the farther one, it counts that this is rounded.
        most = sigmoid((a.mid + rad) * (1 - UNIT64))
        farthest = np.maximum(most - mid, mid - sigmoid(a.mid - rad))
        rad = np.minimum(rad * slope, farthest + FUNCTION64 * mid)
        extent = mid + rad
    extent = extent * (1 + FUNCTION64)
    reach = 2.0 if a.reach() < np.inf else np.inf
    return evaluated(mid, rad, extent, reach, accuracy, sigmoid, a)


# 4.01 ULP in oneDNN's softmax.
@bound(np.exp, examples=of_one(np.exp), accuracies={"exp": Unstated(4.1, 0.0)})
def exp(a: BoundedArray) -> BoundedArray:
    """``exp(a)``, as accurate as `exp`."""
    accuracy = a.arithmetic.accuracy("exp")
    extent = mid = np.exp(a.mid)
    rad = a.operand_rad()
    if rad is not None:
        # Of a wide ball the way to its upper end, lest zero be multiplied by infinity.
        upper = np.exp(a.mid + rad) * _AT_END64
        rad = np.where(rad < 1, mid * (np.expm1(rad) * (1 + FUNCTION64)), upper - mid)
        extent = mid + rad
    extent = extent * (1 + FUNCTION64)
    reach = np.inf
    if a.reach() < LARGEST_EXPONENT:
        reach = math.exp(a.reach()) * _AT_END64
    return evaluated(mid, rad, extent, reach, accuracy, _exp(a.arithmetic), a)


def _exp(arithmetic: Arithmetic) -> Callable[..., np.ndarray]:
    """Less than the exponential, likewise."""
    return lambda a: np.exp(a - (1 - arithmetic.overflow_edge))


# 3.48 ULP in TensorFlow 2.10 on.
@bound(np.log, examples=of_one(np.log), accuracies={"log": Unstated(4.0, 0.0)})
def log(a: BoundedArray) -> BoundedArray:
    """``log(a)``, as accurate as `log`."""
    accuracy = a.arithmetic.accuracy("log")
    mid, rad = np.log(a.mid), a.operand_rad()
    extent = np.abs(mid)
    if rad is not None:
        # The derivative, 1 / x, is largest at the lower end.
        rad = rad / np.maximum(a.mid - rad, 0.0) * INFLATE
        extent = extent + rad
    extent = extent * (1 + FUNCTION64)
    return evaluated(mid, rad, extent, np.inf, accuracy, np.log, a)
