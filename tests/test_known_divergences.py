"""The known divergences: each is still seen, in just the versions that its entry names."""

import pytest

from harness.check import verdict_on
from harness.divergences import ENTRIES


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_known_divergence_is_seen_in_its_versions_and_in_no_other(entry, tensorflow):
    verdict, _ = verdict_on(tensorflow, entry.minimal.case())
    seen = entry.name in verdict.known or tensorflow.ended_by(entry.minimal.case()) is not None
    assert seen == (entry in tensorflow.known), verdict.summary()
