from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from pluralism.calibration import accuracy, brier, ece, log_loss, paired_bootstrap, signed_confidence_gap
from pluralism.errors import DataError, UsageError


def two_models(seed: int, n: int = 600, sharp: float = 1.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.2, n)
    return expit(sharp * z), expit(z + rng.normal(0, 0.1, n)), (rng.random(n) < expit(z)).astype(float)


def test_values_are_those_of_the_scores() -> None:
    a, b, y = two_models(0)
    y[:30] = 0.5
    weight = np.random.default_rng(1).uniform(0, 2, len(y))
    found = paired_bootstrap(a, b, y, weight=weight, n_bins=10, n_draws=50)
    scores = {"accuracy": accuracy, "nll": log_loss, "brier": brier, "signed_gap": signed_confidence_gap}
    for name, score in scores.items():
        assert found[name].first == pytest.approx(score(a, y, weight=weight))
        assert found[name].second == pytest.approx(score(b, y, weight=weight))
        assert found[name].difference == pytest.approx(found[name].first - found[name].second)
    assert found["ece"].first == pytest.approx(ece(a, y, n_bins=10, weight=weight))
    assert found["ece"].second == pytest.approx(ece(b, y, n_bins=10, weight=weight))


def test_draws_are_those_of_resampled_rows() -> None:
    """Against the slow way: rows of drawn clusters are gathered and scored."""
    a, b, y = two_models(2, 300)
    cluster = np.arange(300) % 40
    found = paired_bootstrap(a, b, y, cluster=cluster, n_draws=4000, level=0.9, rng=3)
    rng, drawn = np.random.default_rng(7), []
    for _ in range(1500):
        rows = np.concatenate([np.flatnonzero(cluster == k) for k in rng.integers(0, 40, 40)])
        drawn.append(
            (ece(a[rows], y[rows]) - ece(b[rows], y[rows]), log_loss(a[rows], y[rows]) - log_loss(b[rows], y[rows]))
        )
    for k, name in enumerate(["ece", "nll"]):
        low, high = np.quantile([row[k] for row in drawn], [0.05, 0.95])
        delta = found[name].difference
        assert found[name].low == pytest.approx(2 * delta - high, abs=0.15 * (high - low))
        assert found[name].high == pytest.approx(2 * delta - low, abs=0.15 * (high - low))


def test_intervals_of_the_nll_cover_and_clusters_widen_them() -> None:
    covered = 0
    truth = np.mean([paired_bootstrap(*two_models(5000 + s, 5000), n_draws=1)["nll"].difference for s in range(20)])
    for seed in range(100):
        found = paired_bootstrap(*two_models(seed), n_draws=300, level=0.9, rng=seed)["nll"]
        covered += found.low <= truth <= found.high
    assert 80 <= covered <= 98
    a, b, y = (np.repeat(column, 5) for column in two_models(1, 200))
    narrow = paired_bootstrap(a, b, y, n_draws=500)["nll"]
    wide = paired_bootstrap(a, b, y, cluster=np.repeat(np.arange(200), 5), n_draws=500)["nll"]
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(np.sqrt(5), rel=0.15)


def test_equal_models_never_differ_and_an_overconfident_one_does() -> None:
    a, b, y = two_models(4, 3000, sharp=3.0)
    same = paired_bootstrap(a, a, y, n_draws=100)
    assert all(row.low == row.high == row.difference == 0 and not row.clear for row in same.metrics.values())
    other = paired_bootstrap(a, b, y, n_draws=300)
    assert other["ece"].clear
    assert other["nll"].clear
    assert other["ece"].low > 0


def test_pairing_narrows_the_interval() -> None:
    a, b, y = two_models(5, 1000, sharp=1.1)
    paired = paired_bootstrap(a, b, y, n_draws=500)["nll"]
    alone = paired_bootstrap(a, np.full(len(y), 0.5), y, n_draws=500)["nll"]
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_seeds_labels_and_forms() -> None:
    a, b, y = two_models(6, 100)
    label = [f"prompt {k % 7}" for k in range(100)]
    one = paired_bootstrap(a, b, y, cluster=label, n_draws=100, rng=1)
    assert one.metrics == paired_bootstrap(a, b, y, cluster=label, n_draws=100, rng=1).metrics
    assert one.metrics != paired_bootstrap(a, b, y, cluster=label, n_draws=100, rng=2).metrics
    assert one.n_clusters == 7
    assert json.loads(one.to_json())["metrics"]["ece"]["first"] == pytest.approx(one["ece"].first)
    assert one.to_frame().num_rows == 5
    assert "7 clusters" in repr(one)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="one cluster"):
        paired_bootstrap([0.5, 0.6], [0.5, 0.6], [1, 0], cluster=["a", "a"])
    with pytest.raises(UsageError, match="cluster has 1"):
        paired_bootstrap([0.5, 0.6], [0.5, 0.6], [1, 0], cluster=["a"])
    with pytest.raises(UsageError, match="n_draws"):
        paired_bootstrap([0.5, 0.6], [0.5, 0.6], [1, 0], n_draws=0)
    ties = paired_bootstrap([0.5, 0.6], [0.5, 0.7], [0.5, 0.5], n_draws=5)
    assert np.isnan(ties["accuracy"].low)
    assert json.loads(ties.to_json())["metrics"]["accuracy"]["low"] is None


@pytest.mark.slow
def test_a_lead_in_ece_looks_smaller_than_it_is_and_is_seldom_invented() -> None:
    """The coverage that docs/calibration.md states, with 1,500 rows and 95 % intervals."""

    def coverage(sharp: float) -> tuple[int, int, int]:
        rng = np.random.default_rng(99)
        z = rng.normal(0, 1.2, 2_000_000)
        truth = ece(expit(sharp * z), expit(z)) - ece(expit(z), expit(z))
        covered = above = zero = 0
        for seed in range(100):
            rng = np.random.default_rng(seed)
            z = rng.normal(0, 1.2, 1500)
            y = rng.random(1500) < expit(z)
            found = paired_bootstrap(expit(sharp * z), expit(z + rng.normal(0, 0.05, 1500)), y, n_draws=500)["ece"]
            covered += found.low <= truth <= found.high
            above += found.high < truth
            zero += found.low <= 0 <= found.high
        return covered, above, zero

    covered, below, zero = coverage(2.0)
    assert 60 <= covered <= 90
    assert zero == 0
    assert below >= 95 - covered
    assert coverage(1.0)[2] >= 85
