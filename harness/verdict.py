"""Verdicts: does a subject's trace lie within the bounds of the oracle's?

The oracle is run twice on bounded arrays. *Teacher-forced*, it takes one step from each state that
the subject recorded: the error does not grow along the steps, and what merely moves numbers
(inputs, reversal, concatenation, the attention window, fed-back tokens, the arg max) is compared
bit for bit. *Free-running*, it goes its own way from the initial state to the end. Together they
say more than an end-to-end comparison: by induction every step is right, whatever the weights.
"""

from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from harness.arithmetic import Arithmetic
from harness.bounded import BoundedArray, exact, exact_stack
from harness.case import Case
from harness.errors import SubjectError

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
    about which the bound says nothing, ``doubts`` is their number. ``known`` marks those that known
    divergences excuse, None if there are none; ``worst`` is the largest ratio of the others, 0 if
    there are none. ``exact`` says whether the array is compared bit for bit: there the two zeros
    are different, too.
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
    known: Optional[np.ndarray] = None
    exact: bool = False

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

    ``error`` is what came of the case instead of a trace: see :class:`harness.run.Outcome`.
    """

    arrays: List[ArrayVerdict]
    known: Tuple[str, ...] = ()
    error: str = ""

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
    [cases, elements], ``worst`` and ``doubts`` [cases, arrays], ``exact`` is [arrays]; see
    :class:`ArrayVerdict`.
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
    exact: List[bool]

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
                    exact=self.exact[k],
                )
            )
        return Verdict(verdicts)

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
        return np.array(
            [np.prod(self.actual[name].shape[1:], dtype=int) for _, name in self.arrays]
        )


def judge(case: Case, trace: Mapping[str, np.ndarray], arithmetic: Arithmetic) -> Verdict:
    """Compare a subject's trace with the oracle's, element by element.

    Parameters
    ----------
    case : Case
    trace : dict of str to array
        What the subject computed, with the oracle's names and shapes.
    arithmetic : Arithmetic
        That of the subject.

    Raises
    ------
    SubjectError
        If an array of the trace is missing, has another shape than the oracle's or is not of the
        subject's numbers. The text names all such arrays.
    """
    return judge_stacks([case], [trace], arithmetic)[0].verdict(0)


def judge_stacks(
    cases: Sequence[Case], traces: Sequence[Mapping[str, np.ndarray]], arithmetic: Arithmetic
) -> List[StackVerdict]:
    """The same for at least one case, all of one config, at little more than the cost of one.

    Where numbers overflow, every element of a stack is looked at: cases with huge or special
    numbers make a stack of their own.
    """
    case = cases[0]
    arrays = {name: np.stack([each.arrays[name] for each in cases]) for name in case.arrays}
    actual = _stacked(traces)
    largest = np.max([_largest(array) for array in arrays.values()], axis=0)
    with np.errstate(invalid="ignore"):
        tame = largest <= TAME
    stacks = [places for places in (np.flatnonzero(tame), np.flatnonzero(~tame)) if len(places)]
    return [
        _judged(
            [cases[place] for place in places],
            _rows(arrays, places),
            _rows(actual, places),
            arithmetic,
        )
        for places in stacks
    ]


def _largest(array: np.ndarray) -> np.ndarray:
    """The largest magnitude in the array of each case, or NaN; 0 if it is empty."""
    return np.max(np.abs(array), axis=tuple(range(1, array.ndim)), initial=0.0)


def _rows(arrays: Mapping[str, np.ndarray], places: np.ndarray) -> Dict[str, np.ndarray]:
    return {name: array[places] for name, array in arrays.items()}


def _judged(
    cases: List[Case],
    arrays: Mapping[str, np.ndarray],
    actual: Mapping[str, np.ndarray],
    arithmetic: Arithmetic,
) -> StackVerdict:
    case = cases[0]
    model, config = case.model, case.config
    if not _are_numbers(case, actual, arithmetic):
        shapes = {name: array.shape for name, array in case.oracle(np.float64).items()}
        _check_trace(actual, shapes, arithmetic)
        # What the oracle does not have is nobody's business.
        actual = {name: actual[name] for name in shapes}

    def held(array: np.ndarray) -> BoundedArray:
        # A stack of one would be right, too, and slower.
        return exact_stack(array, arithmetic) if len(cases) > 1 else exact(array[0], arithmetic)

    chosen = _chosen(actual["predictions"], config.outputs)
    predictions = held(chosen)
    subject = dict({name: held(array) for name, array in actual.items()}, predictions=predictions)
    parameters = [held(arrays[field.name]) for field in model.parameters(config)]
    data = held(arrays["inputs"]), held(arrays["labels"])
    with np.errstate(all="ignore"):
        free = model.free_running(config, parameters, *data, follow=predictions)
        _check_trace(actual, {name: array.shape for name, array in free.items()}, arithmetic)
        forced = model.teacher_forced(config, parameters, *data, trace=subject)
        forced["predictions"] = held(_largest_recorded(actual["scores"], chosen, arithmetic))
        free = dict(free, predictions=held(_admissible(free["scores"].as_stack(), chosen)))
        expected = [
            (run, name, array)
            for run, trace in ((TEACHER_FORCED, forced), (FREE_RUNNING, free))
            for name, array in trace.items()
        ]
        return _compared(cases, expected, actual, arithmetic)


def _stacked(traces: Sequence[Mapping[str, np.ndarray]]) -> Dict[str, np.ndarray]:
    """The arrays of traces, [cases, ...]."""
    arrays = {}
    for name in traces[0]:
        try:
            same = [np.asarray(trace[name]) for trace in traces]
            arrays[name] = np.stack(same)
        except (KeyError, TypeError, ValueError):
            raise SubjectError("WrongTrace: the traces of one config are not alike")
        if any([array.dtype != same[0].dtype for array in same]):
            raise SubjectError("WrongTrace: the traces of one config are not alike")
    return arrays


def _are_numbers(case: Case, actual: Mapping[str, np.ndarray], arithmetic: Arithmetic) -> bool:
    """Whether all arrays are of the right numbers, and the predictions are ready to be followed."""
    predictions = actual.get("predictions")
    followed = predictions is not None and predictions.shape[1:] == case.labels.shape[:-1]
    return followed and all(_is_number(name, actual[name], arithmetic) for name in actual)


def _is_number(name: str, array: np.ndarray, arithmetic: Arithmetic) -> bool:
    """Whether an array is of the subject's numbers; predictions are of whole ones, of any width.

    An array without numbers, as of no steps, may be of any.
    """
    if not array.size and array.dtype.kind in "biuf":
        return True
    if name == "predictions":
        return array.dtype.kind in "iu"
    return array.dtype.newbyteorder("=") == arithmetic.name


def _check_trace(
    actual: Mapping[str, np.ndarray],
    shapes: Mapping[str, Tuple[int, ...]],
    arithmetic: Arithmetic,
) -> None:
    """Raise a SubjectError that says of every array what is wrong with it."""
    missing, wrong = [], []
    for name, shape in shapes.items():
        if name not in actual:
            missing.append(repr(name))
            continue
        array = actual[name]
        if array.shape[1:] != shape:
            found = list(array.shape[1:])
            wrong.append("{!r} has the shape {}, not {}".format(name, found, list(shape)))
        if not _is_number(name, array, arithmetic):
            kind = "of integers" if name == "predictions" else arithmetic.name
            wrong.append("{!r} is {}, not {}".format(name, array.dtype.name, kind))
    if missing:
        wrong.insert(0, "it has no {}".format(", ".join(missing)))
    if wrong:
        raise SubjectError("WrongTrace: {}".format("; ".join(wrong)))


def _chosen(predictions: np.ndarray, classes: int) -> np.ndarray:
    """The subject's predictions, to be followed; one that is no class at all counts as class 0.

    Following it is safe: the fed-back row and the arg max are compared as well.
    """
    return np.where((predictions >= 0) & (predictions < classes), predictions, 0).astype(np.intp)


def _largest_recorded(
    scores: np.ndarray, predictions: np.ndarray, arithmetic: Arithmetic
) -> np.ndarray:
    """The predictions, each replaced by the arg max of the recorded scores unless it is that.

    Where it is read, a subnormal number may be flushed to zero: of every row none, or all.
    """
    largest = np.argmax(scores, axis=-1)
    flushed = np.where(np.abs(scores) < arithmetic.smallest, 0.0, scores)
    return np.where(predictions == np.argmax(flushed, axis=-1), predictions, largest)


def _admissible(scores: BoundedArray, predictions: np.ndarray) -> np.ndarray:
    """The predictions, each replaced by the oracle's own where no rounding could lead to it."""
    low = scores.mid - scores.rad
    high = scores.mid + scores.rad
    chosen = np.take_along_axis(high, predictions[..., None], axis=-1)[..., 0]
    # NaN: NumPy's arg max is the first NaN, and teacher-forced the subject's is held against it.
    unknown = np.isnan(scores.mid).any(axis=-1) | np.isinf(scores.rad).any(axis=-1)
    admissible = unknown | (chosen >= np.max(low, axis=-1))
    return np.where(admissible, predictions, np.argmax(scores.mid, axis=-1))


