"""The command line says what it needs before it starts."""

import os
import subprocess
import sys

import click
import pytest

from rnndiff import models
from rnndiff.harness import cli
from rnndiff.harness.checking.recording import Task, _OfFunction
from rnndiff.harness.cli import COMMANDS
from rnndiff.harness.commands.drawing import pyplot_for
from rnndiff.harness.commands.options import ModelName
from rnndiff.harness.errors import UserError
from rnndiff.harness.report import page
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.trained.data import digits


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["rnndiff", *arguments])
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)  # It sets it, for its process.
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr()


EXPLAIN_ALL = """
import contextlib, sys
from rnndiff.harness.cli import COMMANDS, main
for command in ("", *COMMANDS):
    sys.argv = ["rnndiff", *command.split(), sys.argv[-1]]
    with contextlib.suppress(SystemExit):
        main()
"""


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_explains_itself(option):
    # In a process of its own: click keeps the help options with which a command ran first.
    command = [sys.executable, "-W", "ignore", "-c", EXPLAIN_ALL, option]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout
    usages = [line.split()[2] for line in printed.splitlines() if line.startswith("Usage: ")]
    assert usages == ["[OPTIONS]", *COMMANDS]


class Broken:
    """Finds a package that is installed, and broken."""

    def __init__(self, name):
        self._name = name

    def find_spec(self, name, path, target=None):
        if name == self._name:
            raise OSError("libfirst.so: cannot open shared object file")


def take_away(package, is_broken, monkeypatch):
    """Have a package fail to be imported: it is missing, or broken."""
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    if is_broken:
        monkeypatch.setattr(sys, "meta_path", [Broken(package), *sys.meta_path])
    else:
        monkeypatch.setitem(sys.modules, package, None)


def forget(command, monkeypatch):
    """Have the modules of a command be imported again."""
    for name in list(sys.modules):
        last = name.rpartition(".")[2]
        ours = name.startswith("rnndiff.harness.quality.") or last in (command, "strategies")
        if ours and name.startswith("rnndiff."):
            monkeypatch.delitem(sys.modules, name)


MISSING_OR_BROKEN = pytest.mark.parametrize("is_broken", [False, True], ids=["missing", "broken"])


@MISSING_OR_BROKEN
@pytest.mark.parametrize("command", ["frequencies", "mistakes", "bench"])
def test_a_command_without_its_package_is_one_sentence(command, is_broken, monkeypatch, capsys):
    forget(command, monkeypatch)
    take_away("hypothesis", is_broken, monkeypatch)
    status, printed = run(monkeypatch, capsys, command, "--cases", "3")
    assert status == 2
    assert printed.err.count("\n") == 1 and "needs hypothesis" in printed.err
    assert isinstance(cli.cli.get_command(click.Context(cli.cli), command), click.Command)


def test_a_command_that_fails_though_its_package_is_there_raises_what_it_raises(monkeypatch):
    forget("frequencies", monkeypatch)
    last = "rnndiff.harness.commands.frequencies"
    monkeypatch.setattr(sys, "meta_path", [Broken(last), *sys.meta_path])
    with pytest.raises(OSError, match="libfirst"):
        cli.cli.get_command(click.Context(cli.cli), "frequencies")


@MISSING_OR_BROKEN
@pytest.mark.parametrize(
    "package, extra, asks",
    [
        ("jinja2", "report", lambda: page.check("page.html")),
        ("matplotlib", "report", lambda: page.check("page.html")),
        ("matplotlib", "report", lambda: pyplot_for("plot.svg")),
        ("sklearn", "tensorflow", lambda: digits(0)),
    ],
    ids=["page-jinja", "page-matplotlib", "plot", "digits"],
)
def test_what_is_missing_or_broken_is_said_with_what_to_do(
    package, extra, asks, is_broken, monkeypatch
):
    take_away(package, is_broken, monkeypatch)
    ends = r"\): run pip install '\.\[{}\]' in the folder of rnndiff(, or give --mnist)?\.$"
    with pytest.raises(UserError, match="^This needs .*" + ends.format(extra)):
        asks()


