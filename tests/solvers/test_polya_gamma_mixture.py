import numpy as np
import pytest
from problems import random_problem
from scipy.special import expit, logsumexp
from scipy.stats import beta
from sklearn.metrics import adjusted_rand_score

from pluralism.data.simulate import simulate_mixture
from pluralism.models.preparation import prepare
from pluralism.solvers import FeatureMatrix, PairProblem, Terms
from pluralism.solvers.gaussian_heads import DiagonalHeads, FullHeads, precision_by_evidence
from pluralism.solvers.objective import pair_gram
from pluralism.solvers.polya_gamma import BoundObjective
from pluralism.solvers.polya_gamma_mixture import Learning, fit_bayesian_mixture
from pluralism.solvers.sticks import Sticks

TERMS = Terms(ridge=0.7, item_precision=1.5)


def vectors(problem, terms):
    """Rows of (feature difference, item indicators, covariates)."""
    x = problem.features.array[problem.left] - problem.features.array[problem.right]
    parts = [x]
    if terms.item_precision is not None:
        items = np.eye(problem.n_items)
        parts.append(items[problem.left] - items[problem.right])
    return np.hstack([*parts, problem.design])


def planted(seed, n_users=150, groups=3):
    sim = simulate_mixture(
        n_users=n_users, n_groups=groups, n_items=200, dim=8, pairs_per_user=25, scale=3.0, rng=100 + seed
    )
    return prepare(sim.comparisons, (), position_bias=False).problem, sim.truth


def test_gradient_agrees_with_finite_differences():
    problem = random_problem(1)
    centre = np.random.default_rng(2).normal(size=5 + 30 + 2) * 0.3
    objective = BoundObjective(problem, 3, TERMS, centre=centre)
    rng = np.random.default_rng(3)
    objective.place(rng.exponential(size=(len(problem.left), 3)), np.log([0.5, 0.3, 0.2]))
    x = rng.normal(size=objective.size) * 0.5
    _, gradient = objective(x)
    for _ in range(5):
        direction = rng.normal(size=objective.size)
        slope = (objective(x + 1e-5 * direction)[0] - objective(x - 1e-5 * direction)[0]) / 2e-5
        assert slope == pytest.approx(float(gradient @ direction), rel=1e-6)


def test_the_bound_of_a_row_is_below_its_expectation_and_tight_without_variance():
    problem = random_problem(4, covariates=0, unit_weights=True)
    objective = BoundObjective(problem, 1, Terms(ridge=1.0))
    x = np.random.default_rng(5).normal(size=objective.size)
    z = vectors(problem, Terms()) @ x

    def log_likelihood(z):
        return problem.outcome * np.log(expit(z)) + (1 - problem.outcome) * np.log(expit(-z))

    exact = np.bincount(problem.user, log_likelihood(z), problem.n_users)
    objective.place(np.zeros((len(z), 1)), np.zeros(1))
    np.testing.assert_allclose(objective.bound(x).evidence, exact, atol=1e-10)
    objective.place(np.full((len(z), 1), 2.0), np.zeros(1))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    spread = log_likelihood(z[None] + np.sqrt(2.0) * nodes[:, None])
    expected = np.bincount(problem.user, weights @ spread / weights.sum(), problem.n_users)
    found = objective.bound(x).evidence
    used = np.diff(problem.user_start) > 0
    assert np.all(found[used] < expected[used])
    np.testing.assert_allclose(found, expected, atol=0.1 * np.diff(problem.user_start).max())


