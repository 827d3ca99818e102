"""Engines whose arithmetic is stated rightly are not blamed; with a mistake planted, they are."""

import numpy as np
import pytest
from judging import batches, blamed, cases_until_blamed, computes

from harness import measure
from harness.arithmetic import arithmetic
from harness.case import Case
from harness.errors import UserError
from harness.subjects import Subject
from harness.subjects.named import subject_named

ENGINES = {
    "onnxruntime": "harness.subjects.onnxruntime:OnnxRuntime",
    "keras3": "harness.subjects.keras3:Keras3",
}
MODELS = ("bidirectional", "seq2seq")


@pytest.fixture(scope="module", params=sorted(ENGINES))
def engine(request):
    return _engine(request.param)


def _engine(name):
    try:
        return subject_named(ENGINES[name])
    except UserError as error:
        pytest.skip(str(error))


def test_an_engine_is_not_blamed(engine):
    reports = blamed(engine, MODELS, 250)
    assert not reports, reports[0]


@pytest.mark.slow
def test_an_engine_is_not_blamed_in_10000_cases(engine):
    reports = blamed(engine, MODELS, 10000, seed=1)
    assert not reports, reports[0]


def test_few_cases_are_left_out(engine):
    """Of none is that wanted but of those with an array without elements."""
    drawn = list(batches(MODELS, 10000))
    left = [cases for cases in drawn if not computes(engine)(cases[0].config)]
    assert all(0 in cases[0].config.sizes().values() for cases in left)
    assert len(left) < len(drawn) / 4


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
        self.known, self.computes = engine.known, computes(engine)

    def __call__(self, case):
        with np.errstate(invalid="ignore", over="ignore"):
            changed = self._change(case)
        return self._engine(Case(case.model, case.config, dict(case.arrays, **changed)))

    def arithmetic(self, case):
        return self._engine.arithmetic(case)


@pytest.mark.parametrize("mistake", [bias_left_out, rows_swapped, one_unit_imprecise])
def test_an_engine_with_a_mistake_is_blamed(engine, mistake):
    assert cases_until_blamed(Mistaken(engine, mistake), MODELS, 250)


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
    measured = measure.measured(engine, MODELS, 100000)
    reports = blamed(Stated(engine, measured.arithmetic()), MODELS, 2000, seed=2)
    assert not reports, reports[0]


def test_stated_as_if_it_were_another_an_engine_is_blamed():
    engine = _engine("onnxruntime")
    accurate = {"tanh": measure.Accuracy(4, 2.0**-126)}
    assert cases_until_blamed(Stated(engine, arithmetic("float32", accurate)), MODELS, 2000)
