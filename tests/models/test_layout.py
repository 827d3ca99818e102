"""Layout: the parameters of each model are TensorFlow's global variables, in its order."""

import dataclasses
import re
from dataclasses import MISSING, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnndiff.harness.cases.draws import draw_config, small_sizes
from rnndiff.models import MODELS
from rnndiff.models.layout import choices_of

SEQ2SEQ = [
    ("encoder/kernel", (140, 128)),
    ("encoder/bias", (128,)),
    ("projection/kernel", (128, 12)),
    ("projection/bias", (12,)),
    ("decoder/kernel", (140, 128)),
    ("decoder/bias", (128,)),
]
BIDIRECTIONAL = [
    ("forward/kernel", (156, 128)),
    ("forward/bias", (128,)),
    ("backward/kernel", (156, 128)),
    ("backward/bias", (128,)),
    ("projection/kernel", (256, 10)),
    ("projection/bias", (10,)),
]
ATTENTION_CELL = [
    ("/kernel", (140, 12)),
    ("/bias", (12,)),
    ("/cell/kernel", (140, 128)),
    ("/cell/bias", (128,)),
    ("/attention/attn_w", (1, 1, 128, 128)),
    ("/attention/attn_v", (128,)),
    ("/attention/kernel", (128, 128)),
    ("/attention/bias", (128,)),
    ("/attn_output_projection/kernel", (256, 128)),
    ("/attn_output_projection/bias", (128,)),
]
ATTENTION = (
    [("encoder" + name, shape) for name, shape in ATTENTION_CELL]
    + SEQ2SEQ[2:4]
    + [("decoder" + name, shape) for name, shape in ATTENTION_CELL]
)
ARTICLE = {
    "seq2seq": (6, SEQ2SEQ, {"inputs": (5, 7, 12), "labels": (5, 4, 12)}),
    "bidirectional": (6, BIDIRECTIONAL, {"inputs": (5, 28, 28), "labels": (5, 10)}),
    "attention": (22, ATTENTION, {"inputs": (5, 7, 12), "labels": (5, 4, 12)}),
}

# The scopes of TensorFlow's names, in the order in which they are to be tried.
SCOPES = {
    "seq2seq": [("encoder/", "encoder/basic_rnn_cell/"), ("decoder/", "decoder/basic_rnn_cell/")],
    "bidirectional": [
        ("forward/", "bidirectional_rnn/fw/basic_rnn_cell/"),
        ("backward/", "bidirectional_rnn/bw/basic_rnn_cell/"),
    ],
    "attention": [
        ("encoder/cell/", "encoder/attention_cell_wrapper/basic_rnn_cell/"),
        ("decoder/cell/", "decoder/attention_cell_wrapper/basic_rnn_cell/"),
        ("encoder/", "encoder/attention_cell_wrapper/"),
        ("decoder/", "decoder/attention_cell_wrapper/"),
    ],
    "stackbirnn": [
        (
            "cell_{}/{}/".format(layer, ours),
            "stack_bidirectional_rnn/cell_{}/{}/basic_rnn_cell/".format(layer, theirs),
        )
        for layer in range(2)
        for ours, theirs in (("forward", "fw"), ("backward", "bw"))
    ],
}


SMALL = dict(batch=2, time=3, output_time=3, inputs=4, outputs=5, num_units=4, attn_length=2)
SMALL["layers"] = 2
# How TensorFlow calls the cells of a model in the names of their variables.
CELLS = {
    "basic": "basic_rnn_cell",
    "gru": "gru_cell",
    "layers": "multi_rnn_cell",
    "gru-block": "gru_cell",
    "layer-norm-lstm": "layer_norm_basic_lstm_cell",
    "lstm-block": "lstm_cell",
    "dropout-lstm": "lstm_cell",
}


def scopes(model):
    kind = model.Config.kind.name
    cell = CELLS.get(kind, kind.replace("-", "_") + "_cell") if kind else "basic_rnn_cell"
    if model.family == "rnn":
        return [("cell/", "rnn/{}/".format(cell))]
    # Those of two directions are called alike, whichever function runs them.
    family = "bidirectional" if model.family == "birnn" else model.family
    return [(ours, theirs.replace("basic_rnn_cell", cell)) for ours, theirs in SCOPES[family]]


def name_in_tensorflow(name, model):
    for ours, theirs in scopes(model):
        if name.startswith(ours):
            name = theirs + name[len(ours) :]
            break
    return (
        re.sub("(multi_rnn_cell/cell_[01]/)", r"\1lstm_cell/", name)
        if "layers" in model.name
        else name
    )


def parameters(model, config):
    return [(field.name, field.shape(config)) for field in model.parameters(config)]


@pytest.mark.parametrize("name", list(ARTICLE))
def test_the_article_has_6_6_and_22_parameters_of_these_shapes(name):
    model, (count, expected, data) = MODELS[name], ARTICLE[name]
    assert parameters(model, model.article) == expected
    assert len(expected) == count
    config = replace(model.article, batch=5)
    assert {field.name: field.shape(config) for field in model.data} == data


@pytest.mark.parametrize("name", list(ARTICLE))
@given(data=st.data())
def test_the_graph_creates_these_variables_in_this_order(name, data, tensorflow):
    model = MODELS[name]
    config = draw_config(model, small_sizes(model), lambda x: data.draw(st.sampled_from(x)))
    assert_the_graph_is_laid_out_alike(model, config)


# The variables of Keras' layers are in the tests of these.
CELLED = [name for name in MODELS if name not in ARTICLE and not MODELS[name].Config.kind.layer]


