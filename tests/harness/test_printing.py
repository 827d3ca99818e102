"""What a subject prints, in Python or not, is no part of a result."""

import json
import os
import subprocess
import sys
from unittest import mock

import pytest
from examples import random_case

from rnndiff.harness.cases.case import save
from rnndiff.harness.errors import UserError
from rnndiff.harness.subjects import alone
from rnndiff.harness.subjects.alone import FAILED, Alone, Alones
from rnndiff.harness.subjects.run import run

PRINTS = """
import os
from rnndiff import Float32

print("imported")


class Prints(Float32):
    def __call__(self, case):
        # A line, a part of one, and what Python knows nothing of.
        print("hello")
        print("...", end="")
        os.write(1, b"!")
        return super().__call__(case)


class Exits(Float32):
    def __call__(self, case):
        os._exit(70)


class OnlyOne(Float32):
    def __init__(self):
        raise OSError("There is one of it.")
"""
NAME = "port_that_prints:Prints"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(autouse=True)
def port(tmp_path, monkeypatch):
    (tmp_path / "port_that_prints.py").write_text(PRINTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")]))


@pytest.mark.parametrize(
    "command",
    [["replay", "case.npz"], ["fuzz", "rnn-basic", "--cases", "1", "--workers", "1"]],
    ids=lambda command: command[0],
)
def test_json_on_the_standard_output_is_that_alone(command):
    save("case.npz", random_case("rnn-basic"))
    command = [sys.executable, "-m", "rnndiff", *command, "--subject", NAME, "--json", "-"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["versions"]
    # What Python has not written yet is lost when fuzz ends a worker.
    assert "!" in ended.stderr


def test_an_exit_with_the_status_of_a_process_that_failed_is_one_of_the_subject():
    with Alones(30.0) as alones:
        ended = alones.ended_by(random_case("rnn-basic"), "port_that_prints:Exits", "")
    assert ended == "exit-{}".format(FAILED)


def test_what_cannot_be_made_in_another_process_is_started_there_once(monkeypatch):
    started = mock.Mock(wraps=alone._start)
    monkeypatch.setattr(alone, "_start", started)
    with Alones(30.0) as alones:
        for seed in range(2):
            with pytest.raises(UserError, match="cannot be made in a process of its own"):
                alones.ended_by(random_case("rnn-basic", seed), "port_that_prints:OnlyOne", "")
    assert started.call_count == 1


def test_it_is_no_answer_of_a_process_of_its_own():
    with Alone(30.0, NAME) as alone:
        assert [alone.ended_by(random_case("rnn-basic", seed)) for seed in range(2)] == [None] * 2


def test_it_goes_to_the_standard_error(capsys):
    class Prints:
        def ended_by(self, case):
            return None

        def __call__(self, case):
            print("hello")
            return {}

    assert run(Prints(), random_case("rnn-basic")).trace == {}
    assert capsys.readouterr() == ("", "hello\n")
