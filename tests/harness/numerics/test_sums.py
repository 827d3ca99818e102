"""Sums and products: any order, how narrow the bounds are, and overflow."""

from random import Random

import numpy as np
import pytest
from ball_examples import FLOAT32, INF, NAN, thoroughly
from hypothesis import given
from hypothesis import strategies as st

from rnndiff.harness.errors import OracleError
from rnndiff.harness.numerics import BoundedArray, arithmetic, exact, exact_stack
from rnndiff.harness.numerics.containment import (
    arithmetics,
    assert_compatible,
    assert_contains,
    balls,
    is_in,
    points_of,
)
from rnndiff.harness.numerics.machine import Machine
from rnndiff.harness.numerics.numbers import Numbers
from rnndiff.models.cells import BasicLSTMCell, LSTMCell
from rnndiff.models.functions import accumulate, affine


@thoroughly
@given(st.data(), arithmetics(), st.randoms(use_true_random=False))
def test_a_product_contains_every_order_of_summation(data, a, random):
    count = data.draw(st.integers(0, 6))
    x = data.draw(balls(a, data.draw(st.sampled_from([(count,), (2, count), (1, 2, count)]))))
    # A bias; or what is added to the products of one row of several, such as a query.
    shape = data.draw(st.sampled_from([(2,), (2,), x.shape[:-2] + (1,) * (x.ndim > 1) + (2,)]))
    w, b = data.draw(balls(a, (count, 2))), data.draw(balls(a, shape))
    result, with_bias = np.matmul(x, w), np.matmul(x, w) + b
    assert result.shape == with_bias.shape == x.shape[:-1] + (2,)
    for ball, other in ((result, np.dot(x, w)), (with_bias, b + np.dot(x, w))):
        assert_compatible(ball, other)
    for flushes in (False, True):
        for point in zip(*[points_of(ball, random, flushes, 2) for ball in (x, w, b)]):
            machine = Machine(a, random)
            x1, w1, b1 = [Numbers.of(array, machine) for array in point]
            for ball, numbers in ((result, np.matmul(x1, w1)), (with_bias, affine(x1, w1, b1))):
                assert_contains(ball, lambda i, numbers=numbers: numbers.values[i], "computed")


@pytest.mark.parametrize("precision", ["float16", "float32", "float64"])
@pytest.mark.parametrize("count", [60, 3000])
def test_a_long_product_contains_every_order_of_summation(precision, count):
    a = arithmetic(precision, {})
    random = np.random.RandomState(count)
    kind = np.dtype(precision)
    x = random.standard_normal(count).astype(kind)
    w = random.standard_normal((count, 1)).astype(kind)
    terms = (x * w[:, 0]).astype(kind)
    result = np.matmul(exact(x, a), exact(w, a))
    orders = [np.arange(count), np.argsort(terms), np.argsort(np.abs(terms)), -np.argsort(-terms)]
    for order in orders + [random.permutation(count) for _ in range(5)]:
        total = np.add.accumulate(terms[order], dtype=kind)[-1]
        assert is_in(float(total), result.mid[0], result.rad[0])


