"""An LSTM that classifies a sequence by its last output."""

from dataclasses import dataclass

import numpy as np

from rnndiff import Model, register
from rnndiff.models.functions import accuracy, affine, log_loss, sigmoid, softmax
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


@dataclass(frozen=True)
class Config:
    """The sizes of one LSTM."""

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


GATES = ("num_units",) * 4


def parameters(config):
    """Kernel and bias of the gates i, j, f, o, then of the projection."""
    return (
        Field("kernel", (("inputs", "num_units"), GATES)),
        Field("bias", (GATES,)),
    ) + kernel_and_bias("projection", ("num_units",), "outputs")


def oracle(config, parameters, inputs, labels):
    """Run from the zero state to the end."""
    kernel, bias, projection, projection_bias = parameters
    c = h = np.zeros((config.batch, config.num_units), inputs.dtype)
    outputs, cells = [], []
    for t in range(config.time):
        gates = affine(np.hstack([inputs[:, t], h]), kernel, bias)
        i, j, f, o = np.split(gates, 4, axis=-1)
        c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * sigmoid(o)
        outputs.append(h)
        cells.append(c)
    scores = affine(h, projection, projection_bias)
    predictions = np.argmax(scores, axis=-1)
    return {
        "outputs": np.stack(outputs, axis=1),
        "cells": np.stack(cells, axis=1),
        "scores": scores,
        "probabilities": softmax(scores),
        "predictions": predictions,
        "accuracy": accuracy(predictions, labels),
        "loss": log_loss(softmax(scores), labels),
    }


LSTM = register(
    Model(
        name="lstm",
        Config=Config,
        article=Config(batch=1, time=12, inputs=8, outputs=10, num_units=64),
        parameters=parameters,
        data=(
            Field("inputs", (("batch",), ("time",), ("inputs",))),
            Field("labels", (("batch",), ("outputs",))),
        ),
        trace=(
            Traced("outputs", (ROW, STEP, UNIT), STATE),
            Traced("cells", (ROW, STEP, UNIT), STATE),
        )
        + judged(ROW),
        oracle=oracle,
    )
)
