from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

import pluralism
from pluralism.data import Comparisons, Items
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, UsageError
from pluralism.models import BradleyTerry, PerUserRidge
from pluralism.solvers import FeatureMatrix, PairProblem
from pluralism.solvers.user_ridge import fit_user_heads
from pluralism.testing import check_preference_model

CHEAP = {"ridge": 1.0, "item_effects": False, "user_ridge": 1.0, "blocks": "prompt", "uncertainty": False}


def nll(model, data, membership=None):
    p = model.predict_proba(data, membership=membership)
    return -np.mean(np.log(np.where(data.outcome > 0.5, p, 1 - p)))


def test_battery():
    results = check_preference_model(PerUserRidge(**{**CHEAP, "uncertainty": True}))
    assert [str(r) for r in results if r.status == "failed"] == []
    assert {r.name for r in results if r.status == "skipped"} == {
        "a_certain_member_is_predicted_as_the_group",
        "two_clear_groups_are_told_apart",
    }


@pytest.mark.parametrize("dim", [3, 12])
def test_heads_are_those_of_a_general_optimiser(dim):
    rng = np.random.default_rng(dim)
    sizes = np.array([1, 2, 5, 0, 9, 9, 10])
    user = np.repeat(np.arange(len(sizes)), sizes)
    n = len(user)
    features = rng.normal(size=(20, dim))
    left, right = rng.integers(20, size=n), rng.integers(20, size=n)
    outcome = rng.choice([0.0, 0.3, 0.5, 1.0], size=n)
    weight = rng.choice([0.0, 1.0, 2.5], size=n)
    offset = rng.normal(size=n)
    problem, _ = PairProblem.build(user, left, right, outcome, weight, n_users=len(sizes), n_items=20)
    found = fit_user_heads(problem, FeatureMatrix(features), offset, 0.7)
    assert found.converged
    for u in range(len(sizes)):
        mine = user == u
        x = features[left[mine]] - features[right[mine]]

        def loss(h, mine=mine, x=x):
            z = offset[mine] + x @ h
            return weight[mine] @ (np.logaddexp(0, z) - outcome[mine] * z) + 0.35 * h @ h

        expected = minimize(loss, np.zeros(dim), tol=1e-12).x
        np.testing.assert_allclose(found.heads[u], expected, atol=2e-5)


def test_separable_answers_and_large_scales_converge():
    rng = np.random.default_rng(0)
    features = 100.0 * rng.normal(size=(30, 4))
    left, right = rng.integers(30, size=60), rng.integers(30, size=60)
    outcome = (features[left, 0] > features[right, 0]).astype(float)
    problem, _ = PairProblem.build(np.repeat([0, 1], 30), left, right, outcome, np.ones(60), n_users=2, n_items=30)
    found = fit_user_heads(problem, FeatureMatrix(features), np.zeros(60), 1e-2)
    assert found.converged
    assert np.isfinite(found.heads).all()


def test_one_person_is_bradley_terry_of_that_person():
    sim = simulate_mixture(n_users=3, n_groups=1, n_items=30, dim=4, pairs_per_user=25, scale=2.0, rng=1)
    model = PerUserRidge(around="zero", ridge=1.0, item_effects=False, user_ridge=0.6).fit(sim.comparisons)
    alone = sim.comparisons.take(sim.comparisons.user == 1)
    person = BradleyTerry(ridge=0.6, item_effects=False, tol=1e-13).fit(alone)
    np.testing.assert_allclose(model.position_[1], person.coef_[0], atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(alone), person.predict_proba(alone), atol=1e-6)
    reward = model.user_reward(sim.comparisons.items)[:, 1]
    np.testing.assert_allclose(reward, person.reward(sim.comparisons.items)[:, 0], atol=1e-4)


def test_strangers_are_pooled_until_they_answer():
    sim = simulate_mixture(n_users=40, n_groups=2, n_items=80, dim=4, pairs_per_user=30, scale=3.0, rng=2)
    data = sim.comparisons
    known, new = data.take(data.user < 30).compact(), data.take(data.user >= 30)
    new = new.compact()
    pooled = BradleyTerry(ridge=1.0, item_effects=False).fit(known)
    for around in ("pooled", "zero"):
        model = PerUserRidge(around=around, ridge=1.0, item_effects=False, user_ridge=1.0).fit(known)
        np.testing.assert_allclose(model.predict_proba(new), pooled.predict_proba(new), atol=1e-9)
        np.testing.assert_allclose(model.reward(data.items), pooled.reward(data.items), atol=1e-9)
        placed = model.adapt(new)
        assert placed.position.shape == (10, 4)
        assert nll(model, new, placed) < nll(model, new) - 0.05


