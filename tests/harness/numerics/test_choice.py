"""Comparisons and choices, against what they are of the ends of the balls, in exact arithmetic."""

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from ball_examples import FLOAT32, INF, NAN

from rnndiff.harness.numerics import BoundedArray, Example, arithmetic, exact
from rnndiff.harness.numerics.containment import KINDS, balls_of, check_call
from rnndiff.harness.numerics.register import REGISTER
from rnndiff.models.functions import dropout_mask

COMPARISONS = [np.equal, np.less, np.less_equal, np.greater, np.greater_equal]
DOUBT = BoundedArray(np.zeros(1), np.ones(1), FLOAT32) < 0.0
every_comparison = pytest.mark.parametrize("compare", COMPARISONS, ids=lambda each: each.__name__)


def ball(mid, rad):
    """Balls, of one midpoint and radius or of many."""
    return BoundedArray(np.atleast_1d(np.float64(mid)), np.atleast_1d(np.float64(rad)), FLOAT32)


def assert_holds(result, lowest, highest):
    """That balls hold all from the lowest to the highest of some numbers, to the last bit."""
    for mid, rad, low, high in zip(result.mid, result.rad, lowest, highest):
        assert Fraction(mid) - Fraction(rad) <= low and Fraction(mid) + Fraction(rad) >= high


@every_comparison
def test_exact_numbers_are_compared_as_numpy_compares_them(compare):
    numbers = np.array([-INF, -1.0, -0.0, 0.0, 1.0, 1 + 2.0**-23, INF, NAN])
    x, y = (each.ravel() for each in np.meshgrid(numbers, numbers))
    # Balls of radius 0 are no more in doubt.
    for rad in (None, np.zeros(x.shape)):
        result = compare(BoundedArray(x, rad, FLOAT32), exact(y, FLOAT32))
        assert result.exact and result.reach() == 1
        np.testing.assert_array_equal(result.mid, compare(x, y))


@every_comparison
def test_balls_that_touch_are_compared_either_way_and_no_others(compare):
    x, y = [1.0, 1.0, 1.0, 1.0, 3.0, 7.0], [2.0, 0.5, 2.25, 0.0, 3.0, NAN]
    rad_x, rad_y = [0.5, 0.5, 0.5, 0.25, 0.0, INF], [0.5, 0.0, 0.5, 0.5, 0.0, 0.0]
    decided = [False, False, True, True, True, True]
    for a, b, mids in (
        (ball(x, rad_x), ball(y, rad_y), (x, y)),
        (ball(y, rad_y), ball(x, rad_x), (y, x)),
    ):
        result = compare(a, b)
        assert result.rad.tolist() == [0.0 if each else 0.5 for each in decided]
        assert result.mid.tolist() == np.where(decided, compare(*mids), 0.5).tolist()
        # One alone, beside a number that is exact.
        for k in (1, 2, 3):
            alone = compare(a[k : k + 1], b[k : k + 1])
            assert alone.exact == decided[k]
    for a, b in ((ball(1.0, 0.5), exact([1.5], FLOAT32)), (exact([1.5], FLOAT32), ball(1.0, 0.5))):
        assert compare(a, b).rad.tolist() == [0.5]
    assert compare(ball([0.0], [INF]), exact([1.0], FLOAT32)).rad.tolist() == [0.5]


def test_a_number_is_not_less_than_itself():
    x = exact([0.0, 1.0], FLOAT32)
    assert not np.less(x, x).mid.any() and not np.greater(x, x).mid.any()
    for compare in (np.less_equal, np.greater_equal, np.equal):
        assert compare(x, x).mid.all()


def test_the_larger_and_the_smaller_of_balls_hold_those_of_their_ends():
    # Rounding in float64 counts: each result is all of the ball that is chosen.
    mid, rad = np.array([1.0, 1 / 3, 2.0**20]), np.array([0.5, 0.1, 2.0**-40 / 3])
    x, other = ball(mid, rad), exact(np.zeros(3), FLOAT32)
    low, high = ([Fraction(m) + s * Fraction(r) for m, r in zip(mid, rad)] for s in (-1, 1))
    assert_holds(np.maximum(x, other), low, high)
    assert_holds(np.minimum(-x, other), [-each for each in high], [-each for each in low])


