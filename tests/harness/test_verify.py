import dataclasses
import json
import os

import numpy as np
import pytest
from click.testing import CliRunner

from rnndiff.harness.commands.verify import verify as command
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.verdict import FREE_RUNNING
from rnndiff.harness.subjects import Subject
from rnndiff.harness.trained.data import Data, Rows
from rnndiff.harness.trained.training import (
    PLANS,
    Plan,
    Weights,
    fit_weights,
    models_of,
    read_weights,
    save_weights,
    train,
)
from rnndiff.harness.trained.verify import STATES, verify
from rnndiff.models import ARTICLE, MODELS

BIDIRECTIONAL = MODELS["bidirectional"]
ATTENTION = MODELS["attention"]
SMALL = {
    "seq2seq": dict(time=3, output_time=2, inputs=3, outputs=4, num_units=5),
    "bidirectional": dict(time=3, inputs=3, outputs=4, num_units=5),
    "attention": dict(time=3, output_time=2, inputs=3, outputs=4, num_units=5, attn_length=2),
}
PLAN = Plan(steps=20, batch=16, learning_rate=0.05)


def learnable(model, rows=200):
    """Rows whose every label is the place of the largest input of the first step."""
    sizes = SMALL[model.name]
    random = np.random.RandomState(0)
    inputs = random.uniform(0, 1, (rows, sizes["time"], sizes["inputs"])).astype(np.float32)
    labels = np.eye(sizes["outputs"], dtype=np.float32)[np.argmax(inputs[:, 0], axis=1)]
    if "output_time" in sizes:
        labels = np.stack([labels] * sizes["output_time"], axis=1)
    half = rows // 2
    return Data("made up", Rows(inputs[:half], labels[:half]), Rows(inputs[half:], labels[half:]))


def config_of(model, **changes):
    return model.Config(batch=1, **dict(SMALL[model.name], **changes))


def random_weights(model, seed=0, **changes):
    """Weights without TensorFlow."""
    config = config_of(model, **changes)
    random = np.random.RandomState(seed)
    parameters = {
        field.name: random.uniform(-1, 1, field.shape(config)).astype(np.float32)
        for field in model.parameters(config)
    }
    return Weights(config, parameters, "random")


def same(ours, theirs):
    return list(ours) == list(theirs) and all(
        np.array_equal(ours[name], theirs[name]) for name in ours
    )


class Planted(Subject):
    """TensorFlow with a mistake in one array of its trace."""

    def __init__(self, subject, name, change):
        self.subject, self.name, self.change = subject, name, change
        self.known = subject.known

    def __call__(self, case):
        trace = dict(self.subject(case))
        trace[self.name] = self.change(trace[self.name])
        return trace

    def arithmetic(self, case):
        return self.subject.arithmetic(case)


@pytest.mark.parametrize("name", ARTICLE)
def test_training_lowers_the_loss_and_the_oracle_agrees(name, tensorflow):
    model, losses = MODELS[name], []
    data = learnable(model)
    plan = PLAN._replace(steps=150)
    weights = train(
        model, config_of(model), data.training, plan, progress=lambda _, loss: losses.append(loss)
    )
    assert len(losses) == weights.steps == 150 and not weights.interrupted
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    names = [field.name for field in model.parameters(config_of(model))]
    assert list(weights.parameters) == names

    judged = []
    verified = verify(model, data, weights, tensorflow, judged=judged.append)
    assert verified.status == "agree"
    assert verified.config == dataclasses.replace(config_of(model), batch=100)
    assert verified.subject.accuracy > verified.chance
    assert verified.oracle.accuracy > verified.chance
    # Both the subject and the oracle, run in float64, are within the bounds of the oracle's balls.
    bounds = {
        array.name: 2 * np.max(array.bound)
        for array in judged[0].verdict.arrays
        if array.run == FREE_RUNNING
    }
    assert abs(verified.subject.loss - verified.oracle.loss) <= bounds["loss"]
    assert 0 < verified.scores().absolute <= bounds["scores"]
    states = [bound for key, bound in bounds.items() if STATES.search(key)]
    assert 0 < verified.states().absolute <= max(states)


