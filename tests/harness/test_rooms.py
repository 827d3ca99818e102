"""The rooms of the harness: one direction, no way back."""

import ast
import os
from functools import lru_cache

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# In the order of the way of the data: each imports of those before it alone. What has no room is
# of use in all of them.
ROOMS = [
    *("errors", "text", "limits", "files", "versions", "sources", "stop", "profiles"),
    "numerics",
    "cases",
    "judging",
    "subjects",
    "shrinking",
    "diagnosis",
    "records",
    "report",
    "checking",
    "pytest_plugin",
    "trained",
    "quality",
    "commands",
    "cli",
]
# A port as a test tells pytest what it found, if that is who runs it.
EXCEPTIONS = {("checking.port", "pytest_plugin.beginning")}


def modules(folder):
    """The modules below a folder, by their names from there on, and their paths."""
    found = {}
    for place, _, names in os.walk(os.path.join(ROOT, folder)):
        for name in (x for x in names if x.endswith(".py")):
            path = os.path.join(place, name)
            parts = os.path.relpath(path, os.path.join(ROOT, folder))[:-3].split(os.sep)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@lru_cache(maxsize=None)
def imported(path):
    """What a module imports, in functions, too: the names of modules, and of what is in them."""
    return frozenset(each_import(path))


def each_import(path):
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, path
            yield from ("{}.{}".format(node.module, alias.name) for alias in node.names)


HARNESS = modules("harness")


@lru_cache(maxsize=None)
def edges():
    """Which module of the harness imports which other one."""
    return frozenset(each_edge())


def each_edge():
    for module, path in HARNESS.items():
        for name in imported(path):
            if name.startswith("rnndiff.harness."):
                other = name[len("rnndiff.harness.") :]
                # What is in a module is none.
                yield module, other if other in HARNESS else other.rpartition(".")[0]


def room(module):
    return module.partition(".")[0]


def test_every_room_has_its_place():
    assert sorted({room(module) for module in HARNESS} - {""}) == sorted(ROOMS)


@pytest.mark.parametrize("place", range(len(ROOMS)), ids=ROOMS)
def test_a_room_imports_of_those_before_it_alone(place):
    later = ROOMS[place + 1 :]
    back = {x for x in edges() if room(x[0]) == ROOMS[place] and room(x[1]) in later}
    assert back <= EXCEPTIONS, sorted(back - EXCEPTIONS)


def test_no_module_imports_one_that_imports_it():
    others = {}
    for module, other in edges():
        if module != other:
            others.setdefault(module, set()).add(other)
    done, way = set(), []

    def go(module):
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            way.append(module)
            for other in sorted(others.get(module, ())):
                if (module, other) not in EXCEPTIONS:
                    go(other)
            done.add(way.pop())

    for module in sorted(others):
        go(module)


def test_models_never_import_the_harness():
    found = {(module, x) for module, path in modules("models").items() for x in imported(path)}
    assert not [x for x in found if x[1].startswith("rnndiff.harness")]


def test_the_harness_imports_tensorflow_in_its_own_room_and_for_litert_alone():
    found = [
        module
        for module, path in HARNESS.items()
        if any(name.partition(".")[0] == "tensorflow" for name in imported(path))
    ]
    own = "subjects.tensorflow"
    assert [x for x in found if x != own and not x.startswith(own + ".")] == ["subjects.litert"]
