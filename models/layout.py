"""How the arrays of a model are laid out: names, axes and shapes, as data.

An axis is written as the config fields whose sizes add up to it: the kernel of a cell that reads
``[x; h]`` has the axes ``(("inputs", "num_units"), ("num_units",))``. So a case can be cropped to
fewer inputs or units without mixing the rows that belong to ``x`` with those that belong to ``h``.
"""

import math
from collections import Counter
from dataclasses import field, fields
from functools import lru_cache
from numbers import Integral
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

Axis = Tuple[str, ...]

# One less, as many and one more of what an implementation takes at once. A vector has 4, 8 or 16
# float32 numbers (SSE and NEON, AVX, AVX-512), a tile of a matrix product 4 to 64 rows or columns
# (the micro-kernels of Eigen, oneDNN and OpenBLAS), a block that is to stay in a cache 128 or 256
# and more. What is left over goes through other code.
_AROUND_TILES = (15, 16, 17, 31, 32, 33, 63, 64, 65)
_AROUND_BLOCKS = _AROUND_TILES + (127, 128, 129, 255, 256, 257)
# Sizes around those at which kernels change, by what is counted.
KERNEL_SIZES: Dict[str, Tuple[int, ...]] = {
    # The rows of the left factor of each product: more than 8 are more than a vector of AVX.
    "row": (9, 16, 17, 33, 64, 65),
    # Steps meet no tile, but in a graph each is a copy: one more than the 28 rows of an image.
    "step": (29, 31, 32, 33, 63, 64),
    "token": (29, 31, 32, 33, 63, 64),
    "input": _AROUND_BLOCKS,
    "unit": _AROUND_BLOCKS,
    "feature": _AROUND_BLOCKS,
    # A softmax goes over the slots and the classes.
    "slot": (9, 16, 17, 33),
    "class": (15, 16, 17, 31, 32, 33, 127, 128, 129, 1000),
}


class Size(NamedTuple):
    """What is known of a size in a config.

    ``axis`` says what it counts: "row", "step", "token", "input", "class", "unit", "feature" or
    "slot". It is at least ``least``, in a small case up to ``small``, in a large one up to
    ``large`` (None: as large as the article's). ``kernels`` are sizes around those at which kernels
    change (None: what KERNEL_SIZES has for its axis). One that may be None then ``follows``
    another, if any.
    """

    axis: str
    small: int
    least: int = 1
    large: Optional[int] = None
    follows: str = ""
    kernels: Optional[Tuple[int, ...]] = None

    @property
    def kernel_sizes(self) -> Tuple[int, ...]:
        """The sizes around those at which kernels change; none where nothing is known of them."""
        return KERNEL_SIZES.get(self.axis, ()) if self.kernels is None else self.kernels


def size(axis: str, small: int, **known: Any) -> Any:
    """A config's field that is a size, see :class:`Size`."""
    return field(metadata={"size": Size(axis, small, **known)})


def optional_size(axis: str, small: int, **known: Any) -> Any:
    """The same of a size that may be None, and is by default."""
    return field(default=None, metadata={"size": Size(axis, small, **known)})


def option(default: Any, *others: Any) -> Any:
    """A config's field that is no size, and what it may be; the default is the simplest."""
    return field(default=default, metadata={"choices": (default,) + others})


def number(default: Optional[float], *others: float, positive: bool = False) -> Any:
    """The same of one that may be any finite number, or any above 0; these are drawn."""
    known = {"choices": (default,) + others, "numbers": 0.0 if positive else -math.inf}
    return field(default=default, metadata=known)


def choices_of(config: Any, name: str) -> Tuple[Any, ...]:
    """What an option of a config, or of a class of them, may be: True or False, unless it says."""
    (each,) = [each for each in fields(config) if each.name == name]
    return each.metadata.get("choices", (each.default, not each.default))


def sizes_in(config: Any) -> Dict[str, Size]:
    """What is known of the sizes in a config, or a class of them; all other fields are options."""
    return _sizes_in(config if isinstance(config, type) else type(config))


@lru_cache(maxsize=None)
def _sizes_in(Config: Any) -> Dict[str, Size]:
    return {each.name: each.metadata["size"] for each in fields(Config) if "size" in each.metadata}


def options_in(config: Any) -> List[str]:
    """The names of the options in a config, or a class of them: of all that is no size."""
    return [each.name for each in fields(config) if each.name not in sizes_in(config)]


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


def sum_text(names: Sequence[str]) -> str:
    """The sum of sizes in words: "inputs + 4 num_units"."""
    return " + ".join(
        name if count == 1 else "{} {}".format(count, name)
        for name, count in Counter(names).items()
    )


class Field(NamedTuple):
    """A named array of a case: a parameter, or of its data.

    It has numbers of float32, or the precision of the case, or if it ``counts`` a size, such as
    "time", whole numbers of int32 from 0 to that. ``when`` names what of the config is false where
    there is no such array. ``is_noise`` says that a random number from 0 up to 1 is meant.
    """

    name: str
    axes: Tuple[Axis, ...]
    counts: str = ""
    when: str = ""
    is_noise: bool = False

    @property
    def dtype(self) -> Any:
        """Of its numbers."""
        return np.int32 if self.counts else np.float32

    @property
    def is_free(self) -> bool:
        """Whether any numbers may stand in it: it counts nothing, and labels no class."""
        return not self.counts and self.name != "labels"

    @property
    def text(self) -> str:
        """The shape in words: "inputs + num_units, 4 num_units"."""
        return ", ".join(sum_text(axis) if axis else "1" for axis in self.axes)

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

    @property
    def text(self) -> str:
        """The shape in words: "batch, output_time - 1, outputs"."""
        texts = []
        for axis in self.axes:
            less = sum(part.less for part in axis)
            whole = sum_text([part.size for part in axis])
            texts.append("{} - {}".format(whole, less) if less else whole)
        return ", ".join(texts)

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
        least = each.metadata.get("numbers", math.inf)
        # True is equal to 1, and 1.0 to 1: a config is the same just if its text is.
        if type(value) is float and least < value < math.inf:
            continue
        if not any(type(value) is type(x) and value == x for x in choices):
            allowed = " or ".join(map(repr, choices))
            if least < math.inf:
                allowed += " or another number" + " above 0" * (least == 0)
            raise ValueError("{}.{} must be {}, not {!r}".format(title, each.name, allowed, value))
    given = {name: getattr(config, name) for name in known if getattr(config, name) is not None}
    # Those that are given come first, as others follow from them.
    for name, value in {**given, **config.sizes()}.items():
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


def kernel_and_bias(scope: str, inputs: Axis, outputs: str) -> Tuple[Field, ...]:
    """Kernel and bias of a linear layer, in TensorFlow's creation order."""
    return (
        Field(scope + "/kernel", (inputs, (outputs,))),
        Field(scope + "/bias", ((outputs,),)),
    )