def test_the_seed_alone_decides_the_weights(tensorflow):
    data = learnable(BIDIRECTIONAL)
    first, again, other = (
        train(BIDIRECTIONAL, config_of(BIDIRECTIONAL), data.training, PLAN, seed)
        for seed in (1, 1, 2)
    )
    assert same(first.parameters, again.parameters)
    assert not same(first.parameters, other.parameters)


def test_ctrl_c_keeps_the_weights_reached_so_far(tensorflow):
    def press_ctrl_c(step, loss):
        if step == 5:
            raise KeyboardInterrupt

    data = learnable(BIDIRECTIONAL)
    config = config_of(BIDIRECTIONAL)
    weights = train(BIDIRECTIONAL, config, data.training, PLAN, progress=press_ctrl_c)
    assert (weights.steps, weights.planned_steps) == (5, PLAN.steps)
    assert weights.interrupted
    untrained = train(BIDIRECTIONAL, config, data.training, PLAN._replace(learning_rate=0.0))
    assert not same(weights.parameters, untrained.parameters)


@pytest.mark.parametrize(
    "name, change",
    [
        ("scores", lambda scores: scores + np.float32(1e-3)),
        ("outputs", lambda outputs: outputs[:, ::-1]),
        ("predictions", lambda predictions: (predictions + 1) % 4),
        ("accuracy", lambda accuracy: np.float32(1 - accuracy)),
        ("loss", lambda loss: np.float32(loss * 1.01)),
    ],
)
def test_a_mistake_of_tensorflow_is_a_disagreement(name, change, tensorflow):
    weights = random_weights(BIDIRECTIONAL)
    data = learnable(BIDIRECTIONAL)
    verified = verify(BIDIRECTIONAL, data, weights, Planted(tensorflow, name, change))
    assert verified.status == "disagree"
    assert verified.oracle == verify(BIDIRECTIONAL, data, weights, tensorflow).oracle
    assert verified.differences[name].absolute > 1e-4
    assert verified.differences[name].largest_ulp >= verified.differences[name].ulp > 100


def test_predictions_that_differ_are_counted(tensorflow):
    def change_three(predictions):
        return np.concatenate([(predictions[:3] + 1) % 4, predictions[3:]])

    weights = random_weights(BIDIRECTIONAL)
    planted = Planted(tensorflow, "predictions", change_three)
    for subject, count in ((tensorflow, 0), (planted, 3)):
        verified = verify(BIDIRECTIONAL, learnable(BIDIRECTIONAL), weights, subject)
        assert verified.predictions_differing == count


