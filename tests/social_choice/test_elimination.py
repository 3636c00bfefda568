"""Instant run-off, Coombs, Baldwin and Nanson against plain counts that follow every way to break ties."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from elections import names, plain_support, plain_votes
from hypothesis import given, settings

from pluralism.errors import UsageError
from pluralism.social_choice import Profile, baldwin, coombs, instant_runoff, nanson
from pluralism.social_choice.first_places import FirstPlaces
from pluralism.testing.collective_strategies import profiles

any_profile = profiles(max_candidates=5, denominator=True)


def follow(standing, last):
    """Everybody who wins when those whom `last` names leave, one at a time, in every order."""
    known = {}

    def winners(here):
        if here not in known:
            going, won = last(here)
            known[here] = won or frozenset().union(*(winners(here - {c}) for c in going))
        return known[here]

    return winners(frozenset(standing))


def fewest(votes):
    return [c for c, n in votes.items() if n == min(votes.values())]


@given(any_profile)
def test_instant_runoff_in_every_way(profile):
    def last(here):
        votes = plain_votes(profile, sorted(here))
        if len(here) == 1 or not any(votes.values()):
            return [], here
        return fewest(votes), None

    outcome = instant_runoff(profile)
    assert outcome.winners == names(profile, follow(range(profile.n_candidates), last))
    assert not outcome.notes
    together = instant_runoff(profile, ties="together")
    assert together.winners == names(profile, at_once(range(profile.n_candidates), last))
    if outcome.ranking is not None:
        assert sorted(name for tie in outcome.ranking for name in tie) == sorted(profile.candidates)


def at_once(standing, last):
    """Who is left when all of the last leave together."""
    here = frozenset(standing)
    while True:
        going, won = last(here)
        if won or len(going) == len(here):
            return won or here
        here -= set(going)


@given(any_profile)
def test_baldwin_and_nanson_by_borda_scores(profile):
    support = plain_support(profile)

    def scores(here):
        return {a: sum(int(support[a, b] - support[b, a]) for b in here if b != a) for a in sorted(here)}

    def lowest(here):
        return (fewest(scores(here)), None) if len(here) > 1 else ([], here)

    def below(here):
        going = [c for c, margin in scores(here).items() if margin < 0]
        return going, None if going else here

    everybody = range(profile.n_candidates)
    assert baldwin(profile).winners == names(profile, follow(everybody, lowest))
    assert baldwin(profile, ties="together").winners == names(profile, at_once(everybody, lowest))
    assert nanson(profile).winners == names(profile, at_once(everybody, below))


@given(profiles(max_candidates=5, unlisted="below"))
def test_coombs_by_last_places(profile):
    def last(here):
        standing = sorted(here)
        firsts = plain_votes(profile, standing)
        ahead = [c for c in standing if 2 * firsts[c] > sum(firsts.values())]
        if ahead or len(here) == 1:
            return [], frozenset(ahead) or here
        against = dict.fromkeys(standing, Fraction(0))
        for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
            place = {c: 99 if row[c] < 0 else row[c] for c in standing}
            worst = [c for c in standing if place[c] == max(place.values())]
            for c in worst:
                against[c] -= Fraction(count, len(worst))
        return fewest(against), None

    assert coombs(profile).winners == names(profile, follow(range(profile.n_candidates), last))
    assert coombs(profile, ties="together").winners == names(profile, at_once(range(profile.n_candidates), last))


@given(any_profile)
@settings(max_examples=50)
def test_first_places_from_the_top_and_from_where_the_last_count_stopped(profile):
    m = profile.n_candidates
    firsts = FirstPlaces(profile)
    before = firsts.count(np.ones(m, dtype=bool))
    standing = np.arange(m) % 2 == 1
    afresh, onwards = firsts.count(standing), firsts.count(standing, before.place)
    assert afresh.votes == onwards.votes and afresh.exhausted == onwards.exhausted
    expected = plain_votes(profile, np.flatnonzero(standing).tolist())
    assert [afresh.votes[c] for c in expected] == list(expected.values())
    assert sum(afresh.votes) + afresh.exhausted == profile.total


def test_equal_firsts_share_a_ballot_exactly():
    profile = Profile.from_orders([[["a", "b", "c"]], ["a"], ["d", "a"]], [2, 1, 1])
    tally = FirstPlaces(profile).count(np.ones(4, dtype=bool))
    assert tally.votes == [Fraction(5, 3), Fraction(2, 3), Fraction(2, 3), 1]
    assert instant_runoff(profile).winners == ("a",)


def test_candidates_without_votes_leave_at_once():
    """Two to the power of 25 orders of hopeless candidates need one count."""
    orders = [["a"], ["b"], *[[f"hopeless {i}", "a"] for i in range(25)]]
    profile = Profile.from_orders(orders, [60, 50, *[1] * 25])
    explained = instant_runoff.explain(profile)
    assert explained.outcome.winners == ("a",)
    assert explained.outcome.ranking[:2] == (("a",), ("b",))
    assert len(explained.steps) == 3


def test_a_limit_that_is_met_is_said():
    m = 14
    levels = [[(i + shift) % m for i in range(m)] for shift in range(m)]
    outcome = instant_runoff(Profile(range(m), levels), most_counts=20)
    assert "more than 20 counts" in outcome.notes[0]
    assert outcome.winners and set(outcome.winners) <= set(map(str, range(m)))
    assert instant_runoff(Profile(range(m), levels), most_counts=1).winners
    assert len(instant_runoff(Profile(range(m), levels), most_counts=100_000).winners) == m
    for options in ({"ties": "never"}, {"most_counts": 0}):
        with pytest.raises(UsageError, match="not possible"):
            instant_runoff(Profile.from_orders(["ab"]), **options)


def test_round_tables():
    profile = Profile.from_orders(["abc", "bca", "cab", ["d"]], [4, 3, 2, 1])
    explained = instant_runoff.explain(profile)
    first, second, *_ = explained.steps
    assert first.data["votes"] == {"a": 4, "b": 3, "c": 2, "d": 1}
    assert first.data["leaves"] == ("d",) and second.data["exhausted"] == 1
    assert "   d           1  leaves" in first.text
    assert repr(explained).startswith("1. Round 1, first places:\n")
    assert explained.outcome.ranking == (("a",), ("b",), ("c",), ("d",))
    many = Profile.from_orders([[f"c{i}"] for i in range(20)], list(range(30, 10, -1)))
    assert "others," in instant_runoff.explain(many).steps[0].text
