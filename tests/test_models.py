"""Every model: TensorFlow against the oracle, element by element."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnndiff.models import MODELS
from rnndiff.strategies import REGIMES, batches


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
def test_tensorflow_agrees_with_the_oracle_within_rounding_error(model, regime, data, check):
    check(data.draw(batches(model, regime), label="cases"))
