"""Teacher forcing, derived from an oracle that knows nothing of it.

An oracle is one function from the initial state to the end. It is run twice on arrays that tell
their run of every operation. In the first run, which is made once for each config, every element
knows the operation that made it, and what merely moves numbers (indexing, stacking, concatenation,
reshaping) carries that along: so each element of the trace names the operation that made it, and
the :class:`Plan` is known. In the second run the arrays are bounded. Where an operation makes what
the subject recorded, its balls are kept as what is expected of the subject, and the subject's
numbers go on in their place, exactly. So every step starts from what the subject recorded, and what
was moved is compared bit for bit.

- Of several elements of the trace that hold the same number, the first one that the subject has, in
  the order of the arrays and then of their elements, *defines* it; the others are copies.
- An array that the subject does not have defines nothing: its numbers go on with their balls.
- An arg max goes on with the subject's choice, where rounding may lead to it, in both runs of the
  oracle: the recorded one, or else that of the numbers that the subject recorded.
- The operations must depend on the config alone. An array that is asked for its values raises
  :class:`OracleError`, as does one that is changed in place. Only an arg max may be an index, of an
  array of constants such as ``np.eye``, by which stacks become many runs.
"""

from functools import lru_cache, partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import OracleError
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, lift, read_stack
from rnndiff.harness.numerics.moves import MOVES
from rnndiff.harness.numerics.rows import admissible, first_and_last
from rnndiff.models import Model

# An element is told by its operation and its place in what the operation makes.
_PLACES = 32
_IN_OPERATION = (1 << _PLACES) - 1
_GIVEN = -1

_VALUES = (
    "the oracle asks for the values of an array ({}), on which its operations must not depend: "
    "use np.where, np.minimum, np.clip and the like"
)


