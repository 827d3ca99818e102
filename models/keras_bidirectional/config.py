"""Sizes and layout of Keras' ``Bidirectional`` around a recurrent layer."""

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from rnndiff.models.birnn.config import DIRECTIONS
from rnndiff.models.cells.kinds import Kind, class_of
from rnndiff.models.keras.config import ARTICLE as ARTICLE
from rnndiff.models.keras.config import OUTPUT_STEP, inputs_and_mask
from rnndiff.models.layout import (
    ROW,
    STATE,
    VALUE,
    Field,
    Part,
    Traced,
    check_sizes,
    option,
    size,
    sizes_of,
)
from rnndiff.models.rnn.config import initial_state_of

RUNNERS = ("layer", "layer, unrolled")
MERGE_MODES = ("concat", "sum", "mul", "ave", None)


@dataclass(frozen=True)
class Config:
    """The sizes and options of two recurrent layers, one in each direction.

    As for one layer. A step that is masked has the output zero if ``return_sequences``; otherwise
    its output is that of the step before.

    Parameters
    ----------
    merge_mode : str, optional
        How the outputs of both directions become one: side by side ("concat"), their sum ("sum"),
        product ("mul") or mean ("ave"). With None they are two; here, too, they stand side by side.
    go_backwards : bool
        Whether the forward layer takes the last step first, and the backward layer the first one.
        The outputs are as if they did not: those of the backward layer are in reversed order.
    """

    batch: int = size("row", 3, least=0, large=8)
    time: int = size("step", 4)
    inputs: int = size("input", 3, least=0)
    num_units: int = size("unit", 4)
    runner: str = option(*RUNNERS)
    merge_mode: Optional[str] = option(*MERGE_MODES)
    return_sequences: bool = option(True, False)
    go_backwards: bool = False
    mask: bool = False
    initial_state: bool = False

    def __post_init__(self) -> None:
        check_sizes(self)

    def sizes(self) -> Dict[str, int]:
        """The size of every axis; and one, the most that stands in a mask."""
        beside = self.num_units if self.merge_mode in ("concat", None) else 0
        steps = self.time if self.return_sequences else 1
        return dict(sizes_of(self), steps=steps, beside=beside, one=1)


def config_of(kind: Kind) -> Any:
    """The class of the configs of a kind of cell, which has the cell's options, too."""
    return class_of(kind, Config)


def parameters(config: Any) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    forward, backward = (config.kind.parameters(config, each, ("inputs",)) for each in DIRECTIONS)
    return tuple(forward + backward)


def data_of(kind: Kind) -> Tuple[Field, ...]:
    """Inputs, the mask (0 where a step is masked, 1 elsewhere), the initial states."""
    states = (field for each in DIRECTIONS for field in initial_state_of(kind, each + "_"))
    return (*inputs_and_mask(), *states)


def trace_of(kind: Kind) -> Tuple[Traced, ...]:
    """Outputs of both directions, merged, and the final states of each."""
    units = (Part("unit", kind.output), Part("backward unit", "beside", backward=True))
    final = []
    for direction in DIRECTIONS:
        known = {"backward": direction == "backward"}
        final.extend(kind.traced(direction + "_final", ROW, role=VALUE, **known))
    return (Traced("outputs", (ROW, OUTPUT_STEP, units), STATE), *final)
