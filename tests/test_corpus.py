"""Cases that were worth keeping, one file each: regressions are seen, on any TensorFlow."""

import os

import pytest

from harness.case import load
from harness.check import verdict_on
from harness.verdict import DISAGREE

FOLDER = os.path.join(os.path.dirname(__file__), "corpus")


@pytest.mark.parametrize("name", sorted(os.listdir(FOLDER)))
def test_a_case_of_the_corpus_does_not_disagree(name, tensorflow):
    verdict, _ = verdict_on(tensorflow, load(os.path.join(FOLDER, name)).case)
    assert verdict.status != DISAGREE, verdict.summary()
