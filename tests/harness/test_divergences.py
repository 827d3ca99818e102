"""Known divergences: what is excused, to the element, and what is judged all the same."""

import os
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.cases.case import Case, load
from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.judging.excuses import KnownDivergence, Minimal, excuse
from rnndiff.harness.judging.verdict import (
    AGREE,
    DISAGREE,
    FREE_RUNNING,
    KNOWN,
    TEACHER_FORCED,
    judge,
)
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.balls import BoundedArray, exact
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.subjects.tensorflow import divergences
from rnndiff.harness.subjects.tensorflow.divergences import (
    ENTRIES,
    LOWEST,
    Where,
    _layer_norm_in_packets,
    known_in,
)
from rnndiff.harness.subjects.tensorflow.modes import NOTHING, PARTS, WHOLE
from rnndiff.models import ARTICLE, MODELS
from rnndiff.models.functions import ACTIVATIONS, accuracy, layer_norm

CORPUS = os.path.join(os.path.dirname(__file__), "..", "corpus")
ENTRY = {entry.name: entry for entry in ENTRIES}


class Port(Float32Port):
    """A right port but for `mistake`, known to diverge as some entries say."""

    def __init__(self, *names, mistake=lambda trace: trace):
        Float32Port.__init__(self, mistake)
        self.known = tuple(ENTRY[name] for name in names)


def wrong_everywhere(trace):
    return {name: array + np.ones((), array.dtype) for name, array in trace.items()}


def with_arrays(case, **arrays):
    arrays = {name: np.array(array, np.float32) for name, array in arrays.items()}
    return Case(case.model, case.config, dict(case.arrays, **arrays))


def planted(verdict, name, index):
    """The verdict with one free-running element outside its bound."""
    arrays = []
    for array in verdict.arrays:
        if (array.run, array.name) == (FREE_RUNNING, name):
            ratios = array.ratios.copy()
            ratios[index] = 2.0
            array = array._replace(ratios=ratios, worst=2.0)
        arrays.append(array)
    return verdict._replace(arrays=arrays)


def excused(port, case, name=None, index=None):
    """The verdict on a port with a free-running error planted, known divergences excused."""
    trace = port(case)
    verdict = judge(case, trace, FLOAT32)
    if name is not None:
        verdict = planted(verdict, name, index)
    return excuse(verdict, case, trace, port.known)


def free_running(verdict):
    return {array.name: array for array in verdict.arrays if array.run == FREE_RUNNING}


# --- rows --------------------------------------------------------------------------------------


def zero_window_in_row_0(trace):
    attentions = trace["encoder_attentions"].copy()
    attentions[0, 0] = 0
    return dict(trace, encoder_attentions=attentions)


@pytest.fixture
def one_row_excused():
    """A port of which one element of row 0 is excused, and the case."""
    case = random_case("attention", batch=3, time=1, output_time=1)
    inputs = case.inputs.copy()
    inputs[0] = np.nan
    return Port("zero-window-times-nan", mistake=zero_window_in_row_0), with_arrays(
        case, inputs=inputs
    )


@pytest.mark.parametrize("row", [1, 2])
def test_a_wrong_free_running_element_in_another_row_is_seen(row, one_row_excused):
    port, case = one_row_excused
    assert excused(port, case).status == KNOWN
    verdict = excused(port, case, "encoder_states", (row, 0, 1))
    assert verdict.status == DISAGREE
    wrong = verdict.first_wrong()
    assert (wrong.name, wrong.run) == ("encoder_states", FREE_RUNNING)
    assert wrong.first_wrong() == (row, 0, 1)


def test_the_row_of_an_excused_element_and_what_is_a_mean_over_it_are_not_judged_free_running(
    one_row_excused,
):
    port, case = one_row_excused
    for name, index in (("encoder_states", (0, 0, 1)), ("loss", ()), ("accuracy", ())):
        assert excused(port, case, name, index).status == KNOWN
    arrays = free_running(excused(port, case))
    assert arrays["encoder_states"].known.tolist() == [[[True] * 4], [[False] * 4], [[False] * 4]]
    assert arrays["loss"].known and arrays["accuracy"].known


def test_what_is_not_judged_is_not_undecided_either(one_row_excused):
    port, case = one_row_excused
    trace = port(case)
    verdict = judge(case, trace, FLOAT32)
    arrays = [
        array._replace(undecided=np.ones_like(array.undecided), doubts=array.undecided.size)
        for array in verdict.arrays
    ]
    verdict = excuse(verdict._replace(arrays=arrays), case, trace, port.known)
    states = free_running(verdict)["encoder_states"]
    assert states.undecided[:, 0, 0].tolist() == [False, True, True]
    assert states.doubts == 2 * case.config.num_units


