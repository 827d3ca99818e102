"""Verdicts: does a subject's trace lie within the bounds of the oracle's?

*Teacher-forced*, the oracle takes one step from each state that the subject recorded: the error
does not grow along the steps, and what merely moves numbers (inputs, reversal, concatenation, the
attention window, fed-back tokens, the arg max) is compared bit for bit. *Free-running*, it goes its
own way from the initial state to the end. Together they say more than an end-to-end comparison: by
induction every step is right, whatever the weights. See :mod:`rnndiff.harness.judging.forcing`.
"""

from functools import lru_cache, partial
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError
from rnndiff.harness.judging.bounded_run import Expected
from rnndiff.harness.judging.forcing import expect
from rnndiff.harness.judging.plan import Plan, plan_of, side_by_side
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.precisions import held
from rnndiff.models import Model
from rnndiff.models.layout import CHOICE, Traced

AGREE, DISAGREE, UNDECIDED, KNOWN = "agree", "disagree", "undecided", "known"
TEACHER_FORCED, FREE_RUNNING = "teacher-forced", "free-running"

# An element is undecided if its bound is wider than this fraction of the range of its array: of the
# largest magnitude in it or of 1, the range of a state and of a probability, whichever is larger.
WIDE = 2.0**-6

# Cases with no number beyond this are judged in one stack: it takes many steps to overflow.
TAME = 2.0**20


class ArrayVerdict(NamedTuple):
    """What is to be said about one array of the trace in one run of the oracle.

    ``ratios`` is the error over the bound of every element: at most 1 where subject and oracle
    agree, infinite where a special value or an exact one differs. ``undecided`` marks the elements
    about which the bound says nothing, ``doubts`` is their number. ``precision`` is the subject's.
    ``known`` marks those that known divergences excuse, None if there are none; ``worst`` is the
    largest ratio of the others, 0 if there are none.
    """

    name: str
    run: str
    expected: np.ndarray
    bound: np.ndarray
    actual: np.ndarray
    ratios: np.ndarray
    undecided: np.ndarray
    worst: float
    doubts: int
    precision: str
    known: Optional[np.ndarray] = None

    @property
    def exact(self) -> bool:
        """Whether all of it is compared bit for bit: there the two zeros are different, too."""
        return not self.bound.any()

    @property
    def wrong(self) -> np.ndarray:
        """The elements outside their bounds, known divergences excepted."""
        return self._judged() > 1

    @property
    def status(self) -> str:
        """Of "disagree", "known" and "undecided" the first that any element is; else "agree"."""
        if self.worst > 1:
            return DISAGREE
        if self.known is not None:
            return KNOWN
        return UNDECIDED if self.doubts else AGREE

    def excused(self, known: np.ndarray) -> "ArrayVerdict":
        """The same with these elements excused too."""
        if self.known is not None:
            known = known | self.known
        excused = self._replace(known=known)
        return excused._replace(worst=float(np.max(excused._judged(), initial=0.0)))

    def _judged(self) -> np.ndarray:
        return self.ratios if self.known is None else np.where(self.known, 0.0, self.ratios)

    def first_wrong(self) -> Tuple[int, ...]:
        """The index of the first element outside its bound."""
        return tuple(int(i) for i in np.argwhere(self.wrong)[0])


