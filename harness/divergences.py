"""Known divergences: where TensorFlow is the one that is wrong, as data.

An entry excuses exactly the elements of the teacher-forced trace that it covers, and only if they
have the very values that the entry predicts. Once an element is excused, the states that follow
from it are no longer the oracle's, so the free-running run of that case is not judged; every step
of it still is, teacher-forced.
"""

from dataclasses import MISSING, fields
from typing import Callable, Mapping, NamedTuple, Optional, Tuple, Union

import numpy as np

from harness.case import Case
from harness.verdict import FREE_RUNNING, TEACHER_FORCED, ArrayVerdict, Verdict
from models import MODELS

NAN, INF = float("nan"), float("inf")
LOWEST = float(np.finfo(np.float32).min)

Version = Tuple[int, int]
Trace = Mapping[str, np.ndarray]


class Minimal(NamedTuple):
    """The smallest case of an entry: sizes of 1 and zeros, but for what is named here."""

    model: str
    sizes: Mapping[str, int]
    numbers: Mapping[str, Mapping[Tuple[int, ...], float]]

    def case(self) -> Case:
        """The case."""
        model = MODELS[self.model]
        ones = {field.name: 1 for field in fields(model.Config) if field.default is MISSING}
        config = model.Config(**dict(ones, **self.sizes))
        arrays = {
            field.name: np.zeros(field.shape(config), np.float32) for field in model.fields(config)
        }
        arrays["labels"][..., 0] = 1
        for name, numbers in self.numbers.items():
            for index, number in numbers.items():
                arrays[name][index] = number
        return Case(model, config, arrays)


class Divergence(NamedTuple):
    """One entry.

    It holds in the TensorFlow versions from ``first`` to ``last``, both included;
    ``onednn`` says whether with oneDNN's kernels only (True), without them only (False) or always
    (None). ``arrays`` names the arrays of the trace in which it shows; ``instead(case, trace,
    name)`` returns, for such an array, a mask of the elements that it covers and the values that
    TensorFlow has there.
    """

    name: str
    what: str
    first: Version
    last: Version
    arrays: Tuple[str, ...]
    instead: Callable[[Case, Trace, str], Tuple[np.ndarray, np.ndarray]]
    minimal: Minimal
    onednn: Optional[bool] = None


def _argmax_skips_nan(case: Case, trace: Trace, name: str) -> Tuple[np.ndarray, np.ndarray]:
    scores = np.asarray(trace["scores"])
    return np.isnan(scores).any(axis=-1), _first_above_lowest(scores)


def _argmax_skips_lowest(case: Case, trace: Trace, name: str) -> Tuple[np.ndarray, np.ndarray]:
    scores = np.asarray(trace["scores"])
    return np.max(scores, axis=-1) == LOWEST, _first_above_lowest(scores)


def _first_above_lowest(scores: np.ndarray) -> np.ndarray:
    """What a search finds that starts from place 0 and the lowest finite number."""
    with np.errstate(invalid="ignore"):
        return np.argmax(np.where(scores > LOWEST, scores, -np.inf), axis=-1)


def _softmax_without_nan(case: Case, trace: Trace, name: str) -> Tuple[np.ndarray, np.ndarray]:
    read = "scores" if name == "probabilities" else name.replace("alignments", "energies")
    scores = np.asarray(trace[read])
    poisoned = np.isnan(scores) | (scores == np.inf)
    covered = np.broadcast_to(poisoned.any(axis=-1, keepdims=True), scores.shape)
    return covered, np.where(poisoned, np.nan, 0.0)


def _zero_window(case: Case, trace: Trace, name: str) -> Tuple[np.ndarray, np.ndarray]:
    attentions = np.asarray(trace[name])
    covered = np.zeros(attentions.shape, dtype=bool)
    covered[:, :1] = np.isnan(trace["encoder_alignments"]).any(axis=-1)[:, :1, None]
    return covered, np.zeros(attentions.shape)


class Failure(NamedTuple):
    """An entry for cases in which TensorFlow raises an error instead of computing anything."""

    name: str
    what: str
    first: Version
    last: Version
    covers: Callable[[Case], bool]
    error: str
    minimal: Minimal
    onednn: Optional[bool] = None


class Rewrite(NamedTuple):
    """An entry for cases that TensorFlow computes as if they were others.

    ``computes`` gives that other case, which must then agree.
    """

    name: str
    what: str
    first: Version
    last: Version
    covers: Callable[[Case], bool]
    computes: Callable[[Case], Case]
    minimal: Minimal
    onednn: Optional[bool] = None


class Ending(NamedTuple):
    """An entry for cases in which TensorFlow ends the process.

    The first such case of each model is computed in a process of its own, to see that it still
    does; the others are then taken to do the same.
    """

    name: str
    what: str
    first: Version
    last: Version
    covers: Callable[[Case], bool]
    minimal: Minimal
    onednn: Optional[bool] = None


def _has_no_units(case: Case) -> bool:
    return case.config.num_units == 0


def _without_lost_biases(case: Case) -> Case:
    """The case without the biases that are added to a product over no units at all."""
    lost = ["projection/bias"]
    if case.model.name == "attention":
        lost = ["encoder/attention/bias", "decoder/attention/bias"]
    zeros = {name: np.zeros_like(case.arrays[name]) for name in lost if name in case.arrays}
    return Case(case.model, case.config, dict(case.arrays, **zeros))


def _has_empty_product(case: Case) -> bool:
    """A product over no units, or one with no columns.

    That of the first step is of zeros, which Grappler computes itself.
    """
    sizes = case.config.sizes()
    no_columns = sizes.get("encoder_input_size") == 0 and sizes["time"] > 1
    return sizes["num_units"] == 0 or no_columns


