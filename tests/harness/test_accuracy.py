"""The table of function accuracies, the measurement behind it, and ``rnndiff ulp``."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from harness import accuracy, ulp
from harness.accuracy import TABLE, Accuracy, Entry, accuracies, accuracy_of
from harness.commands import ulp as command
from harness.errors import UserError

MINOR_VERSIONS = [(1, minor) for minor in (13, 14, 15)] + [(2, minor) for minor in range(22)]
MEASURED = [(1, 13), (1, 14), (1, 15), (2, 0), (2, 1), (2, 4), (2, 7), (2, 10), (2, 12), (2, 13)]
MEASURED += [(2, 15), (2, 16), (2, 18), (2, 20), (2, 21)]
NAMES = {"tanh", "exp", "log", "sigmoid", "softmax", "reciprocal"}


# --- the table ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", MINOR_VERSIONS)
@pytest.mark.parametrize("onednn", [True, False])
def test_every_version_has_every_function(version, onednn):
    wanted = NAMES | ({"fused tanh"} if version >= (2, 10) and onednn else set())
    assert wanted <= set(accuracies(version, onednn=onednn))


@pytest.mark.parametrize("version", sorted(set(MINOR_VERSIONS) - set(MEASURED)))
@pytest.mark.parametrize("onednn", [True, False])
def test_an_unmeasured_version_is_trusted_no_more_than_its_neighbours(version, onednn):
    trusted = accuracies(version, onednn=onednn)
    before = max(other for other in MEASURED if other < version)
    after = min(other for other in MEASURED if other > version)
    for neighbour in (before, after):
        for function, known in accuracies(neighbour, onednn=onednn).items():
            assert trusted[function].ulp >= known.ulp
            assert trusted[function].absolute >= known.absolute


def test_there_is_no_fused_tanh_where_nothing_fuses_it():
    assert "fused tanh" not in accuracies((2, 7))
    assert "fused tanh" not in accuracies((2, 21), onednn=False)


def test_a_function_is_as_accurate_as_its_worst_kernel(monkeypatch):
    def entry(kernel, number, absolute, onednn=None):
        return Entry("f", kernel, "float32", (2, 0), (2, 3), number, absolute, "", 0.0, onednn)

    table = (entry("A", 1.0, 0.5), entry("B", 3.0, 0.25), entry("C", 9.0, 9.0, False))
    monkeypatch.setattr(accuracy, "TABLE", table)
    assert accuracies((2, 1)) == {"f": Accuracy(3.0, 0.5)}
    assert accuracies((2, 1), onednn=False) == {"f": Accuracy(9.0, 9.0)}
    assert accuracy_of("f", "A", (2, 1)) == Accuracy(1.0, 0.5)
    assert accuracy_of("g", "A", (2, 1)) is None


@pytest.mark.parametrize("version", [(1, 12), (0, 1)])
def test_a_version_older_than_the_table_is_the_users_to_mend(version):
    with pytest.raises(UserError, match=r"TensorFlow {}\.{} is not measured".format(*version)):
        accuracies(version)


def test_a_version_newer_than_the_table_is_taken_for_the_newest():
    newest = max(entry.last for entry in TABLE)
    assert accuracies((99, 0)) == accuracies(newest)
    assert accuracy_of("tanh", "Tanh", (99, 0)) == accuracy_of("tanh", "Tanh", newest)


def test_a_precision_without_entries_is_the_users_to_mend():
    with pytest.raises(UserError, match="in float64 is not measured"):
        accuracies((2, 21), "float64")


# --- the measurement ----------------------------------------------------------------------------


def test_an_ulp_is_the_distance_to_the_next_float():
    values = np.float32([1.0, 1.5, -3.0, 1e-30, 2.0**-126, 1e-40, 0.0, 3e38])
    spacing = np.spacing(np.abs(values)).astype(np.float64)
    np.testing.assert_array_equal(ulp.ulp_of(values.astype(np.float64)), spacing)


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


@pytest.mark.parametrize("function", [ulp.TANH, ulp.EXP, ulp.LOG, ulp.SOFTMAX_EXP, ulp.RECIPROCAL])
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


def softmax_of(exponential, reciprocal=np.reciprocal):
    """A float32 softmax as TensorFlow computes it, with any exponential and reciprocal."""

    def softmax(rows):
        powers = exponential(rows - rows.max(axis=1, keepdims=True))
        return powers * reciprocal(powers.sum(axis=1, keepdims=True))

    return softmax


def test_exponentials_inside_a_softmax_are_deduced_to_the_last_bit():
    def exponential(x):
        wrong = np.exp(x.astype(np.float64)) * (1 + 2.0**-22 * np.sin(1000 * np.maximum(x, -200)))
        return wrong.astype(np.float32)

    arguments = -np.exp(np.random.RandomState(0).uniform(-8, 4.4, 5000)).astype(np.float32)
    deduced = ulp._ExpOfSoftmax(softmax_of(exponential))
    first, last = deduced.bounds(arguments)
    expected = exponential(arguments)
    assert (first <= expected).all() and (expected <= last).all()
    assert np.mean(first == last) > 0.99
    exact = np.exp(arguments.astype(np.float64))
    assert (ulp.errors(deduced(arguments), exact) >= ulp.errors(expected, exact)).all()


def test_of_several_possible_exponentials_the_worse_one_counts(monkeypatch):
    deduced = ulp._ExpOfSoftmax(lambda rows: rows)
    possible = np.array([0.9, 0.99]), np.array([1.01, 1.1])
    monkeypatch.setattr(deduced, "bounds", lambda x: possible)
    np.testing.assert_array_equal(deduced(np.zeros(2, dtype=np.float32)), [0.9, 1.1])


def test_reciprocals_inside_a_softmax_are_told_from_its_exponentials():
    def inaccurate(x):
        return (1 / x.astype(np.float64) * (1 + 3 * 2.0**-24)).astype(np.float32)

    worst = {}
    for name, reciprocal in (("rounded", np.reciprocal), ("inaccurate", inaccurate)):
        softmax = softmax_of(lambda x: np.exp(x) * np.float32(1 - 2.0**-23), reciprocal)
        run = ulp._ReciprocalOfSoftmax(softmax, ulp._ExpOfSoftmax(softmax))
        arguments = np.random.RandomState(0).uniform(-17, -0.1, 2000).astype(np.float32)
        worst[name] = ulp.errors(run(arguments), run.exact(arguments)).max()
    assert worst["rounded"] <= 0.5 + 8 * 2.0**-29
    assert 2.5 < worst["inaccurate"] < 4


# --- the table and the TensorFlow at hand -------------------------------------------------------


@pytest.fixture(scope="module")
def kernels(tensorflow):
    return ulp.kernels()


def test_the_table_holds_for_the_tensorflow_at_hand(kernels):
    from models.tf1 import VERSION

    for kernel in kernels:
        bound = accuracy_of(kernel.function.name, kernel.op, VERSION)
        assert bound, "no entry for {0.function.name} in {0.op}".format(kernel)
        chunks = command._arguments(kernel, samples=5000, exhaustive=False)
        *_, measured = ulp.measure(kernel, chunks, bound.absolute)
        assert measured.ulp <= bound.ulp, (kernel.op, kernel.shape, measured)


@pytest.mark.parametrize("name, low, high", [("tanh", 1e-38, 5e-36), ("exp", -88, -86)])
def test_what_is_flushed_to_zero_is_within_the_absolute_error(kernels, name, low, high):
    from models.tf1 import VERSION

    arguments = np.linspace(low, high, 100000).astype(np.float32)
    for kernel in kernels:
        if kernel.function.name == name:
            bound = accuracy_of(name, kernel.op, VERSION)
            *_, measured = ulp.measure(kernel, iter([arguments]), bound.absolute)
            assert measured.ulp <= bound.ulp, (kernel.op, kernel.shape, measured)


def test_the_worst_arguments_show_that_no_bound_is_slack(kernels):
    """Each bound is within a tenth of an error that is really there."""
    import platform

    from models.tf1 import VERSION

    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("measured on x86-64")
    seen, bounds = {}, {}
    for kernel in kernels:
        key = (kernel.function.name, kernel.op)
        bounds[key] = accuracy_of(*key, VERSION)
        chunks = command._arguments(kernel, samples=1, exhaustive=False)
        *_, measured = ulp.measure(kernel, chunks, bounds[key].absolute)
        seen[key] = max(seen.get(key, 0), measured.ulp)
    for key, bound in bounds.items():
        # A row of a softmax depends on all of its arguments; Eigen's exp in it is that of Exp.
        if key[0] in ("tanh", "fused tanh", "log") or key == ("exp", "Exp"):
            assert seen[key] > 0.9 * bound.ulp, (key, seen[key], bound)


def test_short_arrays_are_computed_one_by_one(kernels):
    """Grappler would join them into one long array, and the remainders would go unmeasured."""
    short = next(kernel for kernel in kernels if kernel.shape == "arrays of 1 to 17")
    assert sum(node.op == "Tanh" for node in short.run.graph.nodes()) == ulp.PIECES


def test_the_fused_tanh_is_measured_where_there_is_one(kernels):
    from models.tf1 import VERSION

    fused = [kernel for kernel in kernels if kernel.function.name == "fused tanh"]
    assert bool(fused) == (VERSION >= (2, 10) and ulp.onednn())


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def rnndiff_ulp(tensorflow, monkeypatch):
    """A function that measures kernels which compute as `run` does."""

    def invoke(run, *options):
        monkeypatch.setattr(ulp, "kernels", lambda: [kernel_of(run), kernel_of(run, ulp.LOG)])
        return CliRunner().invoke(command.ulp, ["--json", "-", "--samples", "1000"] + list(options))

    return invoke


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


def test_the_command_knows_its_functions(rnndiff_ulp):
    result = rnndiff_ulp(right, "--function", "cosh")
    assert result.exit_code == 2 and "no function 'cosh' here, only log, tanh" in result.output
