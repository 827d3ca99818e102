"""The fixed set: cases of every model that are the same on every machine, for ever.

``rnndiff record`` computes it in one environment, and what it computed in another is compared with
that. Its numbers are those of SHA-3's SHAKE-256 of a text, so they depend on no generator of
NumPy's, Python's or Hypothesis', and on no other model.
"""

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from rnndiff.harness.cases.another_batch import can_be_open
from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.draws import (
    draw_config_of,
    large_case,
    length_of,
    small_case,
)
from rnndiff.harness.cases.random_cases import model_named
from rnndiff.harness.cases.regimes import REGIMES, SCALES

# To be raised when the set changes: its records can't be compared with those of another.
SET = 1
# The groups of a model, each of one config: small sizes, one size around those at which kernels
# change, sizes up to the article's. All regimes are in each, so many times.
GROUPS = (("small", 2), ("small", 2), ("small", 2), ("small", 2), ("kernel", 1), ("large", 1))
# Of the numbers of a small case, this part is zero: zeros are where structure shows.
_ZEROS = (0.0, 0.0, 0.5, 0.9)


class Group(NamedTuple):
    """Cases of one config: of number `number` of the groups of a model."""

    model: str
    number: int
    cases: List[Case]


class Wanted(NamedTuple):
    """An array for a function: of float32, or with `most` of whole numbers from 0 to that."""

    shape: Tuple[int, ...]
    most: Optional[int] = None


class Stream:
    """Numbers that a text decides: what draws want of a ``numpy.random.RandomState``."""

    def __init__(self, text: str) -> None:
        self._text, self._calls = text, 0

    def bytes(self, count: int) -> bytes:
        """So many bytes."""
        self._calls += 1
        text = "{}/{}".format(self._text, self._calls)
        return hashlib.shake_256(text.encode()).digest(count)

    def randint(
        self, low: int, high: Optional[int] = None, size: Union[None, int, Tuple[int, ...]] = None
    ) -> Any:
        """Whole numbers from `low` to below `high`, or from 0 to below `low`."""
        low, high = (0, low) if high is None else (low, high)
        numbers = low + self._words(size) % (high - low)
        return int(numbers) if size is None else numbers

    def random_sample(self, size: Union[None, int, Tuple[int, ...]] = None) -> Any:
        """Numbers from 0 to below 1."""
        return self._words(size) / 2.0**32

    def choice(self, options: Sequence[Any]) -> Any:
        """One of some."""
        return options[self.randint(len(options))]

    def _words(self, size: Union[None, int, Tuple[int, ...]]) -> np.ndarray:
        shape = () if size is None else size
        count = int(np.prod(shape, dtype=int))
        words = np.frombuffer(self.bytes(4 * count), "<u4")
        return words.astype(np.int64).reshape(shape)


def fixed_group(name: str, number: int) -> Group:
    """A group of the fixed set, in float32.

    Raises
    ------
    UserError
        If there is no such model.
    """
    model = model_named(name)
    kind, rounds = GROUPS[number]
    stream = Stream("rnndiff/{}/{}/{}".format(SET, name, number))
    config = draw_config_of(model, kind, stream.choice)
    if can_be_open(model):
        config = replace(config, open_batch=number % 2 == 1)
    cases, length = [], length_of(model)
    for regime in sorted(REGIMES) * rounds:
        scale = stream.choice(SCALES)
        if kind == "small":
            numbers = np.frombuffer(stream.bytes(length), np.uint8).copy()
            numbers[stream.random_sample(length) < stream.choice(_ZEROS)] = 0
            cases.append(small_case(model, config, regime, scale, numbers.tobytes()))
        else:
            cases.append(large_case(stream, model, config, regime, scale))
    return Group(name, number, cases)


def drawn_inputs(wanted: Mapping[str, Wanted]) -> List[Dict[str, np.ndarray]]:
    """Arrays for a function, by their names: a case of each regime, the same on every machine."""
    return [
        {n: _drawn(regime, n, each) for n, each in wanted.items()} for regime in sorted(REGIMES)
    ]


def _drawn(regime: str, name: str, wanted: Wanted) -> np.ndarray:
    stream = Stream("rnndiff/{}/drawn/{}/{}".format(SET, regime, name))
    if wanted.most is None:
        return np.asarray(REGIMES[regime][stream.randint(256, size=wanted.shape)])
    return np.asarray(stream.randint(wanted.most + 1, size=wanted.shape).astype(np.int32))


def digest(cases: Sequence[Case]) -> str:
    """What tells cases of one config from others, the same on every machine."""
    config = json.dumps(asdict(cases[0].config), sort_keys=True)
    found = hashlib.sha256("{} {}".format(cases[0].model.name, config).encode())
    for case in cases:
        for name, array in sorted(case.arrays.items()):
            kind = array.dtype.newbyteorder("<")
            found.update("{} {} {}".format(name, kind.str, array.shape).encode())
            found.update(array.astype(kind).tobytes())
    return found.hexdigest()
