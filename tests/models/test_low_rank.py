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


@pytest.mark.parametrize(("rank", "passed"), [(1, 60), (2, 61)])
def test_battery(rank, passed):
    results = check_preference_model(LowRankReward(rank=rank, **QUICK), raise_on_failure=True)
    assert sum(result.passed for result in results) == passed


def test_errors_say_what_to_do():
    data = simulate_mixture(n_users=10, n_groups=1, n_items=20, dim=3, rng=3).comparisons
    with pytest.raises(UsageError, match="rank"):
        LowRankReward(rank=0).fit(data)
    with pytest.raises(UsageError, match="max_rank"):
        LowRankReward(max_rank="all").fit(data)
    with pytest.raises(DataError, match="features"):
        LowRankReward().fit(data.with_items(pl.Items(ids=data.items.ids)))
