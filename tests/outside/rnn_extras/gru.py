"""A GRU cell, and a network that classifies a sequence by its last state."""

from dataclasses import dataclass

import numpy as np

from rnn_extras.hard_sigmoid import hard_sigmoid
from rnndiff import Model, register
from rnndiff.models.functions import accuracy, affine, log_loss, softmax
from rnndiff.models.layout import (
    ROW,
    STATE,
    STEP,
    UNIT,
    Field,
    Traced,
    check_sizes,
    judged,
    kernel_and_bias,
    size,
)


class GRUCell:
    """``h' = u h + (1 - u) tanh([x; r h] W + b)``, with gates r and u by a hard sigmoid."""

    def __init__(self, num_units):
        self.num_units = num_units

    def load(self, parameters):
        """Take kernel and bias of the gates, then of the candidate; return self."""
        self.gates, self.candidate = parameters[0:2], parameters[2:4]
        return self

    def zero_state(self, batch_size, dtype):
        """The initial state, [batch_size, num_units]."""
        return np.zeros((batch_size, self.num_units), dtype)

    def __call__(self, inputs, state):
        """One step: output and state, the same array."""
        gates = hard_sigmoid(affine(np.hstack([inputs, state]), *self.gates))
        r, u = gates[:, : self.num_units], gates[:, self.num_units :]
        candidate = np.tanh(affine(np.hstack([inputs, r * state]), *self.candidate))
        state = u * state + (1.0 - u) * candidate
        return state, state


@dataclass(frozen=True)
class Config:
    """The sizes of one GRU."""

    batch: int = size("row", 3, least=0, large=8)
    time: int = size("step", 4)
    inputs: int = size("input", 3, least=0)
    outputs: int = size("class", 4)
    num_units: int = size("unit", 4)

    def __post_init__(self):
        check_sizes(self)

    def sizes(self):
        """The size of every axis."""
        return dict(vars(self))


def parameters(config):
    """Gates, candidate, projection."""
    read = ("inputs", "num_units")
    return (
        Field("gates/kernel", (read, ("num_units", "num_units"))),
        Field("gates/bias", (("num_units", "num_units"),)),
        *kernel_and_bias("candidate", read, "num_units"),
        *kernel_and_bias("projection", ("num_units",), "outputs"),
    )


def oracle(config, parameters, inputs, labels):
    """Run from the zero state to the end."""
    cell, states = GRUCell(config.num_units).load(parameters[0:4]), []
    state = cell.zero_state(config.batch, inputs.dtype)
    for t in range(config.time):
        _, state = cell(inputs[:, t], state)
        states.append(state)
    scores = affine(state, *parameters[4:6])
    predictions = np.argmax(scores, axis=-1)
    return {
        "states": np.stack(states, axis=1),
        "scores": scores,
        "probabilities": softmax(scores),
        "predictions": predictions,
        "accuracy": accuracy(predictions, labels),
        "loss": log_loss(softmax(scores), labels),
    }


GRU = register(
    Model(
        name="gru",
        Config=Config,
        article=Config(batch=1, time=12, inputs=8, outputs=10, num_units=64),
        parameters=parameters,
        data=(
            Field("inputs", (("batch",), ("time",), ("inputs",))),
            Field("labels", (("batch",), ("outputs",))),
        ),
        trace=(Traced("states", (ROW, STEP, UNIT), STATE),) + judged(ROW),
        oracle=oracle,
    )
)
