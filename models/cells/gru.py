"""The gated recurrent unit."""

import numpy as np

from rnndiff.models.cells.cell import Cell
from rnndiff.models.functions import activation_named, affine, interpolate, sigmoid
from rnndiff.models.layout import Field, kernel_and_bias


class GRUCell(Cell):
    """``h' = u h + (1 - u) tanh([x; r h] W + b)``: the state is the output.

    The gates r (reset) and u (update) are the sigmoid of the parts of ``[x; h] W + b``, in this
    order, by a kernel and a bias of their own.

    The NumPy twin of ``tf.compat.v1.nn.rnn_cell.GRUCell`` (Cho et al., *Learning phrase
    representations using RNN encoder-decoder*, arXiv 1406.1078).

    Parameters
    ----------
    num_units : int
        The size of the state.
    activation : str
        "tanh", "relu", "sigmoid" or "linear": the function in place of tanh.

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
        """Kernel and bias of the gates r, u, then of the candidate."""
        read, gates = inputs + ("num_units",), ("num_units",) * 2
        return (
            Field(scope + "/gates/kernel", (read, gates)),
            Field(scope + "/gates/bias", (gates,)),
        ) + kernel_and_bias(scope + "/candidate", read, "num_units")

    def load(self, parameters):
        """Take the arrays of :meth:`parameters`; return self."""
        self.gates, self.candidate = parameters[0:2], parameters[2:4]
        return self

    def __call__(self, inputs, state):
        """One step: [batch, inputs], [batch, num_units] -> output, state (the same array)."""
        gates = sigmoid(affine(np.hstack([inputs, state]), *self.gates))
        r, u = np.split(gates, 2, axis=-1)
        candidate = self.activation(affine(np.hstack([inputs, r * state]), *self.candidate))
        state = interpolate(u, state, candidate)
        return state, state
