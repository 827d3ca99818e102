"""``rnndiff repro``: a saved case as a script that needs no rnndiff."""

from typing import Any

import click

from rnndiff.harness.cases.case import SavedCase, load
from rnndiff.harness.checking.verdicts import verdict_on, verdict_on_ending
from rnndiff.harness.commands.options import mode_option, model_option
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.judging.verdict import DISAGREE, judge
from rnndiff.harness.subjects.alone import Alones
from rnndiff.harness.subjects.endings import ended_again_by
from rnndiff.harness.subjects.named import Subjects, of_tensorflow
from rnndiff.harness.subjects.statements import supported
from rnndiff.harness.subjects.subject import TENSORFLOW
from rnndiff.harness.subjects.tensorflow.repro import Finding, issue, script
from rnndiff.harness.versions import versions, versions_in


@click.command()
@click.argument("path", metavar="FILE", type=click.Path())
@mode_option
@model_option
@click.option("--issue", "as_issue", is_flag=True, help="Print a Markdown issue with the script.")
def repro(path: str, mode: str, as_issue: bool) -> None:
    """Print a saved case as one script that needs NumPy and TensorFlow alone.

    FILE is a case's .npz file. The script builds the same graph with the same weights, prints what
    TensorFlow computes, what is expected and why, and exits with 1 while the two disagree. What is
    expected comes from a run on the TensorFlow at hand; should that agree, from what the case's
    file says that another version computed. Of what this TensorFlow does not have, as a cell of
    tf.contrib on 2.x, there is no script. Known divergences disagree here, too. Without --mode,
    it is run in the mode that it was saved in, if TensorFlow has that here.
    """
    finding = _finding(path, load(path), mode)
    click.echo((issue if as_issue else script)(finding), nl=False)


def _finding(path: str, saved: SavedCase, mode: str) -> Finding:
    subject: Any = Subjects(TENSORFLOW, mode).of(saved.notes)
    if not supported(subject, saved.case):
        raise UserError("{} does not support the case of {}.".format(subject.title, path))
    with Alones() as alones:
        signal = ended_again_by(subject, saved, alones)
    # Nothing is excused: whoever asks for a script wants to report what is known, too.
    if signal:
        verdict = verdict_on_ending(saved.case, signal)
    else:
        verdict, _ = verdict_on(subject, saved.case, known=())
    if verdict.status == DISAGREE:
        found = dict(versions(subject.mode), premise=subject.premise)
        return Finding(saved.case, verdict, found, subject.options)
    elsewhere = saved.notes.get("tensorflow") != versions()["tensorflow"]
    if saved.trace and of_tensorflow(saved.notes) and elsewhere:
        try:
            verdict = judge(saved.case, saved.trace, subject.arithmetic(saved.case))
        except SubjectError as error:
            raise UserError("{} holds no trace of its case: {}.".format(path, error)) from None
        if verdict.status == DISAGREE:
            return Finding(saved.case, verdict, versions_in(saved.notes), subject.options)
    raise UserError(
        "There is nothing to report in {}: TensorFlow {}.{} agrees, and no other version of it is "
        "said to have disagreed (the case was saved with {}).".format(
            path, *subject.version, saved.notes.get("subject", "TensorFlow")
        )
    )
