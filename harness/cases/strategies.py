"""Hypothesis strategies for cases.

A small case is drawn as its sizes, a scale and *one* byte string, a large one as its sizes, a seed
and a few edits (``rnndiff.harness.cases.draws``). Cases come in batches that share a config,
because a graph costs a hundred times what a case costs once it is there.
"""

from typing import Any, Dict, List, Optional, Union

import numpy as np
from hypothesis import strategies as st

from rnndiff.harness.cases.another_batch import in_another_batch, is_open
from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.draws import (
    draw_config,
    draw_kernel_config,
    large_case,
    large_sizes,
    length_of,
    small_case,
    small_sizes,
)
from rnndiff.harness.cases.random_cases import check_precision, model_named
from rnndiff.harness.cases.regimes import REGIMES, SCALES, regimes_of
from rnndiff.harness.cases.twists import twist_of, twisted
from rnndiff.harness.errors import UserError
from rnndiff.models import Model

# Cases to a config, and edits to a large case.
BATCH = 12
_EDITS = 8


@st.composite
def configs(draw: Any, model: Model, largest: Dict[str, int]) -> Any:
    """Configs of `model` with every size from the least that there is to that in `largest`."""
    return draw_config(model, largest, lambda options: draw(st.sampled_from(options)))


@st.composite
def kernel_configs(draw: Any, model: Model) -> Any:
    """Configs of `model` with one size around those at which kernels change."""
    return draw_kernel_config(model, lambda options: draw(st.sampled_from(options)))


@st.composite
def small_batches(
    draw: Any, model: Model, regime: str, most: int = BATCH, precision: str = "float32"
) -> List[Case]:
    """One to `most` cases that share a config of at most the small sizes, but for an open batch."""
    config = draw(configs(model, small_sizes(model)), label="config")
    length = length_of(model)
    networks = st.tuples(st.sampled_from(SCALES), st.binary(min_size=length, max_size=length))
    most = max(1, most // 2) if is_open(config) else most
    cases = [
        small_case(model, config, regime, scale, numbers, precision)
        for scale, numbers in draw(st.lists(networks, min_size=1, max_size=most), label="numbers")
    ]
    cases = [twisted(case, twist_of(case)) for case in cases]
    return cases + draw(again(cases))


@st.composite
def large_batches(
    draw: Any, model: Model, regime: str, of: st.SearchStrategy, precision: str = "float32"
) -> List[Case]:
    """One case of any of the configs `of`, of any size, and an open one in another batch, too."""
    config = draw(of, label="config")
    scale = draw(st.sampled_from(SCALES), label="scale")
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1), label="seed"))
    case = large_case(random, model, config, regime, scale, precision)
    free = {field.name for field in model.fields(config) if field.is_free}
    names = st.sampled_from(sorted(case.arrays))
    edits = st.lists(st.tuples(names, st.integers(0, 2**16), st.integers(0, 255)), max_size=_EDITS)
    for name, place, byte in draw(edits, label="edits"):
        numbers = case.arrays[name].ravel()
        if numbers.size and name in free:
            numbers[place % numbers.size] = regimes_of(precision)[regime][byte]
    case = twisted(case, twist_of(case))
    return [case] + draw(again([case]))


@st.composite
def again(draw: Any, cases: List[Case]) -> List[Case]:
    """The rows of cases with an open batch in another one; of others none."""
    if not is_open(cases[0].config):
        return []
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1), label="seed of another batch"))
    return in_another_batch(cases, random)


def batches(
    model: Union[str, Model],
    regime: Optional[str] = None,
    large: int = 16,
    precision: str = "float32",
) -> st.SearchStrategy:
    """Cases that share a graph, and so a config: small ones, or now and then one that is not.

    With an open batch half of them are the others in a batch of another size.

    Parameters
    ----------
    model : Model or str
        The name of one that is registered will do.
    regime : str, optional
        One of ``REGIMES``; by default any of them.
    large : int
        One draw in so many is a case of up to the article's sizes, another one with one size around
        those at which kernels change. At least 2.
    precision : str
        Of the numbers: "float32", "float64", "float16" or "bfloat16".

    Raises
    ------
    UserError
        If no model, regime or precision has that name.
    """
    model = model_named(model) if isinstance(model, str) else model
    check_precision(precision)
    if regime is not None and regime not in REGIMES:
        known = ", ".join(map(repr, REGIMES))
        raise UserError("{!r} is not one of the regimes {}.".format(regime, known))
    if regime is None:
        return st.sampled_from(sorted(REGIMES)).flatmap(
            lambda each: batches(model, each, large, precision)
        )
    kinds = [small_batches(model, regime, precision=precision)] * (large - 2) + [
        large_batches(model, regime, kernel_configs(model), precision),
        large_batches(model, regime, configs(model, large_sizes(model)), precision),
    ]
    return st.sampled_from(range(len(kinds))).flatmap(kinds.__getitem__)
