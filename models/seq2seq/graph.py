"""The encoder-decoder as a TensorFlow graph."""

from rnndiff.models import graphs
from rnndiff.models.cells.tensorflow import tensorflow_cell
from rnndiff.models.seq2seq.config import DATA
from rnndiff.models.tf1 import tf1


def build(config, training=False, precision="float32"):
    """Build the graph of `config`; with `training`, the decoder is fed the labels."""

    def network(config, inputs, labels):
        encoder, decoder = (tensorflow_cell(config) for _ in range(2))
        encoder_states, decoder_states = [], []
        batch = graphs.batch_of(config, inputs)

        with tf1.variable_scope("encoder"):
            state = encoder.zero_state(batch, inputs.dtype)
            for t in range(config.time):
                output, state = encoder(inputs[:, t], state)
                encoder_states.append(state)
        project = graphs.projection(config.sizes()[config.kind.output], config.outputs)

        def step(token):
            last = (encoder_states + decoder_states)[-1]
            with tf1.variable_scope("decoder"):
                output, state = decoder(token, last)
            decoder_states.append(state)
            return output

        trace = graphs.decoded(config, project, output, step, labels, training)
        trace.update(graphs.stack_states("encoder_states", encoder_states, config, batch))
        trace.update(graphs.stack_states("decoder_states", decoder_states, config, batch))
        return trace

    return graphs.build(config, DATA, network, precision)
