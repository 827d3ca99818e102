"""``rnndiff replay``: run saved cases again, on the TensorFlow at hand."""

import contextlib
import os
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import click
import numpy as np

from rnndiff.harness.cases.case import Case, SavedCase, load
from rnndiff.harness.checking.bisect import UNSUPPORTED
from rnndiff.harness.checking.pair import Pair, difference, finding, side_of
from rnndiff.harness.checking.verdicts import verdict_on_ending, verdict_on_saved
from rnndiff.harness.commands.options import (
    against_option,
    json_option,
    mode_option,
    model_option,
    premise_option,
    subject_option,
)
from rnndiff.harness.errors import INTERRUPTED, UserError
from rnndiff.harness.files import check_writable, write_json
from rnndiff.harness.judging.verdict import DISAGREE, Verdict
from rnndiff.harness.records.compare import ONE_SIDED
from rnndiff.harness.report.describe import describe
from rnndiff.harness.subjects.alone import Alones
from rnndiff.harness.subjects.endings import ended_again_by
from rnndiff.harness.subjects.named import Subjects, of_tensorflow, subject_named
from rnndiff.harness.subjects.statements import statement_of, supported
from rnndiff.harness.subjects.subject import TENSORFLOW, Subject
from rnndiff.harness.text import printable
from rnndiff.harness.versions import versions

JSON_FORMAT = 1


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@subject_option
@mode_option
@against_option
@premise_option
@model_option
@json_option
def replay(
    paths: Tuple[str, ...],
    subject_name: str,
    mode: str,
    against: str,
    premise: str,
    json_path: Optional[str],
) -> None:
    """Run saved cases again, on the TensorFlow at hand or another subject.

    FILE is a case's .npz file, or a folder of them. Without --mode, each is run in the mode that it
    was saved in, if the subject has that. With --against, each is run on another subject, too, and
    one in which both differ in meaning disagrees, unless a known divergence of either is met.
    Ctrl-C keeps what was run. Exit status: 0 if none disagrees, 1 if one does, 2 if one cannot be
    read or run (the others are all the same), 130 after Ctrl-C.
    """
    if json_path and json_path != "-":
        check_writable(json_path)
    subjects = Subjects(subject_name, mode, premise)
    if subject_name != TENSORFLOW:
        # Its module may register the models of the cases.
        subjects.in_mode()
    other = subject_named(against) if against else None
    # With --json - the standard output is the JSON's.
    say = partial(click.echo, err=json_path == "-")
    alones = click.get_current_context().with_resource(Alones())
    replaying = _Replaying(subjects, other, alones, say, [])
    worst = 0
    errors: Dict[str, str] = {}
    try:
        for path in _files(paths):
            try:
                worst = max(worst, int(_replay(replaying, path)))
            except UserError as error:
                errors[path], worst = printable(error), 2
                click.echo("rnndiff: {}".format(errors[path]), err=True)
    except KeyboardInterrupt:
        click.echo("rnndiff: interrupted.", err=True)
        worst = INTERRUPTED
    results = replaying.results
    if json_path:
        # Without --mode, each case is run in its own.
        modes = list(dict.fromkeys(each["mode"] for each in results if "mode" in each)) or [mode]
        if len(modes) > 1:
            modes = [", ".join(versions(each)["mode"] for each in modes)]
        found = {"format": JSON_FORMAT, "versions": versions(modes[0])}
        found.update(cases=results, errors=errors)
        write_json(json_path, found)
    raise SystemExit(worst)


class _Replaying(NamedTuple):
    """On what all cases are run, how that is told, and what came of those that were run."""

    subjects: Subjects
    other: Optional[Subject]
    alones: Alones
    say: Callable[[str], None]
    results: List[Dict[str, Any]]


