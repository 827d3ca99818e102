"""A port in five lines: a right one is not blamed, a wrong one is found, told once and replayed."""

import os
import re
import subprocess
import sys

import numpy as np
import port as ports
import pytest
from click.testing import CliRunner
from styles import MISTAKES, STYLES

import rnndiff
from rnndiff.harness.cases.case import load
from rnndiff.harness.cases.draws import draw_config, draw_kernel_config, small_sizes
from rnndiff.harness.cases.random_cases import batch_size, random_batch
from rnndiff.harness.cases.restriction import Restriction, make_restriction, sizes_named
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.cli import cli
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.shrinking.shrink import Shrinker
from rnndiff.harness.subjects.bfloat16 import Rounded
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.subjects.port import Port
from rnndiff.models import MODELS, find
from rnndiff.models.layout import sizes_in

BIDIRECTIONAL = MODELS["bidirectional"]
SIZES = {"num_units": 5, "inputs": (2, 16), "batch": (1, 2)}


def in_style(style):
    """A function of the bidirectional model."""

    def port(config, parameters, inputs, labels):
        return ports.bidirectional(style, config, parameters, inputs, labels)

    return port


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    # Another test may have written another module of this name.
    sys.modules.pop("my_port", None)
    yield tmp_path
    sys.modules.pop("my_port", None)


def report_of(test):
    """The one message of a test that fails."""
    with pytest.raises(AssertionError) as raised:
        test()
    return str(raised.value)


def basic(inputs, kernel, bias):
    """The outputs of rnn-basic, in the precision of its arrays."""
    h, outputs = np.zeros((len(inputs), len(bias)), inputs.dtype), []
    for t in range(inputs.shape[1]):
        h = np.tanh(np.hstack([inputs[:, t], h]) @ kernel + bias)
        outputs.append(h)
    return np.stack(outputs, axis=1)


# --- a test of a function ------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["bias first", "split products", "all at once"])
def test_a_right_port_is_not_blamed(style, folder):
    rnndiff.port("bidirectional", cases=150)(in_style(STYLES[style]))()
    assert not os.path.exists(".rnndiff")


@pytest.mark.parametrize("mistake", ["bias left out", "rows swapped"])
def test_a_wrong_port_is_told_once_shrunk_within_its_sizes_and_saved(mistake, folder):
    assert mistake in MISTAKES
    port = in_style(MISTAKES[mistake](STYLES["as the oracle"]))
    report = report_of(rnndiff.port("bidirectional", sizes=SIZES, empty=False)(port))
    assert report.count("disagree: outputs (teacher-forced)") == 1
    (name,) = os.listdir(os.path.join(".rnndiff", "failures"))
    case = load(os.path.join(".rnndiff", "failures", name)).case
    sizes = dict(case.config.sizes())
    # The smallest that there are.
    assert sizes == dict(sizes, num_units=5, inputs=2, batch=1, outputs=1)
    assert sum(np.count_nonzero(array) for array in case.arrays.values()) <= 4


LSTM = "rnn-lstm"


