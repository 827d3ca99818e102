"""The same rows in another batch: what a network computes of a row owes nothing to its neighbours.

Their results may differ in bits, as kernels go by how many rows there are and where a row lies, but
each has to be within its bound.
"""

from dataclasses import fields, replace
from typing import Any, List, Sequence

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.models import Model
from rnndiff.models.layout import sizes_in

# A batch around whose size kernels change is one of so many.
_KERNEL_SIZE_EVERY = 8


def can_be_open(model: Model) -> bool:
    """Whether there is a network of this model that takes any number of rows."""
    return any(field.name == "open_batch" for field in fields(model.Config))


def is_open(config: Any) -> bool:
    """Whether the network of this config takes any number of rows."""
    return bool(getattr(config, "open_batch", False))


def in_another_batch(
    cases: Sequence[Case], random: Any, restriction: Restriction = ANY
) -> List[Case]:
    """Of cases of one config, the same rows once more, in batches of another size than theirs.

    In a smaller batch there are some of a case's rows, in a larger one all of them and others:
    those of the next case, a row of zeros, and again the same. Their order is another one, too.

    Parameters
    ----------
    cases : list of Case
        At least one, with the option ``open_batch``.
    random : RandomState
        What it draws decides on the size, which is the same for all, and the order.
    restriction : Restriction
        Which sizes there may be; if just one, theirs is that.
    """
    config, known = cases[0].config, sizes_in(cases[0].config)["batch"]
    sizes: Sequence[int] = range(1, 2 * max(known.small, config.batch) + 1)
    if known.kernel_sizes and random.randint(_KERNEL_SIZE_EVERY) == 0:
        sizes = known.kernel_sizes
    sizes = restriction.within("batch", [size for size in sizes if size != config.batch])
    sizes = sizes or [config.batch]
    size = sizes[random.randint(len(sizes))]
    others = [*cases[1:], cases[0]]
    return [_with_rows(*pair, size, random) for pair in zip(cases, others)]


def _with_rows(case: Case, other: Case, size: int, random: Any) -> Case:
    batch = case.config.batch
    # After the rows of both comes one of zeros.
    places = np.append(random.permutation(batch), np.arange(batch, 2 * batch + 1))
    places = random.permutation(np.resize(places, size))
    arrays = dict(case.arrays)
    for field in case.model.data_of(case.config):
        if field.axes[:1] == (("batch",),):
            mine, its = case.arrays[field.name], other.arrays[field.name]
            zeros = np.zeros((1,) + mine.shape[1:], mine.dtype)
            arrays[field.name] = np.concatenate([mine, its, zeros])[places]
    return replace(case, config=replace(case.config, batch=size), arrays=arrays)