@pytest.mark.parametrize("precision", ["float16", "float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 5, 32, 33])
def test_no_ball_of_a_sum_of_subnormal_numbers_is_beyond_the_reach(precision, count):
    a, random = arithmetic(precision, {}), np.random.RandomState(count)
    for scale in 2.0 ** np.arange(-12, 4):
        size = np.sqrt(a.smallest * scale)
        x, w = size * random.random_sample((2, count)), size * random.random_sample((count, 3))
        x, w = x.astype(precision), w.astype(precision)
        for ball in (np.matmul(exact(x, a), exact(w, a)), np.sum(exact(x * x, a), axis=-1)):
            assert ball.reach() >= np.max(np.abs(ball.mid) + ball.rad)


@pytest.mark.parametrize("count", [8, 32, 33])
def test_the_bound_of_a_row_does_not_depend_on_the_rows_beside_it(count):
    random = np.random.RandomState(0)
    rows, kernel = random.standard_normal((600, count)), exact(np.eye(count, 64), FLOAT32)
    alone = np.matmul(exact(rows[:1], FLOAT32), kernel)
    beside = np.matmul(exact(rows, FLOAT32), kernel)[:1]
    # The midpoints, and with them the radii, are sums of `count` terms in float64.
    np.testing.assert_allclose(alone.rad, beside.rad, rtol=8 * count * 2.0**-53)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bias_anywhere", [False, True])
@pytest.mark.parametrize("count", [3000, 12000])
def test_the_bound_of_a_sum_can_be_reached(count, bias_anywhere, sign):
    # Every addition to 1 rounds up by almost half a ULP: few terms, and more than a few.
    a = FLOAT32._replace(bias_anywhere=bias_anywhere)
    terms = np.full(count, sign * 2.0**-24 * 1.01, dtype=np.float32)
    total = np.add.accumulate(np.append(np.float32(sign), terms), dtype=np.float32)[-1]
    ones = np.ones((count, 1))
    if bias_anywhere:
        result = np.matmul(exact(terms, a), exact(ones, a)) + exact([float(sign)], a)
    else:
        terms, ones = np.append(terms, np.float32(sign)), np.append(ones, [[1.0]], axis=0)
        result = np.matmul(exact(terms, a), exact(ones, a))
    assert 0.95 < abs(total - result.mid[0]) / result.rad[0] <= 1


@pytest.mark.parametrize("count", [100, 12000])
def test_the_bound_of_a_product_can_be_reached(count):
    random = np.random.RandomState(0)
    x, w = np.float32(1 + random.rand(1)), np.float32(1 + random.rand(1, count))
    result = np.matmul(exact(x, FLOAT32), exact(w, FLOAT32))
    ratio = np.abs((x * w[0]).astype(np.float64) - result.mid) / result.rad
    assert 0.9 < np.max(ratio) <= 1


@given(st.data(), st.integers(2, 12))
def test_a_product_of_exact_numbers_is_never_bounded_worse_than_by_gamma(data, count):
    x = data.draw(balls(FLOAT32, (2, count), ["tame"]).filter(lambda ball: ball.exact))
    w = data.draw(balls(FLOAT32, (count, 2), ["tame"]).filter(lambda ball: ball.exact))
    result = np.matmul(x, w)
    magnitude = np.matmul(np.abs(x.mid), np.abs(w.mid))
    # Higham's gamma_n, of a unit that has room for the errors of the midpoint and of this itself.
    unit = FLOAT32.unit * (1 + 2.0**-24)
    gamma = count * unit / (1 - count * unit)
    flushed = 2 * count * FLOAT32.smallest
    assert (result.rad <= gamma * magnitude + flushed * (1 + 4 * gamma)).all()


def test_a_sum_that_cancels_is_bounded_by_a_third_of_gamma():
    random = np.random.RandomState(0)
    # Few enough to be bounded term by term.
    x, w = random.standard_normal((2, 1, 16)).astype(np.float32)
    w = np.append(w, -w)[:, None]
    result = np.matmul(exact(np.tile(x, 2), FLOAT32), exact(w, FLOAT32))
    assert abs(result.mid) <= result.rad
    assert result.rad < 32 * FLOAT32.unit * np.matmul(np.abs(np.tile(x, 2)), np.abs(w)) / 3


def test_a_mean_whose_sum_overflows_may_be_finite():
    assert np.mean(exact([3e38, 3e38], FLOAT32)).rad == INF
    assert np.mean(exact([INF, 3e38, 3e38], FLOAT32)).mid == INF
    assert np.isnan(np.mean(exact([NAN, 3e38, 3e38], FLOAT32)).mid)
    # A square is rounded before it is divided.
    assert np.mean(np.square(exact([1e30, 1.0], FLOAT32))).mid == INF


def test_each_element_of_a_mean_may_be_flushed():
    numbers = np.full(100, 99 * FLOAT32.smallest)
    result = np.mean(exact(numbers, FLOAT32))
    assert is_in(0.0, float(result.mid), float(result.rad))


def test_a_product_that_overflows_in_float64_too_may_be_added_to_before_it_is_rounded():
    a = arithmetic("float64", {})
    assert np.matmul(exact([1e200, 1e200], a), exact([[1e200], [-1e200]], a)).rad == INF


def test_nothing_is_known_of_infinity_times_a_ball_around_zero():
    ball = BoundedArray(np.array([[1.0], [0.1]]), np.array([[0.0], [0.2]]), FLOAT32)
    assert np.matmul(exact([INF, 1.0], FLOAT32), ball).mid == INF
    assert np.matmul(exact([INF, INF], FLOAT32), ball).rad == INF


@pytest.mark.parametrize("bias_anywhere", [False, True])
def test_a_bias_may_save_a_sum_from_overflow_only_where_it_is_not_last(bias_anywhere):
    a = FLOAT32._replace(bias_anywhere=bias_anywhere)
    x, w, b = exact([[3e38, 1e38]], a), exact([[1.0], [1.0]], a), exact([-3e38], a)
    result = np.matmul(x, w) + b
    assert (result.rad == INF) == bias_anywhere
    assert bias_anywhere or result.mid == INF


def test_the_bound_of_a_sum_that_almost_overflows_in_float64_is_finite():
    a = arithmetic("float64")
    result = np.matmul(exact([0.6, 0.1, 0.1], a), exact([[a.largest]] * 3, a))
    assert 0 < result.rad[0] <= 8 * a.unit * result.mid[0]


def test_the_columns_that_are_exact_are_bounded_as_such_beside_others():
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]])
    ball = BoundedArray(matrix, np.array([[0.0, 0.5], [0.0, 0.5]]), FLOAT32)
    x = exact([0.1, 0.3], FLOAT32)
    alone, beside = np.matmul(x, exact(matrix[:, :1], FLOAT32)), np.matmul(x, ball)
    assert beside.rad[0] == alone.rad[0] < 1e-6 < 0.2 <= beside.rad[1]


