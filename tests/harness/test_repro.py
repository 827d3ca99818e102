"""What a user takes away from a failing case: a script, an issue, a smaller case."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from examples import Float32Port, random_case

from rnndiff.harness.cases.case import load, save
from rnndiff.harness.commands.minimize import minimize
from rnndiff.harness.commands.repro import repro
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.verdict import judge
from rnndiff.harness.subjects.tensorflow.divergences import ENTRIES
from rnndiff.harness.subjects.tensorflow.repro import Finding, literal, script
from rnndiff.models import ARTICLE

DIVERGENCES = {entry.name: entry for entry in ENTRIES}


def printed(*arguments):
    result = CliRunner().invoke(repro, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.exception
    return result.output


def test_the_script_of_a_disagreement_exits_with_1_without_rnndiff(tensorflow, tmp_path):
    save(str(tmp_path / "case.npz"), DIVERGENCES["argmax-skips-lowest"].minimal.case())
    (tmp_path / "repro.py").write_text(printed(tmp_path / "case.npz"))
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "repro.py"],
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stderr
    assert "predictions as TensorFlow computes it:\n[0.]" in run.stdout
    assert "as it should be:\n[1.]" in run.stdout


@pytest.mark.parametrize("name", ARTICLE)
def test_the_script_computes_what_the_subject_does_and_exits_with_0_once_it_is_right(
    name, tensorflow, tmp_path
):
    case = random_case(name, open_batch=name != "seq2seq")
    right = tensorflow(case)
    path = str(tmp_path / "case.npz")
    save(path, case, dict(right, scores=right["scores"] + np.float32(0.5)))
    source = printed(path)
    assert "from rnndiff.harness" not in source and "from rnndiff.models" not in source
    namespace = {}
    with pytest.raises(SystemExit) as ended:
        exec(compile(source, "repro.py", "exec"), namespace)
    assert ended.value.code == 0
    shapes = [feed.shape.as_list() for feed in namespace["feeds"]]
    assert all((shape[0] is None) == case.config.open_batch for shape in shapes)
    assert sorted(namespace["trace"]) == sorted(right)
    for key, array in right.items():
        assert namespace["trace"][key].tobytes() == array.tobytes(), key


@pytest.mark.parametrize(
    "name",
    [
        "rnn-lstm",
        "birnn-dropout-lstm",
        "stackbirnn-gru",
        "attention-gru",
        "keras-lstm",
        "keras-bidirectional-gru",
    ],
)
def test_the_script_builds_the_networks_of_all_families(name, tensorflow):
    case = random_case(name)
    right = tensorflow(case)
    array = next(iter(right))
    wrong = dict(right, **{array: right[array] + np.float32(1)})
    verdict = judge(case, wrong, tensorflow.arithmetic(case))
    with pytest.raises(SystemExit) as ended:
        exec(compile(script(Finding(case, verdict, {})), "repro.py", "exec"), {})
    assert ended.value.code == 0


@pytest.mark.parametrize("name", ["seq2seq", "attention"])
def test_the_script_sees_a_zero_of_the_wrong_sign_where_the_verdict_does(name, tensorflow):
    case = random_case(name)
    right = tensorflow(case)
    wrong = np.where(right["fed_back"] == 0, np.float32(-0.0), right["fed_back"])
    verdict = judge(case, dict(right, fed_back=wrong), tensorflow.arithmetic(case))
    assert verdict.first_wrong().name == "fed_back"
    source = script(Finding(case, verdict, {}))
    computed = "np.asarray(trace['fed_back'], np.float64)"
    assert source.count(computed) == 1
    planted = source.replace(computed, "np.where({0} == 0, -0.0, {0})".format(computed))
    for text, status in ((source, 0), (planted, 1)):
        with pytest.raises(SystemExit) as ended:
            exec(compile(text, "repro.py", "exec"), {})
        assert ended.value.code == status


def test_the_script_leaves_the_sign_of_a_zero_open_where_it_is_rounded(tensorflow):
    case = random_case("bidirectional")
    for array in case.parameters:
        array[:] = 0
    right = tensorflow(case)
    verdict = judge(case, dict(right, scores=right["scores"] + 1), tensorflow.arithmetic(case))
    source = script(Finding(case, verdict, {}))
    computed = "np.asarray(trace['scores'], np.float64)"
    with pytest.raises(SystemExit) as ended:
        exec(compile(source.replace(computed, "-" + computed), "repro.py", "exec"), {})
    assert ended.value.code == 0


@pytest.mark.parametrize(
    "numbers",
    [
        [0.0, -0.0],
        [-0.0, 0.0],
        [-0.0, -0.0],
        [0.0, 0.0],
        [1.5, 1.5],
        [np.nan, np.nan],
        [],
        [np.inf],
    ],
    ids=str,
)
def test_a_number_of_the_script_reads_back_as_itself_zeros_with_their_signs(numbers):
    array = np.array(numbers, np.float32)
    names = {"np": np, "nan": np.nan, "inf": np.inf}
    assert eval(literal(array), names).tobytes() == array.tobytes()


def test_the_issue_names_the_versions_and_holds_the_script(tensorflow, tmp_path):
    path = str(tmp_path / "case.npz")
    save(path, DIVERGENCES["argmax-skips-lowest"].minimal.case())
    text = printed(path, "--issue")
    assert "'predictions' is wrong in 1 of 1 elements" in text
    assert "| tensorflow | `{}.{}".format(*tensorflow.version) in text
    assert "```python\n" + printed(path) + "```" in text


def test_a_case_in_which_nothing_disagrees_has_no_script(tensorflow, tmp_path):
    path = str(tmp_path / "case.npz")
    save(path, random_case("seq2seq"), tensorflow(random_case("seq2seq")))
    result = CliRunner().invoke(repro, [path])
    assert isinstance(result.exception, UserError)


def test_what_this_tensorflow_does_not_have_has_no_script(tensorflow, tmp_path, monkeypatch):
    monkeypatch.setattr(type(tensorflow), "supports", lambda self, model, config: False)
    path = str(tmp_path / "case.npz")
    save(path, random_case("rnn-gru-block"))
    result = CliRunner().invoke(repro, [path])
    assert isinstance(result.exception, UserError), result.output
    assert "does not support the case of {}".format(path) in str(result.exception)


def minimized(path, monkeypatch, mistake):
    port = Float32Port(mistake)
    port.name = "tensorflow"
    monkeypatch.setattr("rnndiff.harness.subjects.named.subject_named", lambda name, mode: port)
    return CliRunner().invoke(minimize, [path])


def test_minimize_shrinks_a_users_case_to_one_that_fails_the_same_way(tmp_path, monkeypatch):
    def mistake(trace):
        return dict(trace, loss=trace["loss"] + np.float32(0.25))

    path = str(tmp_path / "trained.npz")
    save(path, random_case("attention"))
    result = minimized(path, monkeypatch, mistake)
    assert result.exit_code == 1 and "loss" in result.output
    smallest = load(str(tmp_path / "trained-minimal.npz")).case
    assert set(smallest.config.sizes().values()) == {1}


def test_minimize_keeps_the_smallest_case_so_far_on_ctrl_c(tmp_path, monkeypatch):
    runs = []

    def mistake(trace):
        # Not in the smallest cases: shrinking would be over at once.
        if trace["encoder_states"].shape[-1] < 4:
            return trace
        runs.append(trace)
        if len(runs) == 4:
            raise KeyboardInterrupt
        return dict(trace, loss=trace["loss"] + np.float32(0.25))

    path = str(tmp_path / "trained.npz")
    save(path, random_case("attention"))
    assert minimized(path, monkeypatch, mistake).exit_code == 1
    smallest = load(str(tmp_path / "trained-minimal.npz")).case
    assert smallest.config.batch == 1 and smallest.config.attn_length > 1


def hang_of_many_units(monkeypatch, units_that_hang):
    """A mistake: it hangs in networks of so many units, and takes a third of its time in others."""

    def mistake(trace):
        units = trace["encoder_states"].shape[-1]
        time.sleep(30 if units >= units_that_hang else 1.0 if units > 2 else 0)
        return trace

    monkeypatch.setattr("rnndiff.harness.commands.minimize.TIMEOUT", 3.0)
    return mistake


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no SIGALRM")
@pytest.mark.parametrize("units_that_hang, kept", [(4, 4), (3, 3)])
def test_minimize_keeps_of_a_hang_what_hangs_for_all_its_time(
    units_that_hang, kept, tmp_path, monkeypatch
):
    path = str(tmp_path / "slow.npz")
    save(path, random_case("seq2seq"))
    result = minimized(path, monkeypatch, hang_of_many_units(monkeypatch, units_that_hang))
    assert result.exit_code == 1 and "Hang: no result after 3 s" in result.output
    smallest = load(str(tmp_path / "slow-minimal.npz"))
    assert smallest.case.config.num_units == kept and "Hang" in smallest.notes["verdict"]
    assert ("FILE's own is kept" in result.output) == (kept == 4)


@pytest.mark.parametrize("again", ["SIGABRT", None, "SIGKILL"])
def test_minimize_keeps_of_what_ends_the_process_what_does_so_again(again, tmp_path, monkeypatch):
    path = str(tmp_path / "ends.npz")
    save(path, random_case("seq2seq"), notes={"ended_by": "SIGABRT"})
    monkeypatch.setattr(
        "rnndiff.harness.subjects.alone.Alone.ended_by", lambda self, case: "SIGABRT"
    )
    monkeypatch.setattr("rnndiff.harness.commands.minimize.ended_by", lambda *args: again)
    result = minimized(path, monkeypatch, lambda trace: trace)
    assert result.exit_code == 1 and "SIGABRT" in result.output
    smallest = load(str(tmp_path / "ends-minimal.npz"))
    assert smallest.case.config.num_units == (1 if again == "SIGABRT" else 4)
    assert smallest.notes["ended_by"] == "SIGABRT" and "SIGABRT" in smallest.notes["verdict"]


def test_minimize_says_when_there_is_nothing_to_shrink(tmp_path, monkeypatch):
    path = str(tmp_path / "right.npz")
    save(path, random_case("seq2seq"))
    result = minimized(path, monkeypatch, lambda trace: trace)
    assert isinstance(result.exception, UserError)
    assert "nothing to shrink" in str(result.exception)
