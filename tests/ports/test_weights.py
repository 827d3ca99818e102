"""Weights of plain cells, as models have them, reach the layout that an engine wants."""

from dataclasses import replace

import numpy as np
import pytest

from rnndiff.harness.cases.random_cases import model_named, normal_case
from rnndiff.harness.subjects.weights import plain_cell, weights_of
from rnndiff.models import find
from rnndiff.models.cells.layouts import LAYOUTS


def case_of(name, **options):
    model = model_named(name)
    return normal_case(
        np.random.RandomState(0), model, replace(model.Config(2, 3, 4, 5), **options)
    )


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("cell", ["basic", "basic-lstm", "lstm", "gru"])
def test_weights_of_a_layout_are_laid_out_as_they_were(cell, layout):
    case = case_of("rnn-{}@{}".format(cell, layout))
    found = weights_of(case.config, case.parameters).laid_out(layout)
    wanted = [x[0] for x in case.parameters] if LAYOUTS[layout].directions else case.parameters
    assert len(found) == len(wanted)
    assert all(np.array_equal(*pair) for pair in zip(found, wanted))


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("cell", ["basic", "basic-lstm", "lstm", "gru"])
def test_cells_of_tensorflow_compute_the_same_in_a_layout(cell, layout):
    case = case_of("rnn-" + cell, **{} if cell in ("basic", "gru") else {"forget_bias": 0.5})
    model = find("rnn-{}@{}".format(cell, layout))
    after = {"reset_after": False} if hasattr(model.Config, "reset_after") else {}
    if cell == "gru" and not after:
        pytest.skip("{} has no such GRU".format(layout))
    laid_out = weights_of(case.config, case.parameters).laid_out(layout)
    if LAYOUTS[layout].directions:
        laid_out = [x[None] for x in laid_out]
    config = model.Config(2, 3, 4, 5, **after)
    trace = model.compute(config, laid_out, *case.data)
    for name, array in case.oracle("float32").items():
        np.testing.assert_allclose(trace[name], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name, options",
    [
        ("rnn-lstm", {"use_peepholes": True}),
        ("rnn-lstm", {"cell_clip": 0.5}),
        ("rnn-lstm", {"num_proj": 2, "proj_clip": 0.5}),
        ("rnn-layers", {}),
        ("rnn-dropout-lstm", {}),
        ("rnn-layer-norm-lstm", {}),
        ("rnn-gru-block", {}),
        ("keras-lstm", {}),
    ],
)
def test_a_cell_that_has_more_is_not_plain(name, options):
    config = model_named(name).article
    assert plain_cell(replace(config, **options)) is None
