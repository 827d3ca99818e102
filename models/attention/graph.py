"""The encoder-decoder with attention as a TensorFlow graph.

On TensorFlow 1.x the cell is the genuine ``tf.contrib.rnn.AttentionCellWrapper``; TensorFlow 2 has
none, and the port of it stands in.
"""

from models import graphs
from models.attention.config import DATA
from models.tf1 import tf1


def attention_cell_wrapper():
    """The class ``AttentionCellWrapper``: TensorFlow's own where there is one, else the port."""
    try:
        from tensorflow.contrib.rnn import AttentionCellWrapper
    except ImportError:
        from models.cells.attention_tensorflow import AttentionCellWrapper
    return AttentionCellWrapper


def build(config, training=False, wrapper=None):
    """Build the graph of `config`; with `training`, the decoder is fed the labels.

    `wrapper` is the class to build the cells from, by default that of
    :func:`attention_cell_wrapper`.
    """
    wrapper = wrapper or attention_cell_wrapper()

    def network(config, inputs, labels):
        encoder, decoder = _cell(wrapper, config), _cell(wrapper, config)
        encoder_steps, decoder_steps = [], []

        with tf1.variable_scope("encoder"):
            state = encoder.zero_state(config.batch, tf1.float32)
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
        trace.update(_named("encoder", config, encoder_steps))
        trace.update(_named("decoder", config, decoder_steps))
        return trace

    return graphs.build(config, DATA, network)


def _cell(wrapper, config):
    return wrapper(
        tf1.nn.rnn_cell.BasicRNNCell(config.num_units),
        config.attn_length,
        attn_size=config.attn_size,
        attn_vec_size=config.attn_vec_size,
        input_size=config.input_size,
        state_is_tuple=config.state_is_tuple,
    )


def _named(side, config, steps):
    """The parts of every step's (output, state), stacked, by the names of the trace."""
    attn_size = config.sizes()["attn_size"]
    splits = [config.num_units, attn_size, config.attn_length * attn_size]
    slots = [config.batch, config.attn_length, attn_size]
    parts = {"states": [], "attentions": [], "windows": [], "outputs": []}
    for output, state in steps:
        if not config.state_is_tuple:
            state = tf1.split(state, splits, axis=1)
        parts["states"].append(state[0])
        parts["attentions"].append(state[1])
        parts["windows"].append(tf1.reshape(state[2], slots))
        parts["outputs"].append(output)
    empty = {"states": [config.num_units], "windows": slots[1:]}
    return {
        "{}_{}".format(side, name): graphs.stack_steps(
            arrays, [config.batch, 0] + empty.get(name, [attn_size])
        )
        for name, arrays in parts.items()
    }
