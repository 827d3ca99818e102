"""Softmax, the maximum and the arg max."""

import itertools
import math
from fractions import Fraction
from random import Random

import mpmath
import numpy as np
import pytest
from ball_examples import BALL, FLOAT32, INF, NAN, thoroughly
from hypothesis import assume, given
from hypothesis import strategies as st

from rnndiff.harness.numerics import Accuracy, BoundedArray, arithmetic, exact
from rnndiff.harness.numerics.containment import (
    arithmetics,
    assert_contains,
    balls,
    is_in,
    points_of,
    stack_of,
)
from rnndiff.harness.numerics.machine import Machine
from rnndiff.harness.numerics.numbers import Numbers
from rnndiff.harness.numerics.register import REGISTER
from rnndiff.harness.numerics.rows import first_and_last, softmax_by_log_sum_exp, softmax_online
from rnndiff.models.functions import softmax


def numbers_near(ball, point):
    """Numbers of the subject's precision in the ball, as near to a point as there are."""
    precision = ball.arithmetic.precision
    numbers = precision.rounded(point).astype(np.float64)
    for i, number in np.ndenumerate(numbers):
        towards = precision.next_to(number, ball.mid[i])
        mid, rad = ball.mid[i], ball.rad_as_operand()[i]
        inside = [float(x) for x in (number, towards) if is_in(float(x), mid, rad)]
        assume(inside)
        numbers[i] = inside[0]
    return numbers


def exact_softmax(scores):
    with mpmath.workprec(200):
        powers = [mpmath.exp(mpmath.mpf(x) - max(scores)) for x in scores]
        shares = [power / mpmath.fsum(powers) for power in powers]
        return [Fraction(*mpmath.libmp.to_rational(share._mpf_)) for share in shares]


@thoroughly
@given(st.data(), arithmetics(), st.randoms(use_true_random=False))
def test_a_softmax_that_is_stated_contains_all_that_is_as_accurate(data, a, random):
    # Two exponentials, a reciprocal and a product, all of second order in roundoff included.
    accuracy = Accuracy(2 * a.functions["exp"].ulp + 1.5, 4 * a.smallest)
    stated = a._replace(functions=dict(a.functions, softmax=accuracy))
    scores = data.draw(balls(stated, (3,), ("tame", "tiny", "exponents")))
    result, any_formula = softmax(scores), softmax(BoundedArray(scores.mid, scores._rad, a))
    assert (result.rad <= any_formula.rad + 5 * a.smallest).all()
    for flushes in (False, True):
        for point in points_of(scores, random, flushes):
            numbers = Numbers.of(numbers_near(scores, point), Machine(stated, random))
            values = softmax.__wrapped__(numbers).values
            assert_contains(result, lambda i, v=values: v[i], "computed")


def test_by_the_logarithm_of_the_sum_a_softmax_errs_as_much_as_large_scores_do():
    result = softmax(exact(np.full(3, 1e4), FLOAT32))
    shares = softmax_by_log_sum_exp(np.full(3, 1e4, np.float32))
    # The logarithm of 3 is added to 10,000, of which an ULP is 2^-10.
    assert 1e-6 < abs(shares[0] - result.mid[0]) <= result.rad[0] < 1e-3


def test_online_a_softmax_errs_by_as_many_exponentials_as_there_are_scores():
    a = arithmetic("float32", {"exp": Accuracy(50, 0), "log": Accuracy(1, 0)})
    scores = exact(np.arange(24) / 64, a)
    result, machine = softmax(scores), Machine(a, Random(0))
    errors = []
    for machine.leans in (-1.0, 1.0):
        shares = softmax_online(Numbers.of(scores.mid, machine)).values.astype(np.float64)
        errors.append(np.abs(shares - result.mid))
    assert (np.max(errors, axis=0) <= result.rad).all()
    # More than the exponentials of the numerator and of one term can be wrong.
    assert (np.max(errors, axis=0) > 4 * 50 * a.unit * result.mid).any()


