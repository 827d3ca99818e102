"""What tox tells at its end."""

import atexit
import importlib.util
import json
import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Missing(Exception):
    pass


class Environment:
    """An environment of tox."""

    def __init__(self, name, folder, installs=1, python=True, no_test=False):
        self.conf = Conf(name, installs)
        self.options = SimpleNamespace(no_test=no_test)
        self.env_dir = folder / name
        self.env_dir.mkdir()
        self._python = python

    @property
    def base_python(self):
        if not self._python:
            raise Missing("could not find python interpreter py37")


class Conf(dict):
    def __init__(self, name, installs):
        super().__init__(commands_pre=[None] * installs)
        self.name = name


@pytest.fixture
def toxfile(monkeypatch):
    """The plugin, which tox alone can import."""
    tox = {name: ModuleType(name) for name in ("tox", "tox.plugin", "tox.tox_env")}
    tox["tox.plugin"].impl = lambda function: function
    tox["tox.tox_env.errors"] = SimpleNamespace(Skip=Missing, Fail=Missing)
    tox["tox.tox_env.runner"] = SimpleNamespace(RunToxEnv=Environment)
    for name, module in tox.items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("toxfile", os.path.join(ROOT, "toxfile.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    atexit.unregister(module._tell)


def run(toxfile, environment, installed=True, *exit_codes):
    """What tox does of an environment: its commands, each with its exit code."""
    toxfile.tox_on_install(environment, None, "", "")
    if installed:
        toxfile.tox_before_run_commands(environment)
        outcomes = [SimpleNamespace(exit_code=code) for code in exit_codes]
        toxfile.tox_after_run_commands(environment, max(exit_codes), outcomes)
    toxfile.tox_env_teardown(environment)


def test_an_install_that_fails_is_told_apart_from_a_test_that_does(toxfile, tmp_path):
    run(toxfile, Environment("pins", tmp_path), False)
    run(toxfile, Environment("made", tmp_path, no_test=True), False)
    run(toxfile, Environment("keras", tmp_path), True, 1)
    run(toxfile, Environment("wrong", tmp_path), True, 0, 1)
    run(toxfile, Environment("without", tmp_path, installs=0), True, 1)
    run(toxfile, Environment("right", tmp_path), True, 0, 0)
    toxfile.tox_env_teardown(Environment("missing", tmp_path, python=False))
    assert list(toxfile.table(toxfile._ENDINGS, {})) == [
        "",
        "  pins: INSTALL FAILED",
        "  made: not run",
        "  keras: INSTALL FAILED",
        "  wrong: tests FAILED",
        "  without: tests FAILED",
        "  right: passed",
        "  missing: could not find python interpreter py37",
    ]


def test_cases_are_counted_by_model_and_none_is_of_an_earlier_run(toxfile, tmp_path):
    new, old = Environment("new", tmp_path), Environment("old", tmp_path)
    counts = {"agree": 5, "undecided": 2, "known": 1, "disagree": 3}
    for environment in (new, old):
        (environment.env_dir / "tally.json").write_text("{}")
    toxfile.tox_before_run_commands(new)
    tally = {"models": {"seq2seq": counts}, "suspicious": [{"model": "seq2seq"}, {"model": "x"}]}
    (new.env_dir / "tally.json").write_text(json.dumps(tally))
    toxfile.tox_after_run_commands(new, 0, [])
    run(toxfile, old, True, 0, 0)
    counts = dict(counts, suspicious=0)
    cases = dict(toxfile._CASES, other={"seq2seq": dict(counts, agree=105), "rnn-lstm": counts})
    assert list(cases) == ["new", "other"]
    wide = [
        "",
        "  cases / disagree / undecided / known / suspicious",
        "                     new          other",
        "  seq2seq     11/3/2/1/1    111/3/2/1/0",
        "  rnn-lstm             -     11/3/2/1/0",
        "  all         11/3/2/1/1    122/6/4/2/0",
    ]
    lines = list(toxfile.table({}, cases, 80))
    assert [line.split() for line in lines[1:]] == [line.split() for line in wide]
    narrow = list(toxfile.table({}, cases, 20))
    assert [line.split() for line in narrow if line.endswith(("new", "other"))] == [
        ["new"],
        ["other"],
    ]
