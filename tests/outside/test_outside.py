"""A user's own package: models, a cell, a function and subjects that the tree does not know."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from rnndiff.harness.cases import twists
from rnndiff.harness.cases.case import load, save
from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.commands.repro import repro
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import AGREE, DISAGREE, UNDECIDED
from rnndiff.harness.numerics.containment import check_containment
from rnndiff.models import MODELS, register

HERE = os.path.dirname(os.path.abspath(__file__))
MISTAKES = ("OtherOrder", "NoForgetBias", "HardSigmoid")
ROOT = os.path.dirname(os.path.dirname(HERE))


@pytest.fixture(autouse=True)
def extras():
    """The package, whose models are registered for one test."""
    before = dict(MODELS)
    from rnn_extras import everything, gru, hard_sigmoid, lstm, port

    for model in everything.MODELS:
        register(model)
    yield {
        "LSTM": lstm.LSTM,
        "GRU": gru.GRU,
        "hard_sigmoid": hard_sigmoid.hard_sigmoid,
        "Everything": everything.Everything,
        **{name: getattr(port, name) for name in ("Port",) + MISTAKES},
    }
    MODELS.clear()
    MODELS.update(before)


# In one case of so many a sum may overflow or not, which leaves it undecided.
OVERFLOWING = twists.EVERY.count(twists.OVERFLOWING) / len(twists.EVERY)


def checked(subject, model, batches, folder):
    tally = Tally()
    check = Checker(subject, tally, str(folder), evaluations=0)
    failures = [f for n in range(batches) for f in check(random_batch(model.name, 5, n)).failures]
    return failures, tally


@pytest.mark.parametrize("subject, model", [("Port", "LSTM"), ("Everything", "GRU")])
def test_a_right_port_is_not_blamed(subject, model, extras, tmp_path):
    failures, tally = checked(extras[subject](), extras[model], 10, tmp_path)
    assert not failures and tally.cases[DISAGREE] == 0
    assert tally.cases[AGREE] > (0.95 - OVERFLOWING) * sum(tally.cases.values())


@pytest.mark.slow
@pytest.mark.parametrize("subject, model", [("Port", "LSTM"), ("Everything", "GRU")])
def test_a_right_port_is_not_blamed_in_10000_cases(subject, model, extras, tmp_path):
    failures, tally = checked(extras[subject](), extras[model], 100, tmp_path)
    assert not failures and sum(tally.cases.values()) > 10000
    assert tally.cases[UNDECIDED] < (0.02 + OVERFLOWING) * sum(tally.cases.values())


@pytest.mark.parametrize("subject", MISTAKES)
def test_a_mistake_is_found_within_20_examples(subject, extras, tmp_path):
    tally = Tally()
    check = Checker(extras[subject](), tally, str(tmp_path), evaluations=0)
    assert any(check([case]).failures for case in random_batch("lstm", 5, 1)[:20])


def test_the_bound_of_its_function_is_tested_by_being_registered(extras):
    check_containment(extras["hard_sigmoid"])


def rnndiff(folder, *arguments):
    paths = [HERE, ROOT] + [path for path in sys.path if path]
    return subprocess.run(
        # As the console script: `python -m` would look into the working folder first.
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(paths)),
        capture_output=True,
        text=True,
    )


STARTED = "import sys; sys.path[:] = filter(None, sys.path)"
COMMAND = STARTED + "; from rnndiff.harness import cli; cli.main()"
RIGHT = "rnn_extras.everything:Everything"
WRONG = "rnn_extras.everything:Wrong"
# By which some case has an element.
SEEDED = ("--seed", 5, "--workers", 1)
WRONG_LSTM = ("rnn_extras.lstm:LSTM", "--subject", WRONG, "--cases", 100, *SEEDED)


def test_every_command_takes_its_models_and_subjects(extras, tmp_path):
    models = ["rnn_extras.lstm:LSTM", "rnn_extras.gru:GRU"]
    run = rnndiff(tmp_path, "frequencies", *models, "--cases", 60)
    assert run.returncode == 0 and "lstm" in run.stdout, run.stderr
    run = rnndiff(tmp_path, "fuzz", *models, "--subject", RIGHT, "--cases", 300, *SEEDED)
    assert run.returncode == 0 and "agree" in run.stderr, run.stderr
    run = rnndiff(tmp_path, "fuzz", *WRONG_LSTM)
    assert run.returncode == 1 and "lstm Config" in run.stdout, run.stderr
    found = sorted((tmp_path / ".rnndiff" / "failures").glob("*.npz"))
    assert found and "rnndiff replay .rnndiff" in run.stdout
    assert "--subject {}".format(WRONG) in run.stdout
    smallest = load(str(found[0])).case
    assert smallest.model == extras["LSTM"] and smallest.config.batch == 1
    run = rnndiff(tmp_path, "replay", found[0], "--subject", WRONG)
    assert run.returncode == 1 and "disagree on Wrong" in run.stdout, run.stderr
    run = rnndiff(tmp_path, "replay", found[0], "--subject", RIGHT)
    assert run.returncode == 0 and "agree on Everything" in run.stdout, run.stderr
    # Nothing imports its module, as long as it is not named.
    run = rnndiff(tmp_path, "replay", found[0], "--subject", "float32")
    assert run.returncode == 2 and "name it by --model MODULE:NAME" in run.stderr, run.stderr
    run = rnndiff(tmp_path, "replay", found[0], "--subject", "float32", "--model", models[0])
    assert run.returncode == 0 and "agree on Float32" in run.stdout, run.stderr
    run = rnndiff(tmp_path, "minimize", found[0], "--subject", WRONG, "--evaluations", 20)
    assert run.returncode == 1 and "saved as" in run.stdout, run.stderr


def test_a_report_has_its_models(tmp_path):
    run = rnndiff(tmp_path, "fuzz", *WRONG_LSTM, "--report", "page.html", "--json", "run.json")
    assert run.returncode == 1, run.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    (found, *_) = json.loads((tmp_path / "run.json").read_text())["failures"]
    # How far its elements are off, and how that grows along its steps.
    assert found["way"].startswith("lstm-") and found["way"] in page and page.count("<svg") == 2


TESTS = """
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_extras import everything, lstm
from rnndiff.strategies import REGIMES, batches