def _empty_convolution(case: Case) -> bool:
    """The convolution's wrong depth is seen by the addition after it unless it broadcasts."""
    sizes = case.config.sizes()
    depths = sizes.get("attn_size", 1), sizes.get("attn_vec_size", 1)
    return sizes["batch"] == 0 and depths[0] != depths[1] and 1 not in depths


Entry = Union[Divergence, Failure, Rewrite, Ending]

ENTRIES: Tuple[Entry, ...] = (
    Divergence(
        name="argmax-skips-nan",
        what="tf.argmax passes over NaN, where NumPy returns the place of the first one",
        first=(1, 13),
        last=(99, 0),
        arrays=("predictions",),
        instead=_argmax_skips_nan,
        minimal=Minimal("bidirectional", {"outputs": 2}, {"projection/bias": {(0,): NAN}}),
    ),
    Divergence(
        name="argmax-skips-lowest",
        what="tf.argmax passes over the lowest finite number, even where the others are -inf",
        first=(1, 13),
        last=(99, 0),
        arrays=("predictions",),
        instead=_argmax_skips_lowest,
        minimal=Minimal(
            "bidirectional", {"outputs": 2}, {"projection/bias": {(0,): -INF, (1,): LOWEST}}
        ),
    ),
    Divergence(
        name="softmax-zero-beside-nan",
        what="oneDNN's softmax of a row with NaN or +inf has NaN there and 0 elsewhere, "
        "where the formula gives NaN throughout",
        first=(2, 12),
        last=(99, 0),
        arrays=("probabilities", "encoder_alignments", "decoder_alignments"),
        instead=_softmax_without_nan,
        minimal=Minimal("bidirectional", {"outputs": 2}, {"projection/bias": {(0,): NAN}}),
        onednn=True,
    ),
    Divergence(
        name="zero-window-times-nan",
        what="Grappler takes an alignment times the window's initial zeros for zero, "
        "where NaN times zero is NaN",
        first=(1, 13),
        last=(2, 16),
        arrays=("encoder_attentions",),
        instead=_zero_window,
        minimal=Minimal("attention", {}, {"inputs": {(0, 0, 0): NAN}}),
    ),
    Failure(
        name="empty-convolution",
        what="oneDNN's Conv2D of an empty batch returns its input's depth, not its filter's",
        first=(2, 9),
        last=(99, 0),
        covers=_empty_convolution,
        error="Incompatible shapes: [0,",
        minimal=Minimal("attention", {"batch": 0, "attn_size": 2, "attn_vec_size": 3}, {}),
        onednn=True,
    ),
    Rewrite(
        name="empty-product-loses-bias",
        what="the bias after a matrix product of inner size 0 is not added",
        first=(1, 14),
        last=(99, 0),
        covers=_has_no_units,
        computes=_without_lost_biases,
        minimal=Minimal("bidirectional", {"num_units": 0}, {"projection/bias": {(0,): 1.0}}),
        onednn=False,
    ),
    Ending(
        name="empty-inner-product",
        what="oneDNN's fused MatMul and BiasAdd ends the process if a size is 0",
        first=(2, 9),
        last=(99, 0),
        covers=_has_empty_product,
        minimal=Minimal("seq2seq", {"num_units": 0}, {}),
        onednn=True,
    ),
)


def known_in(version: Version, onednn: bool) -> Tuple[Entry, ...]:
    """The entries that hold in that version of TensorFlow, with oneDNN's kernels or without."""
    return tuple(
        entry
        for entry in ENTRIES
        if entry.first <= version <= entry.last and entry.onednn in (None, onednn)
    )


def excuse_error(case: Case, error: str, known: Tuple[Entry, ...]) -> Verdict:
    """The verdict on a case in which the subject raised `error`."""
    met = [
        entry.name
        for entry in known
        if isinstance(entry, Failure) and entry.covers(case) and entry.error in error
    ]
    return Verdict([], tuple(met), error)


def excuse_ending(case: Case, signal: str, known: Tuple[Entry, ...]) -> Verdict:
    """The verdict on a case in which the subject ended the process."""
    met = [entry.name for entry in known if isinstance(entry, Ending) and entry.covers(case)]
    return Verdict([], tuple(met), "{}: the process was ended".format(signal))


def rewrites(case: Case, known: Tuple[Entry, ...]) -> Tuple[Rewrite, ...]:
    """The entries by which the subject may have computed another case."""
    return tuple(entry for entry in known if isinstance(entry, Rewrite) and entry.covers(case))


def excuse(verdict: Verdict, case: Case, trace: Trace, known: Tuple[Entry, ...]) -> Verdict:
    """Excuse what the entries cover; the verdict itself if they cover nothing."""
    entries = [entry for entry in known if isinstance(entry, Divergence)]
    met, arrays = [], []
    for array in verdict.arrays:
        if array.run == TEACHER_FORCED:
            for entry in entries:
                if array.name in entry.arrays and array.worst > 1:
                    array, covered = _excused(array, entry, case, trace)
                    met.extend([entry.name] if covered else [])
        arrays.append(array)
    if not met:
        return verdict
    judged = [array for array in arrays if array.run != FREE_RUNNING]
    return Verdict(judged, tuple(sorted(set(met))))


def _excused(
    array: ArrayVerdict, entry: Divergence, case: Case, trace: Trace
) -> Tuple[ArrayVerdict, bool]:
    covered, values = entry.instead(case, trace, array.name)
    same = (array.actual == values) | (np.isnan(array.actual) & np.isnan(values))
    known = array.wrong & covered & same
    return (array.excused(known), True) if known.any() else (array, False)
