"""TensorFlow's own cells, made in the words of those in NumPy."""

from typing import Any, Callable, List

from rnndiff.models.cells.attention_tensorflow import nest
from rnndiff.models.cells.cell import flat
from rnndiff.models.tf1 import tf1

ACTIVATIONS = {
    "tanh": tf1.tanh,
    "relu": tf1.nn.relu,
    "sigmoid": tf1.sigmoid,
    "linear": tf1.identity,
}


class _Cells:
    """The cells of ``tf.nn.rnn_cell`` and, on 1.x, of ``tf.contrib.rnn``."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        made = getattr(tf1.nn.rnn_cell, name, None)
        if made is None:
            from tensorflow.contrib import rnn

            made = getattr(rnn, name)

        def make(*args: Any, **given: Any) -> Any:
            if "activation" in given:
                given["activation"] = ACTIVATIONS[given["activation"]]
            return made(*args, **given)

        return make


def tensorflow_cell(config: Any) -> Any:
    """TensorFlow's cell of a config.

    Raises
    ------
    ImportError
        Of a cell of ``tf.contrib``, if this TensorFlow has none.
    """
    return config.kind.make(_Cells(), **config.kind.arguments(config))


class Recorded:
    """A cell whose output has its new state beside it: the functions that run cells do not tell."""

    def __init__(self, cell: Any) -> None:
        self._cell = cell
        self.state_size, self.zero_state = cell.state_size, cell.zero_state
        self._sizes = [cell.output_size, *flat(cell.state_size)]
        self.output_size = sum(self._sizes)

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> Any:
        """One step: the output and the parts of the new state side by side, and that state."""
        output, state = self._cell(inputs, state)
        return tf1.concat([output, *flat(state)], axis=1), state

    def split(self, outputs: Any, axis: int = 2) -> List[Any]:
        """The outputs of a run [batch, time, ...], and the parts of the states of all steps."""
        return list(tf1.split(outputs, self._sizes, axis=axis))


def state_of(cell: Any, parts: Any) -> Any:
    """A state of these parts, as the cell has it; None if they are None."""
    if parts[0] is None:
        return None
    return nest.pack_sequence_as(cell.state_size, list(parts))
