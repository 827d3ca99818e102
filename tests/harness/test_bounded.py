"""Containment: every ball holds the exact value, and all that a correct evaluation may yield.

The evaluations are those of a :class:`Machine`, whose arithmetic is exact arithmetic on fractions,
rounded once: it adds in any order, fuses multiply-adds or not, flushes subnormals to zero or not,
and its functions are as inaccurate as they may be.
"""

import itertools
import math
import sys
from fractions import Fraction
from functools import partial

import mpmath
import numpy as np
import pytest
from harness.bounded import _FUNCTIONS, _UFUNCS, BoundedArray, exact
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.numerics.accuracy import Accuracy
from harness.numerics.arithmetic import arithmetic
from harness.regimes import REGIMES
from harness.strategies import small_batches
from models import MODELS
from models.functions import sigmoid, softmax

# At least a hundred examples: the profiles are made for tests that run TensorFlow.
thoroughly = settings(deadline=None, max_examples=max(100, settings().max_examples))

NAN, INF = float("nan"), float("inf")
FLOAT32 = arithmetic("float32", dict.fromkeys(["tanh", "exp", "log"], Accuracy(2, 0)))
BALL = BoundedArray(np.array([[1.0, 2.0]]), np.array([[0.5, 0.25]]), FLOAT32)


@pytest.fixture(autouse=True, scope="module")
def silence():
    with np.errstate(all="ignore"):
        yield


# --- balls, and points in them ----------------------------------------------------------------


@st.composite
def arithmetics(draw):
    """Of any precision; their functions are not very accurate."""
    precision = draw(st.sampled_from(["float32", "float16", "float64"]))
    tiny = float(np.finfo(precision).tiny) * draw(st.booleans())
    functions = {
        "tanh": Accuracy(6.9, 2 * tiny),
        "affine tanh": Accuracy(1.3, tiny),
        "exp": Accuracy(4.8, tiny),
        "log": Accuracy(1.2, 0.0),
        "sigmoid": Accuracy(2.6, tiny),
    }
    return arithmetic(precision, functions, draw(st.booleans()))


def table(kind, a):
    """256 numbers that `a` has, the simple ones first."""
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
    return numbers.astype(a.name).astype(np.float64)


# Radii relative to the midpoint, from none to more than the ball's distance from zero.
RADII = (0.0, 2.0**-20, 2.0**-8, 0.25, 1.0, 3.0)
KINDS = ("tame", "tiny", "huge", "exponents", "special")


@st.composite
def bounded(draw, a, shape, kinds=KINDS):
    """A bounded array: exact, or of balls, special values and anything."""
    size = int(np.prod(shape))
    numbers = table(draw(st.sampled_from(kinds)), a)
    drawn = np.frombuffer(draw(st.binary(min_size=2 * size, max_size=2 * size)), np.uint8)
    mid, choices = numbers[drawn[:size]], drawn[size:]
    if draw(st.booleans()):
        return exact(mid.reshape(shape), a)
    finite = np.isfinite(mid)
    rad = np.where(finite, np.abs(mid), 0.0) * np.take(RADII, choices % len(RADII))
    rad = np.where(finite, np.minimum(rad, a.largest - np.abs(mid)), 0.0)
    # What was computed may have been flushed.
    rad = np.where(finite & (np.abs(mid) - rad < a.smallest), rad + a.smallest, rad)
    anything = (choices % 16 == 15) & ("special" in kinds)
    mid, rad = np.where(anything, 0.0, mid), np.where(anything, INF, rad)
    return BoundedArray(mid.reshape(shape), rad.reshape(shape), a)


def points_of(ball, random, flushes, count=4):
    """What a subject may read: midpoints, upper ends, lower ends, and then any mixture."""
    for number in range(count):
        point = np.array(ball.mid, dtype=np.float64)
        for i, rad in np.ndenumerate(ball.rad):
            if rad == INF:
                point[i] = random.choice([NAN, INF, -INF, 0.0, 1.0, -3.0])
            elif rad > 0:
                towards = [0.0, 1.0, -1.0, random.uniform(-1, 1)]
                reached = within(point[i], rad, towards[min(number, random.choice([1, 2, 3]))])
                # A ball may reach a little beyond the largest number, but nothing is held there.
                point[i] = min(max(reached, -ball.arithmetic.largest), ball.arithmetic.largest)
        yield point * (np.abs(point) >= ball.arithmetic.smallest) if flushes else point


def within(mid, rad, towards):
    """The float64 number at or before ``mid + towards * rad``."""
    point = mid + towards * rad
    while not abs(Fraction(point) - Fraction(mid)) <= Fraction(rad):
        point = np.nextafter(point, mid)
    return point


def is_in(value, mid, rad):
    """Whether `value`, a float or a fraction, is what a ball allows."""
    if rad == INF:
        return True
    if not math.isfinite(mid):
        return bool(math.isnan(mid) and value != value) or value == mid
    return is_finite(value) and abs(Fraction(value) - Fraction(mid)) <= Fraction(rad)


def assert_contains(ball, values, why):
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


def assert_compatible(ball, other):
    """Two bounds on the same numbers: where both know something, they do not contradict."""
    __tracebackhide__ = True
    known = np.isfinite(ball.rad) & np.isfinite(other.rad)
    finite = known & np.isfinite(ball.mid) & np.isfinite(other.mid)
    np.testing.assert_array_equal(ball.mid[known & ~finite], other.mid[known & ~finite])
    difference = np.abs(ball.mid - other.mid)[finite]
    assert (difference <= (ball.rad + other.rad)[finite]).all()


# --- a subject --------------------------------------------------------------------------------


def exponent_of(value):
    """``floor(log2(abs(value)))`` of a fraction."""
    numerator, denominator = abs(value.numerator), value.denominator
    exponent = numerator.bit_length() - denominator.bit_length()
    reaches = numerator << max(0, -exponent) >= denominator << max(0, exponent)
    return exponent if reaches else exponent - 1


def is_finite(*values):
    return all(isinstance(value, Fraction) or math.isfinite(value) for value in values)


