"""A case, everything that is needed to compute a model once, and its file."""

import io
import json
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import numpy as np

from rnndiff.harness.errors import UserError
from rnndiff.harness.files import read_npz, written_whole
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.text import printable
from rnndiff.models import Model, find
from rnndiff.models.layout import check_arrays

FORMAT = 1
# Of which the numbers of a case may be.
PRECISIONS = ("float32", "float64", "float16", "bfloat16")
# The text of a case is some hundred characters long, with all of the environment some thousand.
_MOST_TEXT = 2**20
# Of a size that no number of the file stands for, such as the steps of no inputs: more than any
# that is drawn, and little enough to be computed.
_MOST_STEPS = 64
# What a trace may have beyond what is held: the article's attention has some 100 for each number.
_MOST_TRACED, _MOST_TRACED_PER_NUMBER = 2**22, 256


@dataclass(frozen=True, eq=False)
class Case:
    """Config, parameters and data of one model.

    Parameters
    ----------
    model : Model
        As :func:`rnndiff.models.find` finds one.
    config : Config
        Of that model.
    arrays : dict of str to array
        The parameters and the data, such as "inputs" and "labels", under their names; shapes as in
        ``model.fields(config)``. All numbers are of one precision; of what counts a size, whole
        numbers of int32.
    precision : str, optional
        One of :data:`PRECISIONS`; by default the one that is the type of the numbers. Those of
        bfloat16 are held in float32 (:mod:`rnndiff.harness.numerics.precisions`): what they are
        given as is rounded, as NumPy does where there is a type.

    Raises
    ------
    ValueError
        If an array is missing, is unknown, does not have its shape or its numbers.
    """

    model: Model
    config: Any
    arrays: Dict[str, np.ndarray]
    precision: str = ""

    def __post_init__(self) -> None:
        fields_of_all = self.model.fields(self.config)
        check_arrays(self.arrays, fields_of_all, self.config)
        named = self.precision
        if not named:
            dtype = getattr(self.arrays["inputs"], "dtype", None)
            named = dtype.name if dtype is not None and dtype.name in PRECISIONS else "float32"
            object.__setattr__(self, "precision", named)
        if named not in PRECISIONS:
            raise ValueError("there is no precision {!r}".format(named))
        precision = precision_of(named)
        for field in fields_of_all:
            wanted = np.dtype(field.dtype) if field.counts else precision.dtype
            if getattr(self.arrays[field.name], "dtype", None) != wanted:
                raise ValueError(
                    "{!r} is not an array of {} numbers".format(field.name, wanted.name)
                )
        if not precision.is_own_type:
            numbers = {field.name for field in fields_of_all if not field.counts}
            rounded = {
                name: precision.rounded(array) if name in numbers else array
                for name, array in self.arrays.items()
            }
            object.__setattr__(self, "arrays", rounded)

    def __repr__(self) -> str:
        return "{} {}".format(self.model.name, self.config)

    def copy(self) -> "Case":
        """The same case with arrays of its own, without another look at them."""
        other = object.__new__(type(self))
        arrays = {name: array.copy() for name, array in self.arrays.items()}
        vars(other).update(vars(self), arrays=arrays)
        return other

    def of_precision(self, precision: str) -> "Case":
        """The case with its numbers rounded to a precision; itself if they are of that."""
        if precision == self.precision:
            return self
        rounded, arrays = precision_of(precision).rounded, {}
        for field in self.model.fields(self.config):
            array = self.arrays[field.name]
            arrays[field.name] = array.astype(field.dtype) if field.counts else rounded(array)
        return Case(self.model, self.config, arrays, precision)

    @property
    def parameters(self) -> List[np.ndarray]:
        """The parameters in TensorFlow's creation order."""
        return [self.arrays[field.name] for field in self.model.parameters(self.config)]

    @property
    def inputs(self) -> np.ndarray:
        """[batch, time, inputs]."""
        return self.arrays["inputs"]

    @property
    def labels(self) -> np.ndarray:
        """[batch, ..., outputs]; without rows for a model that has none."""
        return self.arrays.get("labels", np.zeros((0, 1), self.inputs.dtype))

    @property
    def data(self) -> List[Optional[np.ndarray]]:
        """Inputs, labels and all others, as the oracle takes them: None for what is not there."""
        return self.model.arguments(self.config, self.arrays)

    def oracle(self, dtype: Any) -> Dict[str, np.ndarray]:
        """The trace of the oracle in plain arrays, of `dtype` but for what are whole numbers."""
        arrays = {
            field.name: self.arrays[field.name].astype(field.dtype if field.counts else dtype)
            for field in self.model.fields(self.config)
        }
        parameters = [arrays[field.name] for field in self.model.parameters(self.config)]
        return self.model.compute(
            self.config, parameters, *self.model.arguments(self.config, arrays)
        )


def zeros(model: Model, config: Any, precision: str = "float32") -> Dict[str, np.ndarray]:
    """The arrays of the simplest case of a config: zeros, labels of class 0, full lengths."""
    arrays = {}
    for field in model.fields(config):
        most = config.sizes()[field.counts] if field.counts else 0
        dtype = field.dtype if field.counts else precision_of(precision).dtype
        arrays[field.name] = np.full(field.shape(config), most, dtype)
        if field.name == "labels":
            arrays[field.name][..., 0] = 1
    return arrays


