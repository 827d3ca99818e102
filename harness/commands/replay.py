"""``rnndiff replay``: run saved cases again, on the TensorFlow at hand."""

import os
from typing import Iterator, Tuple

import click

from harness.case import load
from harness.check import TENSORFLOW, ended_again_by, verdict_on, verdict_on_ending
from harness.errors import UserError
from harness.report import describe
from harness.subjects.tensorflow import TensorFlow
from harness.text import printable
from harness.verdict import DISAGREE


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path())
def replay(paths: Tuple[str, ...]) -> None:
    """Run saved cases again, on the TensorFlow at hand.

    FILE is a case's .npz file, or a folder of them. Exit status: 0 if none disagrees, 1 if one
    does, 2 if one cannot be read; the others are run all the same.
    """
    subject, worst = None, 0
    for path in _files(paths):
        try:
            one = load(path)
        except UserError as error:
            click.echo("rnndiff: {}".format(printable(error)), err=True)
            worst = 2
            continue
        subject = subject or TensorFlow()
        case, notes = one.case, one.notes
        signal = ended_again_by(subject, one)
        if signal:
            verdict = verdict_on_ending(case, signal, subject.known)
        else:
            verdict, _ = verdict_on(subject, case)
        click.echo(
            "{}: {} on TensorFlow {}.{}".format(printable(path), verdict.status, *subject.version)
        )
        click.echo(
            "    saved with {} {}: {}".format(
                "TensorFlow"
                if notes.get("subject", TENSORFLOW) == TENSORFLOW
                else "{}, beside TensorFlow".format(notes["subject"]),
                notes.get("tensorflow", "of an unknown version"),
                notes.get("verdict", "no verdict"),
            )
        )
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
