"""Kemeny's rule against all orders, the local search against the exact one, and what is said without a proof."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from itertools import combinations, permutations
from types import SimpleNamespace

import numpy as np
import pytest
from elections import plain_support
from hypothesis import given

from pluralism.errors import UsageError
from pluralism.social_choice import Profile, kemeny, kemeny_consensus
from pluralism.social_choice.kemeny_kernels import cycle_bound
from pluralism.social_choice.kemeny_search import search
from pluralism.testing.collective_strategies import profiles


def disagreements(profile) -> dict[tuple[str, ...], Fraction]:
    support = plain_support(profile)
    return {
        tuple(profile.candidates[c] for c in order): Fraction(
            sum(int(support[b, a]) for a, b in combinations(order, 2)), profile.denominator
        )
        for order in permutations(range(profile.n_candidates))
    }


@given(profiles(max_candidates=5, denominator=True))
def test_all_best_orders(profile):
    costs = disagreements(profile)
    least = min(costs.values())
    best = {order for order, cost in costs.items() if cost == least}
    found = kemeny_consensus(profile)
    assert set(found.rankings) == best
    assert len(found.rankings) == found.n_rankings == len(best)
    assert found.disagreement == found.lower_bound == least
    assert found.optimal and found.complete and found.winners_exact and found.status == "optimal"
    outcome = kemeny(profile)
    assert set(outcome.winners) == set(found.winners) == {order[0] for order in best}
    assert (outcome.ranking is not None) == (len(best) == 1)
    assert not outcome.notes


@given(profiles(max_candidates=5))
def test_search_brackets_the_least_disagreement(profile):
    least = min(disagreements(profile).values())
    found = kemeny_consensus(profile, exact_up_to=1, starts=3)
    assert found.lower_bound <= least <= found.disagreement
    assert disagreements(profile)[found.rankings[0]] == found.disagreement


@pytest.mark.parametrize("seed", range(4))
def test_search_finds_what_the_exact_method_finds(seed):
    rng = np.random.default_rng(seed)
    profile = Profile(range(13), rng.permuted(np.tile(np.arange(13), (9, 1)), axis=1))
    exact = kemeny_consensus(profile, most=5)
    found = kemeny_consensus(profile, exact_up_to=1)
    assert exact.optimal and found.disagreement == exact.disagreement
    assert found.lower_bound <= exact.disagreement
    assert len(exact.rankings) == min(5, exact.n_rankings)
    assert exact.complete == (exact.n_rankings <= 5)


def test_bound_from_cycles():
    profile = Profile.from_orders(["abc", "bca", "cab"], [3, 2, 4])
    assert cycle_bound(profile.margins) == 1
    rng = np.random.default_rng(0)
    profile = Profile(range(90), rng.permuted(np.tile(np.arange(90), (5, 1)), axis=1))
    found = search(profile.support, starts=3, rng=0)
    floor = int(np.minimum(profile.support, profile.support.T).sum()) // 2
    assert "3-cycles" in found.solver
    assert floor < found.bound < found.disagreement


def test_what_is_not_proved_is_said():
    rng = np.random.default_rng(1)
    profile = Profile(range(90), rng.permuted(np.tile(np.arange(90), (5, 1)), axis=1))
    found = kemeny_consensus(profile, starts=2)
    assert found.status == "feasible" and not found.winners_exact and found.n_rankings is None
    assert "not proved" in repr(found)
    outcome = kemeny(profile, starts=2)
    assert "not proved best" in outcome.notes[0] and outcome.ranking is None


def test_a_solver_that_gives_up_is_named(monkeypatch):
    module = sys.modules["pluralism.social_choice.kemeny_search"]
    monkeypatch.setattr(module, "linprog", lambda *args, **options: SimpleNamespace(x=None, fun=None))
    found = kemeny_consensus(Profile.from_orders(["abc", "bca", "cab"], [3, 2, 4]), exact_up_to=1)
    assert "after HiGHS failed" in found.solver and found.optimal


def test_parts_are_solved_apart():
    """Sixty candidates in blocks of three that go round in circles: exact, with a third of all cyclic shifts each."""
    levels = [[3 * block + (i + shift) % 3 for block in range(20) for i in range(3)] for shift in range(3)]
    profile = Profile(range(60), levels)
    found = kemeny_consensus(profile, most=4)
    assert found.n_rankings == 3**20
    assert found.winners == ("0", "1", "2") and found.winners_exact and found.optimal and not found.complete
    assert len(set(found.rankings)) == 4


def test_sixteen_candidates_and_a_planted_order():
    rng = np.random.default_rng(5)
    truth = rng.permutation(16)
    order = np.argsort(truth)
    levels = np.tile(truth, (400, 1))
    for row in levels:
        for _ in range(12):
            i = rng.integers(15)
            row[order[[i, i + 1]]] = row[order[[i + 1, i]]]
    found = kemeny_consensus(Profile(range(16), levels))
    assert found.n_rankings == 1 and found.rankings[0] == tuple(map(str, order))


def test_results_can_be_read():
    found = kemeny_consensus(Profile.from_orders(["abc", "bca", "cab"]))
    assert found.to_frame().column_names == ["candidate", "rank_1", "rank_2", "rank_3"]
    assert json.loads(found.to_json())["status"] == "optimal"
    assert "one of 3 orders" in repr(found)
    single = kemeny_consensus(Profile.from_orders([["a"]]))
    assert single.rankings == (("a",),) and single.disagreement == 0


def test_options_that_cannot_be():
    profile = Profile.from_orders(["ab"])
    for options in ({"most": 0}, {"starts": 0}, {"exact_up_to": 0}, {"exact_up_to": 27}):
        with pytest.raises(UsageError, match="not possible"):
            kemeny_consensus(profile, **options)
