"""TensorFlow's kernels, so that each can be measured by itself.

A function has several: TensorFlow computes a long array in SIMD lanes and the few elements that do
not fill a vector by other code, and with oneDNN the Tanh of ``MatMul + BiasAdd + Tanh`` is computed
inside the product, as is a Sigmoid. Under XLA's auto-clustering a graph has parts that are compiled
and parts that are not: both are kernels there.
"""

from functools import partial
from itertools import islice
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
)

import numpy as np

from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.subjects.tensorflow.modes import SESSION, Mode
from rnndiff.harness.subjects.tensorflow.running import running
from rnndiff.harness.subjects.ulp import (
    FUSED_SIGMOID,
    FUSED_TANH,
    Function,
    Intervals,
    Kernel,
    errors,
    functions_of,
    wider,
)

# What fuses with a product and its bias, by the function that it then is.
FUSED = {FUSED_TANH.name: "Tanh", FUSED_SIGMOID.name: "Sigmoid"}
# What XLA compiled is no operation of TensorFlow's.
XLA = "XLA"
LONG = 4096
# A vector has 4 (SSE, Neon), 8 (AVX) or 16 (AVX-512) lanes: arrays of up to 17 elements meet
# every split into whole vectors and a remainder.
SHORT = tuple(range(1, 18))
# Rows of a softmax, and how many of them.
LENGTHS = (2, 8, 17, 40)
ROWS = 512
# Below 8 units there is no whole AVX vector, above 16 there is a remainder in AVX-512. A single row
# may take other code than several.
UNITS = (1, 3, 8, 16, 17)
BATCHES = (1, 2, 1021)

# Factors, columns and rows of the products that tell where a bias is added: on both sides of whole
# vectors, and of the blocks into which a product of many factors is cut.
PRODUCTS = ((3, 8), (8, 1), (17, 5), (64, 64), (131, 16), (131, 17), (259, 128), (1027, 33))
PRODUCT_BATCHES = (1, 2, 19)
BIASES = (2.0**-20, 1.0, 2.0**12)


class Form(NamedTuple):
    """A function on arrays of one shape, in a graph.

    ``inputs`` and ``output`` are tensors, ``operation`` is what computes the function, as it was
    written. ``arrange`` makes an array for the inputs of ``size`` arguments, ``collect`` takes
    their results out of the output, and ``exact`` computes these results in float64.
    """

    function: Function
    shape: str
    inputs: Any
    output: Any
    operation: Any
    size: int
    arrange: Callable[[np.ndarray], np.ndarray]
    collect: Callable[[np.ndarray], np.ndarray]
    exact: Callable[[np.ndarray], np.ndarray]
    thorough: Intervals
    rounding: float = 0.0


class Probe(NamedTuple):
    """What one kernel computed of some arguments."""

    kernel: Kernel
    arguments: np.ndarray
    results: np.ndarray


class Kernels:
    """The kernels of a session as the harness has.

    Parameters
    ----------
    tf1 : module
        ``rnndiff.models.tf1``.
    compiled : bool, optional
        Those that XLA compiles, or those that it does not; None where it compiles nothing.
    mode : Mode, optional
        In which the session runs.
    """

    def __init__(self, tf1: Any, compiled: Optional[bool] = None, mode: Mode = SESSION) -> None:
        graph = tf1.tf1.Graph()
        with graph.as_default():
            forms = list(_forms(tf1.tf1, mode.precision))
        self._running = _running(tf1, graph, compiled, mode)
        feed = _feed(
            forms, [np.full(form.size, -0.5, precision_of(mode.precision).dtype) for form in forms]
        )
        fetches = list({form.output: None for form in forms})
        nodes = self._running.nodes(fetches, list(feed), list(feed.values()))
        nodes = {node.name: node for node in nodes}
        ops = [_op(form, nodes, bool(compiled)) for form in forms]
        self._forms = [form for form, op in zip(forms, ops) if op]
        self.kernels = [self._kernel(form, op) for form, op in zip(forms, ops) if op]

    def probe(self, arguments: Mapping[str, np.ndarray]) -> Iterator[List[Probe]]:
        """Let all kernels compute, for each function by its name, a few arguments.

        All kernels in one run, and so many runs that each argument comes to every place.
        """
        for shift in range(max(map(len, arguments.values()))):
            given = [
                np.resize(np.roll(arguments[form.function.name], shift), form.size)
                for form in self._forms
            ]
            results = self._run(self._forms, given)
            yield [
                Probe(kernel, x, form.collect(result))
                for kernel, form, x, result in zip(self.kernels, self._forms, given, results)
            ]

    def _run(self, forms: List[Form], arguments: List[np.ndarray]) -> List[np.ndarray]:
        feed = _feed(forms, arguments)
        fetches = [form.output for form in forms]
        return self._running.run(fetches, list(feed), list(feed.values()))

    def _kernel(self, form: Form, op: str) -> Kernel:
        def run(arguments: np.ndarray) -> np.ndarray:
            return _in_blocks(compute, arguments, form.size)

        def compute(block: np.ndarray) -> np.ndarray:
            return form.collect(self._run([form], [block])[0])

        def exact(arguments: np.ndarray) -> np.ndarray:
            return _in_blocks(form.exact, arguments, form.size)

        return Kernel(form.function, op, form.shape, run, exact, form.thorough, form.rounding)


