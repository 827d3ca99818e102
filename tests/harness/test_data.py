import gzip
import os
import struct
import sys

import numpy as np
import pytest

from rnndiff.harness.errors import UserError
from rnndiff.harness.trained import data

SIZE = 28


def text(rows):
    return "".join(data.ALPHABET[code] for code in np.argmax(rows, axis=-1))


def images(count, seed=0):
    random = np.random.RandomState(seed)
    return random.randint(0, 256, (count, SIZE, SIZE)).astype(np.uint8)


@pytest.fixture
def arrays():
    return {
        "x_train": images(7),
        "y_train": np.arange(7, dtype=np.uint8),
        "x_test": images(3, seed=1),
        "y_test": np.array([9, 0, 4], np.uint8),
    }


@pytest.fixture
def npz(arrays, tmp_path):
    path = str(tmp_path / "mnist.npz")
    np.savez_compressed(path, **arrays)
    return path


def idx_of(array):
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(">{}I".format(array.ndim), *array.shape)
        + array.tobytes()
    )


@pytest.fixture
def folder(arrays, tmp_path):
    """Two of the four files as they are, two compressed."""
    contents = {
        "train-images-idx3-ubyte": idx_of(arrays["x_train"]),
        "train-labels-idx1-ubyte.gz": gzip.compress(idx_of(arrays["y_train"])),
        "t10k-images-idx3-ubyte.gz": gzip.compress(idx_of(arrays["x_test"])),
        "t10k-labels-idx1-ubyte": idx_of(arrays["y_test"]),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def error_of(mnist, named=None):
    """What is said about `mnist`; the message must name the file, and be one sentence."""
    with pytest.raises(UserError) as caught:
        data.mnist_digits(str(mnist))
    message = str(caught.value)
    assert str(named or mnist) in message
    assert "\n" not in message and message.endswith(".")
    return message


def test_a_text_becomes_one_hot_characters_filled_up_with_blanks():
    rows = data.one_hot_text(["24+654"], 7)
    assert rows.shape == (1, 7, 12)
    assert rows.dtype == np.float32
    assert np.all(np.sort(rows, axis=-1)[..., -2:] == [0, 1])
    assert text(rows[0]) == "24+654 "


def test_every_answer_is_the_sum_of_its_question():
    drawn = data.additions(seed=1, training=200, validation=100)
    for part, count in ((drawn.training, 200), (drawn.validation, 100)):
        assert part.inputs.shape == (count, 7, 12)
        assert part.labels.shape == (count, 4, 12)
        for question, answer in zip(part.inputs, part.labels):
            a, b = text(question).rstrip().split("+")
            assert text(answer) == str(int(a) + int(b)).ljust(4)


def test_additions_have_numbers_of_every_length():
    drawn = data.additions(seed=1, training=1000, validation=0)
    lengths = [len(text(question).partition("+")[0]) for question in drawn.training.inputs]
    assert min(np.bincount(lengths)[1:]) > 150


def test_no_addition_of_the_validation_was_seen_in_training():
    drawn = data.additions(seed=2, training=2000, validation=500)

    def pairs(part):
        return [frozenset(text(question).rstrip().split("+")) for question in part.inputs]

    seen, kept = pairs(drawn.training), pairs(drawn.validation)
    assert not set(seen) & set(kept)
    assert len(set(seen + kept)) == 2500


@pytest.mark.parametrize("draw", [lambda seed: data.additions(seed, 100, 20), data.digits])
def test_the_seed_alone_decides_the_data(draw):
    first, again, other = draw(3), draw(3), draw(4)
    assert np.array_equal(first.training.inputs, again.training.inputs)
    assert np.array_equal(first.validation.labels, again.validation.labels)
    assert not np.array_equal(first.validation.labels, other.validation.labels)


def test_handwritten_digits_are_images_from_0_to_1_with_labels():
    digits = data.digits(seed=0)
    assert digits.sizes() == {"time": 8, "inputs": 8, "outputs": 10}
    assert len(digits.training.inputs) + len(digits.validation.inputs) == 1797
    for part in (digits.training, digits.validation):
        assert part.inputs.dtype == part.labels.dtype == np.float32
        assert part.inputs.min() == 0 and part.inputs.max() == 1
        assert np.all(part.labels.sum(axis=1) == 1)


def test_without_scikit_learn_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UserError, match=r"pip install '\.\[tensorflow\]'"):
        data.digits(seed=0)


