"""How accurate TensorFlow's functions are, by kernel, version, instruction set and processor.

The numbers are upper bounds that were measured, not promised by anybody. They hold where they were
measured: ``rnndiff ulp`` measures them again on the TensorFlow at hand, and
:mod:`rnndiff.harness.subjects.tensorflow.premises` does what it takes before a TensorFlow is
judged.

Which kernel computes a function
--------------------------------
A function has a row for every kernel that computes it. Kernels are named for TensorFlow's
operations after all rewriting of the graph; those of oneDNN begin with ``_Mkl``, and "XLA" is what
XLA compiled, whichever operation that was.

- ``tanh`` after a matrix product and a bias is computed by the operation ``Tanh`` or, with oneDNN
  (Grappler's remapper), inside the product, by ``_MklNativeFusedMatMul`` with ``fused_ops =
  [BiasAdd, Tanh]``: here it is *fused tanh*. It is so for every shape that was tried: batches of 0,
  1 and more, one unit and many, one input and many, placeholders and variables. It is not so if
  the product or the sum is fetched or read by anything else, if a control edge begins at the tanh
  (Grappler replaces a Pack of a single tensor by ExpandDims and such an edge: an encoder of one
  step, a decoder of one step), after a Conv2D (the features of the attention), or where Grappler is
  off. One graph can hold both. It can be asked: ``RunOptions(output_partition_graphs=True)``.
- ``sigmoid`` after a matrix product and a bias is likewise *fused sigmoid*: that of the gates of a
  ``GRUCell``, but not of an LSTM, which splits the sum before.
- ``softmax`` is Eigen's, in ``Softmax``, or oneDNN's, in ``_MklSoftmax`` from 2.12 on. Eigen's
  multiplies by the reciprocal of the sum, correctly rounded up to 2.7, and by a Newton step from
  the processor's own approximation (in SIMD lanes: of 8 rows and more) from 2.10 on: at most 2.9
  ULP off on the AMD EPYC, 3.33 on the Intel Xeon.

Softmax
-------
Its accuracy is that beyond two roundings that the formula has, those of the shift by the maximum
and of the additions. It is derived: each exponential may be off by as much as the ``exp`` that
computes it; so may their sum, relative to itself; the reciprocal of the sum, and at last the
product, are rounded. That is ``2 exp + reciprocal + 0.5`` ULP.
"""

import os
import re
from typing import List, NamedTuple, Optional, Tuple

from rnndiff.harness.errors import UserError
from rnndiff.harness.numerics.accuracy import Accuracy, worst
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.models.environment import INSTRUCTION_SETS, Processor, processor, xla_compiles_unasked

Version = Tuple[int, int]

# What becomes subnormal becomes zero, in the tanh of 1.x even if it is multiplied by 0.0049 first.
FLUSHED, MULTIPLIED = 2.0**-126, 2.41e-36
FLUSHED64 = 2.0**-1022
# Vendor and largest instruction set of the processors that were measured.
EPYC, XEON = "AuthenticAMD avx512", "GenuineIntel amx"
XLA = "XLA"


class Place(NamedTuple):
    """Where a function is computed: what decides how accurate it is.

    ``instruction_set`` is the largest that oneDNN may use, ``precision`` that of the numbers.
    """

    version: Version
    processor: str
    instruction_set: str
    precision: str = "float32"


class Row(NamedTuple):
    """The accuracy of one kernel in the versions from `first` to `last`, both included.

    ``at`` is the argument with the worst error, which every measurement tries again.
    ``processors`` are those on which it was measured, ``instruction_sets`` those that oneDNN could
    use there; where there are none, the kernel does not depend on them. ``seen`` is the largest
    error that was seen, where ``ulp`` is more, since it is derived.
    """

    function: str
    kernel: str
    first: Version
    last: Version
    ulp: float
    absolute: float
    at: float
    origin: str
    processors: Tuple[str, ...] = (EPYC, XEON)
    instruction_sets: Tuple[str, ...] = ()
    precision: str = "float32"
    seen: Optional[float] = None

    def covers(self, place: Place) -> bool:
        """Whether it was measured there, or in the versions before and after."""
        return (
            self.first <= place.version <= self.last
            and place.precision == self.precision
            and place.processor in self.processors
            and (not self.instruction_sets or place.instruction_set in self.instruction_sets)
        )


# oneDNN's kernels with fused multiply-add, and those without.
_WITH_FMA, _WITHOUT_FMA = ("avx2", "avx512", "amx"), ("sse41", "avx")

