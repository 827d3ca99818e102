"""The same rows in another batch: what is drawn, what is compared, and graphs that are open."""

from dataclasses import fields, replace

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.cases.another_batch import can_be_open, in_another_batch, is_open
from rnndiff.harness.cases.case import load, save
from rnndiff.harness.cases.frequencies import draw_batches
from rnndiff.harness.cases.random_cases import batch_size, random_batch
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.judging.same_rows import same_rows
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import DISAGREE, judge, judge_stacks
from rnndiff.models import ARTICLE, MODELS


def open_cases(count=2, name="birnn-lstm", **options):
    chosen = dict(dict(sequence_length=True, initial_state=True), **options)
    chosen = chosen if name.startswith(("rnn", "birnn")) else {}
    return [random_case(name, seed, open_batch=True, **chosen) for seed in range(count)]


def rows_of(case):
    """The bytes of each row's data."""
    data = [case.arrays[field.name] for field in case.model.data_of(case.config)]
    return [b"".join(array[row].tobytes() for array in data) for row in range(case.config.batch)]


@pytest.fixture(scope="module")
def others():
    """Of an open case with 2 rows, and of the one after it, the same in other batches, by size."""
    cases, found = open_cases(), {}
    for seed in range(100):
        other, _ = in_another_batch(cases, np.random.RandomState(seed))
        found.setdefault(other.config.batch, other)
    return (*cases, found)


def test_another_batch_differs_in_its_rows_alone(others):
    case, _, found = others
    assert {1, 3, 4, 5, 6, 9} <= set(found) and not {0, 2} & set(found)
    for size, other in found.items():
        assert other.config == replace(case.config, batch=size)
        for mine, its in zip(case.parameters, other.parameters):
            assert mine.tobytes() == its.tobytes()


def test_a_smaller_batch_has_some_of_the_rows_and_a_larger_one_all_of_them_and_others(others):
    case, following, found = others
    mine, its = rows_of(case), rows_of(following)
    assert rows_of(found[1])[0] in mine
    assert set(mine) < set(rows_of(found[3])) and set(rows_of(found[3])) & set(its)
    zeros = [row for row in rows_of(found[5]) if not any(row)]
    assert set(rows_of(found[5])) == {*mine, *its, *zeros} and len(zeros) == 1
    assert any(rows_of(found[size])[:2] != mine for size in found if size > 2)


def test_of_no_rows_another_batch_has_zeros():
    (other,) = in_another_batch(open_cases(1, batch=0), np.random.RandomState(0))
    assert other.config.batch and not other.inputs.any() and other.inputs.size


@pytest.mark.parametrize("name", ["rnn-basic", "seq2seq"])
def test_every_second_batch_is_open_and_half_of_it_is_the_same_rows(name):
    sizes, opened = [], 0
    for number in range(8):
        cases = random_batch(name, 1, number)
        sizes.append(len(cases))
        half = len(cases) // 2
        if is_open(cases[0].config):
            opened += 1
            assert len({case.config for case in cases[:half]}) == 1
            for case, other in zip(cases, cases[half:]):
                few, many = sorted([rows_of(case), rows_of(other)], key=len)
                assert set(few) <= set(many) or case.config.batch == 0
        else:
            assert len({case.config for case in cases}) == 1
    assert sizes == [batch_size(1, number) for number in range(8)]
    assert 2 <= opened <= 6


def test_open_batches_of_hypothesis_have_another_batch_too():
    both = [cases for cases in draw_batches(batches("rnn-basic"), 60) if is_open(cases[0].config)]
    assert 15 <= len(both) <= 45
    for cases in both:
        half = len(cases) // 2
        assert [x.config.batch == cases[0].config.batch for x in cases] == [True] * half + (
            [False] * half
        )


class InAnotherBatch(Float32Port):
    """Right for cases with as many rows as `right`, and only for those."""

    def __init__(self, right, mistake):
        super().__init__()
        self.right, self.mistake = right, mistake

    def __call__(self, case):
        trace = super().__call__(case)
        return trace if case.config.batch == self.right else dict(trace, **self.mistake(trace))


def leak(trace):
    """The last row of each batch has a little of the others."""
    outputs = trace["outputs"].copy()
    outputs[-1:] += np.float32(0.01) * outputs[:1]
    return {"outputs": outputs}


def size_dependent(trace):
    """All rows go by how many there are."""
    return {"outputs": trace["outputs"] * np.float32(1 + len(trace["outputs"]) / 1024)}


@pytest.mark.parametrize("mistake", [leak, size_dependent])
def test_a_mistake_in_another_batch_alone_is_found(mistake, tmp_path):
    cases = open_cases(8, name="rnn-basic")
    check = Checker(InAnotherBatch(2, mistake), Tally(), str(tmp_path), evaluations=0)
    assert not check(cases).failures
    assert check(in_another_batch(cases, np.random.RandomState(0))).failures


@pytest.mark.parametrize("mistake", [leak, size_dependent])
def test_what_is_drawn_finds_a_mistake_in_another_batch_alone(mistake, tmp_path):
    cases = next(
        cases
        for cases in (random_batch("rnn-basic", 1, number) for number in range(20))
        if is_open(cases[0].config) and cases[0].config.batch
    )
    tally = Tally()
    subject = InAnotherBatch(cases[0].config.batch, mistake)
    Checker(subject, tally, str(tmp_path), evaluations=0)(cases)
    assert 10 < tally.cases[DISAGREE] <= len(cases) // 2


