"""The mistakes that people report of cells and runners are found soon, and shrink to a few numbers.

Each is planted in the oracle in float32, where all else is as it should be: no TensorFlow is
needed. Run as a script, this prints how soon each is found, and how small it becomes.
"""

import copy
import random
import warnings
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest
import wrong_cells as wrong
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.checking.check import EVALUATIONS, supported
from rnndiff.harness.checking.verdicts import fails, verdicts_on, way_of_failing
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.subjects.float32 import Float32
from rnndiff.models import cells
from rnndiff.models.birnn.oracle import oracle as both_directions
from rnndiff.models.keras.oracle import run as run_of_keras
from rnndiff.models.keras_bidirectional.oracle import merged
from rnndiff.models.rnn.oracle import run

# Hypothesis words the example that it found, which nobody reads here.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

# Of the fuzzer, within which each is found.
CASES = 2500

# --- how mistakes are planted -----------------------------------------------------------------


def with_cells(**others):
    """The cells are made of other classes, by the names of those that they stand for."""
    namespace = SimpleNamespace(**dict(vars(cells), **others))

    def planted(oracle, config, *arrays):
        kind = config.kind
        config = copy.copy(config)
        vars(config)["kind"] = kind._replace(make=lambda _, **given: kind.make(namespace, **given))
        return oracle(config, *arrays)

    return planted


def with_keras(**others):
    """The same of cells of Keras'."""
    return with_cells(keras=SimpleNamespace(**dict(vars(cells.keras), **others)))


def with_runner(other):
    """The cells are run by another function than that of the oracle."""
    return with_other(run=other)


def with_other(**others):
    """The oracle calls other functions, by the names of those that they stand for."""

    def planted(oracle, *arguments):
        changed = FunctionType(oracle.__code__, dict(oracle.__globals__, **others))
        defaults = oracle.__kwdefaults__ or {}
        return changed(*arguments, **{name: others.get(name, defaults[name]) for name in defaults})

    return planted


def from_states_of_the_other_direction(oracle, config, parameters, inputs, lengths, *states):
    half = len(states) // 2
    return oracle(config, parameters, inputs, lengths, *states[half:], *states[:half])


def state_goes_on(cell, inputs, lengths, state, steps):
    """The final state is that after the padding."""
    states, outputs, _ = run(cell, inputs, lengths, state, steps)
    return states, outputs, run(cell, inputs, None, state, steps)[-1]


def outputs_go_on(cell, inputs, lengths, state, steps):
    """The outputs past the end of a row are what the cell makes of the padding."""
    states, _, final = run(cell, inputs, lengths, state, steps)
    return states, run(cell, inputs, None, state, steps)[1], final


def backward(changed):
    """A runner that takes the steps forward as it should; `changed` takes those backward."""
    return lambda *arguments: (run if isinstance(arguments[-1], range) else changed)(*arguments)


def of_the_padded_row_reversed(cell, inputs, lengths, state, steps):
    """Rows are reversed with their padding, which is read first."""
    reversed_inputs = inputs[:, ::-1]
    states, outputs, final = run(cell, reversed_inputs, lengths, state, range(inputs.shape[1]))
    return states[::-1], outputs[::-1], final


def of_full_length(cell, inputs, lengths, state, steps):
    """Lengths are ignored."""
    return run(cell, inputs, None, state, steps)


def with_layers_that_read(other):
    """The upper layers of a stack read what `other` makes of the inputs and of the layer below."""

    def planted(oracle, config, parameters, inputs, *more):
        def layer(config, weights, read, *rest):
            read = read if read is inputs else other(inputs, read)
            return both_directions(config, weights, read, *rest)

        changed = dict(oracle.__globals__, both_directions=layer)
        return FunctionType(oracle.__code__, changed)(config, parameters, inputs, *more)

    return planted


def as_often_as_it_takes(inputs, below):
    width = below.shape[2]
    return np.concatenate([inputs] * width, axis=2)[:, :, :width]


def swapped_halves(inputs, below):
    return np.concatenate(np.split(below, 2, axis=2)[::-1], axis=2)


