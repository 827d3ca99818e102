"""Whether pytest tells all that it found, whatever ends it or one of its processes, and when.

Each run judges graphs with planted mistakes in two workers, in a folder of its own. At a random
moment one of its processes, or all, get a signal. What a run that was ended could not tell is to be
told by the next one in the same folder. Usage:
``python benchmarks/kills_pytest.py [--runs N] [--seed N] [--json FILE]``; on Linux.
"""

import contextlib
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import click
from rich.console import Console
from rich.table import Table

from rnndiff.harness.cases.case import load
from rnndiff.harness.files import write_json

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Seconds: until a case is judged, and in which a run is to be over after Ctrl-C; those of the
# processes that are left without their parent; the latest moment, by which most mistakes are found.
STARTS, ENDS, ORPHANS, LATEST = 120, 5, 30, 30
PLANTED = """
from rnndiff.harness.quality.mistakes import MISTAKES
from rnndiff.harness.subjects import tensorflow as subjects

right = subjects.TensorFlow.__init__
names = "backward-not-reversed-back", "decoder-from-first-state", "decoder-from-zero-window"
mistakes = {m.models[0]: m for m in MISTAKES if m.name in names}


def wrong(self, **options):
    right(self, build=lambda case: mistakes[case.model.name].build(case), **options)


subjects.TensorFlow.__init__ = wrong
"""
NOTHING = "def test_nothing(check):\n    check([])\n"
TESTS = ["test_models.py"]
# Each signal and to whom.
ENDINGS = [
    (name, whom)
    for name in ("SIGINT", "SIGINT twice", "SIGTERM", "SIGKILL", "SIGSEGV", "SIGSTOP, SIGCONT")
    for whom in ("worker", "controller", "group")
    if (name, whom) not in [("SIGINT", "worker"), ("SIGINT twice", "worker")]
]


