"""What is dropped is decided bit for bit, or where rounding decides, either way."""

import numpy as np
import pytest

from rnndiff.harness.cases.regimes import NOISE
from rnndiff.harness.numerics import arithmetic, exact
from rnndiff.models.cells.kinds import KEEP_PROBS
from rnndiff.models.functions import dropout_mask

FLOAT32 = arithmetic("float32")
each_prob = pytest.mark.parametrize("keep_prob", [prob for prob in KEEP_PROBS if prob < 1])


@each_prob
def test_noise_that_is_drawn_is_decided_and_keeps_and_drops(keep_prob):
    mask = np.floor(np.float32(keep_prob) + NOISE)
    ball = dropout_mask(keep_prob, exact(NOISE, FLOAT32))
    assert ball.exact and np.array_equal(ball.mid, mask)
    assert set(mask) == {0.0, 1.0}


@each_prob
def test_noise_is_drawn_at_the_edge_of_a_mask_and_one_step_below(keep_prob):
    sums = np.float32(keep_prob) + NOISE
    assert {1.0, 1 - 2.0**-23} <= set(sums.tolist())
    assert np.array_equal(NOISE * 2**23 % 1, np.zeros(256))


def test_where_rounding_decides_a_mask_is_both():
    edge = 0.5
    noise = np.float32([edge - 2.0**-25, edge - 2.0**-24, edge, edge + 2.0**-24])
    ball = dropout_mask(0.5, exact(noise, FLOAT32))
    assert (np.float32(0.5) + noise).tolist() == [1.0, 1 - 2.0**-24, 1.0, 1.0]
    assert (ball.mid - ball.rad).tolist() == [0, 0, 1, 1]
    assert (ball.mid + ball.rad).tolist() == [1, 0, 1, 1]
