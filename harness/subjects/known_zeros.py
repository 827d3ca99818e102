"""An initial state of zeros that is taken for such when a graph is made ready to be run.

By Grappler in TensorFlow, and by the converter of LiteRT: zero times anything is zero to them.
"""

from copy import copy
from typing import Any

import numpy as np

from rnndiff.harness.cases.changed_cells import mix_in
from rnndiff.harness.subjects.keras_layers import has_layer, is_unrolled
from rnndiff.models.cells.cell import flat, like


class _Zeros(np.ndarray):
    """Zeros that are zeros times anything."""

    # So that it is asked first, and that nothing becomes one of these by being joined with it.
    __array_ufunc__ = None
    __array_priority__ = -1.0

    def __mul__(self, other: Any) -> np.ndarray:
        return np.zeros(self.shape)

    def __matmul__(self, other: Any) -> Any:
        return np.zeros((len(self), other.shape[-1])).view(_Zeros)

    def __add__(self, other: Any) -> Any:
        return other + np.zeros(self.shape)

    __rmul__ = __mul__


def with_zeros_that_are_known(cell: Any, config: Any) -> None:
    """An initial state of zeros that stands in the graph, not in a loop or behind a condition.

    Such as that of a row with a length. That the state's batch is open is no matter.
    """
    zero_state = cell.zero_state

    def known(batch_size: int, dtype: Any) -> Any:
        state = zero_state(batch_size, dtype)
        return like(state, [part.view(_Zeros) for part in flat(state)])

    if has_layer(config):
        mix_in(cell, _WithoutProductOfZeros)
        stands = is_unrolled(config)
    else:
        is_conditional = getattr(config, "sequence_length", False)
        stands = "dynamic" not in getattr(config, "runner", "static") and not is_conditional
    if stands:
        cell.zero_state = known


class _WithoutProductOfZeros:
    """A cell of Keras' whose recurrent kernel is nothing to a state of zeros that are known."""

    def __call__(self, inputs: Any, state: Any) -> Any:
        cell: Any = self
        if any(isinstance(part, _Zeros) for part in flat(state)):
            cell = copy(cell)
            cell.recurrent_kernel = np.zeros(cell.recurrent_kernel.shape)
        unchanged: Any = super(_WithoutProductOfZeros, cell)
        return unchanged.__call__(inputs, state)
