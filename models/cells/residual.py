"""A cell whose inputs are added to its outputs."""

from rnndiff.models.cells.wrapper import Wrapper


class ResidualWrapper(Wrapper):
    """A cell whose output is its inputs plus that of the cell in it, of the same size.

    The NumPy twin of ``tf.compat.v1.nn.rnn_cell.ResidualWrapper`` (Wu et al., *Google's neural
    machine translation system*, arXiv 1609.08144). The state is that of the cell.

    Parameters
    ----------
    cell : Cell
    """

    def __call__(self, inputs, state):
        """One step: [batch, inputs] and the state -> output [batch, inputs], new state."""
        output, state = self.cell(inputs, state)
        return inputs + output, state
