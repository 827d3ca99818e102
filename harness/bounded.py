"""Bounded arrays: for every element a midpoint and a bound on any correct subject's rounding error.

A :class:`BoundedArray` stands in for a NumPy array in the plain code of the oracles (NEP 13,
NEP 18). Every operation obeys one contract, *containment*: if every operand, as the subject reads
it, lies in its ball, then so does the result of any correct evaluation in the subject's
arithmetic, as the next operation will read it. Correct is a sum in any order, with or without
fused multiply-add; a function as accurate as the arithmetic says; a quotient by way of
the reciprocal; a number below the smallest normal one flushed to zero where it is written or read,
or not.

An element is one of

==================  =====================================================================
a ball              `mid` and `rad` finite: a finite number within `rad` of `mid`
a special value     `mid` infinite or NaN and `rad` 0: just this (for NaN, any NaN)
anything            `rad` infinite, `mid` 0: nothing is known; NaN may be in it
==================  =====================================================================

Most arrays hold balls alone, far from overflow, and for these an operation is a formula over whole
arrays. That it applies is known without a look at the elements: an array carries its *reach*, a
number that no ball in it reaches beyond. Where the reach of a result comes near overflow, every
element is settled by itself, by what the operation makes of the ends of the balls.

A *stack* holds the same array of many cases, along a first axis that is hidden from the code that
computes with it: small arrays cost what calls of NumPy cost, and a stack needs no more of them.

The midpoints are float64 values, the oracle's own; the errors of computing them, and the radii,
are in the radius too.

References
----------
Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition, chapters 2 to 4. Johansson,
*Arb: efficient arbitrary-precision midpoint-radius interval arithmetic*, IEEE Transactions on
Computers 66, 2017.
"""

import math
import operator
from functools import reduce
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from harness.arithmetic import Arithmetic
from models.functions import affine, sigmoid, softmax

_U64 = 2.0**-53
# NumPy's tanh, exp, expm1 and log are right to 4 ULP of float64; this, relative, is 16.
_FUNCTION64 = 32 * _U64
# Makes up for the few float64 roundings of a radius.
_INFLATE = 1 + 2.0**-48
# Up to this fraction of the largest number nothing overflows, from its inverse multiple on
# everything does. In between rounding decides, and nothing is known.
_EDGE = 1 - 2.0**-6
# Sums of no more terms than this are bounded term by term, which takes as much time as they have
# terms. Where large networks meet small ones: the article's have 140, the small ones up to 8.
_FEW = 32
# Beyond it, NumPy's exp would overflow.
_LARGEST_EXPONENT = 700.0
# Below it, float64 numbers lose digits and vanish.
_VANISHING = 2.0**-1060
# By more than this, in units of a result, the roundings of a row's sum are not bounded.
_MOST_ROUNDING = 1.0
# The reciprocal in a softmax of Eigen's is up to 3.33 ULP off, that of others correctly rounded.
_RECIPROCAL_ULP = 3.4


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
    reach : float, optional
        A number that no ball reaches beyond, infinite if an element is no ball. By default the
        array is searched for it when it is needed.
    """

    # Whether this is a matrix product plus a bias; and of a mere product, what was multiplied.
    is_affine = False
    factors = None
    # Whether the first axis of the midpoints is that of a stack.
    stacked = False
    # What is looked up once: the magnitudes; and the radii of exact numbers that may be flushed,
    # None if there are none, False if nobody has looked.
    _magnitude = None
    _flushed = False

    def __init__(self, mid, rad, arithmetic: Arithmetic, reach=None):
        self.mid = mid
        self.arithmetic = arithmetic
        self._rad = rad
        self._reach = reach

    @property
    def exact(self):
        """Whether the subject's numbers are the midpoints, bit for bit."""
        return self._rad is None

    @property
    def rad(self):
        """The radii, as an array."""
        return np.zeros(self.mid.shape) if self._rad is None else self._rad

    @property
    def shape(self):
        """As of the midpoints; of a stack, that of each of its arrays."""
        return self.mid.shape[1:] if self.stacked else self.mid.shape

    @property
    def dtype(self):
        """As of the midpoints."""
        return self.mid.dtype

    @property
    def ndim(self):
        """How many axes there are in the shape."""
        return self.mid.ndim - self.stacked

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        return "BoundedArray({!r}, {!r}, {})".format(self.mid, self.rad, self.arithmetic.name)

    def __getitem__(self, index):
        if self.stacked:
            index = (slice(None),) + (index if isinstance(index, tuple) else (index,))
        return self._moved(self.mid[index], None if self._rad is None else self._rad[index])

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        handler = _UFUNCS.get(ufunc)
        if handler is None or method != "__call__" or kwargs:
            raise TypeError("no bound is known for {}.{}".format(ufunc.__name__, method))
        operands = [_lift(x, self.arithmetic) for x in inputs]
        if any([x.stacked for x in operands]):
            result = handler(*[x.as_stack() for x in operands])
            result.stacked = True
            return result
        return handler(*operands)

    def __array_function__(self, function, types, args, kwargs):
        handler = _FUNCTIONS.get(function)
        if handler is None:
            raise TypeError("no bound is known for numpy.{}".format(function.__name__))
        return handler(*args, **kwargs)

    def __array__(self, *args, **kwargs):
        raise TypeError("a BoundedArray does not turn into an array: its radius would be lost")

    def __bool__(self):
        raise TypeError("a BoundedArray is neither true nor false: its radius would be lost")

    def operand_rad(self):
        """The radii with which the balls enter an operation; None if all are 0.

        An exact number below the smallest normal one may be flushed to zero when it is read. The
        radius of every number that was computed allows for that already.
        """
        if self._rad is not None:
            return self._rad
        if self._flushed is False:
            size, self._flushed = np.abs(self.mid), None
            small = size < self.arithmetic.smallest
            if np.count_nonzero(small):
                subnormal = np.where(small, size, 0.0)
                self._flushed = subnormal if subnormal.any() else None
        return self._flushed

    def magnitude(self):
        """The largest absolute value in each ball as an operand."""
        if self._magnitude is None:
            magnitude, rad = np.abs(self.mid), self.operand_rad()
            self._magnitude = magnitude if rad is None else magnitude + rad
        return self._magnitude

    def reach(self):
        """A number that no ball reaches beyond, infinite if an element is no ball."""
        if self._reach is None:
            reach = _largest(self.magnitude())
            self._reach = reach if reach <= np.inf else np.inf
        return self._reach

    def rad_as_operand(self):
        """Those radii, as an array."""
        rad = self.operand_rad()
        return np.zeros(self.mid.shape) if rad is None else rad

    def ends(self):
        """The lower and the upper ends of the balls as operands, rounded outwards."""
        rad = self.operand_rad()
        if rad is None:
            return self.mid, self.mid
        rad = np.where(rad > 0, rad * _INFLATE + np.abs(self.mid) * (2 * _U64), 0.0)
        return self.mid - rad, self.mid + rad

    def as_stack(self):
        """A stack; of an array that is none, a stack of this one, which broadcasts."""
        if self.stacked:
            return self
        result = self._moved(self.mid[None], None if self._rad is None else self._rad[None])
        result.stacked, result.factors = True, self.factors
        return result

    def with_axes(self, ndim):
        """The same with axes of size 1 in front, as NumPy adds them to the shorter shape."""
        if not self.stacked or ndim <= self.ndim:
            return self
        return self[(None,) * (ndim - self.ndim)]

    def axes(self, axis):
        """The axis or axes of the midpoints that `axis` (None: all of them) is in the shape."""
        if axis is None:
            return tuple(range(self.mid.ndim - self.ndim, self.mid.ndim))
        return axis + 1 if self.stacked and axis >= 0 else axis

    def _moved(self, mid, rad):
        """Some of the elements, elsewhere. What is known of the whole array holds for them."""
        result = BoundedArray(mid, rad, self.arithmetic, self.reach())
        result.stacked = self.stacked
        if rad is None and self.operand_rad() is None:
            result._flushed = None
        return result


