"""How accurate the functions of any subject are, measured through cases alone.

A subject is asked for nothing but traces. In small networks a trace shows a function by itself:

==============  =================================================================================
affine tanh     a cell with the identity as kernel and no bias, in its first step: the states are
                the tanh of what it reads
tanh            the attention's features: with a query of one state times a power of two, and one
                1 in the vector that scores them, an energy is the tanh of that product
softmax         the recorded probabilities (alignments) of recorded scores (energies)
log             the loss of one row with a one-hot label, which is minus the log of one recorded
                probability: a case an argument, so there are fewer of them
bias            in every linear map, sums of terms so small that they are lost when added to the
                bias one by one, and are not when the bias is added last
==============  =================================================================================

Arrays are long, so that SIMD kernels fill whole vectors, and short, so that they do not.
"""

import math
from typing import Any, Callable, Collection, Dict, Iterator, List, Mapping, NamedTuple, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case, smallest_case
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.numerics.accuracy import Accuracy, ulp_of
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.numerics.precisions import BFLOAT16
from rnndiff.harness.subjects import Subject, ulp
from rnndiff.harness.subjects.run import run
from rnndiff.harness.subjects.statements import arithmetic_of, supported
from rnndiff.harness.subjects.ulp import SMALLEST_NORMAL

FUNCTIONS = ("tanh", "softmax", "log", "bias")

Trace = Mapping[str, np.ndarray]
Pairs = List[Tuple[np.ndarray, np.ndarray]]

_UNIT = 2.0**-24
_LONG = 4096
# Rows and units of short arrays: below, at and above the 4, 8 and 16 lanes of a vector.
_SHORT = ((1, 1), (1, 3), (1, 4), (1, 7), (1, 8), (2, 5), (1, 16), (1, 17), (3, 11))
_CLASSES = (2, 3, 4, 8, 17, 40)
# What scores are of which softmax is measured once more: by a formula that computes with the scores
# themselves, exp(s - log(sum(exp))), it is off by half as many ULP.
_OFFSET = 2.0**14
_SHIFTED = "softmax of large scores"
# How far scores are apart.
_SCALES = (0.5, 3.0, 12.0)
# Width of all layers, and rows, where the bias is probed.
_SUMS = ((1, 1), (3, 3), (8, 2), (17, 8), (40, 1), (64, 5), (300, 17))
# How often a short array is tried, how many logarithms, and arrays that probe the bias.
_CALLS, _LOGS, _DRAWS = 40, 2000, 3
# How many of the worst arguments are searched around, and how far, in units in the last place.
_NEAR, _DISTANCES = 32, (2**20, 2**16, 2**12, 2**8)

# A search misses the worst argument: what is stated is so much more than what was seen. Without the
# known worst arguments, TensorFlow's tanh shows 4.54 ULP on 100,000 arguments; exhaustively, 6.14.
MARGIN = 1.5


class Sample(NamedTuple):
    """What was seen of a function in one place.

    ``errors`` [arguments] are absolute, beyond what the function's contract allows besides;
    ``units`` what one ULP of its accuracy allows there, and ``at`` the arguments.
    """

    function: str
    place: str
    at: np.ndarray
    errors: np.ndarray
    units: np.ndarray

    def worst(self) -> Tuple[float, float]:
        """The largest error in ULP, beyond a flush to zero, and its argument."""
        with np.errstate(invalid="ignore"):
            found = np.maximum(self.errors - SMALLEST_NORMAL, 0.0) / self.units
        place = int(np.argmax(found))
        return float(found[place]), float(self.at[place])

    def absolute(self) -> float:
        """The largest absolute error."""
        return float(np.max(self.errors, initial=0.0))


class Sums(NamedTuple):
    """How many sums were probed in one place, and in how many the bias was not added last."""

    place: str
    sums: int
    not_last: int


