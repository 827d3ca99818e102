"""Arrays of a machine's numbers, on which plain NumPy code runs as it does on NumPy's own."""

from fractions import Fraction
from typing import Any, Callable, List, Optional

import numpy as np

from rnndiff.harness.numerics.machine import NAN, ExactMachine, Machine, Number, is_finite
from rnndiff.harness.numerics.register import ACCURACIES, MOVES, REGISTER


class Numbers(np.lib.mixins.NDArrayOperatorsMixin):  # type: ignore[misc]
    """An array of a machine's numbers, on which NumPy's functions compute as the machine does."""

    is_affine = False

    def __init__(self, values: Any, machine: Machine) -> None:
        self.machine = machine
        self.values = np.asarray(values, dtype=object)

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
        return self._new(self.values[index])

    def _new(self, values: Any) -> "Numbers":
        return Numbers(values, self.machine)

    def _values(self, x: Any) -> Any:
        return x.values if isinstance(x, Numbers) else Numbers.of(x, self.machine).values

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any) -> "Numbers":
        operands, machine, name = [self._values(x) for x in inputs], self.machine, ufunc.__name__
        if ufunc is np.matmul:
            return self._new(_products(machine.of_products(), *operands))
        if hasattr(machine, name):
            return self._new(_each(getattr(machine, name), *operands))
        if name == "tanh" and self.is_affine:
            accuracy = machine.arithmetic.accuracy("affine tanh")
        else:
            # Powers of two are as accurate as other exponentials.
            accuracy = machine.arithmetic.accuracy({"exp2": "exp"}.get(name, name))
        return self._new(_each(lambda x: machine.function(name, x, accuracy), *operands))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in MOVES:
            return self._moved(function, *args, **kwargs)
        own = getattr(self, "_" + function.__name__, None)
        return own(*args, **kwargs) if own else self._named(function, *args)

    def _moved(self, function: Any, what: Any, *where: Any, **kwargs: Any) -> Any:
        if isinstance(what, (list, tuple)):
            what = [self._values(x) for x in what]
        else:
            what = what.values
        result = function(what, *where, **kwargs)
        return [self._new(x) for x in result] if isinstance(result, list) else self._new(result)

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
        a, b, bias = self._values(a), self._values(b), self._values(bias)
        bias = np.broadcast_to(bias, a.shape[:-1] + b.shape[-1:])
        result = self._new(_products(self.machine.of_products(), a, b, bias))
        result.is_affine = True
        return result

    def _accumulate(self, a: Any, b: Any, *terms: Any) -> "Numbers":
        a, b = self._values(a), self._values(b)
        more = [np.broadcast_to(self._values(x), a.shape[:-1] + b.shape[-1:]) for x in terms]
        return self._new(_products(self.machine.of_products(), a, b, *more, in_order=False))

    def _dot(self, a: Any, b: Any) -> "Numbers":
        products = self.machine.of_products()
        return self._new(_products(products, self._values(a), self._values(b)))

    def _along(
        self,
        operation: Callable[[List[Number]], Number],
        a: "Numbers",
        axis: Optional[int],
        keepdims: bool = False,
    ) -> "Numbers":
        whole = axis is None
        rows = a.values.reshape(-1) if whole else np.moveaxis(a.values, axis, -1)
        result = np.empty(rows.shape[:-1], dtype=object)
        for i in np.ndindex(*result.shape):
            result[i] = operation(list(rows[i]))
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


def _products(
    machine: Machine, a: Any, b: Any, *more: np.ndarray, in_order: bool = True
) -> np.ndarray:
    """``a @ b``, and more: as an affine map has its bias, or anywhere in each sum."""
    a, b = _each(machine.factor, a), _each(machine.factor, b)
    result = np.empty(a.shape[:-1] + b.shape[-1:], dtype=object)
    for i in np.ndindex(*result.shape):
        terms = list(zip(a[i[:-1]], b[:, i[-1]]))
        added = [each[i] for each in more]
        if not in_order:
            result[i] = machine.accumulate(terms, added)
        elif more:
            result[i] = machine.affine(terms, *added)
        else:
            result[i] = machine.total(terms)
    return result


def _as_fraction(x: Number) -> Number:
    return Fraction(x) if is_finite(x) else NAN
