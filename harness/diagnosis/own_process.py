"""A diagnosis in a process of its own, which a port may end or keep from ending."""

import contextlib
import multiprocessing
import os
import time
from typing import Any, List, Optional

from rnndiff.harness.cases.restriction import Restriction
from rnndiff.harness.diagnosis.diagnose import SECONDS, Diagnosis, diagnosis_of
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.stop import Stop
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.subjects.orphans import end_with
from rnndiff.harness.subjects.port import restrict_subject, with_premise
from rnndiff.models import load_modules, modules

# Seconds that a port has to be imported, with an engine it may be of, and those between two looks.
_STARTS, _LOOKS_EVERY = 30.0, 0.1
# What a hang in code that no signal interrupts may take beyond the time of all.
_GRACE = 5.0


def diagnose_in_own_process(
    name: str,
    mode: str,
    premise: str,
    failure: Failure,
    stop: Stop,
    *,
    timeout: float,
    restriction: Restriction,
    seed: int,
) -> Optional[Diagnosis]:
    """The diagnosis of a failure of a subject, by its name; None if there is none in time.

    See :func:`rnndiff.harness.diagnosis.diagnose.diagnosis_of`. It is over when `stop` is asked to
    end, too.
    """
    if not failure.path:
        return None
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    told = (name, mode, premise, failure, timeout, restriction, seed, modules())
    process: Any = context.Process(target=_work, args=(theirs, os.getpid(), *told), daemon=True)
    process.start()
    theirs.close()
    until = time.monotonic() + _STARTS
    diagnosis = None
    try:
        while time.monotonic() < until and not stop.signal:
            if not mine.poll(_LOOKS_EVERY):
                continue
            ready, diagnosis = mine.recv()
            if not ready:
                break
            until = time.monotonic() + SECONDS + _GRACE
    except (EOFError, OSError):
        diagnosis = None
    finally:
        process.kill()
        process.join()
        mine.close()
    return diagnosis


def _work(
    end: Any,
    parent: int,
    name: str,
    mode: str,
    premise: str,
    failure: Failure,
    timeout: float,
    restriction: Restriction,
    seed: int,
    modules: List[str],
) -> None:
    end_with(parent)
    diagnosis = None
    # What goes wrong here has been told as a failure, or is none of the port's.
    with contextlib.suppress(Exception):
        load_modules(modules)
        subject = with_premise(subject_named(name, timeout, mode), premise)
        end.send((True, None))
        diagnosis = diagnosis_of(
            restrict_subject(subject, restriction), failure, restriction, seed, timeout
        )
    end.send((False, diagnosis))
