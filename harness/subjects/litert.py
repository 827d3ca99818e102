"""LiteRT, which was TensorFlow Lite: TensorFlow's own graphs, converted, as a subject."""

import warnings
from collections import OrderedDict
from dataclasses import replace
from itertools import product
from typing import Any, Callable, Dict, NamedTuple, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.changed_cells import Change, by_kernels, with_cells
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.judging.excuses import Entry, Instead, KnownDivergence, Minimal, Trace
from rnndiff.harness.judging.verdict import ArrayVerdict
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, exact
from rnndiff.harness.subjects.engine import arrays_of_cells
from rnndiff.harness.subjects.subject import Subject
from rnndiff.harness.subjects.tensorflow import tensorflow
from rnndiff.harness.subjects.tensorflow.divergences import (
    expected_of,
    replaced,
    stand_in,
    with_zeros_that_are_known,
)
from rnndiff.models import Model
from rnndiff.models.cells.kinds import PLAIN
from rnndiff.models.functions import affine, interpolate, one_hot, sigmoid
from rnndiff.models.layout import options_in

FAMILIES = "bidirectional", "seq2seq", "rnn", "birnn"
CONFIGS_KEPT = 64
# The first TensorFlow whose kernels are known to do what is said here: XNNPACK of 2.20 reads NaN
# otherwise where it is clipped, and 2.16 where it is added.
OLDEST = (2, 21)
XNNPACK, BUILTIN = "xnnpack", "builtin"
# As `rnndiff ulp --subject litert --samples 20000` measured TensorFlow 2.21 in each mode, on 85,183
# arguments and 50,275 sums or more, and half as much again; on an AMD EPYC with AVX-512,
# 2026-11-27. Of tanh that is of 1.3 million arguments of the operation: 4.43 and 6.14 ULP.
ARITHMETICS = {
    XNNPACK: arithmetic(
        "float32",
        {
            "tanh": Accuracy(6.7, 2.0**-126),
            "softmax": Accuracy(2.0, 3.6e-38),
            "log": Accuracy(1.1, 2.0**-126),
        },
        bias_anywhere=True,
    ),
    BUILTIN: arithmetic(
        "float32",
        {
            "tanh": Accuracy(9.3, 2.0**-126),
            "softmax": Accuracy(1.1, 2.0**-126),
            "log": Accuracy(1.0, 2.0**-126),
        },
        bias_anywhere=False,
    ),
}
# The weights that a graph is converted with are all the numbers from here on, one each, by which
# they are found again in what comes of it.
_FIRST, _AT_MOST = np.uint32(0x3F123457), 2**22

# What follows from a divergence is rounded, and its functions are as inaccurate as any engine's.
_FLOAT32 = arithmetic("float32")
_LARGEST = float(np.finfo(np.float32).max)
# Of no class: so the arg max says where it finds none.
_NOWHERE = 2**31 - 1
# From here on XNNPACK's sigmoid is NaN of some numbers, as tried on 400,000 of both signs: the
# smallest was 2^88.48, the largest 2^127.47.
_HUGE = 2.0**88


# --- known divergences --------------------------------------------------------------------------


def in_lanes(scores: np.ndarray) -> np.ndarray:
    """The arg max of scores [..., outputs] as LiteRT has it on x86.

    Four lanes go through a row, each of which keeps the place of what is greater than what it has
    had before, and takes NaN, and what follows it, for what it has. The greatest of the lanes is
    looked for among them, and what is left is compared with it one by one.
    """
    outputs, start = scores.shape[-1], scores.shape[-1] // 4 * 4
    if start:
        best, places = scores[..., :4], np.broadcast_to(np.arange(4), scores[..., :4].shape)
        for first in range(4, start, 4):
            more = scores[..., first : first + 4]
            places = np.where(more > best, first + np.arange(4), places)
            best = np.where(best > more, best, more)
        halves = _greater(best[..., ::2], best[..., 1::2])
        found = _greater(halves[..., 0], halves[..., 1])
        place = np.where(best == found[..., None], places, _NOWHERE).min(axis=-1)
    else:
        start, found, place = 1, scores[..., 0], np.zeros(scores.shape[:-1], np.int64)
    for each in range(start, outputs):
        place = np.where(scores[..., each] > found, each, place)
        found = _greater(found, scores[..., each])
    return place


