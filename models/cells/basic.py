"""The most basic recurrent cell."""

import numpy as np

from rnndiff.models.functions import affine


class BasicRNNCell:
    """``h' = tanh([x; h] W + b)``: the state is the output.

    The NumPy twin of ``tf.compat.v1.nn.rnn_cell.BasicRNNCell`` (Elman, *Finding structure in
    time*, Cognitive Science 14, 1990).

    Parameters
    ----------
    num_units : int
        The size of the state.
    """

    def __init__(self, num_units):
        self.num_units = num_units

    def load(self, parameters):
        """Take ``(kernel [inputs + num_units, num_units], bias [num_units])``; return self."""
        self.kernel, self.bias = parameters
        return self

    def zero_state(self, batch_size, dtype):
        """The initial state, [batch_size, num_units]."""
        return np.zeros((batch_size, self.num_units), dtype)

    def __call__(self, inputs, state):
        """One step: [batch, inputs], [batch, num_units] -> output, state (the same array)."""
        state = np.tanh(affine(np.hstack([inputs, state]), self.kernel, self.bias))
        return state, state
