"""The tilt and its budget form: identities, limits, and no policy of the same KL that brings more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pluralism.errors import UsageError
from pluralism.policy import FinitePolicy, kl_budget, kl_optimal
from pluralism.social_choice import Utilities
from pluralism.solvers.kl_budget import largest_kl, tilt_to_kl, tilt_to_mean_kl
from pluralism.solvers.log_policies import expectation, kl_divergence, log_normalise, variance
from pluralism.solvers.tilt import tilt
from pluralism.testing.collective_strategies import utilities


def game(seed, prompts=40, candidates=9):
    rng = np.random.default_rng(seed)
    there = rng.random((prompts, candidates)) < 0.8
    there[:, 0] = True
    log_reference = log_normalise(np.where(there, 2 * rng.normal(size=there.shape), -np.inf))
    return rng.normal(size=(prompts, candidates)) * rng.lognormal(size=(prompts, 1)) * 3, log_reference


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("beta", [0.05, 0.5, 4.0])
def test_identity_of_close_trade_offs(seed, beta):
    reward, p = game(seed)
    q = tilt(reward, p, beta)[0]
    w = log_normalise(p + np.random.default_rng(seed).normal(size=p.shape))
    left = kl_divergence(w, q)
    right = kl_divergence(w, p) - kl_divergence(q, p) + (expectation(q, reward) - expectation(w, reward)) / beta
    np.testing.assert_allclose(left, right, atol=1e-12 * (1 + np.abs(reward).max() / beta))


@pytest.mark.parametrize("beta", [0.3, 1.0, 5.0])
def test_reward_rises_with_one_over_beta_by_its_variance(beta):
    reward, p = game(0)
    h = 1e-5 / beta
    up, down = (expectation(tilt(reward, p, 1 / (1 / beta + d))[0], reward) for d in (h, -h))
    np.testing.assert_allclose((up - down) / (2 * h), variance(tilt(reward, p, beta)[0], reward), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("budget", [1e-9, 1e-3, 0.1, 0.7, 2.0])
def test_budgets_are_met_to_rounding(budget):
    reward, p = game(1)
    q, beta = tilt_to_kl(reward, p, budget)
    goal = np.minimum(budget, largest_kl(reward, p))
    np.testing.assert_allclose(kl_divergence(q, p), goal, rtol=1e-9, atol=1e-14)
    assert np.all((beta > 0) | (goal < budget))
    log_q, single = tilt_to_mean_kl(reward, p, budget)
    assert kl_divergence(log_q, p).mean() == pytest.approx(budget, rel=1e-9)
    np.testing.assert_array_equal(log_q, tilt(reward, p, single)[0])


def test_a_nearly_tied_best_candidate_and_a_budget_near_the_largest():
    p = np.log([[0.25, 0.25, 0.5]])
    reward = np.array([[1.0, 1.0 - 1e-9, 0.0]])
    full = largest_kl(reward, p)
    np.testing.assert_allclose(full, np.log(4))
    for share in (0.3, 0.9, 1 - 1e-7):
        q, _ = tilt_to_kl(reward, p, share * full)
        np.testing.assert_allclose(kl_divergence(q, p), share * full, rtol=1e-9)


@given(utilities(), st.floats(0.01, 2.0), st.sampled_from(["global", "per_prompt"]), st.integers(0, 2**32 - 1))
def test_no_policy_of_the_same_kl_brings_more(raw, budget, scope, seed):
    best = kl_budget(raw, kl=budget, scope=scope)
    kl = best.kl if scope == "per_prompt" else np.array([best.kl_mean])
    assert np.all(kl <= budget * (1 + 1e-9))
    assert best.certificate.gap <= 1e-7 * (1 + np.abs(raw.values).max())
    logs = np.where(raw.mask, raw.log_reference + np.random.default_rng(seed).normal(size=raw.mask.shape), -np.inf)
    other = FinitePolicy(log_normalise(logs), raw, "random")
    assume(np.all((other.kl if scope == "per_prompt" else other.kl_mean) <= budget))
    assert raw.shares @ other.group_utilities <= raw.shares @ best.group_utilities + 1e-9


def test_one_beta_for_all_prompts_spends_the_mean_budget_best():
    reward, p = game(2)
    raw = Utilities(reward[..., None], p, prompt_weights=np.arange(1.0, len(p) + 1))
    apart = kl_budget(raw, kl=0.4, scope="per_prompt")
    shared = kl_budget(raw, kl=apart.kl_mean)
    assert shared.kl_mean == pytest.approx(apart.kl_mean)
    assert shared.group_utilities[0] > apart.group_utilities[0] + 0.01
    beta = float(shared.method.split("beta=")[1])
    np.testing.assert_allclose(shared.probs, kl_optimal(raw, beta=beta).probs, atol=0.02)


def test_limits():
    raw = Utilities([[[1.0], [1.0], [0.0]], [[2.0], [2.0], [2.0]]], np.log([[0.1, 0.3, 0.6], [0.2, 0.3, 0.5]]))
    for scope in ("global", "per_prompt"):
        np.testing.assert_allclose(kl_budget(raw, kl=0.0, scope=scope).probs, np.exp(raw.log_reference))
        np.testing.assert_allclose(kl_budget(raw, kl=50.0, scope=scope).probs[0], [0.25, 0.75, 0.0])
        np.testing.assert_allclose(kl_budget(raw, kl=50.0, scope=scope).probs[1], [0.2, 0.3, 0.5])
    mixed = kl_budget(raw, kl=[0.1, 0.0], scope="per_prompt")
    np.testing.assert_allclose(mixed.kl, [0.1, 0.0], atol=1e-12)
    assert mixed.certificate.holds(1e-9)


@pytest.mark.parametrize("kl", [-0.1, np.nan, np.inf, [0.1, 0.2]])
def test_impossible_budgets(kl):
    with pytest.raises(UsageError, match="budget"):
        kl_budget(Utilities.from_matrix([[1.0, 0.0]]), kl=kl)
    with pytest.raises(UsageError, match="scope"):
        kl_budget(Utilities.from_matrix([[1.0, 0.0]]), kl=0.1, scope="local")
