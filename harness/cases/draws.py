"""From bytes to cases: how the numbers of a case are laid out in what is drawn.

The bytes of a small case stand for the largest small case there is; a smaller one takes from each
array the corner that its sizes leave, block by block. So a byte keeps its place in the network
while the sizes shrink: dropping a unit drops its row and column everywhere and changes nothing
else.
"""

from dataclasses import fields, replace
from functools import lru_cache
from typing import Any, Callable, Collection, Dict, Iterator, Mapping, Sequence, Set, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.regimes import noise_of, regimes_of
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.models import Model
from rnndiff.models.layout import Field, choices_of, is_optional, options_in, sizes_in

# A row of labels is drawn as a byte that says of what kind it is and which class, and one byte more
# for each class. Up to the first of these bytes it is one-hot; up to the second it has numbers of
# the regime, up to the third 0, 1 and -1, of which many are equal; from there on all are 0.
SOFT, TIED, EMPTY = 224, 248, 252


Choose = Callable[[Sequence[Any]], Any]

# How often a row or a step of the data of a large case may be all zeros: in one case of so many.
_ZERO_ROWS_EVERY = 4


def draw_config(
    model: Model, largest: Mapping[str, int], choose: Choose, restriction: Restriction = ANY
) -> Any:
    """A config with every size from the least that there is to that in `largest`.

    Parameters
    ----------
    model : Model
    largest : dict of str to int
        :func:`small_sizes` or :func:`large_sizes`.
    choose : function of a sequence
        Draws one of its elements; the first is the simplest.
    restriction : Restriction
        What may be drawn.
    """
    drawn: Dict[str, Any] = {}
    known = sizes_in(model.Config)
    for field in fields(model.Config):
        name = field.name
        is_given = name in restriction.ranges
        if name in restriction.options:
            drawn[name] = restriction.options[name]
        elif name not in known:
            drawn[name] = choose(choices_of(model.Config, name))
        elif is_optional(model.Config, name) and not is_given and choose([True, False]):
            drawn[name] = None
        else:
            drawn[name] = choose(restriction.sizes(name, known[name], largest[name]))
    for name, size in known.items():
        # Without what it follows, it is what it must be at least.
        followed = drawn.get(size.follows)
        if drawn[name] is None and followed is not None and followed < size.least:
            drawn[name] = size.least
    return model.Config(**drawn)


def draw_kernel_config(model: Model, choose: Choose, restriction: Restriction = ANY) -> Any:
    """A config of small sizes but for one, which is around those at which kernels change.

    See :data:`rnndiff.models.layout.KERNEL_SIZES`; all are small if it has none for this model.
    What is not given of the others follows the large one.
    """
    config = draw_config(model, small_sizes(model), choose, restriction)
    sizes = {
        name: restriction.within(name, size.kernel_sizes)
        for name, size in sizes_in(model.Config).items()
        if name not in restriction.options
    }
    names = [name for name in sizes if sizes[name]]
    if not names:
        return config
    name = choose(names)
    return replace(config, **{name: choose(sizes[name])})


def draw_config_of(model: Model, kind: str, choose: Choose, restriction: Restriction = ANY) -> Any:
    """A config of a kind: "small", "large", or "kernel" as :func:`draw_kernel_config` has it."""
    if kind == "kernel":
        return draw_kernel_config(model, choose, restriction)
    large = restriction.largest(large_sizes(model))
    return draw_config(model, small_sizes(model) if kind == "small" else large, choose, restriction)


def small_sizes(model: Model) -> Dict[str, int]:
    """The largest sizes of a small case.

    Large enough for every boundary (two of anything, more slots than steps, attn_size below and
    above num_units), small enough to be read.
    """
    return {name: size.small for name, size in sizes_in(model.Config).items()}


def large_sizes(model: Model) -> Dict[str, int]:
    """The largest sizes of a large case: the article's, but for the rows."""
    article = model.article.sizes()
    return {
        name: size.large or article.get(name, max(article.values()))
        for name, size in sizes_in(model.Config).items()
    }


@lru_cache(maxsize=64)
def length_of(model: Model) -> int:
    """How many bytes a small case of `model` is drawn as."""
    return sum(grid.size for grid in _grids(model).values())


def small_case(
    model: Model,
    config: Any,
    regime: str,
    scale: float,
    numbers: bytes,
    precision: str = "float32",
) -> Case:
    """The case that ``length_of(model)`` bytes stand for under `config`."""
    drawn, regimes = np.frombuffer(numbers, np.uint8), regimes_of(precision)
    arrays = {}
    for field, places in _places(model, config):
        if field.name == "labels":
            arrays[field.name] = _labels(drawn[places], regimes, regime)
        elif field.counts:
            arrays[field.name] = lengths(drawn[places], config.sizes()[field.counts])
        else:
            arrays[field.name] = _numbers(drawn[places], field, precision, regime, scale)
    return Case(model, config, arrays, precision)


