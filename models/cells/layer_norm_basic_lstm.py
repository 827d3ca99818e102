"""The basic cell with a long short-term memory, its gates and its memory normalized."""

import numpy as np

from rnndiff.models.cells.cell import Cell
from rnndiff.models.functions import activation_named, affine, layer_norm, sigmoid
from rnndiff.models.layout import Field

NORMALIZED = ("input", "transform", "forget", "output", "state")


class LayerNormBasicLSTMCell(Cell):
    """``c' = N(c sigmoid(N(f) + forget_bias) + sigmoid(N(i)) tanh(N(j)))``, and the output from it.

    The output is ``h' = tanh(c') sigmoid(N(o))``; i, j, f and o are the parts of ``[x; h] W``, in
    this order; N is a layer normalization, each with a gain and a shift of its own.

    The NumPy twin of ``tf.contrib.rnn.LayerNormBasicLSTMCell`` of TensorFlow 1.x (Ba, Kiros and
    Hinton, *Layer normalization*, arXiv 1607.06450). Its constructor has `dropout_keep_prob`, too,
    which here is 1.

    Parameters
    ----------
    num_units : int
        The size of c and of h.
    forget_bias : float
        What is added to the forget gate.
    activation : str
        "tanh", "relu", "sigmoid" or "linear": the function in place of both tanh.
    layer_norm : bool
        Whether anything is normalized; if not, a bias is added to ``[x; h] W``.
    norm_gain, norm_shift : float
        What the gains and the shifts are before training. They are parameters, so NumPy does not
        need these; they stand here because TensorFlow's constructor has them.

    Raises
    ------
    ValueError
        If there is no such activation.
    """

    state_parts = (("c", "num_units"), ("h", "num_units"))
    # In float32 and float64; in float16 TensorFlow has 1e-3.
    epsilon = 1e-12

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        activation="tanh",
        layer_norm=True,
        norm_gain=1.0,
        norm_shift=0.0,
    ):
        self.num_units = self.output_size = num_units
        self.forget_bias = forget_bias
        self.activation = activation_named(activation)
        self.layer_norm = layer_norm
        self.norm_gain, self.norm_shift = norm_gain, norm_shift

    def parameters(self, scope, inputs):
        """The kernel of the gates i, j, f, o; gain and shift of i, j, f, o, c, or the bias."""
        gates = ("num_units",) * 4
        kernel = (Field(scope + "/kernel", (inputs + ("num_units",), gates)),)
        if not self.layer_norm:
            return kernel + (Field(scope + "/bias", (gates,)),)
        return kernel + tuple(
            Field("{}/{}/{}".format(scope, name, parameter), (("num_units",),))
            for name in NORMALIZED
            for parameter in ("gamma", "beta")
        )

    def load(self, parameters):
        """Take the arrays of :meth:`parameters`; return self."""
        self.kernel, more = parameters[0], parameters[1:]
        if self.layer_norm:
            self.gains, self.shifts = more[0::2], more[1::2]
        else:
            (self.bias,) = more
        return self

    def __call__(self, inputs, state):
        """One step: [batch, inputs] and the state -> output [batch, num_units], new state."""
        c, h = state
        read = np.hstack([inputs, h])
        if self.layer_norm:
            gates = np.matmul(read, self.kernel)
        else:
            gates = affine(read, self.kernel, self.bias)
        i, j, f, o = map(self._norm, range(4), np.split(gates, 4, axis=-1))
        c = c * sigmoid(f + self.forget_bias) + sigmoid(i) * self.activation(j)
        c = self._norm(4, c)
        h = self.activation(c) * sigmoid(o)
        return h, (c, h)

    def _norm(self, number, x):
        if not self.layer_norm:
            return x
        return layer_norm(x, self.gains[number], self.shifts[number], self.epsilon)
