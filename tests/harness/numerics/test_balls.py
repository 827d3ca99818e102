"""Bounded arrays themselves: what they hold, what they refuse, and special values."""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from ball_examples import BALL, FLOAT32, INF, NAN, thoroughly
from hypothesis import given
from hypothesis import strategies as st

from rnndiff.harness.numerics import BoundedArray, arithmetic, exact
from rnndiff.harness.numerics.balls import lift, read_stack
from rnndiff.harness.numerics.containment import arithmetics, balls, stack_of
from rnndiff.harness.numerics.register import REGISTER

INDICES = [1, (slice(None), slice(1, None)), (slice(None), None), (..., 0), (..., None), ...]


@thoroughly
@given(st.data(), arithmetics())
def test_an_index_moves_midpoints_and_radii_alike(data, a):
    x = data.draw(balls(a, (2, 3)))
    stack = stack_of([x, data.draw(balls(a, (2, 3))), x])
    for index in INDICES:
        part = x[index]
        np.testing.assert_array_equal(part.mid, x.mid[index])
        assert part.exact == x.exact
        np.testing.assert_array_equal(part.rad_as_operand(), x.rad_as_operand()[index])
        # Nothing that is known of the whole is wrong of the part.
        assert part.reach() >= BoundedArray(part.mid, None if x.exact else part.rad, a).reach()
        of_stack = stack[index]
        assert of_stack.shape == part.shape
        for k in (0, 2):
            np.testing.assert_array_equal(of_stack.mid[k], part.mid)
            np.testing.assert_array_equal(of_stack.rad_as_operand()[k], part.rad_as_operand())


def test_ones_like_is_exact():
    ones = np.ones_like(BALL)
    assert ones.exact and ones.shape == BALL.shape and (ones.mid == 1).all()


@thoroughly
@given(st.sampled_from([1e-10, 0.1, 1e30, 1e39, -1e-40, 7, True]), arithmetics())
def test_a_number_of_the_oracle_is_held_as_the_subject_rounds_it(number, a):
    held = np.concatenate([exact([0.0], a), [number]])
    rounded = float(a.precision.rounded(number))
    for value in (float(number), rounded):
        assert held.rad[1] == INF or abs(Fraction(value) - Fraction(held.mid[1])) <= Fraction(
            held.rad_as_operand()[1]
        )
    assert held.exact == (rounded == number)


@pytest.mark.parametrize(
    "a", [arithmetic(each) for each in ("float16", "float64", "bfloat16")], ids=lambda a: a.name
)
def test_a_number_of_a_case_is_held_as_the_subject_reads_it(a):
    numbers = [0.0, -0.0, 1.0, 1 / 3, 1e4, 65504, 65519, 65520, -1e30, 6.1e-5, 1e-5, 2e-8, 1e-40]
    array = np.float32([numbers + [INF, -INF, NAN]])
    held = read_stack(array, a)
    assert held.stacked and held.exact == (a.name == "float64")
    for number, read, mid, rad in zip(
        array[0], a.precision.rounded(array[0]), held.mid[0], held.rad_as_operand()[0]
    ):
        if not np.isfinite(read):
            # What is beyond the largest number is infinite, and nothing else.
            assert rad == 0
            np.testing.assert_equal(mid, float(read))
            continue
        allowed = [float(read)] + [0.0] * int(abs(read) < a.smallest)
        assert all(abs(value - mid) <= rad for value in allowed)
        assert rad <= max(a.unit * abs(number), a.smallest)
    exactly = read_stack(np.float32([[0.5, INF, NAN]]), a)
    assert exactly.exact and exactly.stacked and exactly.dtype == np.float64
    # Whole numbers count something, and the smallest normal number is no subnormal one.
    assert read_stack(np.array([[2**11 + 1, 70000]]), a).exact
    assert read_stack(np.float64([[a.smallest, -a.smallest, 1 / 3]]), a).rad[0, :2].max() == 0


@pytest.mark.parametrize(
    "a", [arithmetic(each) for each in ("float16", "float32", "bfloat16")], ids=lambda a: a.name
)
def test_a_whole_number_is_exact_as_far_as_the_subject_has_all(a):
    last = int(1 / a.unit)
    for number in (last - 1, last, -last, 2 * last):
        assert lift(number, a).exact
    for number in (last + 1, -last - 1, 1.5 * last + 1):
        ball = lift(number, a)
        assert not ball.exact and abs(float(a.precision.rounded(number)) - ball.mid) <= ball.rad