def lstm(parameters, inputs, forget_bias=1.0, order="ijfo"):
    kernel, bias = parameters
    c = h = np.zeros((len(inputs), bias.size // 4), np.float32)
    outputs = []
    for t in range(inputs.shape[1]):
        gates = np.split(np.hstack([inputs[:, t], h]) @ kernel + bias, 4, axis=1)
        gate = dict(zip(order, gates))
        i, f, o = (1 / (1 + np.exp(-x)) for x in (gate["i"], gate["f"] + forget_bias, gate["o"]))
        c = f * c + i * np.tanh(gate["j"])
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1).astype(np.float32)


def test_options_that_a_port_does_not_ask_for_keep_their_defaults():
    rnndiff.port(LSTM, cases=100)(lambda parameters, inputs: lstm(parameters, inputs))()
    asks = rnndiff.port(LSTM, cases=100)(
        lambda parameters, inputs, forget_bias: lstm(parameters, inputs, np.float32(forget_bias))
    )
    asks()


def test_an_option_that_is_given_is_the_only_one():
    half = rnndiff.port(LSTM, options={"forget_bias": 0.5}, cases=100)
    half(lambda parameters, inputs: lstm(parameters, inputs, np.float32(0.5)))()


@pytest.mark.parametrize(
    "wrong", [{"forget_bias": np.float32(0)}, {"order": "ifjo"}], ids=["forget bias", "gate order"]
)
def test_a_mistake_in_an_lstm_that_returns_its_outputs_is_found(wrong, folder):
    def port(parameters, inputs):
        return lstm(parameters, inputs, **wrong)

    report = report_of(rnndiff.port(LSTM, empty=False)(port))
    assert report.count("disagree: outputs (teacher-forced)") == 1
    assert "forget_bias=1.0" in report and "cell/kernel [2, 4] =" in report


def test_a_port_is_given_what_its_arguments_are_called():
    seen = []

    class Sees:
        def __call__(
            self, cell_kernel, parameters, inputs, initial_state, sequence_length, batch, **rest
        ):
            assert cell_kernel is parameters[0] and len(inputs) == batch
            assert inputs.dtype == cell_kernel.dtype == np.float32
            assert sequence_length is None or sequence_length.shape == (batch,)
            assert initial_state is None or [len(x) for x in initial_state] == [batch, batch]
            seen.append((initial_state is None, sequence_length is None, sorted(rest)))
            raise MemoryError

    port = Port(Sees(), arithmetic("float32"))
    model = find(LSTM)
    restriction = make_restriction(model, {}, port.knows(model))
    for number in range(12):
        for case in random_batch(model, 0, number, restriction=restriction, most=2):
            with pytest.raises(MemoryError):
                port(case)
    assert {each[:2] for each in seen} == {(a, b) for a in (True, False) for b in (True, False)}
    assert {"initial_c", "initial_h"} == {name for *_, rest in seen for name in rest}


@pytest.mark.parametrize("premise", ["float16", "float64", "tf32"])
def test_a_port_is_given_arrays_of_the_precision_of_its_premise(premise):
    seen = set()

    @rnndiff.port("rnn-basic", premise=premise, cases=40)
    def port(cell_kernel, cell_bias, inputs):
        seen.update({inputs.dtype.name, cell_kernel.dtype.name})
        return basic(inputs, cell_kernel, cell_bias)

    port()
    assert seen == {"float32" if premise == "tf32" else premise}


@pytest.mark.parametrize("premise", ["bfloat16", "bfloat16-float32"])
def test_a_port_is_given_numbers_of_bfloat16_in_float32_and_may_be_right(premise):
    seen = set()

    @rnndiff.port("rnn-basic", premise=premise, cases=60)
    def port(cell_kernel, cell_bias, inputs):
        arrays = inputs, cell_kernel, cell_bias
        seen.update(x.dtype.name for x in arrays)
        assert all(map(precision_of("bfloat16").has, arrays))
        return basic(*map(Rounded, arrays)).numbers

    port()
    assert seen == {"float32"}


def test_a_port_in_float32_is_told_that_its_numbers_are_not_of_bfloat16():
    port = rnndiff.port("rnn-basic", premise="bfloat16", cases=60)
    with pytest.raises(UserError, match="'outputs' has numbers that are not of bfloat16"):
        port(lambda cell_kernel, cell_bias, inputs: basic(inputs, cell_kernel, cell_bias))()


def test_a_port_that_reads_its_arrays_in_less_than_its_premise_is_found(folder):
    def casts(parameters, inputs):
        return basic(*(x.astype("f4").astype("f8") for x in [inputs, *parameters]))

    report = report_of(rnndiff.port("rnn-basic", premise="float64", empty=False)(casts))
    assert report.count("disagree: outputs (teacher-forced)") == 1


def test_a_weight_that_is_asked_for_by_its_name_is_given():
    port = Port(lambda cell_w_f_diag, inputs: inputs, arithmetic("float32"))
    assert "use_peepholes" not in port.knows(MODELS["rnn-lstm"])
    kept = Port(lambda cell_kernel, inputs: inputs, arithmetic("float32"))
    assert kept.knows(MODELS["rnn-lstm"])["use_peepholes"] is False


def test_a_test_that_would_judge_nothing_is_refused():
    with pytest.raises(UserError, match="cases=0 judges nothing: take 1 or more"):
        rnndiff.port("rnn-basic", cases=0)


class Remembers:
    """Wrong from its second call on, unless it is reset."""

    def __init__(self):
        self.calls = 0

    def reset(self):
        self.calls = 0

    def __call__(self, config, parameters, inputs, labels):
        self.calls += 1
        trace = in_style(STYLES["as the oracle"])(config, parameters, inputs, labels)
        return dict(trace, scores=trace["scores"] + np.float32(self.calls > 1))


@pytest.mark.parametrize("made", [Remembers, Remembers()], ids=["class", "object with reset"])
def test_a_port_that_remembers_is_told_to_compute_something_else(made, folder):
    report = report_of(rnndiff.port("bidirectional", sizes={"num_units": 1})(made))
    assert "NotRepeatable: a second call on the same case gave other numbers in 'scores'" in report


def test_a_port_that_fails_on_empty_arrays_alone_is_told_how_not_to_be_asked(folder):
    def port(config, parameters, inputs, labels):
        return ports.bidirectional(STYLES["as the oracle"], config, parameters, inputs, labels)

    def fails(config, parameters, inputs, labels):
        inputs[0, 0, 0]
        return port(config, parameters, inputs, labels)

    assert "is 0 in the simplest case that fails" in report_of(rnndiff.port("bidirectional")(fails))
    rnndiff.port("bidirectional", empty=False, cases=100)(fails)()


# --- in pytest, as a command, and replayed -------------------------------------------------------

MODULE = """
import ctypes
import sys

import numpy as np

import rnndiff


@rnndiff.port("rnn-basic", sizes={"num_units": 3}, empty=False, cases=200)
def test_right(parameters, inputs, **rest):
    return run(inputs, *parameters)


@rnndiff.port("rnn-basic", sizes={"num_units": 3}, empty=False)
def test_wrong(parameters, inputs, **rest):
    return run(inputs, parameters[0], 0 * parameters[1])


@rnndiff.port("rnn-basic")
def test_of_nothing(inputs):
    pass


def wrong(parameters, inputs):
    return run(inputs, parameters[0], 0 * parameters[1])


def crashes(parameters, inputs):
    if parameters[1].any():
        ctypes.string_at(0)
    return run(inputs, *parameters)


def double(parameters, inputs):
    return run(inputs, *parameters).astype("f8")


def single(parameters, inputs):
    # Of its own accord: what it is given has the precision of the premise.
    arrays = [array.astype("f4") for array in (inputs, *parameters)]
    return run(*arrays).astype(inputs.dtype)


def score(inputs):
    return {"score": inputs}


def transposed(parameters, inputs):
    return run(inputs, *parameters)[:, :, :1]


def weights(weights):
    pass


def run(inputs, kernel, bias):
    h, outputs = np.zeros((len(inputs), bias.size), np.float32), []
    for t in range(inputs.shape[1]):
        h = np.tanh(np.hstack([inputs[:, t], h]) @ kernel + bias)
        outputs.append(h)
    return np.stack(outputs, axis=1)
"""


def test_in_pytest_one_failure_is_one_message_that_says_how_to_replay_it(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(MODULE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True)
    assert "2 failed, 1 passed" in ended.stdout, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout and "Warning" not in ended.stdout
    assert "What test_of_nothing returns cannot be judged: it returns None: return" in ended.stdout
    assert "not judged, as the subject does not have it, in so many cases: final_h" in ended.stdout
    assert ended.stdout.count("bias [3] =") == 1
    path = ".rnndiff/failures/rnn-basic-outputs-teacher-forced.npz"
    (line,) = [line for line in ended.stdout.splitlines() if "run it again: " in line]
    again = line.partition("run it again: rnndiff ")[2].split()
    assert again == ["replay", path, "--subject", "tests/test_it.py:test_wrong"]
    command = [sys.executable, "-m", "rnndiff", *again]
    replayed = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True)
    assert replayed.returncode == 1 and "disagree on test_wrong" in replayed.stdout


def rnndiff_check(*arguments):
    return CliRunner().invoke(cli, ["check", *arguments])


def test_a_command_ends_at_the_first_failure_shrunk_within_its_sizes(folder):
    (folder / "my_port.py").write_text(MODULE)
    options = ["--model", "rnn-basic", "--sizes", "num_units=2,time=2-3", "--no-empty"]
    done = rnndiff_check("my_port:wrong", *options, "--workers", "1")
    assert done.exit_code == 1, done.output
    assert done.output.count("bias [2] =") == 1
    assert "replay .rnndiff/failures/" in done.output and "--subject my_port:wrong" in done.output
    (name,) = os.listdir(os.path.join(".rnndiff", "failures"))
    case = load(os.path.join(".rnndiff", "failures", name)).case
    assert case.config.sizes() == dict(batch=1, time=2, inputs=1, num_units=2)


@pytest.mark.slow
def test_a_command_takes_from_a_test_what_that_says(folder):
    (folder / "my_port.py").write_text(MODULE)
    done = rnndiff_check("my_port.py:test_right", "--workers", "1", "--cases", "100", "--json", "-")
    assert done.exit_code == 0, done.output
    assert '"rnn-basic": [' in done.output and "num_units=3" in done.output


@pytest.mark.slow
def test_a_port_that_ends_its_process_is_a_finding_and_is_shrunk(folder):
    (folder / "my_port.py").write_text(MODULE)
    done = rnndiff_check("my_port:crashes", "--model", "rnn-basic", "--workers", "1", "--no-empty")
    assert done.exit_code == 1, done.output
    assert "SIGSEGV: the process was ended" in done.output and "not shrunk" not in done.output
    (name,) = os.listdir(os.path.join(".rnndiff", "failures"))
    case = load(os.path.join(".rnndiff", "failures", name)).case
    assert max(case.config.sizes().values()) <= 2


@pytest.mark.slow
def test_a_premise_that_a_command_is_given_holds_when_its_case_is_replayed(folder):
    (folder / "my_port.py").write_text(MODULE)
    options = ["--model", "rnn-basic", "--premise", "float64", "--workers", "1", "--cases", "300"]
    done = rnndiff_check("my_port:single", *options)
    assert done.exit_code == 1 and "outside its bound" in done.output
    again = re.search(r"rnndiff (replay .*)", done.output)[1].split()
    assert again[-2:] == ["--premise", "float64"]
    assert "outside its bound" in CliRunner().invoke(cli, again).output


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["no_such:port"], "The module no_such cannot be imported: ModuleNotFoundError"),
        (["no_such.py:port"], "The module no_such.py cannot be imported: .*no file"),
        (["my_port:port"], "The module my_port has no 'port'"),
        (["my_port"], "write MODULE:CLASS or MODULE:FUNCTION"),
        (["my_port:np"], "Calling my_port:np without arguments fails"),
        (["my_port:wrong"], "Say by --model what my_port:wrong computes"),
        (["my_port:wrong", "--model", "rnn"], "'rnn' is not one of the models"),
        (["my_port:wrong", "--model", "rnn", "--cell", "ltsm"], "no rnn with the cell 'ltsm'"),
        (["my_port:wrong", "--model", "rnn-basic", "--layout", "torch"], "no layout 'torch'"),
        (["my_port:weights", "--model", "rnn-basic"], "asks for 'weights', which rnn-basic does"),
        (["my_port:test_wrong", "--sizes", "units=3"], "no size 'units'.*are batch, time, inputs"),
        (["my_port:test_wrong", "--sizes", "num_unit=3"], r"no size 'num_unit' \(is it num_units"),
        (["my_port:test_wrong", "--sizes", "time"], "time says no size: write NAME=SIZE"),
        (["my_port:test_wrong", "--sizes", "time=0"], "The size time is at least 1, not 0"),
        (["my_port:test_wrong", "--sizes", "time=4-2"], "The size time cannot be from 4 to 2"),
        (["my_port:test_wrong", "--sizes", "inputs=0"], "inputs cannot be 0 where no size is"),
        (["my_port:test_wrong", "--sizes", "num_units=99999"], "numbers, more than"),
        (["my_port:test_wrong", "--sizes", "num_units=1-99999"], "numbers, more than"),
        (["my_port:test_wrong", "--sizes", "inputs=1-2000000000"], "numbers, more than"),
        (["my_port:test_wrong", "--set", "forget=1"], "names no option of rnn-basic"),
        (["my_port:test_wrong", "--premise", "float8"], "no premise 'float8': take one of"),
    ],
)
def test_what_is_wrong_with_a_command_is_one_sentence(arguments, said, folder):
    (folder / "my_port.py").write_text(MODULE)
    done = rnndiff_check(*arguments)
    assert isinstance(done.exception, UserError), done.output
    assert re.search(said, str(done.exception)) and "\n" not in str(done.exception)


