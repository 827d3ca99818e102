"""Graphs are built once for each config, and kept within bounds."""

import inspect
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from examples import random_case

from rnndiff.harness.cases.case import load
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.subjects import Subject
from rnndiff.harness.subjects.subject import Wrapper
from rnndiff.harness.subjects.tensorflow.divergences import ENTRIES
from rnndiff.harness.subjects.tensorflow.kernels import fused

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENDURANCE = os.path.join(ROOT, "benchmarks", "endurance.py")


@pytest.fixture
def counted(tensorflow):
    """A function that makes a TensorFlow with a cache, and the configs that it built so far."""

    def make(**bounds):
        built = []

        def build(case):
            built.append(case.config.batch)
            return case.model.graph().build(case.config)

        return type(tensorflow)(build=build, **bounds), built

    return make


def run(subject, *batches):
    for batch in batches:
        subject(random_case("bidirectional", batch=batch))


def test_cases_of_one_config_share_a_graph(counted):
    subject, built = counted()
    cases = [random_case("bidirectional", seed) for seed in range(3)]
    traces = [subject(case) for case in cases]
    assert len(built) == 1
    assert (traces[0]["scores"] != traces[1]["scores"]).any()


def test_the_graph_that_was_not_used_for_longest_goes_first(counted):
    subject, built = counted(graphs_kept=2)
    run(subject, 1, 2, 1, 3, 1, 3)
    assert built == [1, 2, 3]
    run(subject, 2)
    assert built == [1, 2, 3, 2]


def test_graphs_of_too_many_bytes_go_but_for_the_one_in_use(counted):
    subject, built = counted(bytes_kept=1)
    run(subject, 1, 1, 2, 2, 1)
    assert built == [1, 2, 1]


def test_the_kernels_are_those_of_the_graph_that_computes(tensorflow):
    """The numbers of the run that tells its kernels are those of the runs that do not."""
    case = random_case("attention", batch=3)
    trace = tensorflow(case)
    ready = tensorflow._session(case)
    options = tensorflow._tf1._callable_options(ready._feeds, ready._fetches)
    options.run_options.output_partition_graphs = True
    told = ready._running.session._make_callable_from_options(options)
    metadata = tensorflow._tf1.tf1.RunMetadata()
    numbers = told(case.inputs, case.labels, run_metadata=metadata)
    for name, array in zip(trace, numbers):
        np.testing.assert_array_equal(trace[name], array)
    nodes = [node for graph in metadata.partition_graphs for node in graph.node]
    biased = {(node.op, fused(node)) for node in nodes if fused(node)}
    assert ready.kernels(case).biased == biased


def test_to_ask_for_the_arithmetic_leaves_the_weights_as_they_were(tensorflow):
    case = random_case("bidirectional", batch=3)
    ready = tensorflow._session(case)
    trace = tensorflow(case)
    ready._kernels = None
    tensorflow.arithmetic(case)
    again = ready._running.run(ready._fetches, ready._feeds, [case.inputs, case.labels])
    for name, array in zip(trace, again):
        np.testing.assert_array_equal(trace[name], array)


def test_a_bias_is_anywhere_unless_all_kernels_of_the_graph_add_it_last(tensorflow, monkeypatch):
    case = random_case("bidirectional", batch=3)
    kernels = tensorflow._session(case).kernels(case)
    premises = tensorflow._premises
    assert tensorflow.arithmetic(case).bias_anywhere == (
        kernels.compiled or not kernels.biased <= premises.bias_last
    )
    if kernels.biased:
        monkeypatch.setattr(tensorflow, "_looked_up", premises._replace(bias_last=frozenset()))
        assert tensorflow.arithmetic(case).bias_anywhere
    monkeypatch.setattr(tensorflow, "_looked_up", premises)
    monkeypatch.setattr(tensorflow._session(case), "_kernels", kernels._replace(compiled=True))
    assert tensorflow.arithmetic(case).bias_anywhere


