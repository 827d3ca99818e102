"""Verdicts on traces that are right, wrong, or beyond deciding."""

import dataclasses

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from harness.errors import SubjectError
from harness.random_cases import random_batch
from harness.verdict import (
    AGREE,
    DISAGREE,
    FREE_RUNNING,
    TEACHER_FORCED,
    UNDECIDED,
    judge,
    judge_stacks,
)
from models import MODELS

# A bound is float32's and is computed in float64, whose unit is 2^-29 of that, with far fewer than
# 2^13 roundings; these may be other ones in a stack.
NOISE = 2.0**-16
STATE = {"seq2seq": "encoder_states", "bidirectional": "outputs", "attention": "encoder_states"}


def verdict_on(case, mistake=lambda trace: trace):
    return judge(case, Float32Port(mistake)(case), FLOAT32)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("gain", [0.1, 1.0, 4.0])
def test_a_float32_run_of_the_oracle_agrees(name, gain):
    for seed in range(5):
        verdict = verdict_on(random_case(name, seed, gain))
        assert verdict.status != DISAGREE, verdict.summary()
        assert verdict.undecided(TEACHER_FORCED) == 0


@pytest.mark.parametrize("name", list(MODELS))
def test_one_state_that_is_off_by_one_in_a_thousand_disagrees_where_it_is(name):
    case = random_case(name)

    def mistake(trace):
        trace[STATE[name]][1, 1, 2] *= 1.001
        return trace

    wrong = verdict_on(case, mistake).first_wrong()
    assert (wrong.name, wrong.run) == (STATE[name], TEACHER_FORCED)
    assert (1, 1, 2) in [tuple(index) for index in np.argwhere(wrong.wrong)]


@pytest.mark.parametrize("name", list(MODELS))
def test_teacher_forced_bound_decides_a_chaotic_network_that_free_running_does_not(name):
    case = random_case(name, **dataclasses.asdict(MODELS[name].article))
    verdict = verdict_on(case)
    assert verdict.status == AGREE
    assert verdict.undecided(TEACHER_FORCED) == 0
    assert verdict.undecided(FREE_RUNNING) > 0


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_special_value_in_place_of_a_number_disagrees(name, value):
    def mistake(trace):
        trace[STATE[name]][0, 0, 0] = value
        return trace

    assert verdict_on(random_case(name), mistake).status == DISAGREE


def test_nan_where_the_oracle_has_nan_agrees():
    case = random_case("bidirectional")
    case.inputs[0] = np.nan
    verdict = verdict_on(case)
    assert verdict.status == AGREE
    outputs = verdict.arrays[0]
    assert np.isnan(outputs.expected[0]).all() and np.isfinite(outputs.expected[1]).all()


def test_a_sum_that_overflows_in_some_orders_only_is_undecided():
    case = random_case("bidirectional", inputs=2)
    for name in ("forward/kernel", "backward/kernel"):
        case.arrays[name][0], case.arrays[name][1] = 1e38, -1e38
    case.inputs[...] = 10
    verdict = verdict_on(case)
    assert verdict.status == UNDECIDED


@pytest.mark.parametrize("name", ["seq2seq", "attention"])
def test_either_token_of_a_tie_may_be_chosen_and_no_other(name):
    case = random_case(name)
    case.arrays["projection/kernel"][:] = 0
    case.arrays["projection/bias"][:] = [1, 1, 0]
    assert verdict_on(case).status == AGREE

    def chooses(token):
        def mistake(trace):
            trace["predictions"] = np.full_like(trace["predictions"], token)
            return trace

        return mistake

    # Teacher-forced, the arg max of recorded scores is the first of the tied, bit for bit ...
    names = [a.name for a in verdict_on(case, chooses(1)).arrays if a.status == DISAGREE]
    assert "predictions" in names
    # ... and free-running either one is admissible.
    for token, admissible in ((0, True), (1, True), (2, False)):
        verdict = verdict_on(case, chooses(token))
        free = [a for a in verdict.arrays if (a.name, a.run) == ("predictions", FREE_RUNNING)]
        assert (free[0].status == AGREE) == admissible


