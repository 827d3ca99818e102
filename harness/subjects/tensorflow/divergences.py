"""Known divergences: where TensorFlow is the one that is wrong, as data.

What an entry means, and how it excuses, stands in :mod:`rnndiff.harness.judging.excuses`.
"""

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from rnndiff.harness.cases.another_batch import is_open
from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.changed_cells import Change, mix_in, with_cells
from rnndiff.harness.judging.excuses import (
    Entry,
    Instead,
    KnownDivergence,
    KnownEnding,
    KnownError,
    KnownRewrite,
    Minimal,
    Trace,
)
from rnndiff.harness.judging.stand_ins import (
    arithmetic_of,
    expected_of,
    replaced,
    stand_in,
    with_number,
)
from rnndiff.harness.judging.verdict import FREE_RUNNING, ArrayVerdict
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, exact
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.subjects.keras_layers import has_layer, is_of_keras, is_unrolled
from rnndiff.harness.subjects.known_zeros import with_zeros_that_are_known
from rnndiff.harness.subjects.tensorflow.modes import NOTHING, PARTS, WHOLE
from rnndiff.models import MODELS, Model
from rnndiff.models.cells import BasicRNNCell, GRUCell, LayerNormBasicLSTMCell, keras
from rnndiff.models.cells.cell import cells_in
from rnndiff.models.cells.kinds import KINDS, PLAIN, Kind, part_of
from rnndiff.models.functions import (
    accumulate,
    accuracy,
    affine,
    hard_sigmoid,
    interpolate,
    layer_norm,
    log_loss,
    one_hot,
    relu,
    sigmoid,
)
from rnndiff.models.keras.oracle import run

# The oldest TensorFlow that is tested.
OLDEST = (1, 13)

NAN, INF = float("nan"), float("inf")
LOWEST = float(np.finfo(np.float32).min)

_FLOAT32 = arithmetic("float32")

# All arrays of the traces that are neither arg maxes nor made of them.
_STEPS = ("cell_inputs", "states", "energies", "alignments", "attentions", "windows", "outputs")
_NUMBERS = (
    *("{}_{}".format(side, part) for side in ("encoder", "decoder") for part in _STEPS),
    *("outputs", "forward_final_state", "backward_final_state", "scores", "probabilities", "loss"),
)

# Of the article's models, what is a tanh.
_STATES = ("encoder_states", "decoder_states", "outputs")
# All arrays of the models that have a cell of any kind, and a layer of Keras'.
_OF_CELLS = tuple(
    sorted({x.name for m in MODELS.values() if hasattr(m.Config, "kind") for x in m.trace})
)

_OF_KERAS = tuple(sorted({x.name for m in MODELS.values() if has_layer(m.Config) for x in m.trace}))

Version = Tuple[int, int]

_UNCOMPILED, _COMPILED, _NOT_WHOLE = (NOTHING,), (PARTS, WHOLE), (NOTHING, PARTS)
_OF_XLA = {
    (NOTHING, PARTS, WHOLE): "",
    _UNCOMPILED: "without XLA",
    _COMPILED: "with XLA",
    _NOT_WHOLE: "unless XLA compiles all",
    (PARTS,): "where XLA chooses what it compiles",
    (WHOLE,): "where XLA compiles all",
}


class Where(NamedTuple):
    """In which TensorFlow an entry holds.

    In the versions from ``first`` to ``last``, both included (None: to the newest); with oneDNN's
    kernels, where Grappler rewrites graphs, if ``onednn`` and ``grappler`` are True, without if
    they are False, and either way if they are None; where XLA compiles as much as ``xla`` has,
    NOTHING, PARTS or WHOLE; in graphs of ``precision``, None for all.
    """

    first: Version
    last: Optional[Version] = None
    onednn: Optional[bool] = None
    xla: Tuple[str, ...] = (NOTHING, PARTS, WHOLE)
    grappler: Optional[bool] = None
    precision: Optional[str] = None

    def __str__(self) -> str:
        """As README says it: "2.5 on, with oneDNN"."""
        first, last = ("{}.{}".format(*v) if v else "" for v in (self.first, self.last))
        if self.first == self.last:
            said = first
        elif self.first == OLDEST:
            said = "to " + last if last else "all"
        else:
            said = "{} to {}".format(first, last) if last else first + " on"
        parts = [
            said,
            _with_or_without("oneDNN", self.onednn),
            _OF_XLA[self.xla],
            _with_or_without("Grappler", self.grappler),
            "in " + self.precision if self.precision else "",
        ]
        return ", ".join(filter(None, parts))

    def holds(
        self,
        version: Version,
        onednn: bool,
        xla: str,
        grappler: bool = True,
        precision: str = "float32",
    ) -> bool:
        """Whether it holds in that version, with or without oneDNN's kernels and Grappler.

        ``xla`` is what XLA compiles of a graph: NOTHING, PARTS or WHOLE.
        """
        return (
            self.first <= version
            and (self.last is None or version <= self.last)
            and self.onednn in (None, onednn)
            and xla in self.xla
            and self.grappler in (None, grappler)
            and self.precision in (None, precision)
        )


def _with_or_without(name: str, has: Optional[bool]) -> str:
    return "" if has is None else "{} {}".format("with" if has else "without", name)


def _has_nan(scores: np.ndarray, lowest: float) -> np.ndarray:
    return np.isnan(scores).any(axis=-1)


def _has_only_lowest(scores: np.ndarray, lowest: float) -> np.ndarray:
    return np.max(scores, axis=-1) == lowest


def _has_tie(scores: np.ndarray, lowest: float) -> np.ndarray:
    flushed = _flushed(scores)
    return np.sum(flushed == np.max(flushed, axis=-1, keepdims=True), axis=-1) > 1


def _has_nan_or_only_lowest(scores: np.ndarray, lowest: float) -> np.ndarray:
    return _has_nan(scores, lowest) | _has_only_lowest(scores, lowest)


def _is_found_differently(scores: np.ndarray, lowest: float) -> np.ndarray:
    return _has_nan_or_only_lowest(scores, lowest) | _has_tie(scores, lowest)


def _above_lowest(scores: np.ndarray, lowest: float) -> np.ndarray:
    """Eigen's arg max: a search that starts from place 0 and the lowest finite number."""
    return np.argmax(np.where(scores > lowest, scores, -np.inf), axis=-1)


def _not_less(scores: np.ndarray, lowest: float) -> np.ndarray:
    """XLA's: a search that keeps what it has while that is not less; no number is more than NaN."""
    return _kept(scores, np.greater_equal)


def _greater(scores: np.ndarray, lowest: float) -> np.ndarray:
    """XLA's until TensorFlow 1.15: a search that keeps what it has while that is greater."""
    return _kept(scores, np.greater)


