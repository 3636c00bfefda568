"""How far items depart from the reward their text predicts: the variance of item effects by marginal likelihood.

With Gaussian priors on the heads and the item effects, the Laplace approximation of the evidence of a pooled model is
-F(x*) + log|P| / 2 - log|H| / 2 (F the penalised negative log-likelihood, P the prior precision, H the Hessian at the
optimum; MacKay 1992). The item precision is its maximiser, found on a log scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cholesky
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.laplace import curvature, penalised_hessian
from pluralism.solvers.mixture import fit_mixture
from pluralism.solvers.objective import MixtureObjective, Terms
from pluralism.solvers.pairs import PairProblem

__all__ = ["ItemVariance", "item_variance_by_evidence", "log_evidence"]

GRID = np.logspace(-1.5, 3.0, 10)
ENOUGH_COEFFICIENTS = 1536


@dataclass(frozen=True)
class ItemVariance:
    """The chosen item precision, the evidence at each precision tried, and how many items it was judged on."""

    precision: float
    tried: list[tuple[float, float]]
    n_items: int


def item_variance_by_evidence(problem: PairProblem, terms: Terms, *, rng: np.random.Generator) -> ItemVariance:
    """Choose `item_precision` for a pooled model with the other `terms` given.

    A variance needs no more than some hundred items: beyond that, whole components of the comparison graph are drawn
    at random (or, where one component is too large, its most compared items).
    """
    problem = _within_size(problem, rng)
    pooled = terms.plain.but(shared=None)
    tried: dict[float, float] = {}
    vector: Float[np.ndarray, " parameters"] | None = None

    def evidence(precision: float) -> float:
        nonlocal vector
        if precision not in tried:
            value, vector = log_evidence(problem, pooled.but(item_precision=precision), rng=rng, start=vector)
            tried[precision] = value
        return tried[precision]

    coarse = [float(g) for g in GRID[::2]]
    best = max(coarse, key=evidence)
    step = float(GRID[2] / GRID[0]) ** 0.5
    for _ in range(3):
        best = max((best / step, best, best * step), key=evidence)
        step **= 0.5
    return ItemVariance(best, sorted(tried.items()), problem.n_items)


def log_evidence(
    problem: PairProblem,
    terms: Terms,
    *,
    rng: np.random.Generator,
    start: Float[np.ndarray, " parameters"] | None = None,
) -> tuple[float, Float[np.ndarray, " parameters"]]:
    """Laplace approximation of the log marginal likelihood of a pooled model, and its optimum."""
    fit = fit_mixture(problem, 1, terms, rng=rng, start=start)
    objective = MixtureObjective(problem, 1, terms)
    scores = objective.scores(fit.parameters)
    _, _, second = curvature(problem, fit.parameters, scores, 0)
    hessian = penalised_hessian(problem, second, terms)
    log_det = 2.0 * float(np.log(np.diag(cholesky(hessian, lower=True, overwrite_a=True))).sum())
    log_prior = float(np.log(objective.precision).sum())
    return -fit.objective + 0.5 * (log_prior - log_det), fit.vector


def _within_size(problem: PairProblem, rng: np.random.Generator) -> PairProblem:
    dim = 0 if problem.features is None else problem.features.dim
    limit = max(ENOUGH_COEFFICIENTS - dim, ENOUGH_COEFFICIENTS // 4) - problem.design.shape[1]
    if problem.n_items <= limit:
        return problem
    ones = np.ones(len(problem.left))
    graph = csr_matrix((ones, (problem.left, problem.right)), shape=(problem.n_items,) * 2)
    _, component = connected_components(graph, directed=False)
    sizes = np.bincount(component)
    order = rng.permutation(len(sizes))
    order = order[np.cumsum(sizes[order]) <= limit]
    keep = np.isin(component, order)
    if len(order) == 0 or keep.sum() < limit // 4:
        keep = np.zeros(problem.n_items, dtype=bool)
        keep[np.argsort(-problem.played, kind="stable")[:limit]] = True
    code = np.cumsum(keep) - 1
    rows = keep[problem.left] & keep[problem.right]
    features = None
    if problem.features is not None:
        features = FeatureMatrix(problem.features.rows(np.flatnonzero(keep)))
    smaller, _ = PairProblem.build(
        problem.user[rows],
        code[problem.left[rows]],
        code[problem.right[rows]],
        problem.outcome[rows],
        problem.weight[rows],
        n_users=problem.n_users,
        n_items=int(keep.sum()),
        design=problem.design[rows],
        features=features,
    )
    return smaller
