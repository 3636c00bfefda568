"""MaxMin policies: certified optima, limits, brute force, and what scales and shifts do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from pluralism.errors import ComparabilityWarning, UsageError
from pluralism.policy import kl_optimal, maxmin, minimax_regret, sample_minimum
from pluralism.social_choice import Utilities
from pluralism.testing.collective_strategies import utilities


def objective(made, policy, beta, values=None):
    worth = made.values if values is None else values
    u = made.prompt_weights @ np.einsum("xy,xyk->xk", policy.probs, worth)
    return u.min() - beta * policy.kl_mean


@settings(max_examples=60)
@given(utilities(), st.sampled_from([0.0, 1e-3, 0.05, 0.5, 5.0]), st.sampled_from(["global", "per_prompt"]))
def test_the_gap_and_the_slackness_vanish(raw, beta, scope):
    made = raw.to_unit("gain")
    policy = maxmin(made, beta=beta, scope=scope)
    width = max(float(np.ptp(made.values)), 1e-9)
    assert policy.certificate.gap <= 1e-8 * width
    assert policy.certificate.slackness.max() <= 1e-6 * width
    np.testing.assert_allclose(policy.certificate.weights.sum(axis=1), 1.0, atol=1e-9)
    if scope == "global":
        assert policy.certificate.primal[0] == pytest.approx(objective(made, policy, beta), abs=1e-7 * width)


@settings(max_examples=30)
@given(utilities(max_prompts=2), st.sampled_from([0.1, 1.0]))
def test_the_dual_found_by_another_solver_is_the_same(raw, beta):
    made = raw.to_unit("gain")

    def dual(z):
        w = np.exp(z - z.max())
        w /= w.sum()
        return made.prompt_weights @ (beta * np.logaddexp.reduce(made.log_reference + made.values @ w / beta, axis=1))

    starts = [np.zeros(made.n_groups), *np.random.default_rng(0).normal(size=(3, made.n_groups)) * 2]
    best = min(minimize(dual, z, method="L-BFGS-B", options={"ftol": 1e-14}).fun for z in starts)
    assert maxmin(made, beta=beta).certificate.dual[0] == pytest.approx(best, abs=1e-4)


@settings(max_examples=30)
@given(utilities())
def test_without_a_price_of_kl_it_is_a_linear_program(raw):
    made = raw.to_unit("gain")
    row, place = np.nonzero(made.mask)
    table = (made.values[row, place] * made.prompt_weights[row, None]).T
    sums = (row == np.arange(made.n_prompts)[:, None]).astype(float)
    found = linprog(
        np.append(np.zeros(len(row)), -1.0),
        A_ub=np.hstack([-table, np.ones((made.n_groups, 1))]),
        b_ub=np.zeros(made.n_groups),
        A_eq=np.hstack([sums, np.zeros((made.n_prompts, 1))]),
        b_eq=np.ones(made.n_prompts),
        bounds=[(0, None)] * len(row) + [(None, None)],
    )
    for beta in (0.0, 1e-7):
        assert maxmin(made, beta=beta).group_utilities.min() == pytest.approx(found.x[-1], abs=1e-5)


@given(utilities(max_prompts=2), st.integers(0, 2**32 - 1))
def test_no_sampled_policy_does_more_for_the_worst_off(raw, seed):
    made, beta = raw.to_unit("gain"), 0.3
    best = maxmin(made, beta=beta)
    logs = np.where(made.mask, np.random.default_rng(seed).normal(size=(100, *made.mask.shape)) * 3, -np.inf)
    logs -= np.logaddexp.reduce(logs, axis=2, keepdims=True)
    probs = np.exp(logs)
    u = np.einsum("x,sxy,xyk->sk", made.prompt_weights, probs, made.values)
    with np.errstate(invalid="ignore"):
        kl = np.nansum(probs * (logs - made.log_reference), axis=2) @ made.prompt_weights
    assert (u.min(axis=1) - beta * kl).max() <= best.certificate.dual[0] + 1e-9


def test_opposed_groups_share_and_the_mean_decides():
    made = Utilities.from_matrix([[1.0, -1.0], [-1.0, 1.0]], shares=[0.7, 0.3], unit="gain")
    np.testing.assert_allclose(maxmin(made, beta=0.0).probs, [[0.5, 0.5]], atol=1e-8)
    np.testing.assert_allclose(kl_optimal(made, beta=0.0).probs, [[1.0, 0.0]])


def test_every_prompt_by_itself_is_stricter():
    values = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
    made = Utilities(values, unit="gain")
    together, apart = maxmin(made, beta=0.0), maxmin(made, beta=0.0, scope="per_prompt")
    assert together.group_utilities.min() == pytest.approx(0.5, abs=1e-7)
    np.testing.assert_allclose(apart.certificate.primal, 0.0, atol=1e-7)
    rng = np.random.default_rng(0)
    many = Utilities(rng.normal(size=(20, 5, 3))).to_unit("gain")
    separate = maxmin(many, beta=0.2, scope="per_prompt")
    for x in range(20):
        alone = maxmin(many.take([x]), beta=0.2)
        np.testing.assert_allclose(separate.probs[x], alone.probs[0], atol=1e-5)


def test_prompts_count_by_their_weights():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 4, 2))
    repeated = Utilities(values[[0, 0, 0, 1, 2]]).to_unit("gain")
    weighted = Utilities(values, prompt_weights=[3, 1, 1]).to_unit("gain")
    np.testing.assert_allclose(maxmin(weighted, beta=0.2).probs, maxmin(repeated, beta=0.2).probs[[0, 3, 4]], atol=1e-6)


def test_scaling_one_group_changes_maxmin():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 4, 2))
    scaled = values * np.array([1.0, 10.0])
    plain = maxmin(Utilities(values).to_unit("gain"), beta=0.2)
    other = maxmin(Utilities(scaled).to_unit("gain"), beta=0.2)
    assert np.abs(plain.probs - other.probs).max() > 0.05
    same = maxmin(Utilities(scaled).to_unit("normalised"), beta=0.2)
    np.testing.assert_allclose(same.probs, maxmin(Utilities(values).to_unit("normalised"), beta=0.2).probs, atol=1e-6)


def test_the_shortcut_reaches_less():
    rng = np.random.default_rng(0)
    made = Utilities(rng.normal(size=(50, 6, 3))).to_unit("gain")
    assert objective(made, sample_minimum(made, beta=0.3), 0.3) < objective(made, maxmin(made, beta=0.3), 0.3) - 0.05


def test_regret_is_measured_against_each_groups_best():
    made = Utilities.from_matrix([[10.0, 0.0, 6.0], [0.0, 1.0, 0.5]], unit="gain")
    policy = minimax_regret(made, beta=0.0)
    regret = made.values[0].max(axis=0) - policy.group_utilities
    rng = np.random.default_rng(0)
    sampled = made.values[0].max(axis=0) - rng.dirichlet(np.ones(3), 5000) @ made.values[0]
    assert regret.max() <= sampled.max(axis=1).min() + 1e-6
    assert policy.certificate.primal[0] == pytest.approx(-regret.max(), abs=1e-7)
    moved = Utilities.from_matrix([[110.0, 100.0, 106.0], [0.0, 1.0, 0.5]], unit="gain")
    np.testing.assert_allclose(minimax_regret(moved, beta=0.0).probs, policy.probs, atol=1e-6)


def test_settings_that_cannot_work_are_refused():
    raw = Utilities.from_matrix([[1.0, 0.0], [0.0, 1.0]])
    with pytest.warns(ComparabilityWarning, match="maxmin compares groups by raw"):
        maxmin(raw, beta=1.0)
    made = raw.to_unit("gain")
    for bad in ({"beta": -1.0}, {"beta": np.nan}, {"beta": 1.0, "scope": "all"}):
        with pytest.raises(UsageError):
            maxmin(made, **bad)
