"""What a verdict says, of elements written down by hand: no oracle, no subject."""

from types import SimpleNamespace

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.errors import SubjectError
from rnndiff.harness.judging import verdict as module
from rnndiff.harness.judging.bounded_run import Expected
from rnndiff.harness.judging.verdict import (
    AGREE,
    DISAGREE,
    FREE_RUNNING,
    KNOWN,
    TEACHER_FORCED,
    UNDECIDED,
    ArrayVerdict,
    Verdict,
    compared,
    judge,
    judge_stacks,
)
from rnndiff.harness.numerics.arithmetic import arithmetic

NAN, INF = np.nan, np.inf


def verdicts(value, mid, rad, sizes=None, **what):
    """The verdict on one case of some arrays, teacher-forced and free-running alike."""
    value, mid, rad = (np.array([x], float) for x in (value, mid, rad))
    sizes = sizes or [value.shape[1]]
    names = "abc"[: len(sizes)]
    ends = np.cumsum(sizes)
    parts = {n: value[:, end - size : end] for n, size, end in zip(names, sizes, ends)}
    plan = SimpleNamespace(arrays=[(name, parts[name].shape[1:]) for name in names])
    given = Expected(mid, rad), Expected(mid, rad)
    return compared([None], plan, *given, value, parts, ("m",), "float32")


def ratios(value, mid, rad):
    return verdicts(value, mid, rad).ratios[0, : len(value)].tolist()


def test_a_ratio_is_the_error_over_the_bound():
    assert ratios([1.5, 0.5, 3.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 0.5, 1.0, 0.5]) == [
        0.5,
        1,
        2,
        0,
    ]


def test_where_the_bound_is_zero_the_bits_count_and_of_nan_all_are_one():
    values = [1.0, 1.5, 0.0, -0.0, -0.0, NAN, NAN, 1.0, INF, -INF]
    mids = [1.0, 1.0, -0.0, 0.0, -0.0, NAN, 1.0, NAN, INF, INF]
    assert ratios(values, mids, np.zeros(10)) == [0, INF, INF, INF, 0, 0, INF, INF, 0, INF]


def test_within_a_ball_the_sign_of_zero_does_not_count_and_no_special_value_is_in_it():
    values, mids = [-0.0, 0.0, NAN, INF, -INF], [0.0, -0.0, 1.0, 1.0, 1.0]
    assert ratios(values, mids, np.ones(5)) == [0, 0, INF, INF, INF]


def test_where_nothing_is_known_nothing_is_wrong():
    values = [NAN, INF, 1.0]
    stack = verdicts(values, np.zeros(3), np.full(3, INF))
    assert stack.ratios[0, :3].tolist() == [0, 0, 0] and stack.undecided.all()
    verdict = stack.verdict(0)
    assert verdict.status == UNDECIDED
    assert verdict.overflow(TEACHER_FORCED) == verdict.undecided(FREE_RUNNING) == 3


def test_an_element_is_undecided_beyond_a_64th_of_the_range_of_its_own_array():
    at, beyond = 8 / 64, np.nextafter(8 / 64, 9)
    one, wide = 1 / 64, np.nextafter(1 / 64, 9)
    # The first array reaches to -8, the second to less than 1, and what is infinite does not count.
    mid = [-8.0, 1.0, 1.0, 0.25, 0.0, 0.5, INF, 100.0]
    rad = [0.0, at, beyond, one, wide, 0.0, 0.0, INF]
    stack = verdicts(mid, mid, rad, sizes=[3, 5])
    expected = [False, False, True, False, True, False, False, True]
    assert stack.undecided[0].tolist() == expected * 2
    assert stack.doubts.tolist() == [[1, 2, 1, 2]]


def test_what_is_wrong_is_not_undecided_too():
    stack = verdicts([3.0, 2.0], [0.0, 0.0], [2.0, 2.0])
    assert (
        stack.ratios[0, :2].tolist() == [1.5, 1]
        and stack.undecided[0].tolist() == [False, True] * 2
    )
    assert stack.disagree().tolist() == [True]
    # On the edge it is right.
    assert verdicts([2.0, 2.0], [0.0, 0.0], [2.0, 2.0]).disagree().tolist() == [False]


