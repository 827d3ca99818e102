"""The case in flight, on disk in case that the subject ends the process.

The file is there while a case is computed, and after a process that did not come to its end.
"""

import os
import shutil
from typing import Mapping, Optional

import numpy as np

from harness.arithmetic import Arithmetic
from harness.case import Case, save
from harness.check import FAILURES
from harness.subjects import Subject
from harness.versions import versions

_FOLDER = os.path.join(".rnndiff", "in-flight")


def path_of(worker: str) -> str:
    """The file of a process."""
    return os.path.join(_FOLDER, worker + ".npz")


class Journaled(Subject):
    """A subject that writes every case to the file `path` before it computes it."""

    def __init__(self, subject: Subject, path: str) -> None:
        self._subject, self._path = subject, path
        self._notes = dict(versions(), verdict="in flight when its process was ended", ended_by="?")
        self.known = subject.known

    @property
    def label(self) -> str:
        """As of the subject."""
        return self._subject.label

    @property
    def premise(self) -> str:
        """As of the subject."""
        return self._subject.premise

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """As the subject does."""
        save(self._path, case, notes=self._notes)
        return self._subject(case)

    def ended_by(self, case: Case) -> Optional[str]:
        """As the subject does."""
        return self._subject.ended_by(case)

    def arithmetic(self, case: Case) -> Arithmetic:
        """As the subject does."""
        return self._subject.arithmetic(case)


def close(path: str) -> None:
    """Remove the file: the process comes to its end."""
    if os.path.exists(path):
        os.remove(path)


def keep(path: str, folder: str = FAILURES) -> Optional[str]:
    """Put a file left by a process that was ended among the failures; its new path, if any."""
    if not os.path.exists(path):
        return None
    os.makedirs(folder, exist_ok=True)
    name = "in-flight-{}.npz".format(int(1e3 * os.stat(path).st_mtime))
    return shutil.move(path, os.path.join(folder, name))
