"""What the decoder is fed: a start token, and what is made of the scores of the token before."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.models import MODELS
from rnndiff.models.cells.kinds import KINDS, PLAIN
from rnndiff.models.decoding import Decoding, decoder_step
from rnndiff.models.layout import FED_BACK, choices_of

SIZES = dict(batch=2, time=2, output_time=3, inputs=2, outputs=3, num_units=4)
NAMES = ["seq2seq-basic", "attention-basic"]
every_model = pytest.mark.parametrize("name", NAMES)


def with_options(name, **options):
    """A case of two rows, three tokens and three classes."""
    model = MODELS[name]
    sizes = SIZES
    if name.startswith("attention"):
        sizes = dict(SIZES, attn_length=2)
    return normal_case(np.random.RandomState(0), model, model.Config(**dict(sizes, **options)))


@every_model
@pytest.mark.parametrize(
    "token, row",
    [("zeros", [0, 0, 0]), ("first class", [1, 0, 0]), ("last class", [0, 0, 1])],
)
def test_the_decoder_is_fed_the_start_token_first_and_writes_every_token(name, token, row):
    trace = with_options(name, start_token=token).oracle(np.float64)
    assert trace["fed_back"][:, 0].tolist() == [row, row]
    states = trace["decoder_states_h"]
    assert states.shape[1] == trace["fed_back"].shape[1] == trace["scores"].shape[1] == 3
    one_hots = np.eye(3)[trace["predictions"][:, :-1]]
    assert np.array_equal(trace["fed_back"][:, 1:], one_hots)


@every_model
@pytest.mark.parametrize("token", [None, "zeros"])
def test_scores_or_probabilities_are_fed_back_as_they_are(name, token):
    for feeds in ("scores", "probabilities"):
        trace = with_options(name, feeds=feeds, start_token=token).oracle(np.float64)
        fed_back = trace["fed_back"] if token is None else trace["fed_back"][:, 1:]
        np.testing.assert_allclose(fed_back, trace[feeds][:, :-1], rtol=1e-14)


@pytest.mark.parametrize("family", ["seq2seq", "attention"])
def test_by_default_the_decoder_is_fed_as_that_of_the_article(family):
    case, article = with_options(family + "-basic"), MODELS[family]
    sizes = {name: x for name, x in vars(case.config).items() if hasattr(article.article, name)}
    found = case.oracle(np.float32)
    expected = Case(article, article.Config(**sizes), case.arrays).oracle(np.float32)
    assert {name.replace("states_h", "states"): x.tobytes() for name, x in found.items()} == {
        name: x.tobytes() for name, x in expected.items()
    }


@every_model
def test_with_one_token_the_decoder_has_parameters_if_there_is_a_start_token(name):
    model = MODELS[name]
    for token in choices_of(model.Config, "start_token"):
        case = with_options(name, output_time=1, start_token=token)
        scopes = {field.name.split("/")[0] for field in model.parameters(case.config)}
        assert ("decoder" in scopes) == (token is not None)
        assert case.oracle(np.float32)["fed_back"].shape == (2, int(token is not None), 3)


def test_what_configs_say_of_it_can_not_be_changed():
    with pytest.raises(FrozenInstanceError):
        Decoding().feeds = "scores"


def test_only_the_articles_decoder_counts_its_steps_in_what_is_fed_back():
    assert decoder_step(PLAIN) is FED_BACK
    assert [tuple(part[:3]) for part in decoder_step(KINDS["gru"])] == [("step", "tokens", 1)]
