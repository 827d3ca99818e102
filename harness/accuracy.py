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
  ExpandDims and such an edge: the encoder of ``seq2seq`` at time 1), after a Conv2D (the
  features of the attention), with ``TF_ENABLE_ONEDNN_OPTS=0``, or where Grappler is off. The
  graph that runs can be asked: ``RunOptions(output_partition_graphs=True)``.
- ``exp`` inside a softmax is Eigen's, that of the operation ``Exp``, in ``Softmax`` up to
  TensorFlow 2.10, and oneDNN's in ``_MklSoftmax`` from 2.12 on. The latter loses accuracy as its
  argument falls: 1.9 ULP from 0 to -6, 2.4 to -17, 4.7 at -85.
- Softmax divides by multiplying with the reciprocal of the sum, which Eigen rounds correctly up
  to 2.7 and computes by a Newton step from 2.10 on, while oneDNN divides.

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


OLD = "all numbers on 1.15, 50 million on 1.13, 1.14, 2.0 and 2.1"

# A version that was not measured lies in the ranges of both its neighbours, and the larger number
# counts.
TABLE: Tuple[Entry, ...] = (
    Entry("tanh", "Tanh", "float32", (1, 13), (2, 3), 6.89, 2.41e-36, OLD, 5.82787609),
    Entry("tanh", "Tanh", "float32", (2, 2), (2, 19), 6.89, FLUSHED, "", 5.82787609),
    Entry("tanh", "Tanh", "float32", (2, 19), (2, 21), 6.15, FLUSHED, "", 6.53398514),
    Entry("fused tanh", "_MklNativeFusedMatMul", "float32", (2, 8), (2, 21), 1.22, FLUSHED, "", -4.08310890, True),
    Entry("exp", "Exp", "float32", (1, 13), (2, 6), 1.0, FLUSHED, "", 70.4031),
    Entry("exp", "Exp", "float32", (2, 5), (2, 21), 1.32, FLUSHED, "", 15.623995),
    Entry("exp", "Softmax", "float32", (1, 13), (2, 6), 1.0, FLUSHED, "", 0.0),
    Entry("exp", "Softmax", "float32", (2, 5), (2, 11), 1.32, FLUSHED, "", 0.0),
    Entry("exp", "Softmax", "float32", (2, 12), (2, 21), 1.32, FLUSHED, "", 0.0, False),
    Entry("exp", "_MklSoftmax", "float32", (2, 11), (2, 21), 4.1, 2 * FLUSHED, "", -85.55295, True),
    Entry("log", "Log", "float32", (1, 13), (2, 9), 1.2, 0.0, "", 0.7066922783851624),
    Entry("log", "Log", "float32", (2, 8), (2, 21), 3.5, 0.0, "", 1.1330702304840088),
    Entry("sigmoid", "Sigmoid", "float32", (1, 13), (2, 3), 3.0, 1.8e-7, "", -3.4374094),
    Entry("sigmoid", "Sigmoid", "float32", (2, 2), (2, 9), 3.0, 1.5e-7, "", -3.4374094),
    Entry("sigmoid", "Sigmoid", "float32", (2, 8), (2, 17), 2.5, FLUSHED, "", -3.4501247),
    Entry("sigmoid", "Sigmoid", "float32", (2, 17), (2, 21), 6.2, FLUSHED, "", -1.9767466),
    Entry("softmax", "Softmax", "float32", (1, 13), (2, 7), 4.5, FLUSHED, "", -3.4639387),
    Entry("softmax", "Softmax", "float32", (2, 8), (2, 11), 6.0, FLUSHED, "", -3.4639387),
    Entry("softmax", "Softmax", "float32", (2, 12), (2, 21), 6.0, FLUSHED, "", -3.46, False),
    Entry("softmax", "_MklSoftmax", "float32", (2, 11), (2, 21), 8.0, 2 * FLUSHED, "", -75.2, True),
    Entry("reciprocal", "Softmax", "float32", (1, 13), (2, 7), 0.5, 0.0, "", -2.04),
    Entry("reciprocal", "Softmax", "float32", (2, 8), (2, 11), 3.0, 0.0, "", -5.54),
    Entry("reciprocal", "Softmax", "float32", (2, 12), (2, 21), 3.0, 0.0, "", -5.54, False),
    Entry("reciprocal", "_MklSoftmax", "float32", (2, 11), (2, 21), 0.5, 0.0, "", -2.04, True),
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
            "The accuracy of TensorFlow {}.{} is not measured, only that of {}.{} and later.".format(
                *(version + oldest)
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
