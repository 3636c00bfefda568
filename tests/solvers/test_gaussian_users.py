import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from problems import random_problem
from scipy.special import log_expit, logsumexp

from pluralism.solvers import FactorTerms, GaussianUsers, MixtureObjective, Terms, fit_gaussian_users, place_users

TERMS = {
    "features": FactorTerms(rank=2, ridge=1.0, loading_ridge=2.0),
    "items and a covariate": FactorTerms(rank=2, item_precision=2.0, loading_precision=3.0, user_covariates=(1,)),
    "groups": FactorTerms(n_groups=3, rank=1, item_precision=2.0, user_covariates=(0, 1)),
    "groups alone": FactorTerms(n_groups=2, item_precision=1.0),
}


def random_vector(objective, rng, scale=0.5):
    x = scale * rng.normal(size=objective.size)
    x[: objective.block_size] *= objective.free.ravel()
    return x


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("seed", range(3))
def test_gradient_agrees_with_finite_differences(name, seed, monkeypatch):
    # places of users are found to a tolerance that optimisers never see, and differences of 1e-5 would
    monkeypatch.setattr("pluralism.solvers.gaussian_users.INNER_TOL", 1e-9)
    objective = GaussianUsers(random_problem(seed, rows=150), TERMS[name])
    rng = np.random.default_rng(seed)
    x = random_vector(objective, rng)
    gradient = objective(x)[1]
    for _ in range(5):
        direction = random_vector(objective, rng)
        step = 1e-5
        slope = (objective(x + step * direction)[0] - objective(x - step * direction)[0]) / (2 * step)
        assert slope == pytest.approx(float(gradient @ direction), rel=1e-5, abs=1e-4)


def exact_marginal(problem, table, effects, log_weights):
    """Log of the integral over one factor, by Gauss-Hermite quadrature."""
    nodes, mass = hermegauss(80)
    k = len(log_weights)
    difference = table[problem.left] - table[problem.right] + problem.design @ effects
    z = difference[:, :k, None] + difference[:, k, None, None] * nodes
    y = problem.outcome[:, None, None]
    row = problem.weight[:, None, None] * ((y - 0.5) * z + 0.5 * (log_expit(z) + log_expit(-z)))
    user = np.zeros((problem.n_users, k, len(nodes)))
    np.add.at(user, problem.user, row)
    return logsumexp(logsumexp(user + np.log(mass / mass.sum()), axis=2) + log_weights, axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_lies_just_below_the_marginal_likelihood(seed):
    problem = random_problem(seed, rows=200)
    terms = FactorTerms(n_groups=2, rank=1, loading_ridge=1.0)
    objective = GaussianUsers(problem, terms)
    x = random_vector(objective, np.random.default_rng(seed))
    p = objective.unpack(x)
    exact = exact_marginal(problem, objective.table(p), p.covariate_effects, p.log_weights)
    found = objective.place(x)
    bound = logsumexp(found.bound + p.log_weights, axis=1)
    assert np.all(bound <= exact + 1e-9)
    assert np.mean(exact - bound) < 0.25
    assert objective.log_bound(x, found) == pytest.approx(bound.sum())


def test_without_factors_the_bound_is_the_likelihood_of_the_mixture():
    problem = random_problem(4)
    ours = GaussianUsers(problem, FactorTerms(n_groups=2, ridge=0.7, item_precision=1.3))
    mixture = MixtureObjective(problem, 2, Terms(ridge=0.7, item_precision=1.3))
    x = np.random.default_rng(0).normal(size=ours.size)
    for found, expected in zip(ours(x), mixture(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_posteriors_of_factors_agree_with_quadrature():
    problem = random_problem(1, rows=400, n_users=20)
    rng = np.random.default_rng(1)
    table = np.stack([rng.normal(size=problem.n_items), rng.normal(size=problem.n_items)], axis=1)
    effects = np.zeros((problem.design.shape[1], 2))
    found = place_users(problem, table, effects, np.zeros(1))
    grid = np.linspace(-6, 6, 2001)
    difference = table[problem.left] - table[problem.right]
    z = difference[:, 0, None] + difference[:, 1, None] * grid
    y = problem.outcome[:, None]
    rows = problem.weight[:, None] * ((y - 0.5) * z + 0.5 * (log_expit(z) + log_expit(-z)))
    log_p = -0.5 * grid**2 + np.zeros((problem.n_users, 1))
    np.add.at(log_p, problem.user, rows)
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    mean = p @ grid
    sd = np.sqrt(p @ grid**2 - mean**2)
    assert np.abs(found.mean[:, 0, 0] - mean).max() < 0.1
    ratio = np.sqrt(found.covariance[:, 0, 0, 0]) / sd
    assert ratio.min() > 0.8
    assert ratio.max() < 1.01


def test_fits_descend_and_resume_to_the_same_result():
    problem = random_problem(2, rows=500)
    terms = TERMS["items and a covariate"]
    kept = []
    whole = fit_gaussian_users(
        problem, terms, rng=np.random.default_rng(0), on_iteration=lambda i, v, snapshot: kept.append(snapshot())
    )
    assert whole.minimum.converged
    assert np.all(np.diff(whole.minimum.path) <= 0)
    resumed = fit_gaussian_users(problem, terms, rng=np.random.default_rng(0), state=kept[3])
    np.testing.assert_array_equal(resumed.vector, whole.vector)


def test_threads_change_nothing(monkeypatch):
    problem = random_problem(3, rows=600)
    x = random_vector(GaussianUsers(problem, TERMS["groups"]), np.random.default_rng(0))
    alone = GaussianUsers(problem, TERMS["groups"])(x)
    monkeypatch.setattr("pluralism.solvers.pairs.MIN_ROWS_PER_CHUNK", 100)
    problem = random_problem(3, rows=600)
    assert len(problem.chunks) > 2
    together = GaussianUsers(problem, TERMS["groups"])(x)
    assert together[0] == pytest.approx(alone[0], rel=1e-12)
    np.testing.assert_allclose(together[1], alone[1], atol=1e-9)
