"""Sizes and parameter layout of the bidirectional RNN."""

from dataclasses import dataclass
from typing import Any, Dict, Tuple

from rnndiff.models.cells.kinds import PLAIN, Kind, class_of
from rnndiff.models.layout import (
    COPY,
    ROW,
    STATE,
    STEP,
    Field,
    Part,
    Traced,
    check_sizes,
    judged,
    kernel_and_bias,
    size,
    sizes_of,
)


@dataclass(frozen=True)
class Config:
    """The sizes of one bidirectional RNN, and of its cells, of which the article has the plain one.

    Parameters
    ----------
    batch : int
        Rows. Rows, inputs and units are 0 and up, all other sizes 1 and up.
    time : int
        Steps; for an image, its rows.
    inputs, outputs : int
        Size of an input row and number of classes.
    num_units : int
        Size of the state of each direction.
    open_batch : bool
        Whether TensorFlow's graph has a batch of None, so that it takes any number of rows. No
        number depends on it.
    """

    kind = PLAIN

    batch: int = size("row", 3, least=0, large=8)
    time: int = size("step", 4)
    inputs: int = size("input", 3, least=0)
    outputs: int = size("class", 4)
    num_units: int = size("unit", 4, least=0)
    open_batch: bool = False

    def __post_init__(self):
        check_sizes(self)

    def sizes(self) -> Dict[str, int]:
        """The size of every axis."""
        return sizes_of(self)


# What the article has.
ARTICLE = dict(batch=1, time=28, inputs=28, outputs=10, num_units=128)

DATA = (
    Field("inputs", (("batch",), ("time",), ("inputs",))),
    Field("labels", (("batch",), ("outputs",))),
)


def config_of(kind: Kind) -> Any:
    """The class of the configs with cells of this kind."""
    return Config if kind is PLAIN else class_of(kind, Config)


def data_of(kind: Kind) -> Tuple[Field, ...]:
    """Inputs and labels."""
    return DATA


def trace_of(kind: Kind) -> Tuple[Traced, ...]:
    """Outputs of all steps, final states of both directions, and what is made of the scores."""
    units = (Part("forward unit", kind.output), Part("backward unit", kind.output, backward=True))
    return (
        Traced("outputs", (ROW, STEP, units), STATE),
        *kind.traced("forward_final_state", ROW, role=COPY),
        *kind.traced("backward_final_state", ROW, role=COPY),
        *judged(ROW),
    )


def parameters(config: Config) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    forward, backward, projection = parts(config)
    return forward + backward + projection


def parts(config: Config) -> Tuple[Tuple[Field, ...], ...]:
    """The parameters of the cell of each direction, and of the projection."""
    kind = config.kind
    return (
        kind.parameters(config, "forward", ("inputs",)),
        kind.parameters(config, "backward", ("inputs",)),
        kernel_and_bias("projection", (kind.output, kind.output), "outputs"),
    )
