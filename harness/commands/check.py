"""``rnndiff check``: is a port right?"""

import os
from functools import partial
from typing import Any, Optional, Tuple

import click

from rnndiff.harness.cases.restriction import sizes_named
from rnndiff.harness.checking.port import PortScope, model_of
from rnndiff.harness.commands.fuzz import judge_and_tell
from rnndiff.harness.commands.options import (
    ModelName,
    against_option,
    command_option,
    json_option,
    load_models,
    mode_option,
    no_empty_option,
    premise_option,
    report_option,
    seconds_option,
    sizes_option,
    subject_or_command,
    timeout_option,
)
from rnndiff.harness.diagnosis.own_process import diagnose_in_own_process
from rnndiff.harness.errors import UserError
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.subjects.port import premise_named
from rnndiff.harness.subjects.subject import COMMAND
from rnndiff.harness.trained.own import option_named
from rnndiff.models.cells import layouts
from rnndiff.models.cells.kinds import KINDS
from rnndiff.models.layout import sizes_in

# Of a port whose case takes a millisecond: a few seconds.
CASES = 2000
_MOST_WORKERS = 4


@click.command()
@click.argument("port", required=False, metavar="[MODULE:FUNCTION]", callback=subject_or_command)
@command_option
@click.option(
    "--model",
    "model_name",
    metavar="MODEL",
    help="What the port computes: bidirectional, rnn-lstm, ...; rnndiff's, or MODULE:NAME.",
)
@click.option(
    "--cell", metavar="CELL", default="", help="Of such cells: {}.".format(", ".join(KINDS))
)
@click.option(
    "--layout",
    metavar="LAYOUT",
    default="",
    help="With weights as an engine has them: {}.".format(layouts.names()),
)
@sizes_option
@no_empty_option
@click.option(
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="What an option of the model is to be: forget_bias=0.5; may be given several times.",
)
@click.option(
    "--draw",
    "drawn",
    metavar="NAME,...",
    default="",
    help="Options of the model that do not keep their defaults, if it is a program.",
)
@premise_option
@mode_option
@against_option
@click.option(
    "--cases",
    type=click.IntRange(min=1),
    default=CASES,
    show_default=True,
    help="Stop after so many cases.",
)
@seconds_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=min(_MOST_WORKERS, os.cpu_count() or 1),
    show_default="one for each core, at most {}".format(_MOST_WORKERS),
)
@timeout_option()
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The cases depend on it alone."
)
@json_option
@report_option
def check(
    port: Optional[str],
    model_name: Optional[str],
    cell: str,
    layout: str,
    sizes: str,
    no_empty: bool,
    settings: Tuple[str, ...],
    drawn: str,
    premise: str,
    mode: str,
    against: str,
    cases: int,
    seconds: Optional[float],
    workers: int,
    timeout: float,
    seed: int,
    json_path: Optional[str],
    report_path: Optional[str],
) -> None:
    """Judge random cases on a port until one fails, and shrink that.

    MODULE:FUNCTION is a function that is given what its arguments are called (parameters, inputs,
    labels, initial_state, num_units, config, or any array) and returns the scores, the outputs of
    all steps, or a dict of any arrays of the trace. What a test by rnndiff.port has been told
    already need not be said again. PATH.py does for MODULE. A class is called for a port, or is an
    rnndiff.Subject. A program is named by --command instead, and is given the defaults of the
    model's options but for those of --set and --draw. Exit status: 0 if no case failed before
    --cases or --time was reached (one that is undecided, or a known divergence, does not fail), 1
    if one did, 130 if Ctrl-C ended the run first, 2 if anything is to be mended or a file could not
    be written.
    """
    if port is None:
        raise click.UsageError("Name a port, MODULE:FUNCTION, or by --command a program.")
    load_models()
    subject = subject_named(port, timeout, mode)
    told: Any = getattr(subject, "asked", None)
    asked = told or PortScope("", "", "", {}, {}, True)
    if model_name and ":" in model_name:
        model_name = ModelName().convert(model_name, None, click.get_current_context())
    if not (model_name or asked.model):
        raise UserError(
            "Say by --model what {} computes, such as bidirectional.".format(
                subject.label if port.startswith(COMMAND) else port
            )
        )
    asked = asked._replace(
        model=model_name or asked.model,
        cell=cell or asked.cell,
        layout=layout or asked.layout,
        sizes=dict(asked.sizes, **sizes_named(sizes)),
        empty=asked.empty and not no_empty,
        drawn=[name.strip() for name in drawn.split(",") if name.strip()],
    )
    model = model_of(asked.model, asked.cell, asked.layout)
    given = {k: x for setting in settings for k, x in option_named(model, setting).items()}
    is_size = sizes_in(model.Config)
    asked = asked._replace(
        sizes=dict(asked.sizes, **{name: x for name, x in given.items() if name in is_size}),
        options=dict(asked.options, **{n: x for n, x in given.items() if n not in is_size}),
    )
    model, restriction = asked.model_and_restriction(subject)
    if premise:
        premise_named(premise)
    judge_and_tell(
        [model.name],
        seed,
        workers,
        mode,
        json_path,
        report_path,
        cases=cases,
        seconds=seconds,
        timeout=timeout,
        subject=port,
        premise=premise,
        restriction=restriction,
        against=against,
        first_alone=True,
        diagnose=partial(
            diagnose_in_own_process,
            port,
            mode,
            premise,
            timeout=timeout,
            restriction=restriction,
            seed=seed,
        ),
    )
