"""How accurate a function is."""

from typing import Iterable, NamedTuple


class Accuracy(NamedTuple):
    """``abs(computed - exact) <= ulp * ulp_of(exact) + absolute``, for every float argument.

    ``ulp_of(v)`` is ``2**(floor(log2(abs(v))) - 23)`` in float32, at least ``2**-149``.
    """

    ulp: float
    absolute: float


def worst(accuracies: Iterable[Accuracy]) -> Accuracy:
    """The accuracy of whichever of some kernels computes a function; there is at least one."""
    accuracies = tuple(accuracies)
    return Accuracy(max(a.ulp for a in accuracies), max(a.absolute for a in accuracies))
