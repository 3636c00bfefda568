"""Moment targets: closed forms, the nearest of all feasible policies, edges, and errors that name what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from pluralism.errors import DataError, UsageError
from pluralism.policy import moment_target, opinion_target
from pluralism.social_choice import Utilities
from pluralism.solvers.moment_target import fit_moments, violations


def pools(seed, prompts=6, candidates=7):
    rng = np.random.default_rng(seed)
    logs = np.where(rng.random((prompts, candidates)) < 0.15, -np.inf, rng.normal(size=(prompts, candidates)))
    logs[:, :4] = np.where(np.isinf(logs[:, :4]), 0.0, logs[:, :4])
    return Utilities(np.zeros((prompts, candidates, 1)), logs, prompt_weights=rng.random(prompts) + 0.5), rng


def attainable(raw, phi, rng, per_prompt):
    q = rng.random(raw.mask.shape) * raw.mask
    q /= q.sum(axis=1, keepdims=True)
    means = np.einsum("xy,xyk->xk", q, phi)
    return means if per_prompt else raw.prompt_weights @ means


@pytest.mark.parametrize("scope", ["global", "per_prompt"])
@pytest.mark.parametrize("seed", range(4))
def test_means_are_met_and_the_dual_meets_the_primal(scope, seed):
    raw, rng = pools(seed)
    phi = rng.normal(size=(*raw.mask.shape, 3)) * [1.0, 1e4, 1e-4]
    mu = attainable(raw, phi, rng, scope == "per_prompt")
    policy = moment_target(raw, phi, mu, scope=scope)
    means = np.einsum("xy,xyk->xk", policy.probs, np.where(raw.mask[..., None], phi, 0.0))
    got = means if scope == "per_prompt" else raw.prompt_weights @ means
    np.testing.assert_allclose(got / [1.0, 1e4, 1e-4], mu / [1.0, 1e4, 1e-4], atol=1e-9)
    assert abs(policy.certificate.gap) < 1e-8 and policy.certificate.holds(1e-7)
    # log t - log p is linear in the features
    rows = range(raw.n_prompts) if scope == "per_prompt" else [slice(None)]
    for row in rows:
        there = raw.mask[row]
        ratio = (policy.log_probs - np.where(raw.mask, raw.log_reference, 0.0))[row]
        if scope == "per_prompt":
            design = np.column_stack([phi[row][there] / [1.0, 1e4, 1e-4], np.ones(there.sum())])
            residual = ratio[there] - design @ np.linalg.lstsq(design, ratio[there], rcond=None)[0]
            np.testing.assert_allclose(residual, 0.0, atol=1e-7)


def test_no_feasible_policy_is_nearer():
    raw, rng = pools(0, prompts=2, candidates=4)
    phi = rng.normal(size=(2, 4, 2))
    mu = attainable(raw, phi, rng, False)
    policy = moment_target(raw, phi, mu)
    w = raw.prompt_weights

    def kl(flat):
        q = np.clip(flat.reshape(2, 4), 1e-12, None)
        return float(w @ np.sum(q * (np.log(q) - raw.log_reference), axis=1))

    constraints = [
        {"type": "eq", "fun": lambda flat: flat.reshape(2, 4).sum(axis=1) - 1},
        {"type": "eq", "fun": lambda flat: np.einsum("x,xy,xyk->k", w, flat.reshape(2, 4), phi) - mu},
    ]
    found = minimize(kl, np.full(8, 0.25), constraints=constraints, bounds=[(0, 1)] * 8, method="SLSQP", tol=1e-12)
    assert policy.kl_mean == pytest.approx(found.fun, abs=1e-6)
    np.testing.assert_allclose(policy.probs.ravel(), found.x, atol=1e-4)


def test_opinions_have_a_closed_form():
    rng = np.random.default_rng(0)
    raw = Utilities(np.zeros((5, 6, 1)), rng.normal(size=(5, 6)))
    codes = np.tile([0, 0, 1, 2, 2, -1], (5, 1))
    shares = rng.dirichlet(np.ones(4), size=5)
    policy = opinion_target(raw, codes, shares[:, :3])
    p = np.exp(raw.log_reference)
    expected = np.zeros_like(p)
    for code, column in zip((0, 1, 2, -1), shares.T, strict=True):
        inside = codes == code
        within = p * inside
        expected += within / within.sum(axis=1, keepdims=True) * column[:, None]
    np.testing.assert_allclose(policy.probs, expected, atol=1e-9)
    everywhere = opinion_target(raw, codes, shares[0, :3], scope="global")
    np.testing.assert_allclose(
        [(everywhere.probs * (codes == code)).sum(axis=1).mean() for code in range(3)], shares[0, :3], atol=1e-9
    )
    # all prompts lean the same way, each from its own reference
    assert np.ptp(everywhere.probs[:, 2]) > 0.01


def test_edges_of_what_is_attainable():
    raw = Utilities.from_matrix([[0.0, 0.0, 0.0, 0.0]], reference=[0.1, 0.2, 0.3, 0.4])
    policy = opinion_target(raw, [[0, 1, 2, 2]], [0.0, 0.25, 0.75])
    np.testing.assert_allclose(policy.probs, [[0.0, 0.25, 0.75 * 3 / 7, 0.75 * 4 / 7]], atol=1e-9)
    highest = moment_target(raw, [[[0.0], [1.0], [2.0], [2.0]]], [2.0])
    np.testing.assert_allclose(highest.probs, [[0.0, 0.0, 3 / 7, 4 / 7]], atol=1e-9)


def test_dependent_and_constant_features():
    raw = Utilities.from_matrix([[0.0, 0.0, 0.0]])
    phi = np.array([[[0.0, 0.0, 5.0], [1.0, 2.0, 5.0], [2.0, 4.0, 5.0]]])
    policy = moment_target(raw, phi, [0.5, 1.0, 5.0])
    assert policy.probs @ [0.0, 1.0, 2.0] == pytest.approx(0.5)
    with pytest.raises(DataError, match="No policy"):
        moment_target(raw, phi, [0.5, 1.1, 5.0])
    with pytest.raises(DataError, match="No policy") as caught:
        moment_target(raw, phi, [0.5, 1.0, 4.0], names=["a", "b", "constant"])
    assert "'constant' is asked to be 4, attainable is 5 to 5" in str(caught.value)


def test_infeasible_means_name_the_moment_and_its_range():
    raw = Utilities(np.zeros((2, 3, 1)), prompts=["x", "y"])
    phi = np.array([[[0.0], [0.2], [1.0]], [[0.0], [0.5], [0.6]]])
    with pytest.raises(DataError) as caught:
        moment_target(raw, phi, [0.9], names=["agrees"])
    assert "'agrees' is asked to be 0.9, attainable is 0 to 0.8" in str(caught.value)
    with pytest.raises(DataError) as caught:
        moment_target(raw, phi, [0.7], names=["agrees"], scope="per_prompt")
    assert "prompt 'y'" in str(caught.value) and "attainable is 0 to 0.6" in str(caught.value)


def test_means_that_are_possible_singly_but_not_together():
    phi = np.array([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    raw = Utilities.from_matrix([[0.0, 0.0, 0.0]])
    with pytest.raises(DataError) as caught:
        moment_target(raw, phi, [0.7, 0.6], names=["first", "second"])
    text = str(caught.value)
    assert ("attainable is 0 to 0.4" in text and "'first'" in text) or (
        "attainable is 0 to 0.3" in text and "'second'" in text
    )


def test_programmes_agree_with_the_hull_at_random():
    rng = np.random.default_rng(0)
    there = np.ones((1, 5), bool)
    for _ in range(25):
        phi, mu = rng.normal(size=(1, 5, 2)), 0.8 * rng.normal(size=2)
        missed = fit_moments(np.full((1, 5), -np.log(5)), phi, mu[None], None).miss[0] > 1e-8
        assert bool(violations(there, phi, mu, np.ones(1))) == missed


def test_refusals():
    raw = Utilities(np.zeros((2, 3, 1)))
    phi = np.zeros((2, 3, 2))
    with pytest.raises(DataError, match="Features"):
        moment_target(raw, phi[:, :2], [0.0, 0.0])
    with pytest.raises(DataError, match="Means"):
        moment_target(raw, phi, [0.0])
    with pytest.raises(DataError, match="Means"):
        moment_target(raw, phi, np.zeros((2, 2)))
    with pytest.raises(UsageError, match="scope"):
        moment_target(raw, phi, [0.0, 0.0], scope="local")
    with pytest.raises(UsageError, match="names"):
        moment_target(raw, phi, [0.0, 0.0], names=["a"])
    with pytest.raises(DataError, match="proportions"):
        opinion_target(raw, [[0, 1, 2], [0, 1, 2]], [0.5, 0.5])
    with pytest.raises(DataError, match="integers"):
        opinion_target(raw, np.zeros((2, 3)), [1.0])
