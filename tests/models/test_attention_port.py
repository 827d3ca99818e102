"""The port of AttentionCellWrapper is the genuine one of TensorFlow 1.x, operation by operation."""

import os
import re
import runpy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnndiff.harness.judging import forcing
from rnndiff.harness.judging.plan import make_plan
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.models.cells import AttentionCellWrapper, Cell
from rnndiff.models.functions import affine, sigmoid

try:
    from rnndiff.models.cells.attention_tensorflow import AttentionCellWrapper as Port
    from rnndiff.models.tf1 import tf1
except Exception:
    # Whatever it is that it raises: the fixture, which every test uses, says so.
    Port = tf1 = None

try:
    from tensorflow.contrib.rnn import AttentionCellWrapper as Genuine
except Exception:
    Genuine = None

pytestmark = [
    pytest.mark.usefixtures("tensorflow"),
    pytest.mark.filterwarnings("ignore:.*Cell. is deprecated:UserWarning"),
]
needs_genuine = pytest.mark.skipif(
    Genuine is None, reason="only TensorFlow 1.x has the genuine one"
)
# What holds of the port on every version holds of the genuine one where there is one.
WRAPPERS = [pytest.param(Port, id="port")]
if Genuine is not None:
    WRAPPERS.append(pytest.param(Genuine, id="genuine"))

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
SAVED = runpy.run_path(os.path.join(DATA, "genuine_attention.py"))
CELLS = SAVED["cells"]()
# Cells whose state is one array: only these go with a state that is not a tuple.
ONE_STATE = {
    "BasicRNNCell": CELLS["BasicRNNCell"],
    "GRUCell": CELLS["GRUCell"],
    "BasicLSTMCell": lambda: tf1.nn.rnn_cell.BasicLSTMCell(3, state_is_tuple=False),
    "MultiRNNCell": lambda: tf1.nn.rnn_cell.MultiRNNCell(
        [tf1.nn.rnn_cell.GRUCell(2), tf1.nn.rnn_cell.BasicRNNCell(3)], state_is_tuple=False
    ),
}
SIZE = st.integers(1, 4)
OPTIONS = st.fixed_dictionaries(
    {
        "attn_length": SIZE,
        "attn_size": st.none() | SIZE,
        "attn_vec_size": st.none() | SIZE,
        "input_size": st.none() | SIZE,
    }
)


def unrolled(wrapper, cell, options, inputs=2, steps=2, partitioner=None):
    """Two steps of a wrapped cell in a graph of its own: the graph, and what it computes."""
    graph = tf1.Graph()
    with graph.as_default(), tf1.variable_scope("", partitioner=partitioner):
        tf1.set_random_seed(7)
        wrapped = wrapper(cell(), **options)
        random = np.random.RandomState(0)
        state, outputs = wrapped.zero_state(3, tf1.float32), []
        for _ in range(steps):
            rows = random.standard_normal((3, inputs)).astype(np.float32)
            output, state = wrapped(tf1.constant(rows), state)
            outputs.append(output)
    return graph, wrapped, [outputs, state]


def global_variables(graph):
    return graph.get_collection(tf1.GraphKeys.GLOBAL_VARIABLES)


def computed(graph, fetched):
    """The variables' initial values, and the values of `fetched`."""
    variables = global_variables(graph)
    with tf1.Session(graph=graph) as session:
        session.run([variable.initializer for variable in variables])
        return session.run([variables, fetched])


def names(variables):
    return [variable.op.name for variable in variables]


def same_bits(first, second):
    firsts, seconds = flat(first), flat(second)
    return len(firsts) == len(seconds) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(firsts, seconds)
    )


def flat(values):
    if isinstance(values, (list, tuple)):
        return [array for value in values for array in flat(value)]
    return [values]


