"""The encoder-decoder, as the textbook writes it.

Both functions take the parameters in TensorFlow's order, inputs [batch, time, inputs] and labels
[batch, output_time, outputs], and return the trace, a dict of

==================  ====================================
encoder_states      [batch, time, num_units]
decoder_states      [batch, output_time - 1, num_units]
fed_back            [batch, output_time - 1, outputs]
scores              [batch, output_time, outputs]
probabilities       [batch, output_time, outputs]
predictions         [batch, output_time], whole numbers
accuracy, loss      []
==================  ====================================

`follow` is None, or the predictions of a subject whose tokens the decoder shall be fed instead of
its own: where two scores are closer than rounding errors, either token is right. The arithmetic is
that of the arrays given.
"""

import numpy as np

from models.cells import BasicRNNCell, Linear
from models.functions import accuracy, log_loss, one_hot, softmax
from models.steps import as_batch, as_steps, before, stack_steps


def _network(config, parameters):
    encoder = BasicRNNCell(config.num_units).load(parameters[0:2])
    projection = Linear(*parameters[2:4])
    decoder = BasicRNNCell(config.num_units)
    if config.output_time > 1:
        decoder.load(parameters[4:6])
    return encoder, projection, decoder


def free_running(config, parameters, inputs, labels, follow=None):
    """Run from the zero state to the end, every step on the result of the step before."""
    encoder, projection, decoder = _network(config, parameters)
    encoder_states, decoder_states, fed_back, scores, predictions = [], [], [], [], []

    state = encoder.zero_state(config.batch, inputs.dtype)
    for t in range(config.time):
        output, state = encoder(inputs[:, t], state)
        encoder_states.append(state)

    for i in range(config.output_time):
        if i > 0:
            fed_back.append(one_hot(predictions[-1], config.outputs, inputs.dtype))
            output, state = decoder(fed_back[-1], state)
            decoder_states.append(state)
        scores.append(projection(output))
        predictions.append(np.argmax(scores[-1], axis=-1) if follow is None else follow[:, i])

    scores, predictions = np.stack(scores, axis=1), np.stack(predictions, axis=1)
    probabilities = softmax(scores)
    return {
        "encoder_states": np.stack(encoder_states, axis=1),
        "decoder_states": stack_steps(decoder_states, (config.batch, 0, config.num_units)),
        "fed_back": stack_steps(fed_back, (config.batch, 0, config.outputs)),
        "scores": scores,
        "probabilities": probabilities,
        "predictions": predictions,
        "accuracy": accuracy(predictions, labels),
        "loss": log_loss(probabilities, labels),
    }


def teacher_forced(config, parameters, inputs, labels, trace):
    """One step from every state of `trace`, all steps of all rows as one batch."""
    encoder, projection, decoder = _network(config, parameters)

    def one_step(cell, steps, initial, states):
        output, _ = cell(as_batch(steps), as_batch(before(initial, states)))
        return as_steps(output, steps)

    zero_state = encoder.zero_state(config.batch, inputs.dtype)
    states, decoder_states = trace["encoder_states"], trace["decoder_states"]
    if config.output_time > 1:
        decoder_states = one_step(decoder, trace["fed_back"], states[:, -1], decoder_states)
    return {
        "encoder_states": one_step(encoder, inputs, zero_state, states),
        "decoder_states": decoder_states,
        "fed_back": one_hot(trace["predictions"][:, :-1], config.outputs, inputs.dtype),
        "scores": projection(np.concatenate([states[:, -1:], trace["decoder_states"]], axis=1)),
        "probabilities": softmax(trace["scores"]),
        "predictions": np.argmax(trace["scores"], axis=-1),
        "accuracy": accuracy(trace["predictions"], labels),
        "loss": log_loss(trace["probabilities"], labels),
    }
