"""The cells that models have: how each is made, what a config says of it, and its state.

``KINDS`` maps the name of a kind to it. A cell is made in the same words in NumPy and TensorFlow:
``cells.LSTMCell(num_units=...)``, where `cells` is :mod:`rnndiff.models.cells` or what holds those
of TensorFlow.
"""

import re
import sys
from dataclasses import dataclass, fields
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.models import cells as numpy_cells
from rnndiff.models.cells.cell import flat
from rnndiff.models.layout import Axis, Field, Part, Traced, number, option, optional_size, size

Sizes = Tuple[Tuple[str, str], ...]


class Kind(NamedTuple):
    """A kind of cell.

    Parameters
    ----------
    name : str
        As in the names of models.
    make : function of (cells, num_units=..., options of `Options`) -> cell
        By the classes that `cells` has.
    Options : dataclass
        What a config says of the cell beside `num_units`; a part of the class of the config.
    state : tuple of (name, size)
        The parts of its state in TensorFlow's order, and the config field that each is as large as.
        The name is "" if there is one part and no need to name it.
    output : str
        The config field that the output is as large as.
    contrib : bool
        Whether TensorFlow has it in ``tf.contrib.rnn`` alone, and so on 1.x.
    noise : tuple of (name, size, when)
        The random numbers that it takes, in the order of its ``take_noise``: "inputs" as many as
        inputs, others as many as the config field says; there are none where `when`, of the config,
        is false.
    layer : str
        The name of Keras' layer of such cells, which has all of their arguments; "" if it is not
        Keras'.
    """

    name: str
    make: Callable[..., Any]
    Options: Any
    state: Sizes = (("h", "num_units"),)
    output: str = "num_units"
    contrib: bool = False
    noise: Tuple[Tuple[str, str, str], ...] = ()
    layer: str = ""

    def arguments(self, config: Any) -> Dict[str, Any]:
        """What a config says to make a cell of."""
        given = {field.name: getattr(config, field.name) for field in fields(self.Options)}
        return dict(given, num_units=config.num_units)

    def cell(self, config: Any, noise: Sequence[Any] = ()) -> Any:
        """The cell of a config, in NumPy, which takes this noise, if it takes any."""
        cell = self.make(numpy_cells, **self.arguments(config))
        return cell.take_noise(*noise) if self.noise else cell

    def noise_of(self, prefix: str, inputs: Axis) -> Tuple[Field, ...]:
        """The noise that a cell takes, a row for each row of the batch."""
        return tuple(
            Field(
                "{}{}_noise".format(prefix, name),
                (("batch",), inputs if size == "inputs" else (size,)),
                when=when,
                is_noise=True,
            )
            for name, size, when in self.noise
        )

    def parameters(self, config: Any, scope: str, inputs: Axis) -> Tuple[Field, ...]:
        """The parameters, in the order in which TensorFlow creates them."""
        found: Tuple[Field, ...] = self.cell(config).parameters(scope, inputs)
        return found

    def traced(self, name: str, *axes: Tuple[Part, ...], role: str, **known: Any) -> Sequence[Any]:
        """What is known of the parts of a state, each with these axes before its units."""
        return [
            Traced(part_of(name, part), axes + ((Part("unit", size, **known),),), role)
            for part, size in self.state
        ]

    def stacked(self, name: str, states: Sequence[Any]) -> Dict[str, Any]:
        """The parts of the states of all steps, [batch, time, units], by their names."""
        steps = [flat(state) for state in states]
        return {
            part_of(name, part): np.stack(of_part, axis=1)
            for (part, _), of_part in zip(self.state, zip(*steps))
        }

    def named(self, name: str, state: Any) -> Dict[str, Any]:
        """The parts of one state by their names."""
        return {part_of(name, part): x for (part, _), x in zip(self.state, flat(state))}


def class_of(kind: Kind, Base: Any) -> Any:
    """A class of configs with the fields of `Base` and, of the kind of cell, `kind` and options.

    It stands in the module of `Base`, by whose name and place it is found in other processes.
    """
    name = "{}_{}".format(Base.__name__, re.sub(r"\W", "_", kind.name))
    body = {"__doc__": Base.__doc__, "__module__": Base.__module__, "kind": kind}
    # A cell of no units is tried as the article's plain one.
    body.update({"__annotations__": {"num_units": int}, "num_units": size("unit", 4)})
    made = dataclass(frozen=True)(type(name, (kind.Options, Base), body))
    setattr(sys.modules[Base.__module__], name, made)
    return made


def part_of(name: str, part: str) -> str:
    """The name of a part of the states that are called `name`."""
    return "{}_{}".format(name, part) if part else name


# --- what configs say of cells ----------------------------------------------------------------

ACTIVATIONS = ("tanh", "relu", "sigmoid", "linear")


@dataclass(frozen=True)
class NoOptions:
    """Nothing."""


@dataclass(frozen=True)
class Activation:
    """Of a ``BasicRNNCell`` or a ``GRUCell``."""

    activation: str = option(*ACTIVATIONS)


@dataclass(frozen=True)
class BasicLSTMOptions:
    """Of a ``BasicLSTMCell``."""

    forget_bias: float = number(1.0, 0.0)
    activation: str = option(*ACTIVATIONS)


@dataclass(frozen=True)
class LSTMOptions:
    """Of an ``LSTMCell``; what clips is small enough to be met often."""

    num_proj: Optional[int] = optional_size("unit", 4, follows="num_units")
    use_peepholes: bool = False
    cell_clip: Optional[float] = number(None, 0.5, positive=True)
    proj_clip: Optional[float] = number(None, 0.25, positive=True)
    forget_bias: float = number(1.0, 0.0)
    activation: str = option(*ACTIVATIONS)


