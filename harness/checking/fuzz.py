"""Many random cases, in worker processes, until a count or a time is reached.

Batch number k of a seed is the same on every machine. This process hands out the numbers, so the
same batches are judged by any number of workers; it alone counts, and writes files. A worker judges
a batch, tells what came of it at once, and is then asked to shrink the failures that are new.

Any process may be ended or stopped at any moment. Should a worker's be ended, its batch is made
again, its cases are run in a process of their own, the one that ends that is saved, and all others
are judged, unless many are like it. A worker that stays with one case for too long is ended from
here.
"""

import contextlib
import math
import multiprocessing
import os
import signal
import socket
import sys
import time
import traceback
from multiprocessing.connection import wait
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Set,
    Tuple,
    Union,
)

import numpy as np

try:
    from multiprocessing import resource_tracker
except ImportError:  # Python 3.7
    from multiprocessing import semaphore_tracker as resource_tracker  # type: ignore

from rnndiff.harness.cases.case import Case, packed
from rnndiff.harness.cases.random_cases import batch_size, model_named, random_batch
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.checking.against import Against, PairTally
from rnndiff.harness.checking.check import (
    EVALUATIONS,
    FAILURES,
    MOST_OF_A_KIND,
    REPEATED_EVERY,
    SECONDS,
    Checker,
    Judged,
    UnsavedFailure,
    first_wrong_of,
    named_way,
    save_failure,
    statement_of,
    supported,
    verdict_on_ending,
)
from rnndiff.harness.checking.messages import Channel
from rnndiff.harness.checking.pair import Pair
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.report.describe import describe
from rnndiff.harness.report.exhibits import Exhibit, exhibits
from rnndiff.harness.report.growth import Growth, sampled
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.stop import Stop
from rnndiff.harness.subjects.alone import FAILED, Alone, Ending, first_endings
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.subjects.orphans import end_with
from rnndiff.harness.subjects.port import look, restrict_subject, with_premise
from rnndiff.harness.subjects.run import GRACE, HANG, name_of_end
from rnndiff.harness.subjects.subject import TENSORFLOW, TIMEOUT, Subject, Wrapper, in_mode
from rnndiff.harness.versions import versions
from rnndiff.models import load_modules, modules

# Seconds between two looks at the workers, and at whether to stop.
_LOOKS_EVERY = 0.25
# Seconds that the end may take: for what the workers are telling, and for figures of a page. After
# Ctrl-C all is over within five.
_LISTENS, _DRAWS = 1.0, 2.0
# So many workers in a row that are ended before they can judge are the last.
_STARTS = 3
# After so many cases of a batch that end a process, or after some hangs, what comes after them is
# not run: each takes a start of two processes, or its whole time.
_ENDINGS = 4
# So many batches of such cases and no others, two of each model and one of each worker at least,
# are the last, if nothing was judged before; and so are so many in a row of which nobody knows what
# ends their worker.
_IN_VAIN = 3
# So many batches are looked at for a case that both of two subjects compute.
_TRIED = 64

_OF_PROCESSES = "not shrunk: rnndiff minimize does that in processes of its own"

# What a worker is asked to do; START is what it does before.
_START, _JUDGE, _SHRINK, _EXPLAIN, _SHOW = "start", "judge", "shrink", "explain", "show"
_LOOK = "look"


