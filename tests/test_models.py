"""Every model: TensorFlow against the oracle, element by element."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnndiff.models import ARTICLE, MODELS
from rnndiff.strategies import REGIMES, batches

OTHERS = [name for name in MODELS if name not in ARTICLE]
# A graph of many cells takes seconds to build, so of these one kind has to do.
STACKS = [name for name in OTHERS if MODELS[name].family == "stackbirnn"]
SLOW = set(STACKS + ["birnn-dropout-lstm"]) - {"stackbirnn-lstm"}
MOST_USED = [name for name in OTHERS if name.partition("-")[2] in ("lstm", "gru")]


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("model", ARTICLE)
@given(data=st.data())
def test_tensorflow_agrees_with_the_oracle_within_rounding_error(model, regime, data, check):
    check(data.draw(batches(model, regime), label="cases"))


@pytest.mark.parametrize(
    "model", [pytest.param(x, marks=pytest.mark.slow if x in SLOW else ()) for x in OTHERS]
)
@settings(max_examples=max(1, settings().max_examples // 5))
@given(data=st.data())
def test_tensorflows_cells_agree_with_the_oracle(model, data, subject, check):
    skip_if_not_supported(subject, model)
    check(data.draw(batches(model), label="cases"))


@pytest.mark.slow
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("model", MOST_USED)
@given(data=st.data())
def test_tensorflows_cells_agree_with_the_oracle_in_all_regimes(
    model, regime, data, subject, check
):
    skip_if_not_supported(subject, model)
    check(data.draw(batches(model, regime), label="cases"))


def skip_if_not_supported(subject, model):
    if not subject.supports(MODELS[model], MODELS[model].article):
        pytest.skip("{} has no such cell".format(subject.title))
