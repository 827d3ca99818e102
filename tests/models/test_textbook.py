"""Cells and runners against the textbook, row by row and without TensorFlow.

What follows is written from the papers and TensorFlow's documentation, not from the oracles; of
the cells of ``tf.contrib``, which few TensorFlows have, it is all that there is to compare with.
"""

from itertools import zip_longest
from types import SimpleNamespace

import numpy as np
import pytest

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.models import MODELS, cells
from rnndiff.models.cells.cell import cells_in, flat

ROWS, N, PROJ, INPUTS = 3, 4, 3, 2
SLOTS, SLOT, FEATURES = 3, 5, 6
SIZES = SimpleNamespace(
    sizes=lambda: dict(
        inputs=INPUTS, num_units=N, num_proj=PROJ, one=1, attn_size=SLOT, attn_vec_size=FEATURES
    )
)
# Two evaluations in float64 of numbers near 1: what nearly cancels has the errors of what did.
FLOAT64 = dict(rtol=1e-9, atol=1e-14)
NOISE = np.array([0.0, 0.25, 0.5, 0.75])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return x * (x > 0)


def hard_sigmoid(x):
    return np.array([min(max(0.2 * each + 0.5, 0), 1) for each in x])


def linear(x):
    return x


def rnn(x, h, kernel, bias, f=np.tanh):
    h = f(np.append(x, h) @ kernel + bias)
    return h, h


def lstm(
    x, c, h, kernel, bias, *more, forget=1.0, peep=False, clip=None, proj_clip=None, f=np.tanh
):
    """Hochreiter and Schmidhuber; Gers; Sak. Peepholes stand in the order of f, i, o."""
    z = np.append(x, h) @ kernel + bias
    w_f, w_i, w_o = more[:3] if peep else (0, 0, 0)
    i, j, forgets, o = (z[k * N : (k + 1) * N] for k in range(4))
    c = sigmoid(forgets + forget + w_f * c) * c + sigmoid(i + w_i * c) * f(j)
    if clip:
        c = np.array([min(max(each, -clip), clip) for each in c])
    h = sigmoid(o + w_o * c) * f(c)
    if len(more) > 3 * peep:
        h = h @ more[-1]
        if proj_clip:
            h = np.array([min(max(each, -proj_clip), proj_clip) for each in h])
    return h, c, h


def lstm_block(x, c, h, kernel, bias, w_i, w_f, w_o, **options):
    """Peepholes in the order of i, f, o."""
    return lstm(x, c, h, kernel, bias, w_f, w_i, w_o, peep=True, **options)


def gru(x, h, kernel, bias, of_candidate, bias_of_candidate, f=np.tanh):
    """Cho et al."""
    gates = sigmoid(np.append(x, h) @ kernel + bias)
    r, u = gates[:N], gates[N:]
    candidate = f(np.append(x, r * h) @ of_candidate + bias_of_candidate)
    h = u * h + (1 - u) * candidate
    return h, h


def layer_norm_lstm(x, c, h, kernel, *norms, forget=1.0, f=np.tanh):
    """Ba, Kiros and Hinton: gain and shift of i, j, f, o and c."""

    def norm(z, number):
        gain, shift = norms[2 * number : 2 * number + 2]
        mean = sum(z) / N
        variance = sum((z - mean) ** 2) / N
        return gain * (z - mean) / np.sqrt(variance + 1e-12) + shift

    z = np.append(x, h) @ kernel
    i, j, forgets, o = (norm(z[k * N : (k + 1) * N], k) for k in range(4))
    c = norm(c * sigmoid(forgets + forget) + sigmoid(i) * f(j), 4)
    h = f(c) * sigmoid(o)
    return h, c, h


def keras_rnn(x, h, kernel, recurrent, bias, f=np.tanh):
    h = f(x @ kernel + h @ recurrent + bias)
    return h, h


def keras_lstm(x, h, c, kernel, recurrent, bias=0.0, f=np.tanh, g=sigmoid):
    z = x @ kernel + h @ recurrent + bias
    i, forgets, j, o = (z[k * N : (k + 1) * N] for k in range(4))
    c = g(forgets) * c + g(i) * f(j)
    h = g(o) * f(c)
    return h, h, c


