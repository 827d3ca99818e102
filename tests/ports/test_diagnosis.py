"""Ports with one mistake each, written without a look at the oracles: what they are told."""

import sys
from functools import partial

import numpy as np
import pytest

import rnndiff
from rnndiff.harness.cases.case import save
from rnndiff.harness.cases.random_cases import random_batch
from rnndiff.harness.cases.restriction import ANY, make_restriction
from rnndiff.harness.checking.verdicts import verdicts_on
from rnndiff.harness.diagnosis import diagnose as diagnose_module
from rnndiff.harness.diagnosis.catalogue import CATALOGUE, mistakes_of
from rnndiff.harness.diagnosis.diagnose import diagnose, diagnosis_of
from rnndiff.harness.diagnosis.own_process import diagnose_in_own_process
from rnndiff.harness.diagnosis.planting import both as both_of
from rnndiff.harness.diagnosis.planting import plant_in
from rnndiff.harness.errors import SubjectError
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.verdict import judge_stacks
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.quality.power import PlantedOracle
from rnndiff.harness.stop import Stop
from rnndiff.harness.subjects.port import Port
from rnndiff.harness.subjects.run import Outcome, run
from rnndiff.models import MODELS, find

F = np.float32


# --- ports ---------------------------------------------------------------------------------------


def logistic(x):
    return F(1) / (F(1) + np.exp(-x))


def hard(x):
    return np.clip(F(0.2) * x + F(0.5), F(0), F(1))


def identity(x):
    return x


def steps(step, inputs, units, parts=1):
    """Outputs of all steps, of a function of a row and a state that returns the new state."""
    state = [np.zeros((len(inputs), units), F) for _ in range(parts)]
    outputs = []
    for t in range(inputs.shape[1]):
        state = step(inputs[:, t], *state)
        outputs.append(state[0])
    return np.stack(outputs, axis=1)


def elman(parameters, inputs, bias=1, transposed=False, state_first=False, f=np.tanh):
    kernel, b = parameters
    units = kernel.shape[1]
    if state_first:
        of_h, of_x = kernel[:units], kernel[units:]
    else:
        of_x, of_h = kernel[:-units], kernel[-units:]
    of_h = of_h.T if transposed else of_h
    return steps(lambda x, h: [f(x @ of_x + h @ of_h + F(bias) * b)], inputs, units)


def no_bias(parameters, inputs):
    return elman([parameters[0], 0 * np.nan_to_num(parameters[1])], inputs)


def elman_in_place(parameters, inputs):
    kernel, b = parameters

    def step(x, h):
        h = h.copy()
        for unit in range(b.size):
            h[:, unit] = np.tanh(np.hstack([x, h]) @ kernel[:, unit] + b[unit])
        return [h]

    return steps(step, inputs, b.size)


def lstm(
    parameters, inputs, order="igfo", forget=1.0, s=logistic, of_g=np.tanh, of_c=np.tanh, clip=None
):
    kernel, b = parameters
    units = b.size // 4

    def step(x, h, c):
        gates = np.hstack([x, h]) @ kernel + b
        of = {name: gates[:, k * units : (k + 1) * units] for k, name in enumerate(order)}
        c = s(of["f"] + F(forget)) * c + s(of["i"]) * of_g(of["g"])
        new = s(of["o"]) * of_c(c)
        return [new, c if clip is None else np.clip(c, F(-clip), F(clip))]

    return steps(step, inputs, units, 2)


def clipped_lstm(parameters, inputs, cell_clip):
    return lstm(parameters, inputs, clip=cell_clip)


def torch_lstm(parameters, inputs, order="ifgo", of_c=np.tanh, second_bias=True):
    w, r, b, d = parameters
    units = w.shape[0] // 4

    def step(x, h, c):
        gates = x @ w.T + b + h @ r.T + (d if second_bias else F(0))
        of = dict(zip(order, np.split(gates, 4, axis=1)))
        c = logistic(of["f"]) * c + logistic(of["i"]) * np.tanh(of["g"])
        return [logistic(of["o"]) * of_c(c), c]

    return steps(step, inputs, units, 2)


