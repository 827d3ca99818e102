"""Many random cases, in worker processes, until a count or a time is reached.

Batch number k of a seed is the same on every machine and for any number of workers, so what is in
flight need not be written down: should TensorFlow end a worker's process, the batch is made again,
its cases are run in a process of their own, and the one that ends that is saved.
"""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection, wait
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from harness.alone import first_ending
from harness.case import Case, save
from harness.check import FAILURES, Checker, Failure
from harness.errors import UserError
from harness.random_cases import random_batch
from harness.subjects import TensorFlow
from harness.tally import Tally
from harness.verdict import DISAGREE
from harness.versions import versions


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
    """
    run = _Run(models, seed, folder)
    crew = {run.start(index, workers): index for index in range(workers)}
    started = time.monotonic()
    progress = Progress(run.tally, run.failures, 0.0)
    try:
        while crew:
            ready = wait(list(crew), timeout=1.0)
            for connection, index in [(c, i) for c, i in crew.items() if c in ready]:
                if not run.hear(connection):
                    del crew[connection]
                    crew[run.restart(connection, workers)] = index
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

    def __init__(self, models: Tuple[str, ...], seed: int, folder: str) -> None:
        self.tally = Tally()
        self.failures: List[Failure] = []
        self._models, self._seed, self._folder = models, seed, folder
        self._context = multiprocessing.get_context("spawn")
        self._processes: Dict[Connection, Any] = {}
        self._in_flight: Dict[Connection, int] = {}

    def start(self, first: int, step: int) -> Connection:
        """Start a worker on the batches first, first + step, ..."""
        mine, theirs = self._context.Pipe()
        arguments = (theirs, self._models, self._seed, first, step, self._folder)
        process = self._context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        theirs.close()
        self._processes[mine], self._in_flight[mine] = process, first
        return mine

    def hear(self, connection: Connection) -> bool:
        """Take a worker's message; False if the worker is gone."""
        try:
            kind, content = connection.recv()
        except (EOFError, ConnectionResetError):
            return False
        if kind == "start":
            self._in_flight[connection] = content
        elif kind == "unable":
            raise UserError(content)
        elif kind == "tally":
            self.tally.add_dict(content)
        else:
            self._add(content)
        return True

    def _add(self, failure: Failure) -> None:
        """Add a failure, or put it in the place of a larger case that fails in the same way."""
        ways = [known.way for known in self.failures]
        if failure.way in ways:
            self.failures[ways.index(failure.way)] = failure
        else:
            self.failures.append(failure)

    def restart(self, connection: Connection, step: int) -> Connection:
        """Find the case that ended a worker's process, and start another after its batch."""
        process = self._processes.pop(connection)
        process.join()
        if process.exitcode >= 0:
            raise RuntimeError("a worker of the fuzzer failed; its error stands above")
        number = self._in_flight.pop(connection)
        cases = _batch(self._models, self._seed, number)
        failure = _ending(cases, self._folder)
        self.tally.cases[DISAGREE] += failure is not None
        self._add(failure or self._unexplained(process.exitcode, number))
        return self.start(number + step, step)

    def _unexplained(self, exitcode: int, number: int) -> Failure:
        """No case of the batch ends a process by itself: its other verdicts are lost."""
        way = "worker-ended-by-{}".format(signal.Signals(-exitcode).name)
        said = "{}: a worker was ended in batch {} of seed {}, by none of its cases run alone; "
        said += "the batch was not counted"
        return Failure(way, "", said.format(way, number, self._seed))

    def stop(self) -> None:
        """End all workers."""
        for connection, process in self._processes.items():
            connection.close()
            process.terminate()
        for process in self._processes.values():
            process.join()


def _batch(models: Tuple[str, ...], seed: int, number: int) -> List[Case]:
    return random_batch(models[number % len(models)], seed, number)


def _ending(cases: List[Case], folder: str) -> Optional[Failure]:
    """Run cases in a process of their own; a Failure if it is ended, with the case that did it."""
    ending = first_ending(cases)
    if ending is None:
        return None
    way = "{}-ends-process".format(ending.case.model.name)
    path = os.path.join(folder, way + ".npz")
    verdict = "{} ended the process".format(ending.signal)
    save(path, ending.case, notes=dict(versions(), verdict=verdict, ended_by=ending.signal))
    return Failure(way, path, "{}: {}; see {}".format(ending.case, verdict, path))


def _work(
    connection: Connection,
    models: Tuple[str, ...],
    seed: int,
    number: int,
    step: int,
    folder: str,
) -> None:
    """A worker: judge batch after batch until the parent closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        subject = TensorFlow()
    except UserError as error:
        connection.send(("unable", str(error)))
        return
    tally = Tally()

    def found(failure: Failure) -> None:
        connection.send(("failure", failure))

    check = Checker(subject, tally, folder, found=found)
    try:
        while True:
            connection.send(("start", number))
            for failure in check(_batch(models, seed, number)).failures:
                found(failure)
            connection.send(("tally", tally.as_dict()))
            tally.clear()
            number += step
    except UserError as error:
        connection.send(("unable", str(error)))
    except (BrokenPipeError, ConnectionResetError):
        return