@pytest.mark.parametrize("name", CELLED)
@pytest.mark.parametrize("number", [0, -1], ids=["defaults", "options"])
def test_the_graph_of_a_cell_creates_these_variables_in_this_order(name, number, tensorflow):
    model = MODELS[name]
    if not tensorflow.supports(model, model.article):
        pytest.skip("this TensorFlow has no such cell")
    chosen = {option: choices_of(model.Config, option)[number] for option in options(model)}
    needed = {each.name for each in dataclasses.fields(model.Config) if each.default is MISSING}
    sizes = {size: value for size, value in SMALL.items() if size in needed}
    assert_the_graph_is_laid_out_alike(model, model.Config(**dict(chosen, **sizes)))


def assert_the_graph_is_laid_out_alike(model, config):
    __tracebackhide__ = True
    graph = model.graph().build(config)
    # Of a layer in a stack, the function that runs it may have a scope of its own.
    names = [v.op.name.replace("/bidirectional_rnn/", "/") for v in graph.parameters]
    found = list(zip(names, (tuple(v.shape.as_list()) for v in graph.parameters)))
    assert found == [
        (name_in_tensorflow(name, model), shape) for name, shape in parameters(model, config)
    ]
    found = {name: (tuple(x.shape.as_list()), x.dtype) for name, x in graph.data.items()}
    assert found == {
        field.name: (known(field, config), field.dtype) for field in model.data_of(config)
    }
    found = {name: tuple(x.shape.as_list()) for name, x in graph.trace.items()}
    assert found == {array.name: known(array, config) for array in model.trace}


def known(array, config):
    """The shape as far as a graph knows it: a batch that is open, which comes first, is None."""
    shape = array.shape(config)
    return (None,) + shape[1:] if config.open_batch and shape else shape


@pytest.mark.parametrize("name", ["seq2seq", "attention"])
def test_with_one_token_there_is_no_decoder_to_have_parameters(name):
    model = MODELS[name]
    names = [field.name for field in model.parameters(replace(model.article, output_time=1))]
    assert not [name for name in names if name.startswith("decoder")]
    assert [name for name in names if name.startswith("encoder")]


@pytest.mark.parametrize(
    "options, shapes",
    [
        ({}, [(2 + 4, 2), (2 + 4, 4), (1, 1, 4, 4), (4, 4), (4 + 4, 4), (4, 3)]),
        ({"attn_size": 5}, [(2 + 5, 2), (2 + 4, 4), (1, 1, 5, 5), (4, 5), (4 + 5, 5), (5, 3)]),
        ({"attn_vec_size": 6}, [(2 + 4, 2), (2 + 4, 4), (1, 1, 4, 6), (4, 6), (4 + 4, 4), (4, 3)]),
        ({"input_size": 7}, [(2 + 4, 7), (7 + 4, 4), (1, 1, 4, 4), (4, 4), (4 + 4, 4), (4, 3)]),
        ({"state_is_tuple": False}, [(6, 2), (6, 4), (1, 1, 4, 4), (4, 4), (8, 4), (4, 3)]),
    ],
)
def test_an_option_of_the_attention_cell_changes_these_shapes(options, shapes):
    model = MODELS["attention"]
    config = model.Config(1, 2, 1, inputs=2, outputs=3, num_units=4, attn_length=2, **options)
    found = [shape for _, shape in parameters(model, config) if len(shape) > 1]
    assert found == shapes


def options(model):
    return [x.name for x in dataclasses.fields(model.Config) if "size" not in x.metadata]


@pytest.mark.parametrize("name", MODELS)
def test_an_option_is_one_of_its_choices_in_type_and_value_or_a_number_if_it_may_be(name):
    model = MODELS[name]
    for option in options(model):
        choices = choices_of(model.Config, option)
        for choice in choices:
            assert getattr(replace(model.article, **{option: choice}), option) == choice
        numbers = [x.metadata for x in dataclasses.fields(model.Config) if x.name == option]
        least = numbers[0].get("numbers")
        if least is not None:
            assert getattr(replace(model.article, **{option: 0.75}), option) == 0.75
        others = (float("nan"), float("inf")) + ((0.0, -0.75) if least == 0 else ())
        for other in ("some", 1, 0, *((0.75,) if least is None else others)):
            if any(type(choice) is type(other) and choice == other for choice in choices):
                continue
            with pytest.raises(ValueError) as caught:
                replace(model.article, **{option: other})
            said = "{}.{} must be {}, not {!r}"
            allowed = " or ".join(map(repr, choices))
            if least is not None:
                allowed += " or another number" + (" above 0" if least == 0 else "")
            title = model.Config.__name__
            assert str(caught.value) == said.format(title, option, allowed, other)


def fields(model):
    return set(model.article.sizes()) & set(model.Config.__dataclass_fields__)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [-1, 1.5])
def test_a_size_that_makes_no_sense_is_an_error_of_one_sentence(name, size):
    for field in fields(MODELS[name]):
        with pytest.raises(ValueError) as caught:
            replace(MODELS[name].article, **{field: size})
        said = r"\w*Config\w*\.{} must be a whole number of at least [01], not {}"
        assert re.match(said.format(field, size) + "$", str(caught.value))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("field", ["time", "output_time", "outputs", "attn_length"])
def test_without_steps_classes_or_slots_there_is_nothing_to_compute(name, field):
    if field in fields(MODELS[name]):
        with pytest.raises(
            ValueError, match=r"\w*Config\w*\.{} must be .* at least 1".format(field)
        ):
            replace(MODELS[name].article, **{field: 0})


@pytest.mark.parametrize("name", MODELS)
def test_no_rows_and_one_of_everything_else_is_a_config(name):
    ones = dict.fromkeys(fields(MODELS[name]), 1)
    assert MODELS[name].Config(**dict(ones, batch=0)).batch == 0
