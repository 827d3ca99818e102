"""The layers of Keras 3 on TensorFlow, as a subject: bidirectional RNN and encoder-decoder."""

import os
import warnings
from collections import OrderedDict
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.engine import judged, stacked
from rnndiff.harness.subjects.subject import Subject
from rnndiff.harness.subjects.tensorflow.divergences import ENTRIES
from rnndiff.models import Model

CONFIGS_KEPT = 64

# As `rnndiff ulp --subject keras3` measured Keras 3.15 on TensorFlow 2.21, on 2.3 million
# arguments, and half as much again; on an Intel Xeon with AVX-512. It saw the bias added last in
# all 2,538 sums, but that is Grappler's doing: the cell computes x W + b + h R.
ARITHMETIC = arithmetic(
    "float32",
    {
        "tanh": Accuracy(9.3, 2.0**-126),
        "softmax": Accuracy(2.9, 3.6e-38),
        "log": Accuracy(2.4, 2.0**-126),
    },
    bias_anywhere=True,
)


class Keras3(Subject):
    """``Bidirectional``, ``SimpleRNN``, ``SimpleRNNCell`` and ``Dense`` of the Keras 3 at hand.

    They run in functions of TensorFlow, made once for each config, to which the weights are
    arguments; so do softmax and the loss, written with ``keras.ops``. The arg max is NumPy's.
    Keras has no layers without units, and TensorFlow ends the process at other empty arrays, too
    (the known divergence "empty-inner-product"): :meth:`supports` says which configs are left.

    Raises
    ------
    UserError
        If Keras 3 or TensorFlow cannot be imported, or Keras has another backend.
    """

    # Softmax is TensorFlow's.
    known = tuple(entry for entry in ENTRIES if entry.name == "softmax-zero-beside-nan")

    def __init__(self) -> None:
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        try:
            import keras
            import tensorflow
        except ImportError as error:
            raise UserError(
                "This needs Keras 3 on TensorFlow ({}): run pip install '.[tensorflow]' in the "
                "folder of rnndiff.".format(error)
            )
        found = keras.__version__, keras.config.backend() if hasattr(keras, "config") else "nothing"
        if found[0] < "3" or found[1] != "tensorflow":
            raise UserError(
                "This needs Keras 3 on TensorFlow, and here is Keras {} on {}.".format(*found)
            )
        self._keras, self._tensorflow = keras, tensorflow
        self._models = {"bidirectional": self._bidirectional, "seq2seq": self._seq2seq}
        self._ready: OrderedDict[Any, Dict[str, Callable[..., Any]]] = OrderedDict()

    def supports(self, model: Model, config: Any) -> bool:
        """Bidirectional and seq2seq, if no size is 0."""
        return model.name in self._models and min(config.sizes().values()) > 0

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """Compute every array of the trace.

        Raises
        ------
        SubjectError
            If Keras or TensorFlow raises an error.
        """
        try:
            return self._models[case.model.name](case, self._functions(case))
        except (ValueError, self._tensorflow.errors.OpError) as error:
            raise SubjectError("{}: {}".format(type(error).__name__, error)) from error

    def arithmetic(self, case: Case) -> Arithmetic:
        """Float32, and its functions as they were measured."""
        return ARITHMETIC

    def _bidirectional(
        self, case: Case, functions: Dict[str, Callable[..., Any]]
    ) -> Dict[str, np.ndarray]:
        units, parameters = case.config.num_units, case.parameters
        cells = _split(parameters[0:2], units) + _split(parameters[2:4], units)
        outputs = functions["bidirectional"](case.inputs, *cells)
        scores = functions["projection"](outputs[:, -1], *parameters[4:6])
        return dict(
            judged(functions["softmax"], functions["loss"], scores, case.labels),
            outputs=outputs,
            forward_final_state=outputs[:, -1, :units],
            backward_final_state=outputs[:, 0, units:],
        )

    def _seq2seq(
        self, case: Case, functions: Dict[str, Callable[..., Any]]
    ) -> Dict[str, np.ndarray]:
        config, parameters = case.config, case.parameters
        encoder_states = functions["encoder"](
            case.inputs, *_split(parameters[0:2], config.num_units)
        )
        states = [encoder_states[:, -1]]
        classes = np.eye(config.outputs, dtype=np.float32)
        scores, tokens = [functions["projection"](states[-1], *parameters[2:4])], []
        for _ in range(config.output_time - 1):
            cell = _split(parameters[4:6], config.num_units)
            tokens.append(classes[np.argmax(scores[-1], axis=-1)])
            states.append(functions["decoder"](tokens[-1], states[-1], *cell))
            scores.append(functions["projection"](states[-1], *parameters[2:4]))
        return dict(
            judged(functions["softmax"], functions["loss"], np.stack(scores, axis=1), case.labels),
            encoder_states=encoder_states,
            decoder_states=stacked(states[1:], (config.batch, 0, config.num_units)),
            fed_back=stacked(tokens, (config.batch, 0, config.outputs)),
        )

    def _functions(self, case: Case) -> Dict[str, Callable[..., Any]]:
        key = (case.model.name, case.config)
        if key in self._ready:
            self._ready.move_to_end(key)
        else:
            self._ready[key] = self._new_functions(case)
            if len(self._ready) > CONFIGS_KEPT:
                self._ready.popitem(last=False)
        return self._ready[key]

    def _new_functions(self, case: Case) -> Dict[str, Callable[..., Any]]:
        layers, ops, config = self._keras.layers, self._keras.ops, case.config
        units, outputs = config.num_units, config.outputs

        def loss(probabilities: Any, labels: Any) -> Any:
            logs = ops.log(ops.clip(probabilities, 1e-10, 1.0))
            return ops.mean(-ops.sum(labels * logs, axis=-1))

        def softmax(scores: Any) -> Any:
            # Keras warns of a softmax of one class.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                return ops.softmax(scores)

        functions = {"softmax": self._compiled(softmax), "loss": self._compiled(loss)}
        if case.model.name == "bidirectional":
            both = layers.Bidirectional(layers.SimpleRNN(units, return_sequences=True))
            functions["bidirectional"] = self._of_layer(both, (None, None, config.inputs))
            read = 2 * units
        else:
            encoder = layers.SimpleRNN(units, return_sequences=True)
            functions["encoder"] = self._of_layer(encoder, (None, None, config.inputs))
            cell = layers.SimpleRNNCell(units)
            functions["decoder"] = self._of_layer(
                cell, (None, outputs), lambda token, state: cell(token, [state])[0]
            )
            read = units
        functions["projection"] = self._of_layer(layers.Dense(outputs), (None, read))
        return functions

    def _of_layer(self, layer: Any, shape: Tuple[Any, ...], call: Any = None) -> Callable[..., Any]:
        """A function of what `call` (the layer) reads and of the layer's weights."""
        layer.build(shape)
        weights = layer.trainable_variables

        def function(*arrays: Any) -> Any:
            read, values = arrays[: -len(weights)], arrays[-len(weights) :]
            with self._keras.StatelessScope(state_mapping=list(zip(weights, values))):
                return (call or layer)(*read)

        return self._compiled(function)

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as a graph, made for the shapes of the first call: all are of one config."""
        tf, made = self._tensorflow, []

        def run(*arrays: np.ndarray) -> np.ndarray:
            if not made:
                shapes = [tf.TensorSpec(array.shape, tf.float32) for array in arrays]
                graph = tf.function(function, autograph=False)
                made.append(graph.get_concrete_function(*shapes))
            return made[0](*map(tf.constant, arrays)).numpy()

        return run


def _split(cell: List[np.ndarray], units: int) -> List[np.ndarray]:
    """Kernel, recurrent kernel and bias."""
    kernel, bias = cell
    return [kernel[: len(kernel) - units], kernel[len(kernel) - units :], bias]
