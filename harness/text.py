"""Text that comes from a file, made safe to show."""

import re

MOST = 500

# Letters, digits and what stands in versions, platforms and settings: none of it means anything in
# a string of Python, in Markdown or in HTML.
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 .,:;+=/()_-]")


def printable(text: object, most: int = MOST) -> str:
    """`text` on one line of ASCII, for a terminal: control characters and the like as escapes.

    Of a long one the middle is left out, as what went wrong may stand last: ``most`` characters
    remain.
    """
    line = str(text).encode("unicode_escape", "backslashreplace").decode("ascii")
    # What is left of a backslash that was doubled is no escape.
    line = line.replace("\\\\", "\\")
    half = most // 2
    return line if len(line) <= most else line[:half] + " ... " + line[-half:]


def plain(text: object) -> str:
    """The same for a script, a page or an issue: what is not plain is a question mark."""
    return _NOT_PLAIN.sub("?", printable(text))
