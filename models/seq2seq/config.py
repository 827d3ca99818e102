"""Sizes and parameter layout of the encoder-decoder."""

from dataclasses import dataclass
from typing import Any, Dict, Tuple

from rnndiff.models.cells.kinds import PLAIN, Kind, class_of
from rnndiff.models.decoding import Decoding, decoder_step, decoder_time
from rnndiff.models.layout import (
    CLASS,
    ROW,
    STATE,
    STEP,
    TOKEN,
    Field,
    Traced,
    check_sizes,
    judged,
    kernel_and_bias,
    size,
    sizes_of,
)


@dataclass(frozen=True)
class Config:
    """The sizes of one encoder-decoder, and of its cells, of which the article has the plain one.

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
    open_batch : bool
        Whether TensorFlow's graph has a batch of None, so that it takes any number of rows. No
        number depends on it.
    """

    kind = PLAIN

    batch: int = size("row", 3, least=0, large=8)
    time: int = size("step", 4)
    output_time: int = size("token", 3)
    inputs: int = size("input", 3, least=0)
    outputs: int = size("class", 4)
    num_units: int = size("unit", 4, least=0)
    open_batch: bool = False

    def __post_init__(self):
        check_sizes(self)

    def sizes(self) -> Dict[str, int]:
        """The size of every axis."""
        return sizes_of(self)


@dataclass(frozen=True)
class AnyConfig(Decoding, Config):
    """The same with cells of any kind, and what the decoder is fed.

    Parameters
    ----------
    start_token, feeds
        See :class:`rnndiff.models.decoding.Decoding`.
    """

    def sizes(self) -> Dict[str, int]:
        """The size of every axis."""
        return dict(sizes_of(self), tokens=1 + decoder_time(self))


# What the article has.
ARTICLE = dict(batch=1, time=7, output_time=4, inputs=12, outputs=12, num_units=128)

DATA = (
    Field("inputs", (("batch",), ("time",), ("inputs",))),
    Field("labels", (("batch",), ("output_time",), ("outputs",))),
)


def config_of(kind: Kind) -> Any:
    """The class of the configs with cells of this kind."""
    return Config if kind is PLAIN else class_of(kind, AnyConfig)


def data_of(kind: Kind) -> Tuple[Field, ...]:
    """Inputs and labels."""
    return DATA


def trace_of(kind: Kind) -> Tuple[Traced, ...]:
    """The states of all steps, the tokens that are fed back, and what is made of the scores."""
    return (
        *kind.traced("encoder_states", ROW, STEP, role=STATE),
        *kind.traced("decoder_states", ROW, decoder_step(kind), role=STATE),
        Traced("fed_back", (ROW, decoder_step(kind), CLASS)),
        *judged(ROW, TOKEN),
    )


def parameters(config: Config) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    encoder, projection, decoder = parts(config)
    return encoder + projection + decoder


def parts(config: Config) -> Tuple[Tuple[Field, ...], ...]:
    """The parameters of the encoder, of the projection, and of the decoder, if it ever runs."""
    kind = config.kind
    return (
        kind.parameters(config, "encoder", ("inputs",)),
        kernel_and_bias("projection", (kind.output,), "outputs"),
        kind.parameters(config, "decoder", ("outputs",)) if decoder_time(config) else (),
    )
