"""How a port is judged here: as README's recipe judges it, on the cases of the fuzzer."""

import itertools

from harness.cases.random_cases import random_batch
from harness.checking.check import verdicts_on
from harness.judging.verdict import DISAGREE
from harness.report.describe import describe


def batches(models, count, seed=0, computed=lambda config: True):
    """Batches of random cases of these models in turn, `count` cases or some more.

    Configs that are not `computed` are left out, and are not counted.
    """
    drawn = 0
    for number in itertools.count():
        if drawn >= count:
            return
        cases = random_batch(models[number % len(models)], seed, number)
        if computed(cases[0].config):
            drawn += len(cases)
            yield cases


def blamed_on(subject, cases):
    """Of cases of one config, those in which the subject is blamed: their places, with reports."""
    _, others = verdicts_on(subject, cases)
    places = {id(case): place for place, case in enumerate(cases)}
    return {
        places[id(case)]: describe(case, verdict)
        for case, *_, verdict in others
        if verdict.status == DISAGREE
    }


def blamed(subject, models, count, seed=0):
    """Reports of the cases, of `count` random ones, in which the subject is blamed."""
    found = (blamed_on(subject, cases) for cases in batches(models, count, seed, computes(subject)))
    return [report for reports in found for report in reports.values()]


def cases_until_blamed(subject, models, limit, seed=0):
    """How many random cases are judged until one is blamed; None if `limit` do not suffice."""
    judged = 0
    for cases in batches(models, limit, seed, computes(subject)):
        places = blamed_on(subject, cases)
        if places:
            return judged + min(places) + 1
        judged += len(cases)
    return None


def computes(subject):
    """A function that says whether the subject computes a config: all, if it does not say."""
    return getattr(subject, "computes", lambda config: True)
