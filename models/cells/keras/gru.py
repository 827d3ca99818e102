"""Keras' gated recurrent unit."""

import numpy as np

from rnndiff.models.cells.keras.cell import KerasCell
from rnndiff.models.functions import KERAS_ACTIVATIONS, accumulate, activation_named, interpolate


class GRUCell(KerasCell):
    """``h' = z h + (1 - z) tanh(x W + r (h R + b'') + b')``: the state is the output.

    The gates z (update) and r (reset) are the sigmoid of the first two of the parts of
    ``x W + h R + b' + b''``, the third one is that of the candidate. That is ``reset_after``, as in
    cuDNN; otherwise the candidate is ``tanh(x W + (r h) R + b)``, and there is one bias (Cho et
    al., *Learning phrase representations using RNN encoder-decoder*, arXiv 1406.1078, version 1 and
    version 3).

    The NumPy twin of ``tf.keras.layers.GRUCell``.

    Parameters
    ----------
    units : int
        The size of the state.
    activation : str
        "tanh", "relu", "sigmoid", "hard_sigmoid" or "linear": the function in place of tanh.
    recurrent_activation : str
        The same in place of the sigmoid of the gates. By default, Keras' GRU of TensorFlow 1.x has
        "hard_sigmoid".
    use_bias : bool
        Whether there is a bias: with `reset_after` an array [2, 3 units], b' and b''.
    reset_after : bool
        Whether the reset gate is for the product, with its bias, or for the state. By default it is
        not in Keras' GRU of TensorFlow 1.x.
    implementation : int
        How Keras computes it: gate by gate (1) or all gates at once (2). No number depends on it.

    Raises
    ------
    ValueError
        If there is no such activation.
    """

    gates = 3

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        reset_after=True,
        implementation=2,
    ):
        super().__init__(units, use_bias)
        self.activation = activation_named(activation, KERAS_ACTIVATIONS)
        self.recurrent_activation = activation_named(recurrent_activation, KERAS_ACTIVATIONS)
        self.reset_after = reset_after
        # That of the inputs, and that of the state.
        self.bias_axes = (("one", "one"),) if reset_after else ()
        self.implementation = implementation

    def __call__(self, inputs, state):
        """One step: [batch, inputs], [batch, units] -> output, state (the same array)."""
        size = 2 * self.num_units
        kernel = np.vstack([self.kernel, self.recurrent_kernel])
        both = np.hstack([inputs, state])
        biases = [each for bias in self.bias for each in (bias if self.reset_after else [bias])]
        gates = accumulate(both, kernel[:, :size], *[bias[:size] for bias in biases])
        z, r = np.split(self.recurrent_activation(gates), 2, axis=-1)
        of_candidate = [bias[size:] for bias in biases]
        if self.reset_after:
            of_state = accumulate(state, self.recurrent_kernel[:, size:], *of_candidate[1:])
            read = accumulate(inputs, self.kernel[:, size:], *of_candidate[:1], r * of_state)
        else:
            read = accumulate(np.hstack([inputs, r * state]), kernel[:, size:], *of_candidate)
        state = interpolate(z, state, self.activation(read))
        return state, state