def _largest(magnitudes):
    # On few numbers argmax takes a quarter of the time of max. It is NaN that is the largest.
    return magnitudes.item(magnitudes.argmax()) if magnitudes.size else 0.0


def exact(array, arithmetic):
    """The array as the subject holds it, exactly."""
    return BoundedArray(np.asarray(array, dtype=np.float64), None, arithmetic)


def exact_stack(arrays, arithmetic):
    """The same array of many cases, as the subject holds it, along the first axis of `arrays`."""
    result = exact(arrays, arithmetic)
    result.stacked = True
    return result


def _like(result, a):
    """`result`, a stack if `a` is one."""
    result.stacked = a.stacked
    return result


def _broadcasting(operation):
    """The operation on two arrays, a shorter shape filled up as NumPy does, stacks or not."""

    def broadcasting(a, b):
        if a.stacked and a.mid.ndim != b.mid.ndim:
            ndim = max(a.ndim, b.ndim)
            a, b = a.with_axes(ndim), b.with_axes(ndim)
        return operation(a, b)

    return broadcasting


def _lift(value, arithmetic):
    """A number of the oracle's own as the subject holds it: rounded to its precision."""
    if isinstance(value, BoundedArray):
        return value
    mid = np.asarray(value, dtype=np.float64)
    with np.errstate(all="ignore"):
        rounded = mid.astype(arithmetic.name)
        error = np.abs(mid - rounded)
    if (rounded == mid).all() or not (error > 0).any():
        return BoundedArray(mid, None, arithmetic)
    rad = np.where(np.isfinite(mid), error * _INFLATE + arithmetic.smallest, 0.0)
    return BoundedArray(np.where(rad < np.inf, mid, 0.0), rad, arithmetic)


# --- elementwise: settling --------------------------------------------------------------------


def _settled(mid, rad, reach, function, *operands):
    """The result of an elementwise operation.

    Parameters
    ----------
    mid, rad : arrays
        What the operation's formula gives: true of every element that it leaves clear of overflow,
        unless an operand is anything.
    reach : float
        What the result cannot reach beyond, infinite or NaN if that takes a look at the elements.
    function : function of arrays
        The operation on the ends of balls. It is monotone in each operand between its poles, and
        in float64 does not overflow where the subject may not: what all ends become, all points
        become.
    operands : BoundedArray
    """
    arithmetic = operands[0].arithmetic
    limit = arithmetic.largest * _EDGE
    if reach <= limit:
        return BoundedArray(mid, rad, arithmetic, reach)
    result = BoundedArray(mid, rad, arithmetic)
    if result.reach() <= limit and all(operand.reach() < np.inf for operand in operands):
        return result
    corners = [function(*corner) for corner in product(*[operand.ends() for operand in operands])]
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    nan = np.logical_and.reduce([np.isnan(corner) for corner in corners])
    beyond = arithmetic.largest / _EDGE
    up, down = low >= beyond, high <= -beyond
    known = ~reduce(operator.or_, [np.isinf(operand.rad) for operand in operands])
    clear = known & (result.magnitude() <= limit)
    return _decided(result, clear, known & nan, known & up, known & down)


def _decided(result, clear, nan, up, down):
    """Special values where certain, above all NaN; balls where `clear`; anything elsewhere."""
    certain = nan | up | down
    special = np.where(nan, np.nan, np.where(up, np.inf, -np.inf))
    mid = np.where(certain, special, np.where(clear, result.mid, 0.0))
    rad = np.where(certain, 0.0, np.where(clear, result.rad, np.inf))
    return BoundedArray(mid, rad, result.arithmetic)


# --- elementwise: what is rounded to the nearest ----------------------------------------------


def _rounded(mid, rad, reach, function, *operands, roundings=1):
    """`mid`, off by `rad` because of its operands (None: by nothing), rounded and flushed."""
    arithmetic = operands[0].arithmetic
    # The midpoint is rounded too, in float64.
    unit = (roundings * arithmetic.unit + 2 * _U64) * _INFLATE
    flush = arithmetic.smallest * _INFLATE
    error = np.abs(mid) * unit + flush
    if rad is not None:
        error = error + rad * ((1 + unit) * _INFLATE)
    reach = reach * ((1 + 2 * unit) * _INFLATE) + 2 * flush
    return _settled(mid, error, reach, function, *operands)


