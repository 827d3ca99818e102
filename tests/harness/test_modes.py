"""The modes of subjects: a user's own, and TensorFlow's."""

import json
import os
import subprocess
import sys
from functools import lru_cache
from typing import Any, Dict
from unittest import mock

import numpy as np
import pytest
from click.testing import CliRunner
from examples import random_case

from rnndiff.harness.cases.case import SavedCase, load, save, smallest_case
from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.checking import journal
from rnndiff.harness.checking.fuzz import fuzz
from rnndiff.harness.checking.verdicts import verdict_on, verdicts_on
from rnndiff.harness.commands.fuzz import fuzz as fuzz_command
from rnndiff.harness.commands.minimize import minimize
from rnndiff.harness.commands.replay import replay
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.verdict import DISAGREE, Verdict, judge
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.report.describe import describe
from rnndiff.harness.subjects.alone import ended_by
from rnndiff.harness.subjects.endings import ended_again_by
from rnndiff.harness.subjects.keras_layers import has_layer
from rnndiff.harness.subjects.named import options_of, subject_named
from rnndiff.harness.subjects.subject import Wrapper
from rnndiff.harness.subjects.tensorflow import modes as modes_of_tensorflow
from rnndiff.harness.subjects.tensorflow.modes import MODES, check, config_of, prepare
from rnndiff.harness.subjects.tensorflow.running import _without
from rnndiff.models import MODELS
from rnndiff.models.environment import Processor

PORT = """
import os

import numpy as np
from rnndiff import Float32


class Port(Float32):
    modes = {"right": "As it should be.", "wrong": "With losses too large.", "deadly": "It exits."}

    def __init__(self, mode="right"):
        self.chosen = mode

    def __call__(self, case):
        if self.chosen == "deadly":
            os._exit(3)
        trace = super().__call__(case)
        return dict(trace, loss=trace["loss"] + np.float32(self.chosen == "wrong"))
"""
NAME = "port_in_modes:Port"


