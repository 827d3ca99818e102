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

    class Changed(Kind):
        def cell(self, config: Any, noise: Sequence[Any] = ()) -> Any:
            cell = super().cell(config, noise)
            for change in changes:
                change(cell, config)
            return cell

    return type(Config.__name__, (Config,), {"kind": Changed(*Config.kind)})
