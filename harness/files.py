"""Files that are written whole or not at all, and the reading of other people's."""

import contextlib
import io
import json
import operator
import os
import stat
import sys
import uuid
import zipfile
from functools import reduce
from typing import IO, Any, Dict, Iterable, Iterator, Tuple

import numpy as np

from rnndiff.harness.errors import UserError

# What a file may hold, unpacked: ten times the largest case or weights that were ever tried.
MOST_BYTES = 2**30
# Of what is packed, beyond a mebibyte: an array of weights packs to a half or a tenth.
_SMALL, _MOST_RATIO = 2**20, 64
# A zip file's end: its record, with the longest comment; and a directory of thousands of arrays.
_END_OF_ZIP, _MOST_DIRECTORY = 22 + 2**16, 2**20
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
    try:
        path = os.path.abspath(path)
    except OSError as error:
        raise UserError("Cannot write {}: {}.".format(path, error.strerror or error))
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


def write_new(path: str, content: bytes) -> bool:
    """Write a file that is not there yet, whole or not at all; False if there is one already.

    Of several processes that try to at the same time, one does.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    target = "{}.{}.partial".format(path, uuid.uuid4().hex)
    with written_whole(target) as file:
        file.write(content)
    try:
        # Unlike os.replace, it never takes the place of another file.
        os.link(target, path)
    except FileExistsError:
        return False
    except OSError:  # There are file systems without links.
        if os.path.exists(path):
            return False
        try:
            os.replace(target, path)
        except OSError as error:
            raise UserError("Cannot write {}: {}.".format(path, error.strerror or error))
    finally:
        with contextlib.suppress(OSError):
            os.unlink(target)
    return True


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


def keep_standard_output() -> None:
    """From now on, what is printed otherwise than by ``sys.stdout`` goes to the standard error.

    So does what a library prints in C, at the end of the process at the latest.
    """
    # Not what a test has put in its place.
    own, is_own = sys.stdout, sys.stdout is sys.__stdout__
    with contextlib.suppress(OSError):
        if own is not None and is_own and own.fileno() == 1:
            kept = os.dup(1)
            os.dup2(2, 1)
            sys.stdout = open(kept, "w", encoding=own.encoding, errors=own.errors)


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
        write_text(path, text)


def write_text(path: str, text: str) -> None:
    """Write a text to `path` in UTF-8, whole or not at all.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    with written_whole(path) as file:
        file.write(text.encode("utf-8"))


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
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UserError("Cannot read {} as {}: it is no regular file.".format(path, what))
        size = status.st_size
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
            if size <= MOST_BYTES:
                _check_directory(file, size)
                with zipfile.ZipFile(file) as archive:
                    size = sum(info.file_size for info in archive.infolist())
                    if size <= MOST_BYTES:
                        return dict(_members(archive))
        except Exception:  # zipfile, zlib and NumPy raise a dozen kinds, others in other versions.
            raise UserError(
                "Cannot read {} as {}: it is damaged, or not an .npz file.".format(path, what)
            )
    raise UserError(
        "Cannot read {} as {}: it takes {:,} MiB, more than {:,}.".format(
            path, what, size >> 20, MOST_BYTES >> 20
        )
    )


def _check_directory(file: IO[bytes], size: int) -> None:
    """Raise ValueError unless a zip file's directory, which is read whole, is small and plain."""
    file.seek(max(0, size - _END_OF_ZIP))
    end = file.read()
    start = end.rfind(b"PK\5\6")
    if start < 0 or int.from_bytes(end[start + 12 : start + 16], "little") > _MOST_DIRECTORY:
        raise ValueError("no directory of some arrays")
    # Of zip64, which is for files larger than any that is read here, and says another size.
    if end[:start].endswith(b"PK\6\7" + end[max(0, start - 16) : start]):
        raise ValueError("a directory for a huge file")


def _members(archive: zipfile.ZipFile) -> Iterator[Tuple[str, np.ndarray]]:
    for info in archive.infolist():
        # The other ways of packing unpack without a limit.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("not packed as NumPy does")
        if info.file_size > max(_SMALL, _MOST_RATIO * info.compress_size):
            raise ValueError("packed as no array of any use is")
        with archive.open(info) as member:
            array = _read_npy(member, info.file_size)
        name = info.filename
        yield name[: -len(".npy")] if name.endswith(".npy") else name, array


def numbers_in(shape: Iterable[int]) -> int:
    """How many numbers an array of that shape has, in Python's whole numbers: none overflows."""
    # math.prod came with Python 3.8.
    return reduce(operator.mul, shape, 1)


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
    count = numbers_in(shape)
    held = size - len(start) - digits - header_size
    if count * dtype.itemsize != held:
        raise ValueError("the header says another size than there is")
    array = np.zeros(count, dtype)
    if count:
        content, filled = memoryview(array.view(np.uint8)), 0
        while filled < held:
            read = member.readinto(content[filled : filled + _SMALL])  # type: ignore[attr-defined]
            if not read:
                raise ValueError("the file ends before the array does")
            filled += read
    if member.read(1):
        raise ValueError("there is more than the header says")
    array = array.reshape(shape, order="F" if in_fortran_order else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)
