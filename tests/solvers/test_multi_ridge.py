"""Ridge of several attributes: scikit-learn's on each attribute alone, with missing labels, weights and folds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pluralism.solvers import FeatureMatrix
from pluralism.solvers.multi_ridge import fit_multi_ridge, group_folds
from pluralism.solvers.near_ridge import NearRidge, ridge_by_cholesky


def problem(missing, seed=0, n=400, dim=6, n_attributes=3):
    rng = np.random.default_rng([seed, 31])
    x = rng.normal(size=(n, dim)) + 4.0
    y = x @ rng.normal(size=(dim, n_attributes)) + rng.normal(size=(n, n_attributes))
    if missing == "by source":
        y[: n // 2, 0] = y[n // 2 :, 1:] = np.nan
    else:
        y[rng.random(y.shape) < missing] = np.nan
    return x, y, rng.random(n) + 0.2, group_folds(rng.integers(30, size=n), 5, rng)


@pytest.mark.parametrize("missing", [0.0, 0.4, 0.8, "by source"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_each_attribute_is_a_ridge_of_its_own(missing, dtype):
    x, y, w, fold = problem(missing)
    found = fit_multi_ridge(FeatureMatrix(x.astype(dtype)), y, weight=w, fold=fold)
    for k in range(3):
        rows = ~np.isnan(y[:, k])
        peer = Ridge(alpha=found.ridge[k]).fit(x[rows], y[rows, k], sample_weight=w[rows])
        np.testing.assert_allclose(found.coef[:, k], peer.coef_, atol=1e-5)
        assert found.intercept[k] == pytest.approx(peer.intercept_, abs=1e-4)
        for alpha, error in found.tried[::4, [0, k + 1]]:
            total = 0.0
            for f in range(5):
                train, held = rows & (fold != f), rows & (fold == f)
                model = Ridge(alpha=alpha).fit(x[train], y[train, k], sample_weight=w[train])
                total += float(w[held] @ (y[held, k] - model.predict(x[held])) ** 2)
            assert error == pytest.approx(total / w[rows].sum(), rel=1e-4)
        assert found.tried[:, k + 1].min() == pytest.approx(found.residual_variance[k])
        mean = np.average(y[rows, k], weights=w[rows])
        spread = np.average((y[rows, k] - mean) ** 2, weights=w[rows])
        assert found.r2[k] == pytest.approx(1 - found.residual_variance[k] / spread, abs=1e-6)


@pytest.mark.parametrize("far", [False, True])
def test_systems_near_a_reference_are_solved_as_by_factorisation(far):
    """Near matrices by conjugate gradients; one that has nothing in common with the reference is factorised."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(600, 40)) / np.arange(1, 41)
    other = rng.normal(size=(600, 40)) * np.arange(1, 41) ** 2 if far else x[60:] * 1.5
    b, ridges = rng.normal(size=(40, 3)), np.logspace(-4, 3, 8)
    found = NearRidge(x.T @ x).solve(other.T @ other, b, ridges)
    for i, ridge in enumerate(ridges):
        expected = np.linalg.solve(other.T @ other + ridge * np.eye(40), b)
        np.testing.assert_allclose(found[:, i], expected, rtol=1e-5, atol=1e-7 * np.abs(expected).max())
        np.testing.assert_allclose(ridge_by_cholesky(other.T @ other, b, ridge), expected, rtol=1e-6)


def test_many_attributes_that_lack_rows_at_random_are_ridges_of_their_own():
    x, y, w, fold = problem(0.15, seed=9, n=600, dim=12, n_attributes=8)
    found = fit_multi_ridge(FeatureMatrix(x.astype(np.float32)), y, weight=w, fold=fold)
    for k in range(8):
        rows = ~np.isnan(y[:, k])
        for alpha, error in found.tried[::5, [0, k + 1]]:
            total = 0.0
            for f in range(5):
                train, held = rows & (fold != f), rows & (fold == f)
                model = Ridge(alpha=alpha).fit(x[train], y[train, k], sample_weight=w[train])
                total += float(w[held] @ (y[held, k] - model.predict(x[held])) ** 2)
            assert error == pytest.approx(total / w[rows].sum(), rel=1e-4)


def test_rows_may_share_items_and_half_precision_is_read_in_blocks():
    x, y, w, _ = problem(0.2)
    item = np.random.default_rng(3).integers(len(x), size=500)
    direct = fit_multi_ridge(FeatureMatrix(x[item]), y[item], weight=w[item], ridge=2.0)
    coded = fit_multi_ridge(FeatureMatrix(x), y[item], item=item, weight=w[item], ridge=2.0)
    np.testing.assert_allclose(coded.coef, direct.coef, rtol=1e-10)
    half = FeatureMatrix(np.tile(x, (4, 1)).astype(np.float16))
    half.array = np.tile(x, (4, 1)).astype(np.float16)
    half.compute_dtype = np.dtype(np.float32)
    rounded = fit_multi_ridge(half, y[item], item=item, weight=w[item], ridge=2.0)
    np.testing.assert_allclose(rounded.coef, direct.coef, atol=0.02)


def test_a_far_off_mean_costs_no_precision():
    x, y, w, fold = problem(0.0)
    near = fit_multi_ridge(FeatureMatrix(x.astype(np.float32)), y, weight=w, fold=fold)
    far = fit_multi_ridge(FeatureMatrix((x + 1000.0).astype(np.float32)), y, weight=w, fold=fold)
    np.testing.assert_allclose(far.coef, near.coef, atol=1e-3)


def test_groups_are_in_one_fold():
    rng = np.random.default_rng(5)
    group = rng.integers(17, size=300)
    fold = group_folds(group, 4, rng)
    assert all(len(np.unique(fold[group == g])) == 1 for g in range(17))
    assert np.bincount(fold).min() > 40
    assert group_folds(np.zeros(5, int), 4, rng) is None
