"""What number can it be? Balls that hold what any correct subject may compute.

Whoever imports a module of this package has all of its bounds registered.
"""

from harness.numerics import choice, elementwise, moves, products, rows, sums  # noqa: F401
from harness.numerics.accuracy import Accuracy
from harness.numerics.arithmetic import Arithmetic, arithmetic
from harness.numerics.balls import BoundedArray, exact, exact_stack
from harness.numerics.register import Bound, Example, Unstated, bound

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
