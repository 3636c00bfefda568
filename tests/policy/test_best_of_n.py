"""Best-of-n by enumeration of draws, its bounds, and the estimator from samples by enumeration of samples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluralism.errors import DataError, UsageError
from pluralism.policy import best_of_n, estimate_best_of_n, win_rate, worst_of_n
from pluralism.social_choice import Utilities
from pluralism.solvers.best_of_n import best_of_n_kl_bound, best_of_n_policy, best_of_n_win_rate_bound
from pluralism.solvers.log_policies import kl_divergence, log_normalise
from pluralism.solvers.reward_levels import reward_levels
from pluralism.testing.collective_strategies import utilities


def by_enumeration(p, reward, n, pick):
    """Of all sequences of n draws keep the best (worst), one of equals at random."""
    out = np.zeros(len(p))
    for draws in itertools.product(range(len(p)), repeat=n):
        chance = np.prod(p[list(draws)])
        values = reward[list(draws)]
        kept = np.flatnonzero(values == pick(values))
        for i in kept:
            out[draws[i]] += chance / len(kept)
    return out


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "reward", [[0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 1.0, 0.0], [2.0, 2.0, 2.0, 2.0], [0.5, -3.0, 0.5, 9.0]]
)
def test_enumeration(n, reward):
    p = np.array([0.1, 0.4, 0.3, 0.2])
    raw = Utilities.from_matrix([reward], reference=p)
    np.testing.assert_allclose(best_of_n(raw, n).probs[0], by_enumeration(p, np.array(reward), n, np.max), atol=1e-13)
    np.testing.assert_allclose(worst_of_n(raw, n).probs[0], by_enumeration(p, np.array(reward), n, np.min), atol=1e-13)


@given(utilities(), st.floats(1.0, 500.0))
def test_bounds_of_kl_and_win_rate(raw, n):
    policy = best_of_n(raw, n)
    assert np.all(policy.kl <= best_of_n_kl_bound(n) + 1e-9)
    wins = win_rate(policy)
    assert np.all(wins <= best_of_n_win_rate_bound(n) + 1e-9) and np.all(wins >= 0.5 - 1e-9)
    assert np.all(win_rate(worst_of_n(raw, n)) <= 0.5 + 1e-9)


def test_bounds_are_met_in_the_limit_of_many_candidates():
    raw = Utilities.from_matrix([np.arange(100_000.0)])
    assert best_of_n(raw, 4).kl[0] == pytest.approx(best_of_n_kl_bound(4), abs=1e-3)
    assert win_rate(best_of_n(raw, 4))[0] == pytest.approx(0.8, abs=1e-4)
    few = best_of_n(Utilities.from_matrix([np.arange(7.0)]), 64)
    assert few.kl[0] == pytest.approx(1.945, abs=1e-3)
    assert best_of_n_kl_bound(64) == pytest.approx(3.175, abs=1e-3)


@given(utilities(), st.floats(1.0, 20.0), st.floats(1.0, 20.0))
def test_best_of_best_is_best_of_the_product(raw, n, m):
    reward = raw.values @ raw.shares
    twice = best_of_n_policy(reward, best_of_n_policy(reward, raw.log_reference, n), m)
    np.testing.assert_allclose(np.exp(twice), best_of_n(raw, n * m).probs, atol=1e-9)


def test_one_draw_is_the_reference_and_more_draws_bring_more():
    rng = np.random.default_rng(0)
    p = log_normalise(np.where(rng.random((30, 8)) < 0.2, -np.inf, rng.normal(size=(30, 8))))
    raw = Utilities(rng.normal(size=(30, 8, 1)), p)
    np.testing.assert_allclose(best_of_n(raw, 1).probs, np.exp(p), atol=1e-14)
    rewards = [best_of_n(raw, n).group_utilities[0] for n in (1, 1.5, 2, 7, 100, 1e6)]
    assert np.all(np.diff(rewards) > 0)


def test_small_masses_keep_their_figures():
    p = np.log([[1 - 1e-30, 1e-30]])
    np.testing.assert_allclose(best_of_n_policy(np.array([[0.0, 1.0]]), p, 5.0)[0, 1], np.log(5) - 30 * np.log(10))
    np.testing.assert_allclose(best_of_n_policy(np.array([[1.0, 0.0]]), p, 5.0)[0, 1], -150 * np.log(10))
    thousand = log_normalise(np.array([[0.0, -1000.0, -2000.0]]))
    q = best_of_n_policy(np.array([[0.0, 1.0, 2.0]]), thousand, 3.0)
    np.testing.assert_allclose(q[0], [0.0, np.log(3) - 1000, np.log(3) - 2000], atol=1e-9)
    assert kl_divergence(q, thousand)[0] < 1e-12


def test_levels_share_mass_and_give_it_back():
    rng = np.random.default_rng(1)
    reward = rng.integers(0, 4, size=(50, 10)).astype(float)
    p = log_normalise(np.where(rng.random((50, 10)) < 0.3, -np.inf, rng.normal(size=(50, 10))))
    levels = reward_levels(reward, p)
    np.testing.assert_allclose(np.exp(levels.log_mass).sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(levels.spread(levels.log_mass)), np.exp(p), atol=1e-14)
    np.testing.assert_allclose(np.exp(levels.mass_of(p)), np.exp(levels.log_mass), atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_estimate_is_the_mean_over_subsets_and_without_bias(n):
    draws = np.array([3.0, -1.0, 0.5, 0.5, 2.0])
    subsets = [max(chosen) for chosen in itertools.combinations(draws, n)]
    np.testing.assert_allclose(estimate_best_of_n(draws, n), np.mean(subsets))
    p, values = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 5.0])
    samples = np.array(list(itertools.product(range(3), repeat=5)))
    chance = np.prod(p[samples], axis=1)
    exact = best_of_n(Utilities.from_matrix([values], reference=p), n).group_utilities[0]
    assert chance @ estimate_best_of_n(values[samples], n) == pytest.approx(exact)


def test_missing_draws_and_refusals():
    rewards = [[1.0, 2.0, np.nan, 4.0], [5.0, np.nan, np.nan, 3.0]]
    np.testing.assert_allclose(estimate_best_of_n(rewards, 2), [10 / 3, 5.0])
    with pytest.raises(DataError, match="more than there are") as caught:
        estimate_best_of_n(rewards, 3)
    assert "prompt 1 has 2" in str(caught.value)
    for n in (0, 1.5, np.nan, np.inf):
        with pytest.raises(UsageError, match="whole number"):
            estimate_best_of_n(rewards, n)
    for n in (0.5, np.nan, np.inf):
        with pytest.raises(UsageError, match="number of draws"):
            best_of_n(Utilities.from_matrix([[0.0, 1.0]]), n)


def test_many_draws_do_not_overflow_the_estimate():
    draws = np.random.default_rng(0).normal(size=(1, 20_000))
    exact = best_of_n(Utilities(draws.T[None]), 500).group_utilities[0]
    assert estimate_best_of_n(draws, 500)[0] == pytest.approx(exact, abs=0.02)
