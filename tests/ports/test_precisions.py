"""Ports whose matrix products read fewer bits, and ports that compute in another precision."""

import numpy as np
import pytest
from judging import blamed, cases_until_blamed
from port import Port
from styles import MISTAKES, Style

from rnndiff.harness.cases.case import Case
from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.subjects import Subject
from rnndiff.harness.subjects.bfloat16 import BFloat16
from rnndiff.harness.subjects.float16 import Float16
from rnndiff.harness.subjects.float32 import Float32
from rnndiff.harness.subjects.float64 import Float64
from rnndiff.harness.subjects.named import subject_named
from rnndiff.models import ARTICLE

ALL = ARTICLE
FLOAT32 = arithmetic("float32")
TF32, BFLOAT16 = 11, 8


# --- matrix products of fewer bits --------------------------------------------------------------


def cut(numbers, bits):
    """Float32 numbers without all but so many bits of their significands."""
    mask = np.uint32(0xFFFFFFFF << (24 - bits) & 0xFFFFFFFF)
    return (np.ascontiguousarray(numbers).view(np.uint32) & mask).view(np.float32)


def to_nearest(numbers, bits):
    """The same, rounded to the nearest, ties to even."""
    pattern = np.ascontiguousarray(numbers).view(np.uint32)
    odd = pattern >> np.uint32(24 - bits) & np.uint32(1)
    up = (pattern + np.uint32((1 << (23 - bits)) - 1) + odd).view(np.float32)
    return np.where(np.isfinite(numbers), cut(up, bits), numbers)


def reading(rounding, bits):
    """An affine map whose product has operands of so many bits."""

    def affine(parts, kernel, bias):
        inputs = np.concatenate(parts, axis=-1)
        return np.matmul(rounding(inputs, bits), rounding(kernel, bits)) + bias

    return affine


def tensor_core(rounding, bits):
    """The same with a sum that starts from the bias and cuts off what it has no room for."""

    def affine(parts, kernel, bias):
        inputs = rounding(np.concatenate(parts, axis=-1), bits).astype(np.float64)
        total = np.broadcast_to(bias, inputs.shape[:-1] + kernel.shape[1:])
        for k, row in enumerate(rounding(kernel, bits).astype(np.float64)):
            total = towards_zero(inputs[..., k, None] * row + total)
        return total

    return affine


def towards_zero(numbers):
    """Float64 numbers as float32, cut off."""
    nearest = numbers.astype(np.float32)
    beyond = np.abs(nearest) > np.abs(numbers)
    beyond &= np.isfinite(nearest)
    return np.where(beyond, np.nextafter(nearest, np.float32(0)), nearest)


class Stated(Port):
    """A port of which some arithmetic is stated."""

    def __init__(self, affine, arithmetic, change=lambda style: style):
        super().__init__(change(Style(affine=affine)))
        self._stated = arithmetic

    def arithmetic(self, case):
        return self._stated


PORTS = {
    "tf32 cut": (reading(cut, TF32), TF32),
    "tf32 rounded": (reading(to_nearest, TF32), TF32),
    "tf32 tensor core": (tensor_core(cut, TF32), TF32),
    "bfloat16 cut": (reading(cut, BFLOAT16), BFLOAT16),
    "bfloat16 rounded": (reading(to_nearest, BFLOAT16), BFLOAT16),
    "bfloat16 tensor core": (tensor_core(to_nearest, BFLOAT16), BFLOAT16),
}
every_port = pytest.mark.parametrize("affine, bits", PORTS.values(), ids=list(PORTS))


def test_operands_are_rounded_as_is_said():
    random = np.random.RandomState(0)
    numbers = (random.standard_normal(1000) * 2.0 ** random.randint(-20, 20, 1000)).astype("f4")
    for bits in (TF32, BFLOAT16):
        spacing = ulp_of(numbers) * 2.0 ** (24 - bits)
        for rounding, most in ((cut, 1), (to_nearest, 0.5)):
            error = np.abs(rounding(numbers, bits).astype("f8") - numbers) / spacing
            assert 0.97 * most < np.max(error) <= most
    assert np.isnan(cut(np.float32([np.nan]), BFLOAT16)).all()