def test_an_array_of_nothing_is_in_no_other_arrays_way():
    stack = verdicts([1.0, 5.0], [1.0, 1.0], [1.0, 1.0], sizes=[1, 0, 1])
    assert stack.worst.tolist() == [[0, 0, 4, 0, 0, 4]]
    assert stack.doubts.tolist() == [[1, 0, 0, 1, 0, 0]] and stack.doubts.dtype.kind == "i"
    assert stack.sizes().tolist() == [1, 0, 1, 1, 0, 1]
    assert [a.name for a in stack.verdict(0).arrays if a.worst > 1] == ["c", "c"]


def test_a_stack_is_taken_apart_as_it_was_put_together():
    mid = np.arange(12.0).reshape(2, 6)
    value = mid + [[0.5], [2.0]]
    parts = {"a": value[:, :4].reshape(2, 2, 2), "b": value[:, 4:]}
    plan = SimpleNamespace(arrays=[("a", (2, 2)), ("b", (2,))])
    forced, free = Expected(mid, np.ones((2, 6))), Expected(mid - 0.25, np.full((2, 6), 2.0))
    stack = compared(["x", "y"], plan, forced, free, value, parts, (), "float32")
    assert stack.arrays == [(run, n) for run in (TEACHER_FORCED, FREE_RUNNING) for n in "ab"]
    assert stack.worst.tolist() == [[0.5, 0.5, 0.375, 0.375], [2, 2, 1.125, 1.125]]
    assert stack.disagree().tolist() == [False, True] and stack.largest() == 2
    assert stack.only(np.array([True, False])).largest() == 0.5
    assert stack.of(TEACHER_FORCED).tolist() == [True, True, False, False]
    assert stack.sizes().tolist() == [4, 2, 4, 2]
    assert stack.trace(1)["b"].tolist() == value[1, 4:].tolist()
    first, second = stack.verdict(0), stack.verdict(1)
    a, b, free_a, _ = second.arrays
    assert (a.name, a.run, free_a.run) == ("a", TEACHER_FORCED, FREE_RUNNING)
    assert a.actual.tolist() == value[1, :4].reshape(2, 2).tolist()
    assert a.expected.tolist() == mid[1, :4].reshape(2, 2).tolist() and (a.bound == 1).all()
    assert b.expected.tolist() == mid[1, 4:].tolist()
    assert free_a.expected.tolist() == (a.expected - 0.25).tolist() and (free_a.bound == 2).all()
    assert (first.status, second.status) == (UNDECIDED, DISAGREE)
    assert stack.doubtful().tolist() == [True, False]
    last = stack.only([1])
    assert last.cases == ["y"] and last.verdict(0).arrays[0].actual.tolist() == a.actual.tolist()
    assert [x.tolist() for x in last.verdict(0).arrays[3][2:7]] == [
        x.tolist() for x in second.arrays[3][2:7]
    ]
    assert stack.only(np.zeros(2, bool)).largest() == 0 and stack.only([0]).largest() == 0.5
    assert stack.only([1, 0]).disagree().tolist() == [True, False]


def array(ratios, bound=1.0, undecided=(), known=None, run=TEACHER_FORCED, name="a"):
    ratios = np.array(ratios, float)
    doubts = np.isin(np.arange(ratios.size), undecided)
    made = ArrayVerdict(
        name,
        run,
        np.zeros(ratios.shape),
        np.broadcast_to(np.array(bound, float), ratios.shape),
        ratios,
        ratios,
        doubts,
        float(ratios.max(initial=0)),
        int(doubts.sum()),
        "float32",
    )
    return made if known is None else made.excused(np.array(known))


def test_an_array_has_the_worst_status_of_its_elements():
    assert array([0, 1]).status == AGREE
    assert array([0, 1], undecided=[1]).status == UNDECIDED
    assert array([0, 1.5], undecided=[0]).status == DISAGREE
    assert array([0, 1.5], known=[False, True], undecided=[0]).status == KNOWN
    assert array([2, 1.5], known=[False, True]).status == DISAGREE
    assert array([1.0]).wrong.tolist() == [False]


