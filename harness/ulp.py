"""How accurate TensorFlow's functions are: the measurement behind :mod:`harness.accuracy`.

Every function is measured against NumPy in float64, whose own error (a few ULP of float64) is nine
decimal digits smaller than what is measured. One function has several kernels: TensorFlow computes
a long array in SIMD lanes and the few elements that do not fill a vector by other code, Softmax
has an ``exp`` of its own, and from TensorFlow 2.10 on the Tanh of ``MatMul + BiasAdd + Tanh`` is
computed inside the product. A kernel here is a function of one float32 array, whichever
TensorFlow graph stands behind it, run by a session of one thread, as the harness runs its models.

The error of a result is counted in units in the last place of the exact value, ``ulp_of(exact)``,
after the absolute error that the table allows has been taken off.
"""

from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from harness.errors import UserError

SMALLEST_NORMAL = 2.0**-126
CHUNK = 1 << 21
PATTERNS = 1 << 32

# A vector has 4 (SSE, Neon), 8 (AVX) or 16 (AVX-512) lanes: arrays of up to 17 elements meet
# every split into whole vectors and a remainder.
SHORT = tuple(range(1, 18))
# Pieces of 3 never fill a vector.
REMAINDER = (3,)
PIECES = 1024

UNITS = (1, 3, 8, 16, 17)
ROWS = (2, 3, 8, 17, 40)


class Function(NamedTuple):
    """A function of one argument and where its accuracy is claimed.

    ``domain`` and ``dense`` are intervals of float32 arguments; half of a sample is spread evenly
    over the bit patterns of ``domain``, the other half over those of ``dense``, where the function
    is neither constant nor nearly linear. ``worst`` are arguments that were the worst ones of some
    TensorFlow: they are part of every sample.
    """

    name: str
    exact: Callable[[np.ndarray], np.ndarray]
    domain: Tuple[Tuple[float, float], ...]
    dense: Tuple[Tuple[float, float], ...]
    worst: Tuple[float, ...] = ()


class Kernel(NamedTuple):
    """One way in which TensorFlow computes a function.

    ``run`` maps float32 arguments to float32 results, in the same order. ``exact`` does the same
    in float64; it is the function's own unless a result depends on its neighbours.
    """

    function: Function
    name: str
    run: Callable[[np.ndarray], np.ndarray]
    exact: Callable[[np.ndarray], np.ndarray]


class Measurement(NamedTuple):
    """The worst error of a kernel, in ULP beyond ``absolute``, and the argument that shows it."""

    ulp: float
    at: float
    result: float
    exact: float
    arguments: int


NOTHING = Measurement(0.0, float("nan"), float("nan"), float("nan"), 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))``, accurate at both ends."""
    decayed = np.exp(-np.abs(x))
    return np.where(x < 0, decayed, 1.0) / (1.0 + decayed)


def ulp_of(exact: np.ndarray) -> np.ndarray:
    """The distance of neighbouring float32 numbers at float64 values, at least ``2**-149``.

    It is that of the binade in which the value lies, ``2**(floor(log2(abs(v))) - 23)``.
    """
    exponent = np.asarray(exact, dtype=np.float64).view(np.int64) & (0x7FF << 52)
    return np.maximum(exponent.view(np.float64) * 2.0**-23, 2.0**-149)


def errors(results: np.ndarray, exact: np.ndarray, absolute: float) -> np.ndarray:
    """Errors in ULP of the exact values, beyond an absolute error; NaN and infinity count as inf.

    An exact value beyond the largest float32 is rounded to infinity first, as a correct kernel
    does.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        infinite = np.isinf(exact.astype(np.float32))
        distance = np.abs(results.astype(np.float64) - exact)
        beyond = np.maximum(distance - absolute, 0.0) / ulp_of(exact)
        equal = np.where(infinite, results == exact.astype(np.float32), False)
    return np.where(equal, 0.0, np.where(np.isfinite(beyond), beyond, np.inf))


def measure(
    kernel: Kernel, chunks: Iterator[np.ndarray], absolute: float
) -> Iterator[Measurement]:
    """The worst error so far, after every chunk of arguments."""
    worst = NOTHING
    for arguments in chunks:
        results, exact = kernel.run(arguments), kernel.exact(arguments)
        ulp = errors(results, exact, absolute)
        count = worst.arguments + len(arguments)
        i = int(np.argmax(ulp)) if len(ulp) else 0
        if len(ulp) and (ulp[i] > worst.ulp or not worst.arguments):
            worst = Measurement(
                float(ulp[i]), float(arguments[i]), float(results[i]), float(exact[i]), count
            )
        else:
            worst = worst._replace(arguments=count)
        yield worst


