"""Sets of group weights: welfare is the least of w.u over the set, by brute force and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from pluralism.errors import UsageError
from pluralism.solvers.weight_sets import WeightSet

SHARES = np.array([0.45, 0.3, 0.2, 0.05])
BALLS = [(kind, radius) for kind in ("chi_square_ball", "kl_ball") for radius in (1e-4, 0.05, 0.5, 2.5)]


def distance(kind, w, shares=SHARES):
    if kind == "chi_square_ball":
        return np.sum((w - shares) ** 2 / shares, axis=-1)
    return np.sum(np.where(w > 0, w * np.log(np.maximum(w, 1e-300) / shares), 0.0), axis=-1)


@given(st.integers(0, 10_000))
def test_on_the_simplex_it_is_the_least(seed):
    u = np.random.default_rng(seed).normal(size=(5, 4))
    value, weights = WeightSet.simplex(4).worst(u)
    np.testing.assert_allclose(value, u.min(axis=1))
    np.testing.assert_array_equal(np.argmax(weights, axis=1), np.argmin(u, axis=1))


@given(st.integers(0, 10_000), st.floats(0.01, 0.99))
def test_the_worst_share_is_a_linear_program(seed, alpha):
    u = np.random.default_rng(seed).normal(size=(1, 4))
    value, weights = WeightSet.cvar(SHARES, alpha).worst(u)
    found = linprog(u[0], A_eq=np.ones((1, 4)), b_eq=[1.0], bounds=[(0, s / alpha) for s in SHARES])
    assert value[0] == pytest.approx(found.fun, abs=1e-10)
    assert weights[0].sum() == pytest.approx(1.0)
    assert np.all(weights[0] <= SHARES / alpha + 1e-12)


@pytest.mark.parametrize(("kind", "radius"), BALLS)
def test_no_weights_of_a_ball_are_worse(kind, radius):
    rng = np.random.default_rng([4, int(1e6 * radius)])
    u = rng.normal(size=(30, 4)) * np.exp(rng.normal(size=(30, 1)))
    u[0], u[1, 1:], u[2, :2] = 1.0, 0.5, u[2].min() - 1.0
    ball = getattr(WeightSet, kind)(SHARES, radius)
    value, weights = ball.worst(u)
    np.testing.assert_allclose(np.sum(weights * u, axis=1), value, atol=1e-9)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-9)
    assert weights.min() >= 0
    assert np.all(distance(kind, weights) <= radius * (1 + 1e-7))
    sampled = rng.dirichlet(np.ones(4), size=20_000)
    pulled = SHARES + np.linspace(0, 1, 20_000)[:, None] * (sampled - SHARES)
    inside = pulled[distance(kind, pulled) <= radius]
    assert len(inside) > 50
    assert np.all((inside @ u.T).min(axis=0) >= value - 1e-9)


@pytest.mark.parametrize(("kind", "radius"), BALLS)
def test_another_solver_finds_the_same_weights_of_a_ball(kind, radius):
    u = np.random.default_rng(5).normal(size=(6, 4))
    value, _ = getattr(WeightSet, kind)(SHARES, radius).worst(u)
    for x in range(6):
        found = minimize(
            lambda w, v=u[x]: w @ v,
            SHARES,
            jac=lambda w, v=u[x]: v,
            bounds=[(1e-12, 1.0)] * 4,
            constraints=[
                {"type": "eq", "fun": lambda w: w.sum() - 1},
                {"type": "ineq", "fun": lambda w: (radius - distance(kind, w)) / radius},
            ],
            method="SLSQP",
            options={"ftol": 1e-13, "maxiter": 500},
        )
        assert value[x] == pytest.approx(found.fun, abs=2e-5)


@given(st.integers(0, 10_000), st.sampled_from([-40.0, -3.0, -1.0, -0.2, 0.0, 0.3, 0.9]))
def test_power_means_are_the_least_over_their_set(seed, rho):
    rng = np.random.default_rng(seed)
    u = np.exp(rng.normal(size=(3, 4)))
    value, weights = WeightSet.power_mean(SHARES, rho).worst(u)
    mean = np.exp(np.log(u) @ SHARES) if rho == 0 else (u**rho @ SHARES) ** (1 / rho)
    np.testing.assert_allclose(value, mean, rtol=1e-10)
    np.testing.assert_allclose(np.sum(weights * u, axis=1), value, rtol=1e-9)
    other = np.exp(rng.normal(size=(200, 4)))
    level = rho / (rho - 1.0)
    ratio = other / SHARES
    size = np.exp(np.log(ratio) @ SHARES) if rho == 0 else (ratio**level @ SHARES) ** (1 / level)
    assert np.all((other / size[:, None]) @ u.T >= value * (1 - 1e-9))


def test_power_means_have_their_limits():
    u = np.array([[0.5, 2.0, 1.0, 3.0]])
    near_one = WeightSet.power_mean(SHARES, 1 - 1e-7).worst(u)[0][0]
    assert near_one == pytest.approx(u[0] @ SHARES, rel=1e-6)
    assert WeightSet.power_mean(SHARES, -1e4).worst(u)[0][0] == pytest.approx(0.5, rel=1e-3)
    none = np.array([[0.0, 1.0, 1.0, 1.0], [-1.0, 1.0, 1.0, 1.0]])
    assert np.isneginf(WeightSet.power_mean(SHARES, -1.0).worst(none)[0]).all()
    assert np.isneginf(WeightSet.nash(SHARES).worst(none)[0]).all()
    assert WeightSet.power_mean(SHARES, 0.5).worst(none)[0][0] == pytest.approx(0.55**2)


def test_nash_welfare_is_a_mean_of_logarithms():
    u = np.array([[0.5, 2.0, 1.0, 3.0]])
    value, weights = WeightSet.nash(SHARES).worst(u)
    assert value[0] == pytest.approx(SHARES @ np.log(u[0]))
    np.testing.assert_allclose(weights, SHARES / u)


def test_groups_of_no_share_count_for_maxmin_alone():
    shares, u = np.array([0.7, 0.3, 0.0]), np.array([[2.0, 1.0, -5.0]])
    assert WeightSet.simplex(3).worst(u)[0][0] == -5.0
    for made in (WeightSet.cvar(shares, 0.1), WeightSet.chi_square_ball(shares, 50.0), WeightSet.kl_ball(shares, 9.0)):
        value, weights = made.worst(u)
        assert value[0] == pytest.approx(1.0)
        assert weights[0, 2] == 0.0
    assert WeightSet.nash(shares).worst(u)[0][0] == pytest.approx(0.7 * np.log(2.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: WeightSet.cvar(SHARES, 0.0),
        lambda: WeightSet.cvar(SHARES, 1.0),
        lambda: WeightSet.chi_square_ball(SHARES, 0.0),
        lambda: WeightSet.kl_ball(SHARES, np.inf),
        lambda: WeightSet.power_mean(SHARES, 1.0),
        lambda: WeightSet.power_mean(SHARES, -np.inf),
        lambda: WeightSet.nash(-SHARES),
        lambda: WeightSet.nash(np.zeros(2)),
    ],
)
def test_settings_that_mean_nothing_are_refused(make):
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.fix
