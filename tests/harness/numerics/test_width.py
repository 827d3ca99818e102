"""No bound is wider than it was: `widths.csv` has how wide each is, of numbers that are fixed.

That a bound is wide enough, the test of containment shows; that it became wider than need be, no
other test would. Where a formula is changed on purpose, record what it gives now, and look at what
became wider::

    python tests/harness/numerics/test_width.py && git diff tests/harness/numerics/widths.csv
"""

import csv
import os

import numpy as np
import pytest

from rnndiff.harness.numerics import Accuracy, arithmetic
from rnndiff.harness.numerics.containment import KINDS, balls_of
from rnndiff.harness.numerics.register import REGISTER

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
# What older NumPys call them.
NAMES = {"true_divide": "divide", "amax": "max"}
# Of 12 digits; what NumPy's functions differ by between processors is less than that.
SAME = 1e-9
# Of these the narrowest are as wide as the noise of float64.
NOISY = {("softmax", "float64"): 1e-2}


def results_of(entry, a, kind):
    """What the examples of a function are on exact numbers, and on balls."""
    random = np.random.RandomState(0)
    results = []
    for example in entry.examples:
        for is_exact in (True, False):
            drawn = [random.randint(0, 256, 2 * int(np.prod(x))) for x in example.shapes]
            arguments = [
                balls_of(a, shape, kind, each.astype(np.uint8), is_exact)
                for shape, each in zip(example.shapes, drawn)
            ]
            result = example.call(*arguments)
            results.extend(result if isinstance(result, list) else [result])
    return results


def widths_of(function):
    """The rows of a function: how many elements are no balls, and the mean of log2 of the radii."""
    entry = REGISTER[function]
    called = NAMES.get(entry.name, entry.name)
    for name, a in ARITHMETICS.items():
        if entry.moves and name != "float32":
            continue
        for kind in KINDS:
            results = results_of(entry, a, kind)
            mid = np.concatenate([x.mid.ravel() for x in results])
            rad = np.concatenate([x.rad_as_operand().ravel() for x in results])
            reach = np.array([x.reach() for x in results])
            row = (called, name, kind, np.isinf(rad).sum(), (~np.isfinite(mid)).sum())
            yield row + ((rad == 0).sum(), _mean_log2(rad), _mean_log2(reach))


def _mean_log2(sizes):
    sizes = sizes[(sizes > 0) & (sizes < np.inf)]
    return "{:.12g}".format(np.log2(sizes).mean()) if sizes.size else ""


def recorded():
    """The rows of the file, by function, arithmetic and numbers."""
    with open(PATH, newline="") as file:
        return {tuple(row[:3]): row[3:] for row in csv.reader(file)}


@pytest.mark.parametrize("function", list(REGISTER), ids=lambda function: function.__name__)
def test_a_bound_is_as_wide_as_it_was(function):
    known = recorded()
    for row in widths_of(function):
        name, numbers = row[:3], [str(x) for x in row[3:]]
        differ = [
            "{} {}, not {}".format(column, now, before)
            for column, now, before in zip(COLUMNS[3:], numbers, known[name])
            if now != before and not (now and before and _is_near(now, before, name))
        ]
        assert not differ, "{}: {}".format(", ".join(name), "; ".join(differ))


def _is_near(now, before, name):
    same = NOISY.get(name[:2], SAME)
    return abs(float(now) - float(before)) <= same * max(1.0, abs(float(before)))


if __name__ == "__main__":
    with open(PATH, "w", newline="") as file, np.errstate(all="ignore"):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in REGISTER:
            writer.writerows(widths_of(each))
