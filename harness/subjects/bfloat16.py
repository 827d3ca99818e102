"""The oracle itself, computed by NumPy in bfloat16: in float32, each result rounded."""

from typing import Any, Callable, Dict, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.numerics.precisions import BFLOAT16, precision_of
from rnndiff.harness.subjects.float32 import Float32

# Half an ULP, and 4 of float32.
_FUNCTIONS = dict.fromkeys(["tanh", "exp", "log"], Accuracy(1.0, 0.0))


class BFloat16(Float32):
    """The oracle in bfloat16, with bounds of bfloat16: a right port of every model.

    It reads the numbers of a case rounded to bfloat16. Products and sums are added up in float32
    by NumPy, and rounded once.
    """

    precision = BFLOAT16

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """As the oracle, in float32 arrays of its numbers and of integers."""
        case = case.of_precision(self.precision)
        arrays = {name: _as_rounded(array) for name, array in case.arrays.items()}
        parameters = [arrays[field.name] for field in case.model.parameters(case.config)]
        data = case.model.arguments(case.config, arrays)
        with np.errstate(all="ignore"):
            trace = case.model.compute(case.config, parameters, *data)
            return {name: _plain(_as_rounded(_plain(x))) for name, x in trace.items()}

    def arithmetic(self, case: Case) -> Arithmetic:
        """That of bfloat16, with functions as accurate as NumPy's in float32, rounded."""
        return arithmetic(self.precision, _FUNCTIONS)


class Rounded(np.lib.mixins.NDArrayOperatorsMixin):
    """Numbers of bfloat16, as an array of float32: what is computed of them is rounded to such."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = precision_of(BFLOAT16).rounded(numbers)

    @property
    def shape(self) -> Tuple[int, ...]:
        """As of any array."""
        return tuple(self.numbers.shape)

    @property
    def ndim(self) -> int:
        """As of any array."""
        return int(self.numbers.ndim)

    @property
    def dtype(self) -> Any:
        """The type that holds the numbers."""
        return self.numbers.dtype

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> "Rounded":
        return Rounded(self.numbers[index])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _as_rounded(getattr(ufunc, method)(*map(_plain, inputs), **kwargs))

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        # What has a name is made of NumPy's functions, of which each is rounded.
        if hasattr(function, "__module__") and function.__module__.startswith("rnndiff"):
            return function.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]
        result = function(*map(_plain, args), **{name: _plain(x) for name, x in kwargs.items()})
        return list(map(_as_rounded, result)) if isinstance(result, list) else _as_rounded(result)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    return value.numbers if isinstance(value, Rounded) else value


def _as_rounded(value: Any) -> Any:
    """Numbers, rounded; what is whole or true, as it is."""
    array = np.asarray(value)
    return Rounded(array) if array.dtype.kind == "f" else array
