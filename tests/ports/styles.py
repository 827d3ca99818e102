"""Right ways, and wrong ones, to write what a port may write in more than one way.

Every function takes and returns float32 arrays. An affine map takes the parts of its input, such as
an input row and a state, one beside the other: whether they are joined is a matter of style too.
"""

from typing import Callable, NamedTuple

import numpy as np


def product_then_bias(parts, kernel, bias):
    """``[x; h] W + b``, as the oracle and TensorFlow write it."""
    return np.matmul(np.concatenate(parts, axis=-1), kernel) + bias


def bias_first(parts, kernel, bias):
    """A loop in C whose accumulator starts from the bias."""
    inputs = np.concatenate(parts, axis=-1)
    total = np.broadcast_to(bias, inputs.shape[:-1] + kernel.shape[1:])
    for k, row in enumerate(kernel):
        total = total + inputs[..., k, None] * row
    return total


def fused_multiply_add(parts, kernel, bias):
    """The same loop, as a compiler makes it for a processor that rounds ``a * b + c`` once."""
    # In float64 a product of two float32 numbers is exact.
    inputs = np.concatenate(parts, axis=-1).astype(np.float64)
    total = np.broadcast_to(bias, inputs.shape[:-1] + kernel.shape[1:])
    for k, row in enumerate(kernel.astype(np.float64)):
        total = (inputs[..., k, None] * row + total).astype(np.float32)
    return total


def einsum(parts, kernel, bias):
    """As those write it who think in indices."""
    return np.einsum("...i,ij->...j", np.concatenate(parts, axis=-1), kernel) + bias


def split_products(parts, kernel, bias):
    """``x W_x + (h W_h + b)``, as Keras, PyTorch and cuDNN write it."""
    total, end = bias, len(kernel)
    for part in reversed(parts):
        start = end - part.shape[-1]
        total = np.matmul(part, kernel[start:end]) + total
        end = start
    return total


def _highest(scores, shifted):
    """What softmax subtracts so as not to overflow; nothing, if somebody forgot it."""
    return np.max(scores, axis=-1, keepdims=True) if shifted else np.float32(0)


def shift_by_maximum(scores, shifted=True):
    """``exp(s - m) / sum(exp(s - m))``, as the textbook writes it."""
    exponentials = np.exp(scores - _highest(scores, shifted))
    return exponentials / np.sum(exponentials, axis=-1, keepdims=True)


def multiply_by_reciprocal(scores, shifted=True):
    """One division a row."""
    exponentials = np.exp(scores - _highest(scores, shifted))
    return exponentials * (np.float32(1) / np.sum(exponentials, axis=-1, keepdims=True))


def powers_of_two(scores, shifted=True):
    """By exp2, for which processors have an instruction."""
    exponentials = np.exp2((scores - _highest(scores, shifted)) * np.float32(1 / np.log(2)))
    return exponentials / np.sum(exponentials, axis=-1, keepdims=True)


def log_softmax(scores, shifted=True):
    """``exp((s - m) - log(sum(exp(s - m))))``, by log_softmax of PyTorch, JAX or TensorFlow."""
    differences = scores - _highest(scores, shifted)
    total = np.sum(np.exp(differences), axis=-1, keepdims=True)
    return np.exp(differences - np.log(total))


def log_sum_exp(scores, shifted=True):
    """``exp(s - (m + log(sum(exp(s - m)))))``, as SciPy had it up to 1.7."""
    highest = _highest(scores, shifted)
    total = np.sum(np.exp(scores - highest), axis=-1, keepdims=True)
    return np.exp(scores - (highest + np.log(total)))