def from_states_of_other_layers(oracle, config, parameters, inputs, lengths, *states):
    if config.initial_state:
        states = [state[:, ::-1] for state in states]
    return oracle(config, parameters, inputs, lengths, *states)


def of_keras(changed):
    """Another function that takes the steps of Keras' layers: `changed` changes its arguments."""

    def other(cell, inputs, mask, state, go_backwards, zero_output_for_mask):
        given = dict(mask=mask, go_backwards=go_backwards, zero=zero_output_for_mask)
        given.update(changed(**given))
        return run_of_keras(
            cell, inputs, given["mask"], state, given["go_backwards"], given["zero"]
        )

    return with_runner(other)


def masked_state_goes_on(cell, inputs, mask, state, go_backwards, zero_output_for_mask):
    """The outputs alone know of the mask."""
    steps, _ = run_of_keras(cell, inputs, mask, state, go_backwards, zero_output_for_mask)
    return steps, run_of_keras(cell, inputs, None, state, go_backwards, zero_output_for_mask)[-1]


def mean_for_sum(mode, *outputs):
    return merged("ave" if mode == "sum" else mode, *outputs)


class Mistake(NamedTuple):
    """A mistake in what a model computes: `planted` is called with the oracle and its arguments.

    It is one with configs for which `fits` holds; with others nobody could make it. It is found
    within so many `examples` of Hypothesis.
    """

    name: str
    model: str
    planted: Callable[..., Any]
    fits: Callable[[Any], bool] = lambda config: True
    examples: int = 100


def gates(*order):
    """The cell reads its weights as those of gates in this order."""
    return with_cells(LSTMCell=lambda **given: wrong.reordered(cells.LSTMCell(**given), *order))


def forget_bias(times):
    """That of the config, so many times."""

    def make(forget_bias, **given):
        return cells.LSTMCell(forget_bias=times * forget_bias, **given)

    return with_cells(LSTMCell=make)


def fed_otherwise(**options):
    """The decoder is fed as under a config with these options."""

    def planted(oracle, config, *arrays):
        return oracle(replace(config, **options), *arrays)

    return planted


