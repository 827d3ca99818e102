"""Data of a user's own: what a model is to read, and what another TensorFlow made of it."""

import dataclasses
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np

from rnndiff.harness.errors import UserError
from rnndiff.harness.files import read_npz
from rnndiff.harness.subjects import Subject
from rnndiff.harness.text import printable
from rnndiff.harness.trained.data import Data
from rnndiff.models import MODELS, Model
from rnndiff.models.layout import CHOICE, Field, choices_of, is_optional, options_in, sizes_in


class OwnData(NamedTuple):
    """The data of a model by their names, and where they come from.

    ``recorded`` holds arrays of the trace that something else computed of them; ``told`` the fields
    of the config that the data decide.
    """

    name: str
    data: Dict[str, np.ndarray]
    recorded: Dict[str, np.ndarray]
    told: Dict[str, Any]

    def sizes(self) -> Dict[str, Any]:
        """What the data say of a config."""
        return self.told

    def arrays(self) -> Dict[str, np.ndarray]:
        """The data by the names that the model has for them."""
        return self.data

    def chance(self) -> Optional[float]:
        """The accuracy of the best constant answer to all rows; None without labels."""
        labels = self.data.get("labels", np.zeros(0))
        # Zeros are no labels.
        if not np.any(labels):
            return None
        return float(np.mean(np.max(np.mean(labels, axis=0, dtype=np.float64), axis=-1)))


AnyData = Union[Data, OwnData]


class Recorded(Subject):
    """What something else computed of the data."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = arrays

    def __call__(self, case: Any) -> Dict[str, np.ndarray]:
        """The arrays, as they were recorded."""
        return {name: array.copy() for name, array in self._arrays.items()}

    @property
    def label(self) -> str:
        """In tables and headings."""
        return "recorded"


def read_own(model: Model, inputs: str, labels: Optional[str], options: Any) -> OwnData:
    """The data of a model from files.

    Parameters
    ----------
    model : Model
    inputs : str
        An ``.npz`` of arrays named as the model's data: "inputs" [batch, time, inputs],
        "sequence_length" [batch] and so on; others may be named as arrays of its trace. If there is
        just one array, it is the inputs, whatever its name.
    labels : str, optional
        Another ``.npz``, with the array "labels", or with just one.
    options : dict of str to value
        Fields of the config that are given otherwise; with those no data may disagree.

    Raises
    ------
    UserError
        If a file is missing or damaged, or has arrays that are none of the model's, of the wrong
        numbers or of sizes that do not go together.
    """
    arrays = _read(inputs, "inputs")
    # As cases and records have it.
    if "meta" in arrays:
        raise _unfit(
            inputs, model, "it is a case or a record of rnndiff's, and no data of a user's"
        )
    if labels:
        arrays["labels"] = _read(labels, "labels", alone=True)["labels"]
    fields = {field.name: field for field in model.data}
    traced = {array.name: array for array in model.trace}
    unknown = sorted(set(arrays) - set(fields) - set(traced))
    if unknown:
        raise _unfit(
            inputs,
            model,
            "it has {}, none of its data ({}), nor of what it computes ({})".format(
                ", ".join(repr(printable(name)) for name in unknown),
                ", ".join(fields),
                ", ".join(traced),
            ),
        )
    for name in ("inputs", "labels"):
        if name in fields and name not in arrays:
            zeros = "; where there are none, give zeros" if name == "labels" else ""
            said = "there is no array {!r} [{}]{}".format(name, fields[name].text, zeros)
            raise _unfit(inputs, model, said)
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise _unfit(inputs, model, "{!r} holds {}, not numbers".format(name, array.dtype))
    try:
        data = {name: _data(fields[name], arrays[name]) for name in fields if name in arrays}
        told = _told(model, data, options)
    except ValueError as error:
        raise _unfit(inputs, model, str(error))
    recorded = {
        name: array.astype(np.int64 if traced[name].role == CHOICE else np.float32)
        for name, array in arrays.items()
        if name not in fields
    }
    return OwnData(inputs, data, recorded, told)


def _read(path: str, name: str, alone: bool = False) -> Dict[str, np.ndarray]:
    """The arrays of a file; if there is just one, under this name."""
    arrays = read_npz(path, "{} of a model, an .npz file".format(name))
    if len(arrays) == 1:
        return {name: next(iter(arrays.values()))}
    if alone and name not in arrays:
        raise UserError("{} has no array {!r}, but several others.".format(path, name))
    return arrays


def _data(field: Field, array: np.ndarray) -> np.ndarray:
    """An array in the numbers of its field."""
    if array.ndim != len(field.axes):
        raise ValueError(
            "{!r} has the shape {} in place of [{}]".format(
                field.name, list(array.shape), field.text
            )
        )
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(field.dtype)
    if field.counts and not np.array_equal(converted, array):
        raise ValueError("{!r} has other than whole numbers".format(field.name))
    return converted


def _told(
    model: Model, data: Mapping[str, np.ndarray], options: Mapping[str, Any]
) -> Dict[str, Any]:
    """The sizes that axes of the data have, and the options with which there are such data."""
    told: Dict[str, Any] = {}
    by: Dict[str, Field] = {}
    # One that may be left out decides more than a size: without a projection there is no num_proj.
    of_config = {n for n in sizes_in(model.Config) if not is_optional(model.Config, n)}
    for field in model.data:
        if field.name not in data:
            continue
        # Noise is there by what a probability is, which the noise does not tell.
        if field.when in {each.name for each in dataclasses.fields(model.Config)}:
            told[field.when] = True
        for axis, size in zip(field.axes, data[field.name].shape):
            if len(axis) == 1 and axis[0] in of_config:
                first = by.setdefault(axis[0], field)
                if told.setdefault(axis[0], size) != size:
                    both = (
                        "{!r} [{}] has the shape {}".format(
                            each.name, each.text, list(data[each.name].shape)
                        )
                        for each in (first, field)
                    )
                    raise ValueError("{} is not one number: {}".format(axis[0], ", ".join(both)))
    for name, value in options.items():
        if name in told and told[name] != value:
            raise ValueError("the data have {} {}, not {}".format(name, told[name], value))
    return told


def check_recorded(data: AnyData, model: Model, config: Any) -> None:
    """Raise a UserError if what was recorded has other shapes than the model's trace."""
    recorded = data.recorded if isinstance(data, OwnData) else {}
    for array in model.trace:
        if array.name in recorded:
            found, wanted = recorded[array.name].shape, tuple(array.shape(config))
            if found != wanted:
                said = "{!r} has the shape {}, not {}, which is [{}]"
                raise _unfit(
                    data.name, model, said.format(array.name, list(found), list(wanted), array.text)
                )


