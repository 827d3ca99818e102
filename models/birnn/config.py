"""Sizes and layout of two cells that are run over a sequence, one in each direction."""

from dataclasses import dataclass
from typing import Any, Tuple

from rnndiff.models.cells.kinds import Kind, class_of
from rnndiff.models.layout import COPY, ROW, STATE, STEP, Field, Part, Traced, option
from rnndiff.models.rnn.config import ARTICLE as ARTICLE
from rnndiff.models.rnn.config import Config as OneDirection
from rnndiff.models.rnn.config import initial_state_of

RUNNERS = (
    "static_bidirectional_rnn",
    "bidirectional_dynamic_rnn",
    "bidirectional_dynamic_rnn, time_major",
)
DIRECTIONS = ("forward", "backward")


def halves(arrays: Any) -> Any:
    """The arrays of the forward cell, and those of the backward one."""
    half = len(arrays) // 2
    return arrays[:half], arrays[half:]


@dataclass(frozen=True)
class Config(OneDirection):
    """The sizes and options of a run over a sequence in both directions, each with a cell.

    As for one direction; with lengths, the backward cell starts at the end of each row.
    """

    runner: str = option(*RUNNERS)


def config_of(kind: Kind) -> Any:
    """The class of the configs of a kind of cell, which has the cell's options, too."""
    return class_of(kind, Config)


def parameters(config: Any) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    forward, backward = (config.kind.parameters(config, each, ("inputs",)) for each in DIRECTIONS)
    return tuple(forward + backward)


def data_of(kind: Kind) -> Tuple[Field, ...]:
    """Inputs, lengths, and of both directions the initial states, then the noise."""
    return (
        Field("inputs", (("batch",), ("time",), ("inputs",))),
        Field("sequence_length", (("batch",),), counts="time", when="sequence_length"),
        *(field for each in DIRECTIONS for field in initial_state_of(kind, each + "_")),
        *(field for each in DIRECTIONS for field in kind.noise_of(each + "_", ("inputs",))),
    )


def trace_of(kind: Kind) -> Tuple[Traced, ...]:
    """Outputs side by side; states of all steps, and the final states, of both directions."""
    states, final = [], []
    for direction in DIRECTIONS:
        known = {"backward": direction == "backward"}
        states.extend(kind.traced(direction + "_states", ROW, STEP, role=STATE, **known))
        final.extend(kind.traced(direction + "_final", ROW, role=COPY, **known))
    units = (Part("forward unit", kind.output), Part("backward unit", kind.output, backward=True))
    return (*states, Traced("outputs", (ROW, STEP, units)), *final)
