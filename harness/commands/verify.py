"""``rnndiff verify``: train the article's models, and compute them twice."""

import dataclasses
import sys
from typing import Dict, Iterator, List, Optional, Tuple

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rnndiff.harness.checking.check import way_of_failing
from rnndiff.harness.errors import UserError
from rnndiff.harness.files import check_writable, write_json
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import (
    AGREE,
    DISAGREE,
    FREE_RUNNING,
    KNOWN,
    TEACHER_FORCED,
    UNDECIDED,
)
from rnndiff.harness.report import page
from rnndiff.harness.report.exhibits import Exhibit, drawn
from rnndiff.harness.report.growth import Growth, Judged, growth
from rnndiff.harness.subjects.tensorflow import TensorFlow
from rnndiff.harness.trained import data, training
from rnndiff.harness.trained.training import Weights
from rnndiff.harness.trained.verify import Difference, Verification
from rnndiff.harness.trained.verify import verify as verify_weights
from rnndiff.models import MODELS, Model
from rnndiff.models.cells.kinds import KINDS

JSON_FORMAT = 1
# Arrays of weights whose names a sentence holds.
_NAMED = 4
COLORS = {AGREE: "green", KNOWN: "green", UNDECIDED: "yellow", DISAGREE: "red"}


@click.command()
@click.argument("models", nargs=-1, type=click.Choice(list(training.PLANS)), metavar="[MODEL]...")
@click.option(
    "--cell",
    type=click.Choice([name for name, kind in KINDS.items() if name != "basic" and not kind.noise]),
    help="Take cells of this kind; by default BasicRNNCell, as the article does.",
)
@click.option(
    "--mnist",
    metavar="PATH",
    help="Train bidirectional on MNIST: Keras' mnist.npz, or the folder of the four IDX files.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Train every model for this many steps; by default {}.".format(
        ", ".join("{} {}".format(name, plan.steps) for name, plan in training.PLANS.items())
    ),
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Decides the data, the first weights and the order of training.",
)
@click.option(
    "--save",
    metavar="FILE",
    help="Write the trained weights, as arrays MODEL/PARAMETER of an .npz.",
)
@click.option(
    "--weights",
    metavar="FILE",
    help="Verify these weights instead of training: an .npz that --save wrote, or one of your own.",
)
@click.option(
    "--json",
    "json_path",
    metavar="FILE",
    help="Write the results as JSON; - is the standard output.",
)
@click.option(
    "--report",
    "report_path",
    metavar="FILE",
    help="Write a page of HTML, with figures (needs the extra [report]).",
)
def verify(
    models: Tuple[str, ...],
    cell: Optional[str],
    mnist: Optional[str],
    steps: Optional[int],
    seed: int,
    save: Optional[str],
    weights: Optional[str],
    json_path: Optional[str],
    report_path: Optional[str],
) -> None:
    """Compute trained models with TensorFlow and with the NumPy oracle, side by side.

    Each MODEL (seq2seq, bidirectional, attention; by default all) is trained by TensorFlow on real
    data: three-digit additions, or handwritten digits. Its weights are fetched as TensorFlow's
    global variables, and the validation rows are computed by TensorFlow and by the oracle. Ctrl-C
    ends the training of the model at hand, and verifies the weights reached so far.

    Weights of your own (--weights) are named like rnndiff's parameters, or stand in the order in
    which TensorFlow created the variables: np.savez(FILE, *session.run(tf.global_variables())).
    Sizes such as the number of units are taken from their shapes.

    The exit status is 0 if TensorFlow and the oracle agree on every model (but for known
    divergences), 1 if not, and 2 if the command could not be carried out.
    """
    if weights and (steps or save):
        raise click.UsageError("--weights does not train: it goes with neither --steps nor --save")
    arrays = training.read_weights(weights) if weights else {}
    names = list(dict.fromkeys(models)) or training.models_of(arrays)
    if weights and not names:
        raise UserError("{} does not say whose weights it holds: name the MODEL.".format(weights))
    names = names or list(training.PLANS)
    if cell:
        names = ["{}-{}".format(MODELS[name].family, cell) for name in names]
    if mnist and "bidirectional" not in [MODELS[name].family for name in names]:
        raise click.UsageError("--mnist is data for bidirectional, which is not among the models")

    if report_path:
        page.check(report_path)
    # All that can be wrong with files comes out before seconds are spent on importing TensorFlow,
    # and minutes on training.
    for path in (save, json_path):
        if path and path != "-":
            check_writable(path)
    loaded = {name: data.load(MODELS[name].family, seed, mnist) for name in names}
    fitted: Dict[str, Weights] = {}
    if weights:
        for name in names:
            fitted[name] = training.fit_weights(weights, arrays, MODELS[name], loaded[name])
    subject = TensorFlow()
    for model in (MODELS[name] for name in names):
        if not subject.supports(model, model.article):
            raise UserError("{} has no cells for {}.".format(subject.title, model.name))

    verifications: List[Verification] = []
    seen = _Seen() if report_path else None
    try:
        with _progress() as progress:
            for name in names:
                model = MODELS[name]
                if name not in fitted:
                    fitted[name] = _train(model, loaded[name], steps, seed, progress)
                    if save:
                        training.save_weights(save, fitted)
                task = progress.add_task("verifying {}".format(name), total=1, note="")
                verifications.append(
                    verify_weights(model, loaded[name], fitted[name], subject, seen)
                )
                progress.advance(task)
    finally:
        # Ctrl-C, too, leaves what was found until then.
        if report_path and seen:
            _write_page(report_path, seed, seen, verifications)

    console = Console(stderr=json_path == "-")
    for verified in verifications:
        _print(console, verified)
    if json_path:
        _write_json(json_path, verifications)
    sys.exit(0 if all(verified.status in (AGREE, KNOWN) for verified in verifications) else 1)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def _train(
    model: Model, loaded: data.Data, steps: Optional[int], seed: int, progress: Progress
) -> Weights:
    plan = training.PLANS[model.family]
    if steps is not None:
        plan = plan._replace(steps=steps)
    task = progress.add_task("training {}".format(model.name), total=plan.steps, note="")
    trained = training.train(
        model,
        dataclasses.replace(model.article, **loaded.sizes()),
        loaded.training,
        plan,
        seed,
        lambda done, loss: progress.update(task, completed=done, note="loss {:.3f}".format(loss)),
    )
    if trained.interrupted:
        progress.console.print(
            "Ctrl-C: {} was trained for {} of {} steps; verifying these weights.".format(
                model.name, trained.steps, plan.steps
            )
        )
    return trained


