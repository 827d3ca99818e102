"""Two cells run over a sequence, one in each direction, as a TensorFlow graph."""

from rnndiff.models import graphs
from rnndiff.models.birnn.config import DIRECTIONS, data_of, halves
from rnndiff.models.cells.tensorflow import Recorded, state_of, tensorflow_cell
from rnndiff.models.tf1 import tf1


def build(config, training=False, precision="float32"):
    """Build the graph of `config`; training and inference are the same graph."""
    return graphs.build(config, data_of(config.kind), _network, precision)


def _network(config, inputs, sequence_length, *more):
    parts = len(DIRECTIONS) * len(config.kind.state)
    cells = [Recorded(tensorflow_cell(config, noise)) for noise in halves(more[parts:])]
    initial = [state_of(cell, state) for cell, state in zip(cells, halves(more[:parts]))]
    if config.runner == "static_bidirectional_rnn":
        steps, *final = tf1.nn.static_bidirectional_rnn(
            *cells, tf1.unstack(inputs, axis=1), *initial, inputs.dtype, sequence_length
        )
        both = tf1.split(tf1.stack(steps, axis=1), [cell.output_size for cell in cells], axis=2)
    else:
        time_major = config.runner.endswith("time_major")
        both, final = tf1.nn.bidirectional_dynamic_rnn(
            *cells,
            graphs.swapped(inputs) if time_major else inputs,
            sequence_length,
            *initial,
            inputs.dtype,
            time_major=time_major,
        )
        both = [graphs.swapped(outputs) for outputs in both] if time_major else both
    trace, outputs = {}, []
    for direction, cell, of_steps, last in zip(DIRECTIONS, cells, both, final):
        mine, *states = cell.split(of_steps)
        outputs.append(mine)
        trace.update(config.kind.named(direction + "_states", states))
        trace.update(config.kind.named(direction + "_final", last))
    trace["outputs"] = tf1.concat(outputs, axis=2)
    return trace
