"""The text of modules of this package, and copies with other pieces in it, for planted mistakes."""

import importlib.util
import tokenize
from functools import lru_cache
from typing import Any, Iterable, Tuple


@lru_cache(maxsize=None)
def source_of(module: str) -> str:
    """The text of a module."""
    spec: Any = importlib.util.find_spec(module)
    # Its loader may be that of pytest, which rewrites the assertions of plugins.
    with tokenize.open(spec.origin) as file:
        return file.read()


def source_with(module: str, pieces: Iterable[Tuple[str, str]], mistake: str) -> str:
    """The text of a module with other pieces in the place of some, wherever they stand.

    Raises
    ------
    LookupError
        If it does not have a piece that is to be replaced: the mistake of that name is to be
        mended.
    """
    source = source_of(module)
    # Two parts of a module may have a piece in common.
    for right, wrong in dict.fromkeys(pieces):
        if right not in source:
            raise LookupError("{} has no {!r}: mend {!r}".format(module, right, mistake))
        source = source.replace(right, wrong)
    return source
