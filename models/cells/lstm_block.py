"""The cell with a long short-term memory as one operation of TensorFlow's."""

from rnndiff.models.cells.lstm import LSTMCell


class LSTMBlockCell(LSTMCell):
    """What :class:`LSTMCell` computes, without a projection.

    The NumPy twin of ``tf.contrib.rnn.LSTMBlockCell`` of TensorFlow 1.x, which computes it in one
    kernel. It has its peepholes in another order, and a `cell_clip` of zero or less clips nothing.

    Parameters
    ----------
    num_units : int
        The size of c and of h.
    forget_bias : float
        What is added to the bias of the forget gate.
    cell_clip : float, optional
        Where c is clipped, before the output is computed from it.
    use_peephole : bool
        Whether gates see c: f and i the old one, o the new one, each times a weight.
    """

    def __init__(self, num_units, forget_bias=1.0, cell_clip=None, use_peephole=False):
        if cell_clip is not None and cell_clip <= 0:
            cell_clip = None
        super().__init__(num_units, use_peephole, cell_clip, forget_bias=forget_bias)

    def parameters(self, scope, inputs):
        """Kernel and bias of the gates i, j, f, o; peepholes of i, f, o."""
        return _swapped(super().parameters(scope, inputs))

    def load(self, parameters):
        """Take the arrays of :meth:`parameters`; return self."""
        return super().load(_swapped(parameters))


def _swapped(parameters):
    """The same with the peepholes of f and i, if any, in the other order."""
    return parameters[:2] + parameters[2:4][::-1] + parameters[4:]
