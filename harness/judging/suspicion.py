"""The second verdict, statistical, over a run: errors that are within bounds, and not by chance.

Two figures are kept of each array of each model, by the number of units, with one number a case, as
the elements of a case have weights in common:

* the root mean square of error over what rounding comes to by chance. Under its premises (see
  :meth:`rnndiff.harness.numerics.sums.Sums.likely_rad`: rounding errors are even and independent,
  signs of products as by chance, functions as accurate as the subject states) its square is 1 at
  most in the mean. An error that is even in its interval, and a sum of such, is strictly
  sub-Gaussian: ``E exp(t f) <= (1 - 2 t)^-1/2`` of the square f of such over its mean square; by
  Jensen's inequality of the mean over a case as well, however its elements depend on each other;
  and of the part of functions, however they err, as that is 1 at most. So the sum over cases has
  the tail of chi square with one degree of freedom a case: :func:`most_square`. That is *derived*;
* the mean sign of errors in sums of products. If errors are as likely to be towards zero as away
  from it, the sum of the cases' means over the root of the sum of their squares is beyond t by a
  chance of ``exp(-t^2 / 2)`` at most (Efron, *Student's t-test under symmetry conditions*, JASA 64,
  1969, with Hoeffding's bound). That is *derived*, too; that the mean has to be :data:`LEANING`
  besides is *measured*.

All figures of a run share one in 10,000 runs of a right subject (:data:`FALSE_ALARMS`), so far as
the premises hold; that of signs holds in the mean over networks, and a row that stands in two
batches is in two cases. Measured, there is room: the largest root mean square of right subjects
(four of tests/ports/styles.py, TensorFlow 2.21, onnxruntime, Keras 3; 4 to 256 units) is 0.47, and
none of 10,500 runs that benchmarks/suspicious.py drew was suspicious (AMD EPYC, 2026-11-27).

What is suspicious is no failure of a case: no element can be shown that is wrong. A mistake in a
function that is less than what is stated of it, is none; one that is more, is for bounds to find,
which are as narrow as the statement is where the function is flat.
"""

import math
import zlib
from functools import lru_cache
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Tuple

import numpy as np

from rnndiff.harness.judging.chance import Figures, figures
from rnndiff.harness.judging.verdict import StackVerdict, are_tame
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.models.layout import sizes_in

# Runs of a right subject in which anything is suspicious, at most.
FALSE_ALARMS = 1e-4
# Of fewer networks nothing is said: the signs of the weights of one may be arranged.
FEWEST = 8
# The ports "as the oracle" and "bias first" of tests/ports/styles.py have -0.06 to 0.01 over 850
# cases of 4, 16 and 64 units each, sums that are cut off -0.41 to -0.58 over 70 of 16 to 256.
# Measured on an AMD EPYC, NumPy 2.4, 2026-11-27.
LEANING = 0.2
# The most units of each class.
_CLASSES = (4, 16, 64, 256)
# Up to so many units, one case in so many is looked at, and of larger ones. Bounds at worst are
# near to what errors come to by chance where sums have few terms.
_SMALL, _EVERY_SMALL, _EVERY_LARGE = 16, 32, 16
# Figures are kept as whole numbers of this, so that they add up to the same in any order.
_QUANTUM = 2.0**-20
# Rows and steps are no terms of a sum.
_NOT_SUMMED = ("row", "step", "token")


class Suspicious(NamedTuple):
    """An array that errs otherwise than by chance.

    Parameters
    ----------
    model, array, units : str
        Which, and the class of sizes.
    what : str
        "root mean square" or "mean sign".
    figure, limit : float
        What was found, and what right subjects are within in all but one of 10,000 runs.
    cases : int
        How many it is a figure of.
    """

    model: str
    array: str
    units: str
    what: str
    figure: float
    limit: float
    cases: int

    def __str__(self) -> str:
        where = "{} of {}, {}".format(self.array, self.model, self.units)
        if self.what == SIGN:
            said = "errors lean {} zero: mean sign {:+.2f} over {} cases (right subjects: {:.2f})"
            way = "towards" if self.figure < 0 else "away from"
            said = said.format(way, self.figure, self.cases, self.limit)
        else:
            said = (
                "errors are {:.2f} times what rounding comes to by chance: root mean square over "
                "{} cases (right subjects: {:.2f})".format(self.figure, self.cases, self.limit)
            )
        return "{}: {}".format(where, said)


SQUARE, SIGN = "root mean square", "mean sign"


class _Sums:
    """What is kept of an array: of each figure the number of cases, the sum and that of squares."""

    def __init__(self) -> None:
        self.numbers = [0] * 5

    def add(self, numbers: List[int]) -> None:
        self.numbers = [a + b for a, b in zip(self.numbers, numbers)]

    @property
    def cases(self) -> int:
        return self.numbers[0]

    @property
    def square(self) -> float:
        """The mean square over cases."""
        return self.numbers[1] * _QUANTUM / self.numbers[0]

    @property
    def leaning(self) -> int:
        """How many cases have a mean sign."""
        return self.numbers[2]

    @property
    def lean(self) -> float:
        """The mean of the cases' mean signs."""
        return self.numbers[3] * _QUANTUM / self.numbers[2]

    @property
    def self_normalized(self) -> float:
        """Their sum over the root of the sum of their squares."""
        squares = self.numbers[4] * _QUANTUM
        return abs(self.numbers[3] * _QUANTUM) / math.sqrt(squares) if squares else 0.0


