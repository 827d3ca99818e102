"""What an entry of any subject excuses: the elements that it covers, as they are predicted."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.judging.excuses import (
    Entry,
    Instead,
    KnownDivergence,
    KnownEnding,
    KnownError,
    KnownRewrite,
    Minimal,
    excuse,
    excuse_ending,
    excuse_error,
    rewrites,
)
from rnndiff.harness.judging.verdict import DISAGREE, FREE_RUNNING, KNOWN, TEACHER_FORCED, judge

NAN, INF = np.nan, np.inf
MINIMAL = Minimal("rnn-basic", {"batch": 2}, {"cell/bias": {(0,): 1.0}})
SAID = dict(what="", where=None, minimal=MINIMAL)


@pytest.mark.parametrize(
    "actual, value, rad, is_met",
    [
        (1.0, 1.0, 0.0, True),
        (1.5, 1.0, 0.0, False),
        (INF, INF, 0.0, True),
        (INF, -INF, 0.0, False),
        (NAN, NAN, 0.0, True),
        (NAN, 1.0, 0.5, False),
        (1.0, NAN, 0.5, False),
        # Within a radius, its end included; of an infinite one anything.
        (1.5, 1.0, 0.5, True),
        (0.5, 1.0, 0.5, True),
        (-1.0, 1.0, 0.5, False),
        (1.75, 1.0, 0.5, False),
        (7.0, 1.0, INF, True),
        (NAN, 1.0, INF, True),
    ],
)
def test_what_an_entry_says_is_met_by_just_that(actual, value, rad, is_met):
    found = Instead(np.array([True]), np.array([value]), rad)
    with np.errstate(invalid="ignore"):
        assert found.is_met_by(np.array([actual])).tolist() == [is_met]


def test_an_entry_that_says_no_values_is_met_by_any_and_one_without_radii_by_just_its_values():
    actual = np.array([1.0, 1.5, NAN, INF])
    assert Instead(np.array(True)).is_met_by(actual).all()
    assert Instead(np.array(True), np.ones(4)).is_met_by(actual).tolist() == [True] + 3 * [False]


def yes(case):
    return True


def no(case):
    return False


# One of each kind, which cover all cases, or none.
ENTRIES = [
    each
    for covers, said in ((yes, "all"), (no, "none"))
    for each in (
        KnownError(name="error of " + said, covers=covers, error="no such size", **SAID),
        KnownError(name="other error of " + said, covers=covers, error="no such unit", **SAID),
        KnownEnding(name="ending of " + said, covers=covers, signals=("SIGFPE", "SIGABRT"), **SAID),
        KnownRewrite(name="rewrite of " + said, covers=covers, computes=replace, **SAID),
    )
]


def test_an_error_is_known_by_entries_that_cover_the_case_and_have_its_text():
    case = MINIMAL.case()
    verdict = excuse_error(case, "Error: no such size: 0", tuple(ENTRIES))
    assert (verdict.status, verdict.known) == (KNOWN, ("error of all",))
    assert verdict.error == "Error: no such size: 0"
    verdict = excuse_error(case, "Error: out of memory", tuple(ENTRIES))
    assert (verdict.status, verdict.known) == (DISAGREE, ())


def test_the_end_of_a_process_is_known_by_entries_that_cover_the_case_and_have_its_signal():
    case = MINIMAL.case()
    verdict = excuse_ending(case, "SIGABRT", tuple(ENTRIES))
    assert (verdict.status, verdict.known) == (KNOWN, ("ending of all",))
    verdict = excuse_ending(case, "SIGSEGV", tuple(ENTRIES))
    assert (verdict.status, verdict.known) == (DISAGREE, ())


def test_a_case_may_be_computed_as_another_by_rewrites_that_cover_it():
    assert [entry.name for entry in rewrites(MINIMAL.case(), tuple(ENTRIES))] == ["rewrite of all"]


def divergence(covered, values=None, name="known", arrays=("outputs",)):
    """An entry that covers these elements of some arrays, and says these values."""
    found = Instead(np.asarray(covered), values)
    return KnownDivergence(
        name=name, arrays=arrays, instead=lambda case, trace, array: found, **SAID
    )


@pytest.mark.parametrize(
    "entry",
    [*ENTRIES[1:4], divergence(True), Entry(name="any", **SAID)],
    ids=lambda entry: entry.name,
)
def test_an_entry_is_one_of_its_kind_and_cannot_be_changed(entry):
    assert replace(entry) != entry and len({entry, replace(entry)}) == 2
    with pytest.raises(FrozenInstanceError):
        entry.name = "another"


def test_the_smallest_case_has_the_numbers_that_are_named_and_zeros():
    case = Minimal("rnn-basic", {"batch": 2}, {"cell/bias": {(0,): 3.0}}).case()
    assert case.config.batch == 2 and case.config.num_units == 1
    assert case.arrays["cell/bias"].tolist() == [3.0]
    assert not any(np.any(array) for name, array in case.arrays.items() if name != "cell/bias")


# --- elements ----------------------------------------------------------------------------------


@pytest.fixture
def right():
    """A case of two rows, one step and three units, and a right trace."""
    case = random_case("rnn-basic", time=1, num_units=3)
    return case, Float32Port()(case)


def wrong_at(trace, *places):
    """The trace with another number in these places of its outputs."""
    outputs = trace["outputs"].copy()
    for place in places:
        outputs[place] += np.float32(0.5)
    return dict(trace, outputs=outputs)


def excused(right, places, *entries):
    case, trace = right
    trace = wrong_at(trace, *places)
    return excuse(judge(case, trace, FLOAT32), case, trace, entries), trace


def marks(*places):
    marked = np.zeros((2, 1, 3), dtype=bool)
    for place in places:
        marked[place] = True
    return marked


def known_of(verdict, run):
    return {x.name: x.known for x in verdict.arrays if x.run == run and x.known is not None}


def test_what_is_covered_is_excused_where_it_is_wrong_and_nothing_else(right):
    verdict, _ = excused(right, [(0, 0, 1)], divergence(marks((0, 0, 1), (0, 0, 2), (1, 0, 0))))
    assert (verdict.status, verdict.known) == (KNOWN, ("known",))
    known = known_of(verdict, TEACHER_FORCED)
    assert list(known) == ["outputs"] and known["outputs"].tolist() == marks((0, 0, 1)).tolist()
    verdict, _ = excused(right, [(0, 0, 1), (1, 0, 1)], divergence(marks((0, 0, 1))))
    assert verdict.status == DISAGREE and verdict.known == ("known",)
    verdict, _ = excused(right, [(0, 0, 1)], divergence(marks((0, 0, 2))))
    assert verdict.status == DISAGREE and not verdict.known


def test_what_is_covered_is_excused_only_with_the_value_that_is_predicted(right):
    places = [(0, 0, 1), (0, 0, 2)]
    trace = excused(right, places)[1]
    values = trace["outputs"].copy()
    covered = marks(*places)
    assert excused(right, places, divergence(covered, values))[0].status == KNOWN
    values[0, 0, 2] += 1
    verdict, _ = excused(right, places, divergence(covered, values))
    assert verdict.status == DISAGREE
    assert known_of(verdict, TEACHER_FORCED)["outputs"].tolist() == marks((0, 0, 1)).tolist()


def test_two_entries_may_share_an_array_and_each_is_named_once(right):
    first, second = (0, 0, 1), (1, 0, 2)
    entries = [divergence(marks(second), name="b"), divergence(marks(first), name="a")]
    verdict, _ = excused(right, [first, second], *entries)
    assert (verdict.status, verdict.known) == (KNOWN, ("a", "b"))
    # Where all is excused already, nobody else is asked.
    verdict, _ = excused(right, [first], divergence(marks(first)), divergence(True, name="other"))
    assert verdict.known == ("known",)


def test_an_entry_of_another_array_is_not_asked(right):
    verdict, _ = excused(right, [(0, 0, 1)], divergence(True, arrays=("states_h",)))
    assert verdict.status == DISAGREE and not verdict.known


def test_an_error_just_beyond_its_bound_is_excused(right):
    case, trace = right
    verdict = judge(case, trace, FLOAT32)
    outputs = next(x for x in verdict.arrays if (x.name, x.run) == ("outputs", TEACHER_FORCED))
    ratios = np.where(marks((0, 0, 1)), 1.5, 0.5)
    arrays = [x._replace(ratios=ratios, worst=1.5) if x is outputs else x for x in verdict.arrays]
    verdict = verdict._replace(arrays=arrays)
    assert verdict.status == DISAGREE
    assert excuse(verdict, case, trace, (divergence(True),)).status == KNOWN


def test_free_running_the_rows_of_what_is_excused_are_not_judged_and_all_others_are(right):
    verdict, trace = excused(right, [(1, 0, 1)], divergence(marks((1, 0, 1))))
    assert verdict.status == KNOWN
    for known in known_of(verdict, FREE_RUNNING).values():
        assert known[1].all() and not known[0].any()
    arrays = {x.name for x in verdict.arrays if x.run == FREE_RUNNING}
    assert set(known_of(verdict, FREE_RUNNING)) == arrays
    case, _ = right
    assert excuse(judge(case, trace, FLOAT32), case, trace, ()).status == DISAGREE


def test_without_what_is_excused_a_verdict_is_the_same(right):
    case, trace = right
    verdict = judge(case, trace, FLOAT32)
    assert excuse(verdict, case, trace, (divergence(True),)) is verdict
