"""Whether anything that the fuzzer finds is lost when its processes are killed or stopped.

Runs ``rnndiff fuzz`` with a mistake planted in TensorFlow's graphs, sends a signal to a worker, to
the parent or to all of them at a random moment, and looks at what is left: files, JSON, page and
words must be about the same cases, and no process may be left. A run that is asked to end must do
so in five seconds; that takes half a second of a processor, and on a busy machine it shows. Usage:
``python benchmarks/kills.py [--kills N] [--seed N] [--first N] [--jobs N] [--without-tensorflow]
[--json FILE]``; on Linux.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import click
from rich.console import Console
from rich.table import Table

from rnndiff.harness.cases.case import load
from rnndiff.harness.errors import UserError
from rnndiff.harness.files import write_json
from rnndiff.harness.report.describe import matrix

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Imported by every Python that starts.
PLANTED = """
from rnndiff.harness.quality.mistakes import MISTAKES
from rnndiff.harness.subjects import tensorflow as subjects

mistake = next(m for m in MISTAKES if m.name == "kernel-rows-swapped")
right = subjects.TensorFlow.__init__


def wrong(self, **options):
    right(self, build=mistake.build, **options)


subjects.TensorFlow.__init__ = wrong
"""
# The same with a port of the oracle in the place of TensorFlow: it starts in a second.
STAND_IN = """
import time

import numpy as np

from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects import Subject, tensorflow

EXACT = dict.fromkeys(("tanh", "exp", "log", "softmax"), Accuracy(10, 2.0**-125))


def narrowed(array):
    return array.astype("f4") if array.dtype.kind == "f" else array


class Port(Subject):
    label, version = "TensorFlow", (0, 0)

    def __init__(self, timeout=60.0):
        time.sleep(1.0)

    def __call__(self, case):
        time.sleep(0.003)
        wrong = "scores" if case.config.num_units > 2 else "loss"
        trace = {name: np.asarray(array) for name, array in case.oracle(np.float32).items()}
        trace[wrong] = trace[wrong] + np.float32(1)
        return {name: narrowed(array) for name, array in trace.items()}

    def fresh(self):
        return self

    def arithmetic(self, case):
        return arithmetic("float32", EXACT)


tensorflow.TensorFlow = Port
"""
# All descendants have it in their environment.
MARK = "RNNDIFF_KILLS"
REPORT = re.compile(r"(?s)(?<=\n).*?^saved as (\S+?); [^\n]*\n(not shrunk[^\n]*\n)?", re.M)
# Seconds of judging, and how long after its workers were started a run is hit at the latest.
JUDGES, LATEST = 30.0, 15.0
# Seconds that a run may take after Ctrl-C, and processes after their parent: a worker that is being
# started must first come to where it sees that.
ENDS, VANISH = 5.0, 5.0
WISHES = ("SIGINT", "SIGINT twice", "SIGTERM", "SIGHUP")
DEADLY = ("SIGKILL", "SIGSEGV")
HITS = [
    *((name, "worker") for name in (*DEADLY, "SIGTERM", "SIGSTOP, SIGCONT")),
    *((name, "parent") for name in (*DEADLY, *WISHES, "SIGSTOP, SIGCONT")),
    *((name, "group") for name in (*DEADLY, *WISHES, "SIGSTOP, SIGCONT")),
]


def marked(mark):
    """The processes that have the mark, and are no zombies."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open("/proc/{}/environ".format(name), "rb") as file:
            if "{}={}".format(MARK, mark).encode() in file.read().split(b"\0"):
                yield int(name)


def workers(mark, parent):
    """The processes that judge."""
    for pid in marked(mark):
        with contextlib.suppress(OSError), open("/proc/{}/cmdline".format(pid), "rb") as file:
            if pid != parent and b"spawn_main" in file.read():
                yield pid


def hit(name, target, run, mark, chance):
    """Send a signal, or two; when that was, or None if there was nobody any more."""
    pids = [run.pid]
    if target == "worker":
        alive = sorted(workers(mark, run.pid))
        pids = [chance.choice(alive)] if alive else []
    send = os.killpg if target == "group" else os.kill
    first, _, second = name.replace(" twice", ", SIGINT").partition(", ")
    # A stop outlasts the time of judging; a second Ctrl-C comes at once.
    pause = JUDGES + 2.0 if second == "SIGCONT" else chance.uniform(0.02, 0.3)
    sent = time.monotonic()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            send(pid, getattr(signal, first))
            if second:
                time.sleep(pause)
                send(pid, getattr(signal, second))
    return sent


def left_over(mark):
    """The processes that are still there after a while."""
    until = time.monotonic() + VANISH
    while list(marked(mark)) and time.monotonic() < until:
        time.sleep(0.05)
    return list(marked(mark))