class Suspicion:
    """The figures of a run, which add up from process to process."""

    def __init__(self) -> None:
        self._sums: Dict[Tuple[str, str, str], _Sums] = {}

    def add(self, stack: StackVerdict, arithmetic: Arithmetic) -> None:
        """Add cases of which none disagrees, with the arithmetic that their subject states."""
        if stack.cases:
            case = stack.cases[0]
            self.add_figures(case.model.name, case.config, figures(stack, arithmetic))

    def add_figures(self, model: str, config: Any, of_arrays: Mapping[str, Figures]) -> None:
        """Add the figures of the arrays of cases of a model and a config."""
        for name, (squares, leans) in of_arrays.items():
            squares, leans = squares[~np.isnan(squares)], leans[~np.isnan(leans)]
            if squares.size:
                parts = (squares, leans, np.square(leans))
                total, *of_leans = [int(sum(np.rint(x / _QUANTUM).tolist())) for x in parts]
                key = model, name, units_of(config)
                self._of(key).add([squares.size, total, leans.size, *of_leans])

    def _of(self, key: Tuple[str, str, str]) -> _Sums:
        return self._sums.setdefault(key, _Sums())

    def as_dict(self) -> Dict[str, Any]:
        """Everything in JSON's types: by model, array and class of sizes."""
        found: Dict[str, Any] = {}
        for (model, array, units), sums in self._sums.items():
            found.setdefault(model, {}).setdefault(array, {})[units] = list(sums.numbers)
        return found

    def add_dict(self, other: Dict[str, Any]) -> None:
        """Add what :meth:`as_dict` gave; ValueError if it has not."""
        for model, arrays in other.items():
            for array, classes in arrays.items():
                for units, numbers in classes.items():
                    if len(numbers) != 5 or not all(type(x) is int for x in numbers):
                        raise ValueError("figures of {!r} are no five whole numbers".format(array))
                    self._of((model, array, units)).add(numbers)

    def suspicious(self) -> List[Suspicious]:
        """What is, the largest first."""
        found = []
        enough = {key: sums for key, sums in sorted(self._sums.items()) if sums.cases >= FEWEST}
        tests = len(enough) + sum(sums.leaning >= FEWEST for sums in enough.values())
        for key, sums in enough.items():
            limit = most_square(sums.cases, tests)
            if sums.square > limit:
                square = math.sqrt(sums.square), math.sqrt(limit)
                found.append(Suspicious(*key, SQUARE, *square, sums.cases))
            if sums.leaning >= FEWEST and abs(sums.lean) > LEANING:
                most = math.sqrt(2 * math.log(2 * tests / FALSE_ALARMS))
                if sums.self_normalized > most:
                    limit = max(LEANING, abs(sums.lean) * most / sums.self_normalized)
                    found.append(Suspicious(*key, SIGN, sums.lean, limit, sums.leaning))
        return sorted(found, key=lambda each: -abs(each.figure) / each.limit)

    def lines(self) -> Iterator[str]:
        """What came of it, in words; nothing if there are too few cases."""
        enough = {key: sums for key, sums in sorted(self._sums.items()) if sums.cases >= FEWEST}
        suspicious = self.suspicious()
        for each in suspicious:
            yield "suspicious: {}".format(each)
        if enough and not suspicious:
            (model, array, units), sums = max(enough.items(), key=lambda each: each[1].square)
            yield (
                "nothing is suspicious: errors are at most {:.2f} times what rounding comes to by "
                "chance ({} of {}, {}: root mean square over {} cases)".format(
                    math.sqrt(sums.square), array, model, units, sums.cases
                )
            )


def sample_for_chance(stack: StackVerdict) -> StackVerdict:
    """The cases of a stack that are held against chance, which costs half a verdict and more.

    So it is done to all cases of one stack in some, or to some of a stack with many large ones; by
    its numbers, so to the same ones wherever they are judged; and to none with huge or special
    numbers, nor to any of float64, of whose tiny numbers the squares would be zero.
    """
    none = np.zeros(0, dtype=int)
    if not stack.cases:
        return stack
    case, count, number = stack.cases[0], len(stack.cases), 0
    arrays = [np.ascontiguousarray(array) for array in case.arrays.values()]
    for array in arrays:
        number = zlib.crc32(array, number)
    if case.precision == "float64" or not are_tame([array[None] for array in arrays]).all():
        return stack.only(none)
    every = looks_every(case.config)
    if every == _EVERY_LARGE and count > every:
        return stack.only(np.sort((number + np.arange(count // every)) % count))
    return stack if number % every == 0 else stack.only(none)


def looks_every(config: Any) -> int:
    """One case in so many of a config is held against chance."""
    return _EVERY_SMALL if _units(config) <= _SMALL else _EVERY_LARGE


def _units(config: Any) -> int:
    """How many units it has; its largest size that is added up if it has none."""
    sizes, known = config.sizes(), sizes_in(config)
    units = [sizes[name] for name, size in known.items() if size.axis == "unit"]
    if not units:
        units = [sizes[name] for name, size in known.items() if size.axis not in _NOT_SUMMED]
    return max(units, default=0)


def units_of(config: Any) -> str:
    """The class of a config by how many units it has, or what else is added up in its sums."""
    largest, least = _units(config), 0
    for most in _CLASSES:
        if largest <= most:
            return "{} to {} units".format(least, most)
        least = most + 1
    return "{} units and more".format(least)


@lru_cache(maxsize=4096)
def most_square(cases: int, tests: int) -> float:
    """What the mean over cases of a square is within in all but few runs of a right subject.

    That is one run in 10,000 over the number of `tests`: the root ``x > 1`` of
    ``exp(-cases / 2 (x - 1 - log(x))) = FALSE_ALARMS / tests``, Chernoff's bound of chi square.
    """
    goal = 2 * math.log(tests / FALSE_ALARMS) / cases
    low, high = 1.0, 2 * goal + 4
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if middle - 1 - math.log(middle) < goal else (low, middle)
    return high