class Machine:
    """Correct arithmetic of the kind that it tosses up."""

    def __init__(self, a, random):
        self.a = a
        self.random = random
        self.flushes, self.fuses = random.random() < 0.5, random.random() < 0.5
        self.digits, self.least = -int(np.log2(a.unit)), int(np.log2(a.smallest))
        self.most = math.frexp(a.largest)[1]

    def rounded(self, value):
        """A fraction as the nearest number, ties to even; flushed, or not."""
        if value == 0:
            return 0.0
        # In integers, which are several times faster than fractions.
        quantum = max(exponent_of(value), self.least) - self.digits + 1
        numerator = abs(value.numerator) << max(0, -quantum)
        count, rest = divmod(numerator, value.denominator << max(0, quantum))
        middle = 2 * rest - (value.denominator << max(0, quantum))
        count += middle > 0 or (middle == 0 and count % 2)
        sign = 1.0 if value > 0 else -1.0
        if count.bit_length() + quantum > self.most:
            return sign * INF
        return self.flushed(sign * math.ldexp(count, quantum))

    def flushed(self, value):
        return 0.0 if self.flushes and abs(value) < self.a.smallest else value

    def add(self, x, y):
        return self.rounded(Fraction(x) + Fraction(y)) if is_finite(x, y) else np.add(x, y)

    def subtract(self, x, y):
        return self.add(x, -y)

    def multiply(self, x, y):
        return self.rounded(Fraction(x) * Fraction(y)) if is_finite(x, y) else np.multiply(x, y)

    def multiply_add(self, x, y, z):
        if is_finite(x, y, z):
            return self.rounded(Fraction(x) * Fraction(y) + Fraction(z))
        return z if is_finite(x, y) else np.add(np.multiply(x, y), z)

    def true_divide(self, x, y):
        if not is_finite(x, y) or y == 0:
            return np.true_divide(x, y)
        if self.fuses:
            return self.rounded(Fraction(x) / Fraction(y))
        return self.multiply(x, self.rounded(1 / Fraction(y)))

    def negative(self, x):
        return -x

    def function(self, name, x):
        """Anything that is as accurate as it must be, not only numbers that the machine has."""
        special = sigmoid(float(x)) if name == "sigmoid" else getattr(np, name)(float(x))
        if np.isnan(special) or (np.isinf(special) and (x == 0 or np.isinf(x))):
            return special
        value = exactly(name, min(max(x, -sys.float_info.max), sys.float_info.max))
        accuracy = self.a.accuracy({"exp2": "exp"}.get(name, name))
        binade = max(Fraction(2) ** exponent_of(value or Fraction(1, 2**2000)), self.a.smallest)
        ulp = Fraction(binade) * 2 * Fraction(self.a.unit)
        error = Fraction(accuracy.ulp) * ulp + Fraction(accuracy.absolute)
        if abs(value) > Fraction(self.a.largest):
            return self.rounded(value)
        return self.flushed(value + self.at_most(1) * error)

    def at_most(self, limit):
        return Fraction(self.random.choice([-limit, limit, self.random.uniform(-limit, limit)]))

    def total(self, terms):
        """The sum of `terms`, numbers or pairs that are factors, added in some order."""
        terms = list(terms)
        self.random.shuffle(terms)
        order = self.random.choice(["sequential", "pairwise", "any"])
        while len(terms) > 1:
            if order == "any":
                self.random.shuffle(terms)
            x, y = terms.pop(), terms.pop()
            terms.insert(len(terms) if order == "sequential" else 0, self.sum_of_two(x, y))
        return self.value(terms[0]) if terms else 0.0

    def sum_of_two(self, x, y):
        if isinstance(y, tuple):
            x, y = y, x
        if self.fuses and isinstance(x, tuple):
            return self.multiply_add(x[0], x[1], self.value(y))
        return self.add(self.value(x), self.value(y))

    def value(self, term):
        return self.multiply(*term) if isinstance(term, tuple) else term


def exactly(name, *operands):
    """An operation on numbers, as a fraction (of 200 bits if it is a function); else None."""
    if not is_finite(*operands):
        return None
    if name in ("tanh", "exp", "exp2", "log", "sigmoid"):
        if name == "log" and operands[0] <= 0:
            return None
        # Where 200 bits show the difference between tanh and 1, and exp is no monstrous fraction.
        limit = {"tanh": 50, "sigmoid": 2000, "exp": 2000, "exp2": 3000, "log": INF}[name]
        with mpmath.workprec(200):
            x = Fraction(min(max(operands[0], -limit), limit))
            x = mpmath.mpf(x.numerator) / x.denominator
            if name == "sigmoid":
                value = 1 / (1 + mpmath.exp(-x))
            else:
                value = mpmath.mpf(2) ** x if name == "exp2" else getattr(mpmath, name)(x)
            return Fraction(*mpmath.libmp.to_rational(value._mpf_))
    operands = [Fraction(x) for x in operands]
    if name == "true_divide" and operands[1] == 0:
        return None
    return {
        "add": lambda x, y: x + y,
        "subtract": lambda x, y: x - y,
        "multiply": lambda x, y: x * y,
        "true_divide": lambda x, y: x / y,
        "negative": lambda x: -x,
    }[name](*operands)


def representable(value, a):
    """What a number that is too large is held as."""
    if value is None or abs(value) <= Fraction(a.largest):
        return value
    return INF if value > 0 else -INF


# --- elementwise ------------------------------------------------------------------------------

SHAPES = [((4,), (4,)), ((2, 2), (2,)), ((2, 1), (1, 2)), ((3,), ())]
ROUNDED = [np.add, np.subtract, np.multiply, np.true_divide, np.negative]
FUNCTIONS = [np.tanh, np.exp, np.log, sigmoid]


def named(ufunc):
    return {np.true_divide: "true_divide"}.get(ufunc, ufunc.__name__)


@pytest.mark.parametrize("ufunc", ROUNDED + FUNCTIONS, ids=named)
@thoroughly
@given(st.data(), arithmetics(), st.randoms(use_true_random=False))
def test_an_elementwise_operation_contains_every_evaluation(ufunc, data, a, random):
    name = named(ufunc)
    shapes = data.draw(st.sampled_from(SHAPES))[: getattr(ufunc, "nin", 1)]
    operands = [data.draw(bounded(a, shape)) for shape in shapes]
    result = ufunc(*operands)
    assert result.shape == np.broadcast(*[x.mid for x in operands] + [np.zeros(())]).shape
    for flushes in (False, True):
        for point in zip(*[points_of(x, random, flushes) for x in operands]):
            values = np.broadcast_arrays(*point)
            machine = Machine(a, random)

            def exact_value(i, values=values):
                return representable(exactly(name, *[float(x[i]) for x in values]), a)

            def evaluation(i, values=values, machine=machine):
                numbers = [float(x[i]) for x in values]
                if ufunc in FUNCTIONS:
                    return machine.function(name, *numbers)
                return getattr(machine, name)(*numbers)

            assert_contains(result, exact_value, "exact")
            assert_contains(result, evaluation, "computed")


def test_a_reciprocal_may_be_flushed():
    huge = exact([2e38], FLOAT32)
    assert (huge / huge).rad >= 1