@pytest.mark.parametrize("rad", [0.0, 1e-3, 5.0, 10.0, 1e5])
@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_the_bound_of_a_softmax_is_the_box_of_its_scores(rad, size):
    a = arithmetic("float64", {"softmax": Accuracy(0, 0)})
    scores = np.random.RandomState(0).standard_normal(4) * size
    result = softmax(BoundedArray(scores, np.full(4, rad), a))
    for corner in itertools.product([-rad, rad], repeat=4):
        values = exact_softmax((scores + corner).tolist())
        assert_contains(result, lambda i, v=values: v[i[0]], "exact")
    assert (np.abs(result.mid) + result.rad <= result.reach()).all()
    # No wider than the corners are apart.
    shares = [softmax(scores + np.array(c)) for c in itertools.product([-rad, rad], repeat=4)]
    farthest = np.max(np.abs(np.array(shares) - result.mid), axis=0)
    # Float64's own roundings aside, which count among exponentials that are far apart.
    slack = 2.0**-44 * math.exp(min(2 * rad, 20))
    assert (result.rad <= farthest * (1 + 2.0**-20) + slack).all()


@pytest.mark.parametrize(
    "scores, shares",
    [
        ([NAN, 0.0, 1.0], [NAN, NAN, NAN]),
        ([INF, 0.0, 1.0], [NAN, NAN, NAN]),
        ([INF, -INF, INF], [NAN, NAN, NAN]),
        ([-INF, -INF], [NAN, NAN]),
        ([-INF, 0.0, 0.0], [0.0, 0.5, 0.5]),
        ([-3e38, 3e38], [0.0, 1.0]),
    ],
)
@pytest.mark.parametrize("functions", [{}, {"softmax": Accuracy(8, 0)}])
def test_a_softmax_of_special_scores(functions, scores, shares):
    a = arithmetic("float32", functions)
    for result in (softmax(exact(scores, a)), softmax(stack_of([exact(scores, a)] * 2))):
        mids, radii = result.mid.reshape(-1, len(scores)), result.rad.reshape(-1, len(scores))
        for mid, rad in zip(mids, radii):
            assert np.array_equal(np.isnan(mid), np.isnan(shares))
            assert np.where(np.isnan(shares), rad == 0, np.abs(mid - shares) <= rad).all()


def test_nothing_is_known_of_a_softmax_beside_what_is_unknown_but_in_a_row_with_nan():
    scores = BoundedArray(
        np.array([[0.0, 1.0], [0.0, NAN]]), np.array([[INF, 0], [INF, 0]]), FLOAT32
    )
    result = softmax(scores)
    assert (result.rad[0] == INF).all() and np.isnan(result.mid[1]).all()


def test_a_softmax_that_is_stated_is_held_to_what_is_stated():
    tight = arithmetic("float32", {"softmax": Accuracy(1, 0)})
    result = softmax(exact([0.0, 0.0], tight))
    assert (result.rad <= 0.5 * 3.01 * 2.0**-24 + 2.0**-120).all()


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3), (2, 3, 4)])
def test_every_formula_of_a_softmax_is_one_in_float64(shape):
    scores = np.random.RandomState(0).standard_normal(shape) * 4
    result = softmax(exact(scores, arithmetic("float64")))
    for formula in [softmax.__wrapped__] + list(REGISTER[softmax].formulas):
        shares = formula(scores)
        assert shares.shape == shape and (np.abs(shares - result.mid) <= result.rad).all()


def test_in_a_softmax_a_difference_of_scores_may_be_flushed():
    a = arithmetic("float16", {"softmax": Accuracy(1, 0)})
    rads = [softmax(exact([0.0, 0.0], x)).rad[0] for x in (a, a._replace(smallest=2.0**-24))]
    # Of equal scores a share moves by half of that, and is flushed itself.
    assert rads[0] - rads[1] >= 1.49 * a.smallest


def test_the_least_shares_are_off_by_what_float64_rounds_their_scores_by():
    a = arithmetic("float64", {"softmax": Accuracy(0, 0)})
    random = np.random.RandomState(0)
    scores = np.stack([random.uniform(0, 1, 3000), random.uniform(-600, -512, 3000)], axis=-1)
    result = softmax(exact(scores, a))
    with mpmath.workprec(200):
        for (high, low), mid, rad in zip(scores, result.mid[:, 1], result.rad[:, 1]):
            share = 1 / (1 + mpmath.exp(mpmath.mpf(high) - mpmath.mpf(low)))
            assert abs(share - mid) <= rad


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_of_a_softmax_of_very_many_scores_little_is_known(precision):
    for shape in ((200000,), (1, 200000)):
        result = softmax(exact(np.zeros(shape), arithmetic(precision)))
        assert (result.rad == INF).all() if precision == "float16" else (result.rad < 1).all()


