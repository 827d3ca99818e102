"""Real data to train on: three-digit additions, and handwritten digits read row by row."""

import functools
import gzip
import operator
import os
import zlib
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from rnndiff.harness.errors import UserError, optional_import
from rnndiff.harness.files import read_npz

ALPHABET = "0123456789+ "
QUESTION, ANSWER = len("999+999"), len("1998")
CLASSES = 10
# Enough to tell a trained network from chance, few enough to bound every number of their trace.
VALIDATION = 500

MNIST_FORMS = "Keras' mnist.npz or the folder of MNIST's four IDX files"
IDX_STEMS = {
    "x_train": "train-images",
    "y_train": "train-labels",
    "x_test": "t10k-images",
    "y_test": "t10k-labels",
}
IDX_MAGICS = b"\0\0\x08\x01", b"\0\0\x08\x03"
GZIP_MAGIC = b"\x1f\x8b"


class Rows(NamedTuple):
    """Inputs [rows, time, inputs] and one-hot labels [rows, ..., outputs], float32."""

    inputs: np.ndarray
    labels: np.ndarray


class Data(NamedTuple):
    """What a model is trained on, and the rows kept aside to verify it on."""

    name: str
    training: Rows
    validation: Rows

    def sizes(self) -> Dict[str, int]:
        """What the data says of a config: time, inputs, outputs and, for texts, output_time."""
        inputs, labels = self.validation
        sizes = {
            "time": inputs.shape[1],
            "inputs": inputs.shape[2],
            "outputs": labels.shape[-1],
        }
        if labels.ndim == 3:
            sizes["output_time"] = labels.shape[1]
        return sizes

    def arrays(self) -> Dict[str, np.ndarray]:
        """The validation rows by the names that models have for them."""
        return self.validation._asdict()

    def chance(self) -> float:
        """The accuracy of the best constant answer to all validation rows."""
        shares = np.mean(self.validation.labels, axis=0, dtype=np.float64)
        return float(np.mean(np.max(shares, axis=-1)))


def load(family: str, seed: int, mnist: Optional[str] = None) -> Data:
    """The data that the models of a family are verified on.

    Parameters
    ----------
    family : str
        "seq2seq", "bidirectional" or "attention".
    seed : int
        0 to 2**32 - 1; decides which additions are drawn and which digits are kept aside.
    mnist : str, optional
        For "bidirectional": MNIST, see :func:`mnist_digits`, instead of scikit-learn's digits.

    Raises
    ------
    UserError
        If the data is not there or is damaged.
    """
    if family != "bidirectional":
        return additions(seed)
    return digits(seed) if mnist is None else mnist_digits(mnist)


def additions(seed: int, training: int = 40000, validation: int = VALIDATION) -> Data:
    """Additions of two numbers of one to three digits, such as "24+654 " and "678 ".

    As in the article, every character is a one-hot row over :data:`ALPHABET`, blanks fill a text
    up, numbers of one, two and three digits are equally likely, and no pair of numbers comes twice,
    in either order: what is validated was never seen in training.

    Parameters
    ----------
    seed : int
    training, validation : int
        How many of each; at most 500500 pairs exist.

    Returns
    -------
    Data
        With inputs [rows, 7, 12] and labels [rows, 4, 12].
    """
    pairs = _distinct_pairs(np.random.RandomState(seed), training + validation)
    questions = one_hot_text(["{}+{}".format(a, b) for a, b in pairs], QUESTION)
    answers = one_hot_text([str(a + b) for a, b in pairs], ANSWER)
    return _split("three-digit additions", questions, answers, training)


def _distinct_pairs(random: np.random.RandomState, count: int) -> np.ndarray:
    """[count, 2] numbers, the first `count` different unordered pairs that are drawn."""
    pairs = np.zeros((0, 2), int)
    while len(pairs) < count:
        drawn = random.randint(0, 1000, (count, 2)) % 10 ** random.randint(1, 4, (count, 2))
        pairs = np.concatenate([pairs, drawn])
        keys = np.min(pairs, axis=1) * 1000 + np.max(pairs, axis=1)
        _, first = np.unique(keys, return_index=True)
        pairs = pairs[np.sort(first)]
    return pairs[:count]