@pytest.mark.parametrize("name", list(MODELS))
def test_wiring_is_compared_bit_for_bit(name):
    copies = {
        "seq2seq": "fed_back",
        "bidirectional": "forward_final_state",
        "attention": "encoder_windows",
    }

    def mistake(trace):
        flat = trace[copies[name]].reshape(-1)
        place = np.flatnonzero(flat)[-1]
        flat[place] = np.nextafter(flat[place], np.float32(9))
        return trace

    verdict = verdict_on(random_case(name), mistake)
    wrong = {a.name for a in verdict.arrays if a.run == TEACHER_FORCED and a.status == DISAGREE}
    assert copies[name] in wrong


def test_wide_balls_of_huge_numbers_are_decided_where_tanh_and_exp_are_flat():
    # The outputs of this network grow to 1e20: rounding errors of 1e14, but in no doubtful place.
    case = random_case("attention", gain=3.0, time=25, num_units=32)
    for array in verdict_on(case).arrays:
        if array.run == TEACHER_FORCED and array.name.endswith(("states", "probabilities")):
            assert array.status == AGREE, array.name


def test_a_trace_without_an_array_or_with_another_shape_is_one_sentence():
    case = random_case("seq2seq")
    trace = Float32Port()(case)
    for broken in (
        {name: array for name, array in trace.items() if name != "scores"},
        {name: array for name, array in trace.items() if name != "predictions"},
        dict(trace, loss=np.zeros(3)),
        dict(trace, predictions=trace["predictions"].astype(np.float32)),
    ):
        with pytest.raises(SubjectError):
            judge(case, broken, FLOAT32)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("token", [-1, 7])
def test_a_prediction_that_is_no_class_disagrees(name, token):
    def mistake(trace):
        trace["predictions"][0] = token
        return trace

    assert verdict_on(random_case(name), mistake).status == DISAGREE


def test_a_subnormal_in_one_case_of_a_stack_widens_no_bound_of_the_others():
    cases = [random_case("seq2seq", seed) for seed in range(2)]
    cases[0].arrays["inputs"][0, 0, 0] = 1e-40
    traces = [Float32Port()(case) for case in cases]
    (stack,) = judge_stacks(cases, traces, FLOAT32)
    for place, case in enumerate(cases):
        for one, other in zip(
            stack.verdict(place).arrays, judge(case, traces[place], FLOAT32).arrays
        ):
            np.testing.assert_allclose(one.bound, other.bound, rtol=NOISE)


@pytest.mark.parametrize("name", list(MODELS))
def test_a_case_is_judged_in_a_stack_as_it_is_alone(name):
    def mistake(trace):
        # Wrong in some cases only.
        with np.errstate(all="ignore"):
            wrong = trace["scores"] > 2
            trace["scores"] = np.where(wrong, trace["scores"] * 1.01, trace["scores"])
        return trace

    subject, seen = Float32Port(mistake), set()
    for number in range(4):
        cases = random_batch(name, 7, number)[:24]
        stacks = judge_stacks(cases, [subject(case) for case in cases], FLOAT32)
        assert sorted(id(case) for stack in stacks for case in stack.cases) == sorted(
            map(id, cases)
        )
        for stack in stacks:
            for place, case in enumerate(stack.cases):
                alone, verdict = judge(case, subject(case), FLOAT32), stack.verdict(place)
                assert verdict.status == alone.status
                assert (verdict.status == DISAGREE) == stack.disagree()[place]
                assert (verdict.status == UNDECIDED) <= stack.doubtful()[place]
                for one, other in zip(verdict.arrays, alone.arrays):
                    assert (one.name, one.run, one.status) == (other.name, other.run, other.status)
                    np.testing.assert_array_equal(one.actual, other.actual)
                    np.testing.assert_allclose(one.bound, other.bound, rtol=NOISE)
                seen.add(verdict.status)
    assert {AGREE, DISAGREE} <= seen
