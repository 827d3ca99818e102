"""What the bounds presume of the TensorFlow at hand, looked up, tried and, if need be, measured.

Its kernels are tried at every argument that was ever the worst of a function. Where the table
covers this place and the kernels are as accurate as it says, they are taken to be. Elsewhere they
are measured here, on a sample, and what is said of them is the larger of what the sample shows,
times a margin for what it misses, and of what the table has of the nearest place.
"""

import os
from typing import Any, Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from rnndiff.harness.numerics.accuracy import Accuracy, worst
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.subjects.tensorflow.accuracy import (
    Place,
    accuracy_of,
    check,
    nearest,
    place,
    source,
    worst_arguments,
)
from rnndiff.harness.subjects.tensorflow.kernels import (
    XLA,
    Biased,
    Kernels,
    adds_in_float32,
    biased_kernels,
)
from rnndiff.harness.subjects.tensorflow.modes import (
    NOTHING,
    PARTS,
    SESSION,
    WHOLE,
    Mode,
    compiled_in,
)
from rnndiff.harness.subjects.ulp import Kernel, exhaust, measure, sample, within
from rnndiff.models.environment import processor

SAMPLES = 200_000
# More than the largest ratio of a row of the table to what such a sample shows, on 1.15, 2.4, 2.7,
# 2.10, 2.12 and 2.21, with and without oneDNN and FMA: 1.255, of Tanh on 2.21, for functions whose
# row is that of all numbers; 2.617, of Softmax on 2.21, where the row was derived.
MARGIN, SOFTMAX_MARGIN = 1.3, 2.7

Name = Tuple[str, str]


class Premises(NamedTuple):
    """The accuracy of functions by name and kernel, and the kernels that add a bias last.

    ``text`` says in one line where that comes from, ``sums`` the precision in which matrix products
    are added up, None if it is that of their numbers.
    """

    functions: Dict[Name, Accuracy]
    bias_last: FrozenSet[Biased]
    text: str
    sums: Optional[str] = None

    def of(self, function: str) -> Accuracy:
        """The worst accuracy of a function's kernels; it has one at least."""
        return worst(known for (name, _), known in self.functions.items() if name == function)

    def has(self, function: str) -> bool:
        """Whether there is a kernel for a function."""
        return any(name == function for name, _ in self.functions)


def premises_of(tf1: Any, mode: Mode = SESSION) -> Premises:
    """Those of the TensorFlow at hand, in a mode.

    Parameters
    ----------
    tf1 : module
        ``rnndiff.models.tf1``.
    mode : Mode, optional

    Raises
    ------
    UserError
        If it is older than the table.
    """
    where = place(tf1.VERSION, processor(), mode.precision)
    check(where.version)
    functions: Dict[Name, Accuracy] = {}
    missed: Set[Name] = set()
    tried = left_out = 0
    all_kernels = every_kernel(tf1, mode)
    for kernels in all_kernels:
        for name in set(map(name_of, kernels.kernels)):
            table = stated(name, where)
            functions.update({name: table} if table else {})
        missed.update(_missed(kernels, functions))
    for name in sorted(missed):
        functions[name] = nearest(*name, where)
    for kernel in [kernel for kernels in all_kernels for kernel in kernels.kernels]:
        if name_of(kernel) in missed:
            measured, arguments, wrong = _measured(kernel, nearest(*name_of(kernel), where))
            functions[name_of(kernel)] = worst((functions[name_of(kernel)], measured))
            tried += arguments
            left_out += wrong
    bias_last = biased_kernels(tf1, False if tf1.XLA else None, mode)
    text = _text(tf1, mode, where, missed, tried, left_out)
    sums = None
    if is_exhausted(mode.precision):
        sums = "float32" if adds_in_float32(tf1, mode) else None
        said = "matrix products are added in {}, as was tried here".format(sums or mode.precision)
    else:
        said = _place_of_bias(tf1, mode, bias_last)
    return Premises(functions, bias_last, "{}; {}".format(text, said), sums)


def every_kernel(tf1: Any, mode: Mode = SESSION) -> List[Kernels]:
    """The kernels of the TensorFlow at hand; with XLA, those that it compiles as well."""
    compiles = compiled_in(tf1, mode)
    kinds: Tuple[Optional[bool], ...] = (False, True) if compiles == PARTS else (None,)
    if compiles == WHOLE:
        kinds = (True,)
    return [Kernels(tf1, compiled, mode) for compiled in kinds]


def name_of(kernel: Kernel) -> Name:
    """By which the table knows a kernel."""
    return kernel.function.name, kernel.op