class Verdict(NamedTuple):
    """The verdicts on all arrays, teacher-forced first, and the known divergences met.

    ``error`` is what came of the case instead of a trace, see
    :class:`rnndiff.harness.subjects.run.Outcome`.
    ``missing`` are the arrays that the subject does not have, and that are not judged.
    """

    arrays: List[ArrayVerdict]
    known: Tuple[str, ...] = ()
    error: str = ""
    missing: Tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """That of the case.

        "disagree" if any array does; "known" if a known divergence excuses all that disagrees;
        "agree" if all that is teacher-forced agrees; else "undecided".
        """
        if any(array.status == DISAGREE for array in self.arrays):
            return DISAGREE
        if self.known:
            return KNOWN
        if self.error:
            return DISAGREE
        forced = self._of(TEACHER_FORCED)
        return AGREE if all(array.status == AGREE for array in forced) else UNDECIDED

    def first_wrong(self) -> Optional[ArrayVerdict]:
        """The first array that disagrees, or None."""
        return next((array for array in self.arrays if array.status == DISAGREE), None)

    def elements(self, run: str) -> int:
        """How many elements were compared in that run of the oracle, and not excused."""
        return sum(
            array.ratios.size if array.known is None else int(np.count_nonzero(~array.known))
            for array in self._of(run)
        )

    def undecided(self, run: str) -> int:
        """How many of them are undecided."""
        return sum(array.doubts for array in self._of(run))

    def overflow(self, run: str) -> int:
        """How many of them have an infinite bound: of right evaluations, some overflow there."""
        return sum(
            int(np.count_nonzero(array.undecided & np.isinf(array.bound)))
            for array in self._of(run)
        )

    def worst(self) -> Optional[ArrayVerdict]:
        """The teacher-forced array with the largest ratio of error to bound; None if there is none.

        Free-running ratios say little: where a ball was clipped, a right value may lie on its edge.
        """
        return max(self._of(TEACHER_FORCED), key=lambda array: array.worst, default=None)

    def summary(self) -> str:
        """One line of text."""
        status = self.status
        if status == KNOWN:
            status = "{} ({})".format(status, ", ".join(self.known))
        if self.error:
            return "{}: {}".format(status, self.error)
        wrong = self.first_wrong()
        if wrong is not None:
            return "{}: {} ({}) is outside its bound in {} of {} elements".format(
                DISAGREE, wrong.name, wrong.run, np.count_nonzero(wrong.wrong), wrong.ratios.size
            )
        parts = [
            "{} of {} elements {}".format(self.undecided(run), self.elements(run), run)
            for run in (TEACHER_FORCED, FREE_RUNNING)
            if self.undecided(run)
        ]
        if self.missing:
            parts.append("not judged, as the subject does not have it: " + ", ".join(self.missing))
        worst = self.worst()
        return "{}: largest error {:.2g} of its bound teacher-forced; {}".format(
            status,
            worst.worst if worst else 0.0,
            "undecided: {}".format(", ".join(parts)) if parts else "nothing is undecided",
        )

    def _of(self, run: str) -> Iterator[ArrayVerdict]:
        return (array for array in self.arrays if array.run == run)


class StackVerdict(NamedTuple):
    """The verdicts on many cases of one config; the elements of all arrays lie side by side.

    ``arrays`` names the run and the array of each stretch of elements, ``actual`` holds the arrays
    [cases, ...] of the subject's traces. ``expected``, ``bound``, ``ratios`` and ``undecided`` are
    [cases, elements], ``worst`` and ``doubts`` [cases, arrays]; see :class:`ArrayVerdict`.
    ``missing`` are the arrays that the subject does not have, ``precision`` is the one it has.
    """

    cases: List[Case]
    arrays: List[Tuple[str, str]]
    actual: Mapping[str, np.ndarray]
    expected: np.ndarray
    bound: np.ndarray
    ratios: np.ndarray
    undecided: np.ndarray
    worst: np.ndarray
    doubts: np.ndarray
    missing: Tuple[str, ...]
    precision: str

    def verdict(self, row: int) -> Verdict:
        """The verdict on one of the cases."""
        verdicts, end = [], 0
        for k, (run, name) in enumerate(self.arrays):
            actual = self.actual[name][row]
            start, end = end, end + actual.size
            parts = (
                elements[row, start:end].reshape(actual.shape)
                for elements in (self.expected, self.bound, self.ratios, self.undecided)
            )
            expected, bound, ratios, undecided = parts
            verdicts.append(
                ArrayVerdict(
                    name,
                    run,
                    expected,
                    bound,
                    actual,
                    ratios,
                    undecided,
                    worst=float(self.worst[row, k]),
                    doubts=int(self.doubts[row, k]),
                    precision=self.precision,
                )
            )
        return Verdict(verdicts, missing=self.missing)

    def trace(self, row: int) -> Dict[str, np.ndarray]:
        """The subject's trace of one of the cases."""
        return {name: array[row] for name, array in self.actual.items()}

    def disagree(self) -> np.ndarray:
        """Which cases disagree, [cases]."""
        return (self.worst > 1).any(axis=1)

    def only(self, places: np.ndarray) -> "StackVerdict":
        """The verdicts on some of the cases, marked or by their places."""
        return self._replace(
            cases=[self.cases[place] for place in np.arange(len(self.cases))[places]],
            actual=_rows(self.actual, places),
            expected=self.expected[places],
            bound=self.bound[places],
            ratios=self.ratios[places],
            undecided=self.undecided[places],
            worst=self.worst[places],
            doubts=self.doubts[places],
        )

    def doubtful(self) -> np.ndarray:
        """Which cases have an element that is undecided teacher-forced, [cases]."""
        return self.doubts[:, self.of(TEACHER_FORCED)].any(axis=1)

    def largest(self) -> float:
        """The largest ratio of error to bound teacher-forced; see :meth:`Verdict.worst`."""
        return float(np.max(self.worst[:, self.of(TEACHER_FORCED)], initial=0.0))

    def of(self, run: str) -> np.ndarray:
        """Which arrays are of that run, [arrays]."""
        return np.array([run == each for each, _ in self.arrays])

    def sizes(self) -> np.ndarray:
        """How many elements each array of a case has, [arrays]."""
        shapes = [self.actual[name].shape[1:] for _, name in self.arrays]
        return np.array([np.prod(shape, dtype=int) for shape in shapes])


