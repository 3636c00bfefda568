"""Saddle points: certificates that hold in every case, another solver's optima, grids, and the limit of no KL."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from pluralism.solvers.log_policies import kl_divergence
from pluralism.solvers.maxmin_lp import maxmin_lp, maxmin_lp_each
from pluralism.solvers.saddle import solve_saddle, solve_saddle_each
from pluralism.solvers.weight_sets import WeightSet

SHARES = np.array([0.5, 0.3, 0.15, 0.05])
SETS = {
    "simplex": lambda: WeightSet.simplex(4),
    "cvar": lambda: WeightSet.cvar(SHARES, 0.3),
    "chi-square": lambda: WeightSet.chi_square_ball(SHARES, 0.4),
    "kl": lambda: WeightSet.kl_ball(SHARES, 0.2),
    "nash": lambda: WeightSet.nash(SHARES),
    "power 0.5": lambda: WeightSet.power_mean(SHARES, 0.5),
    "power 0": lambda: WeightSet.power_mean(SHARES, 0.0),
    "power -2": lambda: WeightSet.power_mean(SHARES, -2.0),
}


def problem(seed, n_prompts=4, n_candidates=6, n_groups=4, positive=False):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_prompts, n_candidates, n_groups))
    logs = rng.normal(size=(n_prompts, n_candidates))
    if n_candidates > 2:
        logs[rng.random(logs.shape) < 0.2] = -np.inf
        logs[:, 0] = 0.0
    values = np.where(np.isfinite(logs)[..., None], values, np.nan)
    if positive:
        values = np.abs(values) + 0.05
    return values, log_softmax(logs, axis=1), rng.dirichlet(np.ones(n_prompts))


def utilities(values, log_policy, weights):
    q = np.exp(log_policy)
    return weights @ np.einsum("xy,xyk->xk", q, np.where(q[..., None] > 0, values, 0.0))


def dual_value(values, log_reference, weights, beta, prompt_weights):
    there = np.isfinite(log_reference)
    reward = np.where(there, np.where(there[..., None], values, 0.0) @ weights, -np.inf)
    if beta == 0:
        return prompt_weights @ reward.max(axis=1)
    return prompt_weights @ (beta * logsumexp(np.where(there, log_reference + reward / beta, -np.inf), axis=1))


def width(values, log_reference):
    there = np.isfinite(log_reference)[..., None]
    spread = np.where(there, values, -np.inf).max(axis=1) - np.where(there, values, np.inf).min(axis=1)
    between = np.ptp(np.where(there, values, -np.inf).max(axis=1), axis=1)
    spread = np.where(spread.max(axis=1) > 0, spread.max(axis=1), between)
    return np.where(spread > 0, spread, 1.0)


def clarabel(name, values, log_reference, beta, prompt_weights):
    cp = pytest.importorskip("cvxpy", reason="cvxpy and Clarabel, of the extra `bench`, are an oracle here")
    gains, cost, limits = 0, 0, []
    for x, mass in enumerate(prompt_weights):
        there = np.isfinite(log_reference[x])
        q = cp.Variable(int(there.sum()), nonneg=True)
        limits.append(cp.sum(q) == 1)
        gains = gains + mass * (values[x, there].T @ q)
        cost = cost + mass * (-cp.sum(cp.entr(q)) - q @ log_reference[x, there])
    if name == "simplex":
        welfare = cp.min(gains)
    elif name == "cvar":
        level = cp.Variable()
        welfare = level - SHARES @ cp.pos(level - gains) / 0.3
    elif name == "chi-square":
        held = gains - cp.Variable(4, nonneg=True)
        mean = SHARES @ held
        welfare = mean - np.sqrt(0.4) * cp.norm(cp.multiply(np.sqrt(SHARES), held - mean * np.ones(4)))
    elif name == "kl":
        price, level, part = cp.Variable(nonneg=True), cp.Variable(), cp.Variable(4)
        limits += [cp.constraints.ExpCone(level - gains, price * np.ones(4), part), SHARES @ part <= price]
        welfare = level - 0.2 * price
    elif name == "nash":
        welfare = SHARES @ cp.log(gains)
    elif name == "power 0":
        welfare = cp.geo_mean(gains, [10, 6, 3, 1])
    else:
        rho = float(name.split()[1])
        welfare = cp.pnorm(cp.multiply(SHARES ** (1 / rho), gains), rho)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cp.Problem(cp.Maximize(welfare - beta * cost), limits).solve(solver=cp.CLARABEL)


@pytest.mark.parametrize("beta", [1.0, 0.05])
@pytest.mark.parametrize("name", SETS)
def test_clarabel_finds_the_same_optimum(name, beta):
    positive = name.startswith(("nash", "power"))
    for seed in range(2):
        values, logs, mass = problem([seed, int(100 * beta)], positive=positive)
        found = solve_saddle(values, logs, SETS[name](), beta=beta, prompt_weights=mass)
        assert found.value[0] == pytest.approx(clarabel(name, values, logs, beta, mass), abs=2e-7)
        assert found.gap[0] <= 1e-8 * width(values, logs).max()


@pytest.mark.parametrize("beta", [0.0, 1e-6, 0.02, 0.5, 20.0])
@pytest.mark.parametrize("name", SETS)
def test_what_the_certificate_says_is_so(name, beta):
    positive = name.startswith(("nash", "power"))
    values, logs, mass = problem([7, len(name)], positive=positive)
    made = SETS[name]()
    found = solve_saddle(values, logs, made, beta=beta, prompt_weights=mass)
    u = utilities(values, found.log_policy, mass)
    kl = mass @ kl_divergence(found.log_policy, logs)
    assert found.value[0] == pytest.approx(made.worst(u[None])[0][0] - beta * kl, abs=1e-9)
    w = found.weights[0]
    bound = dual_value(values, logs, w, beta, mass)
    if name == "nash":
        bound -= SHARES @ np.log(w / SHARES) + 1
    assert found.value[0] + found.gap[0] == pytest.approx(bound, abs=1e-9 * (1 + beta))
    assert 0 <= found.gap[0] <= 1e-8
    if made.total:
        assert w.sum() == pytest.approx(1.0)
        assert found.weights.min() >= 0
    for u_other in (
        utilities(values, logs, mass),
        utilities(values, log_softmax(np.where(np.isfinite(logs), 3 * logs, -np.inf), axis=1), mass),
    ):
        assert w @ u_other >= made.worst(u_other[None])[0][0] - 1e-9 or name == "nash"


def hard_cases(rng, n_prompts, n_candidates, n_groups, trouble):
    values = rng.normal(size=(n_prompts, n_candidates, n_groups))
    concentration = 0.05 if "unlikely" in trouble else 1.0
    logs = np.log(rng.dirichlet(np.full(n_candidates, concentration), size=n_prompts) + 1e-300)
    if "same groups" in trouble and n_groups > 1:
        values[..., 1] = values[..., 0]
    if "opposed" in trouble and n_groups > 1:
        values[..., -1] = -values[..., 0]
    if "equal" in trouble:
        values[:] = values[:, :1]
    if "ties" in trouble:
        values = np.round(values)
    if "scales" in trouble:
        values = values * 10.0 ** rng.integers(-3, 4, size=n_groups)
    if "large" in trouble:
        values = 1e6 * values + rng.normal(size=n_groups) * 1e5
    if "absent" in trouble and n_candidates > 1:
        logs[rng.random(logs.shape) < 0.5] = -np.inf
        logs[:, -1] = 0.0
    return values, logs - logsumexp(logs, axis=1, keepdims=True)


TROUBLE = ["unlikely", "same groups", "opposed", "equal", "ties", "scales", "large", "absent"]


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.integers(1, 12),
    st.integers(1, 9),
    st.sets(st.sampled_from(TROUBLE)),
    st.sampled_from([0.0, 1e-9, 1e-6, 1e-3, 0.03, 0.5, 10.0, 1e4]),
)
def test_every_gap_of_maxmin_closes(seed, n_candidates, n_groups, trouble, relative_beta):
    values, logs = hard_cases(np.random.default_rng(seed), 30, n_candidates, n_groups, trouble)
    size = width(values, logs)
    beta = float(relative_beta * np.median(size))
    made = WeightSet.simplex(n_groups)
    each = solve_saddle_each(values, logs, made, beta=beta)
    assert np.all(each.gap <= 1e-8 * size)
    assert np.all(np.abs(logsumexp(each.log_policy, axis=1)) < 1e-9)
    assert np.all(np.isneginf(each.log_policy[np.isneginf(logs)]))
    one = np.ones(1)
    slack = [utilities(values[[x]], each.log_policy[[x]], one) for x in range(5)]
    slack = [np.max(each.weights[x] * (u - u.min())) / size[x] for x, u in enumerate(slack)]
    assert max(slack) <= 2e-8
    joint = solve_saddle(values, logs, made, beta=beta)
    assert joint.gap[0] <= 1e-8 * size.max()


def test_a_grid_of_weights_has_no_lower_dual():
    values, logs, mass = problem(3, n_groups=2)
    for beta in (0.01, 0.3):
        found = solve_saddle(values, logs, WeightSet.simplex(2), beta=beta, prompt_weights=mass)
        grid = [dual_value(values, logs, np.array([a, 1 - a]), beta, mass) for a in np.linspace(0, 1, 401)]
        assert found.value[0] <= min(grid) + 1e-12
        assert found.value[0] + found.gap[0] >= min(grid) - 1e-3
        assert min(grid) - found.value[0] < 1e-4


def test_little_beta_meets_the_linear_program():
    values, logs, mass = problem(11, n_prompts=6, n_candidates=8)
    exact, made = maxmin_lp(values, logs, mass), WeightSet.simplex(4)
    assert exact.gap[0] < 1e-9
    for beta, tol in ((0.0, 1e-8), (1e-9, 1e-7), (1e-5, 1e-3)):
        near = solve_saddle(values, logs, made, beta=beta, prompt_weights=mass)
        assert near.value[0] == pytest.approx(exact.value[0], abs=tol)
        np.testing.assert_allclose(utilities(values, near.log_policy, mass).min(), exact.value[0], atol=tol)
    np.testing.assert_allclose(
        solve_saddle(values, logs, made, beta=0.0, prompt_weights=mass).weights, exact.weights, atol=1e-5
    )
    apart, middle = maxmin_lp_each(values, logs), solve_saddle_each(values, logs, made, beta=0.0)
    np.testing.assert_allclose(middle.value, apart.value, atol=1e-8)
    assert apart.gap.max() < 1e-9
    assert np.all(np.isfinite(apart.log_policy).sum(axis=1) <= 5)


def test_linear_programs_are_solved_in_blocks():
    values, logs, _ = problem(12, n_prompts=230)
    blocks = maxmin_lp_each(values, logs)
    assert blocks.weights.shape == (230, 4)
    np.testing.assert_allclose(
        blocks.value[[99, 100, 229]], [maxmin_lp(values[[x]], logs[[x]]).value[0] for x in (99, 100, 229)], atol=1e-9
    )


@pytest.mark.parametrize("name", SETS)
def test_a_prompt_alone_is_a_joint_problem_of_one(name):
    values, logs, _ = problem(5, n_prompts=600, positive=True)
    made = SETS[name]()
    each = solve_saddle_each(values, logs, made, beta=0.1)
    for x in (0, 300, 599):
        alone = solve_saddle(values[[x]], logs[[x]], made, beta=0.1)
        assert each.value[x] == pytest.approx(alone.value[0], abs=1e-9)
        np.testing.assert_allclose(each.log_policy[x], alone.log_policy[0], atol=1e-4)
        np.testing.assert_allclose(each.weights[x], alone.weights[0], atol=1e-3)


def test_many_prompts_in_chunks_agree_with_few_and_with_weights():
    values, logs, _ = problem(6, n_prompts=300)
    made = WeightSet.simplex(4)
    twice = solve_saddle(np.concatenate([values, values]), np.concatenate([logs, logs]), made, beta=0.2)
    once = solve_saddle(values, logs, made, beta=0.2)
    mass = np.full(600, 1 / 300)
    mass[300:] = 0.0
    half = solve_saddle(
        np.concatenate([values, values]), np.concatenate([logs, logs]), made, beta=0.2, prompt_weights=mass
    )
    for other in (twice, half):
        np.testing.assert_allclose(other.weights, once.weights, atol=1e-5)
        np.testing.assert_allclose(np.exp(other.log_policy[:300]), np.exp(once.log_policy), atol=1e-5)
        np.testing.assert_allclose(np.exp(other.log_policy[300:]), np.exp(once.log_policy), atol=1e-5)


@pytest.mark.parametrize("name", ["simplex", "cvar", "chi-square", "kl", "power -2"])
def test_units_and_common_shifts_change_nothing(name):
    values, logs, mass = problem(8, positive=True)
    made = SETS[name]()
    plain = solve_saddle(values, logs, made, beta=0.1, prompt_weights=mass)
    scaled = solve_saddle(1e4 * values, logs, made, beta=1e3, prompt_weights=mass)
    assert scaled.value[0] == pytest.approx(1e4 * plain.value[0], rel=1e-7)
    np.testing.assert_allclose(np.exp(scaled.log_policy), np.exp(plain.log_policy), atol=1e-5)
    if made.total:
        moved = solve_saddle(values + 50.0, logs, made, beta=0.1, prompt_weights=mass)
        assert moved.value[0] == pytest.approx(plain.value[0] + 50.0, abs=1e-7)


def test_nash_has_no_units_at_all():
    values, logs, mass = problem(9, positive=True)
    units = np.array([1e-4, 1.0, 30.0, 1e5])
    plain = solve_saddle(values, logs, WeightSet.nash(SHARES), beta=0.1, prompt_weights=mass)
    scaled = solve_saddle(values * units, logs, WeightSet.nash(SHARES), beta=0.1, prompt_weights=mass)
    np.testing.assert_allclose(np.exp(scaled.log_policy), np.exp(plain.log_policy), atol=1e-9)
    assert scaled.value[0] == pytest.approx(plain.value[0] + SHARES @ np.log(units), abs=1e-9)
    np.testing.assert_allclose(scaled.weights * units, plain.weights, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_gaps_close_over_wide_ranges_of_all_settings(name):
    rng = np.random.default_rng(len(name))
    open_ = total = 0
    largest = 0.0
    for _ in range(60):
        n_candidates = int(rng.integers(1, 14))
        values, logs = hard_cases(rng, 100, n_candidates, 4, set(rng.choice(TROUBLE[:5], 2)))
        if name.startswith(("nash", "power")):
            values = values - values.min(axis=1, keepdims=True) + 0.05
        size = np.ones(100) if name == "nash" else width(values, logs)
        beta = float(10.0 ** rng.uniform(-6, 2))
        gap = solve_saddle_each(values, logs, SETS[name](), beta=beta).gap / size
        open_, total = open_ + int(np.sum(gap > 1e-8)), total + 100
        largest = max(largest, float(gap.max()))
    assert open_ <= 2e-3 * total and largest <= 1e-6
