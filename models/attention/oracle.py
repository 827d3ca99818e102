"""The encoder-decoder with attention, as the textbook writes it.

Both functions take the parameters in TensorFlow's order, inputs [batch, time, inputs] and labels
[batch, output_time, outputs], and return the trace, a dict of

=====================================  =========================================
encoder_states, decoder_states         [batch, steps, num_units]
encoder_attentions, decoder_...        [batch, steps, attn_size]
encoder_windows, decoder_windows       [batch, steps, attn_length, attn_size]
encoder_outputs, decoder_outputs       [batch, steps, attn_size]
fed_back                               [batch, output_time - 1, outputs]
scores, probabilities                  [batch, output_time, outputs]
predictions                            [batch, output_time], whole numbers
accuracy, loss                         []
=====================================  =========================================

where the encoder takes `time` steps and the decoder `output_time - 1`. `follow` is None, or the
predictions of a subject whose tokens the decoder shall be fed instead of its own: where two scores
are closer than rounding errors, either token is right.
"""

import numpy as np

from models.cells import AttentionCellWrapper, BasicRNNCell, Linear
from models.functions import accuracy, log_loss, one_hot, softmax
from models.steps import as_batch, as_steps, before, stack_steps


def _network(config, parameters):
    def cell():
        return AttentionCellWrapper(
            BasicRNNCell(config.num_units),
            config.attn_length,
            config.attn_size,
            config.attn_vec_size,
            config.input_size,
        )

    encoder, decoder = cell().load(parameters[0:10]), cell()
    if config.output_time > 1:
        decoder.load(parameters[12:22])
    return encoder, Linear(*parameters[10:12]), decoder


def free_running(config, parameters, inputs, labels, follow=None):
    """Run from the zero state to the end, every step on the result of the step before."""
    encoder, projection, decoder = _network(config, parameters)
    encoder_steps, decoder_steps, fed_back, scores, predictions = [], [], [], [], []

    state = encoder.zero_state(config.batch)
    for t in range(config.time):
        output, state = encoder(inputs[:, t], state)
        encoder_steps.append(state + (output,))

    for i in range(config.output_time):
        if i > 0:
            fed_back.append(one_hot(predictions[-1], config.outputs))
            output, state = decoder(fed_back[-1], state)
            decoder_steps.append(state + (output,))
        scores.append(projection(output))
        predictions.append(
            np.argmax(scores[-1], axis=-1) if follow is None else follow[:, i]
        )

    scores, predictions = np.stack(scores, axis=1), np.stack(predictions, axis=1)
    probabilities = softmax(scores)
    trace = _named("encoder", config, encoder_steps)
    trace.update(_named("decoder", config, decoder_steps))
    trace.update(
        fed_back=stack_steps(fed_back, (config.batch, 0, config.outputs)),
        scores=scores,
        probabilities=probabilities,
        predictions=predictions,
        accuracy=accuracy(predictions, labels),
        loss=log_loss(probabilities, labels),
    )
    return trace


_PARTS = ("states", "attentions", "windows", "outputs")


def _named(side, config, steps):
    """The parts of every step's (state, attention, window, output), stacked, by their names."""
    sizes = config.sizes()
    slot = (sizes["attn_size"],)
    shapes = (config.num_units,), slot, (config.attn_length,) + slot, slot
    return {
        "{}_{}".format(side, name): stack_steps(
            [step[part] for step in steps], (config.batch, 0) + shapes[part]
        )
        for part, name in enumerate(_PARTS)
    }


def teacher_forced(config, parameters, inputs, labels, trace):
    """One step from every state of `trace`, all steps of all rows as one batch.

    Each part of a step starts from the recorded part before it, too: the attention from the
    recorded cell state, the output from the recorded attention, the window from the recorded
    output.
    """
    encoder, projection, decoder = _network(config, parameters)

    def one_step(side, cell, steps, initial):
        states, attentions, windows, outputs = (
            trace["{}_{}".format(side, name)] for name in _PARTS
        )
        last_states, last_attentions, last_windows = (
            as_batch(before(*pair)) for pair in zip(initial, (states, attentions, windows))
        )
        state = cell.step_cell(as_batch(steps), last_attentions, last_states)
        attention = cell.attend(as_batch(states), last_windows)
        output = cell.project_output(as_batch(states), as_batch(attentions))
        window = cell.shift(last_windows, as_batch(outputs))
        parts = (state, attention, window, output)
        return {
            "{}_{}".format(side, name): as_steps(part, steps) for name, part in zip(_PARTS, parts)
        }

    forced = one_step("encoder", encoder, inputs, encoder.zero_state(config.batch))
    if config.output_time > 1:
        final = tuple(trace["encoder_" + name][:, -1] for name in _PARTS[:3])
        forced.update(one_step("decoder", decoder, trace["fed_back"], final))
    else:
        forced.update(_named("decoder", config, []))
    outputs = np.concatenate([trace["encoder_outputs"][:, -1:], trace["decoder_outputs"]], axis=1)
    forced.update(
        fed_back=one_hot(trace["predictions"][:, :-1], config.outputs),
        scores=projection(outputs),
        probabilities=softmax(trace["scores"]),
        predictions=np.argmax(trace["scores"], axis=-1),
        accuracy=accuracy(trace["predictions"], labels),
        loss=log_loss(trace["probabilities"], labels),
    )
    return forced
