"""What a person is told of a disagreement, and of elements that are undecided."""

import dataclasses

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.judging.forcing import follow
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import (
    AGREE,
    FREE_RUNNING,
    TEACHER_FORCED,
    UNDECIDED,
    judge,
    judge_stacks,
)
from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.report.describe import describe
from rnndiff.harness.report.exhibits import Exhibit, with_heat_maps
from rnndiff.harness.report.undecided import why_undecided
from rnndiff.harness.subjects.float64 import Float64
from rnndiff.models import ARTICLE, MODELS
from rnndiff.models.layout import STATE


def constant(bias):
    """A case in which all scores are those of the bias, and all else is zero."""
    case = random_case("bidirectional", batch=1)
    for name, array in case.arrays.items():
        if name != "labels":
            array[...] = 0
    case.arrays["projection/bias"][:] = bias
    return case


def lines_on(case, name, change):
    """The two lines on the first wrong element of an array, and its page's words."""

    def mistake(trace):
        trace[name] = np.array(trace[name])
        change(trace[name])
        return trace

    verdict, _ = verdict_on(Float32Port(mistake), case)
    lines = describe(case, verdict).splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("first in"))
    assert lines[first].startswith("first in " + name)
    return lines[first + 1 : first + 3], with_heat_maps(Exhibit("", ""), case, verdict).first


def test_a_difference_is_counted_in_the_ulp_of_its_bound_that_of_the_expected_value():
    def change(scores):
        scores[0, 0] = 1.25

    case = constant([0.75, 0.25, 0.25])
    (values, difference), first = lines_on(case, "scores", change)
    # The spacing of floats is 2^-24 at 0.75 and 2^-23 at 1.25.
    assert difference.split() == ["difference", "0.5", "(8.39e+06", "ULP)"]
    bound = judge_stacks([case], [Float32Port()(case)], FLOAT32)[0].verdict(0)
    (bound,) = [
        a.bound[0, 0] for a in bound.arrays if (a.name, a.run) == ("scores", TEACHER_FORCED)
    ]
    ulps = "{:.3g}".format(bound / ulp_of(0.75))
    assert values.endswith("+- {:.3g} ({} ULP)".format(bound, ulps))
    assert (first["bound in ULP"], first["difference in ULP"]) == (ulps, "8.39e+06")


def test_numbers_of_float64_are_shown_with_all_their_digits():
    case, arithmetic = constant([0.75, 0.25, 0.25]), Float64().arithmetic(None)
    trace = Float64()(case)
    trace["scores"][0, 0] += 2.0**-40
    verdict = judge(case, trace, arithmetic)
    text = describe(case, verdict)
    assert "subject 0.75000000000090949" in text and "[0.7500000000009095 " in text
    assert "(8.19e+03 ULP)" in text
    first = with_heat_maps(Exhibit("", ""), case, verdict).first
    assert (first["subject"], first["oracle"]) == ("0.75000000000090949", "0.75")


@pytest.mark.parametrize(
    "expected, actual, said",
    [
        (0.0, 0.5, "difference 0.5"),
        (0.5, np.nan, "NaN and infinities must be the same"),
        (np.inf, 0.5, "NaN and infinities must be the same"),
    ],
)
def test_where_nobody_counts_in_ulp_nobody_is_told_of_any(expected, actual, said):
    def change(scores):
        scores[0, 0] = actual

    lines, first = lines_on(constant([expected, 0, 0]), "scores", change)
    assert lines[1].strip() == said
    assert "ULP" not in lines[1] and "difference in ULP" not in first


def test_a_zero_of_the_wrong_sign_is_not_a_difference_of_nothing():
    def change(state):
        state[0, 0] = -0.0

    case = constant([0.5, 0, 0])
    lines, _ = lines_on(case, "forward_final_state", change)
    assert lines == ["    subject -0, oracle 0 +- 0", "    the sign of the zero differs"]


def test_a_class_is_no_number_on_the_page_either():
    def change(predictions):
        predictions[0] = 2

    lines, first = lines_on(constant([0.5, 0, 0.25]), "predictions", change)
    assert lines[0].strip() == "class 2, not 0: its score is lower"
    assert first == {"subject and oracle": "class 2, not 0: its score is lower"}


# --- undecided ----------------------------------------------------------------------------------


def why(case):
    verdict, _ = verdict_on(Float32Port(), case)
    return verdict, why_undecided(case, verdict)


def test_a_verdict_that_leaves_nothing_undecided_needs_no_reason():
    for name in ARTICLE:
        verdict, said = why(random_case(name, gain=0.1))
        assert (verdict.status, said) == (AGREE, [])


