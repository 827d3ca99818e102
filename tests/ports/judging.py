"""How a port is judged here: as README's recipe judges it, on the cases of the fuzzer."""

import itertools

from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.checking.verdicts import verdicts_on
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.report.describe import describe


def batches(models, count, subject=None, seed=0, precision="float32"):
    """Batches of random cases of these models in turn, `count` cases or some more.

    What the subject does not support is left out, and is not counted.
    """
    drawn = 0
    for number in itertools.count():
        if drawn >= count:
            return
        cases = random_batch(models[number % len(models)], seed, number, precision)
        if subject is None or subject.supports(cases[0].model, cases[0].config):
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


def blamed(subject, models, count, seed=0, precision="float32"):
    """Reports of the cases, of `count` random ones, in which the subject is blamed."""
    drawn = batches(models, count, subject, seed, precision)
    found = (blamed_on(subject, cases) for cases in drawn)
    return [report for reports in found for report in reports.values()]


def cases_until_blamed(subject, models, limit, seed=0, precision="float32"):
    """How many random cases are judged until one is blamed; None if `limit` do not suffice."""
    judged = 0
    for cases in batches(models, limit, subject, seed, precision):
        places = blamed_on(subject, cases)
        if places:
            return judged + min(places) + 1
        judged += len(cases)
    return None