@pytest.fixture(autouse=True)
def port(tmp_path, monkeypatch):
    """A subject with modes, in the working folder."""
    (tmp_path / "port_in_modes.py").write_text(PORT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def saved(mode, path="case.npz", **notes):
    """A file that notes a mode."""
    save(path, random_case("seq2seq"), notes=dict(notes, mode=mode))
    return path


def test_a_class_attribute_and_a_keyword_are_all_that_modes_take():
    default, wrong = subject_named(NAME), subject_named(NAME, mode="wrong")
    assert (default.mode, default.chosen, default.title) == ("", "right", "Port")
    assert (wrong.mode, wrong.chosen, wrong.title) == ("wrong", "wrong", "Port, wrong")
    assert wrong.label == "Port"
    assert (wrong.fresh().mode, wrong.fresh().chosen) == ("wrong", "wrong")
    assert (Wrapper(wrong).mode, Wrapper(wrong).modes) == ("wrong", wrong.modes)


def test_the_first_mode_is_the_default_by_whatever_name():
    assert subject_named(NAME, mode="right").mode == ""


@pytest.mark.parametrize(
    "name, said",
    [
        (NAME, "The subject {} has no mode 'fast', only right, wrong, deadly.$".format(NAME)),
        ("float32", "The subject float32 has no mode 'fast', nor any other.$"),
    ],
)
def test_an_unknown_mode_is_answered_with_those_that_there_are(name, said):
    with pytest.raises(UserError, match=said):
        subject_named(name, mode="fast")


def test_the_options_of_a_subject_are_those_that_a_shell_takes():
    options = options_of("my port.py:f", "fast", against="of $HOME.py:g")
    assert options == " --subject 'my port.py:f' --mode fast --against 'of $HOME.py:g'"
    assert options_of("command ./it -f", "") == " --command './it -f'"


def test_a_mode_is_unknown_to_the_constructor_too():
    with pytest.raises(UserError, match="The subject Port has no mode 'fast'"):
        type(subject_named(NAME))(mode="fast")


def test_workers_run_in_the_mode_and_a_saved_case_is_replayed_in_it(tmp_path):
    progress = fuzz(("seq2seq",), 1, 1, cases=1, subject=NAME, mode="wrong", folder=str(tmp_path))
    (failure,) = progress.failures
    assert failure.report.endswith(" --subject {} --mode wrong".format(NAME))
    assert load(failure.path).notes["mode"] == "wrong"
    run = CliRunner().invoke(replay, [failure.path, "--subject", NAME])
    assert run.exit_code == 1 and "disagree on Port, wrong\n" in run.output
    run = CliRunner().invoke(replay, [failure.path, "--subject", NAME, "--mode", "right"])
    assert run.exit_code == 0 and "agree on Port\n" in run.output


@pytest.mark.parametrize(
    "noted, given, mode",
    [
        (["wrong"], "", "wrong"),
        (["right", "wrong"], "", "session, wrong"),
        (["right"], "wrong", "wrong"),
    ],
)
def test_the_json_of_a_replay_says_in_which_modes_it_was(noted, given, mode):
    paths = [saved(each, "{}.npz".format(each)) for each in noted]
    given = ["--mode", given] if given else []
    CliRunner().invoke(replay, [*paths, "--subject", NAME, "--json", "told.json", *given])
    with open("told.json") as file:
        assert json.load(file)["versions"]["mode"] == mode


@pytest.mark.parametrize("command", [replay, minimize])
def test_a_subject_that_ends_the_process_does_not_end_the_command(command):
    run = CliRunner().invoke(command, [saved("deadly"), "--subject", NAME])
    assert run.exit_code == 1, run.output
    assert "): disagree: exit-3: the process was ended" in run.output


def test_a_subject_of_which_there_is_one_alone_is_run_in_this_process():
    alones = mock.Mock()
    alones.ended_by.side_effect = UserError("cannot be made in a process of its own")
    subject, case = subject_named(NAME), random_case("seq2seq")
    assert ended_again_by(subject, SavedCase(case, {}, {}), alones) is None
    with pytest.raises(UserError, match="in a process of its own"):
        ended_again_by(subject, SavedCase(case, {}, {"ended_by": "exit-3"}), alones)
    # Those of this package do not end it, but where it is known.
    alones.reset_mock()
    assert ended_again_by(subject_named("float32"), SavedCase(case, {}, {}), alones) is None
    assert not alones.ended_by.called


def test_a_process_of_its_own_runs_in_the_mode():
    assert ended_by(random_case("seq2seq"), 60.0, NAME, "deadly") == "exit-3"


@pytest.mark.parametrize("mode", ["fast", "[bold]\x1b[2J", "deadly "])
def test_an_unknown_mode_in_a_file_is_a_sentence_and_the_default_runs(mode):
    run = CliRunner().invoke(replay, [saved(mode), "--subject", NAME])
    assert run.exit_code == 0 and "agree on Port\n" in run.output
    assert "which {} does not have: this is the default.".format(NAME) in run.output
    assert "\x1b" not in run.output


def test_a_mode_in_a_file_is_nothing_to_a_subject_without_modes():
    run = CliRunner().invoke(replay, [saved("fast"), "--subject", "float32"])
    assert run.exit_code == 0 and "does not have" not in run.output


def test_minimize_shrinks_in_the_mode_that_a_file_notes():
    run = CliRunner().invoke(minimize, [saved("wrong"), "--subject", NAME, "--evaluations", "20"])
    assert run.exit_code == 1, run.output
    assert load("case-minimal.npz").notes["mode"] == "wrong"


def test_the_case_in_flight_of_an_ended_process_is_replayed_in_the_mode():
    notes = {"subject_name": NAME, "subject_mode": "wrong"}
    assert journal.options_of(saved("wrong", **notes)) == " --subject {} --mode wrong".format(NAME)
    notes["subject_mode"] = "wrong; rm"
    assert journal.options_of(saved("wrong", **notes)) == ""


def test_of_a_run_that_could_not_begin_a_sentence_is_all_that_is_seen(capfd):
    with pytest.raises(SystemExit) as ended:
        fuzz_command.main(
            ["seq2seq", "--subject", "float32", "--mode", "fast"], standalone_mode=False
        )
    assert ended.value.code == 2
    out, err = capfd.readouterr()
    assert not out and err == "rnndiff: The subject float32 has no mode 'fast', nor any other.\n"


def test_pytest_tests_in_the_mode_that_an_option_names(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "from rnndiff import random_case\n\n"
        "def test_it(check):\n    check(random_case('seq2seq', seed=0))\n"
    )
    options = ["--rnndiff-subject", NAME, "--rnndiff-mode", "wrong", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "test_it.py", *options],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ, COLUMNS="500"),
    )
    assert run.returncode == 1, run.stdout
    assert ", mode wrong\n" in run.stdout
    assert " --subject {} --mode wrong".format(NAME) in run.stdout


