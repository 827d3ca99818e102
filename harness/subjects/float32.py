"""The oracle itself, computed by NumPy in float32: a right port of every model."""

from typing import Dict

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.subjects.subject import Subject


class Float32(Subject):
    """The oracle in float32. Derive from it to have a right port with one mistake."""

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """As the oracle, in arrays of float32 and of integers."""
        trace = {name: np.asarray(array) for name, array in case.oracle(np.float32).items()}
        return {n: x.astype(np.float32) if x.dtype.kind == "f" else x for n, x in trace.items()}
