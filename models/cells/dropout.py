"""A cell of whose inputs, states and outputs some are dropped in training."""

from rnndiff.models.cells.wrapper import Wrapper


class DropoutWrapper(Wrapper):
    """The cell as it is after training, when everything is kept: the cell in it.

    The NumPy twin of ``tf.compat.v1.nn.rnn_cell.DropoutWrapper``.

    Parameters
    ----------
    cell : Cell
    input_keep_prob, output_keep_prob, state_keep_prob : float
        How likely inputs, outputs and states are kept: 1.

    Raises
    ------
    ValueError
        If any is less: what is dropped is random, and no number of two programs would be the same.
    """

    def __init__(self, cell, input_keep_prob=1.0, output_keep_prob=1.0, state_keep_prob=1.0):
        super().__init__(cell)
        if not input_keep_prob == output_keep_prob == state_keep_prob == 1:
            raise ValueError("what is dropped is random: all keep probabilities must be 1")

    def __call__(self, inputs, state):
        """One step, that of the cell."""
        return self.cell(inputs, state)
