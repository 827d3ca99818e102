"""Whole oracles: what is expected of a subject holds any port to its precision."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnndiff.harness.cases.regimes import REGIMES
from rnndiff.harness.cases.strategies import small_batches
from rnndiff.harness.judging.forcing import expect
from rnndiff.harness.judging.plan import plan_of, side_by_side
from rnndiff.harness.numerics import Accuracy, arithmetic
from rnndiff.harness.numerics.containment import is_in
from rnndiff.models import ARTICLE, MODELS
from rnndiff.models.functions import affine

# How many ULP functions are off at most: half for rounding, one planted, and what NumPy's own are
# off, of which little is left where the precision is not its own.
ULP = {"bfloat16": 2, "float16": 2, "float32": 2, "float64": 6}


class Port(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of a port of the oracles to a precision, which adds in an order of its own."""

    def __init__(self, values, random, flushes, arithmetic):
        values = arithmetic.precision.rounded(values)
        small = np.abs(values) < arithmetic.smallest
        self.values = np.where(small & flushes, values.dtype.type(0), values)
        self.random, self.flushes, self.dtype = random, flushes, self.values.dtype
        self.arithmetic = arithmetic

    def new(self, values):
        return Port(values, self.random, self.flushes, self.arithmetic)

    @property
    def shape(self):
        return self.values.shape

    @property
    def ndim(self):
        return self.values.ndim

    def __getitem__(self, index):
        return self.new(self.values[index])

    def __array_ufunc__(self, ufunc, method, *inputs):
        values = [x.values if isinstance(x, Port) else self.new(x).values for x in inputs]
        if ufunc is np.matmul:
            products = values[0][..., None, :].astype(np.float64) * values[1].T
            return self.new(self.total(products))
        if ufunc in (np.tanh, np.exp, np.log):
            result = ufunc(values[0].astype(np.float64))
            # The exact value of a tanh that rounds to 1 is in the binade below.
            ulp = 2 * self.arithmetic.unit * self.arithmetic.binade(np.nextafter(np.abs(result), 0))
            return self.new(result + ulp * self.random.uniform(-1, 1))
        return self.new(ufunc(*values))

    def __array_function__(self, function, types, args, kwargs):
        first, rest = args[0], args[1:]
        if function is affine:
            return self.affine(*[getattr(x, "values", x) for x in args])
        if function in (np.concatenate, np.hstack, np.stack):
            return self.new(function([self.new(getattr(x, "values", x)).values for x in first],
                                     *rest, **kwargs))  # fmt: skip
        if function is np.argmax:
            return np.argmax(first.values, *rest, **kwargs)
        if function in (np.sum, np.mean):
            axis = kwargs.get("axis")
            values = first.values.ravel() if axis is None else np.moveaxis(first.values, axis, -1)
            total = self.total(values)
            if function is np.mean:
                return self.new(total / self.dtype.type(values.shape[-1]))
            return self.new(np.expand_dims(total, axis) if kwargs.get("keepdims") else total)
        return self.new(function(first.values, *rest, **kwargs))

    def affine(self, x, kernel, bias):
        """With the bias after the sum, or at any place of it."""
        products = x[..., None, :].astype(np.float64) * kernel.T
        if self.random.random() < 0.5:
            return self.new(self.total(products)) + bias
        column = np.broadcast_to(bias[..., None], products.shape[:-1] + (1,))
        return self.new(self.total(np.concatenate([products, column], axis=-1)))

    def total(self, terms):
        """The sum along the last axis. Float64 terms are rounded when they are added, or before."""
        if self.random.random() < 0.5:
            terms = self.arithmetic.precision.rounded(terms)
        result = np.zeros(terms.shape[:-1], self.dtype)
        order = list(range(terms.shape[-1]))
        self.random.shuffle(order)
        for k in order:
            result = self.new(result + terms[..., k]).values
        return result


@pytest.mark.parametrize("precision", sorted(ULP))
@pytest.mark.parametrize("name", ARTICLE)
@settings(deadline=None)
@given(st.data(), st.booleans(), st.randoms(use_true_random=False))
def test_an_oracle_contains_its_ports_to_a_precision(name, precision, data, flushes, random):
    model = MODELS[name]
    regime = data.draw(st.sampled_from(list(REGIMES)))
    case = data.draw(small_batches(model, regime, most=1))[0]
    a = arithmetic(precision, dict.fromkeys(["tanh", "exp", "log"], Accuracy(ULP[precision], 0)))

    def ported(array):
        return Port(array, random, flushes, a)

    trace = model.compute(
        case.config, list(map(ported, case.parameters)), ported(case.inputs), ported(case.labels)
    )
    trace = {part: np.asarray(getattr(array, "values", array)) for part, array in trace.items()}
    plan = plan_of(model, case.config, tuple(trace))
    recorded = side_by_side(plan, {part: array[None] for part, array in trace.items()})
    given = [array[None] for array in case.parameters], [case.inputs[None], case.labels[None]]
    oracle = partial(model.compute, case.config)
    for expected in expect(oracle, plan, *given, recorded, a):
        for part, _, elements in plan.stretches():
            values, mids, radii = (x[0, elements] for x in (recorded, *expected))
            for value, mid, rad in zip(values.tolist(), mids.tolist(), radii.tolist()):
                assert is_in(value, mid, rad), "{}: {} is not in {} +- {}".format(
                    part, value, mid, rad
                )
