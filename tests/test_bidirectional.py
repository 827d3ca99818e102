"""The bidirectional RNN: TensorFlow against the oracle, element by element."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cases.regimes import REGIMES
from harness.cases.strategies import batches
from models import MODELS

MODEL = MODELS["bidirectional"]


@pytest.mark.parametrize("regime", REGIMES)
@given(data=st.data())
def test_tensorflow_agrees_with_the_oracle_within_rounding_error(regime, data, check):
    check(data.draw(batches(MODEL, regime), label="cases"))