def test_a_verification_is_json_even_with_weights_that_are_not_numbers(tensorflow):
    weights = random_weights(BIDIRECTIONAL)
    weights.parameters["projection/bias"][0] = np.nan
    verified = verify(BIDIRECTIONAL, learnable(BIDIRECTIONAL), weights, tensorflow)
    report = json.loads(json.dumps(verified.to_json(), allow_nan=False))
    assert report["model"] == "bidirectional"
    assert report["config"]["num_units"] == 5
    assert report["weights"]["origin"] == "random"
    assert report["oracle"]["loss"] is None
    assert report["largest_difference"]["scores"]["absolute"] == verified.scores().absolute < np.inf
    assert report["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("prefixed", [True, False])
def test_saved_weights_are_read_back_with_their_sizes(tmp_path, prefixed):
    path = str(tmp_path / "weights.npz")
    both = {name: random_weights(MODELS[name]) for name in ("seq2seq", "bidirectional")}
    if prefixed:
        save_weights(path, both)
        assert models_of(read_weights(path)) == ["seq2seq", "bidirectional"]
    for name, weights in both.items():
        if not prefixed:
            np.savez(path, **weights.parameters)
        model = MODELS[name]
        read = fit_weights(path, read_weights(path), model, learnable(model))
        assert same(read.parameters, weights.parameters)
        assert read.config == dataclasses.replace(weights.config, batch=read.config.batch)
        assert read.origin == path


@pytest.mark.parametrize("form", ["arr_{}", "{}"])
def test_weights_in_tensorflows_order_need_no_names(form):
    weights = random_weights(ATTENTION)
    values = list(weights.parameters.values())
    # From the last to the first, and 10 before 2: the numbers count.
    arrays = {form.format(i): values[i].astype(np.float64) for i in reversed(range(len(values)))}
    read = fit_weights("w.npz", arrays, ATTENTION, learnable(ATTENTION))
    assert same(read.parameters, weights.parameters)
    assert all(array.dtype == np.float32 for array in read.parameters.values())


def test_every_size_that_shapes_can_tell_comes_from_the_weights():
    sizes = dict(num_units=6, attn_size=3, attn_vec_size=2, input_size=7)
    weights = random_weights(ATTENTION, **sizes)
    read = fit_weights("w.npz", weights.parameters, ATTENTION, learnable(ATTENTION))
    assert {name: getattr(read.config, name) for name in sizes} == sizes


@pytest.mark.parametrize(
    "name, array, found, needed",
    [
        ("forward/bias", np.zeros(6), [6], [5]),
        ("forward/kernel", np.zeros((9, 5)), [9, 5], [8, 5]),
        ("backward/kernel", np.zeros((8, 5, 1)), [8, 5, 1], [8, 5]),
        ("projection/kernel", np.zeros((10, 3)), [10, 3], [10, 4]),
    ],
)
def test_a_shape_that_does_not_fit_is_named_with_the_shape_needed(name, array, found, needed):
    arrays = dict(random_weights(BIDIRECTIONAL).parameters, **{name: array})
    with pytest.raises(UserError) as caught:
        fit_weights("w.npz", arrays, BIDIRECTIONAL, learnable(BIDIRECTIONAL))
    for part in ("w.npz", repr(name), str(found), str(needed)):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "change, what",
    [
        (lambda arrays: arrays.pop("backward/bias"), "'backward/bias' is missing"),
        (lambda arrays: arrays.update(gate=np.zeros(3)), "'gate'"),
        (lambda arrays: arrays.update({"forward/bias": np.array(["a"] * 5)}), "not real numbers"),
        (lambda arrays: arrays.clear(), "is missing"),
    ],
)
def test_weights_that_are_not_those_of_the_model_are_an_error(change, what):
    arrays = dict(random_weights(BIDIRECTIONAL).parameters)
    change(arrays)
    with pytest.raises(UserError, match=what):
        fit_weights("w.npz", arrays, BIDIRECTIONAL, learnable(BIDIRECTIONAL))


def test_too_few_weights_in_tensorflows_order_are_an_error():
    arrays = {"arr_{}".format(i): np.zeros(3) for i in range(5)}
    with pytest.raises(UserError, match="5 arrays instead of 6"):
        fit_weights("w.npz", arrays, BIDIRECTIONAL, learnable(BIDIRECTIONAL))


def test_there_is_a_plan_for_every_model_of_the_article():
    assert tuple(PLANS) == ARTICLE


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("option", ["--save", "--json"])
def test_a_path_that_cannot_be_written_is_said_before_anything_is_trained(
    option, folder, tensorflow, monkeypatch
):
    (folder / "file").write_text("")
    monkeypatch.setattr("rnndiff.harness.trained.training.train", None)
    result = run("bidirectional", option, os.path.join("file", "below"))
    assert isinstance(result.exception, UserError) and "Cannot write" in str(result.exception)


def test_the_command_trains_saves_and_reports(folder, tensorflow):
    result = run("bidirectional", "--steps", 3, "--save", "w.npz", "--json", "report.json")
    assert result.exit_code == 0, result.output
    assert "bidirectional" in result.output and "agree" in result.output
    report = json.loads((folder / "report.json").read_text())["models"]["bidirectional"]
    assert report["config"]["num_units"] == 128
    assert report["weights"]["steps"] == 3
    assert report["status"] == "agree"
    # A row more or less is right where they predict something else, as they may in a tie.
    rows = report["config"]["batch"]
    difference = abs(report["subject"]["accuracy"] - report["oracle"]["accuracy"])
    assert round(difference * rows) <= report["predictions_differing"]
    assert sorted(os.listdir(str(folder))) == ["report.json", "w.npz"]

    again = run("--weights", "w.npz", "--json", "again.json")
    assert again.exit_code == 0, again.output
    models = json.loads((folder / "again.json").read_text())["models"]
    assert list(models) == ["bidirectional"]
    for part in ("subject", "oracle", "differences"):
        assert models["bidirectional"][part] == report[part]


