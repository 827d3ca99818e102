"""Arrays that tell their run of every operation on them: on what the oracle is run to be followed.

A run has ``move(function, args, kwargs)`` for what merely moves numbers, ``make(function, args,
kwargs)`` for every other operation, and ``values(array)`` for an arg max that is an index.
"""

from operator import attrgetter
from typing import Any, Callable, List, Mapping, Tuple

import numpy as np

from rnndiff.harness.errors import OracleError
from rnndiff.harness.numerics.moves import MOVES

VALUES = (
    "the oracle asks for the values of an array ({}), on which its operations must not depend: "
    "use np.where, np.minimum, np.clip and the like"
)


class TrackedArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that tells its run of every operation on it."""

    def __init__(self, run: Any, held: Any, ids: Any = None, slot: int = -1) -> None:
        self.run, self.held, self.ids, self.slot = run, held, ids, slot

    @property
    def shape(self) -> Tuple[int, ...]:
        """As of what is held."""
        return self.held.shape

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self.held.ndim

    @property
    def size(self) -> int:
        """How many elements there are."""
        return int(np.prod(self.shape))

    @property
    def dtype(self) -> Any:
        """As of what is held."""
        return self.held.dtype

    @property
    def T(self) -> "TrackedArray":
        """The transpose."""
        return np.transpose(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a number has no length")
        return self.shape[0]

    def __getitem__(self, index: Any) -> "TrackedArray":
        if isinstance(index, TrackedArray):
            raise OracleError(VALUES.format("an index"))
        return self.run.move(element, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        raise OracleError("the oracle changes an array in place: make a new one instead")

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> "TrackedArray":
        if method != "__call__":
            raise OracleError("no bound is known for {}.{}".format(ufunc.__name__, method))
        if "out" in kwargs:
            raise OracleError("the oracle changes an array in place: make a new one instead")
        return self.run.make(ufunc, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return (self.run.move if function in MOVES else self.run.make)(function, args, kwargs)

    def __bool__(self) -> bool:
        raise OracleError(VALUES.format("true or false"))

    def __float__(self) -> float:
        raise OracleError(VALUES.format("float"))

    def __int__(self) -> int:
        raise OracleError(VALUES.format("int"))

    __index__ = __int__

    def reshape(self, *shape: Any) -> "TrackedArray":
        """As of NumPy's arrays."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> "TrackedArray":
        """As of NumPy's arrays."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def sum(self, axis: Any = None, keepdims: bool = False) -> "TrackedArray":
        """As of NumPy's arrays."""
        return np.sum(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> "TrackedArray":
        """As of NumPy's arrays."""
        return np.max(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None) -> "TrackedArray":
        """As of NumPy's arrays."""
        return np.mean(self, axis=axis)

    def argmax(self, axis: Any = None) -> "TrackedArray":
        """As of NumPy's arrays."""
        return np.argmax(self, axis=axis)

    def dot(self, other: Any) -> "TrackedArray":
        """As of NumPy's arrays."""
        return np.dot(self, other)


class Choice(TrackedArray):
    """What an arg max makes, which alone may be an index."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.run.values(self)

    def __len__(self) -> int:
        # Before 1.23, NumPy takes an index that has a length for a tuple of indexes.
        raise TypeError("an arg max has no length: use its shape")


def element(array: Any, index: Any) -> Any:
    """Of an array what an index takes, as a function of both."""
    return array[index]


def mapped(args: Any, kind: Any, function: Callable[[Any], Any]) -> List[Any]:
    """The arguments with what `function` makes of those of a kind, in lists and tuples too."""
    return [
        function(x)
        if isinstance(x, kind)
        else type(x)(mapped(x, kind, function))
        if type(x) in (list, tuple)
        else x
        for x in args
    ]


def mapped_by_name(
    kwargs: Mapping[str, Any], kind: Any, function: Callable[[Any], Any]
) -> Mapping[str, Any]:
    """The same of arguments that are passed by name."""
    return dict(zip(kwargs, mapped(kwargs.values(), kind, function))) if kwargs else kwargs


def held_in(args: Any, kwargs: Mapping[str, Any]) -> Tuple[List[Any], Mapping[str, Any]]:
    """The arguments, by place and by name, with what tracked arrays hold in their places."""
    held = attrgetter("held")
    return mapped(args, TrackedArray, held), mapped_by_name(kwargs, TrackedArray, held)