def judge(case: Case, trace: Mapping[str, np.ndarray], arithmetic: Arithmetic) -> Verdict:
    """Compare a subject's trace with the oracle's, element by element.

    Parameters
    ----------
    case : Case
    trace : dict of str to array
        What the subject computed, with the oracle's names and shapes; some of it may be missing.
    arithmetic : Arithmetic
        That of the subject.

    Raises
    ------
    SubjectError
        If the trace has none of the oracle's arrays, or one of another shape than the oracle's or
        not of the subject's numbers. The text names all such arrays.
    """
    return judge_stacks([case], [trace], arithmetic)[0].verdict(0)


def judge_stacks(
    cases: Sequence[Case], traces: Sequence[Mapping[str, np.ndarray]], arithmetic: Arithmetic
) -> List[StackVerdict]:
    """The same for at least one case, all of one config, at little more than the cost of one.

    Where numbers overflow, every element of a stack is looked at: cases with huge or special
    numbers make a stack of their own.
    """
    arrays = {name: np.array([each.arrays[name] for each in cases]) for name in cases[0].arrays}
    actual = _stacked(traces)
    tame = are_tame(list(arrays.values()))
    if tame.all() or not tame.any():
        return [_judged(list(cases), arrays, actual, arithmetic)]
    return [
        _judged(
            [cases[place] for place in places],
            _rows(arrays, places),
            _rows(actual, places),
            arithmetic,
        )
        for places in (np.flatnonzero(tame), np.flatnonzero(~tame))
    ]


