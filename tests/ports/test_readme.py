"""What README tells the authors of ports to write works as it stands there."""

import os
import re

from harness.subjects import Subject

README = os.path.join(os.path.dirname(__file__), "..", "..", "README.md")


def recipe():
    with open(README, encoding="utf-8") as file:
        (code,) = [
            block
            for block in re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
            if "class MyPort" in block
        ]
    return code


def test_the_recipe_for_ports_is_a_test_that_passes():
    assert "range(100)" in recipe()
    names = {}
    exec(recipe().replace("range(100)", "range(8)"), names)
    assert issubclass(names["MyPort"], Subject)
    names["test_my_port_agrees"]()
