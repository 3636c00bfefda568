"""Strengths of preference: equal to Bradley-Terry without them, better than it with them, exact under a swap."""

from __future__ import annotations

import numpy as np
import pytest

import pluralism as pl
from pluralism.calibration import ece, log_loss
from pluralism.data import Comparisons, Items, Ratings
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, UsageError
from pluralism.models import BradleyTerry, OrdinalBradleyTerry
from pluralism.models.extrapolation import extrapolate
from pluralism.models.ordinal_rows import levels_of
from pluralism.models.preparation import prepare
from pluralism.testing import check_preference_model

FIXED = {"ridge": 1.0, "blocks": "row"}


def with_strengths(seed, n=3000, n_test=10_000, dim=16, n_items=1500, ties=0.0, sd=1.3):
    rng = np.random.default_rng([seed, 41])
    features = rng.normal(size=(n_items, dim)) / np.sqrt(np.arange(1, dim + 1))
    head = rng.normal(size=dim)
    head *= sd / np.sqrt(2) / (features @ head).std()
    left = rng.integers(n_items, size=n + n_test)
    right = (left + 1 + rng.integers(n_items - 1, size=n + n_test)) % n_items
    latent = (features[left] - features[right]) @ head + rng.logistic(size=n + n_test)
    outcome = np.where(np.abs(latent) < ties, 0.5, (latent > 0).astype(float))
    data = Comparisons.from_arrays(
        left,
        right,
        outcome=outcome,
        strength=1.0 + np.searchsorted([ties + 0.8, ties + 2.0], np.abs(latent)),
        items=Items(ids=[str(i) for i in range(n_items)]).with_features(features, "simulated"),
    )
    return data.take(np.arange(n)), data.take(np.arange(n, n + n_test)), head


@pytest.mark.parametrize("ties", ["half", "davidson"])
@pytest.mark.parametrize("settings", [{}, {**FIXED, "item_effects": 4.0}, {"position_bias": True, "ridge": 1.0}])
def test_without_strengths_it_is_bradley_terry(ties, settings):
    share = 0.3 if ties == "davidson" else 0.0
    data = simulate_mixture(n_users=30, n_groups=1, n_items=40, dim=5, pairs_per_user=20, ties=share, rng=1).comparisons
    plain = BradleyTerry(ties=ties, **settings).fit(data)
    if ties == "davidson" and "ridge" not in settings:
        settings = {"ridge": plain.ridge_}
    ordinal = OrdinalBradleyTerry(ties=ties, **settings).fit(data)
    np.testing.assert_allclose(ordinal.predict_proba(data), plain.predict_proba(data), atol=3e-4)
    np.testing.assert_allclose(ordinal.reward_std(data.items), plain.reward_std(data.items), rtol=1e-3)
    assert ordinal.objective_ == pytest.approx(plain.objective_, abs=1e-4)
    if ties == "davidson":
        np.testing.assert_allclose(ordinal.predict_tie_proba(data), plain.predict_tie_proba(data), atol=1e-3)


def test_the_published_order_of_the_losses():
    """Latent logistic strength: the ordinal likelihood is best, margins are badly calibrated until recalibrated."""
    found = {name: [] for name in ("plain", "margin", "scaled", "ordinal", "mended")}
    for seed in range(5):
        train, test, _ = with_strengths(seed)
        for name in found:
            likelihood = "margin" if name == "mended" else name
            model = OrdinalBradleyTerry(
                likelihood=likelihood,
                recalibrate=name == "mended",
                item_effects=False,
                uncertainty=False,
                ridge=10.0,
                blocks="row",
            ).fit(train)
            p = model.predict_proba(test)
            found[name].append([log_loss(p, test.outcome), ece(p, test.outcome)])
    loss, error = ({name: np.mean(rows, axis=0)[j] for name, rows in found.items()} for j in (0, 1))
    assert min(loss, key=loss.get) == "ordinal"
    assert sum(a[0] < b[0] for a, b in zip(found["ordinal"], found["plain"], strict=True)) >= 4
    assert error["margin"] > 0.1
    assert error["scaled"] > 1.5 * error["ordinal"]
    assert error["mended"] < 0.03


