"""Random cases without Hypothesis, many to a config: what a fuzzer needs to be fast."""

from typing import Any, List

import numpy as np

from harness.cases.case import Case
from harness.cases.draws import (
    draw_config,
    large_case,
    large_sizes,
    length_of,
    small_case,
    small_sizes,
)
from harness.cases.regimes import REGIMES, SCALES
from models import MODELS, Model

# A graph costs as much as some hundred cases on it.
SMALL_BATCH = 128
LARGE_BATCH = 8
_LARGE_EVERY = 12


def batch_size(seed: int, number: int) -> int:
    """How many cases batch `number` of a seed has, whatever the model."""
    return LARGE_BATCH if _is_large(_random(seed, number)) else SMALL_BATCH


def random_batch(name: str, seed: int, number: int) -> List[Case]:
    """Batch `number` of a seed: cases of the model `name` that share one config."""
    random = _random(seed, number)
    model = MODELS[name]
    if _is_large(random):
        config = random_config(random, model, large_sizes(model))
        return [
            large_case(random, model, config, _regime(random), _scale(random))
            for _ in range(LARGE_BATCH)
        ]
    config = random_config(random, model, small_sizes(model))
    length = length_of(model)
    cases = []
    for _ in range(SMALL_BATCH):
        numbers = random.randint(0, 256, length).astype(np.uint8)
        # Thin networks out, too: zeros are where structure shows.
        numbers[random.random_sample(length) < random.choice([0.0, 0.0, 0.5, 0.9])] = 0
        cases.append(small_case(model, config, _regime(random), _scale(random), numbers.tobytes()))
    return cases


def _random(seed: int, number: int) -> Any:
    return np.random.RandomState([seed & 0xFFFFFFFF, number])


def _is_large(random: Any) -> bool:
    return bool(random.randint(_LARGE_EVERY) == 0)


def random_config(random: Any, model: Model, largest: Any) -> Any:
    """A config with every size from the least that there is to that in `largest`."""
    return draw_config(model, largest, lambda options: options[random.randint(len(options))])


def _regime(random: Any) -> str:
    return sorted(REGIMES)[random.randint(len(REGIMES))]


def _scale(random: Any) -> float:
    return SCALES[random.randint(len(SCALES))]
