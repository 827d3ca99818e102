"""An assertion in place of a tolerance."""

import re
import warnings

import numpy as np
import pytest

import rnndiff
from rnndiff import assert_within_bounds

RANDOM = np.random.RandomState(0)
X, W, B = (RANDOM.standard_normal(shape).astype("f4") for shape in ((3, 4), (4, 2), (2,)))


def dense(x, w, b):
    return np.tanh(np.matmul(x, w) + b)


def rnn(weights, x, steps):
    h, states = np.zeros((len(x), weights["b"].shape[0])), []
    for _ in range(steps):
        h = np.tanh(x @ weights["w"] + h @ weights["r"] + weights["b"])
        states.append(h)
    return {"states": np.stack(states, axis=1), "last": h, "best": np.argmax(h, axis=-1)}


WEIGHTS = {"w": W, "r": np.float32([[0.5, -1], [2, 0.25]]), "b": B}


def in_float32(steps=3):
    trace = rnn(WEIGHTS, X, steps)
    return {n: x.astype("f4") if x.dtype.kind == "f" else x for n, x in trace.items()}


def said(actual, oracle, *inputs, **given):
    with pytest.raises(AssertionError) as raised:
        assert_within_bounds(actual, oracle, *inputs, **given)
    return str(raised.value)


@pytest.fixture(autouse=True)
def nothing_is_undecided():
    with warnings.catch_warnings():
        warnings.simplefilter("error", rnndiff.UndecidedWarning)
        yield


def test_what_is_right_passes_in_any_form():
    for dtype in ("f4", "f8", "f2"):
        given = [array.astype(dtype) for array in (X, W, B)]
        assert_within_bounds(dense(*given), dense, *given)
    # In another order.
    assert_within_bounds(np.tanh(B + X[:, ::-1] @ W[::-1]), dense, X, W, B)
    assert_within_bounds(in_float32(), rnn, WEIGHTS, X, 3)
    assert_within_bounds((X, X + X), lambda arrays: (arrays[0], arrays[0] + arrays[1]), [X, X])
    assert_within_bounds(np.float32(X.sum()), np.sum, X)


def test_products_and_a_bias_are_one_sum_in_any_order():
    def oracle(x, w, h, r, b):
        return x @ w + h @ r + b

    # The second row is so large that the first one is decided.
    x, w = np.float32([[1, 1], [0, 64]]), np.float32([[2.0**27], [-(2.0**27)]])
    h, r, b = np.ones((2, 64), "f4"), np.full((64, 1), 7, "f4"), np.zeros(1, "f4")
    by_turns = np.add.accumulate(np.float32([2.0**27, *64 * [7], -(2.0**27)]), dtype="f4")[-1]
    assert by_turns == 0
    assert_within_bounds(np.float32([[by_turns], [448 - 2.0**33]]), oracle, x, w, h, r, b)
    text = said(np.float32([[-1000], [448 - 2.0**33]]), oracle, x, w, h, r, b)
    assert "first at actual[0, 0]" in text


def test_the_first_element_that_is_out_is_named_with_its_bound():
    actual = dense(X, W, B)
    actual[1, 0] += np.float32(1e-5)
    text = said(actual, dense, X, W, B)
    assert "actual is outside its bound in 1 of 6 elements, first at actual[1, 0]" in text
    assert "\n    actual {:.9g}, expected ".format(actual[1, 0]) in text
    assert re.search(r" \+- \S+ \(.* ULP\)\n    difference 9.9\d*e-06 \(.* ULP\)$", text)


def test_an_element_is_judged_from_those_before_it():
    actual = in_float32()
    actual["states"][2, 1, 1] += np.float32(1e-4)
    text = said(actual, rnn, WEIGHTS, X, 3)
    assert "first at actual['states'][2, 1, 1], computed from what actual has before it" in text
    # It is the first, not the states that follow from it.
    actual = in_float32()
    actual["last"] = actual["last"] * np.float32(0.5)
    assert "first at actual['last'][0, 0], computed from what" in said(actual, rnn, WEIGHTS, X, 3)
    actual = in_float32()
    actual["best"] = 1 - actual["best"]
    assert "first at actual['best'][0]" in said(actual, rnn, WEIGHTS, X, 3)
    text = said((X, X - X), lambda x: (x, x + x), X)
    assert "first at actual[1][0, 0]" in text