def torch_lstm_by_columns(parameters, inputs):
    w, r, b, d = parameters
    return torch_lstm([w, r.reshape(r.shape[::-1]).T, b, d], inputs)


def gru_in_place(parameters, inputs):
    kernel, b, of_n, b_n = parameters

    def step(x, h):
        r, u = np.split(logistic(np.hstack([x, h]) @ kernel + b), 2, axis=1)
        h = h.copy()
        for unit in range(b_n.size):
            n = np.tanh(np.hstack([x, r * h]) @ of_n[:, unit] + b_n[unit])
            h[:, unit] = u[:, unit] * h[:, unit] + (F(1) - u[:, unit]) * n
        return [h]

    return steps(step, inputs, b_n.size)


def gru(parameters, inputs, after=False, inverted=False):
    kernel, b, of_n, b_n = parameters
    units = b_n.size

    def step(x, h):
        r, u = np.split(logistic(np.hstack([x, h]) @ kernel + b), 2, axis=1)
        u = F(1) - u if inverted else u
        of_x, of_h = of_n[:-units], of_n[-units:]
        read = r * (h @ of_h) if after else (r * h) @ of_h
        return [u * h + (F(1) - u) * np.tanh(x @ of_x + read + b_n)]

    return steps(step, inputs, units)


def torch_gru(parameters, inputs, order="rz", reset_bias=True):
    w, r, b, d = parameters
    units = w.shape[0] // 3

    def step(x, h):
        of_x, of_h = x @ w.T + b, h @ r.T
        gates = logistic(of_x[:, : 2 * units] + of_h[:, : 2 * units] + d[: 2 * units])
        of = dict(zip(order, np.split(gates, 2, axis=1)))
        n_x, n_h, n_d = of_x[:, 2 * units :], of_h[:, 2 * units :], d[2 * units :]
        read = of["r"] * (n_h + n_d) if reset_bias else of["r"] * n_h + n_d
        n = np.tanh(n_x + read)
        return [(F(1) - of["z"]) * n + of["z"] * h]

    return steps(step, inputs, units)


def with_lengths(parameters, inputs, sequence_length, masks=True, least=0):
    outputs = elman(parameters, inputs)
    if sequence_length is None or not masks:
        return outputs
    past = np.arange(inputs.shape[1])[None] >= np.maximum(sequence_length, least)[:, None]
    return np.where(past[..., None], F(0), outputs)


def both(parameters, inputs, sequence_length=None, own_end=True, back=True, swapped=False):
    """Both directions; each row is turned round up to its own end, or with its padding."""
    time = inputs.shape[1]
    lengths = [time] * len(inputs) if sequence_length is None else sequence_length
    ends = lengths if own_end else [time] * len(inputs)

    def turned(rows):
        return np.stack([np.concatenate([x[:n][::-1], x[n:]]) for x, n in zip(rows, ends)])

    ahead = with_lengths(parameters[:2], inputs, lengths)
    behind = with_lengths(parameters[2:], turned(inputs), lengths)
    behind = turned(behind) if back else behind
    return np.concatenate([behind, ahead] if swapped else [ahead, behind], axis=2)


def scores(parameters, inputs, of="last"):
    outputs = both(parameters[:4], inputs)
    units = outputs.shape[2] // 2
    read = {
        "last": outputs[:, -1],
        "first": outputs[:, 0],
        "final": np.hstack([outputs[:, -1, :units], outputs[:, 0, units:]]),
    }
    return read[of] @ parameters[4] + parameters[5]


