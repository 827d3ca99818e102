"""How fast cases are judged: the naive way, ours, and what TensorFlow alone takes.

*Naive* is the article's code in a loop: numbers drawn one by one, a graph built for each case, the
scores compared with a float64 run. *Ours* is what the fuzzer does. The *floor* is ``session.run``
alone, on graphs that are ready; a callable made ready, which ours uses, takes less.
"""

import resource
import sys
import time
from collections import Counter
from dataclasses import replace
from statistics import median
from typing import Any, Callable, Dict, List, Mapping, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.draws import draw_config, large_case, small_sizes
from rnndiff.harness.cases.random_cases import LARGE_BATCH, random_batch
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.checking.fuzz import fuzz
from rnndiff.harness.errors import SubjectError
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.subjects.tensorflow import TensorFlow
from rnndiff.models import MODELS, Model

PHASES = ("draw", "build", "run", "verdict")
UNITS = (4, 16, 64, 128)
_SEED = 1
_RUNS = 9


class Rate(NamedTuple):
    """Cases, and the seconds that they took."""

    cases: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Cases a second."""
        return self.cases / self.seconds if self.seconds else 0.0


class _TimeIsUp(Exception):
    pass


def naive(model: Model, seconds: float) -> Rate:
    """Judge cases for so long as the article's code in a loop would."""
    started, count = time.perf_counter(), Counter(cases=0)

    @settings(
        database=None,
        deadline=None,
        max_examples=10**6,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(one_by_one(model))
    def judge_one(case: Case) -> None:
        array = model.trace[0].name
        subject = TensorFlow(graphs_kept=1)
        if subject.ended_by(case) is None:
            try:
                computed = subject(case)[array]
            except SubjectError:
                return
            np.allclose(computed, case.oracle(np.float64)[array], rtol=1e-5, atol=1e-6)
            count["cases"] += 1
        if time.perf_counter() - started > seconds:
            raise _TimeIsUp

    try:
        judge_one()
    except _TimeIsUp:
        pass
    return Rate(count["cases"], time.perf_counter() - started)


@st.composite
def one_by_one(draw: Any, model: Model) -> Case:
    """A case of which every number is a draw of its own."""
    config = draw_config(model, small_sizes(model), lambda options: draw(st.sampled_from(options)))
    number = st.floats(-8, 8, width=32)
    arrays = {}
    for field in model.fields(config):
        shape = field.shape(config)
        if field.name == "labels":
            classes = [draw(st.integers(0, shape[-1] - 1)) for _ in range(int(np.prod(shape[:-1])))]
            arrays[field.name] = np.eye(shape[-1], dtype=np.float32)[classes].reshape(shape)
        elif field.counts:
            most = config.sizes()[field.counts]
            drawn = [draw(st.integers(0, most)) for _ in range(int(np.prod(shape)))]
            arrays[field.name] = np.array(drawn, field.dtype).reshape(shape)
        else:
            numbers = [draw(number) for _ in range(int(np.prod(shape)))]
            arrays[field.name] = np.array(numbers, np.float32).reshape(shape)
    return Case(model, config, arrays)


def cold(model: Model, seconds: float, workers: int, folder: str) -> Rate:
    """Fuzz for so long in new processes, imports included."""
    progress = fuzz((model.name,), _SEED, workers, seconds=seconds, folder=folder)
    return Rate(progress.cases, progress.seconds)


class _Timed:
    """TensorFlow, with the seconds that it takes in `spent`."""

    def __init__(self, subject: TensorFlow, spent: Dict[str, float]) -> None:
        self._subject, self._spent = subject, spent
        self.known = subject.known

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        return self._measured("run", self._subject, case)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject, name)

    def build(self, case: Case) -> bool:
        """Get the graph of a config ready; False if TensorFlow cannot run it."""
        try:
            self._measured("build", lambda: (self._subject(case), self._subject.arithmetic(case)))
        except SubjectError:
            return False
        return True

    def _measured(self, phase: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            self._spent[phase] += time.perf_counter() - started


def phases(model: Model, seconds: float, subject: TensorFlow, folder: str) -> Dict[str, float]:
    """Milliseconds a case of every phase, their sum "steady": all but "build", and the "floor".

    The floor is ``session.run`` alone of the same graphs, as often.
    """
    spent = dict.fromkeys(PHASES + ("floor",), 0.0)
    timed = _Timed(subject, spent)
    check, cases = Checker(timed, Tally(), folder), 0  # type: ignore[arg-type]
    started, number = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        drawing = time.perf_counter()
        batch = random_batch(model.name, _SEED, number)
        drawn = time.perf_counter() - drawing
        number += 1
        if subject.ended_by(batch[0]) or not timed.build(batch[0]):
            continue
        spent["draw"] += drawn
        before, checking = spent["run"], time.perf_counter()
        check(batch)
        spent["verdict"] += time.perf_counter() - checking - (spent["run"] - before)
        spent["floor"] += median(subject.seconds_of_a_run(batch[0], _RUNS)) * len(batch)
        cases += len(batch)
    each = {phase: 1e3 * total / max(cases, 1) for phase, total in spent.items()}
    return dict(each, steady=sum(each[phase] for phase in PHASES) - each["build"])


def scaling(model: Model, subject: TensorFlow, folder: str, runs: int = 5) -> Dict[int, float]:
    """Milliseconds that a case takes on a ready graph at so many units, medians."""
    random = np.random.RandomState(_SEED)
    check, taken = Checker(subject, Tally(), folder), {}
    for units in UNITS:
        config = replace(model.article, num_units=units)
        times = []
        for _ in range(runs + 1):
            cases = [large_case(random, model, config, "ordinary", 1.0) for _ in range(LARGE_BATCH)]
            started = time.perf_counter()
            check(cases)
            times.append(1e3 * (time.perf_counter() - started) / len(cases))
        # The first run builds the graph.
        taken[units] = median(times[1:])
    return taken


def peak_memory() -> float:
    """MiB that this process has held at most."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2**20 if sys.platform == "darwin" else size / 2**10


def bench(names: List[str], seconds: float, runs: int, folder: str, tell: Any) -> Dict[str, Any]:
    """All figures of the models `names`; `tell` is called with what is being measured.

    Each rate is the median of so many `runs`, each of `seconds`.
    """
    result: Dict[str, Any] = {}
    subject = TensorFlow()
    for name in names:
        model = MODELS[name]
        rates: Dict[str, List[float]] = {"naive": [], "one worker": [], "two workers": []}
        steady: List[Dict[str, float]] = []
        for run in range(runs):
            tell("{}, run {} of {}".format(name, run + 1, runs))
            rates["naive"].append(naive(model, seconds).per_second)
            for way, workers in (("one worker", 1), ("two workers", 2)):
                rates[way].append(cold(model, seconds, workers, folder).per_second)
            steady.append(phases(model, seconds, subject, folder))
        result[name] = {
            "per second": {way: median(found) for way, found in rates.items()},
            "phases": {phase: median(run[phase] for run in steady) for phase in steady[0]},
            "scaling": scaling(model, subject, folder),
            "memory": peak_memory(),
        }
    return result
