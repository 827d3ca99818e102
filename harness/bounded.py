"""Bounded arrays: for every element a midpoint and a bound on any correct subject's rounding error.

A :class:`BoundedArray` stands in for a NumPy array in the plain code of the oracles (NEP 13,
NEP 18). Every operation obeys one contract, *containment*: if each operand of the subject lies in
its ball, then the result of any correct evaluation in the subject's arithmetic lies in the
result's ball. Correct is any order of summation, with or without fused multiply-add, functions
as accurate as the arithmetic says, results and operands below the smallest normal number flushed
to zero or not.

An element is one of

==================  =====================================================================
a ball              `mid` and `rad` finite: a finite number within `rad` of `mid`
a special value     `mid` infinite or NaN and `rad` 0: just this (for NaN, any NaN)
anything            `rad` infinite: nothing is known; a sum may have met ``inf - inf``
==================  =====================================================================

The midpoints are float64 values, the oracle's own; the error of computing *them* is part of the
radius as well. Sources: Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition,
chapters 2 to 4; Johansson, *Arb: efficient arbitrary-precision midpoint-radius interval
arithmetic* (IEEE Trans. Computers 66, 2017).
"""

from functools import partial

import numpy as np

from harness.arithmetic import Arithmetic

_U64 = 2.0**-53
# A radius is itself computed in float64: a few roundings, all to be made up for.
_INFLATE = 1 + 2.0**-44
# Above this fraction of the largest number, and below its inverse, rounding decides on overflow.
_EDGE = 1 - 2.0**-6


class BoundedArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of balls.

    Parameters
    ----------
    mid : float64 array
        Midpoints.
    rad : float64 array of the same shape, or None
        Radii; None for numbers that the subject holds exactly, bit for bit.
    arithmetic : Arithmetic
        That of the subject.
    """

    __slots__ = ("mid", "arithmetic", "is_affine", "_rad", "_magnitude", "_operand_rad", "_product")

    def __init__(self, mid, rad, arithmetic: Arithmetic):
        self.mid = mid
        self.arithmetic = arithmetic
        self._rad = rad
        self._magnitude = self._operand_rad = self._product = None
        self.is_affine = False

    @property
    def exact(self):
        """Whether the subject's numbers are the midpoints, bit for bit."""
        return self._rad is None

    @property
    def rad(self):
        """The radii, as an array."""
        return np.zeros_like(self.mid) if self._rad is None else self._rad

    @property
    def shape(self):
        """As of the midpoints."""
        return self.mid.shape

    @property
    def ndim(self):
        """As of the midpoints."""
        return self.mid.ndim

    def __len__(self):
        return len(self.mid)

    def __repr__(self):
        return "BoundedArray({!r}, {!r}, {})".format(self.mid, self.rad, self.arithmetic.name)

    def __getitem__(self, index):
        return self._structural(lambda part: part[index])

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        handler = _UFUNCS.get(ufunc)
        if handler is None or method != "__call__" or kwargs:
            raise TypeError("no bound is known for {}.{}".format(ufunc.__name__, method))
        return handler(*[_lift(x, self.arithmetic) for x in inputs])

    def __array_function__(self, function, types, args, kwargs):
        handler = _FUNCTIONS.get(function)
        if handler is None:
            raise TypeError("no bound is known for numpy.{}".format(function.__name__))
        return handler(*args, **kwargs)

    def __array__(self, *args, **kwargs):
        raise TypeError("a BoundedArray does not turn into an array: its radius would be lost")

    def magnitude(self):
        """The largest absolute value in each ball."""
        if self._magnitude is None:
            self._magnitude = np.abs(self.mid)
            if self._rad is not None:
                self._magnitude = self._magnitude + self._rad
        return self._magnitude

    def operand_rad(self):
        """The radii with which the balls enter an operation; None if all are 0.

        An exact subnormal may be flushed to zero when it is read. The radius of every computed
        ball allows for that already.
        """
        if self._rad is not None:
            return self._rad
        if self._operand_rad is None:
            magnitude = self.magnitude()
            subnormal = (magnitude < self.arithmetic.smallest) & (magnitude > 0)
            self._operand_rad = np.where(subnormal, magnitude, 0.0) if subnormal.any() else False
        return None if self._operand_rad is False else self._operand_rad

    def rad_as_operand(self):
        """Those radii, as an array."""
        rad = self.operand_rad()
        return np.zeros_like(self.mid) if rad is None else rad

    def ends(self):
        """The lower and upper ends of the balls as operands."""
        rad = self.operand_rad()
        return (self.mid, self.mid) if rad is None else (self.mid - rad, self.mid + rad)

    def _structural(self, move):
        """Apply an operation that only moves elements."""
        rad = None if self._rad is None else move(self._rad)
        return BoundedArray(move(self.mid), rad, self.arithmetic)