def test_what_is_not_judged_does_not_count_as_compared(one_row_excused):
    port, case = one_row_excused
    before, after = judge(case, port(case), FLOAT32), excused(port, case)
    of_a_row = sum(
        array.actual.size // len(array.actual) if array.actual.ndim else 1
        for array in free_running(before).values()
    )
    assert before.elements(FREE_RUNNING) - after.elements(FREE_RUNNING) == of_a_row


def test_what_a_subject_does_not_have_is_said_beside_what_is_excused(one_row_excused):
    port, case = one_row_excused
    trace = {name: array for name, array in port(case).items() if name != "accuracy"}
    verdict = excuse(judge(case, trace, FLOAT32), case, trace, port.known)
    assert verdict.status == KNOWN and verdict.missing == ("accuracy",)
    assert verdict.summary().endswith("not judged, as the subject does not have it: accuracy")


# --- labels ------------------------------------------------------------------------------------

LABELS = {
    "argmax-skips-nan": [[np.nan, 1, 0], [0, 1, 0]],
    "argmax-skips-lowest": [[-np.inf, LOWEST, -np.inf], [0, 1, 0]],
}


def above_lowest(scores):
    return np.argmax(np.where(scores > LOWEST, scores, -np.inf), axis=-1)


def by_another_argmax(case, wrongly=0.0):
    """The accuracy if the arg max of the labels passes over NaN and over the lowest number."""

    def mistake(trace):
        share = np.mean(trace["predictions"] == above_lowest(case.labels), dtype=np.float32)
        return dict(trace, accuracy=np.float32(share + wrongly))

    return mistake


def labelled(name):
    """A case with such labels, of which the right arg max and that one make other accuracies."""
    for seed in range(100):
        case = with_arrays(random_case("bidirectional", seed), labels=LABELS[name])
        predictions = case.oracle(np.float32)["predictions"]
        right = accuracy(predictions, case.labels)
        if right != np.mean(predictions == above_lowest(case.labels)):
            return case


@pytest.mark.parametrize("name", list(LABELS))
def test_an_accuracy_by_the_arg_max_of_such_labels_is_known(name):
    case = labelled(name)
    assert verdict_on(Port(name, mistake=by_another_argmax(case)), case)[0].known == (name,)


@pytest.mark.parametrize("name", list(LABELS))
@pytest.mark.parametrize("wrongly", [0.25, -0.25, 1e-6])
def test_another_accuracy_of_such_labels_disagrees(name, wrongly):
    case = labelled(name)
    port = Port(name, mistake=by_another_argmax(case, wrongly))
    assert verdict_on(port, case)[0].status == DISAGREE


@pytest.mark.parametrize("name", list(LABELS))
def test_an_excused_accuracy_leaves_all_rows_judged_free_running(name):
    case = labelled(name)
    port = Port(name, mistake=by_another_argmax(case))
    arrays = free_running(excused(port, case))
    assert [name for name, array in arrays.items() if array.known is not None] == ["accuracy"]
    for row in (0, 1):
        assert excused(port, case, "outputs", (row, 0, 0)).status == DISAGREE
    assert excused(port, case, "loss", ()).status == DISAGREE


# --- NaN and tanh ------------------------------------------------------------------------------


