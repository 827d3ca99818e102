"""A port that is no more than a function: of arrays by their names, to what it computes of them."""

import inspect
import re
from typing import Any, Callable, Collection, Dict, List, Mapping, Set

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.draws import every_array, options_behind
from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.judging.verdict import judge
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.run import Running
from rnndiff.harness.subjects.statements import arithmetic_of, statement_of, supported
from rnndiff.harness.subjects.subject import Subject, Wrapper
from rnndiff.models import Model
from rnndiff.models.layout import choices_of, is_optional, options_in, sizes_in

# What an array stands for that is returned without a name, of those that a model has.
UNNAMED = "scores", "outputs"
WRONG = "WrongTrace"
# What an argument can be beside an array, a size or an option.
PARAMETERS, CONFIG, STATE = "parameters", "config", "initial_state"


class Port(Subject):
    """A function, or another object that is called, as a subject.

    Each of its arguments is given what it is called: ``parameters``, a list of all weights in their
    order; ``config``, all sizes and options; ``initial_state``, an array, or a tuple of its parts;
    an array of the case, such as ``inputs``, ``labels`` or, of "forward/kernel",
    ``forward_kernel``; or a size or an option, such as ``num_units`` or ``forget_bias``. An array
    that the case is without is None. ``**arrays`` are all others that there are. It returns the
    array of the scores or the outputs of all steps, or a dict of any arrays of the trace.

    Parameters
    ----------
    function : function, class or object
        A class is called for a fresh one of its objects. Another object has a method ``reset`` if
        it keeps anything from one call to the next.
    stated : Arithmetic
        Arrays that it is given have its precision; the numbers of bfloat16 are in float32 arrays.

    Attributes
    ----------
    asked : PortScope
        What of it is to be checked, if a test says so: see :mod:`rnndiff.harness.checking.port`.
    """

    asked: Any = None

    def __init__(self, function: Callable[..., Any], stated: Arithmetic) -> None:
        self._function, self._stated = function, stated
        self.precision = stated.name
        # An object of a class is made when it is needed.
        self._call = None if isinstance(function, type) else function
        called = getattr(function, "__name__", type(function).__name__)
        self._label = called
        try:
            signature = inspect.signature(_with_self(function) if self._call is None else function)
        except (TypeError, ValueError):
            raise UserError(
                "The arguments of {} have no names: wrap it in a function that names them, such as "
                "def {}(parameters, inputs).".format(called, called)
            )
        self._asked: List[str] = []
        self._needed: Set[str] = set()
        self._takes_all = False
        arguments = list(signature.parameters.items())
        # Of a class without its self.
        for name, each in arguments if self._call else arguments[1:]:
            if each.kind == each.VAR_KEYWORD:
                self._takes_all = True
            elif each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD):
                self._asked.append(name)
                if each.default is each.empty:
                    self._needed.add(name)
            else:
                raise UserError(
                    "{} has an argument {!r} without a name: name it.".format(called, name)
                )

    def fresh(self) -> Subject:
        """A new one of a class; the same, but reset if it can be, of all else."""
        if isinstance(self._function, type):
            other = Port(self._function, self._stated)
            other.name, other.timeout = self.name, self.timeout
            return other
        reset = getattr(self._function, "reset", None)
        if callable(reset):
            reset()
        return self

    @property
    def label(self) -> str:
        """The name of the function."""
        return self._label

    def arithmetic(self, case: Case) -> Arithmetic:
        """As stated."""
        return self._stated

    def knows(self, model: Model) -> Dict[str, Any]:
        """The options, with their values, that it cannot know of: they keep their defaults.

        Those that it asks for, or whose arrays it asks for, are drawn; all are if it asks for the
        config.

        Raises
        ------
        UserError
            If it asks for what the model does not have.
        """
        arrays = every_array(model)
        names = [*map(identifier, arrays), *_of_config(model)]
        unknown = sorted(self._needed - set(names) - {PARAMETERS, CONFIG, STATE})
        if STATE in self._needed and not _state_of(model):
            unknown.append(STATE)
        if unknown:
            raise UserError(
                "{} asks for {!r}, which {} does not have: its arguments may be {}.".format(
                    self.label,
                    unknown[0],
                    model.name,
                    ", ".join(dict.fromkeys([PARAMETERS, CONFIG, *names])),
                )
            )
        if CONFIG in self._asked:
            return {}
        asked = set(self._asked)
        of_asked = [x for x in every_array(model) if identifier(x) in asked]
        asked.update(options_behind(model, of_asked))
        return defaults(model, asked)

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """What the function returns of a case, by its names."""
        # Huge and special numbers are meant, and nothing to warn of.
        with np.errstate(all="ignore"):
            if self._call is None:
                self._call = self._function()
            return _named(case, self._call(**self._arguments(case)))

    def advice(self, case: Case) -> str:
        """How not to be asked for empty arrays."""
        return about_empty_sizes(case)

    def _arguments(self, case: Case) -> Dict[str, Any]:
        model, config = case.model, case.config
        given: Dict[str, Any] = {identifier(name): None for name in every_array(model)}
        given.update(_of_config(model, config))
        of_parameters = {
            identifier(field.name): array
            for field, array in zip(model.parameters(config), case.parameters)
        }
        of_data = {field.name: array for field, array in zip(model.data, case.data)}
        given.update(of_parameters, **of_data)
        given[PARAMETERS], given[CONFIG] = case.parameters, config
        state = tuple(of_data[field.name] for field in _state_of(model))
        if state:
            is_there = state[0] is not None
            given[STATE] = (state if len(state) > 1 else state[0]) if is_there else None
        arguments = {name: given[name] for name in self._asked if name in given}
        if self._takes_all:
            weights = {} if PARAMETERS in self._asked else of_parameters
            rest = dict(weights, **of_data)
            arguments.update(
                (name, array)
                for name, array in rest.items()
                if name not in self._asked and array is not None
            )
        return arguments


