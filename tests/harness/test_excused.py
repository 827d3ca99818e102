"""An entry excuses just what it excused: `excused.csv` has what that is, of numbers that are fixed.

That an entry knows what TensorFlow computed, the corpus shows; that it excuses more than it need,
no other test would. Where an entry is changed on purpose, record what it excuses now, and look at
what is more than before::

    python tests/harness/test_excused.py && git diff tests/harness/excused.csv
"""

import contextlib
import os
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from recording import assert_same, read, write

from rnndiff.harness.cases.case import Case
from rnndiff.harness.judging.excuses import Instead, KnownDivergence, KnownRewrite
from rnndiff.harness.judging.verdict import TEACHER_FORCED, judge
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.subjects.tensorflow.divergences import ENTRIES
from rnndiff.models import MODELS
from rnndiff.models.layout import CHOICE, choices_of, is_optional, options_in, sizes_in

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "excused.csv")
# How many elements, or configs, are covered; how many of them may be anything, and how many of the
# trace are as the entry says; of what it says how many numbers are NaN, infinite, 0 and less, and
# exact. Of their places, sizes and widths a mean each.
COUNTS = ("of", "covered", "anything", "met", "nan", "infinite", "zero", "negative", "exact")
MEANS = ("place", "size", "width")
COLUMNS = ("model", "entry", "array") + COUNTS + MEANS
# Of 12 digits; what NumPy's functions differ by between processors is less than that.
SAME = 1e-9
DIVERGENCES = [entry for entry in ENTRIES if isinstance(entry, KnownDivergence)]
OTHERS = [entry for entry in ENTRIES if not isinstance(entry, KnownDivergence)]
ENTRY = {entry.name: entry for entry in ENTRIES}

