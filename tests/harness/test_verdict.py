"""Verdicts on traces that are right, wrong, or beyond deciding."""

import dataclasses
import itertools

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.errors import SubjectError
from rnndiff.harness.judging.verdict import (
    AGREE,
    DISAGREE,
    FREE_RUNNING,
    TEACHER_FORCED,
    UNDECIDED,
    judge,
    judge_stacks,
)
from rnndiff.models import MODELS

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


def test_a_trace_of_another_shape_or_of_other_numbers_is_one_sentence():
    case = random_case("seq2seq")
    trace = Float32Port()(case)
    for name, broken, said in (
        ("loss", np.zeros(3, np.float32), "has the shape [3], not []"),
        ("loss", np.zeros((), np.float64), "is float64, not float32"),
        ("predictions", trace["predictions"].astype(np.float32), "is float32, not of integers"),
    ):
        with pytest.raises(SubjectError) as raised:
            judge(case, dict(trace, **{name: broken}), FLOAT32)
        assert str(raised.value) == "WrongTrace: {!r} {}".format(name, said)


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


# --- errors that are planted --------------------------------------------------------------------

RUNS = (TEACHER_FORCED, FREE_RUNNING)
SEEDS = (0, 1, 2)


def arrays_of(name):
    """The names of all arrays of a model's trace."""
    return list(Float32Port()(random_case(name)))


EVERY_ARRAY = [(name, array) for name in MODELS for array in arrays_of(name)]
# The predictions are classes, and have a test of their own.
OF_NUMBERS = [(name, array) for name, array in EVERY_ARRAY if array != "predictions"]


class Stack:
    """Three cases and their right traces; errors are planted into that in the middle.

    The other two are what they were, and so is what is expected of the case: no array's own numbers
    are among those that it is computed from, but for those of other steps.
    """

    def __init__(self, name, change=lambda case: None, **sizes):
        self.cases = [random_case(name, seed, gain=0.5, **sizes) for seed in SEEDS]
        for case in self.cases:
            change(case)
        self.traces = [Float32Port()(case) for case in self.cases]
        (stack,) = judge_stacks(self.cases, self.traces, FLOAT32)
        assert not stack.disagree().any()
        self.arrays = {(a.run, a.name): a for a in stack.verdict(1).arrays}

    def places(self, run, name, count=2):
        """Some indices of an array of which something is known."""
        array = self.arrays[run, name]
        known = np.argwhere(np.isfinite(array.bound) & np.isfinite(array.expected))
        random = np.random.RandomState(0)
        return [tuple(known[i]) for i in random.permutation(len(known))[:count]]

    def planted(self, name, place, value):
        """The verdicts with a number in this place: in the stack, and alone."""
        array = np.array(self.traces[1][name])
        array[place] = value
        traces = [self.traces[0], dict(self.traces[1], **{name: array}), self.traces[2]]
        (stack,) = judge_stacks(self.cases, traces, FLOAT32)
        return stack, judge(self.cases[1], traces[1], FLOAT32)

    def is_seen(self, run, name, place, value):
        """Whether a number is outside its bound there: in the stack, alone, in every summary."""
        stack, alone = self.planted(name, place, value)
        seen = []
        for verdict in (stack.verdict(1), alone):
            (array,) = [a for a in verdict.arrays if (a.run, a.name) == (run, name)]
            seen.append(bool(array.wrong[place]))
            if seen[-1]:
                assert array.status == verdict.status == DISAGREE
                assert verdict.first_wrong() is not None
                assert stack.disagree().tolist() == [False, True, False]
                assert array.first_wrong() <= place
        assert seen[0] == seen[1]
        return seen[0]


def just_outside(mid, rad, side):
    """The first float32 number beyond the ball on one side."""
    value = np.float32(mid + side * rad)
    beyond = np.float32(side * np.inf)
    while abs(np.float64(value) - mid) > rad:
        value = np.nextafter(value, -beyond)
    while abs(np.float64(value) - mid) <= rad:
        value = np.nextafter(value, beyond)
    return value


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name, array", OF_NUMBERS)
def test_an_error_just_outside_its_bound_is_seen_and_one_just_inside_is_not(name, array, run):
    stack = Stack(name)
    judged = stack.arrays[run, array]
    places = stack.places(run, array)
    assert places
    for place, side in itertools.product(places, (-1, 1)):
        mid, rad = judged.expected[place], judged.bound[place]
        outside = just_outside(mid, rad, side)
        # Of what is no ball, no other number is inside.
        inside = np.nextafter(outside, np.float32(-side * np.inf)) if rad else np.float32(mid)
        assert stack.is_seen(run, array, place, outside), (place, mid, rad, outside)
        assert not stack.is_seen(run, array, place, inside), (place, mid, rad, inside)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", list(MODELS))
def test_every_other_class_is_seen(name, run):
    stack = Stack(name)
    array = stack.arrays[run, "predictions"]
    for place in stack.places(run, "predictions", count=6):
        for token in set(range(-1, 5)) - {int(array.expected[place])}:
            assert stack.is_seen(run, "predictions", place, token)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name, array", OF_NUMBERS)
