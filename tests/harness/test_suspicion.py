"""The statistical verdict: what is right is not suspicious, and what bounds are blind to is."""

import json
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.harness.cases.restriction import make_restriction
from rnndiff.harness.checking import check as checking
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.checking.fuzz import fuzz
from rnndiff.harness.judging import suspicion
from rnndiff.harness.judging.chance import Figures, figures
from rnndiff.harness.judging.forcing import expect_by_chance
from rnndiff.harness.judging.plan import make_plan, side_by_side
from rnndiff.harness.judging.suspicion import (
    FALSE_ALARMS,
    FEWEST,
    SIGN,
    SQUARE,
    Suspicion,
    most_square,
    sample_for_chance,
    units_of,
)
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import judge_stacks
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.numerics.balls import exact
from rnndiff.harness.report import page
from rnndiff.models import MODELS
from rnndiff.models.functions import affine

MODEL = MODELS["bidirectional"]
CONFIG = MODEL.Config(batch=2, time=2, inputs=32, outputs=32, num_units=64)


@lru_cache(maxsize=None)
def cases():
    random = np.random.RandomState(0)
    return [normal_case(random, MODEL, CONFIG, 0.7) for _ in range(40)]


def to_bits(x, bits):
    shift = np.uint32(24 - bits)
    raw = np.ascontiguousarray(x).view(np.uint32) + np.uint32(1 << (23 - bits))
    return (raw >> shift << shift).view(np.float32)


def cut_off(x, kernel, bias):
    total = np.zeros(x.shape[:-1] + bias.shape, np.float32)
    terms = [x[..., k, None].astype("f8") * row for k, row in enumerate(kernel.astype("f8"))]
    for term in terms + [bias]:
        exactly = total + term
        total = exactly.astype("f4")
        total = np.where(np.abs(total) > np.abs(exactly), np.nextafter(total, np.float32(0)), total)
    return total


def bits_18(x, kernel, bias):
    return np.matmul(to_bits(x, 18), to_bits(kernel, 18)) + bias


def traces_of(affine=affine, tanh=np.tanh):
    """Those of a port, with an affine map and a tanh of its own, and of its states and scores."""
    found = []
    for case in cases():
        forward, backward, projection = (case.parameters[k : k + 2] for k in (0, 2, 4))
        outputs = []
        for (kernel, bias), inputs in ((forward, case.inputs), (backward, case.inputs[:, ::-1])):
            state, states = np.zeros((CONFIG.batch, CONFIG.num_units), np.float32), []
            for t in range(CONFIG.time):
                state = tanh(affine(np.hstack([inputs[:, t], state]), kernel, bias))
                states.append(state)
            outputs.append(np.stack(states, axis=1))
        outputs = np.concatenate([outputs[0], outputs[1][:, ::-1]], axis=2)
        found.append({"outputs": outputs, "scores": affine(outputs[:, -1], *projection)})
    return found


def held_against_chance(stated=FLOAT32, **port):
    """What is suspicious, and how many cases disagree."""
    found, wrong = Suspicion(), 0
    for stack in judge_stacks(cases(), traces_of(**port), stated):
        wrong += np.count_nonzero(stack.disagree())
        found.add(stack.only(~stack.disagree()), stated)
    return found, wrong


def test_a_right_port_is_not_suspicious():
    found, wrong = held_against_chance()
    assert not wrong and not found.suspicious()
    (line,) = found.lines()
    assert line.startswith("nothing is suspicious: errors are at most 0.")


@pytest.mark.parametrize("affine", [bits_18, cut_off])
def test_what_is_within_all_bounds_and_not_by_chance_is_suspicious(affine):
    found, wrong = held_against_chance(affine=affine)
    assert not wrong
    worst = found.suspicious()[0]
    assert (worst.array, worst.units, worst.cases) == ("scores", "17 to 64 units", len(cases()))
    assert worst.figure > 1.5 * worst.limit
    said = list(found.lines())[0]
    assert said.startswith("suspicious: scores of bidirectional, 17 to 64 units: errors are ")


