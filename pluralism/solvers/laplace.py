"""Laplace approximation around a fitted mixture: a Gaussian for each group's coefficients.

The Hessian of a group is the complete-data one, weighted by the responsibilities, less the information that is
missing because memberships are not observed (Louis 1982): sum_u r_uk (1 - r_uk) g_uk g_uk', with g_uk the gradient of
user u's log-likelihood under group k. Covariances between groups are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix, diags_array

from pluralism.solvers.annotators import Manner, answer_information
from pluralism.solvers.objective import Parameters, Terms
from pluralism.solvers.pairs import PairProblem

__all__ = ["MAX_COEFFICIENTS", "LaplacePosterior", "curvature", "laplace_posterior", "penalised_hessian"]

MAX_COEFFICIENTS = 4096
UNDECIDED = 1e-6


@dataclass(frozen=True)
class LaplacePosterior:
    """Covariances of the coefficients (dim, then items, then covariates) of each group.

    `corrected[k]` says whether the missing information could be taken off; where the corrected Hessian is not
    positive definite the complete-data one stands and the standard deviations are too small.
    """

    covariance: Float[np.ndarray, "groups coefficients coefficients"]
    corrected: list[bool]


def laplace_posterior(
    problem: PairProblem,
    parameters: Parameters,
    responsibility: Float[np.ndarray, "users groups"],
    scores: Float[np.ndarray, "items groups"],
    terms: Terms,
    manner: Manner | None = None,
) -> LaplacePosterior | None:
    """Covariance of each group's coefficients, or None above `MAX_COEFFICIENTS` of them.

    Where people differ in how they answer, the `manner` of each is taken as it is estimated, without its uncertainty.
    """
    dim = 0 if problem.features is None else problem.features.dim
    n_effects = 0 if terms.item_precision is None else problem.n_items
    size = dim + n_effects + problem.design.shape[1]
    if size > MAX_COEFFICIENTS:
        return None
    covariances, corrected = [], []
    for k in range(scores.shape[1]):
        _, residual, second = curvature(problem, parameters, scores, k, manner)
        weight = responsibility[problem.user, k]
        # with shared heads the private precision is what holds a group to the others; alone it would be too tight
        hessian = penalised_hessian(problem, second * weight, terms)
        inverse = _inverse(hessian - _missing_information(problem, residual, responsibility[:, k], terms))
        corrected.append(inverse is not None)
        if inverse is None:
            inverse = _inverse(hessian)
        if inverse is None:
            # without a prior the level of the rewards is free: the pseudo-inverse fixes their mean
            inverse = np.linalg.pinv(hessian, rcond=1e-10, hermitian=True)
        covariances.append(inverse)
    return LaplacePosterior(np.stack(covariances), corrected)


def curvature(
    problem: PairProblem,
    parameters: Parameters,
    scores: Float[np.ndarray, "items groups"],
    group: int,
    manner: Manner | None = None,
) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Per row under one group: score difference, weighted d log p / d score and weighted - d2 log p / d score2.

    With a `manner`, of people with the mean temperature and lapse that each has, the last is expected rather than
    observed: a single answer given without looking may have a negative one.
    """
    z = scores[problem.left, group] - scores[problem.right, group]
    z = z + problem.design @ parameters.covariate_effects[:, group]
    if manner is not None:
        tie_share = 0.0 if parameters.annotators is None else parameters.annotators.tie_share
        temperature, lapse = np.exp(manner.mean[problem.user, 0]), manner.mean[problem.user, 1]
        first, second = answer_information(temperature * z, problem.outcome, lapse, parameters.tie, tie_share)
        return z, problem.weight * temperature * first, problem.weight * temperature**2 * second
    h = np.exp(-0.5 * np.abs(z))
    total = 1.0 + h * h + parameters.tie * h
    lead = np.sign(z) * (1.0 - h * h) / total
    decided = (1.0 + h * h) / total
    first = problem.weight * ((problem.outcome - 0.5) - 0.5 * lead)
    second = problem.weight * 0.25 * (decided - lead**2)
    return z, first, second