def test_fuzz_runs_one_mode_after_the_other_and_tells_of_them_in_a_table(tmp_path):
    options = ["--modes", "wrong, absent", "--cases", "9", "--workers", "1", "--seed", "1"]
    absent = PORT.replace("self.chosen = mode", "self.chosen = mode; assert mode != 'absent'")
    (tmp_path / "port_of_two.py").write_text(absent.replace("deadly", "absent"))
    options += ["--subject", "port_of_two:Port", "--json", "told.json"]
    run = CliRunner().invoke(fuzz_command, ["seq2seq", *options])
    assert run.exit_code == 1 and isinstance(run.exception, SystemExit), run.exception
    *_, wrong, missing = run.stdout.splitlines()
    name, _, disagree, _, _, failures = wrong.split()
    assert name == "wrong" and int(disagree) > 0 and int(failures) > 0
    assert missing.startswith("absent ") and "AssertionError" in missing
    told = json.loads((tmp_path / "told.json").read_text())
    assert list(told["modes"]) == ["wrong", "absent"] and list(told["errors"]) == ["absent"]
    assert wrong.split()[1] == str(sum(told["modes"]["wrong"]["cases"].values()))


@pytest.mark.parametrize(
    "options, said",
    [
        (["--modes", "all"], "say by --cases or --time when each mode is done"),
        (["--modes", "right", "--mode", "right"], "Give either --modes or --mode."),
        (["--modes", "right,fast", "--cases", "1"], "has no mode 'fast', only right, wrong"),
    ],
)
def test_modes_that_cannot_be_run_are_one_sentence(options, said):
    run = CliRunner().invoke(fuzz_command, ["seq2seq", "--subject", NAME, *options])
    assert isinstance(run.exception, UserError) and said in str(run.exception)


def test_a_mode_that_is_set_before_tensorflow_is_imported_takes_a_process_of_its_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    prepare("onednn-on")
    with pytest.raises(UserError, match="run --mode onednn-off by itself"):
        prepare("onednn-off")
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    monkeypatch.delitem(sys.modules, "tensorflow")
    prepare("onednn-off")
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"


@pytest.mark.parametrize("modes, status", [("right,deadly", 2), ("all", 0)])
def test_a_mode_that_was_named_and_cannot_be_run_is_no_success(modes, status, tmp_path):
    broken = PORT.replace("self.chosen = mode", "self.chosen = mode; assert mode != 'deadly'")
    of_two = broken.replace(""""wrong": "With losses too large.", """, "")
    (tmp_path / "port_of_right_and_broken.py").write_text(of_two)
    options = ["--subject", "port_of_right_and_broken:Port", "--cases", "9", "--workers", "1"]
    run = CliRunner().invoke(fuzz_command, ["seq2seq", *options, "--modes", modes])
    assert run.exit_code == status and isinstance(run.exception, (SystemExit, type(None)))


def test_what_fails_in_a_mode_is_no_part_of_the_json_on_the_standard_output():
    options = ["--subject", NAME, "--cases", "9", "--workers", "1", "--modes", "right,wrong"]
    # A seed of its own may draw nine cases that do not show it.
    options += ["--seed", "1"]
    command = [sys.executable, "-m", "rnndiff", "fuzz", "seq2seq", *options, "--json", "-"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1 and "is outside its bound" in run.stderr
    assert list(json.loads(run.stdout)["modes"]) == ["right", "wrong"]


# --- TensorFlow's ------------------------------------------------------------------------------


class At:
    """A TensorFlow of a version, with or without oneDNN."""

    def __init__(self, version, onednn=False):
        self.VERSION, self.ONEDNN = version, onednn


def test_a_mode_that_a_tensorflow_does_not_have_is_one_sentence():
    check(At((2, 5), True), "onednn-on")
    check(At((2, 0)), "function")
    with pytest.raises(UserError, match="^TensorFlow 1.15 has no mode 'function', only 2.0 and la"):
        check(At((1, 15)), "function")
    with pytest.raises(UserError, match="runs without oneDNN in the mode 'onednn-on'"):
        check(At((2, 5)), "onednn-on")


@pytest.mark.parametrize("largest", ["avx2", "aarch64"])
def test_a_mode_of_an_instruction_set_that_the_processor_lacks_is_one_sentence(
    largest, monkeypatch
):
    at_hand = Processor("", "", largest, frozenset())
    monkeypatch.setattr(modes_of_tensorflow, "processor", lambda: at_hand)
    with pytest.raises(UserError, match="^The mode 'isa-avx512' needs a processor with AVX512.$"):
        prepare("isa-avx512")


def test_what_was_set_for_a_mode_is_not_kept_for_another_one(monkeypatch):
    at_hand = Processor("", "", "avx2", frozenset())
    monkeypatch.setattr(modes_of_tensorflow, "processor", lambda: at_hand)
    monkeypatch.setattr(modes_of_tensorflow, "_SET_FOR_A_MODE", {})
    for name, _ in MODES["isa-avx"].environment:
        monkeypatch.setenv(name, "unlike")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    prepare("isa-avx")
    prepare("session")
    assert not any(name in os.environ for name, _ in MODES["isa-avx"].environment)
    prepare("isa-avx")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UserError, match="run --mode session by itself"):
        prepare("session")


