"""Keras' old sigmoid, of three straight lines, with its bound."""

import numpy as np

from rnndiff import Example, bound, named


@named
def hard_sigmoid(x):
    """``clip(0.2 x + 0.5, 0, 1)``."""
    return np.clip(0.2 * x + 0.5, 0.0, 1.0)


@bound(hard_sigmoid, examples=[Example(hard_sigmoid, ((2, 3),))])
def hard_sigmoid_of_balls(a):
    """The same operations, on balls."""
    return np.clip(0.2 * a + 0.5, 0.0, 1.0)