def other_bits(trace):
    return {"probabilities": np.nextafter(trace["probabilities"], np.float32(0))}


def nan_of_other_bits(trace):
    nan = np.array([0x7FC00001], np.uint32).view(np.float32)[0]
    return {"outputs": np.where(np.isnan(trace["outputs"]), nan, trace["outputs"])}


def rows_again(cases, others):
    return sum(
        sum(row in rows_of(case) for row in rows_of(other)) for case, other in zip(cases, others)
    )


@pytest.mark.parametrize("seed", range(2))
def test_rows_in_another_batch_are_counted_and_so_are_those_with_other_bits(seed, tmp_path):
    cases = open_cases(5, name="bidirectional")
    for number, case in enumerate(cases):
        # Other networks, but each of the same bits by all kernels: its tanh is 1.
        for parameter in case.parameters:
            parameter[...] = 0
        case.arrays["forward/bias"][...] = 100 + number
    others = in_another_batch(cases, np.random.RandomState(seed))
    again = rows_again(cases, others)
    assert again >= 5
    for mistake, differ in ((other_bits, again), (lambda trace: {}, 0)):
        tally = Tally()
        check = Checker(InAnotherBatch(2, mistake), tally, str(tmp_path), evaluations=0)
        assert not check(cases + others).failures
        assert tally.rows == {"again": again, "differ": differ}


def test_all_nan_are_the_same_bits(tmp_path):
    cases = open_cases(5, name="rnn-basic")
    for case in cases:
        case.inputs[0] = np.nan
    others = in_another_batch(cases, np.random.RandomState(0))
    tally = Tally()
    check = Checker(InAnotherBatch(2, nan_of_other_bits), tally, str(tmp_path), evaluations=0)
    assert not check(cases + others).failures
    assert tally.rows == {"again": rows_again(cases, others), "differ": 0}


def test_rows_of_one_batch_are_none_in_another(tmp_path):
    cases, tally = open_cases(3, name="rnn-basic"), Tally()
    for case in cases:
        case.inputs[1] = case.inputs[0]
    Checker(Float32Port(), tally, str(tmp_path), evaluations=0)(cases + cases)
    assert tally.rows == {"again": 0, "differ": 0}
    assert not any("another batch" in line for line in tally.lines())


def test_rows_are_counted_of_stacks_of_one_case_beside_others_and_such_without_any():
    (case,) = open_cases(1, name="bidirectional")
    alone = random_case("rnn-basic")
    (other,) = in_another_batch([case], np.random.RandomState(0))
    stacks = [
        judge_stacks([each], [Float32Port()(each)], FLOAT32)[0]
        for each in (alone, case, other, alone)
    ]
    none = stacks[0].only(np.zeros(1, bool))
    again = rows_again([case], [other])
    assert again and same_rows([none, *stacks])[0] == again
    assert same_rows([none, stacks[0], none]) == (0, 0)


def test_rows_in_another_batch_add_up_and_are_told():
    tally = Tally()
    for again, differ in ((7, 2), (5, 0)):
        other = Tally()
        other.add_rows(again, differ)
        tally.add_dict(other.as_dict())
    assert tally.as_dict()["rows"] == {"again": 12, "differ": 2}
    assert "12 rows computed again in another batch, 2 of them to other bits" in tally.lines()


def test_a_saved_case_notes_that_its_batch_is_open(tmp_path):
    path = str(tmp_path / "case.npz")
    save(path, open_cases(1)[0])
    assert is_open(load(path).case.config)


def test_of_all_models_that_come_with_it_the_batch_can_be_open():
    for name in ARTICLE + ("rnn-lstm", "birnn-gru"):
        assert can_be_open(MODELS[name])


# --- TensorFlow's graphs -----------------------------------------------------------------------

RUNNERS = [(name, {}) for name in ARTICLE] + [("attention", {"state_is_tuple": False})]
for _name in ("rnn-lstm", "birnn-gru"):
    (_runner,) = [x for x in fields(MODELS[_name].Config) if x.name == "runner"]
    RUNNERS += [(_name, {"runner": choice}) for choice in _runner.metadata["choices"]]
RUNNERS += [("rnn-lstm", {"initial_state": True, "sequence_length": True})]


@pytest.mark.parametrize("name, options", RUNNERS, ids=str)
def test_an_open_graph_is_built_once_and_right_for_all_batches(name, options, tensorflow):
    built = []

    def build(case):
        built.append(case.config.batch)
        return case.model.graph().build(case.config)

    subject = type(tensorflow)(build=build)
    for batch in (2, 0, 1, 9):
        case = random_case(name, batch, batch=batch, open_batch=True, **options)
        if subject.ended_by(case):
            continue
        verdict = judge(case, subject(case), subject.arithmetic(case))
        assert verdict.status != DISAGREE and not verdict.missing, verdict.summary()
    assert built == [2]
    assert all(x.shape.as_list()[0] is None for x in subject._session(case).graph.data.values())


def test_a_graph_that_is_not_open_is_another_one(tensorflow):
    subject = type(tensorflow)()
    for opened in (True, False):
        subject(random_case("bidirectional", batch=2, open_batch=opened))
    assert len(subject._ready) == 2
