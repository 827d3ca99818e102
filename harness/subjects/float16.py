"""The oracle itself, computed by NumPy in float16."""

from rnndiff.harness.cases.case import Case
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.float32 import Float32

# Of all float16 numbers, NumPy 2.4 is off by 0.5003 ULP at most; by way of float32, as older ones
# compute them, by half an ULP and 4 of float32.
_FUNCTIONS = dict.fromkeys(["tanh", "exp", "log"], Accuracy(1.0, 0.0))


class Float16(Float32):
    """The oracle in float16, with bounds of float16: a right port of every model.

    It reads the float32 numbers of a case rounded to float16: beyond 65504 they are infinite.
    """

    precision = "float16"

    def arithmetic(self, case: Case) -> Arithmetic:
        """That of float16, with functions as accurate as NumPy's."""
        return arithmetic(self.precision, _FUNCTIONS)
