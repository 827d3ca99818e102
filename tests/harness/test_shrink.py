"""Shrinking works on cases, wherever they come from."""

from dataclasses import MISSING, fields
from functools import partial

import numpy as np
import pytest
from examples import random_case, with_all_options

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.checking.verdicts import fails, verdict_on, way_of_failing
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.quality.mistakes import MISTAKES
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.shrinking.simplicity import fingerprint, simpler
from rnndiff.harness.subjects.tensorflow import TensorFlow
from rnndiff.models import ARTICLE, MODELS
from rnndiff.models.cells import LSTMCell
from rnndiff.models.rnn import oracle as rnn


def with_numbers(case, **arrays):
    """The case with zeros for numbers but for these arrays; "__" in a name stands for "/"."""
    changed = {name: np.zeros_like(array) for name, array in case.arrays.items()}
    changed["labels"] = case.labels
    for name, numbers in arrays.items():
        name = name.replace("__", "/")
        changed[name] = np.reshape(np.array(numbers, np.float32), changed[name].shape)
    return Case(case.model, case.config, changed)


def has_three_units(case):
    """None of the smallest cases has."""
    return case.config.num_units == 3


def has_a_seven(case):
    """No case has that shrinking begins with: what it stands in is left to the passes."""
    return 7 in case.inputs


def at_random(case, salt):
    """A predicate without any sense, true of one case in four, and always the same."""
    return (fingerprint(case)[0] + salt) % 4 == 0


@pytest.mark.parametrize("name", MODELS)
def test_a_case_that_always_fails_shrinks_to_ones_and_zeros(name):
    smallest = Shrinker(with_all_options(name), lambda case: True).run()
    assert set(smallest.config.sizes().values()) == {1} and not options_of(smallest)
    assert not any(array.any() for key, array in smallest.arrays.items() if key != "labels")


def options_of(case):
    """What a case has that is no default, by its names."""
    known = [field for field in fields(case.config) if field.default is not MISSING]
    return {x.name for x in known if getattr(case.config, x.name) != x.default}


def test_an_option_that_does_not_matter_is_the_default():
    def is_long(case):
        return has_a_seven(case) and case.config.cell_clip is not None

    case = with_all_options("rnn-lstm", num_proj=3)
    case.inputs[0, 0, 0] = 7
    assert options_of(case) > {"cell_clip", "num_proj", "runner", "use_peepholes", "initial_state"}
    assert options_of(Shrinker(case, is_long).run()) == {"cell_clip"}


def has_lengths(case):
    return case.config.sequence_length and 7 in case.arrays["forward/bias"]


@pytest.mark.parametrize(
    "also, batch, time, lengths",
    [
        (lambda case: True, 1, 1, [1]),
        (lambda case: case.config.time > 1, 1, 2, [2]),
        (lambda case: case.arrays["sequence_length"][0] < case.config.time, 1, 1, [0]),
        (lambda case: 1 in case.arrays["sequence_length"] and case.config.time == 3, 1, 3, [1]),
    ],
    ids=["any", "two steps", "one not full", "one of one step"],
)
def test_a_length_is_full_unless_it_matters_and_goes_down_with_the_steps(
    also, batch, time, lengths
):
    case = random_case("birnn-basic", sequence_length=True)
    case.arrays["forward/bias"][0] = 7
    case.arrays["sequence_length"][:] = [1, 2]
    smallest = Shrinker(case, lambda case: has_lengths(case) and also(case)).run()
    assert (smallest.config.batch, smallest.config.time) == (batch, time)
    assert smallest.arrays["sequence_length"].tolist() == lengths
    assert smallest.arrays["sequence_length"].dtype == np.int32


def clipped_late(cell, inputs, state):
    """An LSTM whose output is that of the memory before it is clipped."""
    limit, cell.cell_clip = cell.cell_clip, None
    output, (c, h) = LSTM_STEP(cell, inputs, state)
    cell.cell_clip = limit
    return output, (c if limit is None else np.clip(c, -limit, limit), h)


def swapped_peepholes(cell, parameters):
    cell = LSTM_LOAD(cell, parameters)
    if cell.use_peepholes:
        cell.w_f_diag, cell.w_i_diag = cell.w_i_diag, cell.w_f_diag
    return cell