def test_what_is_excused_is_not_wrong_and_stays_excused():
    both = array([2, 3, 1.5], known=[True, False, False]).excused(np.array([False, True, False]))
    assert both.known.tolist() == [True, True, False]
    assert both.wrong.tolist() == [False, False, True] and both.worst == 1.5
    assert both.first_wrong() == (2,)
    assert array([], known=[]).worst == array([2], known=[True]).worst == 0
    assert array([[0, 1], [2, 3]]).first_wrong() == (1, 0)


def test_an_array_is_exact_if_all_of_it_is():
    assert array([0, 0], bound=0).exact and not array([0, 0], bound=[0, 1]).exact


def test_a_case_agrees_if_all_does_that_is_teacher_forced():
    doubtful, free = array([0], undecided=[0]), array([0], undecided=[0], run=FREE_RUNNING)
    assert Verdict([]).status == AGREE
    assert Verdict([array([0]), free]).status == AGREE
    assert Verdict([array([0]), doubtful]).status == UNDECIDED
    assert Verdict([doubtful, array([2], run=FREE_RUNNING)]).status == DISAGREE
    assert Verdict([array([0])], error="crash").status == DISAGREE
    assert Verdict([array([0])], known=("k",), error="crash").status == KNOWN
    assert Verdict([array([2])], known=("k",)).status == DISAGREE


def test_elements_are_counted_but_for_those_that_are_excused():
    arrays = [
        array([0, 2, 1], known=[False, True, False], undecided=[0]),
        array([0, 0], undecided=[0, 1], bound=[INF, 1]),
        array([0], run=FREE_RUNNING),
    ]
    verdict = Verdict(arrays)
    assert (verdict.elements(TEACHER_FORCED), verdict.elements(FREE_RUNNING)) == (4, 1)
    assert (verdict.undecided(TEACHER_FORCED), verdict.undecided(FREE_RUNNING)) == (3, 0)
    assert (verdict.overflow(TEACHER_FORCED), verdict.overflow(FREE_RUNNING)) == (1, 0)


def test_the_worst_array_is_a_teacher_forced_one():
    arrays = [array([0.5]), array([0.75], name="b"), array([0.9], name="c", run=FREE_RUNNING)]
    assert Verdict(arrays).worst().name == "b" and Verdict(arrays[2:]).worst() is None
    assert Verdict(arrays).first_wrong() is None
    assert Verdict([array([0]), array([2], name="b"), array([3])]).first_wrong().name == "b"


def test_a_summary_is_one_line_of_what_matters_most():
    free = array([0, 0, 0], undecided=[1], run=FREE_RUNNING)
    assert Verdict([array([0.125])]).summary() == (
        "agree: largest error 0.12 of its bound teacher-forced; nothing is undecided"
    )
    assert Verdict([]).summary() == (
        "agree: largest error 0 of its bound teacher-forced; nothing is undecided"
    )
    assert Verdict([array([0.5, 1], undecided=[0]), free], missing=("x", "y")).summary() == (
        "undecided: largest error 1 of its bound teacher-forced; undecided: 1 of 2 elements "
        "teacher-forced, 1 of 3 elements free-running, not judged, as the subject does not have "
        "it: x, y"
    )
    assert Verdict([array([2, 3, 0])]).summary() == (
        "disagree: a (teacher-forced) is outside its bound in 2 of 3 elements"
    )
    assert Verdict([array([0.5])], known=("k", "l")).summary() == (
        "known (k, l): largest error 0.5 of its bound teacher-forced; nothing is undecided"
    )
    assert Verdict([], error="it hangs").summary() == "disagree: it hangs"
    assert Verdict([], known=("k",), error="it hangs").summary() == "known (k): it hangs"