class Measurement(NamedTuple):
    """All that was measured of a subject."""

    samples: List[Sample]
    sums: List[Sums]

    def accuracies(self) -> Dict[str, Accuracy]:
        """What is to be stated of each function; infinite if an argument is infinitely wrong."""
        of_each: Dict[str, List[Sample]] = {}
        for sample in self.samples:
            of_each.setdefault(sample.function, []).append(sample)
        if "tanh" not in of_each:
            # No other was seen, nor needs to be stated.
            of_each = {"tanh" if f == "affine tanh" else f: part for f, part in of_each.items()}
        large = of_each.pop(_SHIFTED, [])
        if self.softmax_depends_on_scores:
            del of_each["softmax"]
        elif large:
            of_each["softmax"] += large
        return {function: with_margin(fit_accuracy(part)) for function, part in of_each.items()}

    @property
    def softmax_depends_on_scores(self) -> bool:
        """Whether the error of softmax grows with the scores: then no accuracy describes it."""
        largest = {
            name: max((s.absolute() for s in self.samples if s.function == name), default=0.0)
            for name in ("softmax", _SHIFTED)
        }
        return largest[_SHIFTED] > 8 * max(largest["softmax"], _UNIT * _OFFSET / 64)

    @property
    def bias_anywhere(self) -> bool:
        """Whether a bias was seen to be added elsewhere than last, or nobody looked."""
        return not self.sums or any(each.not_last or not each.sums for each in self.sums)

    def arithmetic(self) -> Arithmetic:
        """What is to be stated."""
        return arithmetic("float32", self.accuracies(), self.bias_anywhere)

    def statement(self) -> str:
        """The same in Python, ready to be pasted."""
        functions = "".join(
            '        "{}": Accuracy({}, {}),\n'.format(
                name, ulp, "2.0**-126" if absolute == SMALLEST_NORMAL else absolute
            )
            for name, (ulp, absolute) in self.accuracies().items()
        )
        return 'arithmetic(\n    "float32",\n    {{\n{}    }},\n    bias_anywhere={},\n)'.format(
            functions, self.bias_anywhere
        )


def reasons_against(subject: Subject, models: Tuple[str, ...]) -> Dict[str, str]:
    """For each model why it cannot be measured, as the subject says it; empty if it can."""
    reasons = {}
    for name in models:
        case = smallest_case(name, {}, {})
        if supported(subject, case):
            outcome = run(subject, case)
            reasons[name] = outcome.error or outcome.signal
        else:
            reasons[name] = "not supported"
    return reasons