class PortOfPackets(Port):
    """A port whose tanh of NaN is -1 in whole packets of eight numbers."""

    def __call__(self, case):
        tanh = np.tanh

        def of_packets(numbers):
            result = tanh(numbers)
            flat = result.reshape(-1)
            whole = flat[: flat.size // 8 * 8]
            whole[np.isnan(whole)] = -1
            return result

        with mock.patch("numpy.tanh", of_packets), mock.patch.dict(ACTIVATIONS, tanh=of_packets):
            return Port.__call__(self, case)


def nan_in_row_1(name, **sizes):
    case = random_case(name, batch=3, **sizes)
    inputs = case.inputs.copy()
    inputs[1] = np.nan
    return with_arrays(case, inputs=inputs)


@pytest.mark.parametrize("name", ["seq2seq", "bidirectional", "attention"])
def test_the_tanh_of_nan_in_packets_is_known_and_all_that_follows_from_it_is_judged(name):
    case = nan_in_row_1(name)
    assert verdict_on(PortOfPackets(), case)[0].status == DISAGREE
    verdict, _ = verdict_on(PortOfPackets("tanh-of-nan-is-minus-one", "argmax-skips-nan"), case)
    assert verdict.status == KNOWN
    assert "tanh-of-nan-is-minus-one" in verdict.known


@pytest.mark.parametrize("name", ["seq2seq", "bidirectional", "attention"])
def test_the_tanh_of_nan_in_other_places_than_packets_disagrees(name):
    # Of 3 rows of 4 units a packet holds two, so of row 2 all is left over.
    case = random_case(name, batch=3)
    inputs = case.inputs.copy()
    inputs[2] = np.nan
    states = "outputs" if name == "bidirectional" else "encoder_states"

    def mistake(trace):
        wrong = np.where(np.isnan(trace[states]), np.float32(-1), trace[states])
        return dict(trace, **{states: wrong})

    port = Port("tanh-of-nan-is-minus-one", mistake=mistake)
    verdict, _ = verdict_on(port, with_arrays(case, inputs=inputs))
    assert verdict.first_wrong().name == states
    assert verdict.first_wrong().first_wrong()[0] == 2


@pytest.mark.parametrize("factor", [1.0, 1 + 1e-5, 1 - 1e-5])
def test_energies_beside_the_tanh_of_nan_in_packets_are_predicted_within_rounding(factor):
    case = random_case("attention", batch=3, time=1, output_time=1)
    bias = case.arrays["encoder/attention/bias"].copy()
    bias[0] = np.nan
    case = with_arrays(case, **{"encoder/attention/bias": bias})

    def mistake(trace):
        return dict(trace, encoder_energies=trace["encoder_energies"] * np.float32(factor))

    port = PortOfPackets("tanh-of-nan-is-minus-one", mistake=mistake)
    verdict, _ = verdict_on(port, case)
    energies = next(array for array in verdict.arrays if array.name == "encoder_energies")
    assert energies.run == TEACHER_FORCED
    assert energies.status == (KNOWN if factor == 1 else DISAGREE)


def test_the_tanh_of_what_only_one_order_of_the_sum_makes_nan_is_known():
    # 76 times 5e37 overflows, and to that -inf is added; before it overflows, it is -inf as well.
    case = random_case("attention", batch=2, time=1, output_time=2, num_units=4, attn_length=1)
    zeros = {name: np.zeros_like(array) for name, array in case.arrays.items()}
    case = with_arrays(case, **dict(zeros, labels=case.labels))
    arrays = {name: array.copy() for name, array in case.arrays.items()}
    arrays["encoder/cell/bias"][:] = -1
    arrays["encoder/attn_output_projection/kernel"][0] = 100
    arrays["decoder/attention/attn_w"][0, 0, 0, 0] = -5e37
    arrays["decoder/attention/bias"][0] = -np.inf

    class BiasLast(PortOfPackets):
        def arithmetic(self, case):
            return PortOfPackets.arithmetic(self, case)._replace(bias_anywhere=False)

    case = with_arrays(case, **arrays)
    assert verdict_on(BiasLast(), case)[0].status == DISAGREE
    verdict, _ = verdict_on(BiasLast("tanh-of-nan-is-minus-one"), case)
    assert (verdict.status, verdict.known) == (KNOWN, ("tanh-of-nan-is-minus-one",))


# --- rewrites ----------------------------------------------------------------------------------


class PortWithoutLostBiases(Port):
    """A port that computes what the entry says instead."""

    def __call__(self, case):
        return Port.__call__(self, ENTRY["empty-product-loses-bias"].computes(case))


def add_to(name, error):
    return lambda trace: dict(trace, **{name: trace[name] + np.float32(error)})


@pytest.mark.parametrize("name", ["seq2seq", "bidirectional"])
@pytest.mark.parametrize("array", ["scores", "probabilities", "loss"])
def test_an_unrelated_mistake_on_a_case_computed_as_another_is_still_a_disagreement(name, array):
    case = random_case(name, num_units=0)
    known = "empty-product-loses-bias"
    assert verdict_on(PortWithoutLostBiases(known), case)[0].known == (known,)
    port = PortWithoutLostBiases(known, mistake=add_to(array, 0.25))
    verdict, _ = verdict_on(port, case)
    assert verdict.status == DISAGREE and not verdict.known


@pytest.mark.parametrize("name", ARTICLE)
def test_a_wrong_loss_is_no_tanh_of_nan(name):
    port = Port("tanh-of-nan-is-minus-one", mistake=add_to("loss", 1.0))
    assert verdict_on(port, random_case(name))[0].status == DISAGREE


def test_a_mask_that_nobody_reverses_excuses_nothing():
    options = {"runner": "layer, unrolled", "mask": True, "zero_output_for_mask": True}
    options.update(num_units=1, return_sequences=True, go_backwards=False, initial_state=False)
    case = random_case("keras-lstm", **options)
    for parameter in case.parameters:
        parameter[...] = 0
    # The forget gate, which the initial state of zeros is multiplied by.
    case.arrays["cell/bias"][1] = np.nan
    case.arrays["mask"][...] = 1

    def lose(trace):
        outputs = trace["outputs"].copy()
        outputs[:, 0] = 0
        return dict(trace, outputs=outputs)

    port = Port("unrolled-mask-is-not-reversed", mistake=lose)
    assert verdict_on(port, case)[0].status == DISAGREE


class PortOfSwish(Port):
    """A port that computes what the entry says instead."""

    def __call__(self, case):
        return Port.__call__(self, ENTRY["swish-of-two-numbers"].computes(case))


@pytest.mark.parametrize(
    "name, array",
    [
        ("rnn-basic-lstm", "states_c"),
        ("birnn-lstm", "backward_states_c"),
        ("seq2seq-lstm", "scores"),
        ("attention-lstm", "scores"),
        ("keras-lstm", "outputs"),
        ("keras-bidirectional-lstm", "outputs"),
    ],
)
def test_a_swish_of_two_numbers_is_known_and_a_mistake_beside_it_disagrees(name, array):
    known = "swish-of-two-numbers"
    case = random_case(name, activation="linear")
    assert verdict_on(PortOfSwish(), case)[0].status == DISAGREE
    assert verdict_on(PortOfSwish(known), case)[0].known == (known,)
    verdict, _ = verdict_on(PortOfSwish(known, mistake=add_to(array, 0.25)), case)
    assert verdict.status == DISAGREE and not verdict.known


@pytest.mark.parametrize(
    "name, options",
    [
        ("rnn-basic-lstm", {"activation": "tanh"}),
        ("rnn-lstm", {"activation": "linear", "use_peepholes": True}),
        ("rnn-gru", {"activation": "linear"}),
        ("keras-gru", {"activation": "linear"}),
        ("keras-lstm", {"activation": "linear", "implementation": 1}),
        ("keras-lstm", {"activation": "linear", "recurrent_activation": "hard_sigmoid"}),
        ("seq2seq", {}),
    ],
)
def test_a_swish_of_two_numbers_is_of_no_other_cells(name, options):
    assert not ENTRY["swish-of-two-numbers"].covers(random_case(name, **options))


# --- cells of any kind -------------------------------------------------------------------------

# What TensorFlow computed that diverges, and the entry that knows it.
RECORDED = {
    "relu-of-nan-is-zero": "relu-of-nan-is-zero",
    "relu-of-nan-in-a-gru": "relu-of-nan-is-zero",
    "zero-state-times-nan": "zero-state-times-nan",
    "zero-state-times-a-peephole-that-is-nan": "zero-state-times-nan",
    "tanh-of-nan-in-an-lstm": "tanh-of-nan-is-minus-one",
    "tanh-of-nan-in-attention-over-a-gru": "tanh-of-nan-is-minus-one",
    "tanh-of-nan-in-energies-over-a-fused-lstm": "tanh-of-nan-is-minus-one",
    "tanh-of-nan-in-a-gru": "tanh-of-nan-is-minus-one",
    "rsqrt-of-huge-numbers": "rsqrt-of-huge-numbers",
    "relu-of-nan-in-an-lstm-of-one-row": "relu-of-nan-is-zero",
    "softmax-zero-beside-nan-that-is-fed-back": "softmax-zero-beside-nan",
    "zero-state-times-nan-in-a-stack": "zero-state-times-nan",
    "tanh-of-nan-beside-a-zero-that-is-known": "tanh-of-nan-is-minus-one",
    "tanh-of-nan-of-a-normalized-layer": "tanh-of-nan-is-minus-one",
    "zero-window-and-a-subnormal-bias": "zero-window-times-nan",
    "zeroed-output-and-tanh-of-nan": "tanh-of-nan-is-minus-one",
    "unrolled-mask-and-tanh-of-nan": "tanh-of-nan-is-minus-one",
}


def excused_but(name, change):
    """The verdict on a recorded trace; where it is first wrong, with one number changed.

    ``change`` takes the verdict on the first array that diverges to a number, and says which one.
    """
    case, trace, _ = load(os.path.join(CORPUS, name + ".npz"))
    entries = (ENTRY[RECORDED[name]],)
    verdict = judge(case, trace, FLOAT32)
    assert excuse(verdict, case, trace, entries).status == KNOWN
    wrong = next(each for each in verdict.arrays if np.isfinite(each.actual[each.wrong]).any())
    numbers = trace[wrong.name].copy()
    place = change(wrong)
    numbers[place] += np.float32(0.25)
    trace = dict(trace, **{wrong.name: numbers})
    found = excuse(judge(case, trace, FLOAT32), case, trace, entries).first_wrong()
    return (found.name, found.run, found.first_wrong()), (wrong.name, TEACHER_FORCED, place)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_another_number_than_the_one_that_a_cell_is_known_to_have_for_nan_disagrees(name):
    found, place = excused_but(name, lambda wrong: wrong.first_wrong())
    assert found == place


@pytest.mark.parametrize("name", ["relu-of-nan-in-a-gru", "tanh-of-nan-in-an-lstm"])
def test_a_wrong_number_beside_a_cell_that_diverges_disagrees(name):
    def right(wrong):
        places = ~wrong.wrong & np.isfinite(wrong.expected)
        return tuple(int(i) for i in np.argwhere(places)[0])

    found, place = excused_but(name, right)
    assert found == place


def test_a_model_without_cells_of_any_kind_is_not_excused_by_what_is_known_of_them():
    known = ("relu-of-nan-is-zero", "zero-state-times-nan")
    port = Port(*known, mistake=add_to("outputs", 0.25))
    assert verdict_on(port, random_case("bidirectional"))[0].status == DISAGREE


@pytest.mark.parametrize("name", MODELS)
def test_every_entry_answers_of_every_model(name):
    case = random_case(name, gain=8.0)
    trace = Float32Port(wrong_everywhere)(case)
    verdict = judge(case, trace, FLOAT32)
    # To ask of one array is enough: of others they answer in the same way, at seconds a model.
    last = {
        entry: array
        for entry in ENTRIES
        if isinstance(entry, KnownDivergence)
        for array in verdict.arrays
        if array.run == TEACHER_FORCED and array.worst > 1 and array.name in entry.arrays
    }
    assert last
    for entry, array in last.items():
        with np.errstate(all="ignore"):
            found = entry.instead(case, trace, array)
        for numbers in (found.covered, found.values, found.rad):
            np.broadcast_to(0.0 if numbers is None else numbers, array.actual.shape)


def test_an_error_is_known_that_stands_behind_a_long_account_of_its_place():
    # As AutoGraph of TensorFlow 1.14 has it.
    place = "in converted code: " + "site-packages/tensorflow/python/ops/rnn.py:1 call " * 20
    error = ValueError(place + "ValueError: Expecting inputs_shape[1] to be set: (1, 0)")
    case = ENTRY["gru-block-of-no-inputs"].minimal.case()
    known = (replace(ENTRY["lstm-block-of-no-inputs"], covers=lambda case: True),)
    port = Float32Port(mock.Mock(side_effect=error))
    assert verdict_on(port, case, known=known)[0].status == KNOWN


def test_a_mask_that_is_not_reversed_excuses_no_tanh_of_nan():
    case, trace, _ = load(os.path.join(CORPUS, "unrolled-mask-and-tanh-of-nan.npz"))
    entries = (ENTRY["unrolled-mask-is-not-reversed"],)
    assert excuse(judge(case, trace, FLOAT32), case, trace, entries).status == DISAGREE


def test_a_zero_of_another_sign_is_right_only_where_a_subject_recomputes():
    case, trace, _ = load(os.path.join(CORPUS, "xla-computes-a-zero-anew.npz"))
    assert judge(case, trace, FLOAT32).status == DISAGREE
    assert judge(case, trace, FLOAT32._replace(recomputes=True)).status != DISAGREE


# --- clipped by XLA ----------------------------------------------------------------------------

CLIPS = "xla-clips-a-state-that-is-nan"


def clipped(config, states_c, states_h=None):
    """The verdict on an LSTM whose first state is NaN, where these stand in the place of that."""
    case = ENTRY[CLIPS].minimal._replace(sizes=dict(num_units=2, **config)).case()
    c = np.float32([[states_c]])
    h = np.float32(0.5) * np.tanh(c) if states_h is None else np.float32([[states_h]])
    trace = dict(states_c=c, states_h=h, outputs=h, final_c=c[:, 0], final_h=h[:, 0])
    return excuse(judge(case, trace, FLOAT32), case, trace, (ENTRY[CLIPS],))


def test_a_clipped_nan_may_be_a_number_within_the_clip_and_nothing_else():
    assert clipped({"cell_clip": 1.0}, [-1, 0]).status == KNOWN
    # Beyond the clip; another number where there is no NaN; without any clip.
    assert clipped({"cell_clip": 1.0}, [-1.5, 0]).status == DISAGREE
    assert clipped({"cell_clip": 1.0}, [-1, 0.5]).status == DISAGREE
    assert clipped({}, [-1, 0]).status == DISAGREE
    # What is projected is not what is clipped.
    assert clipped({"proj_clip": 1.0}, [-1, 0]).status == DISAGREE


def test_what_reads_a_clipped_nan_may_have_read_nan_and_nothing_else():
    config = {"cell_clip": 1.0}
    assert clipped(config, [0, 0], [np.nan, 0]).status == KNOWN
    # Another number; NaN beside what is clipped; NaN without any clip.
    assert clipped(config, [0, 0], [0.25, 0]).status == DISAGREE
    assert clipped(config, [0, 0], [np.nan, np.nan]).status == DISAGREE
    assert clipped({}, [0, 0], [np.nan, 0]).status == DISAGREE


@pytest.mark.parametrize("number, activation", [(0, "hard_sigmoid"), (0.25, ""), (0, "sigmoid")])
def test_a_hard_sigmoid_of_nan_may_be_0_and_nothing_else(number, activation):
    name = "xla-hard-sigmoid-of-nan"
    minimal = ENTRY[name].minimal
    sizes = dict(minimal.sizes, recurrent_activation=activation or "hard_sigmoid")
    port = Port(name, mistake=lambda trace: {n: np.full_like(trace[n], number) for n in trace})
    verdict, _ = verdict_on(port, minimal._replace(sizes=sizes).case())
    is_known = (number, activation) == (0, "hard_sigmoid")
    assert verdict.status == (KNOWN if is_known else DISAGREE), verdict.summary()


def test_a_hard_sigmoid_of_nan_is_kept_by_a_clip_of_one_number():
    name = "xla-hard-sigmoid-of-nan"
    minimal = ENTRY[name].minimal
    sizes = dict(minimal.sizes, batch=1, num_units=1)
    port = Port(name, mistake=lambda trace: {n: np.zeros_like(trace[n]) for n in trace})
    verdict, _ = verdict_on(port, minimal._replace(sizes=sizes).case())
    assert verdict.status == DISAGREE, verdict.summary()


# --- where -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where, version, onednn, xla, holds",
    [
        (Where((2, 5)), (2, 4), True, NOTHING, False),
        (Where((2, 5)), (2, 5), True, NOTHING, True),
        (Where((2, 5)), (3, 0), False, PARTS, True),
        (Where((2, 5), (2, 7)), (2, 7), False, WHOLE, True),
        (Where((2, 5), (2, 7)), (2, 8), False, NOTHING, False),
        (Where((2, 5), onednn=True), (2, 7), False, NOTHING, False),
        (Where((2, 5), onednn=False), (2, 7), False, PARTS, True),
        (Where((2, 5), xla=(PARTS, WHOLE)), (2, 7), True, NOTHING, False),
        (Where((2, 5), xla=(PARTS, WHOLE)), (2, 7), True, WHOLE, True),
        (Where((2, 5), xla=(PARTS,)), (2, 7), True, WHOLE, False),
        (Where((2, 5), xla=(NOTHING,)), (2, 7), True, PARTS, False),
    ],
)
def test_an_entry_holds_between_its_versions_in_its_modes(where, version, onednn, xla, holds):
    assert where.holds(version, onednn, xla) == holds