def test_the_tame_and_the_others_are_judged_in_stacks_of_their_own_in_their_order():
    cases = [random_case("bidirectional", seed) for seed in range(5)]
    for place, value in ((1, NAN), (3, 2.0**21), (4, -(2.0**20))):
        cases[place].arrays["inputs"][0, 0, 0] = value
    traces = [Float32Port()(case) for case in cases]
    tame, others = judge_stacks(cases, traces, FLOAT32)
    assert [id(x) for x in tame.cases] == [id(cases[k]) for k in (0, 2, 4)]
    assert [id(x) for x in others.cases] == [id(cases[k]) for k in (1, 3)]
    assert np.array_equal(others.trace(1)["scores"], traces[3]["scores"])
    assert len(judge_stacks(cases[1:2], traces[1:2], FLOAT32)) == 1
    assert len(judge_stacks(cases[:1], traces[:1], FLOAT32)) == 1


def broken(**change):
    case = random_case("seq2seq")
    return case, dict(Float32Port()(case), **change)


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(loss=np.zeros(0, np.float32)), "'loss' has the shape [0], not []"),
        (dict(loss=np.zeros((), np.complex64)), "'loss' is complex64, not float32"),
        (dict(predictions=np.zeros((2, 3), bool)), "'predictions' is bool, not of integers"),
        (dict(loss=np.zeros((), np.int32)), "'loss' is int32, not float32"),
    ],
)
def test_an_array_of_another_kind_is_none_of_the_subjects(change, said):
    with pytest.raises(SubjectError) as raised:
        judge(*broken(**change), FLOAT32)
    assert str(raised.value) == "WrongTrace: " + said


def test_whole_numbers_of_any_width_and_bytes_in_any_order_are_the_subjects():
    case, trace = broken()
    for dtype in (np.int8, np.uint16, np.int64):
        assert judge(case, dict(trace, predictions=trace["predictions"].astype(dtype)), FLOAT32)
    for order in "<>":
        other = dict(trace, scores=trace["scores"].astype(order + "f4"))
        assert judge(case, other, FLOAT32).status == AGREE


@pytest.mark.parametrize("kind, fits", [("f8", True), ("i4", True), ("?", True), ("c8", False)])
def test_an_array_without_numbers_may_be_of_any_real_ones(kind, fits):
    case = random_case("seq2seq", output_time=1)
    trace = dict(Float32Port()(case))
    assert trace["fed_back"].size == 0
    trace["fed_back"] = trace["fed_back"].astype(kind)
    if fits:
        assert judge(case, trace, FLOAT32).status == AGREE
    else:
        with pytest.raises(SubjectError, match="'fed_back' is complex64, not float32"):
            judge(case, trace, FLOAT32)


@pytest.mark.parametrize("change", ["more", "fewer", "ragged", "type"])
def test_traces_that_are_not_alike_are_told_whichever_is_first(change):
    case, right = broken()
    wrong = {
        "more": dict(right, more=np.zeros(1)),
        "fewer": {name: x for name, x in right.items() if name != "loss"},
        "ragged": dict(right, loss=np.zeros(1, np.float32)),
        "type": dict(right, loss=np.float64(right["loss"])),
    }[change]
    for traces in ([wrong, right], [right, wrong], [right, right, wrong]):
        with pytest.raises(SubjectError, match="^WrongTrace: the traces of one config are not ali"):
            judge_stacks([case] * len(traces), traces, FLOAT32)


def test_shapes_of_a_config_are_worked_out_once():
    model = random_case("seq2seq").model
    config = random_case("seq2seq").config
    assert module._shapes(model, config) is module._shapes(model, config)


def test_an_array_without_elements_is_missed_by_nobody():
    case = random_case("seq2seq", output_time=1)
    trace = {name: x for name, x in Float32Port()(case).items() if name != "decoder_states"}
    assert case.config.output_time == 1 and judge(case, trace, FLOAT32).missing == ()
    del trace["scores"]
    assert judge(case, trace, FLOAT32).missing == ("scores",)


def test_numbers_that_a_precision_does_not_have_are_refused_and_classes_are_not():
    case = random_case("bidirectional", batch=2)
    trace = Float32Port()(case)
    trace["predictions"][...] = 257
    with pytest.raises(SubjectError) as raised:
        judge(case, trace, arithmetic("bfloat16"))
    assert "'scores' has numbers that are not of bfloat16" in str(raised.value)
    assert "'predictions'" not in str(raised.value)
