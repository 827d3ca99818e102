"""Regimes: what kinds of numbers the weights and inputs of a case are drawn from.

A regime is a table of 256 float32 values. A case's numbers are drawn as bytes and looked up in the
table, so that one draw makes a whole case, and a byte that shrinks towards zero shrinks its number
to 0, 1 or -1, which stand first in every table.
"""

from typing import Dict, List

import numpy as np

from rnndiff.models.cells.kinds import KEEP_PROBS

SIZE = 256


def _table(first: List[float], rest: np.ndarray) -> np.ndarray:
    """0, 1, -1 and the values worth trying, then as many of `rest` as there is room for."""
    values = np.concatenate([[0.0, 1.0, -1.0], first, np.resize(rest, SIZE)])[:SIZE]
    values = values.astype(np.float32)
    values.flags.writeable = False
    return values


def _signed(magnitudes: np.ndarray) -> np.ndarray:
    """Each magnitude with both signs, in turn."""
    return np.stack([magnitudes, -np.asarray(magnitudes)], axis=-1).ravel()


def _normal() -> np.ndarray:
    """Irrational-looking values, distributed as N(0, 1)."""
    return np.random.RandomState(0).standard_normal(SIZE)


def _magnitudes(low: float, high: float, count: int = SIZE // 2) -> np.ndarray:
    """Magnitudes spread evenly over the powers of two from 2^low to 2^high."""
    exponents = np.random.RandomState(1).uniform(low, high, count)
    return 2.0**exponents


_SIMPLE = [0.5, -0.5, 2.0, -2.0, 0.25, -0.25, 3.0, -3.0]
_SUBNORMAL = [2.0**-149, -(2.0**-149), 1e-40, -1e-40, 2.0**-127, 2.0**-126, -(2.0**-126), 1e-37]
_LARGEST = float(np.finfo(np.float32).max)
_HUGE = [_LARGEST, -_LARGEST, 1e38, -1e38, 2e38, 3e19, -3e19, 1e10]
_SPECIAL = [float("nan"), float("inf"), -float("inf"), -0.0]

REGIMES: Dict[str, np.ndarray] = {
    # Values of the size of ordinary weights: small fractions, then normally distributed ones.
    "ordinary": _table(_SIMPLE, _normal()),
    # Zeros and ones only: exact arithmetic, dead units and exact ties of scores.
    "ties": _table([], np.array([0.0, 1.0, -1.0, 1.0])),
    # Values that drive tanh into its flat ends, with a few small ones to stay out of them.
    "saturating": _table(_SIMPLE, _signed(_magnitudes(1, 7))),
    # Values from 2^-60 down to the smallest: where results are flushed to zero.
    "tiny": _table(_SUBNORMAL, _signed(_magnitudes(-149, -60))),
    # Magnitudes from 2^-24 to 2^12 in one network: absorption and cancellation.
    "mixed": _table(_SIMPLE, _signed(_magnitudes(-24, 12))),
    # NaN, infinities, signed zeros, subnormals and values whose products overflow, among others.
    "special": _table(_SPECIAL + _HUGE + _SUBNORMAL, np.append(_normal()[:200], _SPECIAL * 8)),
}


def _noise() -> np.ndarray:
    """Numbers from 0 up to 1 as TensorFlow draws them, multiples of 2^-23; some where a mask turns.

    Those are what a keep probability, as float32 holds it, lacks of 1.
    """
    step = 2.0**-23
    edges = [1 - float(np.float32(prob)) for prob in KEEP_PROBS if prob < 1]
    turns = [edge + off for edge in edges for off in (0.0, -step, step)]
    rest = np.floor(np.random.RandomState(2).random_sample(SIZE) / step) * step
    return np.concatenate([[0.0, 1 - step], turns, rest])[:SIZE].astype(np.float32)


NOISE = _noise()

# Factors for the weights of a network, from contractive to chaotic.
SCALES = (1.0, 0.5, 2.0, 0.125, 8.0)