def exact(array, arithmetic):
    """The array as the subject holds it, exactly."""
    return BoundedArray(np.asarray(array, dtype=np.float64), None, arithmetic)


def _lift(value, arithmetic):
    """A number of the oracle's own as the subject holds it: rounded to its precision."""
    if isinstance(value, BoundedArray):
        return value
    mid = np.asarray(value, dtype=np.float64)
    with np.errstate(over="ignore"):
        error = np.abs(mid - mid.astype(arithmetic.name))
    rounded = error[np.isfinite(mid)].any()
    return BoundedArray(mid, error * _INFLATE if rounded else None, arithmetic)


# --- settling: overflow and special values ----------------------------------------------------


def _is_tame(mid, rad, arithmetic):
    """Whether all balls are finite and far from overflow; the fast way ends here."""
    return np.max(np.abs(mid) + rad, initial=0.0) <= arithmetic.largest * _EDGE


def _settled(mid, rad, arithmetic, corners):
    """The result of an elementwise operation.

    Parameters
    ----------
    mid, rad : arrays
        What the operation's formula gives; wrong wherever overflow or special values take part.
    corners : function without arguments
        The operation on all corners of the operands' balls, [corners, ...]. Every operation here
        is monotone in each operand between its singularities, so equal corners settle it.
    """
    if _is_tame(mid, rad, arithmetic):
        return BoundedArray(mid, rad, arithmetic)
    results = np.broadcast_arrays(*corners())
    edge = arithmetic.largest * _EDGE
    low, high = np.minimum.reduce(results), np.maximum.reduce(results)
    nans = np.add.reduce([np.isnan(result) for result in results])
    size = np.maximum(np.abs(low), np.abs(high))
    # What the formula says holds for finite operands; where it says nothing, the corners do.
    fallback = (high - low) + 4 * arithmetic.unit * size + arithmetic.smallest
    known = np.isfinite(mid) & np.isfinite(rad)
    mid = np.where(known, mid, low)
    rad = np.where(known, rad, fallback)
    rad = np.where((nans > 0) | ~(np.abs(mid) + rad <= edge), np.inf, rad)
    special = np.full(np.shape(mid), 0.0)
    special = np.where(nans == len(results), np.nan, special)
    special = np.where(low * _EDGE > arithmetic.largest, np.inf, special)
    special = np.where(high * _EDGE < -arithmetic.largest, -np.inf, special)
    certain = special != 0
    return BoundedArray(
        np.where(certain, special, mid), np.where(certain, 0.0, rad), arithmetic
    )


def _is_anything(array):
    return np.isinf(array.rad)


def _binary_corners(function, a, b):
    def corners():
        unknown = np.where(_is_anything(a) | _is_anything(b), np.nan, 0.0)
        # One NaN among numbers: the corners differ, so the result is anything.
        known = [function(x, y) for x in a.ends() for y in b.ends()]
        return [np.where(np.isnan(unknown), 0.0, result) for result in known] + [
            np.where(np.isnan(unknown), np.nan, known[0])
        ]

    return corners


def _unary_corners(function, a):
    def corners():
        unknown = _is_anything(a)
        known = [function(x) for x in a.ends()]
        return [np.where(unknown, 0.0, result) for result in known] + [
            np.where(unknown, np.nan, known[0])
        ]

    return corners


# --- elementwise ------------------------------------------------------------------------------


def _rad_sum(a, b):
    rad_a, rad_b = a.operand_rad(), b.operand_rad()
    if rad_a is None:
        return 0.0 if rad_b is None else rad_b
    return rad_a if rad_b is None else rad_a + rad_b


def _rounded(mid, rad, arithmetic, roundings=1):
    """Add to `rad` what so many roundings, and a flush to zero, can add."""
    error = (roundings * arithmetic.unit + 2 * _U64) * (np.abs(mid) + rad)
    return (rad + error) * _INFLATE + arithmetic.smallest


def _add(a, b, function=np.add):
    arithmetic = a.arithmetic
    mid = function(a.mid, b.mid)
    has_bias = a._product is not None and b.ndim == 1
    if has_bias and arithmetic.fused:
        product = a._product.with_bias(b)
        rad = product.rad()
        result = _settled(mid, rad, arithmetic, _binary_corners(function, a, b))
        if not _is_tame(product.magnitude, rad, arithmetic):
            # The bias may have come between the terms whose sum alone would overflow.
            finite = np.isfinite(product.magnitude)
            huge = finite & ~(product.magnitude <= arithmetic.largest * _EDGE)
            result = BoundedArray(result.mid, np.where(huge, np.inf, result.rad), arithmetic)
    else:
        rad = _rounded(mid, _rad_sum(a, b), arithmetic)
        result = _settled(mid, rad, arithmetic, _binary_corners(function, a, b))
    result.is_affine = has_bias
    return result


