"""The NumPy twins of TensorFlow's cells compute what TensorFlow's own do, within their bounds."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pytest
import wrong_cells as wrong

from rnndiff.harness.cases.regimes import NOISE
from rnndiff.harness.numerics import arithmetic, exact
from rnndiff.harness.numerics.accuracy import ulp_of, worst
from rnndiff.models import cells as twins
from rnndiff.models.cells import flat

try:
    from rnndiff.models.cells.attention_tensorflow import AttentionCellWrapper as Port
    from rnndiff.models.cells.attention_tensorflow import nest
    from rnndiff.models.cells.tensorflow import take_noise
    from rnndiff.models.tf1 import tf1
except Exception:
    # Whatever it is that it raises: the fixture, which every test uses, says so.
    Port = nest = take_noise = tf1 = None
try:
    from tensorflow.contrib import rnn as contrib
except Exception:
    contrib = None

pytestmark = [
    pytest.mark.usefixtures("tensorflow"),
    pytest.mark.filterwarnings("ignore:.*Cell. is deprecated:UserWarning"),
]
needs_contrib = pytest.mark.skipif(contrib is None, reason="only TensorFlow 1.x has contrib")


class Sizes(NamedTuple):
    """What the layouts of parameters add up."""

    inputs: int = 2
    num_units: int = 4
    # A slot is as large as an output by default.
    num_proj: int = 3
    attn_size: int = 3
    attn_vec_size: int = 5

    def sizes(self):
        return self._asdict()


class Genuine:
    """TensorFlow's cells, of which contrib's take a function as activation, no name."""

    AttentionCellWrapper = Port

    def __getattr__(self, name):
        return getattr(tf1.nn.rnn_cell, name, None) or getattr(contrib, name)

    def LayerNormBasicLSTMCell(self, num_units, activation="tanh", **options):
        function = {"tanh": tf1.tanh, "relu": tf1.nn.relu}[activation]
        return contrib.LayerNormBasicLSTMCell(num_units, activation=function, **options)


def dropping(of, cell, sizes):
    """A wrapper that drops the same in all steps, and for all rows, by noise that masks turn at."""
    given = dict(input_keep_prob=0.5, output_keep_prob=0.9, state_keep_prob=0.5)
    counts = sizes.inputs, sizes.num_units, sizes.num_units
    noise = [NOISE[1 + k : 1 + k + count][None] for k, count in enumerate(counts)]
    if isinstance(of, Genuine):
        given.update(input_size=tf1.TensorShape([1]), dtype=tf1.float32)
        made = of.DropoutWrapper(cell, variational_recurrent=True, **given)
        take_noise(made, *noise)
        return made
    return of.DropoutWrapper(cell, variational_recurrent=True, **given).take_noise(*noise)


# Each makes a cell of one of the two modules, of given sizes.
CELLS = {
    "basic": lambda of, n: of.BasicRNNCell(n.num_units),
    "basic relu": lambda of, n: of.BasicRNNCell(n.num_units, activation="relu"),
    "basic sigmoid": lambda of, n: of.BasicRNNCell(n.num_units, activation="sigmoid"),
    "basic linear": lambda of, n: of.BasicRNNCell(n.num_units, activation="linear"),
    "basic lstm": lambda of, n: of.BasicLSTMCell(n.num_units),
    "basic lstm forget_bias": lambda of, n: of.BasicLSTMCell(n.num_units, 0.3),
    "basic lstm relu": lambda of, n: of.BasicLSTMCell(n.num_units, activation="relu"),
    "basic lstm one array": lambda of, n: of.BasicLSTMCell(n.num_units, state_is_tuple=False),
    "lstm": lambda of, n: of.LSTMCell(n.num_units),
    "lstm forget_bias": lambda of, n: of.LSTMCell(n.num_units, forget_bias=0.3),
    "lstm peepholes": lambda of, n: of.LSTMCell(n.num_units, True),
    "lstm cell_clip": lambda of, n: of.LSTMCell(n.num_units, cell_clip=0.5),
    "lstm peepholes cell_clip": lambda of, n: of.LSTMCell(n.num_units, True, 0.5),
    "lstm num_proj": lambda of, n: of.LSTMCell(n.num_units, num_proj=n.num_proj),
    "lstm sigmoid": lambda of, n: of.LSTMCell(n.num_units, activation="sigmoid"),
    "lstm all": lambda of, n: of.LSTMCell(
        n.num_units,
        use_peepholes=True,
        cell_clip=0.5,
        num_proj=n.num_proj,
        proj_clip=0.25,
        forget_bias=0.3,
        activation="relu",
    ),
    "gru": lambda of, n: of.GRUCell(n.num_units),
    "gru relu": lambda of, n: of.GRUCell(n.num_units, activation="relu"),
    "multi": lambda of, n: of.MultiRNNCell(
        [of.LSTMCell(n.num_units, num_proj=n.num_proj), of.GRUCell(n.num_units)]
    ),
    "residual": lambda of, n: of.ResidualWrapper(of.BasicRNNCell(n.num_units)),
    "residual lstm": lambda of, n: of.ResidualWrapper(of.LSTMCell(n.num_units)),
    "dropout": lambda of, n: of.DropoutWrapper(of.GRUCell(n.num_units)),
    "dropout that drops gru": lambda of, n: dropping(of, of.GRUCell(n.num_units), n),
    "dropout that drops lstm": lambda of, n: dropping(of, of.LSTMCell(n.num_units), n),
    "attention basic": lambda of, n: of.AttentionCellWrapper(
        of.BasicRNNCell(n.num_units), 3, n.attn_size, n.attn_vec_size
    ),
    "attention lstm": lambda of, n: of.AttentionCellWrapper(
        of.LSTMCell(n.num_units, num_proj=n.num_proj), 2, attn_vec_size=n.attn_vec_size
    ),
    "attention multi": lambda of, n: of.AttentionCellWrapper(
        of.MultiRNNCell([of.LSTMCell(n.num_units, num_proj=n.num_proj), of.GRUCell(n.num_units)]),
        3,
        n.attn_size,
        n.attn_vec_size,
    ),
}
CONTRIB = {
    "layer norm": lambda of, n: of.LayerNormBasicLSTMCell(n.num_units),
    "layer norm relu": lambda of, n: of.LayerNormBasicLSTMCell(
        n.num_units, forget_bias=0.3, activation="relu"
    ),
    "layer norm none": lambda of, n: of.LayerNormBasicLSTMCell(n.num_units, layer_norm=False),
    "gru block": lambda of, n: of.GRUBlockCell(n.num_units),
    "lstm block": lambda of, n: of.LSTMBlockCell(n.num_units),
    "lstm block all": lambda of, n: of.LSTMBlockCell(n.num_units, 0.3, 0.5, True),
    "lstm block cell_clip of 0": lambda of, n: of.LSTMBlockCell(n.num_units, cell_clip=0.0),
}
ALL = {**CELLS, **CONTRIB}
every_cell = pytest.mark.parametrize(
    "name", list(CELLS) + [pytest.param(name, marks=needs_contrib) for name in CONTRIB]
)
STEPS = 3
# Those of parameters, and of inputs and states.
SCALES = [(0.5, 1.0), (2.0, 1.0), (0.5, 1e-4), (0.5, 30.0)]
BATCHES = [2, 1, 5, 0]
EVERY_RUN = [(batch, scale) for batch in BATCHES for scale in SCALES]


def few(name):
    """Sizes for a cell.

    A residual is added to inputs of the same size, and layers are confused that read as much.
    """
    return Sizes(inputs={"residual": 4, "residual lstm": 4, "multi": 3}.get(name, 2))


class Run(NamedTuple):
    """What a cell was given, and what TensorFlow's own computes from it.

    Of each step the output, and the parts of the state after it.
    """

    parameters: list
    inputs: list
    state: list
    steps: list


class Network:
    """Some steps of one of TensorFlow's cells, in a graph and a session of its own."""

    def __init__(self, name, sizes):
        self.name, self.sizes = name, sizes
        with tf1.Graph().as_default() as graph:
            cell = ALL[name](Genuine(), sizes)
            self.inputs = tf1.placeholder(tf1.float32, [STEPS, None, sizes.inputs])
            state = nest.map_structure(
                lambda size: tf1.placeholder(tf1.float32, [None, size]), cell.state_size
            )
            self.state, self.steps = nest.flatten(state), []
            for t in range(STEPS):
                output, state = cell(self.inputs[t], state)
                self.steps.append([output] + nest.flatten(state))
            self.variables = graph.get_collection(tf1.GraphKeys.GLOBAL_VARIABLES)
            self.values = [tf1.placeholder(tf1.float32, v.shape) for v in self.variables]
            self.assign = [tf1.assign(*both) for both in zip(self.variables, self.values)]
        options = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        self.session = tf1.Session(graph=graph, config=options)

    def run(self, seed, batch, scale=0.5, data=1.0):
        """Run it on numbers drawn by a seed: parameters, and inputs and states, of a scale."""
        random = np.random.RandomState(seed)

        def drawn(shape, scale):
            return (random.standard_normal(shape) * scale).astype(np.float32)

        parameters = [drawn(v.shape.as_list(), scale) for v in self.variables]
        inputs = drawn((STEPS, batch, self.sizes.inputs), data)
        state = [drawn((batch, part.shape.as_list()[1]), data) for part in self.state]
        self.session.run(self.assign, dict(zip(self.values, parameters)))
        feed = dict(zip(self.state, state))
        feed[self.inputs] = inputs
        return Run(parameters, list(inputs), state, self.session.run(self.steps, feed))


