"""Profiles: dense levels, exact counts, pairwise support against a plain loop, round trips, refusals."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data import Rankings, Ratings
from pluralism.errors import DataError, UsageError
from pluralism.social_choice import Profile
from pluralism.social_choice.profile import apportioned
from pluralism.testing.collective_strategies import profiles


def plain_support(profile: Profile) -> np.ndarray:
    m = profile.n_candidates
    out = np.zeros((m, m), dtype=object)
    for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
        for a, b in permutations(range(m), 2):
            listed_only = profile.unlisted == "below" and row[a] >= 0 and row[b] < 0
            if listed_only or (row[a] >= 0 and row[b] >= 0 and row[a] < row[b]):
                out[a, b] += count
    return out


@given(profiles(max_candidates=6, denominator=True))
def test_support_is_that_of_a_plain_loop_over_ballots(profile):
    np.testing.assert_array_equal(profile.support, plain_support(profile))
    np.testing.assert_array_equal(profile.margins, -profile.margins.T)


def test_support_of_more_ballots_than_a_block_holds():
    rng = np.random.default_rng(0)
    levels = rng.integers(-1, 5, (5000, 5)) * 7 + 3
    levels[:, 0] = np.maximum(levels[:, 0], 3)
    profile = Profile("abcde", levels, rng.integers(0, 1000, 5000))
    np.testing.assert_array_equal(profile.support, plain_support(profile))


@given(st.lists(st.lists(st.integers(-3, 40_000), min_size=3, max_size=3), min_size=1, max_size=4))
def test_levels_become_dense_and_keep_their_order(rows):
    rows = [row for row in rows if max(row) >= 0] or [[0, 1, 2]]
    dense = Profile("abc", np.array(rows)).levels
    for before, after in zip(rows, dense.tolist(), strict=True):
        listed = sorted({level for level in after if level >= 0})
        assert listed == list(range(len(listed)))
        for i, j in permutations(range(3), 2):
            assert (before[i] < 0) == (after[i] < 0)
            if before[i] >= 0 and before[j] >= 0:
                assert (before[i] < before[j]) == (after[i] < after[j])


@given(profiles(denominator=True))
def test_json_and_rankings_give_the_same_profile_back(profile):
    back = Profile.from_dict(json.loads(profile.to_json()))
    assert back.candidates == profile.candidates
    assert (back.denominator, back.unlisted) == (profile.denominator, profile.unlisted)
    np.testing.assert_array_equal(back.levels, profile.levels)
    np.testing.assert_array_equal(back.counts, profile.counts)
    if profile.denominator == 1:
        ranked = Profile.from_rankings(profile.to_rankings(), unlisted=profile.unlisted)
        np.testing.assert_array_equal(ranked.support, profile.support)


@given(profiles())
def test_merging_equal_ballots_changes_no_count(profile):
    merged = profile.compressed()
    np.testing.assert_array_equal(merged.support, profile.support)
    assert len(np.unique(merged.levels, axis=0)) == len(merged)
    assert (merged.counts > 0).all()


@given(profiles(unlisted="below"))
def test_turning_every_ballot_upside_down_turns_the_margins(profile):
    np.testing.assert_array_equal(profile.reversed().margins, -profile.margins)


@given(profiles(min_candidates=2, unlisted="ignore"))
def test_turning_ballots_that_ignore_the_unlisted(profile):
    turned = profile.reversed()
    np.testing.assert_array_equal(turned.margins, -profile.margins)
    np.testing.assert_array_equal(turned.levels < 0, profile.levels < 0)


@given(profiles(min_candidates=2))
def test_leaving_candidates_out_keeps_the_margins_of_the_others(profile):
    rest = profile.without([profile.candidates[0]])
    assert rest.candidates == profile.candidates[1:]
    if profile.unlisted == "ignore" or profile.complete:
        np.testing.assert_array_equal(rest.margins, profile.margins[1:, 1:])


def test_fractions_of_a_voter_are_counted_exactly():
    profile = Profile.from_orders([["a", "b"], ["b", "a"]], counts=[Fraction(1, 3), Fraction(1, 7)])
    assert profile.n_voters == Fraction(10, 21)
    assert Fraction(int(profile.margins[0, 1]), profile.denominator) == Fraction(4, 21)


def test_shares_become_whole_units_that_add_up():
    counts, denominator = apportioned([0.51234, 0.28766, 0.2 / 3, 0.4 / 3], 4, 1000)
    assert (counts.tolist(), denominator) == ([512, 288, 67, 133], 1000)
    assert apportioned([2.0, 3.0], 2, 1000)[0].tolist() == [2, 3]
    with pytest.raises(DataError, match="64 bits"):
        apportioned([1e19, 1.0], 2, 1000)


@pytest.mark.parametrize(
    ("weights", "counts"),
    [([1 / 3] * 3, [1, 1, 1]), ([0.5, 0.3, 0.2 / 3, 0.4 / 3], [15, 9, 2, 4]), ([1.5, 0.0, 1.5], [1, 0, 1])],
)
def test_shares_that_are_simple_fractions_are_kept(weights, counts):
    whole, denominator = apportioned(weights, len(weights), 1000)
    assert (whole.tolist(), denominator) == (counts, sum(counts))


def test_equal_groups_in_a_circle_are_tied():
    circle = np.array([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [2.0, 1.0, 3.0]])
    profile = Profile.from_utilities(circle, [1 / 3] * 3, candidates="abc")
    assert profile.margins.tolist() == [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]


@settings(max_examples=50)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20))
def test_apportioned_units_lie_near_their_share_and_equal_shares_stay_equal(weights):
    weights = [*weights, weights[0]]
    counts, denominator = apportioned(weights, len(weights), 10_000)
    assert counts[0] == counts[-1]
    if denominator > 2 * len(weights):
        assert counts.sum() == denominator
        assert np.all(np.abs(counts / denominator - np.array(weights) / sum(weights)) < (1 + len(weights) / 2) / 9_000)


def test_utilities_rank_with_ties_within_the_tolerance():
    values = np.array([[3.0, 1.0, 2.0], [1.0, 1.05, np.nan], [0.0, 0.0, 0.0]])
    profile = Profile.from_utilities(values, [5, 2, 1], candidates="abc", tolerance=0.1)
    assert profile.to_orders() == [[["a"], ["c"], ["b"]], [["a", "b"]], [["a", "b", "c"]]]
    assert profile.counts.tolist() == [5, 2, 1]


def test_ratings_are_ballots_that_ignore_what_was_not_seen():
    ratings = Ratings.from_frame(
        {"user": ["u", "u", "v", "v"], "item": ["x", "y", "y", "z"], "value": [1.0, -1.0, 1.0, 1.0]}
    )
    profile = Profile.from_ratings(ratings)
    assert profile.unlisted == "ignore"
    place = {name: i for i, name in enumerate(profile.candidates)}
    assert len(profile) == 2
    x, y, z = (place[i] for i in ratings.items.ids.to_pylist())
    assert profile.margins[x, y] == 1
    assert profile.margins[y, z] == profile.margins[x, z] == 0


def test_names_are_texts_where_these_are_distinct():
    ballots = Rankings.from_lists([["tea", ["milk", "gin"]], ["gin", "tea"]])
    profile = Profile.from_rankings(ballots)
    assert set(profile.candidates) == {"tea", "milk", "gin"}
    assert sorted(map(len, profile.to_orders())) == [2, 2]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Profile(["a", "a"], [[0, 1]]), "called 'a'"),
        (lambda: Profile(["a", "b"], [[0, 1, 2]]), "shape"),
        (lambda: Profile(["a", "b"], [[0.5, 1.0]]), "whole numbers"),
        (lambda: Profile(["a", "b"], [[-1, -1]]), "lists no candidate"),
        (lambda: Profile(["a", "b"], [[0, 1]], [-1]), "negative"),
        (lambda: Profile(["a", "b"], [[0, 1]], [0.5]), "not a whole number"),
        (lambda: Profile(["a", "b"], [[0, 1]], [2**61]), "64 bits"),
        (lambda: Profile(["a", "b"], [[0, 1]], denominator=0), "denominator=0"),
        (lambda: Profile(["a", "b"], [[0, 1]], unlisted="last"), "unlisted='last'"),
        (lambda: Profile.from_orders([["a", "a"]]), "twice"),
        (lambda: Profile.from_orders([["a", "c"]], candidates=["a", "b"]), "'c', who is no candidate"),
        (lambda: Profile.from_orders([["a", "b"]]).only(["z"]), "'z' is no candidate"),
        (lambda: Profile.from_utilities(np.array([[1.0, np.inf]])), "finite"),
        (lambda: Profile.from_utilities(np.array([[1.0, 0.0]]), [-1.0]), "Weights"),
    ],
)
def test_what_is_no_profile_is_refused_with_a_remedy(make, says):
    with pytest.raises((DataError, UsageError), match=says) as caught:
        make()
    assert caught.value.fix