@needs_genuine
@given(data=st.data(), options=OPTIONS, inputs=SIZE, state_is_tuple=st.booleans())
def test_the_port_builds_the_graph_of_the_genuine_one(data, options, inputs, state_is_tuple):
    """The same operations under the same names in the same order: so all else is the same."""
    cells = CELLS if state_is_tuple else ONE_STATE
    cell = cells[data.draw(st.sampled_from(sorted(cells)), label="cell")]
    options["state_is_tuple"] = state_is_tuple
    graphs = []
    for wrapper in (Genuine, Port):
        graph, wrapped, _ = unrolled(wrapper, cell, options, inputs)
        order = names(global_variables(graph)), names(wrapped.trainable_weights)
        sizes = wrapped.state_size, wrapped.output_size
        graphs.append((list(graph.as_graph_def().node), order, sizes))
    (genuine, *rest), (port, *rest_of_port) = graphs
    assert [node.name for node in port] == [node.name for node in genuine]
    assert [a.name for a, b in zip(port, genuine) if a != b] == []
    assert rest_of_port == rest


@needs_genuine
def test_the_port_partitions_what_the_genuine_one_partitions():
    def in_two(shape, dtype):
        return [2] + [1] * (len(shape) - 1) if shape[0].value > 1 else [1] * len(shape)

    genuine, port = (
        unrolled(wrapper, CELLS["GRUCell"], {"attn_length": 2}, partitioner=in_two)[0]
        for wrapper in (Genuine, Port)
    )
    assert names(global_variables(port)) == names(global_variables(genuine))
    assert "attention_cell_wrapper/kernel/part_1" in names(global_variables(port))
    assert "attention_cell_wrapper/bias" in names(global_variables(port))


@needs_genuine
@pytest.mark.parametrize("name", sorted(CELLS))
def test_the_port_computes_the_same_bits_from_the_same_seed(name):
    genuine, port = (
        computed(*unrolled(wrapper, CELLS[name], {"attn_length": 3})[::2])
        for wrapper in (Genuine, Port)
    )
    assert same_bits(port, genuine)
    assert any(array.any() for array in flat(genuine))


@needs_genuine
@pytest.mark.parametrize("name", sorted(ONE_STATE))
def test_the_port_computes_the_same_bits_with_one_array_as_state(name):
    options = {"attn_length": 3, "attn_size": 2, "state_is_tuple": False}
    genuine, port = (
        computed(*unrolled(wrapper, ONE_STATE[name], options)[::2]) for wrapper in (Genuine, Port)
    )
    assert same_bits(port, genuine)


@needs_genuine
@pytest.mark.parametrize("name", sorted(CELLS))
def test_a_checkpoint_of_the_genuine_one_loads_into_the_port(name, tmp_path):
    path = str(tmp_path / "genuine")
    graph, _, fetched = unrolled(Genuine, CELLS[name], {"attn_length": 3})
    with tf1.Session(graph=graph) as session, graph.as_default():
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, path)
        saved = session.run([global_variables(graph), fetched])
    graph, _, fetched = unrolled(Port, CELLS[name], {"attn_length": 3})
    with tf1.Session(graph=graph) as session, graph.as_default():
        tf1.train.Saver().restore(session, path)
        assert same_bits(session.run([global_variables(graph), fetched]), saved)


FLOAT32 = arithmetic("float32")


class Inner(Cell):
    """A cell of the checkpoint as the textbook writes it; its state is a list of arrays."""

    num_units = 3

    def __init__(self, step, sizes):
        self._step, self._sizes = step, sizes

    def load(self, parameters):
        self._weights = parameters

    def zero_state(self, batch_size, dtype):
        return [np.zeros((batch_size, size), dtype) for size in self._sizes]

    def __call__(self, inputs, states):
        return self._step(self._weights, inputs, states)

    @staticmethod
    def basic_rnn(weights, x, states):
        output = np.tanh(affine(np.hstack([x] + states), *weights))
        return output, [output]

    @staticmethod
    def gru(weights, x, states):
        (h,) = states
        gates = sigmoid(affine(np.hstack([x, h]), *weights[:2]))
        reset, update = gates[:, : h.shape[1]], gates[:, h.shape[1] :]
        candidate = np.tanh(affine(np.hstack([x, reset * h]), *weights[2:]))
        output = update * h + (1.0 - update) * candidate
        return output, [output]

    @staticmethod
    def lstm(weights, x, states):
        c, h = states
        gates = affine(np.hstack([x, h]), *weights[:2])
        units = c.shape[1]
        i, j, f, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
        c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
        output = np.tanh(c) * sigmoid(o)
        if weights[2:]:
            output = np.matmul(output, weights[2])
        return output, [c, output]

    @staticmethod
    def multi_rnn(weights, x, states):
        output, first = Inner.gru(weights[:4], x, states[:1])
        output, second = Inner.lstm(weights[4:], output, states[1:])
        return output, first + second


