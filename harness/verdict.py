"""Verdicts: does a subject's trace lie within the bounds of the oracle's?

The oracle is run twice on bounded arrays. *Teacher-forced*, it takes one step from each state that
the subject recorded: the error does not grow along the steps, and what merely moves numbers
(inputs, reversal, concatenation, the attention window, fed-back tokens, the arg max) is compared
bit for bit. *Free-running*, it goes its own way from the initial state to the end. Together they
say more than an end-to-end comparison: by induction every step is right, whatever the weights.
"""

from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from harness.arithmetic import Arithmetic
from harness.bounded import BoundedArray, exact
from harness.case import Case
from harness.errors import SubjectError

AGREE, DISAGREE, UNDECIDED, KNOWN = "agree", "disagree", "undecided", "known"
TEACHER_FORCED, FREE_RUNNING = "teacher-forced", "free-running"

# An element is undecided if its bound is wider than this fraction of the range of its array: of the
# largest magnitude in it or of 1, the range of a state and of a probability, whichever is larger.
WIDE = 2.0**-6


class ArrayVerdict(NamedTuple):
    """What is to be said about one array of the trace in one run of the oracle.

    ``ratios`` is the error over the bound of every element: at most 1 where subject and oracle
    agree, infinite where a special value or an exact one differs. ``undecided`` marks the elements
    about which the bound says nothing, ``doubts`` is their number. ``known`` marks those that known
    divergences excuse, None if there are none; ``worst`` is the largest ratio of the others, 0 if
    there are none.
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

    ``error`` is what the subject raised instead of computing a trace.
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
        """How many elements were compared in that run of the oracle."""
        return sum(array.ratios.size for array in self._of(run))

    def undecided(self, run: str) -> int:
        """How many of them are undecided."""
        return sum(array.doubts for array in self._of(run))

    def worst(self) -> Optional[ArrayVerdict]:
        """The teacher-forced array with the largest ratio of error to bound; None if there is none.

        Free-running ratios say little: where a ball was clipped, a right value may lie on its edge.
        """
        return max(self._of(TEACHER_FORCED), key=lambda array: array.worst, default=None)

    def summary(self) -> str:
        """One line of text."""
        if self.error:
            return "{}: the subject raised {}".format(self.status, self.error)
        wrong = self.first_wrong()
        if wrong is not None:
            return "{}: {} ({}) is outside its bound in {} of {} elements".format(
                DISAGREE, wrong.name, wrong.run, np.count_nonzero(wrong.wrong), wrong.ratios.size
            )
        parts = [
            "{} of {} elements undecided {}".format(self.undecided(run), self.elements(run), run)
            for run in (TEACHER_FORCED, FREE_RUNNING)
        ]
        worst = self.worst()
        return "{}: largest error {:.2g} of its bound teacher-forced; {}".format(
            self.status, worst.worst if worst else 0.0, ", ".join(parts)
        )

    def _of(self, run: str) -> Iterator[ArrayVerdict]:
        return (array for array in self.arrays if array.run == run)


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
        If an array of the trace is missing or has another shape than the oracle's.
    """

    def held(array: Any) -> Any:
        array = np.asarray(array)
        return exact(array, arithmetic) if array.dtype.kind == "f" else array

    parameters = [held(array) for array in case.parameters]
    data = held(case.inputs), held(case.labels)
    predictions = _predictions(case, trace)
    subject = dict({name: held(array) for name, array in trace.items()}, predictions=predictions)
    with np.errstate(all="ignore"):
        free = case.model.free_running(case.config, parameters, *data, follow=predictions)
        _check_shapes(trace, free)
        forced = case.model.teacher_forced(case.config, parameters, *data, trace=subject)
        free = dict(free, predictions=_admissible(free["scores"], predictions))
        traces = [
            (run, name, array)
            for run, expected in ((TEACHER_FORCED, forced), (FREE_RUNNING, free))
            for name, array in expected.items()
        ]
        return Verdict(_compared(traces, trace, arithmetic))


