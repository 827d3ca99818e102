"""Single numbers: functions as accurate as is stated, overflow, special values."""

import mpmath
import numpy as np
import pytest
from ball_examples import FLOAT32, INF

from rnndiff.harness.numerics import Accuracy, BoundedArray, arithmetic, exact
from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.models.functions import sigmoid


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
    # A part of the gates is no product of a kernel that computes tanh, too.
    whole = np.matmul(x, exact(np.ones((2, 2)), a)) + exact([0.0, 0.0], a)
    for part in (np.split(whole, 2, axis=-1)[0], whole[:, :1], np.reshape(whole, (2, 1))[:1]):
        assert np.tanh(part).rad[0, 0] > np.tanh(whole).rad[0, 0] + 6 * 2.0**-24


@pytest.mark.parametrize("argument", [INF, -INF])
def test_tanh_of_infinity_is_in_the_binade_of_1(argument):
    accuracy = Accuracy(6.9, 2.0**-126)
    a = arithmetic("float32", {"tanh": accuracy})
    result = np.tanh(exact([argument], a))
    assert result.rad[0] >= accuracy.ulp * ulp_of(1.0) + accuracy.absolute
    # That of no other number is.
    assert np.tanh(exact([100.0], a)).rad[0] < result.rad[0] / 1.9


def test_what_is_not_stated_has_the_accuracy_of_the_least_accurate_engine():
    a = arithmetic("float32")
    for function in (np.tanh, np.exp, np.log, sigmoid):
        assert 0 < function(exact([0.5], a)).rad[0] < 1e-5
    assert np.tanh(exact([0.0], a)).rad >= 2.7e-7
    assert arithmetic("float32", {"tanh": Accuracy(1, 0)}).accuracy("affine tanh").ulp == 1


def test_a_function_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="tahn"):
        arithmetic("float32", {"tahn": Accuracy(1, 0)})


def test_in_float16_numpys_function_is_right_to_1_ulp():
    """What the subject float16 states, tried on all arguments."""
    arguments = np.arange(2**16).astype(np.uint16).view(np.float16)
    for function in (np.tanh, np.exp, np.log):
        exact_values = function(arguments.astype(np.float64))
        finite = np.isfinite(exact_values.astype(np.float16))
        alone = np.concatenate([function(part) for part in np.array_split(arguments, 2**14)])
        for values in (function(arguments), alone):
            error = np.abs(values.astype(np.float64) - exact_values)[finite]
            assert (error <= ulp_of(exact_values[finite], np.float16)).all()
            np.testing.assert_array_equal(values[~finite], exact_values.astype(np.float16)[~finite])


@pytest.mark.parametrize("bits", [0, 25, -8])
def test_operands_of_bits_that_there_are_not_are_refused(bits):
    with pytest.raises(ValueError, match="float32 has from 1 to 24"):
        arithmetic("float32", operand_bits=bits)


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32", "float64"])
def test_where_rounding_decides_on_overflow_nothing_is_known(precision):
    a = arithmetic(precision)
    # Above the largest number, but by less than a function or a quotient may be off by there.
    for above in (a.unit, (1 - a.overflow_edge) / 2):
        results = [
            np.exp(exact([np.log(a.largest) + above], a)),
            exact([a.largest], a) / exact([1 - above], a),
        ]
        for result in results:
            assert result.rad == INF


@pytest.mark.parametrize(
    "function, mid, rad, share",
    [
        (np.tanh, 0.5, 0.25, 1.09),
        (np.tanh, 3.0, 2.5, 1.02),
        (np.exp, 0.0, 1.0, 1.0001),
        (np.exp, 5.0, 0.5, 1.0001),
        # By its largest derivative.
        (np.log, 2.0, 1.0, 1 / np.log(2) + 0.001),
        (sigmoid, 0.5, 0.25, 1.0001),
        (np.square, 2.0, 1.0, 1.0001),
        (np.sqrt, 4.0, 1.0, 1.0001),
        (np.absolute, -2.0, 1.0, 1.0001),
    ],
)
def test_a_wide_ball_becomes_one_hardly_wider_than_its_image(function, mid, rad, share):
    ball = function(BoundedArray(np.array([mid]), np.array([rad]), FLOAT32))
    low, middle, high = (function(np.float64(x)) for x in (mid - rad, mid, mid + rad))
    image = max(abs(high - middle), abs(middle - low))
    assert image <= ball.rad[0] <= image * share


