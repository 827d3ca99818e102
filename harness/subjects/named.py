"""A subject by its name, as a command line takes it."""

import contextlib
import importlib
import importlib.util
import inspect
import os
import shlex
import sys
from typing import Any, Dict, List, Mapping, Optional

from rnndiff.harness.errors import UserError, in_one_line
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects.executable import Executable
from rnndiff.harness.subjects.port import Port, with_premise
from rnndiff.harness.subjects.subject import COMMAND, TENSORFLOW, Subject, check_mode
from rnndiff.harness.versions import versions
from rnndiff.models import entry_points

# The subjects of this package by their names, none of them imported before it is asked for.
SHIPPED = {
    TENSORFLOW: "rnndiff.harness.subjects.tensorflow:TensorFlow",
    "bfloat16": "rnndiff.harness.subjects.bfloat16:BFloat16",
    "float16": "rnndiff.harness.subjects.float16:Float16",
    "float32": "rnndiff.harness.subjects.float32:Float32",
    "float64": "rnndiff.harness.subjects.float64:Float64",
    "jax": "rnndiff.harness.subjects.jax:Jax",
    "keras3": "rnndiff.harness.subjects.keras3:Keras3",
    "litert": "rnndiff.harness.subjects.litert:LiteRT",
    "onnx": "rnndiff.harness.subjects.onnx:OnnxReference",
    "onnxruntime": "rnndiff.harness.subjects.onnxruntime:OnnxRuntime",
    "torch": "rnndiff.harness.subjects.torch:Torch",
}


def import_from_here(name: str) -> Any:
    """Import a module, of the current directory, too; whatever it raises is raised.

    The path of a file does for a name, as in `tests/test_my_port.py`. What it prints goes to the
    standard error.
    """
    if os.getcwd() not in sys.path:
        # Behind all else: what lies there may have the name of anything.
        sys.path.append(os.getcwd())
    with contextlib.redirect_stdout(sys.stderr):
        return _import_file(name) if name.endswith(".py") else importlib.import_module(name)


def import_object(name: str, what: str, form: str) -> Any:
    """What a module of the user's has under a name, MODULE:NAME.

    Parameters
    ----------
    name : str
        The module as :func:`import_from_here` takes it.
    what, form : str
        What it should name, and how that is written, for those who wrote it otherwise.

    Raises
    ------
    UserError
        If it is not of this form, the module cannot be imported, or has no such name.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise UserError("{!r} names no {}: write {}.".format(name, what, form))
    try:
        found = getattr(import_from_here(module_name), attribute, None)
    except (Exception, SystemExit) as error:  # A module may raise anything.
        raise UserError(
            "The module {} cannot be imported: {}.".format(module_name, in_one_line(error))
        )
    if found is None:
        raise UserError("The module {} has no {!r}.".format(module_name, attribute))
    return found


def _import_file(path: str) -> Any:
    path = os.path.abspath(path)
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == path:
            return module
    if os.path.dirname(path) not in sys.path:
        sys.path.append(os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    # Not by its name: another module may have the same.
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.exists(path):
        raise ModuleNotFoundError("there is no file {}".format(path))
    module = importlib.util.module_from_spec(spec)
    if sys.modules.setdefault(name, module) is not module:
        sys.modules[path] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for known in (name, path):
            if sys.modules.get(known) is module:
                del sys.modules[known]
        raise
    return module


def of_tensorflow(notes: Mapping[str, str]) -> bool:
    """Whether a file's notes are of TensorFlow, as those are that name no subject."""
    return notes.get("subject", "TensorFlow") == "TensorFlow"


class Subjects:
    """The subject of a name for saved cases: in one mode for all, or in that which a file notes.

    Parameters
    ----------
    name : str
        As :func:`subject_named` takes it.
    mode : str
        That for all; "" is the one of each file, if the subject has it, and else the default.
    premise : str
        What it is taken to compute in; "" is what it states itself.
    """

    def __init__(self, name: str, mode: str = "", premise: str = "") -> None:
        self._name, self._mode, self._premise = name, mode, premise
        self._made: Dict[str, Subject] = {}

    def in_mode(self, mode: str = "") -> Subject:
        """The subject in a mode, made the first time that it is asked for."""
        mode = self._mode or mode
        if mode not in self._made:
            subject = subject_named(self._name, mode=mode)
            self._made[mode] = with_premise(subject, self._premise)
        return self._made[mode]

    def of(self, notes: Mapping[str, Any]) -> Subject:
        """The subject for the notes of a file."""
        noted = notes.get("mode", "")
        # A mode may be one that is taken before anything is made.
        is_another = noted in list(modes_of(self._name))[1:]
        return self.in_mode(noted if is_another else "")

    def without_mode_of(self, notes: Mapping[str, Any]) -> str:
        """A sentence, if a file notes a mode that the subject does not have; else ""."""
        modes, noted = modes_of(self._name), notes.get("mode", "")
        unknown = modes and noted not in ("", versions()["mode"], *modes)
        if self._mode or not unknown:
            return ""
        return "It was saved in the mode {!r}, which {} does not have: this is the default.".format(
            noted, self._name
        )


