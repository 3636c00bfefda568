"""Maximal lotteries: value 1/2, exact fractions, uniqueness by linear programs, and the tie break."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog

from pluralism.errors import UsageError
from pluralism.social_choice import Profile, maximal_lottery
from pluralism.social_choice.majority import smith_set
from pluralism.solvers.symmetric_game import solve_symmetric_game
from pluralism.testing.collective_strategies import profiles


def chances_that_can_be(margins) -> list[tuple[float, float]]:
    """The least and the largest chance of each candidate over all maximal lotteries, by HiGHS."""
    m = len(margins)
    bounds = []
    for c in range(m):
        ends = [
            linprog(
                sign * np.eye(m)[c], A_ub=-margins.T, b_ub=np.zeros(m), A_eq=np.ones((1, m)), b_eq=[1], bounds=(0, 1)
            )
            for sign in (1, -1)
        ]
        bounds.append((ends[0].fun, -ends[1].fun))
    return bounds


@given(profiles(max_candidates=6, denominator=True))
@settings(max_examples=60)
def test_no_candidate_is_preferred_to_the_draw_and_uniqueness_is_true(profile):
    for tie_break in (None, "max_entropy"):
        lottery = maximal_lottery(profile, tie_break=tie_break)
        assert lottery.probabilities.sum() == pytest.approx(1, abs=1e-12)
        assert (lottery.probabilities @ profile.margins >= -1e-9 * profile.total).all()
        assert lottery.value == pytest.approx(0.5, abs=1e-10)
        assert set(lottery.winners) <= {profile.candidates[c] for c in smith_set(profile.margins)}
        ends = chances_that_can_be(profile.margins)
        assert lottery.unique == all(high - low < 1e-6 for low, high in ends)
        assert set(lottery.winners) == {profile.candidates[c] for c, (_, high) in enumerate(ends) if high > 1e-7}


@given(profiles(max_candidates=5, ties=False, truncated=False))
@settings(max_examples=40)
def test_an_odd_number_of_voters_leaves_one_lottery_in_fractions(profile):
    if profile.total % 2 == 0:
        profile = Profile(profile.candidates, [*profile.levels, profile.levels[0]], [*profile.counts, 1])
    lottery = maximal_lottery(profile)
    assert lottery.unique and lottery.value == 0.5 and sum(lottery.exact) == 1
    for column in profile.margins.T.tolist():
        assert sum(share * margin for share, margin in zip(lottery.exact, column, strict=True)) >= 0
    np.testing.assert_allclose(lottery.probabilities, list(map(float, lottery.exact)), atol=1e-15)


def test_a_condorcet_winner_is_certain():
    profile = Profile.from_orders(["abc", "bac", "acb"])
    lottery = maximal_lottery(profile)
    assert lottery.winners == ("a",) and lottery.unique and lottery.value == 0.5
    assert lottery.exact == (1, 0, 0) and '"exact": [1, 0, 0]' in lottery.to_json()


def test_several_lotteries_and_the_largest_entropy():
    two = maximal_lottery(Profile.from_orders(["ab", "ba"]), tie_break="max_entropy")
    assert not two.unique
    np.testing.assert_allclose(two.probabilities, [0.5, 0.5])
    # a and b tie, c beats a by more than it loses to b: not all lotteries of a and b are maximal.
    profile = Profile.from_orders(["bca", "abc", "bca", "abc", "cab", "bac"], [1, 1, 1, 1, 1, 1])
    even = maximal_lottery(profile, tie_break="max_entropy")
    assert even.value == pytest.approx(0.5, abs=1e-9)
    with pytest.raises(UsageError, match="tie_break"):
        maximal_lottery(profile, tie_break="coin")


def test_clones_share_the_chance_of_one():
    before = maximal_lottery(Profile.from_orders(["abc", "bca", "cab"], [4, 3, 2]))
    with_clone = maximal_lottery(Profile.from_orders(["aAbc", "bcAa", "caAb"], [4, 3, 2]))
    chance = dict(zip(with_clone.candidates, with_clone.probabilities, strict=True))
    assert chance["a"] + chance["A"] == pytest.approx(before.probabilities[0])
    assert chance["b"] == pytest.approx(before.probabilities[1])


def test_more_candidates_than_fractions_are_worked_out_for():
    rng = np.random.default_rng(0)
    m = 241
    margins = np.where(np.triu(rng.random((m, m)) < 0.5, 1), 1, -1)
    margins = np.triu(margins, 1) - np.triu(margins, 1).T
    lottery = maximal_lottery(profile_of_margins(margins))
    assert lottery.unique and len(lottery.winners) > 100 and lottery.exact is None and not lottery.notes
    assert lottery.value == pytest.approx(0.5, abs=1e-12)


def profile_of_margins(margins) -> Profile:
    """Ballots that list two candidates each, and compare no others (McGarvey's construction made short)."""
    winners, losers = np.nonzero(margins > 0)
    levels = np.full((len(winners), len(margins)), -1)
    levels[np.arange(len(winners)), winners] = 0
    levels[np.arange(len(winners)), losers] = 1
    return Profile(range(len(margins)), levels, margins[winners, losers], unlisted="ignore")


def test_a_lottery_that_is_not_verified_says_so(monkeypatch):
    upper = np.triu(np.random.default_rng(4).choice([-5, -3, -1, 1, 3, 5], size=(9, 9)), 1)
    profile = profile_of_margins(upper - upper.T)
    assert maximal_lottery(profile).notes == () and maximal_lottery(profile).exact is not None
    module = sys.modules["pluralism.social_choice.maximal_lottery"]
    monkeypatch.setattr(module, "solve_symmetric_game", partial(solve_symmetric_game, max_iter=2))
    lottery = maximal_lottery(profile)
    assert lottery.exact is None and "not verified" in lottery.notes[0] and lottery.value < 0.5