def online(scores, shifted=True):
    """One pass for maximum and sum, as flash attention (Milakov and Gimelshein 2018)."""
    highest = np.full(scores.shape[:-1], -np.inf, np.float32)
    total = shift = np.zeros(scores.shape[:-1], np.float32)
    for k in range(scores.shape[-1]):
        score = scores[..., k]
        if shifted:
            before, highest = highest, np.maximum(highest, score)
            # As long as all scores are -inf there is nothing to shift, and nothing in the total.
            shift = np.where(np.isneginf(highest), np.float32(0), highest)
            total = total * np.exp(before - shift)
        total = total + np.exp(score - shift)
    return np.exp(scores - shift[..., None]) / total[..., None]


def sum_over_classes(probabilities, labels):
    """``-sum(label * log(p))`` of each row."""
    return -np.sum(labels * _log(probabilities), axis=-1)


def gather(probabilities, labels):
    """``-log(p[label])`` of each row, where labels are classes; a sum where they are shares."""
    if not _one_hot(labels):
        return sum_over_classes(probabilities, labels)
    classes = np.argmax(labels, axis=-1)[..., None]
    return -_log(np.take_along_axis(probabilities, classes, axis=-1))[..., 0]


def _one_hot(labels):
    ones, zeros = labels == 1, labels == 0
    return (ones | zeros).all() and (np.sum(ones, axis=-1) == 1).all()


def _log(probabilities):
    return np.log(np.clip(probabilities, np.float32(1e-10), np.float32(1)))


def divide_last(numbers):
    """The mean, as most write it."""
    return np.float32(np.sum(numbers) / np.float32(numbers.size))


def divide_first(numbers):
    """The mean, as those write it who fear overflow, or who add up shares."""
    count = np.float32(numbers.size)
    return np.sum(numbers / count) if count else np.float32(np.nan)


class Style(NamedTuple):
    """How a port writes an affine map, softmax, the loss of each row, a mean, and tanh."""

    affine: Callable = product_then_bias
    softmax: Callable = shift_by_maximum
    row_losses: Callable = sum_over_classes
    mean: Callable = divide_last
    tanh: Callable = np.tanh


STYLES = {
    "as the oracle": Style(),
    "bias first": Style(affine=bias_first),
    "fused multiply-add": Style(affine=fused_multiply_add),
    "einsum": Style(affine=einsum),
    "split products": Style(affine=split_products),
    "softmax by reciprocal": Style(softmax=multiply_by_reciprocal),
    "softmax by exp2": Style(softmax=powers_of_two),
    "softmax by log-softmax": Style(softmax=log_softmax),
    "softmax by log-sum-exp": Style(softmax=log_sum_exp),
    "online softmax": Style(softmax=online),
    "loss by gathering": Style(row_losses=gather),
    "mean: divide, then add": Style(mean=divide_first),
    "all at once": Style(split_products, online, gather, divide_first),
}


def bias_left_out(style):
    """No affine map adds its bias."""

    def affine(parts, kernel, bias):
        return style.affine(parts, kernel, np.zeros_like(bias))

    return style._replace(affine=affine)


def rows_swapped(style):
    """The kernels are multiplied by [h; x], not [x; h]."""

    def affine(parts, kernel, bias):
        return style.affine(parts[::-1], kernel, bias)

    return style._replace(affine=affine)


def one_unit_imprecise(style):
    """Of every affine map, the first unit is off by a thousandth."""

    def affine(parts, kernel, bias):
        result = np.array(style.affine(parts, kernel, bias))
        result[..., :1] *= np.float32(1.001)
        return result

    return style._replace(affine=affine)


def no_shift(style):
    """Softmax overflows."""
    return style._replace(softmax=lambda scores: style.softmax(scores, shifted=False))


def loss_in_bits(style):
    """The loss is taken by the logarithm to base 2."""

    def row_losses(probabilities, labels):
        return style.row_losses(probabilities, labels) / np.float32(np.log(2))

    return style._replace(row_losses=row_losses)


MISTAKES = {
    "bias left out": bias_left_out,
    "rows swapped": rows_swapped,
    "one unit imprecise": one_unit_imprecise,
    "no shift": no_shift,
    "loss in bits": loss_in_bits,
}
