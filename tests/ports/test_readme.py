"""What the pages tell the authors of ports to write works as it stands there."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
from pytorch import lstm, unrolled

import rnndiff

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
PAGES = ["README.md", os.path.join("docs", "ports.md")]


def blocks(language):
    for page in PAGES:
        with open(os.path.join(ROOT, page), encoding="utf-8") as file:
            yield from re.findall(r"```{}\n(.*?)```".format(language), file.read(), re.DOTALL)


def block(language, with_text):
    (code,) = [block for block in blocks(language) if with_text in block]
    return code


def recipe():
    return block("python", "class MyPort")


def few(text):
    """The same of few units and cases."""
    return text.replace("64", "4").replace("empty=False", "empty=False, cases=99")


MY_RNN = """
import numpy as np


def scores(parameters, inputs):
    of_forward, of_backward = parameters[0:2], parameters[2:4]
    kernel, bias = parameters[4:6]
    forward = run(inputs, *of_forward)
    # The output of the last step is the first one that goes backwards.
    backward = run(inputs[:, :-2:-1], *of_backward)
    return np.hstack([forward, backward]) @ kernel + {bias}


def run(inputs, kernel, bias):
    state = np.zeros((len(inputs), bias.size), np.float32)
    for t in range(inputs.shape[1]):
        state = np.tanh(np.hstack([inputs[:, t], state]) @ kernel + bias)
    return state
"""


def test_the_five_lines_are_a_test_and_the_one_line_a_command(tmp_path):
    code = block("python", "from my_rnn import")
    assert len([line for line in code.splitlines() if line.strip()]) == 5
    (tmp_path / "test_my_port.py").write_text(few(code))
    (tmp_path / "my_rnn.py").write_text(MY_RNN.format(bias="bias"))
    pytest_it = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_my_port.py"]
    ended = subprocess.run(pytest_it, cwd=str(tmp_path), capture_output=True, text=True)
    assert "1 passed" in ended.stdout, ended.stdout
    (tmp_path / "my_rnn.py").write_text(MY_RNN.format(bias="0 * bias"))
    (line,) = re.findall("^rnndiff (check .*)$", block("sh", "rnndiff check my_rnn"), re.MULTILINE)
    check = [sys.executable, "-m", "rnndiff", *few(line).split(), "--workers", "1"]
    ended = subprocess.run(check, cwd=str(tmp_path), capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert "disagree: scores (teacher-forced)" in ended.stdout


def test_the_lines_with_a_layout_and_with_an_assertion_run(tmp_path):
    lines = block("python", 'layout="pytorch"') + block("python", "def test_dense")
    made = {"lstm": lambda inputs, *weights: unrolled(lstm, 2, weights, inputs), "np": np}
    made["rnndiff"] = SimpleNamespace(
        port=lambda *args, **given: rnndiff.port(*args, cases=100, **given),
        assert_within_bounds=rnndiff.assert_within_bounds,
    )
    made["my_library"] = SimpleNamespace(dense=lambda x, w, b: np.tanh(b + x @ w))
    made.update(x=np.eye(3, dtype="f4"), kernel=np.full((3, 2), 0.1, "f4"), bias=np.ones(2, "f4"))
    exec(lines, made)
    made["test_my_lstm"]()
    made["test_dense"]()


def test_the_recipe_for_ports_is_a_test_that_passes(tmp_path):
    assert "range(100)" in recipe()
    (tmp_path / "my_port.py").write_text(recipe().replace("range(100)", "range(8)"))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "my_port.py"]
    ended = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True)
    assert "1 passed" in ended.stdout and "0 disagree" in ended.stdout, ended.stdout
    fuzz = [sys.executable, "-m", "rnndiff", "fuzz", "bidirectional", "--cases", "200"]
    fuzz += ["--subject", "my_port:MyPort", "--workers", "1"]
    ended = subprocess.run(fuzz, cwd=str(tmp_path), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    ulp = [
        sys.executable,
        "-m",
        "rnndiff",
        "ulp",
        "--subject",
        "my_port:MyPort",
        "--samples",
        "2000",
    ]
    ended = subprocess.run(ulp, cwd=str(tmp_path), capture_output=True, text=True)
    assert ended.returncode == 0 and "arithmetic(" in ended.stdout, ended.stderr