def test_the_command_exits_with_1_if_tensorflow_is_wrong(folder, tensorflow, monkeypatch):
    planted = Planted(tensorflow, "scores", lambda scores: scores + np.float32(1e-3))
    monkeypatch.setattr("rnndiff.harness.commands.verify.TensorFlow", lambda: planted)
    result = run("bidirectional", "--steps", 3)
    assert result.exit_code == 1
    assert "disagree" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--weights", "w.npz", "--steps", 3),
        ("--weights", "w.npz", "--save", "v.npz"),
        ("seq2seq", "--mnist", "mnist.npz"),
        ("lstm",),
    ],
)
def test_arguments_that_contradict_are_refused(folder, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)


def test_weights_without_the_name_of_a_model_need_one(folder):
    np.savez("w.npz", *random_weights(BIDIRECTIONAL).parameters.values())
    result = run("--weights", "w.npz")
    assert isinstance(result.exception, UserError)
    assert "name the MODEL" in str(result.exception)


def test_damaged_data_is_found_before_any_training(folder, tensorflow, monkeypatch):
    monkeypatch.setattr("rnndiff.harness.trained.training.train", lambda *_: pytest.fail("trained"))
    result = run("seq2seq", "bidirectional", "--mnist", "mnist.npz")
    assert isinstance(result.exception, UserError)
    assert "mnist.npz" in str(result.exception)


def on_digits(change=lambda parameters: None, **sizes):
    """What the command prints and writes of weights for the handwritten digits."""
    weights = random_weights(
        BIDIRECTIONAL, **dict(dict(time=8, inputs=8, outputs=10, num_units=5), **sizes)
    )
    change(weights.parameters)
    np.savez("w.npz", **weights.parameters)
    result = run("bidirectional", "--weights", "w.npz", "--json", "report.json")
    assert result.exit_code == 0, result.output
    with open("report.json") as file:
        return result.output, json.load(file)["models"]["bidirectional"]


def test_weights_that_are_no_finite_numbers_are_named_and_counted(folder, tensorflow):
    def change(parameters):
        parameters["forward/kernel"][0, :3] = np.nan
        parameters["forward/kernel"][1, 0] = -np.inf
        # Beyond float32.
        parameters["projection/bias"] = np.where(np.arange(10) < 2, 1e300, 0.0)

    output, report = on_digits(change)
    (said,) = [line for line in output.splitlines() if "finite" in line]
    assert said == (
        "not all weights are finite numbers: 3 NaN of forward/kernel, 1 infinite of "
        "forward/kernel, 2 infinite of projection/bias; both sides must make the same of them"
    )
    assert report["weights"]["not_finite"] == {
        "forward/kernel": {"NaN": 3, "infinite": 1},
        "projection/bias": {"NaN": 0, "infinite": 2},
    }
    output, report = on_digits()
    assert "finite" not in output and report["weights"]["not_finite"] == {}


def test_a_sentence_on_weights_that_are_not_finite_stays_one_sentence(folder, tensorflow):
    def change(parameters):
        for array in parameters.values():
            array[...] = np.nan

    output, _ = on_digits(change)
    (said,) = [line for line in output.splitlines() if "finite" in line]
    assert said.count("NaN of") == 3 and "and more in other arrays" in said


def test_what_is_undecided_is_explained_under_its_verdict(folder, tensorflow):
    output, report = on_digits(num_units=128)
    lines = output.splitlines()
    (verdict,) = [k for k, line in enumerate(lines) if line.startswith("verdict: agree")]
    assert "undecided: " in lines[verdict] and "free-running" in lines[verdict]
    assert [line.strip() for line in lines[verdict + 1 : verdict + 3]] == report["undecided"]
    assert "the bound of a state has grown" in report["undecided"][0]
    assert "no sign of a mistake" in report["undecided"][1]
    output, report = on_digits(lambda parameters: [x.fill(0) for x in parameters.values()])
    assert report["undecided"] == [] and "nothing is undecided" in output
