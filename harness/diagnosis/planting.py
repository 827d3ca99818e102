"""Mistakes as data, and how one is planted in an oracle.

A mistake is a piece of a module of the oracle's, and what somebody wrote instead. It is planted in
a copy of that module, so that oracles and cells have no seams for it: as with the mistakes that
:mod:`rnndiff.harness.quality.mistakes` plants in TensorFlow's graphs.
"""

import contextlib
import importlib
import inspect
from copy import copy
from functools import lru_cache, partial
from types import FunctionType
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Sequence, Tuple

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.changed_cells import with_cells
from rnndiff.harness.diagnosis import pieces
from rnndiff.harness.sources import source_with
from rnndiff.models import Model
from rnndiff.models.cells.cell import cells_in

_MODELS = "rnndiff.models."


class Edit(NamedTuple):
    """What of an oracle is another.

    ``place`` is a module below ``rnndiff.models``, and behind a colon a class in it, if only cells
    of that class are meant. ``right`` is a piece of its text, ``wrong`` what stands instead,
    wherever it stands; that may call the functions of :mod:`rnndiff.harness.diagnosis.pieces` as
    ``mistakes``.
    """

    place: str
    right: str
    wrong: str

    @property
    def module(self) -> str:
        """The name of the module."""
        return _MODELS + self.place.partition(":")[0]


class Mistake(NamedTuple):
    """What somebody may have got wrong.

    Parameters
    ----------
    name : str
    says : str
        In a sentence that begins with "your port agrees with the oracle if".
    look : str
        What to look at, and who has it so.
    edits : tuple of Edit
        One or more for each cell or oracle in which it can be made.
    """

    name: str
    says: str
    look: str
    edits: Tuple[Edit, ...]

    def edits_of(self, model: Model) -> Tuple[Edit, ...]:
        """Those of the cells and oracles that a model is made of."""
        places = places_of(model)
        return tuple(x for x in self.edits if x.place in places and x.right != x.wrong)

    def source(self, module: str) -> str:
        """The text of a module with the mistake in it, if that is where it belongs.

        Raises
        ------
        LookupError
            If the module does not have a piece that is to be replaced.
        """
        edits = [(edit.right, edit.wrong) for edit in self.edits if edit.module == module]
        return source_with(module, edits, self.name)


def both(first: Mistake, second: Mistake) -> Mistake:
    """Two mistakes as one.

    Raises
    ------
    LookupError
        If they are of the same piece, so that it is the one or the other.
    """
    name = "{} and {}".format(first.name, second.name)
    says, look = (
        sep.join(dict.fromkeys(texts))
        for sep, texts in ((", and ", (first.says, second.says)), ("; ", (first.look, second.look)))
    )
    # What one leaves of a module may be without a piece of the other's.
    for edits in (first.edits + second.edits, second.edits + first.edits):
        made = Mistake(name, says, look, edits)
        with contextlib.suppress(LookupError):
            for module in {edit.module for edit in edits}:
                made.source(module)
            return made
    raise LookupError("{} cannot be made together".format(name))


@lru_cache(maxsize=None)
def places_of(model: Model) -> FrozenSet[str]:
    """The modules, and classes of cells, that a model of this package is made of."""
    kind = getattr(model.Config, "kind", None)
    if kind is None or not model.oracle.__module__.startswith(_MODELS):
        return frozenset()
    found = set(_modules_of(model.oracle))
    cells = list(cells_in(kind.cell(model.article)))
    if model.family == "attention":
        found.add(_MODELS + "cells.attention")
    for cell in cells:
        found.add(type(cell).__module__)
        found.add("{}:{}".format(type(cell).__module__, type(cell).__name__))
    return frozenset(name[len(_MODELS) :] for name in found if name.startswith(_MODELS))


def _modules_of(oracle: Callable[..., Any]) -> FrozenSet[str]:
    """Those of a function of an oracle's module, and of all functions that stand there."""
    found = {oracle.__module__}
    for value in vars(importlib.import_module(oracle.__module__)).values():
        if isinstance(value, FunctionType) and value.__module__ != oracle.__module__:
            found.add(value.__module__)
            if _is_oracle(value):
                found |= _modules_of(value)
    return frozenset(found)


def _is_edited(function: Callable[..., Any], mistake: Mistake) -> bool:
    """Whether a piece stands in it: of all others of its module, no bound is known of a copy."""
    pieces_of = [edit.right for edit in mistake.edits if edit.module == function.__module__]
    return any(piece in inspect.getsource(function) for piece in pieces_of)


def _is_oracle(function: Callable[..., Any]) -> bool:
    return function.__module__.endswith(".oracle")


def plant_in(cases: Sequence[Case], mistake: Mistake) -> List[Case]:
    """The cases, of one config, of an oracle with the mistake in it, and otherwise the same."""
    first = cases[0]
    model = first.model._replace(oracle=_planted_oracle(first.model.oracle, mistake))
    config = with_cells(Case(model, first.config, first.arrays), (_change(mistake),)).config
    # Of one config, one look at the arrays is enough.
    others = [copy(case) for case in cases]
    for other in others:
        vars(other).update(model=model, config=config)
    return others


@lru_cache(maxsize=256)
def _change(mistake: Mistake) -> Callable[[Any, Any], None]:
    return partial(_make_wrong, mistake)


def _make_wrong(mistake: Mistake, cell: Any, _: Any = None) -> Any:
    """The cell, and all that it is made of, of the classes with the mistake in them."""
    modules = {edit.module for edit in mistake.edits}
    for each in cells_in(cell):
        if type(each).__module__ in modules:
            each.__class__ = _namespace(type(each).__module__, mistake)[type(each).__name__]
    return cell


@lru_cache(maxsize=512)
def _namespace(module: str, mistake: Mistake) -> Dict[str, Any]:
    """What stands in a copy of a module with the mistake in it."""
    namespace = {"__name__": module, "mistakes": pieces}
    exec(compile(mistake.source(module), "<{}>".format(mistake.name), "exec"), namespace)
    return namespace


@lru_cache(maxsize=512)
def _planted_oracle(oracle: Callable[..., Any], mistake: Mistake) -> Callable[..., Any]:
    """A function of an oracle's module that calls none that should have the mistake in it."""
    namespace = _namespace(oracle.__module__, mistake)
    for name, value in list(namespace.items()):
        if not isinstance(value, FunctionType) or value.__module__ == oracle.__module__:
            continue
        if _is_oracle(value):
            namespace[name] = _planted_oracle(value, mistake)
        elif _is_edited(value, mistake):
            namespace[name] = _namespace(value.__module__, mistake)[value.__name__]
    if "cell_of" in namespace:
        made = namespace["cell_of"]
        # Made anew for each call, it is of the right classes.
        namespace["cell_of"] = lambda config: _make_wrong(mistake, made(config))
    return namespace[oracle.__name__]
