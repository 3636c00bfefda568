"""The gap to a group's own optimum: the identity itself, its limit at beta = 0, and what is refused."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.special import log_softmax

from pluralism.errors import UsageError
from pluralism.solvers.alignment_gap import alignment_gap
from pluralism.solvers.log_policies import expectation, kl_divergence
from pluralism.solvers.tilt import tilt


def problem(rng, n_prompts=5, n_candidates=6, n_groups=3):
    values = rng.normal(size=(n_prompts, n_candidates, n_groups))
    log_reference = log_softmax(rng.normal(size=(n_prompts, n_candidates)), axis=1)
    log_policy = log_softmax(2 * rng.normal(size=(n_prompts, n_candidates)), axis=1)
    return values, log_reference, log_policy


def objective(reward, log_reference, log_policy, beta, weights):
    return weights @ (expectation(log_policy, reward) - beta * kl_divergence(log_policy, log_reference))


@hypothesis.given(st.integers(0, 10_000), st.floats(0.05, 20.0))
def test_the_gap_is_the_difference_of_the_objectives(seed, beta):
    rng = np.random.default_rng(seed)
    values, log_reference, log_policy = problem(rng)
    values[0, 0] = np.nan
    absent = np.zeros(log_reference.shape, bool)
    absent[0, 0] = True
    log_reference = log_softmax(np.where(absent, -np.inf, log_reference), axis=1)
    log_policy = log_softmax(np.where(absent, -np.inf, log_policy), axis=1)
    weights = rng.dirichlet(np.ones(len(values)))
    gap = alignment_gap(values, log_reference, log_policy, beta=beta, prompt_weights=weights)
    assert gap.min() >= 0
    for k in range(values.shape[2]):
        best = tilt(values[..., k], log_reference, beta)[0]
        loss = objective(values[..., k], log_reference, best, beta, weights)
        loss -= objective(values[..., k], log_reference, log_policy, beta, weights)
        assert gap[k] == pytest.approx(loss, abs=1e-12)


def test_a_groups_own_optimum_has_no_gap_and_small_beta_meets_the_regret():
    values, log_reference, log_policy = problem(np.random.default_rng(1))
    own = tilt(values[..., 1], log_reference, 0.3)[0]
    gap = alignment_gap(values, log_reference, own, beta=0.3)
    assert gap[1] == pytest.approx(0.0, abs=1e-13)
    assert gap[[0, 2]].min() > 0.01
    regret = alignment_gap(values, log_reference, log_policy, beta=0.0)
    np.testing.assert_allclose(alignment_gap(values, log_reference, log_policy, beta=1e-7), regret, atol=1e-5)
    np.testing.assert_allclose(regret, np.mean(values.max(1) - np.einsum("xy,xyk->xk", np.exp(log_policy), values), 0))


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_a_policy_outside_the_reference_has_an_infinite_gap(beta):
    values = np.zeros((1, 2, 1))
    assert np.isinf(alignment_gap(values, np.array([[0.0, -np.inf]]), np.log([[0.5, 0.5]]), beta=beta)).all()


@pytest.mark.parametrize("beta", [-1.0, np.nan, np.inf])
def test_betas_that_mean_nothing_are_refused(beta):
    with pytest.raises(UsageError, match="beta"):
        alignment_gap(np.zeros((1, 2, 1)), np.log([[0.5, 0.5]]), np.log([[0.5, 0.5]]), beta=beta)
