"""How soon a planted mistake is found, in the manner of ETNA.

Shi et al., *Etna: an evaluation platform for property-based testing*, Proc. ACM Program. Lang. 7,
ICFP, 2023: mistakes are planted one at a time, and counted is how many examples and seconds it
takes until the first failure, over several seeds. Here that is done in the two ways in which cases
are drawn, Hypothesis' strategies and the fuzzer's batches, and for what people have instead: a
fixed tolerance around a float64 run, of the same cases.
"""

import time
import warnings
from itertools import count
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    cast,
)

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import model_named, random_batch
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.checking.check import EVALUATIONS
from rnndiff.harness.checking.verdicts import Judged, fails, verdicts_on, way_of_failing
from rnndiff.harness.diagnosis.catalogue import CATALOGUE
from rnndiff.harness.diagnosis.planting import Mistake, plant_in
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.quality.mistakes import MISTAKES
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.shrinking.simplicity import numbers_of
from rnndiff.harness.subjects.float32 import Float32
from rnndiff.harness.subjects.run import run
from rnndiff.harness.subjects.subject import Subject

# Where a mistake is planted.
ORACLE, GRAPH = "oracle", "tensorflow"
# How cases are drawn.
STRATEGIES, FUZZ = "strategies", "fuzz"
# What objects to a case.
BOUNDS = "bounds"
TOLERANCES = {"rtol 1e-5": (1e-5, 1e-6), "rtol 1e-2": (1e-2, 1e-3)}
METHODS = (BOUNDS, *TOLERANCES)
# What a mistake must be found in: so many examples, and so many seconds of a processor.
EXAMPLES, SECONDS = 100, 10.0
# The models in which a mistake is planted if none is named: the first in which it can be made.
_PREFERRED = (
    *("rnn-basic", "rnn-basic-lstm", "rnn-lstm", "rnn-gru"),
    *("rnn-lstm@pytorch", "rnn-gru@pytorch", "rnn-basic@pytorch", "birnn-basic"),
    *("bidirectional", "seq2seq", "attention", "attention-lstm"),
)
# Of mistakes that change nothing in the first of these: a direction, a c, an option it has not.
_SEEN_IN = {
    "padding-read-first": "birnn-basic",
    "initial-c-and-h-swapped": "rnn-basic-lstm",
    "reset-after-whatever": "rnn-gru@onnx",
    "query-of-h-and-c": "attention-lstm",
}

Trace = Mapping[str, np.ndarray]


class Task(NamedTuple):
    """A mistake, by its name, in a model, and where it is planted; "" is a right subject."""

    mistake: str
    model: str
    planted_in: str = ORACLE


class Trial(NamedTuple):
    """A search for a mistake, from one seed; the first one's case may be shrunk, too."""

    task: Task
    search: str
    seed: int
    shrinks: bool = False


class PlantedOracle(Float32):
    """The oracle in float32 with a mistake in it: a port that is wrong in just this."""

    def __init__(self, mistake: Mistake) -> None:
        self._mistake = mistake

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """As the oracle that has the mistake."""
        return super().__call__(plant_in([case], self._mistake)[0])


def tasks_of(
    names: Sequence[str] = (), models: Sequence[str] = (), places: Sequence[str] = (ORACLE, GRAPH)
) -> List[Task]:
    """Mistakes of these names, or all, in these models: by default in one that can have it.

    Parameters
    ----------
    names, models : list of str
    places : list of str
        Where they are planted.
    """
    found = []
    for mistake in CATALOGUE if ORACLE in places else ():
        if not names or mistake.name in names:
            preferred = (_SEEN_IN.get(mistake.name, _PREFERRED[0]), *_PREFERRED)
            able = [x for x in models or preferred if mistake.edits_of(model_named(x))]
            found += [Task(mistake.name, x) for x in (able if models else able[:1])]
    for wrong in MISTAKES if GRAPH in places else ():
        if not names or wrong.name in names:
            able = [x for x in models or wrong.models if x in wrong.models]
            found += [Task(wrong.name, x, GRAPH) for x in (able if models else able[:1])]
    return found


def run_trial(trial: Trial) -> Dict[str, Any]:
    """What came of a trial, for JSON; seconds are those of this process on its processor.

    Returns
    -------
    dict
        Of ``STRATEGIES``: the number of the first "examples" that each method objects to, or None;
        "seconds" until the bounds do; the "shrunk" case. Of ``FUZZ``: "cases" and "seconds". Of a
        right subject: "cases", and how many each method has "blamed".
    """
    if not trial.task.mistake:
        return _blamed(trial)
    return _fuzzed(trial) if trial.search == FUZZ else _drawn(trial)


