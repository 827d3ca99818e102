"""Hypothesis strategies for cases.

A small case is drawn as its sizes, a scale and *one* byte string. The bytes stand for the largest
small case there is; a smaller one takes from each array the corner that its sizes leave, block by
block. So a byte keeps its place in the network while the sizes shrink: dropping a unit drops its
row and column everywhere and changes nothing else.

A large case is drawn as its sizes, a seed and a few edits.
"""

from typing import Any, Dict, List, Tuple

import numpy as np
from hypothesis import strategies as st

from harness.case import Case
from harness.regimes import REGIMES, SCALES
from models import Model
from models.layout import Field

# The largest sizes of a small case. Large enough for every boundary (two of anything, more slots
# than steps, attn_size below and above num_units), small enough to be read. What is optional may
# be no larger than this where its default is taken: attn_vec_size as large as attn_size, and
# input_size as inputs and outputs.
SMALL = {
    "batch": 3,
    "time": 4,
    "output_time": 3,
    "inputs": 3,
    "outputs": 4,
    "num_units": 4,
    "attn_length": 3,
    "attn_size": 5,
    "attn_vec_size": 5,
    "input_size": 4,
}
_OPTIONAL = ("attn_size", "attn_vec_size", "input_size")
# Cases to a config, and edits to a large case.
BATCH = 12
_EDITS = 8


def configs(model: Model, largest: Dict[str, int]) -> st.SearchStrategy:
    """Configs of `model` with every size from the least that there is to that in `largest`."""
    fields: Dict[str, Any] = {}
    for name in model.Config.__dataclass_fields__:
        if name == "state_is_tuple":
            fields[name] = st.sampled_from([True, False])
        else:
            sizes = st.integers(0 if name == "batch" else 1, largest[name])
            fields[name] = st.one_of(st.none(), sizes) if name in _OPTIONAL else sizes
    return st.builds(model.Config, **fields)


@st.composite
def small_batches(draw: Any, model: Model, regime: str, most: int = BATCH) -> List[Case]:
    """One to `most` cases that share a config of at most the sizes in ``SMALL``."""
    config = draw(configs(model, SMALL), label="config")
    grids = _grids(model)
    length = sum(int(np.prod(shape)) for shape in grids.values())
    networks = st.tuples(st.sampled_from(SCALES), st.binary(min_size=length, max_size=length))
    return [
        _small_case(model, config, grids, regime, scale, np.frombuffer(numbers, np.uint8))
        for scale, numbers in draw(st.lists(networks, min_size=1, max_size=most), label="numbers")
    ]


def _small_case(
    model: Model,
    config: Any,
    grids: Dict[str, Tuple[int, ...]],
    regime: str,
    scale: float,
    numbers: np.ndarray,
) -> Case:
    arrays, taken = {}, 0
    for field in model.fields(config):
        shape = grids[field.name]
        start, taken = taken, taken + int(np.prod(shape))
        grid = numbers[start:taken].reshape(shape)
        if field.name == "labels":
            arrays[field.name] = _labels(_crop(grid, field.axes[:-1], config), config.outputs)
        else:
            arrays[field.name] = _numbers(_crop(grid, field.axes, config), field, regime, scale)
    return Case(model, config, arrays)


@st.composite
def large_batches(draw: Any, model: Model, regime: str) -> List[Case]:
    """One case of up to the article's sizes."""
    config = draw(configs(model, _article_sizes(model)), label="config")
    scale = draw(st.sampled_from(SCALES), label="scale")
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1), label="seed"))
    arrays = {}
    for field in model.fields(config):
        shape = field.shape(config)
        if field.name == "labels":
            arrays[field.name] = _labels(random.randint(0, 256, shape[:-1]), config.outputs)
        else:
            # Divided by the square root of the fan-in, weights of scale 1 neither die nor explode.
            fan_in = shape[-2] if len(shape) > 1 and field.name != "inputs" else 1
            numbers = _numbers(random.randint(0, 256, shape), field, regime, scale)
            arrays[field.name] = numbers / np.float32(np.sqrt(fan_in))
    edits = st.tuples(st.sampled_from(sorted(arrays)), st.integers(0, 2**16), st.integers(0, 255))
    for name, place, byte in draw(st.lists(edits, max_size=_EDITS), label="edits"):
        if name != "labels" and arrays[name].size:
            arrays[name].ravel()[place % arrays[name].size] = REGIMES[regime][byte]
    return [Case(model, config, arrays)]


def batches(model: Model, regime: str, large: int = 16) -> st.SearchStrategy:
    """Cases that share a config, and so a graph: small ones, or in one draw of `large` a large one.

    A graph costs a hundred times what a case costs once it is there.
    """
    kinds = [small_batches(model, regime)] * (large - 1) + [large_batches(model, regime)]
    return st.sampled_from(range(large)).flatmap(kinds.__getitem__)


def _article_sizes(model: Model) -> Dict[str, int]:
    sizes = model.article.sizes()
    largest = {name: sizes.get(name, model.article.num_units) for name in SMALL}
    return dict(largest, batch=8)


def _grids(model: Model) -> Dict[str, Tuple[int, ...]]:
    """The shape of the bytes of every array of the largest small case."""
    largest = _largest_small(model)
    grids = {field.name: field.shape(largest) for field in model.fields(largest)}
    grids["labels"] = grids["labels"][:-1]
    return grids


def _largest_small(model: Model) -> Any:
    fields = model.Config.__dataclass_fields__
    return model.Config(**{name: SMALL[name] for name in fields if name in SMALL})


def _crop(grid: np.ndarray, axes: Any, config: Any) -> np.ndarray:
    """Of every block of every axis, as many places as `config` has, from the start."""
    sizes = config.sizes()
    limits = _largest_small_sizes(config)
    kept = []
    for axis in axes:
        places, start = [], 0
        for part in axis:
            places.extend(range(start, start + sizes[part]))
            start += limits[part]
        kept.append(places if axis else [0])
    return grid[np.ix_(*kept)]


def _largest_small_sizes(config: Any) -> Dict[str, int]:
    fields = type(config).__dataclass_fields__
    return type(config)(**{name: SMALL[name] for name in fields if name in SMALL}).sizes()


def _numbers(indices: np.ndarray, field: Field, regime: str, scale: float) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        factor = np.float32(1 if field.name == "inputs" else scale)
        return REGIMES[regime][indices] * factor


def _labels(indices: np.ndarray, outputs: int) -> np.ndarray:
    return np.eye(outputs, dtype=np.float32)[indices % outputs]
