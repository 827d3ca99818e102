"""What number can it be? Balls that hold what any correct subject may compute.

Whoever imports a module of this package has all of its bounds registered.
"""

from rnndiff.harness.numerics import (  # noqa: F401
    cells,
    choice,
    elementwise,
    moves,
    products,
    rows,
    sums,
)
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, exact, exact_stack
from rnndiff.harness.numerics.register import Bound, Example, Unstated, bound

__all__ = [
    "Accuracy",
    "Arithmetic",
    "Bound",
    "BoundedArray",
    "Example",
    "Unstated",
    "arithmetic",
    "bound",
    "exact",
    "exact_stack",
]