# --- one sum, however it is written ---------------------------------------------------------------

LARGE = 2.0**27
ONE, ROW, ONES, SEVENS = [[1.0]], [[1.0, 1.0]], np.ones((1, 64)), np.full((64, 1), 7.0)


def _in_float32(*terms):
    return float(np.add.accumulate(np.float32(terms), dtype=np.float32)[-1])


@pytest.mark.parametrize(
    "oracle, terms",
    [
        # Of two products, the terms of the first one are before and after those of the second.
        (
            lambda a: (
                exact(ROW, a) @ exact([[LARGE], [-LARGE]], a)
                + exact(ONES, a) @ exact(SEVENS, a)
                + exact([0.0], a)
            ),
            (LARGE, *64 * [7.0], -LARGE),
        ),
        # The bias comes first.
        (
            lambda a: (
                exact([[1.0]], a) @ exact([[LARGE]], a)
                + exact(ONES, a) @ exact(SEVENS, a)
                + exact([-LARGE], a)
            ),
            (-LARGE, *64 * [7.0], LARGE),
        ),
        # Of two biases, the first is added before the second.
        (
            lambda a: exact(ONE, a) @ exact([[7.0]], a) + (exact([LARGE], a) + exact([-LARGE], a)),
            (7.0, LARGE, -LARGE),
        ),
        (
            lambda a: affine(
                exact(ONE, a), exact([[7.0]], a), exact([LARGE], a) + exact([-LARGE], a)
            ),
            (7.0, LARGE, -LARGE),
        ),
        # A forget bias, and a peephole, are added to a part of the gates.
        (
            lambda a: (
                np.split(
                    affine(exact([[1.0]], a), exact([[0.0, -LARGE]], a), exact([0.0, LARGE], a)),
                    2,
                    -1,
                )[1]
                + 7.0
            ),
            (7.0, LARGE, -LARGE),
        ),
        (
            lambda a: (
                affine(exact([[1.0]], a), exact([[0.0, -LARGE]], a), exact([0.0, LARGE], a))[:, 1:]
                + exact([[7.0]], a) * exact([1.0], a)
            ),
            (7.0, LARGE, -LARGE),
        ),
        # A query, which is the bias of the features.
        (
            lambda a: (
                np.matmul(exact([[[7.0]]], a), exact([[1.0]], a))
                + affine(exact([[1.0]], a), exact([[LARGE]], a), exact([-LARGE], a))[:, None, :]
            ),
            (7.0, LARGE, -LARGE),
        ),
    ],
)
def test_a_sum_that_is_written_in_parts_is_one_sum_in_any_order(oracle, terms):
    value = _in_float32(*terms)
    ball = oracle(FLOAT32)
    assert is_in(value, *np.ravel([ball.mid, ball.rad]))
    # Of a subject that adds a bias last it is known in which order.
    ball = oracle(FLOAT32._replace(bias_anywhere=False))
    assert not is_in(value, *np.ravel([ball.mid, ball.rad]))


