"""Checkpoints that genuine cells of TensorFlow 1.15 made, and others, verified on this one."""

import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from rnndiff.harness.commands.verify import verify as command
from rnndiff.harness.errors import UserError
from rnndiff.harness.subjects.float32 import Float32
from rnndiff.harness.trained import checkpoint
from rnndiff.harness.trained.checkpoint import kept_by_optimizers, prefix_of, read_checkpoint
from rnndiff.harness.trained.checkpoint import variables as variables_of
from rnndiff.harness.trained.matching import match
from rnndiff.harness.trained.own import Recorded, check_recorded, option_named, read_own
from rnndiff.harness.trained.training import fit_weights
from rnndiff.harness.trained.verify import verify
from rnndiff.models import MODELS

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
# The model of each genuine network, and what neither its weights nor its data tell.
GENUINE = {
    "lstm": ("rnn-lstm", ["cell_clip=0.75", "forget_bias=0.5"]),
    "masked": ("birnn-gru", []),
    "stack": ("stackbirnn-lstm", ["layers=2"]),
    "attention_lstm": ("attention-lstm", ["attn_length=2"]),
    "attention_basic": ("attention", ["attn_length=2"]),
}


def path_of(name):
    return os.path.join(DATA, "genuine_" + name)


def genuine(name, variables=None, settings=None):
    """The model of a genuine network, the data recorded of it, and its weights."""
    model, default = MODELS[GENUINE[name][0]], GENUINE[name][1]
    options = {}
    for setting in default if settings is None else settings:
        options.update(option_named(model, setting))
    data = read_own(model, path_of(name) + ".npz", None, options)
    found = variables_of(path_of(name)) if variables is None else variables
    return model, data, fit_weights(name, found, model, data, options, {})


def status_of_recorded(*found):
    model, data, weights = found
    return verify(model, data, weights, Recorded(data.recorded)).status


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_checkpoint_loads_and_agrees_on_this_tensorflow(name, tensorflow):
    model, data, weights = genuine(name)
    verified = verify(model, data, weights, tensorflow)
    assert verified.status == "agree", verified.disagreements
    assert set(verified.statuses.values()) == {"agree"}
    assert list(verified.statuses) == [array.name for array in model.trace]


@pytest.mark.parametrize("name", GENUINE)
def test_what_tensorflow_1_computed_agrees_with_the_checkpoint(name, tensorflow):
    model, data, weights = genuine(name)
    verified = verify(model, data, weights, Recorded(data.recorded))
    assert verified.status == "agree", verified.disagreements
    for array, status in verified.statuses.items():
        assert status == ("agree" if array in data.recorded else "not judged")
    assert len(data.recorded) >= 3


@pytest.mark.parametrize("name", GENUINE)
def test_a_weight_that_is_changed_disagrees_with_what_tensorflow_1_computed(name, tensorflow):
    variables = variables_of(path_of(name))
    used = [key for key in variables if "cell/" in key and "bias" in key]
    for key in used:
        changed = dict(variables, **{key: variables[key].copy()})
        changed[key][-1] *= 1.125
        assert status_of_recorded(*genuine(name, changed)) == "disagree", key
    assert used and status_of_recorded(*genuine(name, variables)) == "agree"


@pytest.mark.parametrize("order", [[0, 1, 3, 2], [0, 2, 1, 3], [1, 0, 2, 3]])
def test_gates_in_another_order_disagree_with_what_tensorflow_1_computed(order, tensorflow):
    variables = variables_of(path_of("lstm"))
    for key, array in variables.items():
        if key.endswith(("lstm_cell/kernel", "lstm_cell/bias")):
            gates = np.split(array, 4, axis=-1)
            variables[key] = np.concatenate([gates[place] for place in order], axis=-1)
    model, data, weights = genuine("lstm", variables)
    verified = verify(model, data, weights, Recorded(data.recorded))
    assert verified.status == "disagree"
    assert "outputs" in verified.disagreements[0] and "recorded" in verified.disagreements[0]


