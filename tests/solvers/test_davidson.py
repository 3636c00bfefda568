"""Davidson's model against a plain optimiser, closed forms, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from pluralism.solvers.davidson import (
    TIE_PRECISION,
    DavidsonProblem,
    answer_probabilities,
    fit_davidson,
    fit_davidson_draws,
)


def random_problem(seed: int, ties: bool) -> tuple[DavidsonProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    index = np.array([[*rng.choice(6, 2, replace=False), 6] for _ in range(25)])
    value = np.tile([1.0, -1.0, 1.0], (25, 1))
    value[:5, 2] = 0.0
    counts = rng.poisson(2.0, size=(25, 3)).astype(float)
    return DavidsonProblem(index, value, np.append(np.full(6, 0.7), 0.01), ties), counts


def objective(parameters: np.ndarray, problem: DavidsonProblem, counts: np.ndarray) -> float:
    coef = parameters[: len(problem.precision)]
    z = (problem.value * coef[problem.index]).sum(axis=1)
    prior = 0.5 * problem.precision @ coef**2
    if not problem.ties:
        p = expit(z)
        half = 0.5 * counts[:, 2]
        return prior - np.sum((counts[:, 0] + half) * np.log(p) + (counts[:, 1] + half) * np.log(1 - p))
    p = answer_probabilities(z, parameters[-1])
    return prior + 0.5 * TIE_PRECISION * parameters[-1] ** 2 - np.sum(counts * np.log(p))


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_mode_and_its_curvature(seed: int, ties: bool) -> None:
    problem, counts = random_problem(seed, ties)
    fit = fit_davidson(problem, counts)
    assert fit.converged
    n = len(problem.full_precision)
    plain = minimize(objective, np.zeros(n), (problem, counts), method="BFGS", options={"gtol": 1e-6})
    assert np.allclose(fit.parameters, plain.x, atol=1e-4)
    assert fit.objective == pytest.approx(objective(fit.parameters, problem, counts), abs=1e-9)
    step = 1e-4 * np.eye(n)
    here = fit.parameters
    for i in range(n):
        for j in range(n):
            corners = [
                objective(here + a * step[i] + b * step[j], problem, counts) * a * b for a in (1, -1) for b in (1, -1)
            ]
            assert fit.hessian[i, j] == pytest.approx(sum(corners) / 4e-8, abs=2e-4)
    assert np.allclose(fit.covariance @ fit.hessian, np.eye(n))


def test_one_pair_has_a_closed_form() -> None:
    problem = DavidsonProblem(np.array([[0, 1]]), np.array([[1.0, -1.0]]), np.full(2, 1e-9), True)
    fit = fit_davidson(problem, np.array([[12.0, 4.0, 8.0]]))
    z = fit.parameters[0] - fit.parameters[1]
    assert expit(z) == pytest.approx(12 / 16, abs=1e-5)
    # the prior of the tie parameter is weak, not absent
    assert answer_probabilities(np.array(z), fit.parameters[2]) == pytest.approx([0.5, 1 / 6, 1 / 3], abs=1e-3)


def test_ties_are_half_a_win_each_where_they_have_no_parameter() -> None:
    problem = DavidsonProblem(np.array([[0, 1]]), np.array([[1.0, -1.0]]), np.full(2, 1e-9), False)
    fit = fit_davidson(problem, np.array([[6.0, 2.0, 2.0]]))
    assert fit.parameters[0] - fit.parameters[1] == pytest.approx(logit(0.7), abs=1e-6)


@pytest.mark.parametrize("ties", [True, False])
def test_many_draws_are_the_single_fits(ties: bool) -> None:
    problem, counts = random_problem(3, ties)
    rng = np.random.default_rng(0)
    draws = rng.poisson(counts, size=(7, *counts.shape)).astype(float)
    draws[0] = 0.0
    together = fit_davidson_draws(problem, draws, fit_davidson(problem, counts).parameters)
    for found, one in zip(together, draws, strict=True):
        assert np.allclose(found, fit_davidson(problem, one).parameters, atol=1e-6)


def test_the_evidence_prefers_the_spread_that_was_planted() -> None:
    rng = np.random.default_rng(0)
    n = 40
    strength = 1.5 * rng.normal(size=n)
    index = np.array([rng.choice(n, 2, replace=False) for _ in range(600)])
    value = np.tile([1.0, -1.0], (600, 1))
    p = expit(strength[index[:, 0]] - strength[index[:, 1]])
    wins = rng.binomial(5, p)
    counts = np.stack([wins, 5 - wins, 0 * wins], axis=1).astype(float)

    def evidence(sd: float) -> float:
        problem = DavidsonProblem(index, value, np.full(n, sd**-2.0), False)
        return fit_davidson(problem, counts).log_evidence - n * np.log(sd)

    found = max((0.1, 0.3, 1.5, 5.0, 20.0), key=evidence)
    assert found == 1.5


def test_extreme_predictors_stay_finite() -> None:
    p = answer_probabilities(np.array([-2000.0, 0.0, 2000.0]), -np.inf)
    assert np.array_equal(p, [[0, 1, 0], [0.5, 0.5, 0], [1, 0, 0]])
    problem = DavidsonProblem(np.array([[0, 1]]), np.array([[1.0, -1.0]]), np.full(2, 1e-3), True)
    fit = fit_davidson(problem, np.array([[1e6, 0.0, 0.0]]))
    assert fit.converged and np.isfinite(fit.parameters).all()
