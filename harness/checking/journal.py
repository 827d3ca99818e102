"""What the processes of a run have found, on disk, since any of them may be ended at any moment.

Every process of a run writes what it has judged and found so far, and the case that it is at, into
one folder. Each holds a shared lock on that folder until it ends, which the system takes back
however it ends: so a run that is alive keeps what is its own, and what a run that was ended has
left behind is told by the next one.
"""

import contextlib
import faulthandler
import json
import os
import re
import shutil
import time
import uuid
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

import numpy as np

try:
    import fcntl
except ImportError:  # Where there are no such locks, what an ended run left behind stays there.
    fcntl = None  # type: ignore[assignment]

from rnndiff.harness.cases.case import Case, load, save
from rnndiff.harness.checking.saving import FAILURES
from rnndiff.harness.errors import UserError
from rnndiff.harness.files import written_whole
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.subjects import named
from rnndiff.harness.subjects.run import GRACE
from rnndiff.harness.subjects.statements import statement_of
from rnndiff.harness.subjects.subject import TIMEOUT, Subject, Wrapper
from rnndiff.harness.text import printable
from rnndiff.harness.versions import versions

RUNS = os.path.join(".rnndiff", "runs")
# Seconds between two writings of what was judged; failures are written at once.
_WRITES_EVERY = 1.0
# What a record may take: a thousand times the largest seen.
_MOST_BYTES = 2**26


class Run:
    """The folder of a run, locked by this process until :meth:`close`.

    Parameters
    ----------
    folder : str
        The same in all processes of the run; it is made if it is not there.

    Raises
    ------
    UserError
        If it cannot be made or locked.
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY)
            if fcntl:
                fcntl.flock(self._lock, fcntl.LOCK_SH)
        except OSError as error:
            raise UserError("Cannot write {}: {}.".format(folder, error.strerror or error))

    def close(self) -> None:
        """Let go of the folder, which stays."""
        os.close(self._lock)

    def remove(self) -> None:
        """Let go of the folder, and remove it: all that it holds has been told."""
        self.close()
        _remove(self.folder)


class Record:
    """What one process has judged and found.

    Parameters
    ----------
    path : str or None
        Its file, if it has one.

    Attributes
    ----------
    changes : int
        How often anything was added.
    """

    def __init__(self, path: Optional[str] = None) -> None:
        self.tally = Tally()
        self.failures: List[Failure] = []
        # The names and modes of what was tested; "" is the name of a subject that has none.
        self.subjects: Set[Tuple[str, str]] = set()
        self.began = time.time()
        self._path = path
        self._places: Dict[Tuple[int, str], int] = {}
        self.changes = 0
        self._written = -_WRITES_EVERY

    def add_failure(self, failure: Failure, subject: int = 0) -> None:
        """A failure, in the place of what was told before of the same one.

        That is the one in which the same subject fails in the same way; each has a number.
        """
        if failure in self.failures:
            return
        place = self._places.setdefault((subject, failure.way), len(self.failures))
        self.failures[place : place + 1] = [failure]
        self.changes += 1
        self.write()

    def count_changed(self) -> None:
        """Cases were added to the tally, which is now written, or soon."""
        self.changes += 1
        if time.monotonic() - self._written >= _WRITES_EVERY:
            self.write()

    def write(self) -> None:
        """Write it to its file, if that can be written."""
        self._written = time.monotonic()
        if self._path:
            # What it holds goes with pytest's own reports, too.
            with contextlib.suppress(UserError), written_whole(self._path) as file:
                file.write(json.dumps(self.as_dict()).encode())

    def as_dict(self) -> Dict[str, Any]:
        """Everything in JSON's types; a later dict of the same process has more changes."""
        return {
            "process": os.getpid(),
            "began": self.began,
            "changes": self.changes,
            "subjects": sorted(self.subjects),
            "tally": self.tally.as_dict(),
            "failures": [list(failure) for failure in self.failures],
        }

    def add_dict(self, other: Dict[str, Any]) -> None:
        """Add what :meth:`as_dict` gave in another process, failures beside those in the same way.

        Two processes that shrank to the same case share its file.
        """
        self.tally.add_dict(other["tally"])
        self.subjects.update((name, mode) for name, mode in other["subjects"])
        self.began = min(self.began, other["began"])
        paths = {failure.path for failure in self.failures if failure.path}
        found = map(Failure._make, other["failures"])
        self.failures.extend(failure for failure in found if failure.path not in paths)


class Journaled(Wrapper):
    """A subject that writes every case to the file `path` before it computes it.

    Where it cannot be written, the case is computed all the same. One that takes longer than
    `timeout` seconds, in code that never comes back to Python, ends the process, and its file
    stays. Where that was in Python is printed to `errors`, a file or a descriptor.
    """

    def __init__(
        self,
        subject: Subject,
        path: Optional[str],
        timeout: float = TIMEOUT + GRACE,
        errors: Any = 2,
    ) -> None:
        super().__init__(subject)
        self._path, self._timeout, self._errors = path, timeout, errors
        self._notes = dict(
            versions(subject.mode),
            verdict="in flight when its process was ended",
            ended_by="?",
            subject=statement_of(subject, "label"),
            subject_name=subject.name,
            subject_mode=subject.mode,
        )

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """As the subject does."""
        if self._path:
            with contextlib.suppress(UserError):
                save(self._path, case, notes=self._notes)
        faulthandler.dump_traceback_later(self._timeout, exit=True, file=self._errors)
        try:
            return self._subject(case)
        finally:
            faulthandler.cancel_dump_traceback_later()


