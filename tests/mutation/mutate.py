"""Mutants of the code that judges others: does a test kill each of them?

``python tests/mutation/mutate.py`` makes them of the modules of `targets.json`, one at a time, in a
copy of the working tree, and runs the tests beside them; what comes of a mutant is kept in
`build/mutation`, so that a run which was stopped goes on, and several may share the work.
``--survivors`` tries those again that live without a reason, or ran out of time. It ends with
`RESULT.md`, where each survivor stands with its reason of `survivors.json`.

It needs Python 3.11, `pip install cosmic-ray`, and what the tests need.
"""

import argparse
import datetime
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import report
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.plugins import get_operator, operator_names
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkItem
from warm import ANSWERED

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "mutation"
# What of pytest the tests need, and what of that no mutant changes.
PYTEST = ["-qx", "-pno:cacheprovider", "--assert=plain", "--tb=no"]
PYTEST += ["-p_hypothesis_pytestplugin", "-prnndiff.harness.pytest_plugin"]
PRELOAD = (
    "numpy",
    "hypothesis",
    "hypothesis.strategies",
    "_hypothesis_pytestplugin",
    "_pytest.main",
)


class Target(NamedTuple):
    """A module, and the tests that shall kill its mutants.

    Of the tests those that kill most stand first; ``preload`` is what they import of which no
    mutant changes a thing. If ``reached``, of a mutant within a function only those tests run that
    call it; they must do so in their own thread and process.
    """

    module: str
    tests: list
    preload: tuple = ()
    reached: bool = False


def targets(table):
    """Those of the table of targets."""
    return [Target(**each) for each in table["targets"]]


