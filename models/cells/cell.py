"""What all cells have in common."""

from typing import Tuple

import numpy as np


class Cell:
    """One step of recurrence: ``cell(inputs, state) -> output, new state``.

    Of shapes [batch, inputs], the state's, and [batch, output_size]. A state of one part is an
    array, of several parts a tuple, in TensorFlow's order.

    Attributes
    ----------
    state_parts : tuple of (str, str)
        The name of each part of the state, and the name of its size.
    output_size_name : str
        The name of the output's size, ``output_size``.
    """

    state_parts: Tuple[Tuple[str, str], ...] = ()
    output_size_name = "num_units"

    def parameters(self, scope, inputs):
        """The parameters, in the order in which TensorFlow creates its variables.

        Parameters
        ----------
        scope : str
            What the names begin with.
        inputs : tuple of str
            The names of the sizes that add up to that of the inputs.

        Returns
        -------
        tuple of rnndiff.models.layout.Field
        """
        raise NotImplementedError

    def load(self, parameters):
        """Take the arrays of :meth:`parameters`; return self."""
        raise NotImplementedError

    def zero_state(self, batch_size, dtype):
        """The initial state, all zeros."""
        sizes = [getattr(self, size) for _, size in self.state_parts]
        parts = tuple(np.zeros((batch_size, size), dtype) for size in sizes)
        return parts if len(parts) > 1 else parts[0]


def flat(state):
    """The parts of a state, of which any may have parts itself, as a list of arrays."""
    if isinstance(state, (list, tuple)):
        return [array for part in state for array in flat(part)]
    return [state]


def like(state, parts):
    """These parts packed as a state is, of one array or of tuples."""
    parts = list(parts)

    def packed(each):
        return tuple(map(packed, each)) if isinstance(each, tuple) else parts.pop(0)

    return packed(state)


def cells_in(cell):
    """The cell, and all those that it is made of."""
    yield cell
    for inner in getattr(cell, "cells", [cell.cell] if hasattr(cell, "cell") else []):
        yield from cells_in(inner)
