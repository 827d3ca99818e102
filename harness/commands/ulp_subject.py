"""What ``rnndiff ulp --subject`` does: measure the functions of any subject, and state them."""

import math
from typing import Any, Dict, Optional, Tuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnndiff.harness.errors import UserError
from rnndiff.harness.files import write_json
from rnndiff.harness.subjects import measure
from rnndiff.harness.subjects.measure.samples import Measurement
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.versions import versions
from rnndiff.models import ARTICLE

JSON_FORMAT = 1
_TITLE = (
    "Accuracy of {}, in ULP of float32 (of what is not flushed to zero; near 0, where an ULP is "
    "tiny, the least error is many)"
)


def run(
    name: str,
    models: Tuple[str, ...],
    functions: Tuple[str, ...],
    count: int,
    json_path: Optional[str],
    mode: str = "",
) -> int:
    """Measure the subject of that name, print or write the results, and return the exit status.

    Raises
    ------
    UserError
        If there is no such subject, or it does not compute the models.
    """
    subject = subject_named(name, mode=mode)
    reasons = measure.reasons_against(subject, models or ARTICLE)
    computed = tuple(model for model, reason in reasons.items() if not reason)
    for model, reason in reasons.items():
        if reason and (models or not computed):
            raise UserError("{} does not compute {}: {}.".format(name, model, reason))
    console = Console(stderr=json_path == "-")
    with console.status("measuring ...") as status:

        def report(what: str) -> None:
            status.update("measured {}".format(what))

        chosen = functions or measure.FUNCTIONS
        measured = measure.measure_subject(subject, computed, count, chosen, report)
    for model, reason in reasons.items():
        if reason:
            console.print(Text("{} is not measured: {}".format(model, reason)))
    console.print(Text(_TITLE.format(name)), soft_wrap=True)
    console.print(_table(measured))
    if measured.softmax_depends_on_scores:
        console.print(
            Text(
                "softmax is not to be stated: its error grows with the scores, as that of "
                "exp(s - log(sum(exp(s)))) does, which is allowed where nothing is stated"
            )
        )
    wrong = [f for f, accuracy in measured.accuracies().items() if not accuracy.ulp < math.inf]
    for function in wrong:
        console.print(Text("{} has no accuracy: an argument is infinitely wrong".format(function)))
    if not wrong:
        text = Text("{}\n{}".format(_origin(measured), measured.statement()))
        console.print(text, soft_wrap=True)
    if json_path:
        write_json(json_path, _to_json(name, measured))
    return 1 if wrong else 0


def _table(measured: Measurement) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("function")
    table.add_column("seen in", overflow="fold")
    for heading in ("arguments", "worst ULP", "at", "largest error"):
        table.add_column(heading, justify="right")
    for sample in measured.samples:
        worst, at = sample.worst()
        table.add_row(
            sample.function,
            sample.place,
            "{:,}".format(len(sample.at)),
            "{:.4g}".format(worst),
            "{:.6g}".format(at),
            "{:.2g}".format(sample.absolute()),
        )
    for each in measured.sums:
        found = "{} not last".format(each.not_last) if each.not_last else "last"
        table.add_row("bias", each.place, "{:,} sums".format(each.sums), found, "", "")
    return table


def _origin(measured: Measurement) -> str:
    """Where the statement comes from, as a comment to be pasted with it."""
    at_hand = versions()
    return (
        "# As `rnndiff ulp --subject` measured on {:,} arguments and {:,} sums, and half as much\n"
        "# again; processor: {}".format(
            sum(len(sample.at) for sample in measured.samples),
            sum(each.sums for each in measured.sums),
            at_hand.get("processor", at_hand["platform"]),
        )
    )


def _to_json(name: str, measured: Measurement) -> Dict[str, Any]:
    def number(value: float) -> Any:
        return value if math.isfinite(value) else str(value)

    return {
        "format": JSON_FORMAT,
        "subject": name,
        "versions": versions(),
        "functions": [
            {
                "function": sample.function,
                "place": sample.place,
                "arguments": len(sample.at),
                "ulp": number(sample.worst()[0]),
                "at": number(sample.worst()[1]),
                "absolute": number(sample.absolute()),
            }
            for sample in measured.samples
        ],
        "biases": [each._asdict() for each in measured.sums],
        "stated": {
            "functions": {
                f: [number(x) for x in accuracy] for f, accuracy in measured.accuracies().items()
            },
            "bias_anywhere": measured.bias_anywhere,
        },
    }
