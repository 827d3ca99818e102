"""A cell that attends to a window of its own last outputs."""

from typing import Any, NamedTuple

import numpy as np

from models.cells.linear import Linear
from models.functions import softmax


class Step(NamedTuple):
    """One step: what the cell reads, its state, how the slots score and weigh, and what follows."""

    cell_input: Any
    state: Any
    energy: Any
    alignment: Any
    attention: Any
    window: Any
    output: Any


class AttentionCellWrapper:
    """Attention over the last ``attn_length`` outputs of a cell.

    The NumPy twin of ``tf.contrib.rnn.AttentionCellWrapper`` of TensorFlow 1.x, after Cheng, Dong
    and Lapata, *Long Short-Term Memory-Networks for Machine Reading* (arXiv 1601.06733). The state
    is ``(cell state, attention, window)``; what the constructor calls `state_is_tuple` in
    TensorFlow changes only how it is packed, never a number.

    Parameters
    ----------
    cell : a cell with ``load``, ``zero_state`` and two parameters, such as ``BasicRNNCell``
    attn_length : int
        How many outputs the window keeps.
    attn_size : int, optional
        The size of an output, of the attention and of a window slot; by default the cell's units.
    attn_vec_size : int, optional
        The size of the features that are scored; by default `attn_size`.
    input_size : int, optional
        The size of what the inner cell reads. It is the width of the first kernel, so NumPy does
        not need it; it stands here because TensorFlow's constructor has it.

    Raises
    ------
    ValueError
        If `attn_length` is zero or less, as in TensorFlow.
    """

    def __init__(self, cell, attn_length, attn_size=None, attn_vec_size=None, input_size=None):
        if attn_length <= 0:
            raise ValueError("attn_length should be greater than zero, got {}".format(attn_length))
        self.cell = cell
        self.attn_length = attn_length
        self.attn_size = cell.num_units if attn_size is None else attn_size
        self.attn_vec_size = self.attn_size if attn_vec_size is None else attn_vec_size
        self.input_size = input_size

    def load(self, parameters):
        """Take the ten parameters in TensorFlow's creation order; return self."""
        w1, b1, w2, b2, attn_w, self.attn_v, wq, bq, w3, b3 = parameters
        self.input_projection = Linear(w1, b1)
        self.cell.load((w2, b2))
        self.attn_w = attn_w[0, 0]
        self.query = Linear(wq, bq)
        self.output_projection = Linear(w3, b3)
        return self

    def zero_state(self, batch_size, dtype):
        """Zeros: [batch, num_units], [batch, attn_size] and [batch, attn_length, attn_size]."""
        return (
            self.cell.zero_state(batch_size, dtype),
            np.zeros((batch_size, self.attn_size), dtype),
            np.zeros((batch_size, self.attn_length, self.attn_size), dtype),
        )

    def __call__(self, inputs, state):
        """One step: [batch, inputs] and the state -> output [batch, attn_size], new state."""
        step = self.step(inputs, state)
        return step.output, (step.state, step.attention, step.window)

    def step(self, inputs, state):
        """The same, with everything that is computed on the way."""
        state, attention, window = state
        cell_input = self.project_input(inputs, attention)
        _, state = self.cell(cell_input, state)
        energy = self.score(state, window)
        alignment = softmax(energy)
        attention = self.attend(alignment, window)
        output = self.project_output(state, attention)
        window = self.shift(window, output)
        return Step(cell_input, state, energy, alignment, attention, window, output)

    def project_input(self, inputs, attention):
        """What the inner cell reads is a linear map of the input and the last attention."""
        return self.input_projection(np.hstack([inputs, attention]))

    def score(self, cell_state, window):
        """How well each slot answers the query of the cell's state: [batch, attn_length]."""
        query = self.query(cell_state)
        features = np.tanh(np.matmul(window, self.attn_w) + query[:, None, :])
        return np.sum(self.attn_v * features, axis=2)

    @staticmethod
    def attend(alignment, window):
        """The mean of the slots, weighted by `alignment` [batch, attn_length]."""
        return np.sum(alignment[:, :, None] * window, axis=1)

    def project_output(self, cell_output, attention):
        """The output is a linear map of the cell's output and the attention."""
        return self.output_projection(np.hstack([cell_output, attention]))

    @staticmethod
    def shift(window, output):
        """Drop the oldest slot and append the output."""
        return np.concatenate([window[:, 1:], output[:, None, :]], axis=1)
