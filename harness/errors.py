"""Errors that are the user's to mend, and errors of a subject."""

# The exit status of what Ctrl-C ended, as shells have it.
INTERRUPTED = 130


class UserError(Exception):
    """One sentence that says what is wrong and what to do; the command line exits with 2."""


class SubjectError(Exception):
    """The subject raised an error where the oracle computes a trace: a disagreement, not ours."""


def in_one_line(error: BaseException) -> str:
    """The type and the text of an error, to end a sentence with."""
    return " ".join("{}: {}".format(type(error).__name__, error).split()).rstrip(".")


class OracleError(UserError, TypeError):
    """An oracle does what cannot be bounded or teacher-forced; the text says what."""
