"""Which cases end the process of a subject, of those that its known endings cover."""

from typing import Any, Dict, Optional, Tuple

from rnndiff.harness.cases.case import Case
from rnndiff.harness.judging.excuses import KnownEnding
from rnndiff.harness.subjects.alone import ended_by
from rnndiff.harness.subjects.subject import Subject
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
