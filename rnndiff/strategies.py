"""Hypothesis strategies for cases, and the profiles to draw them with.

    from hypothesis import given
    from rnndiff.strategies import batches

    @given(cases=batches("bidirectional"))
    def test_my_port(cases, check):
        check(cases)

with ``load_profile()`` in `conftest.py`: Hypothesis' own profile has a deadline, which no subject
that builds a graph keeps; it shrinks by itself, with a new graph at almost every step; and it
objects to a test that is given two batches. Three are more than Hypothesis draws.
"""

from rnndiff.harness.cases.regimes import REGIMES
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.profiles import load_profile

__all__ = ["REGIMES", "batches", "load_profile"]