def written(parameters, inputs, output_time, feeds="one-hots", carried=True):
    """The scores of all tokens that an encoder-decoder writes."""
    if output_time > 1:
        encoder, projection, decoder = parameters[:2], parameters[2:4], parameters[4:]
    else:
        encoder, projection = parameters[:2], parameters[2:4]
    state = elman(encoder, inputs)[:, -1]
    rows = [state @ projection[0] + projection[1]]
    for token in range(1, output_time):
        fed = rows[-1]
        if feeds == "one-hots":
            fed = np.eye(fed.shape[1], dtype=F)[np.argmax(fed, axis=1)]
        if token == 1 and not carried:
            state = F(0) * np.nan_to_num(state)
        state = np.tanh(np.hstack([fed, state]) @ decoder[0] + decoder[1])
        rows.append(state @ projection[0] + projection[1])
    return np.stack(rows, axis=1)


RIGHT = {
    "rnn-basic": elman,
    "rnn-basic-lstm": lstm,
    "rnn-lstm@pytorch": torch_lstm,
    "rnn-gru": gru,
    "rnn-gru@pytorch": torch_gru,
    "birnn-basic": both,
    "bidirectional": scores,
    "seq2seq": written,
}
WRONG = [
    ("kernel-rows-swapped", "rnn-basic", partial(elman, state_first=True)),
    ("state-kernel-transposed", "rnn-basic", partial(elman, transposed=True)),
    ("no-tanh", "rnn-basic", partial(elman, f=identity)),
    ("bias-twice", "rnn-basic", partial(elman, bias=2)),
    ("bias-left-out", "rnn-basic", no_bias),
    ("gates-ifgo", "rnn-basic-lstm", partial(lstm, order="ifgo")),
    ("forget-bias-left-out", "rnn-basic-lstm", partial(lstm, forget=0.0)),
    ("hard-sigmoid", "rnn-basic-lstm", partial(lstm, s=hard)),
    ("candidate-by-sigmoid", "rnn-basic-lstm", partial(lstm, of_g=logistic)),
    ("clipped-after", "rnn-lstm", clipped_lstm),
    ("gates-ifog", "rnn-lstm@pytorch", partial(torch_lstm, order="ifog")),
    ("output-without-tanh", "rnn-lstm@pytorch", partial(torch_lstm, of_c=identity)),
    ("state-bias-left-out", "rnn-lstm@pytorch", partial(torch_lstm, second_bias=False)),
    ("state-written-while-read", "rnn-basic", partial(elman_in_place)),
    ("state-kernel-by-columns", "rnn-lstm@pytorch", partial(torch_lstm_by_columns)),
    ("candidate-of-written-units", "rnn-gru", partial(gru_in_place)),
    ("reset-after", "rnn-gru", partial(gru, after=True)),
    ("update-inverted", "rnn-gru", partial(gru, inverted=True)),
    ("gates-swapped", "rnn-gru@pytorch", partial(torch_gru, order="zr")),
    ("state-bias-not-reset", "rnn-gru@pytorch", partial(torch_gru, reset_bias=False)),
    ("padding-read-first", "birnn-basic", partial(both, own_end=False)),
    ("halves-swapped", "birnn-basic", partial(both, swapped=True)),
    ("first-output", "bidirectional", partial(scores, of="first")),
    ("backward-output-of-final-state", "bidirectional", partial(scores, of="final")),
    ("fed-scores", "seq2seq", partial(written, feeds="scores")),
    ("decoder-from-zero-state", "seq2seq", partial(written, carried=False)),
]


def asked_of(function, names):
    """A function with arguments of these names alone, as a port has them."""
    return eval("lambda {0}: function({0})".format(", ".join(names)), {"function": function})


ARGUMENTS = {
    "birnn-basic": ("parameters", "inputs", "sequence_length"),
    "seq2seq": ("parameters", "inputs", "output_time"),
}


def diagnosis(function, name, sizes=None, options=None, cases=80):
    """What a port is told; None if it agrees on all cases."""
    names = ARGUMENTS.get(name, ("parameters", "inputs"))
    model = find(name)
    if isinstance(function, partial) or function in RIGHT.values():
        function = asked_of(function, names)
    port = Port(function, arithmetic("float32"))
    given = dict(port.knows(model), **(options or {}))
    restriction = make_restriction(model, sizes or {}, given, empty=False)
    for number in range(12):
        batch = random_batch(model, 5, number, restriction=restriction, most=8)
        failing = [judged.case for judged in verdicts_on(port, batch)[1]]
        if failing:
            # However busy the machine is.
            return diagnose(port, model, failing[0], restriction, seconds=1000, cases=cases)
    return None