MISTAKES = (
    Mistake("gates i f j o", "rnn-lstm", gates(0, 2, 1, 3)),
    Mistake("gates i o f j", "rnn-lstm", gates(0, 3, 2, 1)),
    Mistake("no forget bias", "rnn-lstm", forget_bias(0)),
    Mistake("forget bias twice", "rnn-lstm", forget_bias(2)),
    Mistake("hard sigmoid", "rnn-basic-lstm", with_cells(BasicLSTMCell=wrong.HardSigmoid)),
    Mistake("peepholes swapped", "rnn-lstm", with_cells(LSTMCell=wrong.PeepholesSwapped)),
    Mistake("clip after the output", "rnn-lstm", with_cells(LSTMCell=wrong.ClippedAfter)),
    Mistake("reset after the product", "rnn-gru", with_cells(GRUCell=wrong.ResetAfter)),
    Mistake("update gate inverted", "rnn-gru", with_cells(GRUCell=wrong.UpdateInverted)),
    Mistake("second bias lost", "rnn-gru", with_cells(GRUCell=wrong.SecondBiasLost)),
    Mistake(
        "layers read the same",
        "rnn-layers",
        with_cells(MultiRNNCell=wrong.SameInput),
        # The parameters of the upper layer are for what the lower one yields.
        lambda config: config.inputs == config.num_units,
    ),
    Mistake("no residual", "rnn-layers", with_cells(ResidualWrapper=cells.DropoutWrapper)),
    Mistake(
        "residual before tanh", "rnn-layers", with_cells(ResidualWrapper=wrong.AddedBeforeOutput)
    ),
    Mistake(
        "epsilon outside the root",
        "rnn-layer-norm-lstm",
        with_cells(LayerNormBasicLSTMCell=wrong.EpsilonOutside),
        # It shows where numbers of a row lie within 1e-3: from five of eight seeds within 100.
        examples=1000,
    ),
    Mistake("state not frozen", "rnn-gru", with_runner(state_goes_on)),
    Mistake("outputs past the end", "rnn-basic", with_runner(outputs_go_on)),
    Mistake("other initial states", "birnn-gru", from_states_of_the_other_direction),
    Mistake(
        "padded row reversed", "birnn-basic", with_runner(backward(of_the_padded_row_reversed))
    ),
    Mistake("backward of full length", "birnn-lstm", with_runner(backward(of_full_length))),
    Mistake(
        "layers of a stack read the same",
        "stackbirnn-basic",
        with_layers_that_read(as_often_as_it_takes),
        lambda config: config.inputs > 0,
    ),
    Mistake(
        "backward half first",
        "stackbirnn-gru",
        with_layers_that_read(swapped_halves),
    ),
    Mistake(
        "masks of states and outputs swapped",
        "rnn-dropout-lstm",
        with_cells(DropoutWrapper=wrong.MasksSwapped),
        lambda config: config.drops_states and config.drops_outputs,
    ),
    Mistake("c dropped", "rnn-dropout-lstm", with_cells(DropoutWrapper=wrong.DropsC)),
    Mistake(
        "dropped and not scaled", "birnn-dropout-lstm", with_cells(DropoutWrapper=wrong.NotScaled)
    ),
    Mistake("the others kept", "rnn-dropout-lstm", with_cells(DropoutWrapper=wrong.KeepsTheOthers)),
    Mistake(
        "start token ignored",
        "seq2seq-gru",
        fed_otherwise(start_token="zeros"),
        lambda config: config.start_token in ("first class", "last class"),
    ),
    Mistake(
        "another start token",
        "attention-basic",
        fed_otherwise(start_token="first class"),
        lambda config: config.start_token == "last class",
    ),
    Mistake(
        "scores for one-hots",
        "seq2seq-gru",
        fed_otherwise(feeds="scores"),
        lambda config: config.feeds == "one-hots",
    ),
    Mistake(
        "one-hots for probabilities",
        "seq2seq-basic",
        fed_otherwise(feeds="one-hots"),
        lambda config: config.feeds == "probabilities",
    ),
    Mistake("initial states of other layers", "stackbirnn-lstm", from_states_of_other_layers),
    Mistake("Keras: hard sigmoid", "keras-lstm", with_keras(LSTMCell=wrong.KerasHardSigmoid)),
    Mistake("Keras: reset before", "keras-gru", with_keras(GRUCell=wrong.KerasResetBefore)),
    Mistake("Keras: second bias lost", "keras-gru", with_keras(GRUCell=wrong.KerasSecondBiasLost)),
    Mistake("not backwards", "keras-lstm", of_keras(lambda **given: {"go_backwards": False})),
    Mistake("masked output not zero", "keras-gru", of_keras(lambda **given: {"zero": False})),
    Mistake("masked state not kept", "keras-simple-rnn", with_runner(masked_state_goes_on)),
    Mistake(
        "no mask backwards",
        "keras-bidirectional-lstm",
        of_keras(lambda mask, go_backwards, **_: {"mask": None if go_backwards else mask}),
    ),
    Mistake("mean for sum", "keras-bidirectional-gru", with_other(merged=mean_for_sum)),
)


class Planted(Float32):
    """The oracle in float32 with this one thing wrong."""

    def __init__(self, mistake):
        self._mistake = mistake

    def supports(self, model, config):
        return self._mistake.fits(config)

    def __call__(self, case):
        oracle = partial(self._mistake.planted, case.model.oracle)
        model = case.model._replace(oracle=oracle)
        return super().__call__(Case(model, case.config, case.arrays))


# --- how they are found -----------------------------------------------------------------------


def first_failing(subject, batch):
    """The first case of a batch on which the subject disagrees, and how it fails; or None."""
    if not supported(subject, batch[0]):
        return None
    _, others = verdicts_on(subject, batch)
    failing = (each for each in others if each.verdict.status == DISAGREE)
    return next(((each.case, way_of_failing(each.case, each.verdict)) for each in failing), None)


