"""What only moves elements: nothing is rounded, and exact numbers stay exact.

Indexing is a method of the arrays. Beside these functions, :data:`MOVES` has all that anybody
registers as a move.
"""

from typing import Any, Callable, Sequence, Tuple, Union

import numpy as np

from rnndiff.harness.numerics.addends import Product, unrounded
from rnndiff.harness.numerics.balls import BoundedArray, operands
from rnndiff.harness.numerics.register import MOVES, Example, bound

__all__ = ["MOVES"]


@bound(
    np.reshape,
    examples=[
        Example(lambda x: np.reshape(x, (3, 2)), ((2, 3),)),
        Example(lambda x: np.reshape(x, -1), ((2, 3),)),
    ],
    moves=True,
)
def reshape(a: BoundedArray, shape: Union[int, Tuple[int, ...]]) -> BoundedArray:
    """The elements in another shape."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    places = np.arange(int(np.prod(a.shape))).reshape(shape) if a.made_of is not None else None
    if a.stacked:
        shape = (len(a.mid),) + shape
    return a.moved(a.mid.reshape(shape), None if a.exact else a.rad.reshape(shape), places)


@bound(
    np.concatenate,
    examples=[
        Example(lambda x, y: np.concatenate([x, y], axis=1), ((2, 3), (2, 1))),
        Example(lambda x, y: np.concatenate([x, np.zeros((2, 1)), y], axis=-1), ((2, 3), (2, 1))),
        Example(lambda x: np.concatenate([np.zeros((1, 3)), x]), ((2, 3),)),
    ],
    moves=True,
)
def concatenate(arrays: Sequence[Any], axis: int = 0) -> BoundedArray:
    """The arrays one behind the other along an axis."""
    parts = operands(*arrays)
    first, reach = parts[0], max([x.reach() for x in parts])
    mid = _joined(first, [x.mid for x in parts], axis)
    if all([x.exact for x in parts]):
        normal = all([x.operand_rad() is None for x in parts])
        return BoundedArray(mid, None, first.arithmetic, reach, first.stacked, normal)
    rad = _joined(first, [x.rad_as_operand() for x in parts], axis)
    result = BoundedArray(mid, rad, first.arithmetic, reach, first.stacked)
    if reach == np.inf and any([x.made_of is not None for x in parts]):
        # Where products overflow, it counts that they may be added to before they are rounded.
        parts = [unrounded(x) for x in parts]
        mid = _joined(first, [x.mid for x in parts], axis)
        result.made_of = Product(mid, _joined(first, [x.rad_as_operand() for x in parts], axis))
    return result


def _joined(first: BoundedArray, arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """The midpoints or the radii of parts; what is the same in all cases of a stack is repeated."""
    if first.stacked:
        counts = {len(x) for x in arrays}
        if len(counts) > 1:
            (cases,) = counts - {1}
            arrays = [np.broadcast_to(x, (cases,) + x.shape[1:]) for x in arrays]
    return np.concatenate(arrays, axis=first.axes(axis))


@bound(
    np.hstack,
    examples=[
        Example(lambda x, y: np.hstack([x, y]), ((2, 3), (2, 1))),
        Example(lambda x: np.hstack([x, [1.0, 0.0]]), ((3,),)),
    ],
    moves=True,
)
def hstack(arrays: Sequence[Any]) -> BoundedArray:
    """The arrays beside each other: along the second axis, or the only one."""
    parts = [x[(None,) * (1 - x.ndim)] for x in operands(*arrays)]
    return concatenate(parts, axis=0 if parts[0].ndim == 1 else 1)


@bound(np.vstack, examples=[Example(lambda x, y: np.vstack([x, y]), ((2, 3), (1, 3)))], moves=True)
def vstack(arrays: Sequence[Any]) -> BoundedArray:
    """The arrays below each other, along the first axis; what has only one is a row."""
    return concatenate([x[(None,) * (2 - x.ndim)] for x in operands(*arrays)])


@bound(
    np.stack,
    examples=[
        Example(lambda x, y: np.stack([x, y]), ((2, 3), (2, 3))),
        Example(lambda x, y: np.stack([x, y], axis=1), ((2, 3), (2, 3))),
        Example(lambda x: np.stack([x, np.ones((2, 3))], axis=-1), ((2, 3),)),
    ],
    moves=True,
)
def stack(arrays: Sequence[Any], axis: int = 0) -> BoundedArray:
    """The arrays along a new axis."""
    parts = operands(*arrays)
    new = (slice(None),) * (axis if axis >= 0 else axis + parts[0].ndim + 1) + (None,)
    return concatenate([x[new] for x in parts], axis=axis)


def by_places(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that moves the elements of one array, on balls: what it makes of their places."""

    def compute(a: BoundedArray, *args: Any, **kwargs: Any) -> Any:
        places = function(np.arange(int(np.prod(a.shape))).reshape(a.shape), *args, **kwargs)
        if isinstance(places, list):
            return [a.at(each) for each in places]
        return a.at(places)

    return compute


for _function, _call, _shape in (
    (np.transpose, np.transpose, (2, 3)),
    (np.swapaxes, lambda x: np.swapaxes(x, 0, 1), (2, 3)),
    (np.moveaxis, lambda x: np.moveaxis(x, 0, -1), (2, 3, 2)),
    (np.flip, lambda x: np.flip(x, axis=0), (2, 3)),
    (np.squeeze, lambda x: np.squeeze(x, axis=1), (3, 1)),
    (np.expand_dims, lambda x: np.expand_dims(x, 1), (2, 3)),
    (np.ravel, np.ravel, (2, 3)),
    (np.broadcast_to, lambda x: np.broadcast_to(x, (2, 3)), (3,)),
    (np.split, lambda x: np.split(x, 3, axis=-1), (2, 3)),
    (np.array_split, lambda x: np.array_split(x, 2, axis=-1), (2, 3)),
    (np.roll, lambda x: np.roll(x, 1, axis=0), (3, 2)),
    (np.repeat, lambda x: np.repeat(x, 2, axis=0), (2, 2)),
    (np.tile, lambda x: np.tile(x, (1, 2)), (2, 2)),
    (np.take, lambda x: np.take(x, [1, 0, 1], axis=0), (2, 3)),
):
    bound(_function, examples=[Example(_call, (_shape,))], moves=True)(by_places(_function))