def test_sums_that_are_cut_off_lean_towards_zero():
    found = held_against_chance(affine=cut_off)[0].suspicious()
    (sign,) = [each for each in found if each.what == SIGN]
    assert sign.array == "scores" and sign.figure < -suspicion.LEANING
    assert "errors lean towards zero: mean sign -0." in str(sign)


def test_a_function_that_errs_to_one_side_within_its_premise_is_not_suspicious():
    def biased(x):
        # Three ULP of the four that are stated, always towards zero.
        y = np.tanh(x)
        return y - np.float32(3) * np.spacing(y)

    found, wrong = held_against_chance(tanh=biased)
    assert not wrong and not found.suspicious()
    of_outputs = figures(judge_stacks(cases(), traces_of(tanh=biased), FLOAT32)[0], FLOAT32)
    assert np.isnan(of_outputs["outputs"].leans).all()


def test_a_function_that_is_worse_than_is_stated_is_for_bounds_to_find():
    # Where it is flat, no sum hides what it is off by, however many terms there are.
    _, wrong = held_against_chance(tanh=lambda x: np.tanh(x) * np.float32(1 + 2.0**-20))
    assert wrong > len(cases()) / 2


def test_nothing_is_said_of_additions_that_may_cut_off():
    stated = arithmetic("float32", operand_bits=11)
    assert held_against_chance(stated, affine=cut_off)[0].as_dict() == {}


def test_few_cases_say_nothing():
    def held(count):
        found = Suspicion()
        wrong = Figures(np.full(count, 1e6), np.full(count, np.nan))
        found.add_figures("bidirectional", CONFIG, {"scores": wrong})
        return found

    assert not held(FEWEST - 1).suspicious() and not list(held(FEWEST - 1).lines())
    assert held(FEWEST).suspicious()


def test_parts_of_a_run_add_up_in_any_order():
    random, whole, parts = np.random.RandomState(1), Suspicion(), []
    for number in range(6):
        part = Suspicion()
        leans = np.where(random.rand(5) < 0.3, np.nan, random.uniform(-1, 1, 5))
        of_arrays = {"scores": Figures(random.rand(5), leans)}
        for each in (whole, part):
            each.add_figures(("bidirectional", "seq2seq")[number % 2], CONFIG, of_arrays)
        parts.append(json.loads(json.dumps(part.as_dict())))
    for order in (parts, parts[::-1]):
        total = Suspicion()
        for part in order:
            total.add_dict(part)
        assert total.as_dict() == whole.as_dict()


@pytest.mark.parametrize("cases", [8, 40])
def test_so_many_runs_of_a_right_subject_are_beyond_the_limit(cases):
    # One run in a hundred, of errors that are all the same in each case, as by chance as may be.
    limit = most_square(cases, FALSE_ALARMS * 100)
    squares = np.random.RandomState(0).standard_normal((20000, cases)) ** 2
    beyond = np.mean(squares.mean(axis=1) > limit)
    assert 0.0005 < beyond < 0.01


def test_the_radii_by_chance_are_those_of_root_mean_squares_in_any_order():
    a, random = arithmetic("float32").by_chance(), np.random.RandomState(2)
    for count in (3, 30, 300):
        x = random.standard_normal((200, count)).astype("f4")
        w = (random.standard_normal((count, 4)) / np.sqrt(count)).astype("f4")
        b = np.full(4, 3, "f4")
        rad = affine(exact(x, a), exact(w, a), exact(b, a)).rad
        exactly = x.astype("f8") @ w + b
        at_worst = affine(*[exact(y, arithmetic("float32")) for y in (x, w, b)]).rad
        terms = np.concatenate([np.full((200, 1, 4), 3), x[:, :, None] * w], axis=1)
        by_size = np.argsort(np.abs(terms), axis=1)
        # From the bias on, to it, and with the smallest and with the largest term first.
        for order in (None, slice(None, None, -1), by_size, by_size[:, ::-1]):
            is_index = isinstance(order, np.ndarray)
            ordered = (
                np.take_along_axis(terms, order, 1) if is_index else terms[:, order or slice(None)]
            )
            total = np.add.accumulate(ordered, axis=1, dtype="f4")[:, -1]
            figure = np.sqrt(np.mean(((total - exactly) / rad) ** 2))
            assert 0.05 < figure < 1
        if count == 300:
            assert (rad < at_worst / 10).all()


