"""Sizes and parameter layout of the encoder-decoder with attention."""

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from rnndiff.models.cells import AttentionCellWrapper
from rnndiff.models.cells.kinds import PLAIN, Kind, class_of
from rnndiff.models.decoding import Decoding, decoder_step, decoder_time
from rnndiff.models.layout import (
    CLASS,
    COPY,
    ROW,
    STATE,
    STEP,
    TOKEN,
    Field,
    Part,
    Traced,
    check_sizes,
    judged,
    kernel_and_bias,
    optional_size,
    size,
    sizes_in,
)

_STEPS = (17, 29, 33)


@dataclass(frozen=True)
class AnyConfig:
    """The sizes of one encoder-decoder with attention, and of its cells.

    Parameters
    ----------
    batch : int
        Rows. Rows, inputs and units are 0 and up, all other sizes 1 and up.
    time, output_time : int
        Steps that the encoder reads, and tokens that are written. With one token the decoder never
        runs, and TensorFlow never creates its parameters.
    inputs, outputs : int
        Size of an input row and of a token's one-hot row.
    num_units : int
        Size of the inner cell's state.
    attn_length : int
        Slots of the window.
    attn_size, attn_vec_size, input_size : int, optional
        Size of a slot (by default that of an output of the inner cell), of the scored features (by
        default `attn_size`) and of what the inner cell reads (by default its input's size).
    open_batch : bool
        Whether TensorFlow's graph has a batch of None, so that it takes any number of rows. No
        number depends on it.
    """

    kind = PLAIN

    batch: int = size("row", 3, least=0, large=8)
    # A graph takes 60 ms to build for each.
    time: int = size("step", 4, kernels=_STEPS)
    output_time: int = size("token", 3, kernels=_STEPS)
    inputs: int = size("input", 3, least=0)
    outputs: int = size("class", 4)
    num_units: int = size("unit", 4, least=0)
    attn_length: int = size("slot", 3)
    # By default as large as what they follow, which is no larger than this.
    attn_size: Optional[int] = optional_size("unit", 5, follows="num_units")
    attn_vec_size: Optional[int] = optional_size("feature", 5, follows="attn_size")
    input_size: Optional[int] = optional_size("input", 4)
    open_batch: bool = False

    def __post_init__(self):
        check_sizes(self)

    def sizes(self) -> Dict[str, int]:
        """The size of every axis, defaults filled in."""
        sizes = {name: getattr(self, name) for name in sizes_in(self)}
        if sizes.get("num_proj", 0) is None:
            sizes["num_proj"] = self.num_units
        sizes["attn_size"] = sizes[self.kind.output] if self.attn_size is None else self.attn_size
        if self.attn_vec_size is None:
            sizes["attn_vec_size"] = sizes["attn_size"]
        input_size = sizes.pop("input_size")
        sizes["encoder_input_size"] = self.inputs if input_size is None else input_size
        sizes["decoder_input_size"] = self.outputs if input_size is None else input_size
        return sizes


@dataclass(frozen=True)
class Config(AnyConfig):
    """The sizes and options of the article's encoder-decoder with attention, of plain cells.

    Parameters
    ----------
    state_is_tuple : bool
        Whether TensorFlow passes the state as a tuple or as one array. No number depends on it.
    """

    state_is_tuple: bool = True


@dataclass(frozen=True)
class AnyCellConfig(Decoding, AnyConfig):
    """The same with cells of any kind, and what the decoder is fed.

    Parameters
    ----------
    start_token, feeds
        See :class:`rnndiff.models.decoding.Decoding`.
    """

    def sizes(self) -> Dict[str, int]:
        """The size of every axis, defaults filled in."""
        return dict(AnyConfig.sizes(self), tokens=1 + decoder_time(self))


# What the article has.
ARTICLE = dict(batch=1, time=7, output_time=4, inputs=12, outputs=12, num_units=128, attn_length=7)

DATA = (
    Field("inputs", (("batch",), ("time",), ("inputs",))),
    Field("labels", (("batch",), ("output_time",), ("outputs",))),
)


def config_of(kind: Kind) -> Any:
    """The class of the configs with cells of this kind."""
    return Config if kind is PLAIN else class_of(kind, AnyCellConfig)


def data_of(kind: Kind) -> Tuple[Field, ...]:
    """Inputs and labels."""
    return DATA


def trace_of(kind: Kind) -> Tuple[Traced, ...]:
    """What both sides compute in their steps, and what is made of the scores."""
    return (
        *_trace_of(kind, "encoder", STEP),
        *_trace_of(kind, "decoder", decoder_step(kind)),
        Traced("fed_back", (ROW, decoder_step(kind), CLASS)),
        *judged(ROW, TOKEN),
    )


def _trace_of(kind: Kind, side: str, steps: Tuple[Part, ...]) -> Tuple[Traced, ...]:
    """What the encoder or the decoder computes in its steps."""
    slot, unit = (Part("slot", "attn_length"),), (Part("unit", "attn_size"),)
    return (
        Traced(side + "_cell_inputs", (ROW, steps, (Part("input", side + "_input_size"),))),
        *kind.traced(side + "_states", ROW, steps, role=STATE),
        # Before what is computed of it: the first array that is wrong is the one to look at.
        Traced(side + "_outputs", (ROW, steps, unit)),
        Traced(side + "_windows", (ROW, steps, slot, unit), COPY),
        Traced(side + "_energies", (ROW, steps, slot)),
        Traced(side + "_alignments", (ROW, steps, slot)),
        Traced(side + "_attentions", (ROW, steps, unit)),
    )


def parameters(config: AnyConfig) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    encoder, projection, decoder = parts(config)
    return encoder + projection + decoder


def parts(config: AnyConfig) -> Tuple[Tuple[Field, ...], ...]:
    """The parameters of the encoder, of the projection, and of the decoder, if it ever runs."""
    cell = cell_of(config)
    return (
        cell.parameters("encoder", ("inputs",), "encoder_input_size"),
        kernel_and_bias("projection", ("attn_size",), "outputs"),
        cell.parameters("decoder", ("outputs",), "decoder_input_size")
        if decoder_time(config)
        else (),
    )


def cell_of(config: AnyConfig) -> Any:
    """The cell of either side, in NumPy."""
    return AttentionCellWrapper(
        config.kind.cell(config),
        config.attn_length,
        config.attn_size,
        config.attn_vec_size,
        config.input_size,
    )
