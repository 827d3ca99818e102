"""Which cases end the process of a subject: those that are known to, and those that did."""

from typing import Any, Dict, Optional, Tuple

from rnndiff.harness.cases.case import Case, SavedCase
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.excuses import KnownEnding
from rnndiff.harness.subjects.alone import Alones, ended_by
from rnndiff.harness.subjects.named import SHIPPED
from rnndiff.harness.subjects.subject import COMMAND, Subject
from rnndiff.models.layout import options_in


class Endings:
    """What was found out: once for all cases of a model with the same options."""

    def __init__(self) -> None:
        self._found: Dict[Tuple[Any, ...], Optional[str]] = {}

    def signal_of(self, subject: Subject, case: Case) -> Optional[str]:
        """The signal by which a case ends the process, of those known to; None for all others."""
        for entry in subject.known:
            if isinstance(entry, KnownEnding) and entry.covers(case):
                options = tuple(getattr(case.config, name) for name in options_in(case.config))
                kind = entry.name, case.model.name, options
                if kind not in self._found:
                    name = ended_by(case, subject.timeout, subject.name, subject.mode)
                    # Killed from without, or slow on a busy machine: that says nothing of others.
                    if name is not None and name not in entry.signals:
                        return name
                    self._found[kind] = name
                return self._found[kind]
        return None


def ended_again_by(subject: Subject, saved: SavedCase, alones: Alones) -> Optional[str]:
    """The signal by which a saved case ends the process, in one of `alones`.

    "Hang" if it does not come to an end. It is tried if the case is known to end the process, or
    did so before, and on all subjects that are not of this package, of which nobody knows.
    """
    try:
        signal = subject.ended_by(saved.case)
    except UserError:
        raise
    except Exception:  # It is run all the same, and this is what comes of it.
        signal = None
    if signal or not subject.name:
        return signal
    did = bool(saved.notes.get("ended_by"))
    if not did and (subject.name in SHIPPED or subject.name.startswith(COMMAND)):
        return None
    try:
        return alones.ended_by(saved.case, subject.name, subject.mode)
    except UserError:
        # It may be that there can be one of it alone.
        if did:
            raise
        return None
