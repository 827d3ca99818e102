"""``rnndiff fuzz``: random cases until told to stop."""

import contextlib
import os
import random
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
)

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rnndiff.harness.cases.random_cases import model_named
from rnndiff.harness.cases.restriction import ANY, make_restriction, sizes_named
from rnndiff.harness.checking.against import PairTally
from rnndiff.harness.checking.fuzz import Progress
from rnndiff.harness.checking.fuzz import fuzz as run
from rnndiff.harness.commands.compare import table_of
from rnndiff.harness.commands.options import (
    against_option,
    all_models,
    json_option,
    mode_option,
    models_argument,
    no_empty_option,
    premise_option,
    report_option,
    seconds_option,
    sizes_option,
    subject_option,
    timeout_option,
)
from rnndiff.harness.diagnosis.diagnose import Diagnosis
from rnndiff.harness.errors import INTERRUPTED, UserError
from rnndiff.harness.files import check_writable, write_json
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.tally import WORST
from rnndiff.harness.judging.verdict import DISAGREE, KNOWN, UNDECIDED
from rnndiff.harness.report import page
from rnndiff.harness.stop import Stop
from rnndiff.harness.subjects.named import modes_named
from rnndiff.harness.subjects.port import premise_named
from rnndiff.harness.versions import versions

Diagnose = Callable[[Failure, Stop], Optional[Diagnosis]]


@click.command()
@models_argument
@subject_option
@mode_option
@click.option(
    "--modes",
    metavar="MODES",
    help="Run one mode after the other, each to --cases or --time: all of the subject's, or "
    "those named, with commas between; then print a table of them.",
)
@against_option
@premise_option
@sizes_option
@no_empty_option
@click.option("--cases", type=click.IntRange(min=1), help="Stop after so many cases.")
@seconds_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="one for each core",
)
@timeout_option()
@click.option("--seed", type=int, help="The cases depend on it alone.  [default: a random one]")
@json_option
@report_option
def fuzz(
    models: Tuple[str, ...],
    subject_name: str,
    mode: str,
    modes: Optional[str],
    against: str,
    premise: str,
    sizes: str,
    no_empty: bool,
    cases: Optional[int],
    seconds: Optional[float],
    workers: int,
    timeout: float,
    seed: Optional[int],
    json_path: Optional[str],
    report_path: Optional[str],
) -> None:
    """Judge random cases of MODEL (all by default), until --cases, --time or Ctrl-C.

    Failing cases are shrunk and saved, one for each way of failing, and the run goes on. With
    --against, one is a case, too, in which both subjects differ in meaning (NaN, another class,
    ...) though the oracle blames neither, unless a known divergence of either is met. A worker that
    something else than a case ends is told, and is no failure. Exit status: 1 if any case failed,
    130 if Ctrl-C ended the run before any was judged, 2 if something else did, a batch was not
    judged as it ended its worker twice, or a file could not be written, else 0.
    """
    names = models or tuple(all_models())
    restriction = ANY
    for name in names if sizes or no_empty else ():
        restriction = make_restriction(model_named(name), sizes_named(sizes), {}, not no_empty)
    if premise:
        premise_named(premise)
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    how: Dict[str, Any] = dict(
        cases=cases,
        seconds=seconds,
        timeout=timeout,
        subject=subject_name,
        premise=premise,
        restriction=restriction,
        against=against,
    )
    if modes:
        if mode or report_path:
            other = "--mode" if mode else "--report"
            raise UserError("Give either --modes or {}.".format(other))
        if cases is None and seconds is None:
            raise UserError("With --modes, say by --cases or --time when each mode is done.")
        chosen = modes_named(subject_name, modes)
        _judge_in_modes(names, seed, workers, chosen, json_path, modes == "all", how)
    judge_and_tell(names, seed, workers, mode, json_path, report_path, **how)


def judge_and_tell(
    names: Sequence[str],
    seed: int,
    workers: int,
    mode: str,
    json_path: Optional[str],
    report_path: Optional[str],
    diagnose: Optional[Diagnose] = None,
    **how: Any,
) -> NoReturn:
    """Judge random cases of models, tell what was found, and exit with the status of that.

    The arguments are those of the commands; `how` are those of
    :func:`rnndiff.harness.checking.fuzz.fuzz`. What `diagnose` says of the first failure is told
    after it. A run to the ``first_alone`` answers a question: interrupted, it has not.
    """
    if report_path:
        page.check(report_path)
    if json_path and json_path != "-":
        check_writable(json_path)
    # To the end of all that is written.
    with Stop() as stop:
        progress = _judged(names, seed, workers, mode, stop, dict(how, page=bool(report_path)))
        status = _tell(progress, seed, workers, mode, stop, json_path, report_path, diagnose)
        if how.get("first_alone") and progress.interrupted and status != 1:
            said = "{} ended the run before it was over: it is not known whether a case fails."
            _print("rnndiff: {}".format(said.format(stop.signal)), err=True)
            status = INTERRUPTED
        raise SystemExit(status)


