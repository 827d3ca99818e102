"""The basic cell with a long short-term memory."""

import numpy as np

from rnndiff.models.cells.cell import Cell
from rnndiff.models.functions import activation_named, affine, sigmoid
from rnndiff.models.layout import Field


class BasicLSTMCell(Cell):
    """``c' = c sigmoid(f + forget_bias) + sigmoid(i) tanh(j)``, ``h' = tanh(c') sigmoid(o)``.

    i, j, f and o are the parts of ``[x; h] W + b``, in this order. The output is ``h'``.

    The NumPy twin of ``tf.compat.v1.nn.rnn_cell.BasicLSTMCell`` (Zaremba, Sutskever and Vinyals,
    *Recurrent neural network regularization*, arXiv 1409.2329).

    Parameters
    ----------
    num_units : int
        The size of c and of h.
    forget_bias : float
        What is added to the bias of the forget gate.
    state_is_tuple : bool
        Whether the state is ``(c, h)`` or ``[c; h]``, one array.
    activation : str
        "tanh", "relu", "sigmoid" or "linear": the function in place of both tanh.

    Raises
    ------
    ValueError
        If there is no such activation.
    """

    state_parts = (("c", "num_units"), ("h", "num_units"))

    def __init__(self, num_units, forget_bias=1.0, state_is_tuple=True, activation="tanh"):
        self.num_units = self.output_size = num_units
        self.forget_bias = forget_bias
        self.state_is_tuple = state_is_tuple
        self.activation = activation_named(activation)

    def parameters(self, scope, inputs):
        """Kernel and bias of the gates i, j, f, o."""
        gates = ("num_units",) * 4
        return (
            Field(scope + "/kernel", (inputs + ("num_units",), gates)),
            Field(scope + "/bias", (gates,)),
        )

    def load(self, parameters):
        """Take ``(kernel [inputs + num_units, 4 num_units], bias [4 num_units])``; return self."""
        self.kernel, self.bias = parameters
        return self

    def zero_state(self, batch_size, dtype):
        """The initial state: twice [batch_size, num_units], or [batch_size, 2 num_units]."""
        state = super().zero_state(batch_size, dtype)
        return state if self.state_is_tuple else np.hstack(state)

    def __call__(self, inputs, state):
        """One step: [batch, inputs] and the state -> output [batch, num_units], new state."""
        c, h = state if self.state_is_tuple else np.split(state, 2, axis=-1)
        gates = affine(np.hstack([inputs, h]), self.kernel, self.bias)
        i, j, f, o = np.split(gates, 4, axis=-1)
        c = c * sigmoid(f + self.forget_bias) + sigmoid(i) * self.activation(j)
        h = self.activation(c) * sigmoid(o)
        return h, (c, h) if self.state_is_tuple else np.hstack([c, h])
