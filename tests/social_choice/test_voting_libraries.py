"""Rules of pref_voting and abcvoting: as second opinions on ours, and behind the adapter, with what it must catch."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings

from pluralism.errors import DataError, MissingExtraError, UsageError
from pluralism.social_choice import ApprovalProfile, Profile, find_rule
from pluralism.social_choice.external import external, external_rules
from pluralism.testing.collective_strategies import approval_profiles, profiles

REASON = "an oracle of the extra: pip install 'pluralism[voting]'"
ON_MAJORITIES = {
    "copeland": "Copeland",
    "kemeny": "Kemeny-Young",
    "minimax": "Minimax",
    "ranked-pairs": "Ranked Pairs",
    "schulze": "Beat Path",
    "split-cycle": "Split Cycle",
}
ON_BALLOTS = {"borda": "Borda", "dowdall": "Dowdall", "plurality": "Plurality", "veto": "Anti-Plurality"}
IN_ROUNDS = {
    ("baldwin", "parallel"): "Baldwin PUT",
    ("baldwin", "together"): "Baldwin",
    ("coombs", "parallel"): "Coombs PUT",
    ("coombs", "together"): "Coombs",
    ("instant-runoff", "parallel"): "Instant Runoff PUT",
    ("instant-runoff", "together"): "Instant Runoff",
}


@pytest.fixture(scope="module")
def pref_voting():
    return pytest.importorskip("pref_voting.voting_methods", reason=REASON)


@pytest.fixture(scope="module")
def abcvoting():
    return pytest.importorskip("abcvoting.abcrules", reason=REASON)


@given(profile=profiles(max_candidates=4, max_ballots=5))
@settings(max_examples=60)
def test_rules_on_majorities_agree_on_ties_and_gaps(profile, pref_voting):
    for ours, theirs in ON_MAJORITIES.items():
        try:
            found = external(f"pref_voting:{theirs}")(profile).winners
        except DataError as error:
            assert theirs == "Ranked Pairs" and "every order of equal majorities" in str(error)
            continue
        assert find_rule(ours)(profile).winners == found, ours


def test_a_rule_that_would_try_all_orders_of_ties_is_refused(pref_voting):
    tied = Profile.from_orders(["abcd", "dcba"])
    with pytest.raises(DataError, match="every order of equal majorities"):
        external("pref_voting:Ranked Pairs")(tied)
    assert find_rule("ranked-pairs")(tied).winners == ("a", "b", "c", "d")
    few = Profile.from_orders(["abc", "bca", "cab"])
    assert external("pref_voting:Ranked Pairs")(few).winners == find_rule("ranked-pairs")(few).winners


@pytest.mark.slow
@given(profile=profiles(max_candidates=5, ties=False, truncated=False))
def test_rules_on_ballots_and_in_rounds_agree(profile, pref_voting):
    for ours, theirs in ON_BALLOTS.items():
        assert find_rule(ours)(profile).winners == external(f"pref_voting:{theirs}")(profile).winners, ours
    for (ours, ties), theirs in IN_ROUNDS.items():
        assert find_rule(ours)(profile, ties=ties).winners == external(f"pref_voting:{theirs}")(profile).winners, ours
    assert find_rule("nanson")(profile).winners == external("pref_voting:Strict Nanson")(profile).winners


@pytest.mark.slow
@given(profile=profiles(max_candidates=5, ties=False, unlisted="below"))
def test_instant_runoff_of_truncated_ballots_agrees(profile, pref_voting):
    exhausted = external("pref_voting:Instant Runoff (Truncated Linear Orders)")(profile)
    assert find_rule("instant-runoff")(profile, ties="together").winners == exhausted.winners


@given(profile=approval_profiles())
@settings(max_examples=30)
def test_approval_agrees_with_a_committee_of_one(profile, abcvoting):
    if profile.compressed().approves.any():
        theirs = external("abcvoting:av")(profile, seats=1)
        assert {name for (name,) in theirs.committees} == set(find_rule("approval")(profile).winners)
        assert theirs.complete


def test_the_long_tail_is_there(pref_voting, abcvoting):
    names = external_rules("pref_voting")
    assert len(names) > 90 and "pref_voting:Stable Voting" in names
    assert not any("Stochastic" in name for name in names)
    assert {"abcvoting:monroe", "abcvoting:seqphragmen"} <= set(external_rules("abcvoting"))
    profile = Profile.from_orders(["abc", "bca", "cab"], [3, 2, 4])
    explained = external("pref_voting:Stable Voting").explain(profile)
    assert explained.outcome.winners == ("c",) and explained.outcome.rule == "pref_voting:Stable Voting"
    assert "Stable Voting of pref_voting counts a Profile" in explained.steps[0].text
    assert all(type(name) is str for name in explained.outcome.winners)
    nobody = external("pref_voting:Condorcet")(Profile.from_orders(["abc", "bca", "cab"]))
    assert set(nobody.winners) <= {"a", "b", "c"}


def test_profiles_are_given_as_what_they_are(pref_voting):
    below = Profile.from_orders(["ab", "ba", "cb"], [2, 1, 2], candidates="abc")
    ignore = Profile(below.candidates, below.levels, below.counts, unlisted="ignore")
    rule = external("pref_voting:Minimax")
    assert rule(below).winners == find_rule("minimax")(below).winners
    assert rule(ignore).winners == find_rule("minimax")(ignore).winners
    assert rule(below).winners != rule(ignore).winners
    ties = Profile.from_orders([[["a", "b"], "c"], "cab"], [2, 1])
    assert external("pref_voting:Borda")(ties).winners == find_rule("borda")(ties).winners
    with pytest.raises(DataError, match="ties or gaps"):
        external("pref_voting:Bucklin")(ties)
    huge = Profile(["a", "b"], [[0, 1], [1, 0]], [2**40 + 1, 2**40])
    with pytest.raises(DataError, match="units of voters"):
        rule(huge)
    assert rule(Profile(["a", "b"], [[0, 1], [1, 0]], [2**41, 2**40])).winners == ("a",)


def test_chance_is_asked_for(pref_voting):
    profile = Profile.from_orders(["abc", "bca", "cab", "acb", "cba"])
    with pytest.raises(UsageError, match="draws at random"):
        external("pref_voting:Bracket Voting")(profile)
    seeded = external("pref_voting:Bracket Voting")(profile, seed=1)
    assert seeded.winners == external("pref_voting:Bracket Voting")(profile, seed=1).winners
    with pytest.raises(UsageError, match="has no method"):
        external("pref_voting:Random Consensus Builder (Stochastic)")


def test_failures_of_the_libraries_have_names(pref_voting, abcvoting):
    profile = Profile.from_orders(["ab", "ba"])
    with pytest.raises(DataError, match=r"Plurality of pref_voting failed: TypeError"):
        external("pref_voting:Plurality")(profile, colour="red")
    approvals = ApprovalProfile.from_sets([{"a"}, {"a", "b"}, {"c"}])
    with pytest.raises(DataError, match="abcvoting failed"):
        external("abcvoting:seqpav")(approvals, seats=2, colour="red")
    with pytest.raises(UsageError, match="no algorithm 'guess'"):
        external("abcvoting:pav")(approvals, seats=2, algorithm="guess")
    with pytest.raises(DataError, match="approves anybody"):
        external("abcvoting:pav")(ApprovalProfile.from_sets([set()], candidates="ab"), seats=1)
    with pytest.raises(UsageError, match="seats"):
        external("abcvoting:pav")(approvals, seats=9)


def test_committees_come_with_all_their_ties(abcvoting):
    approvals = ApprovalProfile.from_sets([{"a"}, {"b"}, {"c"}, {"d"}])
    every = external("abcvoting:pav")(approvals, seats=2)
    assert len(every.committees) == 6 and every.complete
    some = external("abcvoting:pav")(approvals, seats=2, most=4)
    assert len(some.committees) == 4 and not some.complete
    weighted = ApprovalProfile.from_sets([{"a", "b"}, {"c"}], [3, 2])
    assert external("abcvoting:monroe")(weighted, seats=1).committees
    too_many = ApprovalProfile.from_sets([{"a", "b"}, {"c"}], [300_001, 200_000])
    with pytest.raises(DataError, match="knows no weights"):
        external("abcvoting:monroe")(too_many, seats=1)


def test_names_that_are_no_rules(pref_voting, abcvoting):
    for name in ("Stable Voting", "whalrus:Borda", "pref_voting:"):
        with pytest.raises(UsageError, match="names no rule"):
            external(name)
    with pytest.raises(UsageError, match="has no rule"):
        external("abcvoting:borda")
    with pytest.raises(UsageError, match="cannot be used"):
        external_rules("whalrus")
    assert find_rule("pref_voting:Stable Voting").name == "pref_voting:Stable Voting"


def test_a_missing_library_is_named(monkeypatch):
    for module in ("pref_voting.voting_method", "pref_voting", "abcvoting.abcrules", "abcvoting"):
        monkeypatch.setitem(sys.modules, module, None)
    for name in ("pref_voting:Borda", "abcvoting:pav"):
        with pytest.raises(MissingExtraError) as caught:
            external(name)
        assert "pluralism[voting]" in str(caught.value)


def test_profiles_stay_as_they_are(pref_voting):
    profile = Profile.from_orders(["abc", "bca", "cab"], [3, 2, 4])
    before = profile.to_json()
    for name in ("Beat Path", "Kemeny-Young", "Instant Runoff"):
        external(f"pref_voting:{name}")(profile)
    assert profile.to_json() == before
    np.testing.assert_array_equal(profile.margins, [[0, 5, -3], [-5, 0, 1], [3, -1, 0]])
