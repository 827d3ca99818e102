"""What ``rnndiff ulp --subject`` does: measure the functions of any subject, and state them."""

import math
from typing import Any, Dict, List, Optional, Tuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import measure
from harness.accuracy import Accuracy
from harness.errors import UserError
from harness.files import write_json
from harness.measure import Sample, Sums
from harness.subjects.named import subject_named
from harness.versions import versions
from models import MODELS

JSON_FORMAT = 1


def run(name: str, models: Tuple[str, ...], count: int, json_path: Optional[str]) -> int:
    """Measure the subject of that name, print or write the results, and return the exit status.

    Raises
    ------
    UserError
        If there is no such subject, or it does not compute the models.
    """
    subject = subject_named(name)
    reasons = measure.reasons_against(subject, models or tuple(MODELS))
    computed = tuple(model for model, reason in reasons.items() if not reason)
    for model, reason in reasons.items():
        if reason and (models or not computed):
            raise UserError("{} does not compute {}: {}.".format(name, model, reason))
    console = Console(stderr=json_path == "-")
    samples: List[Sample] = []
    sums: List[Sums] = []
    with console.status("measuring ...") as status:
        for sample in measure.samples(subject, computed, count):
            samples.append(sample)
            status.update("measured {} in {}".format(sample.function, sample.place))
        for each in measure.sums(subject, computed):
            sums.append(each)
            status.update("measured where the bias is added in {}".format(each.place))
    accuracies = _accuracies(samples)
    bias_anywhere = any(each.not_last for each in sums)
    for model, reason in reasons.items():
        if reason:
            console.print(Text("{} is not measured: {}".format(model, reason)))
    console.print(_table(name, samples, sums))
    wrong = {f: a for f, a in accuracies.items() if not a.ulp < math.inf}
    for function in wrong:
        console.print(Text("{} has no accuracy: an argument is infinitely wrong".format(function)))
    if not wrong:
        console.print(_origin(samples, sums, accuracies), highlight=False, soft_wrap=True)
        console.print(
            Text("\n" + measure.statement(accuracies, bias_anywhere)),
            highlight=False,
            soft_wrap=True,
        )
    if json_path:
        write_json(json_path, _to_json(name, samples, sums, accuracies, bias_anywhere))
    return 1 if wrong else 0


def _accuracies(samples: List[Sample]) -> Dict[str, Accuracy]:
    """What is to be stated of each function."""
    of_each: Dict[str, List[Sample]] = {}
    for sample in samples:
        of_each.setdefault(sample.function, []).append(sample)
    if "tanh" not in of_each:
        # It is the only one that there is.
        of_each = {"tanh" if f == "affine tanh" else f: part for f, part in of_each.items()}
    fits = {function: measure.fitted(part) for function, part in of_each.items()}
    return {f: measure.stated(a) if a.ulp < math.inf else a for f, a in fits.items()}


def _table(name: str, samples: List[Sample], sums: List[Sums]) -> Table:
    title = "Accuracy of {}, in ULP (float32; of what is not flushed to zero)".format(name)
    table = Table(box=box.SIMPLE_HEAD, padding=0, title=Text(title), title_justify="left")
    table.add_column("function", no_wrap=True)
    table.add_column("seen in")
    for heading in ("arguments", "worst ULP", "at", "largest error"):
        table.add_column(heading, justify="right", no_wrap=True)
    for sample in samples:
        worst, at = sample.worst()
        table.add_row(
            sample.function,
            sample.place,
            "{:,}".format(len(sample.at)),
            "{:.4g}".format(worst),
            "{:.9g}".format(at),
            "{:.2g}".format(sample.absolute()),
        )
    for each in sums:
        found = "{} not last".format(each.not_last) if each.not_last else "last"
        table.add_row("bias", each.place, "{:,} sums".format(each.sums), found, "", "")
    return table


def _origin(samples: List[Sample], sums: List[Sums], accuracies: Dict[str, Accuracy]) -> str:
    """Where the statement comes from, as a comment to be pasted with it."""
    at_hand = versions()
    return (
        "# As `rnndiff ulp --subject` measured on {:,} arguments and {:,} sums, a quarter added;\n"
        "# processor: {}".format(
            sum(len(sample.at) for sample in samples),
            sum(each.sums for each in sums),
            at_hand.get("processor", at_hand["platform"]),
        )
    )


def _to_json(
    name: str,
    samples: List[Sample],
    sums: List[Sums],
    accuracies: Dict[str, Accuracy],
    bias_anywhere: bool,
) -> Dict[str, Any]:
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
            for sample in samples
        ],
        "biases": [each._asdict() for each in sums],
        "stated": {
            "functions": {f: [number(x) for x in accuracy] for f, accuracy in accuracies.items()},
            "bias_anywhere": bias_anywhere,
        },
    }
