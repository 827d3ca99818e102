"""Graphs of ONNX's operators, and its own evaluator of them, as a subject."""

from functools import lru_cache
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, optional_import
from rnndiff.harness.judging.excuses import Instead, KnownDivergence, Minimal, Trace
from rnndiff.harness.judging.verdict import ArrayVerdict
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.engine import Engine, LayerResult, State, arrays_of_cells
from rnndiff.harness.subjects.weights import Plain, Weights
from rnndiff.models.cells.layouts import GRU, LSTM, RNN

# The operator set and the file format of ONNX 1.12, which later ones read as well.
_OPSET, _IR_VERSION = 17, 8
_OPERATORS = {RNN: "RNN", LSTM: "LSTM", GRU: "GRU"}
_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}

Session = Callable[[Dict[str, np.ndarray]], List[np.ndarray]]


class Onnx(Engine):
    """What evaluates graphs of ONNX: derive from it, and say how.

    Its operators compute every number: ``RNN``, ``LSTM`` and ``GRU`` (for both directions at once,
    if there are two), ``Gemm``, ``Softmax`` and those of the loss. What moves numbers is NumPy's,
    the arg max included. The operators are given the zero state: without one, that of onnxruntime
    takes the product of state and recurrent kernel for zero in the first step, even if there is NaN
    in the kernel.

    Raises
    ------
    UserError
        If onnx, or what :meth:`prepare` imports, cannot be imported.
    """

    extra = "engines"
    name_of_package = "onnx"

    def __init__(self) -> None:
        super().__init__()
        with optional_import(self.name_of_package, self.extra):
            import onnx
            import onnx.helper

            self._onnx = onnx
            self.prepare()
        node = onnx.helper.make_node
        self._affine = self._function([node("Gemm", ["x", "kernel", "bias"], ["y"])])
        self._softmax = self._function([node("Softmax", ["scores"], ["y"], axis=-1)])
        self._loss = self._function(
            [
                node("Clip", ["probabilities", "least", "most"], ["clipped"]),
                node("Log", ["clipped"], ["logs"]),
                node("Mul", ["labels", "logs"], ["products"]),
                node("Constant", [], ["last"], value_ints=[-1]),
                node("ReduceSum", ["products", "last"], ["sums"], keepdims=0),
                # Not ReduceMean, by which the mean of no rows is 0.
                node("ReduceSum", ["sums"], ["total"], keepdims=0),
                node("Size", ["sums"], ["size"]),
                node("Cast", ["size"], ["count"], to=onnx.TensorProto.FLOAT),
                node("Div", ["total", "count"], ["mean"]),
                node("Neg", ["mean"], ["y"]),
            ]
        )
        self._recurrent = lru_cache(maxsize=256)(self._new_recurrent)

    def prepare(self) -> None:
        """Import what evaluates graphs."""
        raise NotImplementedError

    def session(self, model: Any) -> Session:
        """A function from the arrays that a model reads to those that it gives."""
        raise NotImplementedError

    def has(self, plain: Plain, config: Any) -> bool:
        """All that an operator's attributes can say."""
        return plain.projected is None and plain.activation in _ACTIVATIONS

    def layer(
        self,
        cells: Sequence[Weights],
        inputs: np.ndarray,
        lengths: Optional[np.ndarray],
        initial: Optional[Sequence[State]],
    ) -> List[LayerResult]:
        """As :meth:`Engine.layer`: of an LSTM, no c but the last one."""
        plain = cells[0].plain
        parts = ["h", "c"] if plain.cell == LSTM else ["h"]
        zeros = {part: np.zeros((len(inputs), plain.units), np.float32) for part in parts}
        starts = initial or [zeros] * len(cells)
        weights = map(np.stack, zip(*(cell.laid_out("onnx") for cell in cells)))
        states = [np.stack([start[part] for start in starts]) for part in parts]
        read = [np.swapaxes(inputs, 0, 1), *weights, *states]
        read += [] if lengths is None else [lengths]
        run = self._recurrent(plain, len(cells), lengths is not None)
        outputs, *final = run(*read)
        return [
            LayerResult(
                np.swapaxes(outputs[:, place], 0, 1),
                {part: each[place] for part, each in zip(parts, final)},
            )
            for place in range(len(cells))
        ]

    def affine(self, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """``Gemm``."""
        return self._affine(x, kernel, bias)[0]

    def softmax(self, scores: np.ndarray) -> np.ndarray:
        """``Softmax``."""
        return self._softmax(scores)[0]

    def loss(self, probabilities: np.ndarray, labels: np.ndarray) -> Any:
        """By ``Clip``, ``Log`` and ``ReduceSum``."""
        bounds = np.array(1e-10, np.float32), np.array(1, np.float32)
        return self._loss(probabilities, *bounds, labels)[0]

    def _new_recurrent(self, plain: Plain, directions: int, lengths: bool) -> Any:
        activations = {RNN: [], LSTM: ["Sigmoid"], GRU: ["Sigmoid"]}[plain.cell]
        activations += [_ACTIVATIONS[plain.activation]] * (2 if plain.cell == LSTM else 1)
        given: Dict[str, Any] = dict(
            hidden_size=plain.units,
            direction="bidirectional" if directions == 2 else "forward",
            activations=activations * directions,
        )
        if plain.cell == GRU:
            given["linear_before_reset"] = int(plain.reset_after)
        states = ["state", "cell"] if plain.cell == LSTM else ["state"]
        inputs = ["x", "kernel", "recurrent_kernel", "bias", "lengths" if lengths else "", *states]
        outputs = ["y", "final", "final_cell"][: 1 + len(states)]
        node = self._onnx.helper.make_node(_OPERATORS[plain.cell], inputs, outputs, **given)
        order = [*inputs[:4], *states] + ["lengths"] * lengths
        return self._function([node], order, outputs)

    def _function(
        self, nodes: List[Any], read: Sequence[str] = (), given: Sequence[str] = ("y",)
    ) -> Callable[..., List[np.ndarray]]:
        """A function of the arrays that these operators read, in order, to those `given`.

        By default the order is that in which they first read them.
        """
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        made = {name for node in nodes for name in node.output}
        read = read or list(
            dict.fromkeys(x for node in nodes for x in node.input if x and x not in made)
        )
        values = [
            [
                helper.make_tensor_value_info(
                    x, kinds.INT32 if x == "lengths" else kinds.FLOAT, None
                )
                for x in part
            ]
            for part in (read, given)
        ]
        graph = helper.make_graph(nodes, "rnndiff", *values)
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
        session = self.session(model)

        def run(*arrays: np.ndarray) -> List[np.ndarray]:
            feed = {name: np.ascontiguousarray(x) for name, x in zip(read, arrays)}
            try:
                return session(feed)
            except Exception as error:  # Its errors have no class in common.
                raise SubjectError("{}: {}".format(type(error).__name__, error)) from error

        return run


# As `rnndiff ulp --subject onnx` measured the ReferenceEvaluator of onnx 1.23 on NumPy 2.4, on
# 293,655 arguments, and half as much again; on an AMD EPYC with AVX-512, 2026-11-27. It saw the
# bias added last in all 100,720 sums, of the operator RNN and of Gemm.
ARITHMETIC = arithmetic(
    "float32",
    {
        "tanh": Accuracy(2.1, 2.0**-126),
        "softmax": Accuracy(1.2, 2.0**-126),
        "log": Accuracy(3.0, 2.0**-126),
    },
    bias_anywhere=True,
)


def where_nan(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """Whatever stands where NaN is expected."""
    return Instead(np.isnan(array.expected))


def _infinite_cell(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """NaN in rows in which c is infinite at some time."""
    oracle = case.oracle("float32")
    of_c = [x for name, x in oracle.items() if name.endswith(("states_c", "final_c"))]
    infinite = sum(np.isinf(x).reshape(len(x), -1).any(axis=1) for x in of_c)
    covered = np.zeros(array.actual.shape, bool)
    covered[np.asarray(infinite, bool)] = True
    return Instead(covered, np.full(array.actual.shape, np.nan))


_DIVERGENCES = (
    KnownDivergence(
        name="onnx-dot-skips-zero-times-nan",
        what="np.dot, by which the ReferenceEvaluator multiplies, has 0 for a product of 0 and NaN "
        "or an infinity where one factor is a single number",
        where="onnx 1.23 on NumPy 2.4",
        arrays=arrays_of_cells("bidirectional", "seq2seq", "rnn", "birnn"),
        instead=where_nan,
        minimal=Minimal("seq2seq", {"batch": 2}, {"inputs": {(0, 0, 0): np.nan}}),
    ),
    KnownDivergence(
        name="onnx-lstm-multiplies-peepholes-that-are-not-there",
        what="the ReferenceEvaluator's LSTM multiplies c by peepholes of 0 where there are none: "
        "NaN, if c is infinite",
        where="onnx 1.23",
        arrays=arrays_of_cells("rnn", "birnn"),
        instead=_infinite_cell,
        minimal=Minimal(
            "rnn-basic-lstm",
            {"initial_state": True},
            {"initial_c": {(0, 0): np.inf}},
        ),
    ),
)


class OnnxReference(Onnx):
    """``onnx.reference.ReferenceEvaluator``, which computes in NumPy.

    Of its operators, those that are recurrent pass over ``sequence_lens`` and ``clip``, and those
    with gates over ``activations``, too: what needs these is left out.
    """

    known = _DIVERGENCES

    def prepare(self) -> None:
        """Import what evaluates graphs."""
        from onnx.reference import ReferenceEvaluator

        self._evaluator = ReferenceEvaluator

    def session(self, model: Any) -> Session:
        """A function from the arrays that a model reads to those that it gives."""
        evaluator = self._evaluator(model)

        def run(feed: Dict[str, np.ndarray]) -> List[np.ndarray]:
            with np.errstate(all="ignore"):
                return list(evaluator.run(None, feed))

        return run

    def has(self, plain: Plain, config: Any) -> bool:
        """What these operators do not pass over."""
        lengths = getattr(config, "sequence_length", False)
        return super().has(plain, config) and plain.activation == "tanh" and not lengths

    def arithmetic(self, case: Case) -> Arithmetic:
        """Float32, and its functions as they were measured."""
        return ARITHMETIC
