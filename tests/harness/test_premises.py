"""What the bounds presume of the TensorFlow at hand: looked up, tried, and measured if need be."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.subjects import ulp
from rnndiff.harness.subjects.tensorflow import accuracy as table
from rnndiff.harness.subjects.tensorflow import kernels, premises
from rnndiff.models.environment import Processor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNKNOWN = Processor("AuthenticAMD", "An unheard-of one", "avx2", frozenset())


# --- where a bias is added ----------------------------------------------------------------------


def in_lanes(x, w, lanes):
    """The terms ``x w`` in float32, [lanes, steps, batch, units]; zeros fill up the last step."""
    terms = x.T[:, :, None] * w[:, None, :]
    missing = -len(terms) % lanes
    terms = np.concatenate([terms, np.zeros((missing,) + terms.shape[1:], np.float32)])
    return terms.reshape((-1, lanes) + terms.shape[1:]).swapaxes(0, 1)


def added(start, terms):
    for term in terms:
        start = start + term
    return start


def bias_last(x, w, b, lanes=1):
    sums = [added(np.float32(0), lane) for lane in in_lanes(x, w, lanes)]
    return added(np.float32(0), sums) + b


def bias_first(x, w, b):
    return added(b, in_lanes(x, w, 1)[0])


def bias_in_a_lane(x, w, b):
    first, *others = in_lanes(x, w, 16)
    return added(added(b, first), [added(np.float32(0), lane) for lane in others])


def bias_before_the_last_block(x, w, b):
    (terms,) = in_lanes(x, w, 1)
    half = len(terms) // 2
    return (added(np.float32(0), terms[:half]) + b) + added(np.float32(0), terms[half:])


def seen_last(product, with_tanh):
    function = np.tanh if with_tanh else (lambda x: x)

    def run(*arrays):
        parts = zip(arrays[::3], arrays[1::3], arrays[2::3])
        return [function(product(*part)).astype(np.float32) for part in parts]

    return kernels.bias_is_last(run, with_tanh)


@pytest.mark.parametrize("with_tanh", [False, True])
@pytest.mark.parametrize("lanes", [1, 8, 16])
def test_a_bias_that_is_added_last_is_seen_to_be_whatever_the_order_of_the_sum(with_tanh, lanes):
    assert all(seen_last(lambda x, w, b: bias_last(x, w, b, lanes), with_tanh))


@pytest.mark.parametrize("with_tanh", [False, True])
@pytest.mark.parametrize("product", [bias_first, bias_in_a_lane, bias_before_the_last_block])
def test_a_bias_that_is_added_elsewhere_is_seen(product, with_tanh):
    last = seen_last(product, with_tanh)
    # Of three factors there is little to swallow.
    assert not any(last[i] for i, (factors, _) in enumerate(kernels.PRODUCTS) if factors > 60)


def test_terms_of_the_products_add_up_exactly_and_are_less_than_half_an_ulp_of_their_bias():
    products, wanted = kernels.adversarial_products(2, 1.0, with_tanh=False)
    for (x, w, b), (ones, first, nothing) in zip(products, wanted):
        terms = x[0].astype(np.float64)[:, None] * w.astype(np.float64)
        assert (np.abs(terms) < np.spacing(b) / 2).all()
        total = terms.sum(axis=0)
        assert (total.astype(np.float32) == total).all()
        np.testing.assert_array_equal((ones @ first + nothing)[0], total.astype(np.float32) + b)


# --- the TensorFlow at hand ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def tf1(tensorflow):
    from rnndiff.models import tf1

    return tf1


@pytest.fixture
def few_samples(monkeypatch):
    monkeypatch.setattr(premises, "SAMPLES", 3000)


def test_what_the_table_covers_is_taken_from_it(tf1):
    where = table.place(tf1.VERSION, premises.processor())
    found = premises.premises_of(tf1)
    rows = {name: premises.stated(name, where) for name in found.functions}
    if None in rows.values():
        pytest.skip("the table does not cover {}".format(where))
    assert found.functions == rows
    assert found.text.startswith("accuracy of functions: " + table.source(tf1.VERSION))
    assert where.processor in found.text


def test_on_an_unknown_processor_functions_are_measured_and_that_is_said(
    tf1, monkeypatch, few_samples
):
    monkeypatch.setattr(premises, "processor", lambda: UNKNOWN)
    found = premises.premises_of(tf1)
    assert "measured here on" in found.text and "AuthenticAMD avx2" in found.text
    where = table.place(tf1.VERSION, UNKNOWN)
    for name, accuracy in found.functions.items():
        assert name[0] in found.text
        assert accuracy.ulp >= table.nearest(*name, where).ulp


@pytest.mark.parametrize("count", [0, 2])
def test_it_is_said_where_a_bias_is_presumed_to_be_added(tf1, monkeypatch, count):
    biased = frozenset(("_MklNativeFusedMatMul", frozenset([str(k)])) for k in range(count))
    monkeypatch.setattr(premises, "biased_kernels", lambda tf1, compiled, mode: biased)
    said = (
        "fused kernels that add the bias last, as was tried here: 2"
        if count
        else "fused kernels may add the bias anywhere"
    )
    assert "; " + said in premises.premises_of(tf1).text


def test_nan_hides_nothing_of_what_is_measured_and_that_is_said(tf1, monkeypatch, few_samples):
    calls = []

    def exact(x):
        return np.tanh(x.astype(np.float64))

    def tanh(x):
        calls.append(len(x))
        result = (exact(x) + 50 * ulp_of(exact(x))).astype(np.float32)
        result[:2] = np.nan
        return result

    kernel = ulp.Kernel(ulp.TANH, "Tanh", "one", tanh, exact, ulp.TANH.dense)
    alone = SimpleNamespace(kernels=[kernel], probe=lambda known: [])
    monkeypatch.setattr(premises, "every_kernel", lambda tf1, mode: [alone])
    monkeypatch.setattr(premises, "processor", lambda: UNKNOWN)
    found = premises.premises_of(tf1)
    # To round what is 50 ULP off moves it by one more at most, across a power of two.
    assert 50 < found.functions["tanh", "Tanh"].ulp / premises.MARGIN <= 51
    said = "measured here on {:,} arguments (but for {} that it gets infinitely wrong)"
    assert said.format(sum(calls), 2 * len(calls)) in found.text


class _Any(tuple):
    def __contains__(self, processor):
        return True


ANY = _Any()


def test_what_is_worse_than_its_row_is_measured_and_that_is_said(tf1, monkeypatch, few_samples):
    better = tuple(
        row._replace(ulp=2.0) if row.function == "tanh" else row._replace(processors=ANY)
        for row in table.TABLE
    )
    monkeypatch.setattr(table, "TABLE", better)
    found = premises.premises_of(tf1)
    assert "tanh (Tanh) measured here on" in found.text
    # It is really off by more than 5 ULP, everywhere and in every version.
    assert found.functions["tanh", "Tanh"].ulp > 5 * premises.MARGIN


def test_a_margin_makes_up_for_what_a_sample_misses(tf1):
    where = table.place(tf1.VERSION, premises.processor())
    # A figure that is derived is more than a sample has to reach: that is what was seen.
    less = {(row.function, row.kernel, row.ulp): row.seen for row in table.TABLE if row.seen}
    seen = {}
    for kernel in premises.every_kernel(tf1)[0].kernels:
        name = premises.name_of(kernel)
        # Where the table does not cover this place, what it has of the nearest is what to reach.
        known = premises.stated(name, where) or table.nearest(*name, where)
        if known.absolute > table.MULTIPLIED:
            # A sigmoid of 1.x, 2.0 or 2.2 to 2.9, whose errors are absolute: none is left beyond.
            assert name == ("sigmoid", "Sigmoid")
            continue
        # Without the arguments that are known to be the worst.
        chunks = ulp.sample(kernel.function, premises.SAMPLES)
        *_, measured = ulp.measure(kernel, chunks, known.absolute)
        worst = less.get((*name, known.ulp), known.ulp)
        seen[name] = (max(measured.ulp, seen.get(name, (0.0,))[0]), worst)
    assert {"tanh", "exp", "log", "softmax"} <= {function for function, _ in seen}
    for (function, kernel), (measured, known) in seen.items():
        assert premises.margin(function) * measured >= known, (function, kernel, measured, known)


SCRIPT = """
import numpy as np
from rnndiff.models import tf1
from rnndiff.harness.subjects.tensorflow.kernels import XLA, Kernels