def test_in_float64_the_midpoint_errs_as_well():
    a = arithmetic("float64", {"tanh": Accuracy(1, 0)})
    x = exact([0.1], a)
    for result in (
        x + 0.2,
        x * 0.2,
        np.sum(np.stack([x, x])),
        np.tanh(x),
        np.matmul(x, x[:, None]),
    ):
        assert result.rad >= 1.9 * a.unit * result.mid


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", [np.tanh, np.exp, np.expm1, np.log], ids=lambda f: f.__name__)
def test_numpys_function_is_right_to_4_ulp(function, dtype):
    """What every midpoint presumes, and a port in NumPy, of the NumPy and the processor at hand."""
    limits = np.finfo(dtype)
    # Beyond these the result is 0, 1 or infinite, or the argument itself.
    high = {"tanh": 20.0, "exp": -0.99 * np.log(limits.tiny), "expm1": 1.0}.get(function.__name__)
    low, high = (limits.tiny, limits.max / 2) if function is np.log else (2.0**-60, high)
    random = np.random.RandomState(0)
    arguments = np.exp(random.uniform(np.log(low), np.log(high), 1500))
    arguments = np.append(arguments, random.uniform(2.0**-60, min(high, 4.0), 1500))
    if function is not np.log:
        arguments *= random.choice([-1.0, 1.0], arguments.size)
    arguments = arguments.astype(dtype)
    # Whole vectors, and the few elements that are left over or alone, are computed by other code.
    values = [function(arguments)]
    for size in (1, 2, 3, 7):
        parts = np.array_split(arguments[:600], 600 // size)
        values.append(np.append(np.concatenate(list(map(function, parts))), values[0][600:]))
    with mpmath.workprec(200):
        for i, argument in enumerate(arguments.tolist()):
            exact_value = getattr(mpmath, function.__name__)(mpmath.mpf(argument))
            ulp = mpmath.ldexp(1, mpmath.frexp(exact_value)[1] - 1 - limits.nmant)
            for value in {float(array[i]) for array in values}:
                assert abs(mpmath.mpf(value) - exact_value) <= 4 * ulp, argument


def test_tanh_of_an_affine_map_has_its_own_accuracy():
    functions = {"tanh": Accuracy(8, 0), "affine tanh": Accuracy(1, 0)}
    a = arithmetic("float32", functions)
    x, w, b = exact([[0.5, 0.25]], a), exact([[1.0], [1.0]], a), exact([0.0], a)
    affine = np.tanh(np.matmul(x, w) + b)
    plain = np.tanh(np.matmul(x, w))
    assert affine.rad < plain.rad - 6 * 2.0**-24
    assert not (np.matmul(x, w) + 0.0).is_affine


# --- softmax ----------------------------------------------------------------------------------


def by_shift(machine, scores, exp="exp", scale=1.0):
    """By exponentials, or by powers of two, of the differences from the maximum."""
    largest = max(scores)
    powers = []
    for score in scores:
        difference = machine.subtract(score, largest)
        if scale != 1.0:
            difference = machine.multiply(difference, machine.rounded(Fraction(scale)))
        powers.append(machine.function(exp, difference))
    total = machine.total(powers)
    return [machine.true_divide(power, total) for power in powers]


def by_powers_of_two(machine, scores):
    return by_shift(machine, scores, "exp2", 1 / math.log(2))


def online(machine, scores):
    largest, total = -INF, 0.0
    for score in scores:
        new = max(largest, score)
        kept = machine.function("exp", machine.subtract(largest, new))
        added = machine.function("exp", machine.subtract(score, new))
        largest, total = new, machine.add(machine.multiply(total, kept), added)
    return [
        machine.true_divide(machine.function("exp", machine.subtract(score, largest)), total)
        for score in scores
    ]


def by_log_sum_exp(machine, scores):
    largest = max(scores)
    powers = [machine.function("exp", machine.subtract(score, largest)) for score in scores]
    logarithm = machine.add(largest, machine.function("log", machine.total(powers)))
    return [machine.function("exp", machine.subtract(score, logarithm)) for score in scores]


def held(ball, point):
    """Numbers of the subject's precision in the ball, as near to a point as there are."""
    numbers = point.astype(ball.arithmetic.name).astype(np.float64)
    for i, number in np.ndenumerate(numbers):
        kind = np.dtype(ball.arithmetic.name).type
        towards = kind(np.nextafter(kind(number), kind(ball.mid[i])))
        mid, rad = ball.mid[i], ball.rad_as_operand()[i]
        inside = [float(x) for x in (number, towards) if is_in(float(x), mid, rad)]
        assume(inside)
        numbers[i] = inside[0]
    return numbers


def exact_softmax(scores):
    with mpmath.workprec(200):
        powers = [mpmath.exp(mpmath.mpf(x) - max(scores)) for x in scores]
        shares = [power / mpmath.fsum(powers) for power in powers]
        return [Fraction(*mpmath.libmp.to_rational(share._mpf_)) for share in shares]


@pytest.mark.parametrize("formula", [by_shift, by_powers_of_two, online, by_log_sum_exp])
@thoroughly
@given(st.data(), arithmetics(), st.randoms(use_true_random=False))
def test_a_softmax_that_is_not_stated_contains_every_formula(formula, data, a, random):
    count = data.draw(st.integers(1, 4))
    kinds = ("tame", "tiny", "huge", "exponents")
    scores = data.draw(bounded(a, (count,), kinds))
    result = softmax(scores)
    for flushes in (False, True):
        for point in points_of(scores, random, flushes):
            numbers = held(scores, point).tolist()
            # With a spread of this size 200 bits no longer tell the shares from 0 and 1.
            if max(numbers) - min(numbers) < 5000:
                exact_values = exact_softmax(numbers)
                assert_contains(result, lambda i, v=exact_values: v[i[0]], "exact")
            values = formula(Machine(a, random), numbers)
            assert_contains(result, lambda i, v=values: v[i[0]], "computed")


@thoroughly
@given(st.data(), arithmetics(), st.randoms(use_true_random=False))
def test_a_softmax_that_is_stated_contains_all_that_is_as_accurate(data, a, random):
    # Two exponentials, a reciprocal and a product, all of second order in roundoff included.
    accuracy = Accuracy(2 * a.functions["exp"].ulp + 1.5, 4 * a.smallest)
    stated = a._replace(functions=dict(a.functions, softmax=accuracy))
    scores = data.draw(bounded(stated, (3,), ("tame", "tiny", "exponents")))
    result, any_formula = softmax(scores), softmax(BoundedArray(scores.mid, scores._rad, a))
    assert (result.rad <= any_formula.rad + 5 * a.smallest).all()
    for flushes in (False, True):
        for point in points_of(scores, random, flushes):
            values = by_shift(Machine(stated, random), held(scores, point).tolist())
            assert_contains(result, lambda i, v=values: v[i[0]], "computed")


@pytest.mark.parametrize("rad", [0.0, 1e-3, 5.0, 1e5])
@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_the_bound_of_a_softmax_is_the_box_of_its_scores(rad, size):
    a = arithmetic("float64", {"softmax": Accuracy(0, 0)})
    scores = np.random.RandomState(0).standard_normal(4) * size
    result = softmax(BoundedArray(scores, np.full(4, rad), a))
    for corner in itertools.product([-rad, rad], repeat=4):
        values = exact_softmax((scores + corner).tolist())
        assert_contains(result, lambda i, v=values: v[i[0]], "exact")
    # No wider than the corners are apart.
    shares = [softmax(scores + np.array(c)) for c in itertools.product([-rad, rad], repeat=4)]
    farthest = np.max(np.abs(np.array(shares) - result.mid), axis=0)
    # Float64's own roundings aside, which count among exponentials that are far apart.
    slack = 2.0**-44 * math.exp(min(2 * rad, 20))
    assert (result.rad <= farthest * (1 + 2.0**-20) + slack).all()


@pytest.mark.parametrize(
    "scores, shares",
    [
        ([NAN, 0.0, 1.0], [NAN, NAN, NAN]),
        ([INF, 0.0, 1.0], [NAN, NAN, NAN]),
        ([INF, -INF, INF], [NAN, NAN, NAN]),
        ([-INF, -INF], [NAN, NAN]),
        ([-INF, 0.0, 0.0], [0.0, 0.5, 0.5]),
        ([-3e38, 3e38], [0.0, 1.0]),
    ],
)
@pytest.mark.parametrize("functions", [{}, {"softmax": Accuracy(8, 0)}])
def test_a_softmax_of_special_scores(functions, scores, shares):
    a = arithmetic("float32", functions)
    for result in (softmax(exact(scores, a)), softmax(stack_of([exact(scores, a)] * 2))):
        mids, radii = result.mid.reshape(-1, len(scores)), result.rad.reshape(-1, len(scores))
        for mid, rad in zip(mids, radii):
            assert np.array_equal(np.isnan(mid), np.isnan(shares))
            assert (np.isnan(shares) | (np.abs(mid - shares) <= rad)).all()


def test_nothing_is_known_of_a_softmax_beside_what_is_unknown_but_in_a_row_with_nan():
    scores = BoundedArray(
        np.array([[0.0, 1.0], [0.0, NAN]]), np.array([[INF, 0], [INF, 0]]), FLOAT32
    )
    result = softmax(scores)
    assert (result.rad[0] == INF).all() and np.isnan(result.mid[1]).all()


def test_a_softmax_that_is_stated_is_held_to_what_is_stated():
    tight = arithmetic("float32", {"softmax": Accuracy(1, 0)})
    result = softmax(exact([0.0, 0.0], tight))
    assert (result.rad <= 0.5 * 3.01 * 2.0**-24 + 2.0**-120).all()


def test_what_is_not_stated_has_the_accuracy_of_the_least_accurate_engine():
    a = arithmetic("float32")
    for function in (np.tanh, np.exp, np.log, sigmoid):
        assert 0 < function(exact([0.5], a)).rad[0] < 1e-5
    assert np.tanh(exact([0.0], a)).rad >= 2.7e-7
    assert arithmetic("float32", {"tanh": Accuracy(1, 0)}).accuracy("affine tanh").ulp == 1


def test_a_mean_whose_sum_overflows_may_be_finite():
    assert np.mean(exact([3e38, 3e38], FLOAT32)).rad == INF
    assert np.mean(exact([INF, 3e38, 3e38], FLOAT32)).mid == INF
    assert np.isnan(np.mean(exact([NAN, 3e38, 3e38], FLOAT32)).mid)


def test_each_element_of_a_mean_may_be_flushed():
    numbers = np.full(100, 99 * FLOAT32.smallest)
    result = np.mean(exact(numbers, FLOAT32))
    assert is_in(0.0, float(result.mid), float(result.rad))


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_of_a_softmax_of_very_many_scores_little_is_known(precision):
    result = softmax(exact(np.zeros(200000), arithmetic(precision)))
    assert (result.rad == INF).all() if precision == "float16" else (result.rad < 1).all()


def test_a_function_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="tahn"):
        arithmetic("float32", {"tahn": Accuracy(1, 0)})


