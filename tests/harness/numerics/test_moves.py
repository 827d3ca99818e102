"""What only moves elements does to balls what NumPy does to numbers, and keeps what they are of."""

import numpy as np
import pytest
from ball_examples import FLOAT32

from rnndiff.harness.numerics import BoundedArray, exact
from rnndiff.harness.numerics.containment import stack_of

# Calls with two arrays of two rows and three columns; a ball may come second, too.
CALLS = {
    "hstack": lambda x, y: np.hstack([x, y]),
    "hstack of rows": lambda x, y: np.hstack([x[0], y[1]]),
    "hstack of numbers": lambda x, y: np.hstack([x[0, 1], y[1, 2], x[1, 1]]),
    "hstack of one": lambda x, y: np.hstack([x]),
    "hstack beside a list": lambda x, y: np.hstack([[[5.0], [6.0]], x]),
    "vstack": lambda x, y: np.vstack([x, y]),
    "vstack of rows": lambda x, y: np.vstack([x[0], y]),
    "vstack of numbers": lambda x, y: np.vstack([x[0, 1], y[1, 2]]),
    "vstack beside a list": lambda x, y: np.vstack([[5.0, 6.0, 7.0], x]),
    "stack": lambda x, y: np.stack([x, y]),
    "stack of one": lambda x, y: np.stack([x], axis=-2),
    "stack along 1": lambda x, y: np.stack([x, y], axis=1),
    "stack along 2": lambda x, y: np.stack([x, y], axis=2),
    "stack along -1": lambda x, y: np.stack([x, y], axis=-1),
    "stack along -2": lambda x, y: np.stack([x, y], axis=-2),
    "stack along -3": lambda x, y: np.stack([x, y], axis=-3),
    "stack beside a list": lambda x, y: np.stack([[[5.0, 6.0, 7.0]] * 2, x], axis=-1),
    "concatenate": lambda x, y: np.concatenate([x, y]),
    "concatenate along -1": lambda x, y: np.concatenate([x, y, x], axis=-1),
    "concatenate along -2": lambda x, y: np.concatenate([x, y, x], axis=-2),
    "reshape": lambda x, y: np.reshape(x, (3, 2)),
    "reshape by a list": lambda x, y: np.reshape(x, [3, 2, 1]),
    "reshape to a row": lambda x, y: np.reshape(x, 6),
    "split": lambda x, y: np.split(x, [1, 2], axis=1)[1],
    "take": lambda x, y: np.take(x, [5, 0]),
}


def drawn(seed, exactly):
    random = np.random.RandomState(seed)
    mid, rad = random.standard_normal((2, 3)), None if exactly else random.uniform(1, 2, (2, 3))
    return BoundedArray(mid, rad, FLOAT32)


@pytest.mark.parametrize("exactly", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("call", CALLS)
def test_balls_are_moved_as_numpy_moves_numbers(call, exactly):
    move = CALLS[call]
    x, y = (drawn(k, each) for k, each in enumerate(exactly))
    result = move(x, y)
    mid, rad = move(x.mid, y.mid), move(x.rad, y.rad)
    np.testing.assert_array_equal(result.mid, mid)
    # Of numbers that a call has of its own there is no radius.
    np.testing.assert_array_equal(result.rad, np.where(rad >= 5.0, 0.0, rad))
    assert result.exact or not all(exactly)
    for count in (1, 3):
        others = [drawn(k, exactly[0]) for k in range(count)]
        of_stack = move(stack_of(others), y)
        for k, other in enumerate(others):
            alone = move(other, y)
            assert of_stack.shape == alone.shape
            np.testing.assert_array_equal(of_stack.mid[k], alone.mid)
            np.testing.assert_array_equal(of_stack.rad[k], alone.rad)


def test_a_product_that_is_moved_is_still_added_to_as_one_sum():
    x, w, bias = drawn(0, False), drawn(1, True), drawn(2, False)[:, :2]
    product = np.matmul(x, w.mid.T)
    wanted = product + bias
    rounded_apart = BoundedArray(product.mid, product.rad, FLOAT32) + bias
    assert (wanted.rad != rounded_apart.rad).all()
    found = np.reshape(product, (1, 2, 2)) + np.reshape(bias, (1, 2, 2))
    np.testing.assert_allclose(found.rad[0], wanted.rad, rtol=1e-12)
    found = np.flip(product, axis=0) + np.flip(bias, axis=0)
    np.testing.assert_allclose(found.rad, wanted.rad[::-1], rtol=1e-12)
    found = -product - bias
    np.testing.assert_allclose(-found.mid, wanted.mid, rtol=1e-12)
    # Absolute values are none, though they are where they were.
    found = np.absolute(product) + bias
    np.testing.assert_allclose(found.mid, np.abs(product.mid) + bias.mid, rtol=1e-12)


def test_products_that_overflow_may_be_added_to_before_they_are_rounded_where_they_were_joined():
    x = exact([2e38, 2e38, 1.0], FLOAT32)
    products, others = x * [2.0, 1.0, 2.0], x * [-2.0, 0.5, 1.0]
    addend = exact([-2.5e38, 1.0, 1.0], FLOAT32)
    for parts in ([products, others], [others, products], [products, exact([1.0], FLOAT32)]):
        found = np.concatenate(parts) + np.concatenate([addend, addend])[: sum(map(len, parts))]
        wanted = [part + addend[: len(part)] for part in parts]
        np.testing.assert_array_equal(found.mid, np.concatenate([part.mid for part in wanted]))
        np.testing.assert_array_equal(found.rad, np.concatenate([part.rad for part in wanted]))
    # The first of them is infinite if it is rounded before it is added to.
    apart = BoundedArray(products.mid, products.rad, FLOAT32) + addend
    assert np.isinf(apart.mid[0]) != np.isinf((products + addend).mid[0])