def _predictions(case: Case, trace: Mapping[str, np.ndarray]) -> np.ndarray:
    """The subject's predictions, to be followed; one that is no class at all counts as class 0.

    Following it is safe: the fed-back row and the arg max are compared as well.
    """
    shape = np.shape(case.labels)[:-1]
    if np.shape(trace.get("predictions")) != shape:
        raise SubjectError(
            "WrongTrace: it needs 'predictions' of the shape {}.".format(list(shape))
        )
    predictions = np.asarray(trace["predictions"])
    if predictions.dtype.kind not in "iu":
        raise SubjectError("WrongTrace: its 'predictions' are no integers.")
    return np.where((predictions >= 0) & (predictions < case.config.outputs), predictions, 0)


def _check_shapes(trace: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> None:
    for name, array in expected.items():
        found = list(np.shape(trace[name])) if name in trace else None
        if found != list(array.shape):
            raise SubjectError(
                "WrongTrace: it has {} where the oracle has {!r} with the shape {}.".format(
                    "nothing" if found is None else "the shape {}".format(found),
                    name,
                    list(array.shape),
                )
            )


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
    traces: List[Tuple[str, str, Any]], actual: Mapping[str, np.ndarray], arithmetic: Arithmetic
) -> List[ArrayVerdict]:
    """The verdicts on arrays, each given with its run and its name.

    Small arrays cost what calls of NumPy cost, so all elements of all arrays are compared at once.
    """
    held = [x if isinstance(x, BoundedArray) else exact(x, arithmetic) for _, _, x in traces]
    found = [np.asarray(actual[name]) for _, name, _ in traces]
    sizes = [array.mid.size for array in held]
    mid = np.concatenate([array.mid.ravel() for array in held])
    rad = np.concatenate([array.rad.ravel() for array in held])
    value = np.concatenate([array.ravel() for array in found]).astype(np.float64)
    exactly = np.repeat([array.exact for array in held], sizes)

    error = np.abs(value - mid)
    same = (value == mid) & ~(exactly & (np.signbit(value) != np.signbit(mid)))
    same |= np.isnan(value) & np.isnan(mid)
    outside = np.where(exactly | np.isnan(error), np.inf, error / rad)
    ratios = np.where(same | np.isinf(rad), 0.0, outside)
    undecided = (rad > WIDE * _range(mid, rad, sizes)) & (ratios <= 1)

    ends = np.cumsum(sizes)[:-1]
    largest, doubts = _by_array(np.maximum, ratios, sizes), _by_array(np.add, undecided, sizes)
    return [
        ArrayVerdict(name, run, x.mid, x.rad, y, r.reshape(y.shape), u.reshape(y.shape), worst, n)
        for (run, name, _), x, y, r, u, worst, n in zip(
            traces,
            held,
            found,
            np.split(ratios, ends),
            np.split(undecided, ends),
            largest.tolist(),
            doubts.tolist(),
        )
    ]


def _range(mid: np.ndarray, rad: np.ndarray, sizes: List[int]) -> np.ndarray:
    """For each element the largest magnitude in its array, or 1."""
    known = np.where(np.isfinite(mid) & np.isfinite(rad), np.abs(mid), 0.0)
    return np.repeat(np.maximum(_by_array(np.maximum, known, sizes), 1.0), sizes)


def _by_array(reduction: np.ufunc, elements: np.ndarray, sizes: List[int]) -> np.ndarray:
    """A reduction of the elements of each array; 0 for an empty one."""
    count = np.asarray(sizes)
    result = np.zeros(len(sizes), dtype=np.int64 if elements.dtype == bool else np.float64)
    filled = count > 0
    if filled.any():
        starts = (np.cumsum(count) - count)[filled]
        result[filled] = reduction.reduceat(elements, starts, dtype=result.dtype)
    return result
