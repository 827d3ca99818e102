"""Docstrings say of what they describe all that there is."""

import ast
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SECTION = re.compile(r"Parameters\n-{10}\n(.*?)(?:\n\n[A-Z][a-z]+\n---|\Z)", re.DOTALL)


def described():
    """Classes and functions with a section of parameters: where, those, and all their arguments."""
    for folder in ("harness", "models"):
        for place, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in sorted(x for x in names if x.endswith(".py")):
                path = os.path.join(place, name)
                with open(path, encoding="utf-8") as file:
                    tree = ast.parse(file.read())
                for node in ast.walk(tree):
                    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                        found = SECTION.search(ast.get_docstring(node) or "")
                        function = _called(node)
                        if found and function:
                            where = "{}:{}".format(os.path.relpath(path, ROOT), node.name)
                            yield where, _names(found.group(1)), _arguments(function.args)


def _called(node):
    if isinstance(node, ast.FunctionDef):
        return node
    made = [x for x in node.body if isinstance(x, ast.FunctionDef) and x.name == "__init__"]
    return made[0] if made else None


def _names(section):
    """The names at the beginnings of lines: "one, other : type"."""
    lines = [line.partition(" : ")[0] for line in section.splitlines() if line[:1].strip()]
    return {name.strip("* ") for line in lines for name in line.split(",")}


def _arguments(given):
    named = [*given.args, *given.kwonlyargs, *filter(None, [given.vararg, given.kwarg])]
    return {argument.arg for argument in named} - {"self", "cls"}


DESCRIBED = list(described())


@pytest.mark.parametrize("where, names, arguments", DESCRIBED, ids=[each[0] for each in DESCRIBED])
def test_a_section_of_parameters_has_every_argument_and_no_other(where, names, arguments):
    assert names == arguments