def sample(function: Function, samples: int, seed: int = 0) -> Iterator[np.ndarray]:
    """About `samples` arguments, one at random from each of as many equal runs of bit patterns.

    Their order is random, so that neighbours in an array are of different magnitudes.
    """
    random = np.random.RandomState(seed)
    edges = [edge for interval in function.domain + function.dense for edge in interval]
    yield np.array(function.worst + tuple(edges), dtype=np.float32)
    for intervals in (function.domain, function.dense):
        total = sum(last - first + 1 for first, last in map(_patterns, intervals))
        step = max(1, 2 * total // max(1, samples))
        for first, last in map(_patterns, intervals):
            for start in range(first, last + 1, step * CHUNK):
                stop = min(last + 1, start + step * CHUNK)
                patterns = np.arange(start, stop, step, dtype=np.int64)
                patterns = np.minimum(patterns + random.randint(0, step, len(patterns)), last)
                yield _floats(random.permutation(patterns))


def sampled(function: Function, samples: int) -> int:
    """How many arguments :func:`sample` yields, more or less."""
    return min(samples, 2 * exhausted(function))


def exhaust(function: Function) -> Iterator[np.ndarray]:
    """Every float32 number of the function's domain."""
    for first, last in map(_patterns, function.domain):
        for start in range(first, last + 1, CHUNK):
            yield _floats(np.arange(start, min(last + 1, start + CHUNK), dtype=np.int64))


def exhausted(function: Function) -> int:
    """How many arguments :func:`exhaust` yields."""
    return sum(last - first + 1 for first, last in map(_patterns, function.domain))


def _patterns(interval: Tuple[float, float]) -> Tuple[int, int]:
    """The bit patterns of an interval without a change of sign, the smaller one first."""
    ends = np.array(interval, dtype=np.float32).view(np.uint32).astype(np.int64)
    return int(ends.min()), int(ends.max())


def _floats(patterns: np.ndarray) -> np.ndarray:
    return patterns.astype(np.uint32).view(np.float32)


INFINITY = float("inf")

TANH = Function(
    "tanh",
    np.tanh,
    domain=((0.0, INFINITY), (-0.0, -INFINITY)),
    dense=((2.0**-14, 16.0), (-(2.0**-14), -16.0)),
)
# Eigen's kernels clamp the argument of exp at 88.37 or thereabouts, and so are wrong between there
# and log(float32 max) = 88.72; that is a divergence, not an accuracy.
EXP = Function(
    "exp",
    np.exp,
    domain=((0.0, 88.0), (-0.0, -INFINITY)),
    dense=((2.0**-10, 88.0), (-(2.0**-10), -110.0)),
)
# The logarithm of a subnormal number, which TensorFlow's threads take for 0, is left out.
LOG = Function(
    "log", np.log, domain=((SMALLEST_NORMAL, INFINITY),), dense=((0.5, 2.0),)
)
SIGMOID = Function(
    "sigmoid",
    sigmoid,
    domain=((0.0, INFINITY), (-0.0, -INFINITY)),
    dense=((2.0**-10, 20.0), (-(2.0**-10), -110.0)),
)
# Below this, 1 + exp(x) is 1 in float32 and softmax([0, x]) shows exp(x) itself.
SOFTMAX_EXP = Function(
    "exp", np.exp, domain=((-17.4, -INFINITY),), dense=((-17.4, -110.0),)
)
SOFTMAX = Function(
    "softmax", sigmoid, domain=((-0.0, -INFINITY),), dense=((-(2.0**-10), -110.0),)
)
FUSED_TANH = TANH._replace(name="fused tanh", domain=((0.0, 3e38), (-0.0, -3e38)))


def kernels(exhaustive: bool = False) -> List[Kernel]:
    """Every kernel of the TensorFlow at hand.

    Parameters
    ----------
    exhaustive : bool
        Whether short arrays shall be of 3 elements, which are never computed in SIMD lanes, rather
        than of all lengths from 1 to 17; and one shape for products and rows instead of several.

    Raises
    ------
    UserError
        If TensorFlow cannot be imported.
    """
    tf1 = _tensorflow()
    found = []
    for function, op in (
        (TANH, tf1.tanh),
        (EXP, tf1.exp),
        (LOG, tf1.log),
        (SIGMOID, tf1.sigmoid),
    ):
        name = op.__name__.capitalize()
        found.append(_kernel(function, name + ", long arrays", _long(tf1, op)))
        short = REMAINDER if exhaustive else SHORT
        found.append(_kernel(function, name + ", short arrays", _short(tf1, op, short)))
    softmax = _Run(tf1, [None, None], tf1.nn.softmax)
    found.append(_kernel(SOFTMAX_EXP, "Softmax, rows [0, x]", _rows(softmax, 2)))
    for length in ROWS[:1] if exhaustive else ROWS:
        found.append(
            Kernel(
                SOFTMAX,
                "Softmax, rows of {}".format(length),
                _rows(softmax, length),
                _exact_rows(length),
            )
        )
    for units in UNITS[3:4] if exhaustive else UNITS:
        fused = _Fused(tf1, units)
        if fused.is_fused():
            found.append(_kernel(FUSED_TANH, "{}, {} units".format(fused.op(), units), fused))
    return found


def _kernel(function: Function, name: str, run: Callable[[np.ndarray], np.ndarray]) -> Kernel:
    return Kernel(function, name, run, lambda x: function.exact(x.astype(np.float64)))


def _tensorflow() -> Any:
    try:
        from models.tf1 import tf1
    except ImportError as error:
        raise UserError("This needs TensorFlow ({}).".format(error))
    return tf1


class _Run:
    """A graph of one input and one output, with a session of one thread."""

    def __init__(self, tf1: Any, shape: Sequence[Optional[int]], build: Callable) -> None:
        self.tf1 = tf1
        graph = tf1.Graph()
        with graph.as_default():
            self.inputs = tf1.placeholder(tf1.float32, shape)
            self.output = build(self.inputs)
        options = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        # Grappler would join the many short arrays into one long one: Concat(f(a), f(b)) becomes
        # f(Concat(a, b)). It does not choose kernels, so that this changes nothing else.
        rewrites = options.graph_options.rewrite_options
        rewrites.arithmetic_optimization = type(rewrites).OFF
        self.session = tf1.Session(graph=graph, config=options)

    def __call__(self, arguments: np.ndarray) -> np.ndarray:
        return self.session.run(self.output, {self.inputs: arguments})

    def nodes(self, arguments: np.ndarray) -> List[Any]:
        """The nodes that were run, after all of TensorFlow's rewriting."""
        options = self.tf1.RunOptions(output_partition_graphs=True)
        metadata = self.tf1.RunMetadata()
        self.session.run(self.output, {self.inputs: arguments}, options, metadata)
        return [node for graph in metadata.partition_graphs for node in graph.node]


def _long(tf1: Any, op: Callable) -> Callable[[np.ndarray], np.ndarray]:
    return _Run(tf1, [None], op)


def _short(tf1: Any, op: Callable, lengths: Sequence[int]) -> Callable[[np.ndarray], np.ndarray]:
    """Run `op` on many short arrays at once, which is faster than a run for each."""
    sizes = (list(lengths) * PIECES)[:PIECES]
    total = sum(sizes)
    pieces = _Run(
        tf1, [total], lambda x: tf1.concat([op(piece) for piece in tf1.split(x, sizes)], 0)
    )

    def run(arguments: np.ndarray) -> np.ndarray:
        padded = _padded(arguments, total, 0.5).reshape(-1, total)
        return np.concatenate([pieces(block) for block in padded])[: len(arguments)]

    return run


def _rows(softmax: Callable, length: int) -> Callable[[np.ndarray], np.ndarray]:
    """Softmax of rows that are 0 and ``length - 1`` arguments: the maximum is 0, ``x - max`` exact."""

    def run(arguments: np.ndarray) -> np.ndarray:
        rows = _padded(arguments, length - 1, -1.0).reshape(-1, length - 1)
        rows = np.concatenate([rows, np.zeros_like(rows[:, :1])], axis=1)
        return softmax(rows)[:, :-1].reshape(-1)[: len(arguments)]

    return run


def _exact_rows(length: int) -> Callable[[np.ndarray], np.ndarray]:
    def exact(arguments: np.ndarray) -> np.ndarray:
        rows = _padded(arguments, length - 1, -1.0).reshape(-1, length - 1).astype(np.float64)
        powers = np.exp(rows)
        shares = powers / (1.0 + np.sum(powers, axis=1, keepdims=True))
        return shares.reshape(-1)[: len(arguments)]

    return exact


class _Fused:
    """Tanh after BiasAdd after a product with the identity matrix, which is exact."""

    def __init__(self, tf1: Any, units: int) -> None:
        self.units = units

        def build(inputs: Any) -> Any:
            kernel = tf1.placeholder_with_default(np.eye(units, dtype=np.float32), [units, units])
            bias = tf1.placeholder_with_default(np.zeros(units, dtype=np.float32), [units])
            return tf1.tanh(tf1.nn.bias_add(tf1.matmul(inputs, kernel), bias))

        self.run = _Run(tf1, [None, units], build)

    def __call__(self, arguments: np.ndarray) -> np.ndarray:
        rows = _padded(arguments, self.units, 0.5).reshape(-1, self.units)
        # One row is a product of its own kind, and so are two.
        ends = [0, 1, 3, len(rows)]
        parts = [rows[start:stop] for start, stop in zip(ends, ends[1:]) if start < stop]
        return np.concatenate([self.run(part) for part in parts]).reshape(-1)[: len(arguments)]

    def is_fused(self) -> bool:
        """Whether this TensorFlow computes the Tanh inside the product."""
        return self.op() != "Tanh"

    def op(self) -> str:
        """The name of the operation that computes the Tanh."""
        nodes = self.run.nodes(np.zeros((1, self.units), dtype=np.float32))
        for node in nodes:
            if b"Tanh" in node.attr["fused_ops"].list.s:
                return node.op
        return "Tanh"


def _padded(arguments: np.ndarray, multiple: int, value: float) -> np.ndarray:
    missing = -len(arguments) % multiple
    return np.concatenate([arguments, np.full(missing, value, dtype=np.float32)])