def test_thresholds_and_head_are_recovered():
    heads, cuts = [], []
    for seed in range(5):
        train, _, head = with_strengths(seed, n=8000, ties=0.5)
        model = OrdinalBradleyTerry(item_effects=False).fit(train)
        heads.append(np.corrcoef(model.coef_[0], head)[0, 1])
        cuts.append(model.cuts_)
        assert model.levels_.tolist() == [1, 2, 3]
    np.testing.assert_allclose(np.mean(cuts, axis=0), [0.5, 1.3, 2.5], atol=0.05)
    assert min(heads) > 0.97


@pytest.mark.parametrize("likelihood", ["ordinal", "margin", "scaled"])
@pytest.mark.parametrize("ties", ["middle", "davidson", "half"])
def test_swapping_sides_is_exact(likelihood, ties):
    train, _, _ = with_strengths(0, n=400, n_test=0, ties=0.4)
    settings = {**FIXED, "likelihood": likelihood, "ties": ties, "recalibrate": False, "item_effects": 3.0}
    model = OrdinalBradleyTerry(**settings, tol=1e-12).fit(train)
    turned = OrdinalBradleyTerry(**settings, tol=1e-12).fit(train.swapped())
    np.testing.assert_allclose(turned.predict_proba(train), model.predict_proba(train), atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(train) + model.predict_proba(train.swapped()), 1.0, atol=1e-12)
    if likelihood == "ordinal":
        p = model.predict_strength_proba(train)
        np.testing.assert_allclose(p[:, ::-1], model.predict_strength_proba(train.swapped()), atol=1e-12)
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        n = p.shape[1] // 2
        np.testing.assert_allclose(p[:, n:].sum(axis=1), model.predict_proba(train), atol=1e-9)
    else:
        with pytest.raises(UsageError, match="ordinal"):
            model.predict_strength_proba(train)
    if ties == "half":
        with pytest.raises(UsageError, match="tie"):
            model.predict_tie_proba(train)
    elif likelihood == "ordinal":
        assert model.predict_tie_proba(train).mean() == pytest.approx(np.mean(train.outcome == 0.5), abs=0.05)


def test_unknown_strengths_are_answers_like_others():
    loss = []
    for seed in range(6):
        train, test, _ = with_strengths(seed, n=400)
        half = np.arange(len(train)) % 2 == 0
        partly = Comparisons(**{**vars(train), "strength": np.where(half, np.nan, train.strength)})
        models = [OrdinalBradleyTerry(**FIXED, item_effects=False) for _ in range(3)]
        fitted = [model.fit(data) for model, data in zip(models, (train, partly, train.take(~half)), strict=True)]
        loss.append([log_loss(model.predict_proba(test), test.outcome) for model in fitted])
    whole, partial, less = np.mean(loss, axis=0)
    assert whole < partial < less


def test_many_strengths_are_cut_at_quantiles():
    train, _, _ = with_strengths(4, n=500, n_test=0)
    fine = Comparisons(**{**vars(train), "strength": train.strength + np.linspace(0, 0.5, 500)})
    model = OrdinalBradleyTerry(**FIXED, n_levels=4).fit(fine)
    assert len(model.levels_) == len(model.cuts_) == 4
    assert np.all(np.diff(model.cuts_) > 0)


@pytest.mark.parametrize("where", ["lowest", "middle", "highest"])
def test_a_strength_that_nearly_all_rows_share_is_one_level_of_several(where):
    """Nine rows in ten have one strength: the tenth must not fall into its level."""
    train, _, _ = with_strengths(5, n=500, n_test=0)
    strength = {"lowest": 0.0, "middle": 0.5, "highest": 1.0}[where] * np.ones(500)
    rare = np.arange(500) % 10 == 0
    strength[rare] = (np.arange(50) + 0.5) / 50
    levels = levels_of(prepare(train._replace(strength=strength), (), position_bias=False), 5)
    part = np.bincount(np.searchsorted(levels, strength, side="right") - 1, minlength=len(levels))
    assert part.sum() == 500
    assert len(levels) == 5
    assert sorted(part)[-1] == 450
    assert sorted(part)[-2] <= 26
    model = OrdinalBradleyTerry(**FIXED, item_effects=False).fit(train._replace(strength=strength))
    assert len(model.cuts_) == len(levels)


def test_levels_without_equal_strengths_are_quantiles():
    train, _, _ = with_strengths(5, n=400, n_test=0)
    strength = np.random.default_rng(0).normal(size=400) + 9
    levels = levels_of(prepare(train._replace(strength=strength), (), position_bias=False), 5)
    np.testing.assert_array_equal(levels, np.sort(strength)[::80])


