"""What a run of differential tests tells at its end, in words and as a page."""

import contextlib
import os
import sys
from typing import Any, Iterator, List, Optional, Set, Tuple

from rnndiff.harness.checking import journal
from rnndiff.harness.errors import UserError, in_one_line
from rnndiff.harness.files import write_json
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.tally import WORST, Tally
from rnndiff.harness.report import page
from rnndiff.harness.report.exhibits import exhibits
from rnndiff.harness.report.growth import Growth, sampled
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.subjects.subject import TENSORFLOW, TIMEOUT, Subject
from rnndiff.harness.versions import versions
from rnndiff.models import MODELS


def profile() -> str:
    """The profile of Hypothesis that is loaded; "none" without it."""
    hypothesis = sys.modules.get("hypothesis")
    if hypothesis is None:
        return "none"
    settings = hypothesis.settings
    # Older ones do not tell.
    name = getattr(settings, "get_current_profile_name", lambda: settings._current_profile)()
    return name or "default"


def mode_of(subjects: Set[Tuple[str, str]]) -> str:
    """The mode of what was tested, given by names and modes; "" is the default."""
    return ", ".join(sorted({mode for _, mode in subjects if mode}))


class Summary:
    """Tells all that was found, whatever cannot be written meanwhile."""

    def __init__(self, terminalreporter: Any, config: Any, interrupted: bool) -> None:
        self._write = terminalreporter.write_line
        self._reporter, self._config = terminalreporter, config
        self._interrupted = interrupted

    def tell(
        self,
        record: journal.Record,
        in_flight: List[str],
        lost: int,
        ended: List[journal.EndedRun],
    ) -> None:
        """Tell it.

        Parameters
        ----------
        record : Record
            Of all processes together.
        in_flight : list of str
            The files of cases at which a process of this run was ended.
        lost : int
            How many processes were.
        ended : list of EndedRun
            Earlier runs that could not tell.
        """
        failures = list(record.failures)
        counted = record.tally.judged + record.tally.unsupported
        if counted or failures or in_flight or lost or ended:
            self._reporter.section("differential testing")
        for line in record.tally.lines() if counted else ():
            self._write(line)
        if record.tally.unsupported and not record.tally.judged:
            self._write("No case was judged: the subject supports none of them.", red=True)
        self._save_worst(record.tally)
        if lost:
            who = "1 process was" if lost == 1 else "{} processes were".format(lost)
            self._write("{} ended; what was being judged then is not counted".format(who))
        for failure in failures:
            self._tell_failure(failure)
        failures.extend(self._kept(in_flight))
        for run in ended:
            said = "an earlier run was ended before it could tell: {} cases were judged"
            self._write(said.format(run.cases))
            for failure in run.failures:
                self._tell_failure(failure)
            failures.extend(run.failures)
            failures.extend(self._kept(run.in_flight))
        # A process may be ended after it has saved a failure, and before it says so.
        began = min([record.began] + [run.began for run in ended])
        told = {os.path.abspath(failure.path) for failure in failures if failure.path}
        for path in journal.saved_since(began):
            if os.path.abspath(path) not in told:
                failures.append(self._untold(path))
        if self._config.getoption("--rnndiff-json"):
            self._write_json(self._config.getoption("--rnndiff-json"), record)
        if self._config.getoption("--rnndiff-report"):
            self._write_page(self._config.getoption("--rnndiff-report"), record, failures)

    def _save_worst(self, tally: Tally) -> None:
        try:
            path = tally.save_worst(WORST)
        except UserError as error:
            self._write("its case is not saved: {}".format(error), red=True)
        else:
            if path:
                self._write("its case: {}".format(path))

    def _tell_failure(self, failure: Failure) -> None:
        told = [str(report.longrepr) for report in self._reporter.stats.get("failed", [])]
        first, _, rest = failure.report.partition("\n")
        if any(failure.report in text for text in told):
            self._write("failure, told above: {}: {}".format(failure.path or failure.way, first))
        else:
            self._write("failure: {}: {}".format(failure.path or failure.way, first), red=True)
            self._write(rest)

    def _kept(self, in_flight: List[str]) -> Iterator[Failure]:
        for case in in_flight:
            options, path = journal.options_of(case), journal.keep(case)
            if path is None:
                continue
            said = "in flight when a process was ended: {0}; run it again: rnndiff replay {0}{1}"
            said = said.format(path, options)
            self._write(said)
            yield Failure(os.path.basename(path), path, said)

    def _untold(self, path: str) -> Failure:
        said = "saved meanwhile, by a process that was ended or by another run: {0}; run it again: "
        said = (said + "rnndiff replay {0}").format(path)
        self._write(said)
        return Failure(os.path.basename(path), path, said)

    def _write_json(self, path: str, record: journal.Record) -> None:
        mode = mode_of(record.subjects)
        try:
            write_json(path, dict(record.tally.as_dict(), versions=versions(mode)))
        except (UserError, OSError) as error:
            self._write("The JSON is not written: {}".format(error), red=True)

    def _write_page(self, path: str, record: journal.Record, failures: List[Failure]) -> None:
        try:
            page.write(path, self._page(record, failures))
        except (Exception, KeyboardInterrupt) as error:
            why = error if isinstance(error, UserError) else in_one_line(error) + "."
            self._write("The report is not written: {}".format(why), red=True)
        else:
            self._write("report: {}".format(path))

    def _page(self, record: journal.Record, failures: List[Failure]) -> page.Report:
        growths: List[Growth] = []
        notes = []
        subject = self._subject(record.subjects)
        if self._interrupted:
            notes.append("The run was interrupted. Growth is not measured then.")
        elif subject:
            models = [name for name in MODELS if name in record.tally.ratios]
            timeout = self._config.getoption("--rnndiff-timeout") or TIMEOUT
            growths = sampled(subject, models, timeout=timeout)
        shown = exhibits(failures, subject)
        environment = dict(versions(mode_of(record.subjects)), profile=profile())
        return page.Report("pytest", record.tally, growths, shown, [], notes, environment)

    def _subject(self, subjects: Set[Tuple[str, str]]) -> Optional[Subject]:
        """What was tested, made anew: under xdist, this process has had none so far.

        None if that is more than one, or has no name.
        """
        name, mode = min(subjects, default=(TENSORFLOW, ""))
        # To import TensorFlow takes longer than who ends a run waits.
        late = self._interrupted and name == TENSORFLOW and "tensorflow" not in sys.modules
        with contextlib.suppress(Exception):
            if name and len(subjects) <= 1 and not late:
                return subject_named(name, mode=mode)
        return None
