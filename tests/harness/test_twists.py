"""Twists: numbers are brought to where engines differ, and nothing else changes."""

import numpy as np
import pytest
from examples import random_case

from rnndiff.harness.cases.case import PRECISIONS
from rnndiff.harness.cases.frequencies import traits
from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.cases.twists import EVERY, TWISTS, apply_twist, branches_of, twist_of
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.models import MODELS


@pytest.mark.parametrize("twist", TWISTS)
@pytest.mark.parametrize("name", MODELS)
def test_a_twist_changes_free_numbers_alone_and_always_alike(name, twist):
    case = random_case(name)
    changed = apply_twist(case, twist)
    assert changed.config == case.config
    fields = {field.name: field for field in case.model.fields(case.config)}
    for number, array in case.arrays.items():
        found = changed.arrays[number]
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert np.array_equal(found, apply_twist(case, twist).arrays[number])
        if not twist or not fields[number].is_free or fields[number].is_noise:
            assert np.array_equal(found, array)


@pytest.mark.parametrize("precision", ["float32", "float64", "float16"])
def test_numbers_at_branches_are_finite_and_come_with_both_neighbours(precision):
    branches = branches_of(precision)
    assert branches.dtype == precision and np.isfinite(branches).all()
    largest = np.float64(np.finfo(precision).max)
    places = branches.astype(np.float64)
    # Where exp overflows: a number below, which does not, and one beyond, which does.
    near = places[np.abs(places - np.log(largest)) < 1e-2]
    with np.errstate(over="ignore"):
        assert np.exp(near.min()) < largest < np.exp(near.max())
    if precision == "float32":
        for number in (
            88.3762626647950,
            -103.97208404541016,
            7.90531110763549805,
            9.0,
            -18.0,
            2.0**63,
        ):
            assert np.float32(number) in branches


def test_twists_have_the_traits_that_they_are_for():
    found = {twist: 0 for twist in TWISTS}
    of = ("", "a number at a branch", "equal columns", "overflow in some orders")
    for seed in range(20):
        case = random_case("bidirectional", seed, num_units=3, inputs=4, outputs=2, batch=2, time=2)
        for twist, trait in zip(TWISTS, of):
            found[twist] += trait in traits(apply_twist(case, twist))
        assert not set(of) & set(traits(case))
    assert found == {"": 0, "branches": 20, "duplicates": 20, "overflowing": found["overflowing"]}
    assert found["overflowing"] > 4


def test_functions_are_computed_of_numbers_at_branches():
    branches, seen = branches_of("float32"), set()
    for seed in range(40):
        case = apply_twist(random_case("rnn-basic", seed, activation="linear"), "branches")
        seen.update(np.ravel(case.oracle(np.float32)["outputs"]).tolist())
    # Of a cell without a function its argument is the output.
    assert len(seen & set(branches.tolist())) > len(branches) / 2


def test_most_cases_have_no_twist_and_some_have_each():
    twists = [twist_of(random_case("rnn-gru", seed)) for seed in range(400)]
    for twist in TWISTS:
        assert abs(twists.count(twist) / 400 - EVERY.count(twist) / len(EVERY)) < 0.05


def test_batches_have_cases_with_a_twist():
    branches = branches_of("float32")
    cases = [case for number in range(4) for case in random_batch("rnn-basic", 0, number)]
    assert sum(np.isin(case.arrays["cell/bias"], branches).any() for case in cases) > 5


@pytest.mark.parametrize("precision", PRECISIONS)
def test_cases_of_a_precision_keep_it_whatever_their_twist(precision):
    known = precision_of(precision)
    for number in range(6):
        for case in random_batch("seq2seq", 0, number, precision):
            assert case.precision == precision
            assert all(known.has(array) for array in case.parameters)
    case = random_batch("seq2seq", 0, 0, precision)[0]
    for twist in TWISTS:
        assert known.has(apply_twist(case, twist).arrays["inputs"])
    assert known.has(branches_of(precision)) and np.isfinite(branches_of(precision)).all()
