"""``rnndiff verify``: train the article's models, and compute them twice."""

import dataclasses
import sys
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rnndiff.harness.checking.verdicts import way_of_failing
from rnndiff.harness.commands.options import json_option, models_argument, report_option
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
from rnndiff.harness.report.exhibits import Exhibit, with_heat_maps
from rnndiff.harness.report.growth import Growth, JudgedTrace, growth
from rnndiff.harness.subjects import Subject
from rnndiff.harness.subjects.tensorflow import TensorFlow
from rnndiff.harness.trained import checkpoint, data, own, training
from rnndiff.harness.trained.training import Weights
from rnndiff.harness.trained.verify import Difference, Verification, answer, config_of
from rnndiff.harness.trained.verify import verify as verify_weights
from rnndiff.models import MODELS, Model
from rnndiff.models.cells.kinds import KINDS

JSON_FORMAT = 1
# Arrays of weights whose names a sentence holds.
_NAMED = 4
COLORS = {AGREE: "green", KNOWN: "green", UNDECIDED: "yellow", DISAGREE: "red"}


@click.command()
@models_argument
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
    help="Verify these weights instead of training: an .npz that --save wrote, or one of your own, "
    "or a checkpoint of TensorFlow.",
)
@click.option(
    "--map",
    "maps",
    metavar="NAME=NAME",
    multiple=True,
    help="Which variable of a checkpoint is a parameter, or which of its scopes is one of the "
    "model's, where names do not tell: cell=my/rnn/lstm_cell; may be given several times.",
)
@click.option(
    "--inputs",
    "inputs_path",
    metavar="FILE",
    help="Data of your own: an .npz of arrays named as the model's (inputs, sequence_length, ...). "
    "Those that are named as what it computes (outputs, ...) are judged, too.",
)
@click.option(
    "--labels",
    "labels_path",
    metavar="FILE",
    help="The labels, one-hot, if they are in another .npz than the inputs.",
)
@click.option(
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="An option of the model, or a size that neither weights nor data tell: forget_bias=0.0, "
    "attn_length=7; may be given several times.",
)
@json_option
@report_option
def verify(
    models: Tuple[str, ...],
    cell: Optional[str],
    mnist: Optional[str],
    steps: Optional[int],
    seed: int,
    save: Optional[str],
    weights: Optional[str],
    maps: Tuple[str, ...],
    inputs_path: Optional[str],
    labels_path: Optional[str],
    settings: Tuple[str, ...],
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

    A checkpoint of TensorFlow is named by what its files begin with. Its scopes may be any, and
    what an optimizer keeps in it is passed over. With --inputs, MODEL is any that is registered:
    rnn-lstm, birnn-gru, ...

    The exit status is 0 if TensorFlow and the oracle agree on every model (but for known
    divergences), 1 if not, and 2 if the command could not be carried out.
    """
    if weights and (steps or save):
        raise click.UsageError("--weights does not train: it goes with neither --steps nor --save")
    if not weights and (maps or inputs_path or labels_path or settings):
        raise click.UsageError("--map, --inputs, --labels and --set go with --weights")
    if labels_path and not inputs_path:
        raise click.UsageError("--labels goes with --inputs")
    prefix = checkpoint.prefix_of(weights) if weights else None
    arrays = training.read_weights(weights) if weights and not prefix else {}
    if maps and not prefix:
        raise click.UsageError("--map goes with a checkpoint, which {} is not".format(weights))
    names = list(dict.fromkeys(models)) or training.models_of(arrays)
    if weights and not names:
        raise UserError("{} does not say whose weights it holds: name the MODEL.".format(weights))
    if (inputs_path or settings or maps) and len(names) > 1:
        raise click.UsageError("--map, --inputs and --set are of one MODEL")
    names = _with_cell(names or list(training.PLANS), cell)
    _check_data(names, inputs_path, mnist)
    if report_path:
        page.check(report_path)
    # All that can be wrong with files comes out before seconds are spent on importing TensorFlow,
    # and minutes on training.
    for path in (save, json_path):
        if path and path != "-":
            check_writable(path)
    options: Dict[str, Any] = {}
    for setting in settings:
        options.update(own.option_named(MODELS[names[0]], setting))
    loaded: Dict[str, own.AnyData] = {}
    for name in names:
        if inputs_path:
            loaded[name] = own.read_own(MODELS[name], inputs_path, labels_path, options)
        else:
            loaded[name] = data.load(MODELS[name].family, seed, mnist)
    fitted: Dict[str, Weights] = {}
    if weights:
        mapped = None
        if prefix:
            mapped = _mapped(maps)
            arrays = checkpoint.read_checkpoint(prefix, list(mapped.values()))
        for name in names:
            fitted[name] = training.fit_weights(
                weights, arrays, MODELS[name], loaded[name], options, mapped
            )
            config = config_of(loaded[name], fitted[name])
            own.check_recorded(loaded[name], MODELS[name], config)
    subject = TensorFlow()
    for name in names:
        config = fitted[name].config if name in fitted else MODELS[name].article
        if not subject.supports(MODELS[name], config):
            raise UserError("{} has no cells for {}.".format(subject.title, name))

    verifications: List[Verification] = []
    seen = _Seen() if report_path else None
    try:
        with _progress() as progress:
            for name in names:
                if name not in fitted:
                    fitted[name] = _train(MODELS[name], loaded[name], steps, seed, progress)
                    if save:
                        training.save_weights(save, fitted)
                task = progress.add_task("verifying {}".format(name), total=1, note="")
                for verified in _verified(MODELS[name], loaded[name], fitted[name], subject, seen):
                    verifications.append(verified)
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


def _with_cell(names: List[str], cell: Optional[str]) -> List[str]:
    """The names of models of TensorFlow's, with another cell if one is asked for."""
    laid_out = [name for name in names if name not in MODELS]
    if laid_out:
        raise click.UsageError(
            "TensorFlow has no weights of the layout of {}: to judge what a port makes of yours, "
            "take rnndiff.assert_within_bounds".format(laid_out[0])
        )
    if not cell:
        return names
    if not all(name in training.PLANS for name in names):
        raise click.UsageError("--cell goes with {}".format(", ".join(training.PLANS)))
    return ["{}-{}".format(MODELS[name].family, cell) for name in names]


def _check_data(names: List[str], inputs_path: Optional[str], mnist: Optional[str]) -> None:
    """Raise a UsageError if there are no data for a model, or no model for data."""
    families = [MODELS[name].family for name in names]
    for name, family in zip(names, families):
        if family not in training.PLANS and not inputs_path:
            raise click.UsageError(
                "there are no data for {}: give --weights and --inputs".format(name)
            )
    if mnist and "bidirectional" not in families:
        raise click.UsageError("--mnist is data for bidirectional, which is not among the models")


def _verified(
    model: Model, loaded: own.AnyData, weights: Weights, subject: Subject, seen: Optional["_Seen"]
) -> Iterator[Verification]:
    """What comes of the weights on TensorFlow, and of what something else has computed by them."""
    computed: Dict[str, np.ndarray] = {}

    def see(judged: JudgedTrace) -> None:
        computed.update(judged.trace)
        if seen:
            seen(judged)

    verified = verify_weights(model, loaded, weights, subject, see)
    recorded = _recorded(loaded)
    is_alone = verified.is_own and not recorded
    yield dataclasses.replace(verified, answer=answer(verified)) if is_alone else verified
    for each in recorded:
        other = verify_weights(model, loaded, weights, each, seen, computed)
        yield dataclasses.replace(other, answer=answer(verified, other))


def _mapped(maps: Sequence[str]) -> Dict[str, str]:
    """The names that --map gives, those of the model with those of the checkpoint."""
    mapped = {}
    for text in maps:
        name, equals, other = (part.strip().rstrip("/") for part in text.partition("="))
        if not (name and equals and other):
            raise click.UsageError("--map is NAME=NAME, the model's first, not {!r}".format(text))
        mapped[name] = other
    return mapped


def _recorded(loaded: own.AnyData) -> List[Subject]:
    """What something else has computed of a user's data, as a subject, if there is any of it."""
    found = loaded.recorded if isinstance(loaded, own.OwnData) else {}
    return [own.Recorded(found)] if found else []


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
    model: Model, loaded: Any, steps: Optional[int], seed: int, progress: Progress
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
        "models": {v.model: v.to_json() for v in verifications if not v.is_recorded},
    }
    recorded = {v.model: v.to_json() for v in verifications if v.is_recorded}
    if recorded:
        report["recorded"] = recorded
    write_json(path, report)


