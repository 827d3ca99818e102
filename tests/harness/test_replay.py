"""Saved cases are run again: one that cannot be does not keep the others from it."""

import json
from unittest import mock

import numpy as np
import pytest
from click.testing import CliRunner
from examples import random_case

from rnndiff.harness.cases.case import load, save
from rnndiff.harness.commands import replay as module
from rnndiff.harness.commands.minimize import minimize
from rnndiff.harness.commands.replay import replay
from rnndiff.harness.errors import UserError
from rnndiff.harness.subjects.float32 import Float32


@pytest.fixture(autouse=True)
def case(tmp_path, monkeypatch):
    """A case in the working folder, and what is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no case")
    save("a.npz", random_case("seq2seq"))


def replayed(*paths):
    """The exit status, what is said, and what is in JSON."""
    ran = CliRunner().invoke(replay, [*paths, "--subject", "float32", "--json", "said.json"])
    with open("said.json") as file:
        return ran.exit_code, ran.output, json.load(file)


@pytest.mark.parametrize(
    "path, said",
    [
        ("none.npz", "There is no file or folder none.npz: failing cases"),
        ("empty", "There is no case (.npz) in the folder empty."),
        ("text", "Cannot read text as a case"),
    ],
)
def test_one_path_that_is_no_case_does_not_keep_the_others_from_being_run(path, said):
    status, output, result = replayed("a.npz", path, "a.npz")
    assert status == 2 and output.count("a.npz: agree on Float32") == 2
    assert "rnndiff: {}".format(said) in output
    assert [each["verdict"] for each in result["cases"]] == ["agree", "agree"]
    assert list(result["errors"]) == [path] and result["errors"][path].startswith(said)


@pytest.mark.parametrize(
    "method, at_fault", [("supports", "Float32.supports fails"), ("__call__", "out of licences")]
)
def test_a_case_that_the_subject_cannot_be_asked_for_does_not_either(method, at_fault):
    calls = []
    right = getattr(Float32, method)

    def fails_once(self, *given):
        calls.append(given)
        if len(calls) == 1:
            raise UserError("out of licences") if method == "__call__" else ValueError
        return right(self, *given)

    with mock.patch.object(Float32, method, fails_once):
        status, output, result = replayed("./a.npz", "a.npz")
    assert status == 2 and "rnndiff: ./a.npz: {}".format(at_fault) in output
    assert [each["path"] for each in result["cases"]] == ["a.npz"]
    assert list(result["errors"]) == ["./a.npz"]


def test_ctrl_c_keeps_what_was_run():
    with mock.patch.object(module, "_load", side_effect=[module._load("a.npz"), KeyboardInterrupt]):
        status, _, result = replayed("a.npz", "a.npz")
    assert status == 130 and len(result["cases"]) == 1


@pytest.fixture
def remembers():
    """Float32 has another loss from its second call on; b.npz is a case that was saved for that."""
    right = Float32.__call__

    def call(self, case):
        self.calls = getattr(self, "calls", 0) + 1
        trace = right(self, case)
        return dict(trace, loss=trace["loss"] + np.float32(self.calls > 1))

    case = random_case("seq2seq", batch=2, time=2)
    save("b.npz", case, notes={"verdict": "disagree: NotRepeatable: a second call, and so on"})
    with mock.patch.object(Float32, "__call__", call):
        yield


def test_a_subject_that_was_not_repeatable_is_seen_not_to_be_again(remembers):
    status, output, result = replayed("a.npz", "b.npz")
    ran = CliRunner().invoke(minimize, ["b.npz", "--subject", "float32"])
    assert status == 1 and "a.npz: agree" in output and "b.npz: disagree on Float32" in output
    assert "gave other numbers in 'loss'" in result["cases"][1]["error"]
    assert ran.exit_code == 1 and "NotRepeatable" in ran.output
    assert load("b-minimal.npz").case.config.batch == 1


@pytest.mark.parametrize("said", ["it may do so", "there is but one of it"])
def test_what_may_differ_or_cannot_be_made_anew_is_judged_by_one_call(said, remembers):
    if said == "it may do so":
        patch = mock.patch.object(Float32, "repeatable", False)
    else:
        patch = mock.patch.object(Float32, "fresh", side_effect=UserError(said))
    with patch:
        status, output, _ = replayed("b.npz")
    assert status == 0 and "b.npz: agree on Float32" in output


def test_it_is_said_what_a_case_was_saved_with():
    case = random_case("seq2seq")
    save("a.npz", case, notes={"subject": "./my_rnn", "tensorflow": "2.21.0", "mode": "session"})
    save("b.npz", case, notes={"tensorflow": "1.15.5", "mode": "session", "verdict": "agree"})
    _, output, _ = replayed("a.npz", "b.npz")
    assert "    saved with ./my_rnn: no verdict\n" in output
    assert "    saved with TensorFlow 1.15.5, session: agree\n" in output
