"""``rnndiff ulp``: measure the functions of the TensorFlow at hand against the table."""

import sys
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import click
import numpy as np
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rnndiff.harness.commands import ulp_subject
from rnndiff.harness.commands.options import json_option
from rnndiff.harness.errors import INTERRUPTED
from rnndiff.harness.files import check_writable, write_json
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.subjects import ulp as measuring
from rnndiff.harness.subjects.measure import FUNCTIONS
from rnndiff.harness.subjects.subject import TENSORFLOW, check_mode
from rnndiff.harness.subjects.tensorflow import tensorflow
from rnndiff.harness.subjects.tensorflow.accuracy import nearest, place
from rnndiff.harness.subjects.tensorflow.modes import MODES
from rnndiff.harness.subjects.tensorflow.premises import (
    every_kernel,
    known_arguments,
    name_of,
    stated,
)
from rnndiff.harness.subjects.ulp import Kernel, Measurement
from rnndiff.harness.versions import versions
from rnndiff.models import ARTICLE
from rnndiff.models.environment import processor

JSON_FORMAT = 2


class Row(NamedTuple):
    """What was measured of one kernel, and what the table says of it."""

    kernel: Kernel
    measured: Measurement
    table: Optional[Accuracy]

    @property
    def holds(self) -> bool:
        """Whether the table bounds every error that was seen."""
        return self.table is not None and self.measured.ulp <= self.table.ulp


@click.command()
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="How many arguments of every kernel are tried.",
)
@click.option(
    "--exhaustive",
    is_flag=True,
    help="Try all numbers instead, but of float64: of the whole domain on long arrays, of its "
    "interesting part on others. It takes hours of float32.",
)
@click.option(
    "--function",
    "functions",
    multiple=True,
    metavar="NAME",
    help="Measure this function only, such as tanh; may be given several times. With --subject: "
    "tanh, softmax, log or bias.",
)
@click.option(
    "--subject",
    metavar="MODULE:CLASS",
    help="Measure this subject through cases alone, instead of TensorFlow's kernels, and print the "
    "arithmetic to be stated. Modules of the current directory are found.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Choice(ARTICLE),
    help="With --subject: measure it in this model; may be given several times.  "
    "[default: all that it computes]",
)
@click.option(
    "--mode",
    metavar="MODE",
    default="",
    show_default="its first one",
    help="Measure TensorFlow's kernels, or the subject, in this mode of it, such as float64.",
)
@json_option
def ulp(
    samples: int,
    exhaustive: bool,
    functions: List[str],
    subject: Optional[str],
    models: Tuple[str, ...],
    mode: str,
    json_path: Optional[str],
) -> None:
    """Measure how accurate TensorFlow's functions are, and whether the table of rnndiff holds.

    The verdicts of rnndiff rest on bounds of rounding errors, and these on the accuracy of tanh,
    softmax, exp and log in every TensorFlow, on each processor. Here each is measured against
    float64 in every kernel that computes it, in units in the last place (ULP) beyond the absolute
    error that the table allows. Arguments that were the worst of some version are always among
    those tried. Where the table has no row for this version, processor and mode, rnndiff measures a
    sample itself before it judges. Ctrl-C ends the measurement and reports what was measured so
    far.

    The exit status is 0 if the table holds, 1 if not, 2 if the command could not be carried out
    and 130 after Ctrl-C if the table held so far.

    With --subject there is no table; the exit status is 1 if a function has no accuracy, because
    an argument is infinitely wrong.
    """
    if json_path and json_path != "-":
        check_writable(json_path)
    if subject:
        if exhaustive:
            raise click.UsageError("--exhaustive does not go with --subject")
        _check_functions(functions, FUNCTIONS)
        sys.exit(ulp_subject.run(subject, models, tuple(functions), samples, json_path, mode))
    if models:
        raise click.UsageError("--model goes with --subject")
    # Before TensorFlow is imported, which takes seconds; some versions lack one of them.
    _check_functions(functions, sorted(function.name for function in measuring.FUNCTIONS))
    mode = mode or next(iter(MODES))
    check_mode(TENSORFLOW, {name: each.what for name, each in MODES.items()}, mode)
    if exhaustive and MODES[mode].precision == "float64":
        raise click.UsageError("there are too many float64 numbers to try them all")
    tf1 = tensorflow()
    where = place(tf1.VERSION, processor(), MODES[mode].precision)
    kernels = [kernel for each in every_kernel(tf1, MODES[mode]) for kernel in each.kernels]
    _check_functions(functions, sorted({kernel.function.name for kernel in kernels}))
    kernels = [kernel for kernel in kernels if not functions or kernel.function.name in functions]

    rows: List[Row] = []
    interrupted = False
    console = Console(stderr=json_path == "-")
    with _progress() as progress:
        task = progress.add_task("", total=sum(_size(k, samples, exhaustive) for k in kernels))
        try:
            for kernel in kernels:
                progress.update(task, description="{0.function.name} {0.shape}".format(kernel))
                table = stated(name_of(kernel), where)
                rows.append(Row(kernel, measuring.NOTHING, table))
                absolute = (table or nearest(*name_of(kernel), where)).absolute
                chunks = _arguments(kernel, samples, exhaustive)
                for measured in measuring.measure(kernel, chunks, absolute):
                    progress.advance(task, measured.arguments - rows[-1].measured.arguments)
                    rows[-1] = rows[-1]._replace(measured=measured)
        except KeyboardInterrupt:
            interrupted = True
    rows = [row for row in rows if row.measured.arguments]

    if json_path:
        _write_json(json_path, rows, interrupted)
    at_hand = versions()
    title = "TensorFlow {tensorflow}, {onednn}, {mode}, {processor}".format(
        onednn="oneDNN ({})".format(where.instruction_set) if tf1.ONEDNN else "without oneDNN",
        **at_hand,
    )
    console.print(Text(title), soft_wrap=True)
    console.print(_table(rows, interrupted))
    if not all(row.holds for row in rows):
        sys.exit(1)
    sys.exit(INTERRUPTED if interrupted else 0)