@dataclass(frozen=True)
class LSTMBlockOptions:
    """Of an ``LSTMBlockCell``."""

    forget_bias: float = number(1.0, 0.0)
    cell_clip: Optional[float] = number(None, 0.5, positive=True)
    use_peephole: bool = False


@dataclass(frozen=True)
class LayerNormOptions:
    """Of a ``LayerNormBasicLSTMCell``."""

    forget_bias: float = number(1.0, 0.0)
    layer_norm: bool = True


# By 0.5 is divided without rounding; 0.9 is no number of float32.
KEEP_PROBS = (1.0, 0.5, 0.9)


@dataclass(frozen=True)
class DropoutOptions:
    """Of a ``DropoutWrapper``."""

    input_keep_prob: float = option(*KEEP_PROBS)
    state_keep_prob: float = option(*KEEP_PROBS)
    output_keep_prob: float = option(*KEEP_PROBS)

    @property
    def drops_inputs(self) -> bool:
        """Whether some are dropped."""
        return self.input_keep_prob < 1

    @property
    def drops_states(self) -> bool:
        """Whether some are dropped."""
        return self.state_keep_prob < 1

    @property
    def drops_outputs(self) -> bool:
        """Whether some are dropped."""
        return self.output_keep_prob < 1


@dataclass(frozen=True)
class KerasOptions:
    """Of a cell of Keras'."""

    activation: str = option(*ACTIVATIONS)
    use_bias: bool = option(True, False)


@dataclass(frozen=True)
class KerasGateOptions(KerasOptions):
    """Of one with gates."""

    recurrent_activation: str = option("sigmoid", "hard_sigmoid")
    implementation: int = option(2, 1)


@dataclass(frozen=True)
class KerasGRUOptions(KerasGateOptions):
    """Of Keras' GRU."""

    reset_after: bool = option(True, False)


# --- the kinds --------------------------------------------------------------------------------


def _layers(cells: Any, num_units: int, residual: bool) -> Any:
    """Two LSTMs on top of each other; `residual` adds the upper one's input to its output."""
    lower, upper = (cells.LSTMCell(num_units=num_units) for _ in range(2))
    return cells.MultiRNNCell([lower, cells.ResidualWrapper(upper) if residual else upper])


@dataclass(frozen=True)
class Layers:
    """Of two layers."""

    residual: bool = False


def _dropout_lstm(cells: Any, num_units: int, **keep_probs: float) -> Any:
    """An LSTM of whose inputs, states and outputs the same are dropped in all steps."""
    lstm = cells.LSTMCell(num_units=num_units)
    return cells.DropoutWrapper(lstm, variational_recurrent=True, **keep_probs)


def _state_of_layers(state: Sizes, *layers: str) -> Sizes:
    return tuple((part_of(layer, part), size) for layer in layers for part, size in state)


LSTM_STATE = (("c", "num_units"), ("h", "num_units"))
# The article's: its state is its output, and needs no name.
PLAIN = Kind(
    "", lambda cells, **given: cells.BasicRNNCell(**given), NoOptions, (("", "num_units"),)
)
_KINDS = (
    Kind("basic", lambda cells, **given: cells.BasicRNNCell(**given), Activation),
    Kind(
        "basic-lstm",
        lambda cells, **given: cells.BasicLSTMCell(**given),
        BasicLSTMOptions,
        LSTM_STATE,
    ),
    Kind(
        "lstm",
        lambda cells, **given: cells.LSTMCell(**given),
        LSTMOptions,
        (("c", "num_units"), ("h", "num_proj")),
        output="num_proj",
    ),
    Kind("gru", lambda cells, **given: cells.GRUCell(**given), Activation),
    Kind("layers", _layers, Layers, _state_of_layers(LSTM_STATE, "lower", "upper")),
    Kind(
        "dropout-lstm",
        _dropout_lstm,
        DropoutOptions,
        LSTM_STATE,
        noise=(
            ("input", "inputs", "drops_inputs"),
            ("state", "num_units", "drops_states"),
            ("output", "num_units", "drops_outputs"),
        ),
    ),
    Kind(
        "layer-norm-lstm",
        lambda cells, **given: cells.LayerNormBasicLSTMCell(**given),
        LayerNormOptions,
        LSTM_STATE,
        contrib=True,
    ),
    Kind("gru-block", lambda cells, **given: cells.GRUBlockCell(**given), NoOptions, contrib=True),
    Kind(
        "lstm-block",
        lambda cells, **given: cells.LSTMBlockCell(**given),
        LSTMBlockOptions,
        LSTM_STATE,
        contrib=True,
    ),
)
KINDS = {kind.name: kind for kind in _KINDS}


def _keras(layer: str) -> Callable[..., Any]:
    def make(cells: Any, num_units: int, **given: Any) -> Any:
        return getattr(cells.keras, layer + "Cell")(units=num_units, **given)

    return make


_KERAS_KINDS = (
    Kind("simple-rnn", _keras("SimpleRNN"), KerasOptions, layer="SimpleRNN"),
    Kind(
        "lstm",
        _keras("LSTM"),
        KerasGateOptions,
        (("h", "num_units"), ("c", "num_units")),
        layer="LSTM",
    ),
    Kind("gru", _keras("GRU"), KerasGRUOptions, layer="GRU"),
)
# Those of Keras, which its own layers run.
KERAS_KINDS = {kind.name: kind for kind in _KERAS_KINDS}
