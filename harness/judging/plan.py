"""The plan of an oracle: which operation makes each element of the trace that a subject has."""

from functools import lru_cache, partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.errors import OracleError
from rnndiff.harness.judging.program import Program, Recorder
from rnndiff.harness.judging.tracked import Choice, TrackedArray, held_in
from rnndiff.models import Model

# An element is told by its operation and its place in what the operation makes.
_PLACES = 32
_IN_OPERATION = (1 << _PLACES) - 1
GIVEN = -1


class Recorded(NamedTuple):
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
    recorded: Dict[int, Recorded]
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


def make_plan(
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
    arrays = {name: as_tracked(run, trace[name]) for name in names if name in trace}
    ids = ids_of(list(arrays.values()))
    made, elements, inverse = np.unique(ids, return_index=True, return_inverse=True)
    originals = elements[inverse.reshape(-1)]
    copies = np.flatnonzero((originals != np.arange(ids.size)) & (ids != GIVEN))
    made, elements = made[made != GIVEN], elements[made != GIVEN]
    recorded = {}
    numbers, starts = np.unique(made >> _PLACES, return_index=True)
    for number, mine, of_trace in zip(
        numbers.tolist(), np.split(made, starts[1:]), np.split(elements, starts[1:])
    ):
        whole = len(mine) == np.prod(run.shapes[number], dtype=int)
        recorded[number] = Recorded(None if whole else mine & _IN_OPERATION, of_trace)
    return Plan(
        [(name, array.shape) for name, array in arrays.items()],
        run.shapes,
        recorded,
        copies,
        originals[copies],
        run.recorder.program(
            recorded, {name: x.slot for name, x in arrays.items() if (x.ids == GIVEN).any()}
        ),
        run.indexes,
        ids,
    )


@lru_cache(maxsize=512)
def plan_of(model: Model, config: Any, names: Tuple[str, ...]) -> Plan:
    """The plan of a model's oracle under a config, for a subject that has the arrays `names`."""
    parameters = [field.shape(config) for field in model.parameters(config)]
    shapes_of_data = {field.name: field.shape(config) for field in model.data_of(config)}
    data = model.arguments(config, shapes_of_data)
    found = make_plan(partial(model.compute, config), parameters, data, names)
    shapes = dict(found.arrays)
    for traced in model.trace:
        if traced.name in names and shapes.get(traced.name) != traced.shape(config):
            raise OracleError(
                "the oracle of {} returns {!r} with the shape {}, not {}".format(
                    model.name, traced.name, shapes.get(traced.name), traced.shape(config)
                )
            )
    return found


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
        return TrackedArray(self, array, np.full(array.shape, GIVEN, np.int64), slot)

    def move(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The elements elsewhere."""
        values, by_name = held_in(args, kwargs)
        held = function(*values, **by_name)
        ids = moved_ids(function, args, kwargs)
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
        return made(self, held, ids_made(number, held.shape), *slots)

    def values(self, array: TrackedArray) -> np.ndarray:
        """Those of an arg max, to be an index."""
        self.indexes = True
        return array.held


def ids_made(number: int, shape: Tuple[int, ...]) -> np.ndarray:
    """What tells the elements that an operation makes, by its number."""
    return (number << _PLACES) + np.arange(int(np.prod(shape))).reshape(shape)


def moved_ids(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Where the elements of the first argument go; the others say where to."""

    def ids(array: Any) -> np.ndarray:
        return array.ids if isinstance(array, TrackedArray) else np.full(np.shape(array), GIVEN)

    what, *where = args
    moved = [ids(x) for x in what] if isinstance(what, (list, tuple)) else ids(what)
    return function(moved, *where, **kwargs)


def as_tracked(run: Any, array: Any) -> TrackedArray:
    """An array of the trace: one of constants, or a NumPy array of tracked numbers, too."""
    if isinstance(array, TrackedArray):
        return array
    array = np.asarray(array)
    if array.dtype != object:
        return run.constant(array)
    return np.reshape(np.stack(list(array.flat)), array.shape)


def ids_of(arrays: Sequence[TrackedArray]) -> np.ndarray:
    """What tells the elements of all arrays, one after the other."""
    return np.concatenate([array.ids.ravel() for array in arrays] or [np.zeros(0, np.int64)])


def side_by_side(plan: Plan, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The arrays [rows, ...] of a trace as the plan has them, float64 [rows, elements]."""
    rows = [arrays[name].reshape(len(arrays[name]), -1) for name, _ in plan.arrays]
    return np.concatenate(rows, axis=1).astype(np.float64, copy=False)
