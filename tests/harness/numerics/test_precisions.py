"""Which numbers a precision has, and how they are held."""

import numpy as np
import pytest

from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.precisions import held, precision_of
from rnndiff.harness.subjects.bfloat16 import Rounded

BFLOAT16 = precision_of("bfloat16")
ALL = (np.arange(2**16).astype(np.uint32) << np.uint32(16)).view(np.float32)
FINITE = np.sort(ALL[np.isfinite(ALL)].astype(np.float64))
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "name, bits, width",
    [("float16", 11, 16), ("float32", 24, 32), ("float64", 53, 64), ("bfloat16", 8, 16)],
)
def test_a_number_has_bits_of_which_some_are_its_significand(name, bits, width):
    precision = precision_of(name)
    assert (precision.name, precision.bits, precision.width) == (name, bits, width)
    assert precision.eps == 2.0 ** (1 - bits)
    assert precision.is_own_type == (name != "bfloat16")


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_a_precision_that_numpy_has_is_as_it_says(name):
    precision, limits = precision_of(name), np.finfo(name)
    assert precision is precision_of(np.dtype(name).type) or precision == precision_of(
        np.dtype(name)
    )
    assert (precision.eps, precision.smallest, precision.largest) == (
        limits.eps,
        limits.tiny,
        limits.max,
    )
    assert precision.rounded([1 / 3]).dtype == name and precision.is_own_type
    for number in (1.0, -0.75, 0.0, float(limits.tiny)):
        for towards in (2.0, -2.0):
            wanted = np.nextafter(limits.dtype.type(number), limits.dtype.type(towards))
            assert precision.next_to(number, towards) == wanted


def test_bfloat16_has_the_first_bits_of_float32():
    assert (BFLOAT16.eps, BFLOAT16.smallest) == (2.0**-7, 2.0**-126)
    assert BFLOAT16.largest == FINITE[-1]
    np.testing.assert_array_equal(BFLOAT16.rounded(ALL), ALL)
    assert BFLOAT16.has(ALL) and not BFLOAT16.has(np.float32([1 + 2.0**-8]))
    np.testing.assert_array_equal(
        BFLOAT16.patterns(ALL[~np.isnan(ALL)]), np.flatnonzero(~np.isnan(ALL))
    )
    np.testing.assert_array_equal(BFLOAT16.numbers(np.arange(2**16)), ALL)


def test_a_number_is_rounded_to_the_nearest_of_bfloat16_and_a_tie_to_the_even_one():
    low, high = FINITE[:-1], FINITE[1:]
    middle, is_even = low / 2 + high / 2, BFLOAT16.patterns(low) % 2 == 0
    np.testing.assert_array_equal(BFLOAT16.rounded(middle), np.where(is_even, low, high))
    for end, nearest in ((low, low), (high, high)):
        np.testing.assert_array_equal(BFLOAT16.rounded(np.nextafter(middle, end)), nearest)
    beyond = BFLOAT16.largest + np.spacing(np.float32(BFLOAT16.largest)) * 2.0**15
    assert BFLOAT16.rounded([beyond, -beyond, 1e300, INF]).tolist() == [INF, -INF, INF, INF]
    assert BFLOAT16.rounded(np.nextafter(beyond, 0)) == BFLOAT16.largest
    assert np.isnan(BFLOAT16.rounded([NAN])).all()
    assert np.signbit(BFLOAT16.rounded([-0.0, -1e-300])).all()


def test_the_next_number_of_bfloat16_is_the_neighbour():
    for place in [*range(0, len(FINITE) - 1, 997), len(FINITE) // 2 - 1, len(FINITE) // 2 + 1]:
        low, high = FINITE[place], FINITE[place + 1]
        if low != high:
            assert BFLOAT16.next_to(low, high) == high and BFLOAT16.next_to(high, low) == low


def test_an_ulp_of_bfloat16_is_the_distance_of_its_numbers():
    positive = FINITE[FINITE > 0]
    np.testing.assert_array_equal(ulp_of(positive[:-1], "bfloat16"), np.diff(positive))


def test_the_arithmetic_of_bfloat16_is_that_of_its_numbers():
    a = arithmetic("bfloat16", sums="float32")
    assert (a.name, a.unit, a.smallest) == ("bfloat16", 2.0**-8, 2.0**-126)
    assert a.sums == arithmetic("float32")
    with pytest.raises(ValueError, match="bfloat16 has from 1 to 8"):
        arithmetic("bfloat16", operand_bits=11)
    with pytest.raises(ValueError, match="not wider than bfloat16"):
        arithmetic("bfloat16", sums="bfloat16")


@pytest.mark.parametrize("array", [np.zeros(2, "V4"), np.float16([1.5]), np.array([2])], ids=str)
def test_an_array_of_another_type_is_held_as_it_is(array):
    assert held(array) is array


def test_an_array_of_another_packages_bfloat16_is_held_in_float32():
    theirs = pytest.importorskip("ml_dtypes").bfloat16
    array = held(np.array([1.5, NAN], theirs))
    assert array.dtype == np.float32 and array[0] == 1.5
    with np.errstate(all="ignore"):
        numbers = np.random.RandomState(0).randint(0, 2**32, 10**5, np.int64).astype(np.uint32)
        numbers = numbers.view(np.float32)
        np.testing.assert_array_equal(BFLOAT16.rounded(numbers), held(numbers.astype(theirs)))


def test_numpys_functions_rounded_to_bfloat16_are_right_to_1_ulp():
    """What the subject bfloat16 states, tried on all arguments."""
    with np.errstate(all="ignore"):
        for function in (np.tanh, np.exp, np.log):
            exact = function(ALL.astype(np.float64))
            found, wanted = function(Rounded(ALL)).numbers, BFLOAT16.rounded(exact)
            finite = np.isfinite(wanted)
            np.testing.assert_array_equal(found[~finite], wanted[~finite])
            error = np.abs(found[finite] - exact[finite])
            assert (error <= ulp_of(exact[finite], "bfloat16")).all()
