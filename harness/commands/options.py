"""Arguments and options that several commands take."""

from typing import Any, List, Optional, Tuple

import click

from rnndiff.harness.cases.random_cases import model_named
from rnndiff.harness.errors import UserError, in_one_line
from rnndiff.harness.files import keep_standard_output
from rnndiff.harness.limits import MOST_SECONDS
from rnndiff.harness.subjects.named import SHIPPED, import_object
from rnndiff.harness.subjects.port import PREMISES
from rnndiff.harness.subjects.subject import COMMAND, TENSORFLOW, TIMEOUT
from rnndiff.models import ARTICLE, MODELS, Model, load_entry_points, register

# What is shown where each model takes a column, or minutes: one cell stands for the many others.
SHOWN = ARTICLE + ("rnn-lstm",)


# Of older clicks it is no generic.
class ModelName(click.ParamType):  # type: ignore[type-arg]
    """The name of a model that is registered, or MODULE:NAME of one that is not."""

    name = "model"

    def convert(
        self, value: Any, param: Optional[click.Parameter], context: Optional[click.Context]
    ) -> str:
        """The name under which the model is registered."""
        if ":" not in value and value not in MODELS:
            load_models()
        try:
            if ":" not in value:
                return model_named(value).name
            model = import_object(value, "model", "MODULE:NAME")
        except UserError as error:
            self.fail(str(error))
        if not isinstance(model, Model):
            self.fail("{} is no model: make it an rnndiff.Model.".format(value))
        try:
            return register(model).name
        except Exception as error:  # Of a model that is one by its type alone, it may be any.
            self.fail("{} cannot be registered: {}.".format(value, in_one_line(error)))


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


def _register(
    context: click.Context, param: click.Parameter, names: Tuple[str, ...]
) -> Tuple[str, ...]:
    load_models()
    return names


model_option = click.option(
    "--model",
    type=ModelName(),
    multiple=True,
    metavar="MODULE:NAME",
    expose_value=False,
    is_eager=True,
    callback=_register,
    help="Where a model of the case is, if it is none of rnndiff's; may be given several times.",
)

mode_option = click.option(
    "--mode",
    metavar="MODE",
    default="",
    show_default="its first one",
    help="How the subject is run: one of its modes. A wrong one is answered with a list of them.",
)

against_option = click.option(
    "--against",
    metavar="SUBJECT",
    default="",
    show_default="the oracle alone",
    help="Another subject, in its default mode: both are judged, and compared with one another.",
)

premise_option = click.option(
    "--premise",
    metavar="PREMISE",
    default="",
    show_default="what the subject states",
    help="What the subject is taken to compute in: {}.".format(", ".join(PREMISES)),
)

sizes_option = click.option(
    "--sizes",
    metavar="NAME=SIZE,...",
    default="",
    help="What sizes are to be, or from what to what: num_units=64,inputs=1-16.",
)

no_empty_option = click.option("--no-empty", is_flag=True, help="No size is to be 0.")


def keep_for_json(
    context: click.Context, param: click.Parameter, path: Optional[str]
) -> Optional[str]:
    """The file for JSON; if it is the standard output, nothing else goes there from now on."""
    if path == "-":
        keep_standard_output()
    return path


json_option = click.option(
    "--json",
    "json_path",
    metavar="FILE",
    callback=keep_for_json,
    is_eager=True,
    help="Write the result as JSON; - is the standard output.",
)

report_option = click.option(
    "--report",
    "report_path",
    metavar="FILE",
    help="Write a page of HTML, with figures (needs the extra [report]).",
)


class NumberRange(click.FloatRange):
    """A number in a range, in which NaN is not."""

    def convert(
        self, value: Any, param: Optional[click.Parameter], context: Optional[click.Context]
    ) -> Any:
        """The number."""
        number = super().convert(value, param, context)
        if number != number:
            self.fail("{!r} is no number.".format(value), param, context)
        return number


seconds_option = click.option(
    "--time",
    "seconds",
    type=NumberRange(min=0.0),
    help="Stop after so many seconds of judging.",
)


def timeout_option(
    default: float = TIMEOUT, what: str = "Seconds that the subject has for each case."
) -> Any:
    """The option `--timeout`, of up to a day."""
    return click.option(
        "--timeout",
        type=NumberRange(min=0.0, min_open=True, max=MOST_SECONDS),
        default=default,
        show_default=True,
        help=what,
    )


_META = "rnndiff.command"


def _keep(context: click.Context, param: click.Parameter, command: Optional[str]) -> None:
    context.meta[_META] = command


def subject_or_command(
    context: click.Context, param: click.Parameter, name: Optional[str]
) -> Optional[str]:
    """The name of the subject: as given, or that of the program of `--command`.

    Raises
    ------
    UsageError
        If there are both.
    """
    command = context.meta[_META]
    if command is None:
        return name
    if name is not None:
        raise click.UsageError("Give either --command or {}.".format(param.get_error_hint(context)))
    return COMMAND + str(command)


command_option = click.option(
    "--command",
    metavar="COMMAND",
    expose_value=False,
    is_eager=True,
    callback=_keep,
    help="What is tested is a program: './my_rnn --fast'. It is given cases in turn, as "
    "examples/README.md says, by no shell.",
)

_subject_option = click.option(
    "--subject",
    "subject_name",
    metavar="SUBJECT",
    show_default=TENSORFLOW,
    callback=lambda *given: subject_or_command(*given) or TENSORFLOW,
    help="What is tested: {}, the name of an entry point, or MODULE:CLASS.".format(
        ", ".join(SHIPPED)
    )
    + " Or MODULE:FUNCTION, a function of arrays; PATH.py does for MODULE.",
)


def subject_option(function: Any) -> Any:
    """The options `--subject` and `--command`, which give one name to a command."""
    return _subject_option(command_option(function))
