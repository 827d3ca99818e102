"""Figures that commands draw into a file of the user's choice."""

import os
from typing import Any

import click

from rnndiff.harness.errors import UserError, optional_import
from rnndiff.harness.files import check_writable, written_whole

plot_option = click.option(
    "--plot", metavar="FILE", help="Draw them (.png, .svg, .pdf; needs matplotlib)."
)


def pyplot_for(path: str) -> Any:
    """Matplotlib's pyplot, which can write such a file.

    Raises
    ------
    UserError
        If there is no Matplotlib, or it or the system cannot.
    """
    with optional_import("Matplotlib, for the plot", "report"):
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

    known = sorted(pyplot.figure().canvas.get_supported_filetypes())
    if os.path.splitext(path)[1][1:].lower() not in known:
        raise UserError(
            "{} cannot be drawn: its name must end in one of .{}.".format(path, ", .".join(known))
        )
    check_writable(path)
    return pyplot


def save(pyplot: Any, figure: Any, path: str) -> None:
    """Write a figure, which is over then."""
    with written_whole(path) as file:
        figure.savefig(file, format=path.rpartition(".")[2])
    pyplot.close(figure)
