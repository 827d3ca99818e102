"""How often a port with a known mistake is told which one, and how soon.

Each mistake of the catalogue is planted in the oracle of a model that can have it, and what comes
of it is computed in float32 as ports do: by products of matrices, by loops that start from the
bias, or by einsum, and as one that returns nothing but its outputs or scores. The first of the
random cases on which such a port disagrees is diagnosed, as ``rnndiff check`` diagnoses what it has
shrunk, for ten seconds at most. Mistakes that the cases cannot tell apart are named together: a
port is well told if the right one is among three at most. Usage:
``python benchmarks/diagnosis.py [NAME]... [--json FILE]``.
"""

import os
import sys
import time
from statistics import median

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rnndiff.harness.cases.random_cases import model_named, random_batch
from rnndiff.harness.checking.verdicts import verdicts_on
from rnndiff.harness.diagnosis.catalogue import CATALOGUE
from rnndiff.harness.diagnosis.diagnose import diagnose
from rnndiff.harness.diagnosis.planting import plant_in
from rnndiff.harness.files import write_json
from rnndiff.harness.judging.plan import as_tracked
from rnndiff.harness.judging.tracked import Choice, TrackedArray, held_in
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.quality.power import ORACLE, tasks_of
from rnndiff.harness.subjects import Subject
from rnndiff.models.functions import accumulate, affine

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests", "ports"))
from styles import bias_first, einsum, product_then_bias  # noqa: E402

BATCHES, MOST_NAMED = 40, 3


STYLES = {"products": product_then_bias, "loops": bias_first, "einsum": einsum}


class Run:
    """A run of an oracle in which sums of products are computed in a style."""

    def __init__(self, style):
        self._style = style

    def constant(self, array):
        """An array, to be computed with."""
        return None if array is None else TrackedArray(self, array)

    def move(self, function, args, kwargs):
        """As NumPy does."""
        held = self._held(function, args, kwargs)
        if isinstance(held, (list, tuple)):
            return [TrackedArray(self, each) for each in held]
        return TrackedArray(self, held)

    def make(self, function, args, kwargs):
        """In the style, if it is a sum of products and more."""
        if function in (affine, accumulate):
            (x, kernel, *terms), _ = held_in(args, kwargs)
            held = self._style([x], kernel, terms[0] if terms else np.float32(0))
            for term in terms[1:]:
                held = held + term
            return TrackedArray(self, held)
        made = Choice if function is np.argmax else TrackedArray
        return made(self, self._held(function, args, kwargs))

    def values(self, array):
        """Those of an arg max, to be an index."""
        return array.held

    def _held(self, function, args, kwargs):
        values, by_name = held_in(args, kwargs)
        return function(*values, **by_name)


class PlantedPort(Subject):
    """A port in a style with a mistake; it may return no more than what most ports do."""

    def __init__(self, mistake, style, is_brief=False):
        self._mistake, self._style, self._is_brief = mistake, style, is_brief

    def __call__(self, case):
        """What it computes of a case."""
        run, planted = Run(self._style), plant_in([case], self._mistake)[0]
        with np.errstate(all="ignore"):
            given, data = ([run.constant(x) for x in y] for y in (case.parameters, case.data))
            found = planted.model.compute(planted.config, given, *data)
        trace = {name: as_tracked(run, array).held for name, array in found.items()}
        if self._is_brief:
            name = next(name for name in ("scores", "outputs") if name in trace)
            return {name: trace[name]}
        return trace

    def arithmetic(self, case):
        """What is presumed of any port."""
        return arithmetic("float32")


def diagnose_planted(mistake, model, style, is_brief):
    """Of a port with the mistake, how many are named, whether it is one of them, and seconds."""
    port = PlantedPort(mistake, style, is_brief)
    for number in range(BATCHES):
        judged = verdicts_on(port, random_batch(model, 0, number))[1]
        # Where weights of another shape are read, an error says what is wrong.
        failing = [each for each in judged if each.trace and each.verdict.status == DISAGREE]
        if failing:
            began = time.monotonic()
            found = diagnose(port, model, failing[0].case)
            names = [each.name for each in found.explained_by]
            return {
                "named": len(names),
                "right": mistake.name in names,
                "finished": found.tried == found.known,
                "seconds": time.monotonic() - began,
            }
    return None


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "path", metavar="FILE", help="Write the figures as JSON.")
def main(names, path):
    """Print the table."""
    mistakes = {each.name: each for each in CATALOGUE}
    ports = [(name, style, False) for name, style in STYLES.items()]
    ports.append(("outputs alone", product_then_bias, True))
    tasks = tasks_of(names, places=(ORACLE,))
    result = {}
    for task in track(tasks, console=Console(stderr=True)):
        for name, style, is_brief in ports:
            found = diagnose_planted(
                mistakes[task.mistake], model_named(task.model), style, is_brief
            )
            result.setdefault(name, {})[task.mistake] = found
        if path:
            write_json(path, result)
    table = Table("port", "mistakes", "shown", "named", "of three at most", "s, median", "largest")
    for name, found in result.items():
        shown = [each for each in found.values() if each]
        few = [each for each in shown if each["right"] and each["named"] <= MOST_NAMED]
        seconds = [each["seconds"] for each in shown] or [0.0]
        table.add_row(
            *(name, str(len(found)), str(len(shown)), str(sum(x["right"] for x in shown))),
            "{} ({:.1%})".format(len(few), len(few) / max(len(shown), 1)),
            *("{:.1f}".format(each) for each in (median(seconds), max(seconds))),
        )
    Console().print(table)
    for name, found in result.items():
        for mistake, each in found.items():
            if not each or not each["right"] or each["named"] > MOST_NAMED:
                print("{}: {}: {}".format(name, mistake, each or "never shown"))


if __name__ == "__main__":
    main()