@lru_cache(maxsize=None)
def network(name, sizes):
    return Network(name, sizes)


@pytest.fixture(scope="module")
def numbers(tensorflow):
    """The arithmetic of the TensorFlow at hand, a bias anywhere in its sum."""
    premises = tensorflow._premises
    functions = {name: premises.of(name) for name in ("tanh", "sigmoid", "exp", "softmax")}
    tanh = ["tanh"] + ["fused tanh"] * premises.has("fused tanh")
    functions["affine tanh"] = worst(premises.of(name) for name in tanh)
    return arithmetic("float32", functions)


def balls(twin, run, numbers):
    """Of each step, the output and the parts of the state, as the twin bounds them.

    Every step starts from the state that TensorFlow has.
    """
    twin.load([exact(array, numbers) for array in run.parameters])
    steps = []
    for inputs, before in zip(run.inputs, [run.state] + [step[1:] for step in run.steps]):
        parts = iter([exact(array, numbers) for array in before])
        state = in_shape_of(twin.zero_state(len(inputs), np.float32), parts)
        with np.errstate(all="ignore"):
            output, state = twin(exact(inputs, numbers), state)
        steps.append([output] + flat(state))
    return steps


def in_shape_of(state, parts):
    """A state of these parts."""
    if isinstance(state, tuple):
        return tuple(in_shape_of(part, parts) for part in state)
    return np.reshape(next(parts), state.shape)


