"""``rnndiff.assert_within_bounds``: in place of a tolerance, in tests that people have already."""

import warnings
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import PRECISIONS
from rnndiff.harness.errors import OracleError, in_one_line
from rnndiff.harness.judging.forcing import expect
from rnndiff.harness.judging.plan import make_plan, side_by_side
from rnndiff.harness.judging.verdict import TEACHER_FORCED, ArrayVerdict, Verdict, compared
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.arithmetic import arithmetic as arithmetic_of
from rnndiff.harness.numerics.precisions import held
from rnndiff.harness.report.describe import difference, number, with_ulp


class UndecidedWarning(UserWarning):
    """Of some elements nothing can be said: right computations differ too much there."""


def assert_within_bounds(
    actual: Any,
    oracle: Callable[..., Any],
    *inputs: Any,
    arithmetic: Optional[Arithmetic] = None,
) -> None:
    """See that arrays are what a function in plain NumPy computes, within proved rounding errors.

    ::

        y = my_library.dense(x, kernel, bias)
        rnndiff.assert_within_bounds(y, lambda x, w, b: np.tanh(x @ w + b), x, kernel, bias)

    Where the function returns several arrays, or steps, that are computed one from another, each
    element is judged twice: computed from what `actual` has of those before it, and from the inputs
    alone.

    Parameters
    ----------
    actual : array, or dict or tuple of arrays
        What is to be judged, in the form in which `oracle` returns it.
    oracle : function of the inputs
        In NumPy's functions, of which no result may depend on a condition on values.
    inputs : arrays, lists, tuples or dicts of arrays, or anything else
        What `actual` was computed of. Floating point numbers in arrays are taken to be read as
        they are, or rounded to the precision; all else is given to the oracle as it is.
    arithmetic : Arithmetic, optional
        What `actual` was computed in: see :func:`rnndiff.arithmetic`. By default the precision of
        its numbers, of which nothing else is presumed; Python's own have that of the inputs.

    Raises
    ------
    AssertionError
        If an element is outside its bound, or an array is missing, of another shape or precision.
        The text names the first such element.
    OracleError
        If the oracle does what has no bound.

    Warns
    -----
    UndecidedWarning
        If of some elements nothing can be said: their bounds are wider than 1/64 of the range of
        their array.
    """
    __tracebackhide__ = True
    # Every array that is bounded, in its order.
    leaves: List[np.ndarray] = []
    types: List[str] = []
    given = _arrays(actual)

    def add_type(array: Any) -> None:
        types.append(_type_of(array))

    _mapped(list(_arrays(actual, whole=False).values()), add_type, scalars=True)
    _mapped(inputs, add_type)
    types.extend(map(_type_of, given.values()))
    _mapped(inputs, lambda x: leaves.append(held(x)))

    def named(parameters: Sequence[Any], *arrays: Any) -> Mapping[str, Any]:
        left = list(arrays)
        return _arrays(oracle(*_mapped(inputs, lambda _: left.pop(0))), whole=False)

    with np.errstate(all="ignore"):
        expected = named([], *[leaf.astype(np.float64) for leaf in leaves])
    stated = arithmetic or arithmetic_of(next((x for x in types if x in PRECISIONS), "float32"))
    if not given and not expected:
        raise AssertionError("there is nothing to compare: actual and the oracle have no array")
    wrong = list(_misfits(given, expected, stated))
    if wrong:
        raise AssertionError("actual is not of the oracle's form: {}".format("; ".join(wrong)))
    try:
        found = make_plan(named, [], [leaf.shape for leaf in leaves], list(given))
        stacks = {name: array[None] for name, array in given.items()}
        recorded = side_by_side(found, stacks)
        both = expect(named, found, [], [leaf[None] for leaf in leaves], recorded, stated)
    except OracleError:
        raise
    except Exception as error:
        # It is followed on zeros first, of which what has no bound may make anything.
        raise OracleError("the oracle cannot be followed ({})".format(in_one_line(error)))
    verdict = compared([], found, *both, recorded, stacks, (), stated.name).verdict(0)
    first = verdict.first_wrong()
    if first is not None:
        raise AssertionError(_outside(first, verdict))
    doubts = verdict.undecided(TEACHER_FORCED)
    if doubts:
        warnings.warn(_undecided(verdict, doubts), UndecidedWarning, stacklevel=2)