def are_tame(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Of each case, whether no number in its arrays [cases, ...] is huge or special."""
    numbers = np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)
    with np.errstate(invalid="ignore"):
        largest = np.max(np.abs(numbers), axis=1, initial=0.0)
        # TAME is beyond the largest float16.
        return np.less_equal(largest.astype(np.float64), TAME)


def _rows(arrays: Mapping[str, np.ndarray], places: np.ndarray) -> Dict[str, np.ndarray]:
    return {name: array[places] for name, array in arrays.items()}


def _judged(
    cases: List[Case],
    arrays: Mapping[str, np.ndarray],
    actual: Mapping[str, np.ndarray],
    arithmetic: Arithmetic,
) -> StackVerdict:
    _check_trace(cases[0], actual, arithmetic)
    given = given_to(cases[0], arrays, actual)
    forced, free = expect(*given, arithmetic)
    # An array of no elements is there, whatever a subject returns.
    missing = tuple(
        array.name
        for array in cases[0].model.trace
        if array.name not in actual and 0 not in array.shape(cases[0].config)
    )
    precision = arithmetic.name
    return compared(cases, given.plan, forced, free, given.recorded, actual, missing, precision)


class Given(NamedTuple):
    """Arguments of :func:`rnndiff.harness.judging.forcing.expect`."""

    oracle: Callable[..., Any]
    plan: Plan
    parameters: Sequence[np.ndarray]
    data: Sequence[Optional[np.ndarray]]
    recorded: np.ndarray


def given_to(
    case: Case, arrays: Mapping[str, np.ndarray], actual: Mapping[str, np.ndarray]
) -> Given:
    """What the oracle is given to judge cases of the model and config of this one.

    By their arrays and those of the subject's traces, all [cases, ...].
    """
    model, config = case.model, case.config
    # What the oracle does not have is nobody's business.
    names = tuple(array.name for array in model.trace if array.name in actual)
    plan = plan_of(model, config, names)
    return Given(
        partial(model.compute, config),
        plan,
        [arrays[field.name] for field in model.parameters(config)],
        model.arguments(config, arrays),
        side_by_side(plan, actual),
    )


def _stacked(traces: Sequence[Mapping[str, np.ndarray]]) -> Dict[str, np.ndarray]:
    """The arrays of traces, [cases, ...]."""
    arrays = {}
    if any([set(trace) != set(traces[0]) for trace in traces]):
        raise SubjectError("WrongTrace: the traces of one config are not alike")
    for name in traces[0]:
        try:
            same = [held(trace[name]) for trace in traces]
            arrays[name] = np.stack(same) if len(same) > 1 else same[0][None]
        except (KeyError, TypeError, ValueError):
            raise SubjectError("WrongTrace: the traces of one config are not alike")
        if any([array.dtype != same[0].dtype for array in same]):
            raise SubjectError("WrongTrace: the traces of one config are not alike")
    return arrays


def _check_trace(case: Case, actual: Mapping[str, np.ndarray], arithmetic: Arithmetic) -> None:
    """Raise a SubjectError that says of every array what is wrong with it."""
    wrong = []
    shapes = _shapes(case.model, case.config)
    for traced in case.model.trace:
        if traced.name not in actual:
            continue
        array, shape = actual[traced.name], shapes[traced.name]
        if array.shape[1:] != shape:
            found = list(array.shape[1:])
            wrong.append("{!r} has the shape {}, not {}".format(traced.name, found, list(shape)))
        if not _is_number(traced, array, arithmetic):
            kind = "of integers" if traced.role == CHOICE else arithmetic.name
            wrong.append("{!r} is {}, not {}".format(traced.name, array.dtype.name, kind))
        elif traced.role != CHOICE and not arithmetic.precision.has(array):
            said = "{!r} has numbers that are not of {}"
            wrong.append(said.format(traced.name, arithmetic.name))
    # Without rows there may be nothing to compare but means.
    empty = all(0 in shape for shape in shapes.values() if shape)
    if not any(name in actual for name in shapes if empty or 0 not in shapes[name]):
        wrong.append("it has none of {}".format(", ".join(shapes)))
    if wrong:
        raise SubjectError("WrongTrace: {}".format("; ".join(wrong)))


@lru_cache(maxsize=512)
def _shapes(model: Model, config: Any) -> Mapping[str, Tuple[int, ...]]:
    """Those of the arrays of a trace."""
    return {traced.name: traced.shape(config) for traced in model.trace}


def _is_number(traced: Traced, array: np.ndarray, arithmetic: Arithmetic) -> bool:
    """Whether an array is of the subject's numbers; choices are whole numbers of any width.

    An array without numbers, as of no steps, may be of any.
    """
    if not array.size and array.dtype.kind in "biuf":
        return True
    if traced.role == CHOICE:
        return array.dtype.kind in "iu"
    return bool(array.dtype.newbyteorder("=") == arithmetic.precision.dtype)


def compared(
    cases: List[Case],
    plan: Plan,
    forced: Expected,
    free: Expected,
    recorded: np.ndarray,
    actual: Mapping[str, np.ndarray],
    missing: Tuple[str, ...],
    precision: str,
) -> StackVerdict:
    """The verdicts on all arrays, whose elements lie side by side in both runs."""
    names = [name for name, _ in plan.arrays]
    sizes = np.array([actual[name][0].size for name in names * 2], dtype=int)
    mid, rad = (np.concatenate(parts, axis=1) for parts in zip(forced, free))
    value = np.concatenate([recorded, recorded], axis=1)

    with np.errstate(all="ignore"):
        error = np.abs(value - mid)
        exactly = rad == 0
        same = (value == mid) & ~(exactly & (np.signbit(value) != np.signbit(mid)))
        same |= np.isnan(value) & np.isnan(mid)
        outside = np.where(exactly | np.isnan(error), np.inf, error / rad)
        ratios = np.where(same | np.isinf(rad), 0.0, outside)
        undecided = rad > WIDE
        if undecided.any():
            undecided = (rad > WIDE * _range(mid, rad, sizes)) & (ratios <= 1)
    return StackVerdict(
        cases,
        [(run, name) for run in (TEACHER_FORCED, FREE_RUNNING) for name in names],
        actual,
        mid,
        rad,
        ratios,
        undecided,
        worst=_by_array(np.maximum, ratios, sizes),
        doubts=_by_array(np.add, undecided, sizes),
        missing=missing,
        precision=precision,
    )


def _range(mid: np.ndarray, rad: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """For each element the largest magnitude in its array, or 1."""
    known = np.where(np.isfinite(mid) & np.isfinite(rad), np.abs(mid), 0.0)
    return np.repeat(np.maximum(_by_array(np.maximum, known, sizes), 1.0), sizes, axis=1)


def _by_array(reduction: np.ufunc, elements: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """A reduction of the elements of each array, [cases, arrays]; 0 for an empty one."""
    dtype = np.int64 if elements.dtype == bool else np.float64
    result = np.zeros((len(elements), len(sizes)), dtype)
    filled = sizes > 0
    if filled.any():
        starts = (np.cumsum(sizes) - sizes)[filled]
        result[:, filled] = reduction.reduceat(elements, starts, axis=1, dtype=dtype)
    return result