def _rad_sum(a, b):
    """The sum of two arrays of radii, either of them None for zeros."""
    if a is None:
        return b
    return a if b is None else a + b


def _add(a, b):
    for terms, bias in ((a, b), (b, a)):
        # Who writes it like this means what a subject may compute in one sum.
        if terms.factors is not None and _is_bias(bias, terms):
            return _affine(*terms.factors, bias)
    return _plain_add(a, b)


def _is_bias(bias, terms):
    """Whether each sum of products has one number of `bias`: as a query added to features."""
    if bias.ndim == 1:
        return bias.shape == terms.shape[-1:]
    if bias.ndim > terms.ndim:
        return False
    return np.broadcast(terms.mid, bias.with_axes(terms.ndim).mid).shape == terms.mid.shape


@_broadcasting
def _plain_add(a, b):
    rad = _rad_sum(a.operand_rad(), b.operand_rad())
    return _rounded(a.mid + b.mid, rad, a.reach() + b.reach(), np.add, a, b)


@_broadcasting
def _subtract(a, b):
    rad = _rad_sum(a.operand_rad(), b.operand_rad())
    return _rounded(a.mid - b.mid, rad, a.reach() + b.reach(), np.subtract, a, b)


@_broadcasting
def _multiply(a, b):
    rad_a, rad_b = a.operand_rad(), b.operand_rad()
    rad = _rad_sum(
        None if rad_a is None else rad_a * b.magnitude(),
        None if rad_b is None else np.abs(a.mid) * rad_b,
    )
    return _rounded(a.mid * b.mid, rad, a.reach() * b.reach(), np.multiply, a, b)


@_broadcasting
def _divide(a, b):
    unit, smallest = a.arithmetic.unit, a.arithmetic.smallest
    mid = a.mid / b.mid
    rad, rad_b, nearest = a.operand_rad(), b.operand_rad(), np.abs(b.mid)
    if rad_b is not None:
        rad = _rad_sum(rad, np.abs(mid) * rad_b)
        # Zero at most: there the quotient has its pole.
        nearest = np.maximum(nearest - rad_b, 0.0)
    if rad is not None:
        rad = rad / nearest
    lowest = -_largest(-nearest)
    reach = a.reach() / lowest if lowest > 0 else np.inf
    # A subject may multiply by the reciprocal, which is rounded, too, and may be flushed.
    if not b.reach() * smallest < 1:
        rad = _rad_sum(rad, a.magnitude() * smallest)
        reach += a.reach() * smallest
    return _rounded(mid, rad, reach, _less_than_quotient, a, b, roundings=2 + unit)


def _less_than_quotient(a, b):
    return (a * _EDGE) / b


def _negative(a):
    return a._moved(-a.mid, a._rad)


# --- elementwise: functions -------------------------------------------------------------------


def _evaluated(mid, rad, extent, reach, accuracy, function, a):
    """`mid`, off by `rad` because of its operand, as inaccurate as the subject computes it.

    No exact value, nor one near it in float64, exceeds `extent` in magnitude.
    """
    arithmetic = a.arithmetic
    relative = 2 * arithmetic.unit * accuracy.ulp + _FUNCTION64
    absolute = accuracy.absolute + arithmetic.smallest
    error = arithmetic.binade(extent) * relative + absolute
    if rad is not None:
        error = error + rad
    return _settled(mid, error, reach * (1 + 4 * relative) + 2 * absolute, function, a)


def _tanh(a):
    accuracy = a.arithmetic.accuracy("affine tanh" if a.is_affine else "tanh")
    mid, rad = np.tanh(a.mid), a.operand_rad()
    extent = np.abs(mid)
    if rad is not None:
        # The derivative, 1 - tanh^2, is largest where the ball is nearest to zero.
        least = np.maximum(np.abs(a.mid) - rad, 0.0)
        nearest = np.tanh(least)
        slope = (1 + 2.0**-40) - nearest * nearest
        # All values are between that one and 1, or if the ball has a zero in it, -1 and 1.
        farthest = np.where(least > 0, (1 + _FUNCTION64) - nearest, 2.0)
        rad = np.minimum(rad * slope, farthest)
        extent = extent + rad
    reach = 3.0 if a.reach() < np.inf else np.inf
    # No value of tanh is in the binade of 1.
    extent = np.minimum(extent * (1 + _FUNCTION64), 1 - _U64)
    return _evaluated(mid, rad, extent, reach, accuracy, np.tanh, a)


def _sigmoid(a):
    accuracy = a.arithmetic.accuracy("sigmoid")
    mid, rad = sigmoid(a.mid), a.operand_rad()
    extent = mid
    if rad is not None:
        # The derivative, s (1 - s), is largest where the ball is nearest to zero.
        nearest = sigmoid(-np.maximum(np.abs(a.mid) - rad, 0.0))
        slope = nearest * (1 - nearest) * (1 + 2.0**-40)
        farthest = np.maximum(sigmoid(a.mid + rad) - mid, mid - sigmoid(a.mid - rad))
        rad = np.minimum(rad * slope, farthest + _FUNCTION64 * mid)
        extent = mid + rad
    extent = extent * (1 + _FUNCTION64)
    reach = 2.0 if a.reach() < np.inf else np.inf
    return _like(_evaluated(mid, rad, extent, reach, accuracy, sigmoid, a), a)


def _exp(a):
    accuracy = a.arithmetic.accuracy("exp")
    extent = mid = np.exp(a.mid)
    rad = a.operand_rad()
    if rad is not None:
        # Of a wide ball the way to its upper end, lest zero be multiplied by infinity.
        upper = np.exp(a.mid + rad) * (1 + 2.0**-40)
        rad = np.where(rad < 1, mid * (np.expm1(rad) * (1 + 2 * _FUNCTION64)), upper - mid)
        extent = mid + rad
    extent = extent * (1 + _FUNCTION64)
    reach = np.inf
    if a.reach() < _LARGEST_EXPONENT:
        reach = math.exp(a.reach()) * (1 + 2.0**-39)
    return _evaluated(mid, rad, extent, reach, accuracy, _less_than_exp, a)


