"""``rnndiff replay``: run saved cases again, on the TensorFlow at hand."""

import os
from typing import Any, Iterator, Mapping, Tuple

import click

from harness.alone import ended_by
from harness.case import Case, load
from harness.check import verdict_on
from harness.divergences import excuse_ending
from harness.errors import UserError
from harness.report import describe
from harness.subjects import TensorFlow
from harness.verdict import DISAGREE, Verdict


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path())
def replay(paths: Tuple[str, ...]) -> None:
    """Run saved cases again, on the TensorFlow at hand.

    FILE is a case's .npz file, or a folder of them. Exit status: 0 if none disagrees, 1 if one
    does, 2 if one cannot be read.
    """
    saved = [(path, load(path)) for path in _files(paths)]
    subject = TensorFlow()
    worst = 0
    for path, (case, _, notes) in saved:
        verdict = _verdict(subject, case, notes)
        click.echo("{}: {} on TensorFlow {}.{}".format(path, verdict.status, *subject.version))
        click.echo(
            "    saved with TensorFlow {}: {}".format(
                notes.get("tensorflow", "of an unknown version"), notes.get("verdict", "no verdict")
            )
        )
        click.echo("    now {}".format(describe(case, verdict).replace("\n", "\n    ")))
        worst = max(worst, int(verdict.status == DISAGREE))
    raise SystemExit(worst)


def _verdict(subject: TensorFlow, case: Case, notes: Mapping[str, Any]) -> Verdict:
    if notes.get("ended_by"):
        signal = ended_by(case)
        if signal:
            return excuse_ending(case, signal, subject.known)
    return verdict_on(subject, case)[0]


def _files(paths: Tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        names = sorted(name for name in os.listdir(path) if name.endswith(".npz"))
        if not names:
            raise UserError("There is no case (.npz) in the folder {}.".format(path))
        for name in names:
            yield os.path.join(path, name)
