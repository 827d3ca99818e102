"""Subjects that compute correctly, each in a way of its own, to test bounds by.

A :class:`Machine` computes in exact arithmetic on fractions, rounded once: it adds in any order,
fuses multiply-adds or not, flushes subnormals to zero or not, and its functions are as inaccurate
as they may be. An :class:`ExactMachine` rounds nothing. Arrays of what either computes with are
those of :mod:`rnndiff.harness.numerics.numbers`.

It needs mpmath, which what only uses bounds does not.
"""

import math
import operator
from fractions import Fraction
from typing import Any, Callable, Optional, Sequence

import mpmath
import numpy as np

from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic

# A float or a fraction.
Number = Any
INF, NAN = float("inf"), float("nan")

# Beyond these, nothing changes but the size of the fractions; of tanh, 200 bits still tell 1.
_LIMITS = {"tanh": 50, "exp": 2000, "exp2": 3000}


class Machine:
    """Correct arithmetic of the kind that it tosses up.

    Parameters
    ----------
    arithmetic : Arithmetic
    random : random.Random
    """

    def __init__(self, arithmetic: Arithmetic, random: Any) -> None:
        self.arithmetic, self.random = arithmetic, random
        self.flushes, self.fuses = random.random() < 0.5, random.random() < 0.5
        # Whether its functions err to one side; what is added up then errs most.
        self.leans = random.choice([-1.0, 1.0, None, None])
        self.digits = -int(np.log2(arithmetic.unit))
        self.least = int(np.log2(arithmetic.smallest))
        self.most = math.frexp(arithmetic.largest)[1]

    def number(self, value: float) -> Number:
        """A number of the oracle's own, or an operand."""
        return value

    def rounded(
        self, value: Fraction, digits: Optional[int] = None, rounding: str = "nearest"
    ) -> Number:
        """A fraction as a number of so many digits; flushed, or not.

        It is the nearest, ties to even, or the neighbour "down" or "up" from zero, or "any" of
        both.
        """
        if value == 0:
            return 0.0
        # In integers, which are several times faster than fractions.
        quantum = max(exponent_of(value), self.least) - (digits or self.digits) + 1
        numerator = abs(value.numerator) << max(0, -quantum)
        count, rest = divmod(numerator, value.denominator << max(0, quantum))
        if rounding == "any":
            rounding = self.random.choice(["down", "up"])
        if rounding == "nearest":
            middle = 2 * rest - (value.denominator << max(0, quantum))
            count += middle > 0 or (middle == 0 and count % 2)
        elif rounding == "up":
            count += rest > 0
        sign = 1.0 if value > 0 else -1.0
        if count.bit_length() + quantum > self.most:
            return sign * INF
        return self.flushed(sign * math.ldexp(count, quantum))

    def flushed(self, value: Number) -> Number:
        """The number, or zero if it is subnormal and this machine has none."""
        return 0.0 if self.flushes and abs(value) < self.arithmetic.smallest else value

    def special(self, ufunc: Callable[..., Any], *operands: Number) -> Number:
        """What operands that are infinite or NaN make."""
        with np.errstate(all="ignore"):
            return float(ufunc(*[float(x) for x in operands]))

    def add(self, x: Number, y: Number) -> Number:
        """``x + y``."""
        if not is_finite(x, y):
            return self.special(np.add, x, y)
        return self.rounded(Fraction(x) + Fraction(y))

    def subtract(self, x: Number, y: Number) -> Number:
        """``x - y``."""
        return self.add(x, -y)

    def multiply(self, x: Number, y: Number) -> Number:
        """``x * y``."""
        if not is_finite(x, y):
            return self.special(np.multiply, x, y)
        return self.rounded(Fraction(x) * Fraction(y))

    def square(self, x: Number) -> Number:
        """``x * x``."""
        return self.multiply(x, x)

    def multiply_add(self, x: Number, y: Number, z: Number) -> Number:
        """``x * y + z``, rounded once."""
        if is_finite(x, y, z):
            return self.rounded(Fraction(x) * Fraction(y) + Fraction(z))
        return z if is_finite(x, y) else self.add(self.multiply(x, y), z)

    def divide(self, x: Number, y: Number) -> Number:
        """``x / y``, or ``x * (1 / y)``."""
        if not is_finite(x, y) or y == 0:
            return self.special(np.true_divide, x, y)
        if self.fuses:
            return self.rounded(Fraction(x) / Fraction(y))
        return self.multiply(x, self.rounded(1 / Fraction(y)))

    true_divide = divide

    def negative(self, x: Number) -> Number:
        """``-x``."""
        return -x

    def absolute(self, x: Number) -> Number:
        """``abs(x)``."""
        return abs(x)

    def floor(self, x: Number) -> Number:
        """The largest whole number that is not above."""
        return type(x)(math.floor(x)) if is_finite(x) else self.special(np.floor, x)

    def compared(self, holds: Callable[[Any, Any], bool], x: Number, y: Number) -> Number:
        """1 where a comparison holds, else 0."""
        return float(holds(self.flushed(x), self.flushed(y)))

    def equal(self, x: Number, y: Number) -> Number:
        """``x == y``."""
        return self.compared(operator.eq, x, y)

    def less(self, x: Number, y: Number) -> Number:
        """``x < y``."""
        return self.compared(operator.lt, x, y)

    def less_equal(self, x: Number, y: Number) -> Number:
        """``x <= y``."""
        return self.compared(operator.le, x, y)

    def greater(self, x: Number, y: Number) -> Number:
        """``x > y``."""
        return self.compared(operator.gt, x, y)

    def greater_equal(self, x: Number, y: Number) -> Number:
        """``x >= y``."""
        return self.compared(operator.ge, x, y)

    def maximum(self, x: Number, y: Number) -> Number:
        """The larger one; subnormals may be compared as zeros, and yet passed on."""
        compared = self.flushed(x), self.flushed(y)
        if compared[0] == compared[1]:
            return x if self.random.random() < 0.5 else y
        if compared[0] != compared[0]:
            return x
        return y if compared[1] != compared[1] or compared[0] < compared[1] else x

    def minimum(self, x: Number, y: Number) -> Number:
        """The smaller one."""
        return -self.maximum(-x, -y)

    def function(self, name: str, x: Number, accuracy: Accuracy) -> Number:
        """A function of mpmath's, as inaccurate as it may be."""
        if not is_finite(x):
            return self.special(getattr(np, name), x)
        value = exactly(name, x)
        if value is None:
            return self.special(getattr(np, name), x)
        return self.inexact(value, accuracy)

    def inexact(self, value: Number, accuracy: Accuracy) -> Number:
        """Anything that is as accurate as it must be, not only numbers that the machine has."""
        if not isinstance(value, Fraction):
            return value
        if abs(value) > Fraction(self.arithmetic.largest):
            return self.rounded(value)
        exponent = exponent_of(value or Fraction(1, 2**2000))
        binade = max(Fraction(2) ** exponent, Fraction(self.arithmetic.smallest))
        error = Fraction(accuracy.ulp) * binade * 2 * Fraction(self.arithmetic.unit)
        error += Fraction(accuracy.absolute)
        towards = self.random.choice([-1, 1, self.random.uniform(-1, 1)])
        if self.leans is not None:
            towards = self.leans
        return self.flushed(value + Fraction(towards) * error)

    def of_products(self) -> "Machine":
        """What multiplies matrices: this machine itself, or one that reads or adds otherwise."""
        if self.arithmetic.sums is not None:
            return WideSums(self)
        return self if self.arithmetic.operand_bits is None else TensorCore(self)

    def factor(self, x: Number) -> Number:
        """A number as a matrix product reads it."""
        return x

    def total(self, terms: Sequence[Any]) -> Number:
        """The sum of `terms`, numbers or pairs that are factors, added in some order."""
        terms = list(terms)
        self.random.shuffle(terms)
        order = self.random.choice(["sequential", "pairwise", "any"])
        while len(terms) > 1:
            if order == "any":
                self.random.shuffle(terms)
            x, y = terms.pop(), terms.pop()
            terms.insert(len(terms) if order == "sequential" else 0, self._sum_of_two(x, y))
        return self._value(terms[0]) if terms else self.number(0.0)

    def _sum_of_two(self, x: Any, y: Any) -> Number:
        if isinstance(y, tuple):
            x, y = y, x
        if self.fuses and isinstance(x, tuple):
            return self.multiply_add(x[0], x[1], self._value(y))
        return self.add(self._value(x), self._value(y))

    def _value(self, term: Any) -> Number:
        return self.multiply(*term) if isinstance(term, tuple) else term

    def affine(self, terms: Sequence[Any], bias: Number) -> Number:
        """A sum of products and a bias, which is last unless the arithmetic says otherwise."""
        if self.arithmetic.bias_anywhere and self.random.random() < 0.5:
            return self.total(list(terms) + [bias])
        return self.add(self.total(terms), bias)

    def accumulate(self, terms: Sequence[Any], more: Sequence[Number]) -> Number:
        """A sum of products and more, in any order."""
        return self.total([*terms, *more])

    def mean(self, terms: Sequence[Number]) -> Number:
        """The sum over the count, or the sum of what is over the count."""
        count = self.number(float(len(terms)))
        if self.random.random() < 0.5:
            return self.total([self.divide(term, count) for term in terms])
        return self.divide(self.total(terms), count)

    def largest(self, terms: Sequence[Number]) -> Number:
        """The largest of some numbers."""
        result = terms[0]
        for term in terms[1:]:
            result = self.maximum(result, term)
        return result

    def argmax(self, terms: Sequence[Number]) -> Number:
        """Where the largest of some numbers is: the first one, or of NaN the first."""
        with np.errstate(all="ignore"):
            return float(np.argmax([float(self.flushed(term)) for term in terms]))


