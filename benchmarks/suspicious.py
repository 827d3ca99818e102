"""What the statistical verdict finds that bounds do not, and how often it suspects what is right.

Right ports of tests/ports and the engines that there are, and ports with a mistake that is small
against the bounds of long sums, compute bidirectional RNNs of 4 to 256 units, of all regimes of
numbers. All cases are held against chance, and runs are drawn from them, with so many cases each,
the same case perhaps more than once (Efron's bootstrap). `rnndiff fuzz` holds one case in 16 or 32
against chance: a run of 32 such cases is one of 512 to 1,024.
Usage: ``python benchmarks/suspicious.py [--cases N] [--looks N] [--runs N] [--json FILE]``.
"""

import json
import os
import sys
from typing import NamedTuple

# Before NumPy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, "tests", "ports"))

import click
import numpy as np
from port import Port
from rich.console import Console
from rich.progress import track
from rich.table import Table
from styles import STYLES, Style
from test_precisions import reading, to_nearest, towards_zero

from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.cases.restriction import make_restriction
from rnndiff.harness.checking.verdicts import verdicts_on
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.chance import Figures, figures
from rnndiff.harness.judging.suspicion import Suspicion
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects.named import subject_named
from rnndiff.models import MODELS

MODEL = MODELS["bidirectional"]
UNITS = (4, 16, 64, 128, 256)
STATED_ULP = 2.0


def truncating(parts, kernel, bias):
    """A sum of which each addition cuts off what it has no room for."""
    inputs = np.concatenate(parts, axis=-1).astype(np.float64)
    total = np.zeros(inputs.shape[:-1] + kernel.shape[1:], np.float32)
    for k, row in enumerate(kernel.astype(np.float64)):
        total = towards_zero(inputs[..., k, None] * row + total)
    return towards_zero(total.astype(np.float64) + bias)


def worse_tanh(x):
    """A tanh that is off by three ULP more than is stated."""
    y = np.tanh(x)
    return y + np.float32(STATED_ULP + 3) * np.spacing(y)


class StatedTanh(Port):
    """A port that states how accurate its tanh is."""

    def arithmetic(self, case):
        """What it states."""
        return arithmetic("float32", {"tanh": Accuracy(STATED_ULP, 2.0**-126)})


RIGHT = ("as the oracle", "bias first", "fused multiply-add", "all at once")
ENGINES = ("tensorflow", "onnxruntime", "keras3")
WRONG = {
    "operands of 11 bits (TF32)": Port(Style(affine=reading(to_nearest, 11))),
    "operands of 18 bits": Port(Style(affine=reading(to_nearest, 18))),
    "operands of 20 bits": Port(Style(affine=reading(to_nearest, 20))),
    "sums cut off": Port(Style(affine=truncating)),
    "tanh 3 ULP worse than stated": StatedTanh(Style(tanh=worse_tanh)),
}


class Seen(NamedTuple):
    """Of the cases of a size: which are outside a bound, and of the others the figures."""

    config: object
    disagree: int
    of_arrays: dict


def subjects():
    """All that can be imported, by name, and whether they are right."""
    found = {name: (Port(STYLES[name]), True) for name in RIGHT}
    for name in ENGINES:
        try:
            found[name] = subject_named(name), True
        except UserError as error:
            print("{} is left out: {}".format(name, error), file=sys.stderr)
    found.update((name, (port, False)) for name, port in WRONG.items())
    return found


def cases_of(units, count):
    """Batches of cases with so many units."""
    sizes = {"num_units": units, "inputs": (1, max(1, units // 2)), "batch": (1, 3), "time": (1, 6)}
    restriction = make_restriction(MODEL, sizes, {"open_batch": False}, False)
    number = 0
    while count > 0:
        batch = random_batch(MODEL, 0, number, "float32", restriction, min(8, count))
        count, number = count - len(batch), number + 1
        yield batch


def seen(subject, units, count):
    """What is seen of a subject on so many cases."""
    parts, disagree, config = {}, 0, None
    for cases in cases_of(units, count):
        config = cases[0].config
        stacks, others = verdicts_on(subject, cases)
        disagree += sum(judged.verdict.status == DISAGREE for judged in others)
        for stack in stacks:
            for name, each in figures(stack, subject.arithmetic(cases[0])).items():
                parts.setdefault(name, []).append(each)
    joined = {name: Figures(*map(np.concatenate, zip(*x))) for name, x in parts.items()}
    return Seen(config, disagree, joined)


def suspicions(found, looks, runs, random):
    """Of each of so many runs what is suspicious, of so many cases each."""
    cases = max([each.squares.size for each in found.of_arrays.values()], default=0)
    for _ in range(runs if cases else 0):
        places = random.randint(cases, size=looks)
        run = Suspicion()
        drawn = {n: Figures(*[x[places] for x in each]) for n, each in found.of_arrays.items()}
        run.add_figures(MODEL.name, found.config, drawn)
        yield run.suspicious()


def largest(found):
    """The largest root mean square of an array over all cases."""
    squares = [each.squares[~np.isnan(each.squares)] for each in found.of_arrays.values()]
    return max([float(np.sqrt(np.mean(x))) for x in squares if x.size], default=float("nan"))


@click.command()
@click.option("--cases", default=48, show_default=True, help="Cases of each size.")
@click.option("--looks", default=32, show_default=True, help="Cases of a run.")
@click.option("--runs", default=300, show_default=True, help="Runs that are drawn of each.")
@click.option("--units", default=",".join(map(str, UNITS)), show_default=True)
@click.option("--json", "json_file", type=click.File("w"))
def main(cases, looks, runs, units, json_file):
    """Print the table."""
    random, sizes = np.random.RandomState(0), [int(each) for each in units.split(",")]
    table = Table("subject", *["{} units".format(each) for each in sizes])
    result, false, of_right = {}, 0, 0
    for name, (subject, is_right) in track(subjects().items(), console=Console(stderr=True)):
        row = []
        for size in sizes:
            found = seen(subject, size, cases)
            drawn = list(suspicions(found, looks, runs, random))
            share = sum(map(bool, drawn)) / max(len(drawn), 1)
            if is_right:
                false, of_right = false + sum(map(bool, drawn)), of_right + len(drawn)
            result.setdefault(name, {})[size] = {
                "cases outside a bound": found.disagree / cases,
                "suspicious runs": share if drawn else None,
                "root mean square": largest(found),
            }
            said = "{:.0%}, {}; {:.2f}"
            runs_said = "{:.0%}".format(share) if drawn else "-"
            row.append(said.format(found.disagree / cases, runs_said, largest(found)))
        table.add_row(name, *row)
    Console(width=130).print(table)
    print(
        "Of {} cases: how many are outside a bound, the share of {} runs of {} cases in which "
        "something is suspicious, and the largest root mean square of an array's errors over what "
        "they come to by chance.".format(cases, runs, looks)
    )
    print("False alarms: {} in {} runs of right subjects.".format(false, of_right))
    if json_file:
        json.dump(result, json_file, indent=2)


if __name__ == "__main__":
    main()