class Progress(NamedTuple):
    """What is known so far.

    ``seconds`` count from when a worker could judge. ``error`` is what ended the run, if that is
    the user's to mend. ``growths`` and ``exhibits`` are those of a page.
    """

    tally: Tally
    failures: List[Failure]
    seconds: float
    error: str = ""
    growths: List[Growth] = []
    exhibits: List[Exhibit] = []

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
    task = _Task(
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
        run.hear_the_rest()
        progress = run.progress()
        if page:
            growths, shown = run.show()
            progress = progress._replace(growths=growths, exhibits=shown)
        return progress
    finally:
        run.end()


class _Worker:
    """A worker's process. Its ``job`` is a kind and what goes with it; None if it waits for one."""

    def __init__(self, task: "_Task") -> None:
        context = multiprocessing.get_context("spawn")
        mine, theirs = socket.socketpair()
        # Nothing that is said to a worker may keep this process waiting for it.
        mine.settimeout(_LISTENS)
        self.channel = Channel(mine)
        # How many cases it has begun, which it counts itself, and since when it is so.
        self.begun = context.RawValue("L", 0)
        self.since: Optional[Tuple[int, float]] = None
        self.job: Any = (_START, None)
        process: Any = context.Process(target=_work, args=(theirs, self.begun, task), daemon=True)
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


@contextlib.contextmanager
def without_signals_of_a_terminal() -> Iterator[None]:
    """What is started inside is never ended by Ctrl-C, but by this process."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It is started with the first worker, and lets the signals come again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Run:
    """The workers, and what they have told so far."""

    def __init__(
        self,
        task: "_Task",
        folder: str,
        cases: Optional[int] = None,
        stop: Optional[Stop] = None,
    ) -> None:
        # A worker will say what both are called, in what mode.
        both = in_mode(task.subject, task.mode), task.against
        self.tally = PairTally(both) if task.against else Tally()
        self.failures: Dict[str, Failure] = {}
        self.workers: List[_Worker] = []
        self.error = ""
        self._task = task
        self._folder, self._limit, self._stop = folder, cases, stop or Stop()
        self._started: Optional[float] = None
        self._listening = True
        self._looked = time.monotonic()
        # Who shrinks a way of failing; None if that is over.
        self._owners: Dict[str, Optional[_Worker]] = {}
        # Jobs that come before the batch `next`. In all batches before that are so many cases that
        # are judged or will be.
        self._first: List[Any] = [(_LOOK, None)] if task.against else []
        self._next = self._planned = 0
        self._unexplained: Set[int] = set()
        self._failed_starts = self._lost = 0
        self._in_vain: Set[int] = set()
        self._judged_any = False

    def progress(self) -> Progress:
        """What is known so far."""
        seconds = 0.0 if self._started is None else time.monotonic() - self._started
        return Progress(self.tally, list(self.failures.values()), seconds, self.error)

    def is_over(self, seconds: Optional[float]) -> bool:
        """Whether so many seconds or all cases are over, or the run cannot go on."""
        late = seconds is not None and self.progress().seconds >= seconds
        busy = any(worker.is_at(_LOOK, _JUDGE, _SHRINK, _EXPLAIN) for worker in self.workers)
        found = self._task.first_alone and self.failures and not any(self._owners.values())
        over = not (busy or self._first or self._wants_more())
        return bool(self.error or late or found or over)

    def _wants_more(self) -> bool:
        if self._task.first_alone and self.failures:
            return False
        return self._limit is None or self._planned < self._limit

    def start(self) -> _Worker:
        """Start a worker."""
        self.workers.append(_Worker(self._task))
        return self.workers[-1]

    def hand_out(self) -> None:
        """Give each worker that waits something to do, if there is anything."""
        for worker in self.workers:
            if worker.job is not None:
                continue
            if self._first:
                worker.give(self._first.pop(0))
            elif self._wants_more():
                worker.give((_JUDGE, (self._next, [])))
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
            if paused or begun != count or not begun or not worker.is_at(_JUDGE, _SHRINK):
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
        painter = painter or next((each for each in self.workers if each.is_at(_JUDGE)), None)
        if painter is None and self._started is not None and not (self.error or self._stop.signal):
            painter = self.start()
        if painter:
            painter.give((_SHOW, (failures, not self._stop.signal)))
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

    def _end(self, workers: List[_Worker]) -> None:
        for worker in workers:
            self.workers.remove(worker)
            worker.channel.close()
            worker.process.kill()
        for worker in workers:
            worker.process.join()

    # What a worker says: each method is called for the message of its name.

    def _ready(self, worker: _Worker, names: Optional[Tuple[str, str]]) -> None:
        if isinstance(self.tally, PairTally) and names:
            self.tally.names = names
        if self._started is None:
            self._started = time.monotonic()
        self._failed_starts = 0
        if worker.is_at(_START):
            worker.job = None

    def _unable(self, worker: _Worker, error: str) -> None:
        self.error = error

    def _judged(self, worker: _Worker, content: Any) -> None:
        tally, failing = content
        before = self._cases_judged()
        self.tally.add_dict(tally)
        if self._cases_judged() > before:
            self._judged_any, self._lost = True, 0
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
            worker.give((_SHRINK, [each.way for each in new]))

    def _smaller(self, worker: _Worker, content: Any) -> None:
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

    def _shrunk(self, worker: _Worker, _: None) -> None:
        worker.job = None

    _seen = _shrunk

    def _explained(self, worker: _Worker, content: Any) -> None:
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
            self._first.append((_JUDGE, (number, skip + left)))
        else:
            self._judge_again(number, skip, name)

    def _judge_again(self, number: int, skip: List[int], name: str) -> None:
        """Judge a batch again, once, of which nobody knows what ended its worker."""
        said = "in batch {} of seed {}, by none of its cases run alone; {}"
        if number in self._unexplained:
            self._planned -= self._task.size(number) - len(skip)
            then = "ended again, the batch was not counted"
            self._lost += 1
            if self._lost == _IN_VAIN:
                lost = "{} batches in a row ended their worker, and no case of them does by itself."
                self.error = lost.format(_IN_VAIN)
        else:
            self._unexplained.add(number)
            self._first.append((_JUDGE, (number, skip)))
            then = "the batch is judged again"
        self._tell_end(name, said.format(number, self._task.seed, then))

    def _cases_judged(self) -> int:
        """How many cases were judged, each on each subject."""
        return sum(tally.judged for tally in self.tally.parts)

    def _see_whether_in_vain(self, worker: _Worker) -> None:
        """End the run if no case of its first batches does anything but end its process.

        What comes of it depends neither on the config that a few batches have, nor on which worker
        is the first.
        """
        self._in_vain.add(worker.job[1][0])
        least = max(_IN_VAIN, 2 * len(self._task.models), len(self.workers))
        others = [each.job for each in self.workers if each is not worker] + self._first
        at_work = [job[1][0] for job in others if job and job[0] in (_JUDGE, _EXPLAIN)]
        if len(self._in_vain) >= least and min(at_work, default=math.inf) > max(self._in_vain):
            said = "All cases that were run, of {} batches, ended their process: the run ends, too."
            self.error = said.format(len(self._in_vain))

    def _gone(self, worker: _Worker) -> None:
        """A worker's process has come to an end: find out why, and start another."""
        self.workers.remove(worker)
        worker.channel.close()
        worker.process.join()
        # Those who asked for the end may have ended it, too.
        if not self._listening or self.error or self._stop.signal:
            return
        if worker.process.exitcode == FAILED:
            self.error = "A worker of the fuzzer failed; its error stands above."
            return
        name = name_of_end(worker.process.exitcode)
        if worker.is_at(_JUDGE):
            self._first.append((_EXPLAIN, (*worker.job[1], name)))
        elif worker.is_at(_EXPLAIN):
            self._judge_again(*worker.job[1])
        elif worker.is_at(_SHRINK):
            self._tell_end(name, "while it shrank {}".format(", ".join(worker.job[1])))
        elif worker.is_at(_START, _LOOK):
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
        way = "worker-ended-by-{}".format(name)
        said = "{}: a worker was ended {}".format(way, where)
        before = self.failures.get(way)
        report = "{}\n{}".format(before.report, said) if before else said
        self.failures[way] = Failure(way, "", report)


class _Task(NamedTuple):
    """What all workers are to do, by the names of models, subject and mode.

    ``modules`` are those that register the models. If the ``first_alone`` counts, just one failure
    is told.
    """

    models: Tuple[str, ...]
    seed: int
    timeout: float = TIMEOUT
    parent: int = 0
    subject: str = TENSORFLOW
    mode: str = ""
    modules: List[str] = []
    premise: str = ""
    restriction: Restriction = ANY
    first_alone: bool = False
    against: str = ""

    def size(self, number: int) -> int:
        """How many cases a batch has."""
        model = model_named(self.models[number % len(self.models)])
        return batch_size(self.seed, number, self.restriction.is_small(model))

    def batch(self, number: int, skip: List[int], precision: str) -> List[Case]:
        """The cases of a batch, but for those in the places `skip`."""
        name = self.models[number % len(self.models)]
        cases = random_batch(name, self.seed, number, precision, self.restriction)
        return [case for place, case in enumerate(cases) if place not in skip]


class _Counted(Wrapper):
    """A subject that counts the cases that it begins, for another process to see."""

    def __init__(self, subject: Subject, begun: Any) -> None:
        super().__init__(subject)
        self._begun = begun

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """As the subject does."""
        self._begun.value += 1
        return self._subject(case)


def _work(end: socket.socket, begun: Any, task: _Task) -> None:
    """A worker: do what the parent asks for until it is gone."""
    end_with(task.parent)
    channel = Channel(end)
    # What a subject prints is no part of what the command does.
    with contextlib.suppress(OSError):
        os.dup2(2, 1)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            load_modules(task.modules)
            subject = subject_named(task.subject, task.timeout, task.mode)
            subject = restrict_subject(with_premise(subject, task.premise), task.restriction)
            subject = _Counted(subject, begun)
            if task.against:
                other = subject_named(task.against, task.timeout)
                subject = Pair(subject, _Counted(other, begun))
            hands = _Hands(channel, subject, task)
            channel.send(("ready", subject.names if isinstance(subject, Pair) else None))
            for messages in iter(channel.read, None):
                for kind, content in messages:
                    getattr(hands, kind)(content)
        except UserError as error:
            channel.send(("unable", str(error)))
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Exception:
            traceback.print_exc()
            sys.exit(FAILED)


def _see_that_some_are_common(pair: Pair, task: _Task) -> None:
    """Raise a UserError if the second computes nothing of what the first does."""
    some = False
    for number in range(max(_TRIED, len(task.models))):
        for case in task.batch(number, [], pair.precision):
            if supported(pair.parts[0], case):
                some = True
                if supported(pair.second, case):
                    return
    if some:
        raise UserError(
            "{1} supports none of the cases that are drawn for {0}: there is nothing to "
            "compare.".format(*pair.names)
        )


class _Hands:
    """What a worker does: each method is called for the job of its name."""

    def __init__(self, channel: Channel, subject: Subject, task: _Task) -> None:
        self._channel, self._subject, self._task = channel, subject, task
        how: Dict[str, Any] = dict(
            timeout=task.timeout,
            restriction=task.restriction,
            seconds=SECONDS if task.first_alone else math.inf,
        )
        self._check: Union[Checker, Against]
        self._tally: Tally
        if isinstance(subject, Pair):
            self._tally = tally = PairTally(subject.names)
            self._check = Against(subject, tally, **how)
        else:
            self._tally = Tally()
            self._check = Checker(subject, self._tally, **how)
        self._told: Dict[str, Tuple[Checker, Judged]] = {}
        self._looks = task.first_alone

    def look(self, _: None) -> None:
        if isinstance(self._subject, Pair):
            _see_that_some_are_common(self._subject, self._task)
        self._channel.send(("seen", None))

    def judge(self, content: Any) -> None:
        number, skip = content
        if self._looks:
            for name in self._task.models:
                for part in self._check.parts:
                    look(part.subject, model_named(name), self._task.restriction)
            self._looks = False
        cases = self._task.batch(number, skip, self._subject.precision)
        self._tally.clear()
        new: List[UnsavedFailure] = []
        for check, disagree in self._check.find_failures(cases, _repeated(number, len(cases))):
            if self._task.first_alone:
                disagree = first_wrong_of(disagree) if not new else []
            for judged in disagree:
                way = check.way(judged.case, judged.verdict)
                if way not in self._told:
                    self._told[way] = check, judged
                    new.append(check.unfinished(judged))
        self._channel.send(("judged", (self._tally.as_dict(), new)))

    def shrink(self, ways: List[str]) -> None:
        for way in ways:

            def tell(failing: UnsavedFailure, way: str = way) -> None:
                self._channel.send(("smaller", (way, failing)))
                if failing.way != way:
                    self._told.pop(way, None)

            check, judged = self._told[way]
            check.investigate(judged, tell)
        self._channel.send(("shrunk", None))

    def explain(self, content: Any) -> None:
        number, skip, _ = content
        cases = self._task.batch(number, [], self._subject.precision)
        timeout = self._task.timeout
        try:
            # Of a case that is known to end a process, none is computed in this one.
            places = [
                place
                for place, case in enumerate(cases)
                if place not in skip and not self._subject.ended_by(case)
            ]
            endings, part = self._first_endings([cases[place] for place in places], len(skip))
        except Exception:  # As if nothing were to be found; a subject may raise anything.
            endings = []
        found = []
        for ending in endings:
            place = next(place for place in places if cases[place] is ending.case)
            case, why = ending.case, _OF_PROCESSES
            if self._task.first_alone and ending.signal != HANG:
                case, why = self._shrunk(ending, part.subject), ""
            failing = _ended(case, ending.signal, timeout, part, why)
            found.append((place, case.model.name, failing))
        hangs = sum(ending.signal == HANG for ending in endings)
        are_many = len(skip) + len(found) >= _ENDINGS or hangs >= MOST_OF_A_KIND[HANG]
        # Those that are unsupported or known to end a process take no time: they are counted so.
        left = [
            place
            for place in (places if found and are_many else ())
            if place > found[-1][0] and supported(part.subject, cases[place])
        ]
        self._channel.send(("explained", (found, left)))

    def _first_endings(self, tried: List[Case], before: int) -> Tuple[List[Ending], Checker]:
        """The first of some cases that ends a process, those right after it, and on whom.

        So many of the batch did so `before`.
        """
        part = self._check.parts[0]
        most = 1 if self._task.first_alone else max(_ENDINGS - before, 1)
        hangs, timeout = MOST_OF_A_KIND[HANG], self._task.timeout
        for part in self._check.parts:
            name, mode = part.subject.name, part.subject.mode
            of_both = [case for case in tried if supported(part.subject, case)]
            endings = first_endings(of_both, timeout, name, mode, most, hangs)
            if endings:
                return endings, part
        return [], part

    def _shrunk(self, ending: Ending, subject: Subject) -> Case:
        """A case that ends its process, shrunk in processes of its own."""
        task = self._task
        with Alone(task.timeout, subject.name, subject.mode) as alone:

            def still_ends(case: Case) -> bool:
                return supported(subject, case) and alone.ended_by(case) == ending.signal

            shrinker = Shrinker(ending.case, still_ends, EVALUATIONS, task.restriction, SECONDS)
            return shrinker.run()

    def show(self, content: Any) -> None:
        failures, all_figures = content
        subject = self._check.parts[0].subject
        growths = sampled(subject, list(self._task.models)) if all_figures else []
        shown = [x for each in failures for x in exhibits([each], self._subject_of(each))]
        self._channel.send(("drawn", (growths, shown)))

    def _subject_of(self, failure: Failure) -> Subject:
        """Whose failure it is; the first's if it is one of both."""
        parts = self._check.parts
        return next((part for part in parts if part.of == failure.of), parts[0]).subject


def _repeated(number: int, size: int) -> List[int]:
    """The places of a batch's cases that are run a second time, of many batches one in so many."""
    every = max(1, REPEATED_EVERY // max(size, 1))
    return [number // every % size] if size and number % every == 0 else []


def _ended(case: Case, name: str, timeout: float, part: Checker, why: str) -> UnsavedFailure:
    """A case on which a subject ended a process or hung."""
    subject = part.subject
    way = "{}-{}".format(case.model.name, HANG if name == HANG else "ends-process")
    verdict = verdict_on_ending(case, name, (), timeout)
    notes = dict(versions(subject.mode), subject=statement_of(subject, "label"), ended_by=name)
    notes["verdict"] = verdict.error
    of = "{}: ".format(part.of) if part.of else ""
    report = "{}{}: {}\n{}".format(of, case, verdict.error, describe(case, verdict))
    content, named = packed(case, notes=notes), (subject.name, subject.mode, subject.stated)
    return UnsavedFailure(named_way(part.of, way), content, report, why, True, *named, of=part.of)
