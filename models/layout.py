"""How the arrays of a model are laid out: names, axes and shapes, as data.

An axis is written as the config fields whose sizes add up to it: the kernel of a cell that reads
``[x; h]`` has the axes ``(("inputs", "num_units"), ("num_units",))``. So a case can be cropped to
fewer inputs or units without mixing the rows that belong to ``x`` with those that belong to ``h``.
"""

from dataclasses import fields
from numbers import Integral
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

Axis = Tuple[str, ...]

MAY_BE_ZERO = ("batch", "inputs", "num_units")


class Field(NamedTuple):
    """A named array of a case: a parameter, the inputs or the labels."""

    name: str
    axes: Tuple[Axis, ...]

    def shape(self, config: Any) -> Tuple[int, ...]:
        """The shape under ``config``; the axis ``()`` has the size 1."""
        sizes = config.sizes()
        return tuple(sum(sizes[part] for part in axis) if axis else 1 for axis in self.axes)


class Part(NamedTuple):
    """What an axis of the trace, or a stretch of it, counts: such as units, and how many.

    ``size`` is a config field, of which ``less`` are missing. ``backward`` units are computed from
    the last step to the first.
    """

    label: str
    size: str
    less: int = 0
    backward: bool = False


# What an array of the trace is. A choice is a class by its number, the arg max of scores; a
# copy has only numbers that stand in other arrays, too.
STATE, SCORE, CHOICE, COPY, VALUE = "state", "score", "choice", "copy", "value"


class Traced(NamedTuple):
    """A named array of the trace; an axis is the parts that lie along it, one after the other.

    ``role`` is "state", "score", "choice", "copy" or "value". Choices are whole numbers, all others
    numbers of the subject's precision.
    """

    name: str
    axes: Tuple[Tuple[Part, ...], ...]
    role: str = VALUE

    def shape(self, config: Any) -> Tuple[int, ...]:
        """The shape under ``config``."""
        sizes = config.sizes()
        return tuple(sum(sizes[part.size] - part.less for part in axis) for axis in self.axes)

    def place(self, index: Tuple[int, ...], config: Any) -> str:
        """What stands at an index, in words: ``outputs[row 0, step 1, backward unit 0]``."""
        sizes, words = config.sizes(), []
        for axis, number in zip(self.axes, index):
            for part in axis:
                size = sizes[part.size] - part.less
                if number < size:
                    words.append("{} {}".format(part.label, number))
                    break
                number -= size
        return "{}[{}]".format(self.name, ", ".join(words)) if words else self.name


ROW = (Part("row", "batch"),)
STEP = (Part("step", "time"),)
TOKEN = (Part("token", "output_time"),)
# A token that is fed back, and the step on it.
FED_BACK = (Part("step", "output_time", less=1),)
CLASS = (Part("class", "outputs"),)
UNIT = (Part("unit", "num_units"),)


def judged(*rows: Tuple[Part, ...]) -> Tuple[Traced, ...]:
    """What all models do with their scores, of which there is one row for each of `rows`."""
    return (
        Traced("scores", rows + (CLASS,), SCORE),
        Traced("probabilities", rows + (CLASS,)),
        Traced("predictions", rows, CHOICE),
        Traced("accuracy", ()),
        Traced("loss", ()),
    )


def check_sizes(config: Any) -> None:
    """Raise ValueError unless every size is at least 1 (batch, inputs and num_units: 0).

    An option must be True or False.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        if field.type is bool and not isinstance(value, bool):
            raise ValueError(
                "{}.{} must be True or False, not {!r}".format(
                    type(config).__name__, field.name, value
                )
            )
    for name, size in config.sizes().items():
        least = 0 if name in MAY_BE_ZERO or name.endswith("_input_size") else 1
        if not isinstance(size, Integral) or isinstance(size, bool) or size < least:
            raise ValueError(
                "{}.{} must be a whole number of at least {}, not {!r}".format(
                    type(config).__name__, name, least, size
                )
            )


def check_arrays(arrays: Dict[str, np.ndarray], fields: Tuple[Field, ...], config: Any) -> None:
    """Raise ValueError, naming the array, unless ``arrays`` has just the shapes of ``fields``."""
    for field in fields:
        if field.name not in arrays:
            raise ValueError("the array {!r} is missing".format(field.name))
        found, wanted = np.shape(arrays[field.name]), field.shape(config)
        if found != wanted:
            raise ValueError(
                "{!r} has the shape {}, but {} needs {}".format(
                    field.name, list(found), config, list(wanted)
                )
            )
    extra = sorted(set(arrays) - {field.name for field in fields})
    if extra:
        raise ValueError("there is no array {!r} in {}".format(extra[0], type(config).__name__))


def rnn_cell(scope: str, inputs: str, num_units: str = "num_units") -> Tuple[Field, ...]:
    """Kernel and bias of a ``BasicRNNCell``, in TensorFlow's creation order."""
    return linear(scope, (inputs, num_units), num_units)


def linear(scope: str, inputs: Axis, outputs: str) -> Tuple[Field, ...]:
    """Kernel and bias of a linear layer, in TensorFlow's creation order."""
    return (
        Field(scope + "/kernel", (inputs, (outputs,))),
        Field(scope + "/bias", ((outputs,),)),
    )


def attention_cell(scope: str, inputs: str, input_size: str) -> Tuple[Field, ...]:
    """The ten parameters of an ``AttentionCellWrapper`` around a ``BasicRNNCell``.

    In the order in which TensorFlow 1.15's ``tf.contrib.rnn.AttentionCellWrapper`` creates them.
    """
    return (
        linear(scope, (inputs, "attn_size"), input_size)
        + rnn_cell(scope + "/cell", input_size)
        + (
            Field(scope + "/attention/attn_w", ((), (), ("attn_size",), ("attn_vec_size",))),
            Field(scope + "/attention/attn_v", (("attn_vec_size",),)),
        )
        + linear(scope + "/attention", ("num_units",), "attn_vec_size")
        + linear(scope + "/attn_output_projection", ("num_units", "attn_size"), "attn_size")
    )