def option_named(model: Model, text: str) -> Dict[str, Any]:
    """The field of a model's config that "NAME=VALUE" names, and its value.

    Raises
    ------
    UserError
        If there is no such field, or that is no value of it.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    names = [field.name for field in dataclasses.fields(model.Config)]
    if not equals or name not in names:
        of_family = [x.name for x in MODELS.values() if x.family == model.family]
        having = [x for x in of_family if name in options_in(MODELS[x].Config)]
        hint = "; {} {} it".format(", ".join(having), "has" if len(having) == 1 else "have")
        raise UserError(
            "--set {} names no option of {}: write NAME=VALUE, of {}{}.".format(
                printable(text), model.name, ", ".join(names), hint if having else ""
            )
        )
    choices: Sequence[Any] = (
        () if name in sizes_in(model.Config) else choices_of(model.Config, name)
    )
    for choice in choices:
        if str(choice).lower() == value.lower():
            return {name: choice}
    for kind in (int, float):
        try:
            number: Any = kind(value)
        except ValueError:
            continue
        # 1 for 1.0, which a config tells apart.
        number = float(number) if any(isinstance(choice, float) for choice in choices) else number
        try:
            dataclasses.replace(model.article, **{name: number})
        except ValueError as error:
            raise UserError("--set {}: {}.".format(printable(text), error))
        return {name: number}
    raise UserError(
        "--set {}: {} must be {}.".format(
            printable(text), name, " or ".join(map(str, choices)) if choices else "a whole number"
        )
    )


def _unfit(path: str, model: Model, reason: str) -> UserError:
    return UserError(
        "{} does not fit the model {}: {} (`rnndiff models {}` says what its arrays are).".format(
            path, model.name, reason, model.name
        )
    )