def compared(twin, run, numbers):
    """Of all steps side by side: what TensorFlow computes, midpoints and radii of the balls."""
    found = [array for step in run.steps for array in step]
    expected = [ball for step in balls(twin, run, numbers) for ball in step]
    assert [array.size for array in found] == [ball.mid.size for ball in expected]
    pieces = found, [ball.mid for ball in expected], [ball.rad_as_operand() for ball in expected]
    return tuple(np.concatenate([np.ravel(array) for array in each]) for each in pieces)


@every_cell
def test_a_twin_has_the_parameters_of_the_cell_in_the_order_of_their_creation(name):
    sizes = few(name)
    fields = ALL[name](twins, sizes).parameters("scope", ("inputs",))
    variables = network(name, sizes).variables
    assert [field.shape(sizes) for field in fields] == [tuple(v.shape.as_list()) for v in variables]
    ends = [
        [each.split("/")[-1] for each in names]
        for names in (
            [field.name for field in fields],
            [variable.op.name for variable in variables],
        )
    ]
    assert ends[0] == ends[1]
    assert all(field.name.startswith("scope/") for field in fields)


@every_cell
def test_a_twin_knows_the_sizes_of_its_output_and_of_its_state(name):
    sizes = few(name)
    twin, run = ALL[name](twins, sizes), network(name, sizes).run(0, 2)
    known = sizes.sizes()
    assert twin.output_size == known[twin.output_size_name] == run.steps[0][0].shape[1]
    parts = [known[size] for _, size in twin.state_parts]
    if isinstance(twin, twins.AttentionCellWrapper):
        parts.append(twin.attn_length * twin.attn_size)
    widths = [part.shape[1] for part in run.state]
    assert widths == ([sum(parts)] if name == "basic lstm one array" else parts)


@pytest.mark.parametrize(
    "ones, runs",
    [
        pytest.param(False, list(zip(BATCHES, SCALES)), id="few"),
        pytest.param(False, EVERY_RUN, id="few-all", marks=pytest.mark.slow),
        pytest.param(True, EVERY_RUN, id="one-all", marks=pytest.mark.slow),
    ],
)
@every_cell
def test_a_cell_of_tensorflow_is_within_the_bounds_of_its_twin(name, ones, runs, numbers):
    sizes = Sizes(1, 1, 1, 1, 1) if ones else few(name)
    for seed, (batch, (scale, data)) in enumerate(runs):
        # A convolution of no rows has no shape that TensorFlow could go on with, from 2.4 on.
        if batch == 0 and name.startswith("attention"):
            continue
        run = network(name, sizes).run(seed, batch, scale, data)
        found, mid, rad = compared(ALL[name](twins, sizes), run, numbers)
        assert (np.abs(found - mid) <= rad).all()
        if (scale, data) == (0.5, 1.0) and not ones:
            # Wider, they would say little.
            assert (rad <= 512 * ulp_of(np.maximum(np.abs(mid), 1))).all()


