from dataclasses import replace

import numpy as np
import pytest

import pluralism
from pluralism.data import Comparisons
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import ConvergenceWarning, DataError, UsageError
from pluralism.models import VPL, BradleyTerry
from pluralism.models.vpl import _spread_out
from pluralism.models.vpl_network import Answers, encode, initial_weights, rewards
from pluralism.testing import check_preference_model

CHEAP = {"factors": 3, "hidden": 8, "max_epochs": 80, "warm_up": 5, "patience": 10, "learning_rate": 1e-2}


def nll(model, data, membership=None):
    p = model.predict_proba(data, membership=membership)
    return -np.mean(np.log(np.where(data.outcome > 0.5, p, 1 - p)))


@pytest.mark.slow
def test_battery():
    results = check_preference_model(VPL(**CHEAP))
    assert [str(r) for r in results if r.status == "failed"] == []
    assert {r.name for r in results if r.status == "skipped"} == {
        "an_unrelated_part_leaves_other_contrasts_alone",
        "a_certain_member_is_predicted_as_the_group",
        "two_clear_groups_are_told_apart",
        "undefeated_items_are_finite_and_flagged",
        "disconnected_items_are_finite_and_flagged",
        "items_alone_can_be_fitted",
        "the_objective_never_goes_uphill",
        "uncertainty_shrinks_with_data",
    }


def answers_of(rng, *, n=40, users=5, items=12, dim=4):
    left = rng.integers(items, size=n)
    return Answers(
        rng.normal(size=(items, dim)),
        rng.integers(users, size=n),
        left,
        (left + 1 + rng.integers(items - 1, size=n)) % items,
        rng.choice([0.0, 0.5, 1.0], size=n),
        rng.choice([0.5, 1.0, 2.0], size=n),
        users + 1,
    )


def silu(x):
    return x / (1 + np.exp(-x))


def test_encoder_and_reward_are_their_equations():
    rng = np.random.default_rng(0)
    a, w = answers_of(rng), initial_weights(4, 6, 2, rng)
    w = {name: value + 0.1 * rng.normal(size=value.shape) for name, value in w.items()}
    mean, variance = encode(w, a)
    for u in range(a.n_users - 1):
        total = mass = 0.0
        for i in np.flatnonzero(a.user == u):
            sign, left, right = 2 * a.outcome[i] - 1, a.items[a.left[i]], a.items[a.right[i]]
            h = sign * (left - right) @ w["encoder_difference_"]
            h = silu(h + abs(sign) * 0.5 * (left + right) @ w["encoder_mean_"] + w["encoder_bias_"])
            h = silu(h @ w["encoder_hidden_"] + w["encoder_hidden_bias_"])
            share = a.weight[i] * np.exp(8 * np.tanh(h @ w["attention_"] / 8))
            total, mass = total + share * h, mass + share
        pooled = np.append(total / mass, np.log1p(a.weight[a.user == u].sum()))
        place = silu(pooled @ w["place_hidden_"] + w["place_bias_"])
        np.testing.assert_allclose(mean[u], place @ w["place_mean_"] + w["place_mean_bias_"], rtol=1e-9)
        spread = place @ w["place_spread_"] + w["place_spread_bias_"]
        np.testing.assert_allclose(variance[u], np.exp(8 * np.tanh(spread / 8)), rtol=1e-9)
    # nobody's answers: the prior
    np.testing.assert_array_equal(mean[-1], 0.0)
    np.testing.assert_array_equal(variance[-1], 1.0)
    first = silu(a.items[3] @ w["reward_item_"] + mean[0] @ w["reward_place_"] + w["reward_bias_"])
    expected = silu(first @ w["reward_hidden_"] + w["reward_hidden_bias_"]) @ w["reward_out_"]
    assert rewards(w, a.items[[3]], mean[[0]])[0] == pytest.approx(expected)


def test_the_encoder_ignores_order_and_side():
    rng = np.random.default_rng(1)
    a, w = answers_of(rng), initial_weights(4, 6, 2, rng)
    order = rng.permutation(len(a.user))
    turned = Answers(
        a.items, a.user[order], a.right[order], a.left[order], 1 - a.outcome[order], a.weight[order], a.n_users
    )
    for one, other in zip(encode(w, a), encode(w, turned), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "pooling"), [*((seed, "attention") for seed in range(5)), (0, "mean")])