@pytest.mark.parametrize("setting", ["forget_bias=1.0", "cell_clip=none", "activation=relu"])
def test_an_option_that_is_not_that_of_the_checkpoint_disagrees(setting, tensorflow):
    settings = [x for x in GENUINE["lstm"][1] if x[:4] != setting[:4]] + [setting]
    assert status_of_recorded(*genuine("lstm", settings=settings)) == "disagree"


def test_lengths_that_are_left_out_disagree_with_what_tensorflow_1_computed(tensorflow):
    model, data, weights = genuine("masked")
    full = np.full(3, 5, np.int32)
    data = data._replace(data=dict(data.data, sequence_length=full))
    assert status_of_recorded(model, data, weights) == "disagree"


def test_directions_that_are_mistaken_for_each_other_disagree(tensorflow):
    variables = variables_of(path_of("masked"))
    swapped = {"fw": "bw", "bw": "fw"}
    parts = {key: key.split("/") for key in variables}
    mistaken = {"/".join(swapped.get(p, p) for p in parts[key]): x for key, x in variables.items()}
    assert status_of_recorded(*genuine("masked", mistaken)) == "disagree"


def test_the_first_format_holds_the_same_variables(tensorflow):
    first, second = variables_of(path_of("first_format")), variables_of(path_of("lstm"))
    assert list(first) == list(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_a_checkpoint_of_objects_of_tensorflow_2_loads_without_the_slots_in_it(tensorflow):
    objects = variables_of(path_of("objects"))
    assert len(objects) == 6
    assert status_of_recorded(*genuine("lstm", objects)) == "agree"


def test_a_checkpoint_is_named_by_its_prefix_or_a_file_or_its_folder(tmp_path, tensorflow):
    copied(tmp_path)
    prefix = str(tmp_path / "model")
    names = ("model", "model.index", "model.meta", "model.data-00000-of-00001")
    assert {prefix_of(str(tmp_path / name)) for name in names} == {prefix}
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model"\n')
    for path in (tmp_path, tmp_path / "checkpoint"):
        found = variables_of(prefix_of(str(path)))
        assert list(found) == list(variables_of(path_of("masked")))
    assert prefix_of(path_of("first_format")) == path_of("first_format")
    for other in (path_of("lstm") + ".npz", __file__, str(tmp_path / "none")):
        assert prefix_of(other) is None


def test_a_checkpoint_without_its_step_is_told_those_that_there_are(tmp_path):
    for step in ("50", "100"):
        (tmp_path / "model-{}.index".format(step)).write_bytes(b"")
    with pytest.raises(UserError, match="no checkpoint .*model, but .*model-100, .*model-50"):
        prefix_of(str(tmp_path / "model"))


def test_a_checkpoint_without_its_numbers_is_told_their_file(tmp_path, tensorflow):
    copied(tmp_path)[1].unlink()
    with pytest.raises(UserError, match="there is no .*model.data-00000-of-00001 beside it"):
        variables_of(str(tmp_path / "model"))


# --- names ------------------------------------------------------------------------------------


def test_what_optimizers_keep_is_passed_over():
    weight, other = [3, 4], [5]
    kept = {
        "a/kernel/Adam": weight,
        "a/kernel/Adam_1": weight,
        "a/kernel/RMSProp": weight,
        "a/kernel/my_momentum": weight,
        "a/kernel/ExponentialMovingAverage": weight,
        "training/a/kernel/Adadelta": weight,
        "b/bias/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE": other,
        "optimizer/_variables/2/.ATTRIBUTES/VARIABLE_VALUE": weight,
    }
    own = {
        "a/kernel": weight,
        "kernel": [9],
        "cell/kernel/.ATTRIBUTES/VARIABLE_VALUE": weight,
        "a/attention/kernel": weight,
    }
    assert kept_by_optimizers(dict(kept, **own)) == set(kept)


def numbers(shapes):
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def lstm_in(scope, inputs=3, units=4):
    return {
        scope + "/kernel": (inputs + units, 4 * units),
        scope + "/bias": (4 * units,),
    }


def matched(name, variables, said=None, given=None, **sizes):
    model = MODELS[name]
    sizes = dict(sizes, **(given or {}))
    config = dataclasses.replace(model.article, inputs=3, **sizes)
    return match("ckpt", numbers(variables), model, config, dict(sizes, inputs=3), said or {})


def test_variables_are_found_in_any_scopes_without_a_word():
    found = matched("rnn-lstm", {**lstm_in("any/thing/my_cell"), "top/kernel": (4, 2)})
    assert found.names == {
        "cell/kernel": "any/thing/my_cell/kernel",
        "cell/bias": "any/thing/my_cell/bias",
    }


def test_layers_are_told_by_their_numbers():
    variables = {**lstm_in("m/cell_0/lstm_cell", 3), **lstm_in("m/cell_1/lstm_cell", 4)}
    names = matched("rnn-layers", variables).names
    assert [names["cell/cell_{}/kernel".format(k)] for k in (0, 1)] == [
        "m/cell_{}/lstm_cell/kernel".format(k) for k in (0, 1)
    ]


def stack_in(scope):
    """The variables of two layers that a function of ``tf.contrib.rnn`` runs in both directions."""
    return [
        lstm_in(scope.format(number, direction), 3 if number == 0 else 8)
        for number in range(2)
        for direction in ("fw", "bw")
    ]


@pytest.mark.parametrize("between", ["", "bidirectional_rnn/"])
def test_layers_in_both_directions_are_told_by_number_and_word(between):
    scope = "cell_{}/" + between + "{}/lstm_cell"
    variables = {k: v for x in stack_in("m/stack_bidirectional_rnn/" + scope) for k, v in x.items()}
    names = matched("stackbirnn-lstm", variables, layers=2, num_units=4).names
    for number in range(2):
        for direction, word in (("forward", "fw"), ("backward", "bw")):
            for name in ("kernel", "bias"):
                place = "m/stack_bidirectional_rnn/" + scope.format(number, word)
                found = names["cell_{}/{}/{}".format(number, direction, name)]
                assert found == "{}/{}".format(place, name)


def test_variables_of_releases_before_1_2_are_found():
    variables = {"rnn/lstm_cell/weights": (7, 16), "rnn/lstm_cell/biases": (16,)}
    assert set(matched("rnn-lstm", variables).names.values()) == set(variables)


def test_options_by_which_there_are_more_parameters_are_taken_from_the_checkpoint():
    assert not matched("rnn-lstm", lstm_in("x")).options["use_peepholes"]
    peepholes = {"x/w_{}_diag".format(gate): (4,) for gate in "fio"}
    found = matched("rnn-lstm", {**lstm_in("x"), **peepholes})
    assert found.options["use_peepholes"] and len(found.names) == 5
    given = {"use_peepholes": False}
    assert len(matched("rnn-lstm", {**lstm_in("x"), **peepholes}, given=given).names) == 2


TWO = {**lstm_in("one/lstm_cell"), **lstm_in("two/lstm_cell")}


def test_two_variables_for_a_parameter_are_named_and_which_it_is_can_be_said():
    with pytest.raises(UserError) as caught:
        matched("rnn-lstm", TWO)
    assert "its cell/kernel may be one/lstm_cell/kernel or two/lstm_cell/kernel" in str(
        caught.value
    )
    assert "one/lstm_cell/bias [16]" in str(caught.value) and "--map" in str(caught.value)
    by_names = {name: "two/lstm_" + name for name in ("cell/kernel", "cell/bias")}
    for said in ({"cell": "two"}, {"cell": "two/lstm_cell"}, by_names):
        assert matched("rnn-lstm", TWO, said).names == by_names


def test_directions_without_a_word_in_their_scopes_are_asked_for():
    with pytest.raises(UserError, match="its forward/kernel may be one/.* or two/"):
        matched("birnn-lstm", TWO)
    names = matched("birnn-lstm", TWO, {"forward": "two"}).names
    assert names["forward/bias"].startswith("two") and names["backward/bias"].startswith("one")


@pytest.mark.parametrize(
    "variables, said, words",
    [
        ({}, {}, "no variables for cell/kernel, cell/bias; .* none that may be a parameter"),
        ({"a/kernel": (7, 16)}, {}, r"no variables for .* a/kernel \[7, 16\]"),
        (lstm_in("a", inputs=5), {}, r"'cell/kernel' has the shape \[9, 16\], .*\[7, 16\]"),
        (lstm_in("a"), {"cell": "b"}, "no variables for cell/kernel"),
        (lstm_in("a"), {"cell/kernel": "b"}, "no variable 'b'"),
        (lstm_in("a"), {"cells": "a"}, "no parameter or scope 'cells', but cell/kernel"),
        ({"a{}/kernel".format(k): (1, 1) for k in range(99)}, {}, "and 88 more"),
    ],
)
def test_variables_that_do_not_fit_are_one_sentence_with_what_there_is(variables, said, words):
    with pytest.raises(UserError, match=words) as caught:
        matched("rnn-lstm", variables, said)
    assert "\n" not in str(caught.value) and "--map PARAMETER=VARIABLE" in str(caught.value)


# --- data -------------------------------------------------------------------------------------


def own(tmp_path, name="rnn-lstm", options=(), **arrays):
    path = str(tmp_path / "x.npz")
    np.savez(path, **arrays)
    return read_own(MODELS[name], path, None, dict(options))


INPUTS = np.zeros((2, 5, 3), np.float32)


def test_data_tell_sizes_and_options(tmp_path):
    state = np.zeros((2, 4))
    data = own(tmp_path, inputs=INPUTS, sequence_length=[1, 5], initial_c=state, initial_h=state)
    told = dict(batch=2, time=5, inputs=3, num_units=4, sequence_length=True, initial_state=True)
    assert data.sizes() == told
    assert data.data["sequence_length"].dtype == np.int32
    assert data.data["initial_c"].dtype == np.float32


def test_noise_tells_no_probability(tmp_path):
    path = str(tmp_path / "data.npz")
    np.savez(path, inputs=np.zeros((2, 3, 4)), input_noise=np.zeros((2, 4)))
    told = read_own(MODELS["rnn-dropout-lstm"], path, "", {}).told
    assert told == {"batch": 2, "time": 3, "inputs": 4}


@pytest.mark.parametrize("array", [np.array([1 + 5j]), np.array([b"1.5"]), np.array([b"1", None])])
def test_a_variable_that_is_not_of_real_numbers_is_one_sentence(array):
    with pytest.raises(UserError, match="'?b'? is not of real numbers"):
        checkpoint._plain("model.ckpt", "b", array)


def test_one_array_of_any_name_is_the_inputs(tmp_path):
    assert list(own(tmp_path, x=INPUTS).data) == ["inputs"]


def test_labels_may_be_in_a_file_of_their_own(tmp_path):
    inputs, labels = str(tmp_path / "x.npz"), str(tmp_path / "y.npz")
    np.savez(inputs, inputs=np.zeros((2, 5, 3)))
    np.savez(labels, np.zeros((2, 3, 4)))
    with pytest.raises(UserError, match="no array 'labels'"):
        read_own(MODELS["attention"], inputs, None, {})
    data = read_own(MODELS["attention"], inputs, labels, {})
    assert data.sizes() == dict(batch=2, time=5, inputs=3, output_time=3, outputs=4)


@pytest.mark.parametrize(
    "arrays, words",
    [
        (
            dict(inputs=INPUTS, frames=INPUTS),
            "'frames', none of its data.*outputs.*rnndiff models rnn-lstm",
        ),
        (dict(sequence_length=[1], outputs=INPUTS), "no array 'inputs'"),
        (
            dict(inputs=np.zeros((2, 5))),
            r"\[2, 5\] in place of \[batch, time, inputs\]",
        ),
        (dict(inputs=np.array([[["a"]]])), "<U1, not numbers"),
        (
            dict(inputs=INPUTS, sequence_length=[1, 5, 5]),
            r"batch is not one number: 'inputs' \[batch, time, inputs\] has the shape \[2, 5, 3\], "
            r"'sequence_length' \[batch\] has the shape \[3\]",
        ),
        (dict(inputs=INPUTS, meta=np.array("{}")), "it is a case or a record"),
        (dict(inputs=INPUTS, sequence_length=[1.5, 5]), "other than whole numbers"),
    ],
)
def test_data_that_do_not_fit_are_one_sentence(arrays, words, tmp_path):
    with pytest.raises(UserError, match=words) as caught:
        own(tmp_path, **arrays)
    assert "x.npz does not fit the model rnn-lstm" in str(caught.value)


def test_lengths_beyond_the_inputs_and_half_a_state_are_one_sentence(tmp_path):
    _, _, weights = genuine("lstm", lstm_variables(), [])
    for more, words in (
        (dict(sequence_length=[1, 9]), "numbers other than 0 to 5"),
        (dict(initial_c=np.zeros((2, 4))), "'initial_h' is missing"),
    ):
        data = own(tmp_path, inputs=INPUTS, **more)
        config = dataclasses.replace(weights.config, **data.sizes())
        with pytest.raises(UserError, match=words):
            verify(MODELS["rnn-lstm"], data, dataclasses.replace(weights, config=config), Float32())


def lstm_variables():
    random = np.random.RandomState(0)
    return {n: random.standard_normal(s).astype(np.float32) for n, s in lstm_in("x").items()}


@pytest.mark.parametrize(
    "text, value",
    [
        ("forget_bias=0.7", 0.7),
        ("forget_bias=1", 1.0),
        ("cell_clip=None", None),
        ("cell_clip=3", 3.0),
        ("use_peepholes=true", True),
        ("activation=relu", "relu"),
        ("num_proj=7", 7),
    ],
)
def test_an_option_takes_what_the_cell_of_tensorflow_takes(text, value):
    ((name, found),) = option_named(MODELS["rnn-lstm"], text).items()
    assert (name, found, type(found)) == (text.partition("=")[0], value, type(value))


@pytest.mark.parametrize(
    "text, words",
    [
        ("bias=1", "no option of rnn-lstm: write NAME=VALUE, of .*forget_bias[^;]*$"),
        ("forget_bias", "write NAME=VALUE"),
        ("forget_bias=nan", "another number, not nan"),
        ("cell_clip=-1", "another number above 0, not -1.0"),
        ("num_units=x", "num_units must be a whole number"),
        ("num_units=2.5", "a whole number of at least 1, not 2.5"),
        ("activation=gelu", "activation must be tanh or relu"),
    ],
)
def test_an_option_that_there_is_not_is_one_sentence(text, words):
    with pytest.raises(UserError, match=words):
        option_named(MODELS["rnn-lstm"], text)


def test_an_option_of_another_cell_is_told_the_models_that_have_it():
    with pytest.raises(
        UserError, match="option of attention: .*; attention-basic-lstm, .* have it"
    ):
        option_named(MODELS["attention"], "forget_bias=0.5")


def test_weights_of_no_decoder_ask_for_labels_of_one_step(tmp_path):
    variables = {name: x for name, x in attention_variables().items() if "decoder" not in name}
    random = np.random.RandomState(0)
    data = own(
        tmp_path, "attention", inputs=random.randn(1, 2, 3), labels=np.zeros((1, 3, 4)).tolist()
    )
    options = {"attn_length": 2}
    with pytest.raises(UserError, match=r"nothing is decoded, give labels \[batch, 1, outputs\]"):
        fit_weights("w", variables, MODELS["attention"], data, options, {})


def test_what_was_recorded_in_another_shape_is_one_sentence(tmp_path):
    model, data, weights = genuine("lstm", lstm_variables(), [])
    recorded = dict(data.recorded, outputs=data.recorded["outputs"][:, 0])
    with pytest.raises(
        UserError, match=r"'outputs' has the shape .*, not .*, which is \[batch, time"
    ):
        check_recorded(data._replace(recorded=recorded), model, weights.config)


def test_a_size_that_nothing_tells_is_asked_for():
    with pytest.raises(UserError, match="attn_length of attention: give --set attn_length=N"):
        genuine("attention_basic", attention_variables(), [])


def attention_variables():
    model = MODELS["attention"]
    config = model.Config(1, 2, 3, inputs=3, outputs=4, num_units=3, attn_length=2, attn_size=5)
    return {field.name: np.zeros(field.shape(config)) for field in model.parameters(config)}


# --- files ------------------------------------------------------------------------------------


def copied(folder, name="masked"):
    """The files of a genuine checkpoint, as those of "model" in a folder."""
    for end in (".index", ".data-00000-of-00001"):
        shutil.copy(path_of(name) + end, str(folder / ("model" + end)))
    return folder / "model.index", folder / "model.data-00000-of-00001"


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def changed(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 255
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda index, data: cut(index, 100),
        lambda index, data: cut(index, 0),
        lambda index, data: cut(data, 100),
        lambda index, data: changed(index, 60),
        lambda index, data: changed(data, 60),
        lambda index, data: data.unlink(),
        lambda index, data: (data.unlink(), data.mkdir()),
    ],
)
def test_a_damaged_checkpoint_is_one_sentence(damage, tmp_path, tensorflow):
    damage(*copied(tmp_path))
    with pytest.raises(
        UserError, match="Cannot read .*model as a TensorFlow checkpoint: "
    ) as error:
        variables_of(str(tmp_path / "model"))
    assert "\n" not in str(error.value)


