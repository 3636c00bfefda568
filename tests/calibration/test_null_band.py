from __future__ import annotations

import json

import numpy as np
import pytest

from pluralism.calibration import ece, ece_null_band
from pluralism.errors import DataError, UsageError


def calibrated(seed: int, n: int, sd: float) -> np.ndarray:
    return 1 / (1 + np.exp(-np.random.default_rng(seed).normal(0, sd, n)))


@pytest.mark.parametrize(
    ("sd", "mean", "low", "high"),
    [(0.2, 0.0095, 0.002, 0.021), (0.4, 0.012, 0.0035, 0.023), (1.2, 0.015, 0.007, 0.025)],
)
def test_band_at_the_size_of_published_tables(sd: float, mean: float, low: float, high: float) -> None:
    """2,352 pairs, ten mirrored bins: values that a calibrated model was found to have there."""
    band = ece_null_band(calibrated(0, 2352, sd), 5)
    assert band.mean == pytest.approx(mean, abs=0.001)
    assert band.low == pytest.approx(low, abs=0.001)
    assert band.high == pytest.approx(high, abs=0.0015)


@pytest.mark.parametrize(("n", "weighted"), [(150, False), (150, True), (30_000, False), (30_000, True)])
def test_band_equals_that_of_simulated_samples_scored_by_ece(n: int, weighted: bool) -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(0.6, 0.6, n)
    p[: n // 20] = 0.5
    weight = rng.uniform(0, 3, n) if weighted else None
    scores = [ece(p, rng.random(n) < p, weight=weight) for _ in range(600)]
    band = ece_null_band(p, weight=weight, n_draws=4000)
    assert band.mean == pytest.approx(np.mean(scores), rel=0.04)
    np.testing.assert_allclose([band.low, band.high], np.quantile(scores, [0.05, 0.95]), rtol=0.06)


def test_a_calibrated_model_falls_inside_as_often_as_stated_and_a_miscalibrated_one_does_not() -> None:
    inside = 0
    for seed in range(200):
        p = calibrated(seed, 600, 1.0)
        y = np.random.default_rng(1000 + seed).random(600) < p
        inside += ece(p, y) in ece_null_band(p, level=0.8, rng=seed)
    # 160 expected, standard deviation 5.7.
    assert abs(inside - 160) < 20
    p = calibrated(0, 600, 1.0)
    y = np.random.default_rng(0).random(600) < np.clip(p + 0.25 * np.sign(0.5 - p), 0, 1)
    assert ece(p, y) > ece_null_band(p).high


def test_same_seed_same_band_and_generators_advance() -> None:
    p = calibrated(3, 500, 1.0)
    assert ece_null_band(p, rng=5) == ece_null_band(p, rng=5)
    generator = np.random.default_rng(5)
    first = ece_null_band(p, rng=generator)
    assert first == ece_null_band(p, rng=np.random.default_rng(5))
    assert first != ece_null_band(p, rng=generator)


def test_certain_and_even_predictions_leave_nothing_to_chance() -> None:
    band = ece_null_band([0.0, 1.0, 0.5, 0.5])
    assert band.low == band.high == band.mean == 0


def test_band_is_json_and_knows_what_it_contains() -> None:
    band = ece_null_band(calibrated(0, 300, 1), 10, level=0.5)
    assert json.loads(band.to_json()) == {
        "low": band.low,
        "high": band.high,
        "mean": band.mean,
        "level": 0.5,
        "n_bins": 10,
    }
    assert band.mean in band
    assert band.high + 1e-9 not in band


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match="level"):
        ece_null_band([0.5], level=1.0)
    with pytest.raises(UsageError, match="n_draws"):
        ece_null_band([0.5], n_draws=0)
    with pytest.raises(DataError, match="not in"):
        ece_null_band([0.5, np.nan])
    with pytest.raises(DataError, match="no rows"):
        ece_null_band([])
