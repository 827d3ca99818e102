"""Layers of cells, each run in both directions, as a TensorFlow graph.

On TensorFlow 1.x the functions that stack them are the genuine ones of ``tf.contrib.rnn``;
TensorFlow 2 has none, and ports of them stand in.
"""

from rnndiff.models import graphs
from rnndiff.models.birnn.config import DIRECTIONS, halves
from rnndiff.models.cells.kinds import part_of
from rnndiff.models.cells.tensorflow import Recorded, state_of, tensorflow_cell
from rnndiff.models.stackbirnn.config import data_of
from rnndiff.models.tf1 import tf1


def stacks():
    """What has the functions that stack layers: ``tf.contrib.rnn``, or if there is none, ports."""
    try:
        from tensorflow.contrib import rnn
    except ImportError:
        from rnndiff.models.stackbirnn import tensorflow as rnn
    return rnn


def build(config, training=False, functions=None, precision="float32"):
    """Build the graph of `config`; training and inference are the same graph.

    `functions` has those that stack layers, by default :func:`stacks`.
    """
    functions = functions or stacks()

    def network(config, inputs, sequence_length, *initial_states):
        layers = _layers(config)
        forward, backward = ([layer[number] for layer in layers] for number in range(2))
        of_forward, of_backward = halves(initial_states)
        given = _of_layers(forward, of_forward), _of_layers(backward, of_backward)
        if config.runner == "stack_bidirectional_rnn":
            steps, *final = functions.stack_bidirectional_rnn(
                forward,
                backward,
                tf1.unstack(inputs, axis=1),
                *given,
                dtype=inputs.dtype,
                sequence_length=sequence_length,
            )
            outputs = tf1.stack(steps, axis=1)
        else:
            time_major = config.runner.endswith("time_major")
            outputs, *final = functions.stack_bidirectional_dynamic_rnn(
                forward,
                backward,
                graphs.swapped(inputs) if time_major else inputs,
                *given,
                dtype=inputs.dtype,
                sequence_length=sequence_length,
                time_major=time_major,
            )
            outputs = graphs.swapped(outputs) if time_major else outputs
        return _trace(config, layers, outputs, final)

    return graphs.build(config, data_of(config.kind), network, precision)


class _Above(Recorded):
    """A cell that reads the outputs among what those of the layer `below` have recorded.

    The functions that stack layers return the outputs of the last layer alone: so the forward cell
    has what it was given beside what it records.
    """

    def __init__(self, cell, below, passes_on):
        super().__init__(cell)
        self._below, self._passes_on = below, passes_on
        if passes_on:
            self._sizes.append(sum(each.output_size for each in below))
            self.output_size = sum(self._sizes)

    def __call__(self, inputs, state, scope=None):
        recorded = tf1.split(inputs, [each.output_size for each in self._below], axis=1)
        outputs = [each.split(x, axis=1)[0] for each, x in zip(self._below, recorded)]
        result, state = super().__call__(tf1.concat(outputs, axis=1), state)
        return tf1.concat([result, inputs], axis=1) if self._passes_on else result, state


def _layers(config):
    """The cells of each layer, of both directions."""
    layers = [[Recorded(tensorflow_cell(config)) for _ in DIRECTIONS]]
    for _ in range(1, config.layers):
        cells = [tensorflow_cell(config) for _ in DIRECTIONS]
        layers.append([_Above(x, layers[-1], x is cells[0]) for x in cells])
    return layers


def _of_layers(cells, initial_states):
    """The initial state of the cell of each layer, None if they are None."""
    if initial_states[0] is None:
        return None
    parts = [tf1.unstack(part, axis=1) for part in initial_states]
    return [state_of(cell, of_layer) for cell, of_layer in zip(cells, zip(*parts))]


def _trace(config, layers, outputs, final):
    """What was recorded, by the names of the trace; `outputs` are those of the last layer."""
    states = {direction: [] for direction in DIRECTIONS}
    trace = {}
    for cells in reversed(layers):
        recorded = tf1.split(outputs, [cell.output_size for cell in cells], axis=2)
        (mine, *forward), (others, *backward) = (cell.split(x) for cell, x in zip(cells, recorded))
        if "outputs" not in trace:
            trace["outputs"] = tf1.concat([mine, others], axis=2)
        if cells is not layers[0]:
            outputs = forward.pop()
        for direction, parts in zip(DIRECTIONS, (forward, backward)):
            states[direction].insert(0, parts)
    for direction, of_layers in zip(DIRECTIONS, final):
        trace.update(_stacked(config, direction + "_states", states[direction]))
        trace.update(_stacked(config, direction + "_final", of_layers))
    return trace


def _stacked(config, name, states):
    """The parts of the states of all layers, [..., layers, units], by their names."""
    layers = [list(config.kind.named(name, state).values()) for state in states]
    names = [part_of(name, part) for part, _ in config.kind.state]
    return {each: tf1.stack(of_part, axis=-2) for each, of_part in zip(names, zip(*layers))}