def _less_than_exp(a):
    return np.exp(a - 2.0**-6)


def _log(a):
    accuracy = a.arithmetic.accuracy("log")
    mid, rad = np.log(a.mid), a.operand_rad()
    extent = np.abs(mid)
    if rad is not None:
        # The derivative, 1 / x, is largest at the lower end.
        rad = rad / np.maximum(a.mid - rad, 0.0) * _INFLATE
        extent = extent + rad
    extent = extent * (1 + _FUNCTION64)
    return _evaluated(mid, rad, extent, np.inf, accuracy, np.log, a)


@_broadcasting
def _equal(a, b):
    rad = a.rad_as_operand() + b.rad_as_operand()
    possible = (a.mid == b.mid) | (np.abs(a.mid - b.mid) <= rad)
    doubt = 0.5 * (possible & (rad > 0))
    if not doubt.any():
        return exact(possible, a.arithmetic)
    return BoundedArray(possible - doubt, doubt, a.arithmetic)


# --- sums -------------------------------------------------------------------------------------


class _Sum:
    """An array of sums of ``count`` terms each, which are added up in any order.

    An addition errs by ``u`` times its result: a partial sum of the terms, and the errors so far.
    With P and N the sums of the positive and the negative terms, a partial sum is at most
    ``max(P, N) = (magnitude + abs(mid)) / 2``, and the last one ``mid``; what the errors so far add
    is of second order. A product that is rounded errs by ``u`` times itself. Together, for a sum
    that cancels, this is half of ``gamma_n magnitude`` (Higham, section 3.1; n u instead of gamma:
    Jeannerod and Rump, *Improved error bounds for inner products in floating-point arithmetic*,
    SIAM J. Matrix Anal. Appl. 34, 2013).

    Parameters
    ----------
    arithmetic : Arithmetic
    mid : array
        The sums of the midpoints.
    reach : float
        What no sum of magnitudes exceeds.
    count : int
    roundings : int
        1 if the terms are products, which may be rounded, else 0.
    """

    def __init__(self, arithmetic, mid, reach, count, roundings):
        self.arithmetic, self.mid, self.reach, self.count = arithmetic, mid, reach, count
        # The radius is itself computed in `count` roundings.
        self.inflate = 1 + (count + 8) * 4 * _U64
        # The midpoint is such a sum as well, in float64.
        self.unit = (arithmetic.unit + 2 * _U64) * self.inflate
        # (1 + u)^n - 1, which is less than Higham's n u / (1 - n u), and finite for n u >= 1 too.
        self.gamma = math.expm1(count * self.unit) if count * self.unit < 700 else np.inf
        self.per_magnitude = self.unit * max(0.0, count / 2 - 1 + roundings + count * self.gamma)
        self.per_radius = self.inflate + self.unit * count / 2
        self.per_result = self.unit * count / 2

    def magnitude(self):
        """The sums of the terms' magnitudes."""
        raise NotImplementedError

    def errors(self):
        """The sums of ``per_magnitude`` times magnitude and ``per_radius`` times radius."""
        raise NotImplementedError

    def error_of_each(self, a):
        """Of each number, ``per_magnitude`` times magnitude and ``per_radius`` times radius."""
        rad = a.operand_rad()
        if rad is None:
            return a.magnitude() * self.per_magnitude
        return np.abs(a.mid) * self.per_magnitude + rad * (self.per_magnitude + self.per_radius)

    def exact_terms(self):
        """The sums whose terms are exact, and few; None if there are none.

        The cases of the stack that have such sums (`...` for all), of those cases the terms along
        a last axis, and which of their sums are such (True for all).
        """
        return None

    def anything(self):
        """Which sums have a term of which nothing is known."""
        raise NotImplementedError

    def has_nan(self):
        """Which sums have a term that is NaN for certain, a factor or an element being so."""
        raise NotImplementedError

    def ends(self, where):
        """The lower and upper ends of the terms of the sums that are marked, [marked, count].

        Both are infinite of a term that may be special or something else.
        """
        raise NotImplementedError

    def balls(self):
        """The sums in the subject's arithmetic."""
        limit = self.arithmetic.largest * _EDGE
        reach = self.largest_partial(self.reach)
        if not reach <= limit:
            reach = self.largest_partial(_largest(self.magnitude()))
        if reach <= limit:
            return BoundedArray(self.mid, self.rad(), self.arithmetic, reach)
        return self.settled()

    def largest_partial(self, magnitude):
        """What no partial sum exceeds as the subject computes it, nor the ball of the sum."""
        flushed = 2 * self.count * self.arithmetic.smallest
        return (magnitude + flushed) * ((1 + self.gamma) ** 2 * self.inflate)

    def rad(self):
        """The radii, which are narrower where all terms are exact."""
        exact_terms = self.exact_terms()
        if exact_terms is None:
            return self.wide_rad()
        where, terms, held = exact_terms
        narrow = self.error_of(terms, self.mid[where]) + self.largest_partial(0.0)
        if where is ... and held is True:
            return narrow
        rad = self.wide_rad()
        rad[where] = np.where(held, narrow, rad[where])
        return rad

    def wide_rad(self):
        """The radii, whatever the terms are."""
        return self.errors() + np.abs(self.mid) * self.per_result + self.largest_partial(0.0)

    def error_of(self, terms, mid):
        """The errors of sums of exact terms, which are `mid`.

        In whatever order they are added, the j-th largest partial sum has at most
        ``count - j + 1`` terms, and a partial sum of k terms is at most the sum of the k largest of
        one sign. Of a sum that is rounded, the power of two below counts (Rump 2012). A zero makes
        an addition exact.
        """
        ordered = np.sort(terms, axis=-1)
        up = np.add.accumulate(np.maximum(ordered, 0.0)[..., ::-1], axis=-1)
        down = np.add.accumulate(np.minimum(ordered, 0.0), axis=-1)
        partial = np.maximum(up, -down)
        magnitude = up[..., -1] - down[..., -1]
        # One term alone is no sum; in its place, the last sum of all.
        partial[..., 0] = np.abs(mid)
        errors = magnitude * (self.gamma * (2 + self.gamma)) + self.largest_partial(0.0)
        partial += errors[..., None]
        binades = self.arithmetic.binade(partial)
        additions = np.add.reduce(binades[..., :-1], axis=-1)
        additions -= np.add.reduce(terms == 0, axis=-1) * binades[..., -1]
        products = np.add.reduce(np.abs(terms - terms.astype(self.arithmetic.name)), axis=-1)
        # In float64 the terms are rounded already.
        return additions * self.unit + products * self.inflate + magnitude * (2 * _U64)

    def settled(self):
        """Decide sum by sum: by the terms, if something is known of all of them."""
        arithmetic, largest = self.arithmetic, self.arithmetic.largest
        known = ~self.anything()
        clear = known & (self.largest_partial(self.magnitude()) <= largest * _EDGE)
        result = BoundedArray(self.mid, self.wide_rad(), arithmetic)
        nan, up, down = (np.zeros(np.shape(clear), dtype=bool) for _ in range(3))
        # NaN whatever the other terms are; so a network full of it takes no look at its terms.
        poisoned = np.isnan(result.mid) & self.has_nan()
        where = known & ~clear & ~poisoned
        low, high = self.ends(where)
        finite = np.isfinite(low) & np.isfinite(high)
        positive = np.sum(np.where(finite, np.maximum(high, 0.0), 0.0), axis=-1)
        negative = np.sum(np.where(finite, np.maximum(-low, 0.0), 0.0), axis=-1)
        has_nan = np.isnan(low).any(axis=-1)
        has_infinity, has_minus = (low == np.inf).any(axis=-1), (high == -np.inf).any(axis=-1)
        unknown = ((low == -np.inf) & (high == np.inf)).any(axis=-1)
        # Short of overflow, the roundings err by no more than this in all.
        slack = 2 * self.count * (arithmetic.unit * largest + arithmetic.smallest)
        room, beyond = largest * _EDGE - slack, largest / _EDGE + slack
        nan[where] = has_nan | (has_infinity & has_minus)
        nan |= poisoned
        # What overflows for certain to one side must not be able to overflow to the other.
        up[where] = has_infinity | ((result.mid - result.rad)[where] > beyond)
        up[where] &= (negative <= room) & ~unknown
        down[where] = has_minus | ((result.mid + result.rad)[where] < -beyond)
        down[where] &= (positive <= room) & ~unknown
        result = BoundedArray(self.mid, np.where(clear, self.rad(), result.rad), arithmetic)
        return _decided(result, clear, nan, up, down)