def test_a_sum_that_is_written_in_parts_contains_every_order_of_its_terms():
    random, out_of_order = Random(0), 0
    last = FLOAT32._replace(bias_anywhere=False)

    def number():
        power = random.choice([-1.0, 1.0]) * 2.0 ** random.randint(-3, 25)
        return random.choice([power, 1 + 2.0**-23, float(np.float32(random.gauss(0, 1)))])

    def oracle(a, x, w, h, r, b, c):
        x, w, h, r = [exact([[value]], a) for value in (x, w, h, r)]
        gates = np.concatenate([w, w], axis=1), np.concatenate([r, r], axis=1)
        _, part = np.split(x @ gates[0] + h @ gates[1] + exact([1.0, b], a), 2, axis=-1)
        part = part + exact([c], a) * exact([x.mid[0, 0]], a)
        return part.mid.item(), part.rad.item()

    for _ in range(200):
        x, w, h, r, c = [number() for _ in range(5)]
        # Most of it cancels.
        b = float(np.float32(-x * w - h * r))
        ball, as_written = (oracle(a, x, w, h, r, b, c) for a in (FLOAT32, last))
        for _ in range(4):
            value = float(Machine(FLOAT32, random).total([(x, w), (h, r), b, (c, x)]))
            assert is_in(value, *ball)
            out_of_order += not is_in(value, *as_written)
    assert out_of_order > 8


def test_cells_add_what_is_in_their_gates_in_any_order():
    def state_of(cell, a, *more):
        kernel, bias = np.zeros((2, 4)), np.zeros(4)
        # The gates of the forget bias.
        kernel[0, 2], bias[2] = -1025.0, np.float32(1023.99994)
        cell.load([exact(array, a) for array in (kernel, bias, *more)])
        _, (c, _) = cell(exact([[1.0]], a), (exact([[1.0]], a), exact([[0.0]], a)))
        return c.mid[0, 0], c.rad[0, 0]

    # By a bias that has the forget bias, or the peephole, already: their sum is rounded to 1025.
    folded, half = 0.5, 1 / (1 + np.exp(2.0**-14))
    peepholes = np.float32([[1.0], [0.0], [0.0]])
    basic, full = BasicLSTMCell(1), LSTMCell(1, use_peepholes=True, forget_bias=0.0)
    for state in (state_of(basic, FLOAT32), state_of(full, FLOAT32, *peepholes)):
        assert is_in(folded, *state) and is_in(half, *state)
    last = FLOAT32._replace(bias_anywhere=False)
    for state in (state_of(basic, last), state_of(full, last, *peepholes)):
        assert not is_in(folded, *state) and is_in(half, *state)


def test_a_sum_that_goes_on_is_bounded_as_if_it_had_been_one_all_along():
    random = np.random.RandomState(0)
    x, w, h, r, b = [
        exact(random.standard_normal(shape).astype(np.float32), FLOAT32)
        for shape in ((3, 5), (5, 4), (3, 2), (2, 4), (4,))
    ]
    whole = affine(np.hstack([x, h]), np.vstack([w, r]), b)
    for parts in (x @ w + h @ r + b, x @ w + (h @ r + b), accumulate(x, w, h @ r, b)):
        np.testing.assert_allclose(parts.mid, whole.mid, rtol=0, atol=2.0**-48)
        np.testing.assert_allclose(parts.rad, whole.rad, rtol=2.0**-40)
    part = (x @ w + h @ r)[1:, None, ::-1][..., 1:] + b[2::-1]
    np.testing.assert_allclose(part.rad, whole.rad[1:, None, ::-1][..., 1:], rtol=2.0**-40)