def _subtract(a, b):
    return _add(a, b, np.subtract)


def _multiply(a, b):
    mid = a.mid * b.mid
    rad_a, rad_b = a.operand_rad(), b.operand_rad()
    rad = np.zeros_like(mid)
    if rad_a is not None:
        rad = rad_a * b.magnitude()
    if rad_b is not None:
        rad = rad + np.abs(a.mid) * rad_b
    rad = _rounded(mid, rad, a.arithmetic)
    return _settled(mid, rad, a.arithmetic, _binary_corners(np.multiply, a, b))


def _divide(a, b):
    mid = a.mid / b.mid
    rad_b = 0.0 if b.operand_rad() is None else b.operand_rad()
    rad = _rad_sum(a, exact(0.0, a.arithmetic)) + np.abs(mid) * rad_b
    nearest = np.abs(b.mid) - rad_b
    rad = np.where(nearest > 0, rad / nearest, np.inf)
    # The reciprocal by a Newton step and then the product: two ULP.
    rad = _rounded(mid, rad, a.arithmetic, roundings=4)
    low, high = b.ends()
    # A ball around zero holds the pole of the quotient: make it a corner.
    pole = np.where((low < 0) & (high > 0), 0.0, low)
    corners = _binary_corners(np.divide, a, b)
    return _settled(mid, rad, a.arithmetic, lambda: corners() + [a.mid / pole])


def _negative(a):
    return BoundedArray(-a.mid, a._rad, a.arithmetic)


def _tanh(a):
    arithmetic = a.arithmetic
    accuracy = arithmetic.functions["affine tanh" if a.is_affine else "tanh"]
    mid = np.tanh(a.mid)
    size = np.abs(mid)
    rad = a.operand_rad()
    if rad is None:
        rad = np.zeros_like(mid)
    else:
        # The derivative, 1 - tanh^2, is largest where the ball is nearest to zero.
        slope = 1 - np.tanh(np.maximum(np.abs(a.mid) - rad, 0)) ** 2 + 4 * _U64
        # An infinite radius stays: anything may be NaN.
        rad = np.where(np.isinf(rad), rad, np.minimum(rad * slope, 1 + size))
    rad = _inaccurate(size, rad, accuracy, arithmetic, 1 - _U64)
    return _settled(mid, rad, arithmetic, _unary_corners(np.tanh, a))


def _exp(a):
    mid = np.exp(a.mid)
    rad = a.operand_rad()
    rad = np.zeros_like(mid) if rad is None else mid * np.expm1(rad)
    rad = _inaccurate(mid, rad, a.arithmetic.functions["exp"], a.arithmetic)
    return _settled(mid, rad, a.arithmetic, _unary_corners(np.exp, a))


def _log(a):
    mid = np.log(a.mid)
    rad = a.operand_rad()
    if rad is None:
        rad = np.zeros_like(mid)
    else:
        nearest = a.mid - rad
        rad = np.where(nearest > 0, rad / nearest, np.inf)
    rad = _inaccurate(np.abs(mid), rad, a.arithmetic.functions["log"], a.arithmetic)
    return _settled(mid, rad, a.arithmetic, _unary_corners(np.log, a))


def _inaccurate(size, rad, accuracy, arithmetic, most=np.inf):
    """Add to `rad` the function's own inaccuracy; `size` is the magnitude of its midpoint."""
    ulp = arithmetic.ulp(np.minimum(size + rad, most))
    error = accuracy.ulp * ulp + accuracy.absolute + 4 * _U64 * size
    return (rad + error) * _INFLATE + arithmetic.smallest


# --- sums -------------------------------------------------------------------------------------


class _Product:
    """What a matrix product knows of its sums: terms, their magnitude, the operands' radii."""

    def __init__(self, terms, magnitude, spread, arithmetic):
        self.terms = terms
        self.magnitude = magnitude
        self.spread = spread
        self.arithmetic = arithmetic

    def rad(self):
        """The bound of the sum in any order (Higham, section 3.1; Jeannerod and Rump 2013)."""
        gamma = self.arithmetic.gamma(self.terms) + 2 * self.terms * _U64
        underflow = 2 * self.terms * self.arithmetic.smallest
        return (gamma * self.magnitude + self.spread + underflow) * _INFLATE

    def with_bias(self, bias):
        """The same where the bias is one more term of the sum, at any place in its order."""
        magnitude = self.magnitude + bias.magnitude()
        spread = self.spread + bias.rad_as_operand()
        return _Product(self.terms + 1, magnitude, spread, self.arithmetic)


