"""An implementation under test: it takes a case and returns its trace."""

import copy
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.excuses import Entry
from rnndiff.harness.judging.verdict import Verdict
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.models import Model

# The name of the subject that is tested by default.
TENSORFLOW = "tensorflow"
# What the name of a program begins with, before its command; no module has such a name.
COMMAND = "command "
# Seconds that a subject has for a case. Building a large graph takes ten, on a busy machine.
TIMEOUT = 60.0


class Subject:
    """An implementation under test.

    Derive from it to test your own: say how to compute a case, and in which arithmetic.

    Attributes
    ----------
    known : tuple of :class:`rnndiff.harness.judging.excuses.Entry`
        Where it is known to be wrong.
    name : str
        By which ``--subject`` makes it again; "" of one that was made otherwise.
    timeout : float
        Seconds that a case has which is known to end the process, in one of its own.
    repeatable : bool
        Whether it computes the same numbers, bit for bit, each time that it is given the same case,
        and from the first time on. That it does not is a finding, unless this is False.
    modes : mapping of str to str
        The ways in which it can be run, with a sentence on each; the first is the default. The name
        of one is then an argument of the constructor, the keyword ``mode``.
    mode : str
        The name of the one that it was made to run in, "" of the default.
    stated : str
        The name of the premise that a command was given for it, "" if none.
    against : str
        The name of the one that it is compared with, "" of one that is judged by the oracle alone.
    precision : str
        Of the numbers of the cases that are drawn for it: "float32", "float64", "float16" or
        "bfloat16", whose numbers it is given, and returns, in float32. What it is given from
        elsewhere, such as a file, may be of another one, and is rounded as it is read.
    """

    known: Tuple[Entry, ...] = ()
    name: str = ""
    timeout: float = TIMEOUT
    repeatable: bool = True
    modes: Mapping[str, str] = {}
    mode: str = ""
    stated: str = ""
    against: str = ""
    precision: str = "float32"
    _made_of: Tuple[Tuple[Any, ...], Dict[str, Any]] = ((), {})

    def __new__(cls, *args: Any, **kwargs: Any) -> "Subject":
        """Remember what it is made of, for :meth:`fresh`, and the mode.

        Raises
        ------
        UserError
            If it has modes, and not this one.
        """
        self = super().__new__(cls)
        self._made_of = args, kwargs
        if cls.modes and "mode" in kwargs:
            check_mode(cls.__name__, cls.modes, kwargs["mode"])
            self.mode = "" if kwargs["mode"] == next(iter(cls.modes)) else kwargs["mode"]
        return self

    def fresh(self) -> "Subject":
        """The same subject as if it had not been called yet: one made of the same arguments.

        Raises
        ------
        UserError
            If another one cannot be made.
        """
        args, kwargs = self._made_of
        try:
            return type(self)(*args, **kwargs)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                "{0} cannot be made a second time ({1}: {2}): make it so that it can, or override "
                "{0}.fresh.".format(type(self).__name__, type(error).__name__, error)
            )

    @property
    def label(self) -> str:
        """What failing cases say they failed on."""
        return type(self).__name__

    @property
    def title(self) -> str:
        """The label, with a version if it has one, and the mode if it is not the default."""
        return in_mode(self.label, self.mode)

    @property
    def premise(self) -> str:
        """What its arithmetic presumes, and where that comes from, in one line; "" if not known."""
        return ""

    def supports(self, model: Model, config: Any) -> bool:
        """Whether it computes a model of this config. What it does not is left out, and counted."""
        return True

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """Compute every array of the trace, with the oracle's names and shapes.

        Raises
        ------
        Exception
            Of any kind, if the implementation fails: that is a disagreement. A SubjectError with
            the text "TYPE: message" is shown as if it were of that type.
        """
        raise NotImplementedError

    def ended_by(self, case: Case) -> Optional[str]:
        """The signal by which it would end the process in computing `case`; None if it does not."""
        return None

    def script(self, case: Case, verdict: Verdict, notes: Mapping[str, Any]) -> str:
        """A script that shows a failure without rnndiff; "" if there is none.

        Parameters
        ----------
        case : Case
        verdict : Verdict
        notes : mapping of str to str
            Versions and premise that it was found with.
        """
        return ""

    def advice(self, case: Case) -> str:
        """What those who wrote it are told beside a case that fails; "" if nothing."""
        return ""

    def kernels(self, case: Case) -> Tuple[str, ...]:
        """What computes a case otherwise than it was written, by names; () if that is not known."""
        return ()

    def arithmetic(self, case: Case) -> Arithmetic:
        """The arithmetic in which it computes this case: the same for all cases of a config.

        By default float32, of which nothing else is stated: whatever is right is allowed.
        """
        return arithmetic("float32")


def in_mode(name: str, mode: str) -> str:
    """What something is called in a mode, "" being the default."""
    return "{}, {}".format(name, mode) if mode else name


def check_mode(name: str, modes: Mapping[str, str], mode: str) -> None:
    """See that a subject has a mode.

    Raises
    ------
    UserError
        If it has not.
    """
    if mode not in modes:
        has = "only {}".format(", ".join(modes)) if modes else "nor any other"
        raise UserError("The subject {} has no mode {!r}, {}.".format(name, mode, has))


class Wrapper(Subject):
    """Another subject, and all that it states. Derive from it to do something about each call."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.known, self.repeatable = subject.known, subject.repeatable
        self.name, self.timeout = subject.name, subject.timeout
        self.modes, self.mode = subject.modes, subject.mode
        self.precision, self.stated = subject.precision, subject.stated

    @property
    def label(self) -> str:
        """As of the subject."""
        return self._subject.label

    @property
    def premise(self) -> str:
        """As of the subject."""
        return self._subject.premise

    def supports(self, model: Model, config: Any) -> bool:
        """As the subject does."""
        return self._subject.supports(model, config)

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """As the subject does."""
        return self._subject(case)

    def fresh(self) -> Subject:
        """The same about a fresh subject."""
        subject = self._subject.fresh()
        if subject is self._subject:
            return self
        other = copy.copy(self)
        other._subject = subject
        return other

    def ended_by(self, case: Case) -> Optional[str]:
        """As the subject does."""
        return self._subject.ended_by(case)

    def script(self, case: Case, verdict: Verdict, notes: Mapping[str, Any]) -> str:
        """As the subject does."""
        return self._subject.script(case, verdict, notes)

    def advice(self, case: Case) -> str:
        """As the subject does."""
        return self._subject.advice(case)

    def kernels(self, case: Case) -> Tuple[str, ...]:
        """As of the subject."""
        return self._subject.kernels(case)

    def arithmetic(self, case: Case) -> Arithmetic:
        """As the subject does."""
        return self._subject.arithmetic(case)
