"""Sizes and layout of a cell that is run over a sequence."""

from dataclasses import dataclass
from typing import Any, Dict, Tuple

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

RUNNERS = ("static_rnn", "dynamic_rnn", "dynamic_rnn, time_major")


@dataclass(frozen=True)
class Config:
    """The sizes and options of a run over a sequence.

    Parameters
    ----------
    batch : int
        Rows. Rows and inputs are 0 and up, all other sizes 1 and up.
    time : int
        Steps of the longest row.
    inputs : int
        Size of an input row.
    num_units : int
        As the cell's constructor has it.
    runner : str
        The function of TensorFlow that runs the cell. No number depends on it.
    sequence_length : bool
        Whether rows have lengths; past the end, outputs are zero, and the state is that at the end.
    initial_state : bool
        Whether there is one; otherwise it is zero.
    open_batch : bool
        Whether TensorFlow's graph has a batch of None, so that it takes any number of rows. No
        number depends on it.
    """

    batch: int = size("row", 3, least=0, large=8)
    time: int = size("step", 4)
    inputs: int = size("input", 3, least=0)
    num_units: int = size("unit", 4)
    runner: str = option(*RUNNERS)
    sequence_length: bool = False
    initial_state: bool = False
    open_batch: bool = False

    def __post_init__(self) -> None:
        check_sizes(self)

    def sizes(self) -> Dict[str, int]:
        """The size of every axis."""
        return sizes_of(self)


# As long and as wide as the article's largest network.
ARTICLE = dict(batch=1, time=28, inputs=28, num_units=128)


def config_of(kind: Kind) -> Any:
    """The class of the configs of a kind of cell, which has the cell's options, too."""
    return class_of(kind, Config)


def parameters(config: Any) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    found: Tuple[Field, ...] = config.kind.parameters(config, "cell", ("inputs",))
    return found


def data_of(kind: Kind) -> Tuple[Field, ...]:
    """Inputs, lengths, initial state and noise."""
    return (
        Field("inputs", (("batch",), ("time",), ("inputs",))),
        Field("sequence_length", (("batch",),), counts="time", when="sequence_length"),
        *initial_state_of(kind),
        *kind.noise_of("", ("inputs",)),
    )


def initial_state_of(kind: Kind, prefix: str = "") -> Tuple[Field, ...]:
    """The parts of the initial state."""
    return tuple(
        Field(part_of(prefix + "initial", part), (("batch",), (size,)), when="initial_state")
        for part, size in kind.state
    )


def trace_of(kind: Kind) -> Tuple[Traced, ...]:
    """States and outputs of all steps, and the final state."""
    outputs = Traced("outputs", (ROW, STEP, (Part("unit", kind.output),)))
    states = kind.traced("states", ROW, STEP, role=STATE)
    return (*states, outputs, *kind.traced("final", ROW, role=COPY))
