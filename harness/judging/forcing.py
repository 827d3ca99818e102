"""Teacher forcing, derived from an oracle that knows nothing of it.

An oracle is one function from the initial state to the end. It is run once for each config, on
arrays that tell their run of every operation. Every element knows the operation that made it, and
what merely moves numbers (indexing, stacking, concatenation, reshaping) carries that along: so each
element of the trace names the operation that made it, and the :class:`Plan` is known, with the
:class:`Program` of all operations. Then the program is run on bounded arrays. Where an operation
makes what the subject recorded, its balls are kept as what is expected of the subject, and the
subject's numbers go on in their place, exactly. So every step starts from what the subject
recorded, and what was moved is compared bit for bit.

- Of several elements of the trace that hold the same number, the first one that the subject has, in
  the order of the arrays and then of their elements, *defines* it; the others are copies.
- A subject that recomputes has numbers that are off by rounding where they are read, as what is
  recorded is one evaluation, and what is read another. How far is known from a run before
  (:class:`_Again`).
- An array that the subject does not have defines nothing: its numbers go on with their balls.
- An arg max goes on with the subject's choice, where rounding may lead to it, in both runs of the
  program, teacher-forced and free-running: the recorded one, or else that of the numbers that the
  subject recorded.
- The operations must depend on the config alone. An array that is asked for its values raises
  :class:`OracleError`, as does one that is changed in place. Only an arg max may be an index, of an
  array of constants such as ``np.eye``: then the oracle itself is run again for every row.
"""

from functools import lru_cache, partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import OracleError
from rnndiff.harness.judging.program import Program, Recorder
from rnndiff.harness.judging.tracked import VALUES, Choice, TrackedArray, held_in
from rnndiff.harness.numerics.addends import Addends
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, compute, lift, read_stack
from rnndiff.harness.numerics.register import REGISTER
from rnndiff.harness.numerics.rows import admissible, first_and_last
from rnndiff.models import Model
from rnndiff.models.functions import accumulate, affine

# An element is told by its operation and its place in what the operation makes.
_PLACES = 32
_IN_OPERATION = (1 << _PLACES) - 1
_GIVEN = -1
# The functions that are sums of products of their arguments.
_PRODUCTS = (affine, accumulate, np.matmul, np.dot)
# So many radii are two numbers apart that are in one ball.
_BOTH = 2.0
_OTHERS = "the oracle makes other operations for other values of its arrays"


def _made(number: int, shape: Tuple[int, ...]) -> np.ndarray:
    """What tells the elements that an operation makes, by its number."""
    return (number << _PLACES) + np.arange(int(np.prod(shape))).reshape(shape)


