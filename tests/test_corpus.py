"""Cases that were worth keeping, one file each: regressions are seen, on any TensorFlow."""

import os

import pytest

from rnndiff.harness.cases.case import load
from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.judging.excuses import KnownDivergence, excuse
from rnndiff.harness.judging.verdict import DISAGREE, KNOWN, judge
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects.tensorflow.divergences import ENTRIES

FOLDER = os.path.join(os.path.dirname(__file__), "corpus")


@pytest.mark.parametrize("name", sorted(os.listdir(FOLDER)))
def test_a_case_of_the_corpus_does_not_disagree(name, tensorflow):
    case = load(os.path.join(FOLDER, name)).case
    if not tensorflow.supports(case.model, case.config):
        pytest.skip("this TensorFlow does not have the cell")
    verdict, _ = verdict_on(tensorflow, case)
    assert verdict.status != DISAGREE, verdict.summary()


@pytest.mark.parametrize(
    "entry",
    [entry for entry in ENTRIES if isinstance(entry, KnownDivergence)],
    ids=lambda e: e.name,
)
def test_what_a_tensorflow_computed_that_diverges_is_known(entry):
    case, trace, _ = load(os.path.join(FOLDER, entry.name + ".npz"))
    verdict = judge(case, trace, arithmetic(entry.where.precision or "float32"))
    assert verdict.status == DISAGREE
    assert entry.name in excuse(verdict, case, trace, (entry,)).known
    assert excuse(verdict, case, trace, ENTRIES).status == KNOWN
