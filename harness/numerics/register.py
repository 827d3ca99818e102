"""The functions that bounded arrays know, each with its bound and with what its test needs.

A bound is registered where its formula stands, in this package or in anybody's own::

    @bound(hard_sigmoid, examples=[Example(hard_sigmoid, ((2, 3),))])
    def hard_sigmoid_of_balls(a):
        return np.clip(0.2 * a + 0.5, 0.0, 1.0)

From then on an oracle that calls ``hard_sigmoid`` can be bounded. `hard_sigmoid` is a ufunc, a
function of NumPy's, or one that :func:`rnndiff.models.functions.named` gives a name.
"""

from typing import (
    Any,
    Callable,
    Dict,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)


class Unstated(NamedTuple):
    """What is taken of a function where a subject states no accuracy.

    An error of `ulp`, and beside it an absolute one of `roundoffs` times the unit roundoff (2^-24
    in float32) plus the smallest normal number.
    """

    ulp: float
    roundoffs: float


class Example(NamedTuple):
    """A call of a function, as an oracle may write it, and the shapes of its arrays.

    The call has to work on any arrays: bounded, of exact numbers, or of a subject's numbers.
    `stacks` is False of one that is refused on stacks.
    """

    call: Callable[..., Any]
    shapes: Tuple[Tuple[int, ...], ...]
    stacks: bool = True


class Bound(NamedTuple):
    """What is registered of a function.

    `compute` is the function on bounded arrays. `examples` and `formulas` are what the test of
    containment tries: calls, and other ways than the definition in which a correct subject may
    compute the function, in plain NumPy. `moves` says that elements are merely moved.
    """

    function: Callable[..., Any]
    compute: Callable[..., Any]
    examples: Sequence[Example]
    formulas: Sequence[Callable[..., Any]]
    moves: bool

    @property
    def name(self) -> str:
        """That of the function."""
        return str(self.function.__name__)


REGISTER: Dict[Any, Bound] = {}
MOVES: Set[Any] = set()

# What a subject may state the accuracy of; and what is taken where it does not: an accuracy, that
# of another function, or None if the bound covers every common formula.
ACCURACIES: Dict[str, Union[Unstated, str, None]] = {}

Compute = TypeVar("Compute", bound=Callable[..., Any])


def bound(
    function: Callable[..., Any],
    examples: Sequence[Example],
    accuracies: Optional[Mapping[str, Union[Unstated, str, None]]] = None,
    formulas: Sequence[Callable[..., Any]] = (),
    moves: bool = False,
) -> Callable[[Compute], Compute]:
    """Register what computes `function` on balls.

    Parameters
    ----------
    function : ufunc, function of NumPy's, or named function
    examples : list of Example
        What :mod:`rnndiff.harness.numerics.containment` tries.
    accuracies : dict, optional
        What a subject may state of it, see
        :func:`rnndiff.harness.numerics.arithmetic.arithmetic`: each name with what is taken where
        it is not stated, an :class:`Unstated` accuracy, the name whose accuracy it shares, or None
        if the bound asks for none then. The accuracy by the name of the function is that of the
        whole function, however it is computed.
    formulas : list of functions, optional
        Other ways in which a correct subject may compute it, in plain NumPy.
    moves : bool
        Whether it only moves elements, of its first argument, an array or a list of arrays.

    Raises
    ------
    ValueError
        If the function is registered already, or a name of an accuracy.
    """

    def register(compute: Compute) -> Compute:
        if function in REGISTER:
            raise ValueError("{} has a bound already".format(function.__name__))
        for name in accuracies or {}:
            if name in ACCURACIES:
                raise ValueError("there is an accuracy {!r} already: name another".format(name))
        REGISTER[function] = Bound(function, compute, examples, formulas, moves)
        ACCURACIES.update(accuracies or {})
        if moves:
            MOVES.add(function)
        return compute

    return register