@pytest.mark.parametrize("grappler", [True, False])
def test_an_entry_of_grapplers_holds_only_where_that_rewrites_graphs(grappler):
    where = Where((2, 5), grappler=True)
    assert where.holds((2, 5), True, NOTHING, grappler) == grappler
    # As it does unless a mode says otherwise.
    assert where.holds((2, 5), True, NOTHING)
    assert Where((2, 5)).holds((2, 5), True, NOTHING, grappler)
    assert str(where) == "2.5 on, with Grappler"


@pytest.mark.parametrize(
    "xla, said",
    [
        ((NOTHING,), "2.5 on, without XLA"),
        ((PARTS, WHOLE), "2.5 on, with XLA"),
        ((PARTS,), "2.5 on, where XLA chooses what it compiles"),
        ((WHOLE,), "2.5 on, where XLA compiles all"),
        ((NOTHING, PARTS), "2.5 on, unless XLA compiles all"),
        ((NOTHING, PARTS, WHOLE), "2.5 on"),
    ],
)
def test_a_place_says_how_much_xla_compiles(xla, said):
    assert str(Where((2, 5), xla=xla)) == said


@pytest.mark.parametrize("value, is_known", [(0.5, True), (1e30, False)])
def test_an_output_of_a_state_that_is_clipped_from_nan_is_known_within_its_activation(
    value, is_known
):
    entry = ENTRY["xla-clips-a-state-that-is-nan"]
    case = Minimal("rnn-lstm", {"cell_clip": 2.0}, {"cell/bias": {(1,): np.nan}}).case()
    trace = {n: x.astype(np.float32) for n, x in case.oracle("float64").items()}
    assert np.isnan(trace["outputs"]).all()
    trace.update((n, np.full_like(x, value)) for n, x in trace.items() if not n.endswith("_c"))
    verdict = excuse(judge(case, trace, FLOAT32), case, trace, (entry,))
    assert (verdict.status == KNOWN) == is_known, verdict.summary()


