"""The bidirectional RNN as a TensorFlow graph."""

from rnndiff.models import graphs
from rnndiff.models.bidirectional.config import DATA
from rnndiff.models.tf1 import tf1


def build(config, training=False):
    """Build the graph of `config`; training and inference are the same graph."""
    return graphs.build(config, DATA, _network)


def _network(config, inputs, labels):
    forward = tf1.nn.rnn_cell.BasicRNNCell(config.num_units)
    backward = tf1.nn.rnn_cell.BasicRNNCell(config.num_units)
    outputs, forward_final_state, backward_final_state = tf1.nn.static_bidirectional_rnn(
        forward, backward, tf1.unstack(inputs, axis=1), dtype=tf1.float32
    )
    project = graphs.projection(2 * config.num_units, config.outputs)
    trace = graphs.judged(project(outputs[-1]), labels)
    trace["outputs"] = tf1.stack(outputs, axis=1)
    trace["forward_final_state"] = forward_final_state
    trace["backward_final_state"] = backward_final_state
    return trace