def defaults(model: Model, but: Collection[str]) -> Dict[str, Any]:
    """The options of a model, and the sizes that may be None, but for some: with their defaults."""
    options = [x for x in options_in(model.Config) if x not in but]
    kept = {name: choices_of(model.Config, name)[0] for name in options}
    sizes = [x for x in sizes_in(model.Config) if x not in but]
    return dict(kept, **{x: None for x in sizes if is_optional(model.Config, x)})


def about_empty_sizes(case: Case) -> str:
    """How not to be asked for empty arrays, if a case has any."""
    empty = [name for name, size in case.config.sizes().items() if size == 0]
    if not empty:
        return ""
    return (
        "\nThe size {} is 0 in the simplest case that fails: a port that need not compute such "
        "says so by empty=False (--no-empty).".format(" and ".join(empty))
    )


def _with_self(made: Any) -> Any:
    """What calls an object of a class."""
    if not any("__call__" in vars(each) for each in made.__mro__):
        raise UserError("{} is no port: its objects cannot be called.".format(made.__name__))
    return made.__call__


def identifier(name: str) -> str:
    """The name of an array as one of an argument: forward_kernel of "forward/kernel"."""
    return re.sub(r"\W", "_", name)


def _of_config(model: Model, config: Any = None) -> Dict[str, Any]:
    """The sizes and options, by their names."""
    if config is None:
        return dict.fromkeys([*sizes_in(model.Config), *options_in(model.Config)])
    given = {name: getattr(config, name) for name in [*options_in(config), *sizes_in(config)]}
    # Those that are not given follow from others.
    return dict(given, **{name: x for name, x in config.sizes().items() if name in given})


def _state_of(model: Model) -> List[Any]:
    """The data that are parts of the initial state."""
    return [field for field in model.data if field.when == STATE]