@pytest.mark.parametrize("batch, is_known", [(2, True), (1, False)])
def test_nan_beside_an_infinity_is_known_of_products_of_two_rows_and_more(batch, is_known):
    entry = ENTRY["odd-product-of-infinity"]
    minimal = entry.minimal
    case = minimal._replace(sizes=dict(minimal.sizes, batch=batch)).case()
    case, known = replace(case, precision="bfloat16"), precision_of("bfloat16")
    trace = {name: known.rounded(array) for name, array in case.oracle("float64").items()}
    for array in trace.values():
        array[0] = np.nan
    verdict = excuse(judge(case, trace, arithmetic("bfloat16")), case, trace, (entry,))
    assert verdict.status == (KNOWN if is_known else DISAGREE), verdict.summary()


@pytest.mark.parametrize(
    "name, weights, is_known",
    [
        ("keras-bidirectional-simple-rnn", "forward/bias", True),
        ("keras-simple-rnn", "cell/bias", False),
    ],
)
def test_a_last_output_of_zero_is_known_of_bidirectional_alone(name, weights, is_known):
    options = {"mask": True, "return_sequences": False, "time": 2}
    case = Minimal(name, options, {weights: {(0,): 1}, "mask": {(0, 1): 0}}).case()
    trace = case.oracle("float32")
    assert trace["outputs"][0, 0, 0] > 0.5
    trace["outputs"][0, 0, 0] = 0
    entry = ENTRY["bidirectional-zeroes-the-last-output"]
    verdict = excuse(judge(case, trace, arithmetic("float32")), case, trace, (entry,))
    assert verdict.status == (KNOWN if is_known else DISAGREE), verdict.summary()


