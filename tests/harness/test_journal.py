"""A process that is ended in the middle of a case loses nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from examples import Float32Port, random_case

from rnndiff.harness.cases.case import load, save
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.checking.journal import (
    Journaled,
    Record,
    Run,
    close,
    ended_runs,
    keep,
    leftovers_in,
    options_of,
    record_of,
    saved_since,
)
from rnndiff.harness.checking.journal import in_flight as in_flight_in
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.pytest_plugin import summary
from rnndiff.harness.pytest_plugin.summary import Summary
from rnndiff.harness.subjects.subject import TIMEOUT

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENDS_ITSELF = """
import collections
import itertools
import os
import signal

import pytest
from examples import random_case


@pytest.mark.parametrize("number", range(4))
def test_it(number, check, subject, monkeypatch):
    case = random_case("seq2seq", seed=number)

    def ended(case):
        {ends}

    if number == 2:
        monkeypatch.setattr(type(subject), "__call__", lambda self, case: ended(case))
    check([case])
"""


def test_what_is_journaled_states_what_the_subject_does(tmp_path):
    class Port(Float32Port):
        known, repeatable, called = ("an entry",), False, 0

        def __call__(self, case):
            self.called += 1
            return Float32Port.__call__(self, case)

        def ended_by(self, case):
            return "SIGSEGV"

    port, case = Port(), random_case("seq2seq")
    journaled = Journaled(port, str(tmp_path / "flight.npz"))
    assert journaled.known == port.known and journaled.repeatable is False
    assert journaled.label == "Port" and journaled.ended_by(case) == "SIGSEGV"
    assert journaled.arithmetic(case) == port.arithmetic(case)
    fresh = journaled.fresh()
    fresh(case)
    assert port.called == 0 and os.path.exists(str(tmp_path / "flight.npz"))
    # TensorFlow has nothing to forget, and its graphs are dear.
    port.fresh = lambda: port
    assert journaled.fresh() is journaled


def test_the_case_in_flight_is_on_disk_while_the_subject_computes_it(tmp_path):
    path, case, seen = str(tmp_path / "flight.npz"), random_case("seq2seq"), []

    class Looks(Float32Port):
        def __call__(self, case):
            seen.append(load(path).case)
            return Float32Port.__call__(self, case)

    Journaled(Looks(), path)(case)
    assert np.array_equal(seen[0].inputs, case.inputs)
    close(path)
    assert not os.path.exists(path)
    close(path)
    close(None)


def test_a_case_is_computed_where_none_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    trace = Journaled(Float32Port(), str(tmp_path / "file" / "flight.npz"))(random_case("seq2seq"))
    assert "loss" in trace


def failure(number, path=""):
    return Failure("way-{}".format(number), path, "report {}".format(number), False)


def test_a_failure_takes_the_place_of_what_was_told_of_it_before(tmp_path):
    record = Record(str(tmp_path / "gw0.json"))
    record.add_failure(failure(1, "unshrunk.npz"))
    record.add_failure(failure(2))
    record.add_failure(failure(1, "shrunk.npz"))
    (told,) = leftovers_in(str(tmp_path)).records.values()
    assert [Failure(*each).path for each in told["failures"]] == ["shrunk.npz", ""]


def test_what_two_processes_found_is_told_beside_each_other_and_one_file_once():
    one, other, both = Record(), Record(), Record()
    one.began, other.began, both.began = 1.0, 2.0, 3.0
    for record, paths in ((one, ["a.npz", ""]), (other, ["a.npz", "b.npz", ""])):
        for number, path in enumerate(paths):
            record.add_failure(failure(number, path))
    both.add_dict(one.as_dict())
    both.add_dict(other.as_dict())
    assert [known.path for known in both.failures] == ["a.npz", "", "b.npz", ""]
    assert both.began == 1.0


def test_a_tally_is_written_at_most_every_second_and_a_failure_at_once(tmp_path, monkeypatch):
    now, path = [100.0], str(tmp_path / "gw0.json")
    monkeypatch.setattr("rnndiff.harness.checking.journal.time.monotonic", lambda: now[0])
    record = Record(path)

    def changes():
        return leftovers_in(str(tmp_path)).records["gw0"]["changes"]

    record.count_changed()
    record.count_changed()
    assert changes() == 1
    now[0] += 1
    record.count_changed()
    assert changes() == 3
    record.add_failure(failure(1))
    assert changes() == 4
    # The same again is no news.
    os.remove(path)
    record.add_failure(failure(1))
    assert not os.path.exists(path)


def a_run(runs, failures=1):
    """One that has judged a case and is at another, with a record of its failures."""
    run, case = Run(os.path.join(runs, "run")), random_case("seq2seq")
    record = Record(record_of(run.folder, "gw0"))
    Checker(Float32Port(), record.tally, runs)([case])
    record.count_changed()
    for number in range(failures):
        record.add_failure(failure(number))
    save(in_flight_in(run.folder, "gw0"), case)
    return run


def test_a_run_that_is_alive_is_left_alone_and_one_that_was_ended_is_told_once(tmp_path):
    runs = str(tmp_path / "runs")
    run = a_run(runs)
    worker = Run(run.folder)
    with ended_runs(runs) as ended:
        assert ended == []
    run.close()
    with ended_runs(runs) as ended:
        assert ended == []
    worker.close()
    with pytest.raises(KeyboardInterrupt), ended_runs(runs) as ended:
        assert len(ended) == 1
        raise KeyboardInterrupt
    with ended_runs(runs) as ended, ended_runs(runs) as at_the_same_time:
        assert at_the_same_time == []
        (found,) = ended
        assert found.cases == 1 and found.failures == [failure(0)]
        kept = keep(found.in_flight[0], str(tmp_path / "failures"))
    assert load(kept).case.model.name == "seq2seq"
    with ended_runs(runs) as ended:
        assert ended == [] and os.listdir(runs) == []


@pytest.mark.parametrize(
    "name, told",
    [
        ("my_port:f", True),
        ("tests/test_my_port.py:test_f", True),
        ("../../x.py:f", False),
        ("tests/../../x.py:f", False),
        ("/x.py:f", False),
        ("--mode", False),
        ("a b:f", False),
    ],
)
def test_a_command_names_no_subject_of_a_file_that_is_not_below(name, told, tmp_path):
    path = str(tmp_path / "case.npz")
    save(path, random_case("rnn-basic"), notes={"subject_name": name})
    assert options_of(path) == (" --subject {}".format(name) if told else "")


def test_two_cases_in_flight_do_not_take_each_others_place(tmp_path):
    kept = set()
    for name in ("gw0.npz", "gw1.npz"):
        save(str(tmp_path / name), random_case("seq2seq"))
        os.utime(str(tmp_path / name), (1, 1))
        kept.add(keep(str(tmp_path / name), str(tmp_path / "failures")))
    assert len(kept) == 2 == len(os.listdir(str(tmp_path / "failures")))


def test_a_case_in_flight_that_cannot_be_kept_stays_where_it_is(tmp_path):
    (tmp_path / "file").write_text("")
    a_run(str(tmp_path / "runs")).close()
    for _ in range(2):
        with ended_runs(str(tmp_path / "runs")) as ended:
            (path,) = ended[0].in_flight
            assert keep(path, str(tmp_path / "file" / "failures")) == path
    assert load(path).case.model.name == "seq2seq"


def test_a_case_in_flight_that_is_gone_meanwhile_is_none(tmp_path):
    assert keep(str(tmp_path / "gw0.npz"), str(tmp_path / "failures")) is None


class Told:
    """What pytest hands to a summary: a reporter, which is its options, too."""

    stats = {}

    def __init__(self, **options):
        self.lines, self._options = [], options

    def write_line(self, line, **style):
        self.lines.append(line)

    def section(self, title):
        self.lines.append(title)

    def getoption(self, name):
        return self._options.get(name[len("--rnndiff-") :])


def test_what_is_gone_keeps_nothing_else_from_being_told(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    save("gw1.npz", random_case("seq2seq"))
    told, record = Told(), Record()
    record.began = time.time() + 60.0
    Summary(told, told, interrupted=False).tell(record, ["gw0.npz", "gw1.npz"], 0, [])
    (line,) = [line for line in told.lines if "in flight" in line]
    assert load(re.search("in flight when .*: (.*); run", line).group(1)).case


@pytest.mark.parametrize("given, seconds", [(1.5, 1.5), (None, TIMEOUT)])
def test_the_figures_of_a_page_have_the_time_of_a_case(given, seconds, tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    took = []
    monkeypatch.setattr(summary, "sampled", lambda *args, timeout: took.append(timeout) or [])
    record, told = Record(), Told(report="page.html", timeout=given)
    record.subjects.add(("float32", ""))
    Summary(told, told, interrupted=False).tell(record, [], 0, [])
    assert took == [seconds]


def test_where_no_run_can_begin_a_sentence_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write .*: Not a directory.$"):
        Run(str(tmp_path / "file" / "run"))


# The same in every process that collects tests.
RIGHT = dict(Record().as_dict(), process=1, began=1.0)
# To be seen where it is counted.
RIGHT["tally"]["cases"]["agree"] = 5


@pytest.mark.parametrize(
    "text",
    ["", "[", "[" * 10**5, "null", "[]", "{}", "\xff\xfe"]
    + [json.dumps(dict(RIGHT, **{key: None})) for key in RIGHT]
    + [
        json.dumps(dict(RIGHT, failures=failures))
        for failures in ([1], ["text"], [["way"]], [["way", None, "report", True]], {"a": 1})
    ]
    + [json.dumps(dict(RIGHT, process=number)) for number in (-1, 0, True)]
    + [json.dumps(dict(RIGHT, subjects=subjects)) for subjects in ([1], ["name"], [["name", 1]])]
    + [json.dumps(dict(RIGHT, tally=tally)) for tally in ([], {}, dict(RIGHT["tally"], known=3))],
)
def test_a_damaged_record_is_left_out(text, tmp_path):
    runs = str(tmp_path / "runs")
    run = a_run(runs)
    with open(record_of(run.folder, "gw1"), "w") as file:
        file.write(text)
    assert set(leftovers_in(run.folder).records) == {"gw0"}
    run.close()
    with ended_runs(runs) as ended:
        assert [known.cases for known in ended] == [1]


def test_what_a_file_says_is_told_without_escape_sequences(tmp_path):
    run = a_run(str(tmp_path), failures=0)
    record = Record(record_of(run.folder, "gw1"))
    record.add_failure(Failure("way\x1b[2J", "a\x1b[2J.npz", "first\nsecond\x1b]0;title\x07"))
    run.close()
    with ended_runs(str(tmp_path)) as ended:
        (told,) = ended[0].failures
    assert told.way.isprintable() and told.path.isprintable()
    assert told.report.replace("\n", "").isprintable()
    assert told.report.startswith("first\nsecond")


def test_the_files_that_were_saved_since_a_time_are_found(tmp_path):
    for name, when in (("old.npz", 10), ("new.npz", 20), ("new.partial", 20)):
        (tmp_path / name).write_text("")
        os.utime(str(tmp_path / name), (when, when))
    # One that is gone when it is looked at hides no other.
    (tmp_path / "gone.npz").symlink_to("nowhere")
    assert saved_since(15.0, str(tmp_path)) == [str(tmp_path / "new.npz")]
    assert saved_since(15.0, str(tmp_path / "none")) == []


# No signal interrupts it: it does not come back to Python.
HANG = "collections.deque(itertools.repeat(0), maxlen=0)"


# What xdist does with a process that is ended, whatever was imported there, a port shows as well.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "hang"])
@pytest.mark.parametrize(
    "workers, subject, seconds",
    [(["-n", "2"], "port:Float32Port", 2), (["-p", "no:xdist"], "tensorflow", 10)],
    ids=["workers", "alone"],
)
def test_pytest_keeps_the_case_in_flight_of_a_process_that_is_ended(
    name, workers, subject, seconds, tmp_path
):
    (tmp_path / "port.py").write_text("from examples import Float32Port\n")
    shutil.copy(os.path.join(ROOT, "tests", "harness", "examples.py"), str(tmp_path))
    ends = HANG if name == "hang" else "os.kill(os.getpid(), signal.{})".format(name)
    (tmp_path / "test_it.py").write_text(ENDS_ITSELF.format(ends=ends))
    environment = dict(os.environ, PYTHONPATH=ROOT)
    environment.pop("PYTEST_XDIST_WORKER", None)

    def pytest_again(*arguments):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
        options = ["--rnndiff-subject", subject, "--rnndiff-timeout", str(seconds)]
        run = subprocess.run(
            command + options + list(arguments),
            cwd=str(tmp_path),
            env=environment,
            capture_output=True,
            text=True,
        )
        return run.stdout, run.stderr

    told, errors = pytest_again(*workers)
    if name == "hang":
        assert "Timeout (0:00:{})!".format(seconds + 10) in errors and "in ended" in errors
    if workers[0] != "-n":
        # The only process was ended: the next run tells.
        told, _ = pytest_again("-k", "it[0]")
    assert "in flight when a process was ended" in told
    (kept,) = (tmp_path / ".rnndiff" / "failures").glob("in-flight-*.npz")
    assert str(kept.name) in told
    assert np.array_equal(load(str(kept)).case.inputs, random_case("seq2seq", seed=2).inputs)
