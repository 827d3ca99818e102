"""The layers of Keras 3, on TensorFlow, JAX or PyTorch, as a subject."""

import warnings
from collections import OrderedDict
from functools import partial
from importlib import import_module
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects import jax, torch
from rnndiff.harness.subjects.engine import score_arrays, stacked
from rnndiff.harness.subjects.keras_backends import BACKENDS, JAX, TENSORFLOW, TORCH, keras_on
from rnndiff.harness.subjects.keras_divergences import known_on
from rnndiff.harness.subjects.subject import Subject
from rnndiff.models import Model
from rnndiff.models.birnn.config import DIRECTIONS, halves
from rnndiff.models.cells.kinds import part_of
from rnndiff.models.layout import sizes_of

CONFIGS_KEPT = 64

# Keras' layers are computed in that order: x W + b + h R.
ARITHMETIC = {
    # As `rnndiff ulp --subject keras3` measured Keras 3.15 on TensorFlow 2.21, on 2.3 million
    # arguments, and half as much again; on an Intel Xeon with AVX-512. It saw the bias added last
    # in all 2,538 sums, but that is Grappler's doing.
    TENSORFLOW: arithmetic(
        "float32",
        {
            "tanh": Accuracy(9.3, 2.0**-126),
            "softmax": Accuracy(2.9, 3.6e-38),
            "log": Accuracy(2.4, 2.0**-126),
        },
        bias_anywhere=True,
    ),
    # The others state what the subjects do whose kernels they are.
    JAX: jax.ARITHMETIC,
    # Of 105,237 arguments, tanh was off by 0.51 ULP at most, softmax by 0.52 and log by 0.65, and
    # the bias was not last in 14,693 of 100,720 sums (`rnndiff ulp --subject keras3 --mode torch
    # --samples 20000`, Keras 3.15 on PyTorch 2.13, on an AMD EPYC with AVX-512, 2026-11-27).
    TORCH: torch.ARITHMETIC,
}

_OF_LAYERS = ("keras", "keras-bidirectional")


