"""Which variable of a checkpoint is which parameter of a model."""

import dataclasses
import itertools
import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np

from rnndiff.harness.errors import UserError
from rnndiff.harness.trained.checkpoint import name_of, names_and_shapes
from rnndiff.models import Model
from rnndiff.models.layout import (
    Field,
    check_arrays,
    choices_of,
    is_optional,
    sizes_in,
)

# In how many ways variables may fit by their names and each by its shape, before it is asked for.
_MOST_WAYS = 4096
# Words by which scopes tell the parts of a model apart, for what the model calls them.
_WORDS = {
    "forward": ("fw", "forward"),
    "backward": ("bw", "backward"),
    "encoder": ("encoder", "enc"),
    "decoder": ("decoder", "dec"),
}
_LAYER = re.compile("cell_[0-9]+$")
# What TensorFlow before 1.2 called the variables of a cell.
_OLD_NAMES = {"kernel": "(?:kernel|weights)", "bias": "(?:bias|biases)"}


class Match(NamedTuple):
    """The name of a variable for each parameter, and the options of the config that follow."""

    names: Dict[str, str]
    options: Dict[str, Any]


def match(
    path: str,
    variables: Mapping[str, np.ndarray],
    model: Model,
    config: Any,
    given: Mapping[str, Any],
    said: Mapping[str, str],
) -> Match:
    """Find the parameters of a model among variables in any scopes.

    Names and shapes decide: below the scope that a part of the model (a cell, its wrapper, a
    projection) has in the checkpoint, variables are called as TensorFlow calls them. Of options
    that decide which parameters there are, such as `use_peepholes`, those are taken by which most
    variables are parameters.

    Parameters
    ----------
    path : str
        The checkpoint, for messages.
    variables : dict of str to array
    model : Model
    config : Config
        With the sizes of the data.
    given : dict of str to value
        The fields of the config that are not to be changed.
    said : dict of str to str
        For names of parameters, or of scopes of the model, the names in the checkpoint.

    Raises
    ------
    UserError
        If no variables fit, or more than one for a parameter.
    """
    missing, problem = "", ""
    left: Mapping[str, np.ndarray] = {}
    for options in _options(model, config, given):
        changed = dataclasses.replace(config, **options)
        try:
            return Match(_names(variables, model, changed, said), options)
        except _Missing as error:
            # The last one is of the fewest parameters.
            missing, left = str(error), error.left
        except _Ambiguous as error:
            problem = str(error)
            break
        except ValueError as error:
            problem = problem or str(error)
    if problem or not left:
        there = "the variables of the checkpoint are {}".format(names_and_shapes(variables))
    else:
        there = "nothing is made of {}".format(names_and_shapes(left))
    if "decoder/" in missing and given.get("output_time", 1) > 1:
        there += "; where nothing is decoded, give labels [batch, 1, outputs]"
    raise UserError(
        "{} does not fit the model {}: {}; {}; say which is which by --map PARAMETER=VARIABLE, "
        "or --map SCOPE=SCOPE.".format(path, model.name, problem or missing, there)
    )


class _Missing(ValueError):
    """No variables have the names of parameters; those that are `left` are no others."""

    def __init__(self, text: str, left: Mapping[str, np.ndarray]) -> None:
        super().__init__(text)
        self.left = left


class _Ambiguous(ValueError):
    """More than one variable may be a parameter."""


