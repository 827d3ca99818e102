"""What is drawn: every byte keeps its place, and every boundary occurs."""

from dataclasses import fields, replace

import numpy as np
import pytest
from examples import with_all_options
from hypothesis import settings

from rnndiff.harness.cases import strategies
from rnndiff.harness.cases.case import PRECISIONS, zeros
from rnndiff.harness.cases.draws import (
    draw_config,
    is_one_hot,
    large_case,
    length_of,
    small_case,
    small_sizes,
)
from rnndiff.harness.cases.frequencies import draw_batches, frequencies, traits
from rnndiff.harness.cases.random_cases import random_batch, random_config
from rnndiff.harness.cases.regimes import REGIMES, regimes_of
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.errors import UserError
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.quality.bench import one_by_one
from rnndiff.models import ARTICLE, MODELS
from rnndiff.models.layout import choices_of

EXAMPLES = settings.get_profile("default").max_examples


def largest(model):
    return model.Config(**small_sizes(model))


@pytest.mark.parametrize("precision", ["float64", "float16", "bfloat16"])
def test_the_regimes_of_a_precision_go_to_its_ends(precision):
    regimes, limits = regimes_of(precision), precision_of(precision)
    assert list(regimes) == list(REGIMES)
    for table in regimes.values():
        assert table.dtype == limits.dtype and table.shape == (256,) and limits.has(table)
        assert list(table[:3]) == [0, 1, -1]
    for regime in ("special", "tiny"):
        assert limits.smallest * limits.eps in regimes[regime]
        assert limits.smallest in regimes[regime]
    assert limits.largest in regimes["special"]
    # One that has all the bits, not a float32 number in a wider array.
    if precision == "float64":
        assert np.count_nonzero(regimes["ordinary"].astype("f4") != regimes["ordinary"]) > 200


def test_a_case_of_another_precision_has_the_sizes_of_that_of_float32():
    drawn = [random_batch("seq2seq", 7, 3, each) for each in PRECISIONS]
    assert len({tuple(case.config for case in cases) for cases in drawn}) == 1
    assert tuple(cases[0].precision for cases in drawn) == PRECISIONS
    with pytest.raises(UserError, match="'float8' is not one of the precisions"):
        random_batch("seq2seq", 7, 3, "float8")


@pytest.mark.parametrize("regime", list(REGIMES))
def test_zero_one_and_minus_one_stand_first_in_every_table(regime):
    assert REGIMES[regime].dtype == np.float32 and REGIMES[regime].shape == (256,)
    assert list(REGIMES[regime][:3]) == [0, 1, -1]


@pytest.mark.parametrize("name", ARTICLE)
def test_a_byte_keeps_its_place_when_a_size_shrinks(name):
    model = MODELS[name]
    numbers = np.random.RandomState(0).bytes(length_of(model))
    whole = small_case(model, largest(model), "ordinary", 1.0, numbers)
    fewer = replace(whole.config, inputs=whole.config.inputs - 1)
    cropped = small_case(model, fewer, "ordinary", 1.0, numbers)
    kernel = [field.name for field in model.parameters(fewer) if field.name.endswith("kernel")][0]
    rows = np.delete(whole.arrays[kernel], fewer.inputs, axis=0)
    width = cropped.arrays[kernel].shape[1]
    assert (
        np.array_equal(cropped.arrays[kernel], rows[:, :width], equal_nan=True)
        if (np.__version__ >= "1.19")
        else (cropped.arrays[kernel] == rows[:, :width]).all()
    )
    assert (cropped.labels == whole.labels).all()


def labels_of(name, numbers):
    return small_case(MODELS[name], largest(MODELS[name]), "special", 1.0, numbers).labels


@pytest.mark.parametrize("name", ARTICLE)
def test_bytes_of_zero_are_labels_of_the_first_class(name):
    labels = labels_of(name, bytes(length_of(MODELS[name])))
    assert (labels == np.eye(labels.shape[-1])[0]).all()


@pytest.mark.parametrize("name", ARTICLE)
@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_most_labels_are_one_hot_and_some_are_soft_or_tied_or_zero(name, small):
    model, random, rows = MODELS[name], np.random.RandomState(0), []
    for _ in range(600):
        if small:
            labels = labels_of(name, random.bytes(length_of(model)))
        else:
            labels = large_case(random, model, largest(model), "special", 1.0).labels
        rows.append(labels.reshape(-1, labels.shape[-1]))
    rows = np.concatenate(rows)
    one_hot, zero = is_one_hot(rows), ~rows.any(axis=1)
    assert 0.8 < np.mean(one_hot) < 0.95
    assert (one_hot.reshape(-1) & (rows.argmax(axis=1) == 2)).any()
    assert zero.any()
    tied = np.sum(rows == 1, axis=1) > 1
    assert tied.any()
    assert np.isnan(rows).any() and (rows == np.finfo(np.float32).min).any()
    assert np.isinf(rows).any() and ((np.abs(rows) < 2.0**-126) & (rows != 0)).any()


def test_one_output_step_leaves_the_other_arrays_where_they_were():
    model = MODELS["seq2seq"]
    numbers = np.random.RandomState(0).bytes(length_of(model))
    whole = small_case(model, largest(model), "ordinary", 1.0, numbers)
    short = small_case(model, replace(whole.config, output_time=1), "ordinary", 1.0, numbers)
    assert (short.inputs == whole.inputs).all()


@pytest.mark.parametrize("name", MODELS)
def test_bytes_of_zero_are_the_simplest_case(name):
    model = MODELS[name]
    for config in (largest(model), with_all_options(name).config):
        drawn = small_case(model, config, "special", 1.0, bytes(length_of(model)))
        for array, simplest in zeros(model, config).items():
            assert drawn.arrays[array].tobytes() == simplest.tobytes(), array


