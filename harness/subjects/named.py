"""A subject by its name, as a command line takes it."""

import importlib
import os
import sys
from typing import Any, Mapping, Optional

from rnndiff.harness.errors import UserError, in_one_line
from rnndiff.harness.subjects.subject import TENSORFLOW, Subject
from rnndiff.models import entry_points

# The subjects of this package by their names, none of them imported before it is asked for.
SHIPPED = {
    TENSORFLOW: "rnndiff.harness.subjects.tensorflow:TensorFlow",
    "float16": "rnndiff.harness.subjects.float16:Float16",
    "float32": "rnndiff.harness.subjects.float32:Float32",
    "float64": "rnndiff.harness.subjects.float64:Float64",
    "keras3": "rnndiff.harness.subjects.keras3:Keras3",
    "onnxruntime": "rnndiff.harness.subjects.onnxruntime:OnnxRuntime",
}


def import_from_here(name: str) -> Any:
    """Import a module, of the current directory, too; whatever it raises is raised."""
    if os.getcwd() not in sys.path:
        # Behind all else: what lies there may have the name of anything.
        sys.path.append(os.getcwd())
    return importlib.import_module(name)


def of_tensorflow(notes: Mapping[str, str]) -> bool:
    """Whether a file's notes are of TensorFlow, as those are that name no subject."""
    return notes.get("subject", "TensorFlow") == "TensorFlow"


def subject_named(name: str, timeout: Optional[float] = None) -> Subject:
    """The subject of a name.

    Parameters
    ----------
    name : str
        One of :data:`SHIPPED`, of an entry point of the group ``rnndiff.subjects``, or
        ``MODULE:CLASS``. The class is called without arguments; modules of the current directory
        are found, too.
    timeout : float, optional
        Its ``timeout``, if it is to have another one than it says itself.

    Raises
    ------
    UserError
        If there is no such module or class, importing or calling it fails, or it is no subject.
    """
    module_name, colon, class_name = _written_out(name).partition(":")
    if not (module_name and colon and class_name):
        raise UserError(
            "{!r} names no subject: write MODULE:CLASS, such as my_port:MyPort.".format(name)
        )
    try:
        module = import_from_here(module_name)
    except (Exception, SystemExit) as error:  # A module may raise anything.
        raise UserError(
            "The module {} cannot be imported: {}.".format(module_name, in_one_line(error))
        )
    made = getattr(module, class_name, None)
    if made is None:
        raise UserError("The module {} has no {!r}.".format(module_name, class_name))
    try:
        subject = made()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError("Calling {} without arguments fails: {}.".format(name, in_one_line(error)))
    if not isinstance(subject, Subject):
        raise UserError("{} is no subject: derive it from rnndiff.Subject.".format(class_name))
    subject.name = name
    if timeout is not None:
        subject.timeout = timeout
    return subject


def _written_out(name: str) -> str:
    """A name as MODULE:CLASS, if it is one that is known."""
    if name in SHIPPED:
        return SHIPPED[name]
    entries = [entry for entry in entry_points("rnndiff.subjects") if entry.name == name]
    return str(entries[0].value) if entries else name
