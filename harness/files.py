"""Files that are written whole or not at all, and the reading of other people's."""

import contextlib
import json
import os
import sys
import uuid
import zipfile
from typing import IO, Any, Dict, Iterator, Tuple

import numpy as np

from harness.errors import UserError


@contextlib.contextmanager
def written_whole(path: str) -> Iterator[IO[Any]]:
    """Open a file for bytes that becomes `path` when the block ends without an exception.

    Until then `path` stays as it was. Folders that are missing are made.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    path = os.path.abspath(path)
    # A device or a pipe (/dev/stdout, /dev/null) must be written to, never replaced by a file.
    replaced = os.path.isfile(path) or not os.path.exists(path)
    # Not tempfile: its files are readable by their owner alone, and this one is to be passed on.
    target = "{}.{}.partial".format(path, uuid.uuid4().hex) if replaced else path
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(target, "wb") as file:
                yield file
            if replaced:
                os.replace(target, path)
        except BaseException:
            if replaced:
                with contextlib.suppress(OSError):
                    os.unlink(target)
            raise
    except OSError as error:
        raise UserError("Cannot write {}: {}.".format(path, error.strerror or error))


def check_writable(path: str) -> None:
    """Say now what would go wrong in writing `path` later; nothing is left behind.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    try:
        with written_whole(path):
            raise _OnlyATry
    except _OnlyATry:
        pass


class _OnlyATry(Exception):
    pass


def write_json(path: str, report: Any) -> None:
    """Write a report as JSON to `path`, whole or not at all; "-" is the standard output.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        with written_whole(path) as file:
            file.write(text.encode())


def read_npz(path: str, what: str) -> Dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file; nothing is ever unpickled.

    Parameters
    ----------
    path : str
    what : str
        What the file should have been, for the message: "weights saved by rnndiff".

    Raises
    ------
    UserError
        If the file is missing, unreadable, damaged or not an ``.npz``.
    """
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        raise UserError("There is no file {}: it should be {}.".format(path, what))
    except OSError as error:
        raise UserError("Cannot read {} as {}: {}.".format(path, what, error.strerror))
    with file:
        # Not np.load: that of NumPy 1.18 prints a traceback of its own for a truncated file.
        try:
            with zipfile.ZipFile(file) as archive:
                return dict(_members(archive))
        except Exception:  # zipfile, zlib and NumPy raise a dozen kinds, others in other versions.
            raise UserError(
                "Cannot read {} as {}: it is damaged, or not an .npz file.".format(path, what)
            )


def _members(archive: zipfile.ZipFile) -> Iterator[Tuple[str, np.ndarray]]:
    for name in archive.namelist():
        with archive.open(name) as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
        yield name[: -len(".npy")] if name.endswith(".npy") else name, array
