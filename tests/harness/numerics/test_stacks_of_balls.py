"""A stack is what each of its arrays is, with whatever stands beside it."""

import numpy as np
import pytest
from ball_examples import BALL, FLOAT32

from rnndiff.harness.numerics import BoundedArray, exact
from rnndiff.harness.numerics.containment import stack_of


def drawn(shape, seed=0, exactly=False):
    """Balls around whole numbers, whose sums are exact."""
    random = np.random.RandomState(seed)
    mid = random.randint(-9, 10, shape).astype(float)
    return BoundedArray(mid, None if exactly else random.randint(1, 5, shape) / 8.0, FLOAT32)


def assert_of_each(result, cases):
    """That a result on a stack is, of each case, what is given."""
    for k, case in enumerate(cases):
        assert result.shape == case.shape
        np.testing.assert_array_equal(result.mid[k], case.mid)
        np.testing.assert_allclose(result.rad[k], case.rad, rtol=1e-9)


BESIDE = {
    "a row": drawn((3,), 7),
    "a matrix": drawn((2, 3), 8),
    "more axes": drawn((2, 2, 3), 9),
    "exact numbers": exact([1.0, -2.0, 0.5], FLOAT32),
    "a number": 0.1,
    "a product": np.matmul(drawn((2, 2), 10), drawn((2, 3), 11)),
    "a part of a product": np.matmul(drawn((3, 2), 10), drawn((2, 3), 11))[1:],
    "a product and a bias": np.matmul(drawn((2, 2), 10), drawn((2, 3), 11)) + drawn((3,), 12),
}


@pytest.mark.parametrize("operation", [np.add, np.multiply, np.maximum, np.less])
@pytest.mark.parametrize("exactly", [False, True])
@pytest.mark.parametrize("beside", BESIDE)
def test_what_stands_beside_a_stack_is_the_same_in_every_case(operation, beside, exactly):
    other = BESIDE[beside]
    # As many cases as there are rows, and as many of a single number.
    for shape, count in (((2, 3), 3), ((2, 3), 2), ((3,), 2), ((), 2), ((), 1)):
        cases = [drawn(shape, k, exactly) for k in range(count)]
        assert_of_each(operation(stack_of(cases), other), [operation(x, other) for x in cases])
        assert_of_each(operation(other, stack_of(cases)), [operation(other, x) for x in cases])


@pytest.mark.parametrize("exactly", [False, True])
def test_a_stack_has_axes_in_front_as_each_case_would(exactly):
    rows, matrices, more = ([drawn(s, k) for k in range(2)] for s in ((3,), (2, 3), (4, 2, 3)))
    numbers = [drawn((), k, exactly) for k in range(2)]
    weights = stack_of([drawn((3,), k, exactly) for k in range(2)])
    # The same stack beside ever more axes, and fewer again.
    for others in (rows, matrices, more, matrices, numbers):
        of_each = [x * y for x, y in zip([drawn((3,), k, exactly) for k in range(2)], others)]
        assert_of_each(weights * stack_of(others), of_each)


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, -2, -3])
def test_an_axis_of_a_stack_is_that_of_each_case(axis):
    cases = [drawn((2, 3, 4), k) for k in range(3)]
    for function in (np.sum, np.max):
        result = function(stack_of(cases), axis=axis)
        assert_of_each(result, [function(x, axis=axis) for x in cases])
    if axis is not None:
        result = np.concatenate([stack_of(cases), cases[0]], axis=axis)
        assert_of_each(result, [np.concatenate([x, cases[0]], axis=axis) for x in cases])


@pytest.mark.parametrize(
    "index",
    [[1, 0], np.array([1]), (slice(None), [0, 2]), ([1, 0], slice(None), [0, 3]), (..., [[0, 1]])],
    ids=str,
)
def test_an_index_of_a_stack_by_arrays_is_that_of_each_case(index):
    cases = [drawn((2, 3, 4), k) for k in range(3)]
    assert_of_each(stack_of(cases)[index], [x[index] for x in cases])
    np.testing.assert_array_equal(cases[0][index].mid, cases[0].mid[index])


def test_there_are_as_many_rows_as_in_each_case():
    assert len(BALL) == 1 and len(stack_of([BALL] * 3)) == 1
    assert [row.shape for row in stack_of([drawn((2, 3))] * 4)] == [(3,)] * 2


@pytest.mark.parametrize("shape", [(2, 0), (0,)])
def test_no_numbers_reach_nowhere(shape):
    assert exact(np.zeros(shape), FLOAT32).reach() == 0
