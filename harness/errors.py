"""Errors that are the user's to mend, and errors of a subject."""

import contextlib
from typing import Iterator

# The exit status of what Ctrl-C ended, as shells have it.
INTERRUPTED = 130


class UserError(Exception):
    """One sentence that says what is wrong and what to do; the command line exits with 2."""


class SubjectError(Exception):
    """The subject raised an error where the oracle computes a trace: a disagreement, not ours."""


def in_one_line(error: BaseException) -> str:
    """The type and the text of an error, to end a sentence with."""
    return " ".join("{}: {}".format(type(error).__name__, error).split()).rstrip(".")


@contextlib.contextmanager
def optional_import(what: str, extra: str, otherwise: str = "") -> Iterator[None]:
    """A context manager to import what `extra` of this package installs, `what` in words.

    What can be done `otherwise` ends the sentence.

    Raises
    ------
    UserError
        If that fails: of what is not there it is an ImportError, of what is broken it may be any.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        is_plain = isinstance(error, ImportError)
        said = " ".join(str(error).split()) if is_plain else in_one_line(error)
        raise UserError(
            "This needs {} ({}): run pip install '.[{}]' in the folder of rnndiff{}.".format(
                what, said, extra, otherwise and ", or " + otherwise
            )
        ) from error


class OracleError(UserError, TypeError):
    """An oracle does what cannot be bounded or teacher-forced; the text says what."""
