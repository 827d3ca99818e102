"""The record of an environment: every array that it computes of fixed cases, and its file."""

import io
import json
from functools import lru_cache
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.fixed import GROUPS, SET, digest, fixed_group
from rnndiff.harness.errors import UserError
from rnndiff.harness.files import MOST_BYTES, read_npz, written_whole
from rnndiff.harness.text import printable
from rnndiff.models import find

FORMAT = 1
# What the oracle says of an element: it is within its bound; the bound says nothing; it is outside,
# as a known divergence has it; it is outside; or there is no oracle.
WITHIN, UNDECIDED, KNOWN, OUTSIDE, UNJUDGED = range(5)
_WHAT = "a record of `rnndiff record`"
# A text of all models is a hundred thousand characters long.
_MOST_TEXT = 2**23


class Computed(NamedTuple):
    """What came of the cases of one config.

    Parameters
    ----------
    model : str
        Its name, or "function" for a user's own.
    number : int
        Of the group of cases.
    config : str
        In words.
    numbers : int
        In parameters and data of one case.
    digest : str
        Of the cases.
    supported : bool
        Whether the subject computes such cases; if not, there is nothing else.
    errors : list of str
        Of every case what came instead of a trace, "" where there is one.
    known : list of list of str
        Of every case the known divergences that were met.
    trace : dict of str to array [traces, ...]
        The arrays of the cases that have a trace, by name.
    codes : dict of str to uint8 array [traces, ...]
        What the oracle says of each element.
    """

    model: str
    number: int
    config: str
    numbers: int
    digest: str
    supported: bool
    errors: List[str]
    known: List[List[str]]
    trace: Dict[str, np.ndarray]
    codes: Dict[str, np.ndarray]

    @property
    def key(self) -> Tuple[str, int]:
        """By which it is found in another record."""
        return self.model, self.number


class Record(NamedTuple):
    """What one environment computed; ``whole`` is False if it was interrupted.

    The notes are texts: versions, processor, mode, premise and subject.
    """

    notes: Dict[str, str]
    groups: List[Computed]
    whole: bool = True

    @property
    def title(self) -> str:
        """The subject in a few words: "TensorFlow 2.21.0, session"."""
        subject = self.notes.get("subject", "TensorFlow")
        tensorflow = "TensorFlow {}".format(self.notes.get("tensorflow", "missing"))
        if subject == "TensorFlow":
            subject = tensorflow
        elif ":" in subject:
            # A function says nothing of what it rests on.
            subject = "{} beside {}".format(subject, tensorflow)
        return "{}, {}".format(subject, self.notes["mode"]) if self.notes.get("mode") else subject


def save(path: str, record: Record) -> None:
    """Write a record to `path`, whole or not at all.

    The file is a NumPy ``.npz`` without pickle: ``meta``, a JSON text; of group number G
    ``G/ARRAY``, [traces, ...], and ``G``, what the oracle says of the elements of all its arrays,
    [traces, elements].

    Raises
    ------
    UserError
        If the file cannot be written, or could not be read again as it is too large.
    """
    groups, arrays = [], {}
    for place, group in enumerate(record.groups):
        meta = group._asdict()
        meta["trace"] = list(meta["trace"])
        del meta["codes"]
        groups.append(meta)
        arrays.update(("{}/{}".format(place, name), a) for name, a in group.trace.items())
        if group.trace:
            codes = [group.codes[name].reshape(_traces(group), -1) for name in group.trace]
            arrays[str(place)] = np.concatenate(codes, axis=1)
    text = {"record": FORMAT, "set": SET, "whole": record.whole, "notes": record.notes}
    size = sum(array.nbytes for array in arrays.values())
    if size > MOST_BYTES:
        raise UserError(
            "{} would take {:,} MiB, and no record of more than {:,} is read: record less of "
            "it.".format(path, size >> 20, MOST_BYTES >> 20)
        )
    file = io.BytesIO()
    np.savez(file, meta=np.array(json.dumps(dict(text, groups=groups))), **arrays)
    with written_whole(path) as whole:
        whole.write(file.getvalue())


def load(path: str) -> Record:
    """Read what :func:`save` wrote; texts are made printable, nothing else is made of them.

    Raises
    ------
    UserError
        If the file is missing, damaged, no record, of another format or another set of cases.
    """
    arrays = read_npz(path, _WHAT)
    try:
        text = arrays.pop("meta")
        if text.dtype.kind != "U" or text.size != 1 or text.itemsize > 4 * _MOST_TEXT:
            raise ValueError("no text of a record")
        meta = json.loads(str(text))
        version, of_set = meta["record"], meta["set"]
    except Exception:  # Of JSON that is nested too deeply, say, any kind.
        raise UserError("{} is an .npz file, but not {}.".format(path, _WHAT))
    for what, found, wanted in (("format", version, FORMAT), ("set of cases", of_set, SET)):
        if found != wanted:
            raise UserError(
                "{} has the {} {}, but this rnndiff compares {}: record it again with this "
                "one.".format(path, what, printable(repr(found)), wanted)
            )
    try:
        notes = {printable(key): printable(value) for key, value in meta["notes"].items()}
        groups = [_group(each, place, arrays) for place, each in enumerate(meta["groups"])]
        if len({group.key for group in groups}) < len(groups):
            raise ValueError("a group is in it twice")
        return Record(notes, groups, bool(meta["whole"]))
    except Exception as error:  # Damage that left valid JSON and arrays can be of any kind.
        reason = printable(" ".join(str(error).split()))
        raise UserError("{} is damaged: {}.".format(path, reason))


def _group(meta: Dict[str, Any], place: int, arrays: Dict[str, np.ndarray]) -> Computed:
    errors = [printable(error) for error in meta["errors"]]
    known = [[printable(name) for name in names] for names in meta["known"]]
    trace = {}
    for name in meta["trace"]:
        array = arrays["{}/{}".format(place, name)]
        if array.dtype.kind not in "fiub" or not array.ndim or len(array) != errors.count(""):
            raise ValueError("{!r} of group {} does not go with its cases".format(name, place))
        trace[printable(name)] = array
    if len(known) != len(errors):
        raise ValueError("group {} has {} cases, and {}".format(place, len(errors), len(known)))
    codes, end = {}, 0
    judged = arrays[str(place)] if trace else np.zeros((0, 0), np.uint8)
    for name, array in trace.items():
        start, end = end, end + int(np.prod(array.shape[1:], dtype=int))
        codes[name] = judged[:, start:end].reshape(array.shape)
    if judged.dtype != np.uint8 or judged.shape[1] != end or np.any(judged > UNJUDGED):
        raise ValueError("the verdicts of group {} do not go with its arrays".format(place))
    return Computed(
        printable(meta["model"]),
        int(meta["number"]),
        printable(meta["config"]),
        int(meta["numbers"]),
        printable(meta["digest"]),
        bool(meta["supported"]),
        errors,
        known,
        trace,
        codes,
    )


def _traces(group: Computed) -> int:
    return group.errors.count("")


def case_of(group: Computed, place: int) -> Optional[Case]:
    """A case of a group of the fixed set; None if this rnndiff has other ones, or no such model."""
    try:
        find(group.model)
    except (KeyError, ValueError):
        return None
    if not 0 <= group.number < len(GROUPS):
        return None
    cases, found = _fixed(group.model, group.number)
    return cases[place] if place in range(len(cases)) and found == group.digest else None


@lru_cache(maxsize=8)
def _fixed(model: str, number: int) -> Tuple[List[Case], str]:
    """The cases of a group, and their digest: of one group several are asked for."""
    cases = fixed_group(model, number).cases
    return cases, digest(cases)