# --- sums -------------------------------------------------------------------------------------


def sum_of(terms):
    """A sum of numbers and of pairs of factors, as a fraction; None if it is special."""
    total = Fraction(0)
    for term in terms:
        factors = term if isinstance(term, tuple) else (term,)
        if not is_finite(*factors):
            return None
        product = Fraction(1)
        for factor in factors:
            product *= Fraction(factor)
        total += product
    return total


def assert_contains_sums(result, terms_of, a, random, bias=None):
    """`terms_of` gives the terms of the element at an index."""
    __tracebackhide__ = True
    machine = Machine(a, random)

    def evaluation(i):
        terms = terms_of(i)
        if bias is None:
            return machine.total(terms)
        if a.bias_anywhere and random.random() < 0.5:
            return machine.total(terms + [float(bias[i])])
        return machine.add(machine.total(terms), float(bias[i]))

    def exact_value(i):
        total = representable(sum_of(terms_of(i)), a)
        if bias is None or (not a.bias_anywhere and total in (INF, -INF)):
            # Without fusion, a product that overflows has done so before the bias is added.
            return total
        return representable(sum_of(terms_of(i) + [float(bias[i])]), a)

    assert_contains(result, exact_value, "exact")
    assert_contains(result, evaluation, "computed")


@thoroughly
@given(st.data(), arithmetics(), st.randoms(use_true_random=False))
def test_a_product_contains_every_order_of_summation(data, a, random):
    count = data.draw(st.integers(0, 6))
    x = data.draw(bounded(a, data.draw(st.sampled_from([(count,), (2, count), (1, 2, count)]))))
    # A bias; or what is added to the products of one row of several, such as a query.
    shape = data.draw(st.sampled_from([(2,), (2,), x.shape[:-2] + (1,) * (x.ndim > 1) + (2,)]))
    w, b = data.draw(bounded(a, (count, 2))), data.draw(bounded(a, shape))
    result, with_bias = np.matmul(x, w), np.matmul(x, w) + b
    assert result.shape == with_bias.shape == x.shape[:-1] + (2,)
    for ball, other in ((result, np.dot(x, w)), (with_bias, b + np.dot(x, w))):
        assert_compatible(ball, other)
    for flushes in (False, True):
        for x1, w1, b1 in zip(*[points_of(ball, random, flushes, 2) for ball in (x, w, b)]):

            def terms_of(i, x1=x1, w1=w1):
                return list(zip(x1[i[:-1]].tolist(), w1[:, i[-1]].tolist()))

            assert_contains_sums(result, terms_of, a, random)
            bias = np.broadcast_to(b1, with_bias.shape)
            assert_contains_sums(with_bias, terms_of, a, random, bias)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@thoroughly
@given(st.data(), arithmetics(), st.booleans(), st.randoms(use_true_random=False))
def test_a_sum_and_a_mean_contain_every_order_of_summation(axis, data, a, keepdims, random):
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))
    x = data.draw(bounded(a, shape))
    result, mean = np.sum(x, axis=axis, keepdims=keepdims), np.mean(x, axis=axis)
    assert result.shape == np.sum(np.zeros(shape), axis=axis, keepdims=keepdims).shape
    for flushes in (False, True):
        for point in points_of(x, random, flushes, 3):
            columns = point.reshape(-1) if axis is None else np.moveaxis(point, axis, -1)

            def terms_of(i, columns=columns, shape=result.shape):
                return columns.reshape(shape + (-1,))[i].tolist()

            assert_contains_sums(result, terms_of, a, random)
            machine = Machine(a, random)

            def mean_of(i, columns=columns, machine=machine):
                terms, count = columns[i].tolist(), float(len(columns[i]))
                if random.random() < 0.5:
                    return machine.total([machine.true_divide(term, count) for term in terms])
                return machine.true_divide(machine.total(terms), count)

            assert_contains(mean, mean_of, "computed")