def names_in(found):
    return [mistake.name for mistake in found.explained_by]


# --- what they are told --------------------------------------------------------------------------


@pytest.mark.parametrize("name, model, port", WRONG, ids=["{}-{}".format(*x) for x in WRONG])
def test_a_mistake_is_named(name, model, port):
    found = diagnosis(port, model)
    assert name in names_in(found) and len(names_in(found)) <= 3, str(found)
    assert found.tried == found.known and found.wrong >= 5
    assert "agrees with the oracle on all {} cases".format(found.cases) in str(found)


def test_a_mistake_is_named_by_the_elements_that_it_makes_right_even_if_others_are_undecided():
    model = find("attention")
    mistake = next(each for each in CATALOGUE if each.name == "empty-slots-left-out")
    restriction = make_restriction(model, {"time": 2, "attn_length": 2}, {}, empty=False)
    port = PlantedOracle(mistake)
    failing = verdicts_on(port, random_batch(model, 0, 1, restriction=restriction))[1]
    failing = [judged.case for judged in failing if judged.trace]
    found = diagnose(port, model, failing[0], restriction, seconds=1000, cases=8)
    assert mistake.name in names_in(found)


@pytest.mark.parametrize("model", RIGHT)
def test_a_right_port_is_told_nothing(model):
    port = Port(
        asked_of(RIGHT[model], ARGUMENTS.get(model, ("parameters", "inputs"))),
        arithmetic("float32"),
    )
    model = find(model)
    restriction = make_restriction(model, {}, port.knows(model), empty=False)
    (case,) = random_batch(model, 0, 0, restriction=restriction, most=1)
    assert diagnose(port, model, case, restriction, seconds=1000, cases=40) is None


def test_a_mistake_that_is_not_in_the_catalogue_is_explained_by_none():
    found = diagnosis(partial(elman, f=lambda x: np.tanh(x) * F(0.9)), "rnn-basic")
    assert names_in(found) == []
    assert "no single mistake that is known explains it" in str(found)
    unfinished = str(found._replace(tried=found.known - 1))
    assert "diagnosis: not finished: " in unfinished and "no single mistake" not in unfinished


def test_mistakes_that_these_sizes_cannot_tell_apart_are_all_named():
    def port(parameters, inputs, sequence_length):
        return elman(parameters, inputs)

    same = {"lengths-not-looked-at", "one-step-too-many", "outputs-past-the-end"}
    assert set(names_in(diagnosis(port, "rnn-basic", {"time": 1}))) == same
    found = diagnosis(port, "rnn-basic", {"time": (2, 5)}, cases=150)
    assert names_in(found) == ["lengths-not-looked-at"]


PAIRS = [
    ({"gates-ifog", "forget-bias-left-out"}, "rnn-basic-lstm", dict(order="ifog", forget=0.0)),
    ({"gates-ifgo", "hard-sigmoid"}, "rnn-basic-lstm", dict(order="ifgo", s=hard)),
    ({"reset-after", "update-inverted"}, "rnn-gru", dict(after=True, inverted=True)),
]


@pytest.mark.parametrize(
    "names, model, wrong", PAIRS, ids=[" and ".join(sorted(x[0])) for x in PAIRS]
)
def test_two_mistakes_at_once_are_both_named_and_among_the_first_pairs_tried(
    names, model, wrong, monkeypatch
):
    pairs = diagnose_module._pairs
    monkeypatch.setattr(diagnose_module, "_pairs", lambda left: pairs(left)[:80])
    found = diagnosis(partial(gru if "gru" in model else lstm, **wrong), model, cases=60)
    (name,) = names_in(found)
    assert set(name.split(" and ")) == names
    assert found.pairs_tried == found.pairs_known == 80
    for mistake in CATALOGUE:
        if mistake.name in names:
            assert mistake.says in str(found) and mistake.look in str(found)
    assert "no single mistake explains it, but two together" in str(found)


