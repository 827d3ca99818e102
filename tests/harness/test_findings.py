"""The ledger of TensorFlow's divergences is that of the entries."""

import os

import pytest

from rnndiff.harness.report.ledger import ledger, mode_of, versions_in
from rnndiff.harness.subjects.tensorflow.divergences import ENTRIES, OLDEST, Where
from rnndiff.harness.subjects.tensorflow.findings import FINDINGS
from rnndiff.harness.subjects.tensorflow.modes import NOTHING, PARTS, WHOLE

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


@pytest.fixture(scope="module")
def written():
    return ledger(read("tox.ini"))


def test_the_ledger_is_up_to_date(written):
    assert read("FINDINGS.md") == written, (
        "write it again: python -m rnndiff.harness.report.ledger > FINDINGS.md"
    )


def test_each_entry_says_what_it_means_and_has_a_case_in_the_corpus():
    assert list(FINDINGS) == [entry.name for entry in ENTRIES]
    assert all(finding.means for finding in FINDINGS.values())
    cases = os.listdir(os.path.join(ROOT, "tests", "corpus"))
    assert {entry.name + ".npz" for entry in ENTRIES} <= set(cases)


def test_the_versions_that_are_tested_are_those_of_tox_the_oldest_first():
    pins = "    tf210: tensorflow==2.10.1\n    tf21: tensorflow{env:VARIANT:-cpu}==2.1.4\n"
    assert versions_in(pins) == [(2, 1), (2, 10)]
    versions = versions_in(read("tox.ini"))
    assert len(set(versions)) == len(versions) >= 15
    assert versions[0] == OLDEST


def section(written, name):
    return written.partition("\n## {}\n".format(name))[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    "name, since, until",
    [
        # Of all that tests look at; between two of them; of a mode that begins later; of no test.
        (
            "zero-window-times-nan",
            "1.13, the first that is tested in its mode",
            "2.16, not in 2.18",
        ),
        ("empty-reverse", "1.13, the first that is tested in its mode", "2.3; in 2.1, not in 2.4"),
        (
            "swish-of-two-numbers",
            "2.8; in 2.10, the first that is tested in its mode",
            "2.14; in 2.13, not in 2.15",
        ),
        ("xla-argmax-takes-the-last", "1.15; the tests have none of its modes", "1.15"),
        (
            "xla-clips-nan",
            "2.4, not in 2.1",
            "2.20, not in 2.21",
        ),
        # Until the last with the cell.
        (
            "gru-block-of-no-inputs",
            "1.13, the first that is tested in its mode",
            "1.15, the last that is tested in its mode",
        ),
    ],
)
def test_the_ledger_says_what_the_tests_see_of_a_range(name, since, until, written):
    rows = section(written, name)
    assert "| since | {} |".format(since) in rows
    assert "| until | {} |".format(until) in rows


@pytest.mark.parametrize(
    "where, mode",
    [
        (Where((2, 4)), ""),
        (Where((2, 4), xla=(NOTHING,)), ""),
        (Where((2, 4), xla=(NOTHING, PARTS)), ""),
        (Where((2, 4), xla=(PARTS, WHOLE)), "xla"),
        (Where((2, 4), xla=(PARTS,)), "xla-auto"),
        (Where((1, 15), (1, 15), xla=(PARTS, WHOLE)), "xla-auto"),
        (Where((2, 5), onednn=True, grappler=True), "onednn-on"),
        (Where((2, 5), onednn=False), "onednn-off"),
        (Where((2, 5), onednn=True, precision="float16"), "float16"),
        (Where((2, 5), precision="float32"), ""),
        (Where((2, 5), grappler=False), "grappler-off"),
    ],
    ids=str,
)
def test_a_divergence_is_shown_in_a_mode_in_which_it_holds(where, mode):
    assert mode_of(where) == mode
