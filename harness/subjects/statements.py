"""What a subject says of itself, whatever it does in saying so: it is somebody else's code."""

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, UserError, in_one_line
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.subjects.subject import Subject
from rnndiff.harness.text import printable

# Characters of a subject's label or premise.
_MOST_SAID = 2000


def statement_of(subject: Subject, name: str) -> str:
    """The label, the title or the premise of a subject; the type of the error if it raises one."""
    try:
        return printable(getattr(subject, name), _MOST_SAID)
    except UserError:
        raise
    except Exception as error:
        return "{}, in stating its {}".format(type(error).__name__, name)


def advice_of(subject: Subject, case: Case) -> str:
    """What it advises beside a case that fails; the type of the error if it raises one."""
    try:
        return str(subject.advice(case))
    except UserError:
        raise
    except Exception as error:
        return "\n{}, in giving its advice".format(type(error).__name__)


def supported(subject: Subject, case: Case) -> bool:
    """Whether the subject computes such a case.

    Raises
    ------
    UserError
        If it does not come to say so.
    """
    try:
        return bool(subject.supports(case.model, case.config))
    except UserError:
        raise
    except Exception as error:
        said = "{}.supports fails: {}."
        raise UserError(said.format(statement_of(subject, "label"), in_one_line(error)))


def arithmetic_of(subject: Subject, case: Case) -> Arithmetic:
    """The arithmetic that the subject states of a case.

    Raises
    ------
    SubjectError
        If it does not come to that, or states something else.
    """
    try:
        stated = subject.arithmetic(case)
    except (SubjectError, UserError):
        raise
    except Exception as error:
        raise SubjectError("{}: {}, in stating its arithmetic".format(type(error).__name__, error))
    if not isinstance(stated, Arithmetic):
        raise SubjectError("WrongArithmetic: it states {!r}".format(stated))
    return stated
