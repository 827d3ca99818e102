"""How accurate the functions of an engine are, measured.

Every function is measured against NumPy in float64, whose own error (a few ULP of float64) is
eight decimal digits smaller than what is measured; one in float64 against NumPy's long double,
which on x86 has 11 bits more. A kernel is a function of one array, whichever engine stands behind
it.

The error of a result is counted in units in the last place of the exact value
(:func:`rnndiff.harness.numerics.accuracy.ulp_of`), after an absolute error that is allowed has been
taken off (:func:`errors`).
"""

from functools import lru_cache
from typing import Any, Callable, Dict, Iterator, NamedTuple, Tuple

import numpy as np

from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.numerics.precisions import precision_of

Intervals = Tuple[Tuple[float, float], ...]
Run = Callable[[np.ndarray], np.ndarray]

INFINITY = float("inf")
SMALLEST_NORMAL = 2.0**-126
LARGEST = (2.0 - 2.0**-23) * 2.0**127
CHUNK = 1 << 20


class Function(NamedTuple):
    """A function of one argument and where its accuracy is claimed.

    ``domain`` and ``dense`` are intervals of arguments, none with a change of sign. Half
    of a sample is spread evenly over the bit patterns of ``domain``, the other half over those of
    ``dense``, where the function is neither constant nor nearly linear. ``hard`` are arguments at
    which some engine was at its worst. ``precision`` is that of arguments and results.
    """

    name: str
    exact: Run
    domain: Intervals
    dense: Intervals
    hard: Tuple[float, ...] = ()
    precision: str = "float32"


class Kernel(NamedTuple):
    """One way in which an engine computes a function.

    ``op`` is the engine's name for it, and ``shape`` says on what kind of arrays. ``run`` maps
    arguments to results, in the same order; ``exact`` does the same in a wider type and is the
    function's own unless a result depends on its neighbours too. ``thorough`` is what an exhaustive
    measurement exhausts. An error of ``rounding`` times the exact value is not the function's.
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
        beyond = absolute + self.rounding * np.abs(exact)
        return errors(results, exact, beyond, self.function.precision)


class Measurement(NamedTuple):
    """The worst error of a kernel so far, and the argument that shows it."""

    ulp: float
    at: float
    result: float
    exact: float
    arguments: int


NOTHING = Measurement(0.0, float("nan"), float("nan"), float("nan"), 0)


def errors(
    results: np.ndarray, exact: np.ndarray, absolute: Any = 0.0, precision: str = ""
) -> np.ndarray:
    """Errors in ULP of the exact values, beyond an absolute error.

    The precision is that of the type of the results, if none is given.

    An exact value beyond the largest number stands for the infinity that a correct kernel rounds
    it to. A result that is NaN or infinite where the exact one is not, is infinitely wrong.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        held = precision_of(precision or results.dtype)
        rounded = held.rounded(exact)
        distance = np.abs(results.astype(exact.dtype) - exact)
        ulp = np.maximum(distance - absolute, 0.0) / ulp_of(_towards_zero(exact), held.name)
        ulp = np.where(np.isfinite(rounded), ulp, np.where(results == rounded, 0.0, INFINITY))
    return np.where(np.isnan(ulp), INFINITY, ulp)


def _towards_zero(exact: np.ndarray) -> np.ndarray:
    """Exact values in float64, none in a higher binade."""
    values = np.asarray(exact, np.float64)
    if exact.dtype == np.float64:
        return values
    return np.where(np.abs(values) > np.abs(exact), np.nextafter(values, 0.0), values)


