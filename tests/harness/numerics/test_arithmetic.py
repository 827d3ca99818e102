"""What the arithmetic of a subject says of itself, and what is none."""

from fractions import Fraction

import pytest

from rnndiff.harness.numerics import Accuracy, arithmetic
from rnndiff.harness.numerics.precisions import precision_of

PRECISIONS = {"float16": 15, "float32": 127, "float64": 1023, "bfloat16": 127}
each_precision = pytest.mark.parametrize("name", PRECISIONS)


@each_precision
def test_nothing_is_taken_for_granted_of_a_subject_but_its_precision(name):
    a = arithmetic(name)
    assert a.functions == {} and a.bias_anywhere
    assert a.operand_bits is a.sums is None
    assert not (a.operands_to_nearest or a.recomputes or a.likely)
    assert a == arithmetic(name, {}, True, None, False, None)


@each_precision
def test_the_largest_operand_has_as_many_bits_as_are_read(name):
    assert arithmetic(name).largest_operand == arithmetic(name).largest
    for bits in (1, 2, 3, precision_of(name).bits):
        # All bits are set that there are.
        largest = (2 - Fraction(2) ** (1 - bits)) * 2 ** PRECISIONS[name]
        assert arithmetic(name, operand_bits=bits).largest_operand == largest


@each_precision
def test_a_function_may_be_off_by_8_ulp_where_nothing_overflows_yet(name):
    a = arithmetic(name)
    # An ULP is two roundings; and there are 1/64 at least.
    assert 1 - a.overflow_edge == max(1 / 64, 8 * 2 * a.unit)


@pytest.mark.parametrize("bits", [-1, 0, 25])
def test_operands_of_less_than_one_bit_and_of_more_than_there_are_are_refused(bits):
    with pytest.raises(
        ValueError, match="operands of {} bits: float32 has from 1 to 24".format(bits)
    ):
        arithmetic("float32", operand_bits=bits)


def test_functions_that_there_are_not_and_accuracies_that_are_none_are_refused():
    right = Accuracy(1, 0)
    with pytest.raises(ValueError, match="there is no function 'gelu'"):
        arithmetic("float32", {"swish": right, "tanh": right, "gelu": right})
    for wrong in (1.0, (1.0, 0.0), None):
        with pytest.raises(ValueError, match="the accuracy of 'tanh' is no Accuracy"):
            arithmetic("float32", {"exp": right, "tanh": wrong})


def test_sums_are_added_up_in_a_wider_precision_or_none():
    assert arithmetic("float32", sums="float64").sums == arithmetic("float64")
    for sums in ("float32", "float16", "bfloat16"):
        with pytest.raises(ValueError, match="not wider than float32"):
            arithmetic("float32", sums=sums)
    with pytest.raises(ValueError, match="operands of all bits"):
        arithmetic("float32", operand_bits=11, sums="float64")


def test_what_has_no_accuracy_unless_it_is_stated_has_none():
    with pytest.raises(KeyError, match="no accuracy of softmax is stated"):
        arithmetic("float32").accuracy("softmax")
    stated = arithmetic("float32", {"tanh": Accuracy(3, 0)})
    assert stated.accuracy("affine tanh") == stated.accuracy("tanh") == Accuracy(3, 0)


def test_by_chance_only_sums_are_bounded_otherwise():
    a = arithmetic("float16", sums="float32")
    chance = a.by_chance()
    assert chance.likely and chance.sums.likely and not chance.sums.sums
    assert chance._replace(likely=False, sums=a.sums) == a
