"""Between which versions of TensorFlow a verdict changes.

This very rnndiff replays a case under other Pythons, each in a process of its own, whatever rnndiff
is installed there.
"""

import glob
import json
import os
import re
import subprocess
import tempfile
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import rnndiff
from rnndiff import harness, models
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.subjects.run import HANG, name_of_end
from rnndiff.harness.text import printable

# Where tox has its environments.
ENVIRONMENTS = os.path.join(".tox", "*", "bin", "python")
# Seconds for an environment: to import TensorFlow, build a graph, and measure what is not known.
TIMEOUT = 300.0
UNSUPPORTED = "unsupported"
_VERSION = "TensorFlow "
_PROGRAM = """
import sys
sys.path[:] = [sys.argv.pop(1)] + [path for path in sys.path if path]
from rnndiff.harness.versions import tensorflow_version
print("TensorFlow", tensorflow_version() or "", flush=True)
from rnndiff.harness.cli import main
main()
"""
# Of another Python, what this one is given is none of its own.
_OWN = ("PYTHONPATH", "PYTHONHOME")


class Answer(NamedTuple):
    """What came of a case under one Python.

    ``version`` is that of its TensorFlow. ``verdict`` is the verdict if nothing is excused:
    "agree", "undecided", "disagree", "error (TYPE)" or "ends the process (SIGNAL)"; ``known`` are
    the known divergences that excuse it, and ``first_wrong`` is the first array that nothing
    excuses, "" if there is none. ``kernels`` are operations that stand in for those of the graph.
    """

    python: str
    version: str
    verdict: str
    known: Tuple[str, ...] = ()
    first_wrong: str = ""
    kernels: Tuple[str, ...] = ()

    @property
    def excused(self) -> str:
        """The verdict with known divergences excused."""
        return "known: {}".format(", ".join(self.known)) if self.known else self.verdict


class PassedOver(NamedTuple):
    """A Python under which no case can be replayed, and why, in one line."""

    python: str
    why: str


def environments() -> List[str]:
    """The Pythons of tox' environments in the working folder."""
    return sorted(glob.glob(ENVIRONMENTS))


def ask(
    python: str,
    path: str,
    mode: str = "",
    named_models: Sequence[str] = (),
    timeout: float = TIMEOUT,
) -> Union[Answer, PassedOver]:
    """Replay a case under another Python.

    Parameters
    ----------
    python : str
        The path of an interpreter.
    path : str
        A case's file.
    mode : str
        One of TensorFlow's modes, "" for the default.
    named_models : list of str
        Where models are that the case may be of, as MODULE:NAME.
    timeout : float
        Seconds that it may take.
    """
    with tempfile.TemporaryDirectory() as folder:
        _link_package(folder)
        said = os.path.join(folder, "said.json")
        command = [python, "-W", "ignore", "-c", _PROGRAM, folder, "replay", path, "--json", said]
        command += ["--mode", mode] if mode else []
        for name in named_models:
            command += ["--model", name]
        environment = {name: os.environ[name] for name in os.environ if name not in _OWN}
        try:
            ended = _run(command, environment, timeout)
            version, result = _version_in(ended.stdout), _result_in(said)
            if version and not result and ended.returncode < 0:
                # Is it the case that did it?
                imports = _run([python, "-c", "import tensorflow"], environment, timeout)
                if imports.returncode == 0:
                    return Answer(python, version, _ends(name_of_end(ended.returncode)))
        except subprocess.TimeoutExpired:
            return PassedOver(python, "no answer after {:g} s".format(timeout))
        except OSError as error:
            return PassedOver(python, "it cannot be run: {}".format(error.strerror or error))
        if version == "":
            return PassedOver(python, "it has no TensorFlow")
        if version and result:
            return _answer(python, version, result)
        nothing = "it ended by {} and said nothing".format(name_of_end(ended.returncode))
        return PassedOver(python, _last_line(ended.stderr) or nothing)


def changes(answers: Sequence[Answer]) -> List[Tuple[Answer, Answer]]:
    """The neighbours, by version, between which the verdict changes, if nothing is excused."""
    ordered = by_version(answers)
    return [pair for pair in zip(ordered, ordered[1:]) if pair[0].verdict != pair[1].verdict]


def by_version(answers: Sequence[Answer]) -> List[Answer]:
    """The answers, that of the oldest TensorFlow first."""
    return sorted(answers, key=lambda answer: list(map(int, re.findall(r"\d+", answer.version))))


def _link_package(folder: str) -> None:
    """Make this rnndiff, and nothing else that is installed beside it, importable from a folder."""
    package = os.path.join(folder, "rnndiff")
    os.mkdir(package)
    here = _folder_of(rnndiff)
    links = {name: os.path.join(here, name) for name in os.listdir(here)}
    # In a checkout they lie beside it.
    links.update(harness=_folder_of(harness), models=_folder_of(models))
    links.pop("__pycache__", None)
    for name, target in links.items():
        os.symlink(target, os.path.join(package, name))


def _folder_of(module: Any) -> str:
    return os.path.dirname(os.path.abspath(module.__file__))


def _run(command: List[str], environment: Dict[str, str], timeout: float) -> Any:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        timeout=timeout,
    )


def _version_in(text: str) -> Optional[str]:
    """The version of TensorFlow, "" if there is none; None if nothing was said."""
    said = [line[len(_VERSION) :] for line in text.splitlines() if line.startswith(_VERSION)]
    return printable(said[0].strip()) if said else None


def _result_in(path: str) -> Optional[Dict[str, Any]]:
    try:
        with open(path) as file:
            cases = json.load(file)["cases"]
    except (OSError, ValueError, KeyError):
        return None
    return cases[0] if cases else None


def _answer(python: str, version: str, result: Dict[str, Any]) -> Union[Answer, PassedOver]:
    if result["verdict"] == UNSUPPORTED:
        return PassedOver(python, "TensorFlow {} does not have what it computes".format(version))
    known = tuple(result["known"])
    verdict = DISAGREE if known else str(result["verdict"])
    if result["error"]:
        verdict = "error ({})".format(result["error"].partition(":")[0])
    if result["ended_by"] not in (None, HANG):
        verdict = _ends(result["ended_by"])
    wrong, kernels = result["first_wrong"] or "", tuple(result["kernels"])
    return Answer(python, version, verdict, known, wrong, kernels)


def _ends(signal: str) -> str:
    return "ends the process ({})".format(signal)


def _last_line(text: str) -> str:
    """What an error says in its last line, without the name of the program."""
    lines = text.strip().splitlines() or [""]
    said = lines[-1]
    for line in lines:
        # What the import of a library has to say may come after it.
        said = line[len("rnndiff: ") :] if line.startswith("rnndiff: ") else said
    return printable(said)
