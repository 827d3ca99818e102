"""Many random cases, in worker processes, until a count or a time is reached.

Batch number k of a seed is the same on every machine. This process hands out the numbers, so the
same batches are judged by any number of workers; it alone counts, and writes files. A worker judges
a batch, tells what came of it at once, and is then asked to shrink the failures that are new.

Any process may be ended or stopped at any moment. Should a worker's be ended, its batch is made
again, its cases are run in a process of their own, the one that ends that is saved, and all others
are judged, unless many are like it. If none does, something else ended the worker, which is told,
is no failure, and the batch is judged after all. A worker that stays with one case for too long is
ended from here.
"""

import contextlib
import math
import multiprocessing
import os
import socket
import time
from multiprocessing.connection import wait
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.checking.against import PairTally
from rnndiff.harness.checking.fuzz_worker import EXPLAIN, JUDGE, LOOK, SHOW, SHRINK, Task, work
from rnndiff.harness.checking.messages import Channel
from rnndiff.harness.checking.saving import FAILURES, save_failure
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.report.exhibits import Exhibit, exhibits
from rnndiff.harness.report.growth import Growth
from rnndiff.harness.stop import Stop, without_signals_of_a_terminal
from rnndiff.harness.subjects.run import GRACE, name_of_end
from rnndiff.harness.subjects.subject import TENSORFLOW, TIMEOUT, in_mode
from rnndiff.models import modules

# Seconds between two looks at the workers, and at whether to stop.
_LOOKS_EVERY = 0.25
# Seconds that the end may take: for what the workers are telling, and for figures of a page. After
# Ctrl-C all is over within five.
_LISTENS, _DRAWS = 1.0, 2.0
# So many workers in a row that are ended before they can judge are the last.
_STARTS = 3
# So many batches in which all cases that were run ended their process, two of each model and one of
# each worker at least, are the last, if nothing was judged before; and so are so many in a row of
# which nobody knows what ends their worker.
_IN_VAIN = 3

# What a worker does before it is asked to do anything, and what a run waits for.
_START = "start"
_WORK = LOOK, JUDGE, SHRINK, EXPLAIN


class Progress(NamedTuple):
    """What is known so far.

    ``seconds`` count from when a worker could judge. ``error`` is what ended the run, if that is
    the user's to mend. ``growths`` and ``exhibits`` are those of a page. ``ends`` has a sentence on
    each worker that was ended and by no case that is known, ``lost`` the batches that were not
    judged for that. ``interrupted`` says whether the run was asked to end before it was over.
    """

    tally: Tally
    failures: List[Failure]
    seconds: float
    error: str = ""
    growths: List[Growth] = []
    exhibits: List[Exhibit] = []
    ends: List[str] = []
    lost: List[int] = []
    interrupted: bool = False

    @property
    def cases(self) -> int:
        """How many cases were judged."""
        return self.tally.judged


def fuzz(
    models: Tuple[str, ...],
    seed: int,
    workers: int,
    cases: Optional[int] = None,
    seconds: Optional[float] = None,
    folder: str = FAILURES,
    report: Callable[[Progress], None] = lambda progress: None,
    timeout: float = TIMEOUT,
    stop: Optional[Stop] = None,
    page: bool = False,
    subject: str = TENSORFLOW,
    mode: str = "",
    premise: str = "",
    restriction: Restriction = ANY,
    first_alone: bool = False,
    against: str = "",
) -> Progress:
    """Judge random cases of `models` until `cases` or `seconds` are reached.

    Parameters
    ----------
    models : names in ``rnndiff.models.MODELS``
    seed : int
        The cases depend on it alone.
    workers : int
        Processes, each with a subject of its own.
    cases, seconds : optional
        Where to stop; without either, only `stop` does. These are the cases of as many batches as
        it takes, the same ones whatever the number of workers.
    folder : str
        Where failing cases are saved.
    report : function of a Progress
        Called several times a second.
    timeout : float
        Seconds that the subject has for each case.
    stop : Stop, optional
        Ends the run early; what was found until then is returned.
    subject, mode : str
        What is tested: see :func:`rnndiff.harness.subjects.named.subject_named`.
    page : bool
        Whether a page is to be made of the result.
    premise : str
        What the subject is taken to compute in: see
        :func:`rnndiff.harness.subjects.port.premise_named`; by default what it states itself.
    restriction : Restriction
        What is drawn, of each of the models.
    first_alone : bool
        Whether one failure is all that is wanted, and what is returned in a form that cannot be
        judged is the user's to mend.
    against : str
        The name of another subject that the same cases are judged on, and that it is compared with.
    """
    stop = stop or Stop()
    task = Task(
        models,
        seed,
        timeout,
        os.getpid(),
        subject,
        mode,
        modules(),
        premise,
        restriction,
        first_alone,
        against,
    )
    run = _Run(task, folder, cases, stop)
    try:
        for _ in range(workers):
            run.start()
        while not (stop.signal or run.is_over(seconds)):
            run.hand_out()
            run.listen()
            report(run.progress())
        is_over = run.is_over(seconds)
        run.hear_the_rest()
        # What was told last may have been the rest of it.
        is_over = is_over or run.is_over(None)
        progress = run.progress()._replace(interrupted=bool(stop.signal) and not is_over)
        if page:
            growths, shown = run.show()
            progress = progress._replace(growths=growths, exhibits=shown)
        return progress
    finally:
        run.end()