@pytest.mark.parametrize("precision", ["float16", "float32", "float64"])
@pytest.mark.parametrize("count", [60, 3000])
def test_a_long_product_contains_every_order_of_summation(precision, count):
    a = arithmetic(precision, {})
    random = np.random.RandomState(count)
    kind = np.dtype(precision)
    x = random.standard_normal(count).astype(kind)
    w = random.standard_normal((count, 1)).astype(kind)
    terms = (x * w[:, 0]).astype(kind)
    result = np.matmul(exact(x, a), exact(w, a))
    orders = [np.arange(count), np.argsort(terms), np.argsort(np.abs(terms)), -np.argsort(-terms)]
    for order in orders + [random.permutation(count) for _ in range(5)]:
        total = np.add.accumulate(terms[order], dtype=kind)[-1]
        assert is_in(float(total), result.mid[0], result.rad[0])


@pytest.mark.parametrize("count", [8, 32, 33])
def test_the_bound_of_a_row_does_not_depend_on_the_rows_beside_it(count):
    random = np.random.RandomState(0)
    rows, kernel = random.standard_normal((600, count)), exact(np.eye(count, 64), FLOAT32)
    alone = np.matmul(exact(rows[:1], FLOAT32), kernel)
    beside = np.matmul(exact(rows, FLOAT32), kernel)[:1]
    # The midpoints, and with them the radii, are sums of `count` terms in float64.
    np.testing.assert_allclose(alone.rad, beside.rad, rtol=8 * count * 2.0**-53)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bias_anywhere", [False, True])
@pytest.mark.parametrize("count", [3000, 12000])
def test_the_bound_of_a_sum_can_be_reached(count, bias_anywhere, sign):
    # Every addition to 1 rounds up by almost half a ULP: few terms, and more than a few.
    a = FLOAT32._replace(bias_anywhere=bias_anywhere)
    terms = np.full(count, sign * 2.0**-24 * 1.01, dtype=np.float32)
    total = np.add.accumulate(np.append(np.float32(sign), terms), dtype=np.float32)[-1]
    ones = np.ones((count, 1))
    if bias_anywhere:
        result = np.matmul(exact(terms, a), exact(ones, a)) + exact([float(sign)], a)
    else:
        terms, ones = np.append(terms, np.float32(sign)), np.append(ones, [[1.0]], axis=0)
        result = np.matmul(exact(terms, a), exact(ones, a))
    assert 0.95 < abs(total - result.mid[0]) / result.rad[0] <= 1


@pytest.mark.parametrize("count", [100, 12000])
def test_the_bound_of_a_product_can_be_reached(count):
    random = np.random.RandomState(0)
    x, w = np.float32(1 + random.rand(1)), np.float32(1 + random.rand(1, count))
    result = np.matmul(exact(x, FLOAT32), exact(w, FLOAT32))
    ratio = np.abs((x * w[0]).astype(np.float64) - result.mid) / result.rad
    assert 0.9 < np.max(ratio) <= 1


@given(st.data(), st.integers(2, 12))
def test_a_product_of_exact_numbers_is_never_bounded_worse_than_by_gamma(data, count):
    x = data.draw(bounded(FLOAT32, (2, count), ["tame"]).filter(lambda ball: ball.exact))
    w = data.draw(bounded(FLOAT32, (count, 2), ["tame"]).filter(lambda ball: ball.exact))
    result = np.matmul(x, w)
    magnitude = np.matmul(np.abs(x.mid), np.abs(w.mid))
    # Higham's gamma_n, of a unit that has room for the errors of the midpoint and of this itself.
    unit = FLOAT32.unit * (1 + 2.0**-24)
    gamma = count * unit / (1 - count * unit)
    flushed = 2 * count * FLOAT32.smallest
    assert (result.rad <= gamma * magnitude + flushed * (1 + 4 * gamma)).all()


def test_a_sum_that_cancels_is_bounded_by_a_third_of_gamma():
    random = np.random.RandomState(0)
    # Few enough to be bounded term by term.
    x, w = random.standard_normal((2, 1, 16)).astype(np.float32)
    w = np.append(w, -w)[:, None]
    result = np.matmul(exact(np.tile(x, 2), FLOAT32), exact(w, FLOAT32))
    assert abs(result.mid) <= result.rad
    assert result.rad < 32 * FLOAT32.unit * np.matmul(np.abs(np.tile(x, 2)), np.abs(w)) / 3


# --- selection --------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, -1])
@thoroughly
@given(st.data(), arithmetics(), st.booleans(), st.randoms(use_true_random=False))
def test_a_maximum_contains_every_evaluation(axis, data, a, keepdims, random):
    x = data.draw(bounded(a, data.draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))))
    result = np.max(x, axis=axis, keepdims=keepdims)
    for flushes in (False, True):
        for point in points_of(x, random, False, 4):
            # The largest of what is compared; but what is passed on may not have been flushed.
            compared = np.where(np.abs(point) < a.smallest, 0.0, point) if flushes else point
            largest = np.max(compared, axis=axis, keepdims=True)
            may_be_passed_on = (compared == largest) | np.isnan(compared)
            for pick, other in ((np.max, -INF), (np.min, INF)):
                value = pick(np.where(may_be_passed_on, point, other), axis=axis, keepdims=keepdims)
                assert_contains(result, lambda i, value=value: float(value[i]), "computed")


@thoroughly
@given(st.data(), arithmetics(), st.randoms(use_true_random=False))
def test_a_clipped_number_contains_every_evaluation(data, a, random):
    x = data.draw(bounded(a, (4,)))
    # Of these only the first is not one of the subject's numbers.
    low, high = data.draw(st.sampled_from([(0.1, 1.0), (-2.0, -1.0), (0.0, 4.0)]))
    result = np.clip(x, low, high)
    for flushes in (False, True):
        for point in points_of(x, random, flushes):
            for limit in (low, float(np.dtype(a.name).type(low))):
                value = np.clip(point, limit, high)
                assert_contains(result, lambda i, value=value: float(value[i]), "computed")


@thoroughly
@given(st.data(), arithmetics(), st.randoms(use_true_random=False))
def test_an_arg_max_is_that_of_flushed_or_of_unflushed_numbers(data, a, random):
    x = data.draw(bounded(a, (2, 3)))
    assume(x.exact)
    result = np.argmax(x, axis=-1)
    for flushes in (False, True):
        for point in points_of(x, random, flushes, 1):
            index = np.argmax(point, axis=-1)
            if isinstance(result, BoundedArray):
                assert_contains(result, lambda i, index=index: float(index[i]), "computed")
            else:
                assert (result == index).all()


def test_the_arg_max_of_rounded_numbers_is_refused():
    with pytest.raises(TypeError):
        np.argmax(BALL, axis=-1)


