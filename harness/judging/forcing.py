"""Teacher forcing, derived from an oracle that knows nothing of it.

An oracle is one function from the initial state to the end. It is run once for each config, on
arrays that tell their run of every operation. Every element knows the operation that made it, and
what merely moves numbers (indexing, stacking, concatenation, reshaping) carries that along: so each
element of the trace names the operation that made it, and the :class:`Plan` is known, with the
program of all operations (:mod:`rnndiff.harness.judging.program`). Then the program is run on
bounded arrays. Where an operation makes what the subject recorded, its balls are kept as what is
expected of the subject, and the subject's numbers go on in their place, exactly. So every step
starts from what the subject recorded, and what was moved is compared bit for bit.

- Of several elements of the trace that hold the same number, the first one that the subject has, in
  the order of the arrays and then of their elements, *defines* it; the others are copies.
- A subject that recomputes has numbers that are off by rounding where they are read, as what is
  recorded is one evaluation, and what is read another. How far is known from a run before
  (:class:`RecomputedRun`).
- An array that the subject does not have defines nothing: its numbers go on with their balls.
- An arg max goes on with the subject's choice, where rounding may lead to it, in both runs of the
  program, teacher-forced and free-running: the recorded one, or else that of the numbers that the
  subject recorded.
- The operations must depend on the config alone. An array that is asked for its values raises
  :class:`OracleError`, as does one that is changed in place. Only an arg max may be an index, of an
  array of constants such as ``np.eye``: then the oracle itself is run again for every row.
"""

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import OracleError
from rnndiff.harness.judging.bounded_run import (
    OTHER_OPERATIONS,
    BoundedRun,
    ByChanceRun,
    Expected,
    RecomputedRun,
    Undecided,
    class_or_first,
)
from rnndiff.harness.judging.plan import (
    GIVEN,
    Plan,
    as_tracked,
    ids_made,
    ids_of,
    moved_ids,
    plan_of,
    side_by_side,
)
from rnndiff.harness.judging.tracked import VALUES, Choice, TrackedArray, held_in
from rnndiff.harness.numerics.arithmetic import Arithmetic


def expect(
    oracle: Callable[..., Any],
    plan: Plan,
    parameters: Sequence[np.ndarray],
    data: Sequence[Optional[np.ndarray]],
    recorded: np.ndarray,
    arithmetic: Arithmetic,
) -> Tuple[Expected, Expected]:
    """What is expected of the traces of a subject, teacher-forced and free-running.

    Parameters
    ----------
    oracle : function of (parameters, inputs, ...) -> trace
    plan : Plan
        That of the oracle for these shapes.
    parameters, data : lists of arrays [rows, ...]
        Those of many cases of one config; None for data that are not there.
    recorded : array [rows, elements]
        What the subject recorded: see :func:`side_by_side`.
    arithmetic : Arithmetic
        That of the subject.
    """
    rows, given = len(recorded), [*parameters, *data]
    with np.errstate(all="ignore"):
        if plan.indexes:
            return _row_by_row(oracle, plan, len(parameters), given, recorded, arithmetic)
        apart = None
        if arithmetic.recomputes:
            again = RecomputedRun(plan, recorded, arithmetic)
            _run_program(again, plan, given)
            apart = np.concatenate([again.apart, again.apart])
        # Both runs as one stack, the free one first.
        both = np.concatenate([recorded, recorded])
        bounded = BoundedRun(plan, both, rows, arithmetic, apart=apart)
        twice = [None if x is None else np.concatenate([x, x]) for x in given]
        mid, rad = _run_program(bounded, plan, twice)
    return Expected(mid[rows:], rad[rows:]), Expected(mid[:rows], rad[:rows])


def expect_by_chance(
    oracle: Callable[..., Any],
    plan: Plan,
    parameters: Sequence[np.ndarray],
    data: Sequence[Optional[np.ndarray]],
    recorded: np.ndarray,
    arithmetic: Arithmetic,
) -> Tuple[Expected, np.ndarray]:
    """What is expected of the traces, teacher-forced, with what errors come to by chance.

    Arguments as of :func:`expect`, of a plan without indexes. The radii are bounds of root mean
    squares (:meth:`rnndiff.harness.numerics.arithmetic.Arithmetic.by_chance`). The second result
    marks the elements that are sums of products and no more.
    """
    with np.errstate(all="ignore"):
        bounded = ByChanceRun(plan, recorded, arithmetic)
        return _run_program(bounded, plan, [*parameters, *data]), bounded.sums


def _run_program(
    bounded: BoundedRun, plan: Plan, given: Sequence[Optional[np.ndarray]]
) -> Expected:
    """What is expected by a run of the plan's program on the arrays of cases."""
    balls = [bounded.given(array) for array in given]
    unmade = plan.program.run(balls, bounded.constant, bounded.make)
    return bounded.with_copies(bounded.expected(unmade))


