"""The bidirectional RNN, as the textbook writes it (Schuster and Paliwal 1997)."""

import numpy as np

from rnndiff.models.bidirectional.config import parts
from rnndiff.models.functions import accuracy, affine, log_loss, softmax
from rnndiff.models.layout import divide


def oracle(config, parameters, inputs, labels):
    """Run both directions from the zero state to their ends; scores are of the last step's outputs.

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

        Of a cell whose state has parts, such as c and h, there are forward_final_state_c, ...
    """
    of_forward, of_backward, (kernel, bias) = divide(parameters, parts(config))
    forward, backward = (config.kind.cell(config).load(x) for x in (of_forward, of_backward))
    forward_outputs, backward_outputs = [], []

    forward_state = forward.zero_state(config.batch, inputs.dtype)
    for t in range(config.time):
        output, forward_state = forward(inputs[:, t], forward_state)
        forward_outputs.append(output)

    backward_state = backward.zero_state(config.batch, inputs.dtype)
    for t in reversed(range(config.time)):
        output, backward_state = backward(inputs[:, t], backward_state)
        backward_outputs.insert(0, output)

    outputs = np.concatenate(
        [np.stack(forward_outputs, axis=1), np.stack(backward_outputs, axis=1)], axis=2
    )
    # As in the article: of the backward direction, that is the output of its first step.
    scores = affine(outputs[:, -1], kernel, bias)
    probabilities = softmax(scores)
    predictions = np.argmax(scores, axis=-1)
    return {
        "outputs": outputs,
        **config.kind.named("forward_final_state", forward_state),
        **config.kind.named("backward_final_state", backward_state),
        "scores": scores,
        "probabilities": probabilities,
        "predictions": predictions,
        "accuracy": accuracy(predictions, labels),
        "loss": log_loss(probabilities, labels),
    }