def _replay(replaying: _Replaying, path: str) -> bool:
    """Run the case of a file again, and tell what comes of it; whether it disagrees."""
    subjects, other, alones, say, results = replaying
    one = _load(path)
    case, notes = one.case, one.notes
    with _about(path):
        subject = subjects.of(notes)
        pair = Pair(subject, other) if other else None
        is_supported, title = supported(subject, case), statement_of(subject, "title")
        if not is_supported:
            say("{}: not supported by {}".format(printable(path), title))
            results.append({"path": path, "subject": title, "verdict": UNSUPPORTED})
            return False
        verdict, trace, signal = _judged(subject, one, alones)
        results.append(dict(_result(subject, case, verdict), path=path, ended_by=signal))
        disagrees = verdict.status == DISAGREE
        say("{}: {} on {}".format(printable(path), verdict.status, title))
        if pair:
            results[-1]["against"], says = _beside(pair, one, verdict, trace, alones)
            say("    {}".format(printable(says)))
            disagrees = disagrees or results[-1]["against"]["disagree"]
    saved_with = notes.get("subject", "an unknown subject")
    if of_tensorflow(notes):
        saved_with = "TensorFlow {}, {}".format(
            notes.get("tensorflow", "of an unknown version"),
            notes.get("mode", "in an unknown mode"),
        )
    say("    saved with {}: {}".format(saved_with, notes.get("verdict", "no verdict")))
    if " against " in notes.get("subject", "") and not other:
        say("    that is what two subjects differed in: --against compares them again")
    missing = subjects.without_mode_of(notes)
    if missing:
        say("    {}".format(printable(missing)))
    say("    now {}".format(describe(case, verdict).replace("\n", "\n    ")))
    return disagrees


@contextlib.contextmanager
def _about(path: str) -> Iterator[None]:
    """A context manager in which a UserError is said to be about a file."""
    try:
        yield
    except UserError as error:
        raise UserError("{}: {}".format(path, error))


def _judged(
    subject: Subject, saved: SavedCase, alones: Alones
) -> Tuple[Verdict, Mapping[str, np.ndarray], Optional[str]]:
    """The verdict on a case that is run again, the trace, and the signal that it ended by."""
    signal = ended_again_by(subject, saved, alones)
    if signal:
        return verdict_on_ending(saved.case, signal, subject.known), {}, signal
    return (*verdict_on_saved(subject, saved), None)


def _beside(
    pair: Pair,
    saved: SavedCase,
    verdict: Verdict,
    trace: Mapping[str, np.ndarray],
    alones: Alones,
) -> Tuple[Dict[str, Any], str]:
    """What is written as JSON, and said, of the second subject, and of what differs."""
    (first, second), case = pair.parts, saved.case
    if not supported(second, case):
        title = statement_of(second, "title")
        said = "not supported by {}".format(title)
        return {"subject": title, "verdict": UNSUPPORTED, "disagree": False}, said
    other, other_trace, signal = _judged(second, saved, alones)
    sides = side_of(first, case, verdict, trace), side_of(second, case, other, other_trace)
    differs = difference(case, *sides)
    found = finding(case, differs, sides, pair.names)
    said = "{}: {}".format(statement_of(second, "title"), other.summary())
    if found or differs.differ:
        said += "; between both: {}".format(found or differs.kind)
    elif differs.kind == ONE_SIDED:
        said += "; nothing is compared: they return no array in common"
    result = dict(
        _result(second, case, other),
        ended_by=signal,
        difference=differs.kind,
        disagree=bool(found) or other.status == DISAGREE,
    )
    return result, said


def _result(subject: Subject, case: Case, verdict: Verdict) -> Dict[str, Any]:
    """What is written as JSON of a case."""
    kernels: Tuple[str, ...] = ()
    if not verdict.error:
        with contextlib.suppress(Exception):  # A subject may raise anything.
            kernels = subject.kernels(case)
    wrong = verdict.first_wrong()
    return {
        "subject": statement_of(subject, "title"),
        "mode": subject.mode,
        "verdict": verdict.status,
        "known": list(verdict.known),
        "first_wrong": wrong.name if wrong else None,
        "error": printable(verdict.error) or None,
        "summary": printable(verdict.summary()),
        "kernels": list(kernels),
    }


def _files(paths: Tuple[str, ...]) -> Iterator[str]:
    """The files of cases, and what has none: that is said where it would be read."""
    for path in paths:
        names: List[str] = []
        with contextlib.suppress(OSError):
            names = sorted(name for name in os.listdir(path) if name.endswith(".npz"))
        for name in names:
            yield os.path.join(path, name)
        if not names:
            yield path


def _load(path: str) -> SavedCase:
    if not os.path.exists(path):
        raise UserError(
            "There is no file or folder {}: failing cases, if there are any, are in "
            ".rnndiff/failures.".format(path)
        )
    if os.path.isdir(path):
        raise UserError("There is no case (.npz) in the folder {}.".format(path))
    return load(path)