def _running(tf1: Any, graph: Any, compiled: Optional[bool], mode: Mode) -> Any:
    """A graph run as the harness does, but for the rewriting that would join arrays into one."""
    if mode.runner == "eager" or (compiled is not None and mode.runner == "session"):
        # As ``tf.xla.experimental.jit_scope`` does, which is elsewhere in each version.
        for operation in graph.get_operations():
            operation._set_attr("_XlaCompile", tf1.tf1.AttrValue(b=bool(compiled)))
    # Grappler would join many short arrays into a long one: Concat(f(a), f(b)) becomes
    # f(Concat(a, b)). Fusion into a product is another optimizer's work and stays on.
    return running(tf1, graph, mode, rewrites_off=["arithmetic_optimization"])


def fused(node: Any) -> FrozenSet[str]:
    """The operations that a node computes besides its own, such as BiasAdd and Tanh."""
    return frozenset(name.decode() for name in node.attr["fused_ops"].list.s)


def _op(form: Form, nodes: Mapping[str, Any], compiled: bool) -> Optional[str]:
    """The operation that computes a function; None if it is not the one that is asked for."""
    node = nodes.get(form.operation.name)
    if compiled:
        return XLA if node is None else None
    if node is None or not {FUSED.get(form.function.name)} - {None} <= fused(node):
        return None
    return node.op


def _feed(forms: List[Form], arguments: List[np.ndarray]) -> Dict[Any, np.ndarray]:
    return {
        form.inputs: precision_of(form.function.precision).rounded(form.arrange(x))
        for form, x in zip(forms, arguments)
    }


def _in_blocks(
    compute: Callable[[np.ndarray], np.ndarray], arguments: np.ndarray, count: int
) -> np.ndarray:
    """What is computed of `count` arguments at a time; the last ones are filled up."""
    blocks = np.pad(arguments, (0, -len(arguments) % count), mode="edge").reshape(-1, count)
    return np.concatenate([compute(block) for block in blocks])[: len(arguments)]


def _forms(tf1: Any, precision: str) -> Iterator[Form]:
    known = functions_of(precision)
    for function, build in (
        (known["tanh"], tf1.tanh),
        (known["exp"], tf1.exp),
        (known["log"], tf1.log),
        (known["sigmoid"], tf1.sigmoid),
    ):
        inputs = tf1.placeholder(precision, [LONG])
        output = build(inputs)
        shape, count, interesting = "long arrays", LONG, function.domain
        yield _elementwise(function, shape, inputs, output, output.op, count, interesting)
        count, interesting = sum(SHORT), function.dense
        inputs = tf1.placeholder(precision, [count])
        pieces = [build(piece) for piece in tf1.split(inputs, SHORT)]
        shape, output = "arrays of 1 to {}".format(max(SHORT)), tf1.concat(pieces, 0)
        yield _elementwise(function, shape, inputs, output, pieces[0].op, count, interesting)
    for length in LENGTHS:
        yield from _rows(tf1, known["softmax"], length)
    yield from _rows(tf1, known["softmax"], 3, counting=3)
    for units in UNITS:
        yield _fused(tf1, known["fused tanh"], tf1.tanh, units)
        yield _fused(tf1, known["fused sigmoid"], tf1.sigmoid, units)


def _elementwise(
    function: Function,
    shape: str,
    inputs: Any,
    output: Any,
    operation: Any,
    count: int,
    thorough: Intervals,
) -> Form:
    return Form(
        function,
        shape,
        inputs,
        output,
        operation,
        count,
        arrange=lambda x: x.reshape(inputs.shape.as_list()),
        collect=np.ravel,
        exact=lambda x: function.exact(wider(x)),
        thorough=thorough,
    )


