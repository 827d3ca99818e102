"""The simplest case that there is of something, for a test or to look at."""

from itertools import chain, count, islice
from typing import Callable

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.errors import UserError
from rnndiff.harness.shrinking.shrink import Shrinker


def minimal(
    name: str,
    condition: Callable[[Case], bool] = lambda case: True,
    seed: int = 0,
    cases: int = 10000,
    evaluations: int = 500,
) -> Case:
    """The simplest case of a model for which a condition holds.

    As Hypothesis' helper of this name does: random cases are tried until one fulfils the
    condition, and that one is shrunk.

    Parameters
    ----------
    name : str
        Of a registered model.
    condition : function of a Case to bool
        The same for the same case.
    seed, cases : int
        Of the random cases, and how many are tried.
    evaluations : int
        How often the condition may be tried on simpler ones.

    Raises
    ------
    UserError
        If no case was found that fulfils the condition, or there is no such model.
    """
    drawn = chain.from_iterable(random_batch(name, seed, number) for number in count())
    for case in islice(drawn, cases):
        if condition(case):
            return Shrinker(case, condition, evaluations).run()
    raise UserError("None of {} cases of {} fulfils the condition.".format(cases, name))
