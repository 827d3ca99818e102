"""``rnndiff record``: what this environment computes, bit for bit, in a file."""

from typing import Dict, List, Optional, Sequence, Tuple

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rnndiff.harness.cases.fixed import GROUPS, Wanted, drawn_inputs
from rnndiff.harness.cases.regimes import REGIMES
from rnndiff.harness.checking.recording import Recorder, Task
from rnndiff.harness.commands.options import (
    all_models,
    mode_option,
    models_argument,
    subject_option,
    timeout_option,
)
from rnndiff.harness.errors import INTERRUPTED, UserError
from rnndiff.harness.files import MOST_BYTES, check_writable, numbers_in, read_npz
from rnndiff.harness.records.record import Computed, Record, save
from rnndiff.harness.stop import Stop
from rnndiff.harness.text import printable
from rnndiff.harness.versions import versions

# A graph of many unrolled steps takes a minute to build on a busy machine, and what is recorded
# should not depend on how busy it is.
_TIMEOUT = 300.0


@click.command()
@models_argument
@subject_option
@mode_option
@click.option(
    "--inputs",
    "inputs_path",
    metavar="FILE",
    help="Record a function of yours instead, --subject MODULE:FUNCTION, of the arrays of this "
    ".npz, which it takes by their names. It returns an array, or a tuple or dict of arrays.",
)
@click.option(
    "--draw",
    "draws",
    multiple=True,
    metavar="NAME=SHAPE",
    help="Draw an array for the function: words=4x12x8, of float32, or tokens=4x12:999, of whole "
    "numbers from 0 to 999. There are six cases then, one of each regime of numbers, the same "
    "everywhere. May be given several times, and beside --inputs.",
)
@timeout_option(_TIMEOUT)
@click.option(
    "-o", "--output", "path", required=True, metavar="FILE", help="The record, an .npz file."
)
def record(
    models: Tuple[str, ...],
    subject_name: str,
    mode: str,
    inputs_path: Optional[str],
    draws: Tuple[str, ...],
    timeout: float,
    path: str,
) -> None:
    """Record what this environment computes, for `rnndiff compare`.

    The cases are the fixed set, 60 of each MODEL (all by default) and the same everywhere: of six
    configs, of all regimes of numbers. Every array that the subject computes of them is kept bit
    for bit, with what the oracle says of each element, versions, processor, mode and premise. Cases
    run in a process of their own: one that ends it is recorded as such.

    Ctrl-C ends the run, and what was computed until then is in the file; if nothing was, no file is
    written. Exit status: 130 then, 2 if nothing could be recorded, 1 if only a part could be, if
    the function of --subject or all cases ended in an error, else 0, whatever the oracle says.
    """
    inputs: Optional[List[Dict[str, np.ndarray]]] = None
    if inputs_path or draws:
        if models or mode or ":" not in subject_name:
            raise click.UsageError(
                "--inputs and --draw go with --subject MODULE:FUNCTION, and no MODEL"
            )
        inputs = _inputs_of(inputs_path, draws)
    check_writable(path)
    names = ["function"] if inputs is not None else models or all_models()
    jobs = [
        (n, k) for n in dict.fromkeys(names) for k in range(len(GROUPS) if inputs is None else 1)
    ]
    groups: List[Computed] = []
    complaint = ""
    with Stop() as stop, Recorder(Task(subject_name, mode, timeout, inputs), stop) as recorder:
        with _progress() as progress:
            task = progress.add_task("recording", total=len(jobs), model=jobs[0][0])
            try:
                for group in recorder.compute(jobs):
                    groups.append(group)
                    following = jobs[min(len(groups), len(jobs) - 1)][0]
                    progress.update(task, advance=1, model=following)
            except UserError as error:
                # What was computed before is kept.
                complaint = str(error)
        if complaint and not groups:
            raise UserError(complaint)
        if len(groups) == len(jobs) and not any(group.supported for group in groups):
            raise UserError("Nothing is recorded: {} computes none of it.".format(subject_name))
        # A former record is worth more than an empty one.
        if groups:
            notes = dict(versions(mode), **recorder.notes)
            save(path, Record(notes, groups, len(groups) == len(jobs)))
            click.echo("{}: {}".format(printable(path), _summary(groups)))
            failed = next((error for group in groups for error in group.errors if error), "")
            if failed:
                click.echo("the first error: {}".format(failed))
        if len(groups) < len(jobs):
            why = complaint or "Ended by {}.".format(stop.signal)
            said = "rnndiff: {} {} of {} groups of cases are recorded."
            click.echo(said.format(why, len(groups), len(jobs)), err=True)
            raise SystemExit(1 if complaint else INTERRUPTED)
    if inputs is not None and any(error for group in groups for error in group.errors):
        raise SystemExit(1)
    if not any(group.trace for group in groups):
        said = "rnndiff: No case is computed: is it a port of these models? {}"
        about = "A function of your own takes --inputs or --draw." if ":" in subject_name else ""
        click.echo(said.format(about).strip(), err=True)
        raise SystemExit(1)


def _inputs_of(path: Optional[str], draws: Sequence[str]) -> List[Dict[str, np.ndarray]]:
    """The arrays of each case of a function: those of a file, and with them those to be drawn."""
    given = read_npz(path, "inputs of a function, an .npz file") if path else {}
    wanted: Dict[str, Wanted] = {}
    for text in draws:
        name, _, rest = text.partition("=")
        shape, colon, most = rest.partition(":")
        try:
            each = Wanted(tuple(map(int, shape.split("x"))), int(most) if colon else None)
        except ValueError:
            each = Wanted((-1,))
        if not name or min(each.shape) < 0 or not 0 <= (each.most or 0) < 2**31:
            raise click.UsageError(
                "--draw is NAME=SHAPE or NAME=SHAPE:MOST, such as words=4x12x8 or tokens=4x12:999, "
                "not {!r}".format(text)
            )
        if name in given or name in wanted:
            raise click.UsageError("there are two arrays {!r}".format(name))
        wanted[name] = each
    # Each number is eight bytes while it is drawn.
    if 8 * len(REGIMES) * sum(numbers_in(each.shape) for each in wanted.values()) > MOST_BYTES:
        raise click.UsageError("--draw is of fewer numbers than that")
    return [dict(given, **drawn) for drawn in drawn_inputs(wanted)] if wanted else [given]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[model]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def _summary(groups: List[Computed]) -> str:
    computed = [group for group in groups if group.supported]
    cases = sum(len(group.errors) for group in computed)
    numbers = sum(array.size for group in computed for array in group.trace.values())
    said = "{:,} cases of {} models, {:,} numbers".format(
        cases, len({group.model for group in computed}), numbers
    )
    ended = sum(bool(error) for group in computed for error in group.errors)
    left_out = sorted({group.model for group in groups if not group.supported})
    if ended:
        said += "; {} cases ended in an error".format(ended)
    if left_out:
        said += "; not supported here: {}".format(", ".join(left_out))
    return said
