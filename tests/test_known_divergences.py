"""The known divergences: each is still seen, in just the versions that its entry names."""

import copy

import numpy as np
import pytest

from rnndiff.harness.cases.random_cases import random_case
from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.judging.excuses import KnownEnding, Minimal
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects.alone import ended_by
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.subjects.tensorflow.divergences import ENTRIES
from rnndiff.harness.subjects.tensorflow.modes import MODES, PARTS, compiled_in
from rnndiff.models.environment import processor

SLOW = pytest.mark.slow

# The flag of a processor that computes in a precision itself.
COMPUTED_BY = {"float16": "avx512_fp16", "bfloat16": "avx512_bf16"}


def is_seen(entry, tensorflow):
    """Whether this TensorFlow diverges as `entry` says, whatever versions that names."""
    case = entry.minimal.case()
    # A case that may end the process is run in one of its own.
    endings = [other for other in ENTRIES if isinstance(other, KnownEnding)]
    ends = any(other.covers(case) for other in endings)
    signal = ended_by(case, mode=tensorflow.mode) if ends else None
    if signal:
        return entry in endings and signal in entry.signals
    believer = copy.copy(tensorflow)
    believer.known = (entry,)
    return entry.name in verdict_on(believer, case)[0].known


@pytest.fixture(
    scope="module",
    params=[
        name if name == "session" else pytest.param(name, marks=SLOW)
        for name, mode in MODES.items()
        # Most entries are of kernels of float32; some modes take processes of their own.
        if mode.precision == "float32" and (mode.is_any_session or mode.runner in ("xla", "eager"))
    ],
)
def in_mode(request, tensorflow):
    """TensorFlow in each of its modes of float32; the default is that of the tests."""
    if request.param == "session":
        return tensorflow
    if tensorflow.version < MODES[request.param].first:
        pytest.skip("this TensorFlow has no such mode")
    subject = subject_named("tensorflow", mode=request.param)
    if MODES[request.param].runner == "xla":
        # To measure what XLA computes takes long, and what diverges does so in any arithmetic.
        subject.arithmetic = lambda case: arithmetic("float32")._replace(recomputes=True)
        # On 2.16 a graph of attention takes a minute to compile where the processor is shared.
        subject.timeout = 600.0
    return subject


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_known_divergence_is_seen_where_its_entry_says_and_is_needed_nowhere_else(entry, in_mode):
    if entry in in_mode.known:
        # What XLA compiles by its own choice differs in each version.
        chooses = compiled_in(in_mode._tf1, MODES[in_mode.mode or "session"]) == PARTS
        said = "no longer seen: end its versions before this one"
        assert chooses or is_seen(entry, in_mode), said
    elif is_seen(entry, in_mode):
        # Another entry may know the same of another mode.
        verdict, _ = verdict_on(in_mode, entry.minimal.case())
        assert verdict.status != DISAGREE, verdict.summary()


@pytest.mark.parametrize(
    "entry",
    [
        # All numbers of 16 bits are tried before anything is judged.
        pytest.param(
            entry, id=entry.name, marks=SLOW if entry.where.precision in COMPUTED_BY else ()
        )
        for entry in ENTRIES
        if entry.where.precision in MODES
    ],
)
def test_divergence_of_a_precision_is_seen_in_the_mode_of_it(entry, tensorflow):
    if MODES[entry.where.precision].first > tensorflow.version:
        pytest.skip("this TensorFlow does not have the mode")
    subject = subject_named("tensorflow", mode=entry.where.precision)
    computes = COMPUTED_BY.get(entry.where.precision) in {None, *processor().flags}
    if entry in subject.known and computes:
        assert is_seen(entry, subject)


@pytest.mark.parametrize("option, is_known", [("open_batch", True), ("sequence_length", False)])
def test_zeros_of_the_initial_state_are_known_of_an_open_batch_but_not_of_rows_with_lengths(
    option, is_known, tensorflow
):
    entry = next((x for x in tensorflow.known if x.name == "zero-state-times-nan"), None)
    if entry is None:
        pytest.skip("this TensorFlow does not take them for known")
    case = entry.minimal._replace(sizes={option: True}).case()
    case.arrays.get("sequence_length", np.zeros(1))[:] = 1
    verdict, trace = verdict_on(tensorflow, case)
    assert np.isnan(trace["states_c"]).all() != is_known
    assert verdict.known == ((entry.name,) if is_known else ())


@SLOW
@pytest.mark.parametrize(
    "sizes", [{"inputs": 0}, {"inputs": 0, "time": 2}, {"num_units": 0, "attn_size": 1}], ids=str
)
def test_just_the_cases_that_an_entry_covers_end_the_process(sizes, tensorflow):
    case = Minimal("attention", sizes, {}).case()
    covered = [e for e in tensorflow.known if isinstance(e, KnownEnding) and e.covers(case)]
    assert (ended_by(case, mode=tensorflow.mode) is not None) == bool(covered)


@SLOW
@pytest.mark.parametrize(
    "name, options",
    [
        *(
            ("{}-lstm".format(family), {"activation": "linear"})
            for family in ("birnn", "stackbirnn", "seq2seq", "bidirectional", "attention")
        ),
        *(
            ("keras{}-lstm".format(kind), {"activation": "linear", "implementation": 2})
            for kind in ("", "-bidirectional")
        ),
        *(
            ("{}-{}-block".format(family, kind), {"inputs": 0})
            for family in ("stackbirnn", "seq2seq", "bidirectional", "attention")
            for kind in ("lstm", "gru")
        ),
        ("stackbirnn-basic", {"batch": 0, "runner": "stack_bidirectional_dynamic_rnn"}),
        ("keras-bidirectional-gru", {"batch": 0, "return_sequences": True}),
    ],
    ids=str,
)
def test_what_is_known_of_the_smallest_case_is_known_in_other_models(name, options, tensorflow):
    for seed in range(3):
        case = random_case(name, seed, **options)
        if tensorflow.supports(case.model, case.config) and not tensorflow.ended_by(case):
            verdict, _ = verdict_on(tensorflow, case)
            assert verdict.status != DISAGREE, verdict.summary()
