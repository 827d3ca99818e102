"""Engines whose arithmetic is stated rightly are not blamed; with a mistake planted, they are."""

import sys
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from judging import batches, blamed, cases_until_blamed

from rnndiff.harness.cases.case import Case, smallest_case
from rnndiff.harness.checking.verdicts import verdict_on, verdicts_on
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.judging.verdict import AGREE, DISAGREE, KNOWN, TEACHER_FORCED, judge
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, exact_stack
from rnndiff.harness.subjects import Subject, jax, litert, litert_divergences, measure, weights
from rnndiff.harness.subjects.float32 import Float32
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.subjects.subject import Wrapper
from rnndiff.models.cells.layouts import GRU, LSTM

# What is installed where an engine can be asked for.
PACKAGES = {
    "jax": ("jax", "flax"),
    "keras3": ("tensorflow", "keras"),
    "litert": ("tensorflow",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnx", "onnxruntime"),
    "torch": ("torch",),
}
MODELS = ("bidirectional", "seq2seq")
# Models of one layer, of which those that are computed have all of the engine's cells.
_OF_ONNX = ("rnn-basic", "birnn-basic-lstm", "rnn-gru", "birnn-lstm@onnx", "rnn-gru@pytorch")
OF_CELLS = {
    "jax": ("rnn-basic", "birnn-basic-lstm", "rnn-gru@keras"),
    "litert": ("rnn-basic", "birnn-lstm", "rnn-gru"),
    "onnx": _OF_ONNX,
    "onnxruntime": _OF_ONNX,
    "torch": (
        "rnn-basic",
        "birnn-basic-lstm",
        "rnn-lstm",
        "birnn-lstm@pytorch",
        "rnn-gru@pytorch",
        "birnn-gru@onnx",
    ),
}
# Of cases: whose shapes are each compiled, or converted, are tried on fewer.
COUNTS = {"jax": 200, "litert": 200}
MODES = [("litert", "builtin"), ("torch", "onednn-off"), ("torch", "cells")]
OF_TENSORFLOW = ("keras3", "litert")
LARGEST = float(np.finfo(np.float32).max)


LEFT_OUT = set()


@pytest.fixture(scope="module", autouse=True)
def left_out(request):
    if request.config.getoption("--without-tensorflow"):
        LEFT_OUT.update(OF_TENSORFLOW)


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def engine(request):
    return _engine(request.param)


def _engine(name, mode=""):
    """An engine; skipped where it is not installed. One that is but does not work fails."""
    missing = _missing(name)
    if missing:
        pytest.skip(missing)
    return subject_named(name, mode=mode)


def _missing(name):
    """What is not installed of what an engine needs, in a sentence; empty if nothing is."""
    if name in LEFT_OUT:
        return "--without-tensorflow"
    if sys.version_info < (3, 10):
        return "{} is for Python 3.10 and later".format(name)
    for package in PACKAGES[name]:
        if find_spec(package) is None:
            return "{} needs {}, which is not installed".format(name, package)
    if name == "litert":
        from rnndiff.models import tf1

        if tf1.VERSION < litert.OLDEST:
            return "litert needs TensorFlow {}.{} and later".format(*litert.OLDEST)
    if name == "keras3":
        # Up to 2.15, TensorFlow comes with Keras 2.
        from importlib.metadata import version

        if version("keras").startswith("2."):
            return "keras3 needs Keras 3, and Keras {} is installed".format(version("keras"))
    return ""


@pytest.mark.skipif(sys.version_info < (3, 10), reason="no engine is for this Python")
def test_an_engine_that_is_installed_and_does_not_work_fails(monkeypatch):
    monkeypatch.setitem(PACKAGES, "onnxruntime", ("sys",))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    # A skip that went through would skip this test.
    with pytest.raises((UserError, pytest.skip.Exception)) as raised:
        _engine("onnxruntime")
    assert raised.type is UserError


@pytest.mark.skipif(sys.version_info < (3, 10), reason="no engine is for this Python")
def test_an_engine_that_is_not_installed_is_skipped_and_what_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(PACKAGES, "onnxruntime", ("sys", "no_such_package"))
    with pytest.raises(pytest.skip.Exception, match="no_such_package, which is not installed"):
        _engine("onnxruntime")


class _Broken:
    """A finder of modules that has one which cannot be loaded."""

    def __init__(self, name):
        self._name = name

    def find_spec(self, name, path, target=None):
        if name == self._name:
            raise OSError("libfirst.so: cannot open shared object file")


@pytest.mark.skipif(sys.version_info < (3, 10), reason="no engine is for this Python")
@pytest.mark.parametrize(
    "name, package",
    [("jax", "flax"), ("onnx", "onnx"), ("onnxruntime", "onnx"), ("torch", "torch")],
)
def test_an_engine_that_is_broken_says_what_to_do(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, package)
    monkeypatch.setattr(sys, "meta_path", [_Broken(package)] + sys.meta_path)
    with pytest.raises(UserError, match=r"^This needs .* \(OSError: libfirst.so.*\): run pip"):
        subject_named(name)


@pytest.mark.parametrize(
    "name, method", [("jax", "layer"), ("litert", "_new_converted"), ("torch", "layer")]
)
def test_any_error_of_an_engine_is_one_of_the_subject(monkeypatch, name, method):
    class ConverterError(Exception):
        """As TensorFlow's, which is no RuntimeError."""

    def fails(*args):
        raise ConverterError("no such operation")

    engine = _engine(name)
    monkeypatch.setattr(engine, method, fails)
    with pytest.raises(SubjectError, match="^ConverterError: no such operation$"):
        engine(smallest_case("bidirectional", {}, {}))


def test_litert_without_tensorflow_says_what_to_do(monkeypatch):
    models = sys.modules["rnndiff.models"]
    monkeypatch.setitem(sys.modules, "rnndiff.models.tf1", None)
    monkeypatch.delattr(models, "tf1", raising=False)
    with pytest.raises(UserError, match=r"^This needs TensorFlow .*\[tensorflow\]"):
        subject_named("litert")


@pytest.mark.parametrize("weight, status", [(0.5, AGREE), (np.nan, KNOWN)])
def test_litert_does_without_weights_of_which_nothing_comes(weight, status):
    """Of one step from a state of zeros, peepholes are times zero, and the converter knows it."""
    case = smallest_case("rnn-lstm", {"use_peepholes": True}, {})
    for array in case.arrays.values():
        array[:] = 0.5
    case.arrays["cell/w_f_diag"][:] = weight
    verdict, _ = verdict_on(_engine("litert"), case)
    assert verdict.status == status, verdict.summary()


def test_litert_refuses_weights_that_the_converter_has_computed_with():
    engine = _engine("litert")
    from rnndiff.models import graphs
    from rnndiff.models.tf1 import tf1

    def build(config):
        graph = tf1.Graph()
        with graph.as_default():
            x = tf1.placeholder(tf1.float32, (2,))
            weight = tf1.get_variable("weight", (2,), tf1.float32)
            trace = {"outputs": x * (weight * weight)}
        return graphs.Graph(graph, {"x": x}, [weight], trace)

    model = SimpleNamespace(graph=lambda: SimpleNamespace(build=build))
    with pytest.raises(ValueError, match="^the converter has computed with weights$"):
        engine._new_converted(model, None)


def test_an_engine_is_not_blamed(engine):
    reports = blamed(engine, MODELS, 250)
    assert not reports, reports[0]


@pytest.mark.slow
def test_an_engine_is_not_blamed_in_many_cases(engine):
    reports = blamed(engine, MODELS, 5 * COUNTS.get(engine.name, 2000), seed=1)
    assert not reports, reports[0]


@pytest.mark.parametrize("name", sorted(OF_CELLS))
def test_layers_of_an_engine_are_not_blamed(name):
    reports = blamed(_engine(name), OF_CELLS[name], COUNTS.get(name, 500))
    assert not reports, reports[0]


@pytest.mark.parametrize("name, mode", MODES)
def test_an_engine_is_not_blamed_in_another_mode(name, mode):
    reports = blamed(_engine(name, mode), OF_CELLS[name] + MODELS, COUNTS.get(name, 500), seed=1)
    assert not reports, reports[0]


@pytest.mark.slow
def test_compiled_steps_of_torch_are_not_blamed():
    reports = blamed(_engine("torch", "compile"), ("rnn-gru@pytorch",), 500)
    assert not reports, reports[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OF_CELLS))