def keras_gru(x, h, kernel, recurrent, bias=None, after=True, f=np.tanh, g=sigmoid):
    """Cho et al., version 3, and version 1, which cuDNN has."""
    bias = (
        np.zeros((2, 3 * N)) if bias is None else np.broadcast_to(bias, (2, 3 * N)) * [[1], [after]]
    )
    of_x, of_h = x @ kernel + bias[0], h @ recurrent + bias[1]
    z, r = g(of_x[:N] + of_h[:N]), g(of_x[N : 2 * N] + of_h[N : 2 * N])
    read = r * of_h[2 * N :] if after else (r * h) @ recurrent[:, 2 * N :]
    h = z * h + (1 - z) * f(of_x[2 * N :] + read)
    return h, h


def layers(x, c, h, other, *p):
    """An LSTM that projects, and a GRU on it."""
    x, *state = lstm(x, c, h, *p[:3])
    h, other = gru(x, other, *p[3:])
    return (h, *state, other)


def residual(x, h, *p):
    h, state = rnn(x, h, *p)
    return x + h, state


def dropping(x, c, h, *p):
    """Of inputs 0.5, of h 0.75 and of outputs 0.25 is kept, where the noise is large enough."""
    x = np.array([0, x[1] / 0.5])
    h, c, state = lstm(x, c, h, *p)
    return (
        np.array([0, 0, 0, h[3] / 0.25]),
        c,
        np.array([0, state[1] / 0.75, state[2] / 0.75, state[3] / 0.75]),
    )


def dropper(state):
    cell = cells.DropoutWrapper(cells.LSTMCell(N), 0.5, 0.25, 0.75, variational_recurrent=True)
    return cell.take_noise(np.array([0.25, 0.5]), state, NOISE)


def attends(x, state, attention, window, p):
    """Cheng, Dong and Lapata; `state` of what reads is a function of that."""
    state = state(np.append(x, attention) @ p[0] + p[1], p[2:-6])
    w, v, of_query, bias, of_output, bias_of_output = p[-6:]
    query = np.concatenate(state[1:]) @ of_query + bias
    energies = np.array([v @ np.tanh(slot @ w[0, 0] + query) for slot in window])
    shares = np.exp(energies) / sum(np.exp(energies))
    attention = sum(share * slot for share, slot in zip(shares, window))
    output = np.append(state[0], attention) @ of_output + bias_of_output
    return (output, *state[1:], attention, np.array([*window[1:], output]))


def attending(x, h, attention, window, *p):
    return attends(x, lambda x, p: rnn(x, h, *p), attention, window, p)


def attending_lstm(x, c, h, attention, window, *p):
    return attends(x, lambda x, p: lstm(x, c, h, *p), attention, window, p)


def gates(state=N, more=()):
    """Kernel and bias of four gates."""
    return dict({"kernel": (INPUTS + state, 4 * N), "bias": (4 * N,)}, **dict(more))


def of_attention(inner, state, output, slot=SLOT, features=FEATURES):
    """Those of a cell of this size of state and output, which reads as much as the inputs are."""
    return {
        "kernel": (INPUTS + slot, INPUTS),
        "bias": (INPUTS,),
        **{"cell/" + name: shape for name, shape in inner.items()},
        "attention/attn_w": (1, 1, slot, features),
        "attention/attn_v": (features,),
        "attention/kernel": (state, features),
        "attention/bias": (features,),
        "attn_output_projection/kernel": (output + slot, slot),
        "attn_output_projection/bias": (slot,),
    }


PEEPHOLES = [("w_{}_diag".format(gate), (N,)) for gate in "fio"]
OF_GRU = {
    "gates/kernel": (INPUTS + N, 2 * N),
    "gates/bias": (2 * N,),
    "candidate/kernel": (INPUTS + N, N),
    "candidate/bias": (N,),
}
NORMS = [
    ("{}/{}".format(name, part), (N,))
    for name in ("input", "transform", "forget", "output", "state")
    for part in ("gamma", "beta")
]
PLAIN = {"kernel": (INPUTS + N, N), "bias": (N,)}


def keras(gate, bias=None):
    shapes = {"kernel": (INPUTS, gate * N), "recurrent_kernel": (N, gate * N)}
    return dict(shapes, bias=bias) if bias else shapes


