"""``rnndiff models``: what the models compute, and the arrays and options that each has."""

import dataclasses
import inspect
import re
import sys
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

import click
from rich.console import Console
from rich.table import Table

from rnndiff.harness.commands.options import ModelName, load_models
from rnndiff.harness.trained.own import option_named
from rnndiff.models import MODELS, Model, find
from rnndiff.models.layout import COPY, Field, Traced, choices_of, is_optional, sizes_in

# Of a file or a pipe, which has no width of its own.
_WIDTH = 150


@click.command()
@click.argument("model", required=False, type=ModelName())
@click.option(
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="Show it with this option, such as use_peepholes=true; may be given several times.",
)
def models(model: Optional[str], settings: Tuple[str, ...]) -> None:
    """Say what MODEL computes, and the names and shapes of all its arrays; without one, list them.

    What is said of a model holds for a case in a file, a port, a program and a checkpoint alike:
    the data that it reads, its weights in their order, what it computes, and its options with
    their defaults. With a layout, such as rnn-lstm@pytorch, the weights are as that has them, and
    it is said in which order their gates lie.
    """
    if settings and not model:
        raise click.UsageError("--set goes with a MODEL")
    # A docstring or a name of another package's may look like markup.
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    if not model:
        load_models()
        console.print(_list())
        says = "rnndiff models NAME says what one computes, and what its arrays are."
        console.print(says, soft_wrap=True)
        return
    found = find(model)
    config = found.article
    for setting in settings:
        config = dataclasses.replace(config, **option_named(found, setting))
    console.print("\n".join(_words(found, config)), soft_wrap=True)
    for table in _tables(found, config):
        console.print(table)


def _list() -> Table:
    families: Dict[str, List[Model]] = {}
    for model in MODELS.values():
        families.setdefault(model.family, []).append(model)
    table = _table("model", "what it computes", "with the cells")
    for family, of_family in families.items():
        # Of a model without cells of a kind the family is the name.
        cells = [model.name[len(family) + 1 :] for model in of_family]
        plain = "" if all(cells) else family
        names = ", ".join(filter(None, [plain, *("-" + cell for cell in cells if cell)]))
        table.add_row(family, _summary(of_family[0]), names)
    return table


def _summary(model: Model) -> str:
    """The first sentence of what its package says, or its oracle."""
    package = model.oracle.__module__.rpartition(".")[0]
    doc = getattr(sys.modules.get(package), "__doc__", None) or inspect.getdoc(model.oracle) or ""
    return _plain(doc.split("\n\n")[0])


def _words(model: Model, config: Any) -> Iterator[str]:
    yield "{}: {}".format(model.name, _summary(model))
    yield _plain((inspect.getdoc(model.oracle) or "").split("\n\n")[0])
    kind = getattr(config, "kind", None)
    if kind:
        cell = kind.cell(config)
        yield ""
        yield "{}: {}".format(type(cell).__name__, _plain(_before_parameters(type(cell))))
        gates = getattr(cell, "gates", "")
        # Of Keras' own cells it is how many they are; and of one part there is no order.
        if isinstance(gates, str) and len(gates) > 1:
            reset = " reset_after is {}.".format(cell.reset_after) if "r" in gates else ""
            yield "Kernels and biases have the gates {}, in this order.{}".format(
                ", ".join(gates), reset
            )
    yield ""


def _before_parameters(described: Any) -> str:
    """What it computes; where it is from is a paragraph of its own."""
    text = (inspect.getdoc(described) or "").partition("\nParameters\n")[0]
    return text.partition("\n\nThe NumPy twin of")[0]


def _plain(text: str) -> str:
    """A text of a docstring in one line, without its marks and the modules of names."""
    text = re.sub(r":[a-z]+:`(?:\w+\.)*(\w+)`", r"\1", text)
    return " ".join(re.sub(r"`+", "", text).split())


def _tables(model: Model, config: Any) -> Iterator[Table]:
    data = _table("it reads", "shape", "")
    for field in model.data:
        if not field.when:
            when = ""
        elif getattr(config, field.when):
            when = "since {}".format(field.when)
        else:
            when = "only with {}".format(field.when)
        counted = "whole numbers up to {}".format(field.counts) if field.counts else ""
        data.add_row(field.name, _shape(field), "; ".join(filter(None, [counted, when])))
    yield data
    weights = _table("weights", "shape")
    for field in model.parameters(config):
        weights.add_row(field.name, _shape(field))
    yield weights
    trace = _table("it computes", "shape", "")
    for array in model.trace:
        said = "made of arrays above" if array.role == COPY else array.role
        trace.add_row(array.name, _shape(array), said)
    yield trace
    yield _options(model, config)


def _table(name: str, *others: str) -> Table:
    """A table in which names are whole, and all else is folded."""
    table = Table()
    table.add_column(name, no_wrap=True)
    for other in others:
        table.add_column(other, overflow="fold")
    return table


def _options(model: Model, config: Any) -> Table:
    said = _parameters_of(model.Config)
    kind = getattr(config, "kind", None)
    if kind:
        said = dict(_parameters_of(type(kind.cell(config))), **said)
    table = _table("sizes and options", "default", "may be", "")
    sizes = sizes_in(model.Config)
    for field in dataclasses.fields(config):
        has_default = field.default is not dataclasses.MISSING
        default = str(field.default) if has_default else ""
        if field.name in sizes:
            may_be = "{} and up".format(sizes[field.name].least)
            may_be += " or None" if is_optional(model.Config, field.name) else ""
        elif "numbers" in field.metadata:
            may_be = "a number" + (" or None" if field.default is None else "")
        else:
            may_be = " | ".join(map(str, choices_of(model.Config, field.name)))
        table.add_row(field.name, default, may_be, said.get(field.name, ""))
    return table


def _parameters_of(described: Any) -> Dict[str, str]:
    """What a docstring says of each parameter."""
    section = (inspect.getdoc(described) or "").partition("\nParameters\n")[2]
    found: Dict[str, str] = {}
    names: List[str] = []
    # Behind the line below the heading; the next heading ends it.
    for line in section.split("\n")[1:]:
        if line.startswith("---"):
            break
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
            continue
        for name in names:
            found[name] = (found.get(name, "") + " " + _plain(line)).strip()
    return found


def _shape(array: Union[Field, Traced]) -> str:
    return "[{}]".format(array.text)
