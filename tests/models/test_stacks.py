"""Layers that are run in both directions: the ports of contrib's functions, and their oracle."""

import numpy as np
import pytest

from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.harness.judging.verdict import AGREE, judge
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.models import MODELS
from rnndiff.models.birnn.config import DIRECTIONS
from rnndiff.models.stackbirnn.config import RUNNERS

try:
    from rnndiff.models.cells.cell import flat
    from rnndiff.models.cells.tensorflow import tensorflow_cell
    from rnndiff.models.stackbirnn import graph
    from rnndiff.models.stackbirnn import tensorflow as port
    from rnndiff.models.tf1 import tf1
except Exception:
    # Whatever it is that it raises: the fixture, which every test of it uses, says so.
    flat = tensorflow_cell = graph = port = tf1 = None
try:
    from tensorflow.contrib import rnn as contrib
except Exception:
    contrib = None

needs_contrib = pytest.mark.skipif(contrib is None, reason="only TensorFlow 1.x has contrib")
needs_tensorflow = pytest.mark.usefixtures("tensorflow")
every_runner = pytest.mark.parametrize("runner", RUNNERS)
FLOAT64 = arithmetic("float64", dict.fromkeys(("tanh", "exp"), Accuracy(4, 0)))


def with_lengths(kind, **options):
    """A case of two layers whose rows have all lengths."""
    model = MODELS["stackbirnn-" + kind]
    chosen = dict(batch=4, time=3, inputs=2, num_units=3, layers=2)
    chosen.update(dict(sequence_length=True, initial_state=True), **options)
    case = normal_case(np.random.RandomState(0), model, model.Config(**chosen), gain=0.5)
    case.arrays["sequence_length"][:] = [0, 1, 3, 2]
    return case


@needs_contrib
@needs_tensorflow
@every_runner
def test_the_ports_build_the_graphs_of_the_genuine_functions(runner):
    config = with_lengths("lstm", runner=runner).config
    genuine, ported = (
        graph.build(config, functions=each).graph.as_graph_def().node for each in (contrib, port)
    )
    assert [node.name for node in ported] == [node.name for node in genuine]
    assert [a.name for a, b in zip(ported, genuine) if a != b] == []


@needs_tensorflow
@pytest.mark.parametrize("runner", RUNNERS[:2])
def test_parameters_are_in_the_order_of_layers_and_of_directions_by_contribs_names(runner):
    case = with_lengths("gru", runner=runner, layers=3)
    variables = graph.build(case.config).parameters
    fields = case.model.parameters(case.config)
    assert [tuple(v.shape.as_list()) for v in variables] == [x.shape(case.config) for x in fields]
    short = {"forward": "fw", "backward": "bw"}
    for variable, field in zip(variables, fields):
        cell, direction = field.name.split("/")[:2]
        found = variable.op.name.split("/")
        assert found[:2] == ["stack_bidirectional_rnn", cell] and short[direction] in found


@pytest.mark.slow
@needs_tensorflow
@pytest.mark.filterwarnings("ignore:.*Cell. is deprecated:UserWarning")
def test_what_is_recorded_of_the_layers_changes_nothing():
    case = with_lengths("layers", residual=True, runner="stack_bidirectional_dynamic_rnn")
    recorded = graph.build(case.config)
    found = run(recorded, case, recorded.trace)
    with recorded.graph.as_default(), tf1.variable_scope("alone"):
        forward, backward = ([tensorflow_cell(case.config) for _ in range(2)] for _ in DIRECTIONS)
        states = [
            [recorded.data["{}_initial_{}".format(direction, part)] for part, _ in kind_state(case)]
            for direction in DIRECTIONS
        ]
        initial = [
            [packed(cell, [x[:, number] for x in parts]) for number, cell in enumerate(cells)]
            for cells, parts in zip((forward, backward), states)
        ]
        outputs, *final = graph.stacks().stack_bidirectional_dynamic_rnn(
            forward,
            backward,
            recorded.data["inputs"],
            *initial,
            dtype=tf1.float32,
            sequence_length=recorded.data["sequence_length"],
        )
        variables = tf1.get_collection(tf1.GraphKeys.GLOBAL_VARIABLES)[len(case.parameters) :]
    alone = recorded._replace(parameters=variables)
    expected = run(alone, case, {"outputs": outputs, "final": [flat(x) for x in final]})
    assert found["outputs"].tobytes() == expected["outputs"].tobytes()
    for direction, layers in zip(DIRECTIONS, expected["final"]):
        count = len(layers) // 2
        for place, (part, _) in enumerate(kind_state(case)):
            mine = found["{}_final_{}".format(direction, part)]
            both = np.stack([layers[place], layers[count + place]], axis=1)
            assert mine.tobytes() == both.tobytes()


def kind_state(case):
    return case.config.kind.state


def packed(cell, parts):
    return graph.state_of(cell, parts)


def run(built, case, fetches):
    with tf1.Session(graph=built.graph) as session:
        for variable, value in zip(built.parameters, case.parameters):
            variable.load(value, session)
        feed = {tensor: case.arrays[name] for name, tensor in built.data.items()}
        return session.run(fetches, feed)


@pytest.mark.parametrize("kind", ["basic", "lstm", "layers"])
def test_in_all_layers_a_row_that_ends_is_what_it_is_alone(kind):
    case = with_lengths(kind)
    trace = {name: np.zeros_like(x) for name, x in case.oracle(float).items()}
    arrays = {name: x.astype(float) for name, x in case.arrays.items()}
    initial = [field.name for field in case.model.data if field.when == "initial_state"]
    for row, length in enumerate(case.arrays["sequence_length"]):
        if not length:
            for name in initial:
                trace[name.replace("initial", "final")][row] = arrays[name][row]
            continue
        config = case.model.Config(
            batch=1, time=int(length), inputs=2, num_units=3, layers=2, initial_state=True
        )
        found = case.model.compute(
            config,
            [x.astype(float) for x in case.parameters],
            arrays["inputs"][row : row + 1, :length],
            None,
            *(arrays[name][row : row + 1] for name in initial),
        )
        for name, array in found.items():
            if "final" in name:
                trace[name][row] = array[0]
            else:
                trace[name][row, :length] = array[0]
    verdict = judge(case, trace, FLOAT64)
    assert verdict.status == AGREE and not verdict.missing, verdict.summary()
