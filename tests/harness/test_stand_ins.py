"""What stands in for an oracle's functions and for the operations of its cells."""

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.cases.changed_cells import with_cells
from rnndiff.harness.judging.stand_ins import (
    arithmetic_of,
    by_kernels,
    expected_of,
    replaced,
    stand_in,
    with_number,
)
from rnndiff.harness.judging.verdict import FREE_RUNNING, TEACHER_FORCED, judge
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, exact

ANY = arithmetic("float32")


def balls(mid, rad=0.25):
    mid = np.array(mid, float)
    return BoundedArray(mid, np.full(mid.shape, rad), ANY)


# --- functions ---------------------------------------------------------------------------------


def test_just_a_number_stands_in_some_places_and_the_others_are_as_they_were():
    found = replaced(balls([1.0, 2.0, 3.0]), np.array([True, False, False]), -1.0)
    assert found.mid.tolist() == [-1.0, 2.0, 3.0]
    assert found.rad_as_operand().tolist() == [0.0, 0.25, 0.25]


def test_a_number_is_made_of_nan_where_it_is_meant_and_of_nothing_else():
    def first_row(numbers):
        return np.arange(len(numbers))[:, None] == 0

    read = balls([[np.nan, 1.0], [np.nan, 1.0]])
    everywhere = with_number(7.0, np.negative)(read)
    assert everywhere.mid.tolist() == [[7.0, -1.0], [7.0, -1.0]]
    found = with_number(7.0, np.negative, first_row)(read)
    assert found.mid[0].tolist() == [7.0, -1.0] and found.mid[1, 1] == -1.0
    assert np.isnan(found.mid[1, 0])
    found = with_number(7.0, np.negative, of=lambda numbers: numbers == 1)(read)
    assert found.mid[:, 1].tolist() == [7.0, 7.0] and np.isnan(found.mid[:, 0]).all()


class Told:
    """An array that tells of what is done with it."""

    def __array_function__(self, function, types, args, kwargs):
        return function, types, args, kwargs


def scaled(x, factor):
    return x * factor


def test_of_balls_something_else_stands_in_and_of_numbers_the_function_itself():
    changed = stand_in(scaled, lambda x, factor: "of balls")
    assert changed(balls([1.0]), 2.0) == "of balls"
    assert changed(2.0, balls([1.0])) == "of balls"
    assert changed(np.array([3.0]), 2.0).tolist() == [6.0]
    assert changed(3.0, 2.0) == 6.0


def test_of_an_array_that_tells_of_it_a_stand_in_is_one_operation():
    changed, told = stand_in(scaled, lambda x, factor: "of balls"), Told()
    for args in ((told, 2.0), (2.0, told), (np.array([3.0]), told)):
        assert changed(*args) == (changed, (Told,), args, {})


@pytest.mark.parametrize("run", [TEACHER_FORCED, FREE_RUNNING])
def test_what_is_expected_is_that_of_the_array_and_run_by_any_engines_functions(run):
    case = random_case("rnn-basic")
    trace = Float32Port()(case)
    arrays = judge(case, trace, FLOAT32).arrays
    array = next(x for x in arrays if (x.run, x.name) == (run, "states_h"))
    found = expected_of(case, trace, array)
    assert (found.run, found.name) == (run, "states_h")
    assert arithmetic_of(array) == ANY
    stated = expected_of(case, trace, array, FLOAT32)
    assert (stated.bound < found.bound).all()
    assert (stated.expected == array.expected).all()


# --- operations of cells -----------------------------------------------------------------------


def halved(x):
    return np.tanh(x) * 0.5


@pytest.mark.parametrize("name", ["rnn-basic", "rnn-basic-lstm", "rnn-gru"])
def test_a_cell_computes_by_the_kernels_that_it_has_and_else_as_it_did(name):
    case = random_case(name)
    trace = Float32Port()(case)

    def expected(kernels):
        return judge(with_cells(case, (by_kernels(kernels),)), trace, ANY).arrays[0].expected

    before = judge(case, trace, ANY).arrays[0].expected
    assert np.array_equal(expected({}), before)
    assert np.array_equal(expected({np.sqrt: halved}), before)
    assert not np.allclose(expected({np.tanh: halved}), before)


class Cell:
    """A cell of one operation."""

    def __init__(self, operation):
        self.operation = operation

    def load(self, parameters):
        self.parameters = parameters
        return self

    def __call__(self, inputs, state):
        return self.operation(inputs, *self.parameters), state


def computed(operation, inputs, *changes, parameters=()):
    cell = Cell(operation)
    for change in changes:
        change(cell, None)
    return cell.load(list(parameters))(inputs, inputs)


def doubled(x):
    return x + x


def test_of_two_changes_the_kernels_are_joined_and_the_second_ones_are_taken():
    first = by_kernels({np.tanh: doubled, np.exp: doubled})
    x = balls([1.0, 2.0])
    for second, expected in (({np.tanh: np.negative}, [-1.0, -2.0]), ({}, [2.0, 4.0])):
        output, state = computed(np.tanh, x, first, by_kernels(second))
        assert isinstance(output, BoundedArray) and output.mid.tolist() == expected
        assert state is x
    output, _ = computed(np.exp, x, first, by_kernels({np.tanh: np.negative}))
    assert output.mid.tolist() == [2.0, 4.0]


def test_what_is_known_when_a_graph_is_made_is_computed_as_ever():
    output, _ = computed(np.tanh, np.array([1.0]), by_kernels({np.tanh: doubled}))
    assert output.tolist() == np.tanh([1.0]).tolist()


def test_a_parameter_is_computed_by_the_kernels_too():
    def operation(inputs, parameter):
        return inputs + np.tanh(parameter)

    change = by_kernels({np.tanh: doubled})
    output, _ = computed(operation, balls([1.0]), change, parameters=[exact(np.ones(1), ANY)])
    assert output.mid.tolist() == [3.0]


def test_the_parts_of_an_array_are_computed_by_the_kernels_too_and_so_are_reductions():
    def operation(inputs):
        first, second = np.split(inputs, 2)
        return np.tanh(first) + second

    x, change = balls([1.0, 2.0]), by_kernels({np.tanh: np.negative})
    assert computed(operation, x, change)[0].mid.tolist() == [1.0]
    change = by_kernels({np.add.reduce: doubled, np.add: lambda x: "not this one"})
    assert computed(np.add.reduce, x, change)[0].mid.tolist() == [2.0, 4.0]
