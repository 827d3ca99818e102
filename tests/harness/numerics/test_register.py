import pytest
from harness.numerics.containment import check_containment
from harness.numerics.register import REGISTER

@pytest.mark.parametrize("function", list(REGISTER), ids=lambda function: function.__name__)
def test_a_bound_contains_every_evaluation(function):
    check_containment(function)
