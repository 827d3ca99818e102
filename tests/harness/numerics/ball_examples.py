"""What the tests of the bounds share."""

import numpy as np
from hypothesis import settings

from rnndiff.harness.numerics import Accuracy, BoundedArray, arithmetic

# At least a hundred examples: the profiles are made for tests that run TensorFlow.
thoroughly = settings(deadline=None, max_examples=max(100, settings().max_examples))

NAN, INF = float("nan"), float("inf")
FLOAT32 = arithmetic("float32", dict.fromkeys(["tanh", "exp", "log"], Accuracy(2, 0)))
BALL = BoundedArray(np.array([[1.0, 2.0]]), np.array([[0.5, 0.25]]), FLOAT32)