def not_frozen(cell, inputs, sequence_length, state, steps):
    states, outputs, _ = RUN(cell, inputs, sequence_length, state, steps)
    return states, outputs, RUN(cell, inputs, None, state, steps)[2]


LSTM_STEP, LSTM_LOAD, RUN = LSTMCell.__call__, LSTMCell.load, rnn.run


@pytest.mark.parametrize(
    "name, place, wrong, options",
    [
        ("rnn-lstm", (LSTMCell, "__call__"), clipped_late, [{"cell_clip"}]),
        (
            *("rnn-lstm", (LSTMCell, "load"), swapped_peepholes),
            # With a step before it or a state: either is there.
            [{"use_peepholes"}, {"use_peepholes", "initial_state"}],
        ),
        ("rnn-gru", (rnn, "run"), not_frozen, [{"sequence_length"}]),
    ],
    ids=["clip", "peepholes", "lengths"],
)
def test_a_mistake_that_needs_an_option_shrinks_to_one_unit_with_that_option(
    name, place, wrong, options, monkeypatch
):
    def differs(case):
        expected = case.oracle(float)
        with monkeypatch.context() as planted:
            planted.setattr(*place, wrong)
            found = case.oracle(float)
        # The sign of a NaN is chance.
        pairs = [(found[key], expected[key]) for key in expected]
        return not all(((a == b) | (np.isnan(a) & np.isnan(b))).all() for a, b in pairs)

    ends = {}
    for seed in range(3):
        cases = (case for number in range(30) for case in random_batch(name, seed, number)[:20])
        shrinker = Shrinker(next(filter(differs, cases)), differs)
        smallest = shrinker.run()
        ends[fingerprint(smallest)] = smallest
        assert shrinker.used < 250
        assert options_of(smallest) in options
        sizes = smallest.config.sizes()
        assert sizes["num_units"] == sizes["batch"] == sizes["inputs"] == 1 >= sizes["time"] - 1
    assert len(ends) <= len(options)


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


@pytest.mark.parametrize("name", ARTICLE)
def test_every_candidate_is_a_whole_case_with_one_hot_labels(name):
    def fails(candidate):
        assert (candidate.labels.sum(axis=-1) == 1).all()
        return candidate.config.batch > 1

    assert Shrinker(random_case(name, batch=3), fails).run().config.batch == 2


@pytest.mark.parametrize("name", ARTICLE)
@pytest.mark.parametrize("also", [lambda case: True, has_three_units])
def test_where_shrinking_starts_does_not_matter(name, also):
    def predicate(case):
        return also(case) and abs(case.inputs).sum() > 2

    starts = [random_case(name, seed, gain=9.0, num_units=3) for seed in range(2)]
    assert len({fingerprint(Shrinker(case, predicate).run()) for case in starts}) == 1


def test_stopped_at_any_time_it_has_nothing_less_simple_than_it_was_given():
    given = with_numbers(random_case("seq2seq", batch=1, time=1, output_time=1, num_units=1))
    for stopped_after in range(200):
        asked = []

        def has_two_units(case, asked=asked, stopped_after=stopped_after):
            asked.append(case)
            if len(asked) > stopped_after:
                raise KeyboardInterrupt
            return case.config.num_units == 2

        shrinker = Shrinker(given, has_two_units)
        try:
            shrinker.run()
        except KeyboardInterrupt:
            assert not simpler(given, shrinker.case)
        else:
            break
    assert 10 < stopped_after < 199


def test_few_evaluations_are_not_all_spent_on_the_smallest_cases():
    case = random_case("seq2seq", num_units=6)
    shrinker = Shrinker(case, lambda case: 7 in case.inputs or case.config.num_units > 2, 20)
    assert shrinker.run().config.num_units == 3


def test_a_size_of_0_becomes_1():
    assert (
        Shrinker(random_case("seq2seq", num_units=3, inputs=0), has_three_units).run().inputs.size
    )
    never = Shrinker(random_case("seq2seq", inputs=0), lambda case: case.config.inputs == 0).run()
    assert never.config.inputs == 0


