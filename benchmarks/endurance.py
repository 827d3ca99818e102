"""Whether a long run leaks or slows down: many configs, one after the other, in one process.

The cases are the fuzzer's own. A case is timed without the graph of its config, which is timed by
itself. The memory is that of the process at the end of each part. Usage:
``python benchmarks/endurance.py [--configs N] [--cases N] [--json FILE]``; on Linux.
"""

import os
from collections import defaultdict
from itertools import count
from statistics import median
from time import perf_counter

# Before NumPy and TensorFlow are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.files import write_json
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.subjects.tensorflow import GRAPHS_KEPT, TensorFlow
from rnndiff.models import ARTICLE

PARTS = 10
SEED = 1


def resident():
    """MiB that the process has in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def batches(subject, size):
    """Batches of so many cases, each of a new config, of the article's models in turn."""
    seen = set()
    for number in count():
        name = ARTICLE[number % len(ARTICLE)]
        cases = random_batch(name, SEED, number)[:size]
        key = name, cases[0].config
        if key not in seen and subject.ended_by(cases[0]) is None:
            seen.add(key)
            # Larger configs have fewer cases in a batch.
            yield [cases[k % len(cases)] for k in range(size)]


def parts(configs, cases, graphs_kept):
    """Run them; the figures of each part."""
    subject = TensorFlow(graphs_kept=graphs_kept)
    check = Checker(subject, Tally())
    source = batches(subject, cases // configs)
    for part in track(range(PARTS), "judging", console=Console(stderr=True), transient=True):
        spent = defaultdict(list)
        for _ in range(configs // PARTS):
            batch = next(source)
            started = perf_counter()
            check(batch[:1])
            built = perf_counter()
            check(batch[1:])
            spent["first"].append(1e3 * (built - started))
            spent["other"].append(1e3 * (perf_counter() - built) / max(len(batch) - 1, 1))
        yield dict(
            {name: median(times) for name, times in spent.items()},
            cases=(part + 1) * (configs // PARTS) * (cases // configs),
            resident=resident(),
        )


@click.command()
@click.option("--configs", default=2000, type=click.IntRange(min=PARTS))
@click.option("--cases", default=20000, type=click.IntRange(min=PARTS))
@click.option("--graphs-kept", default=GRAPHS_KEPT, type=click.IntRange(min=1))
@click.option("--json", "path", metavar="FILE", help="Write the figures as JSON.")
def main(configs, cases, graphs_kept, path):
    """Judge so many CASES over so many CONFIGS, and print time and memory along the way."""
    table = Table("cases", "MiB", "ms, first case of a config", "ms, each other case")
    found = list(parts(configs, cases, graphs_kept))
    for part in found:
        figures = (part["resident"], part["first"], part["other"])
        table.add_row(str(part["cases"]), *["{:.4g}".format(figure) for figure in figures])
    Console().print(table)
    if path:
        write_json(path, found)


if __name__ == "__main__":
    main()