class TensorCore(Machine):
    """What multiplies matrices of operands of fewer bits, in a machine that does all else."""

    def __init__(self, machine: Machine) -> None:
        vars(self).update(vars(machine))
        self._machine, nearest = machine, self.arithmetic.operands_to_nearest
        self._reading = "nearest" if nearest else self.random.choice(["nearest", "down", "any"])
        self._adding = self.random.choice(["nearest", "down"])

    def factor(self, x: Number) -> Number:
        """Rounded to the bits of operands."""
        if not is_finite(x):
            return x
        return Machine.rounded(self, Fraction(x), self.arithmetic.operand_bits, self._reading)

    def rounded(
        self, value: Fraction, digits: Optional[int] = None, rounding: str = "nearest"
    ) -> Number:
        """A sum, to the nearest or cut off."""
        return Machine.rounded(self, value, digits, self._adding)

    def multiply(self, x: Number, y: Number) -> Number:
        """A product, which is not cut off."""
        return self._machine.multiply(x, y)

    def affine(self, terms: Sequence[Any], bias: Number) -> Number:
        """As of any machine; a bias that is last is added elsewhere."""
        if self.arithmetic.bias_anywhere and self.random.random() < 0.5:
            return self.total(list(terms) + [bias])
        return self._machine.add(self.total(terms), bias)