class _SumOfProducts(_Sum):
    """The product of `a` and the matrix `b`, with a bias, if any, at any place of each sum."""

    def __init__(self, a, b, bias=None):
        self.a, self.b, self.bias = a, b, bias
        mid, count = np.matmul(a.mid, b.mid), b.mid.shape[-2]
        reach = count * a.reach() * b.reach()
        if bias is not None:
            mid, count, reach = mid + bias.mid, count + 1, reach + bias.reach()
        _Sum.__init__(self, a.arithmetic, mid, reach, count, roundings=1)

    def magnitude(self):
        magnitude = np.matmul(self.a.magnitude(), self.b.magnitude())
        return magnitude if self.bias is None else magnitude + self.bias.magnitude()

    def errors(self):
        errors = np.matmul(self.error_of_each(self.a), self.b.magnitude())
        if self.b.operand_rad() is not None:
            errors = errors + np.matmul(np.abs(self.a.mid), self.b.operand_rad()) * self.per_radius
        return errors if self.bias is None else errors + self.error_of_each(self.bias)

    def exact_terms(self):
        if not 0 < self.count <= _FEW:
            return None
        a, b, bias = self.a, self.b, self.bias
        rads = a.operand_rad(), b.operand_rad(), None if bias is None else bias.operand_rad()
        held = _all_exact(*rads)
        if held is None:
            where = ...
        elif held.any():
            held = np.broadcast_to(held, self.mid.shape)
            where = held.reshape(len(held), -1).any(axis=1) if a.stacked else ...
        else:
            return None
        factors = _factors(_of_rows(a.mid, where), _of_rows(b.mid, where))
        terms = np.multiply(*factors)
        if bias is not None:
            terms = _appended(terms, _of_rows(bias.mid, where))
        return where, terms, True if held is None else held[where]

    def anything(self):
        anything = _any_factor(np.isinf(self.a.rad), np.isinf(self.b.rad))
        return anything if self.bias is None else anything | np.isinf(self.bias.rad)

    def has_nan(self):
        nan = _any_factor(np.isnan(self.a.mid), np.isnan(self.b.mid))
        return nan if self.bias is None else nan | np.isnan(self.bias.mid)

    def ends(self, where):
        def factors(a, b):
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
        if self.bias is None:
            return low, high
        ends = [np.broadcast_to(end, where.shape)[where] for end in self.bias.ends()]
        return [_appended(x, end) for x, end in zip((low, high), ends)]


def _all_exact(a, b, bias):
    """Which sums of ``a @ b + bias`` have exact terms alone, by radii; None for all of them."""
    if a is None and b is None and bias is None:
        return None
    a, b = (None if x is None else x > 0 for x in (a, b))
    inexact = None if bias is None else bias > 0
    if a is not None:
        rows = a.any(axis=-1)[..., None]
        inexact = rows if inexact is None else inexact | rows
    if b is not None:
        columns = b.any(axis=-2)
        columns = columns if a is not None and a.ndim == 1 else columns[..., None, :]
        inexact = columns if inexact is None else inexact | columns
    return ~inexact


def _of_rows(array, where):
    """The rows that are marked; an array that is the same in all rows stays so."""
    return array if where is ... or len(array) == 1 else array[where]


def _factors(a, b):
    """What is multiplied in ``a @ b``: ``[..., 1, K]`` and ``[..., M, K]``."""
    columns = np.swapaxes(b, -1, -2)
    return a[..., None, :], columns if a.ndim == 1 else columns[..., None, :, :]