READERS = {
    "subject": subject_named,
    "function": lambda name: _OfFunction(Task(name, "", 60.0, [{}])),
    "model": lambda name: ModelName().convert(name, None, None),
}
MODULES = {
    "ends": "raise SystemExit(3)",
    "lazy": "def __getattr__(name):\n    raise RuntimeError('not ' + name)\n",
    "empty": "there = None",
}


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize(
    "name, said",
    [
        (":there", "':there' names no {}: write MODULE:"),
        ("empty:", "'empty:' names no {}: write MODULE:"),
        ("no_such:there", "The module no_such cannot be imported: ModuleNotFoundError: "),
        ("ends:there", "The module ends cannot be imported: SystemExit: 3."),
        ("lazy:there", "The module lazy cannot be imported: RuntimeError: not there."),
        ("empty:there", "The module empty has no 'there'."),
        ("empty:another", "The module empty has no 'another'."),
    ],
)
def test_what_names_nothing_is_said_in_the_same_words_wherever_it_is_read(
    what, name, said, tmp_path, monkeypatch
):
    for module, text in MODULES.items():
        (tmp_path / (module + ".py")).write_text(text)
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises((UserError, click.UsageError)) as raised:
        READERS[what](name)
    assert str(raised.value).startswith(said.format(what))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "repro --help",
        "frequencies --cases=3",
        # Its table goes to the other stream. What it writes to this one waits there for the end.
        "ulp --subject float32 --model bidirectional --function log --samples 1 --json -",
    ],
)
def test_an_output_that_is_not_whole_is_one_sentence(command, unbuffered):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "rnndiff"] + command.split(),
            env=dict(os.environ, PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.returncode == 2
    *before, last = ended.stderr.splitlines()
    assert last == "rnndiff: The output is not whole: No space left on device."
    assert bool(before) == ("--json" in command) and "Traceback" not in ended.stderr


CORPUS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "corpus")
CASE = os.path.join(CORPUS, "argmax-skips-nan.npz")


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (("bench", "--plot", "x.txt"), "x.txt cannot be drawn"),
        (("bench", "--json", "."), "Cannot write"),
        (("compare", "none.npz", "none.npz", "--save", CASE), "Cannot write"),
        (("fuzz", "--json", "."), "Cannot write"),
        (("fuzz", "--cases", "1", "--time", "nan"), "'nan' is no number"),
        (("fuzz", "--cases", "1", "--timeout", "nan"), "'nan' is no number"),
        (("minimize", "none.npz"), "none.npz"),
        (("minimize", CASE, "--output", "."), "Cannot write"),
        (("replay", "none.npz"), "no file or folder none.npz"),
        (("repro", "none.npz"), "none.npz"),
        (("ulp", "--function", "sinh"), "no function 'sinh'"),
        (("ulp", "--json", "."), "Cannot write"),
        (("verify", "--json", "."), "Cannot write"),
        (("verify", "--mnist", "none.npz"), "none.npz"),
        (("verify", "--save", "."), "Cannot write"),
        (("verify", "--weights", "none.npz"), "none.npz"),
        (("verify", "seq2seq", "--weights", CASE), "does not fit the model seq2seq"),
    ],
    ids=lambda value: " ".join(map(os.path.basename, value)) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_with_arguments_and_files_is_said_before_tensorflow_is_imported(
    arguments, complaint, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(models, "tf1", raising=False)
    monkeypatch.delitem(sys.modules, "rnndiff.models.tf1", raising=False)
    # Whatever imports it is told that there is none, and says so instead of the complaint.
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    status, printed = run(monkeypatch, capsys, *arguments)
    assert (status, printed.out, list(tmp_path.iterdir())) == (2, "", [])
    error = printed.err.splitlines()[-1]
    assert complaint in error and "needs TensorFlow" not in error