# Cell, one row by the textbook, and the parameters by name and shape.
TEXTBOOK = {
    "basic": (lambda: cells.BasicRNNCell(N), rnn, PLAIN),
    "basic relu": (
        lambda: cells.BasicRNNCell(N, "relu"),
        lambda *p: rnn(*p, f=relu),
        PLAIN,
    ),
    "basic lstm": (lambda: cells.BasicLSTMCell(N), lstm, gates()),
    "basic lstm options": (
        lambda: cells.BasicLSTMCell(N, 0.25, activation="linear"),
        lambda *p: lstm(*p, forget=0.25, f=linear),
        gates(),
    ),
    "lstm": (lambda: cells.LSTMCell(N), lstm, gates()),
    "lstm peepholes": (
        lambda: cells.LSTMCell(N, use_peepholes=True),
        lambda *p: lstm(*p, peep=True),
        gates(more=PEEPHOLES),
    ),
    "lstm projected": (
        lambda: cells.LSTMCell(N, num_proj=PROJ),
        lstm,
        gates(state=PROJ, more=[("projection/kernel", (N, PROJ))]),
    ),
    "lstm all": (
        lambda: cells.LSTMCell(N, True, 0.5, PROJ, 0.25, 0.125, "sigmoid"),
        lambda *p: lstm(*p, peep=True, clip=0.5, proj_clip=0.25, forget=0.125, f=sigmoid),
        gates(state=PROJ, more=PEEPHOLES + [("projection/kernel", (N, PROJ))]),
    ),
    "lstm clipped": (
        lambda: cells.LSTMCell(N, cell_clip=0.5, num_proj=PROJ, proj_clip=0.25),
        lambda *p: lstm(*p, clip=0.5, proj_clip=0.25),
        gates(state=PROJ, more=[("projection/kernel", (N, PROJ))]),
    ),
    "gru": (lambda: cells.GRUCell(N), gru, OF_GRU),
    "gru relu": (lambda: cells.GRUCell(N, "relu"), lambda *p: gru(*p, f=relu), OF_GRU),
    "layer norm": (
        lambda: cells.LayerNormBasicLSTMCell(N),
        layer_norm_lstm,
        dict([("kernel", (INPUTS + N, 4 * N))] + NORMS),
    ),
    "layer norm options": (
        lambda: cells.LayerNormBasicLSTMCell(N, 0.25, "relu"),
        lambda *p: layer_norm_lstm(*p, forget=0.25, f=relu),
        dict([("kernel", (INPUTS + N, 4 * N))] + NORMS),
    ),
    "layer norm none": (lambda: cells.LayerNormBasicLSTMCell(N, layer_norm=False), lstm, gates()),
    "gru block": (
        lambda: cells.GRUBlockCell(N),
        gru,
        dict(zip(("w_ru", "b_ru", "w_c", "b_c"), OF_GRU.values())),
    ),
    "lstm block": (lambda: cells.LSTMBlockCell(N), lstm, gates()),
    "lstm block all": (
        lambda: cells.LSTMBlockCell(N, 0.25, 0.5, True),
        lambda *p: lstm_block(*p, forget=0.25, clip=0.5),
        gates(more=[PEEPHOLES[1], PEEPHOLES[0], PEEPHOLES[2]]),
    ),
    "lstm block clip of 0": (lambda: cells.LSTMBlockCell(N, cell_clip=0.0), lstm, gates()),
    "lstm block clip of 1": (
        lambda: cells.LSTMBlockCell(N, cell_clip=1.0),
        lambda *p: lstm(*p, clip=1.0),
        gates(),
    ),
    "layers": (
        lambda: cells.MultiRNNCell([cells.LSTMCell(N, num_proj=PROJ), cells.GRUCell(N)]),
        layers,
        dict(
            [
                ("cell_0/" + name, shape)
                for name, shape in gates(
                    state=PROJ, more=[("projection/kernel", (N, PROJ))]
                ).items()
            ],
            **{
                "cell_1/gates/kernel": (PROJ + N, 2 * N),
                "cell_1/gates/bias": (2 * N,),
                "cell_1/candidate/kernel": (PROJ + N, N),
                "cell_1/candidate/bias": (N,),
            },
        ),
    ),
    "attention": (
        lambda: cells.AttentionCellWrapper(cells.BasicRNNCell(N), SLOTS, SLOT, FEATURES),
        attending,
        of_attention(PLAIN, N, N),
    ),
    "attention of c and h": (
        lambda: cells.AttentionCellWrapper(
            cells.LSTMCell(N, num_proj=PROJ), 1, attn_size=SLOT, attn_vec_size=FEATURES
        ),
        attending_lstm,
        of_attention(gates(state=PROJ, more=[("projection/kernel", (N, PROJ))]), N + PROJ, PROJ),
    ),
    "dropout of nothing": (lambda: cells.DropoutWrapper(cells.GRUCell(N)), gru, OF_GRU),
    "dropout": (lambda: dropper(NOISE), dropping, gates()),
    "dropout by part": (lambda: dropper([None, NOISE]), dropping, gates()),
    "keras simple rnn": (lambda: cells.keras.SimpleRNNCell(N), keras_rnn, keras(1, (N,))),
    "keras simple rnn options": (
        lambda: cells.keras.SimpleRNNCell(N, "hard_sigmoid", use_bias=False),
        lambda *p: keras_rnn(*p, bias=0.0, f=hard_sigmoid),
        keras(1),
    ),
    "keras lstm": (lambda: cells.keras.LSTMCell(N), keras_lstm, keras(4, (4 * N,))),
    "keras lstm options": (
        lambda: cells.keras.LSTMCell(N, "relu", "hard_sigmoid", use_bias=False),
        lambda *p: keras_lstm(*p, f=relu, g=hard_sigmoid),
        keras(4),
    ),
    "keras gru": (lambda: cells.keras.GRUCell(N), keras_gru, keras(3, (2, 3 * N))),
    "keras gru before": (
        lambda: cells.keras.GRUCell(N, reset_after=False),
        lambda *p: keras_gru(*p, after=False),
        keras(3, (3 * N,)),
    ),
    "keras gru options": (
        lambda: cells.keras.GRUCell(N, "relu", "hard_sigmoid", use_bias=False),
        lambda *p: keras_gru(*p, f=relu, g=hard_sigmoid),
        keras(3),
    ),
}
every_cell = pytest.mark.parametrize("name", TEXTBOOK)