def wider(arguments: np.ndarray) -> np.ndarray:
    """The same numbers in float64, or of float64 in the widest type that NumPy has."""
    return arguments.astype(np.longdouble if arguments.dtype == np.float64 else np.float64)


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
    precision = function.precision
    yield precision_of(precision).rounded(ends)
    for intervals in (function.domain, function.dense):
        step = max(1, 2 * size(intervals, precision) // max(1, samples))
        for interval in intervals:
            first, last = _patterns(interval, precision)
            for start in range(first, last + 1, step * CHUNK):
                stop = min(last + 1, start + step * CHUNK)
                patterns = np.arange(start, stop, step, dtype=np.int64)
                later = random.randint(0, step, len(patterns), dtype=np.int64)
                # None beyond the last, nor an overflow on the way there.
                patterns = patterns + np.minimum(later, last - patterns)
                yield _floats(random.permutation(patterns), interval, precision)


def exhaust(intervals: Intervals, precision: str = "float32") -> Iterator[np.ndarray]:
    """Every number of the intervals."""
    for interval in intervals:
        first, last = _patterns(interval, precision)
        for start in range(first, last + 1, CHUNK):
            patterns = np.arange(start, min(last + 1, start + CHUNK), dtype=np.int64)
            yield _floats(patterns, interval, precision)


def size(intervals: Intervals, precision: str = "float32") -> int:
    """How many numbers the intervals hold."""
    ends = [_patterns(interval, precision) for interval in intervals]
    return sum(last - first + 1 for first, last in ends)


def within(arguments: np.ndarray, intervals: Intervals, precision: str = "float32") -> np.ndarray:
    """Those of the arguments that lie in one of the intervals."""
    patterns, minus = _magnitudes(arguments, precision), np.signbit(arguments)
    inside = np.zeros(arguments.shape, dtype=bool)
    for interval in intervals:
        first, last = _patterns(interval, precision)
        inside |= (first <= patterns) & (patterns <= last) & (minus == _is_minus(interval))
    return arguments[inside]


def _magnitudes(numbers: Any, precision: str) -> np.ndarray:
    """The bit patterns of numbers, as a precision has them, without their signs."""
    held = precision_of(precision)
    return held.patterns(np.abs(held.rounded(numbers))).astype(np.int64)


def _patterns(interval: Tuple[float, float], precision: str) -> Tuple[int, int]:
    """The bit patterns of both ends without their signs, the smaller one first."""
    ends = _magnitudes(interval, precision)
    return int(ends.min()), int(ends.max())


def _is_minus(interval: Tuple[float, float]) -> bool:
    return bool(np.signbit(interval[0]))


def _floats(patterns: np.ndarray, interval: Tuple[float, float], precision: str) -> np.ndarray:
    numbers = precision_of(precision).numbers(patterns)
    return -numbers if _is_minus(interval) else numbers


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

# Of other precisions: up to where tanh and the sigmoid are not yet 1, where exp is not yet
# infinite, and from where on it is 0; where tanh is the identity.
_ENDS = {
    "float64": (22.0, 40.0, 709.0, -750.0, 2.0**-29),
    "float16": (5.0, 9.0, 11.0, -18.0, 2.0**-7),
    "bfloat16": (4.0, 7.0, 88.0, -93.0, 2.0**-5),
}


@lru_cache(maxsize=None)
def functions_of(precision: str) -> Dict[str, Function]:
    """The functions in a precision, by their names."""
    if precision == "float32":
        return {function.name: function for function in FUNCTIONS}
    limits = precision_of(precision)
    smallest, largest = limits.smallest, limits.largest
    tanh, sigmoid, exp, zero, identity = _ENDS[precision]
    falling = (-(2.0**-10), zero)
    intervals = {
        TANH: (TANH.domain, _both_signs(identity, tanh)),
        FUSED_TANH: (_both_signs(0.0, largest), _both_signs(identity, tanh)),
        EXP: (((0.0, exp), (-0.0, -INFINITY)), ((2.0**-10, exp), falling)),
        LOG: (((smallest, largest),), LOG.dense),
        SIGMOID: (SIGMOID.domain, ((2.0**-10, sigmoid), falling)),
        FUSED_SIGMOID: (_both_signs(0.0, largest), ((2.0**-10, sigmoid), falling)),
        SOFTMAX: (SOFTMAX.domain, (falling,)),
    }
    return {
        function.name: function._replace(domain=domain, dense=dense, hard=(), precision=precision)
        for function, (domain, dense) in intervals.items()
    }
