"""Approval profiles: scores, sources, round trips, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given

from pluralism.data import Rankings, Ratings
from pluralism.errors import DataError, UsageError
from pluralism.social_choice import ApprovalProfile, Profile
from pluralism.testing.collective_strategies import approval_profiles, profiles


@given(approval_profiles())
def test_round_trips_and_merging_keep_the_scores(profile):
    back = ApprovalProfile.from_dict(json.loads(profile.to_json()))
    np.testing.assert_array_equal(back.approves, profile.approves)
    merged = profile.compressed()
    np.testing.assert_array_equal(merged.scores, profile.scores)
    assert merged.total == profile.total
    ballots = list(zip(profile.to_sets(), profile.counts, strict=True))
    by_hand = [sum(count for names, count in ballots if a in names) for a in profile.candidates]
    assert profile.scores.tolist() == by_hand


@given(profiles())
def test_the_first_level_of_each_ballot_is_approved(profile):
    approval = ApprovalProfile.from_profile(profile)
    assert [set(s) for s in approval.to_sets()] == [set(order[0]) for order in profile.to_orders()]


def test_categories_approve_their_first_level_alone():
    ballots = Rankings.from_lists([["x", "y"], ["y"]])
    assert ApprovalProfile.from_rankings(ballots).scores.tolist() == [1, 2]
    assert ApprovalProfile.from_rankings(ballots, top=1).scores.tolist() == [1, 1]


def test_votes_above_the_threshold_are_approvals():
    votes = Ratings.from_frame({"user": ["u", "u", "v"], "item": ["x", "y", "x"], "value": [1.0, 0.0, -1.0]})
    profile = ApprovalProfile.from_ratings(votes)
    assert dict(zip(profile.candidates, profile.scores.tolist(), strict=True)) == {
        votes.items.ids[0].as_py(): 1,
        votes.items.ids[1].as_py(): 0,
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda: ApprovalProfile(["a", "b"], [[1, 0]]),
        lambda: ApprovalProfile(["a", "b"], [[True]]),
        lambda: ApprovalProfile.from_sets([{"c"}], candidates=["a"]),
        lambda: ApprovalProfile.from_profile(Profile.from_orders([["a", "b"]]), top=0),
    ],
)
def test_what_is_no_approval_profile_is_refused(make):
    with pytest.raises((DataError, UsageError)) as caught:
        make()
    assert caught.value.fix
