"""Files that are written whole or not at all, and the reading of other people's."""

import contextlib
import io
import json
import os
import stat
import sys
import uuid
import zipfile
from typing import IO, Any, Dict, Iterator, Tuple

import numpy as np

from harness.errors import UserError

# What a file may hold, unpacked: ten times the largest case or weights that were ever tried.
MOST_BYTES = 2**30
# NumPy's own limit, from 1.22.4 on, to what it parses as Python.
_MOST_HEADER = 10_000
_MAGIC = b"\x93NUMPY"


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
    """All arrays of an ``.npz`` file: numbers, truth values and text; nothing is ever unpickled.

    Nothing is allocated for what a file says that it holds before it is known to hold it.

    Parameters
    ----------
    path : str
    what : str
        What the file should have been, for the message: "weights saved by rnndiff".

    Raises
    ------
    UserError
        If the file is missing, unreadable, damaged, too large or not an ``.npz``.
    """
    try:
        # A device or a pipe may have no end, or wait for ever to be opened.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError("Cannot read {} as {}: it is no regular file.".format(path, what))
        file = open(path, "rb")
    except FileNotFoundError:
        raise UserError("There is no file {}: it should be {}.".format(path, what))
    except OSError as error:
        raise UserError("Cannot read {} as {}: {}.".format(path, what, error.strerror))
    except ValueError:
        raise UserError("Cannot read {!r} as {}: it is no name of a file.".format(path, what))
    with file:
        # Not np.load: it allocates what a header claims, and that of NumPy 1.18 prints a traceback
        # of its own for a truncated file.
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(info.file_size for info in archive.infolist())
                if size <= MOST_BYTES:
                    return dict(_members(archive))
        except Exception:  # zipfile, zlib and NumPy raise a dozen kinds, others in other versions.
            raise UserError(
                "Cannot read {} as {}: it is damaged, or not an .npz file.".format(path, what)
            )
    raise UserError(
        "Cannot read {} as {}: it would take {:,} MiB unpacked, more than {:,}.".format(
            path, what, size >> 20, MOST_BYTES >> 20
        )
    )


def _members(archive: zipfile.ZipFile) -> Iterator[Tuple[str, np.ndarray]]:
    for info in archive.infolist():
        # The other ways of packing unpack without a limit.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("not packed as NumPy does")
        with archive.open(info) as member:
            array = _read_npy(member, info.file_size)
        name = info.filename
        yield name[: -len(".npy")] if name.endswith(".npy") else name, array


def _read_npy(member: IO[bytes], size: int) -> np.ndarray:
    """The array of a file in NumPy's format, of `size` bytes."""
    start = member.read(len(_MAGIC) + 2)
    readers = {
        b"\1\0": (2, np.lib.format.read_array_header_1_0),
        b"\2\0": (4, np.lib.format.read_array_header_2_0),
    }
    digits, read_header = readers[start[len(_MAGIC) :]]
    length = member.read(digits)
    header_size = int.from_bytes(length, "little")
    if not start.startswith(_MAGIC) or header_size > _MOST_HEADER:
        raise ValueError("no header of NumPy's")
    shape, in_fortran_order, dtype = read_header(io.BytesIO(length + member.read(header_size)))
    if dtype.kind not in "fiubU" or any(type(axis) is not int or axis < 0 for axis in shape):
        raise ValueError("no array of numbers")
    # In Python's whole numbers, which do not overflow (math.prod came with Python 3.8).
    count = 1
    for axis in shape:
        count *= axis
    held = size - len(start) - digits - header_size
    if count * dtype.itemsize != held:
        raise ValueError("the header says another size than there is")
    content = bytearray(member.read(held + 1))
    array = np.frombuffer(content, dtype, count) if count else np.zeros(0, dtype)
    array = array.reshape(shape, order="F" if in_fortran_order else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)