def test_what_is_moved_of_a_sum_goes_on_as_the_whole_does():
    random = np.random.RandomState(0)
    x, w, b = [
        exact(random.standard_normal(shape).astype(np.float32), FLOAT32)
        for shape in ((2, 3, 4), (4, 2), (2,))
    ]
    # Of two products, one has a single column.
    for total in (np.matmul(x, w), x[0] @ w[:, :1] + x[0] @ w):
        whole, moved = total + b, total[..., ::-1, ::-1] + b[::-1]
        np.testing.assert_allclose(moved.mid, whole.mid[..., ::-1, ::-1], rtol=0, atol=2.0**-48)
        np.testing.assert_allclose(moved.rad, whole.rad[..., ::-1, ::-1], rtol=2.0**-40)


def test_a_sum_that_is_the_same_in_all_cases_goes_on_in_a_stack():
    a = FLOAT32
    x, w, y = exact([[0.1, 0.2]], a), exact([[1.0, 3.0], [2.0, 0.3]], a), exact([[0.7, 0.9]], a)
    bias = np.array([[0.1, 0.5], [0.2, -0.3], [7.0, 8.0]])
    for make in (lambda: x @ w, lambda: x @ w + y, lambda: (x @ w)[:, ::-1], lambda: x * y):
        together = make() + exact_stack(bias, a)
        for k, each in enumerate(bias):
            alone = make() + exact(each, a)
            assert together.shape == alone.shape
            np.testing.assert_allclose(together.mid[k], alone.mid, rtol=2.0**-48)
            np.testing.assert_allclose(together.rad[k], alone.rad, rtol=2.0**-40)


@pytest.mark.parametrize("beside", [1.0, 3e38, INF])
def test_what_overflows_in_another_case_changes_no_bound(beside):
    """Of products that are added to, or added up."""
    x, y = np.array([[0.3, 0.7], [beside, 0.7]]), np.array([[0.6, 1.1], [2.0, -1.1]])

    def oracles(x, y):
        return x * y + y, x * y - x, np.sum(x * y), np.sum(np.concatenate([x * y, y]))

    for bias_anywhere in (False, True):
        a = FLOAT32._replace(bias_anywhere=bias_anywhere)
        together = oracles(exact_stack(x, a), exact_stack(y, a))
        for of_stack, alone in zip(together, oracles(exact(x[0], a), exact(y[0], a))):
            np.testing.assert_allclose(of_stack.rad[0], alone.rad, rtol=2.0**-40)


def test_what_is_moved_in_no_rows_and_columns_is_added_as_it_is_written():
    x, w = exact([[1.0, 2.0]], FLOAT32), exact(np.eye(2), FLOAT32)
    for moved in (np.transpose(x @ w), np.roll(np.tile(x @ w, (2, 1)), 1)):
        result = moved + 1.0
        # A sum of two numbers that are no more than rounded.
        assert (result.rad <= 2.0**-24 * (np.abs(moved.mid) + 3)).all()
    assert ((x @ w)[0, 0] + 1.0).mid == 2


# --- products that are added before they are rounded ----------------------------------------------


