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
        return getattr(importlib.import_module("harness.commands." + name), name)


@click.group(cls=_Commands)
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
