"""The plain cells that all libraries have, and their weights in any of the layouts."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from rnndiff.models.cells.layouts import CELLS, GRU, LAYOUTS, LSTM, RNN

# Of TensorFlow's cells, whose kernels are of [x; h]; see rnndiff.models.cells.
_TENSORFLOW = {RNN: "h", LSTM: "igfo", GRU: "rz"}


class Plain(NamedTuple):
    """A cell without peepholes and clipping.

    ``cell`` is "rnn", "lstm" or "gru", ``units`` is how many it has, ``activation`` stands for its
    tanh, ``reset_after`` says of a GRU whether the reset gate is for the product, and ``projected``
    is the size of the projection of h, None if there is none.
    """

    cell: str
    units: int
    activation: str = "tanh"
    reset_after: bool = False
    projected: Optional[int] = None

    @property
    def output(self) -> int:
        """The size of h."""
        return self.units if self.projected is None else self.projected


class Gate(NamedTuple):
    """Kernels [inputs, units] and [output, units], and the bias [units] that goes with each."""

    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray
    recurrent_bias: np.ndarray

    @property
    def sum_of_biases(self) -> np.ndarray:
        """For a layout that has one, rounded."""
        with np.errstate(all="ignore"):
            return self.bias + self.recurrent_bias if self.recurrent_bias.any() else self.bias


class Weights(NamedTuple):
    """Those of a plain cell, by the letters that gates have in ``LAYOUTS``.

    ``projection`` is [units, projected] or None.
    """

    plain: Plain
    gates: Dict[str, Gate]
    projection: Optional[np.ndarray] = None

    def laid_out(self, name: str) -> List[np.ndarray]:
        """The arrays of a layout of :data:`rnndiff.models.cells.layouts.LAYOUTS`, new ones.

        Without the projection, and without an axis of directions. Where a layout has one bias for
        two, it is their sum, rounded.
        """
        layout, plain = LAYOUTS[name], self.plain
        gates = [self.gates[letter] for letter in layout.gates[plain.cell]]
        kernel, recurrent_kernel, bias, recurrent_bias = (
            np.concatenate(each, axis=-1) for each in zip(*gates)
        )
        kernels = [
            np.ascontiguousarray(x.T) if layout.transposed else x
            for x in (kernel, recurrent_kernel)
        ]
        biases = {
            "two": lambda: [bias, recurrent_bias],
            "joined": lambda: [np.concatenate([bias, recurrent_bias])],
            "rows": lambda: [np.stack([bias, recurrent_bias])],
            "one": lambda: [np.concatenate([gate.sum_of_biases for gate in gates])],
        }
        return kernels + biases[layout.bias(plain.cell, plain.reset_after)]()


def plain_cell(config: Any) -> Optional[Plain]:
    """What plain cell the cells of a config are; None if they are others."""
    kind: Any = getattr(config, "kind", None)
    base, _, layout = kind.name.partition("@") if kind else ("?", "", "")
    if base not in CELLS or kind.layer or kind.noise:
        return None
    for unusual in ("use_peepholes", "cell_clip", "proj_clip"):
        if getattr(config, unusual, None):
            return None
    cell = CELLS[base]
    after = LAYOUTS[layout].reset_after[0] if layout else False
    return Plain(
        cell,
        config.num_units,
        getattr(config, "activation", "tanh"),
        cell == GRU and getattr(config, "reset_after", after),
        getattr(config, "num_proj", None),
    )


def weights_of(config: Any, parameters: Sequence[np.ndarray]) -> Weights:
    """The weights of one cell of a config that has plain ones.

    A forget bias is the bias of the forget gate's recurrent kernel.
    """
    plain = plain_cell(config)
    assert plain is not None
    if "@" in config.kind.name:
        return _of_layout(plain, config.kind.cell(config).load(parameters))
    return _of_tensorflow(plain, parameters, getattr(config, "forget_bias", 0.0))


def _of_layout(plain: Plain, cell: Any) -> Weights:
    count = len(cell.gates)
    biases = list(cell.bias) + [np.zeros_like(cell.bias[0])] * (2 - len(cell.bias))
    arrays = [cell.kernel, cell.recurrent_kernel, *biases]
    parts = zip(*(np.split(array, count, axis=-1) for array in arrays))
    return Weights(plain, {letter: Gate(*part) for letter, part in zip(cell.gates, parts)})


def _of_tensorflow(plain: Plain, parameters: Sequence[np.ndarray], forget_bias: float) -> Weights:
    letters, (kernel, bias, *others) = _TENSORFLOW[plain.cell], parameters
    gates = _split(plain, letters, kernel, bias)
    if plain.cell == GRU:
        gates.update(_split(plain, "n", *others))
    if plain.cell == LSTM:
        added = np.full_like(gates["f"].bias, forget_bias)
        gates["f"] = gates["f"]._replace(recurrent_bias=added)
    projection = others[-1] if plain.projected is not None else None
    return Weights(plain, gates, projection)


def _split(plain: Plain, letters: str, kernel: np.ndarray, bias: np.ndarray) -> Dict[str, Gate]:
    inputs = len(kernel) - plain.output
    kernels, biases = (np.split(x, len(letters), axis=-1) for x in (kernel, bias))
    return {
        letter: Gate(part[:inputs], part[inputs:], of_bias, np.zeros_like(of_bias))
        for letter, part, of_bias in zip(letters, kernels, biases)
    }