def _compared(
    cases: List[Case],
    expected: List[Tuple[str, str, Any]],
    actual: Mapping[str, np.ndarray],
    arithmetic: Arithmetic,
) -> StackVerdict:
    """The verdicts on arrays, each given with its run and its name.

    Small arrays cost what calls of NumPy cost, so all elements of all arrays are compared at once.
    """
    found = [actual[name] for _, name, _ in expected]
    held = [
        (x if isinstance(x, BoundedArray) else exact(x, arithmetic)).as_stack()
        for _, _, x in expected
    ]

    def side_by_side(arrays: Iterable[np.ndarray]) -> np.ndarray:
        # What is the same in all cases, such as no steps at all, is held once.
        repeated = (
            x if len(x) == len(y) else np.broadcast_to(x, y.shape) for x, y in zip(arrays, found)
        )
        rows = [x.reshape(len(x), -1) for x in repeated]
        return np.concatenate(rows, axis=1).astype(np.float64, copy=False)

    sizes = np.array([array[0].size for array in found])
    mid, rad = (side_by_side(getattr(x, part) for x in held) for part in ("mid", "rad"))
    value = side_by_side(found)
    exactly = np.repeat([array.exact for array in held], sizes)

    error = np.abs(value - mid)
    same = (value == mid) & ~(exactly & (np.signbit(value) != np.signbit(mid)))
    same |= np.isnan(value) & np.isnan(mid)
    outside = np.where(exactly | np.isnan(error), np.inf, error / rad)
    ratios = np.where(same | np.isinf(rad), 0.0, outside)
    undecided = (rad > WIDE * _range(mid, rad, sizes)) & (ratios <= 1)
    return StackVerdict(
        cases,
        [(run, name) for run, name, _ in expected],
        actual,
        mid,
        rad,
        ratios,
        undecided,
        worst=_by_array(np.maximum, ratios, sizes),
        doubts=_by_array(np.add, undecided, sizes),
        exact=[array.exact for array in held],
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