def test_operands_that_are_off_by_something_move_the_radii_by_chance():
    a = arithmetic("float32").by_chance()
    w = np.float32([[0.5], [-0.25]])
    plain = np.matmul(exact(np.float32([[1, 2]]), a), exact(w, a)).rad
    off = np.matmul(exact(np.float32([[1, 2]]), a) * 0.1, exact(w, a)).rad
    assert (off > plain * 0.1).all()
    assert (np.matmul(exact(w.T, a) * 0.1, exact(w, a)).rad > 0.03 * 2.0**-24).all()


def test_a_bias_that_is_written_after_the_product_makes_a_sum_as_well():
    def plain(config, parameters, inputs, labels):
        kernel, bias = parameters[4:6]
        full = MODEL.compute(config, parameters, inputs, labels)
        return dict(full, scores=np.matmul(full["outputs"][:, -1], kernel) + bias)

    case, trace = cases()[0], traces_of()[0]
    arrays = [x[None] for x in case.parameters], [x[None] for x in case.data]
    shapes = [[x.shape[1:] for x in each] for each in arrays]

    def oracle(parameters, *data):
        return plain(CONFIG, parameters, *data)

    found = make_plan(oracle, *shapes, list(trace))
    recorded = side_by_side(found, {name: array[None] for name, array in trace.items()})
    _, sums = expect_by_chance(oracle, found, *arrays, recorded, FLOAT32)
    of_each = {name: sums[elements] for name, _, elements in found.stretches()}
    assert of_each["scores"].all() and not of_each["outputs"].any()


def test_sums_of_products_are_told_from_other_sums():
    def oracle(parameters, x):
        kernel, bias = parameters
        return {"sums": np.matmul(x, kernel) + bias, "others": x + x, "all": x @ kernel}

    found = make_plan(oracle, [(2, 2), (2,)], [(1, 2)], ["sums", "others", "all"])
    arrays = [np.ones((1, 2, 2)), np.ones((1, 2))], [np.ones((1, 1, 2))]
    _, sums = expect_by_chance(oracle, found, *arrays, np.ones((1, 6)), FLOAT32)
    assert sums.tolist() == [True, True, False, False, True, True]


def leans_of_scores(scale):
    """Mean signs of scores that are `scale` times as large, and off, away from zero."""
    scaled, traces = [], []
    for case in cases()[:3]:
        case = case.copy()
        kernel, bias = case.parameters[4:6]
        kernel *= np.float32(scale)
        bias[...] = 0
        trace = Float32Port()(case)
        scores = np.matmul(trace["outputs"][:, -1].astype("f8"), kernel.astype("f8"))
        scaled.append(case)
        traces.append(dict(trace, scores=(scores * (1 + 2.0**-22)).astype("f4")))
    (stack,) = judge_stacks(scaled, traces, FLOAT32)
    return figures(stack, FLOAT32)["scores"].leans


@pytest.mark.parametrize("exponent, counts", [(0, True), (-66, True), (-90, False), (-110, False)])
def test_the_sign_of_an_error_counts_where_what_is_flushed_on_the_way_cannot_decide_it(
    exponent, counts
):
    leans = leans_of_scores(2.0**exponent)
    assert (leans > 0).all() if counts else np.isnan(leans).all()


def test_the_sign_of_an_error_does_not_count_of_what_cancels_but_for_that():
    case = cases()[0].copy()
    random = np.random.RandomState(0)
    case.arrays["inputs"][1] = case.arrays["inputs"][0]
    trace = Float32Port()(case)
    kernel, bias = case.parameters[4:6]
    kernel[...] = random.standard_normal(kernel.shape)
    product = np.matmul(trace["outputs"][0, -1].astype("f8"), kernel.astype("f8"))
    bias[...] = -product
    trace = Float32Port()(case)
    off = np.abs(product + bias) + 2.0**-24
    (stack,) = judge_stacks([case], [dict(trace, scores=np.float32([off, off]))], FLOAT32)
    assert np.isnan(figures(stack, FLOAT32)["scores"].leans).all()


