"""What a worker of :mod:`rnndiff.harness.checking.fuzz` does, in a process of its own.

It judges the batches that it is asked for and tells what came of each at once, shrinks failures
that are new, and runs the cases of a batch that ended a worker one by one.
"""

import contextlib
import math
import os
import socket
import sys
import traceback
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple, Union

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import batch_size, model_named, random_batch
from rnndiff.harness.cases.restriction import ANY, Restriction
from rnndiff.harness.checking.against import Against, PairTally
from rnndiff.harness.checking.check import EVALUATIONS, REPEATED_EVERY, SECONDS, Checker
from rnndiff.harness.checking.messages import Channel
from rnndiff.harness.checking.pair import Pair
from rnndiff.harness.checking.saving import UnsavedFailure, unsaved_failure
from rnndiff.harness.checking.verdicts import (
    MOST_OF_A_KIND,
    Judged,
    first_wrong_of,
    verdict_on_ending,
)
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.report.exhibits import exhibits
from rnndiff.harness.report.growth import sampled
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.subjects.alone import Alone, Ending, first_endings
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.subjects.orphans import end_with
from rnndiff.harness.subjects.port import look, restrict_subject, with_premise
from rnndiff.harness.subjects.run import HANG
from rnndiff.harness.subjects.statements import supported
from rnndiff.harness.subjects.subject import TENSORFLOW, TIMEOUT, Subject, Wrapper
from rnndiff.models import load_modules

# After so many cases of a batch that end a process, or after some hangs, what comes after them is
# not run: each takes a start of two processes, or its whole time.
_ENDINGS = 4
# So many batches are looked at for a case that both of two subjects compute.
_TRIED = 64

_OF_PROCESSES = "not shrunk: rnndiff minimize does that in processes of its own"

# A worker is asked to do one of these: each is a method of Worker.
LOOK, JUDGE, SHRINK, EXPLAIN, SHOW = "look", "judge", "shrink", "explain", "show"


class Task(NamedTuple):
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


def work(end: socket.socket, begun: Any, task: Task) -> None:
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
            worker = Worker(channel, subject, task)
            channel.send(("ready", subject.names if isinstance(subject, Pair) else None))
            for messages in iter(channel.read, None):
                for kind, content in messages:
                    getattr(worker, kind)(content)
        except UserError as error:
            channel.send(("unable", str(error)))
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Exception:
            traceback.print_exc()
            channel.send(("failed", None))
            sys.exit(1)


def _see_that_some_are_common(pair: Pair, task: Task) -> None:
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


class Worker:
    """What a worker does: each method is called for the job of its name, and tells what came of it.

    The messages that it tells are methods of the run.
    """

    def __init__(self, channel: Channel, subject: Subject, task: Task) -> None:
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
        """See that two subjects have cases in common; tell ``seen``."""
        if isinstance(self._subject, Pair):
            _see_that_some_are_common(self._subject, self._task)
        self._channel.send(("seen", None))

    def judge(self, content: Tuple[int, List[int]]) -> None:
        """Judge a batch but for some places; tell ``judged``, a tally and new ways of failing."""
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
        """Shrink what was told to fail so; tell ``smaller`` of each case, ``shrunk`` at last."""
        for way in ways:

            def tell(failing: UnsavedFailure, way: str = way) -> None:
                self._channel.send(("smaller", (way, failing)))
                if failing.way != way:
                    self._told.pop(way, None)

            check, judged = self._told[way]
            check.investigate(judged, tell)
        self._channel.send(("shrunk", None))

    def explain(self, content: Tuple[int, List[int], str]) -> None:
        """Find the cases of a batch that end a process, but for some places.

        Tells ``explained``: place, model and failure of each, and the places that are not run for
        there are many of them.
        """
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

    def show(self, content: Tuple[List[Failure], bool]) -> None:
        """Draw failures for a page, and growths if there is time; tells ``drawn``, both of them."""
        failures, all_figures = content
        subject = self._check.parts[0].subject
        models, timeout = list(self._task.models), self._task.timeout
        growths = sampled(subject, models, timeout=timeout) if all_figures else []
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
    way = "{}-{}".format(case.model.name, HANG if name == HANG else "ends-process")
    verdict = verdict_on_ending(case, name, (), timeout)
    return unsaved_failure(part.subject, case, verdict, way, why=why, of=part.of, ended_by=name)
