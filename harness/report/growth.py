"""How the error of the states grows along the steps, free-running and teacher-forced.

The free-running error is what the subject is off from the textbook's own run in float64, the
teacher-forced one what it adds in a single step.
"""

import contextlib
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.harness.errors import SubjectError
from rnndiff.harness.judging.forcing import follow
from rnndiff.harness.judging.verdict import FREE_RUNNING, TEACHER_FORCED, Verdict, judge
from rnndiff.harness.subjects import Subject
from rnndiff.harness.subjects.run import HANG, Running, TimeIsUp
from rnndiff.harness.subjects.subject import TIMEOUT
from rnndiff.models import Model, find
from rnndiff.models.layout import STATE

# Long and chaotic, where the two ways of looking differ most: times the square root of their
# fan-in, weights have this standard deviation.
GAIN = 2.0
CASES = 32
_SIZES = {
    "batch": 1,
    "time": 24,
    "output_time": 9,
    "inputs": 2,
    "outputs": 2,
    "num_units": 32,
    "attn_length": 4,
}
SAMPLE = "{} networks of {} units with chaotic weights".format(CASES, _SIZES["num_units"])


class JudgedTrace(NamedTuple):
    """A case, what the subject computed, and the verdict on it."""

    case: Case
    trace: Mapping[str, np.ndarray]
    verdict: Verdict


class Curve(NamedTuple):
    """Errors and bounds at each step, absolute, [steps].

    Of the largest error of any unit, ``median`` and ``largest`` of all rows; ``bound`` is the
    median of the largest bound of any unit.
    """

    median: np.ndarray
    largest: np.ndarray
    bound: np.ndarray


class Growth(NamedTuple):
    """The curves of both runs of the oracle, and whose they are."""

    model: str
    sample: str
    curves: Dict[str, Curve]


def growth(sample: str, judged: Iterable[JudgedTrace]) -> Growth:
    """Measure cases of one model that have the same number of steps.

    Parameters
    ----------
    sample : str
        Says to a person what the cases are.
    judged : at least one JudgedTrace
    """
    errors: Dict[str, List[np.ndarray]] = {TEACHER_FORCED: [], FREE_RUNNING: []}
    bounds: Dict[str, List[np.ndarray]] = {TEACHER_FORCED: [], FREE_RUNNING: []}
    for case, trace, verdict in judged:
        actual = states_in_order(case, trace)
        for run in errors:
            arrays = {array.name: array for array in verdict.arrays if array.run == run}
            expected: Mapping[str, np.ndarray] = {n: a.expected for n, a in arrays.items()}
            if run == FREE_RUNNING:
                # Not the middle of the bound, which strays once the bound is wide.
                expected = follow(case, trace)
            errors[run].append(np.max(np.abs(actual - states_in_order(case, expected)), axis=-1))
            bound = states_in_order(case, {name: array.bound for name, array in arrays.items()})
            bounds[run].append(np.max(bound, axis=-1))
    curves = {}
    for run in errors:
        rows = np.concatenate(errors[run])
        bound = np.median(np.concatenate(bounds[run]), axis=0)
        curves[run] = Curve(np.median(rows, axis=0), np.max(rows, axis=0), bound)
    return Growth(case.model.name, sample, curves)


def sampled(
    subject: Subject, names: Iterable[str], cases: int = CASES, timeout: float = TIMEOUT
) -> List[Growth]:
    """The growth on random cases of models, for each of which the subject has `timeout` seconds.

    A model that the subject cannot compute is left out. Ctrl-C, and a case that takes longer, leave
    out those not yet measured.
    """
    found = []
    with contextlib.suppress(KeyboardInterrupt, TimeIsUp):
        for name in names:
            # Whatever a subject raises or leaves out: its failures are told elsewhere.
            with contextlib.suppress(Exception):
                model = find(name)
                if subject.supports(model, _config(model)):
                    found.append(growth(SAMPLE, _judged(subject, model, cases, timeout)))
    return found


def _config(model: Model) -> Any:
    fields = model.Config.__dataclass_fields__
    return model.Config(**{name: size for name, size in _SIZES.items() if name in fields})


def _judged(subject: Subject, model: Model, cases: int, timeout: float) -> Iterator[JudgedTrace]:
    random = np.random.RandomState(0)
    config = _config(model)
    for _ in range(cases):
        case = normal_case(random, model, config, GAIN)
        with Running(subject, timeout) as running:
            outcome = running(case)
        if outcome.kind == HANG:
            raise TimeIsUp
        if outcome.trace is None:
            raise SubjectError(outcome.kind)
        yield JudgedTrace(case, outcome.trace, judge(case, outcome.trace, subject.arithmetic(case)))


def states_in_order(case: Case, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The states [batch, steps, units] in the order in which they are computed, in float64.

    States of the same steps lie side by side, those of others follow; what is missing is left out.
    """
    sizes = case.config.sizes()
    of_steps: Dict[Any, List[np.ndarray]] = {}
    for traced in case.model.trace:
        if traced.role == STATE and traced.name in arrays:
            _, steps, units = traced.axes
            ends = np.cumsum([sizes[part.size] for part in units])[:-1]
            parts = zip(units, np.split(arrays[traced.name], ends, axis=-1))
            of_steps.setdefault(steps, []).extend(x[:, ::-1] if p.backward else x for p, x in parts)
    found = [np.concatenate(parts, axis=-1) for parts in of_steps.values()]
    width = max([x.shape[-1] for x in found], default=0)
    padded = [np.pad(x, [(0, 0), (0, 0), (0, width - x.shape[-1])], mode="constant") for x in found]
    empty = np.zeros((case.config.sizes()["batch"], 0, width))
    return np.concatenate([empty] + padded, axis=1).astype(np.float64)
