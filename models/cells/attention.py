"""A cell that attends to a window of its own last outputs."""

from typing import Any, NamedTuple

import numpy as np

from rnndiff.models.cells.cell import Cell, flat
from rnndiff.models.functions import affine, softmax
from rnndiff.models.layout import Field, kernel_and_bias


class Step(NamedTuple):
    """Everything that one step computes.

    What the cell reads [batch, input_size] and its new state; how well each slot of the window
    answers the state, and the softmax of that, both [batch, attn_length]; the mean of the slots
    under it [batch, attn_size]; the output [batch, attn_size], and the window that has it
    [batch, attn_length, attn_size].
    """

    cell_input: Any
    state: Any
    energies: Any
    alignments: Any
    attention: Any
    output: Any
    window: Any

    def result(self):
        """The output [batch, attn_size] and the new state, as of any cell."""
        return self.output, (self.state, self.attention, self.window)


class AttentionCellWrapper(Cell):
    """Attention over the last ``attn_length`` outputs of a cell, the slots ``w`` of a window.

    The cell reads ``[x; a] W + b``, where a is the last attention. Its new state s asks the window:
    ``e_k = v tanh(w_k W_a + s W_q + b_q)``, ``a' = sum_k softmax(e)_k w_k``. The output
    ``[cell output; a'] W_o + b_o`` takes the place of the oldest slot, after that.

    The NumPy twin of ``tf.contrib.rnn.AttentionCellWrapper`` of TensorFlow 1.x, after Cheng, Dong
    and Lapata, *Long Short-Term Memory-Networks for Machine Reading* (arXiv 1601.06733). The state
    is ``(cell state, attention, window)``; what the constructor calls `state_is_tuple` in
    TensorFlow changes only how it is packed, never a number. Of a cell whose state has several
    parts, the window answers all of them, side by side.

    Parameters
    ----------
    cell : Cell
    attn_length : int
        How many outputs the window keeps.
    attn_size : int, optional
        The size of an output, of the attention and of a window slot; by default that of the cell's
        output.
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

    output_size_name = "attn_size"

    def __init__(self, cell, attn_length, attn_size=None, attn_vec_size=None, input_size=None):
        if attn_length <= 0:
            raise ValueError("attn_length should be greater than zero, got {}".format(attn_length))
        self.cell = cell
        self.attn_length = attn_length
        self.attn_size = self.output_size = cell.output_size if attn_size is None else attn_size
        self.attn_vec_size = self.attn_size if attn_vec_size is None else attn_vec_size
        self.input_size = input_size
        # But the window, which has slots.
        self.state_parts = cell.state_parts + (("attention", "attn_size"),)

    def parameters(self, scope, inputs, input_size=None):
        """Eight parameters, and the cell's between the first two and the others.

        `input_size` is the name of the size of what the cell reads, by default that of the inputs.
        """
        read = inputs if input_size is None else (input_size,)
        state = tuple(size for _, size in self.cell.state_parts)
        return (
            Field(scope + "/kernel", (inputs + ("attn_size",), read)),
            Field(scope + "/bias", (read,)),
            *self.cell.parameters(scope + "/cell", read),
            Field(scope + "/attention/attn_w", ((), (), ("attn_size",), ("attn_vec_size",))),
            Field(scope + "/attention/attn_v", (("attn_vec_size",),)),
            *kernel_and_bias(scope + "/attention", state, "attn_vec_size"),
            *kernel_and_bias(
                scope + "/attn_output_projection",
                (self.cell.output_size_name, "attn_size"),
                "attn_size",
            ),
        )

    def load(self, parameters):
        """Take the parameters in TensorFlow's creation order, eight and the cell's; return self."""
        self.input_projection = parameters[0:2]
        self.cell.load(parameters[2:-6])
        self.attn_w, self.attn_v = parameters[-6:-4]
        self.query_projection = parameters[-4:-2]
        self.output_projection = parameters[-2:]
        return self

    def zero_state(self, batch_size, dtype):
        """Zeros: the cell's, [batch, attn_size] and [batch, attn_length, attn_size]."""
        return (
            self.cell.zero_state(batch_size, dtype),
            np.zeros((batch_size, self.attn_size), dtype),
            np.zeros((batch_size, self.attn_length, self.attn_size), dtype),
        )

    def __call__(self, inputs, state):
        """One step: [batch, inputs] and the state -> output [batch, attn_size], new state."""
        return self.step(inputs, state).result()

    def step(self, inputs, state):
        """The same, with everything that is computed on the way."""
        cell_state, attention, window = state
        cell_input = affine(np.hstack([inputs, attention]), *self.input_projection)
        cell_output, cell_state = self.cell(cell_input, cell_state)

        query = affine(np.hstack(flat(cell_state)), *self.query_projection)
        # A convolution with a kernel of 1 x 1 is a product for each slot.
        features = np.tanh(np.matmul(window, self.attn_w[0, 0]) + query[:, None, :])
        energies = np.sum(self.attn_v * features, axis=2)
        alignments = softmax(energies)
        attention = np.sum(alignments[:, :, None] * window, axis=1)

        output = affine(np.hstack([cell_output, attention]), *self.output_projection)
        window = np.concatenate([window[:, 1:], output[:, None, :]], axis=1)
        return Step(cell_input, cell_state, energies, alignments, attention, output, window)
