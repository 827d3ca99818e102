"""What the default strategies draw, and how often: a tester that never draws it never tests it."""

from collections import Counter
from typing import Callable, Dict, List, Mapping

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from rnndiff.harness.cases.another_batch import can_be_open, is_open
from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.draws import is_one_hot
from rnndiff.harness.cases.regimes import REGIMES
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.cases.twists import branches_of
from rnndiff.models import Model
from rnndiff.models.layout import STATE, is_optional, sizes_in

# Of a state of tanh: where one more doubling of what it is computed from changes 1 in 1,000.
SATURATED = 0.999
# Of the difference between a float32 and a float64 run: a rounding error has grown a hundredfold.
CHAOTIC = 100 * 2.0**-24

Trace = Mapping[str, np.ndarray]


def draw_batches(strategy: st.SearchStrategy, examples: int, of_seed: int = 0) -> List[List[Case]]:
    """As many draws of a strategy for batches, always the same."""
    found: List[List[Case]] = []

    @seed(of_seed)
    @settings(
        database=None,
        deadline=None,
        max_examples=examples,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(strategy)
    def draw(cases: List[Case]) -> None:
        found.append(cases)

    draw()
    return found


def frequencies(model: Model, count: int) -> Dict[str, float]:
    """In which share of `count` cases of the default strategies each regime and trait occurs.

    Every regime is drawn alike, as the differential tests do.
    """
    seen = dict.fromkeys(["regime " + regime for regime in REGIMES] + list(_of(model)), 0)
    counter = Counter(seen)
    each, total = -(-count // len(REGIMES)), 0
    for number, regime in enumerate(REGIMES):
        # The cases of a batch share their sizes; its last one is seldom all zeros.
        for *_, case in draw_batches(batches(model, regime), each, number):
            total += 1
            counter["regime " + regime] += 1
            counter.update(traits(case))
    return {name: counter[name] / total for name in counter}


def traits(case: Case) -> List[str]:
    """The boundaries that a case is at, and what its network does."""
    single, double = case.oracle(np.float32), case.oracle(np.float64)
    with np.errstate(all="ignore"):
        return [name for name, has in _of(case.model).items() if has(case, single, double)]


def _size(name: str, size: int) -> Callable[[Case, Trace, Trace], bool]:
    return lambda case, single, double: case.config.sizes()[name] == size


def _is_kernel_size(axis: str) -> Callable[[Case, Trace, Trace], bool]:
    """Whether a size of this axis is around those at which kernels change."""

    def has(case: Case, single: Trace, double: Trace) -> bool:
        known = sizes_in(case.config)
        return any(
            getattr(case.config, name) in size.kernel_sizes
            for name, size in known.items()
            if size.axis == axis
        )

    return has


def _has_zeros(name: str, axes: int) -> Callable[[Case, Trace, Trace], bool]:
    """Whether some, but not all, of the rows along the first axes of this array are all zeros."""

    def has(case: Case, single: Trace, double: Trace) -> bool:
        array = case.arrays.get(name, np.zeros((0,) * (axes + 1), np.float32))
        filled = array.any(axis=tuple(range(axes, array.ndim)))
        return bool(filled.any() and not filled.all())

    return has


def _differ(name: str, other: str) -> Callable[[Case, Trace, Trace], bool]:
    return lambda case, single, double: case.config.sizes()[name] != case.config.sizes()[other]


def _states(case: Case, trace: Trace) -> np.ndarray:
    """The numbers of the first states in the trace."""
    name = next(traced.name for traced in case.model.trace if traced.role == STATE)
    return trace[name]


def _saturates(case: Case, single: Trace, double: Trace) -> bool:
    return bool((np.abs(_states(case, double)) > SATURATED).any())


def _is_chaotic(case: Case, single: Trace, double: Trace) -> bool:
    """Whether rounding errors grow along the steps."""
    return bool((np.abs(_states(case, single) - _states(case, double)) > CHAOTIC).any())


def _is_at_branches(case: Case, single: Trace, double: Trace) -> bool:
    """Whether a vector has a number at which functions change branches."""
    branches = branches_of(case.precision)
    return any(np.isin(array, branches).any() for array in case.parameters if array.ndim == 1)


def _has_equal_columns(case: Case, single: Trace, double: Trace) -> bool:
    """Whether two columns of a matrix are the same, side by side, and not of zeros."""
    matrices = [array for array in case.parameters if array.ndim == 2]
    return any(((x[:, 1:] == x[:, :-1]).all(axis=0) & x[:, 1:].any(axis=0)).any() for x in matrices)


def _overflows(case: Case, single: Trace, double: Trace) -> bool:
    """Whether the inputs of a step add up, in some orders, beyond the largest number of float32."""
    inputs = case.arrays.get("inputs", np.zeros((1, 1))).astype(np.float64)
    largest = float(np.finfo(np.float32).max)
    parts = [np.sum(np.where(side, inputs, 0), axis=-1) for side in (inputs > 0, inputs < 0)]
    return bool(((np.max(np.abs(parts), axis=0) > largest) & (np.abs(sum(parts)) <= largest)).any())


def _ties(case: Case, single: Trace, double: Trace) -> bool:
    return bool(_tied(single["scores"]).any())


def _tied(scores: np.ndarray) -> np.ndarray:
    """Which rows have their largest score twice."""
    ordered = np.sort(scores, axis=-1)
    if ordered.shape[-1] == 1:
        return np.zeros(ordered.shape[:-1], dtype=bool)
    return ordered[..., -1] == ordered[..., -2]


# Of each kind of labels that are not one-hot, whether a row of it is among some.
_LABELS: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "labels not one-hot": lambda labels: ~is_one_hot(labels),
    "labels tied": lambda labels: _tied(labels) & labels.any(axis=-1),
    "labels all zero": lambda labels: ~labels.any(axis=-1),
    "labels with NaN": lambda labels: np.isnan(labels).any(axis=-1),
}


def _labels(rows: Callable[[np.ndarray], np.ndarray]) -> Callable[[Case, Trace, Trace], bool]:
    return lambda case, single, double: bool(rows(case.labels).any())


def _of(model: Model) -> Dict[str, Callable[[Case, Trace, Trace], bool]]:
    """The traits that cases of a model can have."""
    found: Dict[str, Callable[[Case, Trace, Trace], bool]] = {}
    for name, size in sizes_in(model.Config).items():
        if size.follows:
            found["{} is not {}".format(name, size.follows)] = _differ(name, size.follows)
        elif not is_optional(model.Config, name):
            for least in sorted({size.least, 1}):
                found["{} {}".format(name, least)] = _size(name, least)
    known = sizes_in(model.Config)
    for axis in dict.fromkeys(size.axis for size in known.values() if size.kernel_sizes):
        found["kernel size: {}".format(axis)] = _is_kernel_size(axis)
    for field in model.data:
        # The last axis is that of the numbers in a row.
        for axes, (name, *_) in enumerate(field.axes[:-1], 1):
            if field.is_free and name in known:
                trait = "{}: a {} of zeros".format(field.name, known[name].axis)
                found[trait] = _has_zeros(field.name, axes)
    found.update({"saturation": _saturates, "chaos": _is_chaotic})
    found["a number at a branch"] = _is_at_branches
    found.update({"equal columns": _has_equal_columns, "overflow in some orders": _overflows})
    if can_be_open(model):
        found["open batch"] = lambda case, single, double: is_open(case.config)
    if any(field.name == "labels" for field in model.data):
        found["exact ties"] = _ties
        found.update({name: _labels(rows) for name, rows in _LABELS.items()})
    return found