def _greater(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(b > a, b, a)


def _chosen_in_lanes(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """What that arg max finds in a row with NaN."""
    scores = np.asarray(trace["scores"])
    covered, chosen = np.isnan(scores).any(axis=-1), in_lanes(scores)
    if array.name == "accuracy":
        right = np.equal(trace["predictions"], in_lanes(case.labels))
        # The sum is exact; it is divided, or multiplied by the reciprocal.
        return Instead(covered.any() or np.isnan(case.labels).any(), np.mean(right), 2.0**-23)
    if array.name == "fed_back":
        tokens = one_hot(chosen[:, :-1], scores.shape[-1], np.float32)
        return Instead(np.broadcast_to(covered[:, :-1, None], tokens.shape), tokens)
    return Instead(covered, chosen)


def _by_cells(change: Change, mode: str) -> Callable[[Case, Trace, ArrayVerdict], Instead]:
    """What all changes of a mode make of cells, where this one matters: alone, or to the others."""

    def instead(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
        if case.config.kind is PLAIN:
            # Nothing in it is changed.
            return Instead(np.zeros(array.actual.shape, bool), array.actual)
        others = tuple(each for each in _CHANGES[mode] if each is not change)
        alone, without, found = (
            expected_of(with_cells(case, changes), trace, array, ARITHMETICS[mode])
            for changes in ((change,), others, _CHANGES[mode])
        )
        covered = _are_apart(alone, array) | _are_apart(found, without)
        return Instead(covered, found.expected, found.bound)

    return instead


def _are_apart(one: ArrayVerdict, other: ArrayVerdict) -> np.ndarray:
    apart = np.abs(one.expected - other.expected) > one.bound + other.bound
    return apart | (np.isnan(one.expected) != np.isnan(other.expected))


def _of_largest(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """The largest number for an infinity; of cells, also what comes of it."""
    if array.name == "scores":
        return Instead(np.isinf(array.expected), np.copysign(_LARGEST, array.expected))
    if array.name == "loss":
        products = case.labels * np.log(np.clip(trace["probabilities"], 1e-10, 1.0))
        return _loss(case, trace)._replace(covered=np.isinf(products).any())
    return _by_cells(_with_largest, BUILTIN)(case, trace, array)


def _loss_of_certainty(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """The loss if NaN is a probability of 1."""
    return _loss(case, trace)._replace(covered=np.isnan(trace["probabilities"]).any())


def _loss(case: Case, trace: Trace) -> Instead:
    """With both: a product that is infinite is the largest number, too."""
    logs = np.log(_clip(exact(trace["probabilities"], _FLOAT32), 1e-10, 1.0))
    loss = np.mean(-np.sum(_multiply(exact(case.labels, _FLOAT32), logs), axis=-1))
    return Instead(np.array(True), loss.mid, loss.rad)


def _sigmoid_of_balls(x: BoundedArray) -> BoundedArray:
    huge = np.isfinite(x.mid) & (np.abs(x.mid) >= _HUGE)
    return replaced(sigmoid(x), huge, np.nan)


def _at_most_largest(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, and the largest number for an infinity."""

    def of_balls(*args: Any) -> BoundedArray:
        found = function(*args)
        found = replaced(found, np.isinf(found.mid), np.copysign(_LARGEST, found.mid))
        return _near_largest(function, args, found) if np.isinf(found.rad).any() else found

    return stand_in(function, of_balls)


def _near_largest(function: Callable[..., Any], args: Any, found: BoundedArray) -> BoundedArray:
    """What is found, or where that is nothing, as it may overflow, what lies between its ends."""
    if not isinstance(function, np.ufunc) or function is np.matmul:
        return found
    ends = [_ends(x, found.mid.ndim) if isinstance(x, BoundedArray) else (x,) for x in args]
    of_ends = np.stack(np.broadcast_arrays(*(function(*each) for each in product(*ends))))
    least, most = (np.clip(f(of_ends, axis=0), -_LARGEST, _LARGEST) for f in (np.min, np.max))
    mid, rad = (least + most) / 2, (most - least) / 2 + _LARGEST * 2.0**-23
    is_known = np.isinf(found.rad) & np.isfinite(mid)
    mid, rad = np.where(is_known, mid, found.mid), np.where(is_known, rad, found.rad)
    return BoundedArray(mid, rad, found.arithmetic, stacked=found.stacked)


def _ends(balls: BoundedArray, ndim: int) -> Tuple[np.ndarray, np.ndarray]:
    """Of a stack with so many axes at least: those that are not there come after the first one."""
    least, most = balls.mid - balls.rad, balls.mid + balls.rad
    if not balls.stacked:
        return least, most
    shape = least.shape[:1] + (1,) * (ndim - least.ndim) + least.shape[1:]
    return least.reshape(shape), most.reshape(shape)


_add, _multiply = _at_most_largest(np.add), _at_most_largest(np.multiply)
_subtract = _at_most_largest(np.subtract)


def _interpolate(weight: Any, a: Any, b: Any) -> Any:
    # Zeros that are known say themselves what they are times anything.
    first = weight * a if isinstance(a, np.ndarray) else _multiply(weight, a)
    return _add(first, _multiply(_subtract(1, weight), b))


def _clip_of_balls(x: BoundedArray, least: float, most: float) -> BoundedArray:
    return replaced(np.clip(x, least, most), np.isnan(x.mid), most)


_clip = stand_in(np.clip, _clip_of_balls)

_with_nan_of_huge = by_kernels({sigmoid: stand_in(sigmoid, _sigmoid_of_balls)})
_with_largest = by_kernels(
    {
        np.add: _add,
        np.multiply: _multiply,
        np.subtract: _subtract,
        np.matmul: _at_most_largest(np.matmul),
        affine: _at_most_largest(affine),
        interpolate: _interpolate,
    }
)
_with_clipped_nan = by_kernels({np.clip: _clip})
_CHANGES: Dict[str, Tuple[Change, ...]] = {
    XNNPACK: (with_zeros_that_are_known, _with_nan_of_huge),
    BUILTIN: (with_zeros_that_are_known, _with_largest, _with_clipped_nan),
}

_WHERE = "TensorFlow 2.21, on x86"
_OF_CELLS = arrays_of_cells(*FAMILIES)


def _known_in(mode: str) -> Tuple[Entry, ...]:
    """The entries of a mode."""
    choices = KnownDivergence(
        name="litert-arg-max-of-nan",
        what="the arg max of a row with NaN is that of other classes, or, of four and more, "
        "2147483647, which is none",
        where=_WHERE,
        arrays=("predictions", "fed_back", "accuracy"),
        instead=_chosen_in_lanes,
        minimal=Minimal("bidirectional", {"outputs": 4}, {"projection/bias": {(0,): np.nan}}),
    )
    zeros = KnownDivergence(
        name="litert-zero-state-times-nan",
        what="the converter takes a gate times the zeros of the initial state for zero, which it "
        "is not where the gate is NaN",
        where=_WHERE,
        arrays=_OF_CELLS,
        instead=_by_cells(with_zeros_that_are_known, mode),
        minimal=Minimal("rnn-basic-lstm", {}, {"cell/bias": {(2,): np.nan}}),
    )
    if mode == XNNPACK:
        huge = KnownDivergence(
            name="xnnpack-sigmoid-of-huge-numbers",
            what="XNNPACK's sigmoid of numbers from 2^88 to 2^128 is NaN, of most of them",
            where=_WHERE,
            arrays=_OF_CELLS,
            instead=_by_cells(_with_nan_of_huge, XNNPACK),
            minimal=Minimal("rnn-basic", {"activation": "sigmoid"}, {"cell/bias": {(0,): 1e30}}),
        )
        return choices, zeros, huge
    largest = KnownDivergence(
        name="litert-clips-to-the-largest-number",
        what="a product, sum or difference that is infinite is the largest number",
        where=_WHERE + ", without XNNPACK",
        arrays=_OF_CELLS,
        instead=_of_largest,
        minimal=Minimal("bidirectional", {}, {"projection/bias": {(0,): np.inf}}),
    )
    clipped = KnownDivergence(
        name="litert-clips-nan",
        what="NaN clipped is the greatest number that is let through: a state is at its limit",
        where=_WHERE + ", without XNNPACK",
        arrays=_OF_CELLS,
        instead=_by_cells(_with_clipped_nan, BUILTIN),
        minimal=Minimal("rnn-lstm", {"cell_clip": 0.5}, {"cell/bias": {(0,): np.nan}}),
    )
    certain = KnownDivergence(
        name="litert-loss-of-nan",
        what="the same of probabilities that are NaN, which count as 1: the loss is a number",
        where=_WHERE + ", without XNNPACK",
        arrays=("loss",),
        instead=_loss_of_certainty,
        minimal=Minimal("bidirectional", {"outputs": 2}, {"projection/bias": {(0,): np.nan}}),
    )
    return choices, zeros, largest, clipped, certain


# --- the subject --------------------------------------------------------------------------------


class Converted(NamedTuple):
    """What the converter makes of a graph.

    ``content`` is the model as words of 32 bits; ``at`` says in which of these weights stand, and
    ``which`` of all weights, one parameter after the other, each is. ``outputs`` are the names that
    the arrays of the trace have in it, and ``empty`` those without elements, which are not.
    """

    content: np.ndarray
    at: np.ndarray
    which: np.ndarray
    outputs: Dict[str, str]
    empty: Dict[str, np.ndarray]

    def of(self, parameters: Sequence[np.ndarray]) -> bytes:
        """The same model with other weights."""
        content = self.content.copy()
        weights = np.concatenate([x.astype(np.float32).ravel() for x in parameters])
        content[self.at] = weights.view(np.uint32)[self.which]
        return content.tobytes()


class LiteRT(Subject):
    """What ``tf.lite.TFLiteConverter`` makes of a model's graph, run by ``tf.lite.Interpreter``.

    That is the interpreter which everybody has who can convert; the package ai-edge-litert, which
    is to take its place, has others of its kernels, so that what is stated here is not known of it.
    It runs on one thread of the processor. The weights are constants, as of all
    models that are converted once they are trained, so that products and biases are one operation
    FULLY_CONNECTED; to save time, a graph is converted once for each config, and the weights of a
    case are then written in the place of those it was converted with.

    Computed are the article's bidirectional RNN and encoder-decoder, and the models with cells,
    run by ``static_rnn`` and the like. Loops and arrays without elements are left out.

    Raises
    ------
    UserError
        If TensorFlow cannot be imported, or is older than what was tried.
    """

    modes = {
        XNNPACK: "As the interpreter does by default: XNNPACK computes what it can.",
        BUILTIN: "By LiteRT's own kernels alone.",
    }

    def __init__(self, mode: str = XNNPACK) -> None:
        self._tf1, self._in_mode = tensorflow(), mode
        if self._tf1.VERSION < OLDEST:
            raise UserError(
                "This needs TensorFlow {}.{} or later, and here is {}.{}.".format(
                    *OLDEST, *self._tf1.VERSION
                )
            )
        from tensorflow import lite

        self._interpreter, resolvers = lite.Interpreter, lite.experimental.OpResolverType
        by_default = resolvers.AUTO
        alone = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._kernels = by_default if mode == XNNPACK else alone
        self.known = _known_in(mode)
        self._ready: OrderedDict[Any, Converted] = OrderedDict()

    def supports(self, model: Model, config: Any) -> bool:
        """Those of FAMILIES whose cells are run step by step, if no size is 0."""
        kind = getattr(config, "kind", None)
        if model.family not in FAMILIES or not model.graph_module or not kind:
            return False
        if kind.contrib or kind.noise or "feeds" in options_in(config):
            return False
        runner = getattr(config, "runner", "static")
        return runner.startswith("static") and min(config.sizes().values()) > 0

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """Compute every array of the trace.

        Raises
        ------
        SubjectError
            If the converter or the interpreter raises an error.
        """
        try:
            converted = self._converted(case.model, replace(case.config, open_batch=False))
            return self._run(converted, case)
        except (RuntimeError, ValueError) as error:
            raise SubjectError("{}: {}".format(type(error).__name__, error)) from error

    def arithmetic(self, case: Case) -> Arithmetic:
        """Float32, and its functions as they were measured."""
        return ARITHMETICS[self._in_mode]

    def _run(self, converted: Converted, case: Case) -> Dict[str, np.ndarray]:
        with warnings.catch_warnings():
            # It says that there is the other one.
            warnings.simplefilter("ignore", UserWarning)
            interpreter = self._interpreter(
                model_content=converted.of(case.parameters),
                num_threads=1,
                experimental_op_resolver_type=self._kernels,
            )
        interpreter.allocate_tensors()
        for each in interpreter.get_input_details():
            interpreter.set_tensor(each["index"], case.arrays[each["name"]])
        interpreter.invoke()
        found = {each["name"]: each["index"] for each in interpreter.get_output_details()}
        computed = {n: interpreter.get_tensor(found[x]) for n, x in converted.outputs.items()}
        return dict(converted.empty, **computed)

    def _converted(self, model: Model, config: Any) -> Converted:
        key = model.name, config
        if key in self._ready:
            self._ready.move_to_end(key)
        else:
            self._ready[key] = self._new_converted(model, config)
            if len(self._ready) > CONFIGS_KEPT:
                self._ready.popitem(last=False)
        return self._ready[key]

    def _new_converted(self, model: Model, config: Any) -> Converted:
        tf1 = self._tf1.tf1
        graph = model.graph().build(config)
        shapes = [tuple(x.shape.as_list()) for x in graph.parameters]
        sizes = [int(np.prod(shape)) for shape in shapes]
        if sum(sizes) > _AT_MOST:
            raise ValueError("more than {} weights".format(_AT_MOST))
        empty = {
            name: np.zeros(x.shape.as_list(), x.dtype.as_numpy_dtype)
            for name, x in graph.trace.items()
            if 0 in x.shape.as_list()
        }
        numbers = (np.arange(sum(sizes), dtype=np.uint32) + _FIRST).view(np.float32)
        parts = np.split(numbers, np.cumsum(sizes)[:-1])
        with graph.graph.as_default(), tf1.Session(graph=graph.graph) as session:
            for variable, part, shape in zip(graph.parameters, parts, shapes):
                variable.load(part.reshape(shape), session)
            converter = tf1.lite.TFLiteConverter.from_session(
                session,
                list(graph.data.values()),
                [x for name, x in graph.trace.items() if name not in empty],
            )
            content = converter.convert()
        words = np.frombuffer(content + b"\0" * (-len(content) % 4), np.uint32)
        # Of what is smaller, the difference is very large.
        which = words - _FIRST
        at = np.flatnonzero(which < len(numbers))
        if len(np.unique(which[at])) < len(numbers):
            raise ValueError("the converter has computed with weights")
        outputs = {n: _without_zero(x.name) for n, x in graph.trace.items() if n not in empty}
        return Converted(words, at, which[at], outputs, empty)


def _without_zero(tensor: str) -> str:
    """The name of a tensor as the converter has it: that of the operation, if it is the first."""
    return tensor[: -len(":0")] if tensor.endswith(":0") else tensor
