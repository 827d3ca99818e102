"""``rnndiff frequencies``: what the default strategies draw."""

from typing import Tuple

import click
from rich.console import Console
from rich.table import Table

from rnndiff.harness.cases.frequencies import frequencies as measure
from rnndiff.harness.commands.options import SHOWN, models_argument
from rnndiff.models import find


@click.command()
@models_argument
@click.option("--cases", type=click.IntRange(min=1), default=1000, show_default=True)
def frequencies(models: Tuple[str, ...], cases: int) -> None:
    """Print how often the default strategies draw each regime, boundary and kind of network.

    Of the article's models and rnn-lstm, if no MODEL is named.
    """
    names = models or SHOWN
    found = {name: measure(find(name), cases) for name in names}
    table = Table("of {} cases".format(cases), *names)
    for trait in dict.fromkeys(trait for name in names for trait in found[name]):
        shares = (found[name].get(trait) for name in names)
        table.add_row(trait, *["" if share is None else "{:.1%}".format(share) for share in shares])
    Console().print(table)
