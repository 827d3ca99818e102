"""The arithmetic of a subject: its precision, and how accurate its functions are."""

from typing import Mapping, NamedTuple, Optional

import numpy as np

from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.precisions import Precision, precision_of
from rnndiff.harness.numerics.register import ACCURACIES, Unstated

_EXPONENT_BITS = 0x7FF << 52


class Arithmetic(NamedTuple):
    """What a correct evaluation may do to a number.

    ``unit`` is the unit roundoff *u* (half an ULP of 1), ``smallest`` the smallest normal number,
    below which a result may be flushed to zero, ``largest`` the largest finite one. ``functions``
    has what is stated of the accuracy of functions, see :meth:`accuracy`. ``bias_anywhere`` is
    False of a subject that adds to a sum of products, a bias first of all, after that sum, in the
    order in which the oracle writes it. ``operand_bits`` are
    the significand bits of what a matrix product reads, None if it reads all that there are, and
    ``operands_to_nearest`` says that it is rounded to them to the nearest, not cut. ``sums`` is the
    arithmetic in which its products are added up, None if it is this one. ``recomputes`` says that
    what is read twice may be computed twice, as by XLA, which fuses it with what reads it: then the
    same number in another place may be off by rounding; the operands of a product are read once.
    ``likely`` is True if the radii of sums are what errors come to by chance, not at worst: see
    :meth:`by_chance`.
    """

    name: str
    unit: float
    smallest: float
    largest: float
    functions: Mapping[str, Accuracy]
    bias_anywhere: bool
    operand_bits: Optional[int]
    operands_to_nearest: bool
    sums: Optional["Arithmetic"]
    recomputes: bool = False
    likely: bool = False

    def by_chance(self) -> "Arithmetic":
        """The same, of which radii are bounds on the root mean square of what a subject errs by.

        That is so of sums (:meth:`rnndiff.harness.numerics.sums.Sums.likely_rad`). Of all else the
        bounds at worst are kept, which are bounds of root mean squares, too; and what an operation
        makes of the radii of its operands holds of such as well, by Minkowski's inequality, since
        operations are linear in errors as small as these.
        """
        sums = self.sums and self.sums.by_chance()
        return self._replace(likely=True, sums=sums)

    @property
    def precision(self) -> Precision:
        """That of its numbers."""
        return precision_of(self.name)

    @property
    def overflow_edge(self) -> float:
        """Up to this fraction of the largest number nothing overflows.

        From its inverse multiple on everything does. In between rounding decides, and nothing is
        known. A function may be off by more than 8 ULP there.
        """
        return 1 - max(2.0**-6, 16 * self.unit)

    @property
    def unit_of_products(self) -> float:
        """The unit roundoff of the additions in a matrix product.

        Tensor cores cut off what an accumulator has no room for, which is up to an ULP, not half:
        on an H100, TF32 and bfloat16 lose up to 0.997 of that in a sum of two products.
        """
        return self.unit if self.operand_bits is None else 2 * self.unit

    @property
    def largest_operand(self) -> float:
        """The largest number that a matrix product reads as it is."""
        if self.operand_bits is None:
            return self.largest
        return self.largest / (2 - 2 * self.unit) * (2 - 2.0 ** (1 - self.operand_bits))

    def accuracy(self, function: str) -> Accuracy:
        """The accuracy of a function, such as ``tanh``, or ``affine tanh``.

        The latter is the tanh of a matrix product plus a bias, which some subjects compute in one
        kernel of its own; if it is not stated, it is that of tanh. A part of such a product, as an
        LSTM's candidate, has that of tanh, too. Of the others, what is not
        stated is what the function is registered with: of those here, the least accurate that was
        measured in an engine.
        """
        if function in self.functions:
            return self.functions[function]
        unstated = ACCURACIES[function]
        if isinstance(unstated, Unstated):
            return Accuracy(unstated.ulp, unstated.roundoffs * self.unit + self.smallest)
        if unstated is None:
            raise KeyError("no accuracy of {} is stated".format(function))
        return self.accuracy(unstated)

    def binade(self, magnitude: np.ndarray) -> np.ndarray:
        """The power of two at or below each number >= 0, but not below ``smallest``.

        Rounding a number to the nearest moves it by at most ``u`` times that (Rump 2012, section 2:
        the unit in the first place), or by less than ``smallest`` if it is flushed.
        """
        exponent = magnitude.view(np.int64) & _EXPONENT_BITS
        return np.maximum(exponent.view(np.float64), self.smallest)


