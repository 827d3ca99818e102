"""The plain cells with weights as other engines lay them out, each layout a row of a table.

What is computed is the same in all of them; how gates are ordered, which way round a kernel lies,
and whether there is a bias for the input and another one for the state, is not.
"""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from rnndiff.models.cells.cell import Cell
from rnndiff.models.cells.kinds import LSTM_STATE, Activation, Kind, NoOptions
from rnndiff.models.functions import accumulate, activation_named, interpolate, sigmoid
from rnndiff.models.layout import Axis, Field, option

RNN, LSTM, GRU = "rnn", "lstm", "gru"


class Layout(NamedTuple):
    """How an engine lays out the weights of a cell.

    Parameters
    ----------
    gates : dict of str to str
        The gates of each cell in their order: of an LSTM i, f, o and the candidate g; of a GRU r
        (reset), z (update) and the candidate n, which comes last in all engines.
    names : tuple of str
        Of kernel, recurrent kernel and biases.
    transposed : bool
        Whether kernels are [gates * units, inputs], as in W x, or the other way round, as in x W.
    biases : dict of str to str
        Of each cell: "one"; "two", for input and state; or how two lie in one array: "joined" one
        after the other, "rows" of [2, gates * units].
    directions : bool
        Whether all arrays have a first axis of one direction.
    reset_after : tuple of bool
        Whether a GRU's reset gate is for the product of state and kernel, with its bias, or for the
        state; the default comes first.
    """

    gates: Mapping[str, str]
    names: Tuple[str, ...]
    transposed: bool
    biases: Mapping[str, str]
    directions: bool = False
    reset_after: Tuple[bool, ...] = (True,)

    def bias(self, cell: str, reset_after: bool) -> str:
        """How its biases lie; a GRU with two in rows has one if it resets the state."""
        biases = self.biases[cell]
        return "one" if biases == "rows" and not reset_after else biases


LAYOUTS: Dict[str, Layout] = {
    # torch.nn.RNNCell, LSTMCell and GRUCell, whose weights nn.RNN, LSTM and GRU have with a suffix.
    # https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html: (W_ii|W_if|W_ig|W_io);
    # https://pytorch.org/docs/stable/generated/torch.nn.GRU.html: (W_ir|W_iz|W_in), and
    # n = tanh(W_in x + b_in + r * (W_hn h + b_hn)).
    "pytorch": Layout(
        {RNN: "h", LSTM: "ifgo", GRU: "rzn"},
        ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
        transposed=True,
        biases={RNN: "two", LSTM: "two", GRU: "two"},
    ),
    # https://onnx.ai/onnx/operators/onnx__LSTM.html: W[iofc], B the concatenation of [Wb[iofc],
    # Rb[iofc]]; onnx__GRU.html: W[zrh], linear_before_reset is 0 by default. Arrays of both
    # directions are those of each, concatenated.
    "onnx": Layout(
        {RNN: "h", LSTM: "iofg", GRU: "zrn"},
        ("W", "R", "B"),
        transposed=True,
        biases={RNN: "joined", LSTM: "joined", GRU: "joined"},
        directions=True,
        reset_after=(False, True),
    ),
    # The weights of Keras' layers SimpleRNN, LSTM and GRU, of Keras 2 and 3 alike; see
    # rnndiff.models.cells.keras.
    "keras": Layout(
        {RNN: "h", LSTM: "ifgo", GRU: "zrn"},
        ("kernel", "recurrent_kernel", "bias"),
        transposed=False,
        biases={RNN: "one", LSTM: "one", GRU: "rows"},
        reset_after=(True, False),
    ),
}

# By the kinds of cells, which of these they are.
CELLS = {"": RNN, "basic": RNN, "basic-lstm": LSTM, "lstm": LSTM, "gru": GRU}


class _LaidOut(Cell):
    """A cell with weights of a layout: kernels, and one bias or two."""

    state_parts: Tuple[Tuple[str, str], ...] = (("h", "num_units"),)
    name = RNN

    def __init__(self, layout: Layout, num_units: int, reset_after: bool = False) -> None:
        self.num_units = self.output_size = num_units
        self.layout, self.reset_after = layout, reset_after
        self.gates = layout.gates[self.name]
        self.biases = layout.bias(self.name, reset_after)

    def parameters(self, scope: str, inputs: Axis) -> Tuple[Field, ...]:
        """Kernel, recurrent kernel and biases, each of the gates in their order."""
        gates: Axis = ("num_units",) * len(self.gates)
        kernels = [(inputs, gates), (("num_units",), gates)]
        axes: List[Tuple[Axis, ...]] = [x[::-1] if self.layout.transposed else x for x in kernels]
        biases: Dict[str, List[Tuple[Axis, ...]]] = {
            "one": [(gates,)],
            "two": [(gates,), (gates,)],
            "joined": [(gates + gates,)],
            "rows": [(("one", "one"), gates)],
        }
        axes += biases[self.biases]
        first: Tuple[Axis, ...] = ((),) if self.layout.directions else ()
        return tuple(
            Field("{}/{}".format(scope, name), first + each)
            for name, each in zip(self.layout.names, axes)
        )

    def load(self, parameters: Any) -> "_LaidOut":
        """Take the arrays of :meth:`parameters`; return self."""
        if self.layout.directions:
            parameters = [array[0] for array in parameters]
        kernel, recurrent_kernel, *biases = parameters
        if self.layout.transposed:
            kernel, recurrent_kernel = np.transpose(kernel), np.transpose(recurrent_kernel)
        if self.biases == "joined":
            biases = np.split(biases[0], 2)
        elif self.biases == "rows":
            biases = [biases[0][0], biases[0][1]]
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, biases
        return self

    def sums(self, inputs: Any, state: Any) -> Dict[str, Any]:
        """``x W + h R`` and all biases, of each gate."""
        kernel = np.vstack([self.kernel, self.recurrent_kernel])
        sums = accumulate(np.hstack([inputs, state]), kernel, *self.bias)
        return dict(zip(self.gates, np.split(sums, len(self.gates), axis=-1)))