@thoroughly
@given(st.data(), arithmetics(), st.randoms(use_true_random=False))
def test_equality_contains_every_evaluation(data, a, random):
    x, y = data.draw(bounded(a, (3,))), data.draw(bounded(a, (3,)))
    result = np.equal(x, y)
    for flushes in (False, True):
        for left, right in zip(*[points_of(ball, random, flushes) for ball in (x, y)]):
            same = left == right
            assert_contains(result, lambda i, same=same: float(same[i]), "computed")


# --- structure --------------------------------------------------------------------------------


@thoroughly
@given(st.data(), arithmetics())
def test_what_moves_elements_moves_midpoints_and_radii_alike(data, a):
    x, y = data.draw(bounded(a, (2, 3))), data.draw(bounded(a, (2, 3)))
    raw = np.array([[0.0, -1.0, 2.0], [1.0, 0.5, 4.0]])
    moves = [
        lambda x, y, raw: x[1],
        lambda x, y, raw: x[:, 1:],
        lambda x, y, raw: x[:, None, :],
        lambda x, y, raw: x[..., 0],
        lambda x, y, raw: np.reshape(x, (3, 2)),
        lambda x, y, raw: np.concatenate([x, raw, y], axis=1),
        lambda x, y, raw: np.concatenate([raw, x]),
        lambda x, y, raw: np.hstack([x, y, raw]),
        lambda x, y, raw: np.hstack([x[0], raw[0]]),
        lambda x, y, raw: np.stack([x, y], axis=1),
        lambda x, y, raw: np.stack([x, raw], axis=-1),
        lambda x, y, raw: np.stack([x, y]),
    ]
    for move in moves:
        moved = move(x, y, raw)
        assert np.array_equal(bits(moved.mid), bits(move(x.mid, y.mid, raw)))
        if moved.exact:
            assert not move(x.rad, y.rad, np.zeros((2, 3))).any()
        else:
            radii = move(x.rad_as_operand(), y.rad_as_operand(), np.zeros((2, 3)))
            assert np.array_equal(moved.rad, radii)
        assert moved.exact or not (x.exact and y.exact)
        # Nothing that is known of the parts is wrong of the whole.
        fresh = BoundedArray(moved.mid, None if moved.exact else moved.rad, a)
        assert np.array_equal(moved.rad_as_operand(), fresh.rad_as_operand())
        assert moved.reach() >= fresh.reach()


def bits(array):
    return np.ascontiguousarray(array).view(np.int64)


def test_ones_like_is_exact():
    ones = np.ones_like(BALL)
    assert ones.exact and ones.shape == BALL.shape and (ones.mid == 1).all()


@thoroughly
@given(st.sampled_from([1e-10, 0.1, 1e30, 1e39, -1e-40, 7, True]), arithmetics())
def test_a_number_of_the_oracle_is_held_as_the_subject_rounds_it(number, a):
    held = np.concatenate([exact([0.0], a), [number]])
    rounded = float(np.dtype(a.name).type(number))
    for value in (float(number), rounded):
        assert held.rad[1] == INF or abs(Fraction(value) - Fraction(held.mid[1])) <= Fraction(
            held.rad_as_operand()[1]
        )
    assert held.exact == (rounded == number)


@thoroughly
@given(st.data(), arithmetics())
def test_no_ball_reaches_beyond_the_reach(data, a):
    x, y = data.draw(bounded(a, (3, 3))), data.draw(bounded(a, (3, 3)))
    results = [ufunc(*[x, y][: getattr(ufunc, "nin", 1)]) for ufunc in ROUNDED + FUNCTIONS]
    results.append(softmax(x))
    results += [np.matmul(x, y), np.matmul(x, y) + y[0], np.sum(x, axis=0), np.max(x, axis=1)]
    results += [np.clip(x, -1.0, 2.0), np.mean(x)]
    for result in results:
        reach = np.max(np.abs(result.mid) + result.rad)
        assert result.reach() >= reach or (np.isnan(reach) and result.reach() == INF)


# --- special values ---------------------------------------------------------------------------

HUGE = 1e38


@pytest.mark.parametrize(
    "operation, values, expected",
    [
        (np.add, ([INF], [1.0]), INF),
        (np.add, ([INF], [-INF]), NAN),
        (np.add, ([3e38], [3e38]), INF),
        (np.subtract, ([-INF], [INF]), -INF),
        (np.multiply, ([INF], [0.0]), NAN),
        (np.multiply, ([-1e20], [1e20]), -INF),
        (np.true_divide, ([0.0], [0.0]), NAN),
        (np.true_divide, ([1.0], [-0.0]), -INF),
        (np.true_divide, ([1.0], [INF]), 0.0),
        (np.true_divide, ([1e30], [1e-30]), INF),
        (np.tanh, ([-INF],), -1.0),
        (np.exp, ([100.0],), INF),
        (np.exp, ([-INF],), 0.0),
        (np.log, ([0.0],), -INF),
        (np.log, ([-1.0],), NAN),
        (np.matmul, ([HUGE, HUGE], [[10.0], [10.0]]), INF),
        (np.matmul, ([HUGE, -HUGE], [[10.0], [10.0]]), "anything"),
        (np.matmul, ([HUGE, -HUGE], [[1.0], [1.0]]), 0.0),
        (np.matmul, ([INF, HUGE], [[1.0], [10.0]]), INF),
        (np.matmul, ([INF, -HUGE], [[1.0], [10.0]]), "anything"),
        (np.matmul, ([INF, -HUGE], [[1.0], [INF]]), NAN),
        (np.matmul, ([INF, 1.0], [[0.0], [1.0]]), NAN),
        (np.sum, ([INF, HUGE],), INF),
        (np.sum, ([3e38, 3e38, -3e38],), "anything"),
        (np.mean, (np.zeros(0),), NAN),
        (np.max, ([NAN, 1.0],), NAN),
        (np.max, ([-INF, -INF],), -INF),
        (partial(np.clip, a_min=0.0, a_max=1.0), ([NAN],), NAN),
        (partial(np.clip, a_min=0.0, a_max=1.0), ([INF],), 1.0),
    ],
)
def test_what_every_evaluation_agrees_on_is_known(operation, values, expected):
    result = operation(*[exact(value, FLOAT32) for value in values])
    mid, rad = float(np.ravel(result.mid)[0]), float(np.ravel(result.rad)[0])
    if expected == "anything":
        assert rad == INF and mid == 0
    elif np.isfinite(expected):
        # Two ULP, or as many roundings, of the largest number that comes up.
        numbers = np.concatenate([np.ravel(value) for value in values] + [[expected]])
        size = np.sum(np.abs(numbers[np.isfinite(numbers)]))
        assert abs(mid - expected) <= rad <= 4 * FLOAT32.unit * size + 4 * FLOAT32.smallest
    else:
        assert rad == 0 and (mid == expected or (np.isnan(mid) and np.isnan(expected)))


def test_a_product_that_overflows_in_float64_too_may_be_added_to_before_it_is_rounded():
    a = arithmetic("float64", {})
    assert np.matmul(exact([1e200, 1e200], a), exact([[1e200], [-1e200]], a)).rad == INF