# How each is computed, and the sizes of its states.
TEXTBOOK = {
    "BasicRNNCell": (Inner.basic_rnn, [3]),
    "GRUCell": (Inner.gru, [3]),
    "BasicLSTMCell": (Inner.lstm, [3, 3]),
    "LSTMCell": (Inner.lstm, [3, 2]),
    "MultiRNNCell": (Inner.multi_rnn, [2, 3, 3]),
}


def expected_by_the_textbook(name, weights, recorded):
    """What is expected of the outputs [rows, steps, attn_size], which go into the windows.

    All else goes on from step to step, and so the bounds grow. `weights` are all of them, in
    TensorFlow's order.
    """

    def oracle(parameters, inputs):
        wrapper = AttentionCellWrapper(Inner(*TEXTBOOK[name]), 3, attn_size=4, attn_vec_size=5)
        wrapper.load(parameters)
        outputs, state = [], wrapper.zero_state(inputs.shape[0], inputs.dtype)
        for t in range(inputs.shape[1]):
            output, state = wrapper(inputs[:, t], state)
            outputs.append(output)
        return {"outputs": np.stack(outputs, axis=1)}

    inputs = SAVED["INPUTS"]
    plan = make_plan(oracle, [w.shape for w in weights], [inputs.shape], ["outputs"])
    given = [weight[None] for weight in weights], [inputs[None]]
    forced, _ = forcing.expect(oracle, plan, *given, recorded.reshape(1, -1), FLOAT32)
    return forced.mid.reshape(recorded.shape), forced.rad.reshape(recorded.shape)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", sorted(CELLS))
def test_a_checkpoint_of_tensorflow_1_15_loads_and_yields_what_it_should(wrapper, name):
    saved = tf1.train.load_checkpoint(SAVED["CHECKPOINT"])
    expected = saved.get_tensor(name + "/outputs")
    with tf1.Graph().as_default() as graph, tf1.Session() as session:
        outputs = SAVED["outputs"](wrapper, name)
        tf1.train.Saver().restore(session, SAVED["CHECKPOINT"])
        weights = session.run(global_variables(graph))
        for variable, value in zip(global_variables(graph), weights):
            assert same_bits(value, saved.get_tensor(variable.op.name))
        found = session.run(outputs)
    for recorded in (expected, found):
        mid, rad = expected_by_the_textbook(name, weights, recorded)
        assert (np.abs(recorded - mid) <= rad).all()
        # Until the window is full, and the bounds too wide to say much.
        assert rad[:, :3].max() < 2.0**-6 < 0.1 < np.abs(recorded[:, :3]).max()
    variables = [key for key in saved.get_variable_to_shape_map() if key.startswith(name + "/")]
    assert sorted(variables) == sorted(names(global_variables(graph)) + [name + "/outputs"])


