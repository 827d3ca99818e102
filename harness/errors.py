"""Errors that are the user's to mend, and their way to the command line."""


class UserError(Exception):
    """One sentence that says what is wrong and what to do; the command line exits with 2."""