def test_where_rounding_decides_on_overflow_in_float64_nothing_is_known():
    a = arithmetic("float64", {"exp": Accuracy(1, 0)})
    results = [np.exp(exact([709.7827128933841], a)), exact([a.largest], a) / (1 - 2.0**-53)]
    for result in results:
        assert result.rad == INF


def test_nothing_is_known_of_infinity_times_a_ball_around_zero():
    ball = BoundedArray(np.array([[1.0], [0.1]]), np.array([[0.0], [0.2]]), FLOAT32)
    assert np.matmul(exact([INF, 1.0], FLOAT32), ball).mid == INF
    assert np.matmul(exact([INF, INF], FLOAT32), ball).rad == INF


def test_the_maximum_of_subnormals_may_be_any_of_them():
    subnormal = 0.9 * FLOAT32.smallest
    result = np.max(exact([subnormal, -subnormal], FLOAT32))
    assert abs(result.mid - subnormal) <= result.rad and abs(result.mid + subnormal) <= result.rad


@pytest.mark.parametrize("bias_anywhere", [False, True])
def test_a_bias_may_save_a_sum_from_overflow_only_where_it_is_not_last(bias_anywhere):
    a = FLOAT32._replace(bias_anywhere=bias_anywhere)
    x, w, b = exact([[3e38, 1e38]], a), exact([[1.0], [1.0]], a), exact([-3e38], a)
    result = np.matmul(x, w) + b
    assert (result.rad == INF) == bias_anywhere
    assert bias_anywhere or result.mid == INF


# --- whole oracles ----------------------------------------------------------------------------


