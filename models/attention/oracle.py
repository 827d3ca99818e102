"""The encoder-decoder with attention, as the textbook writes it.

Both functions take the parameters in TensorFlow's order, inputs [batch, time, inputs] and labels
[batch, output_time, outputs], and return the trace, a dict of

=====================================  =========================================
encoder_cell_inputs, decoder_...       [batch, steps, input_size]
encoder_states, decoder_states         [batch, steps, num_units]
encoder_energies, decoder_energies     [batch, steps, attn_length]
encoder_alignments, decoder_...        [batch, steps, attn_length], softmax of the energies
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
are closer than rounding errors, either token is right. The arithmetic is that of the arrays given.
"""

import numpy as np

from models.cells import AttentionCellWrapper, BasicRNNCell, Linear
from models.cells.attention import Step
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

    state = encoder.zero_state(config.batch, inputs.dtype)
    for t in range(config.time):
        encoder_steps.append(encoder.step(inputs[:, t], state))
        state = _state(encoder_steps[-1])

    for i in range(config.output_time):
        if i > 0:
            fed_back.append(one_hot(predictions[-1], config.outputs, inputs.dtype))
            decoder_steps.append(decoder.step(fed_back[-1], state))
            state = _state(decoder_steps[-1])
        scores.append(projection((encoder_steps + decoder_steps)[-1].output))
        predictions.append(np.argmax(scores[-1], axis=-1) if follow is None else follow[:, i])

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


def _state(step):
    return step.state, step.attention, step.window


def _names(side):
    """The names in the trace of the parts of a step."""
    parts = ("cell_inputs", "states", "energies", "alignments", "attentions", "windows", "outputs")
    return ["{}_{}".format(side, part) for part in parts]


def _named(side, config, steps):
    """Every part of the steps, stacked, by its name."""
    sizes = config.sizes()
    slot = (sizes["attn_size"],)
    scored = (config.attn_length,)
    read = (sizes[side + "_input_size"],)
    shapes = Step(read, (config.num_units,), scored, scored, slot, scored + slot, slot)
    return {
        name: stack_steps([step[part] for step in steps], (config.batch, 0) + shapes[part])
        for part, name in enumerate(_names(side))
    }


def teacher_forced(config, parameters, inputs, labels, trace):
    """One step from every state of `trace`, all steps of all rows as one batch.

    Each part of a step starts from what is recorded of the part before it, too: the cell state from
    the recorded input of the cell, the energies from that state, and so on.
    """
    encoder, projection, decoder = _network(config, parameters)

    def one_step(side, cell, inputs, initial):
        recorded = Step(*(trace[name] for name in _names(side)))
        state, attention, window = (
            as_batch(before(first, steps)) for first, steps in zip(initial, _state(recorded))
        )
        now = Step(*map(as_batch, recorded))
        rows = Step(
            cell.project_input(as_batch(inputs), attention),
            cell.cell(now.cell_input, state)[1],
            cell.score(now.state, window),
            softmax(now.energy),
            cell.attend(now.alignment, window),
            cell.shift(window, now.output),
            cell.project_output(now.state, now.attention),
        )
        return {name: as_steps(part, inputs) for name, part in zip(_names(side), rows)}

    forced = one_step("encoder", encoder, inputs, encoder.zero_state(config.batch, inputs.dtype))
    if config.output_time > 1:
        final = [steps[:, -1] for steps in _state(Step(*(trace[n] for n in _names("encoder"))))]
        forced.update(one_step("decoder", decoder, trace["fed_back"], final))
    else:
        forced.update(_named("decoder", config, []))
    outputs = np.concatenate([trace["encoder_outputs"][:, -1:], trace["decoder_outputs"]], axis=1)
    forced.update(
        fed_back=one_hot(trace["predictions"][:, :-1], config.outputs, inputs.dtype),
        scores=projection(outputs),
        probabilities=softmax(trace["scores"]),
        predictions=np.argmax(trace["scores"], axis=-1),
        accuracy=accuracy(trace["predictions"], labels),
        loss=log_loss(trace["probabilities"], labels),
    )
    return forced
