"""The bidirectional RNN, as the textbook writes it (Schuster and Paliwal 1997)."""

import numpy as np

from rnndiff.models.cells import BasicRNNCell
from rnndiff.models.functions import accuracy, affine, log_loss, softmax


def oracle(config, parameters, inputs, labels):
    """Run both directions from the zero state to their ends.

    Parameters
    ----------
    config : Config
    parameters : list of arrays
        In TensorFlow's order.
    inputs : array [batch, time, inputs]
    labels : array [batch, outputs]

    Returns
    -------
    dict of str to array
        ======================  ==============================
        outputs                 [batch, time, 2 * num_units]
        forward_final_state     [batch, num_units]
        backward_final_state    [batch, num_units]
        scores, probabilities   [batch, outputs]
        predictions             [batch], whole numbers
        accuracy, loss          []
        ======================  ==============================
    """
    forward = BasicRNNCell(config.num_units).load(parameters[0:2])
    backward = BasicRNNCell(config.num_units).load(parameters[2:4])
    kernel, bias = parameters[4:6]
    forward_states, backward_states = [], []

    state = forward.zero_state(config.batch, inputs.dtype)
    for t in range(config.time):
        _, state = forward(inputs[:, t], state)
        forward_states.append(state)

    state = backward.zero_state(config.batch, inputs.dtype)
    for t in reversed(range(config.time)):
        _, state = backward(inputs[:, t], state)
        backward_states.insert(0, state)

    outputs = np.concatenate(
        [np.stack(forward_states, axis=1), np.stack(backward_states, axis=1)], axis=2
    )
    scores = affine(outputs[:, -1], kernel, bias)
    probabilities = softmax(scores)
    predictions = np.argmax(scores, axis=-1)
    return {
        "outputs": outputs,
        "forward_final_state": forward_states[-1],
        "backward_final_state": backward_states[0],
        "scores": scores,
        "probabilities": probabilities,
        "predictions": predictions,
        "accuracy": accuracy(predictions, labels),
        "loss": log_loss(probabilities, labels),
    }
