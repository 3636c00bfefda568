import numpy as np
import pytest
from problems import random_problem
from scipy.special import expit

from pluralism.solvers import PairProblem, Terms, fit_mixture
from pluralism.solvers.objective import pair_gram
from pluralism.solvers.skew import SkewObjective, SkewPreconditioner, spectral_planes

TERMS = Terms(ridge=0.7, item_precision=1.5)


def without_features(problem):
    return PairProblem.build(
        problem.user,
        problem.left,
        problem.right,
        problem.outcome,
        problem.weight,
        n_users=problem.n_users,
        n_items=problem.n_items,
        design=problem.design,
    )[0]


@pytest.mark.parametrize("features", [True, False])
def test_gradient_agrees_with_finite_differences(features):
    problem = random_problem(1) if features else without_features(random_problem(1))
    objective = SkewObjective(problem, TERMS, 2, 0.3)
    rng = np.random.default_rng(3)
    x = rng.normal(size=objective.size) * 0.5
    _, gradient = objective(x)
    for _ in range(6):
        direction = rng.normal(size=objective.size)
        slope = (objective(x + 1e-5 * direction)[0] - objective(x - 1e-5 * direction)[0]) / 2e-5
        assert slope == pytest.approx(float(gradient @ direction), rel=1e-6)


def test_the_form_is_the_written_one_and_averages_to_zero():
    problem = random_problem(2, covariates=0)
    objective = SkewObjective(problem, Terms(ridge=1.0), 2, 0.3)
    x = np.random.default_rng(4).normal(size=objective.size)
    u, v = objective.planes(x)
    e = problem.features.array
    d = e - objective.share @ e
    form = u @ v.T - v @ u.T
    theta = x[: objective.n_linear]
    z = (e[problem.left] - e[problem.right]) @ theta
    z += np.einsum("ij,jk,ik->i", d[problem.left], form, d[problem.right])
    np.testing.assert_allclose(objective.sweep(x).z, z, atol=1e-10)
    np.testing.assert_allclose(d @ form @ (objective.share @ d), 0.0, atol=1e-10)


def test_rank_zero_is_the_linear_objective():
    problem = random_problem(5)
    objective = SkewObjective(problem, TERMS, 0, 1.0)
    x = np.random.default_rng(6).normal(size=objective.size)
    value, gradient = objective(x)
    expected, slope = objective.linear(x)
    assert value == pytest.approx(expected)
    np.testing.assert_allclose(gradient, slope, atol=1e-9)


@pytest.mark.parametrize("features", [True, False])
def test_spectral_planes_point_downhill_from_the_saddle(features):
    rng = np.random.default_rng(7)
    problem = random_problem(8, rows=3000, covariates=0, unit_weights=True)
    e = problem.features.array
    form = rng.normal(size=(5, 1)) @ rng.normal(size=(1, 5))
    form = form - form.T
    d = e - e.mean(axis=0)
    z = np.einsum("ij,jk,ik->i", d[problem.left], form, d[problem.right])
    outcome = (rng.random(len(z)) < expit(z)).astype(float)
    problem = PairProblem.build(
        problem.user,
        problem.left,
        problem.right,
        outcome,
        problem.weight,
        n_users=problem.n_users,
        n_items=problem.n_items,
        features=problem.features if features else None,
    )[0]
    terms = Terms(ridge=1.0) if features else Terms(item_precision=1.0)
    gram = pair_gram(problem, rng)
    linear = fit_mixture(problem, 1, terms, rng=rng)
    objective = SkewObjective(problem, terms, 1, 0.3)
    x = np.zeros(objective.size)
    x[: objective.n_linear] = linear.vector[: objective.n_linear]
    start = spectral_planes(objective, x, gram)
    assert objective(start)[0] < objective(x)[0] - 100
    if features:
        u, v = objective.planes(start)
        found = u @ v.T - v @ u.T
        assert np.corrcoef(found.ravel(), form.ravel())[0, 1] > 0.9
    precondition = SkewPreconditioner(objective, gram, start)
    gradient = objective(start)[1]
    assert float(gradient @ precondition(gradient)) > 0