def large_case(
    random: Any,
    model: Model,
    config: Any,
    regime: str,
    scale: float,
    precision: str = "float32",
) -> Case:
    """A case of any size, its numbers drawn from `random`, a ``numpy.random.RandomState``."""
    arrays, regimes = {}, regimes_of(precision)
    parameters = {field.name for field in model.parameters(config)}
    for field in model.fields(config):
        shape = field.shape(config)
        if field.name == "labels":
            bytes_of = shape[:-1] + (shape[-1] + 1,)
            arrays[field.name] = _labels(random.randint(0, 256, bytes_of), regimes, regime)
        elif field.counts:
            most = config.sizes()[field.counts]
            arrays[field.name] = lengths(random.randint(0, 256, shape), most)
        else:
            # Divided by the square root of the fan-in, weights of scale 1 neither die nor explode.
            fan_in = shape[-2] if len(shape) > 1 and field.name in parameters else 1
            numbers = _numbers(random.randint(0, 256, shape), field, precision, regime, scale)
            with np.errstate(under="ignore"):
                arrays[field.name] = numbers / numbers.dtype.type(np.sqrt(fan_in))
            if field.name not in parameters:
                _clear_rows(random, arrays[field.name])
    return Case(model, config, arrays, precision)


def _clear_rows(random: Any, data: np.ndarray) -> None:
    """Now and then make some rows of inputs or states zero, or some of their steps."""
    if data.ndim > 1 and random.randint(_ZERO_ROWS_EVERY) == 0:
        axes = random.randint(1, data.ndim)
        data[random.random_sample(data.shape[:axes]) < 0.5] = 0


def is_one_hot(labels: np.ndarray) -> np.ndarray:
    """Which rows of labels [..., outputs] are one-hot: a 1 and zeros."""
    return (np.sum(labels == 1, axis=-1) == 1) & (np.sum(labels != 0, axis=-1) == 1)


def _grids(model: Model) -> Dict[Tuple[str, int], np.ndarray]:
    """For every array of the largest small case, the places of its numbers among the bytes.

    By its name and how many axes it has, which an option may decide.
    """
    grids: Dict[Tuple[str, int], np.ndarray] = {}
    taken = 0
    for largest in _largest(model):
        for field in model.fields(largest):
            key = field.name, len(field.axes)
            if key not in grids:
                shape = field.shape(largest)
                if field.name == "labels":
                    shape = shape[:-1] + (1 + shape[-1],)
                size = int(np.prod(shape))
                grids[key] = np.arange(taken, taken + size).reshape(shape)
                taken += size
    return grids


@lru_cache(maxsize=64)
def every_array(model: Model) -> Dict[str, Field]:
    """All arrays that a case of some config has, parameters and data, by their names."""
    return {field.name: field for config in _largest(model) for field in model.fields(config)}


def options_behind(model: Model, names: Collection[str]) -> Set[str]:
    """Options, and sizes that may be None, without which a case does not have all these arrays.

    That is, if they have their defaults.
    """
    Config, without = model.Config, {}
    for option in options_in(Config):
        without[option] = choices_of(Config, option)[0]
    without.update({size: None for size in sizes_in(Config) if is_optional(Config, size)})
    found = set()
    for config in _largest(model):
        there = {field.name for field in model.fields(config)}.intersection(names)
        for option, default in without.items():
            fields_left = model.fields(replace(config, **{option: default}))
            if not there.issubset(field.name for field in fields_left):
                found.add(option)
    return found


def _largest(model: Model) -> Iterator[Any]:
    """Large configs that have every array between them: each option with all its choices.

    Beside the last of the others, and all options with the first.
    """
    sizes = small_sizes(model)
    options = options_in(model.Config)
    choices = {name: choices_of(model.Config, name) for name in options}
    last = {name: choices[name][-1] for name in options}
    yield model.Config(**sizes, **last)
    for name in options:
        for choice in choices[name][:-1]:
            yield model.Config(**sizes, **dict(last, **{name: choice}))
    yield model.Config(**sizes, **{name: choices[name][0] for name in options})


@lru_cache(maxsize=1024)
def _places(model: Model, config: Any) -> Tuple[Tuple[Field, np.ndarray], ...]:
    """The places of every array of `config`: a corner of each block of the largest one's."""
    grids, sizes = _grids(model), config.sizes()
    largest = replace(config, **small_sizes(model))
    limits = largest.sizes()
    places = []
    for field in model.fields(config):
        kept = []
        for axis in field.axes:
            starts = np.cumsum([0] + [limits[part] for part in axis])
            blocks = [np.arange(start, start + sizes[part]) for start, part in zip(starts, axis)]
            kept.append(np.concatenate(blocks) if axis else np.array([0]))
        if field.name == "labels":
            kept[-1] = np.arange(1 + len(kept[-1]))
        places.append((field, grids[field.name, len(field.axes)][np.ix_(*kept)]))
    return tuple(places)


def _numbers(
    indices: np.ndarray, field: Field, precision: str, regime: str, scale: float
) -> np.ndarray:
    if field.is_noise:
        return noise_of(precision)[indices]
    table = regimes_of(precision)[regime]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        factor = table.dtype.type(1 if field.name == "inputs" else scale)
        return table[indices] * factor


def lengths(numbers: np.ndarray, most: int) -> np.ndarray:
    """Whole numbers from 0 to `most`, the largest for 0."""
    return np.int32(most - numbers % (most + 1))


def _labels(indices: np.ndarray, regimes: Dict[str, np.ndarray], regime: str) -> np.ndarray:
    kinds, numbers = indices[..., :1], indices[..., 1:]
    outputs, dtype = numbers.shape[-1], regimes[regime].dtype
    one_hot = kinds % outputs == np.arange(outputs)
    return np.select(
        [kinds < SOFT, kinds < TIED, kinds < EMPTY],
        [one_hot.astype(dtype), regimes[regime][numbers], regimes["ties"][numbers]],
        dtype.type(0),
    ).astype(dtype)
