"""Cases of an oracle whose cells are others."""

from dataclasses import replace
from functools import lru_cache
from typing import Any, Callable, Sequence, Tuple

from rnndiff.harness.cases.case import Case
from rnndiff.models.cells.kinds import Kind

# Of a cell and the config, it changes the cell.
Change = Callable[[Any, Any], None]


def with_cells(case: Case, changes: Tuple[Change, ...]) -> Case:
    """The case with cells that are changed."""
    Config: Any = type(case.config)
    config = _with_changes(Config, changes)(**vars(case.config))
    return replace(case, config=config)


@lru_cache(maxsize=None)
def _with_changes(Config: Any, changes: Tuple[Change, ...]) -> Any:
    """The class of the same configs with a kind that makes changed cells."""
    return type(Config.__name__, (Config,), {"kind": _ChangedKind(Config.kind, changes)})


class _ChangedKind(Kind):
    """A kind that makes the cells of another one, changed."""

    changes: Tuple[Change, ...]

    def __new__(cls, kind: Kind, changes: Tuple[Change, ...]) -> "_ChangedKind":
        changed = super().__new__(cls, *kind)
        changed.changes = changes
        return changed

    def cell(self, config: Any, noise: Sequence[Any] = ()) -> Any:
        cell = super().cell(config, noise)
        for change in self.changes:
            change(cell, config)
        return cell


def mix_in(cell: Any, Mixin: Any) -> None:
    """Make it a cell of the same class but for the methods that another class has."""
    if not isinstance(cell, Mixin):
        Cell: Any = type(cell)
        cell.__class__ = _mixed(Mixin, Cell)


@lru_cache(maxsize=None)
def _mixed(Mixin: Any, Cell: Any) -> Any:
    return type(Cell.__name__, (Mixin, Cell), {})
