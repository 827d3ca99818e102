"""TensorFlow's mode in which networks are run eagerly."""

import numpy as np
import pytest
from examples import random_case

from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.quality.mistakes import MISTAKES
from rnndiff.harness.report.describe import describe
from rnndiff.harness.subjects.tensorflow.kernels import Kernels
from rnndiff.harness.subjects.tensorflow.modes import MODES

EAGER = MODES["eager"]


@pytest.fixture(scope="module")
def eager(tensorflow):
    """TensorFlow in this mode; it skips the tests where there is none."""
    if tensorflow.version < EAGER.first:
        pytest.skip("this TensorFlow does not have the mode")
    return type(tensorflow)(mode="eager")


@pytest.fixture
def with_graph(eager):
    """A function: TensorFlow in this mode, of graphs that are changed."""

    def made(changed):
        return type(eager)(
            build=lambda case: changed(case.model.graph().build(case.config)), mode="eager"
        )

    return made


@pytest.mark.parametrize(
    "name, options",
    [
        ("bidirectional", {"batch": 3}),
        # Variables of one name, asked for at every step; softmaxes beside those of the attention.
        ("attention-lstm", {"output_time": 3, "time": 2, "feeds": "probabilities"}),
        ("attention", {"output_time": 2, "time": 2, "open_batch": True}),
        ("rnn-lstm", {"runner": "dynamic_rnn", "sequence_length": True, "initial_state": True}),
        ("rnn-dropout-lstm", {"runner": "static_rnn"}),
        ("birnn-gru", {"runner": "bidirectional_dynamic_rnn, time_major", "open_batch": True}),
        ("stackbirnn-basic", {"layers": 2}),
        # The layer makes its variables itself; the cell is wrapped in another one.
        ("keras-lstm", {"runner": "layer", "mask": True}),
        ("keras-gru", {"runner": "RNN"}),
        ("keras-bidirectional-lstm", {}),
    ],
)
def test_a_network_agrees_that_is_run_eagerly(name, options, eager):
    for seed in range(2):
        # With variables of the numbers of the second case, not of the first one.
        case = random_case(name, seed, **options)
        verdict, trace = verdict_on(eager, case)
        assert verdict.status in ("agree", "undecided"), describe(case, verdict)
        of_graph = eager._session(case).graph.trace
        assert {name: array.dtype for name, array in trace.items()} == {
            name: tensor.dtype.as_numpy_dtype for name, tensor in of_graph.items()
        }


def test_rows_without_a_step_run_no_cell_and_make_no_variables(eager):
    case = random_case("birnn-gru", sequence_length=True)
    case.arrays["sequence_length"][:] = 0
    assert verdict_on(eager, case)[0].status == "agree"


def test_nothing_is_fused_or_compiled_and_no_divergence_of_grapplers_is_known(eager):
    case = random_case("bidirectional", batch=3)
    kernels = eager._session(case).kernels(case)
    assert kernels.plain_tanh and not kernels.fused_tanh
    assert not kernels.biased and not kernels.compiled and eager.kernels(case) == ()
    assert not eager.arithmetic(case).bias_anywhere
    assert eager.known and not any(entry.where.grappler for entry in eager.known)
    assert eager.title.endswith(", eager") and eager.script(case, None, {}) == ""
    assert eager.premise.endswith("each bias is added by itself")


def test_what_is_presumed_of_kernels_is_tried_eagerly(eager):
    kernels = Kernels(eager._tf1, None, EAGER)
    numbers = {each.function.name: np.float32([0.5, 0.25]) for each in kernels.kernels}
    from rnndiff.models import graphs

    probes, ran = graphs.operations_of(lambda: list(kernels.probe(numbers)))
    assert {kind for kind, _, _ in ran} >= {"Tanh", "Exp", "Log", "Sigmoid", "Softmax"}
    assert len(probes) == 2
    for kernel, arguments, results in probes[0]:
        assert np.allclose(results, kernel.exact(arguments), rtol=1e-5)
    # Named for what oneDNN puts in the place of some, as in a session that rewrites nothing else.
    of_session = Kernels(eager._tf1, None, MODES["grappler-off"])
    assert [x.op for x in kernels.kernels] == [x.op for x in of_session.kernels]


@pytest.mark.parametrize("name, model", [("scores-of-other-rows", "seq2seq")])
def test_a_mistake_in_the_network_is_blamed(name, model, eager):
    (mistake,) = [x for x in MISTAKES if x.name == name]
    subject = type(eager)(build=mistake.build, mode="eager")
    assert verdict_on(subject, random_case(model, batch=3, outputs=3))[0].status == DISAGREE


def test_it_is_the_network_that_is_run_and_not_its_graph(with_graph):
    def changed(graph):
        def compute(data):
            trace = graph.compute(data)
            return dict(trace, loss=trace["loss"] + 1)

        return graph._replace(compute=compute)

    verdict, _ = verdict_on(with_graph(changed), random_case("seq2seq"))
    assert verdict.first_wrong().name == "loss"


@pytest.mark.parametrize(
    "changed, said",
    [
        (lambda found: found[::-1], "comes where the graph has"),
        (lambda found: found[:-1], "comes where the graph has \\[\\]"),
        (lambda found: [*found, found[0]], "WrongVariables: the graph also has"),
    ],
    ids=["another order", "one more", "one less"],
)
def test_variables_that_are_not_those_of_the_graph_are_an_error(changed, said, with_graph):
    subject = with_graph(lambda graph: graph._replace(parameters=changed(graph.parameters)))
    with pytest.raises(SubjectError, match=said):
        subject(random_case("bidirectional"))


def test_a_graph_without_what_it_was_built_by_is_one_sentence(with_graph):
    subject = with_graph(lambda graph: graph._replace(compute=None))
    with pytest.raises(UserError, match="cannot be run eagerly.$"):
        subject(random_case("bidirectional"))
