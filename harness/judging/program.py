"""The operations of an oracle in their order, to be run again on other arrays."""

from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
)

from rnndiff.harness.judging.tracked import TrackedArray, mapped, mapped_by_name


class Slot(int):
    """In the arguments of a step, what another step made or what was given: its place."""


class Step(NamedTuple):
    """One operation, or a move.

    Parameters
    ----------
    function : function
    args, kwargs : list and dict
        Its arguments, with slots in the place of arrays, in lists and tuples too.
    read : set of int
        The places of those slots.
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
    read: Set[int]
    results: List[int]
    is_list: bool
    number: Optional[int]
    last: Sequence[int] = ()


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
        filled = slots.__getitem__
        for function, args, kwargs, _, results, is_list, number, last in self.steps:
            args, kwargs = mapped(args, Slot, filled), mapped_by_name(kwargs, Slot, filled)
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
        read: Set[int] = set()

        def slot(array: TrackedArray) -> Slot:
            read.add(array.slot)
            return Slot(array.slot)

        args = mapped(args, TrackedArray, slot)
        kwargs = mapped_by_name(kwargs, TrackedArray, slot)
        results = [self.given() for _ in range(1 if count is None else count)]
        self._steps.append(Step(function, args, kwargs, read, results, count is not None, number))
        return results

    def program(self, operations: Collection[int], outputs: Mapping[str, int]) -> Program:
        """The program of the steps that these operations and outputs take."""
        needed: Set[int] = set(outputs.values())
        steps: List[Step] = []
        for step in reversed(self._steps):
            if step.number in operations or not needed.isdisjoint(step.results):
                last = step.read.union(step.results).difference(needed)
                needed.update(step.read)
                steps.append(step._replace(last=sorted(last)))
        constants = {place: x for place, x in self._constants.items() if place in needed}
        return Program(self._places, constants, steps[::-1], outputs)
