"""What was seen of a subject's functions, and the accuracies that are to be stated of it."""

import math
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.ulp import SMALLEST_NORMAL

# The unit roundoff of float32.
UNIT = 2.0**-24
# What scores are of which softmax is measured once more: by a formula that computes with the scores
# themselves, exp(s - log(sum(exp))), it is off by half as many ULP.
OFFSET = 2.0**14
SHIFTED = "softmax of large scores"

# A search misses the worst argument: what is stated is so much more than what was seen. Without the
# known worst arguments, TensorFlow's tanh shows 4.54 ULP on 100,000 arguments; exhaustively, 6.14.
MARGIN = 1.5


class Sample(NamedTuple):
    """What was seen of a function in one place.

    ``errors`` [arguments] are absolute, beyond what the function's contract allows besides;
    ``units`` what one ULP of its accuracy allows there, and ``at`` the arguments.
    """

    function: str
    place: str
    at: np.ndarray
    errors: np.ndarray
    units: np.ndarray

    def worst(self) -> Tuple[float, float]:
        """The largest error in ULP, beyond a flush to zero, and its argument."""
        with np.errstate(invalid="ignore"):
            found = np.maximum(self.errors - SMALLEST_NORMAL, 0.0) / self.units
        place = int(np.argmax(found))
        return float(found[place]), float(self.at[place])

    def absolute(self) -> float:
        """The largest absolute error."""
        return float(np.max(self.errors, initial=0.0))


class Sums(NamedTuple):
    """How many sums were probed in one place, and in how many the bias was not added last."""

    place: str
    sums: int
    not_last: int


class Measurement(NamedTuple):
    """All that was measured of a subject."""

    samples: List[Sample]
    sums: List[Sums]

    def accuracies(self) -> Dict[str, Accuracy]:
        """What is to be stated of each function; infinite if an argument is infinitely wrong."""
        of_each: Dict[str, List[Sample]] = {}
        for sample in self.samples:
            of_each.setdefault(sample.function, []).append(sample)
        if "tanh" not in of_each:
            # No other was seen, nor needs to be stated.
            of_each = {"tanh" if f == "affine tanh" else f: part for f, part in of_each.items()}
        large = of_each.pop(SHIFTED, [])
        if self.softmax_depends_on_scores:
            del of_each["softmax"]
        elif large:
            of_each["softmax"] += large
        return {function: with_margin(fit_accuracy(part)) for function, part in of_each.items()}

    @property
    def softmax_depends_on_scores(self) -> bool:
        """Whether the error of softmax grows with the scores: then no accuracy describes it."""
        largest = {
            name: max((s.absolute() for s in self.samples if s.function == name), default=0.0)
            for name in ("softmax", SHIFTED)
        }
        return largest[SHIFTED] > 8 * max(largest["softmax"], UNIT * OFFSET / 64)

    @property
    def bias_anywhere(self) -> bool:
        """Whether a bias was seen to be added elsewhere than last, or nobody looked."""
        return not self.sums or any(each.not_last or not each.sums for each in self.sums)

    def arithmetic(self) -> Arithmetic:
        """What is to be stated."""
        return arithmetic("float32", self.accuracies(), self.bias_anywhere)

    def statement(self) -> str:
        """The same in Python, ready to be pasted."""
        functions = "".join(
            '        "{}": Accuracy({}, {}),\n'.format(
                name, ulp, "2.0**-126" if absolute == SMALLEST_NORMAL else absolute
            )
            for name, (ulp, absolute) in self.accuracies().items()
        )
        return 'arithmetic(\n    "float32",\n    {{\n{}    }},\n    bias_anywhere={},\n)'.format(
            functions, self.bias_anywhere
        )


def fit_accuracy(samples: List[Sample]) -> Accuracy:
    """The accuracy that covers the samples of one function; infinite if one is infinitely wrong.

    Many pairs of a relative and an absolute error cover them, and the best one has the least bound
    on average over the arguments. ULP beside a flush to zero will do unless they make it four times
    as large: they describe most functions, but are millions for one that is good to 2e-7 near zero.
    """
    errors = np.concatenate([sample.errors for sample in samples])
    units = np.concatenate([sample.units for sample in samples])
    largest = float(np.max(errors, initial=0.0))
    if not largest < np.inf:
        return Accuracy(np.inf, np.inf)
    flushes = [SMALLEST_NORMAL, 2 * SMALLEST_NORMAL, 4 * SMALLEST_NORMAL]
    absolutes = flushes + [largest * 2.0 ** (-k / 8) for k in range(161) if largest > flushes[-1]]
    pairs = [
        Accuracy(float(np.max(np.maximum(errors - absolute, 0.0) / units, initial=0.0)), absolute)
        for absolute in absolutes
    ]
    average = float(np.mean(units))
    bounds = [pair.ulp * average + pair.absolute for pair in pairs]
    for pair, bound in zip(pairs[: len(flushes)], bounds):
        if bound <= 4 * min(bounds):
            return pair
    return pairs[int(np.argmin(bounds))]


def with_margin(accuracy: Accuracy) -> Accuracy:
    """An accuracy to be stated: with the margin, and rounded up to two digits."""
    if not accuracy.ulp < math.inf:
        return accuracy
    relative = max(0.5, math.ceil(accuracy.ulp * MARGIN * 10) / 10)
    if accuracy.absolute <= SMALLEST_NORMAL:
        return Accuracy(relative, SMALLEST_NORMAL)
    exponent = math.floor(math.log10(accuracy.absolute * MARGIN)) - 1
    digits = math.ceil(accuracy.absolute * MARGIN / 10.0**exponent)
    return Accuracy(relative, float("{}e{}".format(digits, exponent)))