def test_both_families_are_the_closed_form():
    problem = random_problem(6)
    objective = BoundObjective(problem, 2, TERMS)
    v = vectors(problem, TERMS)
    tilt = np.random.default_rng(7).random((len(v), 2)) * problem.weight[:, None]
    axes = DiagonalHeads(objective, pair_gram(problem, np.random.default_rng(0)))
    full = FullHeads(objective, axes.blocks)
    full.update(tilt, np.ones(2))
    axes.update(axes.curvature(tilt))
    turned = v.copy()
    turned[:, :5] = v[:, :5] @ axes.basis
    for k in range(2):
        precision = np.diag(objective.precision[:, k])
        expected = np.linalg.inv(precision + v.T @ (tilt[:, k, None] * v))
        np.testing.assert_allclose(full.covariance[k], expected, atol=1e-10)
        np.testing.assert_allclose(full.spread()[:, k], np.sum(v @ expected * v, axis=1), atol=1e-10)
        by_axis = 1.0 / (np.diag(precision) + tilt[:, k] @ turned**2)
        np.testing.assert_allclose(axes.variance[:, k], by_axis, atol=1e-12)
        np.testing.assert_allclose(axes.spread()[:, k], turned**2 @ by_axis, atol=1e-10)
    gradient = np.random.default_rng(8).normal(size=objective.size)
    step = full(gradient).reshape(-1, 2)
    np.testing.assert_allclose(step[:, 1], full.covariance[1] @ gradient.reshape(-1, 2)[:, 1], atol=1e-12)
    expected = 0.0
    for covariance in full.covariance:
        precision = np.diag(objective.precision[:, 0])
        sign, log_det = np.linalg.slogdet(precision @ covariance)
        expected += 0.5 * (np.trace(precision @ covariance) - len(covariance) - sign * log_det)
    assert full.divergence() == pytest.approx(expected)


def test_a_fit_is_a_fixed_point_of_coordinate_ascent():
    problem, _ = planted(0, n_users=60, groups=2)
    terms = Terms(ridge=2.0)
    fit = fit_bayesian_mixture(problem, 3, terms, rng=np.random.default_rng(0), tol=1e-11, curvature="bound")
    v = problem.features.array[problem.left] - problem.features.array[problem.right]
    log_p = np.zeros((problem.n_users, 3))
    for k in range(3):
        z, spread = v @ fit.mean[:, k], np.sum(v @ fit.covariance[k] * v, axis=1)
        c = np.sqrt(z**2 + spread)
        omega = np.tanh(c / 2) / (2 * c)
        row = fit.responsibility[problem.user, k]
        precision = 2.0 * np.eye(8) + v.T @ ((row * omega)[:, None] * v)
        if fit.counts[k] > 1:
            np.testing.assert_allclose(np.linalg.inv(fit.covariance[k]), precision, rtol=1e-4, atol=1e-4)
        mean = np.linalg.solve(precision, v.T @ (row * (problem.outcome - 0.5)))
        np.testing.assert_allclose(fit.mean[:, k], mean, atol=1e-4)
        np.add.at(log_p[:, k], problem.user, (problem.outcome - 0.5) * z - np.log(2 * np.cosh(c / 2)))
    joint = log_p + fit.sticks.expected_log_weights()
    np.testing.assert_allclose(fit.responsibility, np.exp(joint - logsumexp(joint, axis=1)[:, None]), atol=1e-6)


def test_the_bound_is_close_below_the_log_evidence():
    rng = np.random.default_rng(9)
    features = rng.normal(size=(12, 1))
    left, right = rng.integers(12, size=30), rng.integers(12, size=30)
    outcome = (rng.random(30) < expit(1.5 * (features[left] - features[right])[:, 0])).astype(float)
    problem, _ = PairProblem.build(
        np.zeros(30, dtype=int),
        left,
        right,
        outcome,
        np.ones(30),
        n_users=1,
        n_items=12,
        features=FeatureMatrix(features),
    )
    fit, bound = (
        fit_bayesian_mixture(problem, 1, Terms(ridge=0.5), rng=rng, tol=1e-10, curvature=curvature)
        for curvature in ("likelihood", "bound")
    )
    grid = np.linspace(-15, 15, 20_001)
    z = (features[left] - features[right]) * grid
    log_joint = np.sum(np.where(outcome[:, None] == 1, -np.logaddexp(0, -z), -np.logaddexp(0, z)), axis=0)
    log_joint += -0.25 * grid**2 + 0.5 * np.log(0.5 / (2 * np.pi))
    evidence = float(logsumexp(log_joint) + np.log(grid[1] - grid[0]))
    assert evidence - 0.6 < -fit.objective < evidence
    weight = np.exp(log_joint - logsumexp(log_joint))
    assert fit.mean[0, 0] == pytest.approx(float(weight @ grid), abs=0.1)
    variance = float(weight @ grid**2) - float(weight @ grid) ** 2
    assert 0.8 * variance < fit.covariance[0, 0, 0] < 1.1 * variance
    assert bound.covariance[0, 0, 0] < 0.8 * variance