def staged(tree):
    """Copy what git knows, or would add, to a folder, where mutants can do no harm."""
    listed = ["git", "ls-files", "-co", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    for name in names.decode().splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def session_of(target, work):
    """The file of what came of this module, as it is now."""
    digest = hashlib.sha256((ROOT / target.module).read_bytes()).hexdigest()[:8]
    return work / "{}-{}.sqlite".format(target.module.replace("/", "."), digest)


def total_of(path):
    """Where it stands how many mutants the module of a session has, drawn or not."""
    return path.with_suffix(".total")


def mutations(module, operators):
    """All mutations of a module by these operators."""
    tree = get_ast_from_path(Path(module))
    for name in operators:
        operator = get_operator(name)()
        places = (
            (node, *place)
            for node in ast_nodes(tree)
            for place in operator.mutation_positions(node)
        )
        for occurrence, (node, start, end) in enumerate(places):
            where = ASTQuery(node).get_definition_name()
            yield MutationSpec(Path(module), name, occurrence, start, end, {}, where)


def draw(db, target, table):
    """Put the mutations that are to be tried into a session; how many there are in all."""
    keep = re.compile("core/({})$".format("|".join(table["operators"])))
    found = list(mutations(target.module, filter(keep.match, operator_names())))
    db.add_work_items(WorkItem.single(uuid.uuid4().hex, each) for each in found)
    return len(found)


def environment(tree):
    """That of the tests."""
    return dict(
        os.environ,
        PYTHONPATH=str(tree),
        OMP_NUM_THREADS="1",
        TF_CPP_MIN_LOG_LEVEL="3",
        PYTHONHASHSEED="0",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )


class Warm:
    """A warm pytest in a folder; see `warm.py`."""

    def __init__(self, tree, target):
        self.socket = str(tree / "socket")
        if os.path.exists(self.socket):
            os.remove(self.socket)
        mutated = "rnndiff." + target.module[: -len(".py")].replace("/", ".")
        command = [sys.executable, str(HERE / "warm.py"), self.socket, "--serve", mutated]
        command += [*PRELOAD, *target.preload]
        self.process = subprocess.Popen(command, cwd=tree, env=environment(tree))
        while not os.path.exists(self.socket):
            if self.process.poll() is not None:
                raise SystemExit("the server of the tests ended")
            time.sleep(0.05)

    def command(self, tests, *before):
        """That of the client which runs these tests."""
        client = [sys.executable, "-IS", str(HERE / "warm.py"), self.socket, *before]
        return " ".join(shlex.quote(x) for x in client + PYTEST + list(tests))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Selection:
    """Which tests of a target are run of a mutant, and in which order."""

    def __init__(self, target, path):
        self.tests, self.called = list(target.tests), {}
        self.codes = []
        if target.reached:
            self.called = json.loads(Path(path).read_text())
            code = compile(Path(target.module).read_text(), target.module, "exec")
            self.codes = sorted(lines_of(code))
        # Of the functions in a module what failed last: it is what is tried first.
        self.failed = {}

    def of(self, line):
        """The tests that are run of a mutant in that line; and the function that it is in."""
        # The innermost function begins last.
        first = max([first for first, last in self.codes if first <= line <= last], default=0)
        calls = [test for test, functions in self.called.items() if test and first in functions]
        if first in self.called.get("", ()) or not calls:
            calls = self.tests
        return self.failed.get(first, []) + calls, first


def lines_of(code):
    """The first and the last line of every function in the code of a module."""
    for part in code.co_consts:
        if hasattr(part, "co_lines"):
            yield part.co_firstlineno, max(line or 0 for _, _, line in part.co_lines())
            yield from lines_of(part)


def run(target, table, work, tree, again, seconds):
    """Try the mutants of a module for some seconds at most; whether that was enough."""
    until = time.monotonic() + seconds
    for cached in (tree / target.module).parent.glob(
        "__pycache__/{}.*".format(Path(target.module).stem)
    ):
        cached.unlink()
    path = session_of(target, work)
    mode = WorkDB.Mode.open if path.exists() else WorkDB.Mode.create
    with use_db(str(path), mode) as db, Warm(tree, target) as warm:
        start = time.monotonic()
        calls = tree / "calls.json"
        before = ["--reached", target.module, str(calls)] if target.reached else []
        command = shlex.split(warm.command(target.tests, *before))
        if subprocess.run(command, env=environment(tree)).returncode:
            raise SystemExit("{}: its tests fail without a mutant".format(target.module))
        took = time.monotonic() - start
        print("{}: {:.1f} s without a mutant".format(target.module, took), flush=True)
        # For mutants that go on for ever, whatever else the machine is busy with.
        limit = 60 + 5 * took
        if mode is WorkDB.Mode.create:
            total_of(path).write_text(str(draw(db, target, table)))
        results = dict(db.results)
        items = [
            item
            for item in db.work_items
            if item.job_id not in results
            or (again and is_open(target.module, results[item.job_id]))
        ]
        # In any order, so that several runs may share the work.
        random.shuffle(items)
        # Those first that are tried again.
        items.sort(key=lambda item: item.job_id not in results)
        selection = Selection(target, calls)
        for count, item in enumerate(items, 1):
            if time.monotonic() > until:
                return False
            if not again and item.job_id in dict(db.results):
                continue
            start = time.monotonic()
            tests, where = selection.of(item.mutations[0].start_pos[0])
            result = mutate_and_test(item.mutations, warm.command(tests), limit)
            if not result.output.startswith(("timeout", ANSWERED)):
                raise SystemExit("{}: {}".format(target.module, result.output))
            failed = result.output.partition(ANSWERED)[2].strip()
            selection.failed.update({where: [failed]} if failed else {})
            db.set_result(item.job_id, result)
            mark = "survived " if result.test_outcome == TestOutcome.SURVIVED else ""
            print(
                "{} {}/{} {:.1f} s {}{}".format(
                    target.module,
                    count,
                    len(items),
                    time.monotonic() - start,
                    mark,
                    " ".join(changed(result.diff or "")) if mark else "",
                ),
                flush=True,
            )
    return True


def outcome_of(result):
    """What came of a mutant, in a word."""
    if result.output == "timeout":
        return "timeout"
    return "survived" if result.test_outcome == TestOutcome.SURVIVED else "killed"


def is_open(module, result):
    """Whether a mutant lives, and nobody has said why, or ran out of time."""
    if outcome_of(result) != "survived":
        return outcome_of(result) == "timeout"
    mutant = {"after": changed(result.diff)[1]}
    return report.reason(report.load("survivors.json"), module, mutant) == report.OPEN


def changed(diff):
    """The lines before and after, of a diff."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
    return tuple(
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)).strip()
        for sign in "-+"
    )


def came_of(path, commit):
    """What came of the mutants that were drawn of a module, as `results.json` has it."""
    found = {"commit": commit, "date": str(datetime.date.today())}
    found.update(mutants=int(total_of(path).read_text()), killed=0, timeout=0, survivors=[])
    with use_db(str(path), WorkDB.Mode.open) as db:
        results = dict(db.results)
        for item in db.work_items:
            result = results.get(item.job_id)
            outcome = outcome_of(result) if result else ""
            if outcome == "survived":
                before, after = changed(result.diff)
                line = item.mutations[0].start_pos[0]
                found["survivors"].append({"line": line, "before": before, "after": after})
            elif outcome:
                found[outcome] += 1
    found["survivors"].sort(key=lambda mutant: (mutant["line"], mutant["after"]))
    return found


def keep(module, path):
    """Put what came of a module into `results.json`, and write the page anew."""
    git = ["git", "log", "-1", "--format=%h"]
    commit = subprocess.run(git, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()
    results = report.load("results.json")
    results[module] = came_of(path, commit.strip())
    (HERE / "results.json").write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    return report.write()


def main():
    """Parse the command line, and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", help="of the table, all of them by default")
    parser.add_argument("--survivors", action="store_true", help="try those again that live")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each module")
    parser.add_argument("--work", type=Path, default=WORK, help="where sessions are kept")
    options = parser.parse_args()
    table = report.load("targets.json")
    chosen = [x for x in targets(table) if not options.modules or x.module in options.modules]
    work = options.work.resolve()
    tree = work / "tree-{}".format(os.getpid())
    staged(tree)
    # Of all but the module that is mutated, or a mutant might be taken for another one.
    compiled = [sys.executable, "-m", "compileall", "-q", "models", "harness", "rnndiff"]
    subprocess.run(compiled, cwd=tree, check=True)
    os.chdir(tree)
    lives = 0
    try:
        for target in chosen:
            try:
                run(target, table, work, tree, options.survivors, options.seconds)
            finally:
                if session_of(target, work).exists():
                    lives = keep(target.module, session_of(target, work))
    finally:
        os.chdir(ROOT)
        shutil.rmtree(tree)
    print("{} survivors are not explained".format(lives))
    sys.exit(1 if lives else 0)


if __name__ == "__main__":
    main()
