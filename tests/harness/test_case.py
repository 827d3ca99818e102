"""A case and its file."""

import json
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from examples import random_case, with_all_options

from rnndiff.harness.cases.case import Case, load, packed, save, smallest_case
from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.errors import UserError
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_case_loads_equal_bit_for_bit(name, tmp_path):
    case = with_all_options(name)
    case.inputs[0, 0, 0] = np.nan
    path = str(tmp_path / "folder" / "case.npz")
    save(path, case, {"scores": np.float32([1.5])}, {"verdict": "disagree"})
    again, trace, notes = load(path)
    assert (again.model, again.config) == (case.model, case.config)
    assert list(again.arrays) == list(case.arrays)
    for array, saved in zip(case.arrays.values(), again.arrays.values()):
        assert array.dtype == saved.dtype and array.tobytes() == saved.tobytes()
    assert trace["scores"] == 1.5 and notes == {"verdict": "disagree"}


@pytest.mark.parametrize("precision", ["float64", "float16", "bfloat16"])
def test_a_case_of_another_precision_loads_equal_bit_for_bit(precision, tmp_path):
    case, path = random_batch("rnn-lstm", 0, 0, precision)[0], str(tmp_path / "case.npz")
    save(path, case)
    again = load(path).case
    assert again.precision == case.precision == precision
    for array, saved in zip(case.arrays.values(), again.arrays.values()):
        assert array.dtype == saved.dtype and array.tobytes() == saved.tobytes()


def test_the_numbers_of_a_case_are_of_one_precision():
    case = random_case("seq2seq")
    arrays = dict(case.arrays, inputs=case.inputs.astype("f8"))
    with pytest.raises(ValueError, match="is not an array of float64 numbers"):
        Case(case.model, case.config, arrays)
    with pytest.raises(ValueError, match="'inputs' is not an array of float32 numbers"):
        Case(case.model, case.config, dict(case.arrays, inputs=case.inputs.astype("i8")))


def test_a_case_is_rounded_to_another_precision():
    case = random_batch("rnn-lstm", 0, 0, "float64")[0]
    rounded = case.of_precision("float16")
    assert rounded.precision == "float16" and rounded.of_precision("float16") is rounded
    for name, array in case.arrays.items():
        assert rounded.arrays[name].dtype == ("f2" if array.dtype == "f8" else array.dtype)


def test_numbers_of_bfloat16_are_held_in_float32_and_rounded_once():
    case = random_batch("birnn-lstm", 0, 3, "float64")[0]
    # Rounded to float32 before, it would be a tie, and be rounded down.
    case.inputs.flat[:1] = 1 + 2.0**-8 + 2.0**-40
    rounded = case.of_precision("bfloat16")
    assert rounded.precision == "bfloat16" and rounded.inputs.dtype == np.float32
    assert rounded.inputs.flat[0] == 1 + 2.0**-7
    assert rounded.of_precision("float32").precision == "float32"
    for field in case.model.fields(case.config):
        array = rounded.arrays[field.name]
        assert array.dtype == field.dtype
        assert field.counts or precision_of("bfloat16").has(array)
    changed = replace(rounded, arrays=dict(rounded.arrays, inputs=rounded.inputs + np.float32(0.1)))
    assert changed.precision == "bfloat16" and precision_of("bfloat16").has(changed.inputs)
    assert changed.copy().precision == "bfloat16"


def test_the_smallest_case_is_of_ones_zeros_and_class_0_but_for_what_is_given():
    case = smallest_case("seq2seq", {"outputs": 3}, {"inputs": 2.0})
    assert set(case.config.sizes().values()) == {1, 3}
    np.testing.assert_array_equal(case.labels, [[[1, 0, 0]]])
    np.testing.assert_array_equal(case.inputs, [[[2]]])
    assert not any(array.any() for array in case.parameters)


def test_an_array_of_the_wrong_shape_is_named_with_both_shapes():
    case = random_case("seq2seq")
    arrays = dict(case.arrays, **{"projection/bias": np.zeros(5, np.float32)})
    with pytest.raises(ValueError, match=r"'projection/bias' has the shape \[5\].*needs \[3\]"):
        type(case)(case.model, case.config, arrays)


def with_length(length, dtype=np.int32):
    """A case of three steps, its arrays with this length of its second row."""
    case = random_case("birnn-lstm", sequence_length=True)
    return case, dict(case.arrays, sequence_length=np.array([3, length], dtype))


def test_lengths_are_whole_numbers():
    case = random_case("birnn-lstm", sequence_length=True)
    assert case.arrays["sequence_length"].dtype == np.int32
    with pytest.raises(ValueError, match="'sequence_length' is not an array of int32 numbers"):
        type(case)(case.model, case.config, with_length(2, np.float32)[1])