def numbers(cell, inputs=INPUTS, seed=0):
    """A loaded cell, parameters, inputs and the parts of a state, all drawn."""
    draw = np.random.RandomState(seed).standard_normal
    parameters = [draw(field.shape(SIZES)) for field in cell.parameters("scope", ("inputs",))]
    parts = [draw(part.shape) for part in flat(cell.zero_state(ROWS, float))]
    return cell.load(parameters), parameters, draw((ROWS, inputs)), parts


def packed(cell, parts):
    """A state of these parts."""
    state, parts = cell.zero_state(ROWS, float), iter(parts)

    def of(each):
        return tuple(map(of, each)) if isinstance(each, tuple) else next(parts)

    return of(state)


def assert_textbook(cell, textbook, inputs=INPUTS):
    __tracebackhide__ = True
    cell, parameters, x, parts = numbers(cell, inputs)
    output, state = cell(x, packed(cell, parts))
    assert len(flat(state)) == len(parts)
    for row in range(ROWS):
        expected = textbook(x[row], *[part[row] for part in parts], *parameters)
        for array, right in zip_longest([output] + flat(state), expected):
            np.testing.assert_allclose(array[row], right, **FLOAT64)


@every_cell
def test_a_step_is_that_of_the_textbook(name):
    make, textbook, _ = TEXTBOOK[name]
    assert_textbook(make(), textbook)


@every_cell
def test_parameters_and_states_have_their_names_and_shapes(name):
    make, _, fields = TEXTBOOK[name]
    cell = make()
    found = {field.name: field.shape(SIZES) for field in cell.parameters("scope", ("inputs",))}
    assert list(found.items()) == [("scope/" + field, shape) for field, shape in fields.items()]
    sizes, zeros = SIZES.sizes(), flat(cell.zero_state(5, np.float16))
    shapes = [(5, sizes[size]) for _, size in cell.state_parts]
    if name.startswith("attention"):
        shapes.append((5, cell.attn_length, SLOT))
    assert [x.shape for x in zeros] == shapes
    assert {x.dtype for x in zeros} == {np.dtype(np.float16)} and not any(map(np.any, zeros))
    assert cell.output_size == sizes[cell.output_size_name]
    assert cell.load(["any"] * len(fields)) is cell


def test_a_slot_is_as_large_as_an_output_and_its_features_as_a_slot_by_default():
    for slot, features, expected in (
        (None, None, (PROJ, PROJ)),
        (2, None, (2, 2)),
        (None, 2, (PROJ, 2)),
    ):
        cell = cells.AttentionCellWrapper(cells.LSTMCell(N, num_proj=PROJ), 1, slot, features)
        assert (cell.attn_size, cell.attn_vec_size) == expected
        assert cell.output_size == cell.attn_size