@pytest.mark.parametrize("name", ARTICLE)
def test_a_bound_that_has_grown_is_told_with_the_steps_by_which_it_has(name):
    case = random_case(name, **dataclasses.asdict(MODELS[name].article))
    verdict, (grown, meaning) = why(case)
    assert verdict.status == AGREE and "no sign of a mistake" in meaning
    counts = verdict.undecided(FREE_RUNNING), verdict.elements(FREE_RUNNING)
    assert grown.startswith("Free-running, {} of {} elements are undecided".format(*counts))
    wide, whole = (int(part.split()[0]) for part in grown.split("after ")[1:])
    # The same read off the bounds, those of the encoder or of both directions.
    (bound,) = [
        array.bound
        for array in verdict.arrays
        if array.run == FREE_RUNNING and array.name in ("encoder_states", "outputs")
    ]
    if name == "bidirectional":
        units = case.config.num_units
        bound = np.concatenate([bound[..., :units], bound[:, ::-1, units:]], axis=-1)
    largest = bound.max(axis=(0, 2))
    for step, limit in ((wide, 2.0**-6), (whole, 1.0)):
        assert largest[step - 1] >= limit > largest[step - 2]


def test_a_network_is_called_chaotic_only_where_rounding_leads_it_away():
    for name, is_chaotic in (("bidirectional", True), ("seq2seq", False)):
        case = random_case(name, **dataclasses.asdict(MODELS[name].article))
        _, (grown, _) = why(case)
        given = Float32Port()(case)
        exact = follow(case, given)
        states = [array.name for array in case.model.trace if array.role == STATE]
        away = max(np.abs(given[state] - exact[state]).max() for state in states)
        assert is_chaotic == (away > 2.0**-6)
        said = "no state is more than {:.1g} away from its value in float64."
        if is_chaotic:
            said = "rounding alone leads a state {:.2g} away: the network is chaotic."
        assert grown.endswith(said.format(away))


def overflowing():
    case = random_case("bidirectional", inputs=2)
    for name in ("forward/kernel", "backward/kernel"):
        case.arrays[name][0], case.arrays[name][1] = 1e38, -1e38
    case.inputs[...] = 10
    return case


def test_a_bound_that_is_infinite_is_told_as_an_overflow_with_its_place():
    verdict, (forced, free, meaning) = why(overflowing())
    assert verdict.status == UNDECIDED and "may be right or wrong" in meaning
    for said, run in ((forced, "Teacher-forced"), (free, "Free-running")):
        assert said.startswith(run)
        assert "at outputs[row 0, step 0, forward unit 0] a number may overflow" in said
        assert "rounding" not in forced


def test_a_bound_that_one_step_makes_too_wide_is_told_with_its_place():
    case = constant([0.0, 0.0, 0.0])
    case.arrays["forward/bias"][:] = 1
    case.arrays["projection/kernel"][:2] = [[1e6, 0, 0], [-1e6, 0, 0]]
    verdict, said = why(case)
    assert verdict.undecided(TEACHER_FORCED)
    assert "rounding may move scores[row 0, class 0] by " in said[0] and "overflow" not in said[0]


def test_an_accuracy_that_hangs_on_flushed_labels_is_told_as_that():
    case = constant([0.0, 1.0, 0.0])
    case.arrays["labels"][0] = [0, 2.0**-130, 0]
    verdict, said = why(case)
    assert verdict.undecided(TEACHER_FORCED) == 1
    assert "undecided: to flush subnormal labels to 0 may move accuracy by 0.5" in said[0]


def test_the_tally_says_why_alike_of_one_case_and_of_a_stack():
    sizes = dataclasses.asdict(MODELS["bidirectional"].article)
    for case, words in (
        (overflowing(), "may overflow or not"),
        (random_case("bidirectional", **sizes), "the bound grows too wide along the steps"),
    ):
        verdict, _ = verdict_on(Float32Port(), case)
        (stack,) = judge_stacks([case], [Float32Port()(case)], FLOAT32)
        one, stacked, added = Tally(), Tally(), Tally()
        one.add(case, verdict)
        stacked.add_stack(stack)
        added.add_dict(one.as_dict())
        assert list(one.lines()) == list(stacked.lines()) == list(added.lines())
        assert any(words in line and "free-running" in line for line in one.lines())
    tally = Tally()
    case = random_case("bidirectional", gain=0.1)
    tally.add(case, verdict_on(Float32Port(), case)[0])
    assert not any("overflow" in line or "wide" in line for line in tally.lines())
