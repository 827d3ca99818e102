"""The gated recurrent unit as one operation of TensorFlow's."""

from rnndiff.models.cells.gru import GRUCell


class GRUBlockCell(GRUCell):
    """What :class:`GRUCell` computes.

    The NumPy twin of ``tf.contrib.rnn.GRUBlockCell`` of TensorFlow 1.x, which computes it in one
    kernel, and names its parameters otherwise.

    Parameters
    ----------
    num_units : int
        The size of the state.
    """

    def __init__(self, num_units):
        super().__init__(num_units)

    def parameters(self, scope, inputs):
        """Kernel and bias of the gates r, u, then of the candidate."""
        names = ("w_ru", "b_ru", "w_c", "b_c")
        return tuple(
            field._replace(name="{}/{}".format(scope, name))
            for name, field in zip(names, super().parameters(scope, inputs))
        )