RNN = dict(batch=4, time=3, inputs=2, num_units=3)
BOTH = dict(RNN, outputs=4)
DECODER = dict(BOTH, output_time=3)
ATTENTION = dict(DECODER, attn_length=2, attn_size=3, attn_vec_size=2)
UNROLLED = dict(RNN, runner="layer, unrolled")
GATES = dict(UNROLLED, implementation=1)
MASKED = dict(UNROLLED, mask=True)
ZEROED = dict(MASKED, zero_output_for_mask=True, go_backwards=True)
RELU, SIGMOID = dict(activation="relu"), dict(activation="sigmoid")
HARD = dict(recurrent_activation="hard_sigmoid")
# Entries that compute an oracle of other cells for every array: they are asked where they may know
# something, and once where they do not.
TANH, RSQRT, ZERO = "tanh-of-nan-is-minus-one", "rsqrt-of-huge-numbers", "zero-state-times-nan"
OF_RELU, OF_HARD = "relu-of-nan-is-zero", "xla-hard-sigmoid-of-nan"
HALF_RELU, HALF_SIGMOID = "half-relu-of-minus-infinity", "half-sigmoid-of-nan"
MASK, LAST = "unrolled-mask-is-not-reversed", "bidirectional-zeroes-the-last-output"
OF_CELLS = (TANH, RSQRT, ZERO, OF_RELU, OF_HARD, HALF_RELU, HALF_SIGMOID, MASK, LAST)
# Models, their configs and precisions, and which of those are asked, such that every branch of an
# entry is taken by one of them.
SCENES = [
    ("bidirectional", BOTH, "float32", OF_CELLS),
    ("bidirectional", dict(BOTH, batch=8, open_batch=True), "bfloat16", ()),
    ("seq2seq", DECODER, "float32", OF_CELLS),
    ("seq2seq", dict(DECODER, batch=1, output_time=1), "bfloat16", ()),
    ("seq2seq", dict(DECODER, outputs=1), "float32", ()),
    ("attention", ATTENTION, "float32", OF_CELLS),
    ("attention", dict(ATTENTION, attn_vec_size=1, open_batch=True), "float32", (TANH,)),
    ("attention", dict(ATTENTION, time=1), "float32", ()),
    ("rnn-basic", dict(RNN, **RELU), "float32", OF_CELLS),
    ("rnn-basic", dict(RNN, **RELU), "float16", (HALF_RELU, HALF_SIGMOID)),
    ("rnn-basic", dict(RNN, **SIGMOID), "float16", (HALF_RELU, HALF_SIGMOID)),
    ("rnn-basic", dict(RNN, batch=9, num_units=1), "float32", (TANH,)),
    ("rnn-gru", dict(RNN, **RELU), "float16", (HALF_RELU, HALF_SIGMOID)),
    ("rnn-gru", dict(RNN, runner="dynamic_rnn", inputs=1, initial_state=True), "bfloat16", ()),
    ("rnn-gru-block", RNN, "float32", (TANH, OF_RELU)),
    ("rnn-basic-lstm", RNN, "float32", (TANH, ZERO)),
    ("rnn-basic-lstm", dict(RNN, batch=1), "bfloat16", ()),
    ("rnn-basic-lstm", dict(RNN, batch=2), "bfloat16", ()),
    ("rnn-lstm", dict(RNN, cell_clip=0.5), "float32", ()),
    ("rnn-lstm", dict(RNN, cell_clip=2.0, activation="linear"), "float32", ()),
    ("rnn-lstm", dict(RNN, num_proj=2, cell_clip=1.0, proj_clip=0.25), "float32", ()),
    ("rnn-lstm", dict(RNN, num_proj=2, proj_clip=0.25, use_peepholes=True), "float32", ()),
    ("rnn-lstm", dict(RNN, num_proj=2, cell_clip=0.5), "float32", (ZERO,)),
    ("rnn-lstm", dict(RNN, proj_clip=0.25), "float32", ()),
    ("rnn-layer-norm-lstm", dict(RNN, batch=9, num_units=2, time=2), "float32", (RSQRT,)),
    ("rnn-layer-norm-lstm", dict(RNN, time=1, layer_norm=False), "float32", (TANH, RSQRT)),
    ("keras-simple-rnn", dict(UNROLLED, **SIGMOID), "float16", (HALF_SIGMOID,)),
    ("keras-simple-rnn", ZEROED, "float32", (TANH, MASK, LAST)),
    ("keras-simple-rnn", dict(ZEROED, runner="RNN"), "float32", (TANH, MASK)),
    ("keras-lstm", dict(RNN, **HARD), "float32", (OF_HARD,)),
    ("keras-lstm", dict(GATES, batch=1, **RELU), "float32", (OF_RELU,)),
    ("keras-lstm", dict(GATES, **RELU), "float16", (HALF_RELU, HALF_SIGMOID)),
    ("keras-lstm", dict(GATES, **SIGMOID), "float16", (HALF_RELU, HALF_SIGMOID)),
    ("keras-gru", dict(UNROLLED, batch=1, num_units=1, **HARD), "float32", (OF_HARD,)),
    ("keras-gru", dict(UNROLLED, batch=2, num_units=2, **HARD), "float32", (OF_HARD,)),
    ("keras-gru", dict(GATES, reset_after=False, **SIGMOID), "float16", (HALF_SIGMOID,)),
    ("keras-gru", dict(UNROLLED, **SIGMOID), "float16", (HALF_SIGMOID,)),
    ("keras-gru", dict(GATES, reset_after=False, **RELU), "float32", (OF_RELU,)),
    ("keras-bidirectional-simple-rnn", dict(MASKED, return_sequences=False), "float32", (LAST,)),
    ("keras-bidirectional-simple-rnn", MASKED, "float32", (MASK,)),
    ("seq2seq-gru", dict(DECODER, feeds="probabilities", start_token="zeros"), "float32", ()),
    ("seq2seq-gru", dict(DECODER, feeds="scores"), "float32", ()),
    ("seq2seq-basic", dict(DECODER, start_token="last class"), "float32", ()),
    ("attention-basic", dict(ATTENTION, time=1, start_token="zeros"), "float32", ()),
    ("attention-lstm", dict(ATTENTION, attn_vec_size=1), "bfloat16", (TANH,)),
    ("attention-basic", dict(ATTENTION, start_token="zeros"), "float32", ()),
]
# Of the arrays of these models those of which an entry knows what others do not.
ENERGIES = ("encoder_energies", "decoder_energies")
OF_ATTENTION = (*ENERGIES, "encoder_attentions", "decoder_cell_inputs", "decoder_alignments")
OF_ATTENTION += ("fed_back", "predictions")
# In configs of these it is asked which cases are covered, and how what is rewritten is computed.
COVERED_IN = (
    *("seq2seq", "bidirectional", "attention", "attention-lstm", "attention-lstm-block"),
    *("rnn-basic", "rnn-basic-lstm", "rnn-lstm", "rnn-lstm-block", "rnn-gru-block"),
    *("rnn-dropout-lstm", "birnn-basic", "birnn-layers", "stackbirnn-basic", "keras-simple-rnn"),
    *("keras-lstm", "keras-gru", "keras-bidirectional-simple-rnn", "keras-bidirectional-gru"),
)
LARGER = ("batch", "time", "output_time", "outputs")
CONFIGS, REWRITTEN, CONFIGS_OF = 400, 8, "configs of {}"
# What stands in the place of a number.
NAN, INF, HUGE, TINY = np.nan, np.inf, 2.0**123, 2.0**-130
SPECIAL = (NAN, NAN, NAN, INF, -INF, INF, -INF, "largest", "lowest", HUGE, -HUGE, TINY, 0.0, -0.0)
# Of 64 numbers of parameters, or of biases alone, of data and of the trace so many are special.
DRAWS = (
    dict(parameters=3),
    dict(biases=20, special=(NAN, NAN, -INF)),
    dict(data=4, trace=4),
    dict(parameters=1, data=4, trace=16),
)
# Of scores, whose subnormal numbers may be equal or not; of windows that are read with NaN; of
# variances around 2^126.
OF_SCORES = (
    dict(data=56, trace=56, special=("tiny", "-tiny", "tinier", 0.0)),
    dict(data=56, trace=56, special=("smallest", 0.0)),
)
OF_WINDOWS = (dict(trace=24, special=(NAN, INF, 0.0)),)
OF_VARIANCES = (dict(data=24, special=(2.0**64, -(2.0**64), 1.5 * 2.0**63)),)


