"""The variables of a TensorFlow checkpoint, read in a process of its own.

A checkpoint may be anybody's. TensorFlow's reader allocates what an index claims, and ends its
process at sizes that are none.
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

import numpy as np

from rnndiff.harness.errors import UserError, in_one_line
from rnndiff.harness.files import MOST_BYTES, numbers_in, read_npz
from rnndiff.harness.subjects.alone import FAILED
from rnndiff.harness.subjects.run import name_of_end

WHAT = "a TensorFlow checkpoint"
# To import TensorFlow and to read the largest file, on a busy machine.
TIMEOUT = 300.0
# What ends the name of a variable in the object-based checkpoints of TensorFlow 2.
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# The last bytes of the tables that TensorFlow keeps names in (tensorflow/core/lib/io/format.h).
_TABLE = 0xDB4775248B80FB57.to_bytes(8, "little")
# With the modules that this process has: `python -m` would look into the working folder first.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[4:]; "
    "from rnndiff.harness.trained.checkpoint import main; main(*sys.argv[1:4])"
)


def prefix_of(path: str) -> Optional[str]:
    """What the names of a checkpoint's files begin with; None if `path` names no checkpoint.

    `path` is that, one of the files, or the file "checkpoint" or its folder, which names the latest
    one in it.

    Raises
    ------
    UserError
        If there is no such file, but are checkpoints of later steps (`path`-500).
    """
    folder = os.path.dirname(path) if os.path.basename(path) == "checkpoint" else path
    if os.path.isfile(os.path.join(folder, "checkpoint")):
        return folder or os.curdir
    start = re.sub(r"\.(index|meta|data-[0-9]+-of-[0-9]+)$", "", path)
    if os.path.isfile(start + ".index"):
        return start
    steps = [name[: -len(".index")] for name in sorted(glob.glob(glob.escape(path) + "-*.index"))]
    if steps and not os.path.exists(path):
        raise UserError("There is no checkpoint {}, but {}.".format(path, ", ".join(steps)))
    return path if _is_table(path) else None


def _is_table(path: str) -> bool:
    """Whether it is a file of the first format, which has names and numbers in one table."""
    if not os.path.isfile(path) or os.path.getsize(path) < len(_TABLE):
        return False
    try:
        with open(path, "rb") as file:
            file.seek(-len(_TABLE), os.SEEK_END)
            return file.read() == _TABLE
    except OSError:
        return False


def read_checkpoint(prefix: str, wanted: Sequence[str] = ()) -> Dict[str, np.ndarray]:
    """The variables of a checkpoint that may be parameters, as :func:`variables` reads them.

    Raises
    ------
    UserError
        If it cannot be read, or there is no TensorFlow to read it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "variables.npz")
        arguments = [prefix, path, json.dumps(list(wanted)), *map(os.path.abspath, sys.path)]
        try:
            status = subprocess.call(
                [sys.executable, "-c", _PROGRAM, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise _unreadable(prefix, "TensorFlow takes more than {:g} s".format(TIMEOUT))
        if status == FAILED:
            with open(path, encoding="utf-8") as file:
                raise UserError(file.read())
        if status:
            raise _unreadable(
                prefix, "it ends TensorFlow's process by {}".format(name_of_end(status))
            )
        arrays = read_npz(path, WHAT)
    names = arrays.pop("names").tolist()
    return {name: arrays["arr_{}".format(number)] for number, name in enumerate(names)}


def main(prefix: str, path: str, wanted: str) -> None:
    """Write the variables of a checkpoint to an ``.npz``, or a sentence on why not."""
    try:
        found = variables(prefix, json.loads(wanted))
        # Not by their names, which may be those of arguments.
        np.savez(path, *found.values(), names=np.array(list(found), dtype=np.str_))
    except UserError as error:
        with open(path, "w", encoding="utf-8") as file:
            file.write(str(error))
        sys.exit(FAILED)


def variables(prefix: str, wanted: Sequence[str] = ()) -> Dict[str, np.ndarray]:
    """The variables of a checkpoint that may be parameters, by their names, read in this process.

    Single numbers, whole numbers and texts are none, nor is what :func:`kept_by_optimizers` names,
    unless it is `wanted`.

    Parameters
    ----------
    prefix : str
        As :func:`prefix_of` returns it.
    wanted : sequence of str
        Names of variables to be read whatever they are.

    Raises
    ------
    UserError
        If it cannot be read, or there is no TensorFlow to read it.
    """
    from rnndiff.harness.subjects.tensorflow import tensorflow

    tf1 = tensorflow().tf1
    try:
        start = tf1.train.latest_checkpoint(prefix) if os.path.isdir(prefix) else prefix
        held = _bytes_of(prefix, start)
        reader = tf1.train.load_checkpoint(start)
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        passed_over = kept_by_optimizers(shapes)
        chosen = {}
        for key in sorted(shapes):
            name = name_of(key)
            is_wanted = name in wanted or key in wanted
            if is_wanted or (types[key].is_floating and shapes[key] and key not in passed_over):
                chosen[key] = name
        claimed = sum(numbers_in(shapes[key]) * (types[key].size or 1) for key in chosen)
        if claimed > held:
            raise _unreadable(
                prefix, "it claims to hold {:,} bytes, and has {:,}".format(claimed, held)
            )
        found = {name: np.asarray(reader.get_tensor(key)) for key, name in chosen.items()}
    except UserError:
        raise
    except Exception as error:  # TensorFlow raises its own kinds, other ones in other versions.
        raise _unreadable(prefix, in_one_line(error))
    return {name: _plain(prefix, name, array) for name, array in found.items()}


def name_of(key: str) -> str:
    """The name of a variable: what a checkpoint calls it, less what all names end in."""
    return key[: -len(VALUE)] if key.endswith(VALUE) else key


def kept_by_optimizers(shapes: Mapping[str, Sequence[int]]) -> Set[str]:
    """The names of the slots of optimizers, and of moving averages, among those of all variables.

    In a graph a slot stands below its variable (``rnn/lstm_cell/kernel/Adam_1``), in a scope of the
    optimizer's or not; an object-based checkpoint says what is one, or lists them
    (``optimizer/_variables/2``).
    """
    found = set()
    for key, shape in shapes.items():
        parts = key.split("/")
        above = {"/".join(parts[:end]) for end in range(1, len(parts))}
        in_a_scope = {"/".join(parts[start:-1]) for start in range(1, len(parts) - 1)}
        if ".OPTIMIZER_SLOT" in parts or "_variables" in parts or not above.isdisjoint(shapes):
            found.add(key)
        elif any(name in shapes and shapes[name] == shape for name in in_a_scope):
            found.add(key)
    return found


def _bytes_of(prefix: str, start: Optional[str]) -> int:
    """The size of all files of a checkpoint together."""
    forms = ("", ".index", ".data-*")
    paths = [path for form in forms if start for path in glob.glob(glob.escape(start) + form)]
    if not paths:
        raise _unreadable(prefix, "its folder has none of its files")
    if paths == ["{}.index".format(start)]:
        raise _unreadable(prefix, "there is no {}.data-00000-of-00001 beside it".format(start))
    if not all(map(os.path.isfile, paths)):
        raise _unreadable(prefix, "one of its files is no regular file")
    size = sum(map(os.path.getsize, paths))
    if size > MOST_BYTES:
        raise _unreadable(
            prefix, "it takes {:,} MiB, more than {:,}".format(size >> 20, MOST_BYTES >> 20)
        )
    return size


def _plain(prefix: str, name: str, array: np.ndarray) -> np.ndarray:
    """An array of a type that NumPy has itself; bfloat16 is none."""
    if array.dtype.kind in "fiub":
        return array
    error = _unreadable(prefix, "the variable {} is not of real numbers".format(name))
    # NumPy would take the real part of complex numbers, and what a text says.
    if array.dtype.kind in "cSUO":
        raise error
    try:
        return array.astype(np.float32)
    except (TypeError, ValueError):
        raise error


def _unreadable(prefix: str, reason: str) -> UserError:
    return UserError("Cannot read {} as {}: {}.".format(prefix, WHAT, reason))


def names_and_shapes(variables: Mapping[str, np.ndarray], most: int = 12) -> str:
    """The names and shapes of variables, to end a sentence with."""
    said: List[Any] = ["{} {}".format(name, list(x.shape)) for name, x in sorted(variables.items())]
    if len(said) > most:
        said[most - 1 :] = ["and {} more".format(len(said) - most + 1)]
    return ", ".join(said) or "none that may be a parameter"
