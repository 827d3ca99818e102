"""What stands in for an oracle's functions, by which an entry says what a subject has instead.

An entry of :mod:`rnndiff.harness.judging.excuses` that knows how a subject computes its cells runs
the oracle with functions that do so, on what the subject recorded.
"""

from typing import Any, Callable, Mapping, Optional, Sequence

import numpy as np

from rnndiff.harness.cases.case import PRECISIONS, Case
from rnndiff.harness.cases.changed_cells import Change, mix_in
from rnndiff.harness.judging.excuses import Trace
from rnndiff.harness.judging.tracked import mapped
from rnndiff.harness.judging.verdict import ArrayVerdict, judge
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.numerics.balls import BoundedArray
from rnndiff.models.cells.cell import flat, like

# What follows from a divergence is rounded, and its functions are as inaccurate as any engine's.
_ARITHMETICS = {precision: arithmetic(precision) for precision in PRECISIONS}


def arithmetic_of(array: ArrayVerdict) -> Arithmetic:
    """That in which an array was computed."""
    return _ARITHMETICS[array.precision]


def expected_of(
    case: Case, trace: Trace, array: ArrayVerdict, stated: Optional[Arithmetic] = None
) -> ArrayVerdict:
    """What is expected of an array in another case, of what was recorded.

    By default its functions may be as inaccurate as any engine's.
    """
    verdict = judge(case, trace, stated or arithmetic_of(array))
    return next(x for x in verdict.arrays if (x.run, x.name) == (array.run, array.name))


def _everywhere(numbers: np.ndarray) -> bool:
    return True


def with_number(
    number: float,
    function: Callable[[Any], Any],
    places: Callable[[np.ndarray], Any] = _everywhere,
    of: Callable[[np.ndarray], Any] = np.isnan,
) -> Callable[[Any], Any]:
    """`function`, but that it makes this number of NaN, or what is meant, in some of the places."""

    def of_balls(x: BoundedArray) -> BoundedArray:
        return replaced(function(x), of(x.mid) & places(x.mid), number)

    return stand_in(function, of_balls)


def replaced(balls: BoundedArray, where: np.ndarray, number: Any) -> BoundedArray:
    """The same with just this number, or one of these, in some places."""
    mid, rad = np.where(where, number, balls.mid), np.where(where, 0.0, balls.rad)
    return BoundedArray(mid, rad, balls.arithmetic, stacked=balls.stacked)


def stand_in(function: Callable[..., Any], of_balls: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, but something else of bounded arrays."""

    def changed(*args: Any) -> Any:
        if any(isinstance(x, BoundedArray) for x in args):
            return of_balls(*args)
        for x in args:
            # One operation of an oracle that is run on arrays which tell of it.
            if hasattr(x, "__array_function__") and not isinstance(x, np.ndarray):
                return x.__array_function__(changed, (type(x),), args, {})
        return function(*args)

    return changed


def by_kernels(kernels: Mapping[Any, Callable[..., Any]]) -> Change:
    """A change of cells that computes some operations by others: NumPy's, and named functions.

    Parameters
    ----------
    kernels : mapping of function to function
        What stands for an operation; the others stay as they are. Of two changes the second one's.
    """

    def change(cell: Any, config: Any) -> None:
        # It may have been changed before.
        cell.kernels = {**getattr(cell, "kernels", {}), **kernels}
        mix_in(cell, _ByKernels)

    return change


class _ByKernels:
    """A cell whose operations are those of a table, if it has them."""

    kernels: Mapping[Any, Callable[..., Any]] = {}

    def load(self, parameters: Sequence[Any]) -> Any:
        cell: Any = super()
        return cell.load([self._wrapped(x) for x in parameters])

    def __call__(self, inputs: Any, state: Any) -> Any:
        cell: Any = super()
        state = like(state, map(self._wrapped, flat(state)))
        output, state = cell.__call__(self._wrapped(inputs), state)
        return _unwrapped(output), like(state, map(_unwrapped, flat(state)))

    def _wrapped(self, array: Any) -> Any:
        # What is known when a graph is made, such as a state of zeros, is NumPy's.
        return array if isinstance(array, np.ndarray) else _OfKernels(array, self.kernels)


class _OfKernels(np.lib.mixins.NDArrayOperatorsMixin):
    """An array whose operations are those of a table, if it has them."""

    def __init__(self, array: Any, kernels: Mapping[Any, Callable[..., Any]]) -> None:
        self.array, self.kernels = array, kernels
        self.shape, self.ndim = array.shape, array.ndim

    def __len__(self) -> int:
        return len(self.array)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._made(ufunc if method == "__call__" else getattr(ufunc, method), args, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self._made(function, args, kwargs)

    def _made(self, function: Any, args: Any, kwargs: Any) -> Any:
        args = mapped(args, _OfKernels, _unwrapped)
        made = self.kernels.get(function, function)(*args, **kwargs)
        if isinstance(made, (list, tuple)):
            return [_OfKernels(x, self.kernels) for x in made]
        return _OfKernels(made, self.kernels)


def _unwrapped(array: Any) -> Any:
    return array.array if isinstance(array, _OfKernels) else array
