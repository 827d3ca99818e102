"""Sizes and layout of layers of cells, of which each is run over a sequence in both directions."""

from dataclasses import dataclass
from typing import Any, Dict, Tuple

from rnndiff.models.birnn.config import DIRECTIONS
from rnndiff.models.cells.kinds import Kind, class_of, part_of
from rnndiff.models.layout import (
    COPY,
    ROW,
    STATE,
    STEP,
    Field,
    Part,
    Traced,
    check_sizes,
    option,
    size,
    sizes_of,
)
from rnndiff.models.rnn.config import ARTICLE as OF_A_LAYER

RUNNERS = (
    "stack_bidirectional_rnn",
    "stack_bidirectional_dynamic_rnn",
    "stack_bidirectional_dynamic_rnn, time_major",
)
LAYER = (Part("layer", "layers"),)


@dataclass(frozen=True)
class Config:
    """The sizes and options of layers that read both directions of the one below.

    Parameters
    ----------
    batch, time, inputs, num_units, sequence_length, initial_state
        As of one layer, see :class:`rnndiff.models.birnn.config.Config`.
    layers : int
        How many there are.
    runner : str
        The function of ``tf.contrib.rnn`` that runs the cells. No number depends on it.
    open_batch : bool
        As of one layer.
    """

    batch: int = size("row", 3, least=0, large=8)
    # To build a graph takes as long as there are steps and layers.
    time: int = size("step", 4, kernels=(29, 33))
    inputs: int = size("input", 3, least=0)
    num_units: int = size("unit", 4)
    layers: int = size("layer", 3, large=3)
    runner: str = option(*RUNNERS)
    sequence_length: bool = False
    initial_state: bool = False
    open_batch: bool = False

    def __post_init__(self) -> None:
        check_sizes(self)

    def sizes(self) -> Dict[str, int]:
        """The size of every axis."""
        return sizes_of(self)


# Each as long and as wide as the article's largest network.
ARTICLE = dict(OF_A_LAYER, layers=2)


def config_of(kind: Kind) -> Any:
    """The class of the configs of a kind of cell, which has the cell's options, too."""
    return class_of(kind, Config)


def parameters(config: Any) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    return tuple(field for layer in parts(config) for field in layer)


def parts(config: Any) -> Tuple[Tuple[Field, ...], ...]:
    """The parameters of each layer: those of its forward cell, then of the backward one."""
    layers, inputs = [], ("inputs",)
    for number in range(config.layers):
        scopes = ["cell_{}/{}".format(number, direction) for direction in DIRECTIONS]
        cells = [config.kind.parameters(config, scope, inputs) for scope in scopes]
        layers.append(tuple(field for cell in cells for field in cell))
        inputs = (config.kind.output,) * len(DIRECTIONS)
    return tuple(layers)


def data_of(kind: Kind) -> Tuple[Field, ...]:
    """Inputs, lengths and the initial states of both directions, of all layers."""
    return (
        Field("inputs", (("batch",), ("time",), ("inputs",))),
        Field("sequence_length", (("batch",),), counts="time", when="sequence_length"),
        *(
            Field(
                part_of(direction + "_initial", part),
                (("batch",), ("layers",), (size,)),
                when="initial_state",
            )
            for direction in DIRECTIONS
            for part, size in kind.state
        ),
    )


def trace_of(kind: Kind) -> Tuple[Traced, ...]:
    """Outputs of the last layer side by side; states of all steps, and final ones, of all."""
    states, final = [], []
    for direction in DIRECTIONS:
        known = {"backward": direction == "backward"}
        states.extend(kind.traced(direction + "_states", ROW, STEP, LAYER, role=STATE, **known))
        final.extend(kind.traced(direction + "_final", ROW, LAYER, role=COPY, **known))
    units = (Part("forward unit", kind.output), Part("backward unit", kind.output, backward=True))
    return (*states, Traced("outputs", (ROW, STEP, units)), *final)
