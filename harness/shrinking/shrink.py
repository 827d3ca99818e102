"""Shrink a failing case to a normal form: few rows, steps and units, and zeros and ones.

Works on cases alone, wherever they come from: a fuzzer, a file, a user's trained weights. Passes go
down in an order of cases until nothing simpler fails. They would end in many places, depending on
where they start; so they start, if they can, from a small case that is the same for everybody.
"""

import math
import time
from dataclasses import asdict, fields, replace
from itertools import islice
from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.draws import is_one_hot
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.shrinking.simplicity import (
    SIMPLE,
    fingerprint,
    numbers_of,
    simpler,
    simpler_than,
)
from rnndiff.harness.shrinking.smallest import random_cases, smallest
from rnndiff.models.layout import is_optional, sizes_in

_ZERO = -1
# Of numbers in which a mistake shows that does not in simple ones: in an epsilon, say.
_SMALL = 1e-3


class Shrinker:
    """Takes a failing case to a simpler one that fails in the same way.

    Parameters
    ----------
    case : Case
        One that fails.
    fails : function of a Case
        Whether another case fails in the same way.
    evaluations : int
        How often `fails` may be called.
    restriction : Restriction
        What the simpler cases may be.
    seconds : float
        How long shrinking may take.

    Attributes
    ----------
    case : Case
        What has become of it so far; it fails, however early shrinking is stopped.
    used : int
        How often `fails` was called.
    """

    def __init__(
        self,
        case: Case,
        fails: Callable[[Case], bool],
        evaluations: int = 500,
        restriction: Restriction = ANY,
        seconds: float = math.inf,
    ) -> None:
        self.case = case
        self.used = 0
        self._fails = fails
        self._evaluations = evaluations
        self._restriction = restriction
        self._until = time.monotonic() + seconds
        self._known: Dict[bytes, bool] = {}

    def run(self) -> Case:
        """Shrink until no pass finds anything simpler, or the evaluations are used up."""
        given = self.case
        try:
            self._run(given)
        finally:
            # Stopped early, it may be on its way from a small case that is not yet simpler.
            if simpler(given, self.case):
                self.case = given
        return self.case

    def _run(self, given: Case) -> None:
        smallest_ones = smallest(given.model, given.precision, self._restriction)
        if not self._try(islice(smallest_ones, self._evaluations // 2)):
            # A new size needs a new graph, new numbers do not: settle the sizes first.
            self._repeat(self._sizes)
            self._try(_random_cases(given, self.case.config))
        passes = self._blocks, self._sizes, self._numbers, self._places, self._others
        self._repeat(*passes)
        if simpler(given, self.case):
            self.case = given
            self._repeat(*passes)

    def _repeat(self, *passes: Callable[[], Iterator[Iterable[Case]]]) -> None:
        """Make these passes in turn until none of them gains anything."""
        gained = True
        while gained:
            gained = False
            for candidates in (candidates for sweep in passes for candidates in sweep()):
                if self._is_over():
                    return
                gained = self._descend(candidates) or gained

    def _descend(self, candidates: Iterable[Case]) -> bool:
        """Go over to the first candidate that is simpler and fails, if there is one."""
        case = self.case
        return self._try(candidate for candidate in candidates if simpler(candidate, case))

    def _try(self, candidates: Iterable[Case]) -> bool:
        """Go over to the first candidate that fails, if there is one."""
        for candidate in candidates:
            if not self._restriction.allows(candidate.config):
                continue
            key = fingerprint(candidate)
            if key not in self._known:
                if self._is_over():
                    return False
                self.used += 1
                self._known[key] = self._fails(candidate)
            if self._known[key]:
                self.case = candidate
                return True
        return False

    def _is_over(self) -> bool:
        return self.used >= self._evaluations or time.monotonic() >= self._until

    def _sizes(self) -> Iterator[Iterable[Case]]:
        """Each size less."""
        for name in asdict(self.case.config):
            yield _smaller(self.case, name)

    def _blocks(self) -> Iterator[Iterable[Case]]:
        """Whole arrays zero, then rows and columns of them."""
        for name, array in _free(self.case):
            yield [_with(self.case, name, ..., 0.0)]
            for axis, size in enumerate(array.shape):
                for place in range(size if array.ndim > 1 else 0):
                    yield [_with(self.case, name, (slice(None),) * axis + (place,), 0.0)]

    def _numbers(self) -> Iterator[Iterable[Case]]:
        """Each number as simple as it gets by itself, then all that are equal together."""
        for name, array in _free(self.case):
            for index in np.ndindex(*array.shape):
                yield (_with(self.case, name, index, x) for x in simpler_than(array[index]))
        for name, most in _lengths(self.case):
            for index in np.ndindex(*self.case.arrays[name].shape):
                yield (_with(self.case, name, index, x) for x in reversed(range(most + 1)))
        labels = self.case.labels
        for row in map(tuple, np.argwhere(~is_one_hot(labels))):
            for place in range(labels.shape[-1]):
                index = row + (place,)
                yield (_with(self.case, "labels", index, x) for x in simpler_than(labels[index]))
        for value in np.unique(numbers_of(self.case)):
            yield (_with_instead(self.case, value, x) for x in simpler_than(value))

    def _places(self) -> Iterator[Iterable[Case]]:
        """Rows, steps, inputs, units, classes in another order, and numbers in other places."""
        labels = self.case.labels
        for index in np.ndindex(*labels.shape[:-1]):
            yield [_with(self.case, "labels", index, np.eye(labels.shape[-1])[0])]
        for name in asdict(self.case.config):
            yield _swapped(self.case, name)
        for name, _ in _free(self.case):
            yield _moved(self.case, name)

    def _others(self) -> Iterator[Iterable[Case]]:
        """Each size less by one, or option at its default, with other numbers."""
        known = sizes_in(self.case.config)
        for field in fields(self.case.config):
            value, less = getattr(self.case.config, field.name), field.default
            if field.name in known:
                less = value - 1 if (value or 0) > 1 else value
            if less != value:
                config = replace(self.case.config, **{field.name: less})
                yield _random_cases(self.case, config)
                if field.name in known and not np.isin(numbers_of(self.case), SIMPLE).all():
                    yield _random_cases(self.case, config, _SMALL)


def _free(case: Case) -> List[Tuple[str, np.ndarray]]:
    """The arrays in which any numbers may stand."""
    found = case.model.fields(case.config)
    return [(field.name, case.arrays[field.name]) for field in found if field.is_free]


def _lengths(case: Case) -> List[Tuple[str, int]]:
    """The arrays of whole numbers, and the largest that each may have."""
    sizes = case.config.sizes()
    found = case.model.fields(case.config)
    return [(field.name, sizes[field.counts]) for field in found if field.counts]


def _smaller(case: Case, name: str) -> Iterator[Case]:
    """The case with this size less: 1, 1/2, 3/4, 7/8 of it, ..., or any one place out.

    1 is less than 0.
    """
    size = getattr(case.config, name)
    if name not in sizes_in(case.config):
        yield from _with_default(case, name)
        return
    if size is None:
        return
    if size == 0:
        yield from _keep(case, name, [_ZERO])
    # Small sizes go down one by one, large ones by halves of halves.
    parts = {size - (size >> k) for k in range(2, size.bit_length() - 1)}
    for kept in sorted({1, size // 2} | parts):
        if 1 <= kept < size:
            yield from _keep(case, name, list(range(kept)))
            yield from _keep(case, name, list(range(size - kept, size)))
    if size > 2:
        for gone in reversed(range(size)):
            yield from _keep(case, name, [i for i in range(size) if i != gone])
    if is_optional(case.config, name):
        yield from _with_default(case, name)


def _swapped(case: Case, name: str) -> Iterator[Case]:
    """The case with two neighbours in each other's place along every axis of the size `name`."""
    size = getattr(case.config, name) if name in sizes_in(case.config) else 0
    for i in range((size or 0) - 1):
        yield from _keep(case, name, [*range(i), i + 1, i, *range(i + 2, size)])


def _moved(case: Case, name: str) -> Iterator[Case]:
    """The case with one number of this array in the place of an earlier 0."""
    array = case.arrays[name]
    zeros = [tuple(place) for place in np.argwhere(array == 0)]
    for source in map(tuple, np.argwhere(array)):
        for target in zeros:
            if target > source:
                break
            yield _with(_with(case, name, target, array[source]), name, source, 0.0)


def _with_default(case: Case, name: str) -> Iterator[Case]:
    """The case with the default of this field of the config, if its arrays fit that.

    Those that are not there by default are left out.
    """
    default = next(field.default for field in fields(case.config) if field.name == name)
    config = replace(case.config, **{name: default})
    there = {field.name for field in case.model.fields(config)}
    arrays = {key: array for key, array in case.arrays.items() if key in there}
    try:
        yield replace(case, config=config, arrays=arrays)
    except ValueError:
        return


def _keep(case: Case, name: str, places: List[int]) -> Iterator[Case]:
    """The case with just these places, in this order, along every axis of the size `name`.

    The place _ZERO is a new one, of zeros.
    """
    config = replace(case.config, **{name: len(places)})
    before, after = case.config.sizes(), config.sizes()
    arrays: Dict[str, np.ndarray] = {}
    for field in case.model.fields(config):
        array = np.pad(case.arrays[field.name], [(0, 1)] * len(field.axes), mode="constant")
        for axis, parts in enumerate(field.axes):
            kept, start = [], 0
            for part in parts:
                # A size that follows another by default shrinks with it.
                mine = places if part == name else list(range(after[part]))
                if before[part] != after[part] and part != name:
                    mine = places
                kept.extend(_ZERO if place == _ZERO else start + place for place in mine)
                start += before[part]
            array = np.take(array, kept if parts else [0], axis=axis)
        if field.counts and before[field.counts] != after[field.counts]:
            # A row keeps those of its steps that are kept.
            is_in = np.array(places) < array[..., None]
            array = np.sum(is_in, axis=-1, dtype=field.dtype)
        arrays[field.name] = array
    for changed in _labelled(case, arrays):
        try:
            yield replace(case, config=config, arrays=changed)
        except ValueError:
            return


def _labelled(case: Case, arrays: Dict[str, np.ndarray]) -> Iterator[Dict[str, np.ndarray]]:
    """What is left of the arrays of a case: with labels that are whole again, then as it is."""
    if "labels" in arrays:
        yield dict(arrays, labels=_one_hot_again(arrays["labels"]))
    if "labels" not in arrays or not case.labels.any(axis=-1).all():
        yield arrays


def _one_hot_again(labels: np.ndarray) -> np.ndarray:
    """A row of zeros, such as one whose one was cut off, gets a one in the first place."""
    labels = labels.copy()
    empty = ~labels.any(axis=-1)
    labels[empty, 0] = 1
    return labels


def _random_cases(case: Case, config: Any, scale: float = 1.0) -> Iterator[Case]:
    """Those of another config, of the precision of the case."""
    return random_cases(case.model, config, scale, case.precision)


def _with(case: Case, name: str, index: Any, value: Any) -> Case:
    array = case.arrays[name].copy()
    array[index] = value
    return replace(case, arrays=dict(case.arrays, **{name: array}))


def _with_instead(case: Case, value: float, other: float) -> Case:
    """The case with all numbers of this value replaced."""
    changed = {
        name: np.where(array == value, array.dtype.type(other), array)
        for name, array in _free(case)
    }
    return replace(case, arrays=dict(case.arrays, **changed))