def of_squares(**squares):
    """A run of which arrays have so many cases of the same square."""
    run = Suspicion()
    for name, (count, square) in squares.items():
        figures_of_it = Figures(np.full(count, float(square)), np.full(count, np.nan))
        run.add_figures("bidirectional", CONFIG, {name: figures_of_it})
    return run


def test_of_as_many_cases_as_are_enough_something_is_said_and_of_fewer_nothing():
    (line,) = of_squares(scores=(FEWEST, 0.25)).lines()
    assert line.startswith("nothing is suspicious: errors are at most 0.50 times")
    assert not list(of_squares(scores=(FEWEST - 1, 0.25)).lines())


def test_what_is_farthest_beyond_its_own_limit_is_told_first():
    found = of_squares(many=(200, 9), few=(FEWEST, 16)).suspicious()
    assert [each.array for each in found] == ["many", "few"]
    assert found[0].limit < found[1].limit and found[0].figure < found[1].figure


def test_each_figure_that_is_looked_at_shares_the_false_alarms_of_a_run():
    run = Suspicion()
    of_both = Figures(np.full(FEWEST, 9.0), np.full(FEWEST, 0.1))
    run.add_figures("bidirectional", CONFIG, {"scores": of_both})
    (found,) = run.suspicious()
    assert found.limit == np.sqrt(most_square(FEWEST, 2))
    assert of_squares(scores=(FEWEST, 9)).suspicious()[0].limit == np.sqrt(most_square(FEWEST, 1))


def test_the_limit_of_a_mean_sign_is_hoeffdings():
    run = Suspicion()
    run.add_figures(
        "bidirectional", CONFIG, {"scores": Figures(np.full(64, 0.01), np.full(64, 0.5))}
    )
    (found,) = run.suspicious()
    # The sum of signs is 32, and the root of the sum of their squares 4.
    most = np.sqrt(2 * np.log(2 * 2 / FALSE_ALARMS))
    assert (found.what, found.figure, found.cases) == (SIGN, 0.5, 64)
    assert found.limit == pytest.approx(0.5 * most / 8, rel=1e-12)
    assert "away from zero" in str(found)
    # As many, of a tenth, are beyond it as well, and lean too little.
    run = Suspicion()
    run.add_figures(
        "bidirectional", CONFIG, {"scores": Figures(np.full(64, 0.01), np.full(64, 0.1))}
    )
    assert not run.suspicious()


@pytest.mark.parametrize("cases, tests", [(8, 1), (8, 500), (20, 2), (3000, 40)])
def test_the_limit_of_a_mean_square_is_the_root_of_chernoffs_bound(cases, tests):
    limit = most_square(cases, tests)
    chance = np.exp(-cases / 2 * (limit - 1 - np.log(limit)))
    assert limit > 1 and chance == pytest.approx(FALSE_ALARMS / tests, rel=1e-6)


def test_a_stack_of_one_case_counts_and_of_none_does_not():
    (stack,) = judge_stacks(cases()[:1], traces_of()[:1], FLOAT32)
    run = Suspicion()
    run.add(stack, FLOAT32)
    run.add(stack.only(np.array([False])), FLOAT32)
    (numbers,) = run.as_dict()["bidirectional"]["scores"].values()
    assert numbers[0] == 1 and sample_for_chance(stack).arrays == stack.arrays


def test_sizes_are_told_apart_by_units_or_what_else_is_added_up():
    assert units_of(CONFIG) == "17 to 64 units"
    assert units_of(MODEL.Config(batch=9, time=99, inputs=9, outputs=9, num_units=4)) == (
        "0 to 4 units"
    )


