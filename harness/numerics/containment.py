"""The test of containment, which everything that is registered has to pass.

A ball that comes out has to hold the exact value, and all that a correct evaluation may yield, of
every point of the balls that went in. A package with functions of its own tests them by ::

    @pytest.mark.parametrize("function", [hard_sigmoid])
    def test_the_bound_contains_every_evaluation(function):
        check_containment(function)

It needs Hypothesis and mpmath.
"""

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, Callable, Iterator, List, Sequence, Tuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, exact
from rnndiff.harness.numerics.machine import ExactMachine, Machine, is_finite
from rnndiff.harness.numerics.numbers import Numbers
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.numerics.register import REGISTER, Bound, Example

INF, NAN = float("inf"), float("nan")

# What balls are made of, and radii relative to the midpoint, from none to more than the ball's
# distance from zero.
KINDS = ("tame", "tiny", "huge", "exponents", "special")
_RADII = (0.0, 2.0**-20, 2.0**-8, 0.25, 1.0, 3.0)
# Bits of operands, and whether these are rounded to the nearest.
_OPERANDS = 3 * ((None, False),) + ((11, False), (11, True), (8, False))


@st.composite
def arithmetics(draw: Callable[..., Any]) -> Arithmetic:
    """Those of any precision, whose functions are not very accurate.

    Some read fewer bits in matrix products, as tensor cores do.
    """
    precision = draw(st.sampled_from(["float32", "float16", "float64", "bfloat16"]))
    tiny = precision_of(precision).smallest * draw(st.booleans())
    functions = {
        "tanh": Accuracy(6.9, 2 * tiny),
        "affine tanh": Accuracy(1.3, tiny),
        "exp": Accuracy(4.8, tiny),
        "log": Accuracy(1.2, 0.0),
        "sigmoid": Accuracy(2.6, tiny),
    }
    bits, nearest = draw(st.sampled_from(_OPERANDS))
    bits = bits and min(bits, precision_of(precision).bits)
    wider = {"float16": "float32", "bfloat16": "float32", "float32": "float64"}.get(precision)
    # Tensor cores add as they read.
    sums = wider if bits is None and draw(st.booleans()) else None
    return arithmetic(precision, functions, draw(st.booleans()), bits, nearest, sums)


@lru_cache(maxsize=None)
def _table(kind: str, name: str) -> np.ndarray:
    """256 numbers that a precision has, the simple ones first."""
    a = precision_of(name)
    random = np.random.RandomState(0)
    special = [-0.0, INF, -INF, NAN, a.largest, -a.largest, a.smallest, -a.smallest / 2]
    rest = {
        "tame": random.standard_normal(250) * 2.0 ** random.randint(-3, 3, 250),
        "tiny": random.standard_normal(250) * a.smallest * 2.0 ** random.randint(-3, 3, 250),
        "huge": random.standard_normal(250) * a.largest ** random.choice([0.1, 0.5, 0.98], 250),
        "exponents": random.uniform(-1.1, 1.1, 250) * np.log(a.largest),
        "special": np.resize(special + list(random.standard_normal(8)), 250),
    }[kind]
    numbers = np.append([0.0, 1.0, -1.0, 0.5, -2.0, 3.0], rest)
    with np.errstate(all="ignore"):
        return a.rounded(numbers).astype(np.float64)


@st.composite
def balls(
    draw: Callable[..., Any], a: Arithmetic, shape: Tuple[int, ...], kinds: Sequence[str] = KINDS
) -> BoundedArray:
    """Bounded arrays: exact, or of balls, special values and unknown elements."""
    kind, size = draw(st.sampled_from(kinds)), int(np.prod(shape))
    drawn = np.frombuffer(draw(st.binary(min_size=2 * size, max_size=2 * size)), np.uint8)
    return balls_of(a, shape, kind, drawn, draw(st.booleans()), "special" in kinds)