# --- mistakes ---------------------------------------------------------------------------------


LSTM, GRU = twins.LSTMCell, twins.GRUCell
# Of a cell above, what somebody may make of it.
MISTAKES = {
    "gates i f j o": ("lstm", lambda n: wrong.reordered(LSTM(n.num_units), 0, 2, 1, 3)),
    "gates i o f j": ("lstm", lambda n: wrong.reordered(LSTM(n.num_units), 0, 3, 2, 1)),
    "no forget bias": ("lstm", lambda n: LSTM(n.num_units, forget_bias=0.0)),
    "forget bias twice": ("basic lstm", lambda n: twins.BasicLSTMCell(n.num_units, 2.0)),
    "hard sigmoid": ("basic lstm", lambda n: wrong.HardSigmoid(n.num_units)),
    "peepholes swapped": ("lstm peepholes", lambda n: wrong.PeepholesSwapped(n.num_units, True)),
    "clip after the output": (
        "lstm cell_clip",
        lambda n: wrong.ClippedAfter(n.num_units, False, 0.5),
    ),
    "gates u r": ("gru", lambda n: wrong.reordered(GRU(n.num_units), 1, 0)),
    "reset after the product": ("gru", lambda n: wrong.ResetAfter(n.num_units)),
    "update gate inverted": ("gru", lambda n: wrong.UpdateInverted(n.num_units)),
    "second bias lost": ("gru", lambda n: wrong.SecondBiasLost(n.num_units)),
    "layers read the same": (
        "multi",
        lambda n: wrong.SameInput([LSTM(n.num_units, num_proj=n.num_proj), GRU(n.num_units)]),
    ),
    "no residual": ("residual", lambda n: twins.BasicRNNCell(n.num_units)),
    "residual before tanh": ("residual", lambda n: wrong.AddedBefore(n.num_units)),
    "residual in the state": (
        "residual",
        lambda n: wrong.AddedToTheState(twins.BasicRNNCell(n.num_units)),
    ),
    "c dropped, too": (
        "dropout that drops lstm",
        lambda n: dropping(wrong.Dropping(wrong.DropsC), LSTM(n.num_units), n),
    ),
    "query of h and c": (
        "attention lstm",
        lambda n: wrong.QueriedByHAndC(
            LSTM(n.num_units, num_proj=n.num_proj), 2, attn_vec_size=n.attn_vec_size
        ),
    ),
    "epsilon outside the root": ("layer norm", lambda n: wrong.EpsilonOutside(n.num_units)),
    "state not normalized": ("layer norm", lambda n: wrong.StateNotNormalized(n.num_units)),
    "peepholes of LSTMCell": (
        "lstm block all",
        lambda n: LSTM(n.num_units, True, 0.5, forget_bias=0.3),
    ),
    "clip of 0 of LSTMCell": (
        "lstm block cell_clip of 0",
        lambda n: LSTM(n.num_units, cell_clip=0),
    ),
}


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(mistake, marks=needs_contrib if name in CONTRIB else ())
        for mistake, (name, _) in MISTAKES.items()
    ],
)
def test_tensorflow_is_out_of_the_bounds_of_a_wrong_twin(mistake, numbers):
    name, planted = MISTAKES[mistake]
    # What is added to a variance shows in a small one.
    run = network(name, few(name)).run(0, 2, data=1e-4 if mistake.startswith("epsilon") else 1.0)
    found, mid, rad = compared(planted(few(name)), run, numbers)
    assert (np.abs(found - mid) > rad).any()


def test_an_activation_that_there_is_not_is_refused():
    for cell in (twins.BasicRNNCell, twins.BasicLSTMCell, twins.LSTMCell, twins.GRUCell):
        with pytest.raises(ValueError, match="'swish': take one of tanh, relu, sigmoid, linear"):
            cell(4, activation="swish")


def test_a_wrapper_that_drops_is_refused():
    for name in ("input_keep_prob", "output_keep_prob", "state_keep_prob"):
        with pytest.raises(ValueError, match="must be 1"):
            twins.DropoutWrapper(twins.GRUCell(4), **{name: 0.5})
