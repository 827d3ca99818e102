"""PyTorch's recurrent layers and cells, as a subject."""

import contextlib
from functools import lru_cache
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, optional_import
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.engine import Engine, LayerResult, State
from rnndiff.harness.subjects.weights import Plain, Weights, plain_cell
from rnndiff.models.cells.layouts import GRU, LSTM, RNN

# As `rnndiff ulp --subject torch` measured PyTorch 2.13 (CPU wheel) on 293,655 arguments, and half
# as much again; on an AMD EPYC with AVX-512, 2026-11-27. The bias was not last in 24,706 of 100,720
# sums.
ARITHMETIC = arithmetic(
    "float32",
    {
        "tanh": Accuracy(0.8, 2.0**-126),
        "softmax": Accuracy(1.1, 2.0**-126),
        "log": Accuracy(1.0, 2.0**-126),
    },
    bias_anywhere=True,
)
# What no such measurement sees: oneDNN's LSTM has functions of its own, and torch.compile's code
# others again.
_WIDEST = arithmetic("float32")

LAYERS, CELLS, COMPILED, PLAIN = "eager", "cells", "compile", "onednn-off"
# As often may torch.compile compile a function, for sizes of 0, 1 and more; beyond that it would
# run it as it is and say so in a warning alone.
_COMPILED_AT_MOST = 64