def assert_as_accurate_as_the_worst_kernel(case, function, judged_by, tensorflow, monkeypatch):
    """That `function`, whose bound is called `judged_by`, is as its kernels in the graph are."""
    kernels, premises = tensorflow._session(case).kernels(case), tensorflow._premises
    plain, fused = "plain_" + function, "fused_" + function
    functions = {
        (function, "A"): Accuracy(5.0, 0.0),
        ("fused " + function, "B"): Accuracy(1.0, 0.25),
    }
    functions.update({n: known for n, known in premises.functions.items() if function not in n[0]})
    monkeypatch.setattr(tensorflow, "_looked_up", premises._replace(functions=functions))
    for is_plain, in_product, wanted in (
        (True, False, Accuracy(5.0, 0.0)),
        (False, True, Accuracy(1.0, 0.25)),
        (True, True, Accuracy(5.0, 0.25)),
        (False, False, Accuracy(5.0, 0.0)),
    ):
        seen = kernels._replace(**{plain: is_plain, fused: in_product})
        monkeypatch.setattr(tensorflow._session(case), "_kernels", seen)
        assert tensorflow.arithmetic(case).functions[judged_by] == wanted


def test_a_tanh_is_as_accurate_as_the_worst_of_the_kernels_in_its_graph(tensorflow, monkeypatch):
    case = random_case("bidirectional", batch=3)
    assert_as_accurate_as_the_worst_kernel(case, "tanh", "affine tanh", tensorflow, monkeypatch)


@pytest.mark.parametrize(
    "name, options",
    [("rnn-gru", {"runner": "dynamic_rnn"}), ("rnn-basic", {"activation": "sigmoid"})],
)
def test_a_sigmoid_is_as_accurate_as_the_worst_of_the_kernels_in_its_graph(
    name, options, tensorflow, monkeypatch
):
    case = random_case(name, **options)
    kernels, premises = tensorflow._session(case).kernels(case), tensorflow._premises
    assert kernels.fused_sigmoid == premises.has("fused sigmoid")
    assert kernels.plain_sigmoid or kernels.fused_sigmoid
    assert_as_accurate_as_the_worst_kernel(case, "sigmoid", "sigmoid", tensorflow, monkeypatch)


def test_what_is_presumed_is_said_by_tally_and_saved_case(tensorflow, tmp_path):
    class Wrong(Subject):
        premise = "as accurate as hoped"
        arithmetic = staticmethod(tensorflow.arithmetic)

        def __call__(self, case):
            trace = dict(tensorflow(case))
            return dict(trace, scores=trace["scores"] + np.float32(0.25))

    tally = Tally()
    checker = Checker(Wrong(), tally, str(tmp_path), evaluations=0)
    (failure,) = checker([random_case("bidirectional", batch=3)]).failures
    assert "as accurate as hoped" in list(tally.lines())
    assert load(failure.path).notes["premise"] == "as accurate as hoped"
    other = Tally()
    other.add_dict(tally.as_dict())
    assert other.premise == "as accurate as hoped"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_once_the_cache_is_full(tensorflow, tmp_path):
    def growth(graphs_kept):
        """MiB that the second half of the configs adds."""
        path = tmp_path / "endurance.json"
        options = ["--configs", "90", "--cases", "360", "--graphs-kept", str(graphs_kept)]
        command = [sys.executable, ENDURANCE] + options + ["--json", str(path)]
        run = subprocess.run(command, stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT))
        assert run.returncode == 0
        parts = json.loads(path.read_text())
        assert parts[-1]["cases"] == 360
        return parts[-1]["resident"] - parts[4]["resident"]

    # How much a graph takes, TensorFlow and the allocator at hand know.
    assert growth(graphs_kept=4) < growth(graphs_kept=90) / 2