def _dot(a, b):
    """``[..., K] @ [K, M]``."""
    if b.ndim != 2 or a.ndim < 1:
        raise TypeError("no bound is known for a product of {} and {}".format(a.shape, b.shape))
    if a.ndim != 2:
        rows = _reshape(a, (int(np.prod(a.shape[:-1])), a.shape[-1]))
        return _reshape(_dot(rows, b), a.shape[:-1] + b.shape[1:])
    mid = np.dot(a.mid, b.mid)
    magnitude = np.dot(a.magnitude(), b.magnitude())
    rad_a, rad_b = a.operand_rad(), b.operand_rad()
    spread = 0.0
    if rad_a is not None:
        spread = np.dot(rad_a, b.magnitude())
    if rad_b is not None:
        spread = spread + np.dot(np.abs(a.mid), rad_b)
    # A zero in a row is a term that no order of summation can feel.
    terms = np.maximum(np.count_nonzero(a.magnitude(), axis=1)[:, None], 1)
    product = _Product(terms, magnitude, spread, a.arithmetic)
    rad = product.rad()
    if _is_tame(magnitude, rad, a.arithmetic):
        result = BoundedArray(mid, rad, a.arithmetic)
    elif _is_anything(a).any() or _is_anything(b).any():
        known = _dot(_known(a), _known(b))
        unknown = _is_anything(a).any(axis=1)[:, None] | _is_anything(b).any(axis=0)
        result = BoundedArray(known.mid, np.where(unknown, np.inf, known.rad), a.arithmetic)
    else:
        result = _sum_of_terms(_terms(a, b), mid, rad, a.arithmetic)
    result._product = product
    return result


def _known(a):
    """The array with zeros where it is anything."""
    unknown = _is_anything(a)
    if not unknown.any():
        return a
    mid, rad = np.where(unknown, 0.0, a.mid), np.where(unknown, 0.0, a.rad)
    return BoundedArray(mid, rad, a.arithmetic)


class _Terms:
    """The summands of each element, summed along axis 1, as balls that may be special."""

    def __init__(self, low, high, anything=False):
        self.low, self.high = low, high
        self.anything = np.zeros(low.shape, dtype=bool) | anything


def _terms(a, b):
    """The products ``a_ik b_kj`` of a matrix product, not rounded: a fused add may take them so."""
    (a_low, a_high), (b_low, b_high) = a.ends(), b.ends()
    corners = [x[:, :, None] * y[None] for x in (a_low, a_high) for y in (b_low, b_high)]
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    nans = np.add.reduce([np.isnan(corner) for corner in corners])
    anything = ((nans > 0) & (nans < len(corners))) | (np.isinf(low) != np.isinf(high))
    anything = anything | (np.isinf(low) & (low != high))
    finite = np.isfinite(a.mid)[:, :, None] & np.isfinite(b.mid)[None]
    anything = anything | (finite & ~np.isfinite(low))
    return _Terms(low, high, anything)


def _sum_of_terms(terms, mid, rad, arithmetic):
    """Decide what sums with special or huge terms can be, in every order of summation."""
    low, high = terms.low, terms.high
    nan = (np.isnan(low) & ~terms.anything).any(axis=1)
    anything = terms.anything.any(axis=1)
    up = ((low == np.inf) & ~terms.anything).any(axis=1)
    down = ((high == -np.inf) & ~terms.anything).any(axis=1)
    finite = np.isfinite(low) & np.isfinite(high)
    positive = np.sum(np.where(finite, np.maximum(high, 0), 0), axis=1)
    negative = np.sum(np.where(finite, np.maximum(-low, 0), 0), axis=1)
    edge = arithmetic.largest * _EDGE
    over, under = ~(positive <= edge), ~(negative <= edge)
    beyond = arithmetic.largest / _EDGE
    plus = (up & ~under) | (~up & over & ~under & (mid - rad > beyond))
    minus = (down & ~over) | (~down & under & ~over & (mid + rad < -beyond))
    nan = nan | (up & down)
    anything = ~nan & (anything | ((up | down | over | under) & ~plus & ~minus))
    special = np.where(nan, np.nan, np.where(plus, np.inf, np.where(minus, -np.inf, mid)))
    certain = nan | ((plus | minus) & ~anything)
    mid = np.where(certain, special, np.where(np.isfinite(mid), mid, 0.0))
    rad = np.where(certain, 0.0, np.where(anything | ~np.isfinite(rad), np.inf, rad))
    return BoundedArray(mid, rad, arithmetic)


