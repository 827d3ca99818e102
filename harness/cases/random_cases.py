"""Random cases without Hypothesis, many to a config: what a fuzzer needs to be fast."""

import difflib
from dataclasses import replace
from typing import Any, Callable, List, Sequence, Union

import numpy as np

from rnndiff.harness.cases.another_batch import can_be_open, in_another_batch, is_open
from rnndiff.harness.cases.case import PRECISIONS, Case
from rnndiff.harness.cases.draws import (
    draw_config,
    draw_config_of,
    large_case,
    length_of,
    small_case,
    small_sizes,
)
from rnndiff.harness.cases.regimes import NOISE, REGIMES, SCALES
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.cases.twists import apply_twist, twist_of
from rnndiff.harness.errors import UserError
from rnndiff.models import MODELS, Model, find

# A graph costs as much as some hundred cases on it.
SMALL_BATCH = 128
LARGE_BATCH = 8
# Of 48 batches: a twelfth has large cases, a sixteenth those of sizes at which kernels change.
_KINDS = ("large",) * 4 + ("kernel",) * 3 + ("small",) * 41


def batch_size(seed: int, number: int, is_small: bool = True) -> int:
    """How many cases batch `number` of a seed has, of any model that `is_small` if need be."""
    return SMALL_BATCH if is_small and _kind(_random(seed, number)) == "small" else LARGE_BATCH


def model_named(name: str) -> Model:
    """The registered model of that name, or in a layout: see :func:`rnndiff.models.find`.

    Raises
    ------
    UserError
        If there is none.
    """
    try:
        return find(name)
    except ValueError as error:
        raise UserError("{!r} is no model: {}.".format(name, error))
    except KeyError:
        close = ", ".join(map(repr, difflib.get_close_matches(name, MODELS)))
        raise UserError(
            "{!r} is not one of the models that `rnndiff models` lists{}: register it, or give a "
            "command its MODULE:NAME.".format(
                name, " (is {} meant?)".format(close) if close else ""
            )
        )


def random_batch(
    name: Union[str, Model],
    seed: int,
    number: int,
    precision: str = "float32",
    restriction: Restriction = ANY,
    most: int = SMALL_BATCH,
) -> List[Case]:
    """Batch `number` of a seed: cases of the model `name`, or of this one, that share one config.

    Most have 128 small cases, some 8 of up to the article's sizes, or 8 with one size around those
    at which kernels change. Every second batch is of configs that are open to any number of rows:
    half of its cases are the others with their rows in another batch. All regimes of numbers are
    drawn, and now and then a twist, of a precision: "float32", "float64", "float16" or "bfloat16".
    A `restriction` says what may be drawn, and `most` how many cases. A UserError if there is no
    such model or precision.
    """
    check_precision(precision)
    random = _random(seed, number)
    model = model_named(name) if isinstance(name, str) else name
    kind, is_small = _kind(random), restriction.is_small(model)
    count = min(most, batch_size(seed, number, is_small))
    config = draw_config_of(model, kind, _choose(random), restriction)
    draw = _small_cases if kind == "small" and _is_small(model, config) else _large_cases
    if can_be_open(model) and "open_batch" not in restriction.options:
        config = replace(config, open_batch=bool(random.randint(2)))
    if not is_open(config) or count < 2:
        return draw(random, model, config, count, precision)
    cases = draw(random, model, config, count // 2, precision)
    return cases + in_another_batch(cases, random, restriction)


def _is_small(model: Model, config: Any) -> bool:
    """Whether no size is beyond those of small cases."""
    return all((getattr(config, name) or 0) <= most for name, most in small_sizes(model).items())


def _large_cases(random: Any, model: Model, config: Any, count: int, precision: str) -> List[Case]:
    cases = [
        large_case(random, model, config, _regime(random), _scale(random), precision)
        for _ in range(count)
    ]
    return [apply_twist(case, twist_of(case)) for case in cases]


def _small_cases(random: Any, model: Model, config: Any, count: int, precision: str) -> List[Case]:
    length = length_of(model)
    cases = []
    for _ in range(count):
        numbers = random.randint(0, 256, length).astype(np.uint8)
        # Thin networks out, too: zeros are where structure shows.
        numbers[random.random_sample(length) < random.choice([0.0, 0.0, 0.5, 0.9])] = 0
        regime, scale = _regime(random), _scale(random)
        case = small_case(model, config, regime, scale, numbers.tobytes(), precision)
        cases.append(apply_twist(case, twist_of(case)))
    return cases


def check_precision(precision: str) -> None:
    """See that cases can be of a precision.

    Raises
    ------
    UserError
        If not.
    """
    if precision not in PRECISIONS:
        known = ", ".join(map(repr, PRECISIONS))
        raise UserError("{!r} is not one of the precisions {}.".format(precision, known))


def random_case(name: str, seed: int = 0, gain: float = 1.0, **sizes: int) -> Case:
    """A case of the model `name` with normally distributed numbers.

    Sizes and options that are not given are drawn, small ones; see :func:`normal_case` for the
    numbers. A UserError if there is no such model.
    """
    random, model = np.random.RandomState(seed), model_named(name)
    config = random_config(random, model, small_sizes(model))
    return normal_case(random, model, replace(config, **sizes), gain)


def normal_case(random: Any, model: Model, config: Any, gain: float = 1.0) -> Case:
    """A case with normally distributed numbers, and labels that are one-hot.

    All lengths are equally likely. The deviation is 1 for inputs, `gain` for vectors, and for
    matrices that by the square root of their fan-in: a network is contractive for a gain of less
    than 1, and chaotic for a larger one.
    """
    arrays = {}
    for field in model.fields(config):
        shape = field.shape(config)
        if field.counts:
            most = config.sizes()[field.counts]
            arrays[field.name] = random.randint(most + 1, size=shape).astype(field.dtype)
            continue
        if field.is_noise:
            arrays[field.name] = NOISE[random.randint(len(NOISE), size=shape)]
            continue
        deviation = 1.0 if field.name == "inputs" else gain
        if len(shape) > 1 and field.name != "inputs":
            deviation /= np.sqrt(max(shape[-2], 1))
        arrays[field.name] = (deviation * random.standard_normal(shape)).astype(np.float32)
    if "labels" in arrays:
        shape = arrays["labels"].shape
        # Without classes there is none to choose.
        classes = random.randint(max(shape[-1], 1), size=shape[:-1])
        arrays["labels"] = np.eye(max(shape[-1], 1), shape[-1], dtype=np.float32)[classes]
    return Case(model, config, arrays)


def _random(seed: int, number: int) -> Any:
    return np.random.RandomState([seed & 0xFFFFFFFF, number])


def _kind(random: Any) -> str:
    return _KINDS[random.randint(len(_KINDS))]


def _choose(random: Any) -> Callable[[Sequence[Any]], Any]:
    return lambda options: options[random.randint(len(options))]


def random_config(random: Any, model: Model, largest: Any) -> Any:
    """A config with every size from the least that there is to that in `largest`."""
    return draw_config(model, largest, _choose(random))


def _regime(random: Any) -> str:
    return sorted(REGIMES)[random.randint(len(REGIMES))]


def _scale(random: Any) -> float:
    return SCALES[random.randint(len(SCALES))]
