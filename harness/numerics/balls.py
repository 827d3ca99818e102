"""Bounded arrays: for every element a midpoint and a bound on any correct subject's rounding error.

A :class:`BoundedArray` stands in for a NumPy array in the plain code of the oracles (NEP 13,
NEP 18). Every operation obeys one contract, *containment*: if every operand, as the subject reads
it, lies in its ball, then so does the result of any correct evaluation in the subject's
arithmetic, as the next operation will read it. Correct is a sum in any order, with or without
fused multiply-add; a function as accurate as the arithmetic says; a quotient by way of
the reciprocal; a number below the smallest normal one flushed to zero where it is written or read,
or not. One sum is that of an array's elements, or all that is added to matrix products
(:mod:`rnndiff.harness.numerics.addends`); any other is as it is written.

An element is one of

==================  =====================================================================
a ball              `mid` and `rad` finite: a finite number within `rad` of `mid`
a special value     `mid` infinite or NaN and `rad` 0: just this (for NaN, any NaN)
unknown             `rad` infinite, `mid` 0: nothing is known; NaN may be in it
==================  =====================================================================

Most arrays hold balls alone, far from overflow, and for these an operation is a formula over whole
arrays. That it applies is known without a look at the elements: an array carries its *reach*, a
number that no ball in it reaches beyond. Where the reach of a result comes near overflow, every
element is decided by itself, by what the operation makes of the ends of the balls.

A *stack* holds the same array of many cases, along a first axis that is hidden from the code that
computes with it: small arrays cost what calls of NumPy cost, and a stack needs no more of them.

The midpoints are float64 values, the oracle's own; the errors of computing them, and the radii,
are in the radius too.

Which operations there are, is in the register (:mod:`rnndiff.harness.numerics.register`).

References
----------
Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition, chapters 2 to 4. Johansson,
*Arb: efficient arbitrary-precision midpoint-radius interval arithmetic*, IEEE Transactions on
Computers 66, 2017.
"""

import operator
from functools import reduce
from itertools import product
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from rnndiff.harness.errors import OracleError
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.register import REGISTER

# The unit roundoff of float64.
UNIT64 = 2.0**-53
NEGATED = "negated"
# NumPy's tanh, exp, expm1 and log are right to 4 ULP of float64; this, relative, is 16.
FUNCTION64 = 32 * UNIT64
# Makes up for the few float64 roundings of a radius.
INFLATE = 1 + 2.0**-48


