from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from pluralism.calibration import debiased_ece, ece, reliability_curve
from pluralism.calibration.reliability import wilson_interval


def draw(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=n)
    return p, rng.random(n) < p**1.4


def test_curve_against_a_group_by() -> None:
    p, y = draw()
    curve = reliability_curve(p, y, n_bins=10)
    confidence, correct = np.maximum(p, 1 - p), np.where(p > 0.5, y, ~y)
    for b in range(10):
        inside = (confidence > curve.edges[b]) & (confidence <= curve.edges[b + 1])
        assert curve.count[b] == inside.sum()
        assert curve.confidence[b] == pytest.approx(confidence[inside].mean())
        assert curve.observed[b] == pytest.approx(correct[inside].mean())
    assert curve.ece == pytest.approx(ece(p, y, n_bins=10), abs=1e-12)
    assert curve.count.sum() == len(p)


def test_wilson_interval_is_scipys() -> None:
    for hits, n in [(0, 5), (3, 7), (40, 40), (512, 1000)]:
        expected = binomtest(hits, n).proportion_ci(0.9, method="wilson")
        low, high = wilson_interval(np.array([hits / n]), np.array([float(n)]), 0.9)
        assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_intervals_cover_the_truth_as_stated() -> None:
    rng = np.random.default_rng(1)
    covered = total = 0
    for _ in range(100):
        p = rng.uniform(0.5, 1, 800)
        curve = reliability_curve(p, rng.random(800) < p, n_bins=8, level=0.9)
        covered += ((curve.low <= curve.confidence) & (curve.confidence <= curve.high)).sum()
        total += 8
    assert binomtest(int(covered), total, 0.9).pvalue > 1e-3


def test_weights_count_as_copies_in_means_and_as_effective_rows_in_intervals() -> None:
    p, y = draw(300)
    weighted, plain = reliability_curve(p, y, weight=np.full(300, 7.0)), reliability_curve(p, y)
    np.testing.assert_allclose(weighted.observed, plain.observed)
    np.testing.assert_allclose(weighted.low, plain.low)
    assert debiased_ece(p, y, weight=np.full(300, 7.0)) == pytest.approx(debiased_ece(p, y))
    np.testing.assert_allclose(weighted.weight, 7 * plain.weight)


def test_empty_bins_are_nan_and_null() -> None:
    curve = reliability_curve([0.99, 0.98], [1, 0.5], n_bins=4)
    assert np.isnan(curve.observed[:3]).all()
    assert np.isnan(curve.low[:3]).all()
    document = json.loads(curve.to_json())
    assert document["observed"] == [None, None, None, 0.75]
    assert document["count"] == [0, 0, 0, 2]
    assert len(document["edges"]) == 5
    assert curve.to_frame().num_rows == len(curve) == 4
    assert "0.875, 1.000]" in repr(curve)