def smallest_case(name: str, sizes: Mapping[str, Any], numbers: Mapping[str, Any]) -> Case:
    """A case of a model by its name: sizes 1, zeros and labels of class 0, but for what is given.

    ``numbers`` are broadcast to the arrays that they are named for.
    """
    model = find(name)
    ones = {field.name: 1 for field in fields(model.Config) if field.default is MISSING}
    config = model.Config(**dict(ones, **sizes))
    arrays = zeros(model, config)
    for array, values in numbers.items():
        arrays[array][...] = values
    return Case(model, config, arrays)


class SavedCase(NamedTuple):
    """What a case's file holds: the case, and what was seen when it was saved.

    The notes are texts of one line; :func:`rnndiff.harness.text.plain` makes them fit for more
    than a terminal.
    """

    case: Case
    trace: Dict[str, np.ndarray]
    notes: Dict[str, str]


def save(
    path: str,
    case: Case,
    trace: Optional[Mapping[str, np.ndarray]] = None,
    notes: Optional[Mapping[str, Any]] = None,
) -> None:
    """Write a case to `path`, whole or not at all.

    The file is a NumPy ``.npz`` without pickle: ``meta``, a JSON text (format, model, config and
    `notes`, such as versions), ``case/NAME`` for every array of the case and ``trace/NAME`` for
    every array that the subject computed.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    with written_whole(path) as file:
        file.write(packed(case, trace, notes))


def packed(
    case: Case,
    trace: Optional[Mapping[str, np.ndarray]] = None,
    notes: Optional[Mapping[str, Any]] = None,
) -> bytes:
    """The bytes that :func:`save` writes.

    Raises
    ------
    KeyboardInterrupt
        As anywhere, though zipfile puts an error of its own in its place.
    """
    meta = {
        "format": FORMAT,
        "model": case.model.name,
        "config": asdict(case.config),
        "notes": dict(notes or {}),
    }
    if not precision_of(case.precision).is_own_type:
        meta["precision"] = case.precision
    arrays = {"case/" + name: array for name, array in case.arrays.items()}
    arrays.update(("trace/" + name, array) for name, array in (trace or {}).items())
    file = io.BytesIO()
    try:
        np.savez(file, meta=np.array(json.dumps(meta)), **arrays)
    except ValueError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise
    return file.getvalue()


def holds(path: str, content: bytes) -> bool:
    """Whether a file holds the case and the trace in these bytes, whatever notes it has."""
    try:
        there = _but_notes(read_npz(path, "a case saved by rnndiff"))
        return there == _but_notes(dict(np.load(io.BytesIO(content))))
    except Exception:  # As in `load`.
        return False


def _but_notes(arrays: Dict[str, np.ndarray]) -> Any:
    meta = json.loads(str(arrays.pop("meta")))
    meta.pop("notes")
    return meta, {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()}


def load(path: str) -> SavedCase:
    """Read what :func:`save` wrote.

    Raises
    ------
    UserError
        If the file is missing, damaged, of a later format, not a case at all, or has sizes that the
        numbers in it do not go with.
    """
    arrays = read_npz(path, "a case saved by rnndiff")
    try:
        text = arrays.pop("meta")
        if text.dtype.kind != "U" or text.size != 1 or text.itemsize > 4 * _MOST_TEXT:
            raise ValueError("no text of a case")
        meta = json.loads(str(text))
        version = meta["format"]
    except Exception:  # Of texts that are none, and of JSON that is nested too deeply, any kind.
        raise UserError("{} is an .npz file, but not a case saved by rnndiff.".format(path))
    if version != FORMAT:
        raise UserError(
            "{} has the format {!r}, but this rnndiff reads {}: upgrade rnndiff.".format(
                path, version, FORMAT
            )
        )
    name = meta.get("model") if isinstance(meta, dict) else None
    try:
        model = find(name) if isinstance(name, str) else None
    except (KeyError, ValueError):
        raise UserError(
            "{} is a case of the model {!r}, which is not registered: name it by "
            "--model MODULE:NAME.".format(path, printable(name))
        )
    try:
        if model is None:
            raise ValueError("no model is named")
        config, held = model.Config(**meta["config"]), _under("case/", arrays)
        _check_steps(model, config, held)
        notes = {printable(key): printable(value) for key, value in meta["notes"].items()}
        # Of what is no text, or a long one, the sentence has the beginning.
        precision = meta.get("precision", "")
        if "precision" in meta and precision not in list(PRECISIONS):
            raise ValueError("{:.40} is no precision".format(printable(repr(precision))))
        return SavedCase(Case(model, config, held, precision), _under("trace/", arrays), notes)
    except Exception as error:  # Damage that left valid JSON and arrays can be of any kind.
        reason = " ".join(str(error).split())
        raise UserError("{} is not a case that rnndiff can run: {}.".format(path, reason))


def _check_steps(model: Model, config: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError if a size, or the trace, is beyond what the file's own numbers are about.

    Steps and slots take time and memory even where no array has them as an axis, or where another
    axis is empty.
    """
    most = max([_MOST_STEPS] + [array.size for array in arrays.values()])
    for name, size in config.sizes().items():
        if size > most:
            raise ValueError(
                "{} is {}, but no array has more than {} numbers".format(name, size, most)
            )
    held = sum(array.size for array in arrays.values())
    traced = 0
    for array in model.trace:
        numbers = 1
        for axis in array.shape(config):
            numbers *= axis
        traced += numbers
    if traced > _MOST_TRACED + _MOST_TRACED_PER_NUMBER * held:
        raise ValueError(
            "its trace would have {} numbers, of {} that it holds".format(traced, held)
        )


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