class WideSums(Machine):
    """What adds products up in a wider arithmetic, in a machine that does all else."""

    def __init__(self, machine: Machine) -> None:
        vars(self).update(vars(machine))
        assert machine.arithmetic.sums is not None
        self._machine = machine
        self._wide = type(machine)(machine.arithmetic.sums, machine.random)

    def total(self, terms: Sequence[Any]) -> Number:
        """The sum of `terms`, rounded once."""
        total = self._wide.total(terms)
        return self._machine.rounded(Fraction(total)) if is_finite(total) else total

    def affine(self, terms: Sequence[Any], bias: Number) -> Number:
        """A sum of products and a bias, which is last, or in the wider sum, if it may be."""
        if self.arithmetic.bias_anywhere and self.random.random() < 0.5:
            return self.total(list(terms) + [bias])
        return self._machine.add(self.total(terms), bias)

    def accumulate(self, terms: Sequence[Any], more: Sequence[Number]) -> Number:
        """The sum of two products, each rounded, and more."""
        terms = list(terms)
        self.random.shuffle(terms)
        middle = self.random.randint(0, len(terms))
        parts = [part for part in (terms[:middle], terms[middle:]) if part]
        return self._machine.total([self.total(part) for part in parts] + list(more))


class ExactMachine(Machine):
    """Arithmetic on fractions that rounds nothing.

    What is too large for the subject is infinite. Of operands that are infinite or NaN nothing is
    said: the result is NaN.
    """

    def __init__(self, arithmetic: Arithmetic, random: Any, overflows: bool = True) -> None:
        Machine.__init__(self, arithmetic, random)
        self.overflows = overflows
        self.flushes, self.fuses = False, True

    def of_products(self) -> Machine:
        """Itself, or what overflows no earlier than wider sums do."""
        return self if self.arithmetic.sums is None else WideSums(self)

    def number(self, value: float) -> Number:
        """As a fraction."""
        return Fraction(value) if is_finite(value) else NAN

    def rounded(
        self, value: Fraction, digits: Optional[int] = None, rounding: str = "nearest"
    ) -> Number:
        """Only if it is too large."""
        if abs(value) <= Fraction(self.arithmetic.largest) or not self.overflows:
            return value
        return INF if value > 0 else -INF

    def special(self, ufunc: Callable[..., Any], *operands: Number) -> Number:
        """Nothing is said."""
        return NAN

    def inexact(self, value: Number, accuracy: Accuracy) -> Number:
        """The value itself."""
        return self.rounded(value) if isinstance(value, Fraction) else value

    def compared(self, holds: Callable[[Any, Any], bool], x: Number, y: Number) -> Number:
        """1 where a comparison holds, else 0."""
        return Fraction(holds(x, y)) if is_finite(x, y) else NAN

    def argmax(self, terms: Sequence[Number]) -> Number:
        """The first of the largest."""
        return Fraction(list(terms).index(max(terms))) if is_finite(*terms) else NAN


def is_finite(*values: Number) -> bool:
    """Whether all are fractions, or finite."""
    return all(isinstance(value, Fraction) or math.isfinite(value) for value in values)


def exponent_of(value: Fraction) -> int:
    """``floor(log2(abs(value)))``."""
    numerator, denominator = abs(value.numerator), value.denominator
    exponent = numerator.bit_length() - denominator.bit_length()
    reaches = numerator << max(0, -exponent) >= denominator << max(0, exponent)
    return exponent if reaches else exponent - 1


def exactly(name: str, x: Number) -> Optional[Fraction]:
    """A function of mpmath's, to 200 bits; None if it has no value there."""
    x, limit = Fraction(x), _LIMITS.get(name)
    if limit is not None:
        x = min(max(x, Fraction(-limit)), Fraction(limit))
    with mpmath.workprec(200):
        argument = mpmath.mpf(x.numerator) / x.denominator
        try:
            value = mpmath.mpf(2) ** argument if name == "exp2" else getattr(mpmath, name)(argument)
        except (ValueError, ZeroDivisionError):
            return None
        if not isinstance(value, mpmath.mpf) or not mpmath.isfinite(value):
            return None
        return Fraction(*mpmath.libmp.to_rational(value._mpf_))
