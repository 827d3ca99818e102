"""Where LiteRT is known to be wrong, with XNNPACK and without it, as data."""

from itertools import product
from typing import Any, Callable, Mapping, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.changed_cells import Change, with_cells
from rnndiff.harness.judging.excuses import Entry, Instead, KnownDivergence, Minimal, Trace
from rnndiff.harness.judging.stand_ins import by_kernels, expected_of, replaced, stand_in
from rnndiff.harness.judging.verdict import ArrayVerdict
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, exact
from rnndiff.harness.subjects.engine import arrays_of_cells
from rnndiff.harness.subjects.known_zeros import with_zeros_that_are_known
from rnndiff.models.cells.kinds import PLAIN
from rnndiff.models.functions import affine, interpolate, one_hot, sigmoid

# Those of whose graphs LiteRT is given.
FAMILIES = "bidirectional", "seq2seq", "rnn", "birnn"

_LARGEST = float(np.finfo(np.float32).max)
# By which sums are far from overflowing, and rounded all the same.
_SCALE = 2.0**-2
# Of no class: so the arg max says where it finds none.
_NOWHERE = 2**31 - 1
# From here on XNNPACK's sigmoid is NaN of some numbers, as tried on 400,000 of both signs: the
# smallest was 2^88.48, the largest 2^127.47.
_HUGE = 2.0**88

_Excuse = Callable[[Case, Trace, ArrayVerdict], Instead]


def in_lanes(scores: np.ndarray) -> np.ndarray:
    """The arg max of scores [..., outputs] as LiteRT has it on x86.

    Four lanes go through a row, each of which keeps the place of what is greater than what it has
    had before, and takes NaN, and what follows it, for what it has. The greatest of the lanes is
    looked for among them, and what is left is compared with it one by one.
    """
    outputs, start = scores.shape[-1], scores.shape[-1] // 4 * 4
    if start:
        best, places = scores[..., :4], np.broadcast_to(np.arange(4), scores[..., :4].shape)
        for first in range(4, start, 4):
            more = scores[..., first : first + 4]
            places = np.where(more > best, first + np.arange(4), places)
            best = np.where(best > more, best, more)
        halves = _greater(best[..., ::2], best[..., 1::2])
        found = _greater(halves[..., 0], halves[..., 1])
        place = np.where(best == found[..., None], places, _NOWHERE).min(axis=-1)
    else:
        start, found, place = 1, scores[..., 0], np.zeros(scores.shape[:-1], np.int64)
    for each in range(start, outputs):
        place = np.where(scores[..., each] > found, each, place)
        found = _greater(found, scores[..., each])
    return place