def found_by_examples(subject, mistake, seed=0):
    """How many examples of the default strategy it takes to find a failing case, and that case."""
    tried, found = 0, None

    def fails_now(batch):
        nonlocal tried, found
        # What was found comes once more.
        if found is None:
            tried += 1
            found = first_failing(subject, batch)
        return found is not None

    search = settings(
        max_examples=mistake.examples,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with suppress(NoSuchExample):
        find(batches(mistake.model), fails_now, settings=search, random=random.Random(seed))
    return tried, found


def found_by_fuzzing(subject, mistake, seed=0):
    """How many cases of the fuzzer it takes, and that case."""
    tried, number = 0, 0
    while tried < CASES:
        batch = random_batch(mistake.model, seed, number)
        found = first_failing(subject, batch)
        if found:
            return tried + [case is found[0] for case in batch].index(True) + 1, found
        tried, number = tried + len(batch), number + 1
    return tried, None


def shrunk(subject, case, way):
    """What it shrinks to."""
    return Shrinker(case, partial(fails, subject, way), EVALUATIONS).run()


def assert_small(case):
    sizes = case.config.sizes()
    assert sizes.pop("batch") <= 2
    assert sizes.pop("time") <= 3
    assert max(sizes.values()) <= 2


def of_each(*slow):
    """Every mistake, some of which take long to shrink."""
    return pytest.mark.parametrize(
        "mistake",
        [
            pytest.param(each, id=each.name, marks=pytest.mark.slow if each.name in slow else ())
            for each in MISTAKES
        ],
    )


@of_each(
    "epsilon outside the root",
    "backward half first",
    "initial states of other layers",
    "dropped and not scaled",
    "the others kept",
    "another start token",
    "one-hots for probabilities",
    "Keras: reset before",
    "not backwards",
    "masked output not zero",
    "masked state not kept",
    "no mask backwards",
    "mean for sum",
)
def test_a_mistake_is_found_by_hypothesis_and_shrinks_to_two_units(mistake):
    subject = Planted(mistake)
    tried, found = found_by_examples(subject, mistake)
    assert found, "not in {} examples".format(tried)
    assert_small(shrunk(subject, *found))


@pytest.mark.slow
@of_each()
def test_a_mistake_is_found_by_fuzzing_and_shrinks_to_two_units(mistake):
    subject = Planted(mistake)
    tried, found = found_by_fuzzing(subject, mistake)
    assert found, "not in {} cases".format(tried)
    assert_small(shrunk(subject, *found))


@pytest.mark.slow
@pytest.mark.parametrize(
    "model, planted",
    [
        ("rnn-layers", with_cells()),
        ("rnn-gru", with_runner(run)),
        ("birnn-basic", with_runner(backward(run))),
        ("keras-gru", with_keras()),
        ("keras-bidirectional-lstm", of_keras(lambda **given: given)),
    ],
)
def test_with_the_right_cells_and_runners_planted_nothing_is_found(model, planted):
    none = Mistake("none", model, planted)
    assert found_by_examples(Planted(none), none) == (none.examples, None)
    assert found_by_fuzzing(Planted(none), none)[1] is None


def main():
    """Print how soon each mistake is found, and the sizes of what it shrinks to."""
    warnings.filterwarnings("ignore", "Generating overly large repr")
    line = "{:25} {:20} {:>8} {:>6}   {}"
    print(line.format("mistake", "model", "examples", "cases", "rows, steps, inputs, units, ..."))
    for mistake in MISTAKES:
        subject = Planted(mistake)
        searches = found_by_examples, found_by_fuzzing
        (examples, found), (cases, other) = (each(subject, mistake) for each in searches)
        sizes = [
            " ".join(map(str, shrunk(subject, *each).config.sizes().values())) if each else "none"
            for each in (found, other)
        ]
        print(line.format(mistake.name, mistake.model, examples, cases, "; ".join(sizes)))


if __name__ == "__main__":
    main()
