"""Filtering and forecasting against formulas, brute force and simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from pluralism.errors import UsageError
from pluralism.progress.linear_gaussian import LinearGaussian
from pluralism.progress.simulated_drift import SimulatedDrift


def published(n_periods: int = 9) -> tuple[SimulatedDrift, LinearGaussian]:
    drift = SimulatedDrift(
        n_periods=n_periods, dims=1, damping=0.9, trend_noise=0.05, mean_noise=0.02, start=0.2, start_trend=0.1
    )
    return drift, drift.system(0.15**2)


def test_the_error_settles_where_the_riccati_equation_says() -> None:
    _, system = published(200)
    f, q, h = system.transition[0], system.noise[0], system.observe
    before = solve_discrete_are(f.T, h[:, None], q, np.array([[0.15**2]]))
    gain = before @ h / (h @ before @ h + 0.15**2)
    after = before - np.outer(gain, h @ before)
    along = h @ f @ f
    settled = along @ after @ along + h @ (q + f @ q @ f.T) @ h
    assert system.least_mse(150, 2) == pytest.approx(settled, rel=1e-9)
    assert settled == pytest.approx(0.0498, abs=5e-5)


def test_the_filter_is_the_regression_on_all_surveys() -> None:
    _, system = published(6)
    rng = np.random.default_rng(0)
    surveys = rng.normal(size=(6, 1))
    # Covariances of all states, by unrolling the recursion.
    blocks = [np.eye(2)]
    for f in system.transition:
        blocks.append(f @ blocks[-1])
    n = 12
    joint = np.zeros((n, n))
    root = [np.linalg.cholesky(system.start_covariance), *(np.sqrt(q) for q in system.noise)]
    load = np.zeros((n, n))
    for s in range(6):
        carried = np.eye(2)
        for t in range(s, 6):
            load[2 * t : 2 * t + 2, 2 * s : 2 * s + 2] = carried @ root[s]
            if t < 5:
                carried = system.transition[t] @ carried
    joint = load @ load.T
    seen = np.kron(np.eye(6), system.observe)
    means = system.filter(surveys)
    for t in range(6):
        rows = seen[: t + 1]
        gram = rows @ joint @ rows.T + 0.15**2 * np.eye(t + 1)
        expected = joint[2 * t : 2 * t + 2] @ rows.T @ np.linalg.solve(gram, surveys[: t + 1, 0])
        np.testing.assert_allclose(means[t, 0], expected, rtol=1e-9)


@pytest.mark.parametrize("horizon", [0, 1, 2])
@pytest.mark.parametrize("name", ["damped_trend", "s_curve", "cycle", "polarise", "random_walk", "static"])
def test_simulated_errors_agree_with_the_formula(name: str, horizon: int) -> None:
    drift = SimulatedDrift.preset(name, dims=1)
    system = drift.system(0.15**2)
    rng = np.random.default_rng(11)
    mean = drift.paths(rng.standard_normal((6000, drift.n_noise))).mean
    states = system.filter(mean + 0.15 * rng.standard_normal(mean.shape))
    forecast = states[:, 5, 0] @ system.power(5, horizon)[0]
    squares = (forecast - mean[:, 5 + horizon, 0]) ** 2
    assert abs(squares.mean() - system.least_mse(5, horizon)) < 3 * squares.std() / np.sqrt(6000)


def test_a_jump_at_a_known_period_is_exact_and_one_at_an_unknown_is_not() -> None:
    known = SimulatedDrift.preset("regime_shift", dims=2, shock_period=4)
    unknown = replace(known, shock_period=None)
    assert known.exact and not unknown.exact
    noise = np.random.default_rng(0).standard_normal((4000, known.n_noise))
    steps = np.diff(known.paths(noise).mean, axis=1).std(axis=(0, 2))
    np.testing.assert_allclose(np.delete(steps, 3), 0.03, rtol=0.05)
    assert steps[3] == pytest.approx(np.hypot(0.03, 0.8), rel=0.03)
    moved = np.diff(unknown.paths(noise).mean, axis=1).std(axis=(0, 2))
    np.testing.assert_allclose(moved, np.sqrt(0.03**2 + 0.8**2 / 8), rtol=0.1)


def test_an_s_curve_is_one() -> None:
    drift = SimulatedDrift(n_periods=9, dims=1, trend="s_curve", start_trend=1.0, start=0.0)
    noise = np.zeros((1, drift.n_noise))
    noise[0, 9] = 1.0  # the trend of period 0, after nine levels
    path = drift.paths(noise).mean[0, :, 0]
    times = np.arange(9) - 4.0
    curve = 1 / (1 + np.exp(-times))
    np.testing.assert_allclose(path, curve - curve[0], atol=1e-12)


def test_groups_that_repel_each_other_part_and_leave_the_mean_alone() -> None:
    drift = SimulatedDrift.preset("polarise", dims=3)
    noise = np.random.default_rng(3).standard_normal((50, drift.n_noise))
    paths, calm = drift.paths(noise), replace(drift, cohesion=0.0).paths(noise)
    np.testing.assert_allclose(paths.mean, calm.mean, atol=1e-12)
    gap = np.abs(paths.groups[:, :, 0] - paths.groups[:, :, 1]).mean(axis=(0, 2))
    assert gap[-1] > 2.5 * gap[0]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="periods"):
        SimulatedDrift(n_periods=1)
    with pytest.raises(UsageError, match="sum to 1"):
        SimulatedDrift(shares=(0.5, 0.6))
    with pytest.raises(UsageError, match="no preset"):
        SimulatedDrift.preset("spiral")
    with pytest.raises(UsageError, match="is not one of 9 periods"):
        published()[1].power(7, 2)