def test_equal_numbers_are_lowered_together():
    def all_equal(case):
        bias = case.arrays["encoder/bias"]
        return has_a_seven(case) and len(bias) == 2 and bias[0] == bias[1] != 0

    case = random_case("seq2seq", batch=1, time=1, inputs=1, num_units=2)
    case = with_numbers(case, inputs=7, encoder__bias=[5, 5])
    assert Shrinker(case, all_equal).run().arrays["encoder/bias"].tolist() == [1, 1]


def test_a_class_is_moved_in_labels_and_weights_at_once():
    def label_is_biased(case):
        bias, label = case.arrays["projection/bias"], np.argmax(case.labels[0])
        return has_a_seven(case) and len(bias) > 1 and np.flatnonzero(bias).tolist() == [label]

    case = random_case("bidirectional", batch=1, time=1, inputs=1)
    case = with_numbers(case, inputs=7, projection__bias=[0, 0, 5])
    case.labels[:] = [0, 0, 1]
    smallest = Shrinker(case, label_is_biased).run()
    assert smallest.labels.tolist() == [[1, 0]]
    assert smallest.arrays["projection/bias"].tolist() == [1, 0]


def test_labels_that_do_not_matter_are_the_first_class():
    def has_two_rows(case):
        return has_a_seven(case) and case.config.batch == case.config.outputs == 2

    case = random_case("bidirectional", time=1, inputs=1, outputs=2)
    case = with_numbers(case, inputs=[7, 0])
    case.labels[:] = [[1, 0], [0, 1]]
    assert Shrinker(case, has_two_rows).run().labels.tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize("row", [[0.25, 0.75], [np.nan, 3], [0, 0], [1, 1]], ids=str)
def test_soft_labels_that_do_not_matter_are_one_hot(row):
    def has_two_classes(case):
        return has_a_seven(case) and case.config.outputs == 2

    case = random_case("bidirectional", batch=1, time=1, inputs=1, outputs=2)
    case = with_numbers(case, inputs=7)
    case.labels[:] = row
    assert Shrinker(case, has_two_classes).run().labels.tolist() == [[1, 0]]


def has_a_nan_label(case):
    return case.config.outputs == 2 and bool(np.isnan(case.labels).any())


def has_labels_of_zero(case):
    return not case.labels.all(axis=-1).any() and not case.labels.any(axis=-1).all()


@pytest.mark.parametrize(
    "row, matters, smallest",
    [
        ([0.3, np.nan, -np.inf], has_a_nan_label, [[np.nan, 0]]),
        ([0, 0, 0], has_labels_of_zero, [[0]]),
    ],
    ids=["NaN", "zero"],
)
def test_labels_that_matter_are_as_simple_as_they_get(row, matters, smallest):
    case = random_case("bidirectional", batch=2, time=2, inputs=1, outputs=3)
    case.labels[:] = row
    np.testing.assert_array_equal(Shrinker(case, matters).run().labels, smallest)


def test_a_number_that_may_stand_anywhere_stands_first():
    def has_a_number(case):
        return has_a_seven(case) and case.arrays["encoder/kernel"].any()

    case = random_case("seq2seq", batch=1, time=1, inputs=1, num_units=1)
    case = with_numbers(case, inputs=7, encoder__kernel=[0, 5])
    assert Shrinker(case, has_a_number).run().arrays["encoder/kernel"].tolist() == [[1], [0]]


def test_a_zero_has_a_sign_only_where_that_matters():
    def biased(case):
        return has_a_seven(case) and case.arrays["encoder/bias"][:-1].any()

    case = random_case("seq2seq", batch=1, time=1, inputs=1, num_units=2)
    case = with_numbers(case, inputs=7, encoder__bias=[5, -0.0])
    smallest = Shrinker(case, biased).run()
    assert not any(np.signbit(array).any() for array in smallest.arrays.values())


def test_a_way_that_leads_to_something_less_simple_is_left():
    given = random_case("bidirectional", batch=1, time=1, inputs=1, outputs=1, num_units=1)

    def predicate(case):
        return case.config.num_units == 2 or fingerprint(case) == fingerprint(given)

    assert Shrinker(given, predicate).run() is given


def test_sizes_that_must_go_down_and_up_together_end_alike():
    def two_scores(case):
        return case.config.batch + case.config.outputs > 2

    cases = [random_case("seq2seq", batch=2, outputs=1), random_case("seq2seq", batch=1, outputs=2)]
    assert len({fingerprint(Shrinker(case, two_scores).run()) for case in cases}) == 1


