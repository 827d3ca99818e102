"""No bound is wider than it was: `widths.csv` has how wide each is, of numbers that are fixed.

That a bound is wide enough, the test of containment shows; that it became wider than need be, no
other test would. Where a formula is changed on purpose, record what it gives now, and look at what
became wider::

    python tests/harness/numerics/test_width.py && git diff tests/harness/numerics/widths.csv
"""

import os
import sys
from functools import partial, reduce
from typing import NamedTuple, Optional, Sequence

import numpy as np
import pytest

from rnndiff.harness.numerics import Accuracy, BoundedArray, arithmetic, exact
from rnndiff.harness.numerics.containment import KINDS, balls_of, stack_of
from rnndiff.harness.numerics.register import REGISTER, Example
from rnndiff.models.functions import accumulate, affine

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from recording import assert_same, mean_log2, read, write  # noqa: E402

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "widths.csv")
COLUMNS = ("function", "arithmetic", "numbers", "unknown", "special", "exact", "width", "reach")
STATED = {"tanh": Accuracy(6.9, 0), "affine tanh": Accuracy(1.3, 0), "softmax": Accuracy(3.5, 0)}
ARITHMETICS = {
    "float32": arithmetic("float32"),
    "float32 stated": arithmetic("float32", STATED),
    "float32 bias last": arithmetic("float32", STATED, bias_anywhere=False),
    "float32 operands cut": arithmetic("float32", operand_bits=11),
    "float32 operands rounded": arithmetic("float32", operand_bits=11, operands_to_nearest=True),
    "float32 sums of float64": arithmetic("float32", sums="float64"),
    "float32 recomputed": arithmetic("float32")._replace(recomputes=True),
    "float32 by chance": arithmetic("float32").by_chance(),
    "float64": arithmetic("float64"),
    "float16": arithmetic("float16"),
    "bfloat16": arithmetic("bfloat16", sums="float32"),
}
# Of stacks of three cases.
STACKS = {"float32 stacks": arithmetic("float32")}
# What older NumPys call them.
NAMES = {"true_divide": "divide", "amax": "max"}
# Of 12 digits; what NumPy's functions differ by between processors is less than that.
SAME = 1e-9
# Of these the narrowest are as wide as the noise of float64: so much of log2 is the same.
NOISY = {("softmax", "float64"): 5e-3}


# --- calls beside those that functions are registered with, for what these do not reach -----------


class Calls(NamedTuple):
    """Calls, with the arithmetics (None: all of them) and the kinds of numbers that they take."""

    examples: Sequence[Example]
    arithmetics: Optional[Sequence[str]] = None
    kinds: Sequence[str] = KINDS


def _near_overflow(x):
    """Terms whose sum is near the largest number; or of which those of one sign are, beside others.

    Each row has five, and is there with the other sign as well.
    """
    a, none = x.arithmetic, np.zeros((61, 1))
    sums, last = np.linspace(0.85, 1.25, 61)[:, None], np.linspace(0.85, 1.0, 61)[:, None]
    near = np.hstack([sums * [0.3, 0.3, 0.2, 0.2], none])
    beside = np.hstack([none + [0.7, 0.7, 0.7, 0.7], -last])
    mid = a.precision.rounded(np.concatenate([near, beside, -near, -beside]) * a.largest)
    return exact(mid, a)


def _exact_and_not(call):
    """A call with such numbers, and with any that are up to a hundredth more or less."""
    return [
        Example(lambda x: call(_near_overflow(x)), ((),), stacks=False),
        Example(lambda x: call(_uncertain(_near_overflow(x))), ((),), stacks=False),
    ]


def _uncertain(x):
    return BoundedArray(x.mid, np.abs(x.mid) * 0.01, x.arithmetic)


def _by_8(call, x):
    return call(BoundedArray(x.mid / 8, x.rad / 8, x.arithmetic), np.full((5, 1), 8.0))


