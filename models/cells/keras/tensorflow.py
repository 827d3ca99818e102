"""Keras' own cells and layers, made in the words of those in NumPy."""

from typing import Any, Dict, List

import tensorflow

from rnndiff.models.tf1 import tf1

# That of TensorFlow, which is Keras 2 in all versions that are set up by rnndiff.models.tf1.
keras = tensorflow.keras


class _Cells:
    """Keras' cells, where those of other kinds are in NumPy."""

    keras = keras.layers


def weights_of(dtype: str) -> Dict[str, str]:
    """Options of cells and layers: weights of a type, which are given once they are made."""
    # By default a recurrent kernel is made by Qr, which 2.4 does not have in float16.
    return {"dtype": dtype, "recurrent_initializer": "zeros"}


def keras_cell(config: Any, **options: Any) -> Any:
    """Keras' cell of a config, with these options of its own."""
    return config.kind.make(_Cells, **config.kind.arguments(config), **options)


def keras_layer(config: Any, **options: Any) -> Any:
    """Keras' layer of a config, with these options of its own."""
    given = config.kind.arguments(config)
    return getattr(keras.layers, config.kind.layer)(given.pop("num_units"), **given, **options)


class Recorded(keras.layers.Layer):  # type: ignore[name-defined]
    """A cell whose output has the other parts of its new state beside it."""

    def __init__(self, cell: Any, **options: Any) -> None:
        super().__init__(**options)
        self.cell = cell
        self.state_size = cell.state_size
        sizes = self.state_size if isinstance(self.state_size, (list, tuple)) else [self.state_size]
        self.sizes: List[int] = list(sizes)
        self.output_size = sum(self.sizes)

    def build(self, shape: Any) -> None:
        """Make the cell's weights."""
        self.cell.build(shape)
        self.built = True

    def call(self, inputs: Any, states: Any) -> Any:
        """One step: the parts of the new state side by side, and that state."""
        _, states = self.cell.call(inputs, states)
        return tf1.concat(list(states), axis=1), states
