from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.calibration import debiased_ece, ece
from pluralism.calibration.expected_calibration_error import folded_normal_mean
from pluralism.errors import DataError, DataWarning, UsageError


def slow_ece(p, y, n_bins, weight=None) -> float:
    """The definition, bin by bin."""
    p, y = np.asarray(p, float), np.asarray(y, float)
    w = np.ones(len(p)) if weight is None else np.asarray(weight, float)
    confidence = np.where(p < 0.5, 1 - p, p)
    correct = np.where(p == 0.5, 0.5, np.where(p < 0.5, 1 - y, y))
    edges = np.linspace(0.5, 1, n_bins + 1)
    total = 0.0
    for b in range(n_bins):
        inside = (confidence > edges[b]) & (confidence <= edges[b + 1]) | ((b == 0) & (confidence == 0.5))
        if w[inside].sum() > 0:
            observed, stated = (np.average(v[inside], weights=w[inside]) for v in (correct, confidence))
            total += w[inside].sum() / w.sum() * abs(observed - stated)
    return total


def slow_mirrored_ece(p, y, n_bins) -> float:
    p, y = np.concatenate([p, 1 - p]), np.concatenate([y, 1 - y])
    edges = np.linspace(0, 1, n_bins + 1)
    b = np.clip(np.searchsorted(edges, p, side="left") - 1, 0, n_bins - 1)
    return np.abs(np.bincount(b, p - y, minlength=n_bins)).sum() / len(p)


def draw(seed: int, n: int = 3000, power: float = 1.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.uniform(size=n)
    return p, (rng.random(n) < p**power).astype(float)


@pytest.mark.parametrize("n_bins", [1, 2, 10, 15, 97])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ece_is_its_definition(n_bins: int, dtype) -> None:
    p, y = draw(0)
    p = p.astype(dtype)
    p[:40] = np.linspace(0, 1, 40)
    y[40:80] = np.linspace(0, 1, 40)
    assert ece(p, y, n_bins=n_bins) == pytest.approx(slow_ece(p, y, n_bins), abs=1e-12)
    weight = np.random.default_rng(1).uniform(0, 3, len(p))
    assert ece(p, y, n_bins=n_bins, weight=weight) == pytest.approx(slow_ece(p, y, n_bins, weight), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=50))
@settings(max_examples=50)
def test_values_on_bin_edges_belong_to_the_bin_below(rows) -> None:
    p, y = np.array([k / 40 for k, _ in rows]), np.array([outcome for _, outcome in rows])
    for n_bins in (4, 5, 10, 20):
        assert ece(p, y, n_bins=n_bins) == pytest.approx(slow_ece(p, y, n_bins), abs=1e-12)
        assert ece(1 - p, 1 - y, n_bins=n_bins) == pytest.approx(ece(p, y, n_bins=n_bins), abs=1e-12)


@pytest.mark.parametrize("n_bins", [2, 10, 20, 30])
def test_even_mirrored_bins_equal_half_as_many_confidence_bins(n_bins: int) -> None:
    p, y = draw(2)
    assert ece(p, y, n_bins=n_bins, mirrored=True) == pytest.approx(slow_mirrored_ece(p, y, n_bins), abs=1e-12)
    assert ece(p, y, n_bins=n_bins, mirrored=True) == pytest.approx(ece(p, y, n_bins=n_bins // 2), abs=1e-12)


def test_mirrored_bins_under_weights() -> None:
    p, y = draw(3, 200)
    weight = np.random.default_rng(0).integers(0, 4, 200)
    copies = np.repeat(np.arange(200), weight)
    assert ece(p, y, n_bins=10, mirrored=True, weight=weight) == pytest.approx(
        slow_mirrored_ece(p[copies], y[copies], 10), abs=1e-12
    )


def test_an_odd_number_of_mirrored_bins_hides_the_middle_and_says_so() -> None:
    rng = np.random.default_rng(4)
    p = rng.uniform(0.42, 0.58, 2000)
    y = (p < 0.5).astype(float)
    with pytest.warns(DataWarning, match="middle one cancels"):
        assert ece(p, y, n_bins=5, mirrored=True) == pytest.approx(0, abs=1e-12)
    assert ece(p, y, n_bins=10, mirrored=True) > 0.5


@pytest.mark.parametrize("n_bins", [5, 15])
def test_ece_agrees_with_torchmetrics_on_confidences(n_bins: int) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    p, y = draw(5, 20_000)
    confidence, correct = np.maximum(p, 1 - p), np.where(p > 0.5, y, 1 - y)
    # Twice the bins on [0, 1] are the same bins on [0.5, 1].
    peer = functional.binary_calibration_error(
        torch.from_numpy(confidence), torch.from_numpy(correct.astype(int)), n_bins=2 * n_bins
    )
    assert ece(p, y, n_bins=n_bins) == pytest.approx(float(peer), abs=1e-6)


def test_a_label_of_always_one_does_not_fool_it() -> None:
    rng = np.random.default_rng(6)
    chosen = 1 / (1 + np.exp(-np.abs(rng.normal(0, 1, 5000))))
    wins = rng.random(5000) < chosen
    p = np.where(wins, chosen, 1 - chosen)
    assert np.mean(1 - p) > 0.3
    assert ece(p, np.ones(5000)) < 0.02


def test_blocks_and_input_types_change_nothing() -> None:
    p, y = draw(7, 1_100_000)
    whole = ece(p, y)
    assert ece(p, y.astype(bool)) == whole
    assert ece(p, y.astype(np.int32)) == whole
    assert ece(p, y.astype(np.int64)) == whole
    assert ece(p[::-1], y[::-1]) == pytest.approx(whole, abs=1e-12)
    with pytest.raises(DataError, match="row 1000001"):
        ece(np.where(np.arange(len(p)) == 1_000_000, np.inf, p), y)


def test_debiasing_removes_what_chance_adds() -> None:
    calibrated, miscalibrated, plain = [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.5, 1, 1500)
        u = rng.random(1500)
        calibrated.append(debiased_ece(p, u < p))
        plain.append(ece(p, u < p))
        miscalibrated.append(debiased_ece(p, u < p - 0.1))
    assert np.mean(plain) > 0.03
    # With gap ~ N(0, 1): (2 sqrt(2/pi) - sqrt(4/pi)) / sqrt(2/pi) = 2 - sqrt(2).
    assert np.mean(calibrated) / np.mean(plain) == pytest.approx(2 - np.sqrt(2), abs=0.05)
    assert np.mean(miscalibrated) == pytest.approx(0.1, abs=0.003)


def test_mean_of_an_absolute_normal_against_simulation() -> None:
    mean, sd = np.array([0.0, 0.5, -1.0, 2.0]), np.array([1.0, 0.0, 2.0, 0.1])
    draws = np.random.default_rng(0).normal(mean, sd, (400_000, 4))
    np.testing.assert_allclose(folded_normal_mean(np.abs(mean), sd), np.abs(draws).mean(0), atol=0.01)


@pytest.mark.parametrize("n_bins", [0, -3])
def test_impossible_numbers_of_bins(n_bins: int) -> None:
    with pytest.raises(UsageError, match="n_bins"):
        ece([0.5], [1], n_bins=n_bins)
