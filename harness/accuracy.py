"""How accurate TensorFlow's functions are, by version: the table, and how to look things up in it.

The numbers are upper bounds that were measured, not promised by anybody: ``rnndiff ulp`` measures
them again on the TensorFlow at hand (:mod:`harness.ulp`), and says whether they hold there.

Which kernel computes a function
--------------------------------
A function stands in the table once for every kernel that computes it.

- ``tanh`` after a matrix product and a bias is computed by the operation ``Tanh`` up to
  TensorFlow 2.7, and from 2.10 on (oneDNN, Grappler's remapper) inside the product, by
  ``_MklNativeFusedMatMul`` with ``fused_ops = [BiasAdd, Tanh]``: here it is *fused tanh*. It is so
  for every shape that was tried: batches of 0, 1 and more, one unit and many, one input and many,
  placeholders and variables. It is not so if the product or the sum is fetched or read by anything
  else, if a control edge begins at the tanh (Grappler replaces a Pack of a single tensor by
  ExpandDims and such an edge: an encoder of one step, a decoder of one step), after a Conv2D
  (the features of the attention), with ``TF_ENABLE_ONEDNN_OPTS=0``, or where Grappler is off.
  One graph can hold both. It can be asked: ``RunOptions(output_partition_graphs=True)``.
- ``exp`` inside a softmax is Eigen's, that of the operation ``Exp``, in ``Softmax`` up to
  TensorFlow 2.10, and oneDNN's in ``_MklSoftmax`` from 2.12 on. The latter loses accuracy as its
  argument falls: 1.9 ULP from 0 to -6, 2.4 to -17, 4.0 from -60 on.
- Softmax divides by multiplying with the reciprocal of the sum, which Eigen rounds correctly up
  to 2.7 and computes by a Newton step from 2.10 on (in SIMD lanes: of 8 rows and more), while
  oneDNN rounds it correctly. The product is rounded once more.

Processors
----------
Measured on x86-64. Eigen's kernels are compiled for one instruction set and are the same on all
x86-64. oneDNN chooses by processor: *fused tanh* is the same for SSE4.1, AVX2 and AVX-512, but
without FMA (``ONEDNN_MAX_CPU_ISA=AVX`` or a processor from before 2013) the ``exp`` of
``_MklSoftmax`` is up to 68 ULP off, which is not in the table.
"""

from typing import Dict, Iterable, NamedTuple, Optional, Tuple

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
    """The accuracy of one kernel in the versions from `first` to `last`, both included.

    ``at`` is the argument with the worst error, which every measurement tries again. ``onednn``
    is the kind of run in which the kernel is used: with oneDNN (as by default from 2.9 on),
    without, or None for both.
    """

    function: str
    kernel: str
    precision: str
    first: Version
    last: Version
    ulp: float
    absolute: float
    measured: str
    at: float
    onednn: Optional[bool] = None


Range = Tuple[Version, Version, float, float, float, str]


def _entries(
    function: str, kernel: str, *ranges: Range, onednn: Optional[bool] = None
) -> Tuple[Entry, ...]:
    """Entries in float32, from first and last version, ULP, absolute error, argument, origin."""
    return tuple(
        Entry(function, kernel, "float32", first, last, ulp, absolute, measured, at, onednn)
        for first, last, ulp, absolute, at, measured in ranges
    )