def _mapped(value: Any, function: Callable[[Any], Any], scalars: bool = False) -> Any:
    """The value with a function of each of its arrays of floating point numbers in their places.

    And of NumPy's scalars, if so asked.
    """
    if isinstance(value, Mapping):
        return {key: _mapped(each, function, scalars) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_mapped(each, function, scalars) for each in value)
    is_array = hasattr(value, "__array__") and (scalars or not isinstance(value, np.generic))
    return function(value) if is_array and held(value).dtype.kind == "f" else value


def _arrays(result: Any, whole: bool = True) -> Dict[str, Any]:
    """The arrays of a result, named as they are written behind it; as NumPy's own if `whole`."""
    found: Dict[str, Any] = {"": result}
    if isinstance(result, Mapping):
        found = {"[{!r}]".format(name): array for name, array in result.items()}
    elif isinstance(result, (list, tuple)):
        found = {"[{}]".format(place): array for place, array in enumerate(result)}
    return {name: held(array) for name, array in found.items()} if whole else found


def _type_of(array: Any) -> str:
    return str(np.asarray(array).dtype.name)


def _misfits(
    given: Mapping[str, np.ndarray], expected: Mapping[str, Any], stated: Arithmetic
) -> Iterator[str]:
    """What keeps arrays from being judged, in words."""
    for name in [x for x in expected if x not in given]:
        yield "there is no actual{}".format(name)
    for name, array in given.items():
        if name not in expected:
            yield "the oracle has nothing for actual{}".format(name)
        elif array.shape != np.shape(expected[name]):
            shapes = list(array.shape), list(np.shape(expected[name]))
            yield "actual{} has the shape {}, not {}".format(name, *shapes)
        elif array.dtype.kind in "iub":
            continue
        elif array.dtype.newbyteorder("=") != stated.precision.dtype:
            yield "actual{} is {}, not {}".format(name, array.dtype.name, stated.name)
        elif not stated.precision.has(array):
            yield "actual{} has numbers that are not of {}".format(name, stated.name)


def _outside(wrong: ArrayVerdict, verdict: Verdict) -> str:
    """The first element that is outside its bound, in words."""
    index = wrong.first_wrong()
    actual, expected = wrong.actual[index], wrong.expected[index]
    precision = wrong.precision if actual.dtype.kind == "f" else "float64"
    return (
        "actual{} is outside its bound in {} of {} elements, first at {}, computed from {}:\n"
        "    actual {}, expected {} +- {}\n    {}".format(
            wrong.name,
            np.count_nonzero(wrong.wrong),
            wrong.ratios.size,
            _place(wrong.name, index),
            "what actual has before it" if wrong.run == TEACHER_FORCED else "the inputs alone",
            number(actual, precision),
            number(expected, precision),
            with_ulp(float(wrong.bound[index]), expected, precision),
            difference(actual, expected, precision),
        )
    )


def _undecided(verdict: Verdict, doubts: int) -> str:
    first = next(x for x in verdict.arrays if x.run == TEACHER_FORCED and x.doubts)
    index: Tuple[int, ...] = tuple(np.argwhere(first.undecided)[0].tolist())
    return (
        "assert_within_bounds says nothing of {} of {} elements: a right computation may be off by "
        "{:.3g} at {}, where {:.3g} is expected".format(
            doubts,
            verdict.elements(TEACHER_FORCED),
            float(first.bound[index]),
            _place(first.name, index),
            float(first.expected[index]),
        )
    )


def _place(name: str, index: Tuple[int, ...]) -> str:
    return "actual{}{}".format(name, list(index) if index else "")
