"""Run a case on a subject, judge it, and keep it if it fails."""

import os
from typing import Any, Optional, Tuple

from harness.case import Case, save
from harness.divergences import excuse, excuse_error
from harness.errors import SubjectError
from harness.report import describe
from harness.subjects import Subject
from harness.tally import Tally
from harness.verdict import DISAGREE, Verdict, judge
from harness.versions import versions

FAILURES = os.path.join(".rnndiff", "failures")


def verdict_on(subject: Subject, case: Case) -> Tuple[Verdict, Any]:
    """The verdict on a case, known divergences excused, and the subject's trace."""
    try:
        trace = subject(case)
    except SubjectError as error:
        return excuse_error(case, str(error), subject.known), {}
    verdict = judge(case, trace, subject.arithmetic(case))
    return excuse(verdict, case, trace, subject.known), trace


class Checker:
    """Checks cases on one subject, counts them, and saves those that fail.

    Parameters
    ----------
    subject : Subject
    tally : Tally
        Where the cases are counted.
    folder : str
        Where failing cases are saved, one file for each way of failing. Hypothesis comes to the
        shrunk case last, so that is what stays there.
    """

    def __init__(self, subject: Subject, tally: Tally, folder: str = FAILURES) -> None:
        self.subject = subject
        self.tally = tally
        self.folder = folder

    def __call__(self, case: Case) -> Tuple[Verdict, Optional[str]]:
        """The verdict, and a report if the case fails."""
        verdict, trace = verdict_on(self.subject, case)
        self.tally.add(case, verdict)
        if verdict.status != DISAGREE:
            return verdict, None
        path = os.path.join(self.folder, way_of_failing(case, verdict) + ".npz")
        save(path, case, trace, dict(versions(), verdict=verdict.summary()))
        again = "saved as {0}; run it again: rnndiff replay {0}".format(path)
        return verdict, "{}\n\n{}".format(describe(case, verdict), again)


def way_of_failing(case: Case, verdict: Verdict) -> str:
    """One name for each way of failing: model, array and run, or the error's type."""
    wrong = verdict.first_wrong()
    way = "{}-{}".format(wrong.name, wrong.run) if wrong else verdict.error.partition(":")[0]
    return "{}-{}".format(case.model.name, way)