def measure_subject(
    subject: Subject,
    models: Tuple[str, ...],
    count: int,
    functions: Collection[str] = FUNCTIONS,
    report: Callable[[str], None] = lambda what: None,
) -> Measurement:
    """Measure a subject.

    Parameters
    ----------
    subject : Subject
    models : names of models that it computes
    count : int
        At how many arguments each function is measured; at some more, and "log" at fewer.
    functions : some of "tanh", "softmax", "log" and "bias"
    report : function of a text
        Called with what was measured last.
    """
    cells = [cell for cell in _CELLS if cell.model in models]
    result = Measurement([], [])

    def add(sample: Sample) -> None:
        result.samples.append(sample)
        report("{} in {}".format(sample.function, sample.place))

    for cell in cells if "tanh" in functions else []:
        add(_long_tanh(subject, cell, max(1, count // len(cells))))
        add(_short_tanh(subject, cell))
    if "tanh" in functions and "attention" in models:
        add(_tanh_of_features(subject, count))
    for name in models if "softmax" in functions else []:
        add(_softmax(subject, name, max(1, count // len(models))))
        far = _softmax(subject, name, max(1, count // len(models) // 8), _OFFSET)
        add(far._replace(function=_SHIFTED))
    if "softmax" in functions and "attention" in models:
        add(_alignments(subject, count))
    for name in models if "log" in functions else []:
        add(_log(subject, name, max(1, min(count, _LOGS) // len(models))))
    for linear in _MAPS if "bias" in functions else []:
        if linear.model in models:
            result.sums.append(linear.probe(subject))
            report("bias in {}".format(linear.place))
    return result


def fit_accuracy(samples: List[Sample]) -> Accuracy:
    """The accuracy that covers the samples of one function; infinite if one is infinitely wrong.

    Many pairs of a relative and an absolute error cover them, and the best one has the least bound
    on average over the arguments. ULP beside a flush to zero will do unless they make it four times
    as large: they describe most functions, but are millions for one that is good to 2e-7 near zero.
    """
    errors = np.concatenate([sample.errors for sample in samples])
    units = np.concatenate([sample.units for sample in samples])
    largest = float(np.max(errors, initial=0.0))
    if not largest < np.inf:
        return Accuracy(np.inf, np.inf)
    flushes = [SMALLEST_NORMAL, 2 * SMALLEST_NORMAL, 4 * SMALLEST_NORMAL]
    absolutes = flushes + [largest * 2.0 ** (-k / 8) for k in range(161) if largest > flushes[-1]]
    pairs = [
        Accuracy(float(np.max(np.maximum(errors - absolute, 0.0) / units, initial=0.0)), absolute)
        for absolute in absolutes
    ]
    average = float(np.mean(units))
    bounds = [pair.ulp * average + pair.absolute for pair in pairs]
    for pair, bound in zip(pairs[: len(flushes)], bounds):
        if bound <= 4 * min(bounds):
            return pair
    return pairs[int(np.argmin(bounds))]


def with_margin(accuracy: Accuracy) -> Accuracy:
    """An accuracy to be stated: with the margin, and rounded up to two digits."""
    if not accuracy.ulp < math.inf:
        return accuracy
    relative = max(0.5, math.ceil(accuracy.ulp * MARGIN * 10) / 10)
    if accuracy.absolute <= SMALLEST_NORMAL:
        return Accuracy(relative, SMALLEST_NORMAL)
    exponent = math.floor(math.log10(accuracy.absolute * MARGIN)) - 1
    digits = math.ceil(accuracy.absolute * MARGIN / 10.0**exponent)
    return Accuracy(relative, float("{}e{}".format(digits, exponent)))


# --- small networks -----------------------------------------------------------------------------


def _computed(subject: Subject, case: Case) -> Dict[str, np.ndarray]:
    """The trace in float64.

    Raises
    ------
    UserError
        If the subject computes none, or one of other arrays or numbers.
    """
    outcome = run(subject, case)
    if outcome.trace is None:
        raise UserError(
            "The subject fails on {}: {}.".format(case, outcome.error or outcome.signal)
        )
    for array in case.model.trace:
        found = outcome.trace.get(array.name)
        if found is None or found.shape != array.shape(case.config):
            raise UserError(
                "The subject returns no {!r} of the shape {} for {}.".format(
                    array.name, list(array.shape(case.config)), case
                )
            )
        try:
            stated = arithmetic_of(subject, case).name
        except SubjectError as error:
            raise UserError("The subject fails on {}: {}.".format(case, error))
        if found.dtype.kind == "f" and (found.dtype.itemsize != 4 or stated == BFLOAT16):
            raise UserError(
                "The subject returns {!r} as {} numbers: only float32 is measured.".format(
                    array.name, stated if stated == BFLOAT16 else found.dtype
                )
            )
    return {name: array.astype(np.float64) for name, array in outcome.trace.items()}


class _Cell(NamedTuple):
    """A cell of a model: the scope of its parameters, and where its states are in a trace.

    ``states`` gives of a trace and a number of units [batch, time, units], in the order in which
    the steps are taken.
    """

    model: str
    scope: str
    array: str
    states: Callable[[Trace, int], np.ndarray]
    is_backward: bool = False

    def run(
        self, subject: Subject, inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray]:
        """What the cell reads [batch, time, inputs], and its states."""
        rows, time, read = inputs.shape
        units = len(bias)
        sizes = dict(batch=rows, time=time, inputs=read, num_units=units)
        numbers = {self.scope + "/kernel": kernel, self.scope + "/bias": bias, "inputs": inputs}
        if self.is_backward:
            numbers["inputs"] = inputs[:, ::-1]
        if self.model == "attention":
            sizes.update(attn_size=1)
            numbers["encoder/kernel"] = np.eye(read + 1, read)
        trace = _computed(subject, smallest_case(self.model, sizes, numbers))
        return trace.get("encoder_cell_inputs", inputs.astype(float)), self.states(trace, units)


_CELLS = (
    _Cell("seq2seq", "encoder", "encoder_states", lambda trace, _: trace["encoder_states"]),
    _Cell(
        "bidirectional", "forward", "outputs", lambda trace, units: trace["outputs"][..., :units]
    ),
    _Cell(
        "bidirectional",
        "backward",
        "outputs, backward",
        lambda trace, units: trace["outputs"][:, ::-1, units:],
        is_backward=True,
    ),
    _Cell("attention", "encoder/cell", "encoder_states", lambda trace, _: trace["encoder_states"]),
)

_FIRST_CELL = {"seq2seq": "encoder", "bidirectional": "forward", "attention": "encoder/cell"}
_PROJECTED = {
    "seq2seq": "encoder_states",
    "bidirectional": "outputs",
    "attention": "encoder_outputs",
}


def _project(
    subject: Subject, name: str, inputs: np.ndarray, cell: np.ndarray, kernel: Any, bias: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of a model whose cells have the kernel `cell`, and its projection.

    Returns what is projected [rows, ...], the scores and the probabilities [rows, outputs].
    """
    rows, read = inputs.shape
    units = cell.shape[1]
    sizes = dict(batch=rows, inputs=read, num_units=units, outputs=len(bias))
    numbers = {
        "inputs": inputs[:, None],
        _FIRST_CELL[name] + "/kernel": cell,
        "projection/kernel": kernel,
        "projection/bias": bias,
    }
    if name == "bidirectional":
        numbers["backward/kernel"] = cell
    if name == "attention":
        sizes.update(attn_size=units)
        numbers["encoder/kernel"] = np.eye(read + units, read)
        numbers["encoder/attn_output_projection/kernel"] = np.eye(2 * units, units)
    trace = _computed(subject, smallest_case(name, sizes, numbers))
    scores, probabilities = (trace[x].reshape(rows, -1) for x in ("scores", "probabilities"))
    return trace[_PROJECTED[name]][:, -1], scores, probabilities


# --- functions ----------------------------------------------------------------------------------


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


def _long_tanh(subject: Subject, cell: _Cell, count: int) -> Sample:
    kernel = np.array([[1.0], [0.0]])
    pairs = _searched(lambda block: cell.run(subject, block[:, None], kernel, np.zeros(1)), count)
    place = "{} of {}, {} rows of 1".format(cell.array, cell.model, _LONG)
    return _sample_of("affine tanh", place, pairs, np.tanh)


def _short_tanh(subject: Subject, cell: _Cell) -> Sample:
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


def _tanh_of_features(subject: Subject, count: int) -> Sample:
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
            trace = _computed(subject, case)
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
        exponentials, off = np.exp(-depth), depth * _UNIT
        low, high = exponentials * np.exp(-off), exponentials * np.exp(off)
        gamma = np.expm1((scores.shape[-1] - 1) * _UNIT)
        most = high / (high + np.sum(low, axis=-1, keepdims=True) - low) * (1 + gamma)
        least = low / (low + np.sum(high, axis=-1, keepdims=True) - high) * (1 - gamma)
        errors.append(np.maximum(np.maximum(probabilities - most, least - probabilities), 0.0))
        units.append(2 * _UNIT * exponentials / np.sum(exponentials, axis=-1, keepdims=True))
        at.append(-depth)
    return _sample("softmax", place, at, errors, units)


def _softmax(subject: Subject, name: str, count: int, offset: float = 0.0) -> Sample:
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
                rows.append(_project(subject, name, inputs, cell, kernel, bias)[1:])
    place = "probabilities of " + name
    return _softmax_sample(place + " (near {:.0f})".format(offset) if offset else place, rows)


def _alignments(subject: Subject, count: int) -> Sample:
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
            trace = _computed(subject, case)
            rows.append((trace["encoder_energies"], trace["encoder_alignments"]))
    return _softmax_sample("encoder_alignments of attention", rows)


def _log(subject: Subject, name: str, count: int) -> Sample:
    random, pairs = np.random.RandomState(0), []
    # From just above the 1e-10 that the loss clips at, and from all of the binades below 1.
    logits = [_logit(share) for share in 10 ** random.uniform(-9.5, -0.3, count // 4 + 1)]
    logits += [_logit(1 - part) for part in 2 ** random.uniform(-24, -0.1, count // 4 + 1)]
    while logits:
        for k, logit in enumerate(logits):
            bias = np.zeros(_CLASSES[k % len(_CLASSES)])
            bias[0] = logit + np.log(len(bias) - 1)
            trace = _computed(
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


# --- biases -------------------------------------------------------------------------------------

# Biases are between 1/4 and 1/2. A term is a multiple of 2^-36 and less than half of the last place
# of such a bias, and so lost when added to it alone. All of them add up exactly, in any order.
_STEP, _TERMS = 2.0**-36, 2**10


def _probing(random: Any, name: str, width: int, rows: int) -> Case:
    """All sums can be probed in it: each product is a tiny term, and all biases are large.

    The rows are the same, so that one bias can stand for what is probed in all of them.
    """
    sizes = dict.fromkeys(("inputs", "num_units", "outputs"), width)
    sizes.update(batch=rows, time=2)
    if name != "bidirectional":
        sizes.update(output_time=2)
    if name == "attention":
        sizes.update(attn_size=width)
    case = smallest_case(name, sizes, {"inputs": random.randint(0, 4, (2, width)) > 0})
    for parameter in case.model.parameters(case.config):
        array = case.arrays[parameter.name]
        if parameter.name.endswith("bias"):
            array[...] = random.uniform(0.25, 0.5, array.shape)
        elif parameter.name.endswith("attn_v"):
            array[0] = 1
        else:
            array[...] = random.randint(0, _TERMS, array.shape) * _STEP
    return case


def _bias_last(terms: np.ndarray, count: int, bias: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The sums, if the bias is added last, and where that is certain."""
    # If what is added up is no multiple, it is rounded.
    off = terms * (count * _UNIT)
    least, most = ((bias + terms + way * off).astype(np.float32) for way in (-1, 1))
    return least, least == most


class _Map(NamedTuple):
    """A linear map of a model, and where a trace shows it.

    ``reads`` gives of a trace what it maps [rows, inputs], and ``gives`` what becomes of it [rows,
    columns], or the tanh of that. ``silent`` is a kernel that must be zero to see it.
    """

    model: str
    place: str
    kernel: str
    bias: str
    reads: Callable[[Trace, np.ndarray], np.ndarray]
    gives: Callable[[Trace], np.ndarray]
    silent: str = ""

    def probe(self, subject: Subject) -> Sums:
        """How often the bias is not added last."""
        random, sums, not_last = np.random.RandomState(0), 0, 0
        for width, rows in _SUMS:
            for _ in range(_DRAWS):
                case = _probing(random, self.model, width, rows)
                if self.silent:
                    case.arrays[self.silent][...] = 0
                trace = _computed(subject, case)
                read = self.reads(trace, case.inputs.astype(float))
                kernel = case.arrays[self.kernel]
                terms = read @ kernel.reshape(read.shape[1], -1).astype(float)
                wanted, certain = _bias_last(terms, read.shape[1], case.arrays[self.bias])
                # A tanh may differ from row to row, by the lane of a vector that computes it.
                certain &= wanted == wanted[0]
                # What becomes of the right sums in the same place.
                right = case.copy()
                right.arrays[self.kernel][...] = 0
                right.arrays[self.bias][...] = wanted[0]
                differ = self.gives(trace) != self.gives(_computed(subject, right))
                # An energy shows the first feature alone.
                certain = certain[:, : differ.shape[1]]
                sums += int(np.count_nonzero(certain))
                not_last += int(np.count_nonzero(certain & differ))
        return Sums("{} of {}".format(self.place, self.model), sums, not_last)


def _maps() -> Iterator[_Map]:
    """Every linear map of every model, in a step before which there was another."""

    def linear(
        model: str, place: str, scope: str, reads: Any, gives: Any, silent: str = ""
    ) -> _Map:
        def joined(trace: Trace, inputs: np.ndarray) -> np.ndarray:
            return np.concatenate(reads(trace, inputs), axis=1)

        return _Map(model, place, scope + "/kernel", scope + "/bias", joined, gives, silent)

    def units(trace: Trace) -> int:
        return trace["forward_final_state"].shape[1]

    yield linear(
        "bidirectional",
        "outputs",
        "forward",
        lambda t, x: (x[:, 1], t["outputs"][:, 0, : units(t)]),
        lambda t: t["outputs"][:, 1, : units(t)],
    )
    yield linear(
        "bidirectional",
        "outputs, backward",
        "backward",
        lambda t, x: (x[:, 0], t["outputs"][:, 1, units(t) :]),
        lambda t: t["outputs"][:, 0, units(t) :],
    )
    yield linear(
        "bidirectional",
        "scores",
        "projection",
        lambda t, x: (t["outputs"][:, -1],),
        lambda t: t["scores"],
    )
    yield linear(
        "seq2seq",
        "encoder_states",
        "encoder",
        lambda t, x: (x[:, 1], t["encoder_states"][:, 0]),
        lambda t: t["encoder_states"][:, 1],
    )
    yield linear(
        "seq2seq",
        "decoder_states",
        "decoder",
        lambda t, x: (t["fed_back"][:, 0], t["encoder_states"][:, 1]),
        lambda t: t["decoder_states"][:, 0],
    )
    for model, projected in (("seq2seq", "encoder_states"), ("attention", "encoder_outputs")):
        yield linear(
            model,
            "scores",
            "projection",
            lambda t, x, projected=projected: (t[projected][:, 1],),
            lambda t: t["scores"][:, 0],
        )
    for side in ("encoder", "decoder"):
        yield from _maps_of_attention(side, linear)


def _maps_of_attention(side: str, linear: Callable[..., _Map]) -> Iterator[_Map]:
    step = 1 if side == "encoder" else 0

    def now(name: str) -> Callable[[Trace], np.ndarray]:
        return lambda trace: trace["{}_{}".format(side, name)][:, step]

    def before(name: str) -> Callable[[Trace], np.ndarray]:
        return lambda trace: trace["encoder_" + name][:, 0 if side == "encoder" else 1]

    def token(trace: Trace, inputs: np.ndarray) -> np.ndarray:
        return inputs[:, 1] if side == "encoder" else trace["fed_back"][:, 0]

    query, features = side + "/attention", side + "/attention/attn_w"
    yield linear(
        "attention",
        side + "_cell_inputs",
        side,
        lambda t, x: (token(t, x), before("attentions")(t)),
        now("cell_inputs"),
    )
    yield linear(
        "attention",
        side + "_states",
        side + "/cell",
        lambda t, x: (now("cell_inputs")(t), before("states")(t)),
        now("states"),
    )
    yield linear(
        "attention",
        side + "_energies, query",
        query,
        lambda t, x: (now("states")(t),),
        now("energies"),
        features,
    )
    # The query is their bias.
    yield _Map(
        "attention",
        side + "_energies, features",
        features,
        query + "/bias",
        lambda t, x: before("windows")(t)[:, 0],
        now("energies"),
        query + "/kernel",
    )
    yield linear(
        "attention",
        side + "_outputs",
        side + "/attn_output_projection",
        lambda t, x: (now("states")(t), now("attentions")(t)),
        now("outputs"),
    )


_MAPS = tuple(_maps())
