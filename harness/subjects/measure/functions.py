"""Samples of a subject's tanh, softmax and log, as the traces of small networks show them."""

from typing import Any, Callable, Iterator, List, Tuple

import numpy as np

from rnndiff.harness.cases.case import smallest_case
from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.subjects import ulp
from rnndiff.harness.subjects.measure.networks import Cell, project, trace_of
from rnndiff.harness.subjects.measure.samples import UNIT, Sample
from rnndiff.harness.subjects.subject import Subject

Pairs = List[Tuple[np.ndarray, np.ndarray]]

_LONG = 4096
# Rows and units of short arrays: below, at and above the 4, 8 and 16 lanes of a vector.
_SHORT = ((1, 1), (1, 3), (1, 4), (1, 7), (1, 8), (2, 5), (1, 16), (1, 17), (3, 11))
_CLASSES = (2, 3, 4, 8, 17, 40)
# How far scores are apart.
_SCALES = (0.5, 3.0, 12.0)
# How often a short array is tried.
_CALLS = 40
# How many of the worst arguments are searched around, and how far, in units in the last place.
_NEAR, _DISTANCES = 32, (2**20, 2**16, 2**12, 2**8)


def _sample(function: str, place: str, at: Any, errors: Any, units: Any) -> Sample:
    at, errors, units = (
        np.concatenate([np.ravel(part) for part in parts]) for parts in (at, errors, units)
    )
    return Sample(function, place, at, np.where(np.isnan(errors), np.inf, errors), units)


def _sample_of(function: str, place: str, pairs: Any, exact: Callable[..., Any]) -> Sample:
    """Of pairs of arguments and results of a function."""
    with np.errstate(invalid="ignore"):
        at = [np.ravel(arguments) for arguments, _ in pairs]
        exacts = [exact(arguments) for arguments in at]
        errors = [np.abs(np.ravel(results) - e) for (_, results), e in zip(pairs, exacts)]
    return _sample(function, place, at, errors, [ulp_of(e) for e in exacts])


