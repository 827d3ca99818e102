"""Matrix products, and what is added to them: the affine map."""

from functools import reduce
from typing import Any, Callable, List, Optional, Sequence, Tuple, Union

import numpy as np

from rnndiff.harness.errors import OracleError
from rnndiff.harness.numerics.addends import (
    Addends,
    alone,
    joined,
    sum_of_radii,
    unrounded,
)
from rnndiff.harness.numerics.balls import INFLATE, BoundedArray, broadcast, operands
from rnndiff.harness.numerics.elementwise import negative, of_two, rounded
from rnndiff.harness.numerics.register import Example, bound
from rnndiff.harness.numerics.sums import MOST_TERMS_ONE_BY_ONE, Sums
from rnndiff.models.functions import accumulate, affine


class SumsOfProducts(Sums):
    """Matrix products, each of an `a` and a matrix `b`, and terms, if any, all in one sum.

    The terms of the products and the others are added up in any order: a bias comes before or among
    the products, and products of two matrices alternate.

    Where operands are of fewer bits, the balls of `a` and `b` are widened by what they lose
    (:func:`as_operand`), and their products are bounded as those of any balls. The error of
    ``sum(a b)`` is then ``sum(abs(a) db + da (abs(b) + db))``, with ``da`` and ``db`` below
    ``2**(1 - bits)`` of ``abs(a)`` and ``abs(b)``: what Blanchard et al., theorem 3.2, have for
    operands rounded to the nearest, with twice their roundoff; and that of adding up.

    Sums in a wider arithmetic have a bound in that, and are then rounded. One with a bias may have
    been rounded before that was added as well, and is bounded as if it had been all along; so is
    one of several products, or `in_parts`.
    """

    def __init__(
        self,
        factors: Sequence[Tuple[BoundedArray, BoundedArray]],
        terms: Sequence[BoundedArray],
        in_parts: bool = False,
    ) -> None:
        self.factors = [(as_operand(a), as_operand(b)) for a, b in factors]
        self.terms = terms
        count, reach = len(terms), 0.0
        for a, b in self.factors:
            inner = b.mid.shape[-2]
            count, reach = count + inner, reach + inner * a.reach() * b.reach()
        for term in terms:
            reach += term.reach()
        products = [np.matmul(a.mid, b.mid) for a, b in self.factors]
        mid = reduce(np.add, products + [term.mid for term in terms])
        self.first = first = self.factors[0][0] if self.factors else terms[0]
        arithmetic = first.arithmetic
        if arithmetic.sums is not None and len(self.factors) == 1 and not (in_parts or terms):
            arithmetic = arithmetic.sums
        unit = arithmetic.unit_of_products if self.factors else arithmetic.unit
        Sums.__init__(self, arithmetic, mid, reach, count, 1, first.stacked, unit)

    def balls(self) -> BoundedArray:
        """As in :class:`Sums`, in the arithmetic of the factors."""
        balls, arithmetic = Sums.balls(self), self.first.arithmetic
        if balls.arithmetic is arithmetic:
            return balls
        mid, rad, reach = balls.mid, balls.rad, balls.reach()
        balls = BoundedArray(mid, rad, arithmetic, reach, balls.stacked)
        return rounded(mid, rad, reach, np.positive, balls)

    def magnitude(self) -> np.ndarray:
        """As in :class:`Sums`."""
        return reduce(
            np.add,
            [np.matmul(a.magnitude(), b.magnitude()) for a, b in self.factors]
            + [term.magnitude() for term in self.terms],
        )

    def errors(self) -> np.ndarray:
        """As in :class:`Sums`."""
        errors = []
        for a, b in self.factors:
            errors.append(np.matmul(self.error_of_each(a), b.magnitude()))
            rad = b.operand_rad()
            if rad is not None:
                errors.append(np.matmul(np.abs(a.mid), rad) * self.per_radius)
        return reduce(np.add, errors + [self.error_of_each(term) for term in self.terms])

    def squares(self) -> np.ndarray:
        """As in :class:`Sums`."""
        return reduce(
            np.add,
            [np.matmul(np.square(a.mid), np.square(b.mid)) for a, b in self.factors]
            + [np.square(term.mid) for term in self.terms],
        )

    def radii(self) -> Union[np.ndarray, float]:
        """As in :class:`Sums`."""
        of_terms = [term.operand_rad() for term in self.terms]
        radii = sum([rad for rad in of_terms if rad is not None], 0.0)
        for a, b in self.factors:
            of_a, of_b = a.operand_rad(), b.operand_rad()
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
        exact, where = _exact_sums(self.factors, self.terms), ...
        if exact is not True:
            if self.stacked and len(exact) == len(self.mid):
                where = _marked(np.logical_or.reduce(exact.reshape(len(exact), -1), axis=1))
                exact = exact[where]
            count = np.count_nonzero(exact)
            if not count:
                return None
            exact = True if count == exact.size else exact
        terms = None
        for a, b in self.factors:
            products = np.multiply(*_factors(_rows(a.mid, where), _rows(b.mid, where)))
            terms = products if terms is None else _beside(terms, products)
        for term in self.terms:
            column = _rows(term.mid, where)[..., None]
            terms = column if terms is None else _beside(terms, column)
        return where, terms, exact

    def has_unknown(self) -> np.ndarray:
        """As in :class:`Sums`."""
        unknown = [_any_factor(a.unknown(), b.unknown()) for a, b in self.factors]
        return reduce(np.logical_or, unknown + [term.unknown() for term in self.terms])

    def has_nan(self) -> np.ndarray:
        """As in :class:`Sums`."""
        nan = [_any_factor(np.isnan(a.mid), np.isnan(b.mid)) for a, b in self.factors]
        return reduce(np.logical_or, nan + [np.isnan(term.mid) for term in self.terms])

    def ends(self, where: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """As in :class:`Sums`."""
        ends = [_ends_of_products(a, b, where) for a, b in self.factors]
        for term in self.terms:
            ends.append(tuple(np.broadcast_to(x, where.shape)[where][:, None] for x in term.ends()))
        low, high = (np.concatenate(each, axis=-1) for each in zip(*ends))
        return low, high


def _ends_of_products(
    a: BoundedArray, b: BoundedArray, where: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """The lower and upper ends of what ``a @ b`` adds up in the sums that are marked."""

    def factors(a: np.ndarray, b: np.ndarray) -> List[np.ndarray]:
        shape = where.shape + (a.shape[-1],)
        return [np.broadcast_to(x, shape)[where] for x in _factors(a, b)]

    corners = [np.multiply(*factors(x, y)) for x in a.ends() for y in b.ends()]
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    nan = np.logical_and.reduce([np.isnan(corner) for corner in corners])
    # A product of finite numbers that overflows even in float64 may be added to, by a fused
    # multiply-add, before it is rounded.
    finite = np.logical_and(*factors(np.isfinite(a.mid), np.isfinite(b.mid)))
    known = np.where(finite, np.isfinite(low) & np.isfinite(high), nan | (low == high))
    return np.where(known, low, -np.inf), np.where(known, high, np.inf)


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
    factors: Sequence[Tuple[BoundedArray, BoundedArray]], terms: Sequence[BoundedArray]
) -> Any:
    """Which sums of products and terms have exact terms alone, by radii; True if all of them."""
    inexact = []
    for term in terms:
        rad = term.operand_rad()
        if rad is not None:
            inexact.append(rad > 0)
    for a, b in factors:
        rad = a.operand_rad()
        if rad is not None:
            inexact.append(np.logical_or.reduce(rad > 0, axis=-1, keepdims=True))
        rad = b.operand_rad()
        if rad is not None:
            columns = np.logical_or.reduce(rad > 0, axis=-2)
            inexact.append(columns if a.mid.ndim == 1 else columns[..., None, :])
    return ~reduce(np.logical_or, inexact) if inexact else True


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


def _beside(terms: np.ndarray, more: np.ndarray) -> np.ndarray:
    """The terms and more of them, along the last axis."""
    # Either may be the same in all cases of a stack, or in all rows, and the others not.
    if terms.shape[:-1] != more.shape[:-1]:
        shape = np.broadcast(terms[..., :1], more[..., :1]).shape[:-1]
        terms, more = (np.broadcast_to(x, shape + x.shape[-1:]) for x in (terms, more))
    return np.concatenate([terms, more], axis=-1)


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
    result = _product(a, b)
    result.made_of = Addends(((alone(a), b),), ())
    return result


def _product(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    return SumsOfProducts(((a, b.with_axes(a.ndim)),), ()).balls()


def _summed(addends: Addends, in_parts: bool = False) -> BoundedArray:
    """The balls of sums, which go on if something is added to them."""
    factors, terms = addends
    ndim = max([a.ndim for a, _ in factors] + [term.ndim for term in terms])
    filled = [(a.with_axes(ndim), b.with_axes(ndim)) for a, b in factors]
    sums = SumsOfProducts(filled, [term.with_axes(ndim) for term in terms], in_parts)
    result = sums.balls()
    result.made_of = Addends(tuple((alone(a), b) for a, b in factors), tuple(map(alone, terms)))
    return result


@bound(np.dot, examples=_of_products(np.dot)[::2])
def dot(a: Any, b: Any) -> BoundedArray:
    """As :func:`matmul`."""
    return matmul(*operands(a, b))


@bound(
    affine,
    examples=_of_products(affine, (1,))
    + [
        Example(affine, ((2, 3), (3, 2), (2,))),
        Example(lambda x, w, b, c: affine(x, w, b + b * c), ((1, 2), (2, 2), (2,), (2,))),
    ],
)
def affine_of_balls(a: Any, b: Any, bias: Any) -> BoundedArray:
    """``a @ b + bias``, with the bias last or, if the arithmetic says so, anywhere in each sum."""
    a, b, bias = operands(a, b, bias)
    if a.arithmetic.bias_anywhere:
        factors, terms = joined(bias)
        result = _summed(Addends(((a, b),) + factors, terms))
    else:
        result = _sum_of_two(_product(a, b), bias)
    result.is_affine = bias.ndim == 1
    return result


@bound(
    accumulate,
    examples=_of_products(accumulate)
    + _of_products(accumulate, (1,), (1,))
    + [
        Example(accumulate, ((2, 3), (3, 2), (2, 2), (2,), (2,))),
        # Such as a reset gate's product, of a product with its bias.
        Example(
            lambda x, w, r, b: accumulate(x, w, r * (r @ w + b)), ((2, 2), (2, 2), (2, 2), (2,))
        ),
        Example(lambda x, w, b: accumulate(x, w, x @ w, b + b), ((2, 2), (2, 2), (2,))),
    ],
)
def accumulate_of_balls(a: Any, b: Any, *terms: Any) -> BoundedArray:
    """``a @ b`` plus all of the terms, in any order, or those of parts of `a` and `b`."""
    a, b, *more = operands(a, b, *terms)
    if a.arithmetic.bias_anywhere:
        factors, more = joined(*more)
    else:
        factors, more = (), tuple(map(unrounded, more))
    return _summed(Addends(((a, b),) + factors, more), in_parts=True)


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
    + [Example(lambda x, w, b: b[:, None] + np.matmul(x, w), ((2, 2, 3), (3, 2), (2, 2)))]
    # One sum, in whatever parts it is written.
    + [
        Example(lambda x, w, h, r, b: x @ w + h @ r + b, ((2, 2), (2, 2), (2, 1), (1, 2), (2,))),
        Example(lambda x, w, b, c: x @ w + (b + c) - b, ((1, 2), (2, 2), (2,), (1, 2))),
        Example(
            lambda x, w, b, c: np.split(affine(x, w, b), 2, axis=-1)[1] + 1.0 + c * b[2:],
            ((2, 2), (2, 4), (4,), (2, 2)),
        ),
        Example(
            lambda x, w, b: np.matmul(x, w) + affine(x[:, 0], w, b)[:, None, :],
            ((2, 2, 2), (2, 2), (2,)),
        ),
        Example(lambda x, w, b: -(x @ w)[1:, ::-1] + b, ((2, 2), (2, 2), (2,))),
        Example(lambda x, w, b: np.reshape(x @ w, (4, 1)) + b, ((2, 2), (2, 2), (1,))),
        Example(lambda x, w, b: (x @ w)[:, :1] + x @ w + b, ((2, 2), (2, 2), (2,))),
        Example(lambda x, w, b: x @ w + b, ((3,), (3, 2), (2, 2)), stacks=False),
    ]
    # A product is rounded, or fused with a sum.
    + [
        Example(lambda x, y, z: x * y + z, ((3,), (3,), (3,))),
        Example(lambda x, y: x * y + x[::-1] * y, ((3,), (3,))),
        Example(lambda x, y, z: -(x * y)[1:] + z, ((3,), (3,), (2,))),
    ],
)
def add(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a + b``.

    Where one is a sum with matrix products in it, all that both were added up of is added up, in
    any order: who writes it like this means what a subject may compute in one sum. Of a subject
    that adds a bias last, the order is that in which the oracle writes it.
    """
    is_affine = False
    if a.made_of is not None or b.made_of is not None:
        is_affine = _is_affine(a, b) or _is_affine(b, a)
        addends = joined(a, b) if a.arithmetic.bias_anywhere else None
        if addends is not None and addends.factors:
            result = _summed(addends, in_parts=True)
            result.is_affine = is_affine
            return result
        # What is recorded of a product may be rounded for that alone.
        a, b = (x if x.computed is None else x.computed for x in (a, b))
    result = _sum_of_two(a, b)
    result.is_affine = is_affine
    if a.arithmetic.bias_anywhere:
        terms = tuple(term for x in (a, b) for term in _terms_of(x))
        if len(terms) <= MOST_TERMS_ONE_BY_ONE:
            result.made_of = Addends((), terms)
    return result


def _terms_of(x: BoundedArray) -> Tuple[BoundedArray, ...]:
    """The terms of a plain sum, as far as they are at hand, or the array itself."""
    return x.made_of.terms if isinstance(x.made_of, Addends) else (x,)


def _is_affine(product: BoundedArray, bias: BoundedArray) -> bool:
    """Whether this is a matrix product and no more, and a bias of its columns."""
    made_of = product.made_of
    if not isinstance(made_of, Addends) or made_of.terms or len(made_of.factors) != 1:
        return False
    return bias.ndim == 1 and bias.shape == product.shape[-1:]


@bound(
    np.subtract,
    examples=of_two(np.subtract)
    + [
        Example(lambda x, y, z: x * y - z, ((3,), (3,), (3,))),
        Example(lambda x, y, z: z - x * y, ((3,), (3,), (3,))),
    ],
)
def subtract(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a - b``."""
    a, b = broadcast(a, b)
    rad = sum_of_radii(a.operand_rad(), b.operand_rad())
    reach = a.reach() + b.reach()
    result = rounded(a.mid - b.mid, rad, reach, np.subtract, a, b)
    return result if reach < np.inf else _fused(result, a, negative(b))


def _sum_of_two(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a + b``, of which neither goes on with what it was added up of."""
    a, b = broadcast(a, b)
    rad = sum_of_radii(a.operand_rad(), b.operand_rad())
    reach = a.reach() + b.reach()
    result = rounded(a.mid + b.mid, rad, reach, np.add, a, b)
    return result if reach < np.inf else _fused(result, a, b)


def _fused(result: BoundedArray, a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """``a + b``, which is `result` unless a fused multiply-add computes it.

    That does not round the product, and only where this overflows may it be farther off than the
    result without it.
    """
    terms = unrounded(a), unrounded(b)
    if terms[0] is a and terms[1] is b:
        return result
    sums = SumsOfProducts((), terms).balls()
    special = ~np.isfinite(a.mid) | ~np.isfinite(b.mid) | a.unknown() | b.unknown()
    mid, rad = np.where(special, sums.mid, result.mid), np.where(special, sums.rad, result.rad)
    return BoundedArray(mid, rad, a.arithmetic, stacked=a.stacked)
