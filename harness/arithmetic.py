"""The arithmetic of a subject: its precision, and how accurate its functions are."""

from typing import Mapping, NamedTuple

import numpy as np

from harness.accuracy import Accuracy

_EXPONENT_BITS = 0x7FF << 52


class Arithmetic(NamedTuple):
    """What a correct evaluation may do to a number.

    ``unit`` is the unit roundoff *u* (half an ULP of 1), ``smallest`` the smallest normal number,
    below which a result may be flushed to zero, ``largest`` the largest finite one. ``functions``
    gives the accuracy of ``exp``, ``log``, ``tanh``, of ``affine tanh``: the tanh of a matrix
    product plus a bias, which some runs compute in one kernel of its own; and of the
    ``reciprocal`` that a quotient may be computed by (by default it is correctly rounded).
    ``bias_anywhere`` is False of a subject that adds the bias last, after the sum of the products.
    """

    name: str
    unit: float
    smallest: float
    largest: float
    functions: Mapping[str, Accuracy]
    bias_anywhere: bool = True

    def binade(self, magnitude: np.ndarray) -> np.ndarray:
        """The power of two at or below each number >= 0, but not below ``smallest``.

        Rounding a number to the nearest moves it by at most ``u`` times that (Rump 2012, section 2:
        the unit in the first place), or by less than ``smallest`` if it is flushed.
        """
        exponent = magnitude.view(np.int64) & _EXPONENT_BITS
        return np.maximum(exponent.view(np.float64), self.smallest)


def arithmetic(
    dtype: str, functions: Mapping[str, Accuracy], bias_anywhere: bool = True
) -> Arithmetic:
    """The IEEE arithmetic of "float16", "float32" or "float64" with these functions.

    References
    ----------
    S. M. Rump, *Error estimation of floating-point summation and dot product*, BIT Numerical
    Mathematics 52 (2012).
    """
    limits = np.finfo(dtype)
    return Arithmetic(
        name=np.dtype(dtype).name,
        unit=float(limits.eps) / 2,
        smallest=float(limits.tiny),
        largest=float(limits.max),
        functions=functions,
        bias_anywhere=bias_anywhere,
    )