def options_of(name: str, mode: str, premise: str = "", against: str = "") -> str:
    """The options by which a command makes the subject of a name in a mode, after a space.

    And the one that it is compared with, if there is one.
    """
    options = {"subject": name if name != TENSORFLOW else "", "mode": mode, "premise": premise}
    options["against"] = against
    if name.startswith(COMMAND):
        options = dict(options, subject="", command=name[len(COMMAND) :])
    said = {name: shlex.quote(value) for name, value in options.items() if value}
    return "".join(" --{} {}".format(*option) for option in said.items())


def subject_named(name: str, timeout: Optional[float] = None, mode: str = "") -> Subject:
    """The subject of a name.

    Parameters
    ----------
    name : str
        One of :data:`SHIPPED`, of an entry point of the group ``rnndiff.subjects``, or
        ``MODULE:CLASS``. The class is called without arguments, but for a mode; modules of the
        current directory are found, too, and the path of a file does for one. A function of arrays
        is a :class:`rnndiff.harness.subjects.port.Port`, and so is a class that is no subject. Or
        :data:`rnndiff.harness.subjects.subject.COMMAND` and the command of a program.
    timeout : float, optional
        Its ``timeout``, if it is to have another one than it says itself.
    mode : str, optional
        One of its ``modes``, if not the default.

    Raises
    ------
    UserError
        If there is no such module, class or mode, importing or calling the class fails, or it is no
        subject.
    """
    made = _named(name)
    if mode:
        check_mode(name, getattr(made, "modes", {}), mode)
    subject = made if isinstance(made, Subject) else getattr(made, "rnndiff_port", None)
    if subject is None and _takes_arrays(made):
        subject = Port(made, arithmetic("float32"))
    if subject is None:
        subject = _made(made, name, {"mode": mode} if mode else {})
    if not isinstance(subject, Subject):
        if not (isinstance(made, type) and callable(subject)):
            raise UserError(
                "{} is no subject: derive it from rnndiff.Subject, or name a function of "
                "arrays.".format(_written_out(name).partition(":")[2])
            )
        subject = Port(made, arithmetic("float32"))
    subject.name = name
    if timeout is not None:
        subject.timeout = timeout
    return subject


def modes_of(name: str) -> Mapping[str, str]:
    """The modes of the subject of a name, which is not made; see :class:`Subject`.

    Raises
    ------
    UserError
        If there is no such subject.
    """
    known: Mapping[str, str] = getattr(_named(name), "modes", {})
    return known


def modes_named(name: str, modes: str) -> List[str]:
    """Modes of the subject of a name, which is not made: those with commas between, or "all".

    Raises
    ------
    UserError
        If there is no such subject, or it has no such mode.
    """
    known = modes_of(name)
    chosen = list(known) if modes == "all" else [each.strip() for each in modes.split(",")]
    for each in chosen or [modes]:
        check_mode(name, known, each)
    return chosen


def _named(name: str) -> Any:
    """The class, function or subject of a name, as its module has it."""
    if name.startswith(COMMAND):
        return Executable(name[len(COMMAND) :])
    form = "MODULE:CLASS or MODULE:FUNCTION, such as my_port:MyPort"
    return import_object(_written_out(name), "subject", form)


def _takes_arrays(made: Any) -> bool:
    """Whether this is a port itself, a function of arrays, not what makes a subject.

    What makes one can be called without arguments.
    """
    if isinstance(made, type) or not callable(made):
        return False
    try:
        parameters = inspect.signature(made).parameters
    except (TypeError, ValueError):
        return True
    return any(x.default is x.empty for name, x in parameters.items() if name != "mode")


def _made(make: Any, name: str, given: Mapping[str, Any]) -> Any:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return make(**given)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        how = "with mode={mode!r}".format(**given) if given else "without arguments"
        raise UserError("Calling {} {} fails: {}.".format(name, how, in_one_line(error)))


def _written_out(name: str) -> str:
    """A name as MODULE:CLASS, if it is one that is known."""
    if name in SHIPPED:
        return SHIPPED[name]
    entries = [entry for entry in entry_points("rnndiff.subjects") if entry.name == name]
    return str(entries[0].value) if entries else name