@pytest.mark.parametrize("regime", REGIMES)
@given(data=st.data())
def test_the_lstm(data, regime, check):
    check(data.draw(batches(lstm.LSTM, regime)))
"""


@pytest.mark.parametrize("subject, told", [(RIGHT, "6 passed"), (WRONG, "6 failed")])
def test_the_plugin_checks_its_models_on_its_subjects(subject, told, tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(
        "from rnndiff.strategies import load_profile\n\nload_profile()\n"
    )
    paths = [HERE, os.environ.get("PYTHONPATH", "")]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rnndiff-subject", subject],
        cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths))),
        capture_output=True,
        text=True,
    )
    assert told in ended.stdout, ended.stdout + ended.stderr
    assert ("saved as" in ended.stdout) == (subject == WRONG)


def test_what_lies_in_the_working_folder_takes_the_place_of_nothing(tmp_path):
    (tmp_path / "models").mkdir()
    for name in ("numpy.py", "hypothesis.py", os.path.join("models", "__init__.py")):
        (tmp_path / name).write_text("raise RuntimeError('it was executed')\n")
    run = rnndiff(tmp_path, "fuzz", *WRONG_LSTM)
    assert run.returncode == 1 and "lstm Config" in run.stdout, run.stderr
    assert "it was executed" not in run.stdout + run.stderr


def test_tensorflow_says_that_it_has_no_graph_of_its_model(tensorflow, tmp_path):
    run = rnndiff(tmp_path, "fuzz", "rnn_extras.lstm:LSTM", "--cases", 10, "--workers", 1)
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert "has no graph for TensorFlow" in run.stderr.replace("\n", " ")
    # So there is no script either.
    path = str(tmp_path / "case.npz")
    save(path, random_batch("lstm", 0, 0)[0])
    result = CliRunner().invoke(repro, [path])
    assert isinstance(result.exception, UserError)
    assert "has no graph for TensorFlow" in str(result.exception)


@pytest.mark.parametrize(
    "name, said",
    [
        ("lstn", "is not one of the models"),
        ("rnn_extras.lstm:Config", "is no model"),
        ("rnn_extras.lstn:LSTM", "cannot be imported"),
    ],
)
def test_what_is_no_model_takes_one_sentence(name, said, tmp_path):
    run = rnndiff(tmp_path, "frequencies", name)
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert said in run.stderr