def penalised_hessian(
    problem: PairProblem, row_curvature: Float[np.ndarray, " pairs"], terms: Terms
) -> Float[np.ndarray, "coefficients coefficients"]:
    """sum_i c_i v_i v_i' plus the prior precision, with v_i = (feature difference, item indicators, covariates)."""
    dim = 0 if problem.features is None else problem.features.dim
    n_effects = 0 if terms.item_precision is None else problem.n_items
    n_covariates = problem.design.shape[1]
    size = dim + n_effects + n_covariates
    hessian = np.zeros((size, size))
    items, covariates = slice(dim, dim + n_effects), slice(dim + n_effects, size)
    weighted_design = problem.design * row_curvature[:, None]
    hessian[covariates, covariates] = problem.design.T @ weighted_design
    by_item = np.zeros((problem.n_items, n_covariates))
    for j in range(n_covariates):
        by_item[:, j] = np.bincount(problem.left, weighted_design[:, j], problem.n_items)
        by_item[:, j] -= np.bincount(problem.right, weighted_design[:, j], problem.n_items)
    # rows share items, so the item graph's Laplacian holds all of them in far fewer numbers
    laplacian = _laplacian(problem, row_curvature)
    if n_effects:
        hessian[items, items] = laplacian.toarray()
        hessian[items, covariates] = by_item
        hessian[covariates, items] = by_item.T
    if problem.features is not None:
        hessian[:dim, :dim] = problem.features.sandwich(laplacian)
        hessian[:dim, covariates] = problem.features.rmatmul(by_item)
        hessian[covariates, :dim] = hessian[:dim, covariates].T
        if n_effects:
            cross = problem.features.left_multiply(laplacian)
            hessian[items, :dim] = cross
            hessian[:dim, items] = cross.T
    diagonal = np.concatenate(
        [
            np.full(dim, terms.ridge),
            np.full(n_effects, terms.item_precision or 0.0),
            np.full(n_covariates, terms.covariate_precision),
        ]
    )
    hessian[np.diag_indices(size)] += diagonal
    return hessian


def _laplacian(problem: PairProblem, row_curvature: Float[np.ndarray, " pairs"]) -> csr_matrix:
    n = problem.n_items
    adjacency = csr_matrix((row_curvature, (problem.left, problem.right)), shape=(n, n))
    adjacency = adjacency + adjacency.T
    return (diags_array(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency).tocsr()


def _missing_information(
    problem: PairProblem,
    residual: Float[np.ndarray, " pairs"],
    responsibility: Float[np.ndarray, " users"],
    terms: Terms,
) -> Float[np.ndarray, "coefficients coefficients"] | float:
    doubt = responsibility * (1.0 - responsibility)
    users = np.flatnonzero(doubt > UNDECIDED)
    if len(users) == 0:
        return 0.0
    position = np.full(problem.n_users, -1)
    position[users] = np.arange(len(users))
    rows = np.flatnonzero(position[problem.user] >= 0)
    who = position[problem.user[rows]]
    r = residual[rows]
    n_items = problem.n_items
    by_item = csr_matrix(
        (
            np.concatenate([r, -r]),
            (np.concatenate([who, who]), np.concatenate([problem.left[rows], problem.right[rows]])),
        ),
        shape=(len(users), n_items),
    )
    parts = []
    if problem.features is not None:
        parts.append(problem.features.left_multiply(by_item))
    if terms.item_precision is not None:
        parts.append(by_item.toarray())
    covariates = np.zeros((len(users), problem.design.shape[1]))
    np.add.at(covariates, who, r[:, None] * problem.design[rows])
    parts.append(covariates)
    gradient = np.hstack(parts) * np.sqrt(doubt[users])[:, None]
    return gradient.T @ gradient


def _inverse(matrix: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"] | None:
    try:
        return cho_solve(cho_factor(matrix), np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        return None