def test_layers_of_an_engine_are_not_blamed_in_many_cases(name):
    reports = blamed(_engine(name), OF_CELLS[name], 5 * COUNTS.get(name, 1000), seed=1)
    assert not reports, reports[0]


@pytest.fixture(scope="module")
def kinds_of_cases():
    return [(cases[0].model, cases[0].config) for cases in batches(MODELS, 10000)]


def test_few_cases_are_left_out(engine, kinds_of_cases):
    """Of none is that wanted but of those with an array without elements."""
    left = [config for model, config in kinds_of_cases if not engine.supports(model, config)]
    assert all(0 in config.sizes().values() for config in left)
    assert len(left) < len(kinds_of_cases) / 4


# --- known divergences --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, mode, entry",
    [
        ("litert", "", "litert-arg-max-of-nan"),
        ("litert", "", "litert-zero-state-times-nan"),
        ("litert", "", "xnnpack-sigmoid-of-huge-numbers"),
        ("litert", "", "xnnpack-leaves-products-that-are-clipped"),
        ("litert", "builtin", "litert-zero-state-times-nan"),
        ("litert", "builtin", "litert-clips-to-the-largest-number"),
        ("litert", "builtin", "litert-clips-nan"),
        ("litert", "builtin", "litert-loss-of-nan"),
        ("onnx", "", "onnx-dot-skips-zero-times-nan"),
        ("onnx", "", "onnx-lstm-multiplies-peepholes-that-are-not-there"),
        ("onnxruntime", "", "onnxruntime-gates-of-no-rows"),
        ("onnxruntime", "", "onnxruntime-gates-read-nan-as-largest"),
        ("onnxruntime", "", "onnxruntime-row-of-length-0-loses-its-state"),
    ],
)
def test_what_an_engine_does_otherwise_is_still_so(name, mode, entry):
    """One that is gone, or that another version does not have, is to be taken off."""
    engine = _engine(name, mode)
    (known,) = [each for each in engine.known if each.name == entry]
    case = known.minimal.case()
    (_, found) = verdicts_on(engine, [case])
    assert [each[-1].status for each in found] == [KNOWN]
    assert found[0][-1].known == (entry,)


