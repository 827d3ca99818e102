"""The encoder-decoder with attention as a TensorFlow graph.

On TensorFlow 1.x the cell is the genuine ``tf.contrib.rnn.AttentionCellWrapper``; TensorFlow 2 has
none, and the port of it stands in.
"""

from rnndiff.models import graphs
from rnndiff.models.attention.config import DATA
from rnndiff.models.cells.tensorflow import tensorflow_cell
from rnndiff.models.tf1 import tf1


def attention_cell_wrapper():
    """The class ``AttentionCellWrapper``: TensorFlow's own where there is one, else the port."""
    try:
        from tensorflow.contrib.rnn import AttentionCellWrapper
    except ImportError:
        from rnndiff.models.cells.attention_tensorflow import AttentionCellWrapper
    return AttentionCellWrapper


def build(config, training=False, wrapper=None, precision="float32"):
    """Build the graph of `config`; with `training`, the decoder is fed the labels.

    `wrapper` is the class to build the cells from, by default that of
    :func:`attention_cell_wrapper`.
    """
    wrapper = wrapper or attention_cell_wrapper()

    def network(config, inputs, labels):
        encoder, decoder = (_Attending(wrapper, config) for _ in range(2))
        encoder_steps, decoder_steps = [], []
        batch = graphs.batch_of(config, inputs)

        with tf1.variable_scope("encoder"):
            state = encoder.zero_state(batch, inputs.dtype)
            for t in range(config.time):
                output, state = encoder(inputs[:, t], state)
                encoder_steps.append((output, state))
        project = graphs.projection(config.sizes()["attn_size"], config.outputs)

        def step(token):
            _, last = (encoder_steps + decoder_steps)[-1]
            with tf1.variable_scope("decoder"):
                output, state = decoder(token, last)
            decoder_steps.append((output, state))
            return output

        trace = graphs.decoded(config, project, output, step, labels, training)
        trace.update(_named("encoder", config, batch, encoder_steps, encoder))
        trace.update(_named("decoder", config, batch, decoder_steps, decoder))
        return trace

    return graphs.build(config, DATA, network, precision)


class _Recorded:
    """A cell that keeps in a list what it reads: the wrapper around it does not tell."""

    def __init__(self, cell):
        self.state_size, self.output_size = cell.state_size, cell.output_size
        self.zero_state = cell.zero_state
        self.read = []
        self._cell = cell

    def __call__(self, inputs, state):
        self.read.append(inputs)
        return self._cell(inputs, state)


class _Attending:
    """A cell with attention that keeps what it does not return.

    ``read`` is what its inner cell has read, in a list. ``softmaxes`` are the inputs and outputs of
    its softmax, energies and alignments, where it is run eagerly; in a graph they are found later.
    """

    def __init__(self, wrapper, config):
        inner = _Recorded(tensorflow_cell(config))
        self._cell = wrapper(
            inner,
            config.attn_length,
            attn_size=config.attn_size,
            attn_vec_size=config.attn_vec_size,
            input_size=config.input_size,
            state_is_tuple=_state_is_tuple(config),
        )
        self.zero_state = self._cell.zero_state
        self.read, self.softmaxes = inner.read, []

    def __call__(self, inputs, state):
        if not tf1.executing_eagerly():
            return self._cell(inputs, state)
        returned, operations = graphs.operations_of(self._cell, inputs, state)
        for kind, read, written in operations:
            if kind == "Softmax":
                self.softmaxes.append((read[0], written[0]))
        return returned


def _named(side, config, batch, steps, cell):
    """The parts of every step, stacked, by the names of the trace.

    The cell returns neither energies nor alignments; they are what its softmax reads and writes.
    """
    softmaxes = cell.softmaxes
    if not tf1.executing_eagerly():
        operations = tf1.get_default_graph().get_operations()
        mine = [operation for operation in operations if operation.name.startswith(side)]
        softmaxes = [(x.inputs[0], x.outputs[0]) for x in mine if x.type == "Softmax"]
    sizes = config.sizes()
    attn_size = sizes["attn_size"]
    splits = [config.num_units, attn_size, config.attn_length * attn_size]
    slots = [config.attn_length, attn_size]
    shapes = {
        "cell_inputs": [sizes[side + "_input_size"]],
        "energies": slots[:1],
        "alignments": slots[:1],
        "attentions": slots[1:],
        "windows": slots,
        "outputs": slots[1:],
    }
    parts, states = [], []
    for (output, state), read, softmax in zip(steps, cell.read, softmaxes):
        if not _state_is_tuple(config):
            state = tf1.split(state, splits, axis=1)
        window = tf1.reshape(state[2], [batch] + slots)
        parts.append([read, *softmax, state[1], window, output])
        states.append(state[0])
    named = {
        "{}_{}".format(side, name): graphs.stack_steps(
            [part[k] for part in parts], [batch, 0] + shape
        )
        for k, (name, shape) in enumerate(shapes.items())
    }
    return dict(named, **graphs.stack_states(side + "_states", states, config, batch))


def _state_is_tuple(config):
    """Whether the state is passed as a tuple; a state of several parts has to be."""
    return getattr(config, "state_is_tuple", True)