def test_a_huge_user_ridge_is_the_pooled_model():
    sim = simulate_mixture(n_users=20, n_groups=2, n_items=40, dim=3, pairs_per_user=10, rng=3)
    model = PerUserRidge(ridge=1.0, item_effects=False, user_ridge=1e9).fit(sim.comparisons)
    pooled = BradleyTerry(ridge=1.0, item_effects=False).fit(sim.comparisons)
    np.testing.assert_allclose(model.predict_proba(sim.comparisons), pooled.predict_proba(sim.comparisons), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_ridge_is_chosen_between_pooled_and_personal(seed):
    shared = {"n_items": 120, "dim": 6, "pairs_per_user": 40, "scale": 3.0}
    alike = simulate_mixture(n_users=60, n_groups=1, rng=seed, **shared).comparisons
    split = simulate_mixture(n_users=60, n_groups=4, rng=seed, **shared).comparisons
    chosen = {}
    for name, data in (("alike", alike), ("split", split)):
        train, test = data.split(test=0.25, by="row", rng=seed)
        model = PerUserRidge(item_effects=False, uncertainty=False).fit(train)
        pooled = BradleyTerry(item_effects=False, uncertainty=False).fit(train)
        chosen[name] = model.user_ridge_
        assert model.user_ridge_ == min(model.user_ridge_path_, key=lambda row: row[1])[0]
        gain = nll(pooled, test) - nll(model, test)
        assert gain > (0.05 if name == "split" else -0.01)
    assert chosen["alike"] > 3 * chosen["split"]


def test_people_have_effects_on_items_without_features():
    rng = np.random.default_rng(5)
    left, right = rng.integers(8, size=600), rng.integers(7, size=600)
    right = np.where(right >= left, right + 1, right)
    user = np.arange(600) % 6
    strength = np.where(user[:, None] < 3, 1.0, -1.0) * np.linspace(-2, 2, 8)
    z = strength[np.arange(600), left] - strength[np.arange(600), right]
    data = Comparisons.from_arrays(
        [f"i{j}" for j in left],
        [f"i{j}" for j in right],
        user=[f"u{j}" for j in user],
        outcome=(rng.random(600) < 1 / (1 + np.exp(-z))).astype(float),
    )
    train, test = data.split(test=0.25, by="row", rng=0)
    model = PerUserRidge(uncertainty=False).fit(train)
    assert model.position_.shape == (6, 8)
    assert nll(model, test) < nll(BradleyTerry(uncertainty=False).fit(train), test) - 0.1
    unknown = Items(ids=["never seen"])
    assert np.isfinite(model.user_reward(unknown)).all()


@pytest.mark.slow
def test_thousands_of_people_are_fitted_together():
    data = simulate_mixture(n_users=4000, n_groups=4, n_items=5000, dim=384, pairs_per_user=15, scale=3.0, rng=0)
    data = data.comparisons
    model = PerUserRidge(ridge=10.0, item_effects=False, user_ridge=10.0, uncertainty=False).fit(data)
    heads = model.adapt(data).position
    np.testing.assert_allclose(heads, model.position_, atol=1e-9)
    for u in (0, 1234, 3999):
        mine = data.take(data.user == u).compact()
        np.testing.assert_allclose(model.adapt(mine).position[0], heads[u], atol=1e-6)


def test_saved_and_loaded(tmp_path):
    data = simulate_mixture(n_users=12, n_groups=2, n_items=40, dim=3, rng=6).comparisons
    model = PerUserRidge(**CHEAP).fit(data)
    model.save(tmp_path)
    loaded = pluralism.load(tmp_path)
    np.testing.assert_array_equal(loaded.position_, model.position_)
    np.testing.assert_array_equal(loaded.predict_proba(data), model.predict_proba(data))


@pytest.mark.parametrize(("setting", "value"), [("around", "mean"), ("user_ridge", 0.0), ("user_ridge", "weak")])
def test_settings_that_cannot_work_are_named(setting, value):
    data = simulate_mixture(n_users=3, n_groups=1, n_items=10, dim=2, rng=0).comparisons
    with pytest.raises(UsageError, match=setting):
        PerUserRidge(**{setting: value}).fit(data)


def test_too_many_items_without_features_are_refused():
    left = np.arange(5000)
    data = Comparisons.from_arrays([f"a{j}" for j in left], [f"b{j}" for j in left], user=["u"] * 5000)
    with pytest.raises(DataError, match="features"):
        PerUserRidge(user_ridge=1.0, ridge=1.0).fit(data)


def test_memberships_of_other_models_are_refused():
    data = simulate_mixture(n_users=6, n_groups=1, n_items=10, dim=2, rng=0).comparisons
    model = PerUserRidge(**CHEAP).fit(data)
    other = BradleyTerry(ridge=1.0, item_effects=False).fit(data).membership()
    with pytest.raises(UsageError, match="another model"):
        model.user_reward(data.items, other)
    with pytest.raises(UsageError, match="heads"):
        model.user_reward(data.items, replace(other, model=None))
