"""The command line, ``rnndiff``. Each command is a module of ``harness.commands``."""

import importlib
import os
import sys
from typing import Any, List, Optional

import click

from harness.errors import INTERRUPTED, UserError
from harness.text import printable

COMMANDS = ("verify", "fuzz", "replay", "minimize", "repro", "ulp", "frequencies", "bench")


class _Commands(click.Group):
    """The commands, each imported when it is asked for: none pays for another's imports."""

    def list_commands(self, context: Any) -> List[str]:
        return list(COMMANDS)

    def get_command(self, context: Any, name: str) -> Optional[click.Command]:
        if name not in COMMANDS:
            return None
        try:
            return getattr(importlib.import_module("harness.commands." + name), name)
        except ModuleNotFoundError as error:
            if error.name not in _EXTRAS:
                raise
            return _unavailable(name, error.name)


# What a command may import and `pip install rnndiff` does not bring, with the extra that does.
_EXTRAS = {"hypothesis": "checks"}


def _unavailable(command: str, package: str) -> click.Command:
    """In place of a command, one that says what it needs."""
    needs = "`rnndiff {}` needs {}: run pip install '.[{}]' in the folder of rnndiff.".format(
        command, package, _EXTRAS[package]
    )

    def complain(**_: Any) -> None:
        raise UserError(needs)

    # Whatever its arguments are.
    settings = dict(ignore_unknown_options=True, allow_extra_args=True)
    return click.Command(command, settings, complain, help="(Needs {}.)".format(package))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rnndiff")
def cli() -> None:
    """Differential testing of recurrent networks: TensorFlow against a NumPy oracle."""


def main() -> None:
    """Run the command line; what is the user's to mend takes one line and exit status 2."""
    # Of the processes that a command starts: from Python 3.11 on, none imports what lies in the
    # working folder before it has the modules of this one.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        sys.exit(cli.main(prog_name="rnndiff", standalone_mode=False) or 0)
    except UserError as error:
        click.echo("rnndiff: {}".format(printable(error)), err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("rnndiff: interrupted.", err=True)
        sys.exit(INTERRUPTED)
