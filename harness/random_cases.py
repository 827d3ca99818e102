"""Random cases without Hypothesis, many to a config: what a fuzzer needs to be fast."""

from typing import Any, List

import numpy as np

from harness.case import Case
from harness.regimes import REGIMES, SCALES
from harness.strategies import SMALL, _article_sizes, _grids, _labels, _numbers, _small_case
from models import MODELS, Model

# A graph costs as much as some hundred cases on it.
SMALL_BATCH = 128
LARGE_BATCH = 8
_LARGE_EVERY = 12


def random_batch(name: str, seed: int, number: int) -> List[Case]:
    """Batch `number` of a seed: cases of the model `name` that share one config."""
    random = np.random.RandomState([seed & 0xFFFFFFFF, number])
    model = MODELS[name]
    if random.randint(_LARGE_EVERY) == 0:
        config = random_config(random, model, _article_sizes(model))
        return [_large_case(random, model, config) for _ in range(LARGE_BATCH)]
    config = random_config(random, model, SMALL)
    grids = _grids(model)
    length = sum(int(np.prod(shape)) for shape in grids.values())
    cases = []
    for _ in range(SMALL_BATCH):
        numbers = random.randint(0, 256, length).astype(np.uint8)
        # Thin networks out, too: zeros are where structure shows.
        numbers[random.random_sample(length) < random.choice([0.0, 0.0, 0.5, 0.9])] = 0
        cases.append(_small_case(model, config, grids, _regime(random), _scale(random), numbers))
    return cases


def random_config(random: Any, model: Model, largest: Any) -> Any:
    """A config with every size from the least that there is to that in `largest`."""
    fields = {}
    for name, field in model.Config.__dataclass_fields__.items():
        if name == "state_is_tuple":
            fields[name] = bool(random.randint(2))
        elif field.default is None and random.randint(2):
            fields[name] = None
        else:
            fields[name] = int(random.randint(0 if name == "batch" else 1, largest[name] + 1))
    return model.Config(**fields)


def _regime(random: Any) -> str:
    return sorted(REGIMES)[random.randint(len(REGIMES))]


def _scale(random: Any) -> float:
    return SCALES[random.randint(len(SCALES))]


def _large_case(random: Any, model: Model, config: Any) -> Case:
    regime, scale = _regime(random), _scale(random)
    arrays = {}
    for field in model.fields(config):
        shape = field.shape(config)
        if field.name == "labels":
            arrays[field.name] = _labels(random.randint(0, 256, shape[:-1]), config.outputs)
        else:
            fan_in = shape[-2] if len(shape) > 1 and field.name != "inputs" else 1
            numbers = _numbers(random.randint(0, 256, shape), field, regime, scale)
            arrays[field.name] = numbers / np.float32(np.sqrt(fan_in))
    return Case(model, config, arrays)
