"""How accurate the functions of an engine are, measured.

Every function is measured against NumPy in float64, whose own error (a few ULP of float64) is
eight decimal digits smaller than what is measured. A kernel is a function of one float32 array,
whichever engine stands behind it.

The error of a result is counted in units in the last place of the exact value
(:func:`rnndiff.harness.numerics.accuracy.ulp_of`), after an absolute error that is allowed has been
taken off (:func:`errors`).
"""

from typing import Any, Callable, Iterator, NamedTuple, Tuple

import numpy as np

from rnndiff.harness.numerics.accuracy import ulp_of

Intervals = Tuple[Tuple[float, float], ...]
Run = Callable[[np.ndarray], np.ndarray]

INFINITY = float("inf")
SMALLEST_NORMAL = 2.0**-126
LARGEST = (2.0 - 2.0**-23) * 2.0**127
CHUNK = 1 << 20


class Function(NamedTuple):
    """A function of one argument and where its accuracy is claimed.

    ``domain`` and ``dense`` are intervals of float32 arguments, none with a change of sign. Half
    of a sample is spread evenly over the bit patterns of ``domain``, the other half over those of
    ``dense``, where the function is neither constant nor nearly linear. ``hard`` are arguments at
    which some engine was at its worst.
    """

    name: str
    exact: Run
    domain: Intervals
    dense: Intervals
    hard: Tuple[float, ...] = ()


class Kernel(NamedTuple):
    """One way in which an engine computes a function.

    ``op`` is the engine's name for it, and ``shape`` says on what kind of arrays. ``run`` maps
    float32 arguments to float32 results, in the same order; ``exact`` does the same in float64 and
    is the function's own unless a result depends on its neighbours too. ``thorough`` is what an
    exhaustive measurement exhausts. An error of ``rounding`` times the exact value is not the
    function's.
    """

    function: Function
    op: str
    shape: str
    run: Run
    exact: Run
    thorough: Intervals
    rounding: float = 0.0

    def errors(self, results: np.ndarray, exact: np.ndarray, absolute: float) -> np.ndarray:
        """Errors in ULP of the exact values, beyond an absolute error."""
        return errors(results, exact, absolute + self.rounding * np.abs(exact))


class Measurement(NamedTuple):
    """The worst error of a kernel so far, and the argument that shows it."""

    ulp: float
    at: float
    result: float
    exact: float
    arguments: int


NOTHING = Measurement(0.0, float("nan"), float("nan"), float("nan"), 0)


