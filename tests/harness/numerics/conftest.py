import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="module")
def silence():
    with np.errstate(all="ignore"):
        yield
