"""How soon mistakes are found: the measurement itself, and that the strategies find each."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rnndiff.harness import cli
from rnndiff.harness.commands.mistakes import _summary, _table
from rnndiff.harness.diagnosis.catalogue import CATALOGUE
from rnndiff.harness.diagnosis.planting import Edit, Mistake
from rnndiff.harness.quality import power, trials
from rnndiff.harness.quality.mistakes import MISTAKES
from rnndiff.harness.quality.power import (
    BOUNDS,
    FUZZ,
    GRAPH,
    ORACLE,
    STRATEGIES,
    Line,
    PlantedOracle,
    Task,
    Trial,
    alarms,
    lines_of,
    run_trial,
    tasks_of,
    trials_of,
)
from rnndiff.harness.quality.trials import run_trials
from rnndiff.harness.stop import Stop

ORDER = Task("gates-ifgo", "rnn-basic-lstm")
# Nothing is another in one direction.
NONE = Task("padding-read-first", "rnn-basic")
RIGHT = Task("", "rnn-basic")


def planted_instead(monkeypatch, right, wrong):
    """Whatever name is asked for, this is planted in the basic cell."""
    mistake = Mistake("small", "says", "look", (Edit("cells.basic", right, wrong),))
    monkeypatch.setattr(power, "_in_catalogue", lambda name: mistake)


def test_a_mistake_is_found_shrunk_and_measured():
    assert isinstance(power.subject_of(ORDER), PlantedOracle)
    assert not isinstance(power.subject_of(RIGHT), PlantedOracle)
    found = run_trial(Trial(ORDER, STRATEGIES, 0, shrinks=True))
    assert all(1 <= number <= 20 for number in found["examples"].values())
    # Of a process from its start, which here is that of the tests.
    assert 0 < found["seconds"] < time.process_time()
    assert set(found["shrunk"]["sizes"].values()) == {1} and found["shrunk"]["nonzero"] == 1
    fuzzed = run_trial(Trial(ORDER, FUZZ, 0))
    assert 1 <= fuzzed["cases"] <= 128 and fuzzed["seconds"] > found["seconds"]


def test_the_same_seed_finds_it_after_as_many_examples_and_others_after_others():
    numbers = [
        run_trial(Trial(Task("one-step-too-few", "rnn-basic"), STRATEGIES, seed))["examples"][
            BOUNDS
        ]
        for seed in (0, 0, 1, 2, 3)
    ]
    assert numbers[0] == numbers[1] and len(set(numbers)) > 1


def test_a_mistake_within_a_tolerance_is_found_by_the_bounds_alone(monkeypatch):
    monkeypatch.setattr(power, "EXAMPLES", 12)
    planted_instead(
        monkeypatch, "state = self.activation(", "state = (1 + 2e-6) * self.activation("
    )
    found = run_trial(Trial(Task("small", "rnn-basic"), STRATEGIES, 0))
    assert found["examples"][BOUNDS] is not None
    assert found["examples"]["rtol 1e-2"] is None


def test_what_is_not_found_takes_all_examples_and_seconds(monkeypatch):
    monkeypatch.setattr(power, "EXAMPLES", 3)
    monkeypatch.setattr(power, "SECONDS", 0.0)
    drawn = run_trial(Trial(NONE, STRATEGIES, 0, shrinks=True))
    assert set(drawn["examples"].values()) == {None}
    assert drawn["seconds"] is drawn["shrunk"] is None
    fuzzed = run_trial(Trial(NONE, FUZZ, 0))
    assert fuzzed["cases"] is fuzzed["seconds"] is None and fuzzed["judged"] in (8, 128)
    line = Line(NONE, {STRATEGIES: [drawn], FUZZ: [fuzzed]})
    assert line.missed() == [STRATEGIES, FUZZ] and line.shrunk() == {}
    said = _summary([line], {})
    assert "not found from every seed: padding-read-first by strategies" in said
    assert "bounds: found in 0.0%" in said[1]


def test_a_tolerance_is_blamed_for_what_it_blames_and_the_bounds_blame_nothing(monkeypatch):
    # The first is too tight for anything that rounds.
    monkeypatch.setattr(power, "TOLERANCES", {"rtol 1e-5": (0.0, 0.0), "rtol 1e-2": (1e-2, 1e-3)})
    monkeypatch.setattr(power, "EXAMPLES", 8)
    found = [(trial, run_trial(trial)) for trial in (Trial(RIGHT, STRATEGIES, 0),) * 2]
    once, twice = found[0][1], alarms(found)["rnn-basic"]
    assert twice["cases"] == 2 * once["cases"] > 0 == twice[BOUNDS]
    assert twice["rtol 1e-5"] > twice["rtol 1e-2"]
    assert lines_of(found) == []


def test_a_tolerance_that_a_right_subject_breaks_has_found_nothing(monkeypatch):
    monkeypatch.setattr(power, "TOLERANCES", {"rtol 1e-5": (0.0, 0.0), "rtol 1e-2": (1e-2, 1e-3)})
    monkeypatch.setattr(power, "EXAMPLES", 8)
    # What is as the right one rounds as that does.
    assert run_trial(Trial(NONE, STRATEGIES, 0))["examples"]["rtol 1e-5"] is None


def test_every_mistake_is_planted_in_each_of_its_places():
    tasks = tasks_of()
    of_oracles = [task.mistake for task in tasks if task.planted_in == ORACLE]
    assert of_oracles == [mistake.name for mistake in CATALOGUE]
    assert [x.mistake for x in tasks if x.planted_in == GRAPH] == [x.name for x in MISTAKES]
    assert len(CATALOGUE) >= 130
    both = tasks_of(["bias-left-out"], ["seq2seq", "rnn-gru"])
    assert [(x.model, x.planted_in) for x in both] == [
        ("seq2seq", ORACLE),
        ("rnn-gru", ORACLE),
        ("seq2seq", GRAPH),
    ]


def test_one_seed_of_all_comes_before_the_next_and_one_case_of_each_is_shrunk():
    made = trials_of([ORDER, NONE], 2)
    assert [trial.seed for trial in made] == sorted(trial.seed for trial in made)
    assert [x.seed for x in made if x.task == ORDER] == [0, 0, 1, 1]
    assert [x for x in made if x.shrinks] == [Trial(x, STRATEGIES, 0, True) for x in (ORDER, NONE)]
    assert {x.task.model for x in made if not x.task.mistake} == {ORDER.model, NONE.model}


def test_trials_run_in_processes_of_their_own_and_one_that_fails_is_said_to():
    asked = [Trial(ORDER, STRATEGIES, 0), Trial(Task("no such", "rnn-basic"), FUZZ, 0)]
    came = dict(run_trials(asked, 2, Stop()))
    assert came[asked[0]]["examples"] == run_trial(asked[0])["examples"]
    assert "StopIteration" in came[asked[1]]["error"]
    (line,) = lines_of([(asked[1], came[asked[1]])])
    assert line.tried(FUZZ) == 0 and line.errors() and not line.missed()


def test_a_trial_that_ends_its_process_is_said_to(monkeypatch):
    monkeypatch.setattr(trials, "_measure", os._exit)
    ((_, result),) = run_trials([Trial(ORDER, FUZZ, 0)], 1, Stop())
    assert result == {"error": "it ended its process"}


def test_a_stop_leaves_out_what_still_runs():
    stop = Stop()
    came = []
    for trial, _ in run_trials([Trial(ORDER, FUZZ, seed) for seed in range(9)], 1, stop):
        came.append(trial)
        stop.signal = "SIGINT"
    assert len(came) == 1


def test_the_table_says_where_from_how_many_and_how_small():
    drawn = {"examples": {BOUNDS: 3, "rtol 1e-5": 3, "rtol 1e-2": None}, "seconds": 0.5}
    shrunk = {"sizes": {"time": 2, "num_units": 1}, "nonzero": 4}
    results = {STRATEGIES: [dict(drawn, shrunk=shrunk), drawn], FUZZ: [dict(cases=7, seconds=1.0)]}
    line = Line(Task("kernel-rows-swapped", "seq2seq", GRAPH), results)
    table = _table([line], {GRAPH: 2.0})
    row = [next(iter(column.cells)) for column in table.columns]
    assert row == [
        *("kernel-rows-swapped", "seq2seq, TensorFlow", "2 of 2", "3, 3", "2.5, 2.5"),
        *("1 of 1", "3.0, 3.0", "time 2; 4 not 0", "2 of 2", "0 of 2"),
    ]
    as_dict = line.as_dict(2.0)
    assert json.loads(json.dumps(as_dict)) == as_dict and as_dict["says"]


def command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["rnndiff", "mistakes", *arguments])
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr()


def test_the_command_writes_table_json_and_plot(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(power, "EXAMPLES", 10)
    paths = [str(tmp_path / name) for name in ("found.json", "found.svg")]
    status, printed = command(
        monkeypatch,
        capsys,
        *("gates-ifgo", "--planted-in", "oracle", "--seeds", "1"),
        *("--json", paths[0], "--plot", paths[1]),
    )
    assert status == 0
    assert "gates-ifgo" in printed.out and "bounds: found in 100.0%" in printed.out
    with open(paths[0]) as file:
        found = json.load(file)
    (mistake,) = found["mistakes"]
    assert mistake["mistake"] == "gates-ifgo" and mistake["fuzz"]["seeds"] == 1
    assert found["whole"] and list(found["right"]) == ["rnn-basic-lstm"]
    assert mistake["strategies"]["seconds"][0] > found["imports"]["oracle"] > 0
    with open(paths[1]) as file:
        assert "<svg" in file.read()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["bias-twise"], "There is no mistake 'bias-twise' (is it bias-twice?)."),
        (["padding-read-first", "--model", "seq2seq"], "None of these mistakes can be made there"),
        (["--plot", "found.xyz"], "its name must end in one of"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, said, monkeypatch, capsys):
    status, printed = command(monkeypatch, capsys, *arguments)
    assert status == 2
    assert said in printed.err and printed.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send")
def test_ctrl_c_keeps_what_was_measured(tmp_path):
    path = str(tmp_path / "found.json")
    arguments = ["mistakes", "--planted-in", "oracle", "--seeds", "9", "--json", path]
    # What is left of this machine's processors, other tests take.
    arguments += ["--workers", "1"]
    run = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "rnndiff", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(20)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert "Traceback" not in err
    assert run.returncode in (1, 2, 130)
    # A busy machine may not come to anything in that time.
    if run.returncode == 130:
        with open(path) as file:
            found = json.load(file)
        assert not found["whole"] and found["mistakes"]
        assert found["mistakes"][0]["mistake"] in out


@pytest.mark.slow
def test_the_strategies_find_every_mistake_from_some_seed(monkeypatch):
    # What a tolerance finds is no matter here, and takes most of the time.
    monkeypatch.setattr(power, "_objecting", lambda subject, cases, methods: methods)

    def found(task, seed):
        return run_trial(Trial(task, STRATEGIES, seed))["examples"][BOUNDS] is not None

    # One of an option beside another one, such as a projection that is clipped, may take more
    # examples than a seed has: Hypothesis changes what it drew up to five times, most of which
    # leave the config as it is.
    tasks = tasks_of(places=[ORACLE])
    assert [task for task in tasks if not any(found(task, seed) for seed in range(7, 13))] == []