def test_what_grappler_is_to_do_is_afterwards_what_it_was():
    class Optimizer:
        options = {"arithmetic_optimization": False}

        def get_experimental_options(self):
            return dict(self.options)

        def set_experimental_options(self, options):
            self.options.update(options)

    optimizer, names = Optimizer(), ["arithmetic_optimization", "remapping"]
    with _without(names, optimizer):
        assert optimizer.options == dict.fromkeys(names, False)
    assert optimizer.options == {"arithmetic_optimization": False, "remapping": True}


def test_a_graph_of_another_package_may_be_of_float32_alone(in_mode, monkeypatch):
    case, build = random_case("seq2seq"), MODELS["seq2seq"].graph().build
    monkeypatch.setattr(MODELS["seq2seq"].graph(), "build", lambda config: build(config))
    subject = in_mode("session").fresh()
    assert verdict_on(subject, case)[0].status in ("agree", "undecided")


@pytest.mark.parametrize("mode", ["function", pytest.param("xla", marks=pytest.mark.slow)])
def test_a_graph_agrees_as_a_function(in_mode, mode):
    if in_mode("session").version < MODES[mode].first:
        pytest.skip("this TensorFlow has no such mode")
    subject = in_mode(mode)
    # With functions that are called inside: those of a loop, and of its conditions.
    for name, options in (("bidirectional", {}), ("rnn-lstm", {"runner": "dynamic_rnn"})):
        case = random_case(name, **options)
        # To measure what a function presumes takes long, and its kernels are those of a session.
        stated = in_mode(mode if mode == "xla" else "session").arithmetic(case)
        verdict = judge(case, subject(case), stated)
        assert verdict.status in ("agree", "undecided"), verdict.summary()
        kernels, others = (in_mode(x)._session(case).kernels(case) for x in (mode, "session"))
        assert kernels.compiled if mode == "xla" else kernels.biased == others.biased


def test_no_loop_of_keras_in_a_function_outputs_what_a_gradient_may_need(in_mode):
    case = random_case("keras-lstm", time=2, runner="RNN", mask=True)
    library = in_mode("function")._session(case).graph.graph.as_graph_def().library
    operations = {node.op for function in library.function for node in function.node_def}
    # XLA compiles no such loop.
    assert "MatMul" in operations and "TensorListPushBack" not in operations


@pytest.fixture(scope="module")
def in_mode(tensorflow):
    """A function: TensorFlow in a mode, one for all tests; it skips a test of one that is later."""

    @lru_cache(maxsize=None)
    def made(mode):
        if tensorflow.version < MODES[mode].first:
            pytest.skip("this TensorFlow has no mode {}".format(mode))
        return type(tensorflow)(mode=mode)

    return made


def test_without_grappler_no_kernel_is_fused_and_none_is_presumed(in_mode):
    case = random_case("bidirectional", batch=3)
    default, off = in_mode("session"), in_mode("grappler-off")
    assert off.title.endswith(", grappler-off") and off.mode == "grappler-off"
    if default.version >= (1, 14):
        assert default._session(case).kernels(case).biased
    kernels = off._session(case).kernels(case)
    assert not kernels.biased and not kernels.fused_tanh
    assert not off._premises.bias_last and not off._premises.has("fused tanh")
    assert not off.arithmetic(case).bias_anywhere
    # But for what Grappler would have taken out of the graph.
    others = {entry.name for entry in off.known if entry.where.grappler is not False}
    assert others <= {entry.name for entry in default.known}
    assert all(entry.where.grappler is not True for entry in off.known)


def test_subnormals_are_kept_in_that_mode_alone(in_mode):
    numbers = {"inputs": 1e-40, "forward/kernel": np.array([[1e30], [0.0]])}
    case = smallest_case("bidirectional", {}, numbers)
    kept, flushed = (
        in_mode(mode)(case)["outputs"][0, 0, 0] for mode in ("subnormals-kept", "session")
    )
    assert flushed == 0 and np.isclose(kept, 1e-10, rtol=1e-4, atol=0)


