"""How long a verdict takes: both runs of the oracle with bounds, and the comparison.

The subject is the oracle itself in float32, so that no TensorFlow is needed. The ratio to a plain
float64 run of the oracle depends less on the processor than the times do; it is that of the best
times, which other processes disturb least. The last figure is what it takes to hold errors against
chance, which is done to one case in some, of the time of all verdicts in stacks. Usage:
``python benchmarks/verdict.py [--runs N] [--json FILE]``.
"""

import json
import os
from dataclasses import replace
from statistics import median
from time import perf_counter

# Before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.harness.judging.chance import figures
from rnndiff.harness.judging.suspicion import looks_every
from rnndiff.harness.judging.verdict import judge, judge_stacks
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects.tensorflow.accuracy import XEON, Place, accuracy_of
from rnndiff.models import ARTICLE, MODELS

SMALL = dict(batch=2, time=5, output_time=3, inputs=3, outputs=4, num_units=4, attn_length=2)
NEWEST = Place((2, 21), XEON, "amx")
KERNELS = {
    "tanh": ("tanh", "Tanh"),
    "affine tanh": ("fused tanh", "_MklNativeFusedMatMul"),
    "softmax": ("softmax", "_MklSoftmax"),
    "log": ("log", "Log"),
}
# Neither contractive nor chaotic.
GAIN = 0.5
STACK = 16


def sizes(model):
    """The configs to be measured, by name."""
    fields = model.Config.__dataclass_fields__
    return {
        "small": model.Config(**{name: size for name, size in SMALL.items() if name in fields}),
        "article": replace(model.article, batch=8),
    }


def times(function, runs):
    """Milliseconds that a call takes, median and best; the first one is not counted."""
    taken = []
    for _ in range(runs + 1):
        start = perf_counter()
        function()
        taken.append(1e3 * (perf_counter() - start))
    return {"median": median(taken[1:]), "best": min(taken[1:])}


def measure(model, config, runs):
    """What is measured for one row of the table."""
    case = normal_case(np.random.RandomState(0), model, config, GAIN)
    trace = case.oracle(np.float32)
    functions = {name: accuracy_of(*kernel, NEWEST) for name, kernel in KERNELS.items()}
    a = arithmetic("float32", functions, bias_anywhere=False)
    (stack,) = judge_stacks([case] * STACK, [trace] * STACK, a)
    return {
        "elements": sum(array.size for array in trace.values()),
        "oracle": times(lambda: case.oracle(np.float64), runs),
        "verdict": times(lambda: judge(case, trace, a), runs),
        "stacked": times(lambda: judge_stacks([case] * STACK, [trace] * STACK, a), runs // 5),
        "chance": times(lambda: figures(stack, a), runs // 5),
        "looked at every": looks_every(config),
        "status": judge(case, trace, a).status,
    }


@click.command()
@click.option("--runs", default=100, show_default=True, help="Runs of a small case.")
@click.option("--json", "json_file", type=click.File("w"))
def main(runs, json_file):
    """Print a table of times."""
    result = {}
    table = Table(
        "model",
        "size",
        "elements",
        "oracle ms",
        "verdict ms",
        "best ms",
        "ratio",
        "in a stack of {}".format(STACK),
        "chance",
        "",
    )
    for name in ARTICLE:
        model = MODELS[name]
        for size, config in sizes(model).items():
            row = measure(model, config, runs if size == "small" else max(5, runs // 10))
            result["{}, {}".format(name, size)] = row
            plain, verdict = row["oracle"], row["verdict"]
            table.add_row(
                name,
                size,
                str(row["elements"]),
                "{:.2f}".format(plain["best"]),
                "{:.2f}".format(verdict["median"]),
                "{:.2f}".format(verdict["best"]),
                "{:.1f}".format(verdict["best"] / plain["best"]),
                "{:.2f}".format(row["stacked"]["median"] / STACK),
                "{:.1%}".format(
                    row["chance"]["best"] / row["stacked"]["best"] / row["looked at every"]
                ),
                row["status"],
            )
    Console().print(table)
    if json_file:
        json.dump(result, json_file, indent=2)


if __name__ == "__main__":
    main()