class Altered(Wrapper):
    """An engine of whose trace an array is another one."""

    def __init__(self, engine, name, alter):
        super().__init__(engine)
        self._name, self._alter = name, alter

    def __call__(self, case):
        trace = dict(super().__call__(case))
        return dict(trace, **{self._name: self._alter(trace[self._name])})


@pytest.mark.parametrize(
    "mode, entry, name, alter",
    [
        ("", "litert-arg-max-of-nan", "predictions", lambda x: x * 0 + 1),
        ("", "litert-zero-state-times-nan", "states_c", lambda x: x + 1),
        ("", "xnnpack-sigmoid-of-huge-numbers", "states_h", lambda x: np.zeros_like(x)),
        ("", "xnnpack-leaves-products-that-are-clipped", "states_h", lambda x: x / 2),
        ("builtin", "litert-clips-to-the-largest-number", "scores", lambda x: x / 2),
        ("builtin", "litert-clips-nan", "states_c", lambda x: -x),
        ("builtin", "litert-loss-of-nan", "loss", lambda x: x + 1),
    ],
)
def test_an_entry_of_litert_excuses_no_other_number(mode, entry, name, alter):
    engine = _engine("litert", mode)
    (known,) = [each for each in engine.known if each.name == entry]
    (_, found) = verdicts_on(Altered(engine, name, alter), [known.minimal.case()])
    assert [each[-1].status for each in found] == [DISAGREE]


def test_a_huge_number_of_which_the_sigmoid_is_right_hides_no_other_divergence_of_litert():
    case, huge = smallest_case("rnn-basic-lstm", {}, {}), 1.01 * litert_divergences._HUGE
    # The gates are i, j, f, o; what f forgets is zero.
    case.arrays["cell/bias"][:] = [huge, 0, np.nan, 0]
    engine = _engine("litert")
    verdict, _ = verdict_on(engine, case)
    assert verdict.known == ("litert-zero-state-times-nan",), verdict.summary()


