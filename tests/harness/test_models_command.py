"""What ``rnndiff models`` says of a model."""

import re

import pytest
from click.testing import CliRunner

from rnndiff.harness.cli import cli
from rnndiff.models import MODELS


def said(*arguments):
    done = CliRunner().invoke(cli, ["models", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_the_list_has_every_model_as_its_family_and_a_cell():
    listed = " ".join(re.sub("[│┃━─]", " ", said()).split())
    for model in MODELS.values():
        cell = model.name[len(model.family) :]
        assert model.family in listed and (cell or model.name) in listed


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_is_shown_with_all_its_arrays_and_options(name):
    model, lines = MODELS[name], [re.split(" *[│┃] *", line) for line in said(name).split("\n")]
    firsts = {line[1] for line in lines if len(line) > 2}
    config = model.article
    arrays = [*model.data, *model.parameters(config), *model.trace]
    assert {array.name for array in arrays} <= firsts
    assert set(type(config).__dataclass_fields__) <= firsts


def test_shapes_are_sums_of_sizes_and_follow_what_is_set():
    shapes = said("rnn-lstm", "--set", "use_peepholes=true", "--set", "sequence_length=true")
    for row in (
        r"inputs +│ \[batch, time, inputs\] ",
        r"sequence_length +│ \[batch\] +│ whole numbers up to time; since sequence_length",
        r"cell/kernel +│ \[inputs \+ num_units, 4 num_units\]",
        r"cell/w_i_diag +│ \[num_units\]",
        r"final_h +│ \[batch, num_proj\] ",
        r"forget_bias +│ 1.0 ",
    ):
        assert re.search(row, shapes), row
    assert "i, j, f and o are the parts of [x; h] W + b, in this order" in shapes
    assert "w_i_diag" not in said("rnn-lstm")


def test_weights_of_a_layout_are_as_that_has_them():
    shapes = said("rnn-lstm@pytorch")
    assert re.search(r"cell/weight_ih +│ \[4 num_units, inputs\]", shapes)


def test_an_option_without_a_model_or_of_another_one_is_refused_in_a_sentence():
    runner = CliRunner()
    alone = runner.invoke(cli, ["models", "--set", "forget_bias=0"])
    assert alone.exit_code == 2 and "--set goes with a MODEL" in alone.output
    other = runner.invoke(cli, ["models", "rnn-gru", "--set", "forget_bias=0"])
    assert "names no option of rnn-gru" in str(other.exception)


def test_brackets_of_a_docstring_are_no_markup():
    shown = said("rnn-layer-norm-lstm")
    assert "the parts of [x; h] W" in shown and shown.count("[x; h] W") == 2


def test_names_are_whole_in_a_file_and_in_a_narrow_terminal():
    for width in ("40", "200"):
        done = CliRunner().invoke(cli, ["models", "birnn-layers"], env={"COLUMNS": width})
        assert "forward_initial_lower_c" in done.output and "…" not in done.output


def test_of_a_layout_the_order_of_the_gates_is_said():
    assert "have the gates z, r, n, in this order. reset_after is False." in said("rnn-gru@onnx")
    assert "the gates r, z, n, in this order. reset_after is True." in said("birnn-gru@pytorch")
    assert "have the gates" not in said("rnn-basic@pytorch")