def _product(x):
    """Products of two, from 0.85 to 1.33 of the largest number, and as many negative ones."""
    a, factors = x.arithmetic, 8 + np.arange(9) / 16
    sizes = np.linspace(0.85, 1.25, 41) * (a.largest / 8)
    sizes = a.precision.rounded(np.repeat(np.append(sizes, -sizes), len(factors)))
    return exact(sizes, a) * np.tile(factors, 82)


def _beside(x):
    """What is added to them: half of the largest number, the same below zero, or zero."""
    return x.arithmetic.largest * np.array([[0.5], [-0.5], [0.0]])


CALLS = {
    # Only the tanh of one matrix product plus a bias is that of an affine map.
    "tanh_of_sums": Calls(
        [
            Example(lambda x, w, b: np.tanh(x @ w + b), ((2, 3), (3, 2), (2,))),
            Example(lambda x, w, b: np.tanh(b + x @ w), ((2, 2, 3), (3, 2), (2,))),
            Example(lambda x, w, b: np.tanh(x @ w + b), ((3,), (3, 2), (2,)), stacks=False),
            Example(lambda x, w, b: np.tanh(x @ w + b), ((2, 3), (3, 2), (1,))),
            Example(lambda x, w, b: np.tanh(x @ w + b), ((2, 3), (3, 2), (2, 2))),
            Example(lambda x, w, b: np.tanh(x @ w + x @ w + b), ((2, 3), (3, 2), (2,))),
            Example(lambda x, w, b: np.tanh((x @ w + b) + b), ((2, 3), (3, 2), (2,))),
            Example(lambda x, w, b: np.tanh(affine(x, w, b)), ((2, 3), (3, 2), (2,))),
            Example(lambda x, w, b: np.tanh(affine(x, w, b)), ((2, 3), (3, 2), (2, 2))),
            Example(lambda x, w, b: np.tanh(affine(x, w, b)), ((2, 3), (3, 1), ())),
            Example(lambda x, y: np.tanh(x + y), ((4,), (4,))),
            Example(lambda x, y: np.tanh(x + x * y), ((4,), (4,))),
        ],
        ("float32 stated", "float32 bias last", *STACKS),
        ("tame",),
    ),
    "long_sums": Calls(
        [
            Example(np.matmul, ((2, 20), (20, 3))),
            Example(accumulate, ((2, 28), (28, 3), (3,), (2, 3))),
            Example(np.matmul, ((2, 32), (32, 2))),
            Example(affine, ((2, 32), (32, 2), (2,))),
            Example(lambda x, w, b: x @ w + reduce(np.add, 32 * [b]), ((2, 2), (2, 2), (2,))),
            Example(lambda x: np.matmul(x, np.eye(24, 3)), ((2, 24),)),
            Example(lambda x: np.matmul(x, np.full((9, 2), x.arithmetic.smallest)), ((2, 9),)),
            Example(lambda x: np.sum(x, axis=0), ((24, 2),)),
            # What is moved of a sum that goes on.
            Example(lambda x, w, b: (x @ w)[:, ::-1] + b, ((2, 3, 3), (3, 2), (2,))),
            Example(lambda x, w, b: (x @ w[:, :1] + x @ w)[:, ::-1] + b, ((2, 3), (3, 2), (2,))),
            Example(lambda x: np.sum(x, axis=1), ((2, 1),)),
            Example(lambda x, y: np.sum(x * y, axis=1), ((2, 1), (2, 1))),
            Example(np.mean, ((40,),)),
        ]
    ),
    # They depend on no numbers but their own.
    "sums_near_overflow": Calls(
        [
            *_exact_and_not(lambda x: np.sum(x, axis=-1)),
            *_exact_and_not(lambda x: np.mean(x, axis=-1)),
            *_exact_and_not(lambda x: _by_8(np.matmul, x)),
            *_exact_and_not(lambda x: _by_8(accumulate, x)),
            Example(lambda x: _product(x) + _beside(x), ((),), stacks=False),
            Example(lambda x: _beside(x) - _product(x), ((),), stacks=False),
            Example(lambda x: _product(x) + _uncertain(_product(x)), ((),), stacks=False),
            Example(lambda x: np.sum(_product(x)[:, None] * [1.0, -0.5], axis=1), ((),), False),
            Example(
                lambda x: accumulate(_product(x)[:, None], [[1.0, 2.0]], -_product(x)[:, None]),
                ((),),
                False,
            ),
        ],
        kinds=("tame",),
    ),
}