def balls_of(
    a: Arithmetic,
    shape: Tuple[int, ...],
    kind: str,
    drawn: np.ndarray,
    is_exact: bool,
    has_unknown: bool = True,
) -> BoundedArray:
    """A bounded array of one of KINDS, as the bytes say that were drawn, two for each element."""
    mid, choices = _table(kind, a.name)[drawn[: len(drawn) // 2]], drawn[len(drawn) // 2 :]
    if is_exact:
        return exact(mid.reshape(shape), a)
    finite = np.isfinite(mid)
    with np.errstate(over="ignore"):
        rad = np.where(finite, np.abs(mid), 0.0) * np.take(_RADII, choices % len(_RADII))
    rad = np.where(finite, np.minimum(rad, a.largest - np.abs(mid)), 0.0)
    # What was computed may have been flushed.
    rad = np.where(finite & (np.abs(mid) - rad < a.smallest), rad + a.smallest, rad)
    unknown = (choices % 16 == 15) & has_unknown
    mid, rad = np.where(unknown, 0.0, mid), np.where(unknown, INF, rad)
    return BoundedArray(mid.reshape(shape), rad.reshape(shape), a)


def points_of(
    ball: BoundedArray, random: Any, flushes: bool, count: int = 4
) -> Iterator[np.ndarray]:
    """What a subject may read: midpoints, upper ends, lower ends, and then any mixture."""
    largest = ball.arithmetic.largest
    for number in range(count):
        point = np.array(ball.mid, dtype=np.float64)
        for i, rad in np.ndenumerate(ball.rad):
            if rad == INF:
                point[i] = random.choice([NAN, INF, -INF, 0.0, 1.0, -3.0])
            elif rad > 0:
                towards = [0.0, 1.0, -1.0, random.uniform(-1, 1)]
                reached = _within(point[i], rad, towards[min(number, random.choice([1, 2, 3]))])
                # A ball may reach a little beyond the largest number, but nothing is held there.
                reached = min(max(reached, -largest), largest)
                point[i] = _held(reached, float(ball.mid[i]), float(rad), ball.arithmetic)
        yield point * (np.abs(point) >= ball.arithmetic.smallest) if flushes else point


def _held(point: float, mid: float, rad: float, arithmetic: Arithmetic) -> float:
    """The number of a subject's precision next to a point of a ball; the point, if none is in it.

    What a subject holds is such a number, and a bound may presume it.
    """
    nearest = float(arithmetic.precision.rounded(point))
    for held in (nearest, arithmetic.precision.next_to(nearest, mid)):
        if is_in(held, mid, rad):
            return held
    return point


def _within(mid: float, rad: float, towards: float) -> float:
    """The float64 number at or before ``mid + towards * rad``."""
    point = mid + towards * rad
    while not abs(Fraction(point) - Fraction(mid)) <= Fraction(rad):
        point = np.nextafter(point, mid)
    return point


def is_in(value: Any, mid: float, rad: float) -> bool:
    """Whether `value`, a float or a fraction, is what a ball allows."""
    if rad == INF:
        return True
    if not math.isfinite(mid):
        return bool(math.isnan(mid) and value != value) or bool(value == mid)
    return is_finite(value) and abs(Fraction(value) - Fraction(mid)) <= Fraction(rad)


def assert_contains(ball: BoundedArray, values: Callable[[Any], Any], why: str) -> None:
    """`values` gives each element's value by its index; None for one that does not exist."""
    __tracebackhide__ = True
    radii = np.asarray(ball.rad_as_operand())
    for i, mid in np.ndenumerate(ball.mid):
        value, mid, rad = values(i), float(mid), float(radii[i])
        assert rad < INF or mid == 0
        if value is not None:
            assert is_in(value, mid, rad), "{}: {} of element {} is not in {} +- {}".format(
                why, value if isinstance(value, float) else float(value), i, mid, rad
            )


def assert_compatible(ball: BoundedArray, other: BoundedArray) -> None:
    """Two bounds on the same numbers: where both know something, they do not contradict."""
    __tracebackhide__ = True
    known = np.isfinite(ball.rad) & np.isfinite(other.rad)
    finite = known & np.isfinite(ball.mid) & np.isfinite(other.mid)
    np.testing.assert_array_equal(ball.mid[known & ~finite], other.mid[known & ~finite])
    difference = np.abs(ball.mid - other.mid)[finite]
    assert (difference <= (ball.rad + other.rad)[finite]).all()


def _entry(function: Callable[..., Any]) -> Bound:
    entry = REGISTER.get(function)
    assert entry is not None, "{} has no bound".format(function.__name__)
    assert entry.examples, "register {} with examples of its calls".format(entry.name)
    return entry


def _thoroughly() -> settings:
    """At least a hundred examples: profiles may be made for tests that take longer."""
    return settings(deadline=None, max_examples=max(100, settings().max_examples))


def check_containment(function: Callable[..., Any], kinds: Sequence[str] = KINDS) -> None:
    """Try the calls with which a function is registered.

    Raises
    ------
    AssertionError
        If the function has no bound, or no examples, or if a ball does not contain the exact value
        or what a correct evaluation yields, or reaches beyond what the array says.
    """
    entry = _entry(function)

    @_thoroughly()
    @given(st.data(), arithmetics(), st.randoms(use_true_random=False))
    def check(data: Any, a: Arithmetic, random: Any) -> None:
        example = data.draw(st.sampled_from(entry.examples))
        arguments = [data.draw(balls(a, shape, kinds)) for shape in example.shapes]
        with np.errstate(all="ignore"):
            check_call(entry, example, arguments, random)

    check()


def check_call(
    entry: Bound, example: Example, arguments: Sequence[BoundedArray], random: Any
) -> None:
    """The check of one call with bounded arrays of one arithmetic."""
    __tracebackhide__ = True
    a = arguments[0].arithmetic
    results = _all(example.call(*arguments))
    for ball in results:
        reach = np.max(np.abs(ball.mid) + ball.rad) if ball.mid.size else 0.0
        assert ball.reach() >= reach or (np.isnan(reach) and ball.reach() == INF), "reach"
    if entry.moves:
        check_move(example, arguments, results)
        return
    flushes = random.random() < 0.5
    for point in zip(*[points_of(x, random, flushes) for x in arguments]):
        # One for each formula, on average: a machine tosses up which one it takes.
        machines = [Machine(a, random) for _ in range(1 + len(entry.formulas))]
        for machine in [ExactMachine(a, random)] + machines:
            numbers = _all(example.call(*[Numbers.of(x, machine) for x in point]))
            assert len(numbers) == len(results)
            for ball, each in zip(results, numbers):
                assert ball.shape == each.shape
                assert_contains(ball, _values_of(each), type(machine).__name__)


def _all(results: Any) -> List[Any]:
    return list(results) if isinstance(results, list) else [results]


def _values_of(numbers: Numbers) -> Callable[[Any], Any]:
    def value(i: Any) -> Any:
        number = numbers.values[i]
        # Of operands that are infinite or NaN there is no exact value.
        if isinstance(numbers.machine, ExactMachine) and number != number:
            return None
        return number

    return value


def check_move(
    example: Example, arguments: Sequence[BoundedArray], results: Sequence[BoundedArray]
) -> None:
    """What moves elements moves midpoints and radii alike, and knows nothing that is wrong."""
    __tracebackhide__ = True
    mids = _all(example.call(*[x.mid for x in arguments]))
    radii = _all(example.call(*[x.rad_as_operand() for x in arguments]))
    # Constants are exact.
    constants = _all(example.call(*[np.zeros(x.shape) for x in arguments]))
    for ball, mid, rad, constant in zip(results, mids, radii, constants):
        assert np.array_equal(_bits(ball.mid), _bits(mid))
        assert ball.exact or not all(x.exact for x in arguments)
        assert np.array_equal(ball.rad_as_operand(), rad - constant)
        fresh = BoundedArray(ball.mid, None if ball.exact else ball.rad, ball.arithmetic)
        assert np.array_equal(ball.rad_as_operand(), fresh.rad_as_operand())
        assert ball.reach() >= fresh.reach()


def _bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.int64)


# What two float64 evaluations of the examples on tame numbers may differ by, absolute or relative:
# nothing in a sum exceeds 2^11, whose ULP is 2^(11 - 52); a dozen terms are added in any order, on
# each side; and what is computed from a sum has a derivative of 1 at most.
_NOISE = 2.0 ** (11 - 52 + 4)


def stack_of(balls: Sequence[BoundedArray]) -> BoundedArray:
    """A stack of arrays."""
    rad = None if all(x.exact for x in balls) else np.stack([x.rad_as_operand() for x in balls])
    return BoundedArray(np.stack([x.mid for x in balls]), rad, balls[0].arithmetic, stacked=True)


def check_stacks(function: Callable[..., Any]) -> None:
    """Try whether a call on a stack is what it is on each of its arrays.

    Raises
    ------
    AssertionError
        If it is not.
    """
    entry = _entry(function)
    examples = [example for example in entry.examples if example.stacks]

    @settings(deadline=None, max_examples=10 * len(examples))
    @given(st.data(), arithmetics())
    def check(data: Any, a: Arithmetic) -> None:
        example = data.draw(st.sampled_from(examples))
        kinds = ("tame",) if data.draw(st.booleans()) else KINDS
        cases = [[data.draw(balls(a, shape, kinds)) for shape in example.shapes] for _ in range(3)]
        if data.draw(st.booleans()):
            cases = [[exact(x.mid, a) for x in case] for case in cases]
        else:
            cases = [[BoundedArray(x.mid, x.rad_as_operand(), a) for x in case] for case in cases]
        with np.errstate(all="ignore"):
            of_stack = _all(example.call(*[stack_of(arrays) for arrays in zip(*cases)]))
            for k, case in enumerate(cases):
                widest = max(np.max(x.rad) if x.rad.size else 0.0 for x in case)
                for result, alone in zip(of_stack, _all(example.call(*case))):
                    check_case(result, k, alone, kinds, widest)

    check()


def check_case(
    result: BoundedArray, k: int, alone: BoundedArray, kinds: Sequence[str], widest: float
) -> None:
    """The check of case `k` of the result on a stack; `widest` is the largest radius it has had."""
    __tracebackhide__ = True
    assert result.shape == alone.shape
    # What is uncertain in one case makes radii of zero in the others.
    assert alone.exact or not result.exact
    mid, rad = result.mid, result.rad
    if result.stacked:
        # What is the same in all cases is there once.
        mid, rad = (x[k if len(x) > 1 else 0] for x in (mid, rad))
    if kinds == ("tame",):
        np.testing.assert_allclose(mid, alone.mid, rtol=_NOISE, atol=_NOISE)
        np.testing.assert_allclose(rad, alone.rad, rtol=_NOISE, atol=_NOISE * widest)
    else:
        assert_compatible(BoundedArray(mid, rad, alone.arithmetic), alone)
