"""Cells on top of each other."""

from rnndiff.models.cells.cell import Cell


class MultiRNNCell(Cell):
    """Each cell reads the output of the one before it; the output is that of the last one.

    The NumPy twin of ``tf.compat.v1.nn.rnn_cell.MultiRNNCell``. The state is the tuple of the
    cells' states.

    Parameters
    ----------
    cells : list of cells

    Raises
    ------
    ValueError
        If there is no cell.
    """

    def __init__(self, cells):
        if not cells:
            raise ValueError("Must specify at least one cell for MultiRNNCell.")
        self.cells = cells
        self.output_size = cells[-1].output_size
        self.output_size_name = cells[-1].output_size_name
        self.state_parts = tuple(
            ("cell_{}_{}".format(number, part), size)
            for number, cell in enumerate(cells)
            for part, size in cell.state_parts
        )

    def parameters(self, scope, inputs):
        """Those of each cell, the first one first."""
        fields = ()
        for number, cell in enumerate(self.cells):
            fields += cell.parameters("{}/cell_{}".format(scope, number), inputs)
            inputs = (cell.output_size_name,)
        return fields

    def load(self, parameters):
        """Take the arrays of :meth:`parameters`; return self."""
        for cell in self.cells:
            count = len(cell.parameters("", ()))
            cell.load(parameters[:count])
            parameters = parameters[count:]
        return self

    def zero_state(self, batch_size, dtype):
        """The initial states of the cells."""
        return tuple(cell.zero_state(batch_size, dtype) for cell in self.cells)

    def __call__(self, inputs, state):
        """One step: [batch, inputs] and the states -> output of the last cell, new states."""
        states = []
        for cell, cell_state in zip(self.cells, state):
            inputs, cell_state = cell(inputs, cell_state)
            states.append(cell_state)
        return inputs, tuple(states)
