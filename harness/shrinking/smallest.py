"""The smallest cases there are: where shrinking starts if one of them fails.

They depend on nothing but the model, so that one mistake, found in whatever case, shrinks to one
case. Few mistakes need more than one of these to show.
"""

from dataclasses import replace
from typing import Any, Iterator, List

import numpy as np

from rnndiff.harness.cases.case import Case, zeros
from rnndiff.harness.cases.draws import lengths
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.shrinking.simplicity import SIMPLE
from rnndiff.models import Model
from rnndiff.models.layout import is_optional, sizes_in

_RANDOM_CASES = 8


def smallest(
    model: Model, precision: str = "float32", restriction: Restriction = ANY
) -> Iterator[Case]:
    """One of everything, then two steps, two classes, two of all but rows, two of all, three steps.

    Those of one unit come with a single 1, too. What a restriction does not allow has the nearest
    sizes that it does.
    """
    known = sizes_in(model.Config)
    ones = {name: 1 for name in known if not is_optional(model.Config, name)}

    def of(*axes: str) -> List[str]:
        return [name for name in ones if known[name].axis in axes]

    one_row, steps = dict.fromkeys(of("row"), 1), of("step", "token")
    # A window of one slot has no order that could be wrong.
    for twos in ([], steps + of("slot"), of("class")):
        config = restriction.nearest(model.Config, dict(ones, **dict.fromkeys(twos, 2)))
        yield from _with_a_one(model, config, precision)
        yield from random_cases(model, config, precision=precision)
    for changed in (one_row, {}, dict(dict.fromkeys(steps, 3), **one_row)):
        config = restriction.nearest(model.Config, dict(dict.fromkeys(ones, 2), **changed))
        yield from random_cases(model, config, precision=precision)


def random_cases(
    model: Model, config: Any, scale: float = 1.0, precision: str = "float32"
) -> Iterator[Case]:
    """Cases of random simple numbers, each with more zeros; always the same ones for a config.

    The numbers are times `scale`. Their labels are all the first class.
    """
    for seed in reversed(range(_RANDOM_CASES)):
        random = np.random.RandomState(seed)
        arrays = zeros(model, config, precision)
        for field in model.fields(config):
            array = arrays[field.name]
            if field.is_free:
                zero = random.random_sample(array.shape) < seed / _RANDOM_CASES
                array[...] = np.where(zero, 0.0, scale * random.choice(SIMPLE[1:], array.shape))
            elif field.counts:
                most = config.sizes()[field.counts]
                array[...] = lengths(random.randint(0, 256, array.shape), most)
        yield Case(model, config, arrays, precision)


def _with_a_one(model: Model, config: Any, precision: str) -> Iterator[Case]:
    """The case of zeros, and those with one 1 among them."""
    zero = Case(model, config, zeros(model, config, precision), precision)
    yield zero
    for field in model.fields(config):
        array = zero.arrays[field.name]
        for index in np.ndindex(*array.shape if field.is_free else [0]):
            changed = array.copy()
            changed[index] = 1
            yield replace(zero, arrays=dict(zero.arrays, **{field.name: changed}))