def test_a_clipped_ball_holds_its_clipped_ends():
    limits = Fraction(-1), Fraction(1)
    mid = np.array([0.0, 0.25, -0.5, 0.75, 3.0, 0.1])
    rad = np.array([4.0, 0.25, 1 / 3, 2.0**-30 / 3, 1.0, 1 / 7])
    ends = [[Fraction(m) + s * Fraction(r) for m, r in zip(mid, rad)] for s in (-1, 1)]
    low, high = ([min(max(x, limits[0]), limits[1]) for x in each] for each in ends)
    result = np.clip(ball(mid, rad), -1.0, 1.0)
    assert_holds(result, low, high)
    assert (result.rad <= np.minimum(rad, 1.0) * (1 + 2.0**-46) + 2.0**-50).all()
    # It may be NaN, which is not clipped.
    unknown = np.clip(ball([0.5, 0.0], [0.0, INF]), -1.0, 1.0)
    assert unknown.mid.tolist() == [0.5, 0.0] and unknown.rad[0] < 1e-9 and unknown.rad[1] == INF


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["float32", "bfloat16"])
@pytest.mark.parametrize("limits", [(None, 1.0), (0.1, None), (-INF, 1.0), (INF, INF), (0.0, NAN)])
def test_where_there_is_no_limit_nothing_is_clipped(limits, name, kind):
    random, drawn = np.random.RandomState(0), Random(0)
    for is_exact in (True, False):
        x = balls_of(arithmetic(name), (64,), kind, random.randint(0, 256, 128), is_exact)
        example = Example(lambda x: np.clip(x, *limits), ((64,),))
        check_call(REGISTER[np.clip], example, [x], drawn)
        result = np.clip(x, *limits)
        assert not np.isnan(result.rad).any()
        assert np.array_equal(result.unknown(), x.unknown())


def test_what_may_be_either_of_two_numbers_is_in_a_ball_around_both():
    random = np.random.RandomState(0)
    x, y = random.standard_normal((2, 1000)) * 2.0 ** random.randint(-70, 70, (2, 1000))
    y[500:] = x[500:] * (1 + random.randint(-9, 10, 500) * 2.0**-52)
    both = np.where(DOUBT, exact(x, FLOAT32), exact(y, FLOAT32))
    low, high = np.minimum(x, y), np.maximum(x, y)
    assert_holds(both, map(Fraction, low), map(Fraction, high))
    width = [Fraction(b) / 2 - Fraction(a) / 2 for a, b in zip(low, high)]
    for mid, rad, half in zip(both.mid, both.rad, width):
        # And not in one that is much wider: half of the distance, and roundings of float64.
        assert rad <= half * (1 + Fraction(2.0**-46)) + Fraction(2.001 * 2.0**-53) * abs(
            Fraction(mid)
        )


def test_a_choice_that_takes_no_rounding_is_not_widened():
    both = np.where(DOUBT, exact([1.0, -3.0, 5.0, NAN, INF], FLOAT32), [0.5, 1.0, 5.0, NAN, INF])
    np.testing.assert_array_equal(both.mid, [0.75, -1.0, 5.0, NAN, INF])
    assert both.rad.tolist() == [0.25, 2.0, 0.0, 0.0, 0.0]


def test_a_choice_between_two_that_are_not_one_number_is_no_number():
    smallest = FLOAT32.smallest
    x = exact([0.0, -0.0, 0.0, NAN, NAN, INF, INF, 1.0], FLOAT32)
    y = exact([-0.0, 0.0, 0.0, 1.0, INF, -INF, 1.0, -INF], FLOAT32)
    both = np.where(DOUBT, x, y)
    # A zero of either sign is no number bit for bit.
    assert both.mid.tolist() == [0.0] * 8
    assert both.rad.tolist() == [smallest, smallest, 0.0] + [INF] * 5
    # A sign of NaN is none.
    nan = np.where(DOUBT, exact([NAN, 2.0], FLOAT32), exact([-NAN, 2.0], FLOAT32))
    np.testing.assert_array_equal(nan.mid, [NAN, 2.0])
    assert not nan.rad.any()
    # Two balls around the same midpoint are still balls.
    same = np.where(DOUBT, ball([1.0, 1.0], [0.5, 0.25]), ball([1.0, 1.0], [0.5, 0.5]))
    assert (same.rad >= 0.5).all() and (same.rad < 0.5 + 1e-9).all()