# --- what is recorded of each ---------------------------------------------------------------------


def arguments_of(example, a, kind, random, is_exact):
    """Numbers for a call, exact or balls."""
    drawn = [random.randint(0, 256, 2 * int(np.prod(x))) for x in example.shapes]
    return [
        balls_of(a, shape, kind, each.astype(np.uint8), is_exact)
        for shape, each in zip(example.shapes, drawn)
    ]


def results_of(examples, a, kind, stacks):
    """What calls are on exact numbers and on balls; or on stacks, of which some cases are exact."""
    random = np.random.RandomState(0)
    results = []
    for example in examples:
        if not stacks:
            calls = [arguments_of(example, a, kind, random, x) for x in (True, False)]
        elif example.stacks:
            cases = [arguments_of(example, a, kind, random, x) for x in (False, True, True)]
            calls = [
                [stack_of(x) for x in zip(*cases)],
                # The other arrays are the same in all cases.
                [stack_of([cases[1][0], cases[0][0], cases[2][0]])] + cases[1][1:],
                [cases[1][0]] + [stack_of(x) for x in list(zip(*cases))[1:]],
            ]
        else:
            calls = []
        for arguments in calls:
            result = example.call(*arguments)
            results.extend(result if isinstance(result, list) else [result])
    return results


def widths_of(function):
    """The rows of a function: how many elements are no balls, and the mean of log2 of the radii."""
    entry = REGISTER[function]
    name = NAMES.get(entry.name, entry.name)
    return widths(name, Calls(entry.examples, ("float32", *STACKS) if entry.moves else None))


def widths(called, calls):
    """The rows of some calls."""
    for name, a in list(ARITHMETICS.items()) + list(STACKS.items()):
        if calls.arithmetics and name not in calls.arithmetics:
            continue
        for kind in calls.kinds:
            results = results_of(calls.examples, a, kind, name in STACKS)
            if not results:
                continue
            mid = np.concatenate([x.mid.ravel() for x in results])
            rad = np.concatenate([x.rad_as_operand().ravel() for x in results])
            assert not mid[np.isinf(rad)].any()
            reach = np.array([x.reach() for x in results])
            row = (called, name, kind, np.isinf(rad).sum(), (~np.isfinite(mid)).sum())
            yield row + ((rad == 0).sum(), mean_log2(rad), mean_log2(reach))


def test_all_that_is_registered_is_recorded_and_nothing_else():
    names = {NAMES.get(entry.name, entry.name) for entry in REGISTER.values()}
    assert names | set(CALLS) == {key[0] for key in read(PATH, 3)}, "record it"


@pytest.mark.parametrize("function", list(REGISTER), ids=lambda function: function.__name__)
def test_a_bound_is_as_wide_as_it_was(function):
    assert_as_recorded(widths_of(function))


@pytest.mark.parametrize("called", list(CALLS))
def test_a_bound_of_calls_is_as_wide_as_it_was(called):
    assert_as_recorded(widths(called, CALLS[called]))


def assert_as_recorded(rows):
    for row in rows:
        name, numbers = row[:3], [str(x) for x in row[3:]]
        assert_same(name, COLUMNS[3:], numbers, read(PATH, 3)[name], partial(allowed, name[:2]))


def allowed(name, _, before):
    """What a number of a function in an arithmetic may be off by."""
    return NOISY.get(name, SAME * max(1.0, abs(float(before))))


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        found = [row for each in REGISTER for row in widths_of(each)]
        found += [row for called, calls in CALLS.items() for row in widths(called, calls)]
    write(PATH, COLUMNS, found)
