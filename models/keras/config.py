"""Sizes and layout of a recurrent layer of Keras'."""

from dataclasses import dataclass
from typing import Any, Dict, Tuple

from rnndiff.models.cells.kinds import Kind, class_of
from rnndiff.models.layout import (
    COPY,
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
from rnndiff.models.rnn.config import ARTICLE as ARTICLE
from rnndiff.models.rnn.config import initial_state_of

# The layer itself, or Keras' RNN of its cell, which lets the states of all steps be recorded.
RUNNERS = ("RNN", "RNN, unrolled", "layer", "layer, unrolled")


@dataclass(frozen=True)
class Config:
    """The sizes and options of a recurrent layer.

    Parameters
    ----------
    batch : int
        Rows. Rows and inputs are 0 and up, all other sizes 1 and up.
    time : int
        Steps.
    inputs : int
        Size of an input row.
    num_units : int
        The layer's ``units``.
    runner : str
        What of Keras runs the cell. No number depends on it.
    return_sequences : bool
        Whether the outputs are those of all steps, or of the last one alone.
    go_backwards : bool
        Whether the last step of a row is taken first, and its output comes first.
    mask : bool
        Whether steps of rows are masked: the state stays as it was, and the output is that of the
        step before, zero before the first one.
    zero_output_for_mask : bool
        Whether the output of a step that is masked is zero instead.
    initial_state : bool
        Whether there is one; otherwise it is zero.
    """

    batch: int = size("row", 3, least=0, large=8)
    time: int = size("step", 4)
    inputs: int = size("input", 3, least=0)
    num_units: int = size("unit", 4)
    runner: str = option(*RUNNERS)
    return_sequences: bool = option(True, False)
    go_backwards: bool = False
    mask: bool = False
    zero_output_for_mask: bool = False
    initial_state: bool = False

    def __post_init__(self) -> None:
        check_sizes(self)

    def sizes(self) -> Dict[str, int]:
        """The size of every axis; and one, the most that stands in a mask."""
        steps = self.time if self.return_sequences else 1
        return dict(sizes_of(self), steps=steps, one=1)


def config_of(kind: Kind) -> Any:
    """The class of the configs of a kind of cell, which has the cell's options, too."""
    return class_of(kind, Config)


def parameters(config: Any) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    found: Tuple[Field, ...] = config.kind.parameters(config, "cell", ("inputs",))
    return found


def data_of(kind: Kind) -> Tuple[Field, ...]:
    """Inputs, the mask (0 where a step is masked, 1 elsewhere) and the initial state."""
    return inputs_and_mask() + initial_state_of(kind)


def inputs_and_mask() -> Tuple[Field, ...]:
    """What a layer reads beside its initial state."""
    return (
        Field("inputs", (("batch",), ("time",), ("inputs",))),
        Field("mask", (("batch",), ("time",)), counts="one", when="mask"),
    )


OUTPUT_STEP = (Part("step", "steps"),)


def trace_of(kind: Kind) -> Tuple[Traced, ...]:
    """The outputs, what else of the state there is after the same steps, and the final state."""
    unit = (Part("unit", kind.output),)
    outputs, *others = kind.traced("states", ROW, OUTPUT_STEP, role=STATE)
    final = kind.traced("final", ROW, role=VALUE)
    return (
        outputs._replace(name="outputs", axes=(ROW, OUTPUT_STEP, unit)),
        *others,
        final[0]._replace(role=COPY),
        *final[1:],
    )