def _moved_ids(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Where the elements of the first argument go; the others say where to."""

    def ids(array: Any) -> np.ndarray:
        return array.ids if isinstance(array, TrackedArray) else np.full(np.shape(array), _GIVEN)

    what, *where = args
    moved = [ids(x) for x in what] if isinstance(what, (list, tuple)) else ids(what)
    return function(moved, *where, **kwargs)


class _Tracing:
    """The first run: on zeros, of which each element knows what made it."""

    def __init__(self) -> None:
        self.shapes: List[Tuple[int, ...]] = []
        self.indexes = False
        self.recorder = Recorder()

    def given(self, shape: Optional[Tuple[int, ...]]) -> Optional[TrackedArray]:
        """An array that no operation has made; None for one that is not there."""
        slot = self.recorder.given()
        return None if shape is None else self._unmade(np.zeros(shape), slot)

    def constant(self, array: np.ndarray) -> TrackedArray:
        """An array that the oracle has of its own."""
        return self._unmade(array, self.recorder.constant(array))

    def _unmade(self, array: np.ndarray, slot: int) -> TrackedArray:
        return TrackedArray(self, array, np.full(array.shape, _GIVEN, np.int64), slot)

    def move(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The elements elsewhere."""
        values, by_name = held_in(args, kwargs)
        held = function(*values, **by_name)
        ids = _moved_ids(function, args, kwargs)
        if isinstance(held, (list, tuple)):
            slots = self.recorder.record(function, args, kwargs, count=len(held))
            return [TrackedArray(self, *each) for each in zip(held, ids, slots)]
        return TrackedArray(self, held, ids, *self.recorder.record(function, args, kwargs))

    def make(self, function: Callable[..., Any], args: Any, kwargs: Any) -> TrackedArray:
        """New elements."""
        values, by_name = held_in(args, kwargs)
        held, number = np.asarray(function(*values, **by_name)), len(self.shapes)
        self.shapes.append(held.shape)
        slots = self.recorder.record(function, args, kwargs, number=number)
        made = Choice if function is np.argmax else TrackedArray
        return made(self, held, _made(number, held.shape), *slots)

    def values(self, array: TrackedArray) -> np.ndarray:
        """Those of an arg max, to be an index."""
        self.indexes = True
        return array.held


class _Recorded(NamedTuple):
    """What of an operation's result the trace records.

    ``places`` are the places in the result, flat, None for all of them in order; ``elements`` those
    in the trace, all of whose arrays lie side by side.
    """

    places: Optional[np.ndarray]
    elements: np.ndarray


class Plan(NamedTuple):
    """Where the operations of an oracle leave their results in the trace that a subject has.

    ``arrays`` are the names and shapes of the arrays, which lie side by side in that order,
    ``operations`` the shapes of what all operations make; ``recorded`` has what of them is
    recorded; ``copies`` are the elements that hold the number of another one, ``originals`` those
    others. ``program`` makes all of them, and has for outputs the arrays with elements that no
    operation makes. ``indexes`` says whether an arg max is an index, so that the program is no
    other run's. ``ids`` tell of every element what made it.
    """

    arrays: List[Tuple[str, Tuple[int, ...]]]
    operations: List[Tuple[int, ...]]
    recorded: Dict[int, _Recorded]
    copies: np.ndarray
    originals: np.ndarray
    program: Program
    indexes: bool
    ids: np.ndarray

    def stretches(self) -> List[Tuple[str, Tuple[int, ...], slice]]:
        """Name, shape and elements of each array."""
        found, start = [], 0
        for name, shape in self.arrays:
            end = start + int(np.prod(shape))
            found.append((name, shape, slice(start, end)))
            start = end
        return found


def plan(
    oracle: Callable[..., Any],
    parameters: Sequence[Tuple[int, ...]],
    data: Sequence[Optional[Tuple[int, ...]]],
    names: Sequence[str],
) -> Plan:
    """The plan of an oracle.

    Parameters
    ----------
    oracle : function of (parameters, inputs, ...) -> trace
    parameters, data : lists of shapes
        Those of the parameters, and of the other arguments; None for one that is not there.
    names : list of str
        The arrays that the subject has; those that the oracle does not have are left out.

    Raises
    ------
    OracleError
        If the oracle's operations depend on values.
    """
    run = _Tracing()
    given, of_data = ([run.given(shape) for shape in each] for each in (parameters, data))
    trace = oracle(given, *of_data)
    arrays = {name: _whole(run, trace[name]) for name in names if name in trace}
    ids = _ids(list(arrays.values()))
    made, elements, inverse = np.unique(ids, return_index=True, return_inverse=True)
    originals = elements[inverse.reshape(-1)]
    copies = np.flatnonzero((originals != np.arange(ids.size)) & (ids != _GIVEN))
    made, elements = made[made != _GIVEN], elements[made != _GIVEN]
    recorded = {}
    numbers, starts = np.unique(made >> _PLACES, return_index=True)
    for number, mine, of_trace in zip(
        numbers.tolist(), np.split(made, starts[1:]), np.split(elements, starts[1:])
    ):
        whole = len(mine) == np.prod(run.shapes[number], dtype=int)
        recorded[number] = _Recorded(None if whole else mine & _IN_OPERATION, of_trace)
    return Plan(
        [(name, array.shape) for name, array in arrays.items()],
        run.shapes,
        recorded,
        copies,
        originals[copies],
        run.recorder.program(
            recorded, {name: x.slot for name, x in arrays.items() if (x.ids == _GIVEN).any()}
        ),
        run.indexes,
        ids,
    )


def _ids(arrays: Sequence[TrackedArray]) -> np.ndarray:
    return np.concatenate([array.ids.ravel() for array in arrays] or [np.zeros(0, np.int64)])


@lru_cache(maxsize=512)
def plan_of(model: Model, config: Any, names: Tuple[str, ...]) -> Plan:
    """The plan of a model's oracle under a config, for a subject that has the arrays `names`."""
    parameters = [field.shape(config) for field in model.parameters(config)]
    shapes_of_data = {field.name: field.shape(config) for field in model.data_of(config)}
    data = model.arguments(config, shapes_of_data)
    found = plan(partial(model.compute, config), parameters, data, names)
    shapes = dict(found.arrays)
    for traced in model.trace:
        if traced.name in names and shapes.get(traced.name) != traced.shape(config):
            raise OracleError(
                "the oracle of {} returns {!r} with the shape {}, not {}".format(
                    model.name, traced.name, shapes.get(traced.name), traced.shape(config)
                )
            )
    return found


def _whole(run: Any, array: Any) -> TrackedArray:
    """An array of the trace: one of constants, or a NumPy array of tracked numbers, too."""
    if isinstance(array, TrackedArray):
        return array
    array = np.asarray(array)
    if array.dtype != object:
        return run.constant(array)
    return np.reshape(np.stack(list(array.flat)), array.shape)


class _Replay:
    """Computes operations on balls, with the subject's numbers in the place of the oracle's.

    The first ``free`` rows of its stacks run freely, all others are teacher-forced. ``recorded``
    [rows, elements] is what the subject recorded, ``apart`` how far from that it may be where it is
    read, None if it is that number. ``choices`` are those of an arg max that the
    trace does not have: the first and the last class that rows which are teacher-forced admit.
    """

    def __init__(
        self,
        plan: Plan,
        recorded: np.ndarray,
        free: int,
        arithmetic: Arithmetic,
        choices: Optional[Dict[int, Tuple[np.ndarray, np.ndarray]]] = None,
        apart: Optional[np.ndarray] = None,
    ) -> None:
        self._plan, self._recorded, self._free, self._arithmetic = plan, recorded, free, arithmetic
        self._rows = len(recorded)
        size = np.abs(recorded)
        # Like any exact number, a recorded one may be flushed to zero where it is read.
        small = np.where(size < arithmetic.smallest, size, 0.0)
        self._flushed = small if small.any() else None
        largest = size.max() if size.size else 0.0
        self._reach = largest if largest <= np.inf else np.inf
        self._apart = apart
        self.choices = {} if choices is None else choices
        self._expected: List[Tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def given(self, array: Optional[np.ndarray]) -> Optional[BoundedArray]:
        """An array [rows, ...] of the case, as the subject reads it."""
        return None if array is None else read_stack(array, self._arithmetic)

    def constant(self, array: np.ndarray) -> BoundedArray:
        """An array that is the same in all rows, as the subject holds it."""
        return lift(array, self._arithmetic).as_stack()

    def make(
        self, number: int, function: Callable[..., Any], args: List[Any], kwargs: Mapping[str, Any]
    ) -> BoundedArray:
        """The balls of an operation, and the subject's numbers in place of those it recorded."""
        recorded = self._plan.recorded.get(number)
        if function is np.argmax:
            return self._choice(number, recorded, *args, **kwargs)
        if function in REGISTER:
            balls = compute(function, self._arithmetic, args, kwargs)
        else:
            # It may be made of others, as what stands in for a function where a subject diverges.
            balls = function(*args, **kwargs)
        self._check(number, balls.shape)
        return balls if recorded is None else self._replaced(balls, recorded)

    def index(self, chosen: BoundedArray) -> np.ndarray:
        """An arg max that is an index; :class:`_Undecided` is raised if rounding may decide it."""
        if chosen.rad.any():
            raise _Undecided
        # Of all rows it is the same, if there are several: the last one is teacher-forced.
        return np.asarray(chosen.mid[-1].astype(np.intp))

    def _check(self, number: int, shape: Tuple[int, ...]) -> None:
        """Raise an OracleError if the plan has no such operation, or one of another shape."""
        shapes = self._plan.operations
        if number >= len(shapes) or shape != shapes[number]:
            raise OracleError(_OTHERS)

    def expected(self, unmade: Mapping[str, BoundedArray], otherwise: float = 0.0) -> "Expected":
        """What is expected of all elements, those of `unmade` arrays that no operation makes.

        `otherwise` is the radius of what was not computed.
        """
        mid = np.zeros(self._recorded.shape)
        rad = np.full(mid.shape, otherwise)
        for name, _, elements in self._plan.stretches() if unmade else ():
            if name in unmade:
                mid[:, elements] = _of_all_rows(unmade[name].mid, self._rows)
                rad[:, elements] = _of_all_rows(unmade[name].rad, self._rows)
        if self._expected:
            elements, mids, rads = zip(*self._expected)
            places = np.concatenate(elements)
            mid[:, places] = np.concatenate(mids, axis=1)
            rad[:, places] = np.concatenate(rads, axis=1)
        return Expected(mid, rad)

    def with_copies(self, expected: "Expected") -> "Expected":
        """The same with the elements that hold the number of another one, which have every bit.

        A subject that recomputes may have there what else that number may be.
        """
        free, copies, originals = self._free, self._plan.copies, self._plan.originals
        numbers = self._recorded[free:, originals]
        again = np.zeros(numbers.shape, dtype=bool)
        if self._arithmetic.recomputes:
            others = self._recorded[free:, copies]
            again = (others != numbers) | (np.signbit(others) != np.signbit(numbers))
            again &= ~(np.isnan(others) & np.isnan(numbers))
        for array, forced in zip(expected, (numbers, 0.0)):
            array[:free, copies] = array[:free, originals]
            array[free:, copies] = np.where(again, array[free:, originals], forced)
        return expected

    def _replaced(self, balls: BoundedArray, recorded: _Recorded) -> BoundedArray:
        """The balls of the rows that run freely, and the subject's numbers in all others."""
        shape, free = (self._rows,) + balls.shape, self._free
        places, elements = recorded.places, recorded.elements
        mid, rad = _of_all_rows(balls.mid, self._rows), _of_all_rows(balls.rad, self._rows)
        numbers = self._recorded[free:, elements]
        if self._flushed is None:
            flushed = np.zeros(numbers.shape)
        else:
            flushed = self._flushed[free:, elements]
        if self._apart is not None:
            numbers, flushed = _off(numbers, np.maximum(flushed, self._apart[free:, elements]))
        if places is None:
            self._expected.append((elements, mid, rad))
            mid = np.concatenate([mid[:free], numbers])
            rad = np.concatenate([rad[:free], flushed])
        else:
            self._expected.append((elements, mid[:, places], rad[:, places]))
            mid, rad = mid.copy(), rad.copy()
            mid[free:, places], rad[free:, places] = numbers, flushed
        reach = max(balls.reach(), self._reach)
        if self._apart is not None:
            reach = max(reach, np.max(np.abs(mid) + rad, initial=0.0))
            reach = reach if reach <= np.inf else np.inf
        mid, rad = mid.reshape(shape), rad.reshape(shape)
        result = BoundedArray(mid, rad, self._arithmetic, reach, stacked=True)
        result.is_affine = balls.is_affine
        made_of = balls.made_of
        if isinstance(made_of, Addends) and made_of.factors and not made_of.terms:
            # What is recorded of products that go on to a bias may be rounded for that alone.
            result.made_of, result.computed = made_of, balls
        return result

    def _choice(
        self, number: int, recorded: Optional[_Recorded], operand: BoundedArray, axis: int
    ) -> BoundedArray:
        """The arg max that the subject chose where rounding may lead to it, else any such one."""
        mid, rad, may_be = (
            x if axis == -1 else np.moveaxis(x, operand.axes(axis), -1)
            for x in (operand.mid, operand.rad, admissible(operand, axis))
        )
        self._check(number, may_be.shape[1:-1])
        if operand.reach() == np.inf:
            # What is NaN is judged where it is teacher-forced.
            may_be[: self._free] |= np.isnan(mid[: self._free]).any(axis=-1, keepdims=True)
            if self._arithmetic.recomputes:
                # Numbers beside NaN may be off by rounding, but the first NaN is where it is.
                nan, forced = np.isnan(mid[self._free :]), may_be[self._free :]
                is_sure = nan.any(axis=-1) & np.isfinite(rad[self._free :]).all(axis=-1)
                forced[is_sure] = np.eye(nan.shape[-1], dtype=bool)[nan.argmax(axis=-1)[is_sure]]
        if recorded is None:
            low, high = self._followed(number, may_be)
        else:
            low, high = self._recorded_choice(number, recorded, mid, may_be)
        reach = may_be.shape[-1]
        if low is high or (low == high).all():
            chosen = low.astype(np.float64)
            return BoundedArray(chosen, None, self._arithmetic, reach, stacked=True, normal=True)
        return BoundedArray(
            (low + high) / 2, (high - low) / 2, self._arithmetic, reach, stacked=True
        )

    def _recorded_choice(
        self, number: int, recorded: _Recorded, mid: np.ndarray, may_be: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray]:
        """The same where the trace has choices, which are compared with those that may be."""
        theirs, places = self._recorded[:, recorded.elements], recorded.places
        low = high = _class(theirs, may_be.shape[-1])
        if places is not None:
            theirs = low
            low, high = (x.reshape(self._rows, -1).copy() for x in self._followed(number, may_be))
            low[:, places] = high[:, places] = theirs
        low, high = low.reshape(may_be.shape[:-1]), high.reshape(may_be.shape[:-1])
        own = np.where(_marked(may_be, low), low, mid.argmax(axis=-1)).reshape(self._rows, -1)
        own = own if places is None else own[:, places]
        self._expected.append((recorded.elements, own, np.zeros(own.shape)))
        return low, high

    def _followed(self, number: int, may_be: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The first and the last choice that may be; of rows that run freely, the forced ones'."""
        free, (first, last) = self._free, first_and_last(may_be)
        if free < self._rows:
            self.choices[number] = first[free:], last[free:]
        if not free:
            return first, last
        theirs, their_last = self.choices.get(number, (first, last))
        follow = (theirs == their_last) & _marked(may_be[:free], theirs)
        first[:free] = np.where(follow, theirs, first[:free])
        last[:free] = np.where(follow, theirs, last[:free])
        return first, last


class _Again(_Replay):
    """The same, that finds how far what is read may be from what is recorded.

    Where a subject recomputes, numbers may be computed anew for each that reads them, and so may
    what they are made of, up to the products before, whose operands are read once. So all
    evaluations of a number are in the ball that rounding makes of the same products: the first rows
    go on with their balls, but that products are of what the rows which are teacher-forced have.

    That is presumed to be a number which is large against what it is apart itself: what is rounded
    after the product of another one, of which nothing is left but rounding, may be more.
    """

    def __init__(self, plan: Plan, recorded: np.ndarray, arithmetic: Arithmetic) -> None:
        super().__init__(plan, np.concatenate([recorded] * 2), len(recorded), arithmetic)
        self.apart = np.zeros(recorded.shape)

    def given(self, array: Optional[np.ndarray]) -> Optional[BoundedArray]:
        """As in :class:`_Replay`, of an array that has half of the rows."""
        return super().given(None if array is None else np.concatenate([array] * 2))

    def make(
        self, number: int, function: Callable[..., Any], args: List[Any], kwargs: Mapping[str, Any]
    ) -> BoundedArray:
        """As in :class:`_Replay`."""
        if function in _PRODUCTS:
            args = [*map(self._as_forced, args[:2]), *args[2:]]
        return super().make(number, function, args, kwargs)

    def _as_forced(self, operand: Any) -> Any:
        """What the rows that are teacher-forced have of an operand, for all rows."""
        if not isinstance(operand, BoundedArray) or len(operand.mid) != self._rows:
            return operand
        mid, rad = (
            None if x is None else np.concatenate([x[self._free :]] * 2)
            for x in (operand.mid, operand._rad)
        )
        return BoundedArray(mid, rad, operand.arithmetic, operand.reach(), stacked=True)

    def _replaced(self, balls: BoundedArray, recorded: _Recorded) -> BoundedArray:
        """As in :class:`_Replay`."""
        rad = _of_all_rows(balls.rad, self._rows)[: self._free]
        rad = rad if recorded.places is None else rad[:, recorded.places]
        self.apart[:, recorded.elements] = _BOTH * rad
        return super()._replaced(balls, recorded)


def _off(numbers: np.ndarray, apart: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Balls around numbers, of which those that may be anything are unknown."""
    unknown = np.isinf(apart)
    apart = np.where(unknown | np.isfinite(numbers), apart, 0.0)
    return np.where(unknown, 0.0, numbers), apart


class _ByChance(_Replay):
    """The same, teacher-forced, with what errors come to by chance.

    ``sums`` marks the elements [elements] that are sums of products of what the subject recorded or
    was given, and no more.
    """

    def __init__(self, plan: Plan, recorded: np.ndarray, arithmetic: Arithmetic) -> None:
        super().__init__(plan, recorded, 0, arithmetic.by_chance())
        self.sums = np.zeros(recorded.shape[1], dtype=bool)

    def make(
        self, number: int, function: Callable[..., Any], args: List[Any], kwargs: Mapping[str, Any]
    ) -> BoundedArray:
        """As in :class:`_Replay`."""
        balls = super().make(number, function, args, kwargs)
        recorded = self._plan.recorded.get(number)
        if recorded is not None:
            summed = _summed(function, args, balls)
            self.sums[recorded.elements] = bool(summed) and not any(x.rad.any() for x in summed)
        return balls


def _summed(
    function: Callable[..., Any], args: Sequence[Any], balls: BoundedArray
) -> Sequence[BoundedArray]:
    """What is multiplied and added up if an operation is a sum of products and no more, or ()."""
    if function in _PRODUCTS:
        return args
    if function is np.add and balls.is_affine:
        # A product, and a bias that was written after it.
        of_each = [x.made_of.factors if isinstance(x.made_of, Addends) else () for x in args]
        return [y for x, factors in zip(args, of_each) for y in (factors[0] if factors else (x,))]
    return ()


class _Run:
    """A run of the oracle itself, whose operations `computes` computes.

    That is a :class:`_Replay`, for what a program cannot do, arg maxes as indexes; or a
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
        return TrackedArray(self, array, np.full(array.shape, _GIVEN))

    def move(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The elements elsewhere."""
        values, by_name = held_in(args, kwargs)
        held = function(*values, **by_name)
        # A choice may lead elsewhere than when the plan was made.
        ids = _moved_ids(function, args, kwargs)
        if isinstance(held, list):
            return [TrackedArray(self, *both) for both in zip(held, ids)]
        return TrackedArray(self, held, ids)

    def make(self, function: Callable[..., Any], args: Any, kwargs: Any) -> TrackedArray:
        """As it is computed."""
        self._number += 1
        held = self._computes.make(self._number, function, *held_in(args, kwargs))
        made = Choice if function is np.argmax else TrackedArray
        return made(self, held, _made(self._number, held.shape))

    def values(self, array: TrackedArray) -> np.ndarray:
        """Those of an arg max, to be an index."""
        return self._computes.index(array.held)

    def check(self, arrays: Sequence[TrackedArray]) -> None:
        """Raise an OracleError if the plan is that of another run."""
        if self._number + 1 != len(self._plan.operations):
            raise OracleError(_OTHERS)
        if not np.array_equal(_ids(arrays), self._plan.ids):
            raise OracleError(VALUES.format("an arg max that is an index of what was computed"))


class _Undecided(Exception):
    """An arg max that rounding may decide is an index."""


def _marked(marked: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether these places along the last axis are marked."""
    chosen = np.arange(marked.shape[-1]) == places[..., None]
    return np.logical_and(chosen, marked).any(axis=-1)


def _class(predictions: np.ndarray, classes: int) -> np.ndarray:
    """The subject's predictions, to be followed; one that is no class at all counts as class 0.

    Following it is safe: what it is fed back as and the arg max are compared as well.
    """
    is_class = (predictions >= 0) & (predictions < classes)
    return np.where(is_class, predictions, 0).astype(np.intp)


def _of_all_rows(array: np.ndarray, rows: int) -> np.ndarray:
    """[rows, elements] of an array [rows, ...], or [1, ...] if it is the same in all rows."""
    if len(array) != rows:
        array = np.broadcast_to(array, (rows,) + array.shape[1:])
    return array.reshape(rows, -1)


def side_by_side(plan: Plan, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The arrays [rows, ...] of a trace as the plan has them, float64 [rows, elements]."""
    rows = [arrays[name].reshape(len(arrays[name]), -1) for name, _ in plan.arrays]
    return np.concatenate(rows, axis=1).astype(np.float64, copy=False)


class Expected(NamedTuple):
    """What is expected of a subject: midpoints and radii [rows, elements] of the plan's arrays.

    A radius of 0 is a number that has to be there bit for bit.
    """

    mid: np.ndarray
    rad: np.ndarray


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
            again = _Again(plan, recorded, arithmetic)
            _run_program(again, plan, given)
            apart = np.concatenate([again.apart, again.apart])
        # Both runs as one stack, the free one first.
        both = np.concatenate([recorded, recorded])
        replay = _Replay(plan, both, rows, arithmetic, apart=apart)
        twice = [None if x is None else np.concatenate([x, x]) for x in given]
        mid, rad = _run_program(replay, plan, twice)
    return Expected(mid[rows:], rad[rows:]), Expected(mid[:rows], rad[:rows])


def _run_program(replay: _Replay, plan: Plan, given: Sequence[Optional[np.ndarray]]) -> Expected:
    """What is expected by a run of the plan's program on the arrays of cases."""
    balls = [replay.given(array) for array in given]
    unmade = plan.program.run(balls, replay.constant, replay.make)
    return replay.with_copies(replay.expected(unmade))


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
        replay = _ByChance(plan, recorded, arithmetic)
        return _run_program(replay, plan, [*parameters, *data]), replay.sums


def _row_by_row(
    oracle: Callable[..., Any],
    plan: Plan,
    parameters: int,
    given: Sequence[Optional[np.ndarray]],
    recorded: np.ndarray,
    arithmetic: Arithmetic,
) -> Tuple[Expected, Expected]:
    """Both runs of each row, one after the other; the first arrays given are the parameters."""

    def run(row: int, replay: _Replay) -> Expected:
        which = slice(row, row + 1)
        run = _Run(plan, replay)
        arrays = [run.given(replay.given(None if x is None else x[which])) for x in given]
        try:
            trace = oracle(arrays[:parameters], *arrays[parameters:])
        except _Undecided:
            # Up to here all is known; what would follow may be anything.
            return replay.expected({}, otherwise=np.inf)
        whole = {name: _whole(run, trace[name]) for name, _ in plan.arrays}
        run.check(list(whole.values()))
        unmade = {name: whole[name].held for name in plan.program.outputs}
        return replay.with_copies(replay.expected(unmade))

    found = []
    for row in range(len(recorded)):
        of_row, apart = recorded[row : row + 1], None
        if arithmetic.recomputes:
            again = _Again(plan, of_row, arithmetic)
            run(row, again)
            apart = again.apart
        forced = _Replay(plan, of_row, 0, arithmetic, apart=apart)
        expected = run(row, forced)
        free = _Replay(plan, of_row, 1, arithmetic, forced.choices)
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
    return {name: _whole(run, array).held for name, array in found.items()}


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
            made.reshape(-1)[places] = _class(self._recorded[recorded.elements], classes)
        return made

    def index(self, chosen: np.ndarray) -> np.ndarray:
        """As it is."""
        return chosen