def test_what_a_cell_with_attention_reads_may_have_a_size_of_its_own():
    cell = cells.AttentionCellWrapper(cells.BasicRNNCell(N), SLOTS, SLOT, FEATURES)
    kernel, bias, of_cell, *_ = cell.parameters("scope", ("inputs",), "num_proj")
    assert kernel.shape(SIZES) == (INPUTS + SLOT, PROJ)
    assert bias.shape(SIZES) == (PROJ,) and of_cell.shape(SIZES) == (PROJ + N, N)


def test_a_step_with_attention_yields_all_that_is_computed():
    cell, _, x, parts = numbers(cells.AttentionCellWrapper(cells.GRUCell(N), SLOTS, SLOT, FEATURES))
    step = cell.step(x, tuple(parts))
    output, (state, attention, window) = cell(x, tuple(parts))
    assert np.array_equal(step.output, output) and np.array_equal(step.state, state)
    assert np.array_equal(step.attention, attention) and np.array_equal(step.window, window)
    assert step.cell_input.shape == (ROWS, INPUTS)
    shares = np.exp(step.energies) / np.exp(step.energies).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(step.alignments, shares, **FLOAT64)


def test_a_residual_is_added_to_the_output_alone():
    for cell in (cells.BasicRNNCell(N), cells.LSTMCell(N)):
        wrapped = cells.ResidualWrapper(cell)
        draw = np.random.RandomState(0).standard_normal
        cell.load(
            [
                draw((2 * N,) + (N * len(cell.state_parts) ** 2,)),
                draw(N * len(cell.state_parts) ** 2),
            ]
        )
        x, state = draw((ROWS, N)), packed(cell, [draw((ROWS, N)) for _ in cell.state_parts])
        (plain, states), (output, others) = cell(x, state), wrapped(x, state)
        assert np.array_equal(output, x + plain)
        assert all(map(np.array_equal, flat(states), flat(others)))
        assert wrapped.state_parts == cell.state_parts and wrapped.output_size == N


def test_one_array_as_state_is_c_and_then_h():
    cell, tuples = cells.BasicLSTMCell(N, state_is_tuple=False), cells.BasicLSTMCell(N)
    _, parameters, x, (c, h) = numbers(tuples)
    output, state = cell.load(parameters)(x, np.hstack([c, h]))
    expected, both = tuples(x, (c, h))
    assert np.array_equal(output, expected) and np.array_equal(state, np.hstack(both))
    assert cell.zero_state(2, np.float32).shape == (2, 2 * N)


def test_a_clip_of_zero_clips_to_zero_but_in_a_block():
    _, parameters, x, parts = numbers(cells.LSTMCell(N))
    _, (c, h) = cells.LSTMCell(N, cell_clip=0.0).load(parameters)(x, tuple(parts))
    assert not c.any() and not h.any()


def test_what_wraps_others_has_them_in_it():
    inner = [cells.BasicRNNCell(N), cells.GRUCell(N)]
    wrapped = cells.DropoutWrapper(cells.MultiRNNCell(inner))
    assert list(cells_in(wrapped)) == [wrapped, wrapped.cell, *inner]


def test_the_output_of_layers_is_that_of_the_last_one():
    sizes = dict(num_units=2), dict(num_units=3), dict(num_units=4, num_proj=5)
    cell = cells.MultiRNNCell([cells.LSTMCell(**size) for size in sizes])
    assert (cell.output_size, cell.output_size_name) == (5, "num_proj")
    assert [name for name, _ in cell.state_parts] == [
        "cell_{}_{}".format(number, part) for number in range(3) for part in "ch"
    ]


def test_of_layers_too_c_is_never_dropped():
    cell = cells.DropoutWrapper(
        cells.MultiRNNCell([cells.LSTMCell(N), cells.LSTMCell(N)]),
        state_keep_prob=0.5,
        variational_recurrent=True,
    )
    cell, _, x, parts = numbers(cell.take_noise(state=np.zeros(N)))
    _, state = cell(x, packed(cell, parts))
    _, kept = cell.cell(x, packed(cell, parts))
    for layer, of_kept in zip(state, kept):
        assert np.array_equal(layer[0], of_kept[0]) and not layer[1].any()


def test_gains_and_shifts_begin_where_tensorflow_has_them():
    cell = cells.LayerNormBasicLSTMCell(N)
    assert (cell.norm_gain, cell.norm_shift) == (1, 0)