def test_a_softmax_is_known_while_the_roundings_of_its_sum_are_no_more_than_the_sum():
    a = arithmetic("bfloat16")
    scores = exact(np.zeros(257), a)
    assert a.unit == 1 / 256
    assert (softmax(scores[:256]).rad < INF).all() and (softmax(scores).rad == INF).all()


def test_the_maximum_of_subnormals_may_be_any_of_them():
    subnormal = 0.9 * FLOAT32.smallest
    result = np.max(exact([subnormal, -subnormal], FLOAT32))
    assert abs(result.mid - subnormal) <= result.rad and abs(result.mid + subnormal) <= result.rad


def test_the_maximum_of_a_ball_holds_both_its_ends():
    result = np.max(BoundedArray(np.array([1.0, -3.0]), np.array([1.0, 0.5]), FLOAT32))
    assert result.mid == 1 and result.rad >= 1


def test_the_first_and_the_last_place_that_is_marked_are_found_wherever_they_are():
    marked = np.array([[False, True, True, False, False], [False, True, False, True, False]])
    first, last = first_and_last(marked)
    assert (first.tolist(), last.tolist()) == ([1, 1], [2, 3])


def test_the_arg_max_of_rounded_numbers_is_the_hull_of_what_may_be_it():
    result = np.argmax(BALL, axis=-1)
    assert result.exact and result.mid == 1
    near = BoundedArray(np.array([1.0, 0.0, 1.2, 9.0]), np.array([0.5, 0.0, 0.25, 8.0]), FLOAT32)
    result = np.argmax(near[:3], axis=-1)
    assert (result.mid, result.rad) == (1, 1)
    # Of three that may be it, the first and the last one.
    result = np.argmax(near, axis=-1)
    assert (result.mid, result.rad) == (1.5, 1.5)
    # Two that may be equal: then it is the first one.
    touching = BoundedArray(np.array([1.0, 3.0]), np.ones(2), FLOAT32)
    assert np.argmax(touching, axis=-1).rad == 0.5


def test_in_the_arg_max_a_ball_is_no_number_that_is_flushed():
    smallest = FLOAT32.smallest
    # From zero to twice the smallest normal number, and half as much again as that.
    balls = BoundedArray(np.array([1.0, 1.5]) * smallest, np.array([smallest, 0.0]), FLOAT32)
    assert np.argmax(balls, axis=-1).rad == 0.5
    assert np.argmax(exact([0.0, smallest], FLOAT32), axis=-1).exact


@pytest.mark.parametrize("other", [-0.5, 0.5])
def test_an_arg_max_beside_a_subnormal_number_is_what_it_is_beside_zero(other):
    scores = [other, 0.5 * FLOAT32.smallest]
    result = np.argmax(exact(scores, FLOAT32), axis=-1)
    assert result.exact and result.mid == np.argmax(scores)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_an_arg_max_of_three_axes_is_numpys(axis):
    numbers = np.random.RandomState(0).permutation(24).reshape(2, 3, 4)
    rads = [None, np.full(numbers.shape, 0.25)]
    for ball in [BoundedArray(numbers.astype(float), rad, FLOAT32) for rad in rads]:
        result = np.argmax(ball, axis=axis)
        assert result.exact and np.array_equal(result.mid, np.argmax(numbers, axis=axis))
        assert np.array_equal(np.max(ball, axis=axis).mid, np.max(numbers, axis=axis))
        assert np.max(ball).shape == () and np.max(ball).mid == 23


def test_beside_what_is_none_or_unknown_any_number_may_be_the_arg_max():
    for mid, rad in ((NAN, 0.0), (0.0, INF)):
        row = BoundedArray(np.array([0.0, mid, 1.0]), np.array([0.0, rad, 0.5]), FLOAT32)
        result = np.argmax(row, axis=-1)
        assert (result.mid, result.rad) == (1, 1)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_no_share_is_more_than_1_but_for_roundings_which_are_less_of_smaller_scores(precision):
    a = arithmetic(precision)
    less, more = (softmax(BoundedArray(np.zeros(2), np.full(2, x), a)) for x in (30.0, 700.0))
    assert (1 <= less.mid + less.rad).all()
    assert (less.mid + less.rad < more.mid + more.rad).all()
