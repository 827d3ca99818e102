"""The encoder-decoder, as the textbook writes it."""

import numpy as np

from rnndiff.models.decoding import first_token, next_token
from rnndiff.models.functions import accuracy, affine, log_loss, softmax
from rnndiff.models.layout import divide
from rnndiff.models.seq2seq.config import parts


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
        ==================  ====================================
        encoder_states      [batch, time, num_units]
        decoder_states      [batch, output_time - 1, num_units]
        fed_back            [batch, output_time - 1, outputs]
        scores              [batch, output_time, outputs]
        probabilities       [batch, output_time, outputs]
        predictions         [batch, output_time], whole numbers
        accuracy, loss      []
        ==================  ====================================

        With one token there are no decoder_states and no fed_back; with a start token there is a
        step for each token. Of a cell whose state has parts, such as c and h, there are
        encoder_states_c, encoder_states_h, ...
    """
    of_encoder, (kernel, bias), of_decoder = divide(parameters, parts(config))
    encoder = config.kind.cell(config).load(of_encoder)
    encoder_states, decoder_states, fed_back = [], [], []

    state = encoder.zero_state(config.batch, inputs.dtype)
    for t in range(config.time):
        output, state = encoder(inputs[:, t], state)
        encoder_states.append(state)

    start = first_token(config, inputs.dtype)
    scores = [affine(output, kernel, bias)] if start is None else []
    predictions = [np.argmax(row, axis=-1) for row in scores]
    while len(scores) < config.output_time:
        decoder = config.kind.cell(config).load(of_decoder)
        fed_back.append(next_token(config, scores[-1], predictions[-1]) if scores else start)
        output, state = decoder(fed_back[-1], state)
        decoder_states.append(state)
        scores.append(affine(output, kernel, bias))
        predictions.append(np.argmax(scores[-1], axis=-1))

    scores, predictions = np.stack(scores, axis=1), np.stack(predictions, axis=1)
    probabilities = softmax(scores)
    trace = {
        **config.kind.stacked("encoder_states", encoder_states),
        "scores": scores,
        "probabilities": probabilities,
        "predictions": predictions,
        "accuracy": accuracy(predictions, labels),
        "loss": log_loss(probabilities, labels),
    }
    if decoder_states:
        trace.update(config.kind.stacked("decoder_states", decoder_states))
        trace["fed_back"] = np.stack(fed_back, axis=1)
    return trace
