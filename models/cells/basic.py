"""The most basic recurrent cell."""

import numpy as np

from rnndiff.models.cells.cell import Cell
from rnndiff.models.functions import activation_named, affine
from rnndiff.models.layout import kernel_and_bias


class BasicRNNCell(Cell):
    """``h' = tanh([x; h] W + b)``: the state is the output.

    The NumPy twin of ``tf.compat.v1.nn.rnn_cell.BasicRNNCell`` (Elman, *Finding structure in
    time*, Cognitive Science 14, 1990).

    Parameters
    ----------
    num_units : int
        The size of the state.
    activation : str
        "tanh", "relu", "sigmoid" or "linear".

    Raises
    ------
    ValueError
        If there is no such activation.
    """

    state_parts = (("h", "num_units"),)

    def __init__(self, num_units, activation="tanh"):
        self.num_units = self.output_size = num_units
        self.activation = activation_named(activation)

    def parameters(self, scope, inputs):
        """Kernel and bias."""
        return kernel_and_bias(scope, inputs + ("num_units",), "num_units")

    def load(self, parameters):
        """Take ``(kernel [inputs + num_units, num_units], bias [num_units])``; return self."""
        self.kernel, self.bias = parameters
        return self

    def __call__(self, inputs, state):
        """One step: [batch, inputs], [batch, num_units] -> output, state (the same array)."""
        state = self.activation(affine(np.hstack([inputs, state]), self.kernel, self.bias))
        return state, state
