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


def test_where_rounding_decides_on_overflow_in_float64_nothing_is_known():
    a = arithmetic("float64", {"exp": Accuracy(1, 0)})
    results = [np.exp(exact([709.7827128933841], a)), exact([a.largest], a) / (1 - 2.0**-53)]
    for result in results:
        assert result.rad == INF


@pytest.mark.parametrize(
    "function, mid, rad, share",
    [
        (np.tanh, 0.5, 0.25, 1.09),
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
