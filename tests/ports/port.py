"""A port of the three models to float32 NumPy, written once for all styles."""

import numpy as np

from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects import Subject

FLOAT32 = arithmetic("float32")


class Port(Subject):
    """The three models in one style; its arithmetic is what README's recipe states."""

    def __init__(self, style):
        self._style = style

    def __call__(self, case):
        compute = {"seq2seq": seq2seq, "bidirectional": bidirectional, "attention": attention}
        with np.errstate(all="ignore"):
            return compute[case.model.name](
                self._style, case.config, case.parameters, case.inputs, case.labels
            )

    def arithmetic(self, case):
        return FLOAT32


def bidirectional(style, config, parameters, inputs, labels):
    zero_state = np.zeros((config.batch, config.num_units), inputs.dtype)
    forward = _run(style, parameters[0:2], inputs, zero_state)
    backward = _run(style, parameters[2:4], inputs[:, ::-1], zero_state)[:, ::-1]
    scores = style.affine([forward[:, -1], backward[:, -1]], *parameters[4:6])
    return dict(
        _judged(style, scores, labels),
        outputs=np.concatenate([forward, backward], axis=2),
        forward_final_state=forward[:, -1],
        backward_final_state=backward[:, 0],
    )


def _run(style, cell, inputs, state):
    """The states after each step."""
    states = []
    for t in range(inputs.shape[1]):
        state = style.tanh(style.affine([inputs[:, t], state], *cell))
        states.append(state)
    return np.stack(states, axis=1)


def seq2seq(style, config, parameters, inputs, labels):
    zero_state = np.zeros((config.batch, config.num_units), np.float32)
    encoder_states = _run(style, parameters[0:2], inputs, zero_state)

    def step(token, state):
        state = style.tanh(style.affine([token, state], *parameters[4:6]))
        return state, state

    state = encoder_states[:, -1]
    decoded, states = _decoded(style, config, parameters[2:4], state, state, step, labels)
    return dict(
        decoded,
        encoder_states=encoder_states,
        decoder_states=_stacked(states, (config.batch, 0, config.num_units)),
    )


def attention(style, config, parameters, inputs, labels):
    sizes = config.sizes()
    attn_size = sizes["attn_size"]
    state = (
        np.zeros((config.batch, config.num_units), np.float32),
        np.zeros((config.batch, attn_size), np.float32),
        np.zeros((config.batch, config.attn_length, attn_size), np.float32),
    )
    encoder_steps = []
    for t in range(config.time):
        encoder_steps.append(_attend(style, parameters[0:10], inputs[:, t], state))
        state = _state_of(encoder_steps[-1])

    def step(token, state):
        now = _attend(style, parameters[12:22], token, state)
        return now, _state_of(now)

    decoded, decoder_steps = _decoded(
        style, config, parameters[10:12], encoder_steps[-1]["outputs"], state, step, labels
    )
    shapes = {
        "cell_inputs": (sizes["decoder_input_size"],),
        "states": (config.num_units,),
        "energies": (config.attn_length,),
        "alignments": (config.attn_length,),
        "attentions": (attn_size,),
        "windows": (config.attn_length, attn_size),
        "outputs": (attn_size,),
    }
    for name, shape in shapes.items():
        for side, steps in (("encoder", encoder_steps), ("decoder", decoder_steps)):
            parts = [each[name] for each in steps]
            decoded["{}_{}".format(side, name)] = _stacked(parts, (config.batch, 0) + shape)
    return decoded


def _attend(style, parameters, inputs, state):
    """One step of the attention cell: all that the trace holds of it, by name."""
    w1, b1, w2, b2, attn_w, attn_v, wq, bq, w3, b3 = parameters
    state, read, window = state
    cell_inputs = style.affine([inputs, read], w1, b1)
    state = style.tanh(style.affine([cell_inputs, state], w2, b2))
    query = style.affine([state], wq, bq)
    features = style.tanh(style.affine([window], attn_w[0, 0], query[:, None, :]))
    energies = np.sum(attn_v * features, axis=2)
    alignments = style.softmax(energies)
    read = np.sum(alignments[:, :, None] * window, axis=1)
    outputs = style.affine([state, read], w3, b3)
    window = np.concatenate([window[:, 1:], outputs[:, None, :]], axis=1)
    return {
        "cell_inputs": cell_inputs,
        "states": state,
        "energies": energies,
        "alignments": alignments,
        "attentions": read,
        "windows": window,
        "outputs": outputs,
    }


def _state_of(step):
    return step["states"], step["attentions"], step["windows"]


def _decoded(style, config, projection, output, state, step, labels):
    """Write ``output_time`` tokens, each step fed the one-hot arg max of the scores before it.

    ``step(token, state)`` gives what is to be kept of a step, and the next state. Returns what all
    models compute of their scores, and what is kept.
    """
    classes = np.eye(config.outputs, dtype=np.float32)
    scores, tokens, kept = [style.affine([output], *projection)], [], []
    for _ in range(config.output_time - 1):
        tokens.append(classes[np.argmax(scores[-1], axis=-1)])
        now, state = step(tokens[-1], state)
        kept.append(now)
        output = now["outputs"] if isinstance(now, dict) else now
        scores.append(style.affine([output], *projection))
    fed_back = _stacked(tokens, (config.batch, 0, config.outputs))
    return dict(_judged(style, np.stack(scores, axis=1), labels), fed_back=fed_back), kept


def _judged(style, scores, labels):
    """Probabilities, predictions, accuracy and loss."""
    probabilities, predictions = style.softmax(scores), np.argmax(scores, axis=-1)
    correct = predictions == np.argmax(labels, axis=-1)
    return {
        "scores": scores,
        "probabilities": probabilities,
        "predictions": predictions,
        "accuracy": style.mean(correct.astype(np.float32)),
        "loss": style.mean(style.row_losses(probabilities, labels)),
    }


def _stacked(steps, shape):
    """[batch, ...] of each step -> [batch, steps, ...]; of none, an empty array."""
    return np.stack(steps, axis=1) if steps else np.zeros(shape, np.float32)