# --- what no case that was found tells -----------------------------------------------------------


def array_of(verdict, name):
    return next(x for x in verdict.arrays if (x.run, x.name) == (TEACHER_FORCED, name))


def fed_back(tokens):
    """What is excused of these tokens, after scores that are all equal."""
    case = Minimal("seq2seq", {"batch": 2, "outputs": 2, "output_time": 3}, {}).case()
    trace = {n: x.astype(np.float32) for n, x in case.oracle("float64").items()}
    trace["predictions"] = trace["predictions"].astype(np.int64)
    trace["fed_back"] = np.array(tokens, np.float32)
    entries = (ENTRY["xla-leaves-a-tied-argmax"],)
    return array_of(excuse(judge(case, trace, FLOAT32), case, trace, entries), "fed_back")


def test_of_equal_scores_each_token_that_is_fed_back_may_be_the_first_or_the_last():
    first, last = [1, 0], [0, 1]
    found = fed_back([[first, last], [last, first]])
    assert found.status == KNOWN
    assert found.known.tolist() == [[[False] * 2, [True] * 2], [[True] * 2, [False] * 2]]
    # No half of one and half of the other.
    found = fed_back([[[0, 0], last], [[1, 1], [0.5, 0.5]]])
    assert found.status == DISAGREE
    assert found.wrong.tolist() == [[[True, False], [False] * 2], [[False, True], [True] * 2]]