def test_what_is_chosen_for_certain_is_as_exact_as_before():
    x, y = exact([1.0, 2.0, 3.0], FLOAT32), exact([4.0, 5.0, 6.0], FLOAT32)
    for certain in (np.array([True, False, True]), ball([1.0, 0.0, -2.0], np.zeros(3))):
        chosen = np.where(certain, x, y)
        assert chosen.exact and chosen.mid.tolist() == [1.0, 5.0, 3.0]
        assert np.where(certain, x, ball([4.0] * 3, [1.0] * 3)).rad.tolist() == [0.0, 1.0, 0.0]
    # Beside one that is in doubt.
    chosen = np.where(ball([1.0, 0.0, 0.5], [0.0, 0.0, 0.5]), x, y)
    assert chosen.mid.tolist() == [1.0, 5.0, 4.5] and chosen.rad.tolist() == [0.0, 0.0, 1.5]


# --- what is kept and what is dropped ---------------------------------------------------------


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("keep_prob", [1.0, 0.9, 0.5])
def test_a_mask_of_large_noise_holds_what_is_rounded_in_the_subject(name, keep_prob):
    a = arithmetic(name)
    numbers = [
        scale * (1 + step * a.precision.eps) for scale in (0.25, 0.5, 1, 2, 4) for step in range(8)
    ]
    numbers = np.array(numbers) / a.unit
    numbers = np.concatenate([numbers, -numbers, [a.largest / 2, a.largest / 3]])
    numbers = a.precision.rounded(numbers).astype(np.float64)
    result = dropout_mask(keep_prob, exact(numbers, a))
    held = float(a.precision.rounded(keep_prob))
    for mid, rad, number in zip(result.mid, result.rad_as_operand(), numbers):
        rounded = float(a.precision.rounded(number + held))
        for value in (np.floor(rounded), (Fraction(number) + Fraction(held)) // 1):
            assert abs(Fraction(value) - Fraction(mid)) <= Fraction(rad)
        # A whole number more, a rounding of the subject, and five of float64.
        assert rad <= (1 + (a.unit + 5 * 2.0**-53) * abs(number)) * (1 + 1e-9)


def test_a_mask_of_what_is_no_number_is_that_and_of_what_may_overflow_unknown():
    for sign in (1, -1):
        result = dropout_mask(
            0.5, ball([INF, -INF, NAN, 0.0, sign * 3.4e38, 0.25], [0, 0, 0, INF, 0, 0])
        )
        np.testing.assert_array_equal(result.mid, [INF, -INF, NAN, 0.0, 0.0, 0.0])
        assert result.rad.tolist() == [0, 0, 0, INF, INF, 0]
    assert dropout_mask(0.5, exact([0.25, 0.75], FLOAT32)).exact
    assert np.isfinite(dropout_mask(0.5, exact([3.3e38], FLOAT32)).rad).all()


@pytest.mark.parametrize("name", ["float16", "float32", "bfloat16"])
def test_a_mask_of_a_sum_that_may_be_flushed_is_either(name):
    a = arithmetic(name)
    # The sums are -1/2, -1 and -3/2 of the smallest normal number, which is the probability.
    result = dropout_mask(a.smallest, exact(a.smallest * np.array([-1.5, -2.0, -2.5]), a))
    assert (result.mid - result.rad).tolist() == [-1, -1, -1]
    assert (result.mid + result.rad)[[0, 2]].tolist() == [0, -1]


def test_balls_of_noise_are_kept_and_dropped_by_their_ends():
    noise = ball([0.25, 0.75, 0.5, -0.25, 1.0], [0.125, 0.125, 0.125, 0.5, 0.75])
    result = dropout_mask(0.5, noise)
    assert (result.mid - result.rad).tolist() == [0, 1, 0, -1, 0]
    assert (result.mid + result.rad).tolist() == [0, 1, 1, 0, 2]
    # Where whole numbers are far apart in float64, too.
    noise = BoundedArray(np.array([2.0**60]), np.array([2.0**59]), arithmetic("float64"))
    assert_holds(dropout_mask(0.5, noise), [2**59], [3 * 2**59])
