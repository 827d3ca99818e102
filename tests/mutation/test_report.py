"""What is mutated, and that every mutant that lives has a reason."""

import glob
import importlib.util
import os

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# What builds TensorFlow's graphs, and tables; and what needs TensorFlow, at seconds a mutant.
OTHERS = {
    "models/cells/__init__.py",
    "models/cells/attention_tensorflow.py",
    "models/cells/kinds.py",
    "models/cells/layouts.py",
    "models/cells/tensorflow.py",
    "models/cells/keras/__init__.py",
    "models/cells/keras/tensorflow.py",
}


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("report", os.path.join(HERE, "report.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_oracles_and_cells_are_mutated(report):
    modules = {target["module"] for target in report.load("targets.json")["targets"]}
    for folder in ("models/*/oracle.py", "models/cells/*.py", "models/cells/keras/*.py"):
        found = {os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(ROOT, folder))}
        found = {path.replace(os.sep, "/") for path in found}
        # A module that computes nothing of its own has no mutant.
        assert found - OTHERS - modules <= {"models/cells/wrapper.py", "models/cells/gru_block.py"}
    assert all(os.path.isfile(os.path.join(ROOT, module)) for module in modules)


def test_every_mutant_that_lives_is_explained(report):
    page = report.page(*map(report.load, ("targets.json", "results.json", "survivors.json")))
    assert report.OPEN not in page
    with open(os.path.join(HERE, "RESULT.md"), encoding="utf-8") as file:
        assert file.read() == page


def test_a_reason_is_that_of_one_module_alone_and_a_mutant_without_one_is_open(report):
    mutant = {"line": 3, "before": "x = 1", "after": "x = 2"}
    table = {"targets": [{"module": "a.py"}, {"module": "b.py"}, {"module": "c.py"}]}
    one = dict(commit="abc", date="today", mutants=5, killed=2, timeout=1, survivors=[mutant])
    page = report.page(table, {"a.py": one, "b.py": one}, {"a.py": {"x = 2": "so it is"}})
    assert "| `a.py` | abc | today | 5 | 4 | 2 | 1 | 1 | 0 |" in page
    assert "| `b.py` | abc | today | 5 | 4 | 2 | 1 | 0 | 1 |" in page
    assert "- line 3: `x = 2` for `x = 1`: so it is" in page
    assert page.count(report.OPEN) == 1 and "Not reached: `c.py`." in page
