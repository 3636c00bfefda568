"""The gap of a single reward: identities of total variation, the exact loss by another way, planted groups."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from scipy.special import expit, logsumexp

from pluralism.data.simulate import simulate_mixture
from pluralism.diagnostics.single_reward_gap import single_reward_gap, single_reward_gap_of_model
from pluralism.errors import UsageError
from pluralism.models import BradleyTerry, MixtureBradleyTerry
from pluralism.social_choice import Utilities
from pluralism.testing.collective_strategies import utilities as some_utilities


def objective(utilities, log_policy, beta) -> np.ndarray:
    """F_u of a policy, term by term."""
    there = utilities.mask
    ratio = np.where(there, log_policy, 0.0) - np.where(there, utilities.log_reference, 0.0)
    kl = np.sum(np.exp(log_policy) * ratio, axis=1)
    return utilities.expected(log_policy) - beta * utilities.prompt_weights @ kl


@settings(max_examples=40)
@given(some_utilities(min_candidates=2))
def test_the_gap_is_the_loss_against_the_optimal_value(utilities):
    beta, shares = 0.7, utilities.shares
    assume((utilities.mask.sum(axis=1) > 1).any())
    found = single_reward_gap(utilities, beta=beta)
    reward = utilities.values @ shares
    logs = utilities.log_reference + reward / beta
    policy = logs - logsumexp(logs, axis=1, keepdims=True)
    exponent = utilities.log_reference[..., None] + utilities.values / beta
    best = beta * utilities.prompt_weights @ logsumexp(exponent, axis=1)
    np.testing.assert_allclose(found.gap, best - objective(utilities, policy, beta), atol=1e-9)
    np.testing.assert_allclose(found.attainable, best - objective(utilities, utilities.log_reference, beta), atol=1e-9)
    assert (found.gap >= 0).all()


@settings(max_examples=40)
@given(some_utilities(min_candidates=2, absent=False))
def test_distances_are_total_variations(utilities):
    found = single_reward_gap(utilities)
    n, m, k = utilities.values.shape
    tv, population = np.zeros((k, k)), np.zeros(k)
    pairs = [(a, b) for a in range(m) for b in range(a + 1, m)]
    for x in range(n):
        for a, b in pairs:
            p = expit(utilities.values[x, a] - utilities.values[x, b])
            weight = utilities.prompt_weights[x] / len(pairs)
            # Over the two outcomes of each comparison, half the absolute differences.
            tv += weight * 0.5 * (np.abs(p[:, None] - p) + np.abs((1 - p)[:, None] - (1 - p)))
            population += weight * np.abs(p - p @ utilities.shares)
    np.testing.assert_allclose(found.diversity, tv, atol=1e-12)
    np.testing.assert_allclose(found.distance_to_population, population, atol=1e-12)
    if k == 2:
        np.testing.assert_allclose(found.distance_to_population, (1 - utilities.shares) * tv[0, 1], atol=1e-12)
    assert (4 * found.distance_to_pooled <= found.margin_distance + 1e-12).all()


def test_groups_that_want_the_same_lose_nothing():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=(4, 3, 1)), 2, axis=2)
    found = single_reward_gap(Utilities(values, unit="gain"))
    np.testing.assert_allclose(found.gap, 0, atol=1e-12)
    assert found.diversity.max() == 0 and (found.attainable > 0).all()
    np.testing.assert_allclose(found.share_lost, 0, atol=1e-12)


def test_opposed_groups_by_hand():
    utilities = Utilities.from_matrix(
        [[2.0, 0.0], [0.0, 2.0]], shares=[0.75, 0.25], unit="gain", groups=["many", "few"]
    )
    found = single_reward_gap(utilities, beta=0.0)
    # The majority's candidate is always chosen.
    np.testing.assert_allclose(found.gap, [0.0, 2.0])
    np.testing.assert_allclose(found.attainable, [1.0, 1.0])
    assert found.worst_group == "few" and found.share_lost[1] == 2.0
    tv = expit(2.0) - expit(-2.0)
    np.testing.assert_allclose(found.diversity, [[0, tv], [tv, 0]])
    np.testing.assert_allclose(found.distance_to_population, [0.25 * tv, 0.75 * tv])
    assert "few loses most" in repr(found)
    even = single_reward_gap(utilities, beta=0.0, pooled_reward=[[0.0, 0.0]])
    np.testing.assert_allclose(even.gap, [1.0, 1.0])


def test_a_constant_for_each_prompt_and_group_changes_nothing():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 4, 2))
    shifted = values + rng.normal(size=(3, 1, 2))
    first, second = single_reward_gap(Utilities(values)), single_reward_gap(Utilities(shifted))
    np.testing.assert_allclose(first.gap, second.gap, atol=1e-12)
    np.testing.assert_allclose(first.diversity, second.diversity, atol=1e-12)


@pytest.fixture(scope="module")
def fitted():
    simulated = simulate_mixture(
        n_users=80, n_groups=2, n_items=60, dim=4, group_weights=[0.8, 0.2], pairs_per_user=30, rng=3
    )
    data = simulated.comparisons
    return MixtureBradleyTerry(n_groups=2, ridge=1.0, item_effects=False, n_init=1, rng=0).fit(data), data


def test_a_pooled_model_costs_the_minority_more(fitted):
    model, data = fitted
    found = single_reward_gap_of_model(model, data, beta=0.5)
    small, large = int(np.argmin(found.shares)), int(np.argmax(found.shares))
    assert found.distance_to_pooled[small] > found.distance_to_pooled[large]
    assert found.gap[small] > found.gap[large] >= 0
    assert found.worst_group == found.groups[small]
    probability = model.predict_group_proba(data)
    np.testing.assert_allclose(found.diversity[0, 1], np.abs(probability[:, 0] - probability[:, 1]).mean())
    assert found.n_comparisons == len(data)


def test_bounds_of_heads_hold(fitted):
    model, data = fitted
    found = single_reward_gap_of_model(model, data)
    assert found.head_bound is not None and (found.head_bound > 0).all()
    assert (found.head_bound <= found.head_distance).all()
    largest = np.linalg.norm(data.items.features[:], axis=1).max()
    np.testing.assert_allclose(found.head_bound, 2 / largest * found.distance_to_pooled, rtol=1e-5)
    assert (4 * found.distance_to_pooled <= found.margin_distance).all()
    assert set(found.to_frame().column_names) >= {"head_distance", "head_bound", "gap"}
    assert len(json.loads(found.to_json())["groups"]) == 2


def test_item_effects_have_no_heads_to_compare(fitted):
    model, data = fitted
    pooled = BradleyTerry(use_features=False, item_effects=True, rng=0).fit(data)
    found = single_reward_gap_of_model(model, data, pooled=pooled)
    assert found.head_bound is None and "head_bound" not in found.to_frame().column_names
    exact = single_reward_gap_of_model(model, data, items=data.items.take(np.arange(10)), beta=0.0)
    assert np.isfinite(exact.gap).all()


def test_bad_use_is_refused(fitted):
    model, data = fitted
    with pytest.raises(UsageError, match="no rewards in logits"):
        single_reward_gap(Utilities(np.zeros((1, 2, 2))).to_unit("cdf"))
    with pytest.raises(UsageError, match="two candidates"):
        single_reward_gap(Utilities(np.zeros((2, 1, 2))))
    with pytest.raises(UsageError, match="pooled_reward"):
        single_reward_gap(Utilities(np.zeros((1, 2, 2))), pooled_reward=[0.0, 1.0])
    with pytest.raises(UsageError, match="beta"):
        single_reward_gap(Utilities(np.zeros((1, 2, 2))), beta=-1.0)
    with pytest.raises(UsageError, match="no pooled model"):
        single_reward_gap_of_model(model, data, pooled=model)
    with pytest.raises(UsageError, match="that count"):
        single_reward_gap_of_model(model, data.take(slice(0, 0)))
