"""A cell around another one."""

from rnndiff.models.cells.cell import Cell


class Wrapper(Cell):
    """A cell with the state and the parameters, under the same names, of the cell in it.

    Parameters
    ----------
    cell : Cell
    """

    def __init__(self, cell):
        self.cell = cell
        self.output_size, self.output_size_name = cell.output_size, cell.output_size_name
        self.state_parts = cell.state_parts

    def parameters(self, scope, inputs):
        """Those of the cell."""
        return self.cell.parameters(scope, inputs)

    def load(self, parameters):
        """Take the arrays of :meth:`parameters`; return self."""
        self.cell.load(parameters)
        return self

    def zero_state(self, batch_size, dtype):
        """That of the cell."""
        return self.cell.zero_state(batch_size, dtype)
