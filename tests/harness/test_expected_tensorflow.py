"""TensorFlow is expected: where it does not import, what needs it fails, unless told otherwise."""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MISSING = """
import sys

for name in ("tensorflow", "keras", "tf_keras"):
    sys.modules[name] = None  # An import of it raises ImportError.
"""
# What `import tensorflow` runs.
BROKEN = {
    "missing": None,
    "a library is missing": "raise ImportError('libtensorflow.so: cannot open shared object')",
    "an unfit protobuf": "raise TypeError('Descriptors cannot be created directly.')",
}
# A fixture that takes `tensorflow`; the fixture itself; a module that imports it.
NEED_IT = ["tests/test_corpus.py", "tests/harness/test_verify.py", "tests/models"]
SELECTED = "(argmax or counted or loads) and not genuine and not computed"


def run_pytest(folder, source, *options):
    (folder / "hidden.py").write_text(MISSING if source is None else "")
    if source is not None:
        (folder / "tensorflow").mkdir()
        (folder / "tensorflow" / "__init__.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "hidden", "-p", "no:cacheprovider", "-n", "0"]
    # Not all of sys.path: setuptools adds plugins of pytest to it, which are none of ours.
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        command + ["-k", SELECTED] + list(options) + NEED_IT,
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths)), COLUMNS="200"),
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("source", list(BROKEN.values()), ids=list(BROKEN))
def test_what_needs_a_tensorflow_that_does_not_import_fails_in_one_sentence(source, tmp_path):
    run = run_pytest(tmp_path, source)
    assert run.returncode == 1, run.stdout
    last = run.stdout.splitlines()[-1]
    assert " errors" in last and "passed" not in last and "skipped" not in last, run.stdout
    for module in NEED_IT:
        assert "ERROR {}".format(module) in run.stdout
    assert "TensorFlow does not import, so the tests that need it fail" in run.stdout
    assert source is None or source.split("'")[1].rstrip(".") in run.stdout
    assert "Traceback" not in run.stdout and "another exception" not in run.stdout


def test_it_is_left_out_when_told_so_and_the_reason_is_given(tmp_path):
    run = run_pytest(tmp_path, BROKEN["an unfit protobuf"], "--without-tensorflow")
    assert run.returncode == 0, run.stdout
    assert "--without-tensorflow" in run.stdout and "error" not in run.stdout.splitlines()[-1]
