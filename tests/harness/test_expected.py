"""What is expected of subjects is as narrow as it was: `expected.csv` has how wide it is.

That it is wide enough, right ports and engines show. Of cases of the fixed set, which are the same
everywhere, a trace is the oracle's in float64, rounded; some classes in it are others, some numbers
special, and every second array may be one that the subject does not have. Where a formula is
changed on purpose, record what it gives now, and look at what became wider::

    python tests/harness/test_expected.py && git diff tests/harness/expected.csv
"""

import os

import numpy as np
import pytest
from recording import assert_same, mean_log2, read, write

from rnndiff.harness.cases.fixed import fixed_group
from rnndiff.harness.judging.chance import figures
from rnndiff.harness.judging.verdict import FREE_RUNNING, TEACHER_FORCED, judge_stacks
from rnndiff.harness.numerics import Accuracy, arithmetic

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected.csv")
COLUMNS = ("model", "arithmetic", "trace", "run", "unknown", "special", "exact", "width", "doubts")
MODELS = (
    *("bidirectional", "seq2seq", "attention", "rnn-basic", "birnn-lstm", "rnn-gru@onnx"),
    *("seq2seq-lstm", "attention-gru", "stackbirnn-layers", "keras-bidirectional-lstm"),
)
STATED = {"tanh": Accuracy(4, 0), "affine tanh": Accuracy(1.5, 0), "softmax": Accuracy(3, 0)}
ARITHMETICS = {
    "float32": arithmetic("float32"),
    "float32 bias last": arithmetic("float32", STATED, bias_anywhere=False),
    "float32 recomputed": arithmetic("float32")._replace(recomputes=True),
    "float16 sums of float32": arithmetic("float16", sums="float32"),
}
CHANCE = "by chance"
# Of 12 digits: one number of float32 in a million is rounded another way on another processor.
SAME = 1e-4


def traces_of(cases, a):
    """The traces of a right subject but for classes, and for numbers that become special."""
    for place, case in enumerate(cases):
        with np.errstate(all="ignore"):
            trace = {name: np.array(x) for name, x in case.oracle(np.float64).items()}
        for array in trace.values():
            if array.dtype.kind == "i" and place % 3 == 1:
                array += 1
            elif array.dtype.kind == "f" and array.size and place % 4 == 3:
                array.flat[place % array.size] = (np.nan, np.inf, 1e-40)[place % 3]
        precision = a.precision
        yield {n: x if x.dtype.kind == "i" else precision.rounded(x) for n, x in trace.items()}


def rows_of(model):
    """The rows of a model: of each arithmetic, of whole traces and of those with half of it."""
    for name, a in ARITHMETICS.items():
        for half in (False, True):
            found = {}
            for number in (0, 1):
                cases = fixed_group(model, number).cases
                traces = list(traces_of(cases, a))
                if half:
                    kept = sorted(traces[0])[number::2]
                    traces = [{each: trace[each] for each in kept} for trace in traces]
                with np.errstate(all="ignore"):
                    for stack in judge_stacks(cases, traces, a):
                        add_runs(found, stack)
                        add_figures(found, figures(stack, a))
            for run, each in found.items():
                yield (model, name, "half" if half else "whole", run, *summary(*each))


def add_runs(found, stack):
    """What is expected of a stack, and how much of that is in doubt."""
    for run in (TEACHER_FORCED, FREE_RUNNING):
        mine = np.repeat(stack.of(run), stack.sizes())
        mids, radii, doubts = found.setdefault(run, ([], [], []))
        mids.append(stack.expected[:, mine].ravel())
        radii.append(stack.bound[:, mine].ravel())
        doubts.append(stack.doubts[:, stack.of(run)].ravel())


def add_figures(found, of_arrays):
    """The figures of errors by chance: mean squares, and signs."""
    mids, radii, doubts = found.setdefault(CHANCE, ([], [], []))
    for each in of_arrays.values():
        mids.append(each.leans)
        radii.append(each.squares)
        doubts.append(np.isnan(each.squares))


def summary(mids, radii, doubts):
    """How many are unknown, special and exact, the mean of log2 of the others, and the doubts."""
    mid, rad, doubts = (np.concatenate(x) if x else np.zeros(0) for x in (mids, radii, doubts))
    counts = np.isinf(rad).sum(), (~np.isfinite(mid)).sum(), (rad == 0).sum()
    return (*counts, mean_log2(rad), doubts.sum())


@pytest.mark.parametrize("model", MODELS)
def test_what_is_expected_is_as_wide_as_it_was(model):
    known = {key: row for key, row in read(PATH, 4).items() if key[0] == model}
    rows = {row[:4]: [str(x) for x in row[4:]] for row in rows_of(model)}
    assert set(rows) == set(known), "record it: see above"
    for key, row in rows.items():
        assert_same(key, COLUMNS[4:], row, known[key], lambda column, _: SAME * (column == "width"))


if __name__ == "__main__":
    write(PATH, COLUMNS, (row for model in MODELS for row in rows_of(model)))
