"""Starts for a mixture: spectral clusters of users' whitened mean differences, and random assignments.

A user with n answers has m_u = sum_i (2 y_i - 1) x_i; whitened by the Gram matrix and divided by sqrt(n), its noise
covariance is about the identity, so the top directions of the whitened matrix are those in which users differ.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import svds

from pluralism.solvers.objective import BlockPreconditioner, MixtureObjective, Terms
from pluralism.solvers.pairs import PairProblem

__all__ = ["assignments", "kmeans", "user_points", "vector_from_assignment", "worst_explained"]

KMEANS_RESTARTS = 8
SAME_PARTITION = 0.02


def assignments(
    problem: PairProblem,
    n_groups: int,
    terms: Terms,
    gram: Float[np.ndarray, "dim dim"] | None,
    rng: np.random.Generator,
    n_candidates: int,
    *,
    placed: tuple[Float[np.ndarray, "users axes"], Float[np.ndarray, " users"]] | None = None,
) -> list[Int[np.ndarray, " users"]]:
    """Up to `n_candidates` distinct labellings of the users, the most promising first.

    Half are spectral: the k-means restarts of least inertia, leaving out those that merely repeat a better one. Half
    are random. `placed` is what `user_points` gave, if it is known already.
    """
    points, weight = user_points(problem, n_groups, terms, gram) if placed is None else placed
    restarts = sorted((kmeans(points, weight, n_groups, rng) for _ in range(KMEANS_RESTARTS)), key=lambda r: r[1])
    n_spectral = max(1, n_candidates // 2)
    kept: list[Int[np.ndarray, " users"]] = []
    for labels, _ in restarts:
        if len(kept) < n_spectral and all(_disagreement(labels, other, weight) > SAME_PARTITION for other in kept):
            kept.append(labels)
    return kept + [rng.integers(n_groups, size=problem.n_users) for _ in range(n_candidates - n_spectral)]


def _disagreement(
    labels: Int[np.ndarray, " users"], other: Int[np.ndarray, " users"], weight: Float[np.ndarray, " users"]
) -> float:
    """Share of weight outside each group's best match in the other labelling."""
    table = np.zeros((labels.max() + 1, other.max() + 1))
    np.add.at(table, (labels, other), weight)
    return 1.0 - float(table.max(axis=1).sum()) / max(float(weight.sum()), 1e-300)


def vector_from_assignment(
    objective: MixtureObjective, precondition: BlockPreconditioner, labels: Int[np.ndarray, " users"]
) -> Float[np.ndarray, " parameters"]:
    """One preconditioned step from zero with the responsibilities of a labelling: the heads it implies."""
    x = objective.start()
    fixed = MixtureObjective(
        objective.problem,
        objective.n_groups,
        objective.terms,
        responsibility=np.eye(objective.n_groups)[labels],
    )
    _, gradient = fixed(np.delete(x, slice(objective.block_size, objective.block_size + objective.n_logits)))
    padded = np.zeros(objective.size)
    padded[: objective.block_size] = gradient[: objective.block_size]
    x[: objective.block_size] -= precondition(padded)[: objective.block_size]
    if objective.n_logits:
        counts = np.bincount(labels, objective.problem.voters, objective.n_groups) + objective.terms.concentration
        x[objective.block_size : objective.block_size + objective.n_logits] = np.log(counts / counts.sum())
    return x


def worst_explained(
    problem: PairProblem, log_likelihood: Float[np.ndarray, " users"], share: float
) -> Int[np.ndarray, " chosen"]:
    """The `share` of voting users with the lowest log-likelihood an answer."""
    rows = np.add.reduceat(np.append(problem.weight, 0.0), problem.user_start[:-1])
    voters = np.flatnonzero(problem.voters > 0)
    mean = log_likelihood[voters] / np.maximum(rows[voters], 1e-12)
    count = max(1, int(np.ceil(share * len(voters))))
    return voters[np.argsort(mean, kind="stable")[:count]]


def kmeans(
    points: Float[np.ndarray, "users axes"],
    weight: Float[np.ndarray, " users"],
    n_groups: int,
    rng: np.random.Generator,
    n_iter: int = 30,
) -> tuple[Int[np.ndarray, " users"], float]:
    """Labels and inertia of one run of weighted k-means with k-means++ seeding.

    Written out because scikit-learn's start-up costs more than the clustering of a few axes.
    """
    active = np.flatnonzero(weight > 0)
    if len(active) == 0:
        return np.zeros(len(points), dtype=np.int64), 0.0
    share = weight[active] / weight[active].sum()
    centres = points[[rng.choice(active, p=share)]]
    for _ in range(1, n_groups):
        gap = np.min(((points[active, None] - centres) ** 2).sum(-1), axis=1) * share
        total = gap.sum()
        centres = np.vstack([centres, points[[rng.choice(active, p=gap / total if total > 0 else share)]]])
    labels = np.full(len(points), -1)
    for _ in range(n_iter):
        distance = (centres**2).sum(1) - 2.0 * points @ centres.T
        new = np.argmin(distance, axis=1)
        if np.array_equal(new, labels):
            break
        labels = new
        mass = np.bincount(labels, weight, n_groups)
        for axis in range(points.shape[1]):
            sums = np.bincount(labels, weight * points[:, axis], n_groups)
            centres[:, axis] = np.where(mass > 0, sums / np.maximum(mass, 1e-300), centres[:, axis])
    return labels, float(weight @ ((points - centres[labels]) ** 2).sum(axis=1))


def user_points(
    problem: PairProblem, n_groups: int, terms: Terms, gram: Float[np.ndarray, "dim dim"] | None
) -> tuple[Float[np.ndarray, "users axes"], Float[np.ndarray, " users"]]:
    """Users as points on up to `n_groups` axes, the strongest last, and the weight of their answers."""
    signed = problem.weight * (2.0 * problem.outcome - 1.0)
    user = problem.user
    weight = np.bincount(user, problem.weight, problem.n_users)
    root = 1.0 / np.sqrt(np.maximum(weight, 1e-12))
    if problem.features is None or gram is None:
        wins = csr_matrix(
            (
                np.concatenate([signed, -signed]),
                (np.concatenate([user, user]), np.concatenate([problem.left, problem.right])),
            ),
            shape=(problem.n_users, problem.n_items),
        )
        matrix = diags_array(root) @ wins @ diags_array(1.0 / np.sqrt(problem.played + 1e-12))
        axes = min(n_groups, min(matrix.shape) - 1)
        if axes < 1:
            return np.zeros((problem.n_users, 1)), weight
        u, s, _ = svds(matrix.astype(np.float64), k=axes, random_state=0)
        return u * s * root[:, None], weight
    moved = problem.features.difference_sums(problem.user_start, problem.left, problem.right, signed)
    ridge = terms.ridge + 1e-8 * np.trace(gram) / len(gram)
    lower = cholesky(gram + ridge * np.eye(len(gram)), lower=True)
    whitened = solve_triangular(lower, moved.T, lower=True).T * np.sqrt(weight.sum()) * root[:, None]
    axes = min(n_groups, whitened.shape[1])
    dim = whitened.shape[1]
    _, vectors = eigh(whitened.T @ whitened, subset_by_index=[dim - axes, dim - 1])
    return whitened @ vectors * root[:, None], weight
