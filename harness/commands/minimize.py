"""``rnndiff minimize``: the smallest case that fails as a saved one does."""

import os
from typing import Iterator, Mapping, Optional, Tuple

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from rnndiff.harness.cases.case import Case, SavedCase, load, save
from rnndiff.harness.checking.check import EVALUATIONS, TRIES_IN_A_HANG
from rnndiff.harness.checking.pair import Pair
from rnndiff.harness.checking.saving import notes_on
from rnndiff.harness.checking.verdicts import (
    difference_between_calls,
    fails,
    verdict_on,
    verdict_on_ending,
    verdict_on_saved,
    way_of_failing,
)
from rnndiff.harness.commands.options import (
    against_option,
    mode_option,
    model_option,
    premise_option,
    subject_option,
)
from rnndiff.harness.errors import UserError
from rnndiff.harness.files import check_writable
from rnndiff.harness.judging.verdict import DISAGREE, Verdict
from rnndiff.harness.report.describe import describe
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.subjects.alone import Alones, ended_by
from rnndiff.harness.subjects.endings import ended_again_by
from rnndiff.harness.subjects.named import Subjects, subject_named
from rnndiff.harness.subjects.run import HANG, NOT_REPEATABLE
from rnndiff.harness.subjects.statements import statement_of, supported
from rnndiff.harness.subjects.subject import TENSORFLOW, TIMEOUT, Subject
from rnndiff.harness.text import printable


@click.command()
@click.argument("path", metavar="FILE", type=click.Path())
@click.option("--output", metavar="FILE", help="Where to save it.  [default: FILE-minimal.npz]")
@click.option(
    "--evaluations",
    type=click.IntRange(min=1),
    default=EVALUATIONS,
    show_default=True,
    help="How many cases may be tried.",
)
@subject_option
@mode_option
@against_option
@premise_option
@model_option
def minimize(
    path: str,
    output: Optional[str],
    evaluations: int,
    subject_name: str,
    mode: str,
    against: str,
    premise: str,
) -> None:
    """Shrink a case that disagrees to one of few sizes, zeros and ones that fails the same way.

    FILE is a case's .npz file, such as one with trained weights. Without --mode, it is run in the
    mode that it was saved in, if the subject has that. What may end the process is tried in another
    one. With --against, a case in which two subjects differ in meaning though the oracle blames
    neither is shrunk, or else one on which the first is wrong, or which ends the process of either;
    one on which the other is wrong, by naming that alone. Ctrl-C keeps the smallest case so far.
    Exit status: 1 as the smallest case fails, 2 if FILE cannot be read or does not fail.
    """
    output = output or os.path.splitext(path)[0] + "-minimal.npz"
    subjects = Subjects(subject_name, mode, premise)
    if subject_name != TENSORFLOW:
        # Its module may register the model of the case.
        subjects.in_mode()
    other = subject_named(against) if against else None
    saved = load(path)
    check_writable(output)
    subject = subjects.of(saved.notes)
    subject = Pair(subject, other) if other else subject
    missing = subjects.without_mode_of(saved.notes)
    if missing:
        click.echo("rnndiff: {}".format(printable(missing)), err=True)
    if not supported(subject, saved.case):
        title = statement_of(subject, "title")
        raise UserError("{} does not support the case of {}.".format(title, path))
    with Alones(TIMEOUT) as alones:
        case = saved.case
        subject, signal = next(_endings(subject, saved, alones), (subject, None))
    found = (
        (verdict_on_ending(case, signal), {})
        if signal
        else verdict_on_saved(subject, saved, TIMEOUT)
    )
    verdict = found[0]
    if verdict.status != DISAGREE:
        raise UserError(
            "There is nothing to shrink in {}: it does not fail here ({}).".format(
                path, verdict.summary()
            )
        )
    way = way_of_failing(case, verdict)
    hangs = signal == HANG or verdict.error.startswith(HANG)
    differs = verdict.error.startswith(NOT_REPEATABLE)
    timeout = TIMEOUT / TRIES_IN_A_HANG if hangs else TIMEOUT

    with Alones(timeout) as alones, Progress(
        console=Console(stderr=True), transient=True
    ) as progress:
        task = progress.add_task("shrinking", total=evaluations)

        def still_fails(candidate: Case) -> bool:
            progress.advance(task)
            if not supported(subject, candidate):
                return False
            if signal:
                return alones.ended_by(candidate, subject.name, subject.mode) == signal
            if any(_endings(subject, SavedCase(candidate, {}, {}), alones)):
                return False
            if differs:
                return bool(difference_between_calls(subject, candidate, timeout))
            return fails(subject, way, candidate, timeout)

        shrinker = Shrinker(case, still_fails, evaluations)
        try:
            shrinker.run()
        except KeyboardInterrupt:
            progress.console.print("Ctrl-C: this is the smallest case so far.")

    smallest = shrinker.case
    if smallest is not case:
        again = _again(subject, smallest, signal, differs)
        if again and again[0].status == DISAGREE and way_of_failing(smallest, again[0]) == way:
            found = again
        else:
            smallest = case
            click.echo("Run once more, the smallest case did not fail so: FILE's own is kept.")
    verdict, trace = found
    save(output, smallest, trace, notes_on(subject, verdict, signal or ""))
    click.echo(describe(smallest, verdict))
    click.echo("\n{} cases were tried; saved as {}".format(shrinker.used, output))
    raise SystemExit(1)


def _endings(subject: Subject, saved: SavedCase, alones: Alones) -> Iterator[Tuple[Subject, str]]:
    """Which of one subject, or of two, end the process on a case, and by what signal."""
    for part in subject.parts if isinstance(subject, Pair) else [subject]:
        signal = ended_again_by(part, saved, alones)
        if signal:
            yield part, signal


def _again(
    subject: Subject, case: Case, signal: Optional[str], differs: bool
) -> Optional[Tuple[Verdict, Mapping[str, np.ndarray]]]:
    """The verdict on a case that has all its time, and the trace; None if it does not end so."""
    if differs:
        outcome = difference_between_calls(subject, case, TIMEOUT)
        return (Verdict([], error=outcome.error), {}) if outcome else None
    if not signal:
        return verdict_on(subject, case, TIMEOUT)
    again = ended_by(case, TIMEOUT, subject.name, subject.mode)
    return (verdict_on_ending(case, signal), {}) if again == signal else None