@pytest.mark.parametrize(
    "name, said",
    [
        ("test_of_nothing", "it returns None: return the array of the outputs, or a dict"),
        ("score", "an array 'score', but the arrays of rnn-basic are states_h, outputs, final_h"),
        ("transposed", r"'outputs' has the shape \[2, 3, 1\], not \[2, 3, 5\]"),
        ("double", "'outputs' is float64, not float32 .*premise"),
    ],
)
def test_what_a_port_returns_in_the_wrong_form_is_one_sentence(name, said, folder):
    made = {}
    exec(MODULE, made)
    function = made[name]
    test = function if name.startswith("test") else rnndiff.port("rnn-basic")(function)
    with pytest.raises(UserError, match=said) as raised:
        test()
    assert "\n" not in str(raised.value) and not os.path.exists(".rnndiff")


@pytest.mark.slow
def test_what_a_port_returns_in_the_wrong_form_is_one_sentence_of_the_command(folder):
    (folder / "my_port.py").write_text(MODULE)
    done = rnndiff_check("my_port:score", "--model", "rnn-basic", "--workers", "1")
    assert done.exit_code == 2 and not os.path.exists(".rnndiff"), done.output
    assert "it returns an array 'score', but" in " ".join(done.output.split()), done.output


def test_a_function_that_makes_a_subject_still_does(folder):
    (folder / "made.py").write_text(
        "import rnndiff\n\n\n"
        "def make(scale=2):\n    return rnndiff.Float32()\n\n\n"
        "def port(inputs, scale=2):\n    return inputs\n\n\n"
        "def takes_all(**arrays):\n    return arrays\n"
    )
    assert isinstance(subject_named("made:make"), rnndiff.Float32)
    assert isinstance(subject_named("made:port"), Port)
    assert isinstance(subject_named("made:takes_all"), Port)


