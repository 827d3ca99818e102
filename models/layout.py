"""How the arrays of a model are laid out: names, axes and shapes, as data.

An axis is written as the config fields whose sizes add up to it: the kernel of a cell that reads
``[x; h]`` has the axes ``(("inputs", "num_units"), ("num_units",))``. So a case can be cropped to
fewer inputs or units without mixing the rows that belong to ``x`` with those that belong to ``h``.
"""

from dataclasses import field, fields
from numbers import Integral
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

Axis = Tuple[str, ...]


class Size(NamedTuple):
    """What is known of a size in a config.

    ``axis`` says what it counts: "row", "step", "token", "input", "class", "unit" or "slot". It is
    at least ``least``, in a small case up to ``small``, in a large one up to ``large`` (None: as
    large as the article's). One that may be None then ``follows`` another, if any.
    """

    axis: str
    small: int
    least: int = 1
    large: Optional[int] = None
    follows: str = ""


def size(axis: str, small: int, **known: Any) -> Any:
    """A config's field that is a size, see :class:`Size`."""
    return field(metadata={"size": Size(axis, small, **known)})


def optional_size(axis: str, small: int, **known: Any) -> Any:
    """The same of a size that may be None, and is by default."""
    return field(default=None, metadata={"size": Size(axis, small, **known)})


def option(default: Any, *others: Any) -> Any:
    """A config's field that is no size, and what it may be; the default is the simplest."""
    return field(default=default, metadata={"choices": (default,) + others})


def choices_of(config: Any, name: str) -> Tuple[Any, ...]:
    """What an option of a config, or of a class of them, may be: True or False, unless it says."""
    (each,) = [each for each in fields(config) if each.name == name]
    return each.metadata.get("choices", (each.default, not each.default))


def sizes_in(config: Any) -> Dict[str, Size]:
    """What is known of the sizes in a config, or a class of them; all other fields are options."""
    return {each.name: each.metadata["size"] for each in fields(config) if "size" in each.metadata}


def is_optional(config: Any, name: str) -> bool:
    """Whether a size of a config, or a class of them, may be None."""
    return any(each.name == name and each.default is None for each in fields(config))


def sizes_of(config: Any) -> Dict[str, int]:
    """The sizes in a config by their names, those that are None filled in by what they follow."""
    sizes: Dict[str, int] = {}
    for name, known in sizes_in(config).items():
        value = getattr(config, name)
        sizes[name] = sizes[known.follows] if value is None else value
    return sizes


class Field(NamedTuple):
    """A named array of a case: a parameter, or of its data.

    It has numbers of float32, or if it ``counts`` a size, such as "time", whole numbers of int32
    from 0 to that. ``when`` names the option of the config without which there is no such array.
    """

    name: str
    axes: Tuple[Axis, ...]
    counts: str = ""
    when: str = ""

    @property
    def dtype(self) -> Any:
        """Of its numbers."""
        return np.int32 if self.counts else np.float32

    @property
    def is_free(self) -> bool:
        """Whether any numbers may stand in it: it counts nothing, and labels no class."""
        return not self.counts and self.name != "labels"

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
    """Raise ValueError unless every size and every option is what it may be."""
    known, title = sizes_in(config), type(config).__name__
    for each in fields(config):
        value = getattr(config, each.name)
        if each.name in known:
            continue
        choices = choices_of(config, each.name)
        # True is equal to 1, and 1.0 to 1: a config is the same just if its text is.
        if not any(type(value) is type(x) and value == x for x in choices):
            allowed = " or ".join(map(repr, choices))
            raise ValueError("{}.{} must be {}, not {!r}".format(title, each.name, allowed, value))
    for name, value in config.sizes().items():
        # What is not in the config follows from it.
        least = known[name].least if name in known else 0
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise ValueError(
                "{}.{} must be a whole number of at least {}, not {!r}".format(
                    title, name, least, value
                )
            )


def check_arrays(arrays: Dict[str, np.ndarray], fields: Tuple[Field, ...], config: Any) -> None:
    """Raise ValueError, naming the array, unless ``arrays`` has just the shapes of ``fields``."""
    for each in fields:
        if each.name not in arrays:
            raise ValueError("the array {!r} is missing".format(each.name))
        found, wanted = np.shape(arrays[each.name]), each.shape(config)
        if found != wanted:
            raise ValueError(
                "{!r} has the shape {}, but {} needs {}".format(
                    each.name, list(found), config, list(wanted)
                )
            )
        if each.counts:
            most = config.sizes()[each.counts]
            numbers = np.asarray(arrays[each.name])
            if ((numbers < 0) | (numbers > most)).any():
                raise ValueError("{!r} has numbers other than 0 to {}".format(each.name, most))
    extra = sorted(set(arrays) - {each.name for each in fields})
    if extra:
        raise ValueError("there is no array {!r} in {}".format(extra[0], type(config).__name__))


def divide(arrays: Sequence[Any], fields: Sequence[Sequence[Field]]) -> List[Any]:
    """The arrays of each of these groups of fields, one behind the other."""
    found, start = [], 0
    for each in fields:
        found.append(arrays[start : start + len(each)])
        start += len(each)
    return found


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
