"""The errors of cases against what rounding comes to by chance.

Bounds at worst grow with the number of terms of a sum, and errors as its root: from some 64 units
on, operands of 18 bits and sums that are cut off are within every bound. Against what errors come
to *by chance* (:meth:`rnndiff.harness.numerics.arithmetic.Arithmetic.by_chance`) they are large.
"""

from typing import Dict, NamedTuple

import numpy as np

from rnndiff.harness.judging.forcing import expect_by_chance
from rnndiff.harness.judging.verdict import StackVerdict, given_to
from rnndiff.harness.numerics.arithmetic import Arithmetic

# Of a result that is no larger than so many errors, the error has to do with its sign.
_CLEAR = 2.0**6


class Figures(NamedTuple):
    """Of an array in each of some cases, [cases]; NaN where it has none.

    ``squares`` are the mean squares of error over what it comes to by chance. ``leans`` are mean
    signs of errors, -1 if all are towards zero: of sums of products that are nothing else, where a
    function that errs to one side has no part in it.
    """

    squares: np.ndarray
    leans: np.ndarray


def figures(stack: StackVerdict, arithmetic: Arithmetic) -> Dict[str, Figures]:
    """Those of all arrays of the cases of a stack, teacher-forced, by their names.

    Nothing is said of additions that may cut off what they lose, as the arithmetic of tensor cores
    does; nor of elements that are moved, special or undecided.
    """
    if arithmetic.operand_bits is not None or not stack.cases:
        return {}
    arrays = {
        name: np.stack([x.arrays[name] for x in stack.cases]) for name in stack.cases[0].arrays
    }
    given = given_to(stack.cases[0], arrays, stack.actual)
    if given.plan.indexes:
        return {}
    (mid, rad), sums = expect_by_chance(*given, arithmetic)
    forced = slice(0, mid.shape[1])
    with np.errstate(all="ignore"):
        error, size = given.recorded - mid, np.abs(mid)
        counts = (rad > 0) & (rad < np.inf) & (stack.ratios[:, forced] <= 1)
        # An arg max that goes another way leads to other numbers.
        counts &= ~stack.undecided[:, forced] & (np.abs(stack.expected[:, forced] - mid) <= rad)
        squares = np.square(error / rad)
        # What is flushed on the way is flushed towards zero.
        leans = counts & sums & (error != 0) & (size > arithmetic.smallest / arithmetic.unit**2)
        leans &= rad * _CLEAR < size
        signs = np.sign(error * mid)
    return {
        name: Figures(_means(squares, counts, elements), _means(signs, leans, elements))
        for name, _, elements in given.plan.stretches()
    }


def _means(numbers: np.ndarray, where: np.ndarray, elements: slice) -> np.ndarray:
    """Of each case the mean of those elements that count; NaN if there are none."""
    where = where[:, elements]
    total = np.where(where, numbers[:, elements], 0.0).sum(axis=1)
    number = where.sum(axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
