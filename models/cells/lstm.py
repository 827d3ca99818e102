"""The cell with a long short-term memory, with peepholes, clipping and projection."""

import numpy as np

from rnndiff.models.cells.cell import Cell
from rnndiff.models.functions import activation_named, affine, sigmoid
from rnndiff.models.layout import Field


class LSTMCell(Cell):
    """``c' = sigmoid(f + forget_bias) c + sigmoid(i) tanh(j)``, ``h' = sigmoid(o) tanh(c')``.

    i, j, f and o are the parts of ``[x; h] W + b``, in this order. With peepholes ``w_i c`` and
    ``w_f c`` are added to i and f, and ``w_o c'`` to o; c' is clipped before it is read; and h' is
    projected, by ``h' W_p``, and clipped. The output is ``h'``.

    The NumPy twin of ``tf.compat.v1.nn.rnn_cell.LSTMCell`` (Hochreiter and Schmidhuber, *Long
    short-term memory*, Neural Computation 9, 1997; Gers and Schmidhuber, *Recurrent nets that time
    and count*, IJCNN 2000; Sak, Senior and Beaufays, *Long short-term memory based recurrent neural
    network architectures*, arXiv 1402.1128).

    Parameters
    ----------
    num_units : int
        The size of c.
    use_peepholes : bool
        Whether gates see c: f and i the old one, o the new one, each times a weight.
    cell_clip : float, optional
        Where c is clipped, before the output is computed from it.
    num_proj : int, optional
        The size of the projection of h, without a bias; by default there is none.
    proj_clip : float, optional
        Where the projection is clipped.
    forget_bias : float
        What is added to the bias of the forget gate.
    activation : str
        "tanh", "relu", "sigmoid" or "linear": the function in place of both tanh.

    Raises
    ------
    ValueError
        If there is no such activation.
    """

    def __init__(
        self,
        num_units,
        use_peepholes=False,
        cell_clip=None,
        num_proj=None,
        proj_clip=None,
        forget_bias=1.0,
        activation="tanh",
    ):
        self.num_units, self.num_proj = num_units, num_proj
        self.use_peepholes = use_peepholes
        self.cell_clip, self.proj_clip = cell_clip, proj_clip
        self.forget_bias = forget_bias
        self.activation = activation_named(activation)
        self.output_size = num_units if num_proj is None else num_proj
        self.output_size_name = "num_units" if num_proj is None else "num_proj"
        self.state_parts = (("c", "num_units"), ("h", self.output_size_name))

    def parameters(self, scope, inputs):
        """Kernel and bias of the gates i, j, f, o; peepholes of f, i, o; the projection."""
        gates = ("num_units",) * 4
        fields = (
            Field(scope + "/kernel", (inputs + (self.output_size_name,), gates)),
            Field(scope + "/bias", (gates,)),
        )
        if self.use_peepholes:
            fields += tuple(
                Field("{}/w_{}_diag".format(scope, gate), (("num_units",),)) for gate in "fio"
            )
        if self.num_proj is not None:
            fields += (Field(scope + "/projection/kernel", (("num_units",), ("num_proj",))),)
        return fields

    def load(self, parameters):
        """Take the arrays of :meth:`parameters`; return self."""
        (self.kernel, self.bias), more = parameters[:2], parameters[2:]
        if self.use_peepholes:
            (self.w_f_diag, self.w_i_diag, self.w_o_diag), more = more[:3], more[3:]
        if self.num_proj is not None:
            (self.projection,) = more
        return self

    def __call__(self, inputs, state):
        """One step: [batch, inputs] and the state -> output [batch, output_size], new state."""
        c, h = state
        gates = affine(np.hstack([inputs, h]), self.kernel, self.bias)
        i, j, f, o = np.split(gates, 4, axis=-1)
        f = f + self.forget_bias
        if self.use_peepholes:
            f, i = f + self.w_f_diag * c, i + self.w_i_diag * c
        c = sigmoid(f) * c + sigmoid(i) * self.activation(j)
        if self.cell_clip is not None:
            c = np.clip(c, -self.cell_clip, self.cell_clip)
        if self.use_peepholes:
            o = o + self.w_o_diag * c
        h = sigmoid(o) * self.activation(c)
        if self.num_proj is not None:
            h = np.matmul(h, self.projection)
            if self.proj_clip is not None:
                h = np.clip(h, -self.proj_clip, self.proj_clip)
        return h, (c, h)