# What is made of an infinite product and a bias, by a kernel with one column and by one with two;
# behind a condition, where a sum follows the product, and elsewhere, where both are one operation.
@pytest.mark.parametrize(
    "mode, conditional, units, bias, expected",
    [
        ("", True, 1, -np.inf, -np.inf),
        ("", True, 1, -1e38, LARGEST - 1e38),
        ("", True, 2, -1e38, np.inf),
        ("", False, 1, -1e38, np.inf),
        ("builtin", True, 1, -np.inf, -LARGEST),
        ("builtin", True, 1, -1e38, LARGEST - 1e38),
        ("builtin", True, 2, -1e38, LARGEST),
        ("builtin", True, 2, -np.inf, np.nan),
        ("builtin", False, 1, -1e38, LARGEST),
    ],
)
def test_litert_clips_products_where_the_entries_say_so(mode, conditional, units, bias, expected):
    sizes = {"activation": "linear", "sequence_length": conditional, "num_units": units}
    case = smallest_case("rnn-basic", sizes, {})
    case.arrays["cell/kernel"][0], case.arrays["cell/bias"][:] = np.inf, bias
    case.arrays["inputs"][:] = 1
    if conditional:
        case.arrays["sequence_length"][:] = 1
    engine = _engine("litert", mode)
    np.testing.assert_allclose(engine(case)["states_h"], np.float32(expected), rtol=1e-6)
    verdict, _ = verdict_on(engine, case)
    assert verdict.status != DISAGREE, verdict.summary()


def test_a_loss_of_litert_is_predicted_as_precisely_as_it_is_judged():
    case = smallest_case("bidirectional", {"outputs": 3}, {})
    case.arrays["projection/bias"][:], case.arrays["labels"][:] = [0.5, 1.0, -2.0], [0, 0, 1]
    trace = Float32()(case)
    judged = judge(case, trace, litert.ARITHMETICS[litert.BUILTIN]).arrays
    (loss,) = [each for each in judged if (each.name, each.run) == ("loss", TEACHER_FORCED)]
    entries = ("litert-clips-to-the-largest-number", "litert-loss-of-nan")
    known = [each for each in litert.KNOWN[litert.BUILTIN] if each.name in entries]
    predicted = [each.instead(case, trace, loss)[1:] for each in known]
    assert predicted == [(loss.expected, loss.bound)] * 2


@pytest.mark.parametrize("alter, status", [(lambda x: x, KNOWN), (lambda x: x / 2, DISAGREE)])
def test_a_loss_of_litert_with_an_infinite_label_is_excused_if_it_is_the_largest(alter, status):
    case = smallest_case("bidirectional", {"outputs": 3, "batch": 4}, {})
    case.arrays["labels"][2] = [-0.8, np.inf, 1.2]
    (_, found) = verdicts_on(Altered(_engine("litert", "builtin"), "loss", alter), [case])
    assert [each[-1].status for each in found] == [status]


def test_at_most_the_largest_number_is_what_overflows_of_what_is_known():
    """What is unknown may be NaN, and is so then; stacked, an operand may have fewer axes."""
    stated, largest = litert.ARITHMETICS[litert.BUILTIN], np.finfo(np.float32).max
    balls = BoundedArray(
        np.array([[3.4e38, 1.0]]), np.array([[2e36, np.inf]]), stated, stacked=True
    )
    by_one = exact_stack(np.ones((1, 3, 2), np.float32), stated)
    found = litert_divergences._multiply(by_one, balls)
    assert found.unknown()[..., 1].all() and not found.unknown()[..., 0].any()
    least, most = found.ends()
    assert (least[..., 0] < 3.38e38).all() and (most[..., 0] >= largest).all()
    assert (least[..., 0] > 3.3e38).all()


@pytest.mark.parametrize("outputs", [1, 3, 4, 7, 8, 9, 17])
def test_the_arg_max_of_litert_is_that_of_the_entry(outputs):
    """Of all that is no case: rows of NaN, infinities, ties and the lowest number."""
    engine = _engine("litert")
    numbers = [np.nan, -np.inf, np.inf, 2.0, -1.0, np.finfo(np.float32).min]
    rows = np.random.RandomState(outputs).choice(numbers, (500, outputs)).astype(np.float32)
    case = smallest_case("bidirectional", {"outputs": outputs, "batch": 500}, {})
    case.arrays["labels"][:] = rows
    for place in range(outputs):
        bias = case.arrays["projection/bias"]
        bias[:], bias[place] = 0, 1
        right = np.mean(litert_divergences.in_lanes(rows) == place)
        assert abs(engine(case)["accuracy"] - right) < 1e-6


# --- mistakes -----------------------------------------------------------------------------------


def bias_left_out(case):
    return {name: 0 * array for name, array in case.arrays.items() if name.endswith("bias")}


def rows_swapped(case):
    """The kernels are multiplied by [h; x], not [x; h]."""
    units = case.config.num_units
    return {
        name: np.roll(array, units, axis=0)
        for name, array in case.arrays.items()
        if name.endswith("kernel") and not name.startswith("projection")
    }


