"""Run a case in a process of its own, which it may end."""

import os
import signal
import subprocess
import sys
import tempfile
from typing import Optional

from harness.case import Case, load, save

_UNABLE = 3


def ended_by(case: Case) -> Optional[str]:
    """The signal by which TensorFlow ends the process that it computes `case` in, or None."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "case.npz")
        save(path, case)
        command = [sys.executable, "-m", "harness.alone", path]
        devnull = subprocess.DEVNULL
        status = subprocess.run(command, stdin=devnull, stdout=devnull, stderr=devnull).returncode
    if status not in (0, _UNABLE) and status > 0:
        raise RuntimeError("{} failed with exit status {}".format(" ".join(command), status))
    return signal.Signals(-status).name if status < 0 else None


def _main(path: str) -> int:
    from harness.errors import SubjectError
    from harness.subjects import TensorFlow

    try:
        TensorFlow()(load(path).case)
    except SubjectError:
        return _UNABLE
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