def test_special_numbers_of_the_oracle_are_just_these_and_one_that_is_too_large_is_unknown():
    special = lift([NAN, INF, -INF, 1.0], FLOAT32)
    np.testing.assert_array_equal(special.mid, [NAN, INF, -INF, 1.0])
    assert special.exact
    held = lift([NAN, INF, 0.1, 1e39], FLOAT32)
    np.testing.assert_array_equal(held.mid, [NAN, INF, 0.1, 0.0])
    assert held.rad[0] == held.rad[1] == 0 < held.rad[2] < 1e-8 and held.rad[3] == INF


def test_ends_are_rounded_outwards_by_32_roundings_of_the_radius_and_2_of_the_midpoint():
    mid, rad = [1.0, 0.0, 3.0, INF], [2.0**-30, 1.0, 0.0, 0.0]
    low, high = BoundedArray(np.array(mid), np.array(rad), FLOAT32).ends()
    step = 2.0**-30 + 2.0**-52
    assert high.tolist() == [1 + step, 1 + 2.0**-48, 3.0, INF]
    assert low.tolist() == [1 - step, -1 - 2.0**-48, 3.0, INF]
    random = np.random.RandomState(0)
    mid, rad = random.standard_normal((2, 1000)) * 2.0 ** random.randint(-70, 70, (2, 1000))
    x = BoundedArray(mid, np.abs(rad), FLOAT32)
    for low, high, *ball in zip(*x.ends(), x.mid, x.rad):
        mid, rad = map(Fraction, ball)
        assert low <= mid - rad and high >= mid + rad


@pytest.mark.parametrize("same", [lambda x: x * 1.0, lambda x: x + 0.0], ids=["*", "+"])
@pytest.mark.parametrize("name", ["float16", "float32", "bfloat16"])
def test_what_is_near_the_largest_number_is_a_ball_unknown_or_infinite(same, name):
    a = arithmetic(name)
    room = {"float16": 1 / 64, "float32": 1 / 64, "bfloat16": 1 / 16}[name]
    # What overflows need not be a number of the subject's: the midpoints are the oracle's own.
    most, least = a.largest * (1 - room), a.largest / (1 - room)
    before, after = 1 - 8 * a.unit, 1 + 8 * a.unit
    for sign in (1, -1):
        numbers = sign * np.array([most * before, most * after, least * before, least * after])
        result = same(exact(numbers, a))
        assert result.mid.tolist() == [numbers[0], 0.0, 0.0, sign * INF]
        assert 0 < result.rad[0] <= 2 * a.unit * abs(numbers[0]) and result.rad[3] == 0
        assert result.rad[1] == result.rad[2] == INF
        # So is each number beside others that are none of its kind.
        for k in range(4):
            alone = same(exact(numbers[k : k + 1], a))
            assert (alone.mid[0], alone.rad[0]) == (result.mid[k], result.rad[k])


HUGE = 1e38


@pytest.mark.parametrize(
    "operation, values, expected",
    [
        (np.add, ([INF], [1.0]), INF),
        (np.add, ([INF], [-INF]), NAN),
        (np.add, ([3e38], [3e38]), INF),
        (np.subtract, ([-INF], [INF]), -INF),
        (np.multiply, ([INF], [0.0]), NAN),
        (np.multiply, ([-1e20], [1e20]), -INF),
        (np.true_divide, ([0.0], [0.0]), NAN),
        (np.true_divide, ([1.0], [-0.0]), -INF),
        (np.true_divide, ([1.0], [INF]), 0.0),
        (np.true_divide, ([1e30], [1e-30]), INF),
        (np.tanh, ([-INF],), -1.0),
        (np.exp, ([100.0],), INF),
        (np.exp, ([-INF],), 0.0),
        (np.log, ([0.0],), -INF),
        (np.log, ([-1.0],), NAN),
        (np.matmul, ([HUGE, HUGE], [[10.0], [10.0]]), INF),
        (np.matmul, ([HUGE, -HUGE], [[10.0], [10.0]]), "unknown"),
        (np.matmul, ([HUGE, -HUGE], [[1.0], [1.0]]), 0.0),
        (np.matmul, ([INF, HUGE], [[1.0], [10.0]]), INF),
        (np.matmul, ([INF, -HUGE], [[1.0], [10.0]]), "unknown"),
        (np.matmul, ([INF, -HUGE], [[1.0], [INF]]), NAN),
        (np.matmul, ([INF, 1.0], [[0.0], [1.0]]), NAN),
        (np.matmul, ([NAN, HUGE], [[0.0], [10.0]]), NAN),
        (np.sum, ([INF, HUGE],), INF),
        (np.sum, ([NAN, INF, HUGE],), NAN),
        (np.square, ([-1e30],), INF),
        (np.absolute, ([-INF],), INF),
        (np.maximum, ([NAN], [INF]), NAN),
        (np.maximum, ([-INF], [-INF]), -INF),
        (np.maximum, ([-INF], [1.0]), 1.0),
        (np.minimum, ([-INF], [3e38]), -INF),
        (np.sum, ([3e38, 3e38, -3e38],), "unknown"),
        (np.mean, (np.zeros(0),), NAN),
        (np.max, ([NAN, 1.0],), NAN),
        (np.max, ([-INF, -INF],), -INF),
        (partial(np.clip, a_min=0.0, a_max=1.0), ([NAN],), NAN),
        (partial(np.clip, a_min=0.0, a_max=1.0), ([INF],), 1.0),
    ],
)
def test_what_every_evaluation_agrees_on_is_known(operation, values, expected):
    result = operation(*[exact(value, FLOAT32) for value in values])
    mid, rad = float(np.ravel(result.mid)[0]), float(np.ravel(result.rad)[0])
    if expected == "unknown":
        assert rad == INF and mid == 0
    elif np.isfinite(expected):
        # Two ULP, or as many roundings, of the largest number that comes up; and those of float64.
        numbers = np.concatenate([np.ravel(value) for value in values] + [[expected]])
        size = np.sum(np.abs(numbers[np.isfinite(numbers)]))
        roundings = 4 * FLOAT32.unit + 2.0**-47
        assert abs(mid - expected) <= rad <= roundings * size + 4 * FLOAT32.smallest
    else:
        assert rad == 0 and (mid == expected or (np.isnan(mid) and np.isnan(expected)))


