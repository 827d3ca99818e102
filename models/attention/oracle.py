"""The encoder-decoder with attention, as the textbook writes it."""

import numpy as np

from rnndiff.models.cells import AttentionCellWrapper, BasicRNNCell
from rnndiff.models.functions import accuracy, affine, log_loss, one_hot, softmax

# What stands in the trace of each part of a step, behind "encoder_" or "decoder_".
PARTS = ("cell_inputs", "states", "energies", "alignments", "attentions", "outputs", "windows")


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
        encoder_energies, decoder_energies     [batch, steps, attn_length]
        encoder_alignments, decoder_...        [batch, steps, attn_length], their softmax
        encoder_attentions, decoder_...        [batch, steps, attn_size]
        encoder_outputs, decoder_outputs       [batch, steps, attn_size]
        encoder_windows, decoder_windows       [batch, steps, attn_length, attn_size]
        fed_back                               [batch, output_time - 1, outputs]
        scores, probabilities                  [batch, output_time, outputs]
        predictions                            [batch, output_time], whole numbers
        accuracy, loss                         []
        =====================================  =========================================

        The encoder takes `time` steps and the decoder `output_time - 1`; of no steps there are no
        arrays.
    """
    kernel, bias = parameters[10:12]
    encoder_steps, decoder_steps, fed_back = [], [], []

    encoder = _cell(config, parameters[0:10])
    state = encoder.zero_state(config.batch, inputs.dtype)
    for t in range(config.time):
        encoder_steps.append(encoder.step(inputs[:, t], state))
        output, state = encoder_steps[-1].result()

    scores = [affine(output, kernel, bias)]
    predictions = [np.argmax(scores[-1], axis=-1)]
    for _ in range(config.output_time - 1):
        decoder = _cell(config, parameters[12:22])
        fed_back.append(one_hot(predictions[-1], config.outputs, inputs.dtype))
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
    for side, steps in (("encoder", encoder_steps), ("decoder", decoder_steps)):
        for name, part in zip(PARTS, zip(*steps)):
            trace["{}_{}".format(side, name)] = np.stack(part, axis=1)
    if fed_back:
        trace["fed_back"] = np.stack(fed_back, axis=1)
    return trace


def _cell(config, parameters):
    cell = AttentionCellWrapper(
        BasicRNNCell(config.num_units),
        config.attn_length,
        config.attn_size,
        config.attn_vec_size,
        config.input_size,
    )
    return cell.load(parameters)