@pytest.mark.parametrize("threads", [2, 4])
def test_more_threads_compute_an_operation(tensorflow, threads):
    config = config_of(tensorflow._tf1.tf1, MODES["threads-{}".format(threads)])
    assert config.intra_op_parallelism_threads == threads


def test_the_script_of_a_failure_sets_what_its_mode_does(in_mode):
    subject, case = in_mode("grappler-off"), random_case("seq2seq")
    verdict = Verdict([], error="InternalError: it fails")
    source = subject.script(case, verdict, {"tensorflow": "2.0"})
    for line in (
        "options.intra_op_parallelism_threads = 1",
        "options.graph_options.rewrite_options.disable_meta_optimizer = True",
    ):
        assert "\n    {}\n".format(line) in source
    compile(source, "repro.py", "exec")
    assert "disable_meta_optimizer" not in in_mode("session").script(case, verdict, {})


# --- precisions of TensorFlow's ----------------------------------------------------------------

# All numbers of 16 bits are tried before anything is judged.
every_precision = pytest.mark.parametrize(
    "precision",
    ["float64", *(pytest.param(x, marks=pytest.mark.slow) for x in ("float16", "bfloat16"))],
)


@every_precision
def test_tensorflow_agrees_in_another_precision(in_mode, precision):
    subject = in_mode(precision)
    assert subject.precision == precision
    # A number of float32 is read in that precision: in float16 it is rounded.
    for name, drawn in (("bidirectional", precision), ("rnn-lstm", "float32")):
        cases = random_batch(name, 0, 0, drawn)[:48]
        stacks, others = verdicts_on(subject, cases)
        wrong = [describe(x.case, x.verdict) for x in others if x.verdict.status == DISAGREE]
        assert not wrong, wrong[0]
        assert sum(len(stack.cases) for stack in stacks) > 40
        assert stacks[0].actual["outputs"].dtype == precision_of(precision).dtype


@every_precision
@pytest.mark.parametrize(
    "name", ["keras-lstm", "keras-bidirectional-gru", "stackbirnn-basic", "rnn-dropout-lstm"]
)
def test_layers_of_keras_stacks_and_dropout_agree_in_another_precision(in_mode, name, precision):
    subject = in_mode(precision)
    for case in random_batch(name, 0, 0, precision)[:12]:
        if not subject.supports(case.model, case.config):
            pytest.skip("this TensorFlow has no such layers in {}".format(precision))
        verdict, trace = verdict_on(subject, case)
        assert verdict.status != DISAGREE, describe(case, verdict)
        assert trace["outputs"].dtype == precision_of(precision).dtype


def test_tensorflow_in_float32_passed_off_as_float64_is_blamed(in_mode):
    case, numbers = random_case("seq2seq"), in_mode("session")(random_case("seq2seq"))
    passed_off = {n: x.astype("f8") if x.dtype.kind == "f" else x for n, x in numbers.items()}
    assert judge(case, passed_off, in_mode("float64").arithmetic(case)).status == DISAGREE


@pytest.mark.parametrize("model", ["seq2seq", "keras-lstm"])
@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_a_script_of_another_precision_builds_a_graph_of_that(in_mode, model, precision):
    subject, case = in_mode(precision), random_case(model)
    source = subject.script(case, Verdict([], error="InternalError: it fails"), {})
    held = ", np.{})".format(precision_of(precision).dtype.name)
    assert "set_dtype(tf1.as_dtype({!r}))".format(precision) in source and held in source
    computed: Dict[str, Any] = {}
    exec(compile(source, "repro.py", "exec"), computed)
    assert computed["trace"]["outputs" if "keras" in model else "scores"].dtype.name == precision


@pytest.mark.parametrize("precision", ["float64", "float16", "bfloat16"])
def test_all_models_are_supported_in_a_precision_but_cells_without_kernels_of_it(
    in_mode, precision
):
    lacking = {
        "gru-block": {"float64", "float16"},
        "lstm-block": {"float64"},
        "layer-norm-lstm": {"float16"},
    }
    for model in MODELS.values():
        has = in_mode("session").supports(model, model.article)
        lacked = precision in lacking.get(model.article.kind.name, ())
        # The older layers of Keras are of float32 alone.
        lacked |= has_layer(model.article) and in_mode("session").version < (1, 15)
        assert in_mode(precision).supports(model, model.article) == (has and not lacked)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_cases_are_drawn_in_the_precision_of_the_subject(precision, tmp_path):
    progress = fuzz(("seq2seq",), 3, 1, cases=100, subject=precision)
    assert load(progress.tally.save_worst(str(tmp_path / "worst"))).case.precision == precision