class Run:
    """A run of pytest in a session of its own."""

    def __init__(self, folder, page, *tests):
        self.mark = "RNNDIFF_MARK=" + uuid.uuid4().hex
        name, value = self.mark.split("=")
        path = os.pathsep.join([folder, ROOT])
        self._folder, self._page = folder, os.path.join(folder, page)
        self._output = os.path.join(folder, page + ".txt")
        options = ["-p", "planted", "-p", "no:cacheprovider", "--report", self._page]
        with open(self._output, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pytest"] + options + list(tests),
                cwd=folder,
                env=dict(
                    os.environ, PYTHONPATH=path, HYPOTHESIS_PROFILE="default", **{name: value}
                ),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _records(self):
        for path in glob.glob(os.path.join(self._folder, ".rnndiff/runs/*/gw*.json")):
            with contextlib.suppress(OSError, ValueError), open(path) as file:
                yield json.load(file)

    def workers(self):
        """The processes of the workers that have begun."""
        return [record["process"] for record in self._records()]

    def judges(self):
        """Whether a worker has judged a case."""
        return any(sum(record["tally"]["cases"].values()) for record in self._records())

    def left(self):
        """The processes of the run that are still there."""
        found = []
        for path in glob.glob("/proc/[0-9]*/environ"):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                if self.mark.encode() in file.read():
                    found.append(int(path.split("/")[2]))
        return found

    def is_over_within(self, seconds):
        """Wait until no process is left; the seconds that it took, None if some are."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.process.poll() is not None and not self.left():
                return time.monotonic() - began
            time.sleep(0.05)
        return None

    def end(self):
        """End what is left."""
        for process in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()

    def told(self):
        """What it printed, and its page."""
        texts = []
        for path in (self._output, self._page):
            texts.append("")
            with contextlib.suppress(FileNotFoundError), open(path, errors="replace") as file:
                texts[-1] = file.read()
        return texts


def send(run, name, whom, chance):
    """Send it; where the process of a worker is gone by now, to the controller."""
    workers = run.workers()
    target = chance.choice(workers) if whom == "worker" and workers else run.process.pid
    for number, each in enumerate(re.findall("[A-Z]+|twice", name)):
        if number:
            time.sleep(chance.uniform(0.02, 1.0) if each == "twice" else chance.uniform(0.5, 6.0))
        with contextlib.suppress(ProcessLookupError):
            number = getattr(signal, "SIGINT" if each == "twice" else each)
            (os.killpg if whom == "group" else os.kill)(target, number)


def told_wrongly(folder, runs):
    """What is wrong with what was told of the failing cases that are on disk."""
    output, pages = ("\n".join(texts) for texts in zip(*(run.told() for run in runs)))
    if "Traceback" in output or "INTERNALERROR" in output:
        yield "a traceback"
    for path in glob.glob(os.path.join(folder, ".rnndiff/failures/*.npz")):
        name = os.path.basename(path)
        for where, text in (("summary", output), ("page", pages)):
            if ".rnndiff/failures/" + name not in text:
                yield "{} is not in the {}".format(name, where)
        case, _, notes = load(path)
        lines = re.findall("^failure.*/{}: (.*)$".format(re.escape(name)), output, re.MULTILINE)
        if any(str(case.config) not in line for line in lines):
            yield "{} is another case than the one that is told".format(name)
        if notes.get("shrunk") and notes["shrunk"] not in output:
            yield "{} is not said to be unshrunk".format(name)


def tried(name, whom, chance):
    """End a run in this way: how long it took, what was found, and what is wrong."""
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "planted.py"), "w") as file:
            file.write(PLANTED)
        with open(os.path.join(folder, "test_nothing.py"), "w") as file:
            file.write(NOTHING)
        tests = [os.path.join(ROOT, "tests", test) for test in TESTS]
        run = Run(folder, "page.html", "-n", "2", *tests)
        runs, moment, took, load_then = [run], chance.uniform(0, LATEST), None, None
        try:
            began = time.monotonic()
            while not run.judges() and time.monotonic() - began < STARTS:
                time.sleep(0.1)
            time.sleep(moment)
            load_then = os.getloadavg()[0]
            send(run, name, whom, chance)
            if whom == "worker" or "SIGCONT" in name:
                time.sleep(chance.uniform(0, 20))
                send(run, "SIGINT", "group", chance)
            if whom == "worker" or "SIGCONT" in name or name.startswith(("SIGINT", "SIGTERM")):
                took = run.is_over_within(ORPHANS)
                wrong += [] if took and took <= ENDS else ["not over in {} s".format(ENDS)]
            if run.is_over_within(ORPHANS) is None:
                wrong.append("processes are left")
            run.end()
            if run.process.returncode < 0:
                runs.append(
                    Run(
                        folder,
                        "next.html",
                        "-c",
                        os.path.join(ROOT, "pyproject.toml"),
                        "test_nothing.py",
                    )
                )
                runs[-1].process.wait(STARTS)
            found = len(glob.glob(os.path.join(folder, ".rnndiff/failures/*.npz")))
            wrong += told_wrongly(folder, runs)
            if wrong:
                kept = os.path.join(tempfile.mkdtemp(prefix="kills-"), "folder")
                shutil.copytree(folder, kept)
                wrong.append("see " + kept)
            judged = sum(int(n) for n in re.findall(r"(\d+) cases:", runs[0].told()[0]))
        finally:
            for each in runs:
                each.end()
    return {
        "signal": name,
        "to": whom,
        "at": moment,
        "load": load_then,
        "took": took,
        "judged": judged,
        "files": found,
        "wrong": wrong,
    }


@click.command()
@click.option("--runs", default=30, type=click.IntRange(min=1))
@click.option("--seed", default=1)
@click.option("--json", "path", metavar="FILE", help="Write the table as JSON.")
def main(runs, seed, path):
    """End so many RUNS, each in another way, and print what was told of each."""
    # What this process ignores, as one in the background of a shell does, the runs would ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chance = random.Random(seed)
    rows = []
    for number in range(runs):
        name, whom = ENDINGS[number % len(ENDINGS)]
        rows.append(tried(name, whom, chance))
        click.echo(rows[-1], err=True)
    table = Table(
        "signal", "to", "after, s", "load", "over in, s", "cases judged", "files", "wrong"
    )
    for row in rows:
        table.add_row(
            row["signal"],
            row["to"],
            "{:.1f}".format(row["at"]),
            "{:.1f}".format(row["load"]),
            "{:.1f}".format(row["took"]) if row["took"] is not None else "",
            str(row["judged"]),
            str(row["files"]),
            "; ".join(row["wrong"]),
        )
    Console(width=150).print(table)
    if path:
        write_json(path, rows)
    raise SystemExit(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    main()