def _searched(run: Callable[[np.ndarray], Tuple[np.ndarray, np.ndarray]], count: int) -> Pairs:
    """Arguments of tanh and results: half of them spread, the others near what was worst so far.

    ``run`` takes float32 arguments [_LONG, 1], and gives what the subject made of them.
    """
    random, pairs = np.random.RandomState(0), []
    tried = np.concatenate([ulp.TANH.hard, *ulp.sample(ulp.TANH, count // 2)])
    for distance in _DISTANCES + (0,):
        pairs.extend(run(block) for block in _blocks(tried.astype(np.float32), _LONG, 1))
        sample = _sample_of("tanh", "", pairs, np.tanh)
        worst = [
            np.argsort(errors)[-_NEAR:] for errors in (sample.errors / sample.units, sample.errors)
        ]
        near = sample.at[np.concatenate(worst)].astype(np.float32).view(np.int32)
        each = max(1, count // (2 * len(_DISTANCES) * len(near)))
        moved = near[:, None] + random.randint(-distance, distance + 1, (len(near), each))
        tried = moved.ravel().astype(np.int32).view(np.float32)
        tried = tried[np.isfinite(tried)]
    return pairs


def _blocks(numbers: np.ndarray, rows: int, units: int) -> Iterator[np.ndarray]:
    """The numbers [rows, units] by [rows, units], the last block filled up with halves."""
    size = rows * units
    padded = np.append(numbers, np.full(-len(numbers) % size, np.float32(0.5)))
    return iter(padded.reshape(-1, rows, units))


def sample_long_tanh(subject: Subject, cell: Cell, count: int) -> Sample:
    """The tanh of a cell, at about `count` arguments in arrays that fill whole vectors."""
    kernel = np.array([[1.0], [0.0]])
    pairs = _searched(lambda block: cell.run(subject, block[:, None], kernel, np.zeros(1)), count)
    place = "{} of {}, {} rows of 1".format(cell.array, cell.model, _LONG)
    return _sample_of("affine tanh", place, pairs, np.tanh)


def sample_short_tanh(subject: Subject, cell: Cell) -> Sample:
    """The tanh of a cell in rows that do not fill a vector, or a little more than one."""
    arguments = np.concatenate(list(ulp.sample(ulp.TANH, 1000 * len(_SHORT))))
    # The others would be infinite, and of no use beside a zero of the identity.
    arguments = arguments[np.isfinite(arguments)]
    pairs = []
    for k, (rows, units) in enumerate(_SHORT):
        kernel = np.eye(2 * units, units)
        part = arguments[k :: len(_SHORT)][: _CALLS * rows * units]
        for block in _blocks(part, rows, units):
            pairs.append(cell.run(subject, block[:, None], kernel, np.zeros(units)))
    place = "{} of {}, short rows".format(cell.array, cell.model)
    return _sample_of("affine tanh", place, pairs, np.tanh)


def sample_tanh_of_features(subject: Subject, count: int) -> Sample:
    """The tanh of attention's features, at about `count` arguments."""
    pairs = []
    for size in (1, 3, 8, 17):
        numbers = {
            "encoder/kernel": np.eye(2, 1),
            "encoder/cell/kernel": np.eye(2, 1),
            # A power of two: up to 16, from where on tanh is 1.
            "encoder/attention/kernel": 16.0,
            "encoder/attention/attn_v": np.arange(size) == size - 1,
        }
        for block in _blocks(np.concatenate(list(ulp.sample(ulp.TANH, count // 4))), _LONG, 1):
            sizes = dict(batch=_LONG, attn_vec_size=size)
            case = smallest_case("attention", sizes, dict(numbers, inputs=block[:, None]))
            trace = trace_of(subject, case)
            pairs.append((16 * trace["encoder_states"], trace["encoder_energies"]))
    return _sample_of("tanh", "encoder_energies of attention", pairs, np.tanh)


def _softmax_sample(place: str, rows: Any) -> Sample:
    """Of pairs of scores and probabilities, [..., count].

    The contract of a stated softmax: what is computed is ``softmax(s + d) (1 + e) + a`` with
    ``abs(d) <= u (max(s) - s)``, ``abs(e) <= 2 u ulp + gamma_(count - 1)`` and
    ``abs(a) <= absolute``.
    """
    at, errors, units = [], [], []
    for scores, probabilities in rows:
        depth = np.max(scores, axis=-1, keepdims=True) - scores
        exponentials, off = np.exp(-depth), depth * UNIT
        low, high = exponentials * np.exp(-off), exponentials * np.exp(off)
        gamma = np.expm1((scores.shape[-1] - 1) * UNIT)
        most = high / (high + np.sum(low, axis=-1, keepdims=True) - low) * (1 + gamma)
        least = low / (low + np.sum(high, axis=-1, keepdims=True) - high) * (1 - gamma)
        errors.append(np.maximum(np.maximum(probabilities - most, least - probabilities), 0.0))
        units.append(2 * UNIT * exponentials / np.sum(exponentials, axis=-1, keepdims=True))
        at.append(-depth)
    return _sample("softmax", place, at, errors, units)


def sample_softmax(subject: Subject, name: str, count: int, offset: float = 0.0) -> Sample:
    """The softmax of a model, in rows of `count` classes in all, of scores near `offset`."""
    random, rows = np.random.RandomState(0), []
    for classes in _CLASSES:
        share = max(1, count // (len(_CLASSES) * len(_SCALES) * classes))
        bias = np.full(classes, offset)
        for scale in _SCALES:
            for batch in [min(share, _LONG)] * -(-share // _LONG) + [1] * (_CALLS // 4):
                inputs = random.standard_normal((batch, 4)).astype(np.float32)
                cell = random.standard_normal((4 + 8, 8))
                read = (2 if name == "bidirectional" else 1) * 8
                kernel = scale * random.standard_normal((read, classes))
                rows.append(project(subject, name, inputs, cell, kernel, bias)[1:])
    place = "probabilities of " + name
    return _softmax_sample(place + " (near {:.0f})".format(offset) if offset else place, rows)


def sample_alignments(subject: Subject, count: int) -> Sample:
    """The softmax of attention, in rows of about `count` slots in all."""
    random, rows = np.random.RandomState(0), []
    for slots in (2, 3, 8, 17):
        sizes = dict(inputs=2, num_units=3, attn_length=slots, attn_size=4, attn_vec_size=5)
        sizes.update(time=slots + 2, batch=max(1, count // (4 * len(_SCALES) * slots * slots)))
        for scale in _SCALES:
            case = smallest_case("attention", sizes, {})
            for name, array in case.arrays.items():
                if name != "labels":
                    array[...] = random.standard_normal(array.shape)
            case.arrays["encoder/attention/attn_v"][...] *= scale
            trace = trace_of(subject, case)
            rows.append((trace["encoder_energies"], trace["encoder_alignments"]))
    return _softmax_sample("encoder_alignments of attention", rows)


def sample_log(subject: Subject, name: str, count: int) -> Sample:
    """The log in a model's loss, at about `count` probabilities."""
    random, pairs = np.random.RandomState(0), []
    # From just above the 1e-10 that the loss clips at, and from all of the binades below 1.
    logits = [_logit(share) for share in 10 ** random.uniform(-9.5, -0.3, count // 4 + 1)]
    logits += [_logit(1 - part) for part in 2 ** random.uniform(-24, -0.1, count // 4 + 1)]
    while logits:
        for k, logit in enumerate(logits):
            bias = np.zeros(_CLASSES[k % len(_CLASSES)])
            bias[0] = logit + np.log(len(bias) - 1)
            trace = trace_of(
                subject, smallest_case(name, {"outputs": len(bias)}, {"projection/bias": bias})
            )
            pairs.append((trace["probabilities"].reshape(-1)[0], trace["loss"]))
        sample = _sample_of("log", "loss of " + name, pairs, lambda p: -np.log(np.minimum(p, 1.0)))
        # Then once more, near what was worst.
        worst = sample.at[np.argsort(sample.errors / sample.units)[-_NEAR:]]
        worst = worst[(0 < worst) & (worst < 1)]
        again = count // 2 if len(worst) and len(pairs) < count else 0
        logits = [_logit(p) + random.normal() / 64 for p in np.resize(worst, again)]
    return sample


def _logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))