def _row_by_row(
    oracle: Callable[..., Any],
    plan: Plan,
    parameters: int,
    given: Sequence[Optional[np.ndarray]],
    recorded: np.ndarray,
    arithmetic: Arithmetic,
) -> Tuple[Expected, Expected]:
    """Both runs of each row, one after the other; the first arrays given are the parameters."""

    def run(row: int, bounded: BoundedRun) -> Expected:
        which = slice(row, row + 1)
        run = _Run(plan, bounded)
        arrays = [run.given(bounded.given(None if x is None else x[which])) for x in given]
        try:
            trace = oracle(arrays[:parameters], *arrays[parameters:])
        except Undecided:
            # Up to here all is known; what would follow may be anything.
            return bounded.expected({}, otherwise=np.inf)
        whole = {name: as_tracked(run, trace[name]) for name, _ in plan.arrays}
        run.check(list(whole.values()))
        unmade = {name: whole[name].held for name in plan.program.outputs}
        return bounded.with_copies(bounded.expected(unmade))

    found = []
    for row in range(len(recorded)):
        of_row, apart = recorded[row : row + 1], None
        if arithmetic.recomputes:
            again = RecomputedRun(plan, of_row, arithmetic)
            run(row, again)
            apart = again.apart
        forced = BoundedRun(plan, of_row, 0, arithmetic, apart=apart)
        expected = run(row, forced)
        free = BoundedRun(plan, of_row, 1, arithmetic, forced.choices)
        found.append((expected, run(row, free)))
    return tuple(  # type: ignore[return-value]
        Expected(*map(np.concatenate, zip(*each))) for each in zip(*found)
    )


def follow(case: Case, trace: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """The oracle's trace in float64, fed what the subject chose.

    Where two scores are closer than rounding errors, either token is right: so what follows from
    them can be compared.
    """
    names = tuple(array.name for array in case.model.trace if array.name in trace)
    plan = plan_of(case.model, case.config, names)
    recorded = side_by_side(plan, {name: np.asarray(trace[name])[None] for name in names})
    run = _Run(plan, _Following(plan, recorded[0]))
    given, of_data = (
        [run.given(None if array is None else array.astype(np.float64)) for array in each]
        for each in (case.parameters, case.data)
    )
    found = case.model.compute(case.config, given, *of_data)
    return {name: as_tracked(run, array).held for name, array in found.items()}


class _Run:
    """A run of the oracle itself, whose operations `computes` computes.

    That is a :class:`BoundedRun`, for what a program cannot do, arg maxes as indexes; or a
    :class:`_Following`.
    """

    def __init__(self, plan: Plan, computes: Any) -> None:
        self._plan, self._computes, self._number = plan, computes, -1

    def given(self, array: Any) -> Optional[TrackedArray]:
        """An array of the case; None for one that is not there."""
        return None if array is None else self._unmade(array)

    def constant(self, array: np.ndarray) -> TrackedArray:
        """An array that the oracle has of its own."""
        return self._unmade(self._computes.constant(array))

    def _unmade(self, array: Any) -> TrackedArray:
        return TrackedArray(self, array, np.full(array.shape, GIVEN))

    def move(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The elements elsewhere."""
        values, by_name = held_in(args, kwargs)
        held = function(*values, **by_name)
        # A choice may lead elsewhere than when the plan was made.
        ids = moved_ids(function, args, kwargs)
        if isinstance(held, list):
            return [TrackedArray(self, *both) for both in zip(held, ids)]
        return TrackedArray(self, held, ids)

    def make(self, function: Callable[..., Any], args: Any, kwargs: Any) -> TrackedArray:
        """As it is computed."""
        self._number += 1
        held = self._computes.make(self._number, function, *held_in(args, kwargs))
        made = Choice if function is np.argmax else TrackedArray
        return made(self, held, ids_made(self._number, held.shape))

    def values(self, array: TrackedArray) -> np.ndarray:
        """Those of an arg max, to be an index."""
        return self._computes.index(array.held)

    def check(self, arrays: Sequence[TrackedArray]) -> None:
        """Raise an OracleError if the plan is that of another run."""
        if self._number + 1 != len(self._plan.operations):
            raise OracleError(OTHER_OPERATIONS)
        if not np.array_equal(ids_of(arrays), self._plan.ids):
            raise OracleError(VALUES.format("an arg max that is an index of what was computed"))


class _Following:
    """Computes operations on plain arrays; an arg max is the one that the subject recorded."""

    def __init__(self, plan: Plan, recorded: np.ndarray) -> None:
        self._plan, self._recorded = plan, recorded

    def constant(self, array: np.ndarray) -> np.ndarray:
        """As it is."""
        return array

    def make(
        self, number: int, function: Callable[..., Any], args: List[Any], kwargs: Mapping[str, Any]
    ) -> np.ndarray:
        """The operation's result, with the subject's choices in it if it is an arg max."""
        made = np.asarray(function(*args, **kwargs))
        recorded = self._plan.recorded.get(number)
        if function is np.argmax and recorded is not None:
            classes = args[0].shape[kwargs.get("axis", -1)]
            made = made.copy()
            places = slice(None) if recorded.places is None else recorded.places
            made.reshape(-1)[places] = class_or_first(self._recorded[recorded.elements], classes)
        return made

    def index(self, chosen: np.ndarray) -> np.ndarray:
        """As it is."""
        return chosen