def test_of_two_mistakes_of_the_same_piece_there_is_no_pair():
    known = {mistake.name: mistake for mistake in CATALOGUE}
    with pytest.raises(LookupError):
        both_of(known["gates-ifgo"], known["gates-ifog"])
    # What one of them leaves out of a piece the other needs.
    one, other = known["forget-bias-left-out"], known["hard-sigmoid"]
    first, second = both_of(one, other), both_of(other, one)
    assert set(first.edits) == set(second.edits) == set(one.edits + other.edits)


def test_pairs_that_there_was_no_time_for_are_said_to_be_so():
    found = diagnosis(no_bias, "rnn-basic", cases=20)._replace(explained_by=())
    late = found._replace(pairs_tried=7, pairs_known=231)
    assert "and no pair that was tried" in str(late)
    assert "and 7 of 231 pairs of them, were tried, as time allowed" in str(late)
    whole = str(late._replace(pairs_tried=231))
    assert "and all 231 pairs of them, were tried" in whole and "time" not in whole
    known = CATALOGUE[:7]
    many = str(late._replace(explained_by=known))
    assert "and 2 more" in many and known[4].says in many and known[5].says not in many


def test_what_few_cases_speak_for_is_said_to_be_so():
    found = diagnosis(partial(elman, bias=2), "rnn-basic", cases=20)
    few = found._replace(wrong=2)
    assert "so few may have another cause" in str(few)
    assert "so few" not in str(found._replace(wrong=50))


class Clock:
    """Stands still but for the seconds that each look, and each case, takes of it."""

    now = 0.0

    def __init__(self, monkeypatch, of_look=0.0, of_case=0.0):
        self._of_look, self._of_case, self.limits = of_look, of_case, []
        monkeypatch.setattr(diagnose_module, "time", self)
        monkeypatch.setattr(diagnose_module, "run", self.run)

    def monotonic(self):
        self.now += self._of_look
        return self.now

    def run(self, subject, case, limit):
        self.limits.append(limit)
        self.now += min(limit, self._of_case)
        return Outcome(error="Hang: ") if limit < self._of_case else run(subject, case, 60.0)


@pytest.fixture
def timed(monkeypatch):
    """A function that diagnoses a port by a clock of its own: the diagnosis, and that clock."""
    port = Port(lambda parameters, inputs: no_bias(parameters, inputs), arithmetic("float32"))
    model = find("rnn-basic")
    restriction = make_restriction(model, {}, port.knows(model), empty=False)
    batch = random_batch(model, 5, 0, restriction=restriction, most=8)
    failing = verdicts_on(port, batch)[1][0].case

    def diagnose_timed(timeout=60.0, **of):
        clock = Clock(monkeypatch, **of)
        return diagnose(port, model, failing, restriction, timeout=timeout, seconds=10.0), clock

    return diagnose_timed


def test_a_diagnosis_that_is_out_of_time_says_how_far_it_came(timed):
    found, clock = timed(of_look=0.5)
    assert 1 < found.tried < found.known and "as time allowed" in str(found)
    # It began at the first look, and is over at the first one that is late.
    assert clock.now == 0.5 + 10.0 + 0.5


def test_a_port_that_is_slow_takes_its_part_of_the_time_and_what_it_computed_counts(timed):
    found, clock = timed(of_case=1.5)
    # The third case is cut short, as the port has four seconds.
    assert clock.limits == [10.0, 2.5, 1.0] and clock.now == 4.0
    assert found.cases == 2 and found.tried == found.known
    # What it has for a case is not more than it was given.
    assert timed(timeout=2.0, of_case=1.5)[1].limits == [2.0, 2.0, 1.0]
    # The failing one has all of the time: without it there is nothing to explain.
    found, clock = timed(of_case=7.0)
    assert clock.limits == [10.0] and found.cases == 1
    assert timed(of_case=11.0)[0] is None


