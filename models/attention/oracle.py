"""The encoder-decoder with attention, as the textbook writes it."""

import numpy as np

from rnndiff.models.attention.config import cell_of, parts
from rnndiff.models.decoding import first_token, next_token
from rnndiff.models.functions import accuracy, affine, log_loss, softmax
from rnndiff.models.layout import divide


def oracle(config, parameters, inputs, labels):
    """Read the inputs from the zero state on, then write tokens, each fed back to the decoder.

    Parameters
    ----------
    config : Config
    parameters : list of arrays
        In TensorFlow's order; none of the decoder's if it never runs.
    inputs : array [batch, time, inputs]
    labels : array [batch, output_time, outputs]

    Returns
    -------
    dict of str to array
        =====================================  =========================================
        encoder_cell_inputs, decoder_...       [batch, steps, input_size]
        encoder_states, decoder_states         [batch, steps, num_units]
        encoder_outputs, decoder_outputs       [batch, steps, attn_size]
        encoder_windows, decoder_windows       [batch, steps, attn_length, attn_size]
        encoder_energies, decoder_energies     [batch, steps, attn_length]
        encoder_alignments, decoder_...        [batch, steps, attn_length], their softmax
        encoder_attentions, decoder_...        [batch, steps, attn_size]
        fed_back                               [batch, output_time - 1, outputs]
        scores, probabilities                  [batch, output_time, outputs]
        predictions                            [batch, output_time], whole numbers
        accuracy, loss                         []
        =====================================  =========================================

        The encoder takes `time` steps and the decoder `output_time - 1`, or with a start token one
        for each token; of no steps there are no arrays. Of a cell whose state has parts, such as c
        and h, there are encoder_states_c, ...
    """
    of_encoder, (kernel, bias), of_decoder = divide(parameters, parts(config))
    encoder_steps, decoder_steps, fed_back = [], [], []

    encoder = cell_of(config).load(of_encoder)
    state = encoder.zero_state(config.batch, inputs.dtype)
    for t in range(config.time):
        encoder_steps.append(encoder.step(inputs[:, t], state))
        output, state = encoder_steps[-1].result()

    start = first_token(config, inputs.dtype)
    scores = [affine(output, kernel, bias)] if start is None else []
    predictions = [np.argmax(row, axis=-1) for row in scores]
    while len(scores) < config.output_time:
        decoder = cell_of(config).load(of_decoder)
        fed_back.append(next_token(config, scores[-1], predictions[-1]) if scores else start)
        decoder_steps.append(decoder.step(fed_back[-1], state))
        output, state = decoder_steps[-1].result()
        scores.append(affine(output, kernel, bias))
        predictions.append(np.argmax(scores[-1], axis=-1))

    scores, predictions = np.stack(scores, axis=1), np.stack(predictions, axis=1)
    probabilities = softmax(scores)
    trace = {
        "scores": scores,
        "probabilities": probabilities,
        "predictions": predictions,
        "accuracy": accuracy(predictions, labels),
        "loss": log_loss(probabilities, labels),
    }
    trace.update(_named(config, "encoder", encoder_steps))
    if fed_back:
        trace.update(_named(config, "decoder", decoder_steps))
        trace["fed_back"] = np.stack(fed_back, axis=1)
    return trace


def _named(config, side, steps):
    """Everything that the steps of a side compute, by the names in the trace."""
    cell_inputs, states, *others = zip(*steps)
    names = ("energies", "alignments", "attentions", "outputs", "windows")
    return {
        side + "_cell_inputs": np.stack(cell_inputs, axis=1),
        **config.kind.stacked(side + "_states", states),
        **{"{}_{}".format(side, n): np.stack(x, axis=1) for n, x in zip(names, others)},
    }