def _rows(tf1: Any, softmax: Function, length: int, counting: int = 2) -> Iterator[Form]:
    """Softmax of rows of a zero, which is the maximum, so that to shift is exact, and arguments.

    Of the `length` scores, so many count; the others are so low that they add nothing.
    """
    inputs = tf1.placeholder(softmax.precision, [ROWS, length])
    output = tf1.nn.softmax(inputs)
    rows = np.arange(ROWS)[:, None]
    places = np.argsort(np.random.RandomState(length).rand(ROWS, length), axis=1)
    zeros, others = places[:, :1], places[:, 1:counting]

    def arrange(arguments: np.ndarray) -> np.ndarray:
        scores = np.full((ROWS, length), -1e4, arguments.dtype)
        scores[rows, zeros] = 0.0
        scores[rows, others] = arguments.reshape(ROWS, counting - 1)
        return scores

    def exact(arguments: np.ndarray, places: np.ndarray) -> np.ndarray:
        powers = np.exp(arrange(wider(arguments)))
        return (powers / np.sum(powers, axis=1, keepdims=True))[rows, places].ravel()

    form = Form(
        softmax,
        "{} of {} scores".format(counting, length),
        inputs,
        output,
        output.op,
        ROWS * (counting - 1),
        arrange,
        collect=lambda shares: shares[rows, others].ravel(),
        exact=lambda x: exact(x, others),
        thorough=softmax.dense,
        # The additions are none of its errors.
        rounding=(counting - 1) * precision_of(softmax.precision).eps / 2,
    )
    yield form
    if counting == 2:
        yield form._replace(
            shape="the larger of {}".format(form.shape),
            collect=lambda shares: shares[rows, zeros].ravel(),
            exact=lambda x: exact(x, zeros),
        )


def _fused(tf1: Any, function: Function, build: Callable[[Any], Any], units: int) -> Form:
    """A function after BiasAdd after a product with the identity matrix, which is exact."""
    inputs = tf1.placeholder(function.precision, [sum(BATCHES), units])
    matrix, zeros = (tf1.constant(x, function.precision) for x in (np.eye(units), np.zeros(units)))
    kernel = tf1.placeholder_with_default(matrix, [units, units])
    bias = tf1.placeholder_with_default(zeros, [units])
    outputs = [
        build(tf1.nn.bias_add(tf1.matmul(rows, kernel), bias))
        for rows in tf1.split(inputs, BATCHES)
    ]
    return _elementwise(
        function,
        "{} units".format(units),
        inputs,
        tf1.concat(outputs, 0),
        outputs[0].op,
        sum(BATCHES) * units,
        # One size for all numbers; the others where the function is interesting.
        function.domain if units == 8 else function.dense,
    )


# --- where a bias is added ----------------------------------------------------------------------

# Inputs, kernel and bias; an operation and what it fuses.
Product = Tuple[np.ndarray, np.ndarray, np.ndarray]
Biased = Tuple[str, FrozenSet[str]]


def biased_kernels(
    tf1: Any, compiled: Optional[bool] = None, mode: Mode = SESSION
) -> FrozenSet[Biased]:
    """The kernels that compute a product with its bias and add the bias last.

    One that was seen to add it anywhere else in any product is left out; of other precisions than
    float32, and of what XLA compiles, none is tried; where all is run eagerly there is none.
    """
    if mode.precision != "float32" or mode.runner in ("xla", "eager"):
        return frozenset()
    seen, elsewhere = set(), set()
    for with_tanh in (False, True):
        graph = tf1.tf1.Graph()
        with graph.as_default():
            forms = [_product(tf1.tf1, *sizes, with_tanh) for sizes in PRODUCTS]
        ready = _running(tf1, graph, compiled, mode)
        inputs = [tensor for tensors, _ in forms for tensor in tensors]
        outputs = [output for _, output in forms]
        arrays = _flat(adversarial_products(1, 1.0, with_tanh)[0])
        nodes = {node.name: node for node in ready.nodes(outputs, inputs, arrays)}
        run = partial(_of_arrays, ready, outputs, inputs)
        last = bias_is_last(run, with_tanh)
        for output, right in zip(outputs, last):
            node = nodes.get(output.op.name)
            if node is not None and "BiasAdd" in fused(node):
                seen.add((node.op, fused(node)))
                elsewhere.update(() if right else [(node.op, fused(node))])
    return frozenset(seen - elsewhere)


def _of_arrays(ready: Any, outputs: Any, inputs: Any, *arrays: np.ndarray) -> List[np.ndarray]:
    return ready.run(outputs, inputs, arrays)


# Factors, columns and rows of the products that tell in which precision they are added up.
_FACTORS, _COLUMNS, _ROWS = (2, 3, 8, 17, 64, 131), (1, 3, 8, 17, 33), (1, 2, 19)