def test_planted_groups_are_read_from_answers(seed, pooling):
    sim = simulate_mixture(
        n_users=160, n_groups=2, n_items=150, dim=4, pairs_per_user=24, scale=4.0, group_weights=[0.5, 0.5], rng=seed
    )
    data = sim.comparisons
    train, new = data.take(data.user < 130).compact(), data.take(data.user >= 130).compact()
    odd = np.arange(len(new)) % 2 == 1
    model = VPL(factors=3, hidden=16, pooling=pooling, learning_rate=1e-2, warm_up=60, rng=seed).fit(train)
    placed = model.adapt(new.take(~odd))
    assert model.converged_
    assert model.active_units_ > 0
    assert (placed.n == 12).all()
    pooled = BradleyTerry(item_effects=False, uncertainty=False).fit(train)
    scored = new.take(odd)
    assert nll(model, scored, placed) < nll(pooled, scored) - 0.05
    # strangers without answers are predicted about as by the pooled reward
    assert abs(nll(model, scored) - nll(pooled, scored)) < 0.08


def test_saved_loaded_and_equal_seeds(tmp_path):
    data = simulate_mixture(n_users=30, n_groups=2, n_items=40, dim=3, rng=2).comparisons
    settings = CHEAP | {"max_epochs": 40, "patience": 40}
    with pytest.warns(ConvergenceWarning, match="max_epochs"):
        model = VPL(**settings).fit(data, checkpoint=tmp_path / "pieces")
    with pytest.warns(ConvergenceWarning):
        again = VPL(**settings).fit(data, checkpoint=tmp_path / "pieces")
    model.save(tmp_path / "saved")
    loaded = pluralism.load(tmp_path / "saved")
    for other in (again, loaded):
        np.testing.assert_array_equal(other.predict_proba(data), model.predict_proba(data))
        np.testing.assert_array_equal(other.membership().position, model.membership().position)
    reward = model.user_reward(data.items, model.membership())
    assert reward.shape == (40, 30)
    assert model.reward(data.items).shape == (40, 1)


@pytest.mark.parametrize("n_users", [4, 30])
def test_training_that_learns_nothing_says_so(n_users):
    """Answers by the toss of a coin, with people to hold out and without."""
    data = simulate_mixture(n_users=n_users, n_groups=1, n_items=40, dim=3, pairs_per_user=8, rng=4).comparisons
    coin = np.random.default_rng(1).integers(2, size=len(data)).astype(float)
    settings = {"factors": 2, "hidden": 4, "max_epochs": 30, "patience": 30, "learning_rate": 1e-3}
    with pytest.warns(ConvergenceWarning, match="even odds"):
        model = VPL(**settings).fit(data._replace(outcome=coin))
    assert not model.converged_
    assert bool(model.held_out_path_) == (n_users == 30)
    if n_users == 30:
        np.testing.assert_array_equal(model.predict_proba(data), 0.5)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("factors", 0), ("pooling", "sum"), ("beta", 0.0), ("held_out", 0.9), ("learning_rate", -1.0), ("warm_up", -1)],
)
def test_settings_that_cannot_work_are_named(setting, value):
    data = simulate_mixture(n_users=3, n_groups=1, n_items=10, dim=2, rng=0).comparisons
    with pytest.raises(UsageError, match=setting):
        VPL(**{setting: value}).fit(data)


def test_items_without_features_and_foreign_memberships_are_refused():
    with pytest.raises(DataError, match="features"):
        VPL().fit(Comparisons.from_arrays(["a"], ["b"], user=["u"]))
    data = simulate_mixture(n_users=4, n_groups=1, n_items=10, dim=2, rng=0).comparisons
    model = VPL(**(CHEAP | {"max_epochs": 3})).fit(data)
    foreign = BradleyTerry(ridge=1.0, item_effects=False).fit(data).membership()
    with pytest.raises(UsageError, match="another model"):
        model.predict_proba(data, membership=foreign)
    with pytest.raises(UsageError, match="places"):
        model.predict_proba(data, membership=replace(foreign, model=None))


@pytest.mark.parametrize("factors", [1, 4, 8, 13])
def test_draws_of_a_place_are_finite_and_spread_out(factors):
    points = _spread_out(200, factors)
    assert points.min() > 0
    assert points.max() < 1
    assert np.abs(points.mean(axis=0) - 0.5).max() < 0.03
    assert np.abs(np.corrcoef(points, rowvar=False) - np.eye(factors)).max() < 0.35
