"""Interpolation, square roots and layer normalization."""

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from rnndiff.harness.numerics import Accuracy, BoundedArray, arithmetic, exact
from rnndiff.harness.numerics.cells import reciprocal_root
from rnndiff.harness.numerics.register import REGISTER
from rnndiff.models.functions import interpolate, layer_norm

FLOAT64 = arithmetic("float64")


def ends_of(ball):
    return [Fraction(ball[0]) - Fraction(ball[1]), Fraction(ball[0]) + Fraction(ball[1])]


def test_an_interpolation_of_wide_balls_holds_all_their_corners():
    """In float64, where no rounding of the subject makes up for one of the bound."""
    weights = [(0.5, 0.5), (0.3, 0.7), (1.0, 0.0), (-2.0, 1.1), (0.7, 2.0**-40)]
    states = [(0.0, 1.0), (1.0, 0.3), (-3.0, 3.0), (1 / 3, 0.0), (0.1, 2.0**-30)]
    for balls in itertools.product(weights, states, states):
        result = interpolate(*[BoundedArray(*np.array([x]).T, FLOAT64) for x in balls])
        mid, rad = Fraction(result.mid[0]), Fraction(result.rad[0])
        for weight, a, b in itertools.product(*map(ends_of, balls)):
            assert abs(weight * a + (1 - weight) * b - mid) <= rad, balls


def test_every_formula_is_the_function_in_float64():
    random = np.random.RandomState(0)
    shapes = {interpolate: [(2, 3)] * 3, layer_norm: [(2, 3, 5), (5,), (5,)]}
    for function, more in ((interpolate, ()), (layer_norm, (1e-3,))):
        arrays = [random.standard_normal(shape) for shape in shapes[function]]
        result = function(*[exact(array, FLOAT64) for array in arrays], *more)
        for formula in [function.__wrapped__] + list(REGISTER[function].formulas):
            numbers = formula(*arrays, *more)
            assert numbers.shape == result.shape
            assert (np.abs(numbers - result.mid) <= result.rad).all(), formula


def test_the_root_of_zero_is_known_beside_balls():
    result = np.sqrt(BoundedArray(np.array([0.0, 2.0]), np.array([0.0, 1.0]), FLOAT64))
    assert result.mid[0] == 0 and result.rad[0] < 1e-15


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_reciprocal_root_holds_both_ends_and_hardly_more(precision):
    """Of a variance, none of whose ball is below zero."""
    a = arithmetic(precision, {"sqrt": Accuracy(0, 0)})
    epsilon = 2.0**-10
    for mid, rad in itertools.product((0.0, 2.0**-12, 0.3, 7.0), (2.0**-50, 1e-3, 0.1, 1.0, 6.0)):
        ball = reciprocal_root(BoundedArray(np.array([mid]), np.array([rad]), a), exact(epsilon, a))
        with mpmath.workprec(200):
            ends = (mpmath.mpf(max(mid - rad, 0.0)), mpmath.mpf(mid) + rad)
            values = [1 / mpmath.sqrt(end + epsilon) for end in ends]
            farthest = max(abs(value - ball.mid[0]) for value in values)
            # The sum, the root and the quotient err by a roundoff each, and in float64, too.
            rounded = float(farthest + values[0] * 3 * a.unit)
        assert rounded <= ball.rad[0] <= 1.001 * rounded + float(values[0]) * 2.0**-46


def test_an_interpolation_is_known_up_to_an_eighth_of_the_largest_number():
    a = arithmetic("float32")
    below, weight = exact([a.largest / 8.2], a), exact([0.5], a)
    assert interpolate(weight, below, below).rad[0] < a.largest * 2.0**-20


def test_nothing_is_known_of_a_layer_normalization_that_overflows_by_one_formula():
    a = arithmetic("float32")
    x = exact([[-100.0, -102.0]], a)
    # The shift less the scaled mean, which is -101 times the gain, is more than the largest number.
    gain, shift = exact([9e-4 * a.largest] * 2, a), exact([0.95 * a.largest] * 2, a)
    assert (layer_norm(x, gain, shift, 1e-3).rad == np.inf).all()
    assert (layer_norm(x, gain, 0.25 * shift, 1e-3).rad < np.inf).all()


def test_what_is_normalized_is_no_larger_than_the_root_of_how_many_there_are():
    count = 8
    x = BoundedArray(np.zeros((1, count)), np.full((1, count), 10.0), FLOAT64)
    result = layer_norm(x, np.ones(count), np.zeros(count), 1e-3)
    # One that is apart from all others.
    assert (result.rad >= np.sqrt(count - 1)).all() and (result.rad <= 1.001 * count**0.5).all()


def test_a_layer_normalization_with_a_wide_gain_holds_what_its_ends_become():
    a = arithmetic("float64", {"sqrt": Accuracy(0, 0)})
    gain = BoundedArray(np.zeros(3), np.full(3, 100.0), a)
    result = layer_norm(exact([[1.0, 2.0, 4.0]], a), gain, np.zeros(3), 2.0**-10)
    with mpmath.workprec(200):
        deviations = [mpmath.mpf(x) - mpmath.mpf(7) / 3 for x in (1, 2, 4)]
        variance = mpmath.fsum(x * x for x in deviations) / 3
        for deviation, mid, rad in zip(deviations, result.mid[0], result.rad[0]):
            end = 100 * abs(deviation) / mpmath.sqrt(variance + mpmath.mpf(2) ** -10)
            assert abs(end - mid) <= rad and abs(-end - mid) <= rad


def test_one_number_that_is_none_makes_all_of_its_row_nan_and_no_other():
    x = exact([[np.nan, 0.0, 1.0], [2.0, 0.0, 1.0], [np.inf, 0.0, 1.0]], FLOAT64)
    result = layer_norm(x, np.ones(3), np.zeros(3), 1e-3)
    assert np.isnan(result.mid[[0, 2]]).all() and not result.rad[[0, 2]].any()
    assert (result.rad[1] < 1e-12).all()


def test_a_row_alone_is_normalized_as_in_a_batch():
    gain, shift = np.arange(3) + 1.0, np.ones(3)
    for row in ([2.0, 0.0, 1.0], [np.nan, 0.0, 1.0]):
        alone = layer_norm(exact(row, FLOAT64), gain, shift, 1e-3)
        batch = layer_norm(exact([row, [1.0, 2.0, 3.0]], FLOAT64), gain, shift, 1e-3)
        np.testing.assert_array_equal(alone.mid, batch.mid[0])
        np.testing.assert_array_equal(alone.rad, batch.rad[0])