def _kept(scores: np.ndarray, keeps: np.ufunc) -> np.ndarray:
    best, index = scores[..., 0], np.zeros(scores.shape[:-1], np.int64)
    for place in range(1, scores.shape[-1]):
        kept = keeps(best, scores[..., place])
        best = np.where(kept, best, scores[..., place])
        index = np.where(kept, index, place)
    return index


# Of scores [..., outputs] and the lowest finite number, something of each row.
_OfRows = Callable[[np.ndarray, float], np.ndarray]


def _by(differs: _OfRows, *searches: _OfRows) -> Callable[[Case, Trace, ArrayVerdict], Instead]:
    """What TensorFlow has if an arg max is one of these searches.

    ``differs`` marks the rows for which they may find something else.
    """

    def instead(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
        scores, precision = np.asarray(trace["scores"]), precision_of(array.precision)
        lowest = -precision.largest
        if array.name == "accuracy":
            # As they are read.
            scores = precision.rounded(case.labels)
        covered = differs(scores, lowest)
        # Of subnormals, either as they are or flushed to zero.
        found = [search(x, lowest) for search in searches for x in (scores, _flushed(scores))]
        if array.name == "accuracy":
            return _accuracy_by(found, case, trace, array)._replace(covered=covered.any())
        if array.name == "fed_back":
            if getattr(case.config, "feeds", "one-hots") != "one-hots":
                covered = np.zeros_like(covered)
            tokens = [one_hot(index[:, :-1], scores.shape[-1], np.float32) for index in found]
            covered, *found = (_fed_back(case, array, x) for x in (covered[:, :-1, None], *tokens))
        values = found[0]
        for other in found[1:]:
            same = array.actual == other
            same = same.all(axis=-1, keepdims=True) if array.name == "fed_back" else same
            values = np.where(same, other, values)
        return Instead(covered, values)

    return instead


def _accuracy_by(
    found: Iterable[np.ndarray], case: Case, trace: Trace, array: ArrayVerdict
) -> Instead:
    """The accuracy if one of the classes `found` is taken for that of the labels."""
    for index in found:
        stated = arithmetic_of(array)
        labels = exact(one_hot(index, case.config.outputs, np.float32), stated)
        share = accuracy(exact(trace["predictions"], stated), labels)
        if np.abs(array.actual - share.mid) <= share.rad:
            break
    return Instead(np.array(True), share.mid, share.rad)


def _flushed(numbers: np.ndarray) -> np.ndarray:
    return np.where(np.abs(numbers) < np.finfo(numbers.dtype).tiny, 0.0, numbers)


def _softmax_without_nan(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    read = _read_by(array.name) if array.name.endswith("alignments") else "scores"
    scores = np.asarray(trace[read])
    poisoned = np.isnan(scores) | (scores == np.inf)
    covered = np.broadcast_to(poisoned.any(axis=-1, keepdims=True), scores.shape)
    values = np.where(poisoned, np.nan, 0.0)
    if array.name == "fed_back":
        if getattr(case.config, "feeds", "one-hots") != "probabilities":
            covered = np.zeros_like(covered)
        covered, values = (_fed_back(case, array, x[:, :-1]) for x in (covered, values))
    return Instead(covered, values)


def _fed_back(case: Case, array: ArrayVerdict, tokens: np.ndarray) -> np.ndarray:
    """What is fed back: these tokens, after the start token if there is one.

    Of marks of tokens, whether each is marked; a start token is not.
    """
    if not getattr(case.config, "start_token", None):
        return tokens
    start = array.actual[:, :1, : tokens.shape[-1]]
    return np.concatenate(
        [np.zeros_like(start, bool) if tokens.dtype == bool else start, tokens], 1
    )


def _read_by(alignments: str) -> str:
    return alignments.replace("alignments", "energies")


def _softmax_of_unrounded(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """A softmax that subtracts the largest energy from energies that round to those recorded."""
    stated = arithmetic_of(array)
    energies = np.asarray(trace[_read_by(array.name)], np.float64)
    covered = np.isfinite(energies) & (case.config.sizes()["attn_vec_size"] == 1)
    rad = np.abs(energies) * stated.unit + stated.smallest
    largest = exact(np.max(energies, axis=-1, keepdims=True), stated)
    exponentials = np.exp(BoundedArray(energies, rad, stated) - largest)
    alignments = exponentials / np.sum(exponentials, axis=-1, keepdims=True)
    # Whatever is read, what comes out is a share, or NaN.
    actual = np.asarray(array.actual, np.float64)
    is_share = (0 <= actual) & (actual <= 1 + 8 * stated.unit) | np.isnan(actual)
    return Instead(covered & is_share, alignments.mid, alignments.rad)


def _loss_of_clipped_nan(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """The loss if the least probability stands in for NaN."""
    stated = arithmetic_of(array)
    probabilities = np.asarray(trace["probabilities"])
    nan = np.isnan(probabilities)
    clipped = exact(np.where(nan, 0.0, probabilities), stated)
    loss = log_loss(clipped, exact(case.labels, stated))
    return Instead(nan.any(), loss.mid, loss.rad)


def _of_clipped_nan(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """Any number within the clip where NaN should be, if something is clipped.

    XLA computes what it fuses once for each that reads it, each time with instructions of its own:
    in the same step one may have NaN, another one a number. So what is computed of a number that
    was recorded in the place of NaN may be NaN, too.
    """
    config = case.config
    projects = getattr(config, "num_proj", None) is not None
    of_c, of_h = getattr(config, "cell_clip", None), projects and config.proj_clip or None
    covered = np.isnan(array.expected) & (of_c is not None or of_h is not None)
    if of_h is None and not projects and of_c is not None:
        # A gate times a function of what is clipped.
        of_h = 1.0 if getattr(config, "activation", "tanh") in ("tanh", "sigmoid") else of_c
    limit = {"c": of_c, "h": of_h, "outputs": of_h}.get(array.name.rpartition("_")[2])
    if limit is not None:
        covered &= np.abs(array.actual) <= limit
    if np.isnan(array.actual[~np.isnan(array.expected)]).any() and (of_c, of_h) != (None, None):
        covered |= np.isnan(array.actual) & _is_nan_by_nan(case, trace, array)
    return Instead(covered)


def _is_nan_by_nan(case: Case, trace: Trace, array: ArrayVerdict) -> np.ndarray:
    """What should be NaN if all was read as NaN that should have been, whatever was recorded."""
    # From the inputs on, nothing that was recorded is read.
    return np.isnan(expected_of(case, trace, array._replace(run=FREE_RUNNING)).expected)


def _undefined_for_nan(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    return Instead(np.isnan(array.expected))


def _zero_window(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    config, covered = case.config, np.zeros(array.actual.shape, dtype=bool)
    zeros = np.zeros(array.actual.shape)
    # With an open batch Grappler does not know the window's shape.
    if is_open(config):
        return Instead(covered, zeros)
    if array.name == "encoder_attentions":
        covered[:, :1] = np.isnan(trace["encoder_alignments"]).any(axis=-1)[:, :1, None]
        return Instead(covered, zeros)
    # After a single step the decoder starts from zeros alone, if its token is zeros, too.
    covered[:, :1] = config.time == 1 and getattr(config, "start_token", None) == "zeros"
    added = exact(zeros, _FLOAT32) + exact(case.arrays["decoder/bias"], _FLOAT32)
    return Instead(covered, added.mid, added.rad)


def _tanh_of_nan(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    if array.name.endswith("energies"):
        return _energies_of_packets(case, trace, array.name.partition("_")[0])
    if _takes_any_cell(case.config):
        found = _of_cells_with_tanh_in_packets(case, trace, array)
        # In the same graph a mask may be taken as it should not.
        for other in _with_other_masks(case):
            tanh = _everywhere(other, [(_with_tanh_in_packets,)], trace, array)
            found = _one_of(array, found, *tanh)
        return found
    states = array.actual
    if array.name not in _STATES:
        return Instead(np.zeros(states.shape, dtype=bool), states)
    cells = np.split(states, 2, axis=-1) if array.name == "outputs" else [states]
    packets = [np.stack(list(map(_in_packets, np.moveaxis(x, 1, 0))), axis=1) for x in cells]
    covered = np.isnan(array.expected) & np.concatenate(packets, axis=-1)
    return Instead(covered, np.full(states.shape, -1.0))


def _in_packets(numbers: np.ndarray) -> np.ndarray:
    """Which numbers Eigen computes by AVX, eight at a time; what is left goes one by one."""
    places = np.arange(numbers.size).reshape(numbers.shape)
    return places < numbers.size // 8 * 8


def _energies_of_packets(case: Case, trace: Trace, side: str) -> Instead:
    """The attention's energies, with -1 for the tanh of NaN in packets of features."""
    kernel, bias, attn_w, attn_v = (
        exact(case.arrays["{}/attention/{}".format(side, name)], _FLOAT32)
        for name in ("kernel", "bias", "attn_w", "attn_v")
    )
    windows = np.asarray(trace[side + "_windows"])
    initial = np.zeros_like(windows[:, 0])
    if side == "decoder":
        initial = trace["encoder_windows"][:, -1]
    before = np.concatenate([initial[:, None], windows[:, :-1]], axis=1)
    parts = [part_of(side + "_states", part) for part, _ in case.config.kind.state]
    states = np.concatenate([trace[part] for part in parts], axis=-1)
    steps = zip(np.moveaxis(states, 1, 0), np.moveaxis(before, 1, 0))
    covered, values, rads = [], [], []
    for state, window in steps:
        query = affine(exact(state, _FLOAT32), kernel, bias)
        read = np.matmul(exact(window, _FLOAT32), attn_w[0, 0]) + query[:, None, :]
        features = np.tanh(read)
        packets = _in_packets(features.mid)
        wrong = np.isnan(features.mid) & packets
        mid, rad = (np.where(wrong, x, y) for x, y in ((-1, features.mid), (0, features.rad)))
        # Where the order of the sum decides whether it is NaN, nothing is known.
        wrong |= np.isinf(features.rad) & packets
        energies = np.sum(attn_v * BoundedArray(mid, rad, _FLOAT32), axis=2)
        covered.append(wrong.any(axis=-1))
        values.append(energies.mid)
        rads.append(energies.rad)
    return Instead(*[np.stack(parts, axis=1) for parts in (covered, values, rads)])


# --- cells of any kind ------------------------------------------------------------------------


def _takes_any_cell(config: Any) -> bool:
    kind = getattr(config, "kind", None)
    return isinstance(kind, Kind) and kind is not PLAIN


def _by_cells(*changes: Change) -> Callable[[Case, Trace, ArrayVerdict], Instead]:
    """What TensorFlow has if its cells are those of the oracle with these changes.

    Each is a function of a cell and the config, which changes the cell. The oracle with such cells
    is teacher-forced by what TensorFlow recorded; covered is what is NaN by right, and what else
    comes out otherwise.
    """

    def instead(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
        if not _takes_any_cell(case.config):
            return Instead(np.zeros(array.actual.shape, dtype=bool))
        other = with_cells(case, changes)
        found = expected_of(other, trace, array)
        apart = np.abs(found.expected - array.expected) > found.bound + array.bound
        covered = apart | np.isnan(array.expected) | np.isnan(found.expected)
        return Instead(covered, found.expected, found.bound)

    return instead


# Cells with a function of a product and its bias, and of what else oneDNN adds to them.
_IN_PRODUCTS = (BasicRNNCell, GRUCell, keras.SimpleRNNCell, keras.GRUCell)
_relu_of_nan_is_zero = with_number(0.0, relu)
_relu_of_minus_infinity_is_nan = with_number(NAN, relu, of=np.isneginf)


class _LSTMWithCandidateInProduct(keras.LSTMCell):
    """An LSTM of Keras' whose candidate has an activation of its own."""

    of_candidate: Any = None

    def __call__(self, inputs: Any, state: Any) -> Any:
        h, c = state
        kernel = np.vstack([self.kernel, self.recurrent_kernel])
        gates = accumulate(np.hstack([inputs, h]), kernel, *self.bias)
        i, f, g, o = np.split(gates, 4, axis=-1)
        sigmoid = self.recurrent_activation
        c = sigmoid(f) * c + sigmoid(i) * self.of_candidate(g)
        h = sigmoid(o) * self.activation(c)
        return h, (h, c)


def _with_relu_in_product(cell: Any, config: Any, instead: Any = _relu_of_nan_is_zero) -> None:
    """The relu of a product with its bias, which alone is computed in the product.

    Gate by gate, Keras' LSTM adds a product of the state to one of the inputs, which of a single
    row may be a bias.
    """
    for each in cells_in(cell):
        gate_by_gate = getattr(each, "implementation", 2) == 1
        is_lstm = isinstance(each, keras.LSTMCell)
        if getattr(each, "activation", None) is relu:
            if isinstance(each, _IN_PRODUCTS):
                each.activation = instead
            elif is_lstm and gate_by_gate and config.batch == 1:
                mix_in(each, _LSTMWithCandidateInProduct)
                each.of_candidate = instead


_with_half_relu_in_product = partial(_with_relu_in_product, instead=_relu_of_minus_infinity_is_nan)


def _nan_by_half_relu(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    found = _by_cells(_with_half_relu_in_product)(case, trace, array)
    if getattr(case.config, "activation", "") != "relu":
        return found
    # By functions as inaccurate as any engine's, a sum that is -inf may be anything.
    covered = found.covered | np.isinf(found.rad) & np.isnan(array.actual)
    return found._replace(covered=covered)


def _nan_beside_infinity(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """NaN in a row with an infinity, where a product has an odd number of terms.

    In products of two rows and more, and two columns and more, the last factor is also multiplied
    by zero; in convolutions what follows it, which is in the next slot, or in the next row.
    """
    actual, config = np.asarray(array.actual), case.config
    kernels = [x for name, x in case.arrays.items() if name.endswith(("kernel", "attn_w"))]
    covered = np.zeros(actual.shape, dtype=bool)
    is_of_one_row = config.batch == 1 and not array.name.endswith("energies")
    has_odd = any(x.shape[-2] % 2 for x in kernels)
    if not actual.ndim or is_of_one_row or not has_odd:
        return Instead(covered, actual)
    rows = np.full(config.batch, not all(np.isfinite(x).all() for x in case.parameters))
    of_rows = [x.name for x in case.model.data_of(config) if x.axes[:1] == (("batch",),)]
    special = [~np.isfinite(case.arrays[name]) for name in of_rows]
    special.extend(np.isinf(x) for x in trace.values() if np.ndim(x))
    for each in special:
        rows |= each.reshape(len(rows), -1).any(axis=1)
    if array.name.endswith("energies"):
        rows[:-1] |= rows[1:]
    covered[rows] = True
    return Instead(covered, np.full(actual.shape, NAN))


_hard_sigmoid_of_nan_is_zero = with_number(0.0, hard_sigmoid)


def _with_hard_sigmoid_of_clip(cell: Any, config: Any) -> None:
    if config.batch * config.num_units == 1:
        return
    for each in cells_in(cell):
        if getattr(each, "recurrent_activation", None) is hard_sigmoid:
            each.recurrent_activation = _hard_sigmoid_of_nan_is_zero


_sigmoid_of_nan_is_zero = with_number(0.0, sigmoid)


class _GRUWithGatesInProduct(GRUCell):
    """A GRU whose gates are 0 where they should be NaN."""

    def __call__(self, inputs: Any, state: Any) -> Any:
        gates = _sigmoid_of_nan_is_zero(affine(np.hstack([inputs, state]), *self.gates))
        r, u = np.split(gates, 2, axis=-1)
        candidate = self.activation(affine(np.hstack([inputs, r * state]), *self.candidate))
        state = interpolate(u, state, candidate)
        return state, state


def _with_sigmoid_in_product(cell: Any, config: Any) -> None:
    """The sigmoid of a product with its bias, or with what takes the place of one."""
    for each in cells_in(cell):
        if isinstance(each, GRUCell):
            mix_in(each, _GRUWithGatesInProduct)
        gate_by_gate = getattr(each, "implementation", 2) == 1
        if gate_by_gate and each.recurrent_activation is sigmoid:
            each.recurrent_activation = _sigmoid_of_nan_is_zero
        in_product = isinstance(each, _IN_PRODUCTS) or gate_by_gate
        # With reset_after the candidate is no product.
        if in_product and each.activation is sigmoid and not getattr(each, "reset_after", False):
            each.activation = _sigmoid_of_nan_is_zero


def _each_in_packets(numbers: np.ndarray) -> np.ndarray:
    """What :func:`_in_packets` says of each matrix of a stack."""
    return np.broadcast_to(_in_packets(numbers[0]), numbers.shape)


_tanh_in_packets = with_number(-1.0, np.tanh, _each_in_packets)


def _with_tanh_in_packets(cell: Any, config: Any) -> None:
    for each in cells_in(cell):
        if getattr(each, "activation", None) is np.tanh:
            each.activation = _tanh_in_packets


def _layer_norm_of_balls_in_packets(
    x: BoundedArray, gain: BoundedArray, shift: BoundedArray, epsilon: float
) -> BoundedArray:
    """By Eigen's reciprocal root in AVX: an estimate and a step of Newton's.

    The step takes the square of an estimate that is below the smallest normal number for zero, so
    that 1.5 times the estimate is left, and NaN of infinity.
    """
    stated = x.arithmetic
    variance = np.mean(np.square(x - np.mean(x, axis=-1)[..., None]), axis=-1)[..., None]
    in_packets = _each_in_packets(variance.mid)
    # Intel, Software Developer's Manual, RSQRTPS: the estimate errs by that much of itself.
    errs = 1.5 * 2.0**-12
    changed = in_packets & (variance.magnitude() > (1 - errs) ** 2 / stated.smallest)
    overflows = in_packets & ~(variance.magnitude() <= stated.largest)
    mid, rad = np.where(changed, 1.5, 1.0), np.where(changed, 1.5 * errs, 0.0)
    factor = BoundedArray(mid, rad, stated, stacked=x.stacked)
    return replaced(layer_norm(x, gain * factor, shift, epsilon), overflows, NAN)


_layer_norm_in_packets = stand_in(layer_norm, _layer_norm_of_balls_in_packets)


class _LayerNormInPackets(LayerNormBasicLSTMCell):
    """A cell whose layers are normalized so."""

    def _norm(self, number: int, x: Any) -> Any:
        if not self.layer_norm:
            return x
        gain, shift = self.gains[number], self.shifts[number]
        return _layer_norm_in_packets(x, gain, shift, self.epsilon)


def _with_layer_norm_in_packets(cell: Any, config: Any) -> None:
    for each in cells_in(cell):
        if isinstance(each, LayerNormBasicLSTMCell):
            mix_in(each, _LayerNormInPackets)


def _one_of(array: ArrayVerdict, found: Instead, *others: Instead) -> Instead:
    """What is found, or else one of the others, where TensorFlow has that."""
    for other in others:
        if other.values is not None:
            is_other = other.covered & other.is_met_by(array.actual)
            found = Instead(*(np.where(is_other, x, y) for x, y in zip(other, found)))
    return found


def _by_cells_or_known_zeros(*changes: Change) -> Callable[[Case, Trace, ArrayVerdict], Instead]:
    """What TensorFlow has by cells with these changes, whether or not it knows zeros for such."""

    def instead(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
        both = changes, (with_zeros_that_are_known, *changes)
        return _one_of(array, *[_by_cells(*each)(case, trace, array) for each in both])

    return instead


_layer_norms_in_packets = _by_cells_or_known_zeros(_with_layer_norm_in_packets)
# A version with such a tanh has such layer norms, too.
_of_cells_with_tanh_in_packets = _by_cells_or_known_zeros(
    _with_layer_norm_in_packets, _with_tanh_in_packets
)


def _has_linear_gates(case: Case) -> bool:
    """Whether an LSTM multiplies the sigmoid of one part of a split by another part as it is."""
    config = case.config
    if has_layer(config):
        options = {"activation": "linear", "recurrent_activation": "sigmoid", "implementation": 2}
        return config.kind.layer == "LSTM" and is_of_keras(config, **options)
    return (
        getattr(config, "kind", None) in (KINDS["basic-lstm"], KINDS["lstm"])
        and config.activation == "linear"
        and not getattr(config, "use_peepholes", False)
    )


def _with_the_input_gate_as_candidate(case: Case) -> Case:
    """The case with the input gate's weights in the place of the candidate's as well."""
    arrays = dict(case.arrays)
    candidate = 2 if has_layer(case.config) else 1
    attends = any("/attention/" in name for name in arrays)
    for name in arrays:
        has_gates = name.endswith(("kernel", "bias")) and "/projection/" not in "/" + name
        if has_gates and (not attends or "/cell/" in name):
            gates = np.split(arrays[name], 4, axis=-1)
            gates[candidate] = gates[0]
            arrays[name] = np.concatenate(gates, axis=-1)
    return replace(case, arrays=arrays)


# --- dropout ----------------------------------------------------------------------------------

_KEEP_PROBS = ("input_keep_prob", "state_keep_prob", "output_keep_prob")


def _drops_by_more_than_float32(case: Case) -> bool:
    """Whether a keep probability is no number of float32."""
    found = [getattr(case.config, name, 1.0) for name in _KEEP_PROBS]
    return any(prob != float(np.float32(prob)) for prob in found)


def _with_keep_probs_of_float32(cell: Any, config: Any) -> None:
    for name in _KEEP_PROBS:
        setattr(cell, name, float(np.float32(getattr(cell, name))))


# --- Keras' layers ----------------------------------------------------------------------------


def _adds_bias_to_product_of_inputs(config: Any) -> bool:
    """Whether no product is added before: that of a state which is known to be zero is gone."""
    at_once = config.kind.layer == "LSTM" and config.implementation == 2
    other = at_once and (config.initial_state or not is_unrolled(config))
    return bool(config.use_bias and not other)


def _zeros_stand_for_a_bias(case: Case) -> bool:
    """One row whose state is known to be zero: what is added to the product of no inputs is zero.

    Not where that product is split before.
    """
    config = case.config
    if not (is_unrolled(config, use_bias=False, initial_state=False) and config.batch == 1):
        return False
    is_split = config.kind.layer == "GRU" and config.implementation == 2
    return config.inputs == 0 and not is_split


def _zeroed_by_the_mask_of_the_first_step(
    cell: Any, inputs: Any, mask: Any, state: Any, go_backwards: bool, _: bool
) -> Any:
    """As Keras takes the steps, but that the mask is in the order of time when it sets to zero."""
    steps, state = run(cell, inputs, mask, state, go_backwards, False)
    steps = [
        [np.where(mask[:, k, None], part, 0.0) for part in step] for k, step in enumerate(steps)
    ]
    return steps, state


@lru_cache(maxsize=None)
def _with_mask_unreversed(model: Model) -> Model:
    return model._replace(oracle=partial(model.oracle, run=_zeroed_by_the_mask_of_the_first_step))


def _leaves_mask_unreversed(case: Case) -> bool:
    options = dict(mask=True, return_sequences=True, zero_output_for_mask=True)
    is_both_ways = case.model.family == "keras-bidirectional"
    goes_backwards = is_both_ways or is_of_keras(case.config, go_backwards=True)
    return goes_backwards and is_unrolled(case.config, **options)


def _mask_unreversed(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    if not _leaves_mask_unreversed(case):
        return Instead(np.zeros(array.actual.shape, dtype=bool))
    case = replace(case, model=_with_mask_unreversed(case.model))
    changes = (), (with_zeros_that_are_known,)
    return _one_of(array, *_everywhere(case, changes, trace, array))


def _everywhere(
    case: Case, changes: Iterable[Tuple[Change, ...]], trace: Trace, array: ArrayVerdict
) -> Iterator[Instead]:
    """What the oracle has all over an array, of a case whose cells are changed in those ways."""
    for each in changes:
        found = expected_of(with_cells(case, each), trace, array)
        yield Instead(np.ones(array.actual.shape, dtype=bool), found.expected, found.bound)


@lru_cache(maxsize=None)
def _with_zeros_for_masked_outputs(model: Model) -> Model:
    def zeroed(cell: Any, inputs: Any, mask: Any, state: Any, go_backwards: bool, _: bool) -> Any:
        return run(cell, inputs, mask, state, go_backwards, True)

    return model._replace(oracle=partial(model.oracle, run=zeroed))


def _zeroes_last_output(case: Case) -> bool:
    is_both_ways = case.model.family == "keras-bidirectional"
    return is_both_ways and is_of_keras(case.config, mask=True, return_sequences=False)


def _last_output_zeroed(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    if not _zeroes_last_output(case):
        return Instead(np.zeros(array.actual.shape, dtype=bool))
    other = replace(case, model=_with_zeros_for_masked_outputs(case.model))
    return next(_everywhere(other, [()], trace, array))


def _with_other_masks(case: Case) -> Iterator[Case]:
    """The case on what takes masks as the oldest TensorFlow does, where it should not."""
    if _leaves_mask_unreversed(case):
        yield replace(case, model=_with_mask_unreversed(case.model))
    if _zeroes_last_output(case):
        yield replace(case, model=_with_zeros_for_masked_outputs(case.model))


def _zeroes_one_output_by_the_whole_mask(case: Case) -> bool:
    config = case.config
    options = dict(mask=True, zero_output_for_mask=True, return_sequences=False)
    return is_unrolled(config, **options) and hasattr(config, "zero_output_for_mask")


def _has_no_units(case: Case) -> bool:
    return case.config.num_units == 0


def _loses_biases(case: Case) -> bool:
    """Whether a bias is added to a product over nothing: of no units, or of Keras of no inputs."""
    if has_layer(case.config):
        return case.config.inputs == 0 and _adds_bias_to_product_of_inputs(case.config)
    return _has_no_units(case)


def _without_lost_biases(case: Case) -> Case:
    """The case without the biases that are added to a product over nothing at all."""
    if has_layer(case.config):
        arrays = {name: array.copy() for name, array in case.arrays.items()}
        for name, array in arrays.items():
            if name.endswith("/bias"):
                # Of two biases that of the inputs.
                array[0 if array.ndim > 1 else ...] = 0
        return replace(case, arrays=arrays)
    lost = ["projection/bias"]
    if case.model.name == "attention":
        lost = ["encoder/attention/bias", "decoder/attention/bias"]
    zeros = {name: np.zeros_like(case.arrays[name]) for name in lost if name in case.arrays}
    return replace(case, arrays=dict(case.arrays, **zeros))


def _has_empty_product(case: Case) -> bool:
    """A product over no units, or one with no columns.

    That of the first step is of zeros, which Grappler computes itself.
    """
    sizes = case.config.sizes()
    if has_layer(case.config):
        return sizes["inputs"] == 0 and _adds_bias_to_product_of_inputs(case.config)
    no_columns = sizes.get("encoder_input_size") == 0 and sizes["time"] > 1
    return sizes["num_units"] == 0 or no_columns


def _reverses_empty_rows(case: Case) -> bool:
    """No rows, of which the steps are reversed all alike.

    A single step is not, where Grappler sees that it is one: in a graph that is not open.
    """
    config = case.config
    return _reverses_no_rows(case) and (config.time > 1 or is_open(config))


def _reverses_an_empty_step(case: Case) -> bool:
    return _reverses_no_rows(case) and bool(case.config.time == 1)


def _reverses_no_rows(case: Case) -> bool:
    config = case.config
    if config.sizes()["batch"]:
        return False
    if case.model.family == "keras-bidirectional":
        return bool(config.return_sequences)
    runner = getattr(config, "runner", "")
    return runner.endswith("bidirectional_dynamic_rnn") and not config.sequence_length


def _block_of_no_inputs(kind: str, case: Case) -> bool:
    """A fused cell of that kind whose inputs have no columns."""
    sizes = case.config.sizes()
    of_this_kind = getattr(getattr(case.config, "kind", None), "name", "") == kind
    return of_this_kind and sizes.get("encoder_input_size", sizes["inputs"]) == 0


def _asserts_in_words(case: Case) -> bool:
    """Whether a dynamic network is given lengths, and sees to it that each row has one."""
    config = case.config
    is_dynamic = "dynamic" in getattr(config, "runner", "static")
    return is_dynamic and bool(config.sequence_length)


def _empty_convolution(case: Case) -> bool:
    """The convolution's wrong depth is seen by the addition after it unless it broadcasts."""
    sizes = case.config.sizes()
    depths = {sizes.get("attn_size"), sizes.get("attn_vec_size")}
    return sizes["batch"] == 0 and len(depths) == 2 and 1 not in depths


ENTRIES: Tuple[Entry, ...] = (
    KnownDivergence(
        name="argmax-skips-nan",
        what="tf.argmax passes over NaN, where NumPy returns the place of the first one",
        where=Where(OLDEST),
        arrays=("predictions", "accuracy"),
        instead=_by(_has_nan, _above_lowest),
        minimal=Minimal("bidirectional", {"outputs": 2}, {"projection/bias": {(0,): NAN}}),
    ),
    KnownDivergence(
        name="argmax-skips-lowest",
        what="tf.argmax passes over the lowest finite number, even where the others are -inf",
        where=Where(OLDEST, xla=_UNCOMPILED),
        arrays=("predictions", "accuracy"),
        instead=_by(_has_only_lowest, _above_lowest),
        minimal=Minimal(
            "bidirectional", {"outputs": 2}, {"projection/bias": {(0,): -INF, (1,): LOWEST}}
        ),
    ),
    KnownDivergence(
        name="xla-argmax-goes-on-after-nan",
        what="XLA's arg max takes whatever comes after NaN, and goes on from there",
        where=Where((1, 15), xla=(PARTS,)),
        arrays=("predictions", "accuracy"),
        instead=_by(_has_nan, _not_less),
        minimal=Minimal(
            "bidirectional", {"outputs": 4}, {"projection/bias": {(0,): 1, (1,): NAN, (3,): -1}}
        ),
    ),
    KnownDivergence(
        name="xla-argmax-of-all-goes-on-after-nan",
        what="the same of XLA's arg max in a graph that is compiled whole",
        # On 2.1 it is right there.
        where=Where((2, 4), xla=(WHOLE,)),
        arrays=("predictions", "accuracy"),
        instead=_by(_has_nan, _not_less),
        minimal=Minimal(
            "bidirectional", {"outputs": 4}, {"projection/bias": {(0,): 1, (1,): NAN, (3,): -1}}
        ),
    ),
    KnownDivergence(
        name="xla-argmax-takes-the-last",
        what="XLA's arg max is the last of equal scores, and of those after NaN",
        where=Where((1, 15), (1, 15), xla=_COMPILED),
        arrays=("predictions", "accuracy"),
        instead=_by(lambda *x: _has_nan(*x) | _has_tie(*x), _greater),
        # Where XLA computes scores anew, a tie of numbers may be decided either way.
        minimal=Minimal("bidirectional", {"outputs": 3}, {"projection/bias": {(0,): NAN}}),
    ),
    KnownDivergence(
        name="xla-leaves-an-argmax",
        what="XLA compiles only some of the arg maxes of a graph: where they differ, what is fed "
        "back is not what is predicted",
        where=Where((1, 15), xla=(PARTS,)),
        arrays=("fed_back",),
        instead=_by(_has_nan_or_only_lowest, _above_lowest, _not_less),
        minimal=Minimal(
            "seq2seq",
            {"outputs": 3, "output_time": 3},
            {"projection/bias": {(0,): 1, (1,): NAN}},
        ),
    ),
    KnownDivergence(
        name="xla-leaves-a-tied-argmax",
        what="the same of equal scores, of which XLA's arg max takes the last",
        where=Where((1, 15), (2, 1), xla=(PARTS,)),
        arrays=("fed_back",),
        instead=_by(_is_found_differently, _above_lowest, _not_less, _greater),
        minimal=Minimal("seq2seq", {"outputs": 2, "output_time": 3}, {}),
    ),
    KnownDivergence(
        name="softmax-zero-beside-nan",
        what="oneDNN's softmax of a row with NaN or +inf has NaN there and 0 elsewhere, "
        "where the formula gives NaN throughout",
        where=Where((2, 12), onednn=True, xla=_NOT_WHOLE),
        arrays=("probabilities", "fed_back", "encoder_alignments", "decoder_alignments"),
        instead=_softmax_without_nan,
        minimal=Minimal("bidirectional", {"outputs": 2}, {"projection/bias": {(0,): NAN}}),
    ),
    KnownDivergence(
        name="xla-softmax-of-unrounded",
        what="XLA's softmax reads energies that are one product (attn_vec_size is 1) before they "
        "are rounded, but the largest of them rounded: huge ones give NaN",
        where=Where((2, 5), xla=_COMPILED),
        arrays=("encoder_alignments", "decoder_alignments"),
        instead=_softmax_of_unrounded,
        minimal=Minimal(
            "attention",
            {"batch": 2, "output_time": 3, "attn_length": 2},
            {
                "encoder/attention/attn_v": {(0,): 1e37},
                "encoder/attention/bias": {(0,): 1},
                "decoder/attention/attn_v": {(0,): 1e37},
                "decoder/attention/bias": {(0,): 1},
            },
        ),
    ),
    KnownDivergence(
        name="xla-clips-nan",
        what="XLA's clip_by_value of NaN is the least value, so the loss is a number",
        where=Where((2, 4), (2, 20), xla=_COMPILED),
        arrays=("loss",),
        instead=_loss_of_clipped_nan,
        minimal=Minimal("bidirectional", {"outputs": 2}, {"projection/bias": {(0,): NAN}}),
    ),
    KnownDivergence(
        name="xla-hard-sigmoid-of-nan",
        what="XLA's clip_by_value makes 0 of NaN in Keras' hard_sigmoid, too, unless it is of one "
        "number alone",
        where=Where((2, 4), (2, 20), xla=_COMPILED),
        arrays=_OF_KERAS,
        instead=_by_cells(_with_hard_sigmoid_of_clip),
        minimal=Minimal(
            "keras-lstm",
            {"num_units": 2, "recurrent_activation": "hard_sigmoid"},
            {"cell/bias": {(0,): NAN}},
        ),
    ),
    KnownDivergence(
        name="xla-clips-a-state-that-is-nan",
        what="XLA's clip of an LSTM's state, by cell_clip or proj_clip, makes a number of NaN in "
        "some of the operations that it fuses, and so of what is computed from it",
        where=Where((2, 4), xla=_COMPILED),
        arrays=_OF_CELLS,
        instead=_of_clipped_nan,
        minimal=Minimal(
            "rnn-lstm",
            {"num_units": 2, "cell_clip": 1.0, "runner": "dynamic_rnn"},
            {"cell/bias": {(2,): NAN}},
        ),
    ),
    KnownDivergence(
        name="xla-takes-nan-for-nothing",
        what="XLA compiles with LLVM's fast-math flags, by which any result may be had of NaN",
        where=Where((1, 15), (2, 7), xla=_COMPILED),
        arrays=_NUMBERS + _OF_CELLS,
        instead=_undefined_for_nan,
        minimal=Minimal("seq2seq", {}, {"inputs": {(0, 0, 0): NAN}}),
    ),
    KnownDivergence(
        name="zero-window-times-nan",
        what="Grappler takes an alignment times the window's initial zeros for zero, and what is "
        "then zeros alone times a kernel, where NaN times zero is NaN",
        where=Where(OLDEST, (2, 16), grappler=True),
        arrays=("encoder_attentions", "decoder_cell_inputs"),
        instead=_zero_window,
        minimal=Minimal("attention", {"attn_length": 2}, {"encoder/attention/attn_v": {(0,): NAN}}),
    ),
    KnownDivergence(
        name="zero-state-times-nan",
        what="Grappler takes a gate times the zeros of the initial state for zero, "
        "where NaN times zero is NaN",
        where=Where(OLDEST, (2, 16), grappler=True),
        arrays=_OF_CELLS,
        instead=_by_cells(with_zeros_that_are_known),
        minimal=Minimal("rnn-basic-lstm", {}, {"cell/bias": {(2,): NAN}}),
    ),
    KnownDivergence(
        name="tanh-of-nan-is-minus-one",
        what="Eigen's tanh of NaN is -1 in whole packets of eight numbers, and NaN in what is left",
        where=Where(OLDEST, OLDEST),
        arrays=(*_STATES, "encoder_energies", "decoder_energies", *_OF_CELLS),
        instead=_tanh_of_nan,
        minimal=Minimal("seq2seq", {"num_units": 8}, {"inputs": {(0, 0, 0): NAN}}),
    ),
    KnownDivergence(
        name="rsqrt-of-huge-numbers",
        what="Eigen's rsqrt of a variance beyond 2^126 is 1.5 times what it should be, and of one "
        "that overflows NaN, in whole packets of eight rows",
        where=Where(OLDEST, (1, 15), precision="float32"),
        arrays=_OF_CELLS,
        instead=_layer_norms_in_packets,
        minimal=Minimal(
            "rnn-layer-norm-lstm",
            {"batch": 8, "num_units": 2},
            {"cell/kernel": {(0, 0): 1}, "inputs": {(0, 0, 0): 1e38}},
        ),
    ),
    KnownDivergence(
        name="relu-of-nan-is-zero",
        what="oneDNN's fused MatMul, BiasAdd and Relu has 0 for NaN, where tf.nn.relu has NaN",
        where=Where((2, 5), onednn=True, grappler=True),
        arrays=_OF_CELLS,
        instead=_by_cells(_with_relu_in_product),
        minimal=Minimal("rnn-basic", {"activation": "relu"}, {"inputs": {(0, 0, 0): NAN}}),
    ),
    KnownDivergence(
        name="half-sigmoid-of-nan",
        what="oneDNN's fused MatMul, BiasAdd and Sigmoid of float16 has 0 for NaN, on processors "
        "that compute in float16",
        where=Where((2, 13), onednn=True, xla=_UNCOMPILED, grappler=True, precision="float16"),
        arrays=_OF_CELLS,
        # In the same graph a relu may be in its product.
        instead=_by_cells(_with_relu_in_product, _with_sigmoid_in_product),
        minimal=Minimal("rnn-gru", {}, {"cell/gates/bias": {(0,): NAN}}),
    ),
    KnownDivergence(
        name="half-relu-of-minus-infinity",
        what="oneDNN's fused MatMul, BiasAdd and Relu of float16 has NaN for -inf, on processors "
        "that compute in float16",
        where=Where((2, 13), onednn=True, xla=_UNCOMPILED, grappler=True, precision="float16"),
        arrays=_OF_CELLS,
        instead=_nan_by_half_relu,
        minimal=Minimal("rnn-basic", {"activation": "relu"}, {"cell/bias": {(0,): -INF}}),
    ),
    KnownDivergence(
        name="odd-product-of-infinity",
        what="oneDNN's products and convolutions of bfloat16 over an odd number of terms have NaN "
        "for infinity, on processors that compute in bfloat16",
        where=Where((2, 10), onednn=True, xla=_UNCOMPILED, precision="bfloat16"),
        arrays=tuple(sorted({*_OF_CELLS, *_NUMBERS})),
        instead=_nan_beside_infinity,
        minimal=Minimal(
            "rnn-lstm",
            {"batch": 2, "inputs": 2, "initial_state": True},
            {"cell/kernel": {(2, gate): 1.0 for gate in range(4)}, "initial_h": {(0, 0): INF}},
        ),
    ),
    KnownDivergence(
        name="bidirectional-zeroes-the-last-output",
        what="Bidirectional has zeros for the output of a row whose last step is masked, where it "
        "returns that output alone and should have the last one that is not masked",
        where=Where(OLDEST, OLDEST),
        arrays=_OF_KERAS,
        instead=_last_output_zeroed,
        minimal=Minimal(
            "keras-bidirectional-simple-rnn",
            {"mask": True, "return_sequences": False, "time": 2},
            {"forward/bias": {(0,): 1}, "mask": {(0, 1): 0}},
        ),
    ),
    KnownDivergence(
        name="unrolled-mask-is-not-reversed",
        what="a layer of Keras' that is unrolled, goes backwards and has zeros for masked steps "
        "takes for them those of the mask in the order of time, as in Bidirectional",
        where=Where(OLDEST),
        arrays=_OF_KERAS,
        instead=_mask_unreversed,
        minimal=Minimal(
            "keras-simple-rnn",
            {
                "time": 2,
                "runner": "layer, unrolled",
                "go_backwards": True,
                "mask": True,
                "zero_output_for_mask": True,
            },
            {"cell/bias": {(0,): 1}, "mask": {(0, 0): 0}},
        ),
    ),
    KnownError(
        name="unrolled-mask-of-one-output",
        what="a layer of Keras' that is unrolled and returns its last output alone does not come "
        "to be if it has zeros for masked steps",
        where=Where((2, 9)),
        covers=_zeroes_one_output_by_the_whole_mask,
        error="Dimension 0 in both shapes must be equal",
        minimal=Minimal(
            "keras-simple-rnn",
            {
                "time": 2,
                "runner": "layer, unrolled",
                "return_sequences": False,
                "mask": True,
                "zero_output_for_mask": True,
            },
            {},
        ),
    ),
    KnownError(
        name="lstm-block-of-no-inputs",
        what="contrib's LSTMBlockCell takes a size of its inputs that is 0 for one that is not set",
        where=Where(OLDEST, (1, 15)),
        covers=partial(_block_of_no_inputs, "lstm-block"),
        error="Expecting inputs_shape[1] to be set",
        minimal=Minimal("rnn-lstm-block", {"inputs": 0}, {}),
    ),
    KnownError(
        name="xla-lengths-do-not-compile",
        what="XLA compiles no dynamic network with lengths, as dynamic_rnn asserts their shape in "
        "words, and it has no constants that are strings",
        where=Where((2, 1), (2, 4), xla=(WHOLE,)),
        covers=_asserts_in_words,
        error="InvalidArgumentError: Function invoked by the following node is not compilable",
        minimal=Minimal("rnn-basic", {"runner": "dynamic_rnn", "sequence_length": True}, {}),
    ),
    KnownError(
        name="empty-convolution",
        what="oneDNN's Conv2D of an empty batch returns its input's depth, not its filter's",
        where=Where((2, 5), onednn=True, xla=_UNCOMPILED),
        covers=_empty_convolution,
        error="Incompatible shapes: [0,",
        minimal=Minimal("attention", {"batch": 0, "attn_size": 2, "attn_vec_size": 3}, {}),
    ),
    KnownRewrite(
        name="empty-product-loses-bias",
        what="the bias after a matrix product of inner size 0 is not added",
        where=Where((1, 14), onednn=False, grappler=True),
        covers=_loses_biases,
        computes=_without_lost_biases,
        minimal=Minimal("bidirectional", {"num_units": 0}, {"projection/bias": {(0,): 1.0}}),
    ),
    KnownRewrite(
        name="swish-of-two-numbers",
        what="Grappler takes the sigmoid of one part of a split times another part for a swish, "
        "the first part times its own sigmoid",
        where=Where((2, 8), (2, 14), onednn=True, grappler=True),
        covers=_has_linear_gates,
        computes=_with_the_input_gate_as_candidate,
        minimal=Minimal("rnn-basic-lstm", {"activation": "linear"}, {"cell/bias": {(1,): 1.0}}),
    ),
    KnownRewrite(
        name="keep-probability-in-single",
        what="DropoutWrapper holds its keep probabilities as numbers of float32",
        where=Where(OLDEST, precision="float64"),
        covers=_drops_by_more_than_float32,
        computes=partial(with_cells, changes=(_with_keep_probs_of_float32,)),
        minimal=Minimal(
            "rnn-dropout-lstm",
            {"input_keep_prob": 0.9},
            {
                "cell/kernel": {(0, 1): 1.0},
                "inputs": {(0, 0, 0): 1.0},
                "input_noise": {(0, 0): 0.5},
            },
        ),
    ),
    KnownEnding(
        name="empty-reverse",
        what="tf.reverse of the steps of no rows divides by their number, which ends the process",
        where=Where(OLDEST, (2, 3), xla=_NOT_WHOLE),
        covers=_reverses_empty_rows,
        signals=("SIGFPE",),
        minimal=Minimal(
            "birnn-basic", {"batch": 0, "time": 2, "runner": "bidirectional_dynamic_rnn"}, {}
        ),
    ),
    KnownEnding(
        name="empty-reverse-of-one-step",
        what="tf.reverse of a single step of no rows ends the process as well",
        where=Where((2, 0), (2, 3), xla=_NOT_WHOLE),
        covers=_reverses_an_empty_step,
        signals=("SIGFPE",),
        minimal=Minimal("birnn-basic", {"batch": 0, "runner": "bidirectional_dynamic_rnn"}, {}),
    ),
    KnownEnding(
        name="empty-reverse-of-one-step-as-written",
        what="tf.reverse of a single step of no rows ends the process in 1.x too, unless Grappler "
        "has taken it out",
        where=Where(OLDEST, (1, 15), xla=_NOT_WHOLE, grappler=False),
        covers=_reverses_an_empty_step,
        signals=("SIGFPE",),
        minimal=Minimal("birnn-basic", {"batch": 0, "runner": "bidirectional_dynamic_rnn"}, {}),
    ),
    KnownEnding(
        name="gru-block-of-no-inputs",
        what="contrib's GRUBlockCell divides by the size of its inputs, which ends the process "
        "if that is 0",
        where=Where(OLDEST, (1, 15)),
        covers=partial(_block_of_no_inputs, "gru-block"),
        signals=("SIGFPE",),
        minimal=Minimal("rnn-gru-block", {"inputs": 0}, {}),
    ),
    KnownEnding(
        name="empty-inner-product",
        what="oneDNN's fused MatMul and BiasAdd ends the process if a size is 0",
        where=Where((2, 5), onednn=True, grappler=True),
        covers=_has_empty_product,
        # The second where it is the caller's thread that computes.
        signals=("SIGABRT", "SIGSEGV"),
        minimal=Minimal("seq2seq", {"num_units": 0}, {}),
    ),
    KnownEnding(
        name="empty-inner-product-of-one-row",
        what="a layer of Keras' that is unrolled, without bias and inputs, ends the process for a "
        "batch of one row: the product of its zero state is taken for a bias, and fused",
        where=Where((2, 12), onednn=True, grappler=True),
        covers=_zeros_stand_for_a_bias,
        signals=("SIGABRT", "SIGSEGV"),
        minimal=Minimal(
            "keras-simple-rnn",
            {"runner": "layer, unrolled", "inputs": 0, "use_bias": False},
            {},
        ),
    ),
)


def known_in(
    version: Version, onednn: bool, xla: str, grappler: bool = True, precision: str = "float32"
) -> Tuple[Entry, ...]:
    """The entries for that TensorFlow, as :meth:`Where.holds` has it."""
    where = version, onednn, xla, grappler, precision
    return tuple(entry for entry in ENTRIES if entry.where.holds(*where))
