"""The functions of the models: numbers worked out by hand, whatever the axes in front."""

from math import log

import numpy as np
import pytest

from rnndiff.models import functions
from rnndiff.models.functions import ACTIVATIONS, KERAS_ACTIVATIONS

NAN, INF = float("nan"), float("inf")
# A few roundings in float64.
CLOSE = dict(rtol=2.0**-48, atol=0)


def in_front(*rows):
    """Rows along the last of three axes, none as long as another one."""
    return np.array([[rows], [rows]], float).reshape(2, len(rows), -1)


def test_an_affine_map_and_a_sum_of_products_by_hand():
    x, kernel = in_front([1, 2], [0, 1], [1, 0]), np.array([[3.0, 4.0], [5.0, 6.0]])
    expected = in_front([13, 16], [5, 6], [3, 4])
    assert np.array_equal(functions.affine(x, kernel, np.array([7.0, 8.0])), expected + [7, 8])
    assert np.array_equal(functions.accumulate(x, kernel), expected)
    terms = in_front([1, 2], [3, 4], [5, 6]), np.array([7.0, 8.0])
    assert np.array_equal(functions.accumulate(x, kernel, *terms), expected + terms[0] + [7, 8])


def test_zero_times_nan_is_nan_in_an_affine_map_of_one_by_one():
    nan = np.full((1, 1), NAN)
    assert np.isnan(functions.affine(nan, np.zeros((1, 1)), np.zeros(1))).all()


def test_activations_by_hand():
    x = np.array([-INF, -10.0, -log(3), -1.0, 0.0, 1.0, log(3), 10.0, INF])
    found = {name: function(x) for name, function in KERAS_ACTIVATIONS.items()}
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(
            found["sigmoid"][[0, 2, 4, 6, 8]], [0, 0.25, 0.5, 0.75, 1], **CLOSE
        )
    assert found["relu"].tolist() == [0, 0, 0, 0, 0, 1, log(3), 10, INF]
    assert found["linear"].tolist() == x.tolist()
    np.testing.assert_allclose(found["tanh"][[0, 2, 4, 6, 8]], [-1, -0.8, 0, 0.8, 1], **CLOSE)
    hard = [0, 0, 0.5 - 0.2 * log(3), 0.3, 0.5, 0.7, 0.5 + 0.2 * log(3), 1, 1]
    np.testing.assert_allclose(found["hard_sigmoid"], hard, **CLOSE)
    assert all(np.isnan(function(NAN)) for function in KERAS_ACTIVATIONS.values())
    assert set(KERAS_ACTIVATIONS) - set(ACTIVATIONS) == {"hard_sigmoid"}


def test_an_activation_has_the_name_that_it_is_known_by():
    assert functions.activation_named("relu") is functions.relu
    assert functions.activation_named("hard_sigmoid", KERAS_ACTIVATIONS) is functions.hard_sigmoid
    with pytest.raises(ValueError, match="^there is no activation 'hard_sigmoid': take one of tan"):
        functions.activation_named("hard_sigmoid")


def test_an_interpolation_by_hand():
    assert functions.interpolate(np.array([0.25, 0.0, 1.0]), 8.0, 4.0).tolist() == [5, 4, 8]


def test_a_layer_is_normed_by_hand():
    x = in_front([1, 3], [12, 10], [5, 7])
    normed = functions.layer_norm(x, np.array([2.0, 4.0]), np.array([5.0, 7.0]), 3.0)
    # Deviations of 1, a variance of 1, and 3 beside it.
    assert np.array_equal(normed, in_front([4, 9], [6, 5], [4, 9]))


def test_a_mask_is_one_where_the_noise_reaches_what_is_dropped():
    assert functions.dropout_mask(0.5, np.array([0.0, 0.25, 0.5, 0.75])).tolist() == [0, 0, 1, 1]


def test_a_softmax_by_hand_overflows_nowhere():
    shares = functions.softmax(in_front([0, log(3)], [1000, 1000], [-1000, -1000 + log(3)]))
    np.testing.assert_allclose(shares, in_front([0.25, 0.75], [0.5, 0.5], [0.25, 0.75]), rtol=1e-12)


def test_a_class_is_one_where_its_index_is():
    found = functions.one_hot(np.array([[0, 2], [1, 1], [2, 0]]), 3, np.float32)
    rows = [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 0]], [[0, 0, 1], [1, 0, 0]]]
    assert found.tolist() == rows and found.dtype == np.float32


def test_accuracy_is_the_share_of_right_predictions_in_the_type_of_the_labels():
    labels = in_front([0, 1], [1, 0], [0, 1]).astype(np.float16)
    found = functions.accuracy(np.array([[1, 0, 0], [1, 1, 1]]), labels)
    assert found == np.float16(4 / 6) and found.dtype == np.float16
    # The first of two classes that are equal; and one class is always right.
    assert functions.accuracy(np.array([0]), np.array([[1.0, 1.0]])) == 1
    assert functions.accuracy(np.array([0, 0]), np.ones((2, 1))) == 1


def test_the_loss_by_hand_is_of_probabilities_between_a_ten_billionth_and_one():
    labels = in_front([0, 1, 0], [1, 0, 0], [2, 1, 0])
    found = functions.log_loss(in_front([0.5, 0.25, 9], [0.125, 0.5, 9], [1.5, 0, 9]), labels)
    np.testing.assert_allclose(found, (2 * log(2) + 3 * log(2) + 10 * log(10)) / 3, **CLOSE)


class Other:
    """An array of another kind, which knows functions by their names."""

    def __array_function__(self, function, types, args, kwargs):
        return function, types, args, kwargs


class Kept(np.ndarray):
    """An array of NumPy's, of a class of its own."""

    def __array_function__(self, function, types, args, kwargs):
        raise AssertionError("it is NumPy's")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_named_function_is_computed_by_the_first_array_that_is_not_numpys(place):
    arguments, other = [np.ones((1, 1))] * 3, Other()
    arguments[place] = other
    found = functions.affine(*arguments, *[Other()][:0])
    assert found == (functions.affine, (Other,), tuple(arguments), {})
    arguments = (1.0, Other(), other)
    assert functions.interpolate(*arguments) == (functions.interpolate, (Other,), arguments, {})


@pytest.mark.parametrize(
    "name",
    ["affine", "accumulate", "sigmoid", "interpolate", "layer_norm", "dropout_mask", "softmax"],
)
def test_what_has_more_than_one_formula_is_named(name):
    other = Other()
    assert getattr(functions, name)(other)[0] is getattr(functions, name)


def test_a_named_function_of_numpys_arrays_is_what_it_says():
    ones = np.ones(1).view(Kept)
    assert functions.interpolate.__wrapped__ is not functions.interpolate
    assert functions.interpolate(np.zeros(1), 1.0, 2.0) == 2
    assert functions.interpolate.__name__ == "interpolate"
    assert functions.interpolate.__doc__ == "``weight * a + (1 - weight) * b``."
    with pytest.raises(AssertionError, match="it is NumPy's"):
        np.sum(ones)
    assert type(functions.sigmoid(ones)) is Kept


def test_a_loss_is_the_mean_over_all_rows_of_sums_over_classes():
    random = np.random.RandomState(0)
    probabilities, labels = random.uniform(0.1, 1, (2, 3, 4)), random.uniform(0, 1, (2, 3, 4))
    rows = [
        -sum(labels[i, j, k] * np.log(probabilities[i, j, k]) for k in range(4))
        for i in range(2)
        for j in range(3)
    ]
    np.testing.assert_allclose(functions.log_loss(probabilities, labels), sum(rows) / 6, rtol=1e-12)