def _greater(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(b > a, b, a)


def _chosen_in_lanes(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """What that arg max finds in a row with NaN."""
    scores = np.asarray(trace["scores"])
    covered, chosen = np.isnan(scores).any(axis=-1), in_lanes(scores)
    if array.name == "accuracy":
        right = np.equal(trace["predictions"], in_lanes(case.labels))
        # The sum is exact; it is divided, or multiplied by the reciprocal.
        return Instead(covered.any() or np.isnan(case.labels).any(), np.mean(right), 2.0**-23)
    if array.name == "fed_back":
        tokens = one_hot(chosen[:, :-1], scores.shape[-1], np.float32)
        return Instead(np.broadcast_to(covered[:, :-1, None], tokens.shape), tokens)
    return Instead(covered, chosen)


def _by_cells(change: Change, changes: Tuple[Change, ...], stated: Arithmetic) -> _Excuse:
    """What all changes of a mode make of cells, where this one matters: alone, or to the others.

    Or this one alone, as that of huge numbers is not seen of each.
    """
    others = tuple(each for each in changes if each is not change)

    def instead(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
        if case.config.kind is PLAIN:
            # Nothing in it is changed.
            return Instead(np.zeros(array.actual.shape, bool))
        alone, without, found = (
            expected_of(with_cells(case, each), trace, array, stated)
            for each in ((change,), others, changes)
        )
        covered = _are_apart(alone, array) | _are_apart(found, without)
        near = np.abs(array.actual - alone.expected) <= alone.bound
        is_alone = near | (np.isnan(array.actual) & np.isnan(alone.expected))
        values, rad = (
            np.where(is_alone, *each)
            for each in ((alone.expected, found.expected), (alone.bound, found.bound))
        )
        return Instead(covered, values, rad)

    return instead


def _are_apart(one: ArrayVerdict, other: ArrayVerdict) -> np.ndarray:
    apart = np.abs(one.expected - other.expected) > one.bound + other.bound
    return apart | (np.isnan(one.expected) != np.isnan(other.expected))


def _of_largest(stated: Arithmetic) -> _Excuse:
    """The largest number for an infinity; of cells, also what comes of it."""
    of_cells = _by_cells(_with_largest, _OF_BUILTIN, stated)

    def instead(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
        if array.name == "scores":
            return Instead(np.isinf(array.expected), np.copysign(_LARGEST, array.expected))
        if array.name == "loss":
            products = case.labels * np.log(np.clip(trace["probabilities"], 1e-10, 1.0))
            return _loss(case, trace, stated, np.isinf(products).any())
        return of_cells(case, trace, array)

    return instead


def _loss_of_certainty(stated: Arithmetic) -> _Excuse:
    """The loss if NaN is a probability of 1."""
    return lambda case, trace, array: _loss(
        case, trace, stated, np.isnan(trace["probabilities"]).any()
    )


def _loss(case: Case, trace: Trace, stated: Arithmetic, covered: Any) -> Instead:
    """With both: a product that is infinite is the largest number, too."""
    logs = np.log(_clip(exact(trace["probabilities"], stated), 1e-10, 1.0))
    products = _multiply(exact(case.labels, stated), logs)
    scale = _SCALE if _is_one_the_largest(products) else 1.0
    scaled = BoundedArray(products.mid * scale, products.rad * scale, stated)
    loss = np.mean(-np.sum(scaled, axis=-1))
    return Instead(covered, loss.mid / scale, loss.rad / scale)


def _is_one_the_largest(products: BoundedArray) -> bool:
    """Whether it stays the largest number when the others are added, by being rounded."""
    sizes = products.magnitude()
    others = sizes[sizes < _LARGEST]
    return others.size == sizes.size - 1 and bool(np.sum(others) < _LARGEST * 2.0**-26)


def _sigmoid_of_balls(x: BoundedArray) -> BoundedArray:
    huge = np.isfinite(x.mid) & (np.abs(x.mid) >= _HUGE)
    return replaced(sigmoid(x), huge, np.nan)


def _at_most_largest(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, and the largest number for an infinity."""

    def of_balls(*args: Any) -> BoundedArray:
        found = function(*args)
        found = replaced(found, np.isinf(found.mid), np.copysign(_LARGEST, found.mid))
        return _near_largest(function, args, found)

    return stand_in(function, of_balls)


def _near_largest(function: Callable[..., Any], args: Any, found: BoundedArray) -> BoundedArray:
    """What is found, or where that is nothing, as it may overflow, what lies between its ends."""
    is_elementwise = isinstance(function, np.ufunc) and function is not np.matmul
    if not is_elementwise or not np.isinf(found.rad).any():
        return found
    ends = [_ends(x, found.ndim) if isinstance(x, BoundedArray) else (x,) for x in args]
    of_ends = np.stack(np.broadcast_arrays(*(function(*each) for each in product(*ends))))
    least, most = (np.clip(f(of_ends, axis=0), -_LARGEST, _LARGEST) for f in (np.min, np.max))
    mid, rad = (least + most) / 2, (most - least) / 2 + _LARGEST * 2.0**-23
    is_known = np.isinf(found.rad) & np.isfinite(mid)
    mid, rad = np.where(is_known, mid, found.mid), np.where(is_known, rad, found.rad)
    return BoundedArray(mid, rad, found.arithmetic, stacked=found.stacked)


def _ends(balls: BoundedArray, ndim: int) -> Sequence[np.ndarray]:
    """Those of balls as operands of so many axes; NaN of what is unknown, in which NaN may be."""
    balls = balls.with_axes(ndim)
    return [np.where(balls.unknown(), np.nan, end) for end in balls.ends()]


_add, _multiply = _at_most_largest(np.add), _at_most_largest(np.multiply)
_subtract, _matmul = _at_most_largest(np.subtract), _at_most_largest(np.matmul)


def _add_to_largest(a: BoundedArray, b: BoundedArray) -> BoundedArray:
    """The sum, of which more is known than of any that may overflow."""
    return _near_largest(np.add, (a, b), a + b)


def _affine_behind_a_condition(add: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, kernel, bias: add(_product_behind_a_condition(x, kernel), bias)


def _product_behind_a_condition(x: Any, kernel: Any) -> Any:
    """As the converter has it where a kernel is no constant, but an argument of the branch.

    The product of a kernel with one row or column, which is transposed by being reshaped, is a
    FULLY_CONNECTED: it clips, and XNNPACK takes none whose kernel is no constant. That of other
    kernels is a BATCH_MATMUL, which does not clip. The bias is added by an ADD.
    """
    return _matmul(x, kernel) if 1 in kernel.shape[-2:] else np.matmul(x, kernel)


def _interpolate(weight: Any, a: Any, b: Any) -> Any:
    # Zeros that are known say themselves what they are times anything.
    first = weight * a if isinstance(a, np.ndarray) else _multiply(weight, a)
    return _add(first, _multiply(_subtract(1, weight), b))


def _clip_of_balls(x: BoundedArray, least: float, most: float) -> BoundedArray:
    return replaced(np.clip(x, least, most), np.isnan(x.mid), most)


_clip = stand_in(np.clip, _clip_of_balls)


def _behind_conditions(there: Mapping[Any, Any], elsewhere: Mapping[Any, Any]) -> Change:
    """By which operations cells are computed behind a condition, as of rows with lengths."""

    def change(cell: Any, config: Any) -> None:
        is_there = getattr(config, "sequence_length", False)
        by_kernels(there if is_there else elsewhere)(cell, config)

    return change


_with_nan_of_huge = by_kernels({sigmoid: stand_in(sigmoid, _sigmoid_of_balls)})
_with_largest_product = _behind_conditions(
    {
        np.matmul: stand_in(np.matmul, _product_behind_a_condition),
        affine: stand_in(affine, _affine_behind_a_condition(_add_to_largest)),
    },
    {},
)
_anywhere = {
    np.add: _add,
    np.multiply: _multiply,
    np.subtract: _subtract,
    interpolate: _interpolate,
}
_with_largest = _behind_conditions(
    {
        **_anywhere,
        np.matmul: stand_in(np.matmul, _product_behind_a_condition),
        affine: stand_in(affine, _affine_behind_a_condition(_add)),
    },
    {**_anywhere, np.matmul: _matmul, affine: _at_most_largest(affine)},
)
_with_clipped_nan = by_kernels({np.clip: _clip})
# What changes cells in each mode.
_OF_XNNPACK = (with_zeros_that_are_known, _with_nan_of_huge, _with_largest_product)
_OF_BUILTIN = (with_zeros_that_are_known, _with_largest, _with_clipped_nan)

_WHERE = "TensorFlow 2.21, on x86"
_OF_CELLS = arrays_of_cells(*FAMILIES)


def known_of_xnnpack(stated: Arithmetic) -> Tuple[Entry, ...]:
    """The entries where XNNPACK computes what it can, by what is stated of that mode."""
    huge = KnownDivergence(
        name="xnnpack-sigmoid-of-huge-numbers",
        what="XNNPACK's sigmoid of numbers from 2^88 to 2^128 is NaN, of most of them",
        where=_WHERE,
        arrays=_OF_CELLS,
        instead=_by_cells(_with_nan_of_huge, _OF_XNNPACK, stated),
        minimal=Minimal("rnn-basic", {"activation": "sigmoid"}, {"cell/bias": {(0,): 1e30}}),
    )
    largest = KnownDivergence(
        name="xnnpack-leaves-products-that-are-clipped",
        what="a product that is infinite is the largest number where XNNPACK leaves it to LiteRT, "
        "of a kernel with one row or column behind a condition, as of rows with lengths",
        where=_WHERE,
        arrays=_OF_CELLS,
        instead=_by_cells(_with_largest_product, _OF_XNNPACK, stated),
        minimal=Minimal(
            "rnn-basic",
            {"activation": "linear", "sequence_length": True},
            {
                "cell/kernel": {(0, 0): np.inf},
                "inputs": {(0, 0, 0): 1.0},
                "sequence_length": {(0,): 1},
            },
        ),
    )
    return (*_of_both(_OF_XNNPACK, stated), huge, largest)


def known_of_builtin(stated: Arithmetic) -> Tuple[Entry, ...]:
    """The entries of LiteRT's own kernels alone, by what is stated of that mode."""
    largest = KnownDivergence(
        name="litert-clips-to-the-largest-number",
        what="a product, sum or difference that is infinite is the largest number",
        where=_WHERE + ", without XNNPACK",
        arrays=_OF_CELLS,
        instead=_of_largest(stated),
        minimal=Minimal("bidirectional", {}, {"projection/bias": {(0,): np.inf}}),
    )
    clipped = KnownDivergence(
        name="litert-clips-nan",
        what="NaN clipped is the greatest number that is let through: a state is at its limit",
        where=_WHERE + ", without XNNPACK",
        arrays=_OF_CELLS,
        instead=_by_cells(_with_clipped_nan, _OF_BUILTIN, stated),
        minimal=Minimal("rnn-lstm", {"cell_clip": 0.5}, {"cell/bias": {(0,): np.nan}}),
    )
    certain = KnownDivergence(
        name="litert-loss-of-nan",
        what="the same of probabilities that are NaN, which count as 1: the loss is a number",
        where=_WHERE + ", without XNNPACK",
        arrays=("loss",),
        instead=_loss_of_certainty(stated),
        minimal=Minimal("bidirectional", {"outputs": 2}, {"projection/bias": {(0,): np.nan}}),
    )
    return (*_of_both(_OF_BUILTIN, stated), largest, clipped, certain)


def _of_both(changes: Tuple[Change, ...], stated: Arithmetic) -> Tuple[Entry, ...]:
    choices = KnownDivergence(
        name="litert-arg-max-of-nan",
        what="the arg max of a row with NaN is that of other classes, or, of four and more, "
        "2147483647, which is none",
        where=_WHERE,
        arrays=("predictions", "fed_back", "accuracy"),
        instead=_chosen_in_lanes,
        minimal=Minimal("bidirectional", {"outputs": 4}, {"projection/bias": {(0,): np.nan}}),
    )
    zeros = KnownDivergence(
        name="litert-zero-state-times-nan",
        what="the converter takes a gate times the zeros of the initial state for zero, which it "
        "is not where the gate is NaN",
        where=_WHERE,
        arrays=_OF_CELLS,
        instead=_by_cells(with_zeros_that_are_known, changes, stated),
        minimal=Minimal("rnn-basic-lstm", {}, {"cell/bias": {(2,): np.nan}}),
    )
    return choices, zeros
