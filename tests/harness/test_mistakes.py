"""The power of the harness: each planted mistake is found, and shrinks to what a person can read.

Each is searched for with what the tests of the default profile draw. The thorough profile plants it
in every model that can have it, the others in the first one.
"""

import random
import time

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from rnndiff.harness.cases.regimes import REGIMES
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.checking.check import EVALUATIONS
from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.diagnosis.catalogue import CATALOGUE
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.quality.mistakes import MISTAKES, Mistake
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.subjects.tensorflow import TensorFlow
from rnndiff.models import MODELS

# Hypothesis words the example that it found, which nobody reads here.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

EXAMPLES = settings.get_profile("default").max_examples
THOROUGH = settings.default.max_examples >= settings.get_profile("thorough").max_examples
EVERYWHERE = [(mistake, name) for mistake in MISTAKES for name in mistake.models]
HUNTED = [(m, name) for m, name in EVERYWHERE if THOROUGH or name == m.models[0]]


def ids(pairs):
    return ["{}-{}".format(mistake.name, name) for mistake, name in pairs]


class Hunt:
    """The search for a case on which `subject` disagrees, as the tests of a model make it.

    ``tried`` is how many examples it took, ``case`` the case that was found, or None.
    """

    def __init__(self, subject, model, regimes=tuple(REGIMES)):
        self._subject = subject
        self.tried = 0
        self.case = None
        search = settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        for regime in regimes:
            # A seed of its own for each regime, as Hypothesis gives one to each of pytest's tests.
            seeded = random.Random(regime)
            try:
                find(batches(model, regime), self._try, settings=search, random=seeded)
                break
            except NoSuchExample:
                continue

    def _try(self, cases):
        failing = next(filter(self.fails, cases), None)
        if self.case is None:
            self.tried += 1
            self.case = failing
        return failing is not None

    def fails(self, case):
        return verdict_on(self._subject, case)[0].status == DISAGREE


@pytest.mark.slow
@pytest.mark.parametrize("mistake, name", HUNTED, ids=ids(HUNTED))
def test_the_default_profile_finds_it_and_it_shrinks_to_a_few_steps_and_units(
    mistake, name, tensorflow, record_property
):
    started = time.perf_counter()
    hunt = Hunt(TensorFlow(build=mistake.build), MODELS[name])
    assert hunt.case is not None, "not found in {} examples".format(hunt.tried)
    found = time.perf_counter()
    shrinker = Shrinker(hunt.case, hunt.fails, EVALUATIONS)
    config = shrinker.run().config
    shrunk = time.perf_counter()
    record_property("examples", hunt.tried)
    record_property("evaluations", shrinker.used)
    record_property("seconds", (round(found - started, 1), round(shrunk - found, 1)))
    record_property("config", str(config))

    sizes = config.sizes()
    assert sizes.pop("batch") <= mistake.rows
    assert max(sizes.pop("time"), sizes.pop("output_time", 1)) <= mistake.steps
    assert max(sizes.values()) <= 2
    assert shrinker.used < EVALUATIONS


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, module",
    [
        ("seq2seq", "rnndiff.models.seq2seq.graph"),
        ("bidirectional", "rnndiff.models.graphs"),
        ("attention", "rnndiff.models.cells.attention_tensorflow"),
    ],
)
def test_in_a_copy_without_a_mistake_nothing_is_found(name, module, tensorflow):
    none = Mistake("none", (name,), module, "tf1", "tf1")
    hunt = Hunt(TensorFlow(build=none.build), MODELS[name], ["ordinary"])
    assert hunt.case is None
    assert hunt.tried == EXAMPLES


def test_every_mistake_has_its_place_in_every_model_that_it_names():
    for mistake, name in EVERYWHERE:
        module = mistake.module.format(name)
        assert mistake.wrong in mistake.source(module, name)
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES)


def test_every_mistake_is_one_that_the_catalogue_plants_in_the_same_models():
    known = {mistake.name: mistake for mistake in CATALOGUE}
    for mistake, name in EVERYWHERE:
        assert known[mistake.name].edits_of(MODELS[name]), mistake.name


def test_a_mistake_that_has_no_place_is_an_error():
    mistake = MISTAKES[0]._replace(right="no such line")
    with pytest.raises(LookupError, match="rnndiff.models.seq2seq.graph has no 'no such line'"):
        mistake.source("rnndiff.models.seq2seq.graph", "seq2seq")
