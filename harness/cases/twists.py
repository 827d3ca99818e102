"""Twists: what is done to the numbers of some cases, to bring them to where engines differ.

A twist makes of any case another one with the same config. What it takes for a number depends on
that case alone, so none of it needs to be drawn.
"""

import zlib
from dataclasses import replace
from functools import lru_cache
from typing import Callable, Dict, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.numerics.precisions import precision_of

# Where Eigen's and XLA's functions of float32 change branches, beside what follows from the
# precision: tanh is clamped at one of the first three, and taken for x below 0.0004; exp is clamped
# at 88.376, the sigmoid at 9 and 18; that of Cephes changes at 0.625.
_OF_FLOAT32 = (7.90531110763549805, 7.99881172180175781, 9.0, 4e-4, 88.3762626647950, 18.0, 0.625)
# Where Keras' hard sigmoid bends, and beyond which XLA takes tanh for 1.
_OF_ALL = (2.5, 20.0)


@lru_cache(maxsize=None)
def branches_of(precision: str) -> np.ndarray:
    """The numbers of a precision at which functions change branches, and their neighbours."""
    known = precision_of(precision)
    tiny, eps = known.smallest, known.eps
    found = [
        # exp overflows; its result is subnormal; is 0.
        np.log(known.largest),
        np.log(tiny),
        np.log(tiny) + np.log(eps / 2),
        # The sigmoid rounds to 1, and tanh.
        -np.log(eps / 2),
        np.arctanh(1 - eps / 2),
        # The square is the reciprocal of the smallest normal number, where rsqrt's is flushed.
        tiny**-0.5,
        *_OF_ALL,
        *(_OF_FLOAT32 if precision == "float32" else ()),
    ]
    at = known.rounded(found)
    inner, outer = (
        known.rounded([known.next_to(float(x), towards * float(x)) for x in at])
        for towards in (0.0, 2.0)
    )
    near = np.concatenate([at, inner, outer])
    branches = np.concatenate([near, -near])
    branches.flags.writeable = False
    return branches


def apply_twist(case: Case, twist: str) -> Case:
    """The case with a twist, one of :data:`TWISTS`; with "" the case itself."""
    if not twist:
        return case
    salt, parameters = _salt(case), {field.name for field in case.model.parameters(case.config)}
    arrays = dict(case.arrays)
    for number, field in enumerate(case.model.fields(case.config)):
        array = arrays[field.name]
        if field.is_free and not field.is_noise and array.size:
            is_matrix = field.name in parameters and array.ndim > 1 and "bias" not in field.name
            if is_matrix or field.name in parameters or twist != DUPLICATES:
                twist_it = _TWISTS[twist]
                arrays[field.name] = twist_it(array, is_matrix, salt + 37 * number, case.precision)
    return replace(case, arrays=arrays)


def twist_of(case: Case) -> str:
    """The twist that the numbers of a case choose themselves: for 13 of 16 cases none."""
    return EVERY[_salt(case) % len(EVERY)]


def _salt(case: Case) -> int:
    salt = 0
    for array in case.arrays.values():
        salt = zlib.crc32(np.ascontiguousarray(array), salt) if array.size else salt
    return salt


def _at_branches(array: np.ndarray, is_matrix: bool, salt: int, precision: str) -> np.ndarray:
    """Biases and data where functions change branches; in half of the cases without weights.

    Then they are what functions are computed of.
    """
    if is_matrix:
        return np.zeros_like(array) if salt // 16 % 2 else array
    branches = branches_of(precision)
    places = (np.arange(array.size) * 29 + salt) % len(branches)
    return branches[places].reshape(array.shape)


def _with_duplicates(array: np.ndarray, is_matrix: bool, salt: int, precision: str) -> np.ndarray:
    """Every second column the same as the one before: a tie, unless sums differ by column."""
    array = array.copy()
    array[..., 1::2] = array[..., : array.shape[-1] // 2 * 2 : 2]
    return array


# Shares of the largest number, of which some overflow when they are added, and not the others.
_SHARES = (0.75, 0.5, 1.0, 0.25)


def _overflowing(array: np.ndarray, is_matrix: bool, salt: int, precision: str) -> np.ndarray:
    """Biases and data of which a sum overflows in one order, and weights of 0, 1 and -1."""
    signs = np.sign(array)
    if is_matrix:
        return signs
    shares = np.resize(np.roll(_SHARES, salt % len(_SHARES)), array.size).reshape(array.shape)
    known = precision_of(precision)
    return known.rounded(signs * shares * known.largest)


BRANCHES, DUPLICATES, OVERFLOWING = "branches", "duplicates", "overflowing"
_TWISTS: Dict[str, Callable[[np.ndarray, bool, int, str], np.ndarray]] = {
    BRANCHES: _at_branches,
    DUPLICATES: _with_duplicates,
    OVERFLOWING: _overflowing,
}
TWISTS: Tuple[str, ...] = ("", *_TWISTS)
# As often as they are drawn.
EVERY = ("",) * 13 + TWISTS[1:]