class _Seen:
    """What a page shows of the cases that were judged."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.growths: List[Growth] = []
        self.exhibits: List[Exhibit] = []

    def __call__(self, judged: JudgedTrace) -> None:
        case, _, verdict = judged
        self.tally.add(case, verdict)
        runs = {array.run for array in verdict.arrays}
        if runs == {TEACHER_FORCED, FREE_RUNNING} and not verdict.missing:
            # Beside a known divergence nothing is judged free-running.
            self.growths.append(growth("the validation rows of the trained models", [judged]))
        if verdict.status == DISAGREE:
            exhibit = Exhibit(way_of_failing(case, verdict), verdict.summary())
            self.exhibits.append(with_heat_maps(exhibit, case, verdict))


def _write_page(path: str, seed: int, seen: _Seen, verifications: List[Verification]) -> None:
    tables = [
        page.Table(
            heading=list(_heading(verified)),
            names=_columns(verified),
            rows=list(_rows(verified)),
            verdict=" ".join(
                filter(
                    None,
                    [
                        verified.summary + ".",
                        *verified.disagreements,
                        *verified.undecided,
                        verified.answer,
                    ],
                )
            ),
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
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    for row in _rows(verified):
        table.add_row(*row)
    console.print(table)
    verdict = Text("verdict: " + verified.summary, COLORS[verified.status])
    console.print(verdict, soft_wrap=True)
    for sentence in verified.disagreements + verified.undecided:
        console.print(Text("    " + sentence), soft_wrap=True)
    if verified.answer:
        console.print(Text(verified.answer), soft_wrap=True)
    console.print()


def _columns(verified: Verification) -> List[str]:
    if verified.is_recorded:
        title = "from {}".format(verified.versions["tensorflow"])
        return ["", "verdict", "largest difference", "in ULP", title, "in ULP"]
    if verified.is_own:
        return ["", "verdict", "largest difference", "in ULP"]
    subject = "TensorFlow {}".format(verified.versions["tensorflow"])
    return ["", subject, "NumPy oracle", "largest difference", "in ULP"]


def _rows(verified: Verification) -> Iterator[List[str]]:
    if verified.is_own:
        for name, status in verified.statuses.items():
            moved = _cells(verified.moved.get(name)) if verified.is_recorded else ()
            yield [name, status, *_cells(verified.differences.get(name)), *moved]
        return
    for name, form in (("accuracy", "{:.4f}"), ("loss", "{:.9g}")):
        sides = (form.format(getattr(side, name)) for side in (verified.subject, verified.oracle))
        yield [name, *sides, *_cells(verified.differences[name])]
    yield ["states", "", "", *_cells(verified.states())]
    yield ["scores", "", "", *_cells(verified.scores())]


def _cells(difference: Optional[Difference]) -> Tuple[str, str]:
    if difference is None:
        return "", ""
    return "{:.2g}".format(difference.absolute), "{:.3g}".format(difference.ulp)


def _heading(verified: Verification) -> Iterator[str]:
    sizes = dataclasses.asdict(verified.config)
    rows = sizes.pop("batch")
    by = "TensorFlow {}".format(verified.versions["tensorflow"])
    yield "{}: {}{}".format(
        verified.model,
        verified.data,
        ", as recorded" if verified.is_recorded else ", by " + by if verified.is_own else "",
    )
    yield "{} rows{}, {} parameters; {}".format(
        rows,
        "" if verified.is_own else " of validation",
        verified.parameters,
        ", ".join(
            name if size is True else "{} {}".format(name, size)
            for name, size in sizes.items()
            if size is not None and (size is True) <= verified.is_own and size is not False
        ),
    )
    weights = verified.weights
    if weights.steps is None:
        origin = "weights from {}".format(weights.origin)
    else:
        origin = "trained {} steps in {:.0f} s".format(weights.steps, weights.seconds)
    if weights.interrupted:
        origin += " (stopped by Ctrl-C, {} were planned)".format(weights.planned_steps)
    if verified.chance is not None:
        origin += "; the best constant answer has the accuracy {:.3f}".format(verified.chance)
    yield origin
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
