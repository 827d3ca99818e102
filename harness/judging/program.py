"""The operations of an oracle in their order, to be run again on other arrays."""

from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from rnndiff.harness.judging.tracked import TrackedArray


class Slot(NamedTuple):
    """In the arguments of a step, what another step made or what was given: its place."""

    place: int


class Step(NamedTuple):
    """One operation, or a move.

    Parameters
    ----------
    function : function
    args, kwargs : list and dict
        Its arguments, with slots in the place of arrays, in lists and tuples too.
    results : list of int
        The places of what it makes: one array, or a list of arrays.
    is_list : bool
    number : int or None
        That of an operation among all operations; None of a move.
    last : list of int
        The places that no later step reads.
    """

    function: Callable[..., Any]
    args: List[Any]
    kwargs: Mapping[str, Any]
    results: List[int]
    is_list: bool
    number: Optional[int]
    last: Sequence[int] = ()
    # The arguments that are slots, by where they are; and whether others have some in them.
    filled: Sequence[Tuple[int, int]] = ()
    is_nested: bool = True


class Program(NamedTuple):
    """Steps that make arrays of those given, which have the first places.

    ``places`` is the number of places, ``constants`` what is in some of them from the beginning,
    ``outputs`` are the names and places of what is asked for.
    """

    places: int
    constants: Mapping[int, Any]
    steps: Sequence[Step]
    outputs: Mapping[str, int]

    def run(
        self,
        given: Sequence[Any],
        constant: Callable[[Any], Any],
        make: Callable[[int, Callable[..., Any], List[Any], Mapping[str, Any]], Any],
    ) -> Dict[str, Any]:
        """The arrays that are asked for.

        Parameters
        ----------
        given : list of arrays
        constant : function of an array -> array
            What stands for a constant.
        make : function of (number, function, args, kwargs) -> array
            Computes an operation.
        """
        slots = list(given) + [None] * (self.places - len(given))
        for place, array in self.constants.items():
            slots[place] = constant(array)
        for function, args, kwargs, results, is_list, number, last, filled, is_nested in self.steps:
            args = _filled(args, slots) if is_nested else args[:]
            for index, place in filled:
                args[index] = slots[place]
            if kwargs:
                kwargs = dict(zip(kwargs, _filled(kwargs.values(), slots)))
            made = (
                function(*args, **kwargs)
                if number is None
                else make(number, function, args, kwargs)
            )
            if is_list:
                for place, array in zip(results, made):
                    slots[place] = array
            else:
                slots[results[0]] = made
            for place in last:
                slots[place] = None
        return {name: slots[place] for name, place in self.outputs.items()}


def _filled(args: Any, slots: Sequence[Any]) -> List[Any]:
    """The arguments with arrays in the place of slots."""
    return [
        slots[x[0]]
        if type(x) is Slot
        else type(x)(_filled(x, slots))
        if type(x) in (list, tuple)
        else x
        for x in args
    ]


def _emptied(args: Any) -> List[Any]:
    """The arguments with slots in the place of arrays."""
    return [
        Slot(x.slot)
        if isinstance(x, TrackedArray)
        else type(x)(_emptied(x))
        if type(x) in (list, tuple)
        else x
        for x in args
    ]


def _read(args: Any) -> Iterator[int]:
    """The places that arguments are in."""
    for x in args:
        if type(x) is Slot:
            yield x.place
        elif type(x) in (list, tuple):
            yield from _read(x)


class Recorder:
    """Writes a program while it runs for the first time."""

    def __init__(self) -> None:
        self._places = 0
        self._steps: List[Step] = []
        self._constants: Dict[int, Any] = {}

    def given(self) -> int:
        """The place of one more array that is given."""
        self._places += 1
        return self._places - 1

    def constant(self, array: Any) -> int:
        """The place of one more constant."""
        self._constants[self._places] = array
        return self.given()

    def record(
        self,
        function: Callable[..., Any],
        args: Any,
        kwargs: Mapping[str, Any],
        count: Optional[int] = None,
        number: Optional[int] = None,
    ) -> List[int]:
        """The places of what one more step makes: a list of `count` arrays, or one array."""
        results = [self.given() for _ in range(1 if count is None else count)]
        args, by_name = _emptied(args), dict(zip(kwargs, _emptied(kwargs.values())))
        self._steps.append(Step(function, args, by_name, results, count is not None, number))
        return results

    def program(self, operations: Collection[int], outputs: Mapping[str, int]) -> Program:
        """The program of the steps that these operations and outputs take."""
        needed: Set[int] = set(outputs.values())
        steps: List[Step] = []
        for step in reversed(self._steps):
            if step.number in operations or not needed.isdisjoint(step.results):
                read = set(_read(step.args)).union(_read(step.kwargs.values()))
                last = read.union(step.results).difference(needed)
                needed.update(read)
                flat = [(i, x.place) for i, x in enumerate(step.args) if type(x) is Slot]
                nested = any(type(x) in (list, tuple) for x in step.args)
                steps.append(step._replace(last=sorted(last), filled=flat, is_nested=nested))
        constants = {place: x for place, x in self._constants.items() if place in needed}
        return Program(self._places, constants, steps[::-1], outputs)
