"""What a subject says of itself may end in an error, and that ends nothing else."""

import os
from unittest import mock

import pytest
from click.testing import CliRunner
from examples import Float32Port, random_case

from rnndiff.harness.cases.case import load, save
from rnndiff.harness.cases.restriction import ANY
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.checking.fuzz_worker import Task, Worker
from rnndiff.harness.checking.pair import Pair
from rnndiff.harness.commands.minimize import minimize
from rnndiff.harness.commands.replay import replay
from rnndiff.harness.diagnosis.diagnose import _stacks
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.report.exhibits import exhibits
from rnndiff.harness.subjects.alone import Alones
from rnndiff.harness.subjects.measure import measure_subject, reasons_against
from rnndiff.harness.subjects.port import look
from rnndiff.models import MODELS

SEQ2SEQ = MODELS["seq2seq"]


def loss_of_one_more(trace):
    return dict(trace, loss=trace["loss"] + 1)


def broken(*names, mistake=loss_of_one_more):
    """A subject that raises an error where it is asked for these."""

    def fails(self, *asked):
        raise ValueError("out of words")

    made = {name: fails if hasattr(Float32Port, name) else None for name in names}
    for name in ("label", "premise"):
        if name in made:
            made[name] = property(fails)
    return type("Broken", (Float32Port,), made)(mistake)


@pytest.fixture
def named(monkeypatch):
    """A function: makes a subject the one that commands have by the name "broken"."""

    def use(subject):
        subject.name = "broken"
        monkeypatch.setattr(Alones, "ended_by", lambda *asked: None)
        monkeypatch.setattr(
            "rnndiff.harness.subjects.named.subject_named", lambda *asked, **how: subject
        )
        monkeypatch.setattr("rnndiff.harness.subjects.named.modes_of", lambda name: {})

    return use


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("case.npz", random_case("seq2seq"))
    return "case.npz"


def test_a_case_is_minimized_on_a_subject_without_words(case, named):
    named(broken("label", "premise", "ended_by"))
    ran = CliRunner().invoke(minimize, [case, "--subject", "broken", "--evaluations", "5"])
    assert ran.exit_code == 1, ran.output
    notes = load("case-minimal.npz").notes
    assert notes["subject"] == "ValueError, in stating its label"
    assert notes["premise"] == "ValueError, in stating its premise"


def test_a_case_is_replayed_on_a_subject_without_words(case, named):
    named(broken("label", "premise"))
    ran = CliRunner().invoke(replay, [case, "--subject", "broken", "--json", "said.json"])
    assert ran.exit_code == 1, ran.output
    assert "case.npz: disagree on ValueError, in stating its title" in ran.output


@pytest.mark.parametrize("command", [minimize, replay])
def test_what_a_subject_without_words_does_not_support_is_one_sentence(command, case, named):
    subject = broken("label")
    subject.supports = lambda model, config: False
    named(subject)
    ran = CliRunner().invoke(command, [case, "--subject", "broken"])
    assert "ValueError, in stating its title" in ran.output + str(ran.exception)


def test_two_subjects_are_called_by_what_one_of_them_can_say():
    first, second = broken("label"), Float32Port()
    first.name, second.name = "broken", "float32"
    pair = Pair(first, second)
    assert pair.label == "ValueError, in stating its label against Float32Port"


def test_a_subject_without_words_has_its_heat_maps_and_its_script(tmp_path):
    subject = broken("label")
    subject.script = lambda case, verdict, notes: "print()"
    failure = Checker(subject, Tally(), str(tmp_path), evaluations=5)(random_case("seq2seq"))
    (exhibit,) = exhibits(failure.failures, subject)
    assert exhibit.script == "print()" and exhibit.given


def test_advice_that_fails_keeps_no_failure_from_being_told(tmp_path):
    check = Checker(broken("advice"), Tally(), str(tmp_path), evaluations=5)
    (failure,) = check(random_case("seq2seq")).failures
    assert os.path.exists(failure.path)
    assert "\nValueError, in giving its advice\n" in failure.report


def test_what_fails_to_say_what_it_supports_is_one_sentence_of_check():
    with pytest.raises(UserError, match="^Broken.supports fails: ValueError: out of words.$"):
        look(broken("supports"), SEQ2SEQ, ANY)


def test_what_fails_to_state_its_arithmetic_is_a_finding_of_check_as_it_is_one_of_fuzz():
    worker = Worker(mock.Mock(), broken("arithmetic"), Task(("seq2seq",), 3, first_alone=True))
    worker.judge((0, []))
    ((_, (_, failing)),) = worker._channel.send.call_args[0]
    assert [each.way for each in failing] == ["seq2seq-ValueError"]
    assert "out of words, in stating its arithmetic" in failing[0].report


def test_what_returns_no_array_of_the_model_is_told_though_it_has_no_words():
    subject = broken("label", mistake=lambda trace: {"score": trace["scores"]})
    with pytest.raises(UserError, match="What ValueError, in stating its label returns cannot be"):
        look(subject, SEQ2SEQ, ANY)


def test_a_diagnosis_leaves_out_what_no_arithmetic_is_stated_of():
    batches = [([random_case("seq2seq", seed) for seed in range(2)], float("inf"))]
    assert not list(_stacks(broken("arithmetic"), batches, 9.0))
    with pytest.raises(UserError, match="Broken.supports fails"):
        list(_stacks(broken("supports"), batches, 9.0))


def test_a_subject_that_is_measured_fails_in_one_sentence():
    with pytest.raises(UserError, match="Broken.supports fails"):
        reasons_against(broken("supports"), ("seq2seq",))
    with pytest.raises(UserError, match="out of words, in stating its arithmetic"):
        measure_subject(broken("arithmetic"), ("seq2seq",), 8)
