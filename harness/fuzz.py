"""Many random cases, in worker processes, until a count or a time is reached.

Batch number k of a seed is the same on every machine and for any number of workers, so what is in
flight need not be written down: should a worker's process be ended, the batch is made again, its
cases are run in a process of their own, the one that ends that is saved, and all others are judged.
A worker that stays with one case for too long is ended from here.
"""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection, wait
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

import numpy as np

from harness.alone import Ending, first_ending
from harness.case import Case, save
from harness.check import FAILURES, Checker, Failure, verdict_on_ending
from harness.errors import UserError
from harness.random_cases import random_batch
from harness.run import GRACE, HANG, TIMEOUT
from harness.subjects.subject import Subject, Wrapper
from harness.subjects.tensorflow import TensorFlow
from harness.tally import Tally
from harness.verdict import DISAGREE
from harness.versions import versions

# Seconds between two looks at the workers.
_LOOKS_EVERY = 1.0


class Progress(NamedTuple):
    """What is known after each batch."""

    tally: Tally
    failures: List[Failure]
    seconds: float

    @property
    def cases(self) -> int:
        """How many cases were judged."""
        return sum(self.tally.cases.values())

    def is_over(self, cases: Optional[int], seconds: Optional[float]) -> bool:
        """Whether so many cases or seconds are reached; None is no limit."""
        reached = cases is not None and self.cases >= cases
        return reached or (seconds is not None and self.seconds >= seconds)


def fuzz(
    models: Tuple[str, ...],
    seed: int,
    workers: int,
    cases: Optional[int] = None,
    seconds: Optional[float] = None,
    folder: str = FAILURES,
    report: Callable[[Progress], None] = lambda progress: None,
    timeout: float = TIMEOUT,
) -> Progress:
    """Judge random cases of `models` until `cases` or `seconds` are reached.

    Ctrl-C ends the run early; what was found until then is returned.

    Parameters
    ----------
    models : names in ``models.MODELS``
    seed : int
        The cases depend on it alone.
    workers : int
        Processes, each with a TensorFlow of its own.
    cases, seconds : optional
        Where to stop; without either, only Ctrl-C stops.
    folder : str
        Where failing cases are saved.
    report : function of a Progress
        Called after every batch.
    timeout : float
        Seconds that TensorFlow has for each case.
    """
    run = _Run(models, seed, folder, timeout)
    crew = {run.start(index, workers): index for index in range(workers)}
    started = time.monotonic()
    progress = Progress(run.tally, run.failures, 0.0)
    try:
        while crew:
            ready = wait(list(crew), timeout=_LOOKS_EVERY)
            for connection, index in [(c, i) for c, i in crew.items() if c in ready]:
                if not run.hear(connection):
                    del crew[connection]
                    crew[run.restart(connection, workers)] = index
            run.end_idle()
            progress = Progress(run.tally, run.failures, time.monotonic() - started)
            report(progress)
            if progress.is_over(cases, seconds):
                break
    except KeyboardInterrupt:
        pass
    finally:
        run.stop()
    return progress