class Keras3(Subject):
    """The recurrent layers of the Keras 3 at hand, on one of its backends.

    ``SimpleRNN``, ``LSTM``, ``GRU`` and ``RNN`` of their cells, alone and in ``Bidirectional``, in
    the models of these layers, and with ``SimpleRNNCell`` and ``Dense`` in the article's
    bidirectional RNN and encoder-decoder. They run in functions of the backend, made once for each
    config, to which the weights are arguments; so do softmax and the loss, written with
    ``keras.ops``. The arg max is NumPy's. Keras has no layers without units, and TensorFlow ends
    the process at other empty arrays, too (the known divergence "empty-inner-product"):
    :meth:`supports` says which configs are left.

    Raises
    ------
    UserError
        If Keras 3 or the backend cannot be imported, or Keras was imported on another one.
    """

    modes = {name: backend.what for name, backend in BACKENDS.items()}

    def __init__(self, mode: str = TENSORFLOW) -> None:
        self._keras = keras_on(mode)
        self._backend, self._in_mode = import_module(mode), mode
        self.known = known_on(mode, self._backend)
        self._models = {"bidirectional": self._bidirectional, "seq2seq": self._seq2seq}
        self._ready: OrderedDict[Any, Dict[str, Callable[..., Any]]] = OrderedDict()

    def supports(self, model: Model, config: Any) -> bool:
        """These, if no size is 0; Keras 3 has another ``hard_sigmoid`` than the models."""
        if model.family in _OF_LAYERS:
            known = "hard_sigmoid" not in config.kind.arguments(config).values()
        else:
            known = model.name in self._models
        return known and min(sizes_of(config).values()) > 0

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """Compute every array of the trace, but of an LSTM no c but the last one.

        Raises
        ------
        SubjectError
            If Keras or its backend raises an error.
        """
        compute = self._models.get(case.model.name, self._layers)
        try:
            return compute(case, self._functions(case))
        except Exception as error:  # Those of the backends have no class in common.
            raise SubjectError("{}: {}".format(type(error).__name__, error)) from error

    def arithmetic(self, case: Case) -> Arithmetic:
        """Float32, and its functions as they were measured."""
        return ARITHMETIC[self._in_mode]

    def _bidirectional(
        self, case: Case, functions: Dict[str, Callable[..., Any]]
    ) -> Dict[str, np.ndarray]:
        units, parameters = case.config.num_units, case.parameters
        cells = _split(parameters[0:2], units) + _split(parameters[2:4], units)
        outputs = functions["bidirectional"](case.inputs, *cells)
        scores = functions["projection"](outputs[:, -1], *parameters[4:6])
        return dict(
            score_arrays(functions["softmax"], functions["loss"], scores, case.labels),
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
            score_arrays(
                functions["softmax"], functions["loss"], np.stack(scores, axis=1), case.labels
            ),
            encoder_states=encoder_states,
            decoder_states=stacked(states[1:], (config.batch, 0, config.num_units)),
            fed_back=stacked(tokens, (config.batch, 0, config.outputs)),
        )

    def _layers(self, case: Case, functions: Dict[str, Callable[..., Any]]) -> Dict[str, Any]:
        config, arrays = case.config, case.arrays
        both = case.model.family == "keras-bidirectional"
        directions = [each + "_" for each in DIRECTIONS] if both else [""]
        read = [case.inputs] + ([arrays["mask"]] if config.mask else [])
        if config.initial_state:
            read += [
                arrays[part_of(each + "initial", part)]
                for each in directions
                for part, _ in config.kind.state
            ]
        outputs, *final = functions["layer"](*read, *case.parameters)
        if both and config.merge_mode is None:
            backward, *final = final
            outputs = np.concatenate([outputs, backward], axis=-1)
        trace = {"outputs": outputs if config.return_sequences else outputs[:, None]}
        for direction, state in zip(directions, halves(final) if both else [final]):
            trace.update(config.kind.named(direction + "final", state))
        return trace

    def _functions(self, case: Case) -> Dict[str, Callable[..., Any]]:
        key = (case.model.name, case.config)
        if key in self._ready:
            self._ready.move_to_end(key)
        else:
            is_layer = case.model.family in _OF_LAYERS
            make = self._new_layer if is_layer else self._new_functions
            self._ready[key] = make(case)
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

    def _new_layer(self, case: Case) -> Dict[str, Callable[..., Any]]:
        """A recurrent layer, of inputs, mask, initial state and weights."""
        layers, ops, config = self._keras.layers, self._keras.ops, case.config
        given = config.kind.arguments(config)
        runner, _, unrolled = config.runner.partition(", ")
        options = dict(
            return_sequences=config.return_sequences,
            return_state=True,
            go_backwards=config.go_backwards,
            unroll=bool(unrolled),
            zero_output_for_mask=getattr(config, "zero_output_for_mask", False),
        )
        units, name = given.pop("num_units"), config.kind.layer
        if runner == "layer":
            make = partial(getattr(layers, name), units, **given, **options)
        else:
            make = partial(layers.RNN, getattr(layers, name + "Cell")(units, **given), **options)
        layer = make()
        if case.model.family == "keras-bidirectional":
            # Of a layer that goes backwards it does not make the other one itself.
            other = make(go_backwards=False) if config.go_backwards else None
            layer = layers.Bidirectional(layer, config.merge_mode, backward_layer=other)

        def call(inputs: Any, *others: Any) -> Any:
            mask, *initial = others if config.mask else (None, *others)
            return layer(
                inputs,
                mask=None if mask is None else ops.cast(mask, "bool"),
                initial_state=initial or None,
            )

        return {"layer": self._of_layer(layer, (None, None, config.inputs), call)}

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return BACKENDS[self._in_mode].runs(self._backend, function)


def _split(cell: List[np.ndarray], units: int) -> List[np.ndarray]:
    """Kernel, recurrent kernel and bias."""
    kernel, bias = cell
    return [kernel[: len(kernel) - units], kernel[len(kernel) - units :], bias]