INPUT_LAYER = ["kernel", "bias"]
ATTENTION = ["attention/" + part for part in ("attn_w", "attn_v", "kernel", "bias")]
OUTPUT_LAYER = ["attn_output_projection/kernel", "attn_output_projection/bias"]
INNER = {
    "BasicRNNCell": ["basic_rnn_cell/kernel", "basic_rnn_cell/bias"],
    "GRUCell": [
        "gru_cell/gates/kernel",
        "gru_cell/gates/bias",
        "gru_cell/candidate/kernel",
        "gru_cell/candidate/bias",
    ],
    "BasicLSTMCell": ["basic_lstm_cell/kernel", "basic_lstm_cell/bias"],
    "LSTMCell": ["lstm_cell/kernel", "lstm_cell/bias", "lstm_cell/projection/kernel"],
    "MultiRNNCell": [
        "multi_rnn_cell/cell_0/gru_cell/gates/kernel",
        "multi_rnn_cell/cell_0/gru_cell/gates/bias",
        "multi_rnn_cell/cell_0/gru_cell/candidate/kernel",
        "multi_rnn_cell/cell_0/gru_cell/candidate/bias",
        "multi_rnn_cell/cell_1/basic_lstm_cell/kernel",
        "multi_rnn_cell/cell_1/basic_lstm_cell/bias",
    ],
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", sorted(CELLS))
def test_variables_have_the_names_of_tensorflow_1_15_in_its_order(wrapper, name):
    graph, wrapped, _ = unrolled(wrapper, CELLS[name], {"attn_length": 2})
    expected = INPUT_LAYER + INNER[name] + ATTENTION + OUTPUT_LAYER
    found = names(global_variables(graph))
    assert found == ["attention_cell_wrapper/" + end for end in expected]
    # TensorFlow 1.13 lists those of the inner cell twice.
    assert set(names(wrapped.trainable_weights)) == set(found)


class Half:
    output_size = 1


def called(shape, state=None, dtype="float32", **options):
    """A misuse of the cell once it is there: inputs of this shape, or this state."""

    def misuse(wrapper):
        cell = wrapper(tf1.nn.rnn_cell.BasicRNNCell(3), 2, **options)
        cell(tf1.placeholder(dtype, shape), state() if state else cell.zero_state(2, tf1.float32))

    return misuse


def placeholders(*shapes):
    return lambda: tuple(tf1.placeholder(tf1.float32, shape) for shape in shapes)


def with_cell(name, *arguments, **options):
    return lambda wrapper: wrapper(CELLS[name](), *arguments, **options)


NO_CELL = (
    "'state_size' property is missing, "
    "either 'zero_state' or 'get_initial_state' method is required"
)
# What TensorFlow 1.15 says. The message of a shape is spelt differently from version to version.
ERRORS = {
    "a cell that is a number": (
        lambda wrapper: wrapper(3, 2),
        "TypeError",
        "The argument 'cell' (3) is not an RNNCell: 'output_size' property is missing, "
        + NO_CELL
        + ", is not callable.",
    ),
    "a cell that is half a cell": (
        lambda wrapper: wrapper(Half, 2),
        "TypeError",
        "The argument 'cell' ({}) is not an RNNCell: {}.".format(Half, NO_CELL),
    ),
    "no cell, and no slots": (
        lambda wrapper: wrapper(None, 0),
        "TypeError",
        "The argument 'cell' (None) is not an RNNCell: 'output_size' property is missing, "
        + NO_CELL
        + ", is not callable.",
    ),
    "no slots": (
        with_cell("GRUCell", 0),
        "ValueError",
        "attn_length should be greater than zero, got 0",
    ),
    "fewer slots than none": (
        with_cell("GRUCell", -1),
        "ValueError",
        "attn_length should be greater than zero, got -1",
    ),
    "a number of slots that is none": (
        with_cell("GRUCell", None),
        "TypeError",
        "'<=' not supported between instances of 'NoneType' and 'int'",
    ),
    "a state of two parts as one array": (
        with_cell("BasicLSTMCell", 2, state_is_tuple=False),
        "ValueError",
        "Cell returns tuple of states, but the flag state_is_tuple is not set. "
        "State size is: LSTMStateTuple(c=3, h=3)",
    ),
    "a state of two parts as one array, and no slots": (
        with_cell("BasicLSTMCell", 0, state_is_tuple=False),
        "ValueError",
        "Cell returns tuple of states, but the flag state_is_tuple is not set. "
        "State size is: LSTMStateTuple(c=3, h=3)",
    ),
    "inputs without columns": (
        called([2], input_size=3),
        "ValueError",
        "linear is expecting 2D arguments: [TensorShape([",
    ),
    "inputs with three axes": (
        called([2, 3, 4]),
        "ValueError",
        "linear is expecting 2D arguments: [TensorShape([",
    ),
    "inputs with an unknown number of columns": (
        called([2, None], input_size=3),
        "ValueError",
        "linear expects shape[1] to be provided for shape (2, ",
    ),
    "inputs of an unknown shape": (
        called(None),
        "ValueError",
        "as_list() is not defined on an unknown TensorShape.",
    ),
    "a state of two parts": (
        called([2, 3], state=placeholders([2, 3], [2, 3])),
        "ValueError",
        "not enough values to unpack (expected 3, got 2)",
    ),
    "an attention with an unknown number of columns": (
        called([2, 3], state=placeholders([2, 3], [2, None], [2, 6])),
        "ValueError",
        "linear expects shape[1] to be provided for shape (2, ",
    ),
}
# Here TensorFlow itself finds the words, other ones in other versions.
MISUSES = {
    "inputs without columns and no input_size": called([2]),
    "one array as a state of three parts": called(
        [2, 3], state=lambda: tf1.placeholder(tf1.float32, [2, 12])
    ),
    "one array that is too short for a state": called(
        [2, 3], state=lambda: tf1.placeholder(tf1.float32, [2, 11]), state_is_tuple=False
    ),
    "a window that is too short": called([2, 3], state=placeholders([2, 3], [2, 3], [2, 5])),
    "a cell state that is too long": called([2, 3], state=placeholders([2, 4], [2, 3], [2, 6])),
    "inputs of 64 bits": called([2, 3], dtype="float64"),
    "a class for a cell": lambda wrapper: wrapper(tf1.nn.rnn_cell.GRUCell, 2).zero_state(1, None),
}


def outcome(misuse, wrapper):
    """The type and the first line of the error that `misuse` ends in."""
    with tf1.Graph().as_default():
        try:
            misuse(wrapper)
        except Exception as error:
            # AutoGraph packs the error of a call into one of its own, after a traceback.
            packed = re.findall(r"^    (\w+): (.*)", str(error), re.MULTILINE)
            return packed[-1] if packed else (type(error).__name__, str(error).splitlines()[0])
    return None


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("misuse, kind, message", list(ERRORS.values()), ids=list(ERRORS))
def test_a_misuse_ends_in_the_error_of_tensorflow_1_15(wrapper, misuse, kind, message):
    found_kind, found_message = outcome(misuse, wrapper)
    assert found_kind == kind
    assert found_message[: len(message)] == message


@needs_genuine
@pytest.mark.parametrize(
    "misuse",
    [error[0] for error in ERRORS.values()] + list(MISUSES.values()),
    ids=list(ERRORS) + list(MISUSES),
)
def test_a_misuse_ends_in_the_same_error(misuse):
    assert outcome(misuse, Port) == outcome(misuse, Genuine)


def shared(wrapper, reuse, scope):
    """Call a cell in the scope "first", a second one in `scope`: how many variables, same bits?"""
    graph = tf1.Graph()
    with graph.as_default():
        tf1.set_random_seed(7)
        first, second = (wrapper(CELLS["GRUCell"](), 2, reuse=r) for r in (None, reuse))
        inputs, state = tf1.ones([2, 3]), first.zero_state(2, tf1.float32)
        outputs = [
            cell(inputs, state, scope=s)[0] for cell, s in ((first, "first"), (second, scope))
        ]
    values, outputs = computed(graph, outputs)
    return len(values), same_bits(outputs[0], outputs[1])


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_with_reuse_two_cells_share_their_variables(wrapper):
    assert shared(wrapper, True, "first") == (12, True)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_in_scopes_of_their_own_two_cells_share_nothing(wrapper):
    assert shared(wrapper, None, "second") == (24, False)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("reuse", [None, False])
def test_without_reuse_a_scope_is_taken_once(wrapper, reuse):
    kind, message = outcome(lambda wrapper: shared(wrapper, reuse, "first"), wrapper)
    assert kind == "ValueError"
    assert message.startswith("Variable first/kernel already exists, disallowed.")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_with_reuse_there_must_be_variables(wrapper):
    kind, message = outcome(lambda wrapper: shared(wrapper, True, "second"), wrapper)
    assert kind == "ValueError"
    assert message.startswith("Variable second/kernel does not exist, or was not created with")
