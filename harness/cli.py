"""The command line, ``rnndiff``. Each command is a module of ``rnndiff.harness.commands``."""

import contextlib
import errno
import importlib
import os
import sys
from typing import Any, List, Optional, TextIO

import click

from rnndiff.harness.errors import INTERRUPTED, UserError, optional_import
from rnndiff.harness.text import printable

# What a write to a full disk, or to one that is gone, ends in.
_FULL = errno.ENOSPC, errno.EIO
_NOT_WHOLE = "The output is not whole: {}."

COMMANDS = (
    "verify",
    "check",
    "fuzz",
    "replay",
    "bisect",
    "minimize",
    "repro",
    "record",
    "compare",
    "ulp",
    "models",
    "frequencies",
    "mistakes",
    "bench",
)


class _Commands(click.Group):
    """The commands, each imported when it is asked for: none pays for another's imports."""

    def list_commands(self, context: Any) -> List[str]:
        return list(COMMANDS)

    def get_command(self, context: Any, name: str) -> Optional[click.Command]:
        if name not in COMMANDS:
            return None
        try:
            return getattr(importlib.import_module("rnndiff.harness.commands." + name), name)
        except Exception:
            for package, extra in _EXTRAS.items():
                try:
                    with optional_import(package, extra):
                        importlib.import_module(package)
                except UserError as needs:
                    return _unavailable(name, package, needs)
            raise


# What a command may import and `pip install rnndiff` does not bring, with the extra that does.
_EXTRAS = {"hypothesis": "checks"}


def _unavailable(command: str, package: str, needs: UserError) -> click.Command:
    """In place of a command, one that says what it needs."""

    def complain(**_: Any) -> None:
        raise needs

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
    status = _status()
    for stream in (sys.stderr, sys.stdout):
        error = _unwritten(stream)
        if error and status == 0:
            status = _complain(_NOT_WHOLE.format(error.strerror))
    sys.exit(status)


def _status() -> int:
    """The exit status of the command."""
    try:
        return cli.main(prog_name="rnndiff", standalone_mode=False) or 0
    except UserError as error:
        return _complain(printable(error))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted.")
        return INTERRUPTED
    except SystemExit as ended:
        return int(ended.code or 0)
    except OSError as error:
        # Of an output that does not wait to be flushed.
        if error.errno not in _FULL or error.filename is not None:
            raise
        return _complain(_NOT_WHOLE.format(error.strerror))


def _complain(text: str) -> int:
    with contextlib.suppress(OSError):
        click.echo("rnndiff: {}".format(text), err=True)
    return 2


def _unwritten(stream: TextIO) -> Optional[OSError]:
    """Why a stream does not take what it holds, which is dropped then, or None.

    Python would try again at its end, and exit with a status of its own.
    """
    try:
        stream.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None