def _judged(
    names: Sequence[str], seed: int, workers: int, mode: str, stop: Stop, how: Mapping[str, Any]
) -> Progress:
    """What came of random cases in one mode, shown while they are judged."""
    with _live() as live:
        progress = run(
            tuple(names),
            seed,
            workers,
            report=lambda progress: live.update(_table(progress, seed)),
            stop=stop,
            mode=mode,
            **how,
        )
        live.update(_table(progress, seed))
        # Of a run that could not begin there is nothing to be seen.
        live.transient = bool(progress.error) and not (progress.cases or progress.failures)
    return progress


def _judge_in_modes(
    names: Sequence[str],
    seed: int,
    workers: int,
    modes: Sequence[str],
    json_path: Optional[str],
    are_all: bool,
    how: Mapping[str, Any],
) -> NoReturn:
    """The same in one mode after the other, and a table of them.

    Of all modes of a subject, one that there is not at hand is no failure.
    """
    if json_path and json_path != "-":
        check_writable(json_path)
    runs: Dict[str, Progress] = {}
    statuses = []
    with Stop() as stop:
        for mode in modes:
            if stop.signal:
                break
            _print("mode {}".format(mode), err=True)
            runs[mode] = _judged(names, seed, workers, mode, stop, how)
            told = _tell(runs[mode], seed, workers, mode, stop, None, None, err=json_path == "-")
            statuses.append(told)
        status = _tell_modes(runs, statuses, seed, json_path)
        if are_all and status != 1:
            status = max(
                [x for x, run in zip(statuses, runs.values()) if run.cases], default=status
            )
        raise SystemExit(status)


def _tell_modes(
    runs: Dict[str, Progress], statuses: List[int], seed: int, json_path: Optional[str]
) -> int:
    """Print and write what came of each mode; the exit status."""
    if json_path != "-":
        for line in _table_of_modes(runs):
            _print(line, err=False)
    if json_path:
        results = {mode: _result(progress, seed, mode, None) for mode, progress in runs.items()}
        errors = {mode: progress.error for mode, progress in runs.items() if progress.error}
        write_json(json_path, {"modes": results, "errors": errors})
    return 1 if 1 in statuses else max(statuses, default=INTERRUPTED)


def _table_of_modes(runs: Dict[str, Progress]) -> Iterator[str]:
    columns = ("cases", DISAGREE, UNDECIDED, KNOWN, "failures")
    width = max([len(mode) for mode in runs] + [4])
    yield "\n{}  {}".format("mode".ljust(width), "  ".join(x.rjust(9) for x in columns))
    for mode, progress in runs.items():
        counts = [progress.cases, *(progress.tally.cases[status] for status in columns[1:-1])]
        counts.append(len(progress.failures))
        said = "  ".join(str(count).rjust(9) for count in counts)
        if progress.error and not progress.cases:
            said = "  " + progress.error
        yield "{}  {}".format(mode.ljust(width), said)


@contextlib.contextmanager
def _live() -> Iterator[Live]:
    """A table on the standard error, should that be full or closed, too."""
    live = Live(console=Console(stderr=True), refresh_per_second=2)
    with contextlib.suppress(OSError):
        live.start()
    try:
        yield live
    finally:
        with contextlib.suppress(OSError):
            live.stop()
            if not (live.console.is_terminal or live.transient):
                # It leaves the last line open.
                live.console.line()