def subject_of(task: Task) -> Subject:
    """What is wrong in just this."""
    if not task.mistake:
        return Float32()
    if task.planted_in == ORACLE:
        return PlantedOracle(_in_catalogue(task.mistake))
    from rnndiff.harness.subjects.tensorflow import TensorFlow

    return TensorFlow(build=next(x for x in MISTAKES if x.name == task.mistake).build)


def _in_catalogue(name: str) -> Mistake:
    return next(mistake for mistake in CATALOGUE if mistake.name == name)


def _drawn(trial: Trial) -> Dict[str, Any]:
    subject = subject_of(trial.task)
    examples: Dict[str, Optional[int]] = dict.fromkeys(METHODS)
    failing: List[Judged] = []
    seconds = elsewhere = 0.0
    number = 0

    def found_by_all(cases: List[Case]) -> bool:
        nonlocal number, seconds, elsewhere
        number += 1
        if examples[BOUNDS] is None:
            failing.extend(_disagreeing(subject, cases))
            if failing:
                examples[BOUNDS] = number
                seconds = time.process_time() - elsewhere
        before = time.process_time()
        left = [method for method in TOLERANCES if examples[method] is None]
        for method in _objecting(subject, cases, left) if left else ():
            examples[method] = number
        elsewhere += time.process_time() - before
        return None not in examples.values()

    _draw(trial, found_by_all)
    shrunk = _shrunk(subject, failing[0]) if failing and trial.shrinks else None
    return {"examples": examples, "seconds": seconds if failing else None, "shrunk": shrunk}


class _Over(Exception):
    """Nothing more is to be drawn."""