@pytest.mark.parametrize("operation", [np.add, np.subtract, np.multiply, np.true_divide])
def test_nan_is_all_that_comes_of_nan_and_of_what_is_unknown(operation):
    unknown = BoundedArray(np.zeros(1), np.full(1, INF), FLOAT32)
    for operands in ([unknown, exact([NAN], FLOAT32)], [exact([NAN], FLOAT32), unknown]):
        result = operation(*operands)
        assert np.isnan(result.mid[0]) and result.rad[0] == 0
    assert operation(unknown, unknown).rad[0] == INF
    assert operation(unknown, exact([INF], FLOAT32)).rad[0] == INF


def test_a_row_times_a_matrix_is_refused_in_stacks():
    with pytest.raises(TypeError):
        np.matmul(stack_of([BALL[0]] * 3), np.ones((2, 2)))


UNKNOWN = sorted(
    {ufunc for ufunc in vars(np).values() if isinstance(ufunc, np.ufunc)} - set(REGISTER),
    key=lambda ufunc: ufunc.__name__,
)


@pytest.mark.parametrize("ufunc", UNKNOWN, ids=lambda ufunc: ufunc.__name__)
def test_an_unknown_ufunc_is_refused(ufunc):
    with pytest.raises(TypeError):
        ufunc(*[BALL] * ufunc.nin)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: np.asarray(BALL),
        lambda: np.asarray(np.matmul(BALL, BALL.mid.T)),
        lambda: float(BALL[0, 0]),
        lambda: bool(BALL),
        lambda: np.add.reduce(BALL),
        lambda: np.multiply.outer(BALL, BALL),
        lambda: np.add(BALL, BALL, out=np.zeros((1, 2))),
        lambda: np.add(BALL, BALL, where=False),
        lambda: np.sum(BALL, dtype="f4"),
        lambda: np.var(BALL),
        lambda: np.linalg.norm(BALL),
        lambda: np.matmul(BALL, np.ones((3, 2, 2))),
        lambda: np.zeros((1, 2)).__iadd__(BALL),
        lambda: bool(BALL < BALL),
    ],
)
def test_what_would_lose_a_radius_is_refused(attempt):
    with pytest.raises(TypeError):
        attempt()


def test_a_list_of_balls_does_not_become_an_array_of_numbers():
    try:
        array = np.array([BALL, BALL])
    except TypeError:
        return
    # NumPy 1.18 makes an array of what it finds in them, which are balls.
    assert array.dtype == object and all(isinstance(x, BoundedArray) for x in array.flat)


def test_where_nobody_knows_which_the_ball_holds_both_and_no_more():
    doubtful = BoundedArray(np.zeros(3), np.ones(3), FLOAT32) < 0.0
    x = BoundedArray(np.array([1.5, -1.5, 4.0]), np.array([0.5, 0.5, 1.0]), FLOAT32)
    y = BoundedArray(np.array([4.0, -4.0, -2.0]), np.array([1.0, 1.0, 1.0]), FLOAT32)
    for both in (np.where(doubtful, x, y), np.where(doubtful, y, x)):
        ends = np.array([[1, -5, -3], [5, -1, 5]])
        found = np.array([both.mid - both.rad, both.mid + both.rad])
        assert (np.abs(found - ends) < 1e-9).all()
        assert (found[0] <= ends[0]).all() and (found[1] >= ends[1]).all()