@pytest.mark.parametrize("length", [-1, 4])
def test_a_file_with_a_length_that_no_row_can_have_is_one_sentence(length, tmp_path):
    case, arrays = with_length(length)
    case.arrays.update(arrays)
    path = str(tmp_path / "case.npz")
    save(path, case)
    with pytest.raises(UserError) as caught:
        load(path)
    said = "is not a case that rnndiff can run: 'sequence_length' has numbers other than 0 to 3."
    assert str(caught.value) == "{} {}".format(path, said)


@pytest.mark.parametrize(
    "name, option, more",
    [
        ("rnn-lstm", "sequence_length", ["sequence_length"]),
        ("birnn-gru", "initial_state", ["backward_initial_h", "forward_initial_h"]),
    ],
)
def test_an_array_is_there_just_if_its_option_is(name, option, more):
    without, having = random_case(name), random_case(name, **{option: True})
    assert sorted(set(having.arrays) - set(without.arrays)) == more
    for array in more:
        with pytest.raises(ValueError, match="there is no array '{}'".format(array)):
            type(without)(
                without.model, without.config, dict(without.arrays, **{array: having.arrays[array]})
            )
        fewer = {key: x for key, x in having.arrays.items() if key != array}
        with pytest.raises(ValueError, match="the array '{}' is missing".format(array)):
            type(having)(having.model, having.config, fewer)


@pytest.mark.parametrize("kept", [0, 1, 10, 100, -40, -1])
def test_a_truncated_file_is_one_sentence(kept, tmp_path):
    path = tmp_path / "case.npz"
    save(str(path), random_case("seq2seq"))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match="case.npz"):
        load(str(path))


def test_two_hundred_mutilated_files_are_two_hundred_sentences_or_valid_cases(tmp_path):
    path = tmp_path / "case.npz"
    save(str(path), random_case("bidirectional"))
    whole = bytearray(path.read_bytes())
    random = np.random.RandomState(0)
    for _ in range(200):
        broken = bytearray(whole)
        for place in random.randint(0, len(broken), random.randint(1, 20)):
            broken[place] = random.randint(256)
        path.write_bytes(bytes(broken))
        try:
            load(str(path))
        except UserError as error:
            assert "\n" not in str(error) and str(path) in str(error)


@pytest.mark.parametrize(
    "precision", [0, False, None, [], {}, "", "float8", ["bfloat16"], "x" * 200000, "\x1b[31m"]
)
def test_a_precision_in_a_file_that_is_none_is_one_short_sentence(precision, tmp_path):
    path = str(tmp_path / "case.npz")
    save(path, random_case("seq2seq"))
    with np.load(path) as file:
        arrays = dict(file)
    meta = dict(json.loads(str(arrays["meta"])), precision=precision)
    np.savez(path, **dict(arrays, meta=np.array(json.dumps(meta))))
    with pytest.raises(UserError, match="is no precision") as caught:
        load(path)
    assert len(str(caught.value)) < 200 + len(path) and "\x1b" not in str(caught.value)


def test_a_file_of_a_later_format_asks_for_an_upgrade(tmp_path):
    path = str(tmp_path / "case.npz")
    save(path, random_case("seq2seq"))
    with np.load(path) as file:
        arrays = dict(file)
    meta = dict(json.loads(str(arrays["meta"])), format=99)
    np.savez(path, **dict(arrays, meta=np.array(json.dumps(meta))))
    with pytest.raises(UserError, match="format 99.*upgrade"):
        load(path)


def test_an_interruption_while_a_case_is_packed_stays_one(monkeypatch):
    opened = zipfile.ZipFile.open

    def interrupted(self, name, mode="r", **options):
        file = opened(self, name, mode, **options)
        if mode == "w":
            raise KeyboardInterrupt
        return file

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        packed(random_case("seq2seq"))


def test_a_foreign_file_and_a_missing_file_are_one_sentence(tmp_path):
    foreign = str(tmp_path / "foreign.npz")
    np.savez(foreign, weights=np.zeros(3))
    for path in (foreign, str(tmp_path / "missing.npz"), str(tmp_path)):
        with pytest.raises(UserError):
            load(path)


def test_pickled_arrays_are_refused(tmp_path):
    path = str(tmp_path / "pickled.npz")
    np.savez(path, meta=np.array([{"format": 1}], dtype=object))
    with pytest.raises(UserError):
        load(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = str(tmp_path / "case.npz")
    save(path, random_case("seq2seq", seed=1))
    before = open(path, "rb").read()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(UserError, match="No space left"):
        save(path, random_case("seq2seq", seed=2))
    assert os.listdir(str(tmp_path)) == ["case.npz"]
    assert open(path, "rb").read() == before