def one_unit_imprecise(case):
    """What the first unit of every cell reads is off by a thousandth."""
    changed = {}
    for name, array in case.arrays.items():
        if name.endswith(("kernel", "bias")) and not name.startswith("projection"):
            changed[name] = array.copy()
            changed[name][..., :1] *= np.float32(1.001)
    return changed


class Mistaken(Subject):
    """An engine that is given other weights than it should."""

    def __init__(self, engine, change):
        self._engine, self._change = engine, change
        self.known, self.supports = engine.known, engine.supports

    def __call__(self, case):
        with np.errstate(invalid="ignore", over="ignore"):
            changed = self._change(case)
        return self._engine(Case(case.model, case.config, dict(case.arrays, **changed)))

    def arithmetic(self, case):
        return self._engine.arithmetic(case)


@pytest.mark.parametrize("mistake", [bias_left_out, rows_swapped, one_unit_imprecise])
def test_an_engine_with_a_mistake_is_blamed(engine, mistake):
    assert cases_until_blamed(Mistaken(engine, mistake), MODELS, 250)


GATES = {
    "onnx": [("rnn-lstm@onnx", "onnx", {LSTM: "ifog"}), ("rnn-gru@onnx", "onnx", {GRU: "rzn"})],
    "onnxruntime": [
        ("rnn-lstm@onnx", "onnx", {LSTM: "ifog"}),
        ("rnn-gru@onnx", "onnx", {GRU: "rzn"}),
    ],
    "torch": [
        ("rnn-lstm@pytorch", "pytorch", {LSTM: "ifog"}),
        ("rnn-gru@pytorch", "pytorch", {GRU: "zrn"}),
    ],
}


@pytest.mark.parametrize(
    "name, model, layout, gates",
    [(name, *each) for name, mistakes in sorted(GATES.items()) for each in mistakes],
)
def test_gates_in_another_order_are_found(monkeypatch, name, model, layout, gates):
    engine = _engine(name)
    right = weights.LAYOUTS[layout]
    wrong = right._replace(gates=dict(right.gates, **gates))
    monkeypatch.setattr(weights, "LAYOUTS", dict(weights.LAYOUTS, **{layout: wrong}))
    assert cases_until_blamed(engine, (model,), 250)


def test_gates_of_flax_in_another_order_are_found(monkeypatch):
    engine = _engine("jax")
    right = jax._parameters

    def swapped(cell):
        gates = dict(cell.gates, i=cell.gates["f"], f=cell.gates["i"])
        return right(cell._replace(gates=gates))

    monkeypatch.setattr(jax, "_parameters", swapped)
    assert cases_until_blamed(engine, ("rnn-lstm@pytorch",), 250)


def test_flax_may_compute_a_final_state_and_the_output_that_it_is_apart():
    sizes = {"batch": 8, "num_units": 3, "sequence_length": True, "initial_state": True}
    row = np.arange(8) == 4
    numbers = {
        "cell/kernel": np.eye(4, 12, 3),
        "cell/bias": np.where(np.arange(12) == 0, -1.0, 0.0),
        "inputs": -100.0 * row[:, None, None],
        "initial_c": row[:, None] * np.eye(1, 3),
        "sequence_length": 1,
    }
    case = smallest_case("rnn-basic-lstm", dict(sizes, activation="linear"), numbers)
    assert verdict_on(_engine("jax"), case)[0].status != DISAGREE


# --- stated as measured -------------------------------------------------------------------------


class Stated(Mistaken):
    """An engine of which another arithmetic is stated."""

    def __init__(self, engine, arithmetic):
        super().__init__(engine, lambda case: {})
        self._stated = arithmetic

    def arithmetic(self, case):
        return self._stated


@pytest.mark.slow
def test_stated_as_measured_an_engine_is_not_blamed():
    engine = _engine("onnxruntime")
    measured = measure.measure_subject(engine, MODELS, 100000)
    reports = blamed(Stated(engine, measured.arithmetic()), MODELS, 2000, seed=2)
    assert not reports, reports[0]


def test_stated_as_if_it_were_another_an_engine_is_blamed():
    engine = _engine("onnxruntime")
    accurate = {"tanh": Accuracy(4, 2.0**-126)}
    assert cases_until_blamed(Stated(engine, arithmetic("float32", accurate)), MODELS, 2000)