@every_port
def test_a_right_port_of_fewer_bits_is_not_blamed(affine, bits):
    port = Stated(affine, arithmetic("float32", operand_bits=bits))
    reports = blamed(port, ALL, 250)
    assert not reports, reports[0]


@pytest.mark.slow
@every_port
def test_a_right_port_of_fewer_bits_is_not_blamed_in_10000_cases(affine, bits):
    port = Stated(affine, arithmetic("float32", operand_bits=bits))
    reports = blamed(port, ALL, 10000, seed=1)
    assert not reports, reports[0]


@pytest.mark.parametrize("bits", [TF32, BFLOAT16])
def test_operands_that_are_said_to_be_rounded_may_be_so(bits):
    stated = arithmetic("float32", operand_bits=bits, operands_to_nearest=True)
    reports = blamed(Stated(reading(to_nearest, bits), stated), ALL, 250)
    assert not reports, reports[0]
    assert cases_until_blamed(Stated(reading(cut, bits), stated), ALL, 300)


@every_port
def test_a_port_of_fewer_bits_is_told_from_float32(affine, bits):
    assert cases_until_blamed(Stated(affine, FLOAT32), ALL, 300)


def test_bfloat16_is_told_from_tf32():
    stated = arithmetic("float32", operand_bits=TF32)
    assert cases_until_blamed(Stated(reading(to_nearest, BFLOAT16), stated), ALL, 300)


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_port_of_fewer_bits_with_a_mistake_is_blamed(mistake):
    stated = arithmetic("float32", operand_bits=TF32)
    port = Stated(reading(to_nearest, TF32), stated, MISTAKES[mistake])
    assert cases_until_blamed(port, ALL, 300)


# --- other precisions ---------------------------------------------------------------------------

every_precision = pytest.mark.parametrize("precision", [Float16, Float64, BFloat16])


@every_precision
def test_a_right_port_in_another_precision_is_not_blamed(precision):
    reports = blamed(precision(), ALL, 250)
    assert not reports, reports[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["float16", "float64", "bfloat16"])
def test_a_right_port_in_another_precision_is_not_blamed_in_10000_cases(name):
    reports = blamed(subject_named(name), ALL, 10000, seed=1)
    assert not reports, reports[0]


@every_precision
def test_a_right_port_is_not_blamed_on_cases_of_its_precision(precision):
    reports = blamed(precision(), ALL, 250, precision=precision.precision)
    assert not reports, reports[0]


class PassedOff(Float64):
    """The oracle in float32, whose numbers are handed out as float64."""

    def __call__(self, case):
        trace = Float32()(case)
        return {n: x.astype("f8") if x.dtype.kind == "f" else x for n, x in trace.items()}


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_float32_passed_off_as_float64_is_blamed(precision):
    assert cases_until_blamed(PassedOff(), ALL, 300, precision=precision)


class Half(Port):
    """A port of 16 bits that adds products up in a precision, and then rounds."""

    def __init__(self, precision, added, stated):
        rounded, added = (precision_of(each).rounded for each in (precision, added))

        def affine(parts, kernel, bias):
            inputs = np.concatenate(parts, axis=-1)
            total = added(np.zeros(inputs.shape[:-1] + kernel.shape[1:]))
            for k, row in enumerate(kernel):
                # Products of so few bits are numbers of float32.
                products = inputs[..., k, None].astype("f4") * row
                total = added(total + products)
            return rounded(rounded(total) + bias)

        super().__init__(Style(affine=affine, tanh=lambda x: rounded(np.tanh(x))))
        self._stated = arithmetic(precision, bias_anywhere=False, sums=stated)

    def __call__(self, case):
        # The styles have the rest in float32.
        rest = "probabilities", "accuracy", "loss"
        return {n: x for n, x in super().__call__(case).items() if n not in rest}

    def arithmetic(self, case):
        return self._stated


each_of_16_bits = pytest.mark.parametrize("precision", ["float16", "bfloat16"])


