"""The table of function accuracies, the measurement behind it, and ``rnndiff ulp``."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from rnndiff.harness.cli import cli
from rnndiff.harness.commands import ulp as command
from rnndiff.harness.errors import UserError
from rnndiff.harness.numerics.accuracy import Accuracy, ulp_of
from rnndiff.harness.subjects import ulp
from rnndiff.harness.subjects.tensorflow import accuracy as table
from rnndiff.harness.subjects.tensorflow.accuracy import TABLE, Place, Row, accuracy_of, nearest
from rnndiff.harness.subjects.tensorflow.premises import (
    every_kernel,
    known_arguments,
    name_of,
    stated,
)
from rnndiff.harness.versions import versions
from rnndiff.models.environment import Processor, processor

MINOR_VERSIONS = [(1, minor) for minor in (13, 14, 15)] + [(2, minor) for minor in range(22)]
MEASURED = [(1, 13), (1, 14), (1, 15), (2, 0), (2, 1), (2, 4), (2, 7), (2, 10), (2, 12), (2, 13)]
MEASURED += [(2, 15), (2, 16), (2, 18), (2, 20), (2, 21)]


# --- the table ----------------------------------------------------------------------------------


def rows(kernel=None):
    return [row for row in TABLE if kernel in (None, row.kernel)]


@pytest.mark.parametrize("version", MINOR_VERSIONS)
@pytest.mark.parametrize("processor", [table.EPYC, table.XEON])
def test_every_version_has_every_function_on_the_processors_that_were_measured(version, processor):
    where = Place(version, processor, processor.split()[1])
    for function, kernel in (
        ("tanh", "Tanh"),
        ("exp", "Exp"),
        ("log", "Log"),
        ("sigmoid", "Sigmoid"),
        ("softmax", "Softmax"),
    ):
        assert accuracy_of(function, kernel, where)
    assert bool(accuracy_of("softmax", "_MklSoftmax", where)) == (version >= (2, 11))


@pytest.mark.parametrize("version", sorted(set(MINOR_VERSIONS) - set(MEASURED)))
def test_an_unmeasured_version_is_trusted_no_more_than_its_neighbours(version):
    before = max(other for other in MEASURED if other < version)
    after = min(other for other in MEASURED if other > version)
    for function, kernel in {(row.function, row.kernel) for row in rows()}:
        at, *neighbours = [
            accuracy_of(function, kernel, Place(one, table.XEON, "amx"))
            for one in (version, before, after)
        ]
        for neighbour in neighbours if at else ():
            assert neighbour is None or at.ulp >= neighbour.ulp
            assert neighbour is None or at.absolute >= neighbour.absolute


@pytest.mark.parametrize(
    "where",
    [
        Place((2, 22), table.XEON, "amx"),
        Place((99, 0), table.XEON, "amx"),
        Place((2, 21), "GenuineIntel avx512", "avx512"),
        Place((2, 21), "AuthenticAMD avx2", "avx2"),
        Place((2, 21), " aarch64", "aarch64"),
    ],
)
def test_a_version_or_a_processor_without_a_row_is_not_in_the_table(where):
    assert not any(row.covers(where) for row in TABLE)
    assert accuracy_of("tanh", "Tanh", where) is None
    # What is nearest is no less than what is known of the nearest version.
    assert nearest("tanh", "Tanh", where).ulp >= 6.14


def test_what_one_instruction_set_computes_is_nothing_to_another():
    with_fma = accuracy_of("softmax", "_MklSoftmax", Place((2, 21), table.XEON, "avx2"))
    without = accuracy_of("softmax", "_MklSoftmax", Place((2, 21), table.XEON, "avx"))
    assert with_fma.ulp < 10 < 60 < without.ulp
    # Eigen's kernels are compiled for one.
    assert accuracy_of("exp", "Exp", Place((2, 21), table.XEON, "sse41")).ulp == 1.32


@pytest.mark.parametrize(
    "limit, largest",
    [
        ("", "amx"),
        ("ALL", "amx"),
        ("SSE41", "sse41"),
        ("avx", "avx"),
        ("AVX2_VNNI", "avx2"),
        ("AVX512_CORE_BF16", "avx512"),
        ("AVX512_CORE_AMX", "amx"),
        ("of which nobody knows", "amx"),
    ],
)
@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_onednn_uses_no_more_than_it_is_allowed(monkeypatch, variable, limit, largest):
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, limit)
    xeon = Processor("GenuineIntel", "Xeon", "amx", frozenset())
    assert table.place((2, 21), xeon) == Place((2, 21), table.XEON, largest)
    old = Processor("GenuineIntel", "Core", "sse41", frozenset())
    assert table.place((2, 21), old).instruction_set == "sse41"


def test_a_kernel_is_as_accurate_as_the_worst_row_that_covers_it(monkeypatch):
    def row(first, last, ulp, absolute):
        return Row("f", "A", first, last, ulp, absolute, 0.0, "")

    two = (row((2, 0), (2, 3), 1.0, 0.5), row((2, 2), (2, 5), 3.0, 0.25))
    monkeypatch.setattr(table, "TABLE", two)
    assert accuracy_of("f", "A", Place((2, 1), table.XEON, "amx")) == Accuracy(1.0, 0.5)
    assert accuracy_of("f", "A", Place((2, 3), table.XEON, "amx")) == Accuracy(3.0, 0.5)
    assert accuracy_of("g", "A", Place((2, 1), table.XEON, "amx")) is None
    assert nearest("f", "A", Place((2, 9), table.XEON, "amx")) == Accuracy(3.0, 0.25)


@pytest.mark.parametrize("version", [(1, 12), (0, 1)])
def test_a_version_older_than_the_table_is_the_users_to_mend(version):
    with pytest.raises(UserError, match=r"TensorFlow {}\.{} is not known".format(*version)):
        table.check(version)


@pytest.mark.parametrize(
    "version, xla, said",
    [
        ("2.21.0", False, "from the table, if it holds when tried"),
        ("2.17.1", False, "from the table, between the measured 2.16 and 2.18, if it holds"),
        ("2.22.0rc1", False, "to be measured here, the table has no 2.22.0rc1 on"),
        ("missing", False, "no TensorFlow"),
    ],
)
def test_the_header_says_whether_a_version_is_in_the_table(monkeypatch, version, xla, said):
    xeon = Processor("GenuineIntel", "Xeon", "amx", frozenset())
    monkeypatch.setattr(table, "processor", lambda: xeon)
    monkeypatch.setattr(table, "xla_compiles_unasked", lambda: xla)
    assert said in table.coverage(version)


def test_a_row_holds_a_measured_version_and_none_beyond_them():
    for row in TABLE:
        assert any(row.first <= version <= row.last for version in table.MEASURED), row
        assert row.first >= table.MEASURED[0] and row.last <= table.MEASURED[-1], row


# --- the measurement ----------------------------------------------------------------------------


def test_an_ulp_is_the_distance_to_the_next_float():
    for dtype in ("float16", "float32", "float64"):
        limits = np.finfo(dtype)
        subnormal = limits.tiny * limits.eps
        values = np.array(
            [1.0, 1.5, -3.0, 0.03, limits.tiny, 5 * subnormal, 0.0, limits.max], dtype
        )
        spacing = np.spacing(np.abs(values[:-1])).astype(np.float64)
        # Of the largest, the next is infinity.
        spacing = np.append(spacing, float(limits.max) - float(np.nextafter(limits.max, values[0])))
        np.testing.assert_array_equal(ulp_of(values.astype(np.float64), dtype), spacing)


def test_an_ulp_is_that_of_the_exact_value_just_below_a_power_of_two_too():
    np.testing.assert_array_equal(ulp_of([1 - 2.0**-40, 1.0]), [2.0**-24, 2.0**-23])


def test_an_error_is_counted_from_the_exact_value_beyond_what_is_allowed():
    exact = np.array([1.0, 1.0, 0.75, 2.0**-130])
    results = np.float32([1 + 2.0**-22, 1 - 2.0**-24, 0.75, 0.0])
    np.testing.assert_array_equal(ulp.errors(results, exact), [2, 0.5, 0, 2.0**19])
    np.testing.assert_array_equal(ulp.errors(results, exact, 2.0**-23), [1, 0, 0, 0])


@pytest.mark.parametrize(
    "result, exact, wrong",
    [
        (np.inf, 1e39, False),
        (3.4e38, 1e39, True),
        (np.inf, 1e38, True),
        (-np.inf, 1e39, True),
        (np.nan, 0.5, True),
        (np.nan, 1e39, True),
        (-np.inf, -np.inf, False),
    ],
)
def test_infinity_is_right_exactly_where_float32_overflows(result, exact, wrong):
    error = ulp.errors(np.float32([result]), np.array([exact]))
    assert error[0] == (np.inf if wrong else 0)


def test_an_exhaustive_measurement_meets_every_float_once():
    intervals = ((1.0, 1.0 + 5 * 2.0**-23), (-0.0, -2.0 * 2.0**-149))
    met = np.concatenate(list(ulp.exhaust(intervals)))
    wanted = [1 + i * 2.0**-23 for i in range(6)] + [-i * 2.0**-149 for i in range(3)]
    assert ulp.size(intervals) == len(met) == 9
    np.testing.assert_array_equal(met, np.float32(wanted))
    assert np.signbit(met[6])


def test_chunks_leave_no_gap(monkeypatch):
    monkeypatch.setattr(ulp, "CHUNK", 7)
    met = np.concatenate(list(ulp.exhaust(((1.0, 1.0 + 30 * 2.0**-23),))))
    np.testing.assert_array_equal(met, np.float32(1 + np.arange(31) * 2.0**-23))
    sampled = np.concatenate(list(ulp.sample(ulp.LOG, 5000)))
    assert len(np.unique(np.frexp(sampled)[1])) >= 254


@pytest.mark.parametrize("function", [ulp.TANH, ulp.EXP, ulp.LOG, ulp.SOFTMAX])
def test_a_sample_lies_in_the_domain_and_meets_all_of_its_binades(function):
    met = np.concatenate(list(ulp.sample(function, 20000)))
    assert 20000 <= len(met) < 21000
    assert len(ulp.within(met, function.domain)) == len(met)
    assert len(ulp.within(met, function.dense)) >= 9000
    everywhere = np.concatenate([np.float32(interval) for interval in function.domain])
    binades = np.unique(met.view(np.uint32) >> 23)
    for first, last in zip(everywhere[::2], everywhere[1::2]):
        low, high = sorted(np.float32([first, last]).view(np.uint32) >> 23)
        assert np.isin(np.arange(low, high + 1), binades).all()


def kernel_of(run, function=ulp.TANH):
    return ulp.Kernel(
        function, "Tanh", "in NumPy", run, lambda x: function.exact(x.astype(np.float64)), ((1, 2),)
    )


def test_a_single_wrong_float_is_found_and_named():
    wrong = np.float32(1.2345678)

    def run(x):
        return np.where(x == wrong, np.float32(0.8), np.tanh(x.astype(np.float64))).astype("f")

    *_, measured = ulp.measure(kernel_of(run), ulp.exhaust(((1.0, 2.0),)))
    assert measured.at == wrong and measured.arguments == 2**23 + 1
    assert measured.ulp == pytest.approx(abs(0.8 - np.tanh(np.float64(wrong))) * 2**24)


def test_a_correctly_rounded_kernel_is_half_an_ulp_off():
    kernel = kernel_of(lambda x: np.tanh(x.astype(np.float64)).astype(np.float32))
    *_, measured = ulp.measure(kernel, ulp.sample(ulp.TANH, 50000))
    # What it is measured against, NumPy's tanh in float64, is right to 4 ULP, 2^-29 of float32's.
    assert 0.49 < measured.ulp <= 0.5 + 8 * 2.0**-29


def test_an_addition_is_no_error_of_the_function():
    kernel = kernel_of(lambda x: np.tanh(x.astype(np.float64)).astype(np.float32))
    off = kernel._replace(run=lambda x: kernel.run(x) * np.float32(1 + 2.0**-23))
    arguments = np.linspace(1, 2, 10000).astype(np.float32)
    ((whole,), (beyond,)) = (
        ulp.measure(one, iter([arguments])) for one in (off, off._replace(rounding=2.0**-24))
    )
    assert 0.4 < whole.ulp - beyond.ulp < 1


# --- the table and the TensorFlow at hand -------------------------------------------------------


@pytest.fixture(scope="module")
def tf1(tensorflow):
    from rnndiff.models import tf1

    return tf1


@pytest.fixture(scope="module")
def kernels(tf1):
    return [kernel for one in every_kernel(tf1) for kernel in one.kernels]


@pytest.fixture(scope="module")
def where(tf1):
    return table.place(tf1.VERSION, processor())


def bound_of(kernel, where):
    bound = stated(name_of(kernel), where)
    if bound is None:
        pytest.skip("the table has no {.op} on {.processor}".format(kernel, where))
    return bound


def test_the_table_holds_for_the_tensorflow_at_hand(kernels, where):
    for kernel in kernels:
        bound = bound_of(kernel, where)
        chunks = command._arguments(kernel, samples=5000, exhaustive=False)
        *_, measured = ulp.measure(kernel, chunks, bound.absolute)
        assert measured.ulp <= bound.ulp, (kernel.op, kernel.shape, measured)


@pytest.mark.parametrize("name, low, high", [("tanh", 1e-38, 5e-36), ("exp", -88, -86)])
def test_what_is_flushed_to_zero_is_within_the_absolute_error(kernels, where, name, low, high):
    arguments = np.linspace(low, high, 100000).astype(np.float32)
    for kernel in kernels:
        if kernel.function.name == name:
            bound = bound_of(kernel, where)
            *_, measured = ulp.measure(kernel, iter([arguments]), bound.absolute)
            assert measured.ulp <= bound.ulp, (kernel.op, kernel.shape, measured)


def test_where_the_table_is_worst_of_tanh_is_known_to_be_hard_for_any_engine():
    assert table.worst_arguments("tanh") == ulp.TANH.hard


def test_the_worst_arguments_show_that_no_bound_is_slack(kernels, where):
    """Each bound is within a tenth of an error that is really there."""
    seen, bounds = {}, {}
    for kernel in kernels:
        name = name_of(kernel)
        bounds[name] = bound_of(kernel, where)
        known = iter([known_arguments(kernel)])
        *_, measured = ulp.measure(kernel, known, bounds[name].absolute)
        seen[name] = max(seen.get(name, 0), measured.ulp)
    for name, bound in bounds.items():
        # Of softmax a bound is derived, and in some versions no ULP describes a sigmoid.
        if name[0] in ("tanh", "fused tanh", "log", "exp"):
            assert seen[name] > 0.9 * bound.ulp, (name, seen[name], bound)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def rnndiff_ulp(tensorflow, monkeypatch):
    """A function that measures kernels which compute as `run` does."""
    return partial(_rnndiff_ulp, monkeypatch)


def _rnndiff_ulp(monkeypatch, run, *options):
    kernels = SimpleNamespace(kernels=[kernel_of(run), kernel_of(run, ulp.LOG)])
    monkeypatch.setattr(command, "every_kernel", lambda tf1, mode: [kernels])
    # As on a processor that the table knows.
    xeon = Processor("GenuineIntel", "Xeon", "amx", frozenset())
    monkeypatch.setattr(command, "processor", lambda: xeon)
    return CliRunner().invoke(cli, ["ulp", "--json", "-", "--samples", "1000"] + list(options))


def report(result):
    return json.loads(result.output[result.output.index("{") : result.output.rindex("}") + 1])


def right(x):
    return np.tanh(x.astype(np.float64)).astype(np.float32)


def test_the_command_succeeds_if_the_table_holds(rnndiff_ulp):
    result = rnndiff_ulp(right, "--function", "tanh")
    assert result.exit_code == 0, result.output
    (row,) = report(result)["kernels"]
    assert row["function"] == "tanh" and row["holds"] and row["arguments"] >= 1000


def test_the_command_fails_if_one_argument_is_worse_than_the_table(rnndiff_ulp):
    def run(x):
        return np.where(x == np.float32(16), np.nan, right(x)).astype(np.float32)

    result = rnndiff_ulp(run, "--function", "tanh")
    assert result.exit_code == 1, result.output
    (row,) = report(result)["kernels"]
    assert not row["holds"] and row["ulp"] == "inf" and row["at"] == 16


def test_ctrl_c_keeps_what_was_measured(rnndiff_ulp):
    calls = []

    def run(x):
        calls.append(x)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return right(x)

    result = rnndiff_ulp(run)
    assert result.exit_code == 130, result.output
    (row,) = report(result)["kernels"]
    assert report(result)["interrupted"] and row["function"] == "tanh"
    assert row["arguments"] == len(calls[0]) + len(calls[1])


def test_the_command_names_the_processor_and_what_has_no_row(tensorflow, monkeypatch):
    epyc = Processor("AuthenticAMD", "An unheard-of one", "avx", frozenset())
    kernels = SimpleNamespace(kernels=[kernel_of(right)])
    monkeypatch.setattr(command, "every_kernel", lambda tf1, mode: [kernels])
    monkeypatch.setattr(command, "processor", lambda: epyc)
    result = CliRunner().invoke(cli, ["ulp", "--json", "-", "--samples", "1000"])
    assert result.exit_code == 1 and "no row" in result.output
    assert report(result)["versions"]["processor"] == versions()["processor"]
    (row,) = report(result)["kernels"]
    assert row["table"] is None and not row["holds"] and row["arguments"] >= 1000


def test_the_command_knows_its_functions(rnndiff_ulp):
    # The second is one of other TensorFlows.
    for name, others in (
        ("cosh", "exp, fused sigmoid, fused tanh, log, sig"),
        ("fused tanh", "log, tanh"),
    ):
        result = rnndiff_ulp(right, "--function", name)
        said = "no function {!r} here, only {}".format(name, others)
        assert result.exit_code == 2 and said in result.output
