"""Files that are written whole or not at all, and the reading of other people's."""

import contextlib
import os
import uuid
from typing import IO, Any, Dict, Iterator

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
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError("There is no file {}: it should be {}.".format(path, what))
    except Exception as error:
        # What zipfile, zlib and NumPy raise on damaged bytes differs with their versions.
        reason = getattr(error, "strerror", None) or "it is damaged, or not an .npz file"
        raise UserError("Cannot read {} as {}: {}.".format(path, what, reason))
