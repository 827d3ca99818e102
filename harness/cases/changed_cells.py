"""Cases of an oracle whose cells are others."""

from dataclasses import replace
from functools import lru_cache
from typing import Any, Callable, Mapping, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.judging.tracked import mapped
from rnndiff.models.cells.cell import flat, like
from rnndiff.models.cells.kinds import Kind

# Of a cell and the config, it changes the cell.
Change = Callable[[Any, Any], None]


def with_cells(case: Case, changes: Tuple[Change, ...]) -> Case:
    """The case with cells that are changed."""
    Config: Any = type(case.config)
    config = _with_changes(Config, changes)(**vars(case.config))
    return replace(case, config=config)


@lru_cache(maxsize=None)
def _with_changes(Config: Any, changes: Tuple[Change, ...]) -> Any:
    """The class of the same configs with a kind that makes changed cells."""

    class Changed(Kind):
        def cell(self, config: Any, noise: Sequence[Any] = ()) -> Any:
            cell = super().cell(config, noise)
            for change in changes:
                change(cell, config)
            return cell

    return type(Config.__name__, (Config,), {"kind": Changed(*Config.kind)})


def by_kernels(kernels: Mapping[Any, Callable[..., Any]]) -> Change:
    """A change of cells that computes some operations by others: NumPy's, and named functions.

    Parameters
    ----------
    kernels : mapping of function to function
        What stands for an operation; the others stay as they are.
    """

    def change(cell: Any, config: Any) -> None:
        cell.__class__ = _by_kernels(type(cell), kernels)

    return change


def _by_kernels(Cell: Any, kernels: Mapping[Any, Callable[..., Any]]) -> Any:
    def wrapped(array: Any) -> Any:
        # What is known when a graph is made, such as a state of zeros, is NumPy's.
        return array if isinstance(array, np.ndarray) else _OfKernels(array, kernels)

    class Changed(Cell):
        def load(self, parameters: Sequence[Any]) -> Any:
            return super().load([wrapped(x) for x in parameters])

        def __call__(self, inputs: Any, state: Any) -> Any:
            state = like(state, map(wrapped, flat(state)))
            output, state = super().__call__(wrapped(inputs), state)
            return _unwrapped(output), like(state, map(_unwrapped, flat(state)))

    return Changed


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
