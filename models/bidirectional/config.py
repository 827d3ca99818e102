"""Sizes and parameter layout of the bidirectional RNN."""

from dataclasses import dataclass
from typing import Dict, Tuple

from rnndiff.models.layout import (
    COPY,
    ROW,
    STATE,
    STEP,
    UNIT,
    Field,
    Part,
    Traced,
    check_sizes,
    judged,
    linear,
    rnn_cell,
    size,
)


@dataclass(frozen=True)
class Config:
    """The sizes of one bidirectional RNN.

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
    """

    batch: int = size("row", 3, least=0, large=8)
    time: int = size("step", 4)
    inputs: int = size("input", 3, least=0)
    outputs: int = size("class", 4)
    num_units: int = size("unit", 4, least=0)

    def __post_init__(self):
        check_sizes(self)

    def sizes(self) -> Dict[str, int]:
        """The size of every axis."""
        return dict(vars(self))


ARTICLE = Config(batch=1, time=28, inputs=28, outputs=10, num_units=128)

DATA = (
    Field("inputs", (("batch",), ("time",), ("inputs",))),
    Field("labels", (("batch",), ("outputs",))),
)

TRACE = (
    Traced(
        "outputs",
        (
            ROW,
            STEP,
            (Part("forward unit", "num_units"), Part("backward unit", "num_units", backward=True)),
        ),
        STATE,
    ),
    Traced("forward_final_state", (ROW, UNIT), COPY),
    Traced("backward_final_state", (ROW, UNIT), COPY),
) + judged(ROW)


def parameters(config: Config) -> Tuple[Field, ...]:
    """The parameters, in the order in which TensorFlow creates its global variables."""
    forward = rnn_cell("forward", "inputs")
    backward = rnn_cell("backward", "inputs")
    return forward + backward + linear("projection", ("num_units", "num_units"), "outputs")