class Leftovers(NamedTuple):
    """What the processes of a run have written: their records by name, and cases in flight."""

    records: Dict[str, Dict[str, Any]]
    in_flight: List[str]


def in_flight(folder: str, process: str) -> str:
    """The file of the case that a process of a run is computing."""
    return os.path.join(folder, process + ".npz")


def record_of(folder: str, process: str) -> str:
    """The file of the record of a process of a run."""
    return os.path.join(folder, process + ".json")


def leftovers_in(folder: str) -> Leftovers:
    """What is in the folder of a run. Records that cannot be read are left out."""
    records, cases, names = {}, [], []
    with contextlib.suppress(OSError):
        names = sorted(os.listdir(folder))
    for name in names:
        path, (process, kind) = os.path.join(folder, name), os.path.splitext(name)
        if kind == ".npz":
            cases.append(path)
        elif kind == ".json":
            with contextlib.suppress(OSError, ValueError, RecursionError):
                records[process] = _read(path)
    return Leftovers(records, cases)


def _read(path: str) -> Dict[str, Any]:
    """A record from its file; a ValueError if that holds none."""
    if not os.path.isfile(path) or os.path.getsize(path) > _MOST_BYTES:
        raise ValueError("no file of a record")
    with open(path, "rb") as file:
        record = json.loads(file.read().decode())
    try:
        Record().add_dict(record)
        texts = [text for failure in record["failures"] for text in failure[:3]]
        texts.extend(text for subject in record["subjects"] for text in subject)
        numbers = [record["process"], record["changes"]]
        lists = [*record["failures"], *record["subjects"]]
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError("no record: {}".format(error))
    right = (
        all(type(each) is list for each in lists)
        and all(type(text) is str for text in texts)
        and all(type(number) is int and number >= 0 for number in numbers)
    )
    if not right:
        raise ValueError("no record")
    if record["process"] == 0:
        # A signal to it would go to all processes of the caller's group.
        raise ValueError("no number of a process")
    return record


class EndedRun(NamedTuple):
    """A run that was ended before it could tell what it found.

    When it began, how many cases it judged, its failures, and the cases in flight.
    """

    began: float
    cases: int
    failures: List[Failure]
    in_flight: List[str]


@contextlib.contextmanager
def ended_runs(runs: str = RUNS) -> Iterator[List[EndedRun]]:
    """What runs that are no longer alive have left behind; gone when the block has ended.

    Should the block not come to its end, everything is still there.
    """
    found, locks, folders = [], [], []
    try:
        for folder in _folders(runs) if fcntl else []:
            try:
                locks.append(os.open(folder, os.O_RDONLY))
                fcntl.flock(locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            left = leftovers_in(folder)
            # One that is empty may be about to be locked.
            if left.records or left.in_flight:
                found.append(_ended(left))
                folders.append(folder)
        yield found
        for folder in folders:
            _remove(folder)
    finally:
        for lock in locks:
            os.close(lock)


def _folders(runs: str) -> List[str]:
    try:
        return [os.path.abspath(os.path.join(runs, name)) for name in sorted(os.listdir(runs))]
    except OSError:
        return []


def _remove(folder: str) -> None:
    """Remove a run's folder, but for a case that could not be kept."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if not name.endswith(".npz"):
                os.remove(os.path.join(folder, name))
        os.rmdir(folder)


def _ended(left: Leftovers) -> EndedRun:
    record = Record()
    for other in left.records.values():
        record.add_dict(other)
    failures = [
        failure._replace(
            way=printable(failure.way),
            path=printable(failure.path),
            report=_printable(failure.report),
        )
        for failure in record.failures
    ]
    return EndedRun(record.began, record.tally.judged, failures, left.in_flight)


def _printable(text: str) -> str:
    return "\n".join(printable(line) for line in text.splitlines())


def close(path: Optional[str]) -> None:
    """Remove the file of a case that is no longer in flight, if there is one."""
    if path:
        with contextlib.suppress(OSError):
            os.remove(path)


def keep(path: str, folder: str = FAILURES) -> Optional[str]:
    """Put the case that a process was at when it was ended among the failures; its new path.

    It stays where it is if that cannot be done. None if it is gone: the process was not ended at
    it, but had yet to remove it.
    """
    try:
        name = "in-flight-{}-{}".format(int(1e3 * os.stat(path).st_mtime), uuid.uuid4().hex[:4])
        os.makedirs(folder, exist_ok=True)
        return shutil.move(path, os.path.join(folder, name + ".npz"))
    except OSError:
        return path if os.path.exists(path) else None


def options_of(path: str) -> str:
    """The options by which a command makes what a case was in flight on, after a space."""
    try:
        notes = load(path).notes
    except UserError:
        return ""
    name, mode = notes.get("subject_name", ""), notes.get("subject_mode", "")
    # No option, and no file that is not below: the names that this package notes.
    plain = re.fullmatch(r"(?![-/])(?!.*\.\.)[\w./-]+(:\w+)?", name) and re.fullmatch(
        r"(?!-)[\w.-]*", mode
    )
    return named.options_of(name, mode) if plain else ""


def saved_since(began: float, folder: str = FAILURES) -> List[str]:
    """The files of failing cases that were saved after that time, in seconds since the epoch."""
    saved = []
    with contextlib.suppress(OSError):
        for name in sorted(name for name in os.listdir(folder) if name.endswith(".npz")):
            path = os.path.join(folder, name)
            # Another process may replace it by a smaller one meanwhile.
            with contextlib.suppress(OSError):
                if os.stat(path).st_mtime >= began:
                    saved.append(path)
    return saved
