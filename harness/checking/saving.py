"""The files of failing cases."""

import contextlib
import os
import uuid
from itertools import count
from typing import Dict, Mapping, NamedTuple, Optional

import numpy as np

from rnndiff.harness.cases.case import Case, holds, packed
from rnndiff.harness.checking.verdicts import named_way
from rnndiff.harness.errors import UserError
from rnndiff.harness.files import write_new, written_whole
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.verdict import Verdict
from rnndiff.harness.report.describe import describe
from rnndiff.harness.subjects.named import options_of
from rnndiff.harness.subjects.statements import advice_of, statement_of
from rnndiff.harness.subjects.subject import Subject
from rnndiff.harness.versions import versions

FAILURES = os.path.join(".rnndiff", "failures")
_SIMPLER = "\n\na simpler case that fails in the same way:\n\n"


class UnsavedFailure(NamedTuple):
    """A case that fails and is in no file yet.

    ``content`` are the bytes of its file, ``report`` describes it. ``why`` says why it is not
    shrunk, if it is not. A ``final`` one is the last that is told of a failure. ``subject`` is the
    name of what it failed on, "" if it has none for a command line, ``mode`` its mode, ``premise``
    that of the premise that it was given. ``against`` is the name of the one that it differs from,
    "" if it differs from the oracle; ``of`` is what it is a failure of, where several are checked.
    """

    way: str
    content: bytes
    report: str
    why: str
    final: bool
    subject: str
    mode: str = ""
    premise: str = ""
    against: str = ""
    of: str = ""


def notes_on(subject: Subject, verdict: Verdict, ended_by: str = "") -> Dict[str, str]:
    """What stands beside the arrays in the file of a case that was judged on a subject.

    With the signal by which it ended its process, or "Hang", if it did.
    """
    premise, label = (statement_of(subject, name) for name in ("premise", "label"))
    notes = dict(versions(subject.mode), premise=premise, subject=label, verdict=verdict.summary())
    return dict(notes, ended_by=ended_by) if ended_by else notes


def unsaved_failure(
    subject: Subject,
    case: Case,
    verdict: Verdict,
    way: str,
    trace: Optional[Mapping[str, np.ndarray]] = None,
    why: str = "",
    final: bool = True,
    of: str = "",
    ended_by: str = "",
) -> UnsavedFailure:
    """A case that fails on a subject in that way; see :class:`UnsavedFailure`, :func:`notes_on`."""
    notes = notes_on(subject, verdict, ended_by)
    if why:
        notes["shrunk"] = why
    described = describe(case, verdict)
    said = "{}: {}".format(of, described) if of else described
    return UnsavedFailure(
        named_way(of, way),
        packed(case, trace, notes),
        _lines(said, advice_of(subject, case)),
        why,
        final,
        subject.name,
        subject.mode,
        subject.stated,
        subject.against,
        of,
    )


def save_failure(folder: str, failing: UnsavedFailure, before: Optional[Failure] = None) -> Failure:
    """Save a failing case, in a folder where other runs may be saving theirs.

    A final one gets the first of the names WAY.npz, WAY-2.npz, ... that no other case has; a file
    that is there is never changed, and one of this case and this trace serves as well. Until then
    it has a file of its own, WAY-unshrunk-*.npz, which is written anew as the case shrinks.

    Parameters
    ----------
    folder : str
    failing : UnsavedFailure
    before : Failure, optional
        What was saved of this failure so far, none of it final; it is replaced.

    Returns
    -------
    Failure
        Says all that there is to say of the case, even if it cannot be saved.
    """
    path = before.path if before else ""
    try:
        saved = _save(folder, failing, path)
    except UserError as error:
        # A full disk is no reason to lose what stands in the report.
        said = "{}\n\nnot saved: {}".format(failing.report, error)
        if before and path:
            said = before.report.partition(_SIMPLER)[0] + _SIMPLER + said
        shrunk = not (path or failing.why)
        return Failure(failing.way, path, _lines(said, failing.why), shrunk, failing.of)
    if path and path != saved:
        with contextlib.suppress(OSError):
            os.unlink(path)
    said = "{}\n\nsaved as {}".format(failing.report, saved)
    # One without a name was made by the user's own code.
    name = failing.subject or "MODULE:CLASS"
    options = options_of(name, failing.mode, failing.premise, failing.against)
    said = "{}; run it again: rnndiff replay {}{}".format(said, saved, options)
    return Failure(failing.way, saved, _lines(said, failing.why), not failing.why, failing.of)


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _save(folder: str, failing: UnsavedFailure, path: str) -> str:
    if failing.final:
        names = (failing.way if n == 1 else "{}-{}".format(failing.way, n) for n in count(1))
        paths = (os.path.join(folder, name + ".npz") for name in names)
        content = failing.content
        return next(p for p in paths if write_new(p, content) or holds(p, content))
    name = "{}-unshrunk-{}.npz".format(failing.way, uuid.uuid4().hex[:8])
    path = path or os.path.join(folder, name)
    with written_whole(path) as file:
        file.write(failing.content)
    return path