# Measured were 1.13, 1.14, 1.15, 2.0, 2.1, 2.4, 2.7, 2.10, 2.12, 2.13, 2.15, 2.16, 2.18, 2.20 and
# 2.21. A version between two of them lies in the ranges of both, and the larger number counts.
# "All numbers" are all float32 numbers in long arrays, and in short ones those that
# `harness.ulp.Function.dense` names; "same bits" are those of 10 million numbers in long and in
# short arrays.
TABLE: Tuple[Entry, ...] = (
    _entries(
        "tanh",
        "Tanh",
        # Multiplied by 0.0049 first: 2.4e-36 becomes subnormal, and zero.
        (
            (1, 13),
            (2, 3),
            6.89,
            2.41e-36,
            5.82787609,
            "all numbers on 1.15, same bits on the others",
        ),
        ((2, 2), (2, 19), 6.89, FLUSHED, 5.82787609, "2.4 - 2.18, same bits as 1.15 above 2.4e-36"),
        ((2, 19), (2, 21), 6.14, FLUSHED, 6.53398514, "all numbers on 2.21, same bits on 2.20"),
    )
    + _entries(
        "fused tanh",
        "_MklNativeFusedMatMul",
        (
            (2, 8),
            (2, 21),
            1.22,
            FLUSHED,
            4.08647919,
            "all numbers on 2.21, same bits on 2.10 - 2.20",
        ),
        onednn=True,
    )
    + _entries(
        "exp",
        "Exp",
        ((1, 13), (2, 6), 0.991, FLUSHED, 70.4031, "all numbers on 1.15, same bits on 1.13 - 2.4"),
        ((2, 5), (2, 9), 1.3, FLUSHED, 15.6255693, "all numbers of abs(x) > 0.001 on 2.7"),
        (
            (2, 8),
            (2, 21),
            1.32,
            FLUSHED,
            15.623995,
            "all numbers on 2.21, same bits on 2.10 - 2.20",
        ),
    )
    + _entries(
        "exp",
        "Softmax",
        ((1, 13), (2, 6), 0.991, FLUSHED, -5.85734367, "all numbers below -0.001 on 1.15"),
        ((2, 5), (2, 9), 1.3, FLUSHED, -28.0365314, "3 million on 2.7, and that of Exp"),
        ((2, 8), (2, 11), 1.32, FLUSHED, -16.2863007, "3 million on 2.10, and that of Exp"),
    )
    + _entries(
        "exp",
        "Softmax",
        ((2, 11), (2, 21), 1.32, FLUSHED, -16.2863007, "2.12 and 2.21, same bits as 2.10"),
        onednn=False,
    )
    + _entries(
        "exp",
        "_MklSoftmax",
        # What is less than 2^-125 is zero.
        (
            (2, 11),
            (2, 21),
            4.01,
            2 * FLUSHED,
            -66.1467438,
            "all numbers below -0.001 on 2.21, same bits for 3 million on 2.12 - 2.20",
        ),
        onednn=True,
    )
    + _entries(
        "log",
        "Log",
        ((1, 13), (2, 6), 1.2, 0.0, 0.706692278, "all numbers on 1.15, same bits on 1.13 - 2.4"),
        ((2, 5), (2, 9), 1.07, 0.0, 2965285.5, "all numbers on 2.7"),
        ((2, 8), (2, 21), 3.48, 0.0, 1.13307023, "all numbers on 2.21, same bits on 2.10 - 2.20"),
    )
    + _entries(
        "reciprocal",
        "Softmax",
        ((1, 13), (2, 9), 0.5, 0.0, -0.821490169, "84 million on 1.15, 3 million on the others"),
        ((2, 8), (2, 11), 2.9, 0.0, -2.77233815, "84 million on 2.10"),
    )
    + _entries(
        "reciprocal",
        "Softmax",
        ((2, 11), (2, 21), 2.9, 0.0, -2.77233815, "3 million on 2.12 and 2.21"),
        onednn=False,
    )
    + _entries(
        "reciprocal",
        "_MklSoftmax",
        ((2, 11), (2, 21), 0.5, 0.0, -0.821490109, "84 million on 2.21, 3 million on 2.12 - 2.20"),
        onednn=True,
    )
    + _entries(
        "softmax",
        "Softmax",
        ((1, 13), (2, 6), 4.5, FLUSHED, -6.9034996, "140 million rows of 2 and 40 on 1.15 and 2.1"),
        ((2, 5), (2, 9), 5.5, FLUSHED, -11.7874184, "140 million rows of 2 and 40 on 2.7"),
        ((2, 8), (2, 11), 6.0, FLUSHED, -11.7933292, "140 million rows of 2 to 40 on 2.10"),
    )
    + _entries(
        "softmax",
        "Softmax",
        ((2, 11), (2, 21), 6.0, FLUSHED, -11.7933292, "10 million rows on 2.12 and 2.21"),
        onednn=False,
    )
    + _entries(
        "softmax",
        "_MklSoftmax",
        ((2, 11), (2, 21), 8.0, 2 * FLUSHED, -62.775749, "140 million rows of 2 to 40 on 2.21"),
        onednn=True,
    )
    + _entries(
        "sigmoid",
        "Sigmoid",
        # Of a rational approximation that ends at -9 (1.x) or -18: no ULP would describe it.
        ((1, 13), (2, 0), 0.5, 2.3e-7, -16.8484497, "all numbers of -110 to 20 on 1.15"),
        ((2, 1), (2, 3), 2.49, FLUSHED, -16.6357040, "all numbers of -110 to 20 on 2.1"),
        ((2, 2), (2, 9), 0.42, 1.8e-7, 13.8986797, "all numbers of -110 to 20 on 2.4 and 2.7"),
        ((2, 8), (2, 17), 2.64, FLUSHED, -5.5426631, "all numbers of -110 to 20 on 2.16"),
        ((2, 17), (2, 21), 6.58, FLUSHED, -4.85075474, "all numbers of -110 to 20 on 2.21"),
    )
)


