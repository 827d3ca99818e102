"""Keras 3 is judged on each of its backends."""

import json
import os
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
from rnndiff.harness.subjects import keras_backends, keras_divergences
from rnndiff.harness.subjects.keras3 import Keras3
from rnndiff.harness.subjects.keras_backends import BACKENDS, JAX, TENSORFLOW, TORCH, keras_on
from rnndiff.harness.subjects.keras_divergences import known_on
from rnndiff.harness.subjects.named import subject_named


def _skip_without(request, backend):
    if sys.version_info < (3, 10):
        pytest.skip("there is no Keras 3 for this Python")
    missing = [name for name in ("keras", backend) if find_spec(name) is None]
    if missing:
        pytest.skip("there is no {}".format(missing))
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


@pytest.mark.slow
def test_graphs_of_tensorflow_can_be_compared_with_keras_in_a_process(request):
    _skip_without(request, TENSORFLOW)
    made = "from rnndiff.harness.subjects.named import subject_named as made; "
    code = made + "made('keras3'); made('tensorflow')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


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


def test_a_backend_that_is_broken_is_one_sentence(monkeypatch, keras):
    def fails(name):
        raise OSError("libfirst.so: cannot open shared object file")

    monkeypatch.setattr(keras_backends, "import_module", fails)
    with pytest.raises(UserError, match=r"on torch \(OSError: libfirst.so: .*'\.\[keras,torch\]'"):
        Keras3(mode=TORCH)


def test_keras_10_is_later_than_keras_3(monkeypatch, keras):
    monkeypatch.setitem(sys.modules, JAX, SimpleNamespace())
    keras.__version__ = "10.0.1"
    with pytest.raises(UserError, match="^Keras was imported on tensorflow"):
        Keras3(mode=JAX)


_KERAS = """
import os
from types import SimpleNamespace

__version__, found = "3.15.1", os.environ["KERAS_BACKEND"]
config = SimpleNamespace(backend=lambda: found)
"""


@pytest.mark.parametrize("before", ["torch", None])
def test_the_environment_is_what_it_was_once_keras_is_imported(monkeypatch, tmp_path, before):
    # Whatever is there comes back, and what comes is taken away.
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setitem(sys.modules, JAX, SimpleNamespace())
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if before:
        monkeypatch.setenv("KERAS_BACKEND", before)
    (tmp_path / "keras.py").write_text("raise RuntimeError('broken')")
    with pytest.raises(UserError, match="RuntimeError: broken"):
        keras_on(JAX)
    assert os.environ.get("KERAS_BACKEND") == before
    (tmp_path / "keras.py").write_text(_KERAS)
    assert keras_on(JAX).found == JAX
    assert os.environ.get("KERAS_BACKEND") == before


@pytest.mark.parametrize("onednn", [True, False])
def test_what_is_known_of_tensorflow_holds_of_keras_where_it_does_there(monkeypatch, onednn):
    monkeypatch.setattr(keras_divergences, "has_onednn", lambda version: onednn)
    known = known_on(TENSORFLOW, SimpleNamespace(__version__="2.21.0-rc1"))
    softmax = ["softmax-zero-beside-nan"] if onednn else []
    assert [entry.name for entry in known] == softmax + ["unrolled-mask-is-not-reversed"]


def test_keras_2_is_one_sentence(monkeypatch, keras):
    monkeypatch.setitem(sys.modules, JAX, SimpleNamespace())
    keras.__version__ = "2.15.0"
    with pytest.raises(UserError, match=r"^This needs Keras 3, and here is Keras 2\.15\.0\.$"):
        Keras3(mode=JAX)
