"""Several sources: one source is Bradley-Terry, drifts are shrunk, weights do what they say, calibration by source."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

import pluralism as pl
from pluralism.data import Comparisons, Items
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import ModelFileError, UsageError
from pluralism.models import BradleyTerry, MultiSource
from pluralism.models.source_calibration import source_calibration
from pluralism.solvers import FeatureMatrix, PairProblem, Terms
from pluralism.solvers.multi_source import SourceObjective, descend_together, fit_sources, per_source
from pluralism.testing import check_preference_model

FIXED = {"ridge": 1.0, "item_effects": False, "blocks": "row"}


def several(seed, sizes=(600, 300, 100), drift=0.6, dim=6, n_items=300, n_test=1500):
    rng = np.random.default_rng([seed, 81])
    features = rng.normal(size=(n_items, dim))
    shared = rng.normal(size=dim)
    heads = shared + drift * rng.normal(size=(len(sizes), dim))
    parts = []
    items = Items(ids=[str(i) for i in range(n_items)]).with_features(features, "simulated")
    for take in (sizes, [n_test] * len(sizes)):
        source = np.repeat(np.arange(len(sizes)), take)
        left = rng.integers(n_items, size=len(source))
        right = (left + 1 + rng.integers(n_items - 1, size=len(source))) % n_items
        z = np.sum((features[left] - features[right]) * heads[source], axis=1) / np.sqrt(dim)
        outcome = (rng.random(len(z)) < expit(z)).astype(float)
        user = [f"u{k}" for k in rng.integers(20, size=len(z))]
        names = [f"s{k}" for k in source]
        parts.append(Comparisons.from_arrays(left, right, outcome=outcome, source=names, user=user, items=items))
    return parts[0], parts[1], shared / np.sqrt(dim), heads / np.sqrt(dim)


def nll(model, data):
    p = model.predict_proba(data)
    return -np.mean(np.log(np.where(data.outcome > 0.5, p, 1 - p)))


@pytest.mark.parametrize("weights", ["uniform", "size", "group_dro"])
def test_one_source_is_bradley_terry(weights):
    data = simulate_mixture(n_users=20, n_groups=1, n_items=50, dim=5, pairs_per_user=30, rng=1).comparisons
    plain, found = BradleyTerry().fit(data), MultiSource(weights=weights).fit(data)
    np.testing.assert_allclose(found.predict_proba(data), plain.predict_proba(data), atol=1e-4)
    np.testing.assert_allclose(found.reward_std(data.items), plain.reward_std(data.items), rtol=1e-4)
    assert found.sources_ == [None]


def test_drifts_have_the_closed_penalty():
    """The fit is the minimum of the objective written out: shared head, drifts, rows weighted by source."""
    train, _, _, _ = several(0, sizes=(80, 40), dim=2)
    model = MultiSource(**FIXED, drift=3.0, tol=1e-13).fit(train)
    x = train.items.features[train.left] - train.items.features[train.right]
    factor = np.array([60 / 80, 60 / 40])[train.source]

    def loss(v):
        w, u = v[:2], v[2:].reshape(2, 2)
        z = np.sum(x * (w + u[train.source]), axis=1)
        return factor @ (np.logaddexp(0, z) - train.outcome * z) + 0.5 * w @ w + 1.5 * np.sum(u * u)

    best = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-9})
    assert model.objective_ == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose(model.shared_coef_[0], best.x[:2], atol=1e-4)
    np.testing.assert_allclose(model.coef_, best.x[:2] + best.x[2:].reshape(2, 2), atol=1e-4)
    # the drifts under a quadratic penalty sum to the shared head over the ratio
    np.testing.assert_allclose((model.coef_ - model.shared_coef_).sum(axis=0), model.shared_coef_[0] / 3.0, atol=1e-4)


def problem(seed=0, n_sources=3):
    rng = np.random.default_rng([seed, 83])
    n = 200
    left = rng.integers(20, size=n)
    made, _ = PairProblem.build(
        rng.integers(n_sources, size=n),
        left,
        (left + 1 + rng.integers(19, size=n)) % 20,
        rng.integers(2, size=n).astype(float),
        rng.random(n) + 0.5,
        n_users=n_sources,
        n_items=20,
        design=rng.normal(size=(n, 1)),
        features=FeatureMatrix(rng.normal(size=(20, 3))),
    )
    return made, rng


@pytest.mark.parametrize("shared", [None, 2.0])
@pytest.mark.parametrize("sharpness", [None, 15.0])
def test_gradients_are_those_of_finite_differences(shared, sharpness):
    made, rng = problem()
    terms = Terms(ridge=0.8, item_precision=2.0, shared=shared)
    objective = SourceObjective(made, terms, np.array([1.0, 2.0, 0.5]), sharpness=sharpness)
    x = rng.normal(size=objective.size)
    gradient = objective(x)[1]
    for i in rng.choice(objective.size, 12, replace=False):
        e = np.zeros(objective.size)
        e[i] = 1e-6
        assert gradient[i] == pytest.approx((objective(x + e)[0] - objective(x - e)[0]) / 2e-6, rel=1e-4, abs=1e-4)
    if shared is None:
        gradients = per_source(made, terms, x)[1]
        e = np.zeros(objective.size)
        e[1] = 1e-6
        expected = (per_source(made, terms, x + e)[0] - per_source(made, terms, x - e)[0]) / 2e-6
        np.testing.assert_allclose(gradients[:, 1], expected, atol=1e-6)


@pytest.mark.parametrize("normalised", [True, False])
def test_common_descent_lowers_every_loss_and_ends_where_none_can_fall(normalised):
    made, rng = problem(1)
    terms = Terms(ridge=1.0)
    found = descend_together(made, terms, normalised=normalised, rng=rng, tol=1e-10)
    assert found.minimum.converged
    start = per_source(made, terms, np.zeros(len(found.minimum.x)))[0]
    end, gradients = per_source(made, terms, found.minimum.x)
    assert np.all(end <= start + 1e-12)
    assert np.linalg.norm(found.weights @ gradients) < 1e-4
    assert np.all(np.diff(found.minimum.path) <= 1e-9)


def test_group_dro_lowers_the_worst_loss():
    train, _, _, _ = several(2, drift=1.5)
    named = {}
    for weights in ("size", "group_dro"):
        model = MultiSource(**FIXED, weights=weights, drift=None, sharpness=100.0).fit(train)
        p = model.predict_proba(train)
        loss = -np.log(np.where(train.outcome > 0.5, p, 1 - p))
        named[weights] = max(loss[train.source == k].mean() for k in range(3))
        assert model.source_weights_.sum() == pytest.approx(1.0)
    assert named["group_dro"] < named["size"]


def test_shared_heads_and_drifts_beat_one_head_and_separate_ones():
    together, alone, one, cosine = [], [], [], []
    for seed in range(5):
        train, test, shared, _ = several(seed, sizes=(600, 150, 60, 60))
        settings = {**FIXED, "uncertainty": False}
        model = MultiSource(**settings, drift="auto" if seed == 0 else 3.0).fit(train)
        together.append(nll(model, test))
        one.append(nll(MultiSource(**settings, drift=None).fit(train), test))
        separate = [BradleyTerry(**settings).fit(train.take(train.source == k)) for k in range(4)]
        alone.append(np.mean([nll(model_k, test.take(test.source == k)) for k, model_k in enumerate(separate)]))
        cosine.append(model.shared_coef_[0] @ shared / np.linalg.norm(model.shared_coef_[0]) / np.linalg.norm(shared))
        assert model.drift_ is not None
    assert np.mean(together) < np.mean(one)
    assert np.mean(together) < np.mean(alone)
    assert min(cosine) > 0.7


def test_rows_are_predicted_by_their_source():
    train, test, _, _ = several(3)
    model = MultiSource(**FIXED, drift=1.0).fit(train)
    assert model.sources_ == ["s0", "s1", "s2"]
    np.testing.assert_allclose(model.group_weights_, [0.6, 0.3, 0.1])
    by_source = model.predict_group_proba(test)
    np.testing.assert_allclose(model.predict_proba(test), by_source[np.arange(len(test)), test.source])
    bare = Comparisons(**{**vars(test), "source": None, "sources": None})
    mixed = np.sum(model.membership(bare).of(bare.users)[bare.user] * by_source, axis=1)
    np.testing.assert_allclose(model.predict_proba(bare), mixed)
    foreign = Comparisons(**{**vars(test), "sources": ["x", "y", "z"]})
    shared = model.shared_reward(test.items)
    np.testing.assert_allclose(model.predict_proba(foreign), expit(shared[test.left] - shared[test.right]))
    # a stranger who answers for one source is taken for it; without sources, for the one that explains the answers
    named = model.adapt(Comparisons(**{**vars(test.take(test.source == 2)), "users": [f"n{k}" for k in range(20)]}))
    assert named.posterior[:, 2].min() > 0.9
    np.testing.assert_allclose(model.membership().posterior.sum(axis=1), 1.0)


def partly_named(seed, named="s1"):
    """Rows of the second of two sources name it, those of the first name none."""
    train, test, _, heads = several(seed, sizes=(300, 200), drift=1.0)
    made = []
    for data in (train, test):
        source = np.where(data.source == 0, -1, 0).astype(np.int32)
        made.append(Comparisons(**{**vars(data), "source": source, "sources": [named]}))
    return *made, heads


def test_rows_without_a_source_are_one_more_source_in_the_fit_and_after_it():
    train, test, heads = partly_named(10)
    model = MultiSource(**FIXED, drift=1.0).fit(train)
    assert model.sources_ == [None, "s1"]
    by_source = model.predict_group_proba(test)
    np.testing.assert_allclose(model.predict_proba(test), by_source[np.arange(len(test)), test.source + 1])
    assert np.corrcoef(model.coef_[0], heads[0])[0, 1] > np.corrcoef(model.coef_[0], heads[1])[0, 1]
    # the training users stand where the same answers place anybody
    placed = model.adapt(train)
    np.testing.assert_allclose(placed.of(model.users_), model.posterior_, atol=1e-12)
    np.testing.assert_array_equal(model.n_answers_, np.bincount(train.user, minlength=train.n_users))
    counts = np.stack([np.bincount(train.user[train.source == k], minlength=train.n_users) for k in (-1, 0)], axis=1)
    expected = (model.group_weights_ + counts) / (1.0 + counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(placed.posterior, expected)
    # where every row of the fit had a source, answers without one are weighed by what the heads make of them
    named = MultiSource(**FIXED, drift=1.0).fit(several(10)[0])
    bare = Comparisons(**{**vars(train), "source": None, "sources": None})
    assert np.abs(named.adapt(bare).posterior - named.group_weights_).max() > 0.1


def test_no_name_of_a_source_stands_for_none(tmp_path):
    train, test, _ = partly_named(11, named="(no source)")
    other, _, _ = partly_named(11)
    model = MultiSource(**FIXED, drift=1.0).fit(train)
    assert model.sources_ == [None, "(no source)"]
    np.testing.assert_array_equal(
        model.predict_proba(train), MultiSource(**FIXED, drift=1.0).fit(other).predict_proba(other)
    )
    model.save(tmp_path / "run")
    again = pl.load(tmp_path / "run")
    assert again.sources_ == model.sources_
    np.testing.assert_array_equal(again.predict_proba(test), model.predict_proba(test))


def test_files_of_earlier_versions_name_their_rows_without_a_source(tmp_path):
    train, test, _ = partly_named(12)
    model = MultiSource(**FIXED, drift=1.0).fit(train)
    model.save(tmp_path / "run")
    path = tmp_path / "run" / "model.json"
    document = json.loads(path.read_text())
    document["state"]["sources_"] = [name or "(no source)" for name in document["state"].pop("sources")]
    path.write_text(json.dumps(document))
    again = pl.load(tmp_path / "run")
    assert again.sources_ == [None, "s1"]
    np.testing.assert_array_equal(again.predict_proba(test), model.predict_proba(test))
    document["state"]["sources_"] = ["s1"]
    path.write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match="sources"):
        pl.load(tmp_path / "run")


def test_intervals_of_heads_shrink_with_rows_and_widen_with_drift():
    train, _, _, _ = several(4, sizes=(900, 90))
    tight = MultiSource(**FIXED, drift=100.0).fit(train).reward_std(train.items)
    loose = MultiSource(**FIXED, drift=0.5).fit(train).reward_std(train.items)
    assert loose[:, 1].mean() > 1.5 * loose[:, 0].mean()
    assert tight[:, 1].mean() < loose[:, 1].mean()


def test_the_published_training_lands_near_uniform_weights():
    train, test, _, _ = several(5, sizes=(800, 800, 800), drift=0.2)
    settings = {**FIXED, "drift": None, "uncertainty": False}
    ours = MultiSource(**settings).fit(train)
    theirs = MultiSource(**settings, weights="min_norm_normalised", published=True, n_steps=800).fit(train)
    assert abs(nll(theirs, test) - nll(ours, test)) < 0.02
    np.testing.assert_allclose(theirs.source_weights_, 1 / 3, atol=0.05)


def test_calibration_by_source_mends_what_is_too_sure():
    train, test, _, _ = several(6, sizes=(120, 120))
    model = MultiSource(**{**FIXED, "ridge": 1e-3}, drift=None).fit(train)
    too_sure = MultiSource(**{**FIXED, "ridge": 1e-3}, drift=None).fit(train)
    too_sure.coef_ = 4.0 * too_sure.coef_
    odd = np.arange(len(test)) % 2 == 1
    for row in source_calibration(too_sure, test.take(odd), validation=test.take(~odd)):
        assert row.ece > row.null_high
        assert row.temperature > 2
        assert row.ece_after < row.ece
        assert row.nll_after < row.nll
        assert row.to_dict()["source"] in ("s0", "s1")
    assert source_calibration(model, test)[0].temperature is None
    with pytest.raises(UsageError, match="sources"):
        source_calibration(model, Comparisons(**{**vars(test), "source": None, "sources": None}))


@pytest.mark.parametrize(
    "model",
    [
        MultiSource(**FIXED, drift=None),
        MultiSource(**{**FIXED, "item_effects": 5.0}, drift=3.0),
        MultiSource(**FIXED, drift=None, weights="group_dro"),
        MultiSource(**FIXED, drift=None, weights="min_norm"),
    ],
    ids=repr,
)
def test_the_battery(model):
    results = check_preference_model(model, raise_on_failure=True)
    assert {result.name for result in results if result.status == "skipped"} == {"two_clear_groups_are_told_apart"}


def test_saved_models_keep_their_sources(tmp_path):
    train, test, _, _ = several(7)
    model = MultiSource(**{**FIXED, "item_effects": 4.0}, drift=2.0).fit(train)
    model.save(tmp_path / "run")
    again = pl.load(tmp_path / "run")
    np.testing.assert_array_equal(again.predict_proba(test), model.predict_proba(test))
    np.testing.assert_array_equal(again.shared_reward(test.items), model.shared_reward(test.items))
    assert again.sources_ == model.sources_


@pytest.mark.parametrize(
    "settings",
    [
        {"weights": "largest"},
        {"drift": -1.0},
        {"drift": 2.0, "weights": "min_norm"},
        {"published": True},
        {"n_steps": 0},
        {"sharpness": 0.0},
    ],
    ids=repr,
)
def test_settings_that_cannot_work_are_named(settings):
    train, _, _, _ = several(8, sizes=(20, 20))
    with pytest.raises(UsageError, match=next(iter(settings))):
        MultiSource(**settings).fit(train)


def test_the_published_training_needs_features():
    data = Comparisons.from_arrays(["a", "b"], ["b", "c"], source=["x", "y"])
    with pytest.raises(UsageError, match="features"):
        MultiSource(weights="min_norm_normalised", published=True, ridge=1.0).fit(data)


def test_convex_fits_reach_the_minimum():
    made, rng = problem(2)
    for shared in (None, 2.0):
        for sharpness in (None, 20.0):
            objective = SourceObjective(made, Terms(ridge=1.0, shared=shared), np.ones(3), sharpness=sharpness)
            found = fit_sources(objective, rng=rng, tol=1e-12)
            assert found.minimum.converged
            assert np.abs(found.minimum.gradient).max() < 1e-3