def accuracies(
    version: Version, precision: str = "float32", onednn: bool = True
) -> Dict[str, Accuracy]:
    """The accuracy of every function in one version of TensorFlow.

    Where a function has several kernels, it is the least accurate of them. A version newer than
    the table is taken for the newest one in it.

    Parameters
    ----------
    version : (int, int)
        Such as ``models.tf1.VERSION``.
    precision : str
        "float32".
    onednn : bool
        False for a run with ``TF_ENABLE_ONEDNN_OPTS=0``; without effect before 2.9.

    Returns
    -------
    dict of str to Accuracy
        "tanh" (the operation by itself) and, where there is one, "fused tanh" (inside a matrix
        product); "exp" (the operation, up to 88, and the one inside a softmax); "log" (of normal
        numbers); "sigmoid"; "reciprocal" (of the sum, inside a softmax) and "softmax" (of rows of
        up to 40 scores, where subtracting the maximum is exact).

    Raises
    ------
    UserError
        If the version is older than the table, or the precision is not in it.
    """
    version = _in_table(version, precision)
    found: Dict[str, Accuracy] = {}
    for entry in TABLE:
        if _is_used(entry, version, precision, onednn):
            known = found.get(entry.function, Accuracy(0.0, 0.0))
            found[entry.function] = _worst((known, Accuracy(entry.ulp, entry.absolute)))
    return found


def accuracy_of(
    function: str, kernel: str, version: Version, precision: str = "float32"
) -> Optional[Accuracy]:
    """The accuracy of a function in one kernel; None if the table has none for that version."""
    version = _in_table(version, precision)
    found = [
        Accuracy(entry.ulp, entry.absolute)
        for entry in TABLE
        if (entry.function, entry.kernel, entry.precision) == (function, kernel, precision)
        and entry.first <= version <= entry.last
    ]
    return _worst(found) if found else None


def worst_arguments(function: str) -> Tuple[float, ...]:
    """The arguments at which the function was worst, in any version."""
    return tuple(sorted({entry.at for entry in TABLE if entry.function == function}))


def _in_table(version: Version, precision: str) -> Version:
    entries = [entry for entry in TABLE if entry.precision == precision]
    if not entries:
        raise UserError("The accuracy of TensorFlow in {} is not measured.".format(precision))
    oldest, newest = min(e.first for e in entries), max(e.last for e in entries)
    version = (version[0], version[1])
    if version < oldest:
        raise UserError(
            "The accuracy of TensorFlow {}.{} is not measured, only from {}.{} on.".format(
                *version + oldest
            )
        )
    return min(version, newest)


def _is_used(entry: Entry, version: Version, precision: str, onednn: bool) -> bool:
    return (
        entry.precision == precision
        and entry.first <= version <= entry.last
        and entry.onednn in (None, onednn)
    )


def _worst(found: Iterable[Accuracy]) -> Accuracy:
    found = tuple(found)
    return Accuracy(max(a.ulp for a in found), max(a.absolute for a in found))
