"""How sure a Plackett-Luce fit is: the observed information of the marginal likelihood, by its exact gradient."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from pluralism.models.ballots import PreparedBallots
from pluralism.models.fitting import Uncertainty
from pluralism.solvers import MixtureFit, MixtureObjective, Terms

__all__ = ["ballot_uncertainty"]

MOST_COEFFICIENTS = 512
STEP = 1e-4


def ballot_uncertainty(prepared: PreparedBallots, terms: Terms, fit: MixtureFit) -> Uncertainty:
    """Laplace's approximation at a fit; empty where there are very many coefficients, or the optimum is flat.

    The Hessian of the penalised marginal likelihood is found column by column from central differences of its
    gradient, so that what the unknown memberships and the orders within ties take away is counted. Each group keeps
    its block of the inverse. BIC and ICL as in `pluralism.models.fitting.uncertainty`.
    """
    n_groups = len(fit.parameters.log_weights)
    objective = MixtureObjective(prepared.problem, n_groups, terms)
    # one logit is free to move with the others, and is held
    free = objective.block_size + max(n_groups - 1, 0)
    if not 0 < objective.block_size <= MOST_COEFFICIENTS:
        return Uncertainty()
    x = fit.vector
    hessian = np.empty((free, free))
    for j in range(free):
        step = np.zeros(len(x))
        step[j] = STEP
        hessian[j] = (objective(x + step)[1] - objective(x - step)[1])[:free] / (2 * STEP)
    try:
        factor = cho_factor(0.5 * (hessian + hessian.T))
    except LinAlgError:
        return Uncertainty()
    inverse = cho_solve(factor, np.eye(free))
    rows = np.arange(objective.block_size).reshape(objective.n_rows, n_groups)
    spent = float(objective.precision.ravel() @ np.diag(inverse)[: objective.block_size])
    voters = prepared.problem.voters
    people = max(float(voters.sum()), 2.0)
    bic = -2.0 * fit.log_likelihood + (objective.block_size - spent + n_groups - 1) * float(np.log(people))
    r = fit.responsibility
    entropy = -float(voters @ np.where(r > 0, r * np.log(np.maximum(r, 1e-300)), 0.0).sum(axis=1))
    kept = np.arange(objective.n_rows)
    if objective.n_effects:
        item = kept - objective.dim
        kept = kept[(item < 0) | np.isin(item, np.flatnonzero(prepared.problem.played > 0))]
    blocks = np.stack([inverse[np.ix_(rows[kept, k], rows[kept, k])] for k in range(n_groups)])
    return Uncertainty(np.ascontiguousarray(blocks), bic, bic + 2.0 * entropy)