def test_a_wrapper_states_all_that_its_subject_does():
    class Stated(Subject):
        """Says something else than the default of everything."""

        known, repeatable, label, premise = ("entry",), False, "stated", "measured"
        timeout = 1.0

        def __call__(self, case):
            return "trace", case

        def ended_by(self, case):
            return "signal", case

        def arithmetic(self, case):
            return "arithmetic", case

        def supports(self, model, config):
            return "supports", model, config

        def script(self, case, verdict, notes):
            return "script", case, verdict, notes

        def advice(self, case):
            return "advice", case

        def kernels(self, case):
            return "kernels", case

    subject, wrapper = Stated(), Wrapper(Stated())
    names = {name for name in vars(Subject) if not name.startswith("_")} - {"fresh"}
    methods = {name for name in names if callable(getattr(subject, name))}
    assert methods == {"ended_by", "arithmetic", "supports", "script", "advice", "kernels"}
    assert wrapper("case") == subject("case")
    for name in names:
        mine, its = getattr(wrapper, name), getattr(subject, name)
        if name in methods:
            arguments = list(inspect.signature(its).parameters)
            mine, its = mine(*arguments), its(*arguments)
        assert mine == its, name
    assert type(wrapper.fresh()) is Wrapper and wrapper.fresh().label == "stated"


@pytest.mark.parametrize("first", ["SIGKILL", "Hang"])
def test_only_what_a_known_ending_expects_is_taken_to_be_so_for_the_cases_after_it(
    first, tensorflow, monkeypatch
):
    subject = type(tensorflow)(timeout=7.0)
    entry = next(entry for entry in ENTRIES if entry.name == "empty-inner-product")
    subject.known, case = (entry,), entry.minimal.case()
    names, asked = [first, "SIGABRT", "Hang"], []

    def ended_by(case, timeout, name, mode):
        asked.append(timeout)
        return names[len(asked) - 1]

    monkeypatch.setattr("rnndiff.harness.subjects.endings.ended_by", ended_by)
    assert [subject.ended_by(case) for _ in range(4)] == [first] + ["SIGABRT"] * 3
    assert asked == [7.0, 7.0]


def test_a_known_ending_is_looked_for_with_each_choice_of_options(tensorflow, monkeypatch):
    subject = type(tensorflow)()
    subject.known = tuple(entry for entry in ENTRIES if entry.name == "empty-inner-product")
    asked = []

    def ended_by(case, timeout, name, mode):
        asked.append(case.config)
        return "SIGABRT" if case.config.open_batch else None

    monkeypatch.setattr("rnndiff.harness.subjects.endings.ended_by", ended_by)
    cases = [
        random_case("seq2seq", num_units=0, batch=batch, open_batch=opened)
        for batch in (1, 2)
        for opened in (True, False)
    ]
    assert [subject.ended_by(case) for case in cases] == ["SIGABRT", None] * 2
    assert len(asked) == 2


AT_EXIT = """
import atexit, sys
sessions = []
# Called after what is registered later.
atexit.register(lambda: print([session._closed for session in sessions]))
from examples import random_case
from rnndiff.harness.subjects.tensorflow import TensorFlow
subject = TensorFlow()
for name in ("seq2seq", "bidirectional"):
    subject(random_case(name))
sessions += [ready._running.session for ready in subject._ready.values()]
sys.exit(0)
"""


def test_sessions_are_closed_before_the_process_ends_and_nothing_is_complained_of(tensorflow):
    paths = [ROOT, os.path.dirname(os.path.abspath(__file__))]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AT_EXIT],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(paths)),
    )
    # 2.18 and 2.20 tell of themselves there, whatever TF_CPP_MIN_LOG_LEVEL is.
    of_tensorflow = r"WARNING: All log messages before absl|[IW]\d{4} "
    said = [x for x in done.stderr.splitlines() if not re.match(of_tensorflow, x)]
    assert (done.stdout, said) == ("[True, True]\n", [])