class Port(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of a port of the oracles to float32, which adds in an order of its own."""

    def __init__(self, values, random, flushes):
        values = np.asarray(values, dtype=np.float32)
        small = np.abs(values) < np.finfo(np.float32).tiny
        self.values = np.where(small & flushes, np.float32(0), values)
        self.random, self.flushes, self.dtype = random, flushes, self.values.dtype

    def new(self, values):
        return Port(values, self.random, self.flushes)

    @property
    def shape(self):
        return self.values.shape

    @property
    def ndim(self):
        return self.values.ndim

    def __getitem__(self, index):
        return self.new(self.values[index])

    def __array_ufunc__(self, ufunc, method, *inputs):
        values = [x.values if isinstance(x, Port) else self.new(x).values for x in inputs]
        if ufunc is np.matmul:
            products = values[0][..., None, :].astype(np.float64) * values[1].T
            return self.new(self.total(products))
        if ufunc in FUNCTIONS:
            result = ufunc(values[0].astype(np.float64))
            # Less 1 ULP for rounding, across a power of two.
            error = (FLOAT32.functions[ufunc.__name__].ulp - 1) * self.random.uniform(-1, 1)
            # The exact value of a tanh that rounds to 1 is in the binade below.
            size = np.nextafter(np.abs(result), 0)
            return self.new(result + error * 2 * FLOAT32.unit * FLOAT32.binade(size))
        return self.new(ufunc(*values))

    def __array_function__(self, function, types, args, kwargs):
        first, rest = args[0], args[1:]
        if function in (np.concatenate, np.hstack, np.stack):
            return self.new(function([self.new(getattr(x, "values", x)).values for x in first],
                                     *rest, **kwargs))  # fmt: skip
        if function is np.argmax:
            return np.argmax(first.values, *rest, **kwargs)
        if function in (np.sum, np.mean):
            axis = kwargs.get("axis")
            values = first.values.ravel() if axis is None else np.moveaxis(first.values, axis, -1)
            total = self.total(values)
            if function is np.mean:
                return self.new(total / np.float32(values.shape[-1]))
            return self.new(np.expand_dims(total, axis) if kwargs.get("keepdims") else total)
        return self.new(function(first.values, *rest, **kwargs))

    def total(self, terms):
        """The sum along the last axis. Float64 terms are rounded when they are added, or before."""
        if self.random.random() < 0.5:
            terms = terms.astype(np.float32)
        result = np.zeros(terms.shape[:-1], np.float32)
        order = list(range(terms.shape[-1]))
        self.random.shuffle(order)
        for k in order:
            result = self.new(result + terms[..., k]).values
        return result


@pytest.mark.parametrize("name", list(MODELS))
@settings(deadline=None)
@given(st.data(), st.booleans(), st.randoms(use_true_random=False))
def test_an_oracle_contains_its_ports_to_float32(name, data, flushes, random):
    model = MODELS[name]
    regime = data.draw(st.sampled_from(list(REGIMES)))
    case = data.draw(small_batches(model, regime, most=1))[0]
    functions = dict(FLOAT32.functions, **{"affine tanh": FLOAT32.functions["tanh"]})
    a = FLOAT32._replace(functions=functions)

    def ported(array):
        return Port(array, random, flushes)

    trace = model.free_running(
        case.config, list(map(ported, case.parameters)), ported(case.inputs), ported(case.labels)
    )
    trace = {part: getattr(array, "values", array) for part, array in trace.items()}

    def held(array):
        return exact(array, a) if array.dtype.kind == "f" else array

    given_to_both = case.config, list(map(held, case.parameters)), held(case.inputs)
    free = model.free_running(*given_to_both, held(case.labels), follow=trace["predictions"])
    recorded = {part: held(array) for part, array in trace.items()}
    forced = model.teacher_forced(*given_to_both, held(case.labels), trace=recorded)
    for run in (free, forced):
        for part, array in run.items():
            ball = array if isinstance(array, BoundedArray) else exact(array, a)
            values = trace[part]
            assert_contains(ball, lambda i, values=values: float(values[i]), part)


# --- stacks -----------------------------------------------------------------------------------


ON_STACKS = {
    "x + b": (lambda x, b: x + b, (2, 3), (3,)),
    "b - x": (lambda x, b: b - x, (2, 3), (3,)),
    "x * y": (lambda x, y: x * y, (2, 3), (1, 3)),
    "x * 3": (lambda x: 3.0 * x, (2, 3)),
    "x / y": (lambda x, y: x / y, (2, 3), (2, 1)),
    "-x": (lambda x: -x, (2, 3)),
    "tanh": (np.tanh, (2, 3)),
    "exp": (np.exp, (2, 3)),
    "log": (np.log, (2, 3)),
    "sigmoid": (sigmoid, (2, 3)),
    "softmax": (softmax, (2, 3)),
    "x == y": (np.equal, (2, 3), (3,)),
    "x @ w": (np.matmul, (2, 3), (3, 4)),
    "dot": (np.dot, (2, 3), (3, 4)),
    "x @ w + b": (lambda x, w, b: x @ w + b, (2, 3), (3, 4), (4,)),
    "tanh(x @ w + b)": (lambda x, w, b: np.tanh(x @ w + b), (2, 3), (3, 4), (4,)),
    "zeros @ w + b": (lambda w, b: np.zeros((2, 3)) @ w + b, (3, 4), (4,)),
    "window @ w + query": (lambda x, w, q: x @ w + q[:, None], (2, 3, 2), (2, 4), (2, 4)),
    "ones @ ones + b": (
        lambda b: b - b + exact(np.ones((2, 3)), b.arithmetic) @ np.ones((3, 4)) + b,
        (4,),
    ),
    "w @ constants": (lambda x: x @ np.ones((3, 2)), (2, 3)),
    "sum": (lambda x: np.sum(x), (2, 3)),
    "sum over an axis": (lambda x: np.sum(x, axis=1), (2, 3, 2)),
    "sum over the last axis": (lambda x: np.sum(x, axis=-1, keepdims=True), (2, 3)),
    "mean": (lambda x: np.mean(x), (2, 3)),
    "mean over an axis": (lambda x: np.mean(x, axis=0), (2, 3)),
    "max": (lambda x: np.max(x, axis=-1, keepdims=True), (2, 3)),
    "max over an axis": (lambda x: np.max(x, axis=0), (2, 3)),
    "clip": (lambda x: np.clip(x, 1e-10, 1.0), (2, 3)),
    "ones_like": (lambda x: np.ones_like(x) * x, (2, 3)),
    "reshape": (lambda x: np.reshape(x, (3, 2)), (2, 3)),
    "concatenate": (lambda x, y: np.concatenate([x, y], axis=1), (2, 3), (2, 1)),
    "concatenate with zeros": (lambda x: np.concatenate([np.zeros((1, 3)), x], axis=0), (2, 3)),
    "concatenate last": (lambda x, y: np.concatenate([x, y], axis=-1), (2, 3), (2, 1)),
    "hstack": (lambda x, y: np.hstack([x, y]), (2, 3), (2, 1)),
    "stack": (lambda x, y: np.stack([x, y], axis=1), (2, 3), (2, 3)),
    "stack last": (lambda x, y: np.stack([x, y], axis=-1), (2, 3), (2, 3)),
    "a row": (lambda x: x[0], (2, 3)),
    "a column": (lambda x: x[:, 1], (2, 3)),
    "new axes": (lambda x: x[..., None] + x[:, None, :], (2, 3)),
}
ON_EXACT_STACKS = {
    "arg max": (lambda x: np.argmax(x, axis=-1), (2, 3)),
    "arg max over an axis": (lambda x: np.argmax(x, axis=0), (2, 3)),
    "where": (lambda x: np.where(np.argmax(x, axis=-1)[..., None] == np.arange(3), 1, 0), (2, 3)),
}


def stack_of(balls):
    """What holds the arrays of three cases."""
    rad = None if all(x.exact for x in balls) else np.stack([x.rad_as_operand() for x in balls])
    stack = BoundedArray(np.stack([x.mid for x in balls]), rad, balls[0].arithmetic)
    stack.stacked = True
    return stack


# What two float64 evaluations of these on tame numbers may differ by, absolute or relative: nothing
# in a sum exceeds 2^11, whose ULP is 2^(11 - 52); a dozen terms are added in any order, on each
# side; and what is computed from a sum has a derivative of 1 at most.
NOISE = 2.0 ** (11 - 52 + 4)


@pytest.mark.parametrize("name", sorted(ON_STACKS) + sorted(ON_EXACT_STACKS))
@settings(deadline=None, max_examples=10)
@given(st.data(), arithmetics())
def test_an_operation_on_a_stack_is_what_it_is_on_each_of_its_arrays(name, data, a):
    operation, *shapes = dict(ON_STACKS, **ON_EXACT_STACKS)[name]
    kinds = ("tame",) if name == "where" or data.draw(st.booleans()) else KINDS
    cases = [[data.draw(bounded(a, shape, kinds)) for shape in shapes] for _ in range(3)]
    if name in ON_EXACT_STACKS or data.draw(st.booleans()):
        cases = [[exact(x.mid, a) for x in case] for case in cases]
    else:
        cases = [[BoundedArray(x.mid, x.rad_as_operand(), a) for x in case] for case in cases]
    result = operation(*[stack_of(arrays) for arrays in zip(*cases)])
    for k, case in enumerate(cases):
        alone = operation(*case)
        assert result.shape == alone.shape
        # What is uncertain in one case makes radii of zero in the others.
        assert alone.exact or not result.exact
        mid, rad = result.mid[k], result.rad[k]
        if kinds == ("tame",):
            widest = max(np.max(x.rad) for x in case)
            np.testing.assert_allclose(mid, alone.mid, rtol=NOISE, atol=NOISE)
            np.testing.assert_allclose(rad, alone.rad, rtol=NOISE, atol=NOISE * widest)
        else:
            assert_compatible(BoundedArray(mid, rad, a), alone)


def test_a_row_times_a_matrix_is_refused_in_stacks():
    with pytest.raises(TypeError):
        np.matmul(stack_of([BALL[0]] * 3), np.ones((2, 2)))


# --- what is refused --------------------------------------------------------------------------


UNKNOWN = sorted(
    {ufunc for ufunc in vars(np).values() if isinstance(ufunc, np.ufunc)} - set(_UFUNCS),
    key=lambda ufunc: ufunc.__name__,
)


@pytest.mark.parametrize("ufunc", UNKNOWN, ids=lambda ufunc: ufunc.__name__)
def test_an_unknown_ufunc_is_refused(ufunc):
    with pytest.raises(TypeError):
        ufunc(*[BALL] * ufunc.nin)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: np.asarray(BALL),
        lambda: np.asarray(np.matmul(BALL, BALL.mid.T)),
        lambda: float(BALL[0, 0]),
        lambda: bool(BALL),
        lambda: np.add.reduce(BALL),
        lambda: np.multiply.outer(BALL, BALL),
        lambda: np.add(BALL, BALL, out=np.zeros((1, 2))),
        lambda: np.add(BALL, BALL, where=False),
        lambda: np.sum(BALL, dtype="f4"),
        lambda: np.var(BALL),
        lambda: np.where(BALL.mid > 1, BALL, BALL),
        lambda: np.linalg.norm(BALL),
        lambda: np.matmul(BALL, np.ones((3, 2, 2))),
        lambda: np.zeros((1, 2)).__iadd__(BALL),
        lambda: BALL < BALL,
    ],
)
def test_what_would_lose_a_radius_is_refused(attempt):
    with pytest.raises(TypeError):
        attempt()


def test_a_list_of_balls_does_not_become_an_array_of_numbers():
    try:
        array = np.array([BALL, BALL])
    except TypeError:
        return
    # NumPy 1.18 makes an array of what it finds in them, which are balls.
    assert array.dtype == object and all(isinstance(x, BoundedArray) for x in array.flat)


def test_every_operation_is_known_to_a_test():
    tested = set(ROUNDED) | set(FUNCTIONS) - {sigmoid} | {np.matmul, np.equal}
    assert set(_UFUNCS) == tested
    others = [np.dot, np.sum, np.mean, np.max, np.clip, np.argmax, np.where, np.ones_like]
    moving = [np.reshape, np.concatenate, np.hstack, np.stack]
    assert set(_FUNCTIONS) == set(others + moving + [sigmoid, softmax])