class _Array(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that tells its run of every operation on it."""

    def __init__(self, run: Any, held: Any, ids: Any = None) -> None:
        self.run, self.held, self.ids = run, held, ids

    @property
    def shape(self) -> Tuple[int, ...]:
        """As of what is held."""
        return self.held.shape

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self.held.ndim

    @property
    def size(self) -> int:
        """How many elements there are."""
        return int(np.prod(self.shape))

    @property
    def dtype(self) -> Any:
        """As of what is held."""
        return self.held.dtype

    @property
    def T(self) -> "_Array":
        """The transpose."""
        return np.transpose(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a number has no length")
        return self.shape[0]

    def __getitem__(self, index: Any) -> "_Array":
        if isinstance(index, _Array):
            raise OracleError(_VALUES.format("an index"))
        return self.run.move(_element, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        raise OracleError("the oracle changes an array in place: make a new one instead")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> "_Array":
        if method != "__call__":
            raise OracleError("no bound is known for {}.{}".format(ufunc.__name__, method))
        if "out" in kwargs:
            raise OracleError("the oracle changes an array in place: make a new one instead")
        return self.run.make(ufunc, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return (self.run.move if function in MOVES else self.run.make)(function, args, kwargs)

    def __bool__(self) -> bool:
        raise OracleError(_VALUES.format("true or false"))

    def __float__(self) -> float:
        raise OracleError(_VALUES.format("float"))

    def __int__(self) -> int:
        raise OracleError(_VALUES.format("int"))

    __index__ = __int__

    def reshape(self, *shape: Any) -> "_Array":
        """As of NumPy's arrays."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> "_Array":
        """As of NumPy's arrays."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def sum(self, axis: Any = None, keepdims: bool = False) -> "_Array":
        """As of NumPy's arrays."""
        return np.sum(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> "_Array":
        """As of NumPy's arrays."""
        return np.max(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None) -> "_Array":
        """As of NumPy's arrays."""
        return np.mean(self, axis=axis)

    def argmax(self, axis: Any = None) -> "_Array":
        """As of NumPy's arrays."""
        return np.argmax(self, axis=axis)

    def dot(self, other: Any) -> "_Array":
        """As of NumPy's arrays."""
        return np.dot(self, other)


class _Choice(_Array):
    """What an arg max makes, which alone may be an index."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.run.values(self)

    def __len__(self) -> int:
        # Before 1.23, NumPy takes an index that has a length for a tuple of indexes.
        raise TypeError("an arg max has no length: use its shape")


def _element(array: Any, index: Any) -> Any:
    return array[index]


def _held(args: Any) -> List[Any]:
    """The arguments with what tracked arrays hold in their places, in lists of them too."""
    return [
        x.held if isinstance(x, _Array) else type(x)(_held(x)) if type(x) in (list, tuple) else x
        for x in args
    ]


def _held_by_name(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same of arguments that are passed by name."""
    return dict(zip(kwargs, _held(kwargs.values()))) if kwargs else kwargs


def _made(number: int, shape: Tuple[int, ...]) -> np.ndarray:
    """What tells the elements that an operation makes, by its number."""
    return (number << _PLACES) + np.arange(int(np.prod(shape))).reshape(shape)


def _moved_ids(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Where the elements of the first argument go; the others say where to."""

    def ids(array: Any) -> np.ndarray:
        return array.ids if isinstance(array, _Array) else np.full(np.shape(array), _GIVEN)

    what, *where = args
    moved = [ids(x) for x in what] if isinstance(what, (list, tuple)) else ids(what)
    return function(moved, *where, **kwargs)


class _Tracing:
    """The first run: on zeros, of which each element knows what made it."""

    def __init__(self) -> None:
        self.shapes: List[Tuple[int, ...]] = []
        self.indexes = False

    def given(self, array: np.ndarray) -> _Array:
        """An array that no operation has made."""
        return _Array(self, array, np.full(array.shape, _GIVEN, np.int64))

    constant = given

    def move(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The elements elsewhere."""
        held = function(*_held(args), **_held_by_name(kwargs))
        ids = _moved_ids(function, args, kwargs)
        if isinstance(held, (list, tuple)):
            return [_Array(self, *both) for both in zip(held, ids)]
        return _Array(self, held, ids)

    def make(self, function: Callable[..., Any], args: Any, kwargs: Any) -> _Array:
        """New elements."""
        held = np.asarray(function(*_held(args), **_held_by_name(kwargs)))
        ids = _made(len(self.shapes), held.shape)
        self.shapes.append(held.shape)
        return (_Choice if function is np.argmax else _Array)(self, held, ids)

    def values(self, array: _Array) -> np.ndarray:
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
    ``operations`` the shapes of what all operations make;
    ``recorded`` has what of them is recorded; ``copies`` are the elements that hold the number of
    another one, ``originals`` those others. ``indexes`` says whether an arg max is an index, so
    that stacks cannot be run. ``ids`` tell of every element what made it.
    """

    arrays: List[Tuple[str, Tuple[int, ...]]]
    operations: List[Tuple[int, ...]]
    recorded: Dict[int, _Recorded]
    copies: np.ndarray
    originals: np.ndarray
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
    given, of_data = (
        [None if shape is None else run.given(np.zeros(shape)) for shape in each]
        for each in (parameters, data)
    )
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
        run.indexes,
        ids,
    )


def _ids(arrays: Sequence[_Array]) -> np.ndarray:
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


def _whole(run: Any, array: Any) -> _Array:
    """An array of the trace: one of constants, or a NumPy array of tracked numbers, too."""
    if isinstance(array, _Array):
        return array
    array = np.asarray(array)
    if array.dtype != object:
        return run.constant(array)
    return np.reshape(np.stack(list(array.flat)), array.shape)


class _Replay:
    """The second run, on balls, in which the subject's numbers take the place of the oracle's.

    The first ``free`` rows of its stacks run freely, all others are teacher-forced. ``recorded``
    [rows, elements] is what the subject recorded. ``choices`` are those of an arg max that the
    trace does not have: the first and the last class that rows which are teacher-forced admit.
    """

    def __init__(
        self,
        plan: Plan,
        recorded: np.ndarray,
        free: int,
        arithmetic: Arithmetic,
        choices: Optional[Dict[int, Tuple[np.ndarray, np.ndarray]]] = None,
    ) -> None:
        self._plan, self.recorded, self._free, self._arithmetic = plan, recorded, free, arithmetic
        self.rows, self.number = len(recorded), -1
        size = np.abs(recorded)
        # Like any exact number, a recorded one may be flushed to zero where it is read.
        small = np.where(size < arithmetic.smallest, size, 0.0)
        self._flushed = small if small.any() else None
        largest = size.max() if size.size else 0.0
        self._reach = largest if largest <= np.inf else np.inf
        self.choices = {} if choices is None else choices
        self.expected: List[Tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def given(self, array: np.ndarray) -> _Array:
        """An array [rows, ...] of the case, as the subject reads it."""
        ids = np.full(array.shape[1:], _GIVEN) if self._plan.indexes else None
        return _Array(self, read_stack(array, self._arithmetic), ids)

    def constant(self, array: np.ndarray) -> _Array:
        """An array that is the same in all rows, as the subject holds it."""
        ids = np.full(array.shape, _GIVEN) if self._plan.indexes else None
        return _Array(self, lift(array, self._arithmetic).as_stack(), ids)

    def move(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The elements elsewhere."""
        held, ids = function(*_held(args), **_held_by_name(kwargs)), None
        if self._plan.indexes:
            # A choice may lead elsewhere than when the plan was made.
            ids = _moved_ids(function, args, kwargs)
        if isinstance(held, list):
            return [_Array(self, *both) for both in zip(held, ids or [None] * len(held))]
        return _Array(self, held, ids)

    def make(self, function: Callable[..., Any], args: Any, kwargs: Any) -> _Array:
        """The balls of an operation, and the subject's numbers in place of those it recorded."""
        self.number += 1
        operands, kwargs = _held(args), _held_by_name(kwargs)
        recorded = self._plan.recorded.get(self.number)
        if function is np.argmax:
            balls = self._choice(recorded, *operands, **kwargs)
        else:
            balls = function(*operands, **kwargs)
        shapes = self._plan.operations
        if self.number >= len(shapes) or balls.shape != shapes[self.number]:
            raise OracleError("the oracle makes other operations for other values of its arrays")
        ids = _made(self.number, balls.shape) if self._plan.indexes else None
        if function is np.argmax:
            return _Choice(self, balls, ids)
        return _Array(self, balls if recorded is None else self._replaced(balls, recorded), ids)

    def values(self, array: _Array) -> np.ndarray:
        """Those of an arg max, to be an index."""
        chosen = array.held
        if chosen.rad.any():
            raise _Undecided
        return np.asarray(chosen.mid[0].astype(np.intp))

    def _replaced(self, balls: BoundedArray, recorded: _Recorded) -> BoundedArray:
        """The balls of the rows that run freely, and the subject's numbers in all others."""
        shape, free = (self.rows,) + balls.shape, self._free
        places, elements = recorded.places, recorded.elements
        mid, rad = _of_all_rows(balls.mid, self.rows), _of_all_rows(balls.rad, self.rows)
        numbers = self.recorded[free:, elements]
        flushed = 0.0 if self._flushed is None else self._flushed[free:, elements]
        if places is None:
            self.expected.append((elements, mid, rad))
            mid, rad = mid.copy(), rad.copy()
            mid[free:], rad[free:] = numbers, flushed
        else:
            self.expected.append((elements, mid[:, places], rad[:, places]))
            mid, rad = mid.copy(), rad.copy()
            mid[free:, places], rad[free:, places] = numbers, flushed
        reach = max(balls.reach(), self._reach)
        mid, rad = mid.reshape(shape), rad.reshape(shape)
        result = BoundedArray(mid, rad, self._arithmetic, reach, stacked=True)
        # What is recorded may be rounded for that alone.
        result.is_affine, result.factors = balls.is_affine, balls.factors
        return result

    def _choice(
        self, recorded: Optional[_Recorded], operand: BoundedArray, axis: int
    ) -> BoundedArray:
        """The arg max that the subject chose where rounding may lead to it, else any such one."""
        free, mid = self._free, np.moveaxis(operand.mid, operand.axes(axis), -1)
        may_be = np.moveaxis(admissible(operand, axis), operand.axes(axis), -1)
        # What is NaN is judged where it is teacher-forced.
        may_be[:free] |= np.isnan(mid[:free]).any(axis=-1, keepdims=True)
        first, last = first_and_last(may_be)
        if free < self.rows:
            self.choices[self.number] = first[free:], last[free:]
        theirs, their_last = self.choices.get(self.number, (first, last))
        follow = (theirs == their_last) & _marked(may_be[:free], theirs)
        first[:free] = np.where(follow, theirs, first[:free])
        last[:free] = np.where(follow, theirs, last[:free])
        low, high = first.reshape(self.rows, -1), last.reshape(self.rows, -1)
        if recorded is not None:
            every = slice(None) if recorded.places is None else recorded.places
            chosen = first.reshape(self.rows, -1).copy()
            chosen[:, every] = _class(self.recorded[:, recorded.elements], may_be.shape[-1])
            right = _marked(may_be, chosen.reshape(first.shape))
            own = np.where(right, chosen.reshape(first.shape), mid.argmax(axis=-1))
            own = own.reshape(self.rows, -1)[:, every]
            self.expected.append((recorded.elements, own, np.zeros(own.shape)))
            low, high = low.copy(), high.copy()
            low[:, every] = high[:, every] = chosen[:, every]
        low, high = low.reshape(first.shape), high.reshape(first.shape)
        mid, rad, reach = (low + high) / 2, (high - low) / 2, may_be.shape[-1]
        return BoundedArray(mid, rad, self._arithmetic, reach, stacked=True)


class _Undecided(Exception):
    """An arg max that rounding may decide is an index."""


def _marked(marked: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.take_along_axis(marked, places[..., None], axis=-1)[..., 0]


def _class(predictions: np.ndarray, classes: int) -> np.ndarray:
    """The subject's predictions, to be followed; one that is no class at all counts as class 0.

    Following it is safe: what it is fed back as and the arg max are compared as well.
    """
    is_class = (predictions >= 0) & (predictions < classes)
    return np.where(is_class, predictions, 0).astype(np.intp)


def _joined(arrays: Sequence[np.ndarray], replay: _Replay) -> np.ndarray:
    """Arrays [rows, ...] side by side; what is the same in all rows is held once."""
    return np.concatenate([_of_all_rows(x, replay.rows) for x in arrays], axis=1)


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

    def run(rows: slice, free: int, choices: Any = None) -> Any:
        which = np.tile(np.arange(len(recorded))[rows], 1 if plan.indexes else 2)
        replay = _Replay(plan, recorded[which], free, arithmetic, choices)
        given, of_data = (
            [None if array is None else replay.given(array[which]) for array in each]
            for each in (parameters, data)
        )
        try:
            trace = oracle(given, *of_data)
        except _Undecided:
            # Up to here all is known; what would follow may be anything.
            mid = np.zeros((len(which), recorded.shape[1]))
            rad = mid + np.inf
            for elements, own_mid, own_rad in replay.expected:
                mid[:, elements], rad[:, elements] = own_mid, own_rad
            return Expected(mid, rad), replay.choices
        arrays = [_whole(replay, trace[name]) for name, _ in plan.arrays]
        held = [array.held for array in arrays]
        if replay.number + 1 != len(plan.operations):
            raise OracleError("the oracle makes other operations for other values of its arrays")
        if plan.indexes and not np.array_equal(_ids(arrays), plan.ids):
            raise OracleError(_VALUES.format("an arg max that is an index of what was computed"))
        mid, rad = _joined([x.mid for x in held], replay), _joined([x.rad for x in held], replay)
        for elements, own_mid, own_rad in replay.expected:
            mid[:, elements], rad[:, elements] = own_mid, own_rad
        # Not as an operand, which may be flushed to zero: a copy has every bit.
        mid[free:, plan.copies] = replay.recorded[free:, plan.originals]
        rad[free:, plan.copies] = 0.0
        return Expected(mid, rad), replay.choices

    rows = len(recorded)
    with np.errstate(all="ignore"):
        return _both_runs(run, plan, rows)


def _both_runs(run: Callable[..., Any], plan: Plan, rows: int) -> Tuple[Expected, Expected]:
    """Both runs as one stack; or, if an arg max is an index, row by row, one after the other."""
    if not plan.indexes:
        (mid, rad), _ = run(slice(None), rows)
        return Expected(mid[rows:], rad[rows:]), Expected(mid[:rows], rad[:rows])
    found = []
    for row in range(rows):
        forced, choices = run(slice(row, row + 1), 0)
        found.append((forced, run(slice(row, row + 1), 1, choices)[0]))
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
    run = _Following(plan, recorded[0])
    given, of_data = (
        [None if array is None else run.given(array.astype(np.float64)) for array in each]
        for each in (case.parameters, case.data)
    )
    found = case.model.compute(case.config, given, *of_data)
    return {name: _whole(run, array).held for name, array in found.items()}


class _Following:
    """A run on plain arrays, in which an arg max is the one that the subject recorded."""

    def __init__(self, plan: Plan, recorded: np.ndarray) -> None:
        self._plan, self._recorded, self._number = plan, recorded, -1

    def given(self, array: np.ndarray) -> _Array:
        return _Array(self, np.asarray(array))

    constant = given

    def move(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        held = function(*_held(args), **_held_by_name(kwargs))
        return [_Array(self, x) for x in held] if isinstance(held, list) else _Array(self, held)

    def make(self, function: Callable[..., Any], args: Any, kwargs: Any) -> _Array:
        self._number += 1
        operands, kwargs = _held(args), _held_by_name(kwargs)
        held = np.asarray(function(*operands, **kwargs))
        recorded = self._plan.recorded.get(self._number)
        if function is not np.argmax:
            return _Array(self, held)
        if recorded is not None:
            classes = operands[0].shape[kwargs.get("axis", -1)]
            held = held.copy()
            places = slice(None) if recorded.places is None else recorded.places
            held.reshape(-1)[places] = _class(self._recorded[recorded.elements], classes)
        return _Choice(self, held)

    def values(self, array: _Array) -> np.ndarray:
        return array.held
