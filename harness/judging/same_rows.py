"""Rows that were computed in two batches: both are judged, and their bits are compared."""

import hashlib
from typing import Any, Dict, Iterator, List, Sequence, Set, Tuple

import numpy as np

from rnndiff.harness.judging.verdict import StackVerdict

_ROWS = ("batch",)


def same_rows(stacks: Sequence[StackVerdict]) -> Tuple[int, int]:
    """How many rows were computed again in a batch of another size, and how many to other bits.

    The same are rows of one network with the same data, bit for bit. All NaN have the same bits.
    """
    batches: Dict[str, Set[Any]] = {}
    for stack in stacks:
        if stack.cases:
            batches.setdefault(stack.cases[0].model.name, set()).add(stack.cases[0].config)
    first: Dict[bytes, Tuple[Any, bytes]] = {}
    again = differ = 0
    for stack in stacks:
        # A batch of one config has each of its rows once.
        if not stack.cases or len(batches[stack.cases[0].model.name]) == 1:
            continue
        config = stack.cases[0].config
        for row, bits in _rows(stack):
            other, there = first.setdefault(row, (config, bits))
            if other != config:
                again += 1
                differ += there != bits
    return again, differ


def _rows(stack: StackVerdict) -> Iterator[Tuple[bytes, bytes]]:
    """Of every row, what tells it from all others, and the bits of what was computed of it."""
    cases, model, config = stack.cases, stack.cases[0].model, stack.cases[0].config
    names = [field.name for field in model.data_of(config) if field.axes[:1] == (_ROWS,)]
    traced = [array.name for array in model.trace if _sizes(array.axes[:1]) == [_ROWS]]
    shape = len(cases), config.batch
    read = _bits([np.stack([case.arrays[name] for case in cases]) for name in names], shape)
    made = _bits([stack.actual[name] for name in traced if name in stack.actual], shape)
    others = [field.name for field in model.fields(config) if field.name not in names]
    for place, case in enumerate(cases):
        network = hashlib.sha256(model.name.encode())
        for name in others:
            network.update(case.arrays[name].tobytes())
        for row in range(config.batch):
            yield network.digest() + read[place, row].tobytes(), made[place, row].tobytes()


def _sizes(axes: Any) -> List[Tuple[str, ...]]:
    return [tuple(part.size for part in axis) for axis in axes]


def _bits(arrays: Sequence[np.ndarray], shape: Tuple[int, int]) -> np.ndarray:
    """The bytes of arrays [cases, batch, ...] side by side, [cases, batch, bytes]."""
    parts = [np.zeros(shape + (0,), np.uint8)]
    for array in arrays:
        # Of no numbers -1 could be anything.
        rows = array.reshape(shape + (int(np.prod(array.shape[2:])),))
        if rows.dtype.kind == "f":
            rows = np.where(np.isnan(rows), rows.dtype.type("nan"), rows)
        parts.append(np.ascontiguousarray(rows).view(np.uint8))
    return np.concatenate(parts, axis=2)