def test_chance_is_the_accuracy_of_the_best_constant_answer():
    labels = np.eye(3)[np.array([[0, 1], [0, 2], [1, 2], [2, 2]])]
    rows = data.Rows(np.zeros((4, 1, 1)), labels)
    assert data.Data("", rows, rows).chance() == (2 / 4 + 3 / 4) / 2


def test_mnist_npz_is_read(npz, arrays):
    mnist = data.load("bidirectional", seed=0, mnist=npz)
    assert mnist.sizes() == {"time": 28, "inputs": 28, "outputs": 10}
    assert mnist.training.inputs.dtype == np.float32
    assert np.allclose(mnist.training.inputs, arrays["x_train"] / 255)
    assert np.argmax(mnist.validation.labels, axis=1).tolist() == [9, 0, 4]


def test_a_folder_of_idx_files_is_the_same_as_the_npz(npz, folder):
    for ours, theirs in zip(data.mnist_digits(str(folder)), data.mnist_digits(npz)):
        assert all(map(np.array_equal, ours, theirs))


def test_a_missing_mnist_is_named(tmp_path):
    assert "no file" in error_of(tmp_path / "mnist.npz")


def test_a_missing_idx_file_is_named(folder):
    os.remove(str(folder / "t10k-labels-idx1-ubyte"))
    assert "t10k-labels-idx1-ubyte" in error_of(folder)


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.99])
def test_a_truncated_npz_is_an_error(npz, kept):
    with open(npz, "rb") as file:
        content = file.read()
    with open(npz, "wb") as file:
        file.write(content[: kept if kept >= 1 else int(kept * len(content))])
    assert "damaged" in error_of(npz)


def test_a_changed_byte_of_an_image_is_an_error(npz):
    with open(npz, "r+b") as file:
        file.seek(2000)
        old = file.read(1)
        file.seek(2000)
        file.write(bytes([old[0] ^ 255]))
    assert "damaged" in error_of(npz)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"])
@pytest.mark.parametrize("kept", [0, 3, 6, 20, 0.99])
def test_a_truncated_idx_file_is_an_error(folder, name, kept):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: kept if kept >= 1 else int(kept * len(content))])
    error_of(folder, named=folder / name)


def test_an_idx_file_that_is_no_idx_file_is_an_error(folder):
    path = folder / "t10k-labels-idx1-ubyte"
    path.write_bytes(b"<html>404 Not Found</html>")
    assert "not an IDX file" in error_of(folder, named=path)


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_is_never_loaded(tmp_path, arrays):
    path, made = str(tmp_path / "mnist.npz"), str(tmp_path / "made")
    arrays["y_test"] = np.array([Trap(made)], dtype=object)
    np.savez(path, **arrays)
    error_of(path)
    assert not os.path.exists(made)


@pytest.mark.parametrize(
    "change, what",
    [
        ({"x_test": None}, "x_test"),
        ({"x_train": np.zeros((7, 784), np.uint8)}, "x_train"),
        ({"x_train": np.zeros((7, 28, 28), np.float32)}, "x_train"),
        ({"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, int)}, "x_test"),
        ({"x_test": np.zeros((3, 14, 14), np.uint8)}, "size"),
        ({"y_train": np.arange(6)}, "y_train"),
        ({"y_train": np.arange(7) / 2}, "y_train"),
        ({"y_test": np.array([0, 10, 1])}, "y_test"),
        ({"y_test": np.array([0, -1, 1])}, "y_test"),
    ],
)
def test_arrays_that_are_not_labelled_digits_are_named(tmp_path, arrays, change, what):
    path = str(tmp_path / "mnist.npz")
    arrays.update(change)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    assert what in error_of(path)
