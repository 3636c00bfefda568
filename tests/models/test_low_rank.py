import numpy as np
import pytest

import pluralism as pl
from pluralism.data import Comparisons
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, UsageError
from pluralism.models import BradleyTerry, LowRankReward
from pluralism.testing import check_preference_model

QUICK = {"ridge": 1.0, "concentration": 1.0, "blocks": "item", "n_init": 2}


def mixed_heads(seed, *, n_users=150, n_answers=30, rank=3, dim=8, scale=3.0, alpha=0.4):
    """People whose heads are Dirichlet mixtures of a few heads: rewards of low rank."""
    rng = np.random.default_rng([11, seed])
    items = pl.Items(ids=[f"i{k}" for k in range(300)], features=rng.normal(size=(300, dim)), feature_space="test")
    heads = scale * rng.normal(size=(rank, dim)) / np.sqrt(2 * dim)
    weights = rng.dirichlet(np.full(rank, alpha), size=n_users)
    user = np.repeat(np.arange(n_users), n_answers)
    left = rng.integers(300, size=len(user))
    right = (left + 1 + rng.integers(299, size=len(user))) % 300
    rewards = items.features @ heads.T
    z = np.sum((rewards[left] - rewards[right]) * weights[user], axis=1)
    outcome = (rng.random(len(user)) < 1 / (1 + np.exp(-z))).astype(float)
    return Comparisons.from_arrays(left, right, user=user, outcome=outcome, items=items), heads, weights


def test_rank_one_is_bradley_terry():
    data = simulate_mixture(n_users=40, n_groups=1, n_items=100, dim=5, rng=1).comparisons
    model = LowRankReward(rank=1, ridge=2.0).fit(data)
    pooled = BradleyTerry(ridge=2.0, item_effects=False).fit(data)
    np.testing.assert_allclose(model.coef_, pooled.coef_, rtol=1e-3, atol=1e-4)
    assert model.objective_ == pytest.approx(pooled.objective_, rel=1e-6)


def test_users_rewards_are_recovered_over_seeds():
    for seed in range(5):
        data, heads, weights = mixed_heads(seed)
        model = LowRankReward(rank=3, ridge=1.0, concentration=0.3, n_init=4).fit(data)
        wanted = data.items.features @ heads.T @ weights.T
        found = model.user_reward(data.items)
        pooled = model.control_.reward(data.items)[:, 0]
        own = [np.corrcoef(found[:, u], wanted[:, u])[0, 1] for u in range(150)]
        common = [np.corrcoef(pooled, wanted[:, u])[0, 1] for u in range(150)]
        assert np.mean(own) > 0.85
        assert np.mean(own) > np.mean(common) + 0.1


@pytest.mark.slow
def test_the_rank_is_found_over_seeds():
    chosen = [
        LowRankReward(max_rank=4, rng=seed, **QUICK)
        .fit(mixed_heads(seed, n_users=200, n_answers=40, scale=5.0, alpha=0.2)[0])
        .n_groups_
        for seed in range(5)
    ]
    assert chosen.count(3) >= 4


def departures(seed, *, n_users=160, n_answers=30, dim=8, factors=2, spread=1.0):
    """People whose heads depart from everybody's along a few directions, to either side."""
    rng = np.random.default_rng([11, 50, seed])
    items = pl.Items(ids=[f"i{k}" for k in range(300)], features=rng.normal(size=(300, dim)), feature_space="test")
    common, loadings = rng.normal(size=dim) / 2, spread * rng.normal(size=(factors, dim)) / np.sqrt(factors)
    heads = common + rng.normal(size=(n_users, factors)) @ loadings
    user = np.repeat(np.arange(n_users), n_answers)
    left = rng.integers(300, size=len(user))
    right = (left + 1 + rng.integers(299, size=len(user))) % 300
    z = np.sum((items.features[left] - items.features[right]) * heads[user], axis=1)
    outcome = (rng.random(len(user)) < 1 / (1 + np.exp(-z))).astype(float)
    return Comparisons.from_arrays(left, right, user=user, outcome=outcome, items=items), heads


def test_free_weights_are_recovered_over_seeds():
    for seed in range(5):
        data, heads = departures(seed)
        model = LowRankReward(rank=3, weights="free", ridge=1.0, concentration=1.0).fit(data)
        wanted = data.items.features @ heads.T
        found, common = model.user_reward(data.items), model.control_.reward(data.items)[:, 0]
        own = np.mean([np.corrcoef(found[:, u], wanted[:, u])[0, 1] for u in range(160)])
        assert own > 0.85
        assert own > np.mean([np.corrcoef(common, wanted[:, u])[0, 1] for u in range(160)]) + 0.1
        # w_1 = 1, and the rest of B spans the directions in which people differ
        assert model.coef_.shape == (3, 8)
        _, _, planted = np.linalg.svd(heads - heads.mean(axis=0), full_matrices=False)
        inside = model.coef_[1:] @ planted[:2].T
        assert np.sum(inside**2) > 0.9 * np.sum(model.coef_[1:] ** 2)


