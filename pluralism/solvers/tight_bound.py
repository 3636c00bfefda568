"""Beyond the Polya-Gamma bound, at the means it found: covariances that are wide enough, and a bound that is tighter.

Where people differ in how they answer, each has the temperature and the lapse that are expected of the person here.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, logsumexp, xlogy

from pluralism.solvers.annotators import Manner, answer_information
from pluralism.solvers.gaussian_heads import DiagonalHeads, FullHeads
from pluralism.solvers.polya_gamma import BoundObjective

__all__ = ["tight_bound", "widen"]

WIDENING_ROUNDS = 2
QUADRATURE_NODES = 12


def widen(
    objective: BoundObjective,
    x: Float[np.ndarray, " parameters"],
    heads: DiagonalHeads | FullHeads,
    occupied: Bool[np.ndarray, " groups"],
) -> Float[np.ndarray, "pairs groups"]:
    """Set `heads` to S^-1 = Lambda + sum_i r_i w_i E sigma'(z_i) v_i v_i'; returns the variances of the rows' logits.

    That is where a Gaussian q is at its best for the logistic likelihood (Opper & Archambeau 2009). The curvature of
    the bound is larger, the more so the surer the answers: with it, standard deviations come out too small. Lapses put
    the Fisher information of an answer in the place of sigma'.
    """
    problem, found = objective.problem, objective.bound(x)
    z = _logits(objective, x)
    row = found.responsibility[problem.user] * problem.weight[:, None]
    temperature, lapse = np.ones((1, 1)), None
    if found.manner is not None:
        temperature = np.exp(found.manner.mean[problem.user, :1])
        lapse = found.manner.mean[problem.user, 1]
    spread = objective.spread
    for _ in range(WIDENING_ROUNDS):
        shrink = 1.0 / np.sqrt(1.0 + np.pi / 8.0 * temperature**2 * spread)
        at = shrink * temperature * z
        if lapse is None:
            half = np.exp(-0.5 * np.abs(at))
            slope = (half / (1.0 + half**2)) ** 2
        else:
            columns = [answer_information(column, problem.outcome, lapse, 0.0, 0.0)[1] for column in at.T]
            slope = np.stack(columns, axis=1)
        slope = slope * shrink * temperature**2
        if isinstance(heads, FullHeads):
            heads.update(row * slope, occupied)
        else:
            heads.update(heads.curvature(row * slope))
        spread = heads.spread()
    return spread


def tight_bound(
    objective: BoundObjective,
    x: Float[np.ndarray, " parameters"],
    heads: DiagonalHeads,
    occupied: Bool[np.ndarray, " groups"],
) -> float:
    """The negative bound with E log sigma by quadrature, less divergences, at the means found and wider covariances.

    The Polya-Gamma bound loses some tenths of a nat a coefficient, and more where logits are large, so that it counts
    too few groups; this one is for choosing between numbers of them. `heads` are left with the wider covariances.
    """
    problem, found = objective.problem, objective.bound(x)
    z = _logits(objective, x)
    deviation = np.sqrt(widen(objective, x, heads, occupied))
    if found.manner is None:
        row = _expected(z, deviation, problem.outcome)
        joint = np.zeros((problem.n_users, objective.n_groups)) + objective.log_weights
    else:
        # kinds summed out as the bound has it, and what quadrature adds at the kind that is expected
        manner = Manner(found.manner.mean[problem.user], found.manner.covariance[problem.user])
        row = _expected(z, deviation, problem.outcome, manner) - _bounded(z, objective.spread, problem.outcome, manner)
        joint = found.evidence[:, None] + np.log(np.maximum(found.responsibility, 1e-300))
    for k in range(objective.n_groups):
        joint[:, k] += np.bincount(problem.user, problem.weight * row[:, k], problem.n_users)
    block = objective.block(x)
    value = 0.5 * float(np.sum(objective.precision * block**2)) - float(problem.voters @ logsumexp(joint, axis=1))
    if objective.population is not None and found.kinds is not None:
        value += objective.population.penalised(objective.hyper, found.kinds)[0]
    return value


def _logits(objective: BoundObjective, x: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, "pairs groups"]:
    """Mean logit of every row under every group."""
    problem, parameters = objective.problem, objective.unpack(x)
    scores = objective.scores(parameters) + objective.central_scores
    effects = parameters.covariate_effects + objective.centre[objective.n_rows - objective.n_covariates :, None]
    return scores[problem.left] - scores[problem.right] + problem.design @ effects


def _expected(
    z: Float[np.ndarray, "pairs groups"],
    deviation: Float[np.ndarray, "pairs groups"],
    outcome: Float[np.ndarray, " pairs"],
    manner: Manner | None = None,
) -> Float[np.ndarray, "pairs groups"]:
    """E log p of each row, by quadrature over the logits."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_NODES)
    found, y = np.zeros_like(z), outcome[:, None]
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        at = z + node * deviation
        if manner is None:
            found += weight * ((y - 0.5) * at - 0.5 * np.abs(at) - np.log1p(np.exp(-np.abs(at))))
        else:
            p = _seen(expit(np.exp(manner.mean[:, :1]) * at), manner)
            found += weight * (xlogy(y, p) + xlogy(1.0 - y, 1.0 - p))
    return found


def _bounded(
    z: Float[np.ndarray, "pairs groups"],
    spread: Float[np.ndarray, "pairs groups"],
    outcome: Float[np.ndarray, " pairs"],
    manner: Manner,
) -> Float[np.ndarray, "pairs groups"]:
    """The Polya-Gamma bound on the same."""
    temperature, y = np.exp(manner.mean[:, :1]), outcome[:, None]
    c = temperature * np.sqrt(z**2 + spread)
    rest = -0.5 * c - np.log1p(np.exp(-c))
    left, right = (_seen(np.exp(sign * temperature * z + rest), manner) for sign in (0.5, -0.5))
    return xlogy(y, left) + xlogy(1.0 - y, right)


def _seen(p: Float[np.ndarray, "pairs groups"], manner: Manner) -> Float[np.ndarray, "pairs groups"]:
    """Probabilities of people who lapse."""
    lapse = manner.mean[:, 1:]
    return (1.0 - lapse) * p + 0.5 * lapse