EXACT64 = arithmetic(
    "float64", dict.fromkeys(["tanh", "sigmoid", "exp", "log", "sqrt"], Accuracy(0, 0))
)


def _grid():
    """Balls of float64, narrow and wide, near zero and far from it, whose ends are rounded or not.

    Some exponentials of upper ends are just below a power of two.
    """
    random = np.random.RandomState(0)
    for mid in (0.0, 2.0**-30, 0.5, 1.0, -1.0, 3.0, -40.0, 40.0, -323.3, -650.0, 690.0):
        for rad in (1.9 * 2.0**-51, 1e-13, 1e-11, 2.0**-20, 0.125, 0.999, 1.0, 1.5, 3.0):
            yield mid, rad
    for mid, rad in zip(random.uniform(512, 690, 12), random.uniform(1, 9, 12)):
        yield mid, rad
        yield -mid, rad
    for power in range(-20, 20, 4):
        yield power * np.log(2) - 0.999 - 2.0**-40, 0.999


@pytest.mark.parametrize(
    "function, exact_function",
    [
        (np.tanh, mpmath.tanh),
        (np.exp, mpmath.exp),
        (np.log, mpmath.log),
        (np.sqrt, mpmath.sqrt),
        (sigmoid, lambda x: 1 / (1 + mpmath.exp(-x))),
        (np.negative, lambda x: -x),
        (np.absolute, abs),
        (np.square, lambda x: x * x),
        (lambda x: x * 0.75, lambda x: x * 0.75),
        (lambda x: 1 / x, lambda x: 1 / x),
        (lambda x: x / -3.0, lambda x: x / -3),
    ],
    ids="tanh exp log sqrt sigmoid negative absolute square product reciprocal quotient".split(),
)
def test_a_ball_holds_what_both_ends_become_where_float64_alone_errs(function, exact_function):
    with mpmath.workprec(400):
        for mid, rad in _grid():
            result = function(BoundedArray(np.array([mid]), np.array([rad]), EXACT64))
            if result.rad[0] == INF or np.isnan(result.mid[0]):
                assert mid - rad <= 0
                continue
            bound = mpmath.mpf(result.rad[0])
            for end in (mpmath.mpf(mid) - rad, mpmath.mpf(mid) + rad):
                off = abs(exact_function(end) - result.mid[0])
                assert off <= bound, (mid, rad)
            assert abs(result.mid[0]) + result.rad[0] <= result.reach()


def test_the_sigmoid_of_a_ball_is_no_wider_than_its_slope_nor_than_its_ends_have_it():
    far = sigmoid(BoundedArray(np.array([-30.0]), np.array([2.0]), EXACT64))
    assert far.rad[0] <= 1.0001 * (sigmoid(-28.0) - sigmoid(-30.0))
    for mid in (-0.5, 0.25, 3.0):
        for rad in (2.0**-49, 2.0**-46):
            ball = sigmoid(BoundedArray(np.array([mid]), np.array([rad]), EXACT64))
            slope = sigmoid(mid) * sigmoid(-mid)
            assert ball.rad[0] <= sigmoid(exact([mid], EXACT64)).rad[0] + 1.0001 * slope * rad


def test_what_is_a_little_above_a_power_of_two_is_in_its_binade():
    """Also where float64 cannot tell it from a little below."""
    a = arithmetic("float64", {"log": Accuracy(64, 0)})
    result = np.log(exact([np.nextafter(np.e, 3.0)], a))
    assert result.mid[0] - 1 < 2.0**-51
    assert result.rad[0] >= 64 * ulp_of(1.0, np.float64)