def test_free_weights_are_shrunk_by_the_prior_they_have():
    data, _ = departures(9, n_users=240)
    train, others = data.take(data.user < 160).compact(), data.take(data.user >= 160)
    model = LowRankReward(rank=3, weights="free", ridge=1.0, concentration=1.0).fit(train)
    rank = np.arange(len(others)) - np.searchsorted(others.user, others.user)
    placed = {n: model.adapt(others.take(rank < n)) for n in (0, 2, 10, 30)}
    new = np.unique(others.user)
    np.testing.assert_allclose(placed[0].position[new], 0.0, atol=1e-12)
    np.testing.assert_allclose(placed[0].covariance[new], np.tile(np.eye(2), (len(new), 1, 1)), atol=1e-9)
    np.testing.assert_allclose(model.user_reward(others.items, placed[0])[:, new[0]], model.reward(others.items)[:, 0])
    sizes = [np.mean(np.sum(p.position[new] ** 2, axis=1)) for p in placed.values()]
    spreads = [np.mean(np.trace(p.covariance[new], axis1=1, axis2=2)) for p in placed.values()]
    assert np.all(np.diff(sizes) > 0)
    assert np.all(np.diff(spreads) < 0)
    # with w ~ N(0, I), what is known and what is not add up to the prior variance
    assert sizes[-1] + spreads[-1] == pytest.approx(2.0, rel=0.3)


def test_few_answers_never_do_worse_than_none_with_free_weights():
    gain = []
    for seed in range(4):
        data, _ = departures(20 + seed, n_users=240, n_answers=20)
        train, others = data.take(data.user < 120).compact(), data.take(data.user >= 120)
        model = LowRankReward(rank=3, weights="free", ridge=1.0, concentration=1.0).fit(train)
        rank = np.arange(len(others)) - np.searchsorted(others.user, others.user)
        query = others.take(rank >= 10)
        loss = []
        for n in (0, 2, 3, 5):
            p = model.predict_proba(query, membership=model.adapt(others.take(rank < n)))
            loss.append(-np.mean(np.log(np.where(query.outcome > 0.5, p, 1 - p))))
        gain.append([loss[0] - later for later in loss[1:]])
    assert np.min(gain) > 0


def test_the_rank_of_free_weights_is_chosen(tmp_path):
    data, _ = departures(3, n_users=80, factors=1, spread=1.5)
    model = LowRankReward(weights="free", max_rank=3, ridge=1.0).fit(data)
    assert len(model.coef_) == 2
    assert any(row["chosen"] for row in model.selection_)
    model.save(tmp_path)
    loaded = pl.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(data), model.predict_proba(data))
    np.testing.assert_array_equal(loaded.control_.predict_proba(data), model.control_.predict_proba(data))
    assert loaded.fingerprint_ == model.fingerprint_
    with pytest.raises(UsageError, match="simplex"):
        model.posterior(data)
    with pytest.raises(UsageError, match="weights"):
        LowRankReward(weights="loose").fit(data)


def test_one_free_reward_is_bradley_terry():
    data = simulate_mixture(n_users=40, n_groups=1, n_items=100, dim=5, rng=1).comparisons
    model = LowRankReward(rank=1, weights="free", ridge=2.0).fit(data)
    pooled = BradleyTerry(ridge=2.0, item_effects=False).fit(data)
    np.testing.assert_allclose(model.predict_proba(data), pooled.predict_proba(data), atol=1e-3)


def test_pure_users_are_placed_in_a_partition():
    simulation = simulate_mixture(n_users=100, n_groups=3, n_items=200, dim=6, pairs_per_user=30, scale=4.0, rng=2)
    model = LowRankReward(rank=3, weights="partition", **QUICK).fit(simulation.comparisons)
    table = np.zeros((3, 3))
    np.add.at(table, (simulation.truth.groups, model.membership().labels), 1)
    assert table.max(axis=1).sum() >= 97
    assert model.membership().covariance is None


def test_automatic_settings_save_and_load(tmp_path):
    data = mixed_heads(7, n_users=60, n_answers=12)[0]
    model = LowRankReward(max_rank=2, n_init=2).fit(data)
    assert [row["n_groups"] for row in model.selection_] == [1, 2]
    model.save(tmp_path)
    loaded = pl.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(data), model.predict_proba(data))
    np.testing.assert_array_equal(loaded.control_.predict_proba(data), model.control_.predict_proba(data))
    assert loaded.selection_ == model.selection_


@pytest.mark.parametrize(
    ("rank", "weights", "passed"), [(1, "mixture", 60), (2, "mixture", 61), (1, "free", 59), (2, "free", 59)]
)
def test_battery(rank, weights, passed):
    results = check_preference_model(LowRankReward(rank=rank, weights=weights, **QUICK), raise_on_failure=True)
    assert sum(result.passed for result in results) == passed


def test_errors_say_what_to_do():
    data = simulate_mixture(n_users=10, n_groups=1, n_items=20, dim=3, rng=3).comparisons
    with pytest.raises(UsageError, match="rank"):
        LowRankReward(rank=0).fit(data)
    with pytest.raises(UsageError, match="max_rank"):
        LowRankReward(max_rank="all").fit(data)
    with pytest.raises(DataError, match="features"):
        LowRankReward().fit(data.with_items(pl.Items(ids=data.items.ids)))
