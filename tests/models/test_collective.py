"""From models to utilities, ballots and win rates: what is handed on is what the model says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from pluralism.data import Items
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import UsageError
from pluralism.models import BradleyTerry, GeneralPreference, HierarchicalBradleyTerry, MixtureBradleyTerry

SETTINGS = {"ridge": 1.0, "item_effects": False, "rng": 0}


@pytest.fixture(scope="module")
def data():
    return simulate_mixture(n_users=60, n_groups=2, group_weights=[0.7, 0.3], n_items=60, dim=4, rng=1).comparisons


@pytest.fixture(scope="module")
def mixture(data):
    return MixtureBradleyTerry(n_groups=2, **SETTINGS).fit(data)


def asked(items: Items, n_prompts: int) -> Items:
    prompts = [f"prompt {i % n_prompts}" for i in range(len(items))]
    texts = [f"answer {i}" for i in range(len(items))]
    return Items(items.ids, texts=texts, prompts=prompts).with_features(items.features, items.feature_space)


def test_utilities_are_rewards_less_the_reference_mean_of_each_prompt(data, mixture):
    items = asked(data.items, 20)
    log_reference = np.random.default_rng(0).normal(size=len(items))
    made = mixture.utilities(items, log_reference=log_reference)
    assert (made.n_prompts, made.unit, made.groups) == (20, "gain", ("group 0", "group 1"))
    np.testing.assert_allclose(made.shares, mixture.group_weights_)
    reward, codes = mixture.reward(items), items.prompt_codes()
    for x in range(20):
        own = np.flatnonzero(codes == x)
        p = np.exp(log_reference[own]) / np.exp(log_reference[own]).sum()
        np.testing.assert_array_equal(made.items[x], own)
        np.testing.assert_allclose(made.values[x], reward[own] - p @ reward[own], atol=1e-12)
    assert made.candidates == tuple(items.ids.to_pylist())


def test_people_have_utilities_of_their_own(data, mixture):
    placed = mixture.adapt(data)
    made = mixture.utilities(data.items, of="users", membership=placed, unit="raw")
    np.testing.assert_allclose(made.values[0], mixture.reward(data.items) @ placed.posterior.T)
    assert made.groups == tuple(placed.users.to_pylist())
    np.testing.assert_allclose(made.shares, 1 / len(placed))


def test_ballots_follow_the_rewards_of_the_groups(data, mixture):
    profile = mixture.profile(data.items)
    reward = mixture.reward(data.items)
    assert profile.total == 1_000_000
    np.testing.assert_allclose(profile.counts / profile.total, mixture.group_weights_, atol=1e-6)
    for k in range(2):
        np.testing.assert_array_equal(np.argsort(profile.levels[k]), np.argsort(-reward[:, k]))
    assert mixture.profile(data.items, of="users").total == len(mixture.users_)


def test_draws_of_rewards_have_the_covariance_of_the_posterior(data):
    model = BradleyTerry(ridge=1.0, item_effects=3.0, rng=0).fit(data)
    few = data.items.take(np.arange(6))
    draws = model.reward_draws(few, 20_000, rng=0)[:, :, 0]
    np.testing.assert_allclose(draws.mean(axis=0), model.reward(few)[:, 0], atol=0.02)
    np.testing.assert_allclose(draws.std(axis=0), model.reward_std(few)[:, 0], rtol=0.03)
    covariance = model.covariance_[0]
    dim = model.coef_.shape[1]
    rows = np.zeros((6, len(covariance)))
    rows[:, :dim] = few.features
    known, where = model._known_items(few)
    rows[known, dim + where] = 1.0
    np.testing.assert_allclose(np.cov(draws.T), rows @ covariance @ rows.T, atol=0.03)


def test_posterior_draws_are_voters_that_disagree_where_the_model_is_unsure(data):
    model = BradleyTerry(**SETTINGS).fit(data)
    sure = model.profile(data.items)
    drawn = model.profile(data.items, n_draws=400, rng=0)
    assert len(sure) == 1
    reward = model.reward(data.items)[:, 0]
    difference = reward[:, None] - reward[None]
    turned = data.items.features @ np.linalg.cholesky(model.covariance_[0])
    spread = np.linalg.norm(turned[:, None] - turned[None], axis=2) + np.eye(len(reward))
    expected = norm.cdf(difference / spread)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(drawn.support / drawn.total, expected, atol=0.1)
    assert np.any((expected > 0.3) & (expected < 0.7))
    again = model.profile(data.items, n_draws=400, rng=0)
    np.testing.assert_array_equal(again.levels, drawn.levels)


def test_win_rates_are_those_of_all_people(data, mixture):
    few = data.items.take(np.arange(5))
    matrix = mixture.preference_matrix(few)
    reward = mixture.reward(few)
    difference = reward[:, None] - reward[None]
    np.testing.assert_allclose(matrix, (1 / (1 + np.exp(-difference))) @ mixture.group_weights_, atol=1e-12)
    np.testing.assert_allclose(matrix + matrix.T, 1.0)


def test_what_cannot_be_a_ballot_is_refused(data, mixture):
    with pytest.raises(UsageError, match="answer 20 prompts"):
        mixture.profile(asked(data.items, 20))
    circles = GeneralPreference(rng=0).fit(data)
    with pytest.raises(UsageError, match="in circles"):
        circles.profile(data.items)
    matrix = circles.preference_matrix(data.items)
    np.testing.assert_allclose(matrix + matrix.T, 1.0)
    by_degree = HierarchicalBradleyTerry(ridge=1.0, rank=1, rng=0).fit(data)
    with pytest.raises(UsageError, match="not kept"):
        by_degree.profile(data.items, n_draws=3)
    with pytest.raises(UsageError, match="no posterior draws of users"):
        mixture.profile(data.items, of="users", n_draws=3)
    with pytest.raises(UsageError, match="of='groups' with a membership"):
        mixture.utilities(data.items, membership=mixture.membership())
    assert by_degree.profile(data.items, of="users").total == data.n_users