class Torch(Engine):
    """The PyTorch at hand, on one thread of the processor, without gradients.

    ``nn.RNN`` (of tanh and relu), ``nn.LSTM`` (with ``proj_size``, too) and ``nn.GRU``, over rows
    of lengths as packed sequences. Rows of length 0, which those cannot have, are left out. The arg
    max is NumPy's.

    Raises
    ------
    UserError
        If torch cannot be imported.
    """

    modes = {
        LAYERS: "nn.RNN, nn.LSTM and nn.GRU, as they are; an LSTM is oneDNN's.",
        PLAIN: "The same without oneDNN.",
        CELLS: "nn.RNNCell, nn.LSTMCell and nn.GRUCell, step by step.",
        COMPILED: "A step of these cells by torch.compile, for all sizes; needs a C++ compiler.",
    }

    def __init__(self, mode: str = LAYERS) -> None:
        super().__init__()
        with optional_import("PyTorch", "torch"):
            import torch
        torch.set_num_threads(1)
        self._torch = torch
        self._in_mode = mode
        self._functions: Dict[str, Callable[..., Any]] = {
            "linear": lambda *arrays: torch.nn.functional.linear(*arrays),
            "softmax": lambda scores: torch.softmax(scores, -1),
            # What nn.RNNCell, nn.LSTMCell and nn.GRUCell call.
            "rnn tanh": lambda x, h, *weights: torch.rnn_tanh_cell(x, h, *weights),
            "rnn relu": lambda x, h, *weights: torch.rnn_relu_cell(x, h, *weights),
            "lstm tanh": lambda x, state, *weights: torch.lstm_cell(x, state, *weights),
            "gru tanh": lambda x, h, *weights: torch.gru_cell(x, h, *weights),
            "loss": lambda p, labels: -(labels * p.clamp(1e-10, 1.0).log()).sum(-1).mean(),
        }
        self._layers = lru_cache(maxsize=256)(self._new_layer)
        self._compiled = lru_cache(maxsize=None)(self._new_compiled)

    def __call__(self, case: Case) -> Any:
        """Compute what the layers give of the trace: of an LSTM, no c but the last one.

        Raises
        ------
        SubjectError
            If PyTorch raises an error.
        """
        try:
            with self._torch.inference_mode(), self._without_onednn():
                return super().__call__(case)
        except Exception as error:  # Its errors have no class in common.
            raise SubjectError("{}: {}".format(type(error).__name__, error)) from error

    @contextlib.contextmanager
    def _without_onednn(self) -> Iterator[None]:
        """In the mode that says so."""
        onednn = self._torch.backends.mkldnn
        before = onednn.enabled
        if self._in_mode == PLAIN:
            onednn.enabled = False
        yield
        if self._in_mode == PLAIN:
            onednn.enabled = before

    def has(self, plain: Plain, config: Any) -> bool:
        """All layers that PyTorch can make."""
        # nn.RNN and its like take no inputs of the size 0.
        if not plain.units or not (config.inputs or self._in_mode in (CELLS, COMPILED)):
            return False
        if plain.cell == RNN:
            return plain.activation in ("tanh", "relu")
        if plain.activation != "tanh" or (plain.cell == GRU and not plain.reset_after):
            return False
        if plain.projected is not None:
            return plain.projected < plain.units and self._in_mode in (LAYERS, PLAIN)
        return True

    def arithmetic(self, case: Case) -> Arithmetic:
        """Float32, and its functions where they were measured."""
        plain = plain_cell(case.config)
        is_onednn = self._in_mode == LAYERS and plain is not None and plain.cell == LSTM
        return _WIDEST if is_onednn or self._in_mode == COMPILED else ARITHMETIC

    def layer(
        self,
        cells: Sequence[Weights],
        inputs: np.ndarray,
        lengths: Optional[np.ndarray],
        initial: Optional[Sequence[State]],
    ) -> List[LayerResult]:
        """As :meth:`Engine.layer`."""
        nothing: Sequence[Optional[State]] = [None] * len(cells)
        starts = initial or nothing
        if self._in_mode in (CELLS, COMPILED):
            return [
                self._stepped(cell, inputs, lengths, start, place == 1)
                for place, (cell, start) in enumerate(zip(cells, starts))
            ]
        if lengths is None:
            return self._layer(cells, inputs, None, initial)
        there = lengths > 0
        rows, ran = np.flatnonzero(there), []
        of_rows = initial and [{part: x[there] for part, x in each.items()} for each in initial]
        if len(rows):
            ran = self._layer(cells, inputs[there], lengths[there], of_rows)
        sizes = _sizes(cells[0].plain)
        shape = inputs.shape[:2] + (sizes["h"],)
        return [
            LayerResult(
                _put(np.zeros(shape, np.float32), there, ran[place].outputs if ran else None),
                {
                    part: _put(
                        start[part] if start else np.zeros((len(inputs), size), np.float32),
                        there,
                        ran[place].final[part] if ran else None,
                    )
                    for part, size in sizes.items()
                },
            )
            for place, start in enumerate(starts)
        ]

    def _layer(
        self,
        cells: Sequence[Weights],
        inputs: np.ndarray,
        lengths: Optional[np.ndarray],
        initial: Optional[Sequence[State]],
    ) -> List[LayerResult]:
        """A layer over rows of lengths from 1 on."""
        rnn, plain = self._torch.nn.utils.rnn, cells[0].plain
        layer = self._layers(plain, inputs.shape[2], len(cells))
        for cell, suffix in zip(cells, ("_l0", "_l0_reverse")):
            self._load(layer, cell, suffix)
        read, state, parts = self._tensor(inputs), None, list(_sizes(plain))
        if initial:
            state = [self._tensor(np.stack([each[part] for each in initial])) for part in parts]
            state = tuple(state) if plain.cell == LSTM else state[0]
        if lengths is None:
            outputs, final = layer(read, state)
        else:
            counts = self._tensor(lengths.astype(np.int64))
            packed = rnn.pack_padded_sequence(read, counts, True, enforce_sorted=False)
            packed, final = layer(packed, state)
            outputs, _ = rnn.pad_packed_sequence(packed, True, total_length=inputs.shape[1])
        final = final if plain.cell == LSTM else (final,)
        return [
            LayerResult(of_cell, {part: x[place].numpy() for part, x in zip(parts, final)})
            for place, of_cell in enumerate(np.split(outputs.numpy(), len(cells), axis=2))
        ]

    def _stepped(
        self,
        cell: Weights,
        inputs: np.ndarray,
        lengths: Optional[np.ndarray],
        initial: Optional[State],
        backward: bool,
    ) -> LayerResult:
        """A cell over all steps; past its end, a row keeps its state."""
        torch = self._torch
        step = self._step(cell, inputs.shape[2])
        state = {
            part: self._tensor(initial[part]) if initial else torch.zeros(len(inputs), size)
            for part, size in _sizes(cell.plain).items()
        }
        steps: List[Dict[str, Any]] = []
        order = range(inputs.shape[1])
        for t in reversed(order) if backward else order:
            new = dict(zip(state, step(self._tensor(inputs[:, t]), *state.values())))
            if lengths is None:
                state = new
                steps.append(new)
                continue
            is_in = self._tensor(lengths > t)[:, None]
            steps.append({part: torch.where(is_in, x, 0.0) for part, x in new.items()})
            state = {part: torch.where(is_in, x, state[part]) for part, x in new.items()}
        steps = steps[::-1] if backward else steps
        states = {part: torch.stack([x[part] for x in steps], 1).numpy() for part in state}
        final = {part: x.numpy() for part, x in state.items()}
        return LayerResult(states.pop("h"), final, states)

    def _step(self, cell: Weights, inputs: int) -> Callable[..., Tuple[Any, ...]]:
        """A function of what a cell reads and of its state to the parts of the new one."""
        is_lstm = cell.plain.cell == LSTM
        if self._in_mode == COMPILED:
            compute = self._compiled("{} {}".format(cell.plain.cell, cell.plain.activation))
            weights = [self._tensor(array) for array in cell.laid_out("pytorch")]
        else:
            compute = self._layers(cell.plain, inputs, 0)
            self._load(compute, cell, "")
            weights = []

        def step(x: Any, *state: Any) -> Tuple[Any, ...]:
            new = compute(x, state if is_lstm else state[0], *weights)
            return tuple(new) if is_lstm else (new,)

        return step

    def affine(self, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """``nn.functional.linear``."""
        linear = self._function("linear")
        return linear(self._tensor(x), self._tensor(kernel.T), self._tensor(bias)).numpy()

    def softmax(self, scores: np.ndarray) -> np.ndarray:
        """``torch.softmax``."""
        return self._function("softmax")(self._tensor(scores)).numpy()

    def loss(self, probabilities: np.ndarray, labels: np.ndarray) -> Any:
        """By ``clamp`` and ``log``."""
        return self._function("loss")(self._tensor(probabilities), self._tensor(labels)).numpy()

    def _tensor(self, array: np.ndarray) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(array))

    def _function(self, name: str) -> Callable[..., Any]:
        return self._compiled(name) if self._in_mode == COMPILED else self._functions[name]

    def _new_compiled(self, name: str) -> Callable[..., Any]:
        import torch._dynamo
        import torch._inductor.config

        torch._dynamo.config.recompile_limit = _COMPILED_AT_MOST
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        # Otherwise it starts processes, which outlive one that is killed.
        torch._inductor.config.compile_threads = 1
        return self._torch.compile(self._functions[name], dynamic=True, fullgraph=True)

    def _new_layer(self, plain: Plain, inputs: int, directions: int) -> Any:
        """A layer of so many directions; of 0, a cell."""
        nn = self._torch.nn
        known: Dict[str, Any] = {"nonlinearity": plain.activation} if plain.cell == RNN else {}
        if directions:
            known.update(batch_first=True, bidirectional=directions == 2)
            known.update({"proj_size": plain.projected} if plain.projected else {})
        made = {RNN: "RNN", LSTM: "LSTM", GRU: "GRU"}[plain.cell] + "Cell" * (not directions)
        return getattr(nn, made)(inputs, plain.units, **known).eval()

    def _load(self, layer: Any, cell: Weights, suffix: str) -> None:
        names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        arrays = cell.laid_out("pytorch")
        if cell.projection is not None:
            names, arrays = names + ["weight_hr"], arrays + [cell.projection.T]
        for name, array in zip(names, arrays):
            getattr(layer, name + suffix).copy_(self._tensor(array))


def _sizes(plain: Plain) -> Dict[str, int]:
    """The parts of the state in PyTorch's order."""
    return {"h": plain.output, "c": plain.units} if plain.cell == LSTM else {"h": plain.output}


def _put(array: np.ndarray, there: np.ndarray, rows: Optional[np.ndarray]) -> np.ndarray:
    """The array with these rows, if there are any, where they are to be."""
    array = array.copy()
    if rows is not None:
        array[there] = rows
    return array