class LaidOutRNNCell(_LaidOut):
    """``h' = tanh(x W + h R + b)``: the state is the output."""

    def __init__(self, layout: Layout, num_units: int, activation: str = "tanh") -> None:
        super().__init__(layout, num_units)
        self.activation = activation_named(activation)

    def __call__(self, inputs: Any, state: Any) -> Any:
        """One step: [batch, inputs], [batch, num_units] -> output, state (the same array)."""
        state = self.activation(self.sums(inputs, state)["h"])
        return state, state


class LaidOutLSTMCell(_LaidOut):
    """``c' = sigmoid(f) c + sigmoid(i) tanh(g)``, ``h' = sigmoid(o) tanh(c')``.

    i, f, g and o are the parts of ``x W + h R + b`` in the order of the layout.
    """

    state_parts = (("c", "num_units"), ("h", "num_units"))
    name = LSTM

    def __call__(self, inputs: Any, state: Any) -> Any:
        """One step: [batch, inputs] and (c, h) -> output [batch, num_units], new state."""
        c, h = state
        of = self.sums(inputs, h)
        c = sigmoid(of["f"]) * c + sigmoid(of["i"]) * np.tanh(of["g"])
        h = sigmoid(of["o"]) * np.tanh(c)
        return h, (c, h)


class LaidOutGRUCell(_LaidOut):
    """``h' = z h + (1 - z) tanh(x W + r (h R + b'') + b')``: the state is the output.

    That is ``reset_after``; otherwise the candidate is ``tanh(x W + (r h) R + b)``. The gates z and
    r are the sigmoid of their parts of ``x W + h R + b``.
    """

    name = GRU

    def __call__(self, inputs: Any, state: Any) -> Any:
        """One step: [batch, inputs], [batch, num_units] -> output, state (the same array)."""
        size = 2 * self.num_units
        kernel = np.vstack([self.kernel, self.recurrent_kernel])
        both = np.hstack([inputs, state])
        of_gates = accumulate(both, kernel[:, :size], *[bias[:size] for bias in self.bias])
        of = dict(zip(self.gates, np.split(sigmoid(of_gates), 2, axis=-1)))
        bias = [each[size:] for each in self.bias]
        if self.reset_after:
            of_state = accumulate(state, self.recurrent_kernel[:, size:], *bias[1:])
            read = accumulate(inputs, self.kernel[:, size:], bias[0], of["r"] * of_state)
        else:
            read = accumulate(np.hstack([inputs, of["r"] * state]), kernel[:, size:], *bias)
        state = interpolate(of["z"], state, np.tanh(read))
        return state, state


@dataclass(frozen=True)
class ResetAfter:
    """Of a GRU that by default resets the product."""

    reset_after: bool = option(True, False)

    def sizes(self) -> Dict[str, int]:
        """Those of the model, and one, of which biases in rows have two."""
        return dict(super().sizes(), one=1)  # type: ignore[misc]


@dataclass(frozen=True)
class ResetBefore:
    """Of one that by default resets the state."""

    reset_after: bool = option(False, True)


def laid_out(kind: Kind, name: str) -> Kind:
    """The kind of the same cells, plain ones, with the weights of a layout.

    Without peepholes, projection and clipping; an LSTM's forget bias stands in its biases.

    Raises
    ------
    ValueError
        If there is no such layout, or not of these cells.
    """
    if name not in LAYOUTS:
        raise ValueError("there is no layout {!r}: take one of {}".format(name, names()))
    if kind.name not in CELLS or kind.layer:
        raise ValueError(
            "layouts are of the cells {}, not of {!r}".format(
                ", ".join(filter(None, CELLS)), kind.name
            )
        )
    layout, cell, options = LAYOUTS[name], CELLS[kind.name], NoOptions
    state = LSTM_STATE if cell == LSTM else kind.state
    if cell == RNN and kind.Options is Activation:
        options = Activation
    elif cell == GRU and len(layout.reset_after) > 1:
        options = ResetAfter if layout.reset_after[0] else ResetBefore

    def make(cells: Any, num_units: int, **given: Any) -> Any:
        if cell == GRU:
            given.setdefault("reset_after", layout.reset_after[0])
        made = {RNN: LaidOutRNNCell, LSTM: LaidOutLSTMCell, GRU: LaidOutGRUCell}[cell]
        return made(layout, num_units, **given)

    return Kind("{}@{}".format(kind.name, name), make, options, state)


def names() -> str:
    """Those of all layouts, in words."""
    return ", ".join([*LAYOUTS, "tensorflow"])