def _draw(trial: Trial, is_over: Callable[[List[Case]], bool]) -> None:
    """Draw examples, each a list of cases, until it is over or there are enough."""
    over = False

    @seeded(trial.seed)
    @settings(
        database=None,
        deadline=None,
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(batches(model_named(trial.task.model)))
    def draw(cases: List[Case]) -> None:
        nonlocal over
        # Hypothesis comes back to what raised an error.
        over = over or is_over(cases)
        if over:
            raise _Over

    with warnings.catch_warnings():
        # It words the example that it found, which nobody reads here.
        warnings.simplefilter("ignore")
        try:
            draw()
        except _Over:
            pass


def _fuzzed(trial: Trial) -> Dict[str, Any]:
    """As a worker of the fuzzer judges them, batch for batch."""
    subject, judged = subject_of(trial.task), 0
    for number in count():
        cases = random_batch(trial.task.model, trial.seed, number, subject.precision)
        failing = {id(each.case) for each in _disagreeing(subject, cases)}
        seconds = time.process_time()
        if failing:
            first = next(k for k, case in enumerate(cases) if id(case) in failing)
            return {"cases": judged + first + 1, "seconds": seconds}
        judged += len(cases)
        if seconds > SECONDS:
            return {"cases": None, "seconds": None, "judged": judged}
    raise AssertionError


def _blamed(trial: Trial) -> Dict[str, Any]:
    """How often each method objects to a right subject."""
    subject, judged = subject_of(trial.task), 0
    blamed = dict.fromkeys(METHODS, 0)

    def look(cases: List[Case]) -> bool:
        nonlocal judged
        judged += len(cases)
        blamed[BOUNDS] += len(_disagreeing(subject, cases))
        for case in cases:
            trace, golden = run(subject, case).trace, case.oracle(np.float64)
            for method, tolerance in TOLERANCES.items():
                blamed[method] += not _is_near(trace, golden, *tolerance)
        return False

    _draw(trial, look)
    return {"cases": judged, "blamed": blamed}


def _disagreeing(subject: Subject, cases: Sequence[Case]) -> List[Judged]:
    judged = verdicts_on(subject, cases)[1]
    return [each for each in judged if each.verdict.status == DISAGREE]


def _objecting(subject: Subject, cases: Sequence[Case], methods: Sequence[str]) -> List[str]:
    """Which tolerances do not hold of the subject, in a case in which they hold of a right one."""
    right, found = Float32(), []
    left = list(methods)
    for case in cases:
        trace, golden = run(subject, case).trace, case.oracle(np.float64)
        for method in [x for x in left if not _is_near(trace, golden, *TOLERANCES[x])]:
            if _is_near(right(case), golden, *TOLERANCES[method]):
                found.append(method)
                left.remove(method)
        if not left:
            break
    return found


def _is_near(trace: Optional[Trace], golden: Trace, rtol: float, atol: float) -> bool:
    """Whether ``assert_allclose`` would pass for every array of a trace; False if there is none."""
    if trace is None:
        return False
    with np.errstate(all="ignore"):
        return all(
            np.shape(trace[name]) == np.shape(array)
            and np.allclose(trace[name], array, rtol=rtol, atol=atol, equal_nan=True)
            for name, array in golden.items()
            if name in trace
        )


def _shrunk(subject: Subject, judged: Judged) -> Dict[str, Any]:
    """What a failing case shrinks to: its sizes, and how many of its numbers are not zero."""
    way = way_of_failing(judged.case, judged.verdict)
    shrinker = Shrinker(judged.case, lambda case: fails(subject, way, case), EVALUATIONS)
    case = shrinker.run()
    return {
        "sizes": {name: int(size) for name, size in case.config.sizes().items()},
        "nonzero": int(np.count_nonzero(numbers_of(case))),
        "evaluations": shrinker.used,
        "config": str(case.config),
    }


class Line(NamedTuple):
    """What came of all trials of a task."""

    task: Task
    results: Mapping[str, Sequence[Mapping[str, Any]]]

    def tried(self, search: str) -> int:
        """From how many seeds it was searched for."""
        return len([x for x in self.results[search] if "error" not in x])

    def examples(self, method: str) -> List[int]:
        """After how many examples a method objects to it, of the seeds from which it does."""
        found = [x["examples"][method] for x in self.results[STRATEGIES] if "error" not in x]
        return [number for number in found if number is not None]

    def seconds(self, search: str, imports: float = 0.0) -> List[float]:
        """After how many seconds the bounds do, if the imports take so many."""
        found = [x["seconds"] for x in self.results[search] if "error" not in x]
        return [imports + seconds for seconds in found if seconds is not None]

    def cases(self) -> List[int]:
        """After how many cases the fuzzer finds it, of the seeds from which it does."""
        found = [x["cases"] for x in self.results[FUZZ] if "error" not in x]
        return [number for number in found if number is not None]

    def shrunk(self) -> Mapping[str, Any]:
        """The shrunk case; empty if there is none."""
        return next((x["shrunk"] for x in self.results[STRATEGIES] if x.get("shrunk")), {})

    def missed(self) -> List[str]:
        """The searches that did not find it from each seed."""
        found = {STRATEGIES: self.examples(BOUNDS), FUZZ: self.cases()}
        return [search for search, numbers in found.items() if len(numbers) < self.tried(search)]

    def errors(self) -> List[str]:
        """What kept trials from being made."""
        return [x["error"] for results in self.results.values() for x in results if "error" in x]

    def as_dict(self, imports: float) -> Dict[str, Any]:
        """For JSON, with seconds from a cold start."""
        return {
            **self.task._asdict(),
            "says": _in_catalogue(self.task.mistake).says,
            "strategies": {
                "seeds": self.tried(STRATEGIES),
                "examples": {method: self.examples(method) for method in METHODS},
                "seconds": self.seconds(STRATEGIES, imports),
            },
            "fuzz": {
                "seeds": self.tried(FUZZ),
                "cases": self.cases(),
                "seconds": self.seconds(FUZZ, imports),
            },
            "shrunk": dict(self.shrunk()),
            "errors": self.errors(),
        }


def lines_of(results: Sequence[Tuple[Trial, Dict[str, Any]]]) -> List[Line]:
    """A line for each mistake, in the order of the results."""
    lines: Dict[Task, Line] = {}
    for trial, result in results:
        if trial.task.mistake:
            line = lines.setdefault(trial.task, Line(trial.task, {STRATEGIES: [], FUZZ: []}))
            cast(Any, line.results[trial.search]).append(result)
    return list(lines.values())


def alarms(results: Sequence[Tuple[Trial, Dict[str, Any]]]) -> Dict[str, Dict[str, int]]:
    """Of each model how many "cases" a right subject computed, and how many each method blames."""
    found: Dict[str, Dict[str, int]] = {}
    for trial, result in results:
        if not trial.task.mistake and "error" not in result:
            of_model = found.setdefault(trial.task.model, dict.fromkeys(("cases", *METHODS), 0))
            for name, number in dict(result["blamed"], cases=result["cases"]).items():
                of_model[name] += number
    return found


def trials_of(tasks: Sequence[Task], seeds: int) -> List[Trial]:
    """All trials: one seed of all tasks after another, so that what is measured early is of all.

    With a right subject of each model that the oracles' tasks are in.
    """
    right = [Task("", model) for model in dict.fromkeys(x.model for x in tasks)]
    found = []
    for seed in range(seeds):
        for task in tasks:
            found.append(Trial(task, STRATEGIES, seed, shrinks=seed == 0))
            found.append(Trial(task, FUZZ, seed))
        found += [Trial(task, STRATEGIES, seed) for task in right]
    return found
