"""The oracle itself, computed by NumPy in float32: a right port of every model."""

from typing import Dict

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.subject import Subject


class Float32(Subject):
    """The oracle in float32. Derive from it to have a right port with one mistake."""

    precision = "float32"

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """As the oracle, in arrays of its precision and of integers."""
        # What overflows, be it a number of the case as it is read, is infinite.
        with np.errstate(all="ignore"):
            trace = {n: np.asarray(array) for n, array in case.oracle(self.precision).items()}
            return {
                n: x.astype(self.precision) if x.dtype.kind == "f" else x for n, x in trace.items()
            }

    def arithmetic(self, case: Case) -> Arithmetic:
        """That of its precision, of which nothing else is stated."""
        return arithmetic(self.precision)
