"""Shrinking works on cases, wherever they come from."""

import numpy as np
import pytest
from examples import random_case

from harness.shrink import Shrinker
from models import MODELS


@pytest.mark.parametrize("name", list(MODELS))
def test_a_case_that_always_fails_shrinks_to_ones_and_zeros(name):
    smallest = Shrinker(random_case(name), lambda case: True).run()
    assert set(smallest.config.sizes().values()) == {1}
    assert not any(array.any() for key, array in smallest.arrays.items() if key != "labels")


def test_only_what_matters_stays():
    case = random_case("bidirectional", time=4, inputs=3)
    case.inputs[1, 2, 1] = 40

    smallest = Shrinker(case, lambda candidate: bool((candidate.inputs > 30).any())).run()
    assert smallest.inputs.shape == (1, 1, 1)
    assert smallest.config.num_units == 1


def test_a_unit_is_dropped_from_every_array_at_once():
    case = random_case("seq2seq", num_units=3)
    rows = case.arrays["encoder/kernel"][2:]
    rows[:, :], rows[1, 1] = 0, 7

    def fails(candidate):
        units = candidate.config.num_units
        return 7 in np.diag(candidate.arrays["encoder/kernel"][-units:])

    smallest = Shrinker(case, fails).run()
    assert smallest.config.num_units == 1
    assert smallest.arrays["encoder/kernel"][-1, 0] == 7


def test_shrinking_keeps_to_its_evaluations():
    calls = []
    shrinker = Shrinker(random_case("attention"), lambda case: calls.append(1) or False, 25)
    shrinker.run()
    assert len(calls) == shrinker.used == 25


@pytest.mark.parametrize("name", list(MODELS))
def test_every_candidate_is_a_whole_case_with_one_hot_labels(name):
    def fails(candidate):
        assert (candidate.labels.sum(axis=-1) == 1).all()
        return candidate.config.batch > 1

    assert Shrinker(random_case(name, batch=3), fails).run().config.batch == 2