def test_cells_of_keras_compute_all_gates_at_once_by_default_as_kerass_do():
    for cell in (cells.keras.LSTMCell(N), cells.keras.GRUCell(N)):
        assert cell.implementation == 2


def test_no_cell_is_no_cell_of_layers():
    with pytest.raises(ValueError, match="at least one cell"):
        cells.MultiRNNCell([])


@pytest.mark.parametrize("kept", ["input_keep_prob", "output_keep_prob", "state_keep_prob"])
def test_what_is_dropped_must_be_the_same_in_all_steps(kept):
    with pytest.raises(ValueError, match="must be 1"):
        cells.DropoutWrapper(cells.GRUCell(N), **{kept: 0.5})
    cells.DropoutWrapper(cells.GRUCell(N), variational_recurrent=True, **{kept: 0.5})


# --- encoders and decoders ----------------------------------------------------------------------


def decoded(case, cell, count):
    """Outputs and states of all steps of encoder and decoder, scores, and what was fed back."""
    parameters = [array.astype(float) for array in case.parameters]
    state, config = cell().zero_state(case.config.batch, float), case.config
    kernel, bias = parameters[count : count + 2]
    encoder = cell().load(parameters[:count])
    decoder = cell().load(parameters[count + 2 :])
    steps, fed_back = [], []
    for t in range(config.time):
        output, state = encoder(case.inputs[:, t].astype(float), state)
        steps.append((output, state))
    scores = [output @ kernel + bias]
    for _ in range(config.output_time - 1):
        fed_back.append(np.eye(config.outputs)[np.argmax(scores[-1], axis=1)])
        output, state = decoder(fed_back[-1], state)
        steps.append((output, state))
        scores.append(output @ kernel + bias)
    return steps, np.stack(scores, axis=1), np.stack(fed_back, axis=1)


@pytest.mark.parametrize(
    "name, cell, count, options",
    [
        ("seq2seq", lambda: cells.BasicRNNCell(N), 2, {}),
        (
            "attention",
            lambda: cells.AttentionCellWrapper(cells.BasicRNNCell(N), SLOTS, N, N),
            10,
            dict(attn_length=SLOTS),
        ),
    ],
)
def test_a_decoder_reads_the_token_before_from_the_state_before(name, cell, count, options):
    model = MODELS[name]
    sizes = dict(batch=2, time=3, output_time=5, inputs=2, outputs=7, num_units=N)
    case = normal_case(np.random.RandomState(22), model, model.Config(**sizes, **options))
    trace = case.oracle(float)
    steps, scores, fed_back = decoded(case, cell, count)
    np.testing.assert_allclose(trace["scores"], scores, **FLOAT64)
    assert np.array_equal(trace["fed_back"], fed_back)
    # Of tokens that are all the same a wrong one might be right.
    tokens = trace["predictions"]
    assert np.array_equal(tokens, np.argmax(scores, axis=2))
    assert any(len(set(row)) > 2 for row in tokens.tolist())
    states = np.stack([flat(state)[0] for _, state in steps], axis=1)
    np.testing.assert_allclose(trace["encoder_states"], states[:, :3], **FLOAT64)
    np.testing.assert_allclose(trace["decoder_states"], states[:, 3:], **FLOAT64)
    if name == "attention":
        for part, place in (("attentions", 1), ("windows", 2)):
            arrays = np.stack([flat(state)[place] for _, state in steps], axis=1)
            np.testing.assert_allclose(trace["encoder_" + part], arrays[:, :3], **FLOAT64)
            np.testing.assert_allclose(trace["decoder_" + part], arrays[:, 3:], **FLOAT64)


# --- runners ------------------------------------------------------------------------------------


def row_of(inputs, kernel, bias, state, backward=False):
    """The states of a plain cell over the steps of a row, in the order of time, and the last."""
    states = []
    for x in inputs[::-1] if backward else inputs:
        state, _ = rnn(x, state, kernel, bias)
        states.append(state)
    return states[::-1] if backward else states, state


def case_of(name, **options):
    model = MODELS[name]
    sizes = dict(batch=4, time=3, inputs=INPUTS, num_units=N)
    if model.family == "stackbirnn":
        sizes["layers"] = 2
    config = model.Config(**dict(sizes, **options))
    case = normal_case(np.random.RandomState(1), model, config, gain=0.5)
    if "sequence_length" in case.arrays:
        case.arrays["sequence_length"][:] = [3, 0, 1, 2]
    return case