def errors(results: np.ndarray, exact: np.ndarray, absolute: Any = 0.0) -> np.ndarray:
    """Errors in ULP of the exact values, beyond an absolute error.

    An exact value beyond the largest float32 stands for the infinity that a correct kernel rounds
    it to. A result that is NaN or infinite where the exact one is not, is infinitely wrong.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = exact.astype(np.float32)
        distance = np.abs(results.astype(np.float64) - exact)
        ulp = np.maximum(distance - absolute, 0.0) / ulp_of(exact)
        ulp = np.where(np.isfinite(rounded), ulp, np.where(results == rounded, 0.0, INFINITY))
    return np.where(np.isnan(ulp), INFINITY, ulp)


def measure(
    kernel: Kernel, chunks: Iterator[np.ndarray], absolute: float = 0.0
) -> Iterator[Measurement]:
    """The worst error so far, after every chunk of arguments."""
    worst = NOTHING
    for arguments in chunks:
        results, exact = kernel.run(arguments), kernel.exact(arguments)
        ulp = kernel.errors(results, exact, absolute)
        i = int(np.argmax(ulp))
        if worst is NOTHING or ulp[i] > worst.ulp:
            worst = Measurement(
                ulp=float(ulp[i]),
                at=float(arguments[i]),
                result=float(results[i]),
                exact=float(exact[i]),
                arguments=worst.arguments,
            )
        worst = worst._replace(arguments=worst.arguments + len(arguments))
        yield worst


def sample(function: Function, samples: int, seed: int = 0) -> Iterator[np.ndarray]:
    """The ends of all intervals, and one argument from each of `samples` runs of bit patterns.

    The order is random, so that neighbours in an array are of different magnitudes.
    """
    random = np.random.RandomState(seed)
    ends = [end for interval in function.domain + function.dense for end in interval]
    yield np.array(ends, dtype=np.float32)
    for intervals in (function.domain, function.dense):
        step = max(1, 2 * size(intervals) // max(1, samples))
        for first, last in map(_patterns, intervals):
            for start in range(first, last + 1, step * CHUNK):
                stop = min(last + 1, start + step * CHUNK)
                patterns = np.arange(start, stop, step, dtype=np.int64)
                patterns = np.minimum(patterns + random.randint(0, step, len(patterns)), last)
                yield _floats(random.permutation(patterns))


def exhaust(intervals: Intervals) -> Iterator[np.ndarray]:
    """Every float32 number of the intervals."""
    for first, last in map(_patterns, intervals):
        for start in range(first, last + 1, CHUNK):
            yield _floats(np.arange(start, min(last + 1, start + CHUNK), dtype=np.int64))


def size(intervals: Intervals) -> int:
    """How many float32 numbers the intervals hold."""
    return sum(last - first + 1 for first, last in map(_patterns, intervals))


def within(arguments: np.ndarray, intervals: Intervals) -> np.ndarray:
    """Those of the arguments that lie in one of the intervals."""
    patterns = arguments.astype(np.float32).view(np.uint32)
    inside = [(first <= patterns) & (patterns <= last) for first, last in map(_patterns, intervals)]
    return arguments[np.any(inside, axis=0)]


def _patterns(interval: Tuple[float, float]) -> Tuple[int, int]:
    """The bit patterns of both ends, the smaller one first."""
    ends = np.array(interval, dtype=np.float32).view(np.uint32).astype(np.int64)
    return int(ends.min()), int(ends.max())


def _floats(patterns: np.ndarray) -> np.ndarray:
    return patterns.astype(np.uint32).view(np.float32)


def _both_signs(first: float, last: float) -> Intervals:
    return ((first, last), (-first, -last))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    decayed = np.exp(-np.abs(x))
    return np.where(x < 0, decayed, 1.0) / (1.0 + decayed)


# The hard ones are those of the two approximations that Eigen had up to TensorFlow 2.18, and since.
TANH = Function(
    "tanh",
    np.tanh,
    domain=_both_signs(0.0, INFINITY),
    dense=_both_signs(2.0**-14, 16.0),
    hard=(5.82787609, 6.53398514),
)
# Not beyond the largest float32: infinity times the zeros of the identity matrix is NaN.
FUSED_TANH = TANH._replace(name="fused tanh", domain=_both_signs(0.0, LARGEST))
# Some kernels return infinity from 88.38 on, where exp(x) is still a float32 up to 88.72: that is
# a divergence rather than an inaccuracy.
EXP = Function(
    "exp",
    np.exp,
    domain=((0.0, 88.0), (-0.0, -INFINITY)),
    dense=((2.0**-10, 88.0), (-(2.0**-10), -110.0)),
)
# Left out are subnormal arguments, which TensorFlow's threads take for zero, and infinity, whose
# logarithm is 88.7 in TensorFlow 1.13: divergences too.
LOG = Function("log", np.log, domain=((SMALLEST_NORMAL, LARGEST),), dense=((0.5, 2.0),))
SIGMOID = Function(
    "sigmoid",
    _sigmoid,
    domain=_both_signs(0.0, INFINITY),
    dense=((2.0**-10, 20.0), (-(2.0**-10), -110.0)),
)
FUSED_SIGMOID = SIGMOID._replace(name="fused sigmoid", domain=_both_signs(0.0, LARGEST))
SOFTMAX = Function("softmax", _sigmoid, domain=((-0.0, -INFINITY),), dense=((-(2.0**-10), -110.0),))
FUNCTIONS = (TANH, FUSED_TANH, EXP, LOG, SIGMOID, FUSED_SIGMOID, SOFTMAX)