def test_one_case_in_some_is_looked_at_and_none_with_special_numbers():
    random, counts = np.random.RandomState(0), {}
    for units in (4, 20):
        config = MODEL.Config(batch=1, time=1, inputs=1, outputs=1, num_units=units)
        counts[units] = []
        for number in range(60):
            many = [normal_case(random, MODEL, config)] * (1, 64)[number % 2]
            many[0].arrays["inputs"][:] = (0.5, np.inf)[number % 5 == 0]
            (stack,) = judge_stacks(many, [Float32Port()(many[0])] * len(many), FLOAT32)
            part = sample_for_chance(stack)
            assert number % 5 or not part.cases
            assert sample_for_chance(stack).cases == part.cases
            counts[units].append(len(part.cases))
    # All or none of a few or of small ones, a part of many large ones.
    assert set(counts[4]) <= {0, 1, 64} and set(counts[20]) <= {0, 1, 4}
    assert counts[20][1::2].count(4) == 24 and 0 < sum(map(bool, counts[4])) < 15


def of_wrong_port(monkeypatch):
    """What a checker counts of a port whose products read 18 bits."""
    monkeypatch.setattr(checking, "sample_for_chance", lambda stack: stack)
    traces = traces_of(affine=bits_18)
    traces = {case.inputs.tobytes(): trace for case, trace in zip(cases(), traces)}

    class Port(Float32Port):
        def __call__(self, case):
            return traces[case.inputs.tobytes()]

        def arithmetic(self, case):
            return FLOAT32

    tally = Tally()
    failures = Checker(Port(), tally)(cases()).failures
    return tally, failures


def test_what_is_suspicious_is_told_and_no_case_disagrees_for_it(monkeypatch):
    tally, failures = of_wrong_port(monkeypatch)
    assert not failures and not tally.cases["disagree"]
    (first, *_) = [line for line in tally.lines() if line.startswith("suspicious: ")]
    assert "scores of bidirectional, 17 to 64 units" in first
    told = json.loads(json.dumps(tally.as_dict()))
    assert told["suspicious"][0]["what"] == SQUARE and told["suspicious"][0]["array"] == "scores"
    total = Tally()
    total.add_dict(told)
    assert total.as_dict() == tally.as_dict()


def test_what_is_suspicious_stands_on_the_page(monkeypatch):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    tally, _ = of_wrong_port(monkeypatch)
    assert "<p>Suspicious: scores of bidirectional" in page.render(page.Report("f", tally, [], []))
    plain, case = Tally(), random_case("bidirectional")
    plain.add_stack(judge_stacks([case], [Float32Port()(case)], FLOAT32)[0])
    assert "uspicious" not in page.render(page.Report("f", plain, [], []))


def test_workers_tell_what_they_looked_at(tmp_path):
    restriction = make_restriction(MODEL, {"num_units": (17, 20), "time": 1, "batch": 1}, {}, False)
    how = dict(cases=256, folder=str(tmp_path), subject="float32", restriction=restriction)
    one, two = (fuzz(("bidirectional",), 0, workers, **how).tally for workers in (1, 2))
    assert one.suspicion.as_dict()["bidirectional"]["scores"]
    assert one.as_dict() == two.as_dict()


@pytest.mark.parametrize("precision, is_looked_at", [("float32", True), ("float64", False)])
def test_nothing_of_float64_is_looked_at(precision, is_looked_at):
    of_it = [
        replace(
            case,
            precision=precision,
            arrays={name: array.astype(precision) for name, array in case.arrays.items()},
        )
        for case in cases()
    ]
    traces = [case.oracle(precision) for case in of_it]
    (stack,) = judge_stacks(of_it, traces, arithmetic(precision))
    assert bool(sample_for_chance(stack).cases) == is_looked_at


@pytest.mark.parametrize("numbers", [[9], [1, 2, 3, 4, "5"], [1, 2, 3, 4, 5.0]], ids=str)
def test_figures_that_are_none_are_a_value_error(numbers):
    with pytest.raises(ValueError, match="no five whole numbers"):
        Suspicion().add_dict({"m": {"a": {"u": numbers}}})
