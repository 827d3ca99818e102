"""What number can it be? Balls that hold what any correct subject may compute.

Importing any module of this package registers every bound there is.
"""

from harness.numerics import choice, elementwise, moves, products, rows, sums
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
    "choice",
    "elementwise",
    "exact",
    "exact_stack",
    "moves",
    "products",
    "rows",
    "sums",
]
