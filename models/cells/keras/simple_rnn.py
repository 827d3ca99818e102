"""Keras' most basic recurrent cell."""

import numpy as np

from rnndiff.models.cells.keras.cell import KerasCell
from rnndiff.models.functions import KERAS_ACTIVATIONS, accumulate, activation_named


class SimpleRNNCell(KerasCell):
    """``h' = tanh(x W + h R + b)``: the state is the output.

    The NumPy twin of ``tf.keras.layers.SimpleRNNCell``.

    Parameters
    ----------
    units : int
        The size of the state.
    activation : str
        "tanh", "relu", "sigmoid", "hard_sigmoid" or "linear".
    use_bias : bool
        Whether there is a bias.

    Raises
    ------
    ValueError
        If there is no such activation.
    """

    def __init__(self, units, activation="tanh", use_bias=True):
        super().__init__(units, use_bias)
        self.activation = activation_named(activation, KERAS_ACTIVATIONS)

    def __call__(self, inputs, state):
        """One step: [batch, inputs], [batch, units] -> output, state (the same array)."""
        kernel = np.vstack([self.kernel, self.recurrent_kernel])
        state = self.activation(accumulate(np.hstack([inputs, state]), kernel, *self.bias))
        return state, state
