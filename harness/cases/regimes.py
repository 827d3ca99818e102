"""Regimes: what kinds of numbers the weights and inputs of a case are drawn from.

A regime is a table of 256 values, in each precision one of its own. A case's numbers are drawn as
bytes and looked up in the table, so that one draw makes a whole case, and a byte that shrinks
towards zero shrinks its number to 0, 1 or -1, which stand first in every table.
"""

from functools import lru_cache
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

from rnndiff.harness.cases.drawn import NORMAL, UNIFORM, UNIFORM_TOO
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.models.cells.kinds import KEEP_PROBS

SIZE = 256


class _Edges(NamedTuple):
    """Where the numbers of a precision come to their ends.

    ``subnormal`` and ``huge`` are worth trying; of the magnitudes in ``tiny``, powers of two,
    products are subnormal or zero, those in ``mixed`` absorb each other.
    """

    subnormal: List[float]
    huge: List[float]
    tiny: Tuple[float, float]
    mixed: Tuple[float, float]


_EDGES = {
    "float32": _Edges(
        [2.0**-149, -(2.0**-149), 1e-40, -1e-40, 2.0**-127, 2.0**-126, -(2.0**-126), 1e-37],
        [1e38, -1e38, 2e38, 3e19, -3e19, 1e10],
        tiny=(-149, -60),
        mixed=(-24, 12),
    ),
    "float64": _Edges(
        [2.0**-1074, -(2.0**-1074), 1e-310, -1e-310, 2.0**-1023, 2.0**-1022, -(2.0**-1022), 1e-307],
        [1e308, -1e308, 1.5e308, 2e154, -2e154, 1e80],
        tiny=(-1074, -500),
        mixed=(-53, 26),
    ),
    "float16": _Edges(
        [2.0**-24, -(2.0**-24), 1e-6, -1e-6, 2.0**-15, 2.0**-14, -(2.0**-14), 1e-4],
        [3e4, -3e4, 6e4, 300, -300, 1e3],
        tiny=(-24, -10),
        mixed=(-11, 6),
    ),
    "bfloat16": _Edges(
        [2.0**-133, -(2.0**-133), 1e-39, -1e-39, 2.0**-127, 2.0**-126, -(2.0**-126), 1e-37],
        [1e38, -1e38, 2e38, 3e19, -3e19, 1e10],
        tiny=(-133, -60),
        mixed=(-8, 4),
    ),
}


def _table(first: List[float], rest: np.ndarray, precision: str) -> np.ndarray:
    """0, 1, -1 and the values worth trying, then as many of `rest` as there is room for."""
    values = np.concatenate([[0.0, 1.0, -1.0], first, np.resize(rest, SIZE)])[:SIZE]
    values = precision_of(precision).rounded(values)
    values.flags.writeable = False
    return values


def _signed(magnitudes: np.ndarray) -> np.ndarray:
    """Each magnitude with both signs, in turn."""
    return np.stack([magnitudes, -np.asarray(magnitudes)], axis=-1).ravel()


def _magnitudes(low: float, high: float) -> np.ndarray:
    """Magnitudes spread evenly over the powers of two from 2^low to 2^high."""
    return 2.0 ** (low + (high - low) * UNIFORM)


_SIMPLE = [0.5, -0.5, 2.0, -2.0, 0.25, -0.25, 3.0, -3.0]
_SPECIAL = [float("nan"), float("inf"), -float("inf"), -0.0]


@lru_cache(maxsize=None)
def regimes_of(precision: str) -> Dict[str, np.ndarray]:
    """The tables of all regimes, of numbers of a precision."""
    edges, largest = _EDGES[precision], precision_of(precision).largest
    special = _SPECIAL + [largest, -largest] + edges.huge + edges.subnormal
    tables = {
        # Values of the size of ordinary weights: small fractions, then normally distributed ones.
        "ordinary": (_SIMPLE, NORMAL),
        # Zeros and ones only: exact arithmetic, dead units and exact ties of scores.
        "ties": ([], np.array([0.0, 1.0, -1.0, 1.0])),
        # Values that drive tanh into its flat ends, with a few small ones to stay out of them.
        "saturating": (_SIMPLE, _signed(_magnitudes(1, 7))),
        # Values down to the smallest (float32: from 2^-60): where results are flushed to zero.
        "tiny": (edges.subnormal, _signed(_magnitudes(*edges.tiny))),
        # Magnitudes (float32: from 2^-24 to 2^12) in one network: absorption and cancellation.
        "mixed": (_SIMPLE, _signed(_magnitudes(*edges.mixed))),
        # NaN, infinities, signed zeros, subnormals and values whose products overflow, among
        # others.
        "special": (special, np.append(NORMAL[:200], _SPECIAL * 8)),
    }
    return {name: _table(first, rest, precision) for name, (first, rest) in tables.items()}


REGIMES = regimes_of("float32")


@lru_cache(maxsize=None)
def noise_of(precision: str) -> np.ndarray:
    """Numbers from 0 up to 1 as TensorFlow draws them, multiples of the ULP of 1.

    Some are where a mask turns: at what a keep probability, as the precision holds it, lacks of 1.
    """
    held = precision_of(precision)
    step = held.eps
    edges = [1 - float(held.rounded(prob)) for prob in KEEP_PROBS if prob < 1]
    turns = [edge + off for edge in edges for off in (0.0, -step, step)]
    numbers = np.concatenate([[0.0, 1 - step], turns, UNIFORM_TOO])[:SIZE]
    noise = held.rounded(np.floor(numbers / step) * step)
    noise.flags.writeable = False
    return noise


NOISE = noise_of("float32")

# Factors for the weights of a network, from contractive to chaotic.
SCALES = (1.0, 0.5, 2.0, 0.125, 8.0)
