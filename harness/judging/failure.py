"""What is told of a case that fails."""

from typing import NamedTuple


class Failure(NamedTuple):
    """A case that fails: its way of failing, its file, and a report to be read.

    The path is empty if the file could not be written. What keeps a case from being ``shrunk``
    stands in the report. ``of`` is what it is a failure of, where several are checked.
    """

    way: str
    path: str
    report: str
    shrunk: bool = True
    of: str = ""