def checksums(content):
    """The checksum of each beginning of some bytes, as tables have it: CRC-32C, masked."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        plain = crc ^ 0xFFFFFFFF
        masked = ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF
        yield masked.to_bytes(4, "little")


def test_a_shape_that_no_file_has_room_for_is_refused_unread(tmp_path, tensorflow):
    index, _ = copied(tmp_path)
    content = index.read_bytes()
    sums = enumerate(checksums(content), 1)
    end = next(size for size, found in sums if content[size : size + 4] == found)
    # The shape [6, 4] and the place of tags/kernel.
    shape = b"\x12\x08\x12\x02\x08%c\x12\x02\x08%c\x20\x38"
    assert content.count(shape % (6, 4)) == 1
    block = content[:end].replace(shape % (6, 4), shape % (127, 127))
    index.write_bytes(block + list(checksums(block))[-1] + content[end + 4 :])
    with pytest.raises(UserError, match="it claims to hold 65,[0-9]+ bytes, and has 3,200"):
        variables_of(str(tmp_path / "model"))


def test_what_ends_the_process_of_the_reader_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint, "_PROGRAM", "import os; os.abort()")
    with pytest.raises(UserError, match="it ends TensorFlow's process by SIGABRT") as error:
        read_checkpoint(path_of("lstm"))
    assert "\n" not in str(error.value)


def test_a_reader_that_takes_too_long_is_one_sentence(monkeypatch):
    monkeypatch.setattr(checkpoint, "TIMEOUT", 0.1)
    monkeypatch.setattr(checkpoint, "_PROGRAM", "import time; time.sleep(60)")
    with pytest.raises(UserError, match="TensorFlow takes more than 0.1 s"):
        read_checkpoint(path_of("lstm"))


# --- the command ------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def arguments_of(name):
    model, settings = GENUINE[name]
    given = [model, "--weights", path_of(name), "--inputs", path_of(name) + ".npz"]
    return given + [part for setting in settings for part in ("--set", setting)]


def test_the_command_verifies_a_genuine_checkpoint_array_by_array(tmp_path, tensorflow):
    path = tmp_path / "report.json"
    result = run(*arguments_of("masked"), "--json", path)
    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    for part, judged in (("models", 5), ("recorded", 3)):
        statuses = list(report[part]["birnn-gru"]["statuses"].values())
        assert (len(statuses), statuses.count("agree")) == (5, judged)
    for name in report["models"]["birnn-gru"]["statuses"]:
        assert result.output.count(name + " ") == 2
    assert "sequence_length" in result.output
    assert "The same but for rounding: what was recorded differs from" in result.output


def test_the_command_says_that_nothing_was_recorded_to_compare_with(
    tmp_path, monkeypatch, tensorflow
):
    monkeypatch.setattr(checkpoint, "read_checkpoint", variables_of)
    path = str(tmp_path / "inputs.npz")
    with np.load(path_of("masked") + ".npz") as arrays:
        names = ("inputs", "sequence_length")
        np.savez(path, **{name: arrays[name] for name in names})
    result = run("birnn-gru", "--weights", path_of("masked"), "--inputs", path)
    assert result.exit_code == 0 and "and nothing of another TensorFlow" in result.output


def test_the_command_says_where_each_array_disagrees_and_exits_with_1(monkeypatch, tensorflow):
    # Without the import of TensorFlow in another process.
    monkeypatch.setattr(checkpoint, "read_checkpoint", variables_of)
    result = run(*arguments_of("lstm"), "--set", "forget_bias=1.0")
    assert result.exit_code == 1
    first = r"first in outputs\[row 0, step 1, unit 0\], teacher-forced: recorded [-0-9.]+, oracle "
    assert re.search(first, result.output)
    assert "first in final_c[" in result.output and "first in final_h[" in result.output
    assert re.search("Not the same: .*of another one: .*forget_bias 1.0", result.output)


@pytest.mark.parametrize(
    "arguments",
    [
        ("rnn-lstm",),
        ("rnn-lstm", "--weights", "w.npz"),
        ("rnn-lstm", "--inputs", "x.npz"),
        ("seq2seq", "--set", "num_units=3"),
        ("seq2seq", "--weights", "w.npz", "--map", "a=b"),
        ("seq2seq", "--weights", "w.npz", "--labels", "y.npz"),
        ("seq2seq", "attention", "--weights", "w.npz", "--inputs", "x.npz"),
        ("rnn-lstm", "--cell", "gru", "--weights", "w.npz", "--inputs", "x.npz"),
        ("rnn-lstm", "--weights", path_of("lstm"), "--inputs", "x.npz", "--map", "cell"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", inputs=INPUTS)
    np.savez("w.npz", np.zeros(3))
    result = run(*arguments)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit), result.output


def test_a_checkpoint_that_there_is_not_is_told_as_that(tmp_path):
    result = run("rnn-lstm", "--weights", tmp_path / "model", "--inputs", "x.npz", "--map", "a=b")
    assert isinstance(result.exception, UserError) and "There is no file" in str(result.exception)


def test_weights_that_were_saved_of_cells_with_options_are_read_back(tmp_path):
    # A projection's size is another name of the number of units where there is none.
    model = MODELS["seq2seq-lstm"]
    config = model.Config(1, 3, 2, inputs=3, outputs=4, num_units=5)
    saved = {field.name: np.zeros(field.shape(config)) for field in model.parameters(config)}
    data = own(tmp_path, "seq2seq-lstm", inputs=np.zeros((1, 3, 3)), labels=np.zeros((1, 2, 4)))
    assert fit_weights("w.npz", saved, model, data).config == config
