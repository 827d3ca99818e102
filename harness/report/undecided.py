"""Why elements are undecided, and what that means, in sentences."""

from typing import Iterator, List, Mapping, Optional, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.judging.forcing import follow
from rnndiff.harness.judging.verdict import (
    AGREE,
    FREE_RUNNING,
    TEACHER_FORCED,
    UNDECIDED,
    WIDE,
    ArrayVerdict,
    Verdict,
)
from rnndiff.harness.report.growth import states_in_order


def why_undecided(case: Case, verdict: Verdict) -> List[str]:
    """Sentences for a person: one for each run of the oracle that leaves elements undecided.

    A last one says what follows. Of a verdict that leaves nothing undecided there are none.
    """
    said = []
    for run in (TEACHER_FORCED, FREE_RUNNING):
        arrays = [array for array in verdict.arrays if array.run == run and array.doubts]
        if arrays:
            count = verdict.undecided(run)
            said.append(
                "{}, {} of {} elements {} undecided: {}.".format(
                    run.capitalize(),
                    count,
                    verdict.elements(run),
                    "is" if count == 1 else "are",
                    "; ".join(_reasons(case, verdict, arrays)),
                )
            )
    if said and verdict.status == AGREE:
        said.append(
            "Each step agrees by itself, teacher-forced from the state recorded before it: what is "
            "undecided is no sign of a mistake."
        )
    elif said and verdict.status == UNDECIDED:
        said.append("What is undecided may be right or wrong; all the rest agrees.")
    return said


def _reasons(case: Case, verdict: Verdict, arrays: List[ArrayVerdict]) -> Iterator[str]:
    """Why elements of arrays of one run are undecided."""
    infinite = _first(arrays, infinite=True)
    if infinite is not None:
        yield "at {} a number may overflow in one order of summation and not in another".format(
            _place(case, *infinite)
        )
    wide = _first(arrays, infinite=False)
    if wide is not None:
        grown = _growth(case, verdict) if arrays[0].run == FREE_RUNNING else None
        yield grown or _too_wide(case, *wide)


def _first(
    arrays: List[ArrayVerdict], infinite: bool
) -> Optional[Tuple[ArrayVerdict, Tuple[int, ...]]]:
    """The first element that is undecided by an infinite bound, or by a finite one."""
    for array in arrays:
        places = np.argwhere(array.undecided & (np.isinf(array.bound) == infinite))
        if len(places):
            return array, tuple(int(i) for i in places[0])
    return None


def _place(case: Case, array: ArrayVerdict, index: Tuple[int, ...]) -> str:
    return case.model.place(case.config, array.name, index)


def _too_wide(case: Case, array: ArrayVerdict, index: Tuple[int, ...]) -> str:
    # Predictions are followed, and exact: only what the labels say can be in doubt.
    why = "to flush subnormal labels to 0" if array.name == "accuracy" else "rounding"
    return "{} may move {} by {:.2g}".format(
        why, _place(case, array, index), float(array.bound[index])
    )


def _growth(case: Case, verdict: Verdict) -> Optional[str]:
    """How the bound of the states has grown along the steps; None if it has not."""
    arrays = {array.name: array for array in verdict.arrays if array.run == FREE_RUNNING}
    bound = states_in_order(case, {name: array.bound for name, array in arrays.items()})
    steps = bound.shape[1]
    largest = np.max(bound, axis=(0, 2), initial=0.0)
    wide, whole = np.flatnonzero(largest > WIDE), np.flatnonzero(largest >= 1)
    # What the first step does is no growth.
    if not wide.size or wide[0] == 0:
        return None
    said = [
        "after {} of {} steps the bound of a state has grown beyond 1/{:.0f}".format(
            wide[0] + 1, steps, 1 / WIDE
        )
    ]
    if whole.size:
        said.append("after {} beyond the range of a state, from -1 to 1".format(whole[0] + 1))
    if verdict.status == AGREE:
        said.append(_distance(case, arrays))
    return ", ".join(said)


def _distance(case: Case, arrays: Mapping[str, ArrayVerdict]) -> str:
    """How far rounding has really led the states away: a network is chaotic if that is far."""
    actual = {name: array.actual for name, array in arrays.items()}
    with np.errstate(all="ignore"):
        exact = follow(case, actual)
        distance = np.abs(states_in_order(case, actual) - states_in_order(case, exact))
    # NaN, in the same places on both sides, is no distance.
    far = float(np.max(np.where(np.isnan(distance), 0.0, distance), initial=0.0))
    if far > WIDE:
        return "and rounding alone leads a state {:.2g} away: the network is chaotic".format(far)
    return "though no state is more than {:.1g} away from its value in float64".format(far)