def sizes_from_shapes(
    config: Any, model: Model, arrays: Mapping[str, np.ndarray]
) -> Dict[str, int]:
    """The sizes that an axis of some parameter has all to itself, but for those of the data."""
    told: Dict[str, int] = {}
    for field in model.parameters(config):
        shape = arrays[field.name].shape if field.name in arrays else ()
        if len(shape) == len(field.axes):
            for axis, size in zip(field.axes, shape):
                # The bias of four gates is four times as long as a state.
                if len(set(axis)) == 1 and size % len(axis) == 0:
                    told.setdefault(axis[0], size // len(axis))
    # By default each cell reads as much as its input has; an `input_size` holds for both.
    read = "encoder_input_size", "decoder_input_size"
    if "encoder_input_size" in told and any(told.get(n) != config.sizes()[n] for n in read):
        told["input_size"] = told["encoder_input_size"]
    of_data = _sizes_of_data(model)
    free = {field.name for field in dataclasses.fields(config)} - of_data
    return {
        name: size
        for name, size in told.items()
        # Where there is no projection, num_proj is but another name of num_units.
        if name in free and not _decides(model, config, name, size)
    }


def _sizes_of_data(model: Model) -> Set[str]:
    """The sizes that the data always tell: an initial state may be left out."""
    fields = [field for field in model.data if not field.when]
    return {part for field in fields for axis in field.axes for part in axis}


def _decides(model: Model, config: Any, name: str, value: Any) -> bool:
    """Whether another value of a field of the config is one of other parameters."""
    try:
        other = dataclasses.replace(config, **{name: value})
    except ValueError:
        return False
    return _parameters(model, other) != _parameters(model, config)


def _parameters(model: Model, config: Any) -> List[str]:
    return [field.name for field in model.parameters(config)]


def _options(model: Model, config: Any, given: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The values of all fields that decide which parameters there are, those of most first."""
    of_data = _sizes_of_data(model)
    sizes, deciding = sizes_in(config), {}
    for field in dataclasses.fields(config):
        if field.name in given or field.name in of_data:
            continue
        if field.name not in sizes:
            choices = choices_of(config, field.name)
        elif is_optional(config, field.name):
            choices = (None, 1)
        else:
            continue
        if any(_decides(model, config, field.name, choice) for choice in choices):
            deciding[field.name] = choices
    ways = [dict(zip(deciding, values)) for values in itertools.product(*deciding.values())]

    def count(options: Dict[str, Any]) -> int:
        return len(model.parameters(dataclasses.replace(config, **options)))

    return sorted(ways, key=count, reverse=True)


def _names(
    variables: Mapping[str, np.ndarray], model: Model, config: Any, said: Mapping[str, str]
) -> Dict[str, str]:
    """The name of the variable for each parameter; raise ValueError if there is not just one."""
    fields = model.parameters(config)
    _check_said(said, fields)
    fixed = {f.name: name for f in fields for name in [_said(f, variables, said)] if name}
    roots: Dict[str, List[Field]] = {}
    for field in fields:
        if field.name not in fixed:
            roots.setdefault(_root(field.name), []).append(field)
    rest = {name: array for name, array in variables.items() if name not in fixed.values()}
    ways = [list(_ways(rest, root, roots, said.get(root.partition("/")[0], ""))) for root in roots]
    missing = [f.name for root, of_root in zip(roots, ways) if not of_root for f in roots[root]]
    if missing:
        used = {name for of_root in ways for way in of_root for name in way.values()}
        left = {name: array for name, array in rest.items() if name not in used}
        raise _Missing("it has no variables for {}".format(", ".join(missing)), left)
    count = 1
    for of_root in ways:
        count *= len(of_root)
    found, why = [], ""
    for way in itertools.product(*ways) if count <= _MOST_WAYS else ():
        names = dict(fixed)
        for part in way:
            names.update(part)
        if len(set(names.values())) < len(names):
            continue
        arrays = {name: variables[variable] for name, variable in names.items()}
        try:
            sized = dataclasses.replace(config, **sizes_from_shapes(config, model, arrays))
            check_arrays(arrays, model.parameters(sized), sized)
        except ValueError as error:
            why = why or str(error)
            continue
        found.append(names)
    if len(found) == 1:
        return {field.name: found[0][field.name] for field in fields}
    if not found and count <= _MOST_WAYS:
        raise ValueError(why or "no variables have the shapes of its parameters")
    raise _Ambiguous(_ambiguity(found, ways))


def _root(name: str) -> str:
    """The part of the model that has a parameter: its first scope, in a stack with a direction."""
    first, second, *rest = name.split("/") + [""]
    return "{}/{}".format(first, second) if rest and second in _WORDS else first


def _ambiguity(
    found: Sequence[Mapping[str, str]], ways: Sequence[Sequence[Mapping[str, str]]]
) -> str:
    for name in found[0] if found else ways[0][0]:
        candidates = sorted(
            {way[name] for of_root in [found, *ways] for way in of_root if name in way}
        )
        if len(candidates) > 1:
            return "its {} may be {}".format(name, " or ".join(candidates))
    return "its parameters may be these variables in more than one way"


def _check_said(said: Mapping[str, str], fields: Sequence[Field]) -> None:
    """Raise ValueError if a name on the left is none of the model's."""
    for name in said:
        if not any((field.name + "/").startswith(name + "/") for field in fields):
            raise ValueError(
                "it has no parameter or scope {!r}, but {}".format(
                    name, ", ".join(field.name for field in fields)
                )
            )


def _said(
    field: Field, variables: Mapping[str, np.ndarray], said: Mapping[str, str]
) -> Optional[str]:
    """The variable that is said to be a parameter, itself or by a scope in a part of the model."""
    for scope in [field.name] + [scope for scope in said if field.name.startswith(scope + "/")]:
        if scope not in said or (scope != field.name and "/" not in scope):
            continue
        name = name_of(said[scope]) + field.name[len(scope) :]
        if name not in variables:
            raise ValueError("it has no variable {!r}".format(name))
        return name
    return None


def _pattern(name: str) -> str:
    """A regular expression for the end of a variable's name, of the end of a parameter's.

    What a model calls "cell" TensorFlow calls by its class; each of the layers of a MultiRNNCell
    has the name of its class below its number.
    """
    parts = []
    for part in name.split("/"):
        if part == "cell":
            parts.append("(?P<cell>[^/]+)")
        elif _LAYER.match(part):
            parts.append(part + "(?:/[^/]+)?")
        else:
            parts.append(_OLD_NAMES.get(part, re.escape(part)))
    return "/".join(parts)


def _ways(
    variables: Mapping[str, np.ndarray], root: str, roots: Mapping[str, List[Field]], below: str
) -> Iterator[Dict[str, str]]:
    """In which ways variables may be the parameters of a part of the model, by their names.

    All of them stand below one scope, and those of a wrapped cell below one scope in that. If it is
    said what they stand `below`, words in scopes say nothing but directions.
    """
    fields = roots[root]
    ends = [field.name[len(root) + 1 :] for field in fields]
    literal = {end.partition("/")[0] for end in ends if "/" in end} - {"cell"}
    found: Dict[Any, Dict[str, List[str]]] = {}
    for field, end in zip(fields, ends):
        pattern = re.compile("(?:(?P<scope>.+)/)?{}$".format(_pattern(end)))
        for name, array in variables.items():
            matched = pattern.match(name)
            if not matched or array.ndim != len(field.axes):
                continue
            scope, cell = matched.group("scope") or "", matched.groupdict().get("cell")
            is_there = not below or (scope + "/").startswith(below + "/")
            # Of a layer in a scope that is said, its direction is left.
            is_there = is_there and _may_be(root, scope, roots, 1 if below else 0)
            if is_there and cell not in literal:
                found.setdefault((scope, cell), {}).setdefault(field.name, []).append(name)
    for scope, cell in found:
        # What has no cell in its name goes with each of them.
        of_place = dict(found.get((scope, None), {}), **found[scope, cell])
        if all(len(of_place.get(field.name, [])) == 1 for field in fields):
            yield {field.name: of_place[field.name][0] for field in fields}


def _may_be(root: str, scope: str, roots: Mapping[str, Any], first: int = 0) -> bool:
    """Whether the last words in a scope that name parts of a model do not name other ones.

    Of the parts in `root`, a layer and a direction, from the `first` one on.
    """
    parts = [each.split("/") for each in roots]
    for place, part in list(enumerate(root.split("/")))[first:]:
        named = _named(scope, {each[place] for each in parts if len(each) > place})
        if named and part not in named:
            return False
    return True


def _named(scope: str, parts: Set[str]) -> Set[str]:
    """The parts that the last word in a scope names, of those that it names any of."""
    for name in reversed(scope.lower().split("/")):
        for word in [name, *reversed(name.split("_"))]:
            named = {each for each in parts if word in _WORDS.get(each, _number(each))}
            if named:
                return named
    return set()


def _number(part: str) -> Tuple[str, ...]:
    """Of a layer its name: those of all others are "cell" and a number, too."""
    return (part,) if _LAYER.match(part) else ()
