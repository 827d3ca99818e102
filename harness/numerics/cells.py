"""What cells are made of beside sums and functions of single numbers.

Interpolation between two states, square roots and layer normalization.
"""

import math
from typing import Any

import numpy as np

from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.balls import (
    FUNCTION64,
    INFLATE,
    UNIT64,
    BoundedArray,
    broadcast,
    lift,
    operands,
    with_specials,
)
from rnndiff.harness.numerics.elementwise import evaluated, of_one
from rnndiff.harness.numerics.register import Example, Unstated, bound
from rnndiff.harness.numerics.sums import mean
from rnndiff.models.functions import interpolate, layer_norm


def without_specials(result: BoundedArray, clear: Any, nan: Any) -> BoundedArray:
    """Balls where `clear`, NaN where `nan` and not clear, unknown elsewhere."""
    shape = result.mid.shape
    clear, nan = np.broadcast_to(clear, shape), np.broadcast_to(nan, shape)
    never = np.zeros(shape, dtype=bool)
    return with_specials(result, clear, nan & ~clear, never, never)


# --- interpolation ----------------------------------------------------------------------------


def from_second(weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The way from `b` towards `a`, as in TensorFlow's GRUBlockCell and in PyTorch."""
    return weight * (a - b) + b


def from_first(weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The way from `a` towards `b`."""
    return a + (1 - weight) * (b - a)


def in_two_additions(weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The second one less its part, plus that of the first one."""
    return weight * a + (b - weight * b)


@bound(
    interpolate,
    examples=[
        Example(interpolate, ((2, 2), (2, 2), (2, 2))),
        Example(interpolate, ((2,), (2, 2), (1, 2))),
        Example(interpolate, ((), (3,), (3,))),
    ],
    formulas=[from_second, from_first, in_two_additions],
)
def interpolate_of_balls(weight: Any, a: Any, b: Any) -> BoundedArray:
    """``weight * a + (1 - weight) * b`` by any of the common formulas."""
    weight, a, b = operands(weight, a, b)
    weight, a, b = broadcast(weight, a, b)
    arithmetic, unit, smallest = a.arithmetic, a.arithmetic.unit, a.arithmetic.smallest
    rest, difference = np.abs(1 - weight.mid), np.abs(a.mid - b.mid)
    mid = weight.mid * a.mid + (1 - weight.mid) * b.mid
    first, second = weight.magnitude(), rest + weight.rad_as_operand()
    of_a, of_b = a.magnitude(), b.magnitude()
    apart = difference + a.rad_as_operand() + b.rad_as_operand()
    # The function is linear in each operand.
    rad = weight.rad_as_operand() * apart
    rad = rad + np.abs(weight.mid) * a.rad_as_operand() + rest * b.rad_as_operand()
    # The roundings but the last one, in the order of the definition and of the formulas above; that
    # of a - b, of 1 - weight or of weight * b first.
    errors = [
        first * of_a + 2 * second * of_b,
        2 * first * apart,
        3 * second * apart,
        first * of_a + (first + second) * of_b,
    ]
    terms = np.maximum.reduce(np.broadcast_arrays(*errors))
    flushed = smallest * (4 + first + second + of_a + of_b)
    # Four roundings may be of what is rounded before; in float64 the midpoint is such a sum, too.
    relative = (unit + 4 * UNIT64) * (1 + 8 * unit)
    rad = (rad + (terms + np.abs(mid) + rad) * relative + flushed) * INFLATE
    result = BoundedArray(mid, rad, arithmetic, stacked=a.stacked)
    # No formula takes anything beyond this.
    extent = 2 * (1 + first + second) * (of_a + of_b)
    clear = extent <= arithmetic.largest * arithmetic.overflow_edge
    if clear.all():
        return result
    nan = np.isnan(weight.mid) | np.isnan(a.mid) | np.isnan(b.mid)
    return without_specials(result, clear, nan)


# --- layer normalization ----------------------------------------------------------------------


# 3.9 ULP, and 3.72 of its reciprocal, in TensorFlow 1.13 to 1.15.
@bound(np.sqrt, examples=of_one(np.sqrt), accuracies={"sqrt": Unstated(4.0, 0.0)})
def sqrt(a: BoundedArray) -> BoundedArray:
    """``sqrt(a)``, as accurate as `sqrt`, which is that of its reciprocal as well."""
    accuracy = a.arithmetic.accuracy("sqrt")
    mid, rad = np.sqrt(a.mid), a.operand_rad()
    extent = mid
    if rad is not None:
        # The way to the lower end is the longer one; if that is below zero, nothing is known.
        # What float64 errs by in this, there is room for in what it may err by in a function.
        way = rad / (mid + np.sqrt(a.mid - rad))
        rad = np.where(rad > 0, way, 0.0)
        extent = mid + rad
    return evaluated(mid, rad, extent * (1 + FUNCTION64), np.inf, accuracy, np.sqrt, a)


def layer_norm_by_batch_norm(
    x: np.ndarray, gain: np.ndarray, shift: np.ndarray, epsilon: float
) -> np.ndarray:
    """By ``tf.nn.batch_normalization``: the mean is taken off what is scaled already."""
    mean = np.mean(x, axis=-1)[..., None]
    variance = np.mean(np.square(x - mean), axis=-1)[..., None]
    scale = gain * (1 / np.sqrt(variance + epsilon))
    return x * scale + (shift - mean * scale)


def _layer_norm(x: Any, gain: Any, shift: Any) -> Any:
    return layer_norm(x, gain, shift, 1e-3)


@bound(
    layer_norm,
    examples=[
        Example(_layer_norm, ((1, 3), (3,), (3,))),
        Example(_layer_norm, ((2, 1), (1,), (1,))),
    ],
    accuracies={"layer_norm": None},
    formulas=[layer_norm_by_batch_norm],
)
def layer_norm_of_balls(x: Any, gain: Any, shift: Any, epsilon: float) -> BoundedArray:
    """Layer normalization, the variance being the mean of the squares of the deviations.

    Not the mean of the squares less the square of the mean, which may be far less accurate.
    """
    x, gain, shift = operands(x, gain, shift)
    arithmetic, unit, smallest = x.arithmetic, x.arithmetic.unit, x.arithmetic.smallest
    average = mean(x, axis=-1)[..., None]
    deviations = x - average
    variance = mean(np.square(deviations), axis=-1)[..., None]
    scale = reciprocal_root(variance, lift(epsilon, arithmetic))
    normalized = deviations * scale
    # The square of a deviation is a part of the variance, unless it is flushed.
    count = x.shape[-1]
    cap = math.sqrt(count) * (1 + (count + 16) * unit + 8 * _relative(arithmetic))
    cap = cap + math.sqrt(2 * count * smallest) * scale.magnitude()
    rad = normalized.rad
    rad = np.where(rad < np.inf, np.minimum(rad, np.abs(normalized.mid) + cap), rad)
    normalized = BoundedArray(normalized.mid, rad, arithmetic, stacked=normalized.stacked)
    result = gain * normalized + shift
    scale = gain * scale
    # By the other formula two products and their difference are rounded, which cancel.
    _, scale = broadcast(x, scale)
    _, shift = broadcast(x, shift)
    scaled = (x.magnitude() + 2 * average.magnitude()) * scale.magnitude()
    flushed = smallest * (4 + x.magnitude() + average.magnitude() + scale.magnitude())
    extra = (scaled + shift.magnitude()) * unit * (1 + 8 * unit) + flushed
    mid, rad = result.mid, (result.rad + extra) * INFLATE
    extent = np.abs(mid) + rad + scaled + shift.magnitude()
    clear = extent <= arithmetic.largest * arithmetic.overflow_edge
    result = BoundedArray(mid, rad, arithmetic, stacked=result.stacked)
    if clear.all():
        return result
    # One number that is none makes the moments of its row NaN.
    nan = ~np.isfinite(x.mid).all(axis=-1, keepdims=True)
    return without_specials(result, clear, nan)


def reciprocal_root(variance: BoundedArray, epsilon: BoundedArray) -> BoundedArray:
    """``1 / sqrt(variance + epsilon)``; what is below zero in the ball of a variance is not."""
    low, high = variance.ends()
    least, most = (float(end) for end in epsilon.ends())
    mid = 1 / np.sqrt(variance.mid + epsilon.mid)
    largest = 1 / np.sqrt(np.maximum(low, 0.0) + least)
    rad = np.maximum(largest - mid, mid - 1 / np.sqrt(high + most))
    arithmetic = variance.arithmetic
    # Nothing is near the smallest number but what a root errs by, times the square of its inverse.
    absolute = (arithmetic.accuracy("sqrt").absolute + arithmetic.smallest) * largest
    relative = _relative(arithmetic) * (1 + absolute) + absolute + FUNCTION64
    rad = rad + largest * relative + arithmetic.smallest
    unknown = ~(rad < np.inf) | variance.unknown()
    mid, rad = np.where(unknown, 0.0, mid), np.where(unknown, np.inf, rad)
    return BoundedArray(mid, rad, arithmetic, stacked=variance.stacked)


def _relative(arithmetic: Arithmetic) -> float:
    """Of a reciprocal root: the sum and the root, as accurate as it is, and a quotient err."""
    return (3 + 2 * arithmetic.accuracy("sqrt").ulp) * arithmetic.unit
