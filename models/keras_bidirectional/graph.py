"""Two recurrent layers of Keras', one in each direction, as a TensorFlow graph."""

from rnndiff.models import graphs
from rnndiff.models.birnn.config import DIRECTIONS, halves
from rnndiff.models.cells.keras.tensorflow import keras, keras_layer, weights_of
from rnndiff.models.keras_bidirectional.config import data_of
from rnndiff.models.tf1 import tf1


def build(config, training=False, precision="float32"):
    """Build the graph of `config`; training and inference are the same graph."""
    return graphs.build(config, data_of(config.kind), _network, precision)


def _network(config, inputs, mask, *initial_states):
    dtype = inputs.dtype.name
    layer = keras_layer(
        config,
        return_sequences=config.return_sequences,
        return_state=True,
        go_backwards=config.go_backwards,
        unroll=config.runner.endswith("unrolled"),
        **weights_of(dtype),
    )
    both = keras.layers.Bidirectional(layer, merge_mode=config.merge_mode, dtype=dtype)
    outputs, *final = both(
        inputs,
        mask=None if mask is None else tf1.cast(mask, tf1.bool),
        initial_state=list(initial_states) if config.initial_state else None,
    )
    if config.merge_mode is None:
        backward, *final = final
        outputs = tf1.concat([outputs, backward], axis=-1)
    trace = {}
    for direction, state in zip(DIRECTIONS, halves(final)):
        trace.update(config.kind.named(direction + "_final", state))
    trace["outputs"] = outputs if config.return_sequences else outputs[:, None]
    return trace
