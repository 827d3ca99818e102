"""What was added up to make an array, so that a sum which goes on is bounded as one, in any order.

An oracle writes ``x @ W + h @ R + b``, and a subject adds the same terms up in an order of its
own. So a sum of matrix products remembers its factors and terms, and whatever is added to it joins
them (:func:`rnndiff.harness.numerics.products.add`), after a split, a slice or a new axis, too. A
product of single numbers remembers what it is before it is rounded, as a fused multiply-add adds
it; and a plain sum its terms, to be added to a sum of matrix products one by one.
"""

from typing import NamedTuple, Optional, Tuple

import numpy as np

from rnndiff.harness.numerics.balls import BoundedArray, Moved


class Addends(NamedTuple):
    """Pairs of factors, whose matrix products are added up, and terms that are added to them."""

    factors: Tuple[Tuple[BoundedArray, BoundedArray], ...]
    terms: Tuple[BoundedArray, ...]

    def as_stack(self) -> "Addends":
        """In stacks of these alone."""
        factors = tuple((a.as_stack(), b.as_stack()) for a, b in self.factors)
        return Addends(factors, tuple(x.as_stack() for x in self.terms))

    def negated(self) -> "Addends":
        """Those of the sum with the other sign."""
        factors = tuple((a.moved(-a.mid, a._rad), b) for a, b in self.factors)
        return Addends(factors, tuple(x.moved(-x.mid, x._rad) for x in self.terms))

    def at(self, places: np.ndarray, shape: Tuple[int, ...]) -> Optional["Addends"]:
        """Those of some of the sums, which are so many as `shape` says; None if they are not known.

        `places` are counted through the sums. Of matrix products they have to be some rows, and of
        all of these the same columns.
        """
        if not places.size:
            return None
        factors: Tuple[Tuple[BoundedArray, BoundedArray], ...] = ()
        if self.factors:
            if not places.ndim:
                return None
            rows, columns = np.divmod(places, shape[-1])
            first = columns.reshape(-1, columns.shape[-1])[0]
            if (rows != rows[..., :1]).any() or (columns != first).any():
                return None
            factors = tuple(_taken(a, b, rows[..., 0], first, shape) for a, b in self.factors)
        return Addends(factors, tuple(_at(x, places, shape) for x in self.terms))


class Product(NamedTuple):
    """Of products of single numbers midpoints and radii, None for 0, before they are rounded."""

    mid: np.ndarray
    rad: Optional[np.ndarray]

    def as_stack(self) -> "Product":
        """In a stack of this one array."""
        return Product(self.mid[None], None if self.rad is None else self.rad[None])


def _at(x: BoundedArray, places: np.ndarray, shape: Tuple[int, ...]) -> BoundedArray:
    """The elements at some places of what `x` broadcasts to."""
    own = np.arange(int(np.prod(x.shape))).reshape(x.shape)
    return x.at(np.broadcast_to(own, shape).reshape(-1)[places])


def _taken(
    a: BoundedArray, b: BoundedArray, rows: np.ndarray, columns: np.ndarray, shape: Tuple[int, ...]
) -> Tuple[BoundedArray, BoundedArray]:
    """The factors of some rows and columns of what ``a @ b`` broadcasts to."""
    inner, outer = b.shape
    own = np.arange(int(np.prod(a.shape[:-1]))).reshape(a.shape[:-1])
    if outer == 1:
        columns = np.zeros_like(columns)
    rows = np.broadcast_to(own, shape[:-1]).reshape(-1)[rows]
    a = a.at(rows[..., None] * inner + np.arange(inner))
    return a, b.at(np.arange(inner)[:, None] * outer + columns)


def addends_of(a: BoundedArray) -> Optional[Addends]:
    """What was added up to make an array, or what it is before it is rounded; None if not known."""
    made_of = a.made_of
    if isinstance(made_of, Product):
        return Addends((), (BoundedArray(*made_of, a.arithmetic, stacked=a.stacked),))
    if not isinstance(made_of, Moved):
        found: Optional[Addends] = made_of
        return found
    source, index = made_of
    found = addends_of(source)
    if found is None:
        return None
    if isinstance(index, str):
        return found.negated()
    if not isinstance(index, np.ndarray):
        index = np.arange(int(np.prod(source.shape))).reshape(source.shape)[index]
    return found.at(np.asarray(index), source.shape)


def unrounded(a: BoundedArray) -> BoundedArray:
    """The array with its products, if it is one of these, as they are where they overflow.

    There a fused multiply-add adds what may be beyond the largest number, and yet is finite; or, of
    what is just below it, what is rounded. Other elements are as they were, whatever is beside
    them.
    """
    if a.made_of is None or a.reach() < np.inf:
        return a
    found = addends_of(a)
    if found is None or found.factors or len(found.terms) != 1:
        return a
    (exact,), unit = found.terms, a.arithmetic.unit
    overflows = ~np.isfinite(a.mid) | a.unknown()
    rad = exact.rad_as_operand() + (np.abs(exact.mid) + exact.rad_as_operand()) * (4 * unit)
    rad = np.where(np.isfinite(exact.mid), rad, 0.0)
    mid, rad = np.where(overflows, exact.mid, a.mid), np.where(overflows, rad, a.rad)
    return BoundedArray(mid, rad, a.arithmetic, stacked=a.stacked)


def alone(a: BoundedArray) -> BoundedArray:
    """The array without what it was made of, which would be kept as long as this is."""
    if a.made_of is None:
        return a
    return BoundedArray(a.mid, a._rad, a.arithmetic, a._reach, a.stacked)


def joined(*arrays: BoundedArray) -> Addends:
    """All that some arrays were added up of; of those that are no sums, the arrays themselves."""
    factors: Tuple[Tuple[BoundedArray, BoundedArray], ...] = ()
    terms: Tuple[BoundedArray, ...] = ()
    for array in arrays:
        found = addends_of(array)
        if found is None:
            terms += (array,)
        else:
            factors += found.factors
            # Those of a plain sum were not looked into yet.
            terms += (
                found.terms
                if found.factors or len(found.terms) == 1
                else joined(*found.terms).terms
            )
    return Addends(factors, terms)


# --- products of single numbers ---------------------------------------------------------------


def sum_of_radii(a: Optional[np.ndarray], b: Optional[np.ndarray]) -> Optional[np.ndarray]:
    """The sum of two arrays of radii, either of them None for zeros."""
    if a is None:
        return b
    return a if b is None else a + b


def product_of(a: BoundedArray, b: BoundedArray) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """The midpoints of ``a * b``, and by what the operands have them off; None if by nothing."""
    rad_a, rad_b = a.operand_rad(), b.operand_rad()
    rad = sum_of_radii(
        None if rad_a is None else rad_a * b.magnitude(),
        None if rad_b is None else np.abs(a.mid) * rad_b,
    )
    return a.mid * b.mid, rad


def finite_products(
    result: BoundedArray,
    mid: np.ndarray,
    rad: Optional[np.ndarray],
    a: BoundedArray,
    b: BoundedArray,
) -> Product:
    """The same, before they are rounded, of finite operands; of others, the midpoints of `result`.

    One that is beyond the largest number of float64 may be anything.
    """
    rad = np.zeros(mid.shape) if rad is None else rad
    finite = np.isfinite(a.mid) & np.isfinite(b.mid) & ~a.unknown() & ~b.unknown()
    known = np.isfinite(mid) & np.isfinite(rad)
    mid = np.where(finite, np.where(known, mid, 0.0), result.mid)
    return Product(mid, np.where(finite, np.where(known, rad, np.inf), result.rad))
