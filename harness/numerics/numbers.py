"""Arrays of a machine's numbers, on which plain NumPy code runs as it does on NumPy's own."""

import operator
from fractions import Fraction
from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.numerics.machine import NAN, ExactMachine, Machine, Number, is_finite
from rnndiff.harness.numerics.register import ACCURACIES, MOVES, REGISTER

# How numbers were made, by which a machine may go on with them otherwise than it is written: a sum
# that has matrix products in it, a product of single numbers, any other sum.
SUM, PRODUCT, PLAIN = "sum", "product", "plain"


class Terms:
    """What is added up to make one number: numbers, and pairs that are factors."""

    def __init__(self, terms: Sequence[Any]) -> None:
        self.terms = list(terms)

    def __add__(self, other: "Terms") -> "Terms":
        return Terms(self.terms + other.terms)

    def __neg__(self) -> "Terms":
        return Terms([(-x[0], x[1]) if isinstance(x, tuple) else -x for x in self.terms])


class Numbers(np.lib.mixins.NDArrayOperatorsMixin):  # type: ignore[misc]
    """An array of a machine's numbers, on which NumPy's functions compute as the machine does.

    `terms` are what was added up to make each of them, and `kind` says what that makes of them.
    """

    is_affine = False

    def __init__(
        self, values: Any, machine: Machine, terms: Any = None, kind: Optional[str] = None
    ) -> None:
        self.machine = machine
        self.values = np.asarray(values, dtype=object)
        self.terms = None if terms is None else np.asarray(terms, dtype=object)
        self.kind = kind

    @classmethod
    def of(cls, array: Any, machine: Machine) -> "Numbers":
        """The numbers of a float64 array, as the machine holds them."""
        return cls(_each(lambda x: machine.number(float(x)), array), machine)

    @property
    def shape(self) -> Any:
        """As of any array."""
        return self.values.shape

    @property
    def ndim(self) -> int:
        """As of any array."""
        return int(self.values.ndim)

    dtype = np.dtype(np.float64)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> "Numbers":
        terms = None if self.terms is None else self.terms[index]
        return self._new(self.values[index], terms, self.kind)

    def _new(self, values: Any, terms: Any = None, kind: Optional[str] = None) -> "Numbers":
        return Numbers(values, self.machine, terms, kind)

    def _values(self, x: Any) -> Any:
        return x.values if isinstance(x, Numbers) else Numbers.of(x, self.machine).values

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any) -> "Numbers":
        operands, machine, name = [self._values(x) for x in inputs], self.machine, ufunc.__name__
        if ufunc is np.matmul:
            return self._new(*_products(machine.of_products(), *operands), kind=SUM)
        if ufunc is np.multiply:
            pairs = _each(lambda x, y: Terms([(x, y)]), *operands)
            return self._new(_each(machine.multiply, *operands), pairs, PRODUCT)
        if ufunc in (np.add, np.subtract):
            return self._added(ufunc, *inputs)
        if ufunc is np.negative and self.terms is not None:
            return self._new(-self.values, _each(operator.neg, self.terms), self.kind)
        if hasattr(machine, name):
            return self._new(_each(getattr(machine, name), *operands))
        if name == "tanh" and self.is_affine:
            accuracy = machine.arithmetic.accuracy("affine tanh")
        else:
            # Powers of two are as accurate as other exponentials.
            accuracy = machine.arithmetic.accuracy({"exp2": "exp"}.get(name, name))
        return self._new(_each(lambda x: machine.function(name, x, accuracy), *operands))

    def _added(self, ufunc: Any, *inputs: Any) -> "Numbers":
        """A sum or a difference, as it is written or, if that is allowed, in any order."""
        machine, values = self.machine, [self._values(x) for x in inputs]
        terms, kinds = [_terms_of(x, y) for x, y in zip(inputs, values)], list(map(_kind, inputs))
        if ufunc is np.subtract:
            terms[1] = _each(operator.neg, terms[1])
        result = self._new(_each(getattr(machine, ufunc.__name__), *values))
        anywhere = machine.arithmetic.bias_anywhere and ufunc is np.add
        if anywhere:
            result.terms = _each(operator.add, *terms)
            result.kind = SUM if SUM in kinds else PLAIN
        if machine.random.random() < 0.5:
            return result
        if result.kind == SUM:
            result.values = _each(_in_any_order(machine), result.terms)
        elif PRODUCT in kinds:
            # Fused, or not.
            either = [
                x if kind == PRODUCT else _each(lambda y: Terms([y]), y)
                for x, kind, y in zip(terms, kinds, [values[0], _signed(ufunc, values[1])])
            ]
            result.values = _each(lambda x, y: machine.total(x.terms + y.terms), *either)
        return result

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in MOVES:
            return self._moved(function, *args, **kwargs)
        own = getattr(self, "_" + function.__name__, None)
        return own(*args, **kwargs) if own else self._named(function, *args)

    def _moved(self, function: Any, what: Any, *where: Any, **kwargs: Any) -> Any:
        if isinstance(what, (list, tuple)):
            what = [self._values(x) for x in what]
            return self._new(function(what, *where, **kwargs))
        result = function(what.values, *where, **kwargs)
        terms = None if what.terms is None else function(what.terms, *where, **kwargs)
        if isinstance(result, list):
            terms = [None] * len(result) if terms is None else terms
            return [self._new(*each, what.kind) for each in zip(result, terms)]
        return self._new(result, terms, what.kind)

    def _named(self, function: Any, *args: Any) -> "Numbers":
        """A function by name: as inaccurate as it may be, or by one of its formulas."""
        machine, name = self.machine, function.__name__
        formulas = [function.__wrapped__]
        if ACCURACIES.get(name) is None:
            if not isinstance(machine, ExactMachine):
                formulas += REGISTER[function].formulas
            result: Numbers = machine.random.choice(formulas)(*args)
            return result
        exact = ExactMachine(machine.arithmetic, machine.random, overflows=False)
        operands = [Numbers(_each(_as_fraction, self._values(x)), exact) for x in args]
        values = function.__wrapped__(*operands).values
        accuracy = machine.arithmetic.accuracy(name)
        special = values
        if not isinstance(machine, ExactMachine):
            special = function.__wrapped__(*[self._values(x).astype(np.float64) for x in args])

        def computed(value: Number, special: Number) -> Number:
            return machine.inexact(value, accuracy) if isinstance(value, Fraction) else special

        return self._new(_each(computed, values, special))

    def _affine(self, a: Any, b: Any, bias: Any) -> "Numbers":
        a, b = self._values(a), self._values(b)
        machine = self.machine.of_products()
        result = self._new(*_products(machine, a, b, self._broadcast(bias, a, b)))
        if machine.arithmetic.bias_anywhere:
            result = self._goes_on(result, a, b, bias)
        result.is_affine = True
        return result

    def _accumulate(self, a: Any, b: Any, *terms: Any) -> "Numbers":
        a, b = self._values(a), self._values(b)
        more = [self._broadcast(x, a, b) for x in terms]
        result = _products(self.machine.of_products(), a, b, *more, in_order=False)
        return self._goes_on(self._new(*result), a, b, *terms)

    def _broadcast(self, x: Any, a: Any, b: Any) -> Any:
        return np.broadcast_to(self._values(x), a.shape[:-1] + b.shape[-1:])

    def _goes_on(self, result: "Numbers", a: Any, b: Any, *terms: Any) -> "Numbers":
        """A sum that others join; what was added to it may have been a sum or product itself."""
        result.kind, machine = SUM, self.machine
        if machine.random.random() < 0.5:
            return result
        _, joined = _products(machine.of_products(), a, b)
        for x in terms:
            joins = machine.arithmetic.bias_anywhere or _kind(x) == PRODUCT
            joined = _each(operator.add, joined, _terms_of(x if joins else None, self._values(x)))
        return self._new(_each(_in_any_order(machine), joined), joined, SUM)

    def _dot(self, a: Any, b: Any) -> "Numbers":
        products = self.machine.of_products()
        return self._new(*_products(products, self._values(a), self._values(b)), kind=SUM)

    def _along(
        self,
        operation: Callable[[List[Number]], Number],
        a: "Numbers",
        axis: Optional[int],
        keepdims: bool = False,
    ) -> "Numbers":
        whole = axis is None
        values = a.values
        if a.kind == PRODUCT and a.machine.fuses and operation == a.machine.total:
            values = _each(lambda x: Terms(x.terms), a.terms)
        rows = values.reshape(-1) if whole else np.moveaxis(values, axis, -1)
        result = np.empty(rows.shape[:-1], dtype=object)
        for i in np.ndindex(*result.shape):
            row = [y for x in rows[i] for y in (x.terms if isinstance(x, Terms) else [x])]
            result[i] = operation(row)
        if keepdims:
            result = result.reshape((1,) * a.ndim) if whole else np.expand_dims(result, axis)
        return self._new(result)

    def _sum(self, a: "Numbers", axis: Any = None, keepdims: bool = False) -> "Numbers":
        return self._along(self.machine.total, a, axis, keepdims)

    def _mean(self, a: "Numbers", axis: Any = None) -> "Numbers":
        return self._along(self.machine.mean, a, axis)

    def _max(self, a: "Numbers", axis: Any = None, keepdims: bool = False) -> "Numbers":
        return self._along(self.machine.largest, a, axis, keepdims)

    _amax = _max

    def _argmax(self, a: "Numbers", axis: Any = None) -> "Numbers":
        return self._along(self.machine.argmax, a, axis)

    def _clip(self, a: "Numbers", a_min: Any, a_max: Any) -> "Numbers":
        a_min, a_max = -np.inf if a_min is None else a_min, np.inf if a_max is None else a_max
        # The limits are rounded to the subject's precision, or not.
        if self.machine.fuses:
            return np.minimum(np.maximum(a, a_min), a_max)  # type: ignore[no-any-return]
        rounded = self.machine.arithmetic.precision.rounded
        low, high = float(rounded(a_min)), float(rounded(a_max))
        return np.minimum(np.maximum(a, low), high)  # type: ignore[no-any-return]

    def _where(self, condition: Any, x: Any, y: Any) -> "Numbers":
        def chosen(condition: Any, x: Number, y: Number) -> Number:
            return NAN if condition != condition else x if condition else y

        return self._new(_each(chosen, *[self._values(each) for each in (condition, x, y)]))

    def _ones_like(self, a: "Numbers") -> "Numbers":
        return Numbers.of(np.ones(a.shape), self.machine)


