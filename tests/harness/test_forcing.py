"""Teacher forcing derived from plain code: what defines a number, what is missing or refused."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.errors import OracleError, SubjectError
from rnndiff.harness.judging import forcing
from rnndiff.harness.judging.bounded_run import class_or_first
from rnndiff.harness.judging.plan import make_plan, plan_of, side_by_side
from rnndiff.harness.judging.tracked import Choice, TrackedArray, mapped, mapped_by_name
from rnndiff.harness.judging.verdict import (
    AGREE,
    DISAGREE,
    FREE_RUNNING,
    TEACHER_FORCED,
    judge,
    judge_stacks,
)
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.report.describe import describe
from rnndiff.models import ARTICLE, MODELS
from rnndiff.models.functions import accumulate, affine, one_hot

WEIGHTS, DATA = [(3, 2), (2,), (2, 2)], [(4, 3)]


def expected(oracle, trace, weights=WEIGHTS, data=DATA, seed=0):
    """What is expected of a subject that recorded `trace`, [name, run] -> midpoint and radius."""
    random = np.random.RandomState(seed)
    arrays = [[random.standard_normal((1,) + shape) for shape in each] for each in (weights, data)]
    plan = make_plan(oracle, weights, data, list(trace))
    recorded = side_by_side(plan, {name: array[None] for name, array in trace.items()})
    runs = forcing.expect(oracle, plan, *arrays, recorded, FLOAT32)
    return {
        (name, run): (found.mid[0, place].reshape(shape), found.rad[0, place].reshape(shape))
        for run, found in zip(("forced", "free"), runs)
        for name, shape, place in plan.stretches()
    }


def two_layers(parameters, inputs):
    kernel, bias, second = parameters
    hidden = np.tanh(affine(inputs, kernel, bias))
    return {
        "hidden": hidden,
        "reversed": hidden[::-1],
        "first": np.concatenate([hidden[:1], hidden[:1]], axis=1),
        "scores": np.matmul(hidden, second),
    }


def trace_of(oracle, shapes, fill=0.25):
    return {name: np.full(shape, fill) for name, shape in shapes.items()}


SHAPES = {"hidden": (4, 2), "reversed": (4, 2), "first": (1, 4), "scores": (4, 2)}


def test_the_first_array_that_holds_a_number_defines_it_and_the_others_are_copies():
    recorded = {name: np.random.RandomState(1).rand(*shape) for name, shape in SHAPES.items()}
    # To be copied bit for bit, though it may be flushed to zero where it is read.
    recorded["hidden"][0, 0] = 2.0**-140
    found = expected(two_layers, recorded)
    assert (found["hidden", "forced"][1] > 0).all()
    for name, copy in (
        ("reversed", recorded["hidden"][::-1]),
        ("first", np.tile(recorded["hidden"][:1], (1, 2))),
    ):
        mid, rad = found[name, "forced"]
        assert mid.tolist() == copy.tolist()
        assert not rad.any()


def recomputed(trace, by):
    """The trace of a subject that computes its last state once more, to numbers off by `by`."""
    apart = trace["final_h"] * np.float32(1 + by)
    return dict(trace, final_h=apart.astype(np.float32))


@pytest.mark.parametrize(
    "by, again, bit_for_bit",
    [(0, AGREE, AGREE), (2**-22, AGREE, DISAGREE), (2**-10, DISAGREE, DISAGREE)],
)
def test_a_copy_may_be_off_by_rounding_if_the_subject_recomputes(by, again, bit_for_bit):
    case = random_case("rnn-gru", runner="dynamic_rnn", sequence_length=False, num_units=3, time=2)
    trace = recomputed(Float32Port()(case), by)
    for recomputes, status in ((True, again), (False, bit_for_bit)):
        verdict = judge(case, trace, FLOAT32._replace(recomputes=recomputes))
        forced = [x for x in verdict.arrays if (x.run, x.name) == (TEACHER_FORCED, "final_h")]
        assert [x.status for x in forced] == [status]


@pytest.mark.parametrize("recomputes", [False, True])
def test_the_arg_max_beside_nan_is_that_whether_or_not_the_subject_recomputes(recomputes):
    case = random_case("bidirectional", outputs=3, batch=1)
    case.arrays["projection/bias"][1] = np.nan
    trace = Float32Port()(case)
    stated = FLOAT32._replace(recomputes=recomputes)
    assert trace["predictions"] == 1 and judge(case, trace, stated).status == AGREE
    for other in (0, 2):
        wrong = dict(trace, predictions=np.full_like(trace["predictions"], other))
        assert judge(case, wrong, stated).status == DISAGREE


def two_reads(parameters, inputs):
    hidden = np.tanh(inputs)
    doubled = hidden * 2.0
    return {"hidden": hidden, "doubled": doubled, "again": doubled * 2.0}


def reads_by_index(parameters, inputs):
    """The same, of a row that an arg max chooses, so that the oracle is run for each row."""
    hidden = np.tanh(inputs)
    chosen = np.eye(2)[np.argmax(inputs, axis=-1)]
    doubled = hidden * 2.0 + 0.0 * chosen
    return {"hidden": hidden, "doubled": doubled, "again": doubled * 2.0}


@pytest.mark.parametrize("oracle", [two_reads, reads_by_index])
@pytest.mark.parametrize("recomputes", [False, True])
def test_what_is_read_is_off_by_all_that_is_rounded_before_if_the_subject_recomputes(
    recomputes, oracle
):
    plan = make_plan(oracle, [], [(2,)], ["hidden", "doubled", "again"])
    recorded, stated = np.full((1, 6), 0.25), FLOAT32._replace(recomputes=recomputes)
    forced, _ = forcing.expect(oracle, plan, [], [np.full((1, 2), 0.5)], recorded, stated)
    hidden, doubled, again = np.split(forced.rad[0], 3)
    # Twice a number is exact, and it may be off by two radii; what is added rounds.
    least = 4 * hidden if recomputes else 0 * hidden
    assert (hidden > 0).all() and (least <= doubled).all() and (doubled < least + hidden).all()
    # Twice that, which may itself be made of another evaluation.
    least = 2 * least
    assert (least <= again).all() and (again < least + 5 * hidden).all()


def test_what_is_off_grows_with_the_links_of_a_chain_and_not_with_their_powers():
    def chain(parameters, inputs):
        steps = [np.tanh(inputs)]
        for _ in range(20):
            steps.append(steps[-1] * 0.75 + inputs)
        return {"steps": np.stack(steps, axis=0)}

    plan = make_plan(chain, [], [(1,)], ["steps"])
    recorded, stated = np.zeros((1, 21)), FLOAT32._replace(recomputes=True)
    forced, _ = forcing.expect(chain, plan, [], [np.ones((1, 1))], recorded, stated)
    first, last = forced.rad[0, 0], forced.rad[0, -1]
    assert 0 < last < 20 * first


def test_what_is_added_to_a_product_may_be_another_evaluation():
    def reset_after(parameters, inputs):
        gate = np.tanh(inputs[:, :1])
        summed = accumulate(inputs[:, 1:], np.ones((1, 1)), gate * 0.5)
        return {"summed": summed, "same": summed * 1.0}

    x, single = np.array([[1e-3, 0]], np.float32), np.float32
    power = np.exp(single(2) * x[0, 0])
    # One evaluation is NumPy's, the other one that of a formula with exponentials.
    gates = np.tanh(x[0, 0]), (power - single(1)) / (power + single(1))
    plan = make_plan(reset_after, [], [(1, 2)], ["summed", "same"])
    recorded = np.array([[gate * single(0.5) for gate in gates]], np.float64)
    for recomputes in (True, False):
        stated = FLOAT32._replace(recomputes=recomputes)
        forced, _ = forcing.expect(reset_after, plan, [], [x[None]], recorded, stated)
        outside = np.abs(recorded - forced.mid)[0] > forced.rad[0]
        assert outside.tolist() == [False, not recomputes]


def test_what_a_product_reads_is_read_once_even_if_the_subject_recomputes():
    def layers(parameters, inputs):
        first = np.tanh(inputs)
        second = np.tanh(np.matmul(first, np.full((2, 2), 64.0)) * 2.0**-6)
        return {"first": first, "second": second, "doubled": second * 2.0}

    plan = make_plan(layers, [], [(1, 2)], ["first", "second", "doubled"])
    recorded, stated = np.full((1, 6), 0.25), FLOAT32._replace(recomputes=True)
    forced, _ = forcing.expect(layers, plan, [], [np.full((1, 1, 2), 0.5)], recorded, stated)
    exact, _ = forcing.expect(
        layers, plan, [], [np.full((1, 1, 2), 0.5)], recorded, stated._replace(recomputes=False)
    )
    (_, second, doubled), (_, alone, _) = (np.split(x.rad[0], 3) for x in (forced, exact))
    # The product may be of other numbers than recorded, and all that read it have that same one.
    assert (second > 2 * alone).all()
    assert (4 * alone <= doubled).all() and (doubled < 5 * alone).all()


def test_without_the_array_that_defines_them_the_first_copy_does():
    recorded = {name: np.random.RandomState(1).rand(*shape) for name, shape in SHAPES.items()}
    del recorded["hidden"]
    found = expected(two_layers, recorded)
    assert (found["reversed", "forced"][1] > 0).all()
    assert found["first", "forced"][0].tolist() == np.tile(recorded["reversed"][-1:], 2).tolist()
    # What follows starts from what was recorded.
    recorded["reversed"] += 1
    changed = expected(two_layers, recorded)
    assert (changed["scores", "forced"][0] != found["scores", "forced"][0]).all()
    assert (changed["scores", "free"][0] == found["scores", "free"][0]).all()


def test_a_missing_array_flows_on_with_its_balls():
    recorded = trace_of(two_layers, SHAPES)
    alone = expected(two_layers, {"scores": recorded["scores"]})
    assert set(alone) == {("scores", "forced"), ("scores", "free")}
    for part in (0, 1):
        assert (alone["scores", "forced"][part] == alone["scores", "free"][part]).all()
    free = expected(two_layers, recorded)["scores", "free"]
    assert (free[0] == alone["scores", "free"][0]).all()


def test_of_an_operation_that_is_recorded_in_part_the_rest_flows_on():
    def halves(parameters, inputs):
        kernel, bias, second = parameters
        hidden = np.tanh(affine(inputs, kernel, bias))
        return {"left": hidden[:, :1], "scores": np.matmul(hidden, second)}

    recorded = {"left": np.zeros((4, 1)), "scores": np.zeros((4, 2))}
    zeros = expected(halves, recorded)
    ones = expected(halves, dict(recorded, left=np.ones((4, 1))))
    assert (zeros["scores", "forced"][0] != ones["scores", "forced"][0]).all()
    for run in ("forced", "free"):
        for part in (0, 1):
            assert (zeros["left", run][part] == ones["left", run][part]).all()
    # The right half is not exact.
    assert (zeros["scores", "forced"][1] > 2.0**-24).any()


VALUES = {
    "if": lambda x: x if x[0, 0] > 0 else -x,
    "float": lambda x: x * float(x[0, 0]),
    "int": lambda x: x[: int(x[0, 0])],
    "range": lambda x: [x for _ in range(x[0, 0])],
    "index": lambda x: x[x > 0],
    "bool": lambda x: bool(x.max() > 1),
}


@pytest.mark.parametrize("kind", list(VALUES))
def test_operations_that_depend_on_values_are_an_error(kind):
    def oracle(parameters, inputs):
        VALUES[kind](inputs)
        return {"y": np.tanh(inputs)}

    # A comparison has no bound; what counts is that no verdict comes of it.
    with pytest.raises((OracleError, TypeError)):
        expected(oracle, {"y": np.zeros((4, 3))})


# Instead of one tanh.
OTHER_OPERATIONS = {
    "more": lambda x: np.tanh(np.tanh(x)),
    "fewer": lambda x: x,
    "of another shape": lambda x: np.tanh(x[:2]),
}


@pytest.mark.parametrize("kind", list(OTHER_OPERATIONS))
def test_other_operations_where_an_index_leads_elsewhere_are_an_error(kind):
    def oracle(parameters, inputs):
        is_zero = np.array([True, False, False])[np.argmax(inputs, axis=-1)].all()
        return {"y": np.tanh(inputs) if is_zero else OTHER_OPERATIONS[kind](inputs)}

    with pytest.raises(OracleError, match="other operations"):
        expected(oracle, {"y": np.zeros((4, 3))})


def test_the_oracle_is_run_once_whatever_is_judged_by_it():
    runs = []

    def oracle(parameters, inputs):
        runs.append(1)
        return {"y": np.tanh(inputs) if len(runs) == 1 else -inputs}

    found = expected(oracle, {"y": np.zeros((4, 3))})
    assert len(runs) == 1
    assert (np.abs(found["y", "forced"][0]) < 1).all()


def test_operations_that_nothing_takes_that_a_subject_has_are_not_computed():
    weights = [np.zeros((1,) + shape) for shape in WEIGHTS]

    def oracle(parameters, inputs):
        hidden = np.tanh(inputs)
        # Of np.cos no bound is known.
        return {"hidden": hidden, "strange": np.cos(hidden)}

    for names, fails in ((["hidden"], False), (["hidden", "strange"], True)):
        plan = make_plan(oracle, WEIGHTS, DATA, names)
        recorded = np.zeros((1, 12 * len(names)))
        given = weights, [np.zeros((1, 4, 3))]
        if fails:
            with pytest.raises(OracleError, match="no bound is known for numpy.cos"):
                forcing.expect(oracle, plan, *given, recorded, FLOAT32)
        else:
            forced, _ = forcing.expect(oracle, plan, *given, recorded, FLOAT32)
            assert (forced.rad > 0).all()


def greedy(feed):
    """Two tokens, of which the first is fed back; its arg max is not in the trace."""

    def oracle(parameters, inputs):
        kernel, bias, second = parameters
        first = affine(inputs, kernel, bias)
        token = np.argmax(first, axis=-1)
        return {"first": first, "second": np.matmul(feed(token), second)}

    return oracle


FEEDS = {
    "where": lambda token: one_hot(token, 2, np.float32),
    "index": lambda token: np.eye(2, dtype=np.float32)[token],
}


@pytest.mark.parametrize("feed", list(FEEDS))
def test_a_choice_that_is_not_recorded_is_that_of_the_recorded_numbers(feed):
    oracle = greedy(FEEDS[feed])
    weights = [np.zeros(shape) for shape in WEIGHTS]
    weights[2] = np.array([[1.0, 2.0], [3.0, 4.0]])
    for first, second in (([1e-8, 0.0], [1.0, 2.0]), ([0.0, 1e-8], [3.0, 4.0])):
        # The oracle's own scores tie: either choice is admissible, and the subject's is taken.
        recorded = {"first": np.tile(first, (4, 1)), "second": np.tile(second, (4, 1))}
        plan = make_plan(oracle, WEIGHTS, DATA, list(recorded))
        assert plan.indexes == (feed == "index")
        rows = side_by_side(plan, {name: x[None] for name, x in recorded.items()})
        given = [array[None] for array in weights], [np.full((1, 4, 3), 1e-20)]
        for run in forcing.expect(oracle, plan, *given, rows, FLOAT32):
            error = np.abs(run.mid[0, 8:] - np.ravel(recorded["second"]))
            assert (error <= run.rad[0, 8:]).all()
            assert (run.rad[0, 8:] < 1e-5).all()


def test_a_choice_that_nobody_knows_is_all_that_may_be():
    weights = [np.zeros(shape) for shape in WEIGHTS]
    weights[2] = np.array([[1.0, 2.0], [3.0, 4.0]])
    for feed, widest in (("where", 4.0), ("index", np.inf)):
        oracle = greedy(FEEDS[feed])
        plan = make_plan(oracle, WEIGHTS, DATA, ["second"])
        given = [array[None] for array in weights], [np.full((1, 4, 3), 1e-20)]
        for run in forcing.expect(oracle, plan, *given, np.zeros((1, 8)), FLOAT32):
            assert (run.mid - run.rad <= np.tile([1, 2], 4)).all()
            assert (run.mid + run.rad >= np.tile([3, 4], 4)).all()
            assert (run.rad <= widest).all()


@pytest.mark.parametrize("name", ARTICLE)
def test_indexes_cost_stacks_and_change_no_expectation(name, monkeypatch):
    cases = [random_case(name, seed) for seed in range(3)]
    trace = [Float32Port()(case) for case in cases]
    model, config = cases[0].model, cases[0].config
    plan = plan_of(model, config, tuple(array.name for array in model.trace))
    rows = side_by_side(plan, {n: np.stack([t[n] for t in trace]) for n in trace[0]})
    arrays = {key: np.stack([case.arrays[key] for case in cases]) for key in cases[0].arrays}
    fields = model.parameters(config), model.data
    given = [[arrays[field.name] for field in each] for each in fields]
    oracle = partial(model.compute, config)
    stacked = forcing.expect(oracle, plan, *given, rows, FLOAT32)
    singly = forcing.expect(oracle, plan._replace(indexes=True), *given, rows, FLOAT32)
    for one, other in zip(stacked, singly):
        np.testing.assert_allclose(one.mid, other.mid, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(one.rad, other.rad, rtol=1e-9)


@pytest.mark.parametrize("name", ARTICLE)
def test_any_array_may_be_missing_and_is_said_to_be(name):
    case = random_case(name)
    trace = Float32Port()(case)
    for missing in trace:
        verdict = judge(case, {n: x for n, x in trace.items() if n != missing}, FLOAT32)
        assert verdict.status == AGREE, (missing, verdict.summary())
        assert verdict.missing == (missing,)
        assert missing in verdict.summary()
        assert missing not in [array.name for array in verdict.arrays]


@pytest.mark.parametrize("name", ARTICLE)
def test_scores_alone_are_judged(name):
    case = random_case(name)
    scores = Float32Port()(case)["scores"]
    assert judge(case, {"scores": scores}, FLOAT32).status == AGREE
    assert judge(case, {"scores": scores + np.float32(1e-3)}, FLOAT32).status == DISAGREE


@pytest.mark.parametrize("name", ["seq2seq", "attention"])
def test_without_predictions_the_decoder_is_fed_what_the_scores_say(name):
    case = random_case(name)
    trace = Float32Port()(case)
    del trace["predictions"], trace["accuracy"]
    assert judge(case, trace, FLOAT32).status == AGREE
    trace["fed_back"] = trace["fed_back"][..., ::-1].copy()
    wrong = [(x.name, x.run) for x in judge(case, trace, FLOAT32).arrays if x.status == DISAGREE]
    assert ("fed_back", TEACHER_FORCED) in wrong


def test_an_arg_max_that_is_an_index_of_computed_numbers_is_an_error():
    def oracle(parameters, inputs):
        kernel, bias, second = parameters
        first = affine(inputs, kernel, bias)
        token = np.asarray(np.argmax(first, axis=-1))
        return {"first": first, "second": first[np.arange(4), token]}

    # Where the choice is not that of the plan, other elements are copies.
    first = np.tile([0.0, 1.0], (4, 1))
    with pytest.raises(OracleError, match="an arg max that is an index of what was computed"):
        expected(oracle, {"first": first, "second": first[:, 1]})


def test_what_is_made_before_a_choice_that_nobody_knows_is_expected_all_the_same():
    oracle = greedy(FEEDS["index"])

    def hidden_first(parameters, inputs):
        hidden = np.tanh(inputs)
        return dict(oracle(parameters, inputs), hidden=hidden)

    weights = [np.zeros(shape) for shape in WEIGHTS]
    names = ["hidden", "second"]
    found = make_plan(hidden_first, WEIGHTS, DATA, names)
    given = [array[None] for array in weights], [np.full((1, 4, 3), 1e-20)]
    for run in forcing.expect(hidden_first, found, *given, np.zeros((1, 20)), FLOAT32):
        assert (run.rad[0, :12] < 1e-6).all()
        assert np.isinf(run.rad[0, 12:]).all()


def test_constants_of_the_trace_are_rounded_to_the_subjects_precision():
    def oracle(parameters, inputs):
        return {"y": np.tanh(inputs), "c": np.full(2, 0.1)}

    recorded = {"y": np.zeros((4, 3)), "c": np.full(2, np.float32(0.1)).astype(float)}
    mid, rad = expected(oracle, recorded)["c", "forced"]
    assert (np.abs(recorded["c"] - mid) <= rad).all() and (rad < 1e-8).all()


def test_an_index_of_arrays_with_a_slice_between_them_is_the_same_in_a_stack():
    def oracle(parameters, inputs):
        hidden = np.tanh(np.reshape(inputs, (2, 2, 3)))
        # Computed from what is at the index, not copied.
        some, one = hidden[[0, 1], :, [0, 2]] * 2.0, hidden[0, :, [0, 1]] * 2.0
        return {"hidden": hidden, "some": some, "one": one}

    recorded = {"hidden": np.random.RandomState(2).rand(2, 2, 3)}
    recorded.update(
        some=recorded["hidden"][[0, 1], :, [0, 2]] * 2, one=recorded["hidden"][0, :, [0, 1]] * 2
    )
    found = expected(oracle, recorded)
    for name in ("some", "one"):
        mid, rad = found[name, "forced"]
        assert (np.abs(mid - recorded[name]) <= rad).all() and (rad < 1e-6).all()


def test_that_an_affine_map_is_recorded_does_not_change_how_accurate_its_tanh_is():
    functions = dict(FLOAT32.functions, **{"affine tanh": Accuracy(400, 2.0**-126)})

    def oracle(parameters, inputs):
        kernel, bias, second = parameters
        z = affine(inputs, kernel, bias)
        return {"z": z, "h": np.tanh(z)}

    random = np.random.RandomState(0)
    arrays = [[random.standard_normal((1,) + s) for s in each] for each in (WEIGHTS, DATA)]
    plan = make_plan(oracle, WEIGHTS, DATA, ["z", "h"])
    recorded = np.zeros((1, 16)) + 0.5
    a = FLOAT32._replace(functions=functions)
    for run in forcing.expect(oracle, plan, *arrays, recorded, a):
        assert (run.rad[0, 8:] > 300 * 2.0**-24 * np.abs(run.mid[0, 8:])).all()


@pytest.mark.parametrize("kind", ["in place", "by name"])
def test_an_array_that_is_changed_in_place_is_an_error_and_one_by_name_is_none(kind):
    def oracle(parameters, inputs):
        y = np.tanh(inputs)
        if kind == "in place":
            y += 1.0
        return {"y": np.sum(a=y, axis=0)}

    if kind == "in place":
        with pytest.raises(OracleError, match="in place"):
            expected(oracle, {"y": np.zeros(3)})
    else:
        assert expected(oracle, {"y": np.zeros(3)})


def test_a_trace_that_names_or_shapes_what_the_oracle_does_not_have_is_an_error():
    model = MODELS["seq2seq"]
    for change in (lambda t: dict(t, states=t.pop("scores")), lambda t: dict(t, loss=t["scores"])):
        case = random_case("seq2seq")
        broken = model._replace(oracle=lambda *a, change=change: change(model.oracle(*a)))
        with pytest.raises(OracleError, match="returns '(scores|loss)' with the shape"):
            judge(replace(case, model=broken), Float32Port()(case), FLOAT32)


def test_the_traces_of_one_config_have_the_same_arrays():
    cases = [random_case("seq2seq", seed) for seed in range(2)]
    traces = [Float32Port()(case) for case in cases]
    del traces[0]["scores"]
    for order in (1, -1):
        with pytest.raises(SubjectError, match="not alike"):
            judge_stacks(cases[::order], traces[::order], FLOAT32)


def test_a_wrong_class_is_described_without_scores():
    case = random_case("bidirectional")
    trace = Float32Port()(case)
    trace["predictions"] = (trace["predictions"] + 1) % case.config.outputs
    without = {key: trace[key] for key in ("predictions", "probabilities")}
    assert "its score is lower" in describe(case, judge(case, trace, FLOAT32))
    said = describe(case, judge(case, without, FLOAT32))
    assert "its score, which the subject does not have, cannot be the largest" in said


def test_a_trace_has_something_to_be_judged_unless_there_are_no_rows():
    case = random_case("seq2seq", output_time=1)
    empty = {"fed_back": Float32Port()(case)["fed_back"]}
    with pytest.raises(SubjectError, match="it has none of"):
        judge(case, empty, FLOAT32)
    assert judge(case, {"loss": Float32Port()(case)["loss"]}, FLOAT32).status == AGREE
    case = random_case("seq2seq", batch=0)
    assert judge(case, {"scores": Float32Port()(case)["scores"]}, FLOAT32).status == AGREE


def test_a_recorded_number_may_be_flushed_where_it_is_read_if_it_is_subnormal():
    def oracle(parameters, inputs):
        hidden = np.tanh(inputs)
        return {"hidden": hidden, "negative": -hidden}

    recorded = {"hidden": np.full((4, 3), 0.5), "negative": np.zeros((4, 3))}
    smallest = 2.0**-126
    recorded["hidden"][0] = smallest, smallest / 2, -smallest / 4
    mid, rad = expected(oracle, recorded)["negative", "forced"]
    assert mid.tolist() == (-recorded["hidden"]).tolist()
    assert rad[0].tolist() == [0, smallest / 2, smallest / 4] and not rad[1:].any()
    recorded["hidden"][0] = 0.5
    assert not expected(oracle, recorded)["negative", "forced"][1].any()


def test_each_constant_of_a_trace_is_expected_in_its_place_in_all_rows():
    def oracle(parameters, inputs):
        return {"y": np.tanh(inputs), "c": np.arange(4.0), "x": np.zeros(3) + inputs[0]}

    found = make_plan(oracle, WEIGHTS, DATA, ["y", "c", "x"])
    assert [name for name, _ in found.arrays] == ["y", "c", "x"]
    given = [np.zeros((3,) + shape) for shape in WEIGHTS], [np.full((3, 4, 3), 0.5)]
    for run in forcing.expect(oracle, found, *given, np.zeros((3, 19)), FLOAT32):
        assert run.mid[:, 12:16].tolist() == [[0, 1, 2, 3]] * 3 and not run.rad[:, 12:16].any()
        assert (run.mid[:, 16:] == 0.5).all()


def test_a_prediction_that_is_no_class_counts_as_the_first():
    assert class_or_first(np.array([-1.0, 0.0, 2.0, 3.0]), 3).tolist() == [0, 0, 2, 0]


@pytest.mark.parametrize("name", ["seq2seq", "attention"])
def test_followed_an_oracle_computes_as_ever_but_for_what_was_chosen(name):
    case = random_case(name)
    own = case.oracle(np.float64)
    chosen = (own["predictions"] + 1) % 3
    for trace, predictions in (
        ({"predictions": own["predictions"]}, own["predictions"]),
        ({"scores": own["scores"]}, own["predictions"]),
        ({"scores": own["scores"], "predictions": chosen}, chosen),
    ):
        found = forcing.follow(case, trace)
        assert found["predictions"].tolist() == predictions.tolist()
        assert found["fed_back"].tolist() == np.eye(3)[predictions[:, :-1]].tolist()
        if predictions is not chosen:
            assert sorted(found) == sorted(own)
            for part, array in own.items():
                np.testing.assert_allclose(found[part], array, rtol=1e-12, atol=1e-12)
        else:
            assert not np.allclose(found["scores"][:, 1:], own["scores"][:, 1:])


@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_of_a_choice_that_nobody_knows_the_last_two_classes_may_be_two(axis):
    def oracle(parameters, inputs):
        kernel, bias, _ = parameters
        token = np.argmax(np.matmul(inputs, kernel) + bias, axis=axis)
        return {"twice": np.where(token == 0, 4.0, np.where(token == 1, 1.0, 2.0))}

    shapes, data = [(4, 4), (4,), (1,)], [(4, 4)]
    found = make_plan(oracle, shapes, data, ["twice"])
    # All equal but the first class, which is far below.
    scores = np.zeros((4, 4))
    scores[0 if axis == 0 else slice(None), slice(None) if axis == 0 else 0] = -1
    given = [np.eye(4)[None], np.zeros((1, 4)), np.zeros((1, 1))], [scores[None] + 1e-30]
    for run in forcing.expect(oracle, found, *given, np.zeros((1, 4)), FLOAT32):
        low, high = run.mid - run.rad, run.mid + run.rad
        assert (low <= 1).all() and (high >= 2).all() and (high < 4).all(), (low, high)


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_a_choice_along_an_axis_that_is_not_the_last_is_that_of_the_recorded_numbers(axis):
    def oracle(parameters, inputs):
        scores = np.reshape(inputs, (2, 3, 2)) * 2.0
        return {"scores": scores, "token": np.argmax(scores, axis=axis)}

    scores = np.random.RandomState(4).rand(2, 3, 2)
    token = np.argmax(scores, axis=axis)
    mid, rad = expected(oracle, {"scores": scores, "token": token})["token", "forced"]
    assert mid.tolist() == token.tolist() and not rad.any()


def test_of_a_choice_that_is_recorded_in_part_the_rest_is_that_of_the_numbers():
    def oracle(parameters, inputs):
        scores = inputs * 2.0
        token = np.argmax(scores, axis=-1)
        return {"scores": scores, "some": token[1:3], "fed": np.where(token == 2, 5.0, 3.0)}

    scores = np.eye(4, 3)[[2, 1, 0, 2]]
    recorded = {"scores": scores, "some": np.array([2.0, 0.0]), "fed": np.zeros(4)}
    found = expected(oracle, recorded)
    # What is expected is the arg max of what was recorded; what goes on is what was chosen.
    assert found["some", "forced"][0].tolist() == [1, 0]
    assert found["fed", "forced"][0].tolist() == [5, 5, 3, 5]
    assert not found["fed", "forced"][1].any()


def test_what_is_split_is_made_by_one_operation():
    def oracle(parameters, inputs):
        one, two, three = np.split(np.tanh(inputs), 3, axis=1)
        return {"three": three, "sum": one + two * 2.0}

    found = expected(oracle, {"three": np.zeros((4, 1)), "sum": np.zeros((4, 1))})
    inputs = np.random.RandomState(0)
    inputs = [[inputs.standard_normal((1,) + s) for s in each] for each in (WEIGHTS, DATA)][1][0][0]
    hidden = np.tanh(inputs)
    for name, right in (("three", hidden[:, 2:]), ("sum", hidden[:, :1] + 2 * hidden[:, 1:2])):
        mid, rad = found[name, "free"]
        assert (np.abs(mid - right) <= rad).all() and (rad < 1e-5).all()


def test_a_choice_among_nan_is_judged_where_it_is_teacher_forced_alone():
    case = random_case("bidirectional")
    case.arrays["projection/bias"][:] = np.nan
    trace = Float32Port()(case)
    for token, right in ((0, True), (2, False)):
        trace["predictions"][:] = token
        arrays = {a.run: a for a in judge(case, trace, FLOAT32).arrays if a.name == "predictions"}
        assert arrays[FREE_RUNNING].status == AGREE
        assert (arrays[TEACHER_FORCED].status == AGREE) == right


def test_a_choice_among_nan_is_any_in_its_own_row_of_its_own_case_alone():
    cases = [random_case("bidirectional", seed) for seed in (0, 1)]
    for row, case in enumerate(cases):
        case.inputs[row] = np.nan
    traces = [Float32Port()(case) for case in cases]
    for trace in traces:
        trace["predictions"] = (trace["predictions"] + 1) % 3
    (stack,) = judge_stacks(cases, traces, FLOAT32)
    for row in (0, 1):
        arrays = {a.run: a for a in stack.verdict(row).arrays if a.name == "predictions"}
        assert arrays[FREE_RUNNING].wrong.tolist() == [row == 1, row == 0]
        assert arrays[TEACHER_FORCED].wrong.all()


def test_of_choices_that_are_recorded_in_part_those_are_followed():
    def oracle(parameters, inputs):
        return {"some": np.argmax(inputs, axis=-1)[1:3]}

    found = make_plan(oracle, WEIGHTS, DATA, ["some"])
    following = forcing._Following(found, np.array([2.0, 1.0]))
    made = following.make(0, np.argmax, [np.array([[0, 1, 0]] * 4)], {"axis": -1})
    assert made.tolist() == [1, 2, 1, 1]


@pytest.mark.parametrize("special, follows", [(np.nan, np.nan), (np.inf, np.inf)])
def test_a_special_value_that_is_recorded_is_followed_and_makes_nothing_else_special(
    special, follows
):
    def oracle(parameters, inputs):
        hidden = np.tanh(inputs)
        return {"hidden": hidden, "twice": 2.0 * hidden}

    recorded = {"hidden": np.full((4, 3), 0.5), "twice": np.zeros((4, 3))}
    recorded["hidden"][0, 1] = special
    mid, rad = expected(oracle, recorded)["twice", "forced"]
    right = np.ones((4, 3))
    right[0, 1] = follows
    np.testing.assert_array_equal(mid, right)
    assert rad[0, 1] == 0 and (rad < 1e-6).all()


def test_what_stands_in_for_a_function_is_bounded_by_what_it_is_made_of():
    def oracle(parameters, inputs):
        return {"y": inputs.run.make(lambda x: np.tanh(x) * 2.0, (inputs,), {})}

    mid, rad = expected(oracle, {"y": np.zeros((4, 3))})["y", "forced"]
    assert (np.abs(mid) < 2).all() and (rad > 0).all() and (rad < 1e-5).all()


def test_the_plan_of_a_model_is_made_once():
    case = random_case("seq2seq")
    given = case.model, case.config, ("scores",)
    assert plan_of(*given) is plan_of(*given)


def test_the_plan_of_no_arrays_has_nothing_in_it():
    found = make_plan(two_layers, WEIGHTS, DATA, ["none such"])
    assert found.arrays == [] and not found.recorded and not found.ids.size
    assert not found.copies.size and not found.program.outputs


class _OneRun:
    """A run that keeps what it is told, and computes it."""

    def move(self, function, args, kwargs):
        self.told = "move", function
        return function(*(getattr(x, "held", x) for x in args), **kwargs)

    def make(self, function, args, kwargs):
        self.told = "make", function
        return function(*(getattr(x, "held", x) for x in args), **kwargs)


METHODS = {
    "reshape": (lambda x: x.reshape(3, 2), "move"),
    "reshape of a shape": (lambda x: x.reshape((3, 2)), "move"),
    "reshape to a row": (lambda x: x.reshape(-1), "move"),
    "T": (lambda x: x.T, "move"),
    "transpose": (lambda x: x.transpose(), "move"),
    "transpose axes": (lambda x: x.transpose(1, 0), "move"),
    "transpose tuple": (lambda x: x.transpose((1, 0)), "move"),
    "index": (lambda x: x[1:, ::2], "move"),
    "sum": (lambda x: x.sum(), "make"),
    "sum of an axis": (lambda x: x.sum(axis=1), "make"),
    "sum that keeps it": (lambda x: x.sum(axis=1, keepdims=True), "make"),
    "max": (lambda x: x.max(), "make"),
    "max of an axis": (lambda x: x.max(axis=0), "make"),
    "max that keeps it": (lambda x: x.max(axis=0, keepdims=True), "make"),
    "mean": (lambda x: x.mean(axis=1), "make"),
    "argmax": (lambda x: x.argmax(axis=1), "make"),
    "dot": (lambda x: x.dot(np.ones((3, 2))), "make"),
    "negative": (lambda x: -x, "make"),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_tracked_array_has_the_methods_of_numpys(name):
    method, kind = METHODS[name]
    run, array = _OneRun(), np.arange(6.0).reshape(2, 3)
    found, right = method(TrackedArray(run, array)), method(array)
    assert np.array_equal(found, right) and np.shape(found) == np.shape(right)
    assert run.told[0] == kind


def test_a_tracked_array_has_the_sizes_of_what_it_holds():
    array = TrackedArray(_OneRun(), np.zeros((2, 3), np.float16))
    assert (array.shape, array.ndim, array.size, len(array)) == ((2, 3), 2, 6, 2)
    assert array.dtype == np.float16
    for number in (TrackedArray(_OneRun(), np.zeros(())), Choice(_OneRun(), np.zeros(3))):
        with pytest.raises(TypeError, match="has no length"):
            len(number)


REFUSED = {
    "reduce": (lambda x: np.add.reduce(x), "no bound is known for add.reduce"),
    "out": (lambda x: np.add(x, 1, out=np.zeros(3)), "in place"),
    "set": (lambda x: x.__setitem__(0, 1), "in place"),
    "index": (lambda x: x[x], r"\(an index\)"),
    "bool": (bool, r"\(true or false\)"),
    "float": (float, r"\(float\)"),
    "int": (int, r"\(int\)"),
    "range": (lambda x: range(x), r"\(int\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_depends_on_values_or_changes_them_is_refused_in_words(name):
    ask, said = REFUSED[name]
    with pytest.raises(OracleError, match=said):
        ask(TrackedArray(_OneRun(), np.ones(3)))


def test_arguments_are_mapped_in_lists_and_tuples_and_by_name():
    args = (1, "a", [2, (3, "b")], {"c": 4})
    assert mapped(args, int, lambda x: -x) == [-1, "a", [-2, (-3, "b")], {"c": 4}]
    assert mapped_by_name({"axis": 1, "what": [2]}, int, lambda x: -x) == {"axis": -1, "what": [-2]}
    nothing = {}
    assert mapped_by_name(nothing, int, None) is nothing


def test_a_bias_may_be_added_before_what_is_recorded_of_the_product_is_rounded():
    def oracle(parameters, x):
        kernel, bias = parameters
        product = np.matmul(x, kernel)
        return {"product": product, "sum": product + bias}

    x, kernel = np.array([[1.0, 2.0**-13]]), np.array([[1.0], [2.0**-13]])
    # All of the product is 1 + 2^-26, which is rounded where it is recorded, and not in the sum.
    trace = {"product": np.array([[1.0]]), "sum": np.array([[2.0**-26]])}
    plan = make_plan(oracle, [(2, 1), (1,)], [(1, 2)], list(trace))
    recorded = side_by_side(plan, {name: array[None] for name, array in trace.items()})
    given = [kernel[None], np.array([[-1.0]])], [x[None]]
    forced, _ = forcing.expect(oracle, plan, *given, recorded, FLOAT32)
    assert (np.abs(recorded - forced.mid) <= forced.rad).all()
