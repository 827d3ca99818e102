"""A cell run over a sequence, as a TensorFlow graph."""

from rnndiff.models import graphs
from rnndiff.models.cells.tensorflow import Recorded, state_of, tensorflow_cell
from rnndiff.models.rnn.config import data_of
from rnndiff.models.tf1 import tf1


def build(config, training=False, precision="float32"):
    """Build the graph of `config`; training and inference are the same graph."""
    return graphs.build(config, data_of(config.kind), _network, precision)


def _network(config, inputs, sequence_length, *more):
    parts = len(config.kind.state)
    cell = Recorded(tensorflow_cell(config, more[parts:]))
    initial_state = state_of(cell, more[:parts])
    if config.runner == "static_rnn":
        steps, final = tf1.nn.static_rnn(
            cell, tf1.unstack(inputs, axis=1), initial_state, inputs.dtype, sequence_length
        )
        outputs = tf1.stack(steps, axis=1)
    else:
        time_major = config.runner.endswith("time_major")
        outputs, final = tf1.nn.dynamic_rnn(
            cell,
            graphs.swapped(inputs) if time_major else inputs,
            sequence_length,
            initial_state,
            inputs.dtype,
            time_major=time_major,
        )
        outputs = graphs.swapped(outputs) if time_major else outputs
    outputs, *states = cell.split(outputs)
    kind = config.kind
    return {"outputs": outputs, **kind.named("states", states), **kind.named("final", final)}
