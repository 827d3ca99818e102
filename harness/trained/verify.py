"""The article's check: a trained model, computed by TensorFlow and by the oracle, side by side."""

import dataclasses
import math
import re
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.forcing import follow
from rnndiff.harness.judging.verdict import AGREE, DISAGREE, KNOWN, UNDECIDED, Verdict
from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.report.describe import first_difference
from rnndiff.harness.report.growth import JudgedTrace
from rnndiff.harness.report.undecided import why_undecided
from rnndiff.harness.subjects import Subject
from rnndiff.harness.trained.own import AnyData, OwnData, Recorded
from rnndiff.harness.trained.training import Weights
from rnndiff.harness.versions import versions
from rnndiff.models import Model
from rnndiff.models.functions import accuracy
from rnndiff.models.layout import STATE, options_in

# Seconds to build a graph of thousands of steps, and to compute thousands of rows.
TIMEOUT = 3600.0
# The status of an array that the subject does not have.
NOT_JUDGED = "not judged"
# What a cell hands on to the next step, or gives out: "encoder_states", "forward_final_state_c".
STATES = re.compile("(state|states|attentions|windows|outputs)(_[a-z]+)*$")


@dataclasses.dataclass(frozen=True)
class Result:
    """What one side makes of the rows: accuracy (in float32) and log loss, if there are labels."""

    accuracy: Optional[float]
    loss: Optional[float]


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far two arrays are apart.

    ``absolute`` is the largest difference between two elements, and ``ulp`` that same difference in
    float32 units in the last place of the oracle's element. ``largest_ulp`` is the largest such
    number of any element: in right networks, too, it is in the thousands where an element is nearly
    zero by cancellation.
    """

    absolute: float
    ulp: float
    largest_ulp: float


@dataclasses.dataclass(frozen=True)
class Verification:
    """What was verified, and what came out.

    Parameters
    ----------
    model : str
    data : str
        What the rows are.
    config : Config
        The sizes; its batch is the number of validation rows.
    parameters : int
        How many arrays of weights.
    weights : Weights
        With their origin.
    chance : float, optional
        The accuracy of the best constant answer, if there are labels.
    subject, oracle : Result
        The oracle is fed the subject's tokens; its accuracy is that of its own predictions.
    predictions_differing : int
        In how many places subject and oracle predict something else.
    differences : dict of str to Difference
        Of every array of the trace that the subject has.
    statuses : dict of str to str
        The verdict on each array of the trace: "not judged" on those that the subject has not.
    disagreements : list of str
        Of each array that disagrees, where it does first, and what stands there on both sides.
    status : str
        The verdict: "agree", "known" (but for known divergences), "undecided" or "disagree".
    summary : str
        The verdict in a line.
    undecided : list of str
        Sentences on why elements are undecided, and what that means; none if all are decided.
    seconds : float
        What it took, without the training.
    versions : dict of str to str
    is_own, is_recorded : bool
        Whether the rows are a user's own, and whether the subject is what was recorded of them.
    moved : dict of str to Difference
        Of every array that another subject has, too, the difference from that.
    rounding : dict of str to float
        Of every array that was judged, how far rounding alone may move an element at most.
    answer : str
        In a sentence, whether what was recorded is what TensorFlow computes; "" of other data.
    """

    model: str
    data: str
    config: Any
    parameters: int
    weights: Weights
    chance: Optional[float]
    subject: Result
    oracle: Result
    predictions_differing: int
    differences: Dict[str, Difference]
    statuses: Dict[str, str]
    disagreements: List[str]
    status: str
    summary: str
    undecided: List[str]
    seconds: float
    versions: Dict[str, str]
    is_own: bool = False
    is_recorded: bool = False
    moved: Dict[str, Difference] = dataclasses.field(default_factory=dict)
    rounding: Dict[str, float] = dataclasses.field(default_factory=dict)
    answer: str = ""

    def states(self) -> Optional[Difference]:
        """The largest difference in any state of any step; None if the subject has none."""
        found = [d for name, d in self.differences.items() if STATES.search(name)]
        return _largest(found) if found else None

    def scores(self) -> Optional[Difference]:
        """The largest difference in any score; None if there are none."""
        return self.differences.get("scores")

    def to_json(self) -> Dict[str, Any]:
        """Everything but the weights themselves, as JSON has it; a number not finite is null."""
        fields = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "weights"
        }
        fields["weights"] = {
            "origin": self.weights.origin,
            "steps": self.weights.steps,
            "planned_steps": self.weights.planned_steps,
            "seconds": self.weights.seconds,
            "not_finite": self.weights.not_finite(),
        }
        fields["largest_difference"] = {"states": self.states(), "scores": self.scores()}
        return _plain(fields)


def verify(
    model: Model,
    data: AnyData,
    weights: Weights,
    subject: Subject,
    judged: Optional[Callable[[JudgedTrace], None]] = None,
    another: Optional[Mapping[str, np.ndarray]] = None,
) -> Verification:
    """Compute the validation rows with the subject and with the oracle, and compare.

    Parameters
    ----------
    model : Model
    data : Data or OwnData
    weights : Weights
    subject : Subject
        Such as ``rnndiff.harness.subjects.tensorflow.TensorFlow()``.
    judged : function of a JudgedTrace, optional
        Called with the case, what was computed and the verdict, which are too large to be kept.
    another : dict of str to array, optional
        The trace of another subject, to tell how far this one is from it.

    Raises
    ------
    UserError
        If the subject cannot compute the case, or the data do not go together.
    """
    started = time.time()
    arrays, config = data.arrays(), config_of(data, weights)
    try:
        case = Case(model, config, dict(weights.parameters, **arrays))
    except ValueError as error:
        raise UserError("{} does not fit the model {}: {}.".format(data.name, model.name, error))
    verdict, trace = verdict_on(subject, case, TIMEOUT)
    if not trace or not verdict.arrays:
        raise UserError(
            "{} has no trace of {} to judge: {}.".format(subject.title, model.name, verdict.error)
        )
    if judged:
        judged(JudgedTrace(case, trace, verdict))
    expected = _expected(case, trace)
    return Verification(
        model=model.name,
        data=data.name,
        config=config,
        parameters=len(case.parameters),
        weights=weights,
        chance=data.chance(),
        subject=_result(trace),
        oracle=_result(expected),
        predictions_differing=_predictions_differing(trace, expected),
        differences={n: _difference(trace[n], expected[n]) for n in expected if n in trace},
        statuses=_statuses(case, verdict),
        disagreements=list(_disagreements(case, verdict, subject.title)),
        status=verdict.status,
        summary=verdict.summary(),
        undecided=[*why_undecided(case, verdict), *_what_to_record(case, verdict, subject)],
        seconds=time.time() - started,
        versions=dict(versions(), premise=subject.premise),
        is_own=isinstance(data, OwnData),
        is_recorded=isinstance(subject, Recorded),
        rounding=_rounding(verdict),
        moved={n: _difference(trace[n], each) for n, each in (another or {}).items() if n in trace},
    )


def config_of(data: AnyData, weights: Weights) -> Any:
    """The config of all rows of the data, by these weights."""
    return dataclasses.replace(weights.config, batch=len(data.arrays()["inputs"]))


def answer(computed: Verification, recorded: Optional[Verification] = None) -> str:
    """Whether what was recorded of own data is what TensorFlow has computed of them.

    Both verifications are of the same rows; without the second one nothing was recorded.
    """
    tensorflow = "TensorFlow {}".format(computed.versions["tensorflow"])
    if recorded is None:
        return (
            "This says that {} computes the network as it should, and nothing of another "
            "TensorFlow: to compare with one, put what it computed of the same rows into {}, under "
            "the names above.".format(tensorflow, computed.data)
        )
    if not recorded.moved or computed.status not in (AGREE, KNOWN):
        return ""
    name = max(recorded.moved, key=lambda name: recorded.moved[name].absolute)
    apart = "{} by at most {:.2g}, in {}".format(tensorflow, recorded.moved[name].absolute, name)
    if recorded.status in (AGREE, KNOWN):
        bound = recorded.rounding.get(name, math.inf)
        return (
            "The same but for rounding: what was recorded differs from {}; rounding may come to "
            "{:.2g}.".format(apart, bound)
        )
    if recorded.status == UNDECIDED:
        return "Not decided: what was recorded differs from {}.".format(apart)
    options = {name: getattr(recorded.config, name) for name in options_in(recorded.config)}
    said = ["{} {}".format(*each) for each in options.items() if each[1] not in (None, False)]
    return (
        "Not the same: what was recorded differs from {}. That computes the network as named here, "
        "so what was recorded is of another one: of other weights, rows in another order, or other "
        "options (--set says one; here {}).".format(apart, ", ".join(said) or "there are none")
    )


def _what_to_record(case: Case, verdict: Verdict, subject: Subject) -> Iterator[str]:
    """A sentence on what would decide what was recorded, if that would."""
    states = [each.name for each in case.model.trace if each.role == STATE]
    missing = [name for name in states if name in verdict.missing]
    if isinstance(subject, Recorded) and verdict.status == UNDECIDED and missing:
        yield (
            "Record {} as well, of every step, best all that is not judged: then each step is "
            "judged from the one before, and errors do not grow.".format(", ".join(missing))
        )


def _statuses(case: Case, verdict: Verdict) -> Dict[str, str]:
    """The verdict on each array: what any run finds wrong, or else that of the forced run."""
    statuses = {}
    for traced in case.model.trace:
        if 0 in traced.shape(case.config):
            # Of a decoder that never runs, say, nobody has anything.
            continue
        found = [array.status for array in verdict.arrays if array.name == traced.name]
        if found:
            statuses[traced.name] = DISAGREE if DISAGREE in found else found[0]
        elif traced.name in verdict.missing:
            statuses[traced.name] = NOT_JUDGED
    return statuses


def _disagreements(case: Case, verdict: Verdict, title: str) -> Iterator[str]:
    """Where each array that disagrees does so first, and by how much."""
    said = set()
    for array in verdict.arrays:
        if array.status == DISAGREE and array.name not in said:
            said.add(array.name)
            yield " ".join(line.strip() for line in first_difference(case, verdict, array, title))


def _rounding(verdict: Verdict) -> Dict[str, float]:
    """The largest bound of each array, in the run that bounds it less."""
    found: Dict[str, float] = {}
    for array in verdict.arrays:
        if array.bound.size:
            found[array.name] = min(float(np.max(array.bound)), found.get(array.name, math.inf))
    return found


def _predictions_differing(
    actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> int:
    if "predictions" not in actual or "predictions" not in expected:
        return 0
    return int(np.sum(actual["predictions"] != expected["predictions"]))


def _expected(case: Case, recorded: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """The oracle's trace in float64, fed the subject's tokens.

    The predictions and the accuracy are its own nevertheless, not those that it was told to
    follow. The accuracy is rounded to float32, where it can be equal to a subject's.
    """
    trace = follow(case, recorded)
    if "predictions" not in trace:
        return trace
    trace["predictions"] = np.argmax(trace["scores"], axis=-1)
    trace["accuracy"] = np.float32(accuracy(trace["predictions"], case.labels))
    return trace


def _result(trace: Mapping[str, np.ndarray]) -> Result:
    accuracy, loss = (trace.get(name) for name in ("accuracy", "loss"))
    return Result(
        None if accuracy is None else float(accuracy), None if loss is None else float(loss)
    )


def _difference(actual: np.ndarray, expected: np.ndarray) -> Difference:
    actual, expected = (np.asarray(array, np.float64).ravel() for array in (actual, expected))
    if not actual.size:
        return Difference(0.0, 0.0, 0.0)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        absolute = np.where(same, 0.0, np.abs(actual - expected))
        absolute = np.where(np.isnan(absolute), np.inf, absolute)
        ulp = np.where(np.isinf(absolute), np.inf, absolute / ulp_of(expected))
    largest = np.argmax(absolute)
    return Difference(float(absolute[largest]), float(ulp[largest]), float(np.max(ulp)))


def _largest(differences: List[Difference]) -> Difference:
    largest = max(differences, key=lambda difference: difference.absolute)
    ulp = max(difference.largest_ulp for difference in differences)
    return dataclasses.replace(largest, largest_ulp=ulp)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