def _any_factor(a, b):
    """Which sums of ``a @ b`` have a factor that is marked."""
    columns = b.any(axis=-2)
    return a.any(axis=-1)[..., None] | (columns if a.ndim == 1 else columns[..., None, :])


def _appended(terms, bias):
    """The terms and one more."""
    column = np.broadcast_to(bias, terms.shape[:-1])
    return np.concatenate([terms, column[..., None]], axis=-1)


class _SumOfElements(_Sum):
    """The sums of an array along an axis, of whose terms each may have been rounded."""

    def __init__(self, a, axis, keepdims, roundings=0):
        self.a, self.axis, self.keepdims = a, a.axes(axis), keepdims
        count = int(np.prod(a.shape)) if axis is None else a.shape[axis]
        _Sum.__init__(self, a.arithmetic, self.along(a.mid), count * a.reach(), count, roundings)

    def along(self, part, reduce=np.add.reduce):
        return reduce(part, axis=self.axis, keepdims=self.keepdims)

    def magnitude(self):
        return self.along(self.a.magnitude())

    def errors(self):
        return self.along(self.error_of_each(self.a))

    def anything(self):
        return self.along(np.isinf(self.a.rad), np.logical_or.reduce)

    def has_nan(self):
        return self.along(np.isnan(self.a.mid), np.logical_or.reduce)

    def has_infinity(self):
        """Which sums have an element that is infinite for certain."""
        return self.along(np.isinf(self.a.mid), np.logical_or.reduce)

    def ends(self, where):
        whole = isinstance(self.axis, tuple)
        ends = [x if whole else np.moveaxis(x, self.axis, -1) for x in self.a.ends()]
        return [x.reshape(np.shape(self.mid) + (self.count,))[where] for x in ends]


def _matmul(a, b):
    """``[..., K] @ [K, M]``."""
    if b.ndim != 2 or a.ndim < 1 + a.stacked:
        raise TypeError("no bound is known for a product of {} and {}".format(a.shape, b.shape))
    result = _SumOfProducts(a, b.with_axes(a.ndim)).balls()
    result.factors = a, b
    return result


def _affine(a, b, bias):
    """``a @ b + bias``, with the bias last or, if the arithmetic says so, anywhere in each sum."""
    arithmetic = next(x.arithmetic for x in (a, b, bias) if isinstance(x, BoundedArray))
    a, b, bias = (_lift(x, arithmetic) for x in (a, b, bias))
    stacked = a.stacked or b.stacked or bias.stacked
    if stacked:
        a, b, bias = a.as_stack(), b.as_stack(), bias.as_stack()
    if arithmetic.bias_anywhere:
        result = _SumOfProducts(a, b.with_axes(a.ndim), bias.with_axes(a.ndim)).balls()
    else:
        result = _plain_add(_like(_matmul(a, b), a), bias)
    result.stacked, result.is_affine = stacked, bias.ndim == 1
    return result


def _total(a, axis=None, keepdims=False):
    return _like(_SumOfElements(a, axis, keepdims).balls(), a)


def _mean(a, axis=None):
    """The sum over the count; or, as a subject may do it, the sum of what is over the count.

    By a reciprocal, each element of the latter is rounded twice, and it may be flushed.
    """
    total = _SumOfElements(a, axis, False, roundings=2)
    sums = total.balls()
    mean = _divide(sums, _lift(total.count, a.arithmetic))
    rad = mean.rad + total.count * a.arithmetic.smallest * _INFLATE
    if sums.reach() < np.inf:
        reach = mean.reach() + 2 * total.count * a.arithmetic.smallest
        return _like(BoundedArray(mean.mid, rad, a.arithmetic, reach), a)
    # What is over the count first may not overflow where the sum does.
    unknown = np.isinf(rad) | (np.isinf(sums.mid) & ~total.has_infinity())
    mid, rad = np.where(unknown, 0.0, mean.mid), np.where(unknown, np.inf, rad)
    rad = np.where(np.isfinite(mid), rad, 0.0)
    return _like(BoundedArray(mid, rad, a.arithmetic), a)


# --- rows -------------------------------------------------------------------------------------


class _SoftmaxError(NamedTuple):
    """What a subject's softmax errs by of its own.

    It returns the softmax of scores that are off by ``argument`` [..., count], times
    ``1 + relative``, times the exponential of up to ``common`` [..., 1], and no more than
    ``largest``, plus ``absolute``.
    """

    argument: Any
    common: Any
    relative: float
    absolute: float
    largest: float


def _stated_softmax(arithmetic, depth, top):
    """The error of a softmax whose accuracy is stated.

    Parameters
    ----------
    arithmetic : Arithmetic
    depth : array [..., count]
        How far each score may be below the largest one of its row.
    top : array [..., 1]
        The largest magnitude that the largest score may have.
    """
    ulp, absolute = arithmetic.functions["softmax"]
    relative = math.expm1((2 * ulp + depth.shape[-1] - 1) * arithmetic.unit)
    return _SoftmaxError(
        argument=depth * arithmetic.unit + arithmetic.smallest,
        common=0.0,
        relative=relative,
        absolute=absolute + arithmetic.smallest,
        largest=1 + relative,
    )


