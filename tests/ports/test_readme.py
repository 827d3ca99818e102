"""What README tells the authors of ports to write works as it stands there."""

import os
import re
import subprocess
import sys

README = os.path.join(os.path.dirname(__file__), "..", "..", "README.md")


def recipe():
    with open(README, encoding="utf-8") as file:
        (code,) = [
            block
            for block in re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
            if "class MyPort" in block
        ]
    return code


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
