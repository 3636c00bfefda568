"""Platt, isotonic and grouped calibration."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from pluralism.calibration import (
    GroupedCalibrator,
    Isotonic,
    Platt,
    ece,
    ece_null_band,
    fit_grouped,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    log_loss,
)
from pluralism.errors import DataError, NotFittedError, UsageError


def draw(seed: int, n: int, slope: float = 1.0, intercept: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions whose calibrated log-odds are slope * logit(p) + intercept."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0.1, 1.5, n)
    return expit(z), (rng.random(n) < expit(slope * z + intercept)).astype(float)


def test_platt_is_sklearns_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    p, y = draw(0, 2000, 0.6, 0.4)
    w = np.random.default_rng(1).uniform(0.1, 2, 2000)
    peer = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(p)[:, None], y, sample_weight=w)
    found = fit_platt(p, y, weight=w)
    assert found.slope_ == pytest.approx(peer.coef_[0, 0], abs=1e-4)
    assert found.intercept_ == pytest.approx(peer.intercept_[0], abs=1e-4)
    np.testing.assert_allclose(found.transform(p), peer.predict_proba(logit(p)[:, None])[:, 1], atol=1e-4)


def test_platt_gradient_is_zero_and_its_errors_are_those_of_repeated_samples() -> None:
    scores = []
    for seed in range(60):
        p, y = draw(seed, 800, 0.7, -0.3)
        found = fit_platt(p, y)
        z = logit(p)
        residual = found.transform(p) - y
        assert abs(residual.mean()) < 1e-8
        assert abs((residual * z).mean()) < 1e-8
        errors = np.sqrt(np.diag(found.covariance_))
        scores.append([(found.slope_ - 0.7) / errors[0], (found.intercept_ + 0.3) / errors[1]])
    assert np.abs(np.mean(scores, axis=0)).max() < 0.5
    assert 0.7 < np.std(scores, axis=0).min() <= np.std(scores, axis=0).max() < 1.35


def test_platt_without_a_side_is_a_temperature() -> None:
    p, y = draw(2, 1500, 0.6)
    both = np.concatenate([p, 1 - p]), np.concatenate([y, 1 - y])
    platt = fit_platt(*both)
    assert platt.intercept_ == pytest.approx(0, abs=1e-8)
    assert 1 / platt.slope_ == pytest.approx(fit_temperature(p, y).temperature_, rel=1e-6)


def test_platt_refuses_what_has_no_answer() -> None:
    with pytest.raises(DataError, match="threshold"):
        fit_platt(np.linspace(0.1, 0.9, 40), np.arange(40) >= 20)
    with pytest.raises(DataError, match="the same"):
        fit_platt(np.full(40, 0.6), np.arange(40) % 2)
    with pytest.raises(DataError, match="Only 2 decided"):
        fit_platt([0.2, 0.7, 0.6], [1, 0, 0.5])
    with pytest.raises(NotFittedError):
        Platt().transform([0.5])


def test_isotonic_is_sklearns_on_the_given_order() -> None:
    from sklearn.isotonic import IsotonicRegression

    p, y = draw(3, 700, 0.5, 0.5)
    w = np.random.default_rng(1).uniform(0.1, 2, 700)
    found = Isotonic(mirrored=False).fit(p, y, weight=w)
    peer = IsotonicRegression(y_min=found.margin_, y_max=1 - found.margin_, out_of_bounds="clip").fit(p, y, w)
    grid = np.linspace(0, 1, 101)
    np.testing.assert_allclose(found.transform(grid), peer.predict(grid), atol=1e-9)


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_isotonic_is_monotone_symmetric_and_never_certain(seed: int) -> None:
    p, y = draw(seed, 150, 0.5)
    found = fit_isotonic(p, y)
    grid = np.linspace(0, 1, 201)
    q = found.transform(grid)
    assert (np.diff(q) >= -1e-12).all()
    np.testing.assert_allclose(q + found.transform(1 - grid), 1, atol=1e-9)
    assert q.min() >= found.margin_ - 1e-15
    np.testing.assert_allclose(fit_isotonic(1 - p, 1 - y).transform(grid), q, atol=1e-9)
    assert np.isfinite(log_loss(found.transform(p), y))


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_one_half_mends_the_other(fit) -> None:
    p, y = draw(4, 12_000, 0.4)
    after = fit(p[:6000], y[:6000]).transform(p[6000:])
    assert ece(p[6000:], y[6000:]) > ece_null_band(p[6000:]).high
    assert ece(after, y[6000:]) <= 1.5 * ece_null_band(after, level=0.99).high
    assert log_loss(after, y[6000:]) < log_loss(p[6000:], y[6000:]) - 0.05


def grouped_data(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p, y = draw(seed, 3000, 0.4)
    q, z = draw(seed + 1, 3000, 2.0)
    r, u = draw(seed + 2, 80, 0.4)
    return np.concatenate([p, q, r]), np.concatenate([y, z, u]), np.repeat(["over", "under", "few"], [3000, 3000, 80])


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_groups_are_mended_one_by_one(method) -> None:
    found = fit_grouped(*grouped_data(0), method=method)
    p, y, group = grouped_data(100)
    after = found.transform(p, group)
    for name in ("over", "under"):
        here = group == name
        own = type(found.pooled_)().fit(*(column[grouped_data(0)[2] == name] for column in grouped_data(0)[:2]))
        np.testing.assert_allclose(after[here], own.transform(p[here]))
        assert log_loss(after[here], y[here]) < log_loss(found.pooled_.transform(p[here]), y[here]) - 0.01
    few = group == "few"
    np.testing.assert_allclose(after[few], found.pooled_.transform(p[few]))
    np.testing.assert_allclose(found.transform([0.7], ["never seen"]), found.pooled_.transform([0.7]))


def test_the_object_says_who_was_calibrated_by_what() -> None:
    found = fit_grouped(*grouped_data(0))
    table = {row["group"]: row for row in found.sources_}
    assert table["over"]["calibrator"] == table["under"]["calibrator"] == "own"
    assert table["few"]["calibrator"] == "pooled"
    assert "fewer than 200" in table["few"]["reason"]
    assert found.own_["over"].temperature_ == pytest.approx(2.5, rel=0.15)
    document = json.loads(found.to_json())
    assert set(document["own"]) == {"over", "under"}
    assert document["pooled"]["kind"] == "temperature"
    assert found.to_frame().num_rows == 3
    assert "fewer than 200" in repr(found)


def test_a_group_that_cannot_be_calibrated_says_why() -> None:
    p, y = draw(5, 1000)
    sure = np.full(300, 0.8)
    found = fit_grouped(np.concatenate([p, sure]), np.concatenate([y, np.ones(300)]), ["a"] * 1000 + ["b"] * 300)
    assert "predicted right" in found.sources_[1]["reason"]
    assert "b" not in found.own_


def test_settings_that_cannot_work() -> None:
    p, y = draw(0, 100)
    with pytest.raises(UsageError, match="temperature, platt, isotonic"):
        fit_grouped(p, y, ["a"] * 100, method="beta")
    with pytest.raises(UsageError, match="min_rows"):
        GroupedCalibrator(min_rows=0).fit(p, y, ["a"] * 100)
    with pytest.raises(NotFittedError):
        GroupedCalibrator().transform([0.5], ["a"])
    with pytest.raises(DataError, match="Only"):
        fit_isotonic([0.3], [1])
    with pytest.raises(NotFittedError):
        Isotonic().transform([0.5])
