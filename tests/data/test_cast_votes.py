"""Cast vote records: each rule of cleaning on ballots made for it, and the official count of a real election."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from pluralism.data.cast_votes import clean_cast_votes
from pluralism.errors import DataError, UsageError
from pluralism.social_choice import Profile, instant_runoff, plurality

UNDER, OVER = "undervote", "overvote"


def lists(marks, **options):
    cleaned = clean_cast_votes(marks, **options)
    return {
        tuple(name for (name,) in ballot): int(weight)
        for ballot, weight in zip(cleaned.rankings.to_lists(), cleaned.rankings.weight, strict=True)
    }


def test_each_rule_of_cleaning():
    marks = [
        ["a", "b", "c"],
        ["a", "a", "b"],  # a repeat
        [UNDER, "b", ""],  # a skipped rank
        ["a", OVER, "c"],
        [OVER, UNDER, UNDER],
        [UNDER, "", None],
        ["write-in", "c", UNDER],
        ["write-in", UNDER, UNDER],
    ]
    options = {"candidates": ["a", "b", "c"], "excluded": ["write-in"], "counts": [1, 2, 4, 8, 16, 32, 64, 128]}
    cleaned = clean_cast_votes(marks, **options)
    assert lists(marks, **options) == {("a", "b", "c"): 1, ("a", "b"): 2, ("b",): 4, ("a", "c"): 8, ("c",): 64}
    report = cleaned.report
    assert (report.cast, report.counted, report.blank, report.void) == (255, 79, 32, 144)
    assert (report.skipped, report.overvoted, report.repeated, report.excluded) == (4, 24, 2, 192)
    assert report.counted + report.blank + report.void == report.cast
    assert lists(marks, **options, overvotes="stop")[("a",)] == 8
    assert json.loads(report.to_json())["blank"] == 32
    assert report.to_frame().column("what").to_pylist()[0] == "cast"


def test_equal_ballots_are_one_and_all_who_stand_are_items():
    cleaned = clean_cast_votes([["a", UNDER], [UNDER, "a"], ["a", "a"]], candidates=["a", "b"])
    assert len(cleaned.rankings) == 1 and cleaned.rankings.weight[0] == 3
    assert cleaned.rankings.items.texts.to_pylist() == ["a", "b"]


@pytest.mark.parametrize(("most", "kept"), [(None, ("a", "b")), (2, ("a", "b")), (1, ("a",)), (0, ("a",))])
def test_skips_in_a_row_may_end_a_ballot(most, kept):
    assert list(lists([["a", UNDER, OVER, "b"]], most_skips=most)) == [kept]
    apart = lists([["a", UNDER, "b", UNDER, "c"]], most_skips=1)
    assert list(apart) == [("a", "b", "c")]


def test_marks_and_options_that_cannot_be():
    with pytest.raises(DataError, match="'z' is no candidate") as caught:
        clean_cast_votes([["a"], ["z"]], candidates=["a"])
    assert caught.value.where == "ballot 2"
    with pytest.raises(DataError, match="one name"):
        clean_cast_votes([["a"]], candidates=["a", "a"])
    for counts in ([1.5], [1, 2]):
        with pytest.raises(DataError, match="whole numbers"):
            clean_cast_votes([["a"]], counts)
    with pytest.raises(DataError, match="negative"):
        clean_cast_votes([["a"]], [-1])
    for options in ({"overvotes": "guess"}, {"most_skips": -1}):
        with pytest.raises(UsageError, match="not possible"):
            clean_cast_votes([["a"]], **options)


def test_nobody_voted():
    cleaned = clean_cast_votes([[UNDER]], candidates=["a"])
    assert len(cleaned.rankings) == 0 and cleaned.report.blank == 1


def test_minneapolis_2013_is_counted_as_the_city_counted_it(shared_data):
    """79,415 valid ballots; in the last round 38,870 for Hodges, 24,972 for Andrew, 15,573 exhausted."""
    folder = shared_data / "minneapolis_2013_mayor"
    names = {row["alt_id"]: row["name"] for row in pq.read_table(folder / "alternatives.parquet").to_pylist()}
    ballots = pq.read_table(folder / "ballots.parquet").to_pydict()
    marks = [[names.get(code) for code in ranks] for ranks in ballots["ranks"]]
    cleaned = clean_cast_votes(marks, ballots["count"], overvotes="skip")
    report = cleaned.report
    assert (report.cast, report.counted) == (80_101, 79_415)
    assert report.counted + report.blank + report.void == report.cast
    profile = Profile.from_rankings(cleaned.rankings)
    assert dict(zip(profile.candidates, plurality(profile).scores, strict=True))["BETSY HODGES"] == 28_962
    explained = instant_runoff.explain(profile)
    assert explained.outcome.winners == ("BETSY HODGES",)
    last = explained.steps[-2].data
    assert last["votes"] == {"BETSY HODGES": 38_870, "MARK ANDREW": 24_972} and last["exhausted"] == 15_573
    for options in ({"overvotes": "stop"}, {"excluded": ["UWI"]}, {"most_skips": 0}):
        other = Profile.from_rankings(clean_cast_votes(marks, ballots["count"], **options).rankings)
        assert instant_runoff(other).winners == ("BETSY HODGES",)
        assert np.abs(other.total - profile.total) < 300
