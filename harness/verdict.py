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
from harness.errors import UserError

AGREE, DISAGREE, UNDECIDED, KNOWN = "agree", "disagree", "undecided", "known"
TEACHER_FORCED, FREE_RUNNING = "teacher-forced", "free-running"

# An element is undecided if its bound is wider than this fraction of the range of its array: of the
# largest magnitude in it or of 1, the range of a state and of a probability, whichever is larger.
WIDE = 2.0**-6


class ArrayVerdict(NamedTuple):
    """What is to be said about one array of the trace in one run of the oracle.

    ``ratios`` is the error over the bound of every element: at most 1 where subject and oracle
    agree, infinite where a special value or an exact one differs. ``undecided`` marks the elements
    about which the bound says nothing.
    """

    name: str
    run: str
    expected: np.ndarray
    bound: np.ndarray
    actual: np.ndarray
    ratios: np.ndarray
    undecided: np.ndarray
    known: np.ndarray = np.bool_(False)

    @property
    def wrong(self) -> np.ndarray:
        """The elements outside their bounds, known divergences excepted."""
        return (self.ratios > 1) & ~self.known

    @property
    def status(self) -> str:
        """Of "disagree", "known" and "undecided" the first that any element is; else "agree"."""
        if self.wrong.any():
            return DISAGREE
        if self.known.any():
            return KNOWN
        return UNDECIDED if self.undecided.any() else AGREE

    @property
    def worst(self) -> float:
        """The largest ratio of error to bound; 0 if the array is empty."""
        return float(np.max(np.where(self.known, 0.0, self.ratios), initial=0.0))

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
        return sum(int(np.count_nonzero(array.undecided)) for array in self._of(run))

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
    UserError
        If an array of the trace is missing or has another shape than the oracle's.
    """

    def held(array: Any) -> Any:
        array = np.asarray(array)
        return exact(array, arithmetic) if array.dtype.kind == "f" else array

    parameters = [held(array) for array in case.parameters]
    data = held(case.inputs), held(case.labels)
    subject = {name: held(array) for name, array in trace.items()}
    predictions = _predictions(case, trace)
    with np.errstate(all="ignore"):
        free = case.model.free_running(case.config, parameters, *data, follow=predictions)
        _check_shapes(trace, free)
        forced = case.model.teacher_forced(case.config, parameters, *data, trace=subject)
        arrays = []
        for run, expected in ((TEACHER_FORCED, forced), (FREE_RUNNING, free)):
            for name, array in expected.items():
                if run == FREE_RUNNING and name == "predictions":
                    array = _admissible(free["scores"], predictions)
                arrays.append(_compare(name, run, array, trace, arithmetic))
    return Verdict(arrays)


def _predictions(case: Case, trace: Mapping[str, np.ndarray]) -> np.ndarray:
    """The subject's predictions, to be followed; one that is no class at all counts as class 0.

    Following it is safe: the fed-back row and the arg max are compared as well.
    """
    shape = np.shape(case.labels)[:-1]
    if np.shape(trace.get("predictions")) != shape:
        raise UserError(
            "The subject's trace needs 'predictions' of the shape {}.".format(list(shape))
        )
    predictions = np.asarray(trace["predictions"])
    return np.where((predictions >= 0) & (predictions < case.config.outputs), predictions, 0)


def _check_shapes(trace: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> None:
    for name, array in expected.items():
        found = list(np.shape(trace[name])) if name in trace else None
        if found != list(array.shape):
            raise UserError(
                "The subject's trace has {} where the oracle has {!r} with the shape {}.".format(
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


def _compare(
    name: str, run: str, expected: Any, trace: Mapping[str, np.ndarray], arithmetic: Arithmetic
) -> ArrayVerdict:
    if not isinstance(expected, BoundedArray):
        expected = exact(expected, arithmetic)
    actual = np.asarray(trace[name])
    mid, rad = expected.mid, expected.rad
    error = np.abs(actual - mid)
    if expected.exact:
        same = (actual == mid) & (np.signbit(actual) == np.signbit(mid))
        ratios = np.where(same | (np.isnan(actual) & np.isnan(mid)), 0.0, np.inf)
        undecided = np.zeros(mid.shape, dtype=bool)
    else:
        same = (actual == mid) | (np.isnan(actual) & np.isnan(mid))
        ratios = np.where(same, 0.0, np.where(np.isnan(error), np.inf, error / rad))
        ratios = np.where(np.isinf(rad), 0.0, ratios)
        undecided = _too_wide(mid, rad) & ~(ratios > 1)
    return ArrayVerdict(name, run, mid, rad, actual, ratios, undecided)


def _too_wide(mid: np.ndarray, rad: np.ndarray) -> np.ndarray:
    known = np.where(np.isfinite(mid) & np.isfinite(rad), np.abs(mid), 0.0)
    return rad > WIDE * np.max(known, initial=1.0)