def adds_in_float32(tf1: Any, mode: Mode) -> bool:
    """Whether matrix products, and convolutions of one place, of 16 bits are added in float32.

    Such a sum is off by half an ULP and some ULP of float32; one in 16 bits, of that many terms of
    one sign, by more in one of these products.
    """
    graph = tf1.tf1.Graph()
    with graph.as_default():
        sizes = [(k, m, b) for k in _FACTORS for m in _COLUMNS for b in _ROWS]
        forms = [_sum(tf1.tf1, mode.precision, *each) for each in sizes]
    running, precision = _running(tf1, graph, None, mode), precision_of(mode.precision)
    random = np.random.RandomState(0)
    feed = {
        tensor: precision.rounded(random.uniform(0.5, 1.0, tensor.shape.as_list()))
        for tensors, _ in forms
        for tensor in tensors
    }
    fetches = [output for _, outputs in forms for output in outputs]
    results = iter(running.run(fetches, list(feed), list(feed.values())))
    running.close()
    for tensors, outputs in forms:
        inputs, kernel = (feed[tensor].astype(np.float64) for tensor in tensors)
        exact = np.matmul(inputs, kernel)
        # Products of 11 bits, or fewer, are exact in float32.
        beyond = inputs.shape[-1] * 2.0**-24 * exact
        for result in islice(results, len(outputs)):
            if np.max(errors(result, exact, beyond, precision.name)) > 0.5:
                return False
    return True


def _sum(tf1: Any, precision: str, factors: int, units: int, rows: int) -> Tuple[List[Any], Any]:
    inputs = tf1.placeholder(precision, [rows, factors])
    kernel = tf1.placeholder(precision, [factors, units])
    images = tf1.reshape(inputs, [1, rows, 1, factors])
    filters = tf1.reshape(kernel, [1, 1, factors, units])
    convolved = tf1.nn.conv2d(images, filters, strides=[1, 1, 1, 1], padding="SAME")
    return [inputs, kernel], [tf1.matmul(inputs, kernel), tf1.reshape(convolved, [rows, units])]


def _flat(products: List[Product]) -> List[np.ndarray]:
    return [array for arrays in products for array in arrays]


def _product(tf1: Any, factors: int, units: int, with_tanh: bool) -> Tuple[List[Any], Any]:
    inputs = tf1.placeholder(tf1.float32, [None, factors])
    kernel = tf1.placeholder(tf1.float32, [factors, units])
    bias = tf1.placeholder(tf1.float32, [units])
    output = tf1.nn.bias_add(tf1.matmul(inputs, kernel), bias)
    return [inputs, kernel, bias], tf1.tanh(output) if with_tanh else output


def bias_is_last(run: Callable[[List[Product]], List[np.ndarray]], with_tanh: bool) -> List[bool]:
    """For each of ``PRODUCTS`` whether the bias was added last in all that were computed."""
    last = [True] * len(PRODUCTS)
    for batch in PRODUCT_BATCHES:
        for scale in (1.0,) if with_tanh else BIASES:
            products, wanted = adversarial_products(batch, scale, with_tanh)
            results, expected = run(*_flat(products)), run(*_flat(wanted))
            last = [
                right and np.array_equal(result, other)
                for right, result, other in zip(last, results, expected)
            ]
    return last


def adversarial_products(
    batch: int, scale: float, with_tanh: bool
) -> Tuple[List[Product], List[Product]]:
    """Products that differ with the place of their bias, and others that give what they should.

    The terms add up without rounding in any order, and each is less than half an ULP of the bias:
    a bias that comes last is rounded once, and one that comes earlier swallows all that is added to
    it one by one. The others have that rounded sum as their only term, and no bias.
    """
    random = np.random.RandomState(0)
    products, wanted = [], []
    for factors, units in PRODUCTS:
        # Where the tanh is neither flat nor in a binade of larger ULP than its argument's.
        bias = random.uniform(0.25, 0.5, units) if with_tanh else random.uniform(1, 2, units)
        bias = (np.float32(bias) * np.float32(scale)).astype(np.float32)
        ulp = np.spacing(bias).min()
        terms = random.randint(20, 32, (factors, units)) * (ulp / np.float32(64))
        signs = random.choice(np.float32([-1, 1]), units)
        inputs = 2.0 ** random.randint(-3, 4, factors)
        kernel = terms * signs / inputs[:, None]
        total = (terms.sum(axis=0) * signs).astype(np.float32) + bias
        first = np.zeros_like(terms)
        first[0] = total
        ones = np.ones((batch, 1))
        products.append((np.float32(ones * inputs), np.float32(kernel), bias))
        wanted.append((np.float32(ones + 0 * inputs), np.float32(first), 0 * bias))
    return products, wanted