@pytest.mark.parametrize(
    "share, is_known",
    [(-(2.0**-149), False), (0, True), (1, True), (1 + 2.0**-21, True), (1 + 2.0**-20, False)],
)
def test_a_share_of_one_slot_may_be_above_1_by_its_roundings_and_no_more(share, is_known):
    entry = ENTRY["xla-softmax-of-unrounded"]
    case = entry.minimal.case()
    trace = {n: x.astype(np.float32) for n, x in case.oracle("float64").items()}
    trace["predictions"] = trace["predictions"].astype(np.int64)
    array = array_of(judge(case, trace, FLOAT32), "encoder_alignments")
    array = array._replace(actual=np.full_like(array.actual, share))
    with np.errstate(all="ignore"):
        found = entry.instead(case, trace, array)
    assert np.isfinite(trace["encoder_energies"]).all()
    assert (found.covered == is_known).all()


@pytest.mark.parametrize(
    "variance, factor",
    [
        (1.0, 1.0),
        # The estimate of its reciprocal root may be too large by 1.5 / 2^12, and its square normal.
        (0.9990 * 2.0**126, 1.0),
        (0.9995 * 2.0**126, 1.5),
        # The sum of two such squares does not overflow, and of the next ones it does.
        (0.95 * 2.0**127, 1.5),
        (1.01 * 2.0**127, np.nan),
    ],
)
def test_the_root_of_a_huge_variance_is_half_as_large_again_in_whole_packets(variance, factor):
    stated = arithmetic("float32")
    x = np.sqrt(variance) * np.broadcast_to([1.0, -1.0], (2, 9, 2))
    x = BoundedArray(x, np.zeros(x.shape), stated, stacked=True)
    gain, shift = exact(np.array([1.0, 2.0]), stated), exact(np.array([0.0, 0.25]), stated)
    with np.errstate(all="ignore"):
        right, found = (f(x, gain, shift, 1e-6) for f in (layer_norm, _layer_norm_in_packets))
    changed = [factor * 1.0, -factor * 2.0 + 0.25]
    np.testing.assert_allclose(found.mid[:, :8], np.broadcast_to(changed, (2, 8, 2)), 1e-6)
    np.testing.assert_array_equal(found.mid[:, 8:], right.mid[:, 8:])
    np.testing.assert_allclose(found.rad_as_operand()[:, 8:], right.rad_as_operand()[:, 8:], 0.1)
    width = {1.0: 0.0, 1.5: 1.5 * 1.5 * 2.0**-12}.get(factor)
    if width is not None:
        added = found.rad_as_operand()[:, :8] - right.rad_as_operand()[:, :8]
        np.testing.assert_allclose(added, width * np.broadcast_to([1, 2], (2, 8, 2)), 2e-3, 1e-5)