def _any_softmax(arithmetic, depth, top):
    """The error of a softmax by any of the common formulas; parameters as above.

    These are ``exp(s - max) / sum``, with exponentials or with powers of two of the difference
    times a factor; the same "online", where ``exp(old - new)`` scales the sum at every larger score
    (Milakov and Gimelshein, *Online normalizer calculation for softmax*, arXiv 1805.02867); and
    ``exp(s - log(sum(exp)))``, whose error grows with the scores themselves (Blanchard, Higham and
    Higham, *Accurately computing the log-sum-exp and softmax functions*, IMA J. Numer. Anal. 41,
    2021).
    """
    unit, smallest, count = arithmetic.unit, arithmetic.smallest, depth.shape[-1]
    exp, log = arithmetic.accuracy("exp"), arithmetic.accuracy("log")
    # The logarithm of a sum that is from 1 to `count`.
    logarithm = math.log(count)
    inexact = 2 * unit * log.ulp * logarithm + log.absolute + smallest
    # Online, a term is the product of up to `count` exponentials.
    factors = (2 * exp.ulp + 3) * count + 2 * exp.ulp + 2 * _RECIPROCAL_ULP + 2
    relative = math.expm1(factors * unit + 2 * count * (exp.absolute + smallest))
    return _SoftmaxError(
        # A difference is rounded, and so are the factor that scales it and the product.
        argument=(depth + logarithm) * (3 * unit * (1 + 2 * unit)) + count * smallest,
        common=(top + logarithm) * (unit * (1 + unit)) + inexact,
        relative=relative,
        absolute=exp.absolute + smallest,
        # Of a sum of at least 1 the logarithm is not below zero but for its error, and so the
        # largest score plus the logarithm not below that score.
        largest=(1 + relative) * math.exp(min(6 * (relative + inexact), _LARGEST_EXPONENT)),
    )


def _softmax(a):
    """Softmax over the last axis, as accurate as it is stated to be, or by any formula.

    A share grows with its own score and falls with each other: over a box of scores, it is least
    and largest at corners.
    """
    arithmetic, rad, count = a.arithmetic, a.rad_as_operand(), a.mid.shape[-1]
    # Of so many scores that roundings may add up to everything, nothing is known.
    if count * arithmetic.unit > _MOST_ROUNDING:
        unknown = BoundedArray(np.zeros(a.mid.shape), np.full(a.mid.shape, np.inf), arithmetic)
        return _like(unknown, a)
    top = np.maximum.reduce(a.mid, axis=-1, keepdims=True)
    # Of special scores this is NaN or infinite, as if they were far below: what they are not,
    # is settled in the end.
    depth = top - a.mid
    depth = np.where(depth < np.inf, depth, np.inf)
    width = np.maximum.reduce(rad, axis=-1, keepdims=True)
    error = (_stated_softmax if "softmax" in arithmetic.functions else _any_softmax)(
        arithmetic, (depth + 2 * width) * _INFLATE, (np.abs(top) + width) * _INFLATE
    )
    off = np.where(depth < np.inf, (error.argument + rad + depth * (2 * _U64)) * _INFLATE, 0.0)
    powers, low = np.exp(-depth), np.exp(-depth - off)
    high = np.exp(np.minimum(off - depth, _LARGEST_EXPONENT))
    totals = [np.add.reduce(x, axis=-1, keepdims=True) for x in (powers, low, high)]
    # Of the exponentials, the sums and the quotients in float64.
    slack = 4 * _FUNCTION64 + (2 * count + 16) * _U64
    least = low / (low + (totals[2] - high) + slack * totals[2])
    most = high / (high + np.maximum(totals[1] - low - slack * totals[1], 0.0))
    # Of wide balls exponentials overflow or vanish, and only the ends of all shares are known.
    least = np.where(totals[2] < math.exp(_LARGEST_EXPONENT), least, 0.0)
    most = np.where(totals[1] * arithmetic.smallest > _VANISHING, most, 1.0)
    relative = error.relative + slack
    is_near = error.common < 1
    least = np.where(is_near, least * (1 - relative) * np.exp(-error.common), 0.0)
    most = np.where(is_near, most * (1 + relative) * np.exp(error.common), error.largest)
    most = np.minimum(most, error.largest)
    mid = powers / totals[0]
    rad = (np.maximum(most - mid, mid - least) + error.absolute) * _INFLATE
    reach = 1 + (error.largest + 2 * error.absolute) * _INFLATE if a.reach() < np.inf else np.inf
    result = BoundedArray(mid, rad, arithmetic, reach)
    return _like(result if a.reach() < np.inf else _settled_rows(a, result, top), a)


def _settled_rows(a, result, top):
    """The shares of rows with special scores: all NaN if one is NaN or infinite, or all are -inf.

    A score of -inf beside others has the share 0.
    """
    unknown = np.isinf(a.rad).any(axis=-1, keepdims=True)
    nan = np.isnan(top) | (top == np.inf) | ((top == -np.inf) & ~unknown)
    clear, nan, never = np.broadcast_arrays(~unknown & ~nan, nan, False, a.mid)[:3]
    return _decided(result, clear, nan, never, never)


# --- selection and structure: no rounding -----------------------------------------------------


def _max(a, axis=None, keepdims=False):
    # The maximum moves by no more than what moves most; and where subnormals are taken for zeros,
    # that of numbers between minus and plus the smallest normal one may be any of them.
    axis = a.axes(axis)
    mid = np.maximum.reduce(a.mid, axis=axis, keepdims=keepdims)
    if a.exact:
        rad = np.full(np.shape(mid), 2 * a.arithmetic.smallest)
    else:
        rad = np.maximum.reduce(a.rad, axis=axis, keepdims=keepdims)
        rad = (rad + 2 * a.arithmetic.smallest) * _INFLATE
    result = BoundedArray(mid, rad, a.arithmetic, 2 * a.reach() + 4 * a.arithmetic.smallest)
    result = _passed_on(result, ~np.isinf(rad)) if result.reach() == np.inf else result
    return _like(result, a)


def _clip(a, a_min, a_max):
    least, most = _lift(a_min, a.arithmetic).ends(), _lift(a_max, a.arithmetic).ends()
    low, high = map(np.clip, a.ends(), least, most)
    mid = low / 2 + high / 2
    rad = np.maximum(high - mid, mid - low) * _INFLATE + a.arithmetic.smallest
    result = BoundedArray(mid, rad, a.arithmetic)
    result = _passed_on(result, ~np.isinf(a.rad)) if a.reach() == np.inf else result
    return _like(result, a)


def _passed_on(result, known):
    """The same with the special values among its midpoints, and anything where not `known`."""
    mid = result.mid
    nan, up, down = np.isnan(mid), mid == np.inf, mid == -np.inf
    return _decided(result, known, known & nan, known & up, known & down)


