"""How accurate TensorFlow's functions are, by version: the table, and how to look things up in it.

The numbers are upper bounds that were measured, not promised by anybody: ``rnndiff ulp`` measures
them again on the TensorFlow at hand (:mod:`harness.ulp`), and says whether they hold there.
"""

from typing import Dict, NamedTuple, Tuple

from harness.errors import UserError

Version = Tuple[int, int]

FLUSHED = 2.0**-126


class Accuracy(NamedTuple):
    """``abs(computed - exact) <= ulp * ulp_of(exact) + absolute``, for every float argument.

    ``ulp_of(v)`` is ``2**(floor(log2(abs(v))) - 23)`` in float32, at least ``2**-149``.
    """

    ulp: float
    absolute: float


class Entry(NamedTuple):
    """The accuracy of one kernel in the versions from `first` to `last`, both included."""

    function: str
    kernel: str
    precision: str
    first: Version
    last: Version
    ulp: float
    absolute: float
    measured: str


def _float32(
    function: str,
    kernel: str,
    first: Version,
    last: Version,
    ulp: float,
    absolute: float,
    measured: str,
) -> Entry:
    return Entry(function, kernel, "float32", first, last, ulp, absolute, measured)


# Versions that were not measured lie in the ranges of both their neighbours: the larger number
# counts.
TABLE: Tuple[Entry, ...] = (
    _float32("tanh", "Tanh", (1, 13), (2, 3), 6.89, 2.41e-36, "1.13, 1.14, 1.15, 2.0, 2.1"),
    _float32("tanh", "Tanh", (2, 2), (2, 19), 6.89, FLUSHED, "2.4 - 2.18"),
    _float32("tanh", "Tanh", (2, 19), (2, 21), 6.15, FLUSHED, "2.20, 2.21"),
    _float32("fused tanh", "_MklNativeFusedMatMul", (2, 8), (2, 21), 1.22, FLUSHED, "2.10 - 2.21"),
    _float32("exp", "Exp", (1, 13), (2, 6), 1.0, FLUSHED, "1.13 - 2.4"),
    _float32("exp", "Exp", (2, 5), (2, 21), 1.32, FLUSHED, "2.7 - 2.21"),
    _float32("exp", "Softmax", (1, 13), (2, 6), 1.0, FLUSHED, "1.13 - 2.4"),
    _float32("exp", "Softmax", (2, 5), (2, 9), 1.32, FLUSHED, "2.7"),
    _float32("exp", "_MklSoftmax", (2, 8), (2, 11), 2.4, FLUSHED, "2.10"),
    _float32("exp", "_MklSoftmax", (2, 11), (2, 21), 4.8, 2 * FLUSHED, "2.12 - 2.21"),
    _float32("log", "Log", (1, 13), (2, 9), 1.2, 0.0, "1.13 - 2.7"),
    _float32("log", "Log", (2, 8), (2, 21), 3.5, 0.0, "2.10 - 2.21"),
    _float32("sigmoid", "Sigmoid", (1, 13), (2, 3), 3.0, 1.8e-7, "1.13 - 2.1"),
    _float32("sigmoid", "Sigmoid", (2, 2), (2, 9), 3.0, 1.5e-7, "2.4, 2.7"),
    _float32("sigmoid", "Sigmoid", (2, 8), (2, 17), 2.5, FLUSHED, "2.10 - 2.16"),
    _float32("sigmoid", "Sigmoid", (2, 17), (2, 21), 6.2, FLUSHED, "2.18 - 2.21"),
)


def accuracies(version: Version, precision: str = "float32") -> Dict[str, Accuracy]:
    """The accuracy of every function in one version of TensorFlow.

    Where a function has several kernels, it is the least accurate one. A version newer than the
    table is taken for the newest one in it.

    Parameters
    ----------
    version : (int, int)
        Such as ``models.tf1.VERSION``.
    precision : str
        "float32".

    Returns
    -------
    dict of str to Accuracy
        "tanh" (the operation by itself), "exp" (the operation and the one inside a softmax),
        "log", "sigmoid" and, where TensorFlow has it, "fused tanh", the one inside
        ``_FusedMatMul``.

    Raises
    ------
    UserError
        If the version is older than the table, or the precision is not in it.
    """
    entries = [entry for entry in TABLE if entry.precision == precision]
    if not entries:
        raise UserError("There is no measured accuracy of TensorFlow in {}.".format(precision))
    oldest, newest = min(e.first for e in entries), max(e.last for e in entries)
    if version < oldest:
        raise UserError(
            "The accuracy of TensorFlow {}.{} has not been measured: "
            "the oldest that has is {}.{}.".format(*(tuple(version) + oldest))
        )
    version = min(tuple(version[:2]), newest)
    found: Dict[str, Accuracy] = {}
    for entry in entries:
        if entry.first <= version <= entry.last:
            other = found.get(entry.function, Accuracy(0.0, 0.0))
            found[entry.function] = Accuracy(
                max(entry.ulp, other.ulp), max(entry.absolute, other.absolute)
            )
    return found