def complaints(folder, killed, out):
    """What does not hold of the files, JSON, page and words of a run, in sentences."""
    failures = os.path.join(folder, ".rnndiff", "failures")
    names = os.listdir(failures) if os.path.isdir(failures) else []
    paths = sorted(os.path.join(".rnndiff", "failures", n) for n in names if n.endswith(".npz"))
    cases = {}
    for path in paths:
        try:
            cases[path] = load(os.path.join(folder, path)).case
        except UserError as error:
            yield str(error)
    if killed:
        return
    try:
        with open(os.path.join(folder, "run.json")) as file:
            found = json.load(file)
        with open(os.path.join(folder, "run.html"), encoding="utf-8") as file:
            page = unescape(file.read())
    except OSError as error:
        yield str(error)
        return
    listed = {each["path"]: each for each in found["failures"] if each["path"]}
    if sorted(listed) != paths:
        yield "on disk are {}, in JSON {}".format(paths, sorted(listed))
    if found["cases"]["disagree"] < len(listed):
        yield "{} failures, but {}".format(len(listed), found["cases"])
    # Each report ends with its path, and a line on why it is not shrunk, if it is not.
    reports = {match.group(1): match.group() for match in REPORT.finditer(out)}
    for path, case in cases.items():
        said = reports.get(path, "")
        texts = ["{} {} =\n{}".format(n, list(a.shape), matrix(a)) for n, a in case.arrays.items()]
        for where, text in (("words", said), ("page", page)):
            if path not in text or not all(each in text for each in texts):
                yield "{} is not in the {} as it is on disk".format(path, where)
        shrunk = path in listed and listed[path]["shrunk"]
        if shrunk == ("not shrunk" in said) or shrunk == ("-unshrunk-" in path):
            yield "{} is said to be shrunk: {}".format(path, shrunk)


def attempt(number, seed, planted):
    """Start a run and hit it: the signal, its target, seconds to the end if asked to, failures."""
    name, target = HITS[number % len(HITS)]
    chance = random.Random("{}-{}".format(seed, number))
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "sitecustomize.py"), "w") as file:
            file.write(planted)
        # No package would be found beside the files that are written.
        path = os.pathsep.join([folder, ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-W", "ignore", "-m", "rnndiff", "fuzz", "--workers", "2"]
        command += ["--time", str(JUDGES), "--seed", str(chance.randrange(2**32))]
        command += ["--json", "run.json", "--report", "run.html"]
        streams = [open(os.path.join(folder, name), "w+") for name in ("out", "err")]
        run = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(os.environ, PYTHONPATH=path, **{MARK: mark}),
            stdout=streams[0],
            stderr=streams[1],
            start_new_session=True,
        )
        # At any time, or once there is something to lose.
        late_enough = chance.random() < 0.7
        found = os.path.join(folder, ".rnndiff", "failures")
        while not (list(workers(mark, run.pid)) and (os.path.isdir(found) or not late_enough)):
            if run.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(chance.uniform(0, LATEST / 2 if late_enough else LATEST))
        late = run.poll() is not None
        sent = hit(name, target, run, mark, chance)
        wrong, took = [], None
        try:
            run.wait(120)
        except subprocess.TimeoutExpired:
            wrong.append("it does not end")
        if not late and name in WISHES and target != "worker":
            took = time.monotonic() - sent
        left = left_over(mark)
        if left:
            wrong.append("{} processes are left".format(len(left)))
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        texts = []
        for stream in streams:
            stream.seek(0)
            texts.append(stream.read())
            stream.close()
        killed = not late and name in DEADLY and target != "worker"
        if "Traceback" in texts[1]:
            wrong.append("a traceback: {}".format(texts[1][-2000:]))
        wrong.extend(complaints(folder, killed, texts[0]))
        # The machine may be too busy for a batch.
        none = "No case was judged" in texts[1]
        if not killed and run.returncode not in ((1, 2, 130) if none else (0, 1)):
            wrong.append("exit status {}: {}".format(run.returncode, texts[1][-500:]))
        count = len(os.listdir(found)) if os.path.isdir(found) else 0
    if late:
        name, target = "too late", "-"
    return dict(signal=name, target=target, seconds=took, failures=count, wrong=wrong)


@click.command()
@click.option("--kills", default=200, show_default=True, help="How many runs are hit.")
@click.option("--seed", default=1, show_default=True)
@click.option("--first", default=0, help="The number of the first run.")
@click.option("--jobs", default=2, show_default=True, help="Runs at the same time.")
@click.option("--without-tensorflow", is_flag=True, help="Run a port of the oracle instead.")
@click.option("--json", "json_path", metavar="FILE", help="Write the result as JSON.")
def main(kills, seed, first, jobs, without_tensorflow, json_path):
    """Kill and stop runs of the fuzzer, and see whether anything is lost."""
    # What a shell starts in the background ignores Ctrl-C, and so would the runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console(stderr=True)
    results = []
    with ThreadPoolExecutor(jobs) as pool:
        numbers = range(first, first + kills)
        planted = STAND_IN if without_tensorflow else PLANTED
        runs = pool.map(attempt, numbers, [seed] * kills, [planted] * kills)
        for number, result in zip(numbers, runs):
            results.append(result)
            console.print(number, str(result), highlight=False, markup=False, soft_wrap=True)
            if json_path:
                write_json(json_path, results)
    names = "signal", "target", "tries", "failures on disk", "slowest end, s", "in time", "all held"
    table = Table(*names)
    groups = defaultdict(list)
    for result in results:
        groups[result["signal"], result["target"]].append(result)
    for (name, target), group in groups.items():
        ends = [r["seconds"] for r in group if r["seconds"] is not None]
        table.add_row(
            name,
            target,
            str(len(group)),
            str(sum(r["failures"] for r in group)),
            "{:.1f}".format(max(ends)) if ends else "",
            "{} of {}".format(sum(end <= ENDS for end in ends), len(ends)) if ends else "",
            "yes" if not any(r["wrong"] for r in group) else "NO",
        )
    Console().print(table)
    late = any((result["seconds"] or 0) > ENDS for result in results)
    raise SystemExit(late or any(result["wrong"] for result in results))


if __name__ == "__main__":
    main()
