"""The bidirectional RNN as a TensorFlow graph."""

from rnndiff.models import graphs
from rnndiff.models.bidirectional.config import DATA
from rnndiff.models.cells.tensorflow import tensorflow_cell
from rnndiff.models.tf1 import tf1


def build(config, training=False, precision="float32"):
    """Build the graph of `config`; training and inference are the same graph."""
    return graphs.build(config, DATA, _network, precision)


def _network(config, inputs, labels):
    forward, backward = (tensorflow_cell(config) for _ in range(2))
    outputs, forward_final_state, backward_final_state = tf1.nn.static_bidirectional_rnn(
        forward, backward, tf1.unstack(inputs, axis=1), dtype=inputs.dtype
    )
    project = graphs.projection(2 * config.sizes()[config.kind.output], config.outputs)
    trace = graphs.judged(project(outputs[-1]), labels)
    trace["outputs"] = tf1.stack(outputs, axis=1)
    trace.update(config.kind.named("forward_final_state", forward_final_state))
    trace.update(config.kind.named("backward_final_state", backward_final_state))
    return trace
