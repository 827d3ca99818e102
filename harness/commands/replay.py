"""``rnndiff replay``: run saved cases again, on the TensorFlow at hand."""

import os
from typing import Iterator, Tuple

import click

from rnndiff.harness.cases.case import load
from rnndiff.harness.checking.check import (
    ended_again_by,
    supported,
    verdict_on,
    verdict_on_ending,
)
from rnndiff.harness.commands.options import (
    mode_option,
    model_option,
    premise_option,
    subject_option,
)
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.report.describe import describe
from rnndiff.harness.subjects.named import Subjects, of_tensorflow
from rnndiff.harness.subjects.subject import TENSORFLOW
from rnndiff.harness.text import printable


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@subject_option
@mode_option
@premise_option
@model_option
def replay(paths: Tuple[str, ...], subject_name: str, mode: str, premise: str) -> None:
    """Run saved cases again, on the TensorFlow at hand or another subject.

    FILE is a case's .npz file, or a folder of them. Without --mode, each is run in the mode that it
    was saved in, if the subject has that. Exit status: 0 if none disagrees, 1 if one
    does, 2 if one cannot be read; the others are run all the same.
    """
    subjects = Subjects(subject_name, mode, premise)
    if subject_name != TENSORFLOW:
        # Its module may register the models of the cases.
        subjects.in_mode()
    worst = 0
    for path in _files(paths):
        try:
            one = load(path)
        except UserError as error:
            click.echo("rnndiff: {}".format(printable(error)), err=True)
            worst = 2
            continue
        case, notes = one.case, one.notes
        subject = subjects.of(notes)
        if not supported(subject, case):
            click.echo("{}: not supported by {}".format(printable(path), subject.title))
            continue
        signal = ended_again_by(subject, one)
        if signal:
            verdict = verdict_on_ending(case, signal, subject.known)
        else:
            verdict, _ = verdict_on(subject, case)
        click.echo("{}: {} on {}".format(printable(path), verdict.status, subject.title))
        click.echo(
            "    saved with {} {}, {}: {}".format(
                "TensorFlow"
                if of_tensorflow(notes)
                else "{}, beside TensorFlow".format(notes["subject"]),
                notes.get("tensorflow", "of an unknown version"),
                notes.get("mode", "in an unknown mode"),
                notes.get("verdict", "no verdict"),
            )
        )
        missing = subjects.without_mode_of(notes)
        if missing:
            click.echo("    {}".format(printable(missing)))
        click.echo("    now {}".format(describe(case, verdict).replace("\n", "\n    ")))
        worst = max(worst, int(verdict.status == DISAGREE))
    raise SystemExit(worst)


def _files(paths: Tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        if not os.path.exists(path):
            raise UserError(
                "There is no file or folder {}: failing cases, if there are any, are in "
                ".rnndiff/failures.".format(path)
            )
        if not os.path.isdir(path):
            yield path
            continue
        names = sorted(name for name in os.listdir(path) if name.endswith(".npz"))
        if not names:
            raise UserError("There is no case (.npz) in the folder {}.".format(path))
        for name in names:
            yield os.path.join(path, name)
