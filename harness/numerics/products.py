"""Matrix products, and what is added to them: the affine map."""

from functools import reduce
from typing import Any, Callable, List, Optional, Tuple, Union

import numpy as np

from rnndiff.harness.errors import OracleError
from rnndiff.harness.numerics.balls import INFLATE, BoundedArray, broadcast, operands
from rnndiff.harness.numerics.elementwise import of_two, rounded, sum_of_two
from rnndiff.harness.numerics.register import Example, bound
from rnndiff.harness.numerics.sums import MOST_TERMS_ONE_BY_ONE, Sums
from rnndiff.models.functions import accumulate, affine


class SumsOfProducts(Sums):
    """The product of `a` and the matrix `b`, with the terms, if any, at any place of each sum.

    Where operands are of fewer bits, the balls of `a` and `b` are widened by what they lose
    (:func:`as_operand`), and their products are bounded as those of any balls. The error of
    ``sum(a b)`` is then ``sum(abs(a) db + da (abs(b) + db))``, with ``da`` and ``db`` below
    ``2**(1 - bits)`` of ``abs(a)`` and ``abs(b)``: what Blanchard et al., theorem 3.2, have for
    operands rounded to the nearest, with twice their roundoff; and that of adding up.

    Sums in a wider arithmetic have a bound in that, and are then rounded. One with a bias may have
    been rounded before that was added as well, and is bounded as if it had been all along; so is
    one `in_parts`, that of several products.
    """

    def __init__(
        self, a: BoundedArray, b: BoundedArray, *terms: BoundedArray, in_parts: bool = False
    ) -> None:
        a, b = as_operand(a), as_operand(b)
        self.a, self.b, self.terms = a, b, terms
        mid, count = np.matmul(a.mid, b.mid), b.mid.shape[-2]
        reach = count * a.reach() * b.reach()
        for term in terms:
            mid, count, reach = mid + term.mid, count + 1, reach + term.reach()
        arithmetic = a.arithmetic
        if arithmetic.sums is not None and not terms and not in_parts:
            arithmetic = arithmetic.sums
        Sums.__init__(
            self, arithmetic, mid, reach, count, 1, a.stacked, arithmetic.unit_of_products
        )

    def balls(self) -> BoundedArray:
        """As in :class:`Sums`, in the arithmetic of the factors."""
        balls, arithmetic = Sums.balls(self), self.a.arithmetic
        if balls.arithmetic is arithmetic:
            return balls
        mid, rad, reach = balls.mid, balls.rad, balls.reach()
        balls = BoundedArray(mid, rad, arithmetic, reach, balls.stacked)
        return rounded(mid, rad, reach, np.positive, balls)

    def magnitude(self) -> np.ndarray:
        """As in :class:`Sums`."""
        magnitude = np.matmul(self.a.magnitude(), self.b.magnitude())
        return sum([term.magnitude() for term in self.terms], magnitude)

    def errors(self) -> np.ndarray:
        """As in :class:`Sums`."""
        errors = np.matmul(self.error_of_each(self.a), self.b.magnitude())
        rad = self.b.operand_rad()
        if rad is not None:
            errors = errors + np.matmul(np.abs(self.a.mid), rad) * self.per_radius
        return sum(map(self.error_of_each, self.terms), errors)

    def squares(self) -> np.ndarray:
        """As in :class:`Sums`."""
        squares = np.matmul(np.square(self.a.mid), np.square(self.b.mid))
        return sum([np.square(term.mid) for term in self.terms], squares)

    def radii(self) -> Union[np.ndarray, float]:
        """As in :class:`Sums`."""
        a, b = self.a, self.b
        of_a, of_b, *of_terms = [x.operand_rad() for x in (a, b) + self.terms]
        radii = sum([rad for rad in of_terms if rad is not None], 0.0)
        # What a subject recorded has radii of 0.
        if of_a is not None and of_a.any():
            radii = radii + np.matmul(of_a, np.abs(b.mid))
        if of_b is not None and of_b.any():
            radii = radii + np.matmul(np.abs(a.mid), of_b)
        return radii

    def exact_terms(self) -> Optional[Tuple[Any, np.ndarray, Any]]:
        """As in :class:`Sums`."""
        if not 0 < self.count <= MOST_TERMS_ONE_BY_ONE:
            return None
        a, b = self.a, self.b
        rads = [x.operand_rad() for x in (a, b) + self.terms]
        exact, where = _exact_sums(a.mid.ndim, *rads), ...
        if exact is not True:
            if a.stacked and len(exact) == len(self.mid):
                where = _marked(np.logical_or.reduce(exact.reshape(len(exact), -1), axis=1))
                exact = exact[where]
            count = np.count_nonzero(exact)
            if not count:
                return None
            exact = True if count == exact.size else exact
        terms = np.multiply(*_factors(_rows(a.mid, where), _rows(b.mid, where)))
        for term in self.terms:
            terms = _append(terms, _rows(term.mid, where))
        return where, terms, exact

    def has_unknown(self) -> np.ndarray:
        """As in :class:`Sums`."""
        unknown = _any_factor(self.a.unknown(), self.b.unknown())
        return reduce(np.logical_or, [term.unknown() for term in self.terms], unknown)

    def has_nan(self) -> np.ndarray:
        """As in :class:`Sums`."""
        nan = _any_factor(np.isnan(self.a.mid), np.isnan(self.b.mid))
        return reduce(np.logical_or, [np.isnan(term.mid) for term in self.terms], nan)

    def ends(self, where: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """As in :class:`Sums`."""

        def factors(a: np.ndarray, b: np.ndarray) -> List[np.ndarray]:
            shape = where.shape + (a.shape[-1],)
            return [np.broadcast_to(x, shape)[where] for x in _factors(a, b)]

        a, b = self.a, self.b
        corners = [np.multiply(*factors(x, y)) for x in a.ends() for y in b.ends()]
        low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
        nan = np.logical_and.reduce([np.isnan(corner) for corner in corners])
        # A product of finite numbers that overflows even in float64 may be added to, by a fused
        # multiply-add, before it is rounded.
        finite = np.logical_and(*factors(np.isfinite(a.mid), np.isfinite(b.mid)))
        known = np.where(finite, np.isfinite(low) & np.isfinite(high), nan | (low == high))
        low, high = np.where(known, low, -np.inf), np.where(known, high, np.inf)
        for term in self.terms:
            of_term = [np.broadcast_to(end, where.shape)[where] for end in term.ends()]
            low, high = _append(low, of_term[0]), _append(high, of_term[1])
        return low, high


def as_operand(a: BoundedArray) -> BoundedArray:
    """The array as a matrix product reads it: rounded to the bits that operands have.

    A number that has no more bits stays as it is; what any other is off from its neighbours is
    known if it is exact, and is at most their distance if it is not. Near the largest number it may
    be infinite if it is rounded up.
    """
    arithmetic, bits = a.arithmetic, a.arithmetic.operand_bits
    if bits is None:
        return a
    rad, size = a.operand_rad(), np.abs(a.mid)
    spacing = arithmetic.binade(a.magnitude()) * 2.0 ** (1 - bits)
    to_lower = np.fmod(size, spacing)
    to_upper = spacing - to_lower
    if arithmetic.operands_to_nearest:
        off = np.minimum(to_lower, to_upper)
    else:
        off = np.where(to_lower == 0, 0.0, np.maximum(to_lower, to_upper))
    if rad is not None:
        off = np.where(rad > 0, rad + spacing * (0.5 if arithmetic.operands_to_nearest else 1), off)
    off = np.where(a.magnitude() > arithmetic.largest_operand, np.inf, off)
    off = np.where(np.isfinite(a.mid), off * INFLATE, 0.0)
    if not off.any():
        return a
    return BoundedArray(np.where(off < np.inf, a.mid, 0.0), off, arithmetic, stacked=a.stacked)


def _exact_sums(
    ndim: int, a: Optional[np.ndarray], b: Optional[np.ndarray], *terms: Optional[np.ndarray]
) -> Any:
    """Which sums of ``a @ b`` and more have exact terms alone, by radii; True if all of them.

    `ndim` is that of the midpoints of `a`.
    """
    inexact: Any = None
    for term in terms:
        if term is not None:
            inexact = term > 0 if inexact is None else inexact | (term > 0)
    if a is not None:
        rows = np.logical_or.reduce(a > 0, axis=-1, keepdims=True)
        inexact = rows if inexact is None else inexact | rows
    if b is not None:
        columns = np.logical_or.reduce(b > 0, axis=-2)
        columns = columns if ndim == 1 else columns[..., None, :]
        inexact = columns if inexact is None else inexact | columns
    return True if inexact is None else ~inexact


def _marked(rows: np.ndarray) -> Any:
    """An index of the rows that are marked: if they are the last ones, a slice, which is faster."""
    first = rows.argmax()
    return slice(first, None) if np.count_nonzero(rows) == len(rows) - first else rows


def _rows(array: np.ndarray, where: Any) -> np.ndarray:
    """The rows that are marked; an array that is the same in all rows stays so."""
    return array if where is ... or len(array) == 1 else array[where]


def _factors(a: np.ndarray, b: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """What is multiplied in ``a @ b``: ``[..., 1, K]`` and ``[..., M, K]``."""
    columns = np.swapaxes(b, -1, -2)
    return a[..., None, :], columns if a.ndim == 1 else columns[..., None, :, :]


def _any_factor(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which sums of ``a @ b`` have a factor that is marked."""
    columns = b.any(axis=-2)
    return a.any(axis=-1)[..., None] | (columns if a.ndim == 1 else columns[..., None, :])


def _append(terms: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The terms and one more."""
    # The terms may be the same in all cases of a stack, and the bias not.
    column = np.broadcast_arrays(bias, np.empty(terms.shape[:-1]))[0]
    terms = np.broadcast_to(terms, column.shape + terms.shape[-1:])
    return np.concatenate([terms, column[..., None]], axis=-1)


_SHAPES = (((2, 4), (4, 2)), ((1, 2, 3), (3, 2)), ((2, 1), (1, 3)), ((1, 0), (0, 2)))
_OF_A_ROW = ((3,), (3, 2))


def _of_products(call: Callable[..., Any], *more: Tuple[int, ...]) -> List[Example]:
    examples = [Example(call, shapes + more) for shapes in _SHAPES]
    return examples + [Example(call, _OF_A_ROW + more, stacks=False)]


@bound(
    np.matmul,
    examples=_of_products(np.matmul)
    + [
        Example(lambda x: np.matmul(x, np.ones((3, 2))), ((2, 3),)),
        Example(lambda w: np.matmul(np.zeros((2, 3)), w), ((3, 2),)),
    ],
)
def matmul(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``[..., K] @ [K, M]``."""
    if b.ndim != 2 or a.ndim < 1 + a.stacked:
        raise OracleError("no bound is known for a product of {} and {}".format(a.shape, b.shape))
    result = SumsOfProducts(a, b.with_axes(a.ndim)).balls()
    result.factors = a, b
    return result


@bound(np.dot, examples=_of_products(np.dot)[::2])
def dot(a: Any, b: Any) -> BoundedArray:
    """As :func:`matmul`."""
    return matmul(*operands(a, b))


@bound(affine, examples=_of_products(affine, (1,)) + [Example(affine, ((2, 3), (3, 2), (2,)))])
def affine_of_balls(a: Any, b: Any, bias: Any) -> BoundedArray:
    """``a @ b + bias``, with the bias last or, if the arithmetic says so, anywhere in each sum."""
    a, b, bias = operands(a, b, bias)
    if a.arithmetic.bias_anywhere:
        result = SumsOfProducts(a, b.with_axes(a.ndim), bias.with_axes(a.ndim)).balls()
    else:
        result = sum_of_two(matmul(a, b), bias)
    result.is_affine = bias.ndim == 1
    return result


@bound(
    accumulate,
    examples=_of_products(accumulate)
    + _of_products(accumulate, (1,), (1,))
    + [Example(accumulate, ((2, 3), (3, 2), (2, 2), (2,), (2,)))],
)
def accumulate_of_balls(a: Any, b: Any, *terms: Any) -> BoundedArray:
    """``a @ b`` plus all of the terms, in any order, or those of parts of `a` and `b`."""
    a, b, *more = operands(a, b, *terms)
    more = [x.with_axes(a.ndim) for x in more]
    return SumsOfProducts(a, b.with_axes(a.ndim), *more, in_parts=True).balls()


@bound(
    np.add,
    examples=of_two(np.add)
    + _of_products(lambda x, w, b: np.matmul(x, w) + b, (1,))
    # Both factors are the same in all cases of a stack, and the bias is not.
    + [
        Example(
            lambda b: np.matmul(np.ones((2, 3)) * np.ones_like(b), np.ones((3, 3))) + b, ((3,),)
        )
    ]
    # Such as a query, which is added to the features of every slot of a window.
    + [Example(lambda x, w, b: b[:, None] + np.matmul(x, w), ((2, 2, 3), (3, 2), (2, 2)))],
)
def add(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a + b``; where one is a product and the other its bias, their affine map."""
    for terms, bias in ((a, b), (b, a)):
        # Who writes it like this means what a subject may compute in one sum.
        if terms.factors is not None and _is_bias(bias, terms):
            return affine_of_balls(*terms.factors, bias)
    return sum_of_two(a, b)


def _is_bias(bias: BoundedArray, terms: BoundedArray) -> bool:
    """Whether each sum of products has one number of `bias`: as a query added to features."""
    if bias.ndim == 1:
        return bias.shape == terms.shape[-1:]
    if bias.ndim > terms.ndim:
        return False
    bias = broadcast(bias, terms)[0]
    return bool(np.broadcast(terms.mid, bias.mid).shape == terms.mid.shape)