def admissible(a, axis):
    """Which elements may be the arg max along an axis: those that no other is larger than for sure.

    Of exact numbers, where two are the largest it is the first. Where subnormal ones are taken for
    zeros, all of a row are.
    """
    axis, rad, size = a.axes(axis) % a.mid.ndim, a.rad_as_operand(), np.abs(a.mid)
    flushed = (size < a.arithmetic.smallest) & (rad > 0)
    held = (rad == 0) | (flushed & (rad == size))
    largest = np.maximum.reduce(a.mid - rad, axis=axis, keepdims=True)
    unknown = (np.isnan(a.mid) | np.isinf(rad)).any(axis=axis, keepdims=True)
    may_be = (a.mid + rad >= largest) | unknown
    if not held.any():
        return may_be
    places = np.arange(a.mid.shape[axis]).reshape([-1] + [1] * (a.mid.ndim - axis - 1))
    first, flushed = (
        np.expand_dims(x.argmax(axis=axis), axis) for x in (a.mid, np.where(flushed, 0.0, a.mid))
    )
    chosen = (places == first) | (places == flushed)
    return np.where(held.all(axis=axis, keepdims=True), chosen, may_be)


def _argmax(a, axis):
    """The arg max: of those that may be it, the first and the last are the ends of the ball."""
    may_be = np.moveaxis(admissible(a, axis), a.axes(axis), -1)
    first = may_be.argmax(axis=-1)
    last = may_be.shape[-1] - 1 - may_be[..., ::-1].argmax(axis=-1)
    if (first == last).all():
        return _like(exact(first, a.arithmetic), a)
    return _like(BoundedArray((first + last) / 2, (last - first) / 2, a.arithmetic), a)


def _where(condition, x, y):
    """The plain number `x` where a condition holds, elsewhere `y`; where either may be, both."""
    if not isinstance(condition, BoundedArray) or np.ndim(x) or np.ndim(y):
        raise TypeError("no bound is known for a choice between arrays")
    if condition.exact or not condition.rad.any():
        return _like(exact(np.where(condition.mid, x, y), condition.arithmetic), condition)
    doubt = condition.rad > 0
    mid = np.where(doubt, (x + y) / 2, np.where(condition.mid, x, y)).astype(np.float64)
    rad = np.where(doubt, abs(x - y) / 2, 0.0)
    return _like(BoundedArray(mid, rad, condition.arithmetic), condition)


def _reshape(a, shape):
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if a.stacked:
        shape = (len(a.mid),) + shape
    return a._moved(a.mid.reshape(shape), None if a.exact else a.rad.reshape(shape))


def _concatenate(arrays, axis=0):
    arithmetic = next(x.arithmetic for x in arrays if isinstance(x, BoundedArray))
    parts = [_lift(x, arithmetic) for x in arrays]
    if any([x.stacked for x in parts]):
        parts = [x.as_stack() for x in parts]
    mid = _joined(parts, [x.mid for x in parts], axis)
    result = BoundedArray(mid, None, arithmetic, max([x.reach() for x in parts]))
    if all([x.exact for x in parts]):
        if all([x.operand_rad() is None for x in parts]):
            result._flushed = None
    else:
        result._rad = _joined(parts, [x.rad_as_operand() for x in parts], axis)
    return _like(result, parts[0])


def _joined(parts, arrays, axis):
    """The midpoints or the radii of parts; what is the same in all cases of a stack is repeated."""
    if parts[0].stacked:
        cases = max([len(x) for x in arrays], key=lambda count: count != 1)
        arrays = [np.broadcast_to(x, (cases,) + x.shape[1:]) for x in arrays]
    return np.concatenate(arrays, axis=parts[0].axes(axis))


def _hstack(arrays):
    return _concatenate(arrays, axis=0 if arrays[0].ndim == 1 else 1)


def _stack(arrays, axis=0):
    new = (slice(None),) * (axis if axis >= 0 else axis + arrays[0].ndim + 1) + (None,)
    return _concatenate([x[new] for x in arrays], axis=axis)


def _ones_like(a):
    return exact(np.ones(a.shape), a.arithmetic)


def _anywhere(function):
    """A function that moves elements, on arrays of balls: by what it makes of their places."""

    def moved(a, *args, **kwargs):
        places = function(np.arange(int(np.prod(a.shape))).reshape(a.shape), *args, **kwargs)
        if isinstance(places, list):
            return [_at(a, each) for each in places]
        return _at(a, places)

    return moved


def _at(a, places):
    def taken(array):
        if array is None:
            return None
        flat = array.reshape(len(array), -1) if a.stacked else array.reshape(-1)
        return flat[..., places.ravel()].reshape(flat.shape[:-1] + places.shape)

    return a._moved(taken(a.mid), taken(a._rad))


def _vstack(arrays):
    return _concatenate(arrays, axis=0)


# What only moves elements, of one array or of a list of them.
_ANYWHERE = (
    np.transpose,
    np.swapaxes,
    np.moveaxis,
    np.flip,
    np.squeeze,
    np.expand_dims,
    np.ravel,
    np.broadcast_to,
    np.split,
    np.array_split,
    np.roll,
    np.repeat,
    np.tile,
    np.take,
)

_UFUNCS = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.true_divide: _divide,
    np.negative: _negative,
    np.tanh: _tanh,
    np.exp: _exp,
    np.log: _log,
    np.equal: _equal,
    np.matmul: _matmul,
}

_FUNCTIONS = {
    np.dot: lambda a, b: np.matmul(a, b),
    np.sum: _total,
    np.mean: _mean,
    np.max: _max,
    np.clip: _clip,
    np.argmax: _argmax,
    np.where: _where,
    np.reshape: _reshape,
    np.ones_like: _ones_like,
    np.concatenate: _concatenate,
    np.hstack: _hstack,
    np.stack: _stack,
    np.vstack: _vstack,
    sigmoid: _sigmoid,
    softmax: _softmax,
    affine: _affine,
    **{function: _anywhere(function) for function in _ANYWHERE},
}

MOVES = frozenset((np.reshape, np.concatenate, np.stack, np.hstack, np.vstack) + _ANYWHERE)
