"""How accurate TensorFlow's functions are: the measurement behind :mod:`harness.accuracy`.

Every function is measured against NumPy in float64, whose own error (a few ULP of float64) is
eight decimal digits smaller than what is measured. One function has several kernels: TensorFlow
computes a long array in SIMD lanes and the few elements that do not fill a vector by other code,
Softmax has an ``exp`` of its own, and from TensorFlow 2.10 on the Tanh of ``MatMul + BiasAdd +
Tanh`` is computed inside the product. A kernel here is a function of one float32 array, whichever
TensorFlow graph stands behind it, run by a session of one thread, as the harness runs its models.

The error of a result is counted in units in the last place of the exact value, after the absolute
error that the table allows has been taken off (:func:`errors`).
"""

from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from harness.subjects.tensorflow import tensorflow

Intervals = Tuple[Tuple[float, float], ...]
Run = Callable[[np.ndarray], np.ndarray]

INFINITY = float("inf")
SMALLEST_NORMAL = 2.0**-126
LARGEST = (2.0 - 2.0**-23) * 2.0**127
CHUNK = 1 << 20

# A vector has 4 (SSE, Neon), 8 (AVX) or 16 (AVX-512) lanes: arrays of up to 17 elements meet
# every split into whole vectors and a remainder.
SHORT = tuple(range(1, 18))
PIECES = 256
# Below 8 units there is no whole AVX vector, above 16 there is a remainder in AVX-512.
UNITS = (1, 3, 8, 16, 17)
ROWS = (2, 3, 8, 17, 40)


class Function(NamedTuple):
    """A function of one argument and where its accuracy is claimed.

    ``domain`` and ``dense`` are intervals of float32 arguments, none with a change of sign. Half
    of a sample is spread evenly over the bit patterns of ``domain``, the other half over those of
    ``dense``, where the function is neither constant nor nearly linear.
    """

    name: str
    exact: Run
    domain: Intervals
    dense: Intervals


class Kernel(NamedTuple):
    """One way in which TensorFlow computes a function.

    ``op`` is the operation as it is run, after all rewriting of the graph, and ``shape`` says on
    what kind of arrays. ``run`` maps float32 arguments to float32 results, in the same order;
    ``exact`` does the same in float64 and is the function's own unless a result depends on its
    neighbours too. ``thorough`` is what an exhaustive measurement exhausts.
    """

    function: Function
    op: str
    shape: str
    run: Run
    exact: Run
    thorough: Intervals


class Measurement(NamedTuple):
    """The worst error of a kernel so far, and the argument that shows it."""

    ulp: float
    at: float
    result: float
    exact: float
    arguments: int


NOTHING = Measurement(0.0, float("nan"), float("nan"), float("nan"), 0)


def ulp_of(exact: np.ndarray) -> np.ndarray:
    """The distance of neighbouring float32 numbers at float64 values, at least ``2**-149``.

    It is that of the binade in which the value lies: ``2**(floor(log2(abs(v))) - 23)``.
    """
    exponent = np.asarray(exact, dtype=np.float64).view(np.int64) & (0x7FF << 52)
    return np.maximum(exponent.view(np.float64) * 2.0**-23, 2.0**-149)


def errors(results: np.ndarray, exact: np.ndarray, absolute: float = 0.0) -> np.ndarray:
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
        ulp = errors(results, exact, absolute)
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


