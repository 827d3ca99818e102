"""A recurrent layer of Keras', as a TensorFlow graph."""

from rnndiff.models import graphs
from rnndiff.models.cells.keras.tensorflow import (
    Recorded,
    keras,
    keras_cell,
    keras_layer,
    weights_of,
)
from rnndiff.models.cells.kinds import part_of
from rnndiff.models.keras.config import data_of
from rnndiff.models.tf1 import tf1


def build(config, training=False, precision="float32"):
    """Build the graph of `config`; training and inference are the same graph."""
    return graphs.build(config, data_of(config.kind), _network, precision)


def _network(config, inputs, mask, *initial_state):
    dtype = inputs.dtype.name
    runner, _, unrolled = config.runner.partition(", ")
    options = dict(
        return_sequences=config.return_sequences,
        return_state=True,
        go_backwards=config.go_backwards,
        unroll=bool(unrolled),
        zero_output_for_mask=config.zero_output_for_mask,
    )
    if runner == "layer":
        layer = keras_layer(config, **weights_of(dtype), **options)
    else:
        cell = Recorded(keras_cell(config, **weights_of(dtype)), dtype=dtype)
        layer = keras.layers.RNN(cell, dtype=dtype, **options)
    outputs, *final = layer(
        inputs,
        mask=None if mask is None else tf1.cast(mask, tf1.bool),
        initial_state=list(initial_state) if config.initial_state else None,
    )
    outputs = outputs if config.return_sequences else outputs[:, None]
    trace = config.kind.named("final", final)
    if runner == "layer":
        trace["outputs"] = outputs
    else:
        trace["outputs"], *states = tf1.split(outputs, cell.sizes, axis=2)
        trace.update((part_of("states", p), x) for (p, _), x in zip(config.kind.state[1:], states))
    return trace
