import numpy as np
import pytest
from problems import random_problem

from pluralism.solvers import MixtureObjective, Terms, fit_mixture, laplace_posterior
from pluralism.solvers.laplace import curvature, penalised_hessian


def numeric_hessian(objective, x, size):
    step = 1e-5
    rows = [(objective(x + step * e)[1] - objective(x - step * e)[1])[:size] for e in np.eye(objective.size)[:size]]
    return np.array(rows) / (2 * step)


@pytest.mark.parametrize("terms", [Terms(ridge=1.3), Terms(ridge=1.3, item_precision=2.0, ties=True)])
def test_pooled_hessian_equals_finite_differences(terms):
    problem = random_problem()
    objective = MixtureObjective(problem, 1, terms)
    fit = fit_mixture(problem, 1, terms, rng=np.random.default_rng(0))
    _, _, second = curvature(problem, fit.parameters, objective.scores(fit.parameters), 0)
    hessian = penalised_hessian(problem, second, terms)
    np.testing.assert_allclose(hessian, numeric_hessian(objective, fit.vector, objective.block_size), atol=1e-5)


def test_group_covariance_is_the_inverse_of_its_block_of_the_observed_information():
    problem = random_problem(rows=900)
    terms = Terms(ridge=1.3)
    objective = MixtureObjective(problem, 2, terms)
    fit = fit_mixture(problem, 2, terms, rng=np.random.default_rng(0))
    numeric = numeric_hessian(objective, fit.vector, objective.block_size)
    blocks = numeric.reshape(objective.n_rows, 2, objective.n_rows, 2)
    posterior = laplace_posterior(problem, fit.parameters, fit.responsibility, objective.scores(fit.parameters), terms)
    assert posterior.corrected == [True, True]
    for k in range(2):
        np.testing.assert_allclose(posterior.covariance[k], np.linalg.inv(blocks[:, k, :, k]), rtol=1e-4, atol=1e-7)


def test_no_covariance_beyond_the_size_an_exact_one_is_kept_for(monkeypatch):
    import pluralism.solvers.laplace as laplace

    monkeypatch.setattr(laplace, "MAX_COEFFICIENTS", 3)
    problem = random_problem()
    fit = fit_mixture(problem, 1, Terms(), rng=np.random.default_rng(0))
    scores = MixtureObjective(problem, 1, Terms()).scores(fit.parameters)
    assert laplace_posterior(problem, fit.parameters, fit.responsibility, scores, Terms()) is None