def draws_of(name):
    """How cases and traces of a model are drawn."""
    has_scores = any(array.name == "scores" for array in MODELS[name].trace)
    return (
        DRAWS
        + OF_SCORES * has_scores
        + OF_WINDOWS * name.startswith("attention")
        + OF_VARIANCES * ("layer-norm" in name)
    )


def numbers(random, shape, rate, precision, special):
    """Small numbers without a rounding error; so many of 64 are special ones."""
    drawn = random.randint(-6, 7, shape) / 4.0
    named = dict(largest=precision.largest, lowest=-precision.largest, tiny=precision.smallest / 2)
    named.update({"-tiny": -precision.smallest / 2, "tinier": precision.smallest / 4})
    named.update(smallest=precision.smallest)
    special = np.take([named.get(x, x) for x in special], random.randint(0, len(special), shape))
    return precision.rounded(np.where(random.randint(0, 64, shape) < rate, special, drawn))


def drawn(name, options, precision, seed, draw):
    """A case and a trace, which owe nothing to each other, of numbers that are always the same."""
    model, known = MODELS[name], precision_of(precision)
    config, random = model.Config(**options), np.random.RandomState(seed)
    special, arrays, trace = draw.get("special", SPECIAL), {}, {}
    parameters = {field.name for field in model.parameters(config)}
    for field in model.fields(config):
        shape = field.shape(config)
        if field.counts:
            most = config.sizes()[field.counts]
            arrays[field.name] = random.randint(0, most + 1, shape).astype(field.dtype)
        else:
            kind = "parameters" if field.name in parameters else "data"
            rate = draw.get("biases" if field.name.endswith("bias") else kind, draw.get(kind, 0))
            arrays[field.name] = numbers(random, shape, rate, known, special)
    for each in model.trace:
        shape = each.shape(config)
        if each.role == CHOICE:
            trace[each.name] = random.randint(0, config.outputs, shape)
        else:
            trace[each.name] = numbers(random, shape, draw.get("trace", 0), known, special)
    return Case(model, config, arrays, precision), trace


def configs_of(name):
    """Configs of a model with small sizes and any options, always the same."""
    Config, random = MODELS[name].Config, np.random.RandomState(0)
    for _ in range(CONFIGS):
        options = {}
        for size, known in sizes_in(Config).items():
            options[size] = max(known.least, (0, 0, 1, 1, 1, 2, 3)[random.randint(7)])
            if is_optional(Config, size) and random.randint(2):
                options[size] = None
        for option in options_in(Config):
            choices = choices_of(Config, option)
            options[option] = choices[random.randint(len(choices))]
        with contextlib.suppress(ValueError):  # A size that must not be 0 may follow from one.
            yield Config(**options)


def told_of(found, actual):
    """What an entry says of an array: its counts, and the sums and weights of its means."""
    covered = np.broadcast_to(found.covered, actual.shape)
    places = np.flatnonzero(covered)
    means = {"place": (places.sum(), len(places))}
    count = dict(of=actual.size, covered=len(places))
    count["met"] = np.count_nonzero(covered & found.is_met_by(actual))
    if found.values is None:
        count["anything"] = len(places)
        return Counter(count), means
    values, rad = (np.broadcast_to(x, actual.shape)[covered] for x in (found.values, found.rad))
    said = np.isnan(values) | (rad < np.inf)
    weights, values, rad = 1.0 + places[said], values[said], rad[said]
    finite = np.isfinite(values)
    count.update(
        anything=len(places) - len(values),
        nan=np.count_nonzero(np.isnan(values)),
        infinite=np.count_nonzero(np.isinf(values)),
        zero=np.count_nonzero(values == 0),
        negative=np.count_nonzero(values < 0),
        exact=np.count_nonzero(finite & (rad == 0)),
    )
    means["size"] = _weighed(np.abs(values), weights, finite)
    means["width"] = _weighed(rad, weights, finite)
    return Counter(count), means