def arithmetic(
    dtype: str,
    functions: Optional[Mapping[str, Accuracy]] = None,
    bias_anywhere: bool = True,
    operand_bits: Optional[int] = None,
    operands_to_nearest: bool = False,
    sums: Optional[str] = None,
) -> Arithmetic:
    """The IEEE arithmetic of "float16", "float32", "float64" or "bfloat16".

    What is computed in bfloat16 has 8 bits and the exponents of float32, subnormal numbers too. It
    is held in float32 arrays, or in those of another package's bfloat16.

    Parameters
    ----------
    dtype : str
    functions : dict of str to Accuracy, optional
        What is known of "tanh", "affine tanh", "exp", "log", "sigmoid", "softmax", and of what else
        is registered with an accuracy. What is left out is taken to be as inaccurate as that of any
        engine that was measured, and a softmax to be computed by any of the common formulas. The
        accuracy of a softmax is what is left of its error where those of subtracting the maximum
        and of adding up the exponentials, which no formula avoids, are taken off.
    bias_anywhere : bool
        False if a bias is added after the products of its sum, and not before or among them; and
        what else is added to them (a forget bias, peepholes, another product) after that, in the
        order in which the oracle writes it.
    operand_bits : int, optional
        The significand bits, the leading one included, to which both operands of a matrix product
        are rounded, with the exponents of `dtype`: of "float32" 11 for TF32, 8 for bfloat16. The
        products are those of the rounded operands, and are added in `dtype`, in any order, by
        additions that round or cut off what they lose, as those of tensor cores do. All else is
        computed in `dtype`: biases, functions, and sums that the oracle does not write as a matrix
        product.
    operands_to_nearest : bool
        True if operands are rounded to the nearest, which moves them by half an ULP of that
        precision at most. By default they may become either neighbour, cut off or rounded: that is
        less than an ULP, ``2**(1 - operand_bits)`` of the operand. Operands that have no more bits
        are exact either way.
    sums : str, optional
        A wider precision in which the products of a matrix product are added up, "float32" of
        "float16" or "bfloat16": the sum is then rounded once. Where the bias may be anywhere in
        that sum, nothing is made of it.

    Raises
    ------
    ValueError
        If `functions` names a function that there is not, or gives something else than accuracies,
        or if `dtype` does not have as many bits as `operand_bits`, or if `sums` is no wider
        precision, or given beside `operand_bits`.

    References
    ----------
    P. Blanchard, N. J. Higham, F. Lopez, T. Mary and S. Pranesh, *Mixed precision block fused
    multiply-add: error analysis and application to GPU tensor cores*, SIAM J. Sci. Comput. 42
    (2020): operands of a lower precision, products exact.

    M. Fasi, N. J. Higham, M. Mikaitis and S. Pranesh, *Numerical behavior of NVIDIA tensor cores*,
    PeerJ Computer Science 7 (2021): additions that cut off.

    S. M. Rump, *Error estimation of floating-point summation and dot product*, BIT Numerical
    Mathematics 52 (2012).
    """
    functions = dict(functions or {})
    unknown = sorted(set(functions) - set(ACCURACIES))
    if unknown:
        raise ValueError(
            "there is no function {!r} whose accuracy counts, but of {}".format(
                unknown[0], ", ".join(sorted(ACCURACIES))
            )
        )
    for name, accuracy in functions.items():
        if not isinstance(accuracy, Accuracy):
            raise ValueError("the accuracy of {!r} is no Accuracy, but {!r}".format(name, accuracy))
    limits = precision_of(dtype)
    if operand_bits is not None and not 1 <= operand_bits <= limits.bits:
        raise ValueError(
            "operands of {!r} bits: {} has from 1 to {}".format(
                operand_bits, limits.name, limits.bits
            )
        )
    if sums is not None and not precision_of(sums).eps < limits.eps:
        raise ValueError("sums in {!r}: that is not wider than {}".format(sums, limits.name))
    if sums is not None and operand_bits is not None:
        raise ValueError("sums in a wider precision are of operands of all bits")
    return Arithmetic(
        name=limits.name,
        unit=limits.eps / 2,
        smallest=limits.smallest,
        largest=limits.largest,
        functions=functions,
        bias_anywhere=bias_anywhere,
        operand_bits=operand_bits,
        operands_to_nearest=operands_to_nearest,
        sums=None if sums is None else arithmetic(sums),
    )
