"""The functions of the models, in plain NumPy.

What libraries compute by more than one formula (softmax, sigmoid) is *named*: arrays that are not
NumPy's own may know it by its name and compute it in their way, as NumPy's own functions (NEP 18).
"""

import functools

import numpy as np


def named(function):
    """`function`, computed by the first argument that has an ``__array_function__`` of its own."""

    @functools.wraps(function)
    def dispatch(*args):
        for array in args:
            if hasattr(array, "__array_function__") and not isinstance(array, np.ndarray):
                return array.__array_function__(dispatch, (type(array),), args, {})
        return function(*args)

    return dispatch


@named
def affine(x, kernel, bias):
    """``x @ kernel + bias``: [..., inputs], [inputs, outputs], [outputs] -> [..., outputs]."""
    # Not np.dot: of a 1 x 1 kernel 0 and an input NaN it makes 0 (BLAS skips a factor of 0).
    return np.matmul(x, kernel) + bias


@named
def accumulate(x, kernel, *terms):
    """``x @ kernel`` plus all of the terms, whichever comes first: one sum in any order."""
    total = x @ kernel
    for term in terms:
        total = total + term
    return total


@named
def sigmoid(x):
    """The logistic function, ``1 / (1 + exp(-x))``, of each number."""
    return 1 / (1 + np.exp(-x))


def relu(x):
    """``max(x, 0)``."""
    return np.maximum(x, 0.0)


def linear(x):
    """The identity."""
    return x


def hard_sigmoid(x):
    """``min(max(0.2 x + 0.5, 0), 1)``, as in Keras 2 and ``tf_keras``; Keras 3 has ``x / 6``."""
    return np.clip(0.2 * x + 0.5, 0.0, 1.0)


# By the names that TensorFlow has for them, too.
ACTIVATIONS = {"tanh": np.tanh, "relu": relu, "sigmoid": sigmoid, "linear": linear}
# By those that Keras has.
KERAS_ACTIVATIONS = dict(ACTIVATIONS, hard_sigmoid=hard_sigmoid)


def activation_named(name, known=ACTIVATIONS):
    """The activation of a name among those that are `known`.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in known:
        raise ValueError(
            "there is no activation {!r}: take one of {}".format(name, ", ".join(known))
        )
    return known[name]


@named
def interpolate(weight, a, b):
    """``weight * a + (1 - weight) * b``."""
    return weight * a + (1 - weight) * b


@named
def layer_norm(x, gain, shift, epsilon):
    """``gain * (x - mean) / sqrt(variance + epsilon) + shift``, the moments along the last axis.

    x [..., size], gain and shift [size] -> [..., size] (Ba, Kiros and Hinton, *Layer
    normalization*, arXiv 1607.06450).
    """
    deviations = x - np.mean(x, axis=-1)[..., None]
    variance = np.mean(np.square(deviations), axis=-1)[..., None]
    return gain * (deviations / np.sqrt(variance + epsilon)) + shift


@named
def dropout_mask(keep_prob, noise):
    """1 where ``keep_prob + noise`` reaches 1, 0 below, of an array of noise from 0 up to 1."""
    return np.floor(keep_prob + noise)


@named
def softmax(scores):
    """``exp(s) / sum(exp(s))`` over the last axis, [..., outputs] -> [..., outputs].

    Shifted by the maximum, which changes nothing but that no exponential overflows (Goodfellow,
    Bengio and Courville, *Deep Learning*, 2016, section 4.1).
    """
    exponentials = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return exponentials / np.sum(exponentials, axis=-1, keepdims=True)


def one_hot(indices, depth, dtype):
    """1 at the index, 0 elsewhere: [...] -> [..., depth]."""
    is_set = indices[..., None] == np.arange(depth)
    return np.where(is_set, np.ones((), dtype), np.zeros((), dtype))


def accuracy(predictions, labels):
    """The share [] of predictions [...] that are the arg max of labels [..., outputs]."""
    correct = np.equal(predictions, np.argmax(labels, axis=-1))
    return np.mean(np.ones_like(labels[..., 0]) * correct)


def log_loss(probabilities, labels):
    """Minus the mean over rows of ``sum(label * log(clip(p, 1e-10, 1)))``, as in the article.

    Both [..., outputs]; the result has the shape [].
    """
    log_probabilities = np.log(np.clip(probabilities, 1e-10, 1.0))
    return np.mean(-np.sum(labels * log_probabilities, axis=-1))