class BoundedArray(np.lib.mixins.NDArrayOperatorsMixin):  # type: ignore[misc]
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
    stacked : bool
        Whether the first axis of the midpoints is that of a stack.
    normal : bool
        True if no number is known to be below the smallest normal one, so that nobody has to look.
    """

    # Whether this is a matrix product plus a bias.
    is_affine = False
    # What it was made of, as far as that counts for what is made of it: `Addends` or a `Product` of
    # `rnndiff.harness.numerics.addends`, or that it was `Moved`.
    made_of: Any = None
    # What was computed, where this is what a subject recorded of it.
    computed: Optional["BoundedArray"] = None
    _magnitude: Optional[np.ndarray] = None
    # Weights are used at every step.
    _with_axes: Optional["BoundedArray"] = None

    def __init__(
        self,
        mid: np.ndarray,
        rad: Optional[np.ndarray],
        arithmetic: Arithmetic,
        reach: Optional[float] = None,
        stacked: bool = False,
        normal: bool = False,
    ) -> None:
        self.mid = mid
        self.arithmetic = arithmetic
        self.stacked = stacked
        self._rad = rad
        self._reach = reach
        # The radii of exact numbers that may be flushed, None if there are none, False if nobody
        # has looked.
        self._flushed: Union[np.ndarray, None, bool] = None if normal else False

    @property
    def exact(self) -> bool:
        """Whether the subject's numbers are the midpoints, bit for bit."""
        return self._rad is None

    @property
    def rad(self) -> np.ndarray:
        """The radii, as an array."""
        return np.zeros(self.mid.shape) if self._rad is None else self._rad

    @property
    def shape(self) -> Tuple[int, ...]:
        """As of the midpoints; of a stack, that of each of its arrays."""
        shape: Tuple[int, ...] = self.mid.shape
        return shape[1:] if self.stacked else shape

    @property
    def dtype(self) -> Any:
        """As of the midpoints."""
        return self.mid.dtype

    @property
    def ndim(self) -> int:
        """How many axes there are in the shape."""
        return int(self.mid.ndim) - self.stacked

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return "BoundedArray({!r}, {!r}, {})".format(self.mid, self.rad, self.arithmetic.name)

    def __getitem__(self, index: Any) -> "BoundedArray":
        parts = index if isinstance(index, tuple) else (index,)
        if any([isinstance(part, (list, np.ndarray)) for part in parts]):
            # Arrays with a slice between them would come before the axis of the stack.
            return self.at(np.arange(int(np.prod(self.shape))).reshape(self.shape)[index])
        whole = (slice(None),) + parts if self.stacked else index
        rad = None if self._rad is None else self._rad[whole]
        return self.moved(self.mid[whole], rad, index)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> "BoundedArray":
        if method != "__call__":
            raise OracleError("no bound is known for {}.{}".format(ufunc.__name__, method))
        result: BoundedArray = compute(ufunc, self.arithmetic, inputs, kwargs)
        return result

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        return compute(function, self.arithmetic, args, kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise OracleError("a BoundedArray does not turn into an array: its radius would be lost")

    def __bool__(self) -> bool:
        raise OracleError("a BoundedArray is neither true nor false: its radius would be lost")

    def operand_rad(self) -> Optional[np.ndarray]:
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

    def rad_as_operand(self) -> np.ndarray:
        """Those radii, as an array."""
        rad = self.operand_rad()
        return np.zeros(self.mid.shape) if rad is None else rad

    def magnitude(self) -> np.ndarray:
        """The largest absolute value in each ball as an operand."""
        if self._magnitude is None:
            magnitude, rad = np.abs(self.mid), self.operand_rad()
            self._magnitude = magnitude if rad is None else magnitude + rad
        return self._magnitude

    def reach(self) -> float:
        """A number that no ball reaches beyond, infinite if an element is no ball."""
        if self._reach is None:
            reach = largest_of(self.magnitude())
            self._reach = reach if reach <= np.inf else np.inf
        return self._reach

    def ends(self) -> Tuple[np.ndarray, np.ndarray]:
        """The lower and the upper ends of the balls as operands, rounded outwards."""
        rad = self.operand_rad()
        if rad is None:
            return self.mid, self.mid
        rad = np.where(rad > 0, rad * INFLATE + np.abs(self.mid) * (2 * UNIT64), 0.0)
        return self.mid - rad, self.mid + rad

    def unknown(self) -> np.ndarray:
        """Of which elements nothing is known."""
        return np.isinf(self.rad)

    def as_stack(self) -> "BoundedArray":
        """A stack; of an array that is none, a stack of this one, which broadcasts."""
        if self.stacked:
            return self
        rad = None if self._rad is None else self._rad[None]
        result = BoundedArray(self.mid[None], rad, self.arithmetic, self._reach, stacked=True)
        result.is_affine = self.is_affine
        result.made_of = None if self.made_of is None else self.made_of.as_stack()
        return result

    def with_axes(self, ndim: int) -> "BoundedArray":
        """The same with axes of size 1 in front, as NumPy adds them to the shorter shape."""
        if not self.stacked or ndim <= self.ndim:
            return self
        if self._with_axes is None or self._with_axes.ndim != ndim:
            self._with_axes = self[(None,) * (ndim - self.ndim)]
        return self._with_axes

    def axes(self, axis: Optional[int]) -> Any:
        """The axis or axes of the midpoints that `axis` (None: all of them) is in the shape."""
        if axis is None:
            return tuple(range(self.mid.ndim - self.ndim, self.mid.ndim))
        return axis + 1 if self.stacked and axis >= 0 else axis

    def moved(
        self, mid: np.ndarray, rad: Optional[np.ndarray], where: Any = None
    ) -> "BoundedArray":
        """Some of the elements, elsewhere. What is known of the whole array holds for them.

        `where` is the index, or an array of the places, that they come from, or NEGATED; None if
        they are not the same.
        """
        normal = rad is None and self.operand_rad() is None
        result = BoundedArray(mid, rad, self.arithmetic, self.reach(), self.stacked, normal)
        if where is not None and self.made_of is not None:
            result.made_of = Moved(self, where)
        return result

    def at(self, places: np.ndarray) -> "BoundedArray":
        """The elements at some places, counted through the array."""

        def taken(array: np.ndarray) -> np.ndarray:
            flat = array.reshape(len(array), -1) if self.stacked else array.reshape(-1)
            return flat[..., places.ravel()].reshape(flat.shape[:-1] + places.shape)

        return self.moved(taken(self.mid), None if self.exact else taken(self.rad), places)


class Moved(NamedTuple):
    """The array whose elements were moved, and by which index, or from which places.

    NEGATED in place of an index says that they have the other sign, and were not moved.
    """

    source: BoundedArray
    index: Any

    def as_stack(self) -> "Moved":
        """In a stack of this one array."""
        return Moved(self.source.as_stack(), self.index)


def compute(
    function: Callable[..., Any], arithmetic: Arithmetic, args: Sequence[Any], kwargs: Any
) -> Any:
    """A registered function of arguments of which one at least, or one in a list, is bounded.

    Raises
    ------
    OracleError
        If no bound of the function is known, or not with arguments by name.
    """
    entry, is_ufunc = REGISTER.get(function), isinstance(function, np.ufunc)
    if entry is None or (is_ufunc and kwargs):
        raise OracleError("no bound is known for numpy.{}".format(function.__name__))
    if is_ufunc:
        args = _alike(args, arithmetic)
    return entry.compute(*args, **kwargs)


def exact(array: Any, arithmetic: Arithmetic) -> BoundedArray:
    """The array as the subject holds it, exactly."""
    return BoundedArray(np.asarray(array, dtype=np.float64), None, arithmetic)


def exact_stack(arrays: Any, arithmetic: Arithmetic) -> BoundedArray:
    """The same array of many cases, as the subject holds it, along the first axis of `arrays`."""
    return BoundedArray(np.asarray(arrays, dtype=np.float64), None, arithmetic, stacked=True)


def read_stack(arrays: np.ndarray, arithmetic: Arithmetic) -> BoundedArray:
    """The same array of many cases as the subject reads it, rounded to the nearest if need be.

    What rounds to a number beyond the largest one is infinite, and nothing else. Whole numbers,
    which count something, are read as they are.
    """
    precision = arithmetic.precision
    is_held = precision.is_own_type and np.can_cast(arrays.dtype, precision.dtype)
    if is_held or arrays.dtype.kind in "iub":
        return exact_stack(arrays, arithmetic)
    mid = arrays.astype(np.float64)
    with np.errstate(all="ignore"):
        rounded = precision.rounded(arrays).astype(np.float64)
        rad = np.abs(mid - rounded)
    mid = np.where(np.isfinite(rounded), mid, rounded)
    rad = np.where(np.isfinite(rounded), rad, 0.0)
    if not rad.any():
        return BoundedArray(mid, None, arithmetic, stacked=True)
    # A number that is subnormal may be flushed, or round to the smallest normal one.
    small = np.abs(mid) < arithmetic.smallest
    return BoundedArray(mid, np.where(small, np.abs(mid), rad), arithmetic, stacked=True)


def lift(value: Any, arithmetic: Arithmetic) -> BoundedArray:
    """A number of the oracle's own as the subject holds it: rounded to its precision."""
    if isinstance(value, BoundedArray):
        return value
    mid = np.asarray(value, dtype=np.float64)
    if not mid.ndim and float(mid).is_integer() and abs(mid) * arithmetic.unit <= 1:
        # That a small whole number is exact takes no look at how it is rounded.
        return BoundedArray(mid, None, arithmetic)
    with np.errstate(all="ignore"):
        rounded = arithmetic.precision.rounded(mid)
        if (rounded == mid).all():
            return BoundedArray(mid, None, arithmetic)
        error = np.abs(mid - rounded)
    if not (error > 0).any():
        return BoundedArray(mid, None, arithmetic)
    rad = np.where(np.isfinite(mid), error * INFLATE + arithmetic.smallest, 0.0)
    return BoundedArray(np.where(rad < np.inf, mid, 0.0), rad, arithmetic)


def operands(*values: Any) -> List[BoundedArray]:
    """Bounded arrays of values of which one at least is bounded; all stacks if any of them is."""
    return _alike(values, next(x.arithmetic for x in values if isinstance(x, BoundedArray)))


def _alike(values: Sequence[Any], arithmetic: Arithmetic) -> List[BoundedArray]:
    """Bounded arrays of values, all stacks if any of them is one."""
    if all([isinstance(x, BoundedArray) and x.stacked for x in values]):
        return list(values)
    arrays = [x if isinstance(x, BoundedArray) else lift(x, arithmetic) for x in values]
    stacked = [x.stacked for x in arrays]
    if all(stacked) or not any(stacked):
        return arrays
    return [x.as_stack() for x in arrays]


def broadcast(*arrays: BoundedArray) -> Sequence[BoundedArray]:
    """Arrays, all stacks or none, the shorter shapes of stacks filled up as NumPy fills them up.

    A single number that is the same in all cases broadcasts as it is.
    """
    if not arrays[0].stacked or len({x.mid.ndim for x in arrays}) == 1:
        return arrays
    ndim = max([x.ndim for x in arrays])
    return [x if x.mid.size == 1 else x.with_axes(ndim) for x in arrays]


def largest_of(magnitudes: np.ndarray) -> float:
    """The largest of some numbers, NaN if one is NaN, 0 if there are none."""
    # On few numbers argmax takes a quarter of the time of max. It is NaN that is the largest.
    return magnitudes.item(magnitudes.argmax()) if magnitudes.size else 0.0


# --- overflow and special values --------------------------------------------------------------


def resolve_overflow(
    mid: np.ndarray,
    rad: np.ndarray,
    reach: float,
    function: Callable[..., np.ndarray],
    *operands: BoundedArray,
) -> BoundedArray:
    """The result of an elementwise operation.

    Parameters
    ----------
    mid, rad : arrays
        What the operation's formula gives: true of every element that it leaves clear of overflow,
        unless an operand is unknown.
    reach : float
        What the result cannot reach beyond, infinite or NaN if that takes a look at the elements.
    function : function of arrays
        The operation on the ends of balls. It is monotone in each operand between its poles, and
        in float64 does not overflow where the subject may not: what all ends become, all points
        become. If it is NaN of NaN and all ends of what is unknown, it is NaN of NaN and anything.
    operands : BoundedArray
    """
    arithmetic, stacked = operands[0].arithmetic, operands[0].stacked
    limit = arithmetic.largest * arithmetic.overflow_edge
    if reach <= limit:
        return BoundedArray(mid, rad, arithmetic, reach, stacked)
    result = BoundedArray(mid, rad, arithmetic, stacked=stacked)
    if result.reach() <= limit and all(operand.reach() < np.inf for operand in operands):
        return result
    corners = [function(*corner) for corner in product(*[operand.ends() for operand in operands])]
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    nan = np.logical_and.reduce([np.isnan(corner) for corner in corners])
    beyond = arithmetic.largest / arithmetic.overflow_edge
    up, down = low >= beyond, high <= -beyond
    known = ~reduce(operator.or_, [operand.unknown() for operand in operands])
    clear = known & (result.magnitude() <= limit)
    nan &= reduce(operator.or_, [np.isnan(operand.mid) for operand in operands], known)
    return with_specials(result, clear, nan, known & up, known & down)


def with_specials(
    result: BoundedArray, clear: np.ndarray, nan: np.ndarray, up: np.ndarray, down: np.ndarray
) -> BoundedArray:
    """Special values where certain, above all NaN; balls where `clear`; unknown elsewhere."""
    certain = nan | up | down
    special = np.where(nan, np.nan, np.where(up, np.inf, -np.inf))
    mid = np.where(certain, special, np.where(clear, result.mid, 0.0))
    rad = np.where(certain, 0.0, np.where(clear, result.rad, np.inf))
    return BoundedArray(mid, rad, result.arithmetic, stacked=result.stacked)


def propagate_specials(result: BoundedArray, known: np.ndarray) -> BoundedArray:
    """The same with the special values among its midpoints, and unknown where not `known`."""
    mid = result.mid
    nan, up, down = np.isnan(mid), mid == np.inf, mid == -np.inf
    return with_specials(result, known, known & nan, known & up, known & down)