def test_a_size_that_only_goes_down_with_other_numbers_goes_down():
    def biased_or_large(case):
        biased = case.arrays["encoder/bias"].any()
        return case.config.inputs == 3 and (case.config.num_units == 2) != biased

    case = with_numbers(random_case("seq2seq", inputs=3, num_units=2))
    assert Shrinker(case, biased_or_large).run().config.num_units == 1


def test_numbers_that_must_go_down_and_up_together_end_alike():
    def biased(case):
        biases = case.arrays["encoder/bias"], case.arrays["projection/bias"]
        return has_three_units(case) and any(bias.any() for bias in biases)

    case = random_case("seq2seq", num_units=3)
    cases = [
        with_numbers(case, encoder__bias=[0, 1, 0]),
        with_numbers(case, projection__bias=[0, 1, 0]),
    ]
    assert len({fingerprint(Shrinker(case, biased).run()) for case in cases}) == 1


@pytest.mark.parametrize("name", ARTICLE + ("rnn-layers", "birnn-lstm"))
@pytest.mark.parametrize("salt", range(4))
def test_whatever_fails_the_end_fails_and_is_no_less_simple(name, salt):
    case = random_case(name, seed=salt) if name in ARTICLE else with_all_options(name)
    shrinker = Shrinker(case, lambda candidate: at_random(candidate, salt), 200)
    smallest = shrinker.run()
    assert smallest is case or at_random(smallest, salt)
    assert not simpler(case, smallest)
    assert shrinker.used <= 200


@pytest.mark.parametrize("name", ARTICLE)
def test_shrinking_is_deterministic_and_asks_of_no_case_twice(name):
    asked = []

    def predicate(case):
        asked.append(fingerprint(case))
        return at_random(case, 1)

    Shrinker(random_case(name), predicate).run()
    first = list(asked)
    asked.clear()
    Shrinker(random_case(name), predicate).run()
    assert asked == first
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("name", ARTICLE)
def test_what_was_shrunk_does_not_shrink_further(name):
    def predicate(case):
        return has_three_units(case) and abs(case.inputs).sum() > 2

    once = Shrinker(random_case(name, gain=9.0, num_units=3), predicate).run()
    assert fingerprint(Shrinker(once, predicate).run()) == fingerprint(once)


def test_cases_have_an_order():
    def case(outputs=1, batch=1, **arrays):
        return with_numbers(
            random_case("bidirectional", batch=batch, time=1, inputs=2, outputs=outputs), **arrays
        )

    ascending = [
        case(),
        case(inputs=[1, 0]),
        case(inputs=[-1, 0]),
        case(inputs=[-2, 0]),
        case(inputs=[3, 0]),
        case(inputs=[-3, 0]),
        case(inputs=[2.5, 0]),
        case(inputs=[2.25, 0]),
        case(inputs=[-0.0, 0]),
        case(inputs=[np.inf, 0]),
        case(inputs=[np.nan, 0]),
        case(inputs=[0, 1]),
        case(inputs=[1, 1]),
        case(inputs=[1, -0.0]),
        case(outputs=2),
        case(batch=2),
        case(batch=2, outputs=2),
        case(batch=0),
    ]
    for i, earlier in enumerate(ascending):
        for j, later in enumerate(ascending):
            assert simpler(earlier, later) == (i < j), (i, j)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, model", [("bias-left-out", "seq2seq"), ("backward-not-reversed-back", "bidirectional")]
)
def test_a_mistake_that_ten_seeds_find_shrinks_to_at_most_three_cases(name, model, tensorflow):
    mistake = next(mistake for mistake in MISTAKES if mistake.name == name)
    subject = TensorFlow(build=mistake.build)
    ends = set()
    for seed in range(10):
        cases = (case for number in range(30) for case in random_batch(model, seed, number))
        verdicts = ((case, verdict_on(subject, case)[0]) for case in cases)
        case, verdict = next(pair for pair in verdicts if pair[1].status == DISAGREE)
        failing = partial(fails, subject, way_of_failing(case, verdict))
        ends.add(fingerprint(Shrinker(case, failing).run()))
    assert len(ends) <= 3
