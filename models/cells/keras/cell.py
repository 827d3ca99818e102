"""What Keras' cells have in common."""

from typing import Tuple

from rnndiff.models.cells.cell import Cell
from rnndiff.models.layout import Axis, Field


class KerasCell(Cell):
    """A cell with a kernel, a recurrent kernel and, unless ``use_bias`` is False, a bias.

    The first part of its state is its output.
    """

    state_parts: Tuple[Tuple[str, str], ...] = (("h", "num_units"),)
    # The parts of a kernel, each as wide as the state; and the axes of a bias before these.
    gates = 1
    bias_axes: Tuple[Axis, ...] = ()

    def __init__(self, units, use_bias):
        self.num_units = self.output_size = units
        self.use_bias = use_bias

    def parameters(self, scope, inputs):
        """Kernel, recurrent kernel and bias, each of the gates in their order."""
        gates = ("num_units",) * self.gates
        fields = (
            Field(scope + "/kernel", (inputs, gates)),
            Field(scope + "/recurrent_kernel", (("num_units",), gates)),
        )
        if self.use_bias:
            fields += (Field(scope + "/bias", self.bias_axes + (gates,)),)
        return fields

    def load(self, parameters):
        """Take the arrays of :meth:`parameters`; return self."""
        self.kernel, self.recurrent_kernel, *self.bias = parameters
        return self
