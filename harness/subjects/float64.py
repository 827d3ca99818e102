"""The oracle itself, computed by NumPy in float64."""

from rnndiff.harness.subjects.float32 import Float32


class Float64(Float32):
    """The oracle in float64, with bounds of float64: a right port of every model."""

    precision = "float64"
