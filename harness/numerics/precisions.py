"""Precisions: which numbers there are in one, and how NumPy holds them.

NumPy has no bfloat16. What stands in for it comes with TensorFlow, JAX or ``ml_dtypes``, in each
version another type, of which NumPy neither knows the limits nor writes a file that can be read
without them. So numbers of bfloat16 are held as numbers of float32, of which they are a subset: the
first 16 of 32 bits.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

BFLOAT16 = "bfloat16"


class Precision(NamedTuple):
    """A binary floating-point format.

    ``dtype`` is the type of the arrays that hold its numbers, ``bits`` those of its significands,
    the leading one included, ``width`` those of a number. ``eps``, ``smallest`` and ``largest`` are
    NumPy's ``eps``, ``tiny`` and ``max``.
    """

    name: str
    dtype: Any
    bits: int
    width: int
    eps: float
    smallest: float
    largest: float

    @property
    def is_own_type(self) -> bool:
        """Whether all numbers of the type that holds its numbers are such."""
        return self.width == 8 * int(self.dtype.itemsize)

    def rounded(self, numbers: Any) -> np.ndarray:
        """The nearest numbers that it has, ties to even; what is too large is infinite."""
        with np.errstate(all="ignore"):
            if self.is_own_type:
                return np.asarray(numbers).astype(self.dtype)
            wide = np.asarray(numbers, np.float64)
            exponent = np.abs(wide).view(np.int64) & (0x7FF << 52)
            quantum = np.maximum(exponent.view(np.float64), self.smallest) * self.eps
            # Of NaN one that has its bits among those that are kept.
            near = np.where(np.isinf(wide), wide, np.rint(wide / quantum) * quantum)
            beyond = np.abs(near) > self.largest
            near = np.where(beyond, np.copysign(np.inf, near), near)
            return np.where(near != near, np.nan, near).astype(self.dtype)

    def has(self, numbers: np.ndarray) -> bool:
        """Whether an array, of the type that holds its numbers, has no others."""
        return self.is_own_type or bool(
            np.all((self.rounded(numbers) == numbers) | (numbers != numbers))
        )

    def patterns(self, numbers: np.ndarray) -> np.ndarray:
        """The bits of its numbers, as whole numbers."""
        held = np.ascontiguousarray(numbers, self.dtype)
        whole = held.view("u{}".format(held.itemsize)).astype(np.uint64)
        return whole >> np.uint64(8 * held.itemsize - self.width)

    def numbers(self, patterns: np.ndarray) -> np.ndarray:
        """The numbers with these bits."""
        size = int(self.dtype.itemsize)
        whole = patterns.astype(np.uint64) << np.uint64(8 * size - self.width)
        return whole.astype("u{}".format(size)).view(self.dtype)

    def next_to(self, number: float, towards: float) -> float:
        """The number after one of its own, on the way to another."""
        if number == 0 or towards == number:
            return math.copysign(self.smallest * self.eps, towards) if towards != number else number
        step = 1 if abs(towards) > abs(number) and (towards > 0) == (number > 0) else -1
        pattern = int(self.patterns(np.array([number]))[0]) + step
        return float(self.numbers(np.array([pattern], np.uint64))[0])


@lru_cache(maxsize=None)
def precision_of(name: Any) -> Precision:
    """The precision of a name, such as "bfloat16", or of a type that NumPy has."""
    # NumPy 1.18 compares a type with no name that it does not know.
    if isinstance(name, str) and name == BFLOAT16:
        limits = np.finfo(np.float32)
        largest = float(limits.max) * (2 - 2.0**-7) / (2 - 2.0**-23)
        return Precision(BFLOAT16, limits.dtype, 8, 16, 2.0**-7, float(limits.tiny), largest)
    limits = np.finfo(name)
    return Precision(
        limits.dtype.name,
        limits.dtype,
        limits.nmant + 1,
        8 * limits.dtype.itemsize,
        float(limits.eps),
        float(limits.tiny),
        float(limits.max),
    )


def held(array: Any) -> np.ndarray:
    """An array as it is held here: of a bfloat16 that is no type of NumPy's own, in float32."""
    array = np.asarray(array)
    # To NumPy it is of no known kind.
    is_other = array.dtype.kind == "V" and array.dtype.name == BFLOAT16
    return array.astype(np.float32) if is_other else array
