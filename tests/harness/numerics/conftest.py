"""Makes `ball_examples` importable for the tests beside it."""

import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))


@pytest.fixture(autouse=True, scope="module")
def silence():
    with np.errstate(all="ignore"):
        yield