# --- what is drawn -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rnn-lstm", "attention", "keras-gru", "rnn-lstm@pytorch"])
def test_what_is_drawn_stays_within_a_restriction(name):
    model = find(name)
    sizes = {"num_units": 7, "inputs": (2, 40), "batch": (1, 2)}
    restriction = make_restriction(model, sizes, {}, empty=False)
    drawn = set()
    for number in range(20):
        # Of this seed, batches of all kinds.
        cases = random_batch(model, 2, number, restriction=restriction, most=4)
        assert len(cases) == min(4, batch_size(2, number, restriction.is_small(model)))
        for case in cases:
            assert restriction.allows(case.config)
            assert case.config.num_units == 7 and case.config.batch in (1, 2)
            drawn.add(case.config.inputs)
    # Beyond those of small cases, too.
    assert {2, 3} < drawn and 10 < max(drawn) <= 40


@pytest.mark.parametrize("empty", [True, False])
def test_sizes_are_0_unless_none_is_to_be(empty):
    random = np.random.RandomState(0)
    restriction = make_restriction(BIDIRECTIONAL, {}, {}, empty)
    configs = [
        draw(random, BIDIRECTIONAL, restriction)
        for draw in (drawn_small, drawn_for_kernels)
        for _ in range(200)
    ]
    assert all(map(restriction.allows, configs))
    assert any(0 in config.sizes().values() for config in configs) == empty


