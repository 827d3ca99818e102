"""Onnxruntime's operator RNN, as a subject: the bidirectional RNN and the encoder-decoder."""

from functools import lru_cache
from typing import Any, Dict, List, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.subject import Subject
from rnndiff.models import Model

# The operator set and the file format of ONNX 1.12, which later ones read as well.
_OPSET, _IR_VERSION = 17, 8

# As `rnndiff ulp --subject onnxruntime` measured onnxruntime 1.32 on 2.3 million arguments and
# 2,538 sums, and half as much again; on an Intel Xeon with AVX-512. Of 94 million numbers, no tanh
# was off by more than 0.65 ULP + 1.4e-7.
ARITHMETIC = arithmetic(
    "float32",
    {
        "tanh": Accuracy(1.9, 1.6e-07),
        "softmax": Accuracy(1.4, 2.0**-126),
        "log": Accuracy(2.4, 2.0**-126),
    },
    bias_anywhere=True,
)


class OnnxRuntime(Subject):
    """The onnxruntime at hand, on one thread of the processor.

    Its operators compute every number: ``RNN`` (for both directions at once in the bidirectional
    model), ``Gemm``, ``Softmax`` and those of the loss. What moves numbers is NumPy's, the arg max
    included. The operator is given the zero state: without one, it takes the product of state and
    recurrent kernel for zero in the first step, even if there is NaN in the kernel.

    Raises
    ------
    UserError
        If onnx or onnxruntime cannot be imported.
    """

    def __init__(self) -> None:
        try:
            import onnx
            import onnx.helper
            import onnxruntime
        except ImportError as error:
            raise UserError(
                "This needs onnxruntime ({}): run pip install '.[engines]' in the folder of "
                "rnndiff.".format(error)
            )
        self._onnx, self._runtime = onnx, onnxruntime
        self._models = {"bidirectional": self._bidirectional, "seq2seq": self._seq2seq}
        node = onnx.helper.make_node
        self._affine = self._session([node("Gemm", ["x", "kernel", "bias"], ["y"])])
        self._softmax = self._session([node("Softmax", ["scores"], ["y"], axis=-1)])
        self._loss = self._session(
            [
                node("Clip", ["probabilities", "least", "most"], ["clipped"]),
                node("Log", ["clipped"], ["logs"]),
                node("Mul", ["labels", "logs"], ["products"]),
                node("Constant", [], ["last"], value_ints=[-1]),
                node("ReduceSum", ["products", "last"], ["sums"], keepdims=0),
                # Not ReduceMean, by which the mean of no rows is 0.
                node("ReduceSum", ["sums"], ["total"], keepdims=0),
                node("Size", ["sums"], ["size"]),
                node("Cast", ["size"], ["count"], to=self._onnx.TensorProto.FLOAT),
                node("Div", ["total", "count"], ["mean"]),
                node("Neg", ["mean"], ["y"]),
            ]
        )
        self._rnn = lru_cache(maxsize=None)(self._new_rnn)

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """Compute every array of the trace.

        Raises
        ------
        SubjectError
            If onnxruntime raises an error.
        """
        return self._models[case.model.name](case)

    def supports(self, model: Model, config: Any) -> bool:
        """Bidirectional and seq2seq."""
        return model.name in self._models

    def arithmetic(self, case: Case) -> Arithmetic:
        """Float32, and its functions as they were measured."""
        return ARITHMETIC

    def _bidirectional(self, case: Case) -> Dict[str, np.ndarray]:
        parameters, units = case.parameters, case.config.num_units
        state = np.zeros((case.config.batch, 2, units), np.float32)
        states = self._run([parameters[0:2], parameters[2:4]], case.inputs, state)
        forward, backward = states[:, :, 0], states[:, :, 1]
        outputs = np.concatenate([forward, backward], axis=2)
        scores = self._affine(outputs[:, -1], *parameters[4:6])
        return dict(
            self._judged(scores, case.labels),
            outputs=outputs,
            forward_final_state=forward[:, -1],
            backward_final_state=backward[:, 0],
        )

    def _seq2seq(self, case: Case) -> Dict[str, np.ndarray]:
        parameters, config = case.parameters, case.config
        state = np.zeros((config.batch, 1, config.num_units), np.float32)
        encoder_states = self._run([parameters[0:2]], case.inputs, state)[:, :, 0]
        states = [encoder_states[:, -1]]
        classes = np.eye(config.outputs, dtype=np.float32)
        scores, tokens = [self._affine(states[-1], *parameters[2:4])], []
        for _ in range(config.output_time - 1):
            tokens.append(classes[np.argmax(scores[-1], axis=-1)])
            steps = tokens[-1][:, None]
            states.append(self._run([parameters[4:6]], steps, states[-1][:, None])[:, 0, 0])
            scores.append(self._affine(states[-1], *parameters[2:4]))

        return dict(
            self._judged(np.stack(scores, axis=1), case.labels),
            encoder_states=encoder_states,
            decoder_states=_stacked(states[1:], (config.batch, 0, config.num_units)),
            fed_back=_stacked(tokens, (config.batch, 0, config.outputs)),
        )

    def _judged(self, scores: np.ndarray, labels: np.ndarray) -> Dict[str, np.ndarray]:
        probabilities, predictions = self._softmax(scores), np.argmax(scores, axis=-1)
        correct = predictions == np.argmax(labels, axis=-1)
        bounds = np.array(1e-10, np.float32), np.array(1, np.float32)
        with np.errstate(invalid="ignore"):
            return {
                "scores": scores,
                "probabilities": probabilities,
                "predictions": predictions,
                "accuracy": np.float32(np.sum(correct)) / np.float32(correct.size),
                "loss": self._loss(probabilities, *bounds, labels),
            }

    def _run(
        self, cells: List[List[np.ndarray]], inputs: np.ndarray, state: np.ndarray
    ) -> np.ndarray:
        """The states [batch, time, cells, units] of one cell, or of two that run in opposite ways.

        ``state`` is [batch, cells, units].
        """
        read = inputs.shape[2]
        # ONNX has the units first, and a bias for the input and one for the state.
        kernels = np.stack([kernel.T for kernel, _ in cells])
        biases = np.stack([np.concatenate([bias, np.zeros_like(bias)]) for _, bias in cells])
        states = self._rnn(state.shape[2], len(cells))(
            np.swapaxes(inputs, 0, 1),
            kernels[:, :, :read],
            kernels[:, :, read:],
            biases,
            np.swapaxes(state, 0, 1),
        )
        return np.transpose(states, (2, 0, 1, 3))

    def _new_rnn(self, units: int, directions: int) -> Any:
        inputs = ["x", "kernel", "recurrent_kernel", "bias", "", "state"]
        direction = "bidirectional" if directions == 2 else "forward"
        attributes: Dict[str, Any] = dict(hidden_size=units, direction=direction)
        attributes["activations"] = ["Tanh"] * directions
        return self._session([self._onnx.helper.make_node("RNN", inputs, ["y"], **attributes)])

    def _session(self, nodes: List[Any]) -> Any:
        """A function of the arrays that these operators read, in order, to the array "y"."""
        helper = self._onnx.helper
        made = {name for node in nodes for name in node.output}
        read: Dict[str, None] = {}
        for node in nodes:
            read.update((name, None) for name in node.input if name and name not in made)
        values = [
            [helper.make_tensor_value_info(x, self._onnx.TensorProto.FLOAT, None) for x in part]
            for part in (read, "y")
        ]
        graph = helper.make_graph(nodes, "rnndiff", *values)
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = self._runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

        def run(*arrays: np.ndarray) -> np.ndarray:
            feed = {name: np.ascontiguousarray(x) for name, x in zip(read, arrays)}
            try:
                return session.run(None, feed)[0]
            except Exception as error:  # Its errors have no class in common.
                raise SubjectError("{}: {}".format(type(error).__name__, error)) from error

        return run


def _stacked(steps: List[np.ndarray], shape: Tuple[int, ...]) -> np.ndarray:
    """[batch, ...] of each step -> [batch, steps, ...]; of none, an empty array."""
    return np.stack(steps, axis=1) if steps else np.zeros(shape, np.float32)
