"""The arithmetic of a subject: its precision, and how accurate its functions are."""

from typing import Mapping, NamedTuple

import numpy as np

from harness.accuracy import Accuracy


class Arithmetic(NamedTuple):
    """What a correct evaluation may do to a number.

    ``unit`` is the unit roundoff *u* (half an ULP of 1), ``smallest`` the smallest normal number,
    below which a result may be flushed to zero, ``largest`` the largest finite one. ``functions``
    gives the accuracy of ``exp``, ``log``, ``tanh``, and of ``affine tanh``: the tanh of a matrix
    product plus a bias, which some runs compute in one kernel of its own. ``fused`` says whether
    they may add the bias at any place of the sum.
    """

    name: str
    unit: float
    smallest: float
    largest: float
    functions: Mapping[str, Accuracy]
    fused: bool = False

    def gamma(self, n: np.ndarray) -> np.ndarray:
        """``n u / (1 - n u)``, infinite from ``n u = 1`` on (Higham, section 3.1)."""
        nu = np.asarray(n * self.unit)
        return np.where(nu < 1, nu / np.maximum(1 - nu, self.unit), np.inf)

    def ulp(self, magnitude: np.ndarray) -> np.ndarray:
        """One unit in the last place of numbers >= 0, ``2^(floor(log2(x)) + 1) u``."""
        return np.ldexp(self.unit, np.frexp(np.maximum(magnitude, self.smallest))[1])


def arithmetic(
    dtype: str, functions: Mapping[str, Accuracy], fused: bool = False
) -> Arithmetic:
    """The IEEE arithmetic of "float16", "float32" or "float64" with these functions."""
    limits = np.finfo(dtype)
    return Arithmetic(
        name=np.dtype(dtype).name,
        unit=float(limits.eps) / 2,
        smallest=float(limits.tiny),
        largest=float(limits.max),
        functions=functions,
        fused=fused,
    )
