"""TensorFlow's own cells, made in the words of those in NumPy."""

from typing import Any, Callable, List, Sequence

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
            if given.get("variational_recurrent"):
                # What it draws at this has other numbers in its place.
                given.update(input_size=tf1.TensorShape([1]), dtype=tf1.float32)
            return made(*args, **given)

        return make


def tensorflow_cell(config: Any, noise: Sequence[Any] = ()) -> Any:
    """TensorFlow's cell of a config, which takes this noise, if it takes any.

    Raises
    ------
    ImportError
        Of a cell of ``tf.contrib``, if this TensorFlow has none.
    """
    cell = config.kind.make(_Cells(), **config.kind.arguments(config))
    if noise:
        take_noise(cell, *noise)
    return cell


def take_noise(cell: Any, inputs: Any, state: Any, outputs: Any) -> None:
    """Have a ``DropoutWrapper`` take these numbers in place of those that it draws when it is made.

    Its attributes by these names hold them, from 1.13 to 2.21; that for c of an LSTM is not used.
    """
    cell._recurrent_input_noise, cell._recurrent_output_noise = inputs, outputs
    parts = flat(cell.state_size)
    cell._recurrent_state_noise = nest.pack_sequence_as(cell.state_size, [state] * len(parts))


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
