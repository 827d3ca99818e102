"""Units in the last place, and how accurate a function is in them."""

from typing import Any, Iterable, NamedTuple

import numpy as np

from rnndiff.harness.numerics.precisions import precision_of


def ulp_of(exact: Any, dtype: Any = np.float32) -> np.ndarray:
    """One unit in the last place (ULP) at exact values: what bounds and reports count errors in.

    That is the distance of neighbouring numbers of `dtype` in the binade of the exact value v, not
    of the computed one: ``2**(floor(log2(abs(v))) - 23)`` in float32. A power of two belongs to the
    binade above it. At 0 and at subnormal numbers it is the smallest subnormal, ``2**-149``; beyond
    the largest finite number it goes on to double with each binade.

    Parameters
    ----------
    exact : array of float64
    dtype : "float16", "float32", "float64" or "bfloat16"

    References
    ----------
    J.-M. Muller et al., *Handbook of Floating-Point Arithmetic*, "The unit in the last place": of
    the definitions there, this is Goldberg's, extended to the reals.
    """
    limits = precision_of(dtype)
    exponent = np.asarray(exact, dtype=np.float64).view(np.int64) & (0x7FF << 52)
    spacing = exponent.view(np.float64) * limits.eps
    return np.maximum(spacing, limits.smallest * limits.eps)


class Accuracy(NamedTuple):
    """``abs(computed - exact) <= ulp * ulp_of(exact) + absolute``, for every float argument."""

    ulp: float
    absolute: float


def worst(accuracies: Iterable[Accuracy]) -> Accuracy:
    """The accuracy of whichever of some kernels computes a function; there is at least one."""
    accuracies = tuple(accuracies)
    return Accuracy(max(a.ulp for a in accuracies), max(a.absolute for a in accuracies))