@each_of_16_bits
@pytest.mark.parametrize("in_float32, stated", [(False, None), (True, None), (True, "float32")])
def test_a_port_of_16_bits_is_not_blamed_for_how_it_adds_products(precision, in_float32, stated):
    port = Half(precision, "float32" if in_float32 else precision, stated)
    reports = blamed(port, ["bidirectional"], 250, precision=precision)
    assert not reports, reports[0]


@each_of_16_bits
def test_sums_of_products_in_16_bits_are_told_from_those_in_float32(precision):
    port = Half(precision, precision, "float32")
    assert cases_until_blamed(port, ["bidirectional"], 1000, precision=precision)


def test_sums_are_of_a_wider_precision_and_of_whole_operands():
    with pytest.raises(ValueError, match="not wider than float32"):
        arithmetic("float32", sums="float16")
    with pytest.raises(ValueError, match="of all bits"):
        arithmetic("float32", sums="float64", operand_bits=11)


def bias_left_out(name, array):
    return 0 * array if name.endswith("bias") else array


def one_unit_imprecise(name, array):
    """By a tenth: what float16 reads is off by as much as a two thousandth."""
    factor = np.ones(array.shape[-1], np.float32)
    factor[:1] = 1.1
    return array * factor if name.endswith("kernel") else array


def clipped(name, array):
    """What float16 has no room for is read as its largest number."""
    return np.clip(array, -65504, 65504)


class Changed(Subject):
    """A port that reads other numbers than it should, or computes in another precision."""

    def __init__(self, stated, computing, change):
        self._stated, self._computing, self._change = stated, computing, change
        self._held = precision_of(stated.precision).dtype

    def __call__(self, case):
        with np.errstate(all="ignore"):
            arrays = {name: self._change(name, array) for name, array in case.arrays.items()}
            trace = self._computing(Case(case.model, case.config, arrays))
            return {
                name: array.astype(self._held) if array.dtype.kind == "f" else array
                for name, array in trace.items()
            }

    def arithmetic(self, case):
        return self._stated.arithmetic(case)


def as_it_is(name, array):
    return array


@pytest.mark.parametrize(
    "stated, computing, change",
    [
        (Float16(), Float16(), bias_left_out),
        (Float16(), Float16(), one_unit_imprecise),
        (Float16(), Float16(), clipped),
        (BFloat16(), BFloat16(), bias_left_out),
        (BFloat16(), BFloat16(), one_unit_imprecise),
        (Float32(), BFloat16(), as_it_is),
        (Float64(), Float64(), bias_left_out),
        (Float64(), Float64(), one_unit_imprecise),
        (Float64(), Float32(), as_it_is),
        (Float32(), Float16(), as_it_is),
    ],
    ids=lambda x: getattr(x, "precision", None) or x.__name__,
)
def test_a_port_in_another_precision_with_a_mistake_is_blamed(stated, computing, change):
    assert cases_until_blamed(Changed(stated, computing, change), ALL, 1000)


def test_numbers_of_float32_are_not_taken_for_those_of_bfloat16():
    port = Changed(BFloat16(), Float32(), as_it_is)
    assert "'outputs' has numbers that are not of bfloat16" in blamed(port, ["bidirectional"], 1)[0]


class InTheirs(BFloat16):
    """A port that returns arrays of the bfloat16 of another package."""

    def __call__(self, case):
        theirs = pytest.importorskip("ml_dtypes").bfloat16
        trace = super().__call__(case)
        return {n: x.astype(theirs) if x.dtype.kind == "f" else x for n, x in trace.items()}


def test_arrays_of_another_packages_bfloat16_are_read():
    assert not blamed(InTheirs(), ["seq2seq"], 100, precision="bfloat16")


@pytest.mark.parametrize("stated", [Float16(), Float64()])
def test_numbers_of_another_precision_than_the_one_stated_are_refused(stated):
    port = Port(Style())
    port.arithmetic = stated.arithmetic
    assert "is float32, not " + stated.precision in blamed(port, ALL, 1)[0]
