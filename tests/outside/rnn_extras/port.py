"""A port of the LSTM to float32, as somebody may have written it, and what it may get wrong."""

import numpy as np

from rnndiff import Subject


def _sigmoid(x):
    return np.float32(1) / (np.float32(1) + np.exp(-x))


class Port(Subject):
    """NumPy in float32, with one product for the inputs and one for the state."""

    gates = "ijfo"
    forget_bias = 1
    sigmoid = staticmethod(_sigmoid)

    def __call__(self, case):
        """As the oracle."""
        kernel, bias, projection, projection_bias = case.parameters
        config, inputs = case.config, case.inputs
        c = h = np.zeros((config.batch, config.num_units), np.float32)
        outputs, cells = [], []
        with np.errstate(all="ignore"):
            for t in range(config.time):
                x = inputs[:, t] @ kernel[: config.inputs] + bias
                gates = dict(zip(self.gates, np.split(x + h @ kernel[config.inputs :], 4, axis=-1)))
                remembered = c * self.sigmoid(gates["f"] + np.float32(self.forget_bias))
                c = remembered + self.sigmoid(gates["i"]) * np.tanh(gates["j"])
                h = np.tanh(c) * self.sigmoid(gates["o"])
                outputs.append(h)
                cells.append(c)
            scores = h @ projection + projection_bias
        # What it does not have is not judged.
        return {
            "outputs": np.stack(outputs, axis=1),
            "cells": np.stack(cells, axis=1),
            "scores": scores,
        }


class OtherOrder(Port):
    """Reads the gates as PyTorch has them."""

    gates = "ifjo"


class NoForgetBias(Port):
    """Starts without remembering."""

    forget_bias = 0


class HardSigmoid(Port):
    """Takes Keras' old sigmoid."""

    @staticmethod
    def sigmoid(x):
        """Of three straight lines."""
        return np.clip(np.float32(0.2) * x + np.float32(0.5), np.float32(0), np.float32(1))
