"""Graphs are built once for each config, and kept within bounds."""

import json
import os
import subprocess
import sys

import pytest
from examples import random_case

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
