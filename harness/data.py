"""Real data to train on: three-digit additions, and handwritten digits read row by row."""

import gzip
import os
import zlib
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from harness.errors import UserError
from harness.files import read_npz

ALPHABET = "0123456789+ "
QUESTION, ANSWER = len("999+999"), len("1998")
CLASSES = 10
VALIDATION = 500
"""The most validation rows that are taken: enough to tell a trained network from chance."""


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

    def chance(self) -> float:
        """The accuracy of the best constant answer to all validation rows."""
        return float(np.mean(np.max(np.mean(self.validation.labels, axis=0), axis=-1)))


def load(model: str, seed: int, mnist: Optional[str] = None) -> Data:
    """The data that the model of that name is verified on.

    Parameters
    ----------
    model : str
        A name in ``models.MODELS``.
    seed : int
        0 to 2**32 - 1; decides which additions are drawn and which digits are kept aside.
    mnist : str, optional
        Where MNIST is, see :func:`mnist`; only for "bidirectional".

    Raises
    ------
    UserError
        If the data is not there or is damaged.
    """
    if model != "bidirectional":
        return additions(seed)
    return digits(seed) if mnist is None else _mnist(mnist)


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
    return np.eye(len(ALPHABET), dtype=np.float32)[codes]


def digits(seed: int) -> Data:
    """scikit-learn's handwritten digits: 1797 images of 8x8 pixels from 0 to 1, in random order.

    Raises
    ------
    UserError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError(
            "The handwritten digits come with scikit-learn ({}): "
            "pip install 'rnndiff[test]', or give --mnist.".format(error)
        )
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


MNIST_FORMS = "Keras' mnist.npz or the folder of the four IDX files of MNIST"


def _mnist(path: str) -> Data:
    if os.path.isdir(path):
        arrays = {name: _read_idx(path, stem) for name, stem in IDX_STEMS.items()}
    else:
        arrays = read_npz(path, MNIST_FORMS)
    training = _labelled_images(path, arrays, "x_train", "y_train")
    validation = _labelled_images(path, arrays, "x_test", "y_test")
    return Data("MNIST", training, Rows(*(part[:VALIDATION] for part in validation)))


IDX_STEMS = {
    "x_train": "train-images",
    "y_train": "train-labels",
    "x_test": "t10k-images",
    "y_test": "t10k-labels",
}


