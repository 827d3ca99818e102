"""Run cases in a process of their own, which they may end."""

import os
import signal
import subprocess
import sys
import tempfile
from typing import List, NamedTuple, Optional

from harness.case import Case, load, save


class Ending(NamedTuple):
    """A case that ended its process, and the name of the signal by which it did."""

    case: Case
    signal: str


def ended_by(case: Case) -> Optional[str]:
    """The signal by which TensorFlow ends the process that it computes `case` in, or None."""
    ending = first_ending([case])
    return ending.signal if ending else None


def first_ending(cases: List[Case]) -> Optional[Ending]:
    """The first of some cases by which TensorFlow ends the process that computes them in turn."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, "{}.npz".format(number)) for number in range(len(cases))]
        for path, case in zip(paths, cases):
            save(path, case)
        command = [sys.executable, "-m", "harness.alone"] + paths
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    if run.returncode > 0:
        raise RuntimeError("harness.alone failed with exit status {}".format(run.returncode))
    if run.returncode == 0:
        return None
    # A line for each case that was computed: the next one was in flight.
    in_flight = min(run.stdout.count(b"\n"), len(cases) - 1)
    return Ending(cases[in_flight], signal.Signals(-run.returncode).name)


def _main(paths: List[str]) -> None:
    from harness.errors import SubjectError
    from harness.subjects import TensorFlow

    subject = TensorFlow()
    for path in paths:
        try:
            subject(load(path).case)
        except SubjectError:
            pass
        print("computed", flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