def _write_json(path: str, verifications: List[Verification]) -> None:
    report = {
        "format": JSON_FORMAT,
        "models": {verified.model: verified.to_json() for verified in verifications},
    }
    write_json(path, report)


class _Seen:
    """What a page shows of the cases that were judged."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.growths: List[Growth] = []
        self.exhibits: List[Exhibit] = []

    def __call__(self, judged: Judged) -> None:
        case, _, verdict = judged
        self.tally.add(case, verdict)
        if {array.run for array in verdict.arrays} == {TEACHER_FORCED, FREE_RUNNING}:
            # Beside a known divergence nothing is judged free-running.
            self.growths.append(growth("the validation rows of the trained models", [judged]))
        if verdict.status == DISAGREE:
            exhibit = Exhibit(way_of_failing(case, verdict), verdict.summary())
            self.exhibits.append(drawn(exhibit, case, verdict))


def _write_page(path: str, seed: int, seen: _Seen, verifications: List[Verification]) -> None:
    tables = [
        page.Table(
            heading=list(_heading(verified)),
            names=_columns(verified),
            rows=list(_rows(verified)),
            verdict=" ".join([verified.summary + ".", *verified.undecided]),
            status=verified.status,
        )
        for verified in verifications
    ]
    seen.tally.premise = verifications[0].versions["premise"] if verifications else ""
    found = page.Report("verify", seen.tally, seen.growths, seen.exhibits, tables)
    page.write(path, found._replace(environment={"seed": seed}))


def _print(console: Console, verified: Verification) -> None:
    console.print(Text("\n".join(_heading(verified))), soft_wrap=True)
    table = Table()
    first, *others = _columns(verified)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    for row in _rows(verified):
        table.add_row(*row)
    console.print(table)
    verdict = Text("verdict: " + verified.summary, COLORS[verified.status])
    console.print(verdict, soft_wrap=True)
    for sentence in verified.undecided:
        console.print(Text("    " + sentence), soft_wrap=True)
    console.print()


def _columns(verified: Verification) -> List[str]:
    subject = "TensorFlow {}".format(verified.versions["tensorflow"])
    return ["", subject, "NumPy oracle", "largest difference", "in ULP"]


def _rows(verified: Verification) -> Iterator[List[str]]:
    for name, form in (("accuracy", "{:.4f}"), ("loss", "{:.9g}")):
        sides = (form.format(getattr(side, name)) for side in (verified.subject, verified.oracle))
        yield [name, *sides, *_cells(verified.differences[name])]
    yield ["states", "", "", *_cells(verified.states())]
    yield ["scores", "", "", *_cells(verified.scores())]


def _cells(difference: Difference) -> Tuple[str, str]:
    return "{:.2g}".format(difference.absolute), "{:.3g}".format(difference.ulp)


def _heading(verified: Verification) -> Iterator[str]:
    sizes = dataclasses.asdict(verified.config)
    rows = sizes.pop("batch")
    yield "{}: {}".format(verified.model, verified.data)
    yield "{} rows of validation, {} parameters; {}".format(
        rows,
        verified.parameters,
        ", ".join(
            "{} {}".format(name, size)
            for name, size in sizes.items()
            if size is not None and not isinstance(size, bool)
        ),
    )
    weights = verified.weights
    if weights.steps is None:
        origin = "weights from {}".format(weights.origin)
    else:
        origin = "trained {} steps in {:.0f} s".format(weights.steps, weights.seconds)
    if weights.interrupted:
        origin += " (stopped by Ctrl-C, {} were planned)".format(weights.planned_steps)
    yield "{}; the best constant answer has the accuracy {:.3f}".format(origin, verified.chance)
    yield from _not_finite(weights)


def _not_finite(weights: Weights) -> Iterator[str]:
    """A sentence on weights that are no finite numbers, if there are any."""
    found = [
        "{} {} of {}".format(count, kind, name)
        for name, counts in weights.not_finite().items()
        for kind, count in counts.items()
        if count
    ]
    if found:
        if len(found) > _NAMED:
            found[_NAMED - 1 :] = ["and more in other arrays"]
        said = "not all weights are finite numbers: {}; both sides must make the same of them"
        yield said.format(", ".join(found))
