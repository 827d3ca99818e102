"""The affine map that every cell is made of."""

import numpy as np


class Linear:
    """``y = x W + b`` for rows ``x``.

    Parameters
    ----------
    kernel : array [inputs, outputs]
    bias : array [outputs]
    """

    def __init__(self, kernel, bias):
        self.kernel = kernel
        self.bias = bias

    def __call__(self, inputs):
        """Map [..., inputs] to [..., outputs]."""
        # Not np.dot: of a 1 x 1 kernel 0 and an input NaN it makes 0 (BLAS skips a factor of 0).
        return np.matmul(inputs, self.kernel) + self.bias