def ratings_of(train, head, noise, seed):
    rng = np.random.default_rng([seed, 43])
    n = len(train.items)
    good = train.items.features @ head
    values = np.concatenate([good + noise * rng.normal(size=n), rng.normal(size=n)])
    return Ratings(
        train.items,
        ["r"],
        np.zeros(2 * n, int),
        np.tile(np.arange(n), 2),
        values,
        np.repeat([0, 1], n),
        ["helpful", "other"],
    )


def test_ratings_are_a_prior_that_few_comparisons_build_on():
    gain = []
    for seed in range(5):
        train, test, head = with_strengths(seed, n=120, n_test=4000)
        ratings = ratings_of(train, head, 1.0, seed)
        alone = OrdinalBradleyTerry(item_effects=False, uncertainty=False).fit(train)
        both = OrdinalBradleyTerry(item_effects=False, uncertainty=False, rating="helpful").fit(train, ratings=ratings)
        gain.append(
            log_loss(alone.predict_proba(test), test.outcome) - log_loss(both.predict_proba(test), test.outcome)
        )
        assert np.corrcoef(both.prior_coef_[0], head)[0, 1] > 0.9
    assert min(gain) > 0.01


def test_extrapolation_finds_the_best_step():
    train, test, head = with_strengths(6, n=600)
    model = OrdinalBradleyTerry(ridge=200.0, item_effects=False, rating="helpful").fit(
        train, ratings=ratings_of(train, head, 3.0, 6)
    )
    found = extrapolate(model, model.prior_coef_, test)

    def loss(alpha):
        reward = test.items.features @ (model.coef_ + alpha * (model.coef_ - model.prior_coef_))[0]
        return log_loss(1 / (1 + np.exp(reward[test.right] - reward[test.left])), test.outcome)

    moved = [loss(alpha) for alpha in (found.alpha - 0.05, found.alpha, found.alpha + 0.05)]
    assert moved[1] == pytest.approx(found.log_loss, abs=1e-9)
    assert moved[1] < min(moved[0], moved[2])
    assert found.log_loss <= found.log_loss_before
    with pytest.raises(UsageError, match="shape"):
        extrapolate(model, np.zeros((1, 2)), test)


@pytest.mark.parametrize(
    "model",
    [
        OrdinalBradleyTerry(**FIXED, item_effects=False),
        OrdinalBradleyTerry(**FIXED, item_effects=5.0),
        OrdinalBradleyTerry(**FIXED, item_effects=False, likelihood="margin", recalibrate=False, ties="davidson"),
    ],
    ids=repr,
)
def test_the_battery(model):
    results = check_preference_model(model, raise_on_failure=True)
    skipped = {result.name for result in results if result.status == "skipped"}
    assert skipped == {"two_clear_groups_are_told_apart"}
    assert sum(result.passed for result in results) == len(results) - 1


def test_saved_models_keep_their_thresholds(tmp_path):
    train, _, head = with_strengths(7, n=300, n_test=0, ties=0.4)
    model = OrdinalBradleyTerry(**FIXED, item_effects=False).fit(train, ratings=ratings_of(train, head, 1.0, 7))
    model.save(tmp_path / "run")
    again = pl.load(tmp_path / "run")
    np.testing.assert_array_equal(again.predict_strength_proba(train), model.predict_strength_proba(train))
    np.testing.assert_array_equal(again.prior_coef_, model.prior_coef_)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("likelihood", "probit"), ("ties", "thirds"), ("recalibrate", "often"), ("n_levels", 1), ("rating", 3)],
)
def test_settings_that_cannot_work_are_named(setting, value):
    train, _, _ = with_strengths(8, n=20, n_test=0)
    with pytest.raises(UsageError, match=setting):
        OrdinalBradleyTerry(**{setting: value}).fit(train)


def test_ratings_that_do_not_fit_are_named():
    train, _, head = with_strengths(9, n=50, n_test=0)
    ratings = ratings_of(train, head, 1.0, 9)
    with pytest.raises(UsageError, match="honesty"):
        OrdinalBradleyTerry(**FIXED, rating="honesty").fit(train, ratings=ratings)
    with pytest.raises(DataError, match="space"):
        OrdinalBradleyTerry(**FIXED).fit(train, ratings=ratings.with_features(ratings.items.features, "another"))