def _weighed(sizes, weights, finite):
    """Of a mean of logarithms, in which later places weigh more, the sum and the weight."""
    is_size = finite & (sizes > 0) & (sizes < np.inf)
    return (np.log2(sizes[is_size]) * weights[is_size]).sum(), weights[is_size].sum()


def row_of(told):
    """The counts and the means of what was told of some arrays."""
    counts, means = sum((count for count, _ in told), Counter()), []
    for name in MEANS:
        sums = np.sum([mean.get(name, (0.0, 0)) for _, mean in told], axis=0)
        means.append("{:.12g}".format(sums[0] / sums[1]) if sums[1] else "")
    return [str(counts[name]) for name in COUNTS] + means


def excused_in(scene):
    """What the entries excuse in a scene, by entry and array: rows of the file."""
    name, options, precision, asked = scene
    entries = [x for x in DIVERGENCES if x.name in asked or x.name not in OF_CELLS]
    entries = [x for x in entries if x.where.precision in (None, precision)]
    told = {}
    for seed, draw in enumerate(draws_of(name)):
        case, trace = drawn(name, options, precision, seed, draw)
        for array in judge(case, trace, arithmetic(precision)).arrays:
            if array.run != TEACHER_FORCED or array.worst <= 1:
                continue
            of_attention = name.startswith("attention")
            if array.name not in OF_ATTENTION if of_attention else array.name.startswith("final_"):
                continue
            for entry in entries:
                is_slow = of_attention and entry.name in OF_CELLS and array.name not in ENERGIES
                if array.name in entry.arrays and not is_slow:
                    with np.errstate(all="ignore"):
                        found = told_of(entry.instead(case, trace, array), array.actual)
                    told.setdefault((entry.name, array.name), []).append(found)
    return rows_of(told)


def covered_in(name):
    """Which configs of a model the other entries cover, and what they compute: rows of the file."""
    configs, told = list(configs_of(name)), {}
    for entry in OTHERS:
        cases = [SimpleNamespace(model=MODELS[name], config=config) for config in configs]
        covered = np.array([entry.covers(case) for case in cases])
        told[entry.name, ""] = [told_of(Instead(covered), np.zeros(len(covered)))]
        if isinstance(entry, KnownRewrite):
            for place in np.flatnonzero(covered)[::4][:REWRITTEN]:
                options = {x: 2 if x in LARGER else y for x, y in vars(configs[place]).items()}
                case = drawn(name, options, entry.where.precision or "float32", place, {})[0]
                for array, numbers in entry.computes(case).oracle("float64").items():
                    found = told_of(Instead(np.array(True), numbers), numbers)
                    told.setdefault((entry.name, array), []).append(found)
    return rows_of(told)


def rows_of(told):
    """Of what was told of entries and arrays, the rows of those where something is covered."""
    rows = {each: row_of(found) for each, found in told.items()}
    return {each: row for each, row in rows.items() if row[COUNTS.index("covered")] != "0"}


def named(scene):
    """The name of a scene: the model, and what is not as in others."""
    name, options, precision, _ = scene
    said = ["{}={}".format(*x) for x in options.items() if x not in ATTENTION.items()]
    return " ".join([name, *sorted(said)] + [precision] * (precision != "float32"))


def check(name, rows):
    """That the rows of a model are those of the file, and no others."""
    known = {each[1:]: row for each, row in read(PATH, 3).items() if each[0] == name}
    assert sorted(rows) == sorted(known)
    for each, row in rows.items():
        assert_same((name, *each), COLUMNS[3:], row, known[each], allowed)


def allowed(column, before):
    """What a number may be off by: of counts nothing."""
    return SAME * max(1.0, abs(float(before))) if column in MEANS else 0.0


@pytest.mark.parametrize("name", COVERED_IN)
def test_the_cases_that_are_known_to_fail_or_to_be_computed_as_others_are_what_they_were(name):
    check(CONFIGS_OF.format(name), covered_in(name))


@pytest.mark.parametrize("scene", SCENES, ids=named)
def test_an_entry_excuses_just_what_it_excused(scene):
    check(named(scene), excused_in(scene))


if __name__ == "__main__":
    found = [(CONFIGS_OF.format(name), covered_in(name)) for name in COVERED_IN]
    found += [(named(scene), excused_in(scene)) for scene in SCENES]
    write(
        PATH,
        COLUMNS,
        ((name, *each, *row) for name, rows in found for each, row in rows.items()),
    )