@pytest.mark.parametrize("bias_anywhere", [False, True])
@pytest.mark.parametrize(
    "oracle",
    [
        lambda x, y, z: x * y + z,
        lambda x, y, z: z + y * x,
        lambda x, y, z: x * y - (-z),
        lambda x, y, z: -((-x) * y) + z,
        lambda x, y, z: np.reshape((x * y)[:, None], (2,))[::-1] + z[::-1],
        lambda x, y, z: np.sum(np.stack([x * y, z]), axis=0),
        lambda x, y, z: np.sum(np.stack([x, z], 1) * np.stack([y, np.ones(2)], 1), axis=1),
        lambda x, y, z: accumulate(np.zeros((2, 1)), y[:1, None], x * y, z),
    ],
)
def test_a_product_that_overflows_may_be_added_to_before_it_is_rounded(oracle, bias_anywhere):
    a = FLOAT32._replace(bias_anywhere=bias_anywhere)
    huge = 1.5 * 2.0**127

    def ball(*numbers):
        balls = oracle(*[exact([number] * 2, a) for number in numbers])
        return balls.mid.flat[0], balls.rad.flat[0]

    # Fused, it is finite, or the other infinity.
    assert is_in(huge * 2 - 1.9 * 2.0**127, *ball(huge, 2.0, -1.9 * 2.0**127))
    assert is_in(-INF, *ball(huge, 2.0, -INF)) and is_in(NAN, *ball(huge, 2.0, -INF))
    # Where it is infinite either way, that is known.
    assert ball(huge, 2.0, 1.0) == ball(huge, 2.0**20, -3.0) == (INF, 0)
    assert ball(huge, 2.0, INF) == ball(INF, 2.0, -huge) == (INF, 0)
    assert np.isnan(ball(huge, 2.0, NAN)[0]) and np.isnan(ball(INF, 2.0, -INF)[0])


# --- operands of fewer bits ---------------------------------------------------------------------

TF32 = arithmetic("float32", operand_bits=11)
# The distance of neighbours from 1 on.
SPACING = 2.0**-10


@pytest.mark.parametrize(
    "number, rad, read",
    [
        (1 + 0.3 * SPACING, 0.0, 1.0),
        (1 + 0.3 * SPACING, 0.0, 1 + SPACING),
        # The number is just below the middle of its ball, and is cut off.
        (1 + SPACING, 2.0**-23, 1.0),
        (1 - SPACING / 2, 2.0**-24, 1 - SPACING),
        (2.0**-126 * 0.3, 0.0, 2.0**-126 * 0.3 * (1 - 2.0**-9)),
    ],
)
def test_an_operand_may_be_either_neighbour(number, rad, read):
    operand = BoundedArray(np.array([number]), np.array([rad]) if rad else None, TF32)
    for result in (np.matmul(operand, exact([[1.0]], TF32)), np.dot([1.0], operand[:, None])):
        assert is_in(read, result.mid[0], result.rad[0])
        assert result.rad[0] <= 1.01 * (SPACING + rad + 2.0**-23)


def test_an_operand_that_is_rounded_to_the_nearest_is_off_by_half_of_that():
    nearest = arithmetic("float32", operand_bits=11, operands_to_nearest=True)
    for offset in (0.3, 0.5, 0.8):
        result = np.matmul(exact([1 + offset * SPACING], nearest), exact([[1.0]], nearest))
        off = min(offset, 1 - offset) * SPACING
        assert off <= result.rad[0] <= off + 2.0**-22


def test_operands_that_have_no_more_bits_lose_nothing():
    x, w = [3.0, 1 + SPACING, -0.125], [[0.75], [1 - SPACING / 2], [2.0**90]]
    plain, of_fewer = (np.matmul(exact(x, a), exact(w, a)) for a in (FLOAT32, TF32))
    assert plain.rad[0] < of_fewer.rad[0] <= 2.1 * plain.rad[0]


def test_an_addition_in_a_matrix_product_may_cut_off_an_ulp():
    """As tensor cores do; elsewhere it is rounded."""
    x, ones = [1.0, 2.0**-23 * (1 - SPACING)], np.ones((2, 1))
    result, plain = (np.matmul(exact(x, a), exact(ones, a)) for a in (TF32, FLOAT32))
    assert is_in(1.0, result.mid[0], result.rad[0])
    assert not is_in(1.0, plain.mid[0], plain.rad[0])
    total = np.sum(exact(x, TF32))
    assert not is_in(1.0, float(total.mid), float(total.rad))