def test_what_is_not_of_the_oracles_form_is_said():
    actual = in_float32()
    del actual["last"]
    text = said(dict(actual, lost=X, states=actual["states"][:2]), rnn, WEIGHTS, X, 3)
    assert "there is no actual['last']" in text
    assert "the oracle has nothing for actual['lost']" in text
    assert "actual['states'] has the shape [2, 3, 2], not [3, 3, 2]" in text
    text = said(dense(X, W, B), dense, X, W, B, arithmetic=rnndiff.arithmetic("float64"))
    assert "actual is float32, not float64" in text


def test_float32_passed_off_as_float64_is_out_and_fewer_bits_are_stated():
    wide = [array.astype("f8") for array in (X, W, B)]
    assert "outside its bound" in said(dense(X, W, B).astype("f8"), dense, *wide)
    cut = [(array.view("u4") & np.uint32(0xFFFFE000)).view("f4") for array in (X, W)]
    actual = dense(*cut, B)
    assert "outside its bound" in said(actual, dense, X, W, B)
    stated = rnndiff.arithmetic("float32", operand_bits=11)
    assert_within_bounds(actual, dense, X, W, B, arithmetic=stated)


WIDE = np.sum(X, dtype="f8")


@pytest.mark.parametrize(
    "actual, oracle",
    [
        (WIDE, np.sum),
        (WIDE[...], np.sum),
        ([WIDE], lambda x: [np.sum(x)]),
        ({"sum": WIDE}, lambda x: {"sum": np.sum(x)}),
        ([[WIDE, WIDE]], lambda x: [np.stack([np.sum(x), np.sum(x)])]),
    ],
    ids=["scalar", "array", "list", "dict", "list of lists"],
)
def test_a_number_of_numpys_has_its_precision_as_an_array_has(actual, oracle):
    assert_within_bounds(actual, oracle, X)
    with pytest.raises(AssertionError, match="outside its bound"):
        assert_within_bounds(np.float64(np.float32(WIDE)), np.sum, X)


def test_a_number_of_pythons_has_the_precision_of_the_inputs_if_these_have_one():
    assert "actual is float64, not float32" in said(float(WIDE), np.sum, X)
    assert_within_bounds(float(WIDE), np.sum, X.astype("f8"))
    assert_within_bounds(1.5, lambda x: np.sum(x) / 4, np.arange(4))


def test_of_what_is_undecided_there_is_a_warning():
    def cancels(x):
        return (x + 1e8) - 1e8

    actual = np.float32(cancels(X.astype("f4")))
    with pytest.warns(
        rnndiff.UndecidedWarning, match=r"nothing of 12 of 12 elements.* actual\[0, 0"
    ):
        assert_within_bounds(actual, cancels, X)


@pytest.mark.parametrize(
    "oracle, text",
    [
        (lambda x: x if x.sum() > 0 else -x, "asks for the values of an array"),
        (
            lambda x: np.linalg.inv(x),
            "the oracle cannot be followed .LinAlgError|no bound is known",
        ),
        (lambda x: x * np.argmax(x), "the oracle cannot be followed .TypeError"),
    ],
    ids=["a condition", "what has no bound", "an argument left out"],
)
def test_an_oracle_that_cannot_be_bounded_is_one_sentence(oracle, text):
    with pytest.raises(rnndiff.OracleError, match=text):
        assert_within_bounds(np.eye(2, dtype="f4"), oracle, np.eye(2, dtype="f4"))


@pytest.mark.parametrize("nothing", [{}, (), []])
def test_where_there_is_no_array_there_is_nothing_to_compare(nothing):
    with pytest.raises(AssertionError, match="there is nothing to compare"):
        assert_within_bounds(nothing, lambda x: nothing, X)
