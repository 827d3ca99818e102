"""What is dropped is decided bit for bit, or where rounding decides, either way."""

import numpy as np
import pytest

from rnndiff.harness.cases.case import PRECISIONS
from rnndiff.harness.cases.regimes import noise_of
from rnndiff.harness.numerics import arithmetic, exact
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.models.cells.kinds import KEEP_PROBS
from rnndiff.models.functions import dropout_mask

FLOAT32 = arithmetic("float32")
each_precision = pytest.mark.parametrize("precision", PRECISIONS)
each_prob = pytest.mark.parametrize("keep_prob", [prob for prob in KEEP_PROBS if prob < 1])


@each_precision
@each_prob
def test_noise_that_is_drawn_is_decided_and_keeps_and_drops(keep_prob, precision):
    noise, keep_prob = noise_of(precision), precision_of(precision).rounded(keep_prob)
    mask = np.floor(precision_of(precision).rounded(keep_prob + noise))
    ball = dropout_mask(float(keep_prob), exact(noise, arithmetic(precision)))
    # Of sums so near to 1 the bounds, which are computed in float64, know no better than it.
    unsure = (precision == "float64") & (np.abs(keep_prob + noise - 1) < 2.0**-52)
    assert np.array_equal(ball.mid[~unsure], mask[~unsure]) and not ball.rad[~unsure].any()
    assert np.count_nonzero(unsure) <= 3 and set(mask) == {0.0, 1.0}


@each_precision
@each_prob
def test_noise_is_drawn_at_the_edge_of_a_mask_and_one_step_below(keep_prob, precision):
    noise, held = noise_of(precision), precision_of(precision)
    step, edge = held.eps, 1 - float(held.rounded(keep_prob))
    least = np.floor(edge / step) * step
    assert {least - step, least, least + step} <= set(noise.astype("f8").tolist())
    assert np.array_equal(noise.astype("f8") / step % 1, np.zeros(256))
    assert noise.dtype == held.dtype and noise.max() == 1 - step


def test_where_rounding_decides_a_mask_is_both():
    edge = 0.5
    noise = np.float32([edge - 2.0**-25, edge - 2.0**-24, edge, edge + 2.0**-24])
    ball = dropout_mask(0.5, exact(noise, FLOAT32))
    assert (np.float32(0.5) + noise).tolist() == [1.0, 1 - 2.0**-24, 1.0, 1.0]
    assert (ball.mid - ball.rad).tolist() == [0, 0, 1, 1]
    assert (ball.mid + ball.rad).tolist() == [1, 0, 1, 1]