def _each(operation: Callable[..., Any], *arrays: Any) -> Any:
    return np.asarray(np.frompyfunc(operation, len(arrays), 1)(*arrays), dtype=object)


def _kind(x: Any) -> Optional[str]:
    return x.kind if isinstance(x, Numbers) else None


def _terms_of(x: Any, values: Any) -> Any:
    """What was added up to make each number of `x`, or itself."""
    if isinstance(x, Numbers) and x.terms is not None:
        return x.terms
    return _each(lambda number: Terms([number]), values)


def _signed(ufunc: Any, values: Any) -> Any:
    return -values if ufunc is np.subtract else values


def _in_any_order(machine: Machine) -> Callable[[Terms], Number]:
    """What adds terms up as the sums of several products are added up."""
    products = machine.of_products()

    def total(of: Terms) -> Number:
        pairs = [x for x in of.terms if isinstance(x, tuple)]
        return products.accumulate(pairs, [x for x in of.terms if not isinstance(x, tuple)])

    return total


def _products(
    machine: Machine, a: Any, b: Any, *more: np.ndarray, in_order: bool = True
) -> Tuple[np.ndarray, np.ndarray]:
    """``a @ b``, and more, as an affine map has its bias or anywhere in each sum; the terms."""
    a, b = _each(machine.factor, a), _each(machine.factor, b)
    result, all_terms = (np.empty(a.shape[:-1] + b.shape[-1:], dtype=object) for _ in range(2))
    for i in np.ndindex(*result.shape):
        terms = list(zip(a[i[:-1]], b[:, i[-1]]))
        added = [each[i] for each in more]
        all_terms[i] = Terms(terms + added)
        if not in_order:
            result[i] = machine.accumulate(terms, added)
        elif more:
            result[i] = machine.affine(terms, *added)
        else:
            result[i] = machine.total(terms)
    return result, all_terms


def _as_fraction(x: Number) -> Number:
    return Fraction(x) if is_finite(x) else NAN
