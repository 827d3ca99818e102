"""Sizes and parameter layout of the encoder-decoder."""

from dataclasses import dataclass
from typing import Dict, Tuple

from rnndiff.models.layout import (
    CLASS,
    FED_BACK,
    ROW,
    STATE,
    STEP,
    TOKEN,
    UNIT,
    Field,
    Traced,
    check_sizes,
    judged,
    linear,
    rnn_cell,
    size,
)


@dataclass(frozen=True)
class Config:
    """The sizes of one encoder-decoder.

    Parameters
    ----------
    batch : int
        Rows. Rows, inputs and units are 0 and up, all other sizes 1 and up.
    time : int
        Steps that the encoder reads.
    output_time : int
        Tokens that are written: one by the encoder's last state, the others by the decoder. With
        one token the decoder never runs, and TensorFlow never creates its parameters.
    inputs, outputs : int
        Size of an input row and of a token's one-hot row.
    num_units : int
        Size of the states.
    """

    batch: int = size("row", 3, least=0, large=8)
    time: int = size("step", 4)
    output_time: int = size("token", 3)
    inputs: int = size("input", 3, least=0)
    outputs: int = size("class", 4)
    num_units: int = size("unit", 4, least=0)

    def __post_init__(self):
        check_sizes(self)

    def sizes(self) -> Dict[str, int]:
        """The size of every axis."""
        return dict(vars(self))


ARTICLE = Config(batch=1, time=7, output_time=4, inputs=12, outputs=12, num_units=128)

DATA = (
    Field("inputs", (("batch",), ("time",), ("inputs",))),
    Field("labels", (("batch",), ("output_time",), ("outputs",))),
)

TRACE = (
    Traced("encoder_states", (ROW, STEP, UNIT), STATE),
    Traced("decoder_states", (ROW, FED_BACK, UNIT), STATE),
    Traced("fed_back", (ROW, FED_BACK, CLASS)),
) + judged(ROW, TOKEN)


def parameters(config: Config) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    encoder = rnn_cell("encoder", "inputs")
    projection = linear("projection", ("num_units",), "outputs")
    decoder = rnn_cell("decoder", "outputs") if config.output_time > 1 else ()
    return encoder + projection + decoder
