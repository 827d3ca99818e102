"""``rnndiff bisect``: between which versions of TensorFlow the verdict on a case changes."""

import sys
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnndiff.harness.cases.case import load
from rnndiff.harness.checking.bisect import (
    ENVIRONMENTS,
    TIMEOUT,
    Answer,
    PassedOver,
    ask,
    by_version,
    changes,
    environments,
)
from rnndiff.harness.commands.options import (
    ModelName,
    json_option,
    load_models,
    mode_option,
    timeout_option,
)
from rnndiff.harness.errors import UserError
from rnndiff.harness.files import check_writable, write_json
from rnndiff.harness.subjects.named import modes_named
from rnndiff.harness.subjects.subject import TENSORFLOW
from rnndiff.harness.subjects.tensorflow.modes import MODES
from rnndiff.harness.text import printable

JSON_FORMAT = 1


@click.command()
@click.argument("path", metavar="CASE", type=click.Path())
@click.option(
    "--python",
    "pythons",
    metavar="PATH",
    multiple=True,
    help="A Python with a TensorFlow; may be given several times.  [default: {}]".format(
        ENVIRONMENTS
    ),
)
@mode_option
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODULE:NAME",
    help="Where a model of the case is, if it is none of rnndiff's; may be given several times.",
)
@timeout_option(TIMEOUT, "Seconds for each, the import of TensorFlow included.")
@json_option
def bisect(
    path: str,
    pythons: Tuple[str, ...],
    mode: str,
    models: Tuple[str, ...],
    timeout: float,
    json_path: Optional[str],
) -> None:
    """Find the versions of TensorFlow between which the verdict on a saved case changes.

    This rnndiff replays CASE, a case's .npz file, under each Python; those of the environments of
    tox in the working folder, if none are named. What is asked is whether the verdict changes if
    nothing is excused; that with known divergences excused stands beside it. Without --mode, the
    case is run in the mode that it was saved in. Exit status: 0 if nothing changes, 1 if something
    does, 2 if it could be run under no Python.
    """
    load_models()
    for name in models:
        ModelName().convert(name, None, None)
    saved = load(path)
    noted = saved.notes.get("mode", "")
    mode = mode or (noted if noted in list(MODES)[1:] else "")
    if mode:
        modes_named(TENSORFLOW, mode)
    if json_path and json_path != "-":
        check_writable(json_path)
    pythons = pythons or tuple(environments())
    if not pythons:
        raise UserError(
            "There is no {} in the working folder: run tox first, or name Pythons with a "
            "TensorFlow by --python.".format(ENVIRONMENTS)
        )
    answers, passed_over = _ask_all(pythons, path, mode, models, timeout)
    console = Console(stderr=json_path == "-")
    if answers:
        _print(console, answers)
    if json_path:
        write_json(json_path, _result(path, mode, answers, passed_over))
    if not answers:
        raise UserError("The case could be run under none of {} Pythons.".format(len(pythons)))
    sys.exit(1 if changes(answers) else 0)


def _ask_all(
    pythons: Sequence[str], path: str, mode: str, models: Sequence[str], timeout: float
) -> Tuple[List[Answer], List[PassedOver]]:
    answers, passed_over = [], []
    for python in pythons:
        answer = ask(python, path, mode, models, timeout)
        if isinstance(answer, PassedOver):
            passed_over.append(answer)
            said = "passed over: {}".format(answer.why)
        else:
            answers.append(answer)
            said = "TensorFlow {}: {}".format(answer.version, answer.verdict)
        # As it comes: all of them may take minutes.
        click.echo("{}: {}".format(printable(python), said), err=True)
    return by_version(answers), passed_over


def _print(console: Console, answers: Sequence[Answer]) -> None:
    table = Table()
    for name in ("TensorFlow", "if nothing is excused", "verdict"):
        table.add_column(name)
    for answer in answers:
        where = " in {}".format(answer.first_wrong) if answer.first_wrong else ""
        table.add_row(answer.version, answer.verdict + where, answer.excused)
    console.print(table)
    for text in _sentences(answers):
        console.print(Text(text), soft_wrap=True)


def _sentences(answers: Sequence[Answer]) -> Iterator[str]:
    if len(answers) == 1:
        yield "There is one TensorFlow, and nothing to compare it with."
        return
    found = changes(answers)
    if not found:
        yield "The verdict is the same in all {}.".format(len(answers))
    for before, after in found:
        yield "It changes between {} and {}: {}, then {}.".format(
            before.version, after.version, before.verdict, after.verdict
        )
        if before.kernels and after.kernels:
            for one, other in ((before, after), (after, before)):
                kernels = sorted(set(one.kernels) - set(other.kernels))
                if kernels:
                    yield "    kernels in {} alone: {}".format(one.version, ", ".join(kernels))


def _result(
    path: str, mode: str, answers: Sequence[Answer], passed_over: Sequence[PassedOver]
) -> Dict[str, Any]:
    return {
        "format": JSON_FORMAT,
        "case": path,
        "mode": mode or None,
        "answers": [dict(each._asdict(), excused=each.excused) for each in answers],
        "passed_over": [dict(each._asdict()) for each in passed_over],
        "changes": [[before.version, after.version] for before, after in changes(answers)],
    }
