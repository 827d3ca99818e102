"""Arguments and options that several commands take."""

from typing import Any, List, Optional

import click

from harness.errors import UserError, in_one_line
from harness.subjects.named import import_from_here
from harness.subjects.subject import TENSORFLOW
from models import MODELS, Model, load_entry_points, register


class ModelName(click.ParamType):
    """The name of a model that is registered, or MODULE:NAME of one that is not."""

    name = "model"

    def convert(
        self, value: Any, param: Optional[click.Parameter], context: Optional[click.Context]
    ) -> str:
        """The name under which the model is registered."""
        module, colon, attribute = value.partition(":")
        if not colon:
            if value not in MODELS:
                load_models()
            if value not in MODELS:
                known = ", ".join(map(repr, MODELS))
                self.fail("{!r} is not one of {}, nor MODULE:NAME.".format(value, known))
            return str(value)
        try:
            model = getattr(import_from_here(module), attribute)
            if not isinstance(model, Model):
                self.fail("{} is no model: make it a models.Model.".format(value))
            return register(model).name
        except click.UsageError:
            raise
        except (Exception, SystemExit) as error:  # A module may raise anything.
            self.fail("{} cannot be imported: {}.".format(value, in_one_line(error)))


def all_models() -> List[str]:
    """The names of all models, those of other packages too."""
    load_models()
    return list(MODELS)


def load_models() -> None:
    """Know the models of other packages, too."""
    try:
        load_entry_points()
    except Exception as error:  # Another package may raise anything.
        raise UserError("A package's models cannot be loaded: {}.".format(in_one_line(error)))


models_argument = click.argument("models", nargs=-1, type=ModelName(), metavar="[MODEL]...")

subject_option = click.option(
    "--subject",
    "subject_name",
    metavar="SUBJECT",
    default=TENSORFLOW,
    show_default=True,
    help="What is tested: tensorflow, the name of an entry point, or MODULE:CLASS.",
)
