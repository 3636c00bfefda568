from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from pluralism.calibration import Temperature, ece, ece_null_band, fit_temperature, log_loss
from pluralism.errors import DataError, NotFittedError


def draw(seed: int, n: int, temperature: float, sd: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Predictions that are sharper than the truth by the given temperature."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0.2, sd, n)
    return expit(temperature * z), (rng.random(n) < expit(z)).astype(float)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 3.0, 20.0])
def test_it_finds_the_minimum_of_the_log_loss(temperature: float) -> None:
    p, y = draw(0, 3000, temperature)
    y[:100] = 0.5
    weight = np.random.default_rng(1).uniform(0, 2, len(p))
    fitted = Temperature().fit(p, y, weight=weight)
    best = minimize_scalar(
        lambda log_t: log_loss(expit(logit(np.clip(p, 1e-12, 1 - 1e-12)) / np.exp(log_t)), y, weight=weight),
        bounds=(-6, 6),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert fitted.temperature_ == pytest.approx(np.exp(best.x), rel=1e-5)


def test_planted_temperature_is_recovered_within_its_standard_error() -> None:
    z_scores = []
    for seed in range(60):
        fitted = fit_temperature(*draw(seed, 1500, 2.0))
        z_scores.append((fitted.temperature_ - 2.0) / fitted.standard_error_)
    assert abs(np.mean(z_scores)) < 0.5
    assert 0.75 < np.std(z_scores) < 1.3


def test_large_data_start_from_a_sample_and_end_at_the_same_optimum() -> None:
    p, y = draw(0, 400_000, 1.7)
    fitted = fit_temperature(p, y)
    assert fitted.n_iter_ <= 4
    z = logit(p)
    residual = z @ (expit(z / fitted.temperature_) - y) / len(p)
    assert abs(residual) < 1e-9


def test_calibration_on_one_half_mends_the_other_half() -> None:
    p, y = draw(3, 8000, 2.5)
    scaler = fit_temperature(p[:4000], y[:4000])
    after = scaler.transform(p[4000:])
    assert ece(p[4000:], y[4000:]) > ece_null_band(p[4000:]).high
    assert ece(after, y[4000:]) <= ece_null_band(after, level=0.99).high
    assert log_loss(after, y[4000:]) < log_loss(p[4000:], y[4000:]) - 0.05


@given(st.integers(0, 10_000), st.floats(0.2, 5))
@settings(max_examples=25)
def test_neither_the_side_nor_the_favoured_item_changes(seed: int, temperature: float) -> None:
    p, y = draw(seed, 300, temperature)
    fitted, swapped = fit_temperature(p, y), fit_temperature(1 - p, 1 - y)
    assert swapped.temperature_ == pytest.approx(fitted.temperature_, rel=1e-5)
    np.testing.assert_array_equal(np.sign(fitted.transform(p) - 0.5), np.sign(p - 0.5))
    assert log_loss(fitted.transform(p), y) <= log_loss(p, y) + 1e-9


def test_certain_predictions_stay_certain() -> None:
    np.testing.assert_array_equal(fit_temperature(*draw(0, 100, 2.0)).transform([0.0, 0.5, 1.0]), [0, 0.5, 1])


def test_too_little_or_unusable_data_are_refused() -> None:
    with pytest.raises(DataError, match="Only 3 decided"):
        fit_temperature([0.2, 0.3, 0.4, 0.4], [1, 0, 1, 0.5])
    with pytest.raises(DataError, match="Only 0 decided"):
        fit_temperature(np.full(100, 0.5), np.ones(100))
    with pytest.raises(DataError, match="predicted right"):
        fit_temperature(np.full(50, 0.7), np.ones(50))
    p, y = draw(0, 500, 1.0)
    with pytest.raises(DataError, match="do not favour"):
        fit_temperature(p, 1 - y)
    with pytest.raises(DataError, match="not in"):
        fit_temperature([0.2, np.nan], [0, 1])
    with pytest.raises(NotFittedError):
        Temperature().transform([0.5])


def test_repr_says_what_was_found() -> None:
    assert repr(Temperature()) == "Temperature(min_rows=20)"
    assert "temperature_=" in repr(fit_temperature(*draw(0, 100, 2.0)))