# The minor versions that were measured, by major one. A version between two of them lies in the
# ranges of both, and the larger number counts.
_MINORS = {1: (13, 14, 15), 2: (0, 1, 4, 7, 10, 12, 13, 15, 16, 18, 20, 21)}
MEASURED: Tuple[Version, ...] = tuple((major, x) for major in _MINORS for x in _MINORS[major])
# "All numbers" are all float32 numbers in long arrays, and in short ones those that
# `rnndiff.harness.subjects.ulp.Function.dense` names; "same bits" are those of 10 million numbers
# in long and in short arrays.
TABLE: Tuple[Row, ...] = (
    Row(
        function="tanh",
        kernel="Tanh",
        first=(1, 13),
        last=(2, 3),
        ulp=6.89,
        absolute=MULTIPLIED,
        at=5.82787609,
        origin="all numbers on 1.15, same bits on the others",
    ),
    Row(
        function="tanh",
        kernel="Tanh",
        first=(2, 2),
        last=(2, 19),
        ulp=6.89,
        absolute=FLUSHED,
        at=5.82787609,
        origin="2.4 - 2.18, same bits as 1.15 above 2.4e-36",
    ),
    Row(
        function="tanh",
        kernel="Tanh",
        first=(2, 19),
        last=(2, 21),
        ulp=6.14,
        absolute=FLUSHED,
        at=6.53398514,
        origin="all numbers on 2.21, same bits on 2.20",
    ),
    Row(
        function="fused tanh",
        kernel="_MklNativeFusedMatMul",
        first=(2, 8),
        last=(2, 21),
        ulp=1.22,
        absolute=FLUSHED,
        at=4.08647919,
        origin="all numbers on 2.21, same bits on 2.10 - 2.20; of each instruction set 1.5 million "
        "on 2.10, 2.12 and 2.21",
        instruction_sets=_WITHOUT_FMA + _WITH_FMA,
    ),
    Row(
        function="exp",
        kernel="Exp",
        first=(1, 13),
        last=(2, 6),
        ulp=0.991,
        absolute=FLUSHED,
        at=70.4031,
        origin="all numbers on 1.15, same bits on 1.13 - 2.4",
    ),
    Row(
        function="exp",
        kernel="Exp",
        first=(2, 5),
        last=(2, 9),
        ulp=1.3,
        absolute=FLUSHED,
        at=15.6255693,
        origin="all numbers of abs(x) > 0.001 on 2.7",
    ),
    Row(
        function="exp",
        kernel="Exp",
        first=(2, 8),
        last=(2, 21),
        ulp=1.32,
        absolute=FLUSHED,
        at=15.623995,
        origin="all numbers on 2.21, same bits on 2.10 - 2.20",
    ),
    Row(
        function="log",
        kernel="Log",
        first=(1, 13),
        last=(2, 6),
        ulp=1.2,
        absolute=0.0,
        at=0.706692278,
        origin="all numbers on 1.15, same bits on 1.13 - 2.4",
    ),
    Row(
        function="log",
        kernel="Log",
        first=(2, 5),
        last=(2, 9),
        ulp=1.07,
        absolute=0.0,
        at=2965285.5,
        origin="all numbers on 2.7",
    ),
    Row(
        function="log",
        kernel="Log",
        first=(2, 8),
        last=(2, 21),
        ulp=3.48,
        absolute=0.0,
        at=1.13307023,
        origin="all numbers on 2.21, same bits on 2.10 - 2.20",
    ),
    Row(
        function="softmax",
        kernel="Softmax",
        first=(1, 13),
        last=(2, 6),
        ulp=2.99,
        absolute=FLUSHED,
        at=-6.9034996,
        origin="derived: exp 0.991 (all numbers below -0.001 on 1.15), 1 / sum 0.5",
    ),
    Row(
        function="softmax",
        kernel="Softmax",
        first=(2, 5),
        last=(2, 9),
        ulp=3.61,
        absolute=FLUSHED,
        at=-11.7874184,
        origin="derived: exp 1.3 (that of Exp; 3 million on 2.7), 1 / sum 0.5",
    ),
    Row(
        function="softmax",
        kernel="Softmax",
        first=(2, 8),
        last=(2, 21),
        ulp=6.48,
        absolute=FLUSHED,
        at=-4.91496086,
        origin="derived: exp 1.32 (that of Exp; 3 million on 2.10, 2.12 and 2.21), 1 / sum 3.33 "
        "(seen on the Xeon at -4.91; all rows of two scores on 2.10 and 2.21 show no more)",
    ),
    Row(
        function="softmax",
        kernel="_MklSoftmax",
        first=(2, 11),
        last=(2, 21),
        ulp=9.03,
        # What is less than 2^-125 is zero.
        absolute=2 * FLUSHED,
        at=-62.775749,
        origin="derived: exp 4.01 (all numbers below -0.001 on 2.21, same bits for 3 million on "
        "2.12 - 2.20), 1 / sum 0.5",
        instruction_sets=_WITH_FMA,
    ),
    Row(
        function="softmax",
        kernel="_MklSoftmax",
        first=(2, 11),
        last=(2, 21),
        ulp=120.0,
        absolute=2 * FLUSHED,
        at=-72.0875549,
        origin="derived: exp 59.4 (all rows of two scores, -0.001 to -104 below, on 2.21, 200,000 "
        "rows on 2.12 - 2.20), 1 / sum 0.5",
        processors=(XEON,),
        instruction_sets=_WITHOUT_FMA,
    ),
    Row(
        function="sigmoid",
        kernel="Sigmoid",
        first=(1, 13),
        last=(2, 0),
        # Of a rational approximation that ends at -9 (1.x) or -18: no ULP would describe it.
        ulp=0.5,
        absolute=2.3e-7,
        at=-16.8484497,
        origin="all numbers of -110 to 20 on 1.15",
    ),
    Row(
        function="sigmoid",
        kernel="Sigmoid",
        first=(2, 1),
        last=(2, 3),
        ulp=2.49,
        absolute=FLUSHED,
        at=-16.6357040,
        origin="all numbers of -110 to 20 on 2.1",
    ),
    Row(
        function="sigmoid",
        kernel="Sigmoid",
        first=(2, 2),
        last=(2, 9),
        ulp=0.42,
        absolute=1.8e-7,
        at=13.8986797,
        origin="all numbers of -110 to 20 on 2.4 and 2.7",
    ),
    Row(
        function="sigmoid",
        kernel="Sigmoid",
        first=(2, 8),
        last=(2, 17),
        ulp=2.64,
        absolute=FLUSHED,
        at=-5.5426631,
        origin="all numbers of -110 to 20 on 2.16",
    ),
    Row(
        function="sigmoid",
        kernel="Sigmoid",
        first=(2, 17),
        last=(2, 21),
        ulp=6.58,
        absolute=FLUSHED,
        at=-4.85075474,
        origin="all numbers of -110 to 20 on 2.21",
    ),
    Row(
        function="fused sigmoid",
        kernel="_MklNativeFusedMatMul",
        first=(2, 8),
        last=(2, 21),
        ulp=5.02,
        # What is less than 2^-125 is zero.
        absolute=2 * FLUSHED,
        at=-68.2215195,
        origin="derived: exp 4.01 (that of _MklSoftmax), 1 + exp 0.5, the division 0.5; seen 3.97 "
        "in 6 million of -110 to 20 on 2.10, 2.16 and 2.21 on the Xeon, 3.81 on the EPYC",
        seen=3.97,
        instruction_sets=_WITH_FMA,
    ),
    Row(
        function="fused sigmoid",
        kernel="_MklNativeFusedMatMul",
        first=(2, 8),
        last=(2, 21),
        ulp=60.4,
        absolute=2 * FLUSHED,
        at=-72.0902557,
        origin="derived: exp 59.4 (that of _MklSoftmax), 1 + exp 0.5, the division 0.5; seen 59.45 "
        "in 1.5 million of -110 to 20 on 2.21",
        seen=59.45,
        processors=(XEON,),
        instruction_sets=_WITHOUT_FMA,
    ),
) + tuple(
    Row(
        function=function,
        kernel=kernel,
        first=(2, 21),
        last=(2, 21),
        ulp=ulp,
        absolute=FLUSHED64,
        at=at,
        origin=origin,
        processors=(XEON,),
        precision="float64",
    )
    for function, kernel, ulp, at, origin in (
        ("tanh", "Tanh", 9.5, 17.720758695821104, "1.3 times what 200,000 show"),
        ("exp", "Exp", 1.93, -588.8095990874873, "1.3 times what 200,000 show"),
        ("log", "Log", 1.78, 49.07474229031941, "1.3 times what 200,000 show"),
        ("sigmoid", "Sigmoid", 2.77, -6.484010834350364, "1.3 times what 200,000 show"),
        (
            "softmax",
            "Softmax",
            4.89,
            -1.9560151797302614,
            "2.7 times what 200,000 rows of two show",
        ),
    )
)