def test_a_special_value_is_seen_wherever_it_stands(name, array, run):
    stack = Stack(name)
    places = stack.places(run, array)
    assert places
    for place, value in itertools.product(places, (np.nan, np.inf, -np.inf)):
        assert stack.is_seen(run, array, place, value)


@pytest.mark.parametrize("special, others", [(np.nan, (0, np.inf)), (np.inf, (np.nan, -np.inf, 9))])
@pytest.mark.parametrize("run", RUNS)
def test_in_place_of_a_special_value_nothing_else_is_right(special, others, run):
    def poison(case):
        case.arrays["projection/bias"][1] = special

    cases = [random_case("bidirectional", seed) for seed in SEEDS]
    for case in cases:
        poison(case)
    right = [Float32Port()(case) for case in cases]
    for value in (special,) + others:
        traces = [dict(trace, scores=trace["scores"].copy()) for trace in right]
        traces[1]["scores"][0, 1] = value
        (stack,) = judge_stacks(cases, traces, FLOAT32)
        for verdict in (stack.verdict(1), judge(cases[1], traces[1], FLOAT32)):
            (scores,) = [a for a in verdict.arrays if (a.name, a.run) == ("scores", run)]
            assert bool(scores.wrong[0, 1]) == (value is not special)


@pytest.mark.parametrize("name, array", EVERY_ARRAY)
def test_a_zero_of_the_wrong_sign_is_seen_just_where_numbers_are_only_moved(name, array):
    def vanish(case):
        for parameter in case.model.parameters(case.config):
            case.arrays[parameter.name][:] = 0
        # Minus zero, too, is moved.
        case.inputs[0] = -0.0

    stack = Stack(name, vanish)
    judged = stack.arrays[TEACHER_FORCED, array]
    zeros = [place for place in np.ndindex(*judged.actual.shape) if judged.actual[place] == 0]
    for place in zeros[:6] if array != "predictions" else ():
        flipped = -judged.actual[place]
        assert stack.is_seen(TEACHER_FORCED, array, place, flipped) == judged.exact
    moved = ("fed_back", "windows", "final_state", "predictions")
    assert judged.exact == array.endswith(moved)


def test_a_ball_around_zero_is_as_wide_as_it_says_to_a_ten_millionth():
    def cancel(case):
        # Pairs of equal units, with opposite weights.
        for direction in ("forward", "backward"):
            for part in ("kernel", "bias"):
                numbers = case.arrays["{}/{}".format(direction, part)]
                numbers[..., 1::2] = numbers[..., ::2]
        kernel = case.arrays["projection/kernel"]
        kernel[1::2] = -kernel[::2]
        case.arrays["projection/bias"][:] = 0

    stack = Stack("bidirectional", cancel, batch=4, outputs=8)
    scores = stack.arrays[TEACHER_FORCED, "scores"]
    ratios = []
    for place in stack.places(TEACHER_FORCED, "scores", count=32):
        mid, rad = scores.expected[place], scores.bound[place]
        assert abs(mid) < rad / 64
        for side in (-1, 1):
            outside = just_outside(mid, rad, side)
            assert stack.is_seen(TEACHER_FORCED, "scores", place, outside)
            ratios.append(abs(np.float64(outside) - mid) / rad)
    assert 1 < min(ratios) < 1 + 1e-7


def scored(scores):
    """A case of one row with these scores, whatever its inputs."""
    case = random_case("bidirectional", batch=1, outputs=len(scores))
    case.arrays["projection/kernel"][:] = 0
    case.arrays["projection/bias"][:] = scores
    return case


@pytest.mark.parametrize(
    "scores, right",
    [
        ([0, -1, 1e-40], {0, 2}),
        ([-1e-40, -1, 0], {0, 2}),
        ([-1e-40, -1e-40, -1e-41, 0], {0, 3}),
        ([1e-40, 1e-41, 2], {2}),
        ([1, 0, 1], {0}),
    ],
)
def test_where_subnormals_may_be_flushed_each_of_two_predictions_is_right_and_none_between(
    scores, right
):
    case = scored(scores)
    trace = Float32Port()(case)
    trace["scores"][:] = scores
    for token in range(len(scores)):
        chosen = np.full_like(trace["predictions"], token)
        correct = np.float32(case.labels[0, token] == 1)
        stacks = judge_stacks(
            [case] * 2, [dict(trace, predictions=chosen, accuracy=correct)] * 2, FLOAT32
        )
        alone = judge(case, dict(trace, predictions=chosen, accuracy=correct), FLOAT32)
        for verdict in (alone, stacks[0].verdict(0)):
            forced = {a.name: a for a in verdict.arrays if a.run == TEACHER_FORCED}
            assert (forced["predictions"].status == AGREE) == (token in right)
            assert forced["predictions"].doubts == 0
            assert (verdict.status == AGREE) == (token in right), verdict.summary()


def test_a_wrong_trace_is_told_of_all_at_once():
    case = random_case("seq2seq")
    trace = Float32Port()(case)
    del trace["loss"], trace["fed_back"]
    trace.update(scores=trace["scores"].astype(complex), accuracy=np.zeros(2, np.float32))
    with pytest.raises(SubjectError) as raised:
        judge(case, trace, FLOAT32)
    assert str(raised.value) == (
        "WrongTrace: 'scores' is complex128, not float32; 'accuracy' has the shape [2], not []"
    )
