"""Everything that is registered is tested by being there."""

import numpy as np
import pytest

from rnndiff.harness.numerics import Accuracy, Example, Unstated, arithmetic, bound, exact
from rnndiff.harness.numerics.balls import BoundedArray, resolve_overflow
from rnndiff.harness.numerics.containment import check_containment, check_stacks
from rnndiff.harness.numerics.register import ACCURACIES, MOVES, REGISTER, Bound
from rnndiff.models.functions import named

every_function = pytest.mark.parametrize(
    "function", list(REGISTER), ids=lambda function: function.__name__
)


@every_function
def test_a_bound_contains_every_evaluation(function):
    check_containment(function)


@every_function
def test_a_function_of_a_stack_is_what_it_is_of_each_of_its_arrays(function):
    check_stacks(function)


# --- a function of another package's ----------------------------------------------------------


@named
def hard_sigmoid(x):
    return np.clip(0.2 * x + 0.5, 0.0, 1.0)


@named
def softplus(x):
    return np.log(1.0 + np.exp(x))


@pytest.fixture
def registered():
    """Register functions for one test: what `bound` takes, and the function on balls."""
    before = dict(REGISTER), dict(ACCURACIES), set(MOVES)

    def register(function, compute, **what):
        bound(function, **what)(compute)
        return function

    yield register
    for register, content in zip((REGISTER, ACCURACIES, MOVES), before):
        register.clear()
        register.update(content)


def softplus_of_balls(a, narrower=1.0):
    """Its derivative is at most 1."""
    accuracy = a.arithmetic.accuracy("softplus")
    ends = [np.logaddexp(0.0, end) for end in a.ends()]
    mid = np.logaddexp(0.0, a.mid)
    error = 2 * a.arithmetic.unit * accuracy.ulp * ends[1] + accuracy.absolute
    rad = (error + a.rad_as_operand()) * (1 + 2.0**-40) + 2.0**-48 * mid + a.arithmetic.smallest
    reach = 2 * a.reach() + 3 if a.reach() < np.inf else np.inf
    return resolve_overflow(
        mid, rad * narrower, reach, lambda x: np.logaddexp(0.0, x * (1 - 2.0**-6)), a
    )


EXAMPLES = [Example(hard_sigmoid, ((2, 3),))]


def test_a_function_that_others_register_is_bounded_and_tested(registered):
    def of_balls(a):
        return np.clip(0.2 * a + 0.5, 0.0, 1.0)

    registered(hard_sigmoid, of_balls, examples=EXAMPLES)
    check_containment(hard_sigmoid)
    check_stacks(hard_sigmoid)
    ball = hard_sigmoid(exact([1.0], arithmetic("float32")))
    assert abs(ball.mid - 0.7) <= ball.rad <= 1e-6


def test_a_function_that_others_register_may_have_its_accuracy_stated(registered):
    examples = [Example(softplus, ((2, 2),))]
    registered(
        softplus,
        softplus_of_balls,
        examples=examples,
        accuracies={"softplus": Unstated(3.0, 2.0)},
    )
    check_containment(softplus, kinds=("tame", "tiny"))
    check_stacks(softplus)
    unstated = softplus(exact([1.0], arithmetic("float32")))
    stated = softplus(exact([1.0], arithmetic("float32", {"softplus": Accuracy(1, 0)})))
    assert stated.rad < unstated.rad / 3


def test_a_bound_that_is_too_narrow_fails(registered):
    registered(
        softplus,
        lambda a: softplus_of_balls(a, narrower=0.9),
        examples=[Example(softplus, ((2, 2),))],
        accuracies={"softplus": Unstated(3.0, 2.0)},
    )
    with pytest.raises(AssertionError, match="is not in"):
        check_containment(softplus, kinds=("tame", "tiny"))


def test_a_bound_that_forgets_a_rounding_fails(registered):
    def of_balls(a):
        return BoundedArray(hard_sigmoid(a.mid), 0.2 * a.rad, a.arithmetic)

    registered(hard_sigmoid, of_balls, examples=EXAMPLES)
    with pytest.raises(AssertionError, match="is not in"):
        check_containment(hard_sigmoid, kinds=("tame",))


def test_a_bound_that_forgets_the_stack_fails(registered):
    def of_balls(a):
        result = np.clip(0.2 * a + 0.5, 0.0, 1.0)
        return BoundedArray(result.mid, result.rad, a.arithmetic)

    registered(hard_sigmoid, of_balls, examples=EXAMPLES)
    with pytest.raises(AssertionError):
        check_stacks(hard_sigmoid)


def test_what_says_of_a_rounding_that_it_is_a_move_fails(registered):
    registered(hard_sigmoid, lambda a: 0.2 * a, examples=EXAMPLES, moves=True)
    with pytest.raises(AssertionError):
        check_containment(hard_sigmoid)


def test_a_function_without_examples_fails(registered):
    registered(hard_sigmoid, lambda a: a, examples=[])
    for check in (check_containment, check_stacks):
        with pytest.raises(AssertionError, match="register hard_sigmoid with examples"):
            check(hard_sigmoid)


def test_a_function_that_is_not_registered_fails_and_is_refused():
    with pytest.raises(AssertionError, match="hard_sigmoid has no bound"):
        check_containment(hard_sigmoid)
    with pytest.raises(TypeError, match="hard_sigmoid"):
        hard_sigmoid(exact([1.0], arithmetic("float32")))


def test_nothing_is_registered_twice(registered):
    with pytest.raises(ValueError, match="tanh has a bound already"):
        bound(np.tanh, examples=[])(lambda a: a)
    with pytest.raises(ValueError, match="'exp'"):
        bound(hard_sigmoid, examples=[], accuracies={"exp": None})(lambda a: a)
    assert hard_sigmoid not in REGISTER


def test_what_is_registered_is_a_record():
    entry = REGISTER[np.tanh]
    assert isinstance(entry, Bound) and entry.name == "tanh" and not entry.moves
    assert MOVES == {function for function, entry in REGISTER.items() if entry.moves}
