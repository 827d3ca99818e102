"""The command line says what it needs before it starts."""

import subprocess
import sys

import click
import pytest

from harness import cli
from harness.cli import COMMANDS


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["rnndiff", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr()


EXPLAIN_ALL = """
import contextlib, sys
from harness.cli import COMMANDS, main
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


@pytest.mark.parametrize("command", ["frequencies", "bench"])
def test_a_command_without_its_package_is_one_sentence(command, monkeypatch, capsys):
    for name in list(sys.modules):
        if name.partition(".")[0] == "hypothesis" or name in (
            "harness.commands." + command,
            "harness." + command,
            "harness.strategies",
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    status, printed = run(monkeypatch, capsys, command, "--cases", "3")
    assert status == 2
    assert printed.err.count("\n") == 1 and "hypothesis" in printed.err
    assert isinstance(cli.cli.get_command(click.Context(cli.cli), command), click.Command)


@pytest.mark.parametrize(
    "arguments",
    [("bench", "--plot", "x.txt"), ("fuzz", "--json", "."), ("verify", "--json", ".")],
    ids=" ".join,
)
def test_what_cannot_be_written_is_said_at_once(arguments, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, printed = run(monkeypatch, capsys, *arguments)
    assert (status, printed.out, list(tmp_path.iterdir())) == (2, "", [])
    assert printed.err.count("\n") == 1 and arguments[-1] in printed.err