def padded(states, time):
    return np.array(states + [np.zeros(N)] * (time - len(states)))


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", ["rnn-basic", "birnn-basic", "stackbirnn-basic"])
def test_a_run_is_step_after_step_to_the_end_of_each_row(name, lengths, initial):
    case = case_of(name, sequence_length=lengths, initial_state=initial)
    trace, arrays = case.oracle(float), case.arrays
    parameters = [array.astype(float) for array in case.parameters]
    prefixes = [""] if name.startswith("rnn") else ["forward_", "backward_"]
    layers = getattr(case.config, "layers", 1)
    read = case.inputs.astype(float)
    for layer in range(layers):
        outputs = []
        for number, prefix in enumerate(prefixes):
            at = 2 * (layer * len(prefixes) + number)
            of_direction = []
            for row in range(4):
                length = arrays["sequence_length"][row] if lengths else 3
                start = (
                    arrays[prefix + "initial_h"][row].astype(float)
                    if initial
                    else np.zeros((layers, N))
                )
                start = start[layer] if np.ndim(start) == 2 else start
                states, last = row_of(
                    read[row, :length], *parameters[at : at + 2], start, prefix == "backward_"
                )
                final, all_states = trace[prefix + "final_h"][row], trace[prefix + "states_h"][row]
                if layers > 1:
                    final, all_states = final[layer], all_states[:, layer]
                np.testing.assert_allclose(final, last, **FLOAT64)
                np.testing.assert_allclose(all_states, padded(states, 3), **FLOAT64)
                of_direction.append(padded(states, 3))
            outputs.append(np.array(of_direction))
        read = np.concatenate(outputs, axis=2)
    np.testing.assert_allclose(trace["outputs"], read, **FLOAT64)


def test_one_layer_is_a_run_in_both_directions():
    case = case_of("stackbirnn-basic", layers=1)
    birnn = MODELS["birnn-basic"]
    config = birnn.Config(batch=4, time=3, inputs=INPUTS, num_units=N)
    trace = case.oracle(float)
    names = [field.name for field in birnn.fields(config)]
    expected = Case(birnn, config, dict(zip(names, case.arrays.values()))).oracle(float)
    assert sorted(trace) == sorted(expected)
    assert all(np.array_equal(trace[x].ravel(), expected[x].ravel()) for x in trace)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("name", ["keras-simple-rnn", "keras-bidirectional-simple-rnn"])
def test_a_run_of_keras_is_step_after_step(name, initial, sequences, backwards):
    case = case_of(name, initial_state=initial, return_sequences=sequences, go_backwards=backwards)
    trace = case.oracle(float)
    parameters = [array.astype(float) for array in case.parameters]
    prefixes = ["forward_", "backward_"] if "bidirectional" in name else [""]
    outputs = []
    for number, prefix in enumerate(prefixes):
        kernel, recurrent, bias = parameters[3 * number : 3 * number + 3]
        reverse = backwards != bool(number)
        of_direction = []
        for row in range(4):
            start = case.arrays[prefix + "initial_h"][row].astype(float) if initial else np.zeros(N)
            states, last = row_of(
                case.inputs[row].astype(float), np.vstack([kernel, recurrent]), bias, start, reverse
            )
            np.testing.assert_allclose(trace[prefix + "final_h"][row], last, **FLOAT64)
            # In the order in which they are taken; those of the second layer as those of the first.
            states = states[::-1] if backwards else states
            of_direction.append(states if sequences else [last])
        outputs.append(of_direction)
    np.testing.assert_allclose(trace["outputs"], np.concatenate(outputs, axis=2), **FLOAT64)


def test_an_lstm_of_keras_has_c_in_its_trace_where_all_outputs_are():
    case = case_of("keras-lstm", return_sequences=True)
    trace, last = case.oracle(float), None
    cell = cells.keras.LSTMCell(N).load([array.astype(float) for array in case.parameters])
    state = cell.zero_state(4, float)
    for t in range(3):
        last, state = cell(case.inputs[:, t].astype(float), state)
        assert np.array_equal(trace["states_c"][:, t], state[1])
        assert np.array_equal(trace["outputs"][:, t], last)
    whole = Case(case.model, case.config, case.arrays).oracle(float)
    assert sorted(whole) == ["final_c", "final_h", "outputs", "states_c"]
