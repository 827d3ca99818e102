"""What tox tells at its end: what came of each environment and, model by model, of its cases.

A plugin of tox, which finds it beside tox.ini. An environment that could not be made is told apart
from one whose tests failed: the first says nothing of its TensorFlow.
"""

import atexit
import json
import shutil
from pathlib import Path

from tox.plugin import impl
from tox.tox_env.errors import Fail, Skip
from tox.tox_env.runner import RunToxEnv

TALLY = "tally.json"
# Cases, but what is suspicious: arrays, each in a class of sizes.
COUNTS = ("cases", "disagree", "undecided", "known", "suspicious")
SUSPICIOUS = COUNTS[-1]

INSTALL_FAILED = "INSTALL FAILED"

# What came of each environment that was to run, and the counts of the cases of each model.
_ENDINGS = {}
_CASES = {}


@impl
def tox_on_install(tox_env, arguments, section, of_type):
    """An environment in which something is installed has failed in that until commands are run."""
    # With --notest none are, and tox says itself what was not installed.
    without_tests = getattr(tox_env.options, "no_test", False)
    if isinstance(tox_env, RunToxEnv) and not tox_env.conf.name.startswith("."):
        _ENDINGS[tox_env.conf.name] = "not run" if without_tests else INSTALL_FAILED


@impl
def tox_before_run_commands(tox_env):
    """Forget what an earlier run has left."""
    _ENDINGS[tox_env.conf.name] = "interrupted"
    if _tally_of(tox_env).exists():
        _tally_of(tox_env).unlink()


@impl
def tox_after_run_commands(tox_env, exit_code, outcomes):
    """What came of the commands, of which the first ones install."""
    name, installs = tox_env.conf.name, len(tox_env.conf["commands_pre"])
    if exit_code and len(outcomes) <= installs:
        _ENDINGS[name] = INSTALL_FAILED
        return
    _ENDINGS[name] = "tests FAILED" if exit_code else "passed"
    if _tally_of(tox_env).exists():
        _CASES[name] = _counts_in(json.loads(_tally_of(tox_env).read_text()))


def _counts_in(tally):
    suspicious = [each["model"] for each in tally[SUSPICIOUS]]
    return {
        model: dict(counts, **{SUSPICIOUS: suspicious.count(model)})
        for model, counts in tally["models"].items()
    }


def _tally_of(tox_env):
    return Path(tox_env.env_dir) / TALLY


@impl
def tox_env_teardown(tox_env):
    """Of an environment in which nothing was done, find out why."""
    if isinstance(tox_env, RunToxEnv) and not tox_env.conf.name.startswith("."):
        _ENDINGS.setdefault(tox_env.conf.name, _why_not(tox_env))


def _why_not(tox_env):
    try:
        tox_env.base_python  # noqa: B018
    except (Skip, Fail) as error:
        return str(error)
    return "not run"


def _tell():
    if _ENDINGS:
        print("\n".join(table(_ENDINGS, _CASES)))


# Nothing of tox comes after all environments but its own summary.
atexit.register(_tell)


def table(endings, cases, width=0):
    """What came of the environments, in lines.

    Parameters
    ----------
    endings : dict of str to str
        By the names of the environments.
    cases : dict of str to dict
        Of those that judged any: by model, how many cases agree, disagree, ..., and how many of
        its arrays are suspicious.
    width : int, optional
        Of the lines, by default of the terminal; environments that go beyond it come below.
    """
    yield ""
    for name, ending in endings.items():
        yield "  {}: {}".format(name, ending)
    models = list(dict.fromkeys(model for each in cases.values() for model in each))
    cells = {
        name: [_cell(each.get(model)) for model in models] + [_cell(_total(each.values()))]
        for name, each in cases.items()
    }
    labels = models + ["all"]
    widths = {name: max(map(len, [name, *column])) + 2 for name, column in cells.items()}
    left = max(map(len, labels)) + 2
    room = (width or shutil.get_terminal_size().columns) - left
    for names in _rows_of(widths, room):
        yield ""
        yield "  {}".format(" / ".join(COUNTS))
        yield " " * left + "".join(name.rjust(widths[name]) for name in names)
        for place, label in enumerate(labels):
            row = [cells[name][place].rjust(widths[name]) for name in names]
            yield ("  " + label).ljust(left) + "".join(row)


def _cell(counts):
    if not counts:
        return "-"
    cases = sum(counts.values()) - counts[SUSPICIOUS]
    return "/".join(map(str, [cases] + [counts[name] for name in COUNTS[1:]]))


def _total(each):
    total = {}
    for counts in each:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return total


def _rows_of(widths, room):
    """The names in rows, each as wide as there is room for and of one at least."""
    names, taken = [], 0
    for name, width in widths.items():
        if names and taken + width > room:
            yield names
            names, taken = [], 0
        names, taken = names + [name], taken + width
    if names:
        yield names
