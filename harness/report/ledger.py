"""The ledger of TensorFlow's real divergences, `FINDINGS.md`, as the entries have it.

``python -m rnndiff.harness.report.ledger > FINDINGS.md``, in the folder of `tox.ini`, writes it.
"""

import re
import sys
from typing import Iterator, List, Mapping, Sequence, Tuple

from rnndiff.harness.cases.case import PRECISIONS
from rnndiff.harness.judging.excuses import (
    Entry,
    KnownDivergence,
    KnownEnding,
    KnownError,
    KnownRewrite,
)
from rnndiff.harness.subjects.tensorflow.divergences import ENTRIES, Version, Where
from rnndiff.harness.subjects.tensorflow.findings import FINDINGS, Finding
from rnndiff.harness.subjects.tensorflow.modes import MODES, NOTHING, WHOLE, Mode
from rnndiff.models import find

# From here on oneDNN's kernels are the default.
_ONEDNN = (2, 9)
_OTHER_PRECISIONS = [name for name in PRECISIONS if name in MODES]
_CORPUS = "tests/corpus/{}.npz"

_HEADER = """\
# Where TensorFlow is wrong

rnndiff found {count} divergences of TensorFlow: of what its graphs compute from what they say. This
is written by `python -m rnndiff.harness.report.ledger > FINDINGS.md`, from the
[entries](harness/subjects/tensorflow/divergences.py) by which just these are excused, and from
[what they mean](harness/subjects/tensorflow/findings.py).

[One test](tests/test_known_divergences.py) holds each to its range, in both directions: it is seen
in every version and mode that its entry names, and no other needs the entry. `tox` runs that in the
default mode, and `tox -- -m slow` in `xla`, in `eager` and in every mode that is a session and
needs no process of its own (that is, not in `xla-auto`, and with oneDNN where that is the default,
from 2.9 on), on these versions:

    {versions}

"Since" and "until" say what was seen of that; of an end that lies between two of these versions the
tests know no more than that, and in the other modes it is `rnndiff bisect` that tells.

Where no processors are named, none are known to matter. The trackers of TensorFlow and its parts
were searched by words in November 2026: "none found" is no more than that.

Each has a case that shows it, shrunk: all that is not named is as small as can be, sizes 1 and
numbers 0. `rnndiff replay` shows what a TensorFlow computes of it, and `rnndiff repro`, with the
same arguments, prints a script that needs NumPy and TensorFlow alone; `rnndiff bisect` tells in
which versions it is seen.

| divergence | TensorFlow | shows as |
|---|---|---|
"""

_SHOWS_AS = {
    KnownDivergence: "wrong numbers",
    KnownRewrite: "another network",
    KnownError: "an error",
    KnownEnding: "the end of the process",
}


def ledger(tox: str) -> str:
    """The ledger, in Markdown.

    Parameters
    ----------
    tox : str
        What stands in `tox.ini`, by which it is known which versions are tested.
    """
    versions = versions_in(tox)
    named = ", ".join(map(_version, versions))
    lines = [_HEADER.format(count=len(ENTRIES), versions=named).rstrip("\n")]
    for entry in ENTRIES:
        link = "[`{0}`](#{0})".format(entry.name)
        lines.append("| {} | {} | {} |".format(link, entry.where, _SHOWS_AS[type(entry)]))
    for entry in ENTRIES:
        lines += ["", *_section(entry, FINDINGS[entry.name], versions)]
    return "\n".join(lines) + "\n"


def versions_in(tox: str) -> List[Version]:
    """The versions of TensorFlow that `tox.ini` pins, the oldest first."""
    pins = re.findall(r"^ +tf\d+: tensorflow\S*==(\d+)\.(\d+)", tox, re.MULTILINE)
    return sorted((int(major), int(minor)) for major, minor in pins)


def _version(version: Version) -> str:
    return "{}.{}".format(*version)


def _section(entry: Entry, finding: Finding, versions: Sequence[Version]) -> Iterator[str]:
    where: Where = entry.where
    mode = mode_of(where)
    option = " --mode {}".format(mode) if mode else ""
    command = "rnndiff replay {}{}".format(_CORPUS.format(entry.name), option)
    newest = max(v for v in versions if where.first <= v and (not where.last or v <= where.last))
    yield "## {}".format(entry.name)
    yield ""
    yield "{}.".format(_capitalized(entry.what))
    yield ""
    yield finding.means
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield "| TensorFlow | {} |".format(where)
    yield from _range(entry, versions)
    if finding.processors:
        yield "| processors | {} |".format(finding.processors)
    yield "| smallest case | {} |".format(_smallest(entry))
    yield "| see it | `{}`, on TensorFlow {} |".format(command, _version(newest))
    yield "| trackers | {} |".format(finding.tracker or "none found")


