"""Shrink a failing case: fewer rows, steps and units, and numbers that are zeros and ones.

Works on cases alone, wherever they come from: a fuzzer, a file, a user's trained weights. A size is
dropped consistently: taking a unit away takes its row and its column out of every array.
"""

from dataclasses import asdict, replace
from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple

import numpy as np

from harness.case import Case

_OPTIONAL = ("attn_size", "attn_vec_size", "input_size")
_SIMPLER = (0.0, 1.0, -1.0, 0.5, 2.0, -0.5, -2.0)


class Shrinker:
    """Takes a failing case to a smaller one that fails in the same way.

    Parameters
    ----------
    case : Case
        One that fails.
    fails : function of a Case
        Whether another case fails in the same way.
    evaluations : int
        How often `fails` may be called.

    Attributes
    ----------
    case : Case
        The smallest case so far; there is always one, however early shrinking is stopped.
    used : int
        How often `fails` was called.
    """

    def __init__(self, case: Case, fails: Callable[[Case], bool], evaluations: int = 500) -> None:
        self.case = case
        self.used = 0
        self._fails = fails
        self._evaluations = evaluations

    def run(self) -> Case:
        """Shrink until nothing smaller fails, or the evaluations are used up."""
        # A new size needs a new graph, new numbers do not: settle the sizes first, and again once
        # zeros have shown what does not matter.
        for sweep in (self._sizes, self._blocks, self._sizes, self._numbers):
            while sweep() and self.used < self._evaluations:
                pass
        return self.case

    def _try(self, candidates: Iterable[Case]) -> bool:
        """Go over to the first candidate that fails, if there is one."""
        for candidate in candidates:
            if self.used >= self._evaluations:
                return False
            self.used += 1
            if self._fails(candidate):
                self.case = candidate
                return True
        return False

    def _sizes(self) -> bool:
        """Make every size as small as it goes by itself; whether anything was gained."""
        gained = False
        for name in asdict(self.case.config):
            while self._try(_smaller(self.case, name)):
                gained = True
        return gained

    def _blocks(self) -> bool:
        """Make whole arrays, then rows and columns of them, zero; once over is enough."""
        for name, array in self.case.arrays.items():
            if name == "labels" or self._set(name, ..., (0.0,)):
                continue
            for axis, size in enumerate(array.shape):
                for place in range(size):
                    self._set(name, (slice(None),) * axis + (place,), (0.0,))
        return False

    def _numbers(self) -> bool:
        """Make every number as simple as it gets by itself; whether anything was gained."""
        gained = False
        for name, array in self.case.arrays.items():
            if name != "labels":
                for index in np.ndindex(*array.shape):
                    values = _simpler_than(array[index])
                    gained = self._set(name, index, values) or gained
        return gained

    def _set(self, name: str, index: Any, values: Iterable[float]) -> bool:
        array = self.case.arrays[name]
        return self._try(
            _with(self.case, name, _replaced(array, index, value))
            for value in values
            if not np.all(array[index] == value)
        )


def _replaced(array: np.ndarray, index: Any, value: float) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


def _smaller(case: Case, name: str) -> Iterator[Case]:
    """The case with this size less: 1, half of it, or any one place out.

    No size becomes 0: a network without rows, inputs or units is of another kind.
    """
    size = getattr(case.config, name)
    if size is False:
        yield from _with_config(case, **{name: True})
    if not size or size is True:
        return
    for kept in sorted({1, size // 2}):
        if 1 <= kept < size:
            yield from _keep(case, name, list(range(kept)))
            yield from _keep(case, name, list(range(size - kept, size)))
    if size > 2:
        for gone in reversed(range(size)):
            yield from _keep(case, name, [i for i in range(size) if i != gone])
    if name in _OPTIONAL:
        yield from _with_config(case, **{name: None})


def _with_config(case: Case, **changes: Any) -> Iterator[Case]:
    """The case under another config, if its arrays fit that."""
    try:
        yield Case(case.model, replace(case.config, **changes), case.arrays)
    except ValueError:
        return


def _keep(case: Case, name: str, places: List[int]) -> Iterator[Case]:
    """The case with only these places along every axis that belongs to the size `name`."""
    config = replace(case.config, **{name: len(places)})
    before, after = case.config.sizes(), config.sizes()
    arrays: Dict[str, np.ndarray] = {}
    for field in case.model.fields(config):
        array = case.arrays[field.name]
        for axis, parts in enumerate(field.axes):
            kept, start = [], 0
            for part in parts:
                # A size that follows another by default shrinks with it.
                mine = places if part == name else list(range(after[part]))
                if before[part] != after[part] and part != name:
                    mine = places
                kept.extend(start + place for place in mine)
                start += before[part]
            if parts:
                array = np.take(array, kept, axis=axis)
        arrays[field.name] = array
    arrays["labels"] = _one_hot_again(arrays["labels"])
    try:
        yield Case(case.model, config, arrays)
    except ValueError:
        return


def _one_hot_again(labels: np.ndarray) -> np.ndarray:
    """A row whose one was cut off gets it back in the first place."""
    labels = labels.copy()
    empty = ~labels.any(axis=-1)
    labels[empty, 0] = 1
    return labels


def _simpler_than(value: Any) -> Tuple[float, ...]:
    """Values to try instead: 0, 1, -1, ... up to the value itself, then a rounded one."""
    if value in _SIMPLER:
        return _SIMPLER[: _SIMPLER.index(value)]
    if not np.isfinite(value):
        return _SIMPLER
    rounded = tuple(x for x in (np.round(value), np.round(value, 1)) if x != value)
    return _SIMPLER + tuple(float(np.float32(x)) for x in rounded if x not in _SIMPLER)


def _with(case: Case, name: str, array: np.ndarray) -> Case:
    return Case(case.model, case.config, dict(case.arrays, **{name: array}))
