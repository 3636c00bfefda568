"""Copeland, minimax, Schulze and Split Cycle by their definitions, with ties, gaps and fractions of voters."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from elections import names, plain_paths, plain_support
from hypothesis import given
from hypothesis import strategies as st

from pluralism.errors import UsageError
from pluralism.social_choice import Profile, copeland, minimax, schulze, split_cycle
from pluralism.testing.collective_strategies import profiles

any_profile = profiles(max_candidates=6, denominator=True)


def strengths(profile, strength) -> np.ndarray:
    support = plain_support(profile)
    wins = support > support.T
    return np.where(wins, support - support.T if strength == "margins" else support, 0)


@given(any_profile, st.sampled_from([0, Fraction(1, 3), 0.5, 0.1, 1]))
def test_copeland_counts_wins_and_ties(profile, alpha):
    support = plain_support(profile)
    value = Fraction(str(alpha))
    scores = []
    for a in range(profile.n_candidates):
        others = [b for b in range(profile.n_candidates) if b != a]
        scores.append(
            sum(
                (1 if support[a, b] > support[b, a] else value if support[a, b] == support[b, a] else 0) for b in others
            )
        )
    outcome = copeland(profile, alpha=alpha)
    assert list(outcome.scores) == scores
    assert outcome.winners == names(profile, [a for a, score in enumerate(scores) if score == max(scores)])


@given(any_profile, st.sampled_from(["margins", "winning_votes", "opposition"]))
def test_minimax_takes_the_worst_result(profile, strength):
    support, m = plain_support(profile), profile.n_candidates
    against = {
        "margins": support.T - support,
        "winning_votes": np.where(support.T > support, support.T, 0),
        "opposition": support.T,
    }[strength]
    worst = [max((int(against[a, b]) for b in range(m) if b != a), default=0) for a in range(m)]
    outcome = minimax(profile, strength=strength)
    assert list(outcome.scores) == [Fraction(-units, profile.denominator) for units in worst]
    assert outcome.winners == names(profile, [a for a in range(m) if worst[a] == min(worst)])


@given(any_profile, st.sampled_from(["margins", "winning_votes"]))
def test_schulze_compares_paths(profile, strength):
    paths = plain_paths(strengths(profile, strength))
    m = profile.n_candidates
    free = [a for a in range(m) if all(paths[a, b] >= paths[b, a] for b in range(m) if b != a)]
    outcome = schulze(profile, strength=strength)
    assert outcome.winners == names(profile, free)
    if outcome.ranking is not None:
        place = {name: i for i, tie in enumerate(outcome.ranking) for name in tie}
        for a in range(m):
            for b in range(m):
                ahead = a != b and paths[a, b] > paths[b, a]
                assert ahead == (place[profile.candidates[a]] < place[profile.candidates[b]])


@given(any_profile, st.sampled_from(["margins", "winning_votes"]))
def test_split_cycle_discards_the_weakest_of_each_cycle(profile, strength):
    links, m = strengths(profile, strength), profile.n_candidates
    kept = links.copy()
    for cycle in simple_cycles(links):
        edges = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
        weakest = min(links[edge] for edge in edges)
        for edge in edges:
            if links[edge] == weakest:
                kept[edge] = 0
    assert split_cycle(profile, strength=strength).winners == names(profile, np.flatnonzero(~(kept > 0).any(axis=0)))
    assert set(schulze(profile, strength=strength).winners) <= set(split_cycle(profile, strength=strength).winners)
    assert m >= 1


def simple_cycles(links):
    """Every cycle of majorities once, from its smallest candidate."""
    m = len(links)

    def onwards(path):
        for b in range(path[0], m):
            if links[path[-1], b] and b == path[0]:
                yield tuple(path)
            elif links[path[-1], b] and b not in path:
                yield from onwards([*path, b])

    return [cycle for a in range(m) for cycle in onwards([a])]


@given(profiles(max_candidates=5, ties=False, truncated=False))
def test_strengths_agree_where_ballots_are_complete_and_strict(profile):
    assert schulze(profile).winners == schulze(profile, strength="winning_votes").winners
    assert split_cycle(profile).winners == split_cycle(profile, strength="winning_votes").winners
    worst = minimax(profile, strength="opposition").scores
    assert minimax(profile).winners == minimax(profile, strength="opposition").winners
    assert [2 * -score - profile.n_voters for score in worst] == [-score for score in minimax(profile).scores] or len(
        worst
    ) == 1


@given(any_profile)
def test_unlisted_and_units_change_what_they_should(profile):
    scaled = Profile(profile.candidates, profile.levels, profile.counts * 5, profile.denominator * 5, profile.unlisted)
    for rule in (copeland, minimax, schulze, split_cycle):
        assert rule(scaled).to_json() == rule(profile).to_json()


def test_options_that_cannot_be():
    profile = Profile.from_orders(["ab"])
    for alpha in (-1, 2, "much", float("nan")):
        with pytest.raises(UsageError, match="alpha"):
            copeland(profile, alpha=alpha)
    for rule in (minimax, schulze, split_cycle):
        with pytest.raises(UsageError, match="strength"):
            rule(profile, strength="losing_votes")
        assert rule(Profile.from_orders(["a"])).winners == ("a",)


def test_opposition_may_turn_down_a_condorcet_winner():
    profile = Profile.from_orders([[["a", "b"], "c"], "acb", "bca", "cab"], [6, 4, 3, 2])
    assert copeland(profile).winners == ("a",)
    assert minimax(profile).winners == ("a",)
    tied = Profile.from_orders(["ab", [["a", "c"], "b"], "cb"], [1, 1, 1])
    assert minimax(tied, strength="winning_votes").winners == ("a", "c")