def _check_functions(functions: Iterable[str], known: Sequence[str]) -> None:
    for name in functions:
        if name not in known:
            raise click.UsageError(
                "there is no function {!r} here, only {}".format(name, ", ".join(known))
            )


def _arguments(kernel: Kernel, samples: int, exhaustive: bool) -> Iterator[np.ndarray]:
    known = known_arguments(kernel)
    if len(known):
        # Often enough to fill whole vectors: in the remainder they might be computed otherwise.
        yield np.tile(known, 16)
    if exhaustive:
        yield from measuring.exhaust(kernel.thorough, kernel.function.precision)
    yield from measuring.sample(kernel.function, samples)


def _size(kernel: Kernel, samples: int, exhaustive: bool) -> int:
    return samples + (
        measuring.size(kernel.thorough, kernel.function.precision) if exhaustive else 0
    )


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _write_json(path: str, rows: List[Row], interrupted: bool) -> None:
    report = {
        "format": JSON_FORMAT,
        "versions": versions(),
        "interrupted": interrupted,
        "kernels": [_to_json(row) for row in rows],
    }
    write_json(path, report)


def _to_json(row: Row) -> Dict[str, Any]:
    kernel, measured, table = row
    return {
        "function": kernel.function.name,
        "kernel": kernel.op,
        "shape": kernel.shape,
        "arguments": measured.arguments,
        "ulp": _number(measured.ulp),
        "at": _number(measured.at),
        "result": _number(measured.result),
        "exact": _number(measured.exact),
        "table": table and {"ulp": table.ulp, "absolute": table.absolute},
        "holds": row.holds,
    }


def _number(value: float) -> Any:
    """JSON knows neither infinity nor NaN."""
    return value if np.isfinite(value) else str(value)


def _table(rows: List[Row], interrupted: bool) -> Table:
    failing = sum(not row.holds for row in rows)
    verdict = "{:,} arguments: {}".format(
        sum(row.measured.arguments for row in rows),
        "{} of {} kernels are worse than the table, or not in it".format(failing, len(rows))
        if failing
        else "the table holds",
    )
    if interrupted:
        verdict += " (Ctrl-C: of what was measured so far)"
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        caption=Text(verdict, "red" if failing else "green"),
        caption_justify="left",
    )
    table.add_column("function", no_wrap=True)
    table.add_column("kernel")
    for heading in ("worst ULP", "at", "table", "holds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.kernel.function.name,
            "{0.op}, {0.shape}".format(row.kernel),
            "{:.4g}".format(row.measured.ulp),
            "{:.9g}".format(row.measured.at),
            _bound(row.table),
            Text("yes") if row.holds else Text("no" if row.table else "no row", "red"),
        )
    return table


def _bound(table: Optional[Accuracy]) -> str:
    if table is None:
        return "-"
    if not table.absolute:
        return "{:.4g}".format(table.ulp)
    return "{:.4g} + {:.2g}".format(table.ulp, table.absolute)
