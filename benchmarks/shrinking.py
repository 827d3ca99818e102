"""How far, how fast and to how many different cases shrinking goes.

In the manner of shrinking-challenge: a mistake is planted in a TensorFlow graph and found from many
seeds, each in the random cases that ``rnndiff fuzz`` makes of it; what is found first is shrunk as
a fuzzer's worker shrinks it, its evaluations and seconds are counted from there, and so is into how
many different cases the seeds' failures shrink. Two cases are the same if model, config and arrays
are, bit for bit: -0.0 is not 0.0. A mistake may show in more than one way of failing (such as in
the encoder's states or the decoder's), which shrinking keeps to: "ways" is how many the seeds met,
and no fewer cases can be left. Each seed starts with no graph but that of what it found. Of
evaluations ("tried") and seconds the table has the median and the largest, of sizes the largest
number of steps, rows and units. Usage:
``python benchmarks/shrinking.py [--seeds N] [--json FILE]``.
"""

import json
from collections import Counter
from statistics import median
from time import perf_counter

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.checking.check import EVALUATIONS
from rnndiff.harness.checking.verdicts import fails, verdict_on, way_of_failing
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.quality.mistakes import MISTAKES
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.shrinking.simplicity import fingerprint
from rnndiff.harness.subjects.tensorflow import TensorFlow

PLANTED = (
    ("kernel-rows-swapped", "seq2seq"),
    ("bias-left-out", "seq2seq"),
    ("backward-not-reversed-back", "bidirectional"),
    ("softmax-over-batch", "bidirectional"),
    ("window-not-shifted", "attention"),
    ("decoder-from-zero-attention", "attention"),
)
BATCHES = 30


def first_failing(subject, model, seed):
    """The first of a seed's random cases that fails and its way of failing, or None."""
    for number in range(BATCHES):
        for case in random_batch(model, seed, number):
            verdict, _ = verdict_on(subject, case)
            if verdict.status == DISAGREE:
                return case, way_of_failing(case, verdict)
    return None


def shrunk(mistake, model, seed):
    """What becomes of what the seed finds, or None if that is nothing."""
    subject = TensorFlow(build=mistake.build)
    found = first_failing(subject, model, seed)
    if found is None:
        return None
    case, way = found
    subject = TensorFlow(build=mistake.build)
    verdict_on(subject, case)
    started = perf_counter()
    shrinker = Shrinker(case, lambda candidate: fails(subject, way, candidate), EVALUATIONS)
    smallest = shrinker.run()
    seconds = perf_counter() - started
    return {
        "way": way,
        "evaluations": shrinker.used,
        "seconds": seconds,
        "case": fingerprint(smallest).hex(),
        "words": words(smallest),
        "rows": smallest.config.batch,
        "steps": max(smallest.config.time, getattr(smallest.config, "output_time", 1)),
        "units": smallest.config.num_units,
        "simple": float(np.mean(np.isin(numbers(smallest), (0.0, 1.0)))),
    }


def numbers(case):
    """All numbers of a case but the labels."""
    return np.concatenate([x.ravel() for name, x in case.arrays.items() if name != "labels"])


def words(case):
    """The case in one line: the sizes that are not 1, the arrays that are not 0."""
    sizes = ["{} {}".format(name, n) for name, n in case.config.sizes().items() if n != 1]
    arrays = [
        "{} {}".format(name, " ".join("{:g}".format(x) for x in array.ravel()))
        for name, array in case.arrays.items()
        if name != "labels" and array.any()
    ]
    return "; ".join(sizes + arrays)


def summary(seeds):
    """The figures of one mistake, of what :func:`shrunk` says of each seed."""
    found = [seed for seed in seeds if seed]
    forms = Counter(seed["case"] for seed in found)
    return {
        "found": len(found),
        "ways": len({seed["way"] for seed in found}),
        "different": len(forms),
        "commonest": forms.most_common(1)[0][1],
        "words": next(s["words"] for s in found if s["case"] == forms.most_common(1)[0][0]),
        "simple": float(np.mean([seed["simple"] for seed in found])),
        "median": {name: median(s[name] for s in found) for name in ("evaluations", "seconds")},
        "largest": {
            name: max(seed[name] for seed in found)
            for name in ("evaluations", "seconds", "steps", "rows", "units")
        },
    }


@click.command()
@click.option("--seeds", default=50, show_default=True, help="Searches for each mistake.")
@click.option("--json", "json_file", type=click.File("w"))
def main(seeds, json_file):
    """Print the table of what is left of each mistake."""
    mistakes = {mistake.name: mistake for mistake in MISTAKES}
    result = {}
    for name, model in PLANTED:
        each = track(range(seeds), description=name, console=Console(stderr=True))
        of_seeds = [shrunk(mistakes[name], model, seed) for seed in each]
        if any(of_seeds):
            result[name] = dict(summary(of_seeds), model=model, seeds=of_seeds)
    figures_of = ("found", "ways", "cases", "tried", "seconds", "sizes", "0 or 1")
    columns = [Column(title, no_wrap=True) for title in figures_of]
    table = Table(Column("mistake", overflow="fold"), *columns)
    for name, figures in result.items():
        middle, largest = figures["median"], figures["largest"]
        table.add_row(
            name,
            str(figures["found"]),
            str(figures["ways"]),
            str(figures["different"]),
            "{:.0f}, {}".format(middle["evaluations"], largest["evaluations"]),
            "{:.1f}, {:.1f}".format(middle["seconds"], largest["seconds"]),
            "{steps}, {rows}, {units}".format(**largest),
            "{:.1%}".format(figures["simple"]),
        )
    Console().print(table)
    for name, figures in result.items():
        line = "{}, {} times: {}".format(name, figures["commonest"], figures["words"])
        Console().print(line, soft_wrap=True)
    if result:
        different = median(figures["different"] for figures in result.values())
        Console().print("cases, median over the mistakes: {:g}".format(different))
    if json_file:
        json.dump(result, json_file, indent=2)


if __name__ == "__main__":
    main()
