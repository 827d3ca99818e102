"""Hypothesis strategies for cases.

A batch is drawn as *one* byte string: first what says of which kind it is, its sizes and options,
then the numbers of each small case, or the seed and a few edits of a large one
(``rnndiff.harness.cases.draws``). Cases come in batches that share a config, because a graph costs
a hundred times what a case costs once it is there.

What is drawn in several parts Hypothesis draws once, and then five times more with a part of it in
place of another one that is alike, so that of a hundred examples few configs are independent of
each other. One string has no parts.
"""

from functools import partial
from typing import Any, List, Optional, Sequence, Tuple, Union

import numpy as np
from hypothesis import strategies as st

from rnndiff.harness.cases.another_batch import in_another_batch, is_open
from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.draws import draw_config_of, large_case, length_of, small_case
from rnndiff.harness.cases.random_cases import check_precision, model_named
from rnndiff.harness.cases.regimes import REGIMES, SCALES, regimes_of
from rnndiff.harness.cases.twists import apply_twist, twist_of
from rnndiff.harness.errors import UserError
from rnndiff.models import Model

# Cases to a config, and edits to a large case.
BATCH = 12
_EDITS = 8
# Bytes for all but the numbers of small cases; and for these, at most: of the 8192 that Hypothesis
# draws, the half is not to be passed by the least that there is to draw.
_HEAD, _NUMBERS = 192, 3800


class _Reader:
    """Draws from bytes, one after the other; where there are none left, zeros."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn = drawn

    def take(self, count: int) -> bytes:
        """The next bytes."""
        taken, self._drawn = self._drawn[:count], self._drawn[count:]
        return taken.ljust(count, b"\0")

    def number(self, size: int) -> int:
        """The whole number that the next `size` bytes are."""
        return int.from_bytes(self.take(size), "big")

    def choose(self, options: Sequence[Any]) -> Any:
        """One of the options; for zeros the first."""
        return options[self.number(2) % len(options)]

    def random(self) -> np.random.RandomState:
        """A generator of what need not be drawn number by number."""
        return np.random.RandomState(self.number(4))


def small_batches(
    model: Model, regime: str, most: int = BATCH, precision: str = "float32"
) -> st.SearchStrategy:
    """Cases that share a config of at most the small sizes, but for an open batch.

    These are `most`, or as many as can be drawn at once, and now and then one.
    """
    most = _most(model, most)
    read = partial(_small_batch, model, regime, most, precision)
    return _bytes_of(model, most).map(lambda drawn: read(*_readers(drawn)))


def batches(
    model: Union[str, Model],
    regime: Optional[str] = None,
    large: int = 16,
    precision: str = "float32",
) -> st.SearchStrategy:
    """Cases that share a graph, and so a config: small ones, or now and then one that is not.

    With an open batch half of them are the others in a batch of another size.

    Parameters
    ----------
    model : Model or str
        The name of one that is registered will do.
    regime : str, optional
        One of ``REGIMES``; by default any of them.
    large : int
        One draw in so many is a case of up to the article's sizes, another one with one size around
        those at which kernels change. At least 2.
    precision : str
        Of the numbers: "float32", "float64", "float16" or "bfloat16".

    Raises
    ------
    UserError
        If no model, regime or precision has that name.
    """
    of = model_named(model) if isinstance(model, str) else model
    check_precision(precision)
    if regime is not None and regime not in REGIMES:
        known = ", ".join(map(repr, REGIMES))
        raise UserError("{!r} is not one of the regimes {}.".format(regime, known))
    regimes = sorted(REGIMES) if regime is None else [regime]
    kinds = ["small"] * (large - 2) + ["kernel", "large"]

    def batch(drawn: bytes) -> List[Case]:
        head, numbers = _readers(drawn)
        chosen, kind = head.choose(regimes), head.choose(kinds)
        if kind == "small":
            return _small_batch(of, chosen, _most(of, BATCH), precision, head, numbers)
        return _large_batch(of, chosen, kind, precision, head)

    return _bytes_of(of, _most(of, BATCH)).map(batch)


def _most(model: Model, most: int) -> int:
    """How many cases, up to `most`, Hypothesis can draw at once."""
    return max(1, min(most, _NUMBERS // (1 + length_of(model))))


def _bytes_of(model: Model, cases: int) -> st.SearchStrategy:
    size = _HEAD + cases * (1 + length_of(model))
    return st.binary(min_size=size, max_size=size)


def _readers(drawn: bytes) -> Tuple[_Reader, _Reader]:
    """Of the head, and of the numbers of small cases."""
    return _Reader(drawn[:_HEAD]), _Reader(drawn[_HEAD:])


def _small_batch(
    model: Model, regime: str, most: int, precision: str, head: _Reader, numbers: _Reader
) -> List[Case]:
    config = draw_config_of(model, "small", head.choose)
    most = max(1, most // 2) if is_open(config) else most
    is_more_than_one, random = head.number(1) > 0, head.random()
    cases = []
    for _ in range(most if is_more_than_one else 1):
        scale = SCALES[numbers.number(1) % len(SCALES)]
        case = small_case(model, config, regime, scale, numbers.take(length_of(model)), precision)
        cases.append(apply_twist(case, twist_of(case)))
    return cases + _again(cases, random)


def _large_batch(model: Model, regime: str, kind: str, precision: str, head: _Reader) -> List[Case]:
    """One case of any size, and an open one in another batch, too."""
    config, scale = draw_config_of(model, kind, head.choose), head.choose(SCALES)
    case = large_case(head.random(), model, config, regime, scale, precision)
    free = {field.name for field in model.fields(config) if field.is_free}
    for _ in range(head.number(1) % (_EDITS + 1)):
        name, place, byte = head.choose(sorted(case.arrays)), head.number(2), head.number(1)
        numbers = case.arrays[name].ravel()
        if numbers.size and name in free:
            numbers[place % numbers.size] = regimes_of(precision)[regime][byte]
    case = apply_twist(case, twist_of(case))
    return [case] + _again([case], head.random())


def _again(cases: List[Case], random: np.random.RandomState) -> List[Case]:
    """The rows of cases with an open batch in another one; of others none."""
    return in_another_batch(cases, random) if is_open(cases[0].config) else []