def stated(name: Name, where: Place) -> Optional[Accuracy]:
    """What the table says of a kernel; of XLA's as they are by default, without any flag."""
    if name[1] == XLA and os.environ.get("XLA_FLAGS"):
        return None
    return accuracy_of(*name, where)


def known_arguments(kernel: Kernel) -> np.ndarray:
    """Those at which its function was ever the worst."""
    function, precision = kernel.function, kernel.function.precision
    known = precision_of(precision).rounded(worst_arguments(function.name, precision))
    return within(known, function.domain, precision)


def _missed(kernels: Kernels, table: Dict[Name, Accuracy]) -> Set[Name]:
    """What the table does not cover, and what is worse than it says."""
    missed = {name_of(kernel) for kernel in kernels.kernels} - set(table)
    known = {kernel.function.name: known_arguments(kernel) for kernel in kernels.kernels}
    # Without any in the table, there is none to try.
    tried = all(len(arguments) for arguments in known.values())
    for probes in kernels.probe(known) if tried else ():
        for kernel, arguments, results in probes:
            if name_of(kernel) not in missed:
                ulp, absolute = table[name_of(kernel)]
                if kernel.errors(results, kernel.exact(arguments), absolute).max() > ulp:
                    missed.add(name_of(kernel))
    return missed


def _measured(kernel: Kernel, elsewhere: Accuracy) -> Tuple[Accuracy, int, int]:
    """What a sample shows beyond the absolute error of elsewhere, with a margin, and its size.

    A result that is infinitely wrong, such as NaN where there is a number, is no inaccuracy, and
    stays wrong: it is left out, and the last number says how many were.
    """
    left_out = 0

    def run(arguments: np.ndarray) -> np.ndarray:
        nonlocal left_out
        results, exact = kernel.run(arguments), kernel.exact(arguments)
        wrong = np.isinf(kernel.errors(results, exact, elsewhere.absolute))
        left_out += int(np.count_nonzero(wrong))
        with np.errstate(over="ignore"):
            return np.where(wrong, precision_of(kernel.function.precision).rounded(exact), results)

    function = kernel.function
    known = np.tile(known_arguments(kernel), 16)
    chunks = [known] if len(known) else []
    if is_exhausted(function.precision):
        chunks += exhaust(function.domain, function.precision)
        # Of more scores than two a softmax may be off by more.
        beyond = SOFTMAX_MARGIN if function.name == "softmax" else 1.0
    else:
        chunks += sample(function, SAMPLES)
        beyond = margin(function.name)
    *_, seen = measure(kernel._replace(run=run), iter(chunks), elsewhere.absolute)
    accuracy = Accuracy(beyond * seen.ulp, elsewhere.absolute)
    return accuracy, seen.arguments, left_out


def is_exhausted(precision: str) -> bool:
    """Whether there are so few numbers of a precision that all are tried."""
    return precision_of(precision).width <= 16


def margin(function: str) -> float:
    """What a sample's worst is multiplied by."""
    return SOFTMAX_MARGIN if function == "softmax" else MARGIN


def _place_of_bias(tf1: Any, mode: Mode, bias_last: FrozenSet[Biased]) -> str:
    """Where a bias is presumed to be added by kernels that compute its product as well."""
    if mode.runner == "xla":
        return "what XLA compiles may add the bias anywhere"
    if mode.runner == "eager":
        return "each bias is added by itself"
    if not bias_last:
        return "fused kernels may add the bias anywhere"
    beside = ", what XLA compiles may add it anywhere" if tf1.XLA else ""
    return "fused kernels that add the bias last, as was tried here: {}{}".format(
        len(bias_last), beside
    )


def _text(
    tf1: Any, mode: Mode, where: Place, missed: Iterable[Name], tried: int, left_out: int
) -> str:
    at_hand = "TensorFlow {}.{}, {}{} on {}".format(
        where.version[0],
        where.version[1],
        "oneDNN ({})".format(where.instruction_set) if tf1.ONEDNN else "without oneDNN",
        "" if compiled_in(tf1, mode) == NOTHING else ", XLA",
        where.processor.strip(),
    )
    if not missed:
        return "accuracy of functions: {}, which held when tried here ({})".format(
            source(where.version), at_hand
        )
    return (
        "accuracy of functions: {} measured here on {:,} arguments{}, not in the table ({})".format(
            ", ".join("{} ({})".format(*name) for name in sorted(missed)),
            tried,
            " (but for {:,} that it gets infinitely wrong)".format(left_out) if left_out else "",
            at_hand,
        )
    )
