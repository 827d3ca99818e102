"""Keras 3 is judged on each of its backends."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from judging import blamed
from keras_on import LAYERS

from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.verdict import KNOWN
from rnndiff.harness.subjects.keras3 import Keras3
from rnndiff.harness.subjects.keras_backends import BACKENDS, JAX, TENSORFLOW
from rnndiff.harness.subjects.named import subject_named


def _skip_without(request, backend):
    missing = [name for name in ("keras", backend) if find_spec(name) is None]
    if missing or sys.version_info < (3, 10):
        pytest.skip("there is no {}".format(missing or "Keras 3 for this Python"))
    from importlib.metadata import version

    if version("keras").startswith("2."):
        pytest.skip("Keras {} is installed".format(version("keras")))
    if backend == TENSORFLOW and request.config.getoption("--without-tensorflow"):
        pytest.skip("--without-tensorflow")


def test_layers_of_keras_are_not_blamed(request):
    _skip_without(request, TENSORFLOW)
    reports = blamed(subject_named("keras3"), LAYERS, 300)
    assert not reports, reports[0]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_keras_is_judged_on_a_backend(request, backend):
    _skip_without(request, backend)
    command = [sys.executable, str(Path(__file__).with_name("keras_on.py")), backend, "640"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert not told["blamed"], told["blamed"][0]
    assert told["until_blamed"]
    # One that is gone, or that another version does not have, is to be taken off.
    assert told["known"] == {name: [KNOWN, [name]] for name in told["known"]}
    assert told["known"]


@pytest.fixture
def keras(monkeypatch):
    """A Keras that was imported on TensorFlow."""
    made = SimpleNamespace(__version__="3.15.1", config=SimpleNamespace(backend=lambda: TENSORFLOW))
    monkeypatch.setitem(sys.modules, "keras", made)
    return made


def test_another_backend_than_that_of_the_process_is_one_sentence(monkeypatch, keras):
    monkeypatch.setitem(sys.modules, JAX, SimpleNamespace())
    with pytest.raises(UserError, match=r"^Keras was imported on tensorflow, .* --mode jax by"):
        Keras3(mode=JAX)


def test_a_backend_that_is_not_there_is_one_sentence(monkeypatch, keras):
    monkeypatch.setitem(sys.modules, JAX, None)
    with pytest.raises(UserError, match=r"^This needs Keras 3 on jax .*'\.\[keras,jax\]'"):
        Keras3(mode=JAX)


def test_keras_2_is_one_sentence(monkeypatch, keras):
    monkeypatch.setitem(sys.modules, JAX, SimpleNamespace())
    keras.__version__ = "2.15.0"
    with pytest.raises(UserError, match=r"^This needs Keras 3, and here is Keras 2\.15\.0\.$"):
        Keras3(mode=JAX)
