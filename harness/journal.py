"""The case in flight, on disk in case that the subject ends the process.

The file is there while a case is computed, and after a process that did not come to its end.
"""

import faulthandler
import os
import shutil
from typing import Any, Mapping, Optional

import numpy as np

from harness.case import Case, save
from harness.check import FAILURES
from harness.run import GRACE, TIMEOUT
from harness.subjects.subject import Subject, Wrapper
from harness.versions import versions

_FOLDER = os.path.join(".rnndiff", "in-flight")


def path_of(worker: str) -> str:
    """The file of a process."""
    return os.path.join(_FOLDER, worker + ".npz")


class Journaled(Wrapper):
    """A subject that writes every case to the file `path` before it computes it.

    A case that takes longer than `timeout` seconds, in code that never comes back to Python, ends
    the process, and its file stays. Where that was in Python is printed to `errors`, a file or a
    descriptor.
    """

    def __init__(
        self, subject: Subject, path: str, timeout: float = TIMEOUT + GRACE, errors: Any = 2
    ) -> None:
        super().__init__(subject)
        self._path, self._timeout, self._errors = path, timeout, errors
        self._notes = dict(versions(), verdict="in flight when its process was ended", ended_by="?")

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """As the subject does."""
        save(self._path, case, notes=self._notes)
        faulthandler.dump_traceback_later(self._timeout, exit=True, file=self._errors)
        try:
            return self._subject(case)
        finally:
            faulthandler.cancel_dump_traceback_later()


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