TANH = Function(
    "tanh", np.tanh, domain=_both_signs(0.0, INFINITY), dense=_both_signs(2.0**-14, 16.0)
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
SOFTMAX_EXP = EXP._replace(domain=((-0.0, -1e4),), dense=((-(2.0**-10), -110.0),))
# Left out are subnormal arguments, which TensorFlow's threads take for zero, and infinity, whose
# logarithm is 88.7 in TensorFlow 1.13: divergences too.
LOG = Function("log", np.log, domain=((SMALLEST_NORMAL, LARGEST),), dense=((0.5, 2.0),))
SIGMOID = Function(
    "sigmoid",
    _sigmoid,
    domain=_both_signs(0.0, INFINITY),
    dense=((2.0**-10, 20.0), (-(2.0**-10), -110.0)),
)
SOFTMAX = Function("softmax", _sigmoid, domain=((-0.0, -INFINITY),), dense=((-(2.0**-10), -110.0),))
# Of 1 + exp(x): all mantissas.
RECIPROCAL = Function(
    "reciprocal", np.reciprocal, domain=((-(2.0**-24), -17.0),), dense=((-(2.0**-6), -17.0),)
)


def kernels() -> List[Kernel]:
    """Every kernel of the TensorFlow at hand.

    Raises
    ------
    UserError
        If TensorFlow cannot be imported.
    """
    tf1 = tensorflow().tf1
    found = []
    for function, build in (
        (TANH, tf1.tanh),
        (EXP, tf1.exp),
        (LOG, tf1.log),
        (SIGMOID, tf1.sigmoid),
    ):
        graph = _Graph(tf1, [None], build)
        op = graph.op()
        found.append(_kernel(function, op, "long arrays", graph))
        short = _ShortArrays(tf1, build)
        found.append(_kernel(function, op, "arrays of 1 to 17", short, thorough=function.dense))

    softmax = _Graph(tf1, [None, None], tf1.nn.softmax)
    op = softmax.op()
    inner = _ExpOfSoftmax(softmax)
    found.append(_kernel(SOFTMAX_EXP, op, "its exp", inner, thorough=SOFTMAX_EXP.dense))
    reciprocal = _ReciprocalOfSoftmax(softmax, inner)
    found.append(Kernel(RECIPROCAL, op, "1 / sum", reciprocal, reciprocal.exact, RECIPROCAL.dense))
    for length in ROWS:
        rows = _Rows(softmax, length)
        shape = "rows of {}".format(length)
        found.append(Kernel(SOFTMAX, op, shape, rows, rows.exact, SOFTMAX.dense))

    for units in UNITS:
        fused = _FusedTanh(tf1, units)
        fused_op = fused.op()
        if fused_op:
            shape = "{} units".format(units)
            # One size for all numbers; the others where the function is interesting.
            thorough = FUSED_TANH.domain if units == 8 else FUSED_TANH.dense
            found.append(_kernel(FUSED_TANH, fused_op, shape, fused, thorough))
    return found


def onednn() -> bool:
    """Whether the TensorFlow at hand runs with oneDNN's kernels, as it does from 2.9 on."""
    return bool(tensorflow().ONEDNN)


def _kernel(
    function: Function, op: str, shape: str, run: Run, thorough: Optional[Intervals] = None
) -> Kernel:
    return Kernel(
        function,
        op,
        shape,
        run,
        lambda x: function.exact(x.astype(np.float64)),
        function.domain if thorough is None else thorough,
    )


class _Graph:
    """A graph of one input and one output, with a session of one thread."""

    def __init__(self, tf1: Any, shape: Sequence[Optional[int]], build: Callable) -> None:
        self.tf1 = tf1
        graph = tf1.Graph()
        with graph.as_default():
            self.inputs = tf1.placeholder(tf1.float32, shape)
            self.output = build(self.inputs)
        options = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        # Grappler would join many short arrays into a long one: Concat(f(a), f(b)) becomes
        # f(Concat(a, b)). Fusion into a product is another optimizer's work and stays on.
        rewrites = options.graph_options.rewrite_options
        rewrites.arithmetic_optimization = type(rewrites).OFF
        self.session = tf1.Session(graph=graph, config=options)

    def __call__(self, arguments: np.ndarray) -> np.ndarray:
        return self.session.run(self.output, {self.inputs: arguments})

    def nodes(self) -> List[Any]:
        """The nodes that are run, after all of TensorFlow's rewriting."""
        options = self.tf1.RunOptions(output_partition_graphs=True)
        metadata = self.tf1.RunMetadata()
        shape = [dimension or 1 for dimension in self.inputs.shape.as_list()]
        feed = {self.inputs: np.zeros(shape, dtype=np.float32)}
        self.session.run(self.output, feed, options, metadata)
        return [node for graph in metadata.partition_graphs for node in graph.node]

    def op(self) -> str:
        """The operation that computes the output."""
        name = self.output.op.name
        return next((node.op for node in self.nodes() if node.name == name), self.output.op.type)


class _ShortArrays:
    """Many short arrays at once, which is faster than a run for each."""

    def __init__(self, tf1: Any, build: Callable, lengths: Sequence[int] = SHORT) -> None:
        sizes = (list(lengths) * PIECES)[:PIECES]
        self.total = sum(sizes)

        def pieces(x: Any) -> Any:
            return tf1.concat([build(piece) for piece in tf1.split(x, sizes)], 0)

        self.graph = _Graph(tf1, [self.total], pieces)

    def __call__(self, arguments: np.ndarray) -> np.ndarray:
        blocks = _padded(arguments, self.total, 0.5).reshape(-1, self.total)
        return np.concatenate([self.graph(block) for block in blocks])[: len(arguments)]


class _Rows:
    """Softmax of rows that are arguments and a zero.

    The maximum is that zero, so that its subtraction is exact.
    """

    def __init__(self, softmax: Run, length: int) -> None:
        self.softmax = softmax
        self.length = length

    def __call__(self, arguments: np.ndarray) -> np.ndarray:
        rows = self._rows(arguments)
        rows = np.concatenate([rows, np.zeros_like(rows[:, :1])], axis=1)
        return self.softmax(rows)[:, :-1].reshape(-1)[: len(arguments)]

    def exact(self, arguments: np.ndarray) -> np.ndarray:
        """The same in float64."""
        powers = np.exp(self._rows(arguments).astype(np.float64))
        shares = powers / (1.0 + np.sum(powers, axis=1, keepdims=True))
        return shares.reshape(-1)[: len(arguments)]

    def _rows(self, arguments: np.ndarray) -> np.ndarray:
        return _padded(arguments, self.length - 1, -1.0).reshape(-1, self.length - 1)


class _ExpOfSoftmax:
    """The exponentials inside a softmax, deduced from its results.

    TensorFlow computes ``e * r`` with ``r`` the rounded reciprocal of the sum, so that every
    result says in which interval ``e`` lies; ``r`` itself stands where the exponential is that of
    0. Rows of several zeros have several sums, and the intervals have one float in common, mostly.
    """

    LENGTH = 16

    def __init__(self, softmax: Run) -> None:
        self.softmax = softmax

    def __call__(self, arguments: np.ndarray) -> np.ndarray:
        exact = np.exp(arguments.astype(np.float64))
        first, last = self.bounds(arguments)
        # What is subnormal may have been flushed, and is then no deviation.
        first = np.where(first < SMALLEST_NORMAL, np.minimum(first, exact), first)
        # Of several floats the one that is farther from the exact value. If there is none, first is
        # greater than last: the kernel computes otherwise than was assumed, and either will do.
        return np.where(np.abs(first - exact) > np.abs(last - exact), first, last)

    def bounds(self, arguments: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The least and the greatest float32 number that can be the exponential."""
        least = np.zeros(len(arguments))
        greatest = np.full(len(arguments), INFINITY)
        # The argument keeps its place in the row, and so the code that computes it.
        rows = np.full((len(arguments), self.LENGTH), -INFINITY, dtype=np.float32)
        rows[:, -1] = arguments
        for zeros in range(1, self.LENGTH):
            rows[:, zeros - 1] = 0.0
            results = self.softmax(rows)
            share, reciprocal = results[:, -1].astype(np.float64), results[:, 0].astype(np.float64)
            half = ulp_of(share) / 2
            # Of a result that was flushed to zero is known only that it was subnormal.
            flushed = share < SMALLEST_NORMAL
            low = np.where(flushed, 0.0, share - half)
            high = np.where(flushed, SMALLEST_NORMAL, share + half)
            least = np.maximum(least, low / reciprocal)
            greatest = np.minimum(greatest, high / reciprocal)
        first = np.ceil(least / ulp_of(least)) * ulp_of(least)
        last = np.floor(greatest / ulp_of(greatest)) * ulp_of(greatest)
        return first, last


class _ReciprocalOfSoftmax:
    """The reciprocals inside a softmax, from rows [0, x]: ``1 / (1 + exp(x))``.

    Only where the rounded ``1 + exp(x)`` is known, because ``exp(x)`` is.
    """

    def __init__(self, softmax: Run, exponentials: _ExpOfSoftmax) -> None:
        self.softmax = softmax
        self.exponentials = exponentials

    def __call__(self, arguments: np.ndarray) -> np.ndarray:
        return self._shares(arguments)[:, 0]

    def exact(self, arguments: np.ndarray) -> np.ndarray:
        """The reciprocal of the same sum in float64, or the result itself where it is not known."""
        first, last = self.exponentials.bounds(arguments)
        shares = self._shares(arguments)
        exponential = first.astype(np.float32)
        known = (first == last) & (exponential * shares[:, 0] == shares[:, 1])
        total = np.float32(1) + exponential
        # Eigen may have computed this one by other code than those of the longer rows: leave out
        # the sums that another last bit would change.
        for other in (0.0, 2.0):
            known &= total == np.float32(1) + np.nextafter(exponential, np.float32(other))
        return np.where(known, 1.0 / total.astype(np.float64), shares[:, 0])

    def _shares(self, arguments: np.ndarray) -> np.ndarray:
        return self.softmax(np.stack([np.zeros_like(arguments), arguments], axis=1))


class _FusedTanh:
    """Tanh after BiasAdd after a product with the identity matrix, which is exact."""

    def __init__(self, tf1: Any, units: int) -> None:
        self.units = units

        def build(inputs: Any) -> Any:
            kernel = tf1.placeholder_with_default(np.eye(units, dtype=np.float32), [units, units])
            bias = tf1.placeholder_with_default(np.zeros(units, dtype=np.float32), [units])
            return tf1.tanh(tf1.nn.bias_add(tf1.matmul(inputs, kernel), bias))

        self.graph = _Graph(tf1, [None, units], build)

    def __call__(self, arguments: np.ndarray) -> np.ndarray:
        rows = _padded(arguments, self.units, 0.5).reshape(-1, self.units)
        # A single row may take other code than several.
        parts = [part for part in (rows[:1], rows[1:3], rows[3:]) if len(part)]
        results = np.concatenate([self.graph(part) for part in parts])
        return results.reshape(-1)[: len(arguments)]

    def op(self) -> Optional[str]:
        """The product that computes the Tanh, None where an operation of its own does."""
        for node in self.graph.nodes():
            if b"Tanh" in node.attr["fused_ops"].list.s:
                return node.op
        return None


def _padded(arguments: np.ndarray, multiple: int, value: float) -> np.ndarray:
    missing = -len(arguments) % multiple
    return np.concatenate([arguments, np.full(missing, value, dtype=np.float32)])
