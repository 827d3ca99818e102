"""Keras' cell with a long short-term memory."""

import numpy as np

from rnndiff.models.cells.keras.cell import KerasCell
from rnndiff.models.functions import KERAS_ACTIVATIONS, accumulate, activation_named


class LSTMCell(KerasCell):
    """``c' = sigmoid(f) c + sigmoid(i) tanh(g)``, ``h' = sigmoid(o) tanh(c')``.

    i, f, g (in Keras: c) and o are the parts of ``x W + h R + b``, in this order. The state is
    ``(h, c)``, the output is ``h'``.

    The NumPy twin of ``tf.keras.layers.LSTMCell``. The initial bias of its forget gates
    (``unit_forget_bias``) stands in the bias, and is no argument here.

    Parameters
    ----------
    units : int
        The size of c and of h.
    activation : str
        "tanh", "relu", "sigmoid", "hard_sigmoid" or "linear": the function in place of both tanh.
    recurrent_activation : str
        The same in place of the sigmoid of the gates. By default, Keras' LSTM of TensorFlow 1.x has
        "hard_sigmoid".
    use_bias : bool
        Whether there is a bias.
    implementation : int
        How Keras computes it: gate by gate (1) or all gates at once (2). No number depends on it.

    Raises
    ------
    ValueError
        If there is no such activation.
    """

    state_parts = (("h", "num_units"), ("c", "num_units"))
    gates = 4

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        implementation=2,
    ):
        super().__init__(units, use_bias)
        self.activation = activation_named(activation, KERAS_ACTIVATIONS)
        self.recurrent_activation = activation_named(recurrent_activation, KERAS_ACTIVATIONS)
        self.implementation = implementation

    def __call__(self, inputs, state):
        """One step: [batch, inputs] and (h, c) [batch, units] -> output, new state."""
        h, c = state
        kernel = np.vstack([self.kernel, self.recurrent_kernel])
        gates = accumulate(np.hstack([inputs, h]), kernel, *self.bias)
        i, f, g, o = np.split(gates, 4, axis=-1)
        sigmoid = self.recurrent_activation
        c = sigmoid(f) * c + sigmoid(i) * self.activation(g)
        h = sigmoid(o) * self.activation(c)
        return h, (h, c)
