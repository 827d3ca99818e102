"""LiteRT, which was TensorFlow Lite: TensorFlow's own graphs, converted, as a subject."""

import warnings
from collections import OrderedDict
from dataclasses import replace
from typing import Any, Dict, NamedTuple, Sequence

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.litert_divergences import (
    FAMILIES,
    known_of_builtin,
    known_of_xnnpack,
)
from rnndiff.harness.subjects.subject import Subject
from rnndiff.harness.subjects.tensorflow import tensorflow
from rnndiff.models import Model
from rnndiff.models.layout import options_in

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
KNOWN = {
    XNNPACK: known_of_xnnpack(ARITHMETICS[XNNPACK]),
    BUILTIN: known_of_builtin(ARITHMETICS[BUILTIN]),
}
# The weights that a graph is converted with are all the numbers from here on, one each, by which
# they are found again in what comes of it; if some are not, it is converted with others as well.
_FIRST, _AT_MOST = np.uint32(0x3F123457), 2**22
_OTHERS = _FIRST + np.uint32(_AT_MOST)


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
        self.known = KNOWN[mode]
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
        except Exception as error:  # Theirs have no class in common.
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
        count, ends = sum(sizes), np.cumsum(sizes)[:-1]
        with graph.graph.as_default(), tf1.Session(graph=graph.graph) as session:

            def converted_with(first: Any) -> np.ndarray:
                numbers = (np.arange(count, dtype=np.uint32) + first).view(np.float32)
                for variable, part, shape in zip(graph.parameters, np.split(numbers, ends), shapes):
                    variable.load(part.reshape(shape), session)
                converter = tf1.lite.TFLiteConverter.from_session(
                    session,
                    list(graph.data.values()),
                    [x for name, x in graph.trace.items() if name not in empty],
                )
                content = converter.convert()
                return np.frombuffer(content + b"\0" * (-len(content) % 4), np.uint32)

            words = converted_with(_FIRST)
            # Of what is smaller, the difference is very large.
            which = words - _FIRST
            at = np.flatnonzero(which < count)
            if len(np.unique(which[at])) < count:
                # What is multiplied by zeros that are known is gone, and nothing comes of it.
                expected = words.copy()
                expected[at] = which[at] + _OTHERS
                if not np.array_equal(converted_with(_OTHERS), expected):
                    raise ValueError("the converter has computed with weights")
        outputs = {n: _without_zero(x.name) for n, x in graph.trace.items() if n not in empty}
        return Converted(words, at, which[at], outputs, empty)


def _without_zero(tensor: str) -> str:
    """The name of a tensor as the converter has it: that of the operation, if it is the first."""
    return tensor[: -len(":0")] if tensor.endswith(":0") else tensor