def one_hot_text(texts: List[str], length: int) -> np.ndarray:
    """[texts, length, 12]: each text's characters as one-hot rows, filled up with blanks."""
    codes = [[ALPHABET.index(character) for character in text.ljust(length)] for text in texts]
    return np.eye(len(ALPHABET), dtype=np.float32)[np.array(codes)]


def digits(seed: int) -> Data:
    """scikit-learn's handwritten digits: 1797 images of 8x8 pixels from 0 to 1, in random order.

    Raises
    ------
    UserError
        If scikit-learn is not installed, or broken.
    """
    with optional_import("scikit-learn, for the handwritten digits", "tensorflow", "give --mnist"):
        from sklearn.datasets import load_digits
    bundled = load_digits()
    order = np.random.RandomState(seed).permutation(len(bundled.target))
    images, labels = bundled.images[order], bundled.target[order]
    inputs = np.asarray(images / 16.0, np.float32)
    return _split("handwritten digits", inputs, _one_hot(labels), len(order) * 4 // 5)


def _split(name: str, inputs: np.ndarray, labels: np.ndarray, training: int) -> Data:
    return Data(
        name,
        Rows(inputs[:training], labels[:training]),
        Rows(inputs[training:], labels[training:]),
    )


def _one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(CLASSES, dtype=np.float32)[labels]


def mnist_digits(path: str) -> Data:
    """MNIST from a file: images of 28x28 pixels from 0 to 1, the first test images for validation.

    Parameters
    ----------
    path : str
        Keras' ``mnist.npz`` (arrays x_train, y_train, x_test, y_test), or a folder of the files
        ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``, each as it is or with ``.gz``.

    Raises
    ------
    UserError
        If a file is missing, truncated or damaged, or does not hold labelled images.
    """
    if os.path.isdir(path):
        arrays = {name: _read_idx(path, stem) for name, stem in IDX_STEMS.items()}
    else:
        arrays = read_npz(path, MNIST_FORMS)
    training = _labelled_images(path, arrays, "x_train", "y_train")
    validation = _labelled_images(path, arrays, "x_test", "y_test")
    if training.inputs.shape[1:] != validation.inputs.shape[1:]:
        raise _not_mnist(path, "its training and its test images differ in size")
    return Data("MNIST", training, Rows(*(part[:VALIDATION] for part in validation)))


def _labelled_images(path: str, arrays: Dict[str, np.ndarray], x: str, y: str) -> Rows:
    for name in (x, y):
        if name not in arrays:
            raise _not_mnist(path, "it has no array {!r}".format(name))
    images, labels = arrays[x], arrays[y]
    if images.dtype != np.uint8 or images.ndim != 3 or 0 in images.shape:
        raise _not_mnist(path, "{} is not an array of images, bytes [rows, 28, 28]".format(x))
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise _not_mnist(path, "{} is not one whole number for each image of {}".format(y, x))
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise _not_mnist(path, "{} has labels other than 0 to 9".format(y))
    return Rows(images.astype(np.float32) / np.float32(255), _one_hot(labels))


def _read_idx(folder: str, stem: str) -> np.ndarray:
    """An array of bytes in IDX, the format of LeCun's MNIST page: magic, sizes, bytes."""
    path = _find_idx(folder, stem)
    try:
        with open(path, "rb") as file:
            content = file.read()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise _not_mnist(path, getattr(error, "strerror", None) or "it is truncated or damaged")
    if content[:4] not in IDX_MAGICS:
        raise _not_mnist(path, "it is not an IDX file of images or labels")
    start = 4 + 4 * content[3]
    sizes = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    # Not np.prod, which would wrap around on the sizes of a damaged header.
    wanted = start + functools.reduce(operator.mul, sizes, 1)
    if len(content) != wanted:
        raise _not_mnist(
            path, "it has {} bytes, but its header says {}".format(len(content), wanted)
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def _find_idx(folder: str, stem: str) -> str:
    names = [
        "{}{}idx{}-ubyte{}".format(stem, separator, 3 if stem.endswith("images") else 1, suffix)
        for separator in "-."
        for suffix in ("", ".gz")
    ]
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    raise _not_mnist(folder, "it has no file {} or {}".format(names[0], names[1]))


def _not_mnist(path: str, reason: str) -> UserError:
    return UserError("Cannot read {} as {}: {}.".format(path, MNIST_FORMS, reason))