def test_an_operand_may_overflow_where_it_is_rounded_up():
    for number in (TF32.largest, -TF32.largest):
        assert np.matmul(exact([number], TF32), exact([[2.0**-9]], TF32)).rad == INF
    largest = TF32.largest_operand
    assert largest == float(np.float32(2.0**127 * (2 - SPACING)))
    assert np.matmul(exact([largest], TF32), exact([[2.0**-9]], TF32)).rad < 2.0**97
    for number in (INF, -INF):
        assert np.matmul(exact([number], TF32), exact([[2.0]], TF32)).mid == number


def test_products_that_are_rounded_apart_before_they_are_added_are_in_an_accumulated_sum():
    half = arithmetic("float16", sums="float32")
    inputs, kernel = np.float16([[-1.168, 1.0]]), np.float16([[-7.0], [-8.0]])
    ball = accumulate(exact(inputs, half), exact(kernel, half))
    apart = np.float16(float(inputs[0, 0]) * -7.0) - np.float16(8.0)
    assert np.abs(ball.mid[0, 0] - float(apart)) <= ball.rad[0, 0]
    # It is farther off than one rounding.
    together = exact(inputs, half) @ exact(kernel, half)
    assert np.abs(together.mid[0, 0] - float(apart)) > 10 * together.rad[0, 0]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, None])
@pytest.mark.parametrize("function", [np.sum, np.mean])
def test_a_sum_is_special_where_its_own_terms_are(function, axis):
    x = np.ones((2, 3, 4))
    x[0, 1, 2], x[1, 2, 0], x[1, 0, 3], x[0, 0, 0], x[0, 2, 0] = INF, NAN, -INF, INF, -INF
    right = function(x, axis=axis)
    alone = function(exact(x, FLOAT32), axis=axis)
    of_stack = function(exact_stack([x, x[::-1], np.ones_like(x)], FLOAT32), axis=axis)
    for mid, rad in ((alone.mid, alone.rad), (of_stack.mid[0], of_stack.rad[0])):
        special = ~np.isfinite(right)
        np.testing.assert_array_equal(mid[special], right[special])
        assert not rad[special].any()
        assert (np.abs(mid - right)[~special] <= rad[~special]).all()
        assert (rad[~special] < 1e-5).all()
    assert np.isfinite(of_stack.mid[2]).all()


@pytest.mark.parametrize("count", [2, 8, 100])
def test_of_a_mean_each_element_may_be_rounded_twice(count):
    ball = np.mean(BoundedArray(np.full(count, 1.5), np.zeros(count), FLOAT32))
    # By a reciprocal that is rounded, and the product; then all but one of them are added. Or they
    # are added first. The bound has room for both.
    roundings = ball.rad / (1.5 * FLOAT32.unit)
    assert count + 1 <= roundings < count + 3.5


@pytest.mark.parametrize("count", [2, 16, 100])
def test_of_a_sum_of_balls_around_zero_each_addition_errs_once(count):
    ball = np.sum(BoundedArray(np.zeros(count), np.ones(count), FLOAT32))
    assert count - 1 <= (ball.rad / count - 1) / FLOAT32.unit < count
    # In float64 the midpoint and the radius err in each addition, too.
    a = arithmetic("float64")
    ball = np.sum(BoundedArray(np.zeros(count), np.ones(count), a))
    assert 3 * (count - 1) <= (ball.rad / count - 1) / a.unit < 8 * count + 32


def test_a_sum_of_one_element_is_that_element():
    for a in (FLOAT32, arithmetic("float64")):
        ball = np.sum(exact([[1.3], [-2.0]], a), axis=1)
        assert (0 < ball.rad).all() and (ball.rad < 32 * a.unit**2).all()


def test_a_product_is_refused_that_is_none_of_rows_and_a_matrix():
    row, matrix = exact([1.0, 2.0], FLOAT32), exact(np.eye(2), FLOAT32)
    stack_of_rows = exact_stack([[1.0, 2.0]], FLOAT32)
    for a, b in ((matrix, row), (matrix, matrix[None]), (row[0], matrix), (stack_of_rows, matrix)):
        with pytest.raises(OracleError, match="no bound is known for a product of"):
            np.matmul(a, b)
