"""What the decoder of an encoder-decoder is fed: that of the article, or as people's ports do."""

from dataclasses import dataclass
from typing import Any, Optional, Tuple

import numpy as np

from rnndiff.models.cells.kinds import PLAIN, Kind
from rnndiff.models.functions import one_hot, softmax
from rnndiff.models.layout import FED_BACK, Part, option


@dataclass(frozen=True)
class Decoding:
    """What configs say of it; the article's have none of these, and are as by default.

    Parameters
    ----------
    start_token : str, optional
        What the decoder is fed at its first step: zeros, or the one-hot row of a class. Then it
        writes all tokens; by default the encoder writes the first one, which is fed instead.
    feeds : str
        What is fed back of the scores of a token.
    """

    start_token: Optional[str] = option(None, "zeros", "first class", "last class")
    feeds: str = option("one-hots", "scores", "probabilities")


def decoder_time(config: Any) -> int:
    """How many steps the decoder takes."""
    time: int = config.output_time
    return time - (getattr(config, "start_token", None) is None)


def decoder_step(kind: Kind) -> Tuple[Part, ...]:
    """The axis of those steps, one less than tokens, of models with cells of this kind."""
    return FED_BACK if kind is PLAIN else (Part("step", "tokens", less=1),)


def first_token(config: Any, dtype: Any) -> Optional[np.ndarray]:
    """The start token of each row [batch, outputs], or None."""
    token = getattr(config, "start_token", None)
    if token is None:
        return None
    rows = np.zeros((config.batch, config.outputs), dtype)
    if token != "zeros":
        rows[:, 0 if token == "first class" else -1] = 1
    return rows


def next_token(config: Any, scores: Any, prediction: Any) -> Any:
    """What is fed back of scores [batch, outputs], of which the arg max is the prediction."""
    feeds = getattr(config, "feeds", "one-hots")
    if feeds == "scores":
        return scores
    if feeds == "probabilities":
        return softmax(scores)
    return one_hot(prediction, config.outputs, scores.dtype)