def drawn_small(random, model, restriction):
    return draw_config(model, small_sizes(model), chosen_by(random), restriction)


def drawn_for_kernels(random, model, restriction):
    return draw_kernel_config(model, chosen_by(random), restriction)


def chosen_by(random):
    return lambda options: options[random.randint(len(options))]


def test_a_long_range_of_sizes_is_not_written_out():
    known = sizes_in(BIDIRECTIONAL.Config)["inputs"]
    drawn = Restriction({"inputs": (0, 10**10)}).sizes("inputs", known, 10**10)
    assert len(drawn) == 6 * 10**10 + 1
    assert [drawn[x] for x in (0, 10**10 - 1, 10**10, 6 * 10**10)] == [1, 10**10, 1, 0]
    few = make_restriction(BIDIRECTIONAL, {"inputs": (0, 2)}, {}).sizes("inputs", known, 5)
    assert list(few) == [1, 2] * 6 + [0]


def test_sizes_are_read_from_a_text():
    assert sizes_named("num_units=64, inputs=1-16") == {"num_units": (64, 64), "inputs": (1, 16)}
    assert sizes_named("") == {}


def test_a_subject_with_a_restriction_shrinks_within_it(tmp_path):
    class Wrong(rnndiff.Float32):
        def __call__(self, case):
            return dict(super().__call__(case), loss=np.float32(9))

    restriction = make_restriction(BIDIRECTIONAL, {"time": (3, 9), "outputs": 4}, {})
    checker = Checker(Wrong(), Tally(), folder=str(tmp_path), restriction=restriction)
    (failure,) = checker(random_batch(BIDIRECTIONAL, 0, 0, restriction=restriction)[:1]).failures
    assert dict(load(failure.path).case.config.sizes(), num_units=0, inputs=0) == {
        "batch": 1,
        "time": 3,
        "inputs": 0,
        "outputs": 4,
        "num_units": 0,
    }


def test_shrinking_starts_from_the_smallest_cases_within_a_restriction():
    restriction = make_restriction(BIDIRECTIONAL, {"num_units": 7, "time": (3, 9)}, {})
    given = random_batch(BIDIRECTIONAL, 0, 0, restriction=restriction)[0]
    shrinker = Shrinker(given, lambda case: True, restriction=restriction)
    assert restriction.allows(shrinker.run().config) and shrinker.used == 1


def test_shrinking_takes_no_longer_than_it_may():
    case = random_batch("bidirectional", 0, 0)[0]
    shrinker = Shrinker(case, lambda case: case.inputs.size > 8, seconds=0.0)
    assert shrinker.run() is case and shrinker.used == 0
