"""Sizes at which kernels change: a mistake that shows from such a size on is found and shrinks."""

import numpy as np
import pytest

from rnndiff.harness.cases.draws import draw_kernel_config, large_case, small_sizes
from rnndiff.harness.cases.frequencies import draw_batches
from rnndiff.harness.cases.random_cases import SMALL_BATCH, batch_size, random_batch
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.checking.check import EVALUATIONS
from rnndiff.harness.checking.verdicts import fails, verdict_on, way_of_failing
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.shrinking.simplicity import fingerprint
from rnndiff.harness.subjects.float32 import Float32
from rnndiff.models import MODELS
from rnndiff.models.layout import KERNEL_SIZES, Size, sizes_in

# What it is called, and the first place of the encoder's states [batch, time, num_units] at which
# it shows.
# The most cases that ten seeds take are 177,400, of the last one.
MOST = 200000
MISTAKES = [("batch", 8), ("time", 28), ("num_units", 128)]


class WrongFrom(Float32):
    """A right port of the encoder-decoder, but for the states from a certain place on."""

    def __init__(self, name, first):
        self._name, self._first = name, first
        self._place = (slice(None),) * [name for name, _ in MISTAKES].index(name)
        self._place += (slice(first, None),)

    def shows_in(self, batch):
        """Whether these cases of one config are large enough; in others it is the right port."""
        return bool(batch) and getattr(batch[0].config, self._name) > self._first

    def __call__(self, case):
        trace = super().__call__(case)
        trace["encoder_states"][self._place] += 1
        return trace


def first_failing(subject, cases):
    """The first case that disagrees and its verdict, or None."""
    for case in cases:
        verdict, _ = verdict_on(subject, case)
        if verdict.status == DISAGREE:
            return case, verdict
    return None


def shrunk(subject, case, verdict):
    way = way_of_failing(case, verdict)
    shrinker = Shrinker(case, lambda other: fails(subject, way, other), EVALUATIONS)
    return shrinker.run(), shrinker.used


def found_by_fuzz(subject, seed):
    """What the fuzzer's cases of a seed have that disagrees, and how many are before it."""
    number = cases = 0
    while cases < MOST:
        size = batch_size(seed, number)
        # Small ones are too small to show it.
        batch = [] if size == SMALL_BATCH else random_batch("seq2seq", seed, number)
        found = subject.shows_in(batch) and first_failing(subject, batch)
        if found:
            return found, cases
        cases, number = cases + size, number + 1
    return None, cases


def found_by_hypothesis(subject, examples, seed):
    """What so many examples of the default strategies have that disagrees, and its number."""
    for number, batch in enumerate(draw_batches(batches("seq2seq"), examples, seed)):
        found = subject.shows_in(batch) and first_failing(subject, batch)
        if found:
            return found, number
    return None, examples


def kernel_configs(model, count):
    """As many configs with one size around those at which kernels change, always the same."""
    random = np.random.RandomState(0)
    choose = lambda options: options[random.randint(len(options))]  # noqa: E731
    return [draw_kernel_config(model, choose) for _ in range(count)]


@pytest.mark.parametrize("name", list(MODELS))
def test_one_size_is_drawn_around_those_at_which_kernels_change_all_others_small(name):
    model = MODELS[name]
    small, known = small_sizes(model), sizes_in(model.Config)
    reached = {each: set() for each, size in known.items() if size.kernel_sizes}
    # Of layers nothing is known.
    axes = {size.axis for size in known.values()} - {"layer"}
    assert {known[each].axis for each in reached} == axes
    # The last of them comes within some hundred configs.
    for config in kernel_configs(model, 1500):
        sizes = {each: getattr(config, each) for each in known}
        large = [each for each, n in sizes.items() if n is not None and n > small[each]]
        assert len(large) == 1
        reached[large[0]].add(sizes[large[0]])
    assert reached == {each: set(known[each].kernel_sizes) for each in reached}


def test_a_size_of_which_nothing_is_known_stays_small():
    assert size_of("layer").kernel_sizes == () and size_of("unit", kernels=()).kernel_sizes == ()
    assert size_of("unit").kernel_sizes == KERNEL_SIZES["unit"]


def size_of(axis, **known):
    return Size(axis, 2, **known)


@pytest.mark.parametrize("axes", [1, 2], ids=["row", "step"])
def test_some_rows_and_steps_of_large_inputs_are_zeros(axes):
    model, random, seen = MODELS["seq2seq"], np.random.RandomState(0), 0
    for _ in range(100):
        inputs = large_case(random, model, model.Config(9, 8, 1, 8, 2, 2), "mixed", 1.0).inputs
        zero = ~inputs.any(axis=tuple(range(axes, 3)))
        seen += zero.any() and not zero.all()
    assert 5 < seen < 50


@pytest.mark.slow
@pytest.mark.parametrize("name, first", MISTAKES)
def test_fuzz_finds_a_mistake_from_such_a_size_on_and_it_shrinks_to_just_that(name, first):
    subject, ends = WrongFrom(name, first), set()
    for seed in range(10):
        found, cases = found_by_fuzz(subject, seed)
        assert found, "seed {}: not found in {} cases".format(seed, cases)
        smallest, used = shrunk(subject, *found)
        sizes = smallest.config.sizes()
        assert sizes.pop(name) == first + 1 and set(sizes.values()) == {1}
        assert used < EVALUATIONS
        ends.add(fingerprint(smallest))
    assert len(ends) == 1


# One from 129 units on, drawn in 0.5 % of its examples, took 3,545 and 4,875 of them.
@pytest.mark.slow
@pytest.mark.parametrize("name, first", [each for each in MISTAKES if each[0] != "num_units"])
def test_hypothesis_finds_a_mistake_from_such_a_size_on(name, first):
    found, _ = found_by_hypothesis(WrongFrom(name, first), 2000, 0)
    assert found