class _Process:
    """A worker's process. Its ``job`` is a kind and what goes with it; None if it waits for one."""

    def __init__(self, task: "Task") -> None:
        context = multiprocessing.get_context("spawn")
        mine, theirs = socket.socketpair()
        # Nothing that is said to a worker may keep this process waiting for it.
        mine.settimeout(_LISTENS)
        self.channel = Channel(mine)
        # How many cases it has begun, which it counts itself, and since when it is so.
        self.begun = context.RawValue("L", 0)
        self.since: Optional[Tuple[int, float]] = None
        self.job: Any = (_START, None)
        process: Any = context.Process(target=work, args=(theirs, self.begun, task), daemon=True)
        with without_signals_of_a_terminal():
            process.start()
        self.process = process
        theirs.close()

    def give(self, job: Any) -> None:
        self.job, self.since = job, None
        # If it is gone, that will be heard.
        with contextlib.suppress(OSError):
            self.channel.send(job)

    def is_at(self, *kinds: str) -> bool:
        return self.job is not None and self.job[0] in kinds


class _Run:
    """The workers, and what they have told so far."""

    def __init__(
        self,
        task: "Task",
        folder: str,
        cases: Optional[int] = None,
        stop: Optional[Stop] = None,
    ) -> None:
        # A worker will say what both are called, in what mode.
        both = in_mode(task.subject, task.mode), task.against
        self.tally = PairTally(both) if task.against else Tally()
        self.failures: Dict[str, Failure] = {}
        self.workers: List[_Process] = []
        self.error = ""
        self._task = task
        self._folder, self._limit, self._stop = folder, cases, stop or Stop()
        self._started: Optional[float] = None
        self._listening = True
        self._looked = time.monotonic()
        # Who shrinks a way of failing; None if that is over.
        self._owners: Dict[str, Optional[_Process]] = {}
        # Jobs that come before the batch `next`. In all batches before that are so many cases that
        # are judged or will be.
        self._first: List[Any] = [(LOOK, None)] if task.against else []
        self._next = self._planned = 0
        self._unexplained: Set[int] = set()
        self._ends: List[str] = []
        # Batches that are not judged, and how many of them there were in a row.
        self._lost: List[int] = []
        self._failed_starts = self._lost_in_a_row = 0
        self._in_vain: Set[int] = set()
        self._judged_any = False

    def progress(self) -> Progress:
        """What is known so far."""
        seconds = 0.0 if self._started is None else time.monotonic() - self._started
        progress = Progress(self.tally, list(self.failures.values()), seconds, self.error)
        return progress._replace(ends=list(self._ends), lost=list(self._lost))

    def is_over(self, seconds: Optional[float]) -> bool:
        """Whether so many seconds or all cases are over, or the run cannot go on."""
        late = seconds is not None and self.progress().seconds >= seconds
        busy = any(worker.is_at(*_WORK) for worker in self.workers)
        found = self._task.first_alone and self.failures and not any(self._owners.values())
        over = not (busy or self._first or self._wants_more())
        return bool(self.error or late or found or over)

    def _wants_more(self) -> bool:
        if self._task.first_alone and self.failures:
            return False
        return self._limit is None or self._planned < self._limit

    def start(self) -> _Process:
        """Start a worker."""
        self.workers.append(_Process(self._task))
        return self.workers[-1]

    def hand_out(self) -> None:
        """Give each worker that waits something to do, if there is anything."""
        for worker in self.workers:
            if worker.job is not None:
                continue
            if self._first:
                worker.give(self._first.pop(0))
            elif self._wants_more():
                worker.give((JUDGE, (self._next, [])))
                self._planned += self._task.size(self._next)
                self._next += 1

    def listen(self, seconds: float = _LOOKS_EVERY) -> bool:
        """Hear what the workers say within so many seconds; whether they say anything."""
        ready = wait([worker.channel.end for worker in self.workers], seconds)
        for worker in [each for each in self.workers if each.channel.end in ready]:
            messages = worker.channel.read()
            for kind, content in messages or ():
                getattr(self, "_" + kind)(worker, content)
            if messages is None:
                self._gone(worker)
        self.end_idle()
        return bool(ready)

    def hear_the_rest(self) -> None:
        """Hear what the workers have said by now: this process itself may have been stopped."""
        self._listening = False
        until = time.monotonic() + _LISTENS
        while time.monotonic() < until:
            unfinished = any(worker.channel.waits for worker in self.workers)
            if not (self.listen(_LISTENS / 10 if unfinished else 0) or unfinished):
                break

    def end_idle(self) -> None:
        """End the workers that have been at one case for too long; they are then heard to be gone.

        Before its first case, a worker takes the time that it needs to import TensorFlow. If nobody
        looked for long, all were stopped, as by Ctrl-Z, and their time begins anew; a shorter pause
        is within GRACE.
        """
        now = time.monotonic()
        paused = now - self._looked > _LOOKS_EVERY + GRACE / 2
        self._looked = now
        for worker in self.workers:
            begun = worker.begun.value
            count, since = worker.since or (begun, now)
            if paused or begun != count or not begun or not worker.is_at(JUDGE, SHRINK):
                worker.since = begun, now
            elif now - since > self._task.timeout + GRACE:
                worker.process.kill()
            else:
                worker.since = count, since

    def show(self) -> Tuple[List[Growth], List[Exhibit]]:
        """Growths and exhibits for a page, by a worker, since those have TensorFlow.

        There are no growths if the run was asked to end, and failures are in words alone if there
        is no worker to draw them, or no time to.
        """
        failures = list(self.failures.values())
        painter = next((worker for worker in self.workers if worker.job is None), None)
        painter = painter or next((each for each in self.workers if each.is_at(JUDGE)), None)
        if painter is None and self._started is not None and not (self.error or self._stop.signal):
            painter = self.start()
        if painter:
            painter.give((SHOW, (failures, not self._stop.signal)))
        # The others would only take its time.
        self._end([worker for worker in self.workers if worker is not painter])
        began, asked = time.monotonic(), None
        while painter:
            now = time.monotonic()
            if self._stop.signal:
                asked = asked or now
            if now - began > self._task.timeout + GRACE or (asked and now - asked > _DRAWS):
                break
            if not wait([painter.channel.end], _LOOKS_EVERY):
                continue
            messages = painter.channel.read()
            if messages is None:
                break
            # What it had yet to say before came too late.
            drawn = [content for kind, content in messages if kind == "drawn"]
            if drawn:
                return drawn[0]
        return [], exhibits(failures, None)

    def end(self) -> None:
        """End all workers."""
        self._end(list(self.workers))

    def _end(self, workers: List[_Process]) -> None:
        for worker in workers:
            self.workers.remove(worker)
            worker.channel.close()
            worker.process.kill()
        for worker in workers:
            worker.process.join()

    # What a worker says: each method is called for the message of its name.

    def _ready(self, worker: _Process, names: Optional[Tuple[str, str]]) -> None:
        if isinstance(self.tally, PairTally) and names:
            self.tally.names = names
        if self._started is None:
            self._started = time.monotonic()
        self._failed_starts = 0
        if worker.is_at(_START):
            worker.job = None

    def _unable(self, worker: _Process, error: str) -> None:
        self.error = error

    def _failed(self, worker: _Process, _: None) -> None:
        self.error = "A worker of the fuzzer failed; its error stands above."

    def _judged(self, worker: _Process, content: Any) -> None:
        tally, failing = content
        before = self._cases_judged()
        self.tally.add_dict(tally)
        if self._cases_judged() > before:
            self._judged_any, self._lost_in_a_row = True, 0
        elif worker.job[1][1] and not self._judged_any:
            self._see_whether_in_vain(worker)
        new = [each for each in failing if each.way not in self._owners]
        if self._task.first_alone and self.failures:
            new = []
        for each in new:
            self._owners[each.way] = worker
            self.failures[each.way] = save_failure(self._folder, each)
        worker.job = None
        if new and self._listening:
            worker.give((SHRINK, [each.way for each in new]))

    def _smaller(self, worker: _Process, content: Any) -> None:
        asked, failing = content
        if self._owners.setdefault(failing.way, worker) is worker:
            before = self.failures.get(failing.way)
            self.failures[failing.way] = save_failure(self._folder, failing, before)
            if failing.final:
                self._owners[failing.way] = None
        if failing.way != asked and asked in self.failures:
            # It is not what it seemed to be: what seems so from now on may be.
            with contextlib.suppress(OSError):
                os.unlink(self.failures.pop(asked).path)
            del self._owners[asked]

    def _shrunk(self, worker: _Process, _: None) -> None:
        worker.job = None

    _seen = _shrunk

    def _explained(self, worker: _Process, content: Any) -> None:
        number, skip, name = worker.job[1]
        worker.job = None
        found, left = content
        if found:
            for place, model, failing in found:
                self.tally.of(failing.of).count(model, DISAGREE)
                skip = [*skip, place]
                if failing.way not in self._owners:
                    self._owners[failing.way] = None
                    self.failures[failing.way] = save_failure(self._folder, failing)
            # Where two are compared, neither will be asked for them.
            for tally in self.tally.parts:
                tally.not_run += len(left)
            self._first.append((JUDGE, (number, skip + left)))
        else:
            self._judge_again(number, skip, name)

    def _judge_again(self, number: int, skip: List[int], name: str) -> None:
        """Judge a batch again, once, of which nobody knows what ended its worker."""
        said = "in batch {} of seed {}, and by none of its cases run alone: {}"
        if number in self._unexplained:
            self._planned -= self._task.size(number) - len(skip)
            then = "ended again, the batch is not judged"
            self._lost.append(number)
            self._lost_in_a_row += 1
            if self._lost_in_a_row == _IN_VAIN:
                lost = "{} batches in a row ended their worker, and no case of them does by itself."
                self.error = lost.format(_IN_VAIN)
        else:
            self._unexplained.add(number)
            self._first.append((JUDGE, (number, skip)))
            then = "the batch is judged again"
        self._tell_end(name, said.format(number, self._task.seed, then))

    def _cases_judged(self) -> int:
        """How many cases were judged, each on each subject."""
        return sum(tally.judged for tally in self.tally.parts)

    def _see_whether_in_vain(self, worker: _Process) -> None:
        """End the run if no case of its first batches does anything but end its process.

        What comes of it depends neither on the config that a few batches have, nor on which worker
        is the first.
        """
        self._in_vain.add(worker.job[1][0])
        least = max(_IN_VAIN, 2 * len(self._task.models), len(self.workers))
        others = [each.job for each in self.workers if each is not worker] + self._first
        at_work = [job[1][0] for job in others if job and job[0] in (JUDGE, EXPLAIN)]
        if len(self._in_vain) >= least and min(at_work, default=math.inf) > max(self._in_vain):
            said = "All cases that were run, of {} batches, ended their process: the run ends, too."
            self.error = said.format(len(self._in_vain))

    def _gone(self, worker: _Process) -> None:
        """A worker's process has come to an end: find out why, and start another."""
        self.workers.remove(worker)
        worker.channel.close()
        worker.process.join()
        # Those who asked for the end may have ended it, too.
        if not self._listening or self.error or self._stop.signal:
            # What it was at is not done.
            self._first.extend([worker.job] if worker.is_at(*_WORK) else [])
            return
        name = name_of_end(worker.process.exitcode)
        if worker.is_at(JUDGE):
            self._first.append((EXPLAIN, (*worker.job[1], name)))
        elif worker.is_at(EXPLAIN):
            self._judge_again(*worker.job[1])
        elif worker.is_at(SHRINK):
            self._tell_end(name, "while it shrank {}".format(", ".join(worker.job[1])))
        elif worker.is_at(_START, LOOK):
            self._tell_end(name, "before its first batch")
            self._failed_starts += 1
            if self._failed_starts == _STARTS:
                said = "{} workers in a row were ended by {} before they could judge anything."
                self.error = said.format(_STARTS, name)
                return
        else:
            self._tell_end(name, "between two batches")
        self.start()

    def _tell_end(self, name: str, where: str) -> None:
        self._ends.append("a worker was ended by {} {}".format(name, where))