def _capitalized(text: str) -> str:
    """A sentence, unless it begins with a name that is written otherwise."""
    word = text.partition(" ")[0]
    return text[0].upper() + text[1:] if word.islower() and "." not in word else text


def mode_of(where: Where) -> str:
    """The mode of TensorFlow's in which a divergence shows, "" if it is any."""
    if where.precision in MODES:
        return str(where.precision)
    if NOTHING not in where.xla:
        is_late = where.last is None or where.last >= MODES["xla"].first
        return "xla" if WHOLE in where.xla and is_late else "xla-auto"
    if where.onednn is not None:
        return "onednn-on" if where.onednn else "onednn-off"
    return "grappler-off" if where.grappler is False else ""


def _range(entry: Entry, versions: Sequence[Version]) -> Iterator[str]:
    """Since when and until when, and what the tests see of that."""
    where: Where = entry.where
    anywhere = where._replace(first=versions[0], last=None)
    # Of another precision than float32 nobody looks for what is not known.
    sought = where if where.precision in _OTHER_PRECISIONS else anywhere
    looked = [version for version in versions if _is_looked_at(entry, sought, version)]
    seen = [version for version in looked if where.first <= version <= (where.last or version)]
    first, last = (_version(each) if each else "" for each in (where.first, where.last))
    if not seen:
        yield "| since | {}; the tests have none of its modes |".format(first)
        yield "| until | {} |".format(last or "it is still there")
        return
    of_first = "" if where.first == seen[0] else "; in {}".format(_version(seen[0]))
    if seen[0] == looked[0]:
        end = "the first that is tested in its mode"
    else:
        end = "not in {}".format(_version(looked[looked.index(seen[0]) - 1]))
    yield "| since | {}{}, {} |".format(first, of_first, end)
    of_last = "" if where.last == seen[-1] else "; in {}".format(_version(seen[-1]))
    if seen[-1] == looked[-1]:
        end = "the last that is tested in its mode"
    else:
        end = "not in {}".format(_version(looked[looked.index(seen[-1]) + 1]))
    yield "| until | {}{}, {} |".format(last or "it is still there", of_last, end)


def _is_looked_at(entry: Entry, where: Where, version: Version) -> bool:
    """Whether the tests have a mode for a place, and the version has the cell of the entry.

    They take sessions, what XLA compiles whole and what is run eagerly, with oneDNN as it is by
    default.
    """
    kind = getattr(find(entry.minimal.model).Config, "kind", None)
    if kind is not None and kind.contrib and version >= (2, 0):
        return False
    return any(
        version >= mode.first and where.holds(version, version >= _ONEDNN, xla, mode.grappler, of)
        for mode, xla, of in _tested()
    )


def _tested() -> Iterator[Tuple[Mode, str, str]]:
    """The modes that tests take, how much XLA compiles in each, and the precision."""
    for mode in MODES.values():
        if mode.is_any_session or mode.runner in ("xla", "eager"):
            yield mode, WHOLE if mode.runner == "xla" else NOTHING, mode.precision


def _smallest(entry: Entry) -> str:
    """The smallest case in words."""
    model, sizes, numbers = entry.minimal
    said = ["`{}`".format(model)]
    said += ["{} {}".format(name, _value(value)) for name, value in sizes.items()]
    said += ["{} is {}".format(*each) for each in _numbers(numbers)]
    return "; ".join(said)


def _value(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _numbers(numbers: Mapping[str, Mapping[Tuple[int, ...], float]]) -> Iterator[Tuple[str, str]]:
    for name, places in numbers.items():
        for place, number in places.items():
            yield "{}{}".format(name, list(place)), "{:.9g}".format(number)


def main() -> None:
    """Print the ledger of the `tox.ini` of the working folder."""
    with open("tox.ini") as file:
        sys.stdout.write(ledger(file.read()))


if __name__ == "__main__":
    main()