@pytest.mark.parametrize("seed", range(5))
def test_planted_groups_are_recovered_and_the_bound_never_falls(seed):
    problem, truth = planted(seed)
    fit = fit_bayesian_mixture(
        problem, 8, Terms(ridge=1.0), rng=np.random.default_rng(seed), learning=Learning(ridge=(1e-3, 1e4))
    )
    assert fit.converged
    assert np.all(np.diff(fit.path) <= 1e-7)
    assert adjusted_rand_score(truth.groups, fit.responsibility.argmax(axis=1)) > 0.95
    assert int(np.sum(fit.counts > 0.5)) == 3
    assert np.all(np.diff(fit.counts) <= 0)
    # the groups that nobody is in are as the prior has them
    np.testing.assert_allclose(fit.covariance[-1], np.eye(8) / fit.terms.ridge, rtol=1e-6)
    assert np.all(np.abs(fit.mean[:, -1]) < 1e-6)


def test_diagonal_covariances_are_a_lower_bound_that_ends_at_the_same_groups():
    problem, truth = planted(7)
    fits = [
        fit_bayesian_mixture(problem, 5, Terms(ridge=1.0), rng=np.random.default_rng(0), full=full)
        for full in (False, True)
    ]
    assert fits[0].covariance is None and fits[0].variance is not None
    assert fits[0].objective > fits[1].objective
    for fit in fits:
        assert adjusted_rand_score(truth.groups, fit.responsibility.argmax(axis=1)) > 0.95
    np.testing.assert_allclose(fits[0].mean, fits[1].mean, atol=0.3)


def test_the_learnt_precision_is_the_maximum():
    rng = np.random.default_rng(11)
    curvature, mean = rng.exponential(size=(20, 3)) * 10, rng.normal(size=(20, 3))

    def bound(p):
        return 0.5 * np.sum(np.log(p / (p + curvature))) - 0.5 * p * np.sum(mean**2)

    found = precision_by_evidence(curvature, mean, (1e-4, 1e4))
    assert all(bound(found) >= bound(found * factor) for factor in (0.9, 0.99, 1.01, 1.1))
    assert precision_by_evidence(curvature, np.zeros((20, 3)), (1e-4, 1e4)) == 1e4


def test_sticks_have_the_moments_of_their_beta_factors():
    sticks = Sticks.of_counts(np.array([6.0, 3.0, 1.0]), 1.5)
    np.testing.assert_allclose([sticks.first, sticks.second], [[7, 4], [5.5, 2.5]])
    draws = sticks.draws(200_000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.sum(axis=1), 1.0)
    np.testing.assert_allclose(sticks.expected_weights(), draws.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(sticks.expected_log_weights(), np.log(draws).mean(axis=0), atol=2e-2)
    v = [np.random.default_rng(k).beta(a, b, 400_000) for k, (a, b) in enumerate([(7, 5.5), (4, 2.5)])]
    sampled = sum(
        np.mean(beta.logpdf(x, a, b) - beta.logpdf(x, 1, 1.5))
        for x, (a, b) in zip(v, [(7, 5.5), (4, 2.5)], strict=True)
    )
    assert sticks.divergence() == pytest.approx(sampled, abs=5e-3)
    assert Sticks.of_counts(np.array([4.0]), 1.0).expected_weights() == [1.0]


def test_items_without_features_have_effects_of_their_own():
    rng = np.random.default_rng(12)
    n_users, n_items = 80, 15
    group = np.arange(n_users) % 2
    strength = np.stack([np.linspace(-2, 2, n_items), np.linspace(2, -2, n_items)])
    user = np.repeat(np.arange(n_users), 20)
    left = rng.integers(n_items, size=len(user))
    right = (left + 1 + rng.integers(n_items - 1, size=len(user))) % n_items
    z = strength[group[user], left] - strength[group[user], right]
    outcome = (rng.random(len(user)) < expit(z)).astype(float)
    problem, _ = PairProblem.build(user, left, right, outcome, np.ones(len(user)), n_users=n_users, n_items=n_items)
    fit = fit_bayesian_mixture(
        problem, 6, Terms(item_precision=1.0), rng=rng, learning=Learning(item_precision=(1e-2, 1e4))
    )
    assert adjusted_rand_score(group, fit.responsibility.argmax(axis=1)) == 1.0
    first = group[fit.responsibility[:, 0].argmax()]
    assert np.corrcoef(fit.mean[:, 0], strength[first])[0, 1] > 0.95