def _tell(
    progress: Progress,
    seed: int,
    workers: int,
    mode: str,
    stop: Stop,
    json_path: Optional[str],
    report_path: Optional[str],
    diagnose: Optional[Diagnose] = None,
    err: bool = False,
) -> int:
    """Print and write what was found, each thing even if another cannot be; the exit status.

    ``err`` says whether to the standard error, as with ``--json -``.
    """
    err = err or json_path == "-"
    for failure in progress.failures:
        _print("\n" + failure.report, err=err)
    if isinstance(progress.tally, PairTally) and progress.tally.differences:
        _tell_pair(progress.tally, err)
    worst, where, complaints = None, "", []
    try:
        worst = progress.tally.save_worst(WORST)
        where = ": {}".format(worst) if worst else ""
    except UserError as error:
        where = " is not saved: {}".format(error)
    if where:
        _print("the case of the largest error{}".format(where), err=True)
    diagnosis = None
    # Of the first of two subjects, if there are two.
    names = progress.tally.names[:1] if isinstance(progress.tally, PairTally) else ("",)
    mine = [each for each in progress.failures if each.of in names]
    if diagnose and mine and not stop.signal:
        diagnosis = diagnose(mine[0], stop)
        if diagnosis:
            _print("\n{}".format(diagnosis), err=err)
    try:
        if json_path:
            write_json(json_path, _result(progress, seed, mode, worst, diagnosis))
    except (UserError, OSError) as error:
        complaints.append(str(error))
    try:
        if report_path:
            page.write(report_path, _page(progress, seed, workers, mode, stop))
    except UserError as error:
        complaints.append(str(error))
    for end in progress.ends:
        _print("rnndiff: {}".format(end), err=True)
    if progress.error:
        complaints.append(progress.error)
    elif progress.tally.unsupported and not progress.cases:
        complaints.append("No case was judged: the subject supports none that was drawn.")
    elif not progress.cases:
        complaints.append("No case was judged: the run was over before the first batch was.")
    if progress.lost and not progress.error:
        said = "Not judged, as each ended its worker twice and none of its cases does alone: {} {}."
        lost = ", ".join(map(str, progress.lost))
        batches = "batch" if len(progress.lost) == 1 else "batches"
        complaints.append(said.format(batches, lost))
    if isinstance(progress.tally, PairTally) and progress.tally.is_apart:
        said = "Nothing was compared: {} and {} return no array in common."
        complaints.append(said.format(*progress.tally.names))
    for complaint in complaints:
        _print("rnndiff: {}".format(complaint), err=True)
    if progress.failures:
        return 1
    if progress.cases:
        return 2 if complaints else 0
    return INTERRUPTED if stop.signal else 2


def _tell_pair(tally: PairTally, err: bool) -> None:
    """Print how far apart the two subjects are: of one model, for each array."""
    found = list(tally.differences.values())
    with contextlib.suppress(OSError):
        console = Console(stderr=err)
        console.print(Text("\n{} against {}".format(*tally.names)), soft_wrap=True)
        console.print(table_of(found, arrays=len(found) == 1))
    for line in tally.of_both():
        _print(line, err=err)


def _print(text: str, err: bool) -> None:
    """Print, to the other stream if one is full or closed; what is written goes on."""
    for stream in (err, not err):
        with contextlib.suppress(OSError):
            click.echo(text, err=stream)
            return


def _result(
    progress: Progress,
    seed: int,
    mode: str,
    worst: Optional[str],
    diagnosis: Optional[Diagnosis] = None,
) -> Dict[str, Any]:
    of_first = {"diagnosis": diagnosis.as_dict()} if diagnosis else {}
    return dict(
        progress.tally.as_dict(),
        **of_first,
        worst_case=worst,
        seed=seed,
        seconds=progress.seconds,
        interrupted=progress.interrupted,
        ended_workers=progress.ends,
        lost_batches=progress.lost,
        versions=versions(mode),
        failures=[
            dict(
                {"way": f.way, "path": f.path or None, "shrunk": f.shrunk},
                **({"of": f.of} if f.of else {}),
            )
            for f in progress.failures
        ],
    )


def _page(progress: Progress, seed: int, workers: int, mode: str, stop: Stop) -> page.Report:
    found = page.Report("fuzz", progress.tally, progress.growths, progress.exhibits)
    if isinstance(progress.tally, PairTally):
        said = "{} against {}: ".format(*progress.tally.names)
        found = found._replace(notes=[said + line for line in progress.tally.of_both()])
    if not progress.growths:
        why = "ended by {}".format(stop.signal) if stop.signal else "over before any was drawn"
        left_out = "Some figures are left out: the run was {}.".format(why)
        found = found._replace(notes=[*found.notes, left_out])
    found = found._replace(notes=[*found.notes, *map("{}.".format, progress.ends)])
    notes = {"seed": seed, "workers": workers, "seconds": round(progress.seconds)}
    return found._replace(environment=dict(versions(mode), **notes))


def _table(progress: Progress, seed: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row("seed", str(seed))
    rate = progress.cases / max(progress.seconds, 1e-9)
    table.add_row("speed", "{:.0f} cases a second, {:.0f} s".format(rate, progress.seconds))
    for line in progress.tally.lines():
        # A subject may be called anything.
        table.add_row("", Text(line))
    for failure in progress.failures:
        said = "{}: {}".format(failure.way, failure.path or "in no file")
        table.add_row("failure", Text(said))
    if progress.ends:
        table.add_row("workers ended", str(len(progress.ends)))
    return table