def _named(case: Case, result: Any) -> Mapping[str, np.ndarray]:
    """What a port returned, by the names of the arrays of the trace."""
    names = [array.name for array in case.model.trace]
    known = "the arrays of {} are {}".format(case.model.name, ", ".join(names))
    if isinstance(result, Mapping):
        unknown = [name for name in result if name not in names]
        if unknown or not result:
            what = "an array {!r}".format(unknown[0]) if unknown else "an empty dict"
            raise SubjectError("{}: it returns {}, but {}".format(WRONG, what, known))
        return result
    if result is None or not hasattr(result, "__array__"):
        raise SubjectError(
            "{}: it returns {}: return the array of the {}, or a dict of arrays by their names; "
            "{}".format(
                WRONG,
                "None" if result is None else "a {}".format(type(result).__name__),
                " or the ".join(name for name in UNNAMED if name in names) or names[0],
                known,
            )
        )
    array = np.asarray(result)
    fitting = [
        traced.name
        for traced in case.model.trace
        if traced.name in UNNAMED and len(traced.axes) == array.ndim
    ]
    if len(fitting) != 1:
        raise SubjectError(
            "{}: it returns an array of the shape {} without a name: return a dict of arrays by "
            "their names; {}".format(WRONG, list(array.shape), known)
        )
    return {fitting[0]: array}


def restrict_subject(subject: Subject, restriction: Restriction) -> Subject:
    """A subject of which no more is asked than is drawn for it."""
    return subject if restriction == ANY else _Restricted(subject, restriction)


class _Restricted(Wrapper):
    def __init__(self, subject: Subject, restriction: Restriction) -> None:
        super().__init__(subject)
        self._restriction = restriction

    def supports(self, model: Model, config: Any) -> bool:
        """What it computes, of what is drawn."""
        return self._restriction.allows(config) and self._subject.supports(model, config)


class _Stated(Wrapper):
    def __init__(self, subject: Subject, name: str, stated: Arithmetic) -> None:
        super().__init__(subject)
        self.stated, self._arithmetic = name, stated
        self.precision = stated.name

    @property
    def premise(self) -> str:
        """As given."""
        return "premise: {}, as stated".format(self.stated)

    def arithmetic(self, case: Case) -> Arithmetic:
        """As given."""
        return self._arithmetic


# What can be stated by a name, of any port that computes so.
PREMISES: Dict[str, Dict[str, Any]] = {
    "float32": dict(dtype="float32"),
    "float64": dict(dtype="float64"),
    "float16": dict(dtype="float16"),
    "tf32": dict(dtype="float32", operand_bits=11),
    "bfloat16": dict(dtype="bfloat16"),
    "bfloat16-operands": dict(dtype="float32", operand_bits=8),
    "float16-float32": dict(dtype="float16", sums="float32"),
    "bfloat16-float32": dict(dtype="bfloat16", sums="float32"),
}


def with_premise(subject: Subject, name: str) -> Subject:
    """A subject that states what a command was given, if that is a name.

    Raises
    ------
    UserError
        If there is no premise of this name.
    """
    return _Stated(subject, name, premise_named(name)) if name else subject


def premise_named(name: str) -> Arithmetic:
    """The arithmetic of one of :data:`PREMISES`.

    Raises
    ------
    UserError
        If there is none of this name.
    """
    if name not in PREMISES:
        raise UserError(
            "There is no premise {!r}: take one of {}.".format(name, ", ".join(PREMISES))
        )
    return arithmetic(**PREMISES[name])


def look(subject: Subject, model: Model, restriction: Restriction) -> None:
    """See on one ordinary case that what a subject returns can be judged.

    Raises
    ------
    UserError
        If it can't: that is no mistake in its numbers, and nothing to shrink. Whatever else goes
        wrong is for others to find.
    """
    sizes = {x: 2 + place for place, x in enumerate(sizes_in(model.Config))}
    optional = [name for name in sizes if is_optional(model.Config, name)]
    given = {name: size for name, size in sizes.items() if name not in optional}
    config = restriction.nearest(model.Config, given)
    case = normal_case(np.random.RandomState(0), model, config).of_precision(subject.precision)
    if not supported(subject, case):
        return
    with Running(subject, subject.timeout) as running:
        outcome = running(case)
    wrong = outcome.error if outcome.kind == WRONG else ""
    if outcome.trace is not None:
        try:
            judge(case, outcome.trace, arithmetic_of(subject, case))
        except SubjectError as error:
            wrong = str(error)
    if wrong.startswith(WRONG):
        what = wrong.partition(": ")[2].rstrip(".")
        if re.search(r"is \w+, not \w+|numbers that are not of", what):
            what += " (return that, or state by a premise what else it computes in)"
        raise UserError(
            "What {} returns cannot be judged: {}; tried with {}.".format(
                statement_of(subject, "label"), what, config
            )
        )