kernels = Kernels(tf1, compiled=True)
forms, session = kernels._forms, kernels._running.session
assert {kernel.op for kernel in kernels.kernels} == {XLA}
assert {"tanh", "exp", "log", "softmax"} <= {kernel.function.name for kernel in kernels.kernels}
from rnndiff.harness.subjects.tensorflow import kernels as tensorflow_kernels
arrays = [np.full(form.size, -0.5, np.float32) for form in forms]
kernels._run(forms, arrays)
metadata = tf1.tf1.RunMetadata()
session.run(
    [form.output for form in forms],
    tensorflow_kernels._feed(forms, arrays),
    tf1.tf1.RunOptions(trace_level=tf1.tf1.RunOptions.FULL_TRACE),
    metadata,
)
ran = [n.timeline_label for device in metadata.step_stats.dev_stats for n in device.node_stats]
ran = [label.partition(" = ")[2].partition("(")[0] for label in ran]
assert "_XlaRun" in ran, ran
assert not set(ran) & {"Tanh", "Exp", "Log", "Softmax", "_MklSoftmax"}, ran
assert not any("PartitionedCall" in name for name in ran), ran
print("compiled")
"""


@pytest.mark.slow
def test_what_is_measured_of_xla_is_compiled_by_it(tf1):
    flags = "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"
    environment = dict(os.environ, TF_XLA_FLAGS=flags, PYTHONPATH=ROOT)
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, env=environment, cwd=ROOT
    )
    assert run.returncode == 0 and b"compiled" in run.stdout