def test_of_a_tensorflow_is_known_what_holds_where_grappler_rewrites_graphs_of_float32():
    where = (2, 12), True, NOTHING
    assert known_in(*where) == known_in(*where, True, "float32")
    assert set(known_in(*where, False)) < set(known_in(*where))
    assert set(known_in(*where, precision="float64")) - set(known_in(*where))


@pytest.mark.parametrize("accuracy, is_known", [(1.0, True), (0.0, None), (0.5, False)])
def test_subnormal_labels_beside_nan_are_read_as_they_are_or_as_zeros(accuracy, is_known):
    # NumPy's class is 0, XLA's 1, or 2 where both numbers are flushed.
    case = Minimal("bidirectional", {"outputs": 3}, {"projection/bias": {(1,): 1.0}}).case()
    case.arrays["labels"][...] = [[np.nan, 2.0**-130, 2.0**-131]]
    trace = {n: x.astype(np.float32) for n, x in case.oracle("float64").items()}
    trace["predictions"] = trace["predictions"].astype(np.int64)
    assert trace["predictions"].tolist() == [1]
    trace["accuracy"] = np.array(accuracy, np.float32)
    entries = (ENTRY["xla-argmax-takes-the-last"],)
    found = array_of(excuse(judge(case, trace, FLOAT32), case, trace, entries), "accuracy")
    assert found.status == {True: KNOWN, None: AGREE, False: DISAGREE}[is_known]


def test_what_is_left_of_packets_of_eight_goes_one_by_one():
    counts = [np.count_nonzero(divergences._in_packets(np.zeros(size))) for size in (7, 8, 15, 17)]
    assert counts == [0, 8, 8, 16]
    assert divergences._in_packets(np.zeros((3, 3))).sum() == 8
