"""Ranked pairs against every order of equal majorities, and what it says where there are too many."""

from __future__ import annotations

from itertools import groupby, permutations, product
from math import factorial

import numpy as np
import pytest
from elections import names, plain_support
from hypothesis import assume, given
from hypothesis import strategies as st

from pluralism.errors import UsageError
from pluralism.social_choice import Profile, ranked_pairs, split_cycle
from pluralism.testing.collective_strategies import profiles


def every_order(links) -> list[np.ndarray]:
    """Who is above whom in the end, for every order of equal majorities."""
    m = len(links)
    found = sorted(((-links[a, b], a, b) for a in range(m) for b in range(m) if links[a, b]), key=lambda e: e[0])
    groups = [list(group) for _, group in groupby(found, key=lambda e: e[0])]
    assume(np.prod([float(factorial(len(group))) for group in groups]) <= 1000)
    ends = []
    for orders in product(*(permutations(group) for group in groups)):
        above = np.zeros((m, m), dtype=bool)
        for order in orders:
            for _, a, b in order:
                if not above[b, a]:
                    over, under = above[:, a].copy(), above[b].copy()
                    over[a] = under[b] = True
                    above |= np.outer(over, under)
        ends.append(above)
    return ends


@given(profiles(max_candidates=5, denominator=True), st.sampled_from(["margins", "winning_votes"]))
def test_winners_of_every_order(profile, strength):
    support = plain_support(profile)
    wins = support > support.T
    ends = every_order(np.where(wins, support - support.T if strength == "margins" else support, 0))
    winners = {int(c) for above in ends for c in np.flatnonzero(~above.any(axis=0))}
    outcome = ranked_pairs(profile, strength=strength)
    assert outcome.winners == names(profile, winners)
    assert not outcome.notes
    assert set(outcome.winners) <= set(split_cycle(profile, strength=strength).winners)
    if outcome.ranking is not None and all(len(tie) == 1 for tie in outcome.ranking):
        order = [profile.candidates.index(name) for (name,) in outcome.ranking]
        assert all(above[np.ix_(order, order)][np.triu_indices(len(order), 1)].all() for above in ends)


def test_many_candidates_one_order():
    rng = np.random.default_rng(0)
    m = 70
    place = rng.permutation(m)
    # A profile of two blocs whose majorities all follow one order.
    profile = Profile(range(m), np.stack([place, rng.permutation(m)]), [1000, 1])
    assert ranked_pairs(profile).ranking == tuple((str(c),) for c in np.argsort(place))


def test_a_limit_that_is_met_is_said():
    rng = np.random.default_rng(3)
    levels = rng.permuted(np.tile(np.arange(9), (4, 1)), axis=1)
    profile = Profile("abcdefghi", levels)
    every = ranked_pairs(profile)
    assert not every.notes
    first = ranked_pairs(profile, most_states=1)
    assert first.winners and set(first.winners) <= set(every.winners)
    assert set(first.winners) == set(split_cycle(profile).winners) or "more than 1 states" in first.notes[0]
    with pytest.raises(UsageError, match="most_states"):
        ranked_pairs(profile, most_states=0)


def test_the_steps_name_what_is_skipped():
    profile = Profile.from_orders(["abc", "bca", "cab"], [3, 2, 4])
    explained = ranked_pairs.explain(profile)
    assert [step.data.get("locked") for step in explained.steps[:3]] == [True, True, False]
    assert "b over c, 1: skipped, for c is already above b." in repr(explained)
    tied = repr(ranked_pairs.explain(Profile.from_orders(["abc", "bca", "cab"])))
    assert "each 1, cannot all be locked" in tied