def _sum(a, axis=None, keepdims=False):
    arithmetic = a.arithmetic
    count = a.mid.size if axis is None else a.shape[axis]
    mid = np.sum(a.mid, axis=axis, keepdims=keepdims)
    magnitude = np.sum(a.magnitude(), axis=axis, keepdims=keepdims)
    rad = a.operand_rad()
    spread = 0.0 if rad is None else np.sum(rad, axis=axis, keepdims=keepdims)
    rad = _Product(count, magnitude, spread, arithmetic).rad()
    if _is_tame(magnitude, rad, arithmetic):
        return BoundedArray(mid, rad, arithmetic)
    low, high = a.ends()
    rows = [np.reshape(np.moveaxis(np.atleast_1d(x), -1 if axis is None else axis, -1), (-1, count))
            for x in (low, high, _is_anything(a))]
    summed = _sum_of_terms(
        _Terms(*rows), np.reshape(mid, -1), np.reshape(rad, -1), arithmetic
    )
    return _reshape(summed, np.shape(mid))


def _mean(a, axis=None):
    count = a.mid.size if axis is None else a.shape[axis]
    return _divide(_sum(a, axis), _lift(count, a.arithmetic))


# --- selection and structure: no rounding -----------------------------------------------------


def _select(choose, a):
    """The result of choosing among elements, or between an element and a constant."""
    if a.exact:
        return BoundedArray(choose(a.mid), None, a.arithmetic)
    low, high = choose(a.mid - a.rad), choose(a.mid + a.rad)
    anything = ~np.isfinite(choose(np.where(_is_anything(a), np.nan, 0.0)))
    special = (low == high) | (np.isnan(low) & np.isnan(high))
    mid = np.where(special, low, np.where(anything, 0.0, (low + high) / 2))
    rad = np.where(special, 0.0, (high - low) / 2 + 2 * _U64 * np.abs(mid)) * _INFLATE
    rad = np.where(anything | np.isnan(rad), np.inf, rad)
    return BoundedArray(mid, rad, a.arithmetic)


def _max(a, axis=None, keepdims=False):
    return _select(partial(np.max, axis=axis, keepdims=keepdims), a)


def _clip(a, a_min, a_max):
    low, high = _lift(a_min, a.arithmetic), _lift(a_max, a.arithmetic)
    clipped = _select(lambda x: np.clip(x, low.mid, high.mid), a)
    rad = np.maximum(low.rad, high.rad)
    if not rad.any():
        return clipped
    # The subject's limits are rounded; a limit that moves by so much moves the result no more.
    return BoundedArray(clipped.mid, clipped.rad + rad, a.arithmetic)


def _argmax(a, axis=None):
    if not a.exact:
        raise TypeError("the arg max of rounded numbers is not one number: follow the subject's")
    return np.argmax(a.mid, axis=axis)


def _reshape(a, shape):
    return a._structural(lambda part: np.reshape(part, shape))


def _join(function, arrays, **kwargs):
    arithmetic = next(x.arithmetic for x in arrays if isinstance(x, BoundedArray))
    arrays = [_lift(x, arithmetic) for x in arrays]
    mid = function([x.mid for x in arrays], **kwargs)
    if all(x.exact for x in arrays):
        return BoundedArray(mid, None, arithmetic)
    return BoundedArray(mid, function([x.rad_as_operand() for x in arrays], **kwargs), arithmetic)


def _ones_like(a):
    return BoundedArray(np.ones_like(a.mid), None, a.arithmetic)


_UFUNCS = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.true_divide: _divide,
    np.negative: _negative,
    np.tanh: _tanh,
    np.exp: _exp,
    np.log: _log,
    np.matmul: _dot,
}


def _lifted(handler):
    def lifted(a, b):
        arithmetic = (a if isinstance(a, BoundedArray) else b).arithmetic
        return handler(_lift(a, arithmetic), _lift(b, arithmetic))

    return lifted


_FUNCTIONS = {
    np.dot: _lifted(_dot),
    np.sum: _sum,
    np.mean: _mean,
    np.max: _max,
    np.clip: _clip,
    np.argmax: _argmax,
    np.reshape: _reshape,
    np.ones_like: _ones_like,
    np.concatenate: partial(_join, np.concatenate),
    np.hstack: partial(_join, np.hstack),
    np.stack: partial(_join, np.stack),
}
