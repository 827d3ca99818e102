"""What all three models do with their scores, in plain NumPy."""

import numpy as np


def softmax(scores):
    """``exp(s) / sum(exp(s))`` over the last axis, shifted by the maximum so as not to overflow."""
    exponentials = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return exponentials / np.sum(exponentials, axis=-1, keepdims=True)


def one_hot(indices, depth, dtype):
    """1 at the index, 0 elsewhere: [...] -> [..., depth]."""
    is_set = indices[..., None] == np.arange(depth)
    return np.where(is_set, np.ones((), dtype), np.zeros((), dtype))


def accuracy(predictions, labels):
    """The share of predictions [...] that are the arg max of labels [..., outputs]."""
    correct = np.equal(predictions, np.argmax(labels, axis=-1))
    return np.mean(np.ones_like(labels[..., 0]) * correct)


def log_loss(probabilities, labels):
    """Minus the mean over rows of ``sum(label * log(clip(p, 1e-10, 1)))``, as in the article."""
    log_probabilities = np.log(np.clip(probabilities, 1e-10, 1.0))
    return np.mean(-np.sum(labels * log_probabilities, axis=-1))
