"""Plurality, veto, Dowdall and points of one's own, against a plain count; approval voting."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from elections import names, plain_votes
from hypothesis import given
from hypothesis import strategies as st

from pluralism.errors import DataError, UsageError
from pluralism.social_choice import ApprovalProfile, Profile, approval, borda, dowdall, plurality, positional_rule, veto
from pluralism.testing.collective_strategies import approval_profiles, profiles

below = profiles(max_candidates=5, unlisted="below", denominator=True)


def plain_points(profile, points) -> list[Fraction]:
    m = profile.n_candidates
    scores = [Fraction(0)] * m
    for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
        place = [m if level < 0 else level for level in row]
        for c in range(m):
            better, tied = sum(p < place[c] for p in place), place.count(place[c])
            share = sum(map(Fraction, points[better : better + tied]), Fraction(0)) / tied
            scores[c] += share * Fraction(count, profile.denominator)
    return scores


@given(below, st.data())
def test_points_for_places(profile, data):
    m = profile.n_candidates
    own = sorted(data.draw(st.lists(st.integers(-3, 5), min_size=m, max_size=m)), reverse=True)
    cases = {
        veto: [0] * (m - 1) + [-1],
        dowdall: [Fraction(1, k + 1) for k in range(m)],
        positional_rule(own): own,
        borda: list(range(m - 1, -1, -1)),
        plurality: [1] + [0] * (m - 1),
    }
    for rule, points in cases.items():
        scores = plain_points(profile, points)
        outcome = rule(profile)
        assert list(outcome.scores) == scores, rule.name
        assert outcome.winners == names(profile, [c for c in range(m) if scores[c] == max(scores)])


@given(profiles(max_candidates=5, unlisted="ignore"))
def test_plurality_needs_no_place_for_those_not_listed(profile):
    votes = plain_votes(profile, list(range(profile.n_candidates)))
    assert list(plurality(profile).scores) == [votes[c] for c in range(profile.n_candidates)]


def test_places_that_there_are_not():
    profile = Profile.from_orders(["ab", "b"], candidates="abc", unlisted="ignore")
    for rule in (veto, dowdall):
        with pytest.raises(DataError, match="have no place"):
            rule(profile)
    complete = Profile.from_orders(["abc"], unlisted="ignore")
    assert veto(complete).winners == ("a", "b")
    for points in ([1, 0], [0, 1, 2], [1.5, 1, 0], [True, False, False]):
        with pytest.raises(UsageError, match="do not fit"):
            positional_rule(points)(complete)


@given(approval_profiles())
def test_approval_counts_approvals(profile):
    outcome = approval(profile)
    scores = [
        sum(int(n) for row, n in zip(profile.approves, profile.counts, strict=True) if row[c])
        for c in range(profile.n_candidates)
    ]
    assert list(outcome.scores) == scores
    assert outcome.winners == names(profile, [c for c, score in enumerate(scores) if score == max(scores)])


@given(approval_profiles(), approval_profiles())
def test_approval_reinforces(first, second):
    m = max(first.n_candidates, second.n_candidates)
    profiles_ = [
        ApprovalProfile.from_sets(profile.to_sets(), profile.counts.tolist(), candidates="abcdef"[:m])
        for profile in (first, second)
    ]
    both = ApprovalProfile.from_sets(
        first.to_sets() + second.to_sets(), [*first.counts.tolist(), *second.counts.tolist()], candidates="abcdef"[:m]
    )
    common = set(approval(profiles_[0]).winners) & set(approval(profiles_[1]).winners)
    assert not common or set(approval(both).winners) == common


@given(approval_profiles(min_candidates=2), st.data())
def test_approval_is_monotone_and_to_vote_does_not_hurt(profile, data):
    winner = approval(profile).winners[0]
    c = profile.candidates.index(winner)
    raised = profile.approves.copy()
    raised[data.draw(st.integers(0, len(profile) - 1)), c] = True
    assert winner in approval(ApprovalProfile(profile.candidates, raised, profile.counts)).winners
    ballot = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(profile.candidates), max_size=profile.n_candidates))
    )
    more = ApprovalProfile(profile.candidates, [*profile.approves, ballot], [*profile.counts, 1])
    liked = {name for name, approved in zip(profile.candidates, ballot, strict=True) if approved}
    if set(approval(profile).winners) <= liked:
        assert set(approval(more).winners) <= liked


def test_fractions_of_voters_stay_exact():
    profile = Profile.from_orders(["ab", "ba", [["a", "b"]]], [Fraction(1, 3), Fraction(1, 3), Fraction(1, 7)])
    assert plurality(profile).scores == (Fraction(17, 42), Fraction(17, 42))
    assert plurality(profile).winners == ("a", "b")