@pytest.mark.parametrize("name", MODELS)
def test_every_choice_of_every_option_is_drawn_and_the_default_comes_first(name):
    model, asked = MODELS[name], []

    def first(choices):
        asked.append(list(choices))
        return choices[0]

    default = draw_config(model, small_sizes(model), first)
    drawn = [random_config(np.random.RandomState(i), model, small_sizes(model)) for i in range(60)]
    for field in fields(model.Config):
        if field.name not in small_sizes(model):
            choices = choices_of(model.Config, field.name)
            assert list(choices) in asked and getattr(default, field.name) == field.default
            assert {getattr(config, field.name) for config in drawn} == set(choices)


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_lengths_are_drawn_from_0_to_full(small):
    model, random, drawn = MODELS["birnn-gru"], np.random.RandomState(0), set()
    config = replace(largest(model), sequence_length=True)
    for _ in range(20):
        if small:
            case = small_case(model, config, "special", 1.0, random.bytes(length_of(model)))
        else:
            case = large_case(random, model, config, "special", 1.0)
        drawn.update(case.arrays["sequence_length"].tolist())
    assert drawn == set(range(config.time + 1))


@pytest.mark.parametrize("name", ARTICLE + ("rnn-gru", "birnn-lstm"))
def test_a_batch_depends_on_its_seed_and_number_alone(name):
    once, again, other = (random_batch(name, 7, number) for number in (3, 3, 4))
    assert once[0].config == again[0].config
    for left, right in zip(once, again):
        assert left.inputs.tobytes() == right.inputs.tobytes()
    assert [c.inputs.tobytes() for c in once] != [c.inputs.tobytes() for c in other]


def test_random_configs_reach_every_boundary_size():
    model = MODELS["attention"]
    randoms = map(np.random.RandomState, range(400))
    configs = [random_config(random, model, small_sizes(model)) for random in randoms]
    for name in ("batch", "inputs", "num_units"):
        assert {0, 1, 2, 3} <= {getattr(config, name) for config in configs}
    for name in ("time", "output_time", "outputs", "attn_length"):
        assert {1, 2, 3} <= {getattr(config, name) for config in configs}
    sizes = [config.sizes() for config in configs]
    assert any(size["attn_size"] < size["num_units"] for size in sizes)
    assert any(size["attn_size"] > size["num_units"] for size in sizes)
    assert any(size["attn_length"] > size["time"] for size in sizes)
    assert {True, False} == {config.state_is_tuple for config in configs}


@pytest.mark.parametrize("regime", [None, "ordinary"])
def test_hardly_any_two_examples_share_a_config(regime):
    configs = [cases[0].config for cases in draw_batches(batches("rnn-lstm", regime), 60)]
    assert len(set(configs)) >= 58
    # As if each option was drawn by itself, in every example.
    for name in ("open_batch", "use_peepholes", "initial_state"):
        assert 15 < sum(getattr(config, name) for config in configs) < 45


@pytest.mark.parametrize(
    "name", ["rnn-basic", "rnn-lstm", "attention-lstm", "keras-bidirectional-lstm"]
)
def test_what_is_drawn_has_bytes_enough_for_every_choice_and_number(name, monkeypatch):
    model, readers = MODELS[name], []

    class Reader(strategies._Reader):
        def __init__(self, given):
            super().__init__(given)
            readers.append(self)

    monkeypatch.setattr(strategies, "_Reader", Reader)
    draw_batches(batches(model, "ordinary"), 20)
    heads, numbers = readers[::2], readers[1::2]
    assert all(len(reader._drawn) > 0 for reader in heads)
    # Of more than one case all are read, in one example at least.
    assert min(len(reader._drawn) for reader in numbers) == 0


def test_of_a_model_without_labels_none_are_counted():
    found, known = (frequencies(MODELS[name], 6) for name in ("rnn-lstm", "seq2seq"))
    words = "labels", "exact ties"
    assert not [trait for trait in found if any(word in trait for word in words)]
    assert [trait for trait in known if any(word in trait for word in words)]
    assert {"regime special", "batch 0", "chaos"} <= set(found)


@pytest.mark.parametrize("name", ["birnn-lstm", "seq2seq"])
def test_drawn_number_by_number_a_case_is_one_of_the_model(name):
    cases = draw_batches(one_by_one(MODELS[name]), 20)
    assert len(cases) == 20 and {case.model.name for case in cases} == {name}
    lengths = [case.arrays[key] for case in cases for key in case.arrays if "length" in key]
    assert bool(lengths) == (name == "birnn-lstm")


def never_drawn(model, most):
    """The traits that none of so many cases has, drawn from one seed after the other.

    From each seed as the differential tests do, which ask every regime for 20 examples.
    """
    left = set(frequencies(model, len(REGIMES)))
    for number in range(most // EXAMPLES):
        regime = list(REGIMES)[number % len(REGIMES)]
        # The cases of a batch share their sizes; its last one is seldom all zeros.
        for *_, case in draw_batches(batches(model, regime), EXAMPLES, number):
            left.difference_update(traits(case), ["regime " + regime])
        if not left:
            break
    return left


@pytest.mark.slow
@pytest.mark.parametrize("name", ARTICLE)
def test_every_regime_and_boundary_occurs_in_some_thousand_default_cases(name):
    # Chaos, the rarest of all, is 0.6 % of those of seq2seq.
    assert not never_drawn(MODELS[name], 9000)