def place(version: Version, at_hand: Processor, precision: str = "float32") -> Place:
    """Where a TensorFlow computes, by the processor at hand and what oneDNN is allowed of it."""
    named = "{0.vendor} {0.instruction_set}".format(at_hand)
    return Place(version, named, _allowed(at_hand.instruction_set), precision)


def _allowed(largest: str) -> str:
    """The instruction set that oneDNN uses: the processor's, or the one that it is limited to."""
    names = [name for name, _ in INSTRUCTION_SETS]
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    limit = limit.lower()
    if largest not in names or limit in ("", "all", "default"):
        return largest
    # avx512_core_amx, avx512_core_vnni, avx2_vnni, ...
    limit = "amx" if "amx" in limit else limit.partition("_")[0]
    return min(largest, limit, key=names.index) if limit in names else largest


def accuracy_of(function: str, kernel: str, where: Place) -> Optional[Accuracy]:
    """The accuracy of a function in one kernel; None if the table does not cover that place."""
    rows = [row for row in _rows(function, kernel, where.precision) if row.covers(where)]
    return worst(Accuracy(row.ulp, row.absolute) for row in rows) if rows else None


def source(version: Version) -> str:
    """Where the table has a version from that it covers."""
    if version in MEASURED:
        return "from the table"
    before, after = max(v for v in MEASURED if v < version), min(v for v in MEASURED if v > version)
    return "from the table, between the measured {}.{} and {}.{}".format(*before, *after)


