"""What stands in planted oracles in the place of a right piece, where that takes more than a line.

Each is a function of arrays that any oracle may be run on; none changes them.
"""

from functools import reduce
from typing import Any, List, Sequence

import numpy as np

from rnndiff.models.cells.cell import flat, like
from rnndiff.models.functions import accumulate, hard_sigmoid, interpolate, relu, sigmoid, softmax

__all__ = ["accumulate", "hard_sigmoid", "relu", "sigmoid", "softmax"]


def hard_sigmoid_by_six(x: Any) -> Any:
    """``min(max(x / 6 + 0.5, 0), 1)``, as PyTorch and Keras 3 have it."""
    return np.clip(x / 6.0 + 0.5, 0.0, 1.0)


def column_major(kernel: Any) -> Any:
    """What is read of a kernel's numbers by columns that lie there by rows."""
    return np.transpose(np.reshape(kernel, kernel.shape[::-1]))


def row_major(kernel: Any) -> Any:
    """What is read by rows of the numbers of the transposed kernel."""
    return np.reshape(np.transpose(kernel), kernel.shape)


def state_transposed(kernel: Any, units: int, gates: int) -> Any:
    """A kernel of ``[x; h]`` whose square block of each gate for h is transposed."""
    end = kernel.shape[0] - units
    blocks = [np.transpose(block) for block in np.split(kernel[end:], gates, axis=-1)]
    return np.concatenate([kernel[:end], np.concatenate(blocks, axis=-1)], axis=0)


def gru_state_transposed(parameters: Sequence[Any], units: int) -> List[Any]:
    """The same of both kernels of a GRU."""
    gates, candidate = (
        [state_transposed(kernel, units, count), bias]
        for kernel, bias, count in ((*parameters[:2], 2), (*parameters[2:4], 1))
    )
    return [gates, candidate]


def reset_after(inputs: Any, state: Any, r: Any, kernel: Any, bias: Any) -> Any:
    """What a GRU's candidate is the tanh of, if the product is reset and not the state."""
    size = inputs.shape[-1]
    return accumulate(inputs, kernel[:size], bias, r * np.matmul(state, kernel[size:]))


def softmax_over(scores: Any, axis: int) -> Any:
    """The softmax along another axis than the last one."""
    return np.swapaxes(softmax(np.swapaxes(scores, axis, -1)), axis, -1)


def time_major(inputs: Any) -> Any:
    """Inputs [batch, time, inputs] whose numbers are read as [time, batch, inputs]."""
    batch, time, size = inputs.shape
    return np.swapaxes(np.reshape(inputs, (time, batch, size)), 0, 1)


def output_of(state: Any) -> Any:
    """The part of a state that is the output: h, the last one."""
    return flat(state)[-1]


def unit_by_unit(cell: Any, inputs: Any, state: Any) -> Any:
    """A step whose new h is written unit by unit into the old one, which the next units read.

    Where h is projected, all of it has to be there before, and nothing is wrong.
    """
    *others, old = flat(state)
    if any(part.shape[-1] != old.shape[-1] for part in others):
        return cell(inputs, state)
    h, columns = old, []
    for unit in range(old.shape[-1]):
        output, new = cell(inputs, like(state, [*others, h]))
        columns.append([part[:, unit : unit + 1] for part in [output, *flat(new)]])
        h = np.hstack([*(column[-1] for column in columns), old[:, unit + 1 :]])
    output, *parts = [np.hstack(part) for part in zip(*columns)]
    return output, like(state, parts)


def written_while_read(z: Any, state: Any, candidate: Any) -> Any:
    """The new state of a GRU, each unit of it in the place where the next candidates read it."""
    h, new = state, []
    for unit in range(state.shape[-1]):
        column = slice(unit, unit + 1)
        new.append(interpolate(z[:, column], state[:, column], candidate(h)[:, column]))
        h = np.hstack([*new, state[:, unit + 1 :]])
    return h


def zeros_like(array: Any) -> Any:
    """Zeros of the shape of an array."""
    return np.zeros(array.shape, getattr(array, "dtype", None))


def reshaped(scores: Sequence[Any]) -> Any:
    """The scores [batch, outputs] of all tokens as [batch, tokens, outputs], the wrong way."""
    rows, outputs = scores[0].shape
    return np.reshape(np.stack(scores, axis=0), (rows, len(scores), outputs))


def accuracy_of_rows(predictions: Any, labels: Any) -> Any:
    """The share of rows of which all predictions are right."""
    correct = np.equal(predictions, np.argmax(labels, axis=-1))
    tokens = [correct[:, token] for token in range(correct.shape[1])]
    return np.mean(np.ones_like(labels[:, 0, 0]) * reduce(np.minimum, tokens))


def of_filled(energies: Any, window: Any) -> Any:
    """The energies of slots, but for those that are all zeros, which are to weigh nothing."""
    largest = zeros_like(energies)
    for place in range(window.shape[2]):
        largest = np.maximum(largest, np.abs(window[:, :, place]))
    return np.where(np.equal(largest, 0.0), -1e9, energies)