def test_an_exception_gets_no_diagnosis(tmp_path):
    def port(parameters, inputs):
        raise ZeroDivisionError

    (case,) = random_batch("rnn-basic", 0, 0, most=1)
    path = str(tmp_path / "case.npz")
    save(path, case)
    subject = Port(port, arithmetic("float32"))
    assert diagnosis_of(subject, Failure("way", path, "report"), ANY, 0) is None
    assert diagnosis_of(subject, Failure("way", "", "report"), ANY, 0) is None


def test_a_test_that_fails_says_the_diagnosis_after_the_failure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # However busy the machine is.
    monkeypatch.setattr(diagnose_module, "SECONDS", 1000.0)
    test = rnndiff.port("rnn-basic", sizes={"num_units": 2, "inputs": 2}, empty=False)(
        lambda parameters, inputs: no_bias(parameters, inputs)
    )
    with pytest.raises(AssertionError) as raised:
        test()
    failure, _, said = str(raised.value).partition("diagnosis: ")
    assert "disagree: outputs (teacher-forced)" in failure
    assert "if the cell's bias is left out" in said


MODULE = """
import ctypes

import numpy as np


def wrong(parameters, inputs):
    outputs, h = [], np.zeros((len(inputs), len(parameters[1])), np.float32)
    for t in range(inputs.shape[1]):
        h = np.tanh(np.hstack([inputs[:, t], h]) @ parameters[0])
        outputs.append(h)
    return np.stack(outputs, axis=1)


def crashes(parameters, inputs):
    ctypes.string_at(0)
"""


# Of a wrong one on a machine that is so busy that it is out of time there may be none either.
@pytest.mark.slow
@pytest.mark.parametrize("name, named", [("wrong", True), ("crashes", False)])
def test_a_diagnosis_in_a_process_of_its_own_survives_a_port_that_crashes(
    name, named, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_port.py").write_text(MODULE)
    model = find("rnn-basic")
    (case,) = random_batch(model, 0, 0, most=1)
    path = str(tmp_path / "case.npz")
    save(path, case, case.oracle(np.float32))
    with Stop() as stop:
        found = diagnose_in_own_process(
            "my_port.py:" + name,
            "",
            "",
            Failure("way", path, "report"),
            stop,
            timeout=60.0,
            # What the port does not ask for.
            restriction=make_restriction(
                model,
                {},
                dict(activation="tanh", sequence_length=False, initial_state=False),
                empty=False,
            ),
            seed=0,
        )
    assert (found is not None) == named
    assert not named or "bias-left-out" in names_in(found)


# --- the catalogue -------------------------------------------------------------------------------


def test_every_mistake_has_a_name_of_its_own_and_its_pieces_are_in_the_oracles():
    assert len({mistake.name for mistake in CATALOGUE}) == len(CATALOGUE) >= 100
    for mistake in CATALOGUE:
        for module in {edit.module for edit in mistake.edits}:
            compile(mistake.source(module), module, "exec")
        assert not mistake.says[0].isupper() and not mistake.says.endswith(".")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "{}-{}".format(family, cell) if cell else family
        for family in ("rnn", "birnn", "bidirectional", "seq2seq", "attention")
        for cell in ("", "basic", "basic-lstm", "lstm", "gru", "lstm@pytorch", "gru@onnx")
        if cell or family in MODELS
    ],
)
def test_every_mistake_can_be_planted_and_makes_no_other_operations_for_other_values(name):
    model = find(name)
    batches = [random_batch(model, 3, number, most=2)[:1] for number in range(6)]
    for mistake in mistakes_of(model):
        for cases in batches:
            with np.errstate(all="ignore"):
                wrong = plant_in(cases, mistake)
                try:
                    traces = [case.oracle(F) for case in wrong]
                except ValueError:  # Of a kernel that is not square, and the like.
                    continue
            try:
                stacks = judge_stacks(wrong, traces, arithmetic("float32"))
            except SubjectError:  # Arrays of another shape, as without a projection.
                continue
            for stack in stacks:
                assert not stack.disagree().any(), mistake.name