def coverage(version: str) -> str:
    """Whether there are rows for a version, such as "2.21.0", in a sentence, before it is run."""
    found = re.match(r"(\d+)\.(\d+)", version)
    if not found:
        return "no TensorFlow, no accuracy of its functions"
    where = place((int(found.group(1)), int(found.group(2))), processor())
    kernels = {row.kernel for row in TABLE if row.covers(where)}
    if len(kernels) > 1 and (XLA in kernels or not xla_compiles_unasked()):
        return "accuracy of functions: {}, if it holds when tried".format(source(where.version))
    return "accuracy of functions: to be measured here, the table has no {} on {}{}".format(
        version, where.processor.strip(), " with XLA" if xla_compiles_unasked() else ""
    )


def nearest(function: str, kernel: str, where: Place) -> Accuracy:
    """The worst that is known of a function in what is nearest to a place that is not covered.

    In order: the same kernel, the same instruction set of oneDNN's, the nearest version. As much
    may be flushed to zero as in any. Of a function that the table does not have in a precision,
    nothing is known but that.
    """
    precision = where.precision
    flushed = MULTIPLIED if precision == "float32" else flushed_in(precision)
    known = [row for row in TABLE if (row.function, row.precision) == (function, precision)]
    rows = _rows(function, kernel, precision) or known
    if not rows:
        return Accuracy(0.0, flushed)
    rows = [row for row in rows if where.instruction_set in row.instruction_sets] or rows
    closest = min(_distance(row, where.version) for row in rows)
    rows = [row for row in rows if _distance(row, where.version) == closest]
    nearest_to_it = worst(Accuracy(row.ulp, row.absolute) for row in rows)
    return Accuracy(nearest_to_it.ulp, max(nearest_to_it.absolute, flushed))


def flushed_in(precision: str) -> float:
    """Of which magnitude what is less may be flushed to zero, in another precision than float32.

    Subnormal numbers of float16 are not: TensorFlow computes with them in float32. So it does with
    those of bfloat16, which are subnormal there, too; oneDNN's kernels have zero below 2^-125.
    """
    known = {"float16": 0.0, "bfloat16": 2 * FLUSHED}
    return known.get(precision, precision_of(precision).smallest)


def check(version: Version) -> None:
    """See that a version of TensorFlow is not older than the table.

    Raises
    ------
    UserError
        If it is.
    """
    oldest = min(row.first for row in TABLE)
    if version[:2] < oldest:
        raise UserError(
            "The accuracy of TensorFlow {}.{} is not known, only from {}.{} on.".format(
                *version[:2] + oldest
            )
        )


def worst_arguments(function: str, precision: str = "float32") -> Tuple[float, ...]:
    """The arguments at which the function was worst, in any kernel."""
    rows = [row for row in TABLE if (row.function, row.precision) == (function, precision)]
    return tuple(sorted({row.at for row in rows}))


def _rows(function: str, kernel: str, precision: str) -> List[Row]:
    wanted = function, kernel, precision
    return [row for row in TABLE if (row.function, row.kernel, row.precision) == wanted]


def _distance(row: Row, version: Version) -> Tuple[int, int]:
    """How far a version is from a row: major versions, then minor ones."""
    if row.first <= version <= row.last:
        return 0, 0
    end = row.first if version < row.first else row.last
    return abs(end[0] - version[0]), abs(end[1] - version[1])
