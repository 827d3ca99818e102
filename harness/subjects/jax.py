"""The recurrent cells of flax, on JAX, as a subject."""

from functools import lru_cache
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, optional_import
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.engine import Engine, LayerResult, State
from rnndiff.harness.subjects.weights import Plain, Weights
from rnndiff.models.cells.layouts import GRU, LSTM, RNN

# Nothing is stated: each new shape is compiled, so that few arguments were measured. Of 57,103, no
# tanh was off by more than 3.8 ULP and no softmax by more than 0.49, in JAX 0.10.2 and flax 0.12.8
# on an AMD EPYC with AVX-512, 2026-11-27 (`rnndiff ulp --subject jax --samples 4000`). XLA computes
# what it fuses once for each that reads it: under jax.jit, a final state and the output that it is
# were off from each other by 1 ULP in 20 of 19,968 cases (there, 2026-11-28).
ARITHMETIC = arithmetic("float32")._replace(recomputes=True)

COMPILED, OPTIMIZED, EAGER = "jit", "optimized", "eager"


class Jax(Engine):
    """``nn.RNN`` of flax's cells, which is a ``lax.scan``, on the processor.

    The cells are ``SimpleCell``, ``LSTMCell`` and ``GRUCell``. What flax has past the end of a row
    is not looked at, and it has nothing for rows of length 0: there stand zeros and the initial
    state, NumPy's. So is the arg max.

    Raises
    ------
    UserError
        If jax or flax cannot be imported.
    """

    modes = {
        COMPILED: "flax's nn.RNN under jax.jit.",
        OPTIMIZED: "The same, of OptimizedLSTMCell.",
        EAGER: "The same without jax.jit: a scan is compiled by itself.",
    }

    def __init__(self, mode: str = COMPILED) -> None:
        super().__init__()
        with optional_import("JAX and flax", "jax"):
            import flax.linen
            import jax
        self._jax, self._nn, self._in_mode = jax, flax.linen, mode
        self._processor = jax.devices("cpu")[0]
        numbers, nn = jax.numpy, jax.nn
        self._activations = {
            "tanh": numbers.tanh,
            "relu": nn.relu,
            "sigmoid": nn.sigmoid,
            "linear": lambda x: x,
        }

        def loss(probabilities: Any, labels: Any) -> Any:
            logs = numbers.log(numbers.clip(probabilities, 1e-10, 1.0))
            return numbers.mean(-numbers.sum(labels * logs, axis=-1))

        self._affine = self._compiled(lambda x, kernel, bias: numbers.dot(x, kernel) + bias)
        self._softmax, self._loss = self._compiled(nn.softmax), self._compiled(loss)
        self._layers = lru_cache(maxsize=64)(self._new_layer)

    def __call__(self, case: Case) -> Any:
        """Compute what the layers give of the trace: of an LSTM, no c but the last one.

        Raises
        ------
        SubjectError
            If JAX or flax raises an error.
        """
        try:
            with self._jax.default_device(self._processor):
                return super().__call__(case)
        except Exception as error:  # Theirs have no class in common.
            raise SubjectError("{}: {}".format(type(error).__name__, error)) from error

    def has(self, plain: Plain, config: Any) -> bool:
        """Everything but projections, a GRU that resets the state, and sizes of 0.

        Of the shape of a kernel of no rows, flax's initializers divide by zero, unused though they
        are.
        """
        if not (plain.units and config.inputs):
            return False
        return plain.projected is None and (plain.cell != GRU or plain.reset_after)

    def arithmetic(self, case: Case) -> Arithmetic:
        """Float32, and its functions as they were measured."""
        return ARITHMETIC

    def layer(
        self,
        cells: Sequence[Weights],
        inputs: np.ndarray,
        lengths: Optional[np.ndarray],
        initial: Optional[Sequence[State]],
    ) -> List[LayerResult]:
        """As :meth:`Engine.layer`."""
        return [
            self._direction(cell, inputs, lengths, initial[place] if initial else None, place == 1)
            for place, cell in enumerate(cells)
        ]

    def affine(self, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """``jnp.dot``, and the bias added."""
        return np.asarray(self._affine(x, kernel, bias))

    def softmax(self, scores: np.ndarray) -> np.ndarray:
        """``jax.nn.softmax``."""
        return np.asarray(self._softmax(scores))

    def loss(self, probabilities: np.ndarray, labels: np.ndarray) -> Any:
        """By ``clip`` and ``log``."""
        return np.asarray(self._loss(probabilities, labels))

    def _direction(
        self,
        cell: Weights,
        inputs: np.ndarray,
        lengths: Optional[np.ndarray],
        initial: Optional[State],
        backward: bool,
    ) -> LayerResult:
        parts = ["c", "h"] if cell.plain.cell == LSTM else ["h"]
        carry: Any = None
        if initial:
            carry = tuple(initial[part] for part in parts)
            carry = carry if cell.plain.cell == LSTM else carry[0]
        run = self._layers(cell.plain, backward)
        counts = None if lengths is None else np.maximum(lengths, 1)
        final, outputs = run({"params": {"cell": _parameters(cell)}}, inputs, carry, counts)
        final = final if cell.plain.cell == LSTM else (final,)
        state = {part: np.asarray(x) for part, x in zip(parts, final)}
        outputs = np.asarray(outputs)
        if lengths is not None:
            is_in = np.arange(inputs.shape[1]) < lengths[:, None]
            outputs = np.where(is_in[..., None], outputs, np.float32(0))
            start = initial or {part: np.zeros_like(x) for part, x in state.items()}
            state = {
                part: np.where((lengths > 0)[:, None], x, start[part]) for part, x in state.items()
            }
        return LayerResult(outputs, state)

    def _new_layer(self, plain: Plain, backward: bool) -> Callable[..., Any]:
        nn, activation = self._nn, self._activations[plain.activation]
        lstm = nn.OptimizedLSTMCell if self._in_mode == OPTIMIZED else nn.LSTMCell
        Cell = {RNN: nn.SimpleCell, LSTM: lstm, GRU: nn.GRUCell}[plain.cell]
        layer = nn.RNN(
            Cell(features=plain.units, activation_fn=activation),
            return_carry=True,
            reverse=backward,
            keep_order=True,
        )

        def run(weights: Any, inputs: Any, carry: Any, lengths: Any) -> Any:
            return layer.apply(weights, inputs, initial_carry=carry, seq_lengths=lengths)

        return self._compiled(run)

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function if self._in_mode == EAGER else self._jax.jit(function)


def _parameters(cell: Weights) -> Dict[str, Dict[str, np.ndarray]]:
    """The weights of flax's cells: a Dense for the input and one for the state of each gate.

    There is one bias, of the state in an LSTM, of the input in the others; of a GRU's candidate
    there are both.
    """
    found: Dict[str, Dict[str, np.ndarray]] = {}
    for letter, gate in cell.gates.items():
        of_input, of_state = {"kernel": gate.kernel}, {"kernel": gate.recurrent_kernel}
        if letter == "n":
            of_input["bias"], of_state["bias"] = gate.bias, gate.recurrent_bias
        else:
            (of_state if cell.plain.cell == LSTM else of_input)["bias"] = gate.sum_of_biases
        letter = "" if cell.plain.cell == RNN else letter
        found["i" + letter], found["h" + letter] = of_input, of_state
    return found