class _Run:
    """The workers, and what they have told so far."""

    def __init__(self, models: Tuple[str, ...], seed: int, folder: str, timeout: float) -> None:
        self.tally = Tally()
        self.failures: List[Failure] = []
        self._models, self._seed, self._folder = models, seed, folder
        self._timeout = timeout
        self._context = multiprocessing.get_context("spawn")
        self._processes: Dict[Connection, Any] = {}
        self._in_flight: Dict[Connection, int] = {}
        # How many cases each worker has begun, which it counts itself, and since when it is so.
        self._begun: Dict[Connection, Any] = {}
        self._since: Dict[Connection, Tuple[int, float]] = {}
        self._looked = time.monotonic()
        # Of batches in which a worker was ended, the places of the cases that did it.
        self._endings: Dict[int, List[int]] = {}
        self._unexplained: Set[int] = set()

    def start(self, first: int, step: int) -> Connection:
        """Start a worker on the batches first, first + step, ..."""
        mine, theirs = self._context.Pipe()
        skip = self._endings.get(first, [])
        begun = self._context.RawValue("L", 0)
        job = _Job(self._models, self._seed, first, step, skip, self._folder, self._timeout)
        process = self._context.Process(target=_work, args=(theirs, begun, job), daemon=True)
        process.start()
        theirs.close()
        self._processes[mine], self._in_flight[mine], self._begun[mine] = process, first, begun
        return mine

    def hear(self, connection: Connection) -> bool:
        """Take a worker's message; False if the worker is gone."""
        try:
            kind, content = connection.recv()
        except (EOFError, ConnectionResetError):
            return False
        if kind == "unable":
            raise UserError(content)
        if kind == "tally":
            tally, self._in_flight[connection] = content
            self.tally.add_dict(tally)
        elif kind == "shrunk" or content.way not in [known.way for known in self.failures]:
            self._add(content)
        return True

    def end_idle(self) -> None:
        """End the workers that have been at one case for too long; they are then heard to be gone.

        Before its first case, a worker takes the time that it needs to import TensorFlow. If nobody
        looked for long, all were stopped, as by Ctrl-Z, and their time begins anew; a shorter pause
        is within GRACE.
        """
        now = time.monotonic()
        if now - self._looked > _LOOKS_EVERY + GRACE / 2:
            self._since.clear()
        self._looked = now
        for connection, process in self._processes.items():
            begun = self._begun[connection].value
            count, since = self._since.get(connection, (0, now))
            if begun != count or not begun:
                self._since[connection] = begun, now
            elif now - since > self._timeout + GRACE:
                process.kill()

    def _add(self, failure: Failure) -> None:
        """Add a failure, or put it in the place of one that fails in the same way."""
        ways = [known.way for known in self.failures]
        if failure.way in ways:
            self.failures[ways.index(failure.way)] = failure
        else:
            self.failures.append(failure)

    def restart(self, connection: Connection, step: int) -> Connection:
        """Find the case that ended a worker's process, and start another on the same batch."""
        process = self._processes.pop(connection)
        del self._begun[connection]
        process.join()
        if process.exitcode >= 0:
            raise RuntimeError("a worker of the fuzzer failed; its error stands above")
        number = self._in_flight.pop(connection)
        skip = self._endings.setdefault(number, [])
        cases = _batch(self._models, self._seed, number)
        ending = first_ending([c for k, c in enumerate(cases) if k not in skip], self._timeout)
        # Meanwhile nobody looked at the others.
        self._since.clear()
        if ending:
            skip.extend(k for k, case in enumerate(cases) if case is ending.case)
            self.tally.cases[DISAGREE] += 1
            self._add(_kept(ending, self._folder, self._timeout))
        else:
            again = number in self._unexplained
            self._unexplained.add(number)
            self._add(_unexplained(process.exitcode, number, self._seed, again))
            number += step if again else 0
        return self.start(number, step)

    def stop(self) -> None:
        """End all workers."""
        for connection, process in self._processes.items():
            connection.close()
            process.terminate()
        for process in self._processes.values():
            process.join()


def _batch(models: Tuple[str, ...], seed: int, number: int) -> List[Case]:
    return random_batch(models[number % len(models)], seed, number)


def _kept(ending: Ending, folder: str, timeout: float) -> Failure:
    """The case that ended a process or hung, saved."""
    case, name = ending
    way = "{}-{}".format(case.model.name, HANG if name == HANG else "ends-process")
    path = os.path.join(folder, way + ".npz")
    verdict = verdict_on_ending(case, name, (), timeout).error
    save(path, case, notes=dict(versions(), verdict=verdict, ended_by=name))
    said = "{}: {}; saved as {}; shrink it: rnndiff minimize {}"
    return Failure(way, path, said.format(case, verdict, path, path))


def _unexplained(exitcode: int, number: int, seed: int, again: bool) -> Failure:
    """No case of the batch ends a process by itself: the worker was ended from without."""
    way = "worker-ended-by-{}".format(signal.Signals(-exitcode).name)
    said = "{}: a worker was ended in batch {} of seed {}, by none of its cases run alone; {}"
    then = "ended again, the batch was not counted" if again else "the batch is judged again"
    return Failure(way, "", said.format(way, number, seed, then))


class _Job(NamedTuple):
    """What a worker is to do: judge the batches `first`, `first` + `step`, ...

    Of the first one the cases in the places `skip` are left out.
    """

    models: Tuple[str, ...]
    seed: int
    first: int
    step: int
    skip: List[int]
    folder: str
    timeout: float


class _Counted(Wrapper):
    """A subject that counts the cases that it begins, for another process to see."""

    def __init__(self, subject: Subject, begun: Any) -> None:
        super().__init__(subject)
        self._begun = begun

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """As the subject does."""
        self._begun.value += 1
        return self._subject(case)


def _work(connection: Connection, begun: Any, job: _Job) -> None:
    """A worker: judge batch after batch until the parent closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        subject = _Counted(TensorFlow(timeout=job.timeout), begun)
    except UserError as error:
        connection.send(("unable", str(error)))
        return
    tally = Tally()

    def found(failure: Failure) -> None:
        connection.send(("found", failure))

    check = Checker(subject, tally, job.folder, found=found, timeout=job.timeout)
    number, skip = job.first, job.skip
    try:
        while True:
            cases = _batch(job.models, job.seed, number)
            for failure in check([c for k, c in enumerate(cases) if k not in skip]).failures:
                connection.send(("shrunk", failure))
            number, skip = number + job.step, []
            connection.send(("tally", (tally.as_dict(), number)))
            tally.clear()
    except UserError as error:
        connection.send(("unable", str(error)))
    except (BrokenPipeError, ConnectionResetError):
        return
