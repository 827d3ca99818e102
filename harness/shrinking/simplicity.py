"""The order in which a case, or a number, is simpler than another."""

import hashlib
from dataclasses import MISSING, fields
from typing import Any, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.draws import is_one_hot

# The simplest first; the last ones saturate whatever they go through.
SIMPLE = (0.0, 1.0, -1.0, 0.5, 2.0, -0.5, -2.0, 100.0, -100.0)


def simpler(case: Case, than: Case) -> bool:
    """Whether one case comes before another in the order in which shrinking goes down.

    First come few sizes of 0 (a network without rows, inputs or units is of another kind), then
    small sizes, defaults, few labels that are not one-hot, few numbers that are not 0. Of two cases
    that have all this in common, the first number in which they differ decides: one that is not 0
    is best in an early place.
    """
    sizes, others = _sizes_of(case), _sizes_of(than)
    if sizes != others:
        return sizes < others
    soft, softer = (np.count_nonzero(~is_one_hot(each.labels)) for each in (case, than))
    if soft != softer:
        return bool(soft < softer)
    numbers, other = numbers_of(case), numbers_of(than)
    whole = "i{}".format(numbers.itemsize)
    bits, other_bits = numbers.view(whole), other.view(whole)
    filled, fuller = np.count_nonzero(bits), np.count_nonzero(other_bits)
    if filled != fuller:
        return bool(filled < fuller)
    different = np.flatnonzero(bits != other_bits)
    return bool(len(different)) and _rank(numbers[different[0]]) < _rank(other[different[0]])


def fingerprint(case: Case) -> bytes:
    """The same for two cases just if config and arrays are the same, bit for bit."""
    return hashlib.sha256(repr(case).encode() + numbers_of(case).tobytes()).digest()


def numbers_of(case: Case) -> np.ndarray:
    """All numbers of a case, its labels too, one after the other; of lengths what they lack."""
    sizes, kind = case.config.sizes(), case.inputs.dtype.type
    found = []
    for field in case.model.fields(case.config):
        array = case.arrays[field.name].ravel()
        found.append(kind(sizes[field.counts] - array) if field.counts else array)
    return np.concatenate(found)


def _sizes_of(case: Case) -> Tuple[Any, ...]:
    sizes = tuple(case.config.sizes().values())
    others = tuple(
        getattr(case.config, field.name) != field.default
        for field in fields(case.config)
        if field.default is not MISSING
    )
    return sizes.count(0), sum(sizes), sizes, others


def _rank(value: Any) -> Tuple[float, ...]:
    """The simple numbers, then whole ones, ones with a decimal, others, the special ones, 0."""
    if value == 0:
        return (5,) if not np.signbit(value) else (4, -1)
    if value in SIMPLE:
        return 0, SIMPLE.index(value)
    if not np.isfinite(value):
        return 4, np.isnan(value), value < 0
    kind = 3 - sum(value == _rounded(value, decimals) for decimals in (0, 1))
    return kind, abs(value), value < 0


def simpler_than(value: Any) -> Tuple[float, ...]:
    """Values to try instead, the simplest first."""
    if value == 0:
        return (0.0,) if np.signbit(value) else ()
    rounded = tuple(_rounded(value, decimals) for decimals in (0, 1) if np.isfinite(value))
    return tuple(x for x in SIMPLE + rounded if x == 0 or _rank(x) < _rank(value))


def _rounded(value: Any, decimals: int) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.asarray(value).dtype.type(np.round(value, decimals)))
