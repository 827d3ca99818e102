"""The bidirectional RNN, as the textbook writes it (Schuster and Paliwal 1997).

Both functions take the parameters in TensorFlow's order, inputs [batch, time, inputs] and labels
[batch, outputs], and return the trace, a dict of

======================  ==============================
outputs                 [batch, time, 2 * num_units]
forward_final_state     [batch, num_units]
backward_final_state    [batch, num_units]
scores, probabilities   [batch, outputs]
predictions             [batch], whole numbers
accuracy, loss          []
======================  ==============================

`follow` is None, or the predictions of a subject to be taken instead of the oracle's own: where
two scores are closer than rounding errors, either is right. The arithmetic is that of the arrays
given.
"""

import numpy as np

from models.cells import BasicRNNCell, Linear
from models.functions import accuracy, log_loss, softmax
from models.steps import after, as_batch, as_steps, before


def _network(config, parameters):
    forward = BasicRNNCell(config.num_units).load(parameters[0:2])
    backward = BasicRNNCell(config.num_units).load(parameters[2:4])
    return forward, backward, Linear(*parameters[4:6])


def free_running(config, parameters, inputs, labels, follow=None):
    """Run both directions from the zero state to their ends."""
    forward, backward, projection = _network(config, parameters)
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
    scores = projection(outputs[:, -1])
    probabilities = softmax(scores)
    predictions = np.argmax(scores, axis=-1) if follow is None else follow
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


def teacher_forced(config, parameters, inputs, labels, trace):
    """One step from every state of `trace`, all steps of all rows as one batch."""
    forward, backward, projection = _network(config, parameters)
    forward_states = trace["outputs"][:, :, : config.num_units]
    backward_states = trace["outputs"][:, :, config.num_units :]
    zero_state = forward.zero_state(config.batch, inputs.dtype)
    rows = as_batch(inputs)
    forward_rows, _ = forward(rows, as_batch(before(zero_state, forward_states)))
    backward_rows, _ = backward(rows, as_batch(after(backward_states, zero_state)))
    return {
        "outputs": as_steps(np.hstack([forward_rows, backward_rows]), inputs),
        "forward_final_state": forward_states[:, -1],
        "backward_final_state": backward_states[:, 0],
        "scores": projection(trace["outputs"][:, -1]),
        "probabilities": softmax(trace["scores"]),
        "predictions": np.argmax(trace["scores"], axis=-1),
        "accuracy": accuracy(trace["predictions"], labels),
        "loss": log_loss(trace["probabilities"], labels),
    }
