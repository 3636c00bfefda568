"""Where fits of prototypes start: heads of clusters of users, and the directions in which rewards bend.

Both are read off the answers in a few passes. Users' mean differences, whitened, fall into clusters whose heads are a
Newton step away. For the bend let s_i be the sum of an item's residuals: then S = sum_i s_i x_i x_i' is the gradient of
the log-likelihood for a quadratic form, and with whitened features its negative eigenvectors are the directions in
which everybody has a best amount.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cholesky, solve_triangular
from scipy.special import expit

from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.initialise import kmeans, user_points
from pluralism.solvers.item_tables import Curvature, ItemTable, Vector, solver_of
from pluralism.solvers.objective import Terms
from pluralism.solvers.pairs import PairProblem
from pluralism.solvers.threads import threads_for_square

__all__ = ["PrototypeStarts"]

STRETCH = 2.0
KMEANS_RESTARTS = 8
MOST_GROUPS = 16
POWERS = 4
SPARE = 8
LEAST = 0.02
AT_ZERO = 0.25
CALIBRATION = (0.3, 10.0)
CALIBRATION_STEPS = 6


class PrototypeStarts:
    """Starts for one set of answers, for any number of prototypes.

    Parameters
    ----------
    problem : PairProblem
    features : CentredFeatures
    rng : numpy.random.Generator
    """

    def __init__(self, problem: PairProblem, features: CentredFeatures, rng: np.random.Generator) -> None:
        self.problem, self.features = problem, features
        self.seed = int(rng.integers(2**31))

    @cached_property
    def gram(self) -> Float[np.ndarray, "dim dim"]:
        """sum_n weight_n d_n d_n' over difference vectors, from a sketch."""
        return self.features.gram(self.problem, np.random.default_rng([self.seed, 0]))

    def vectors(self, item_table: ItemTable, n_starts: int) -> list[Vector]:
        """Parameters of an item table from which its fit may start, the most promising first.

        The heads are those of spectral clusters of users, the same moved away from their middle (for users are
        mixtures, and prototypes further out than they), and then these moved and turned at random.
        """
        n_groups, ridge = item_table.n_groups, item_table.ridge
        rng = np.random.default_rng([self.seed, 1, n_groups])
        labels, mass = self._clusters(n_groups, rng)
        heads = self._cluster_heads(labels, n_groups, ridge)
        bend = self._bend(ridge, item_table.n_bends) if item_table.n_bends else None
        heads, bend = self._calibrated(heads, labels, bend)
        middle = heads @ (mass / max(mass.sum(), 1e-12))[:, None]
        starts = [heads]
        while len(starts) < n_starts and n_groups > 1:
            turn = np.eye(n_groups) if len(starts) == 1 else rng.normal(size=(n_groups, n_groups)) / np.sqrt(n_groups)
            starts.append(middle + STRETCH * (heads - middle) @ turn)
        return [item_table.start(h, bend, rng) for h in starts]

    def _clusters(
        self, n_groups: int, rng: np.random.Generator
    ) -> tuple[Int[np.ndarray, " users"], Float[np.ndarray, " groups"]]:
        if n_groups == 1:
            return np.zeros(self.problem.n_users, dtype=np.int64), np.ones(1)
        points, weight = self._points
        # users in an order of their answers' own, so that it does not matter how they are called
        order = np.lexsort(points.T)
        runs = [kmeans(points[order, -n_groups:], weight[order], n_groups, rng) for _ in range(KMEANS_RESTARTS)]
        labels = np.empty(len(order), dtype=np.int64)
        labels[order] = min(runs, key=lambda run: run[1])[0]
        return labels, np.bincount(labels, weight, n_groups)

    def _bend(self, ridge: float, n_directions: int) -> Curvature:
        """The directions in which rewards bend downwards, by subspace iteration without forming S.

        Directions of little variance are left uncertain by noise, so features are whitened only down to their mean
        variance. How far eigenvalues stray in the wrong direction says how far noise takes them.
        """
        features, problem = self.features, self.problem
        rows = max(problem.total_weight, 1e-12)
        variance = self.gram / (2.0 * rows)
        floor = np.trace(variance) / features.dim + 1e-12
        sums = self._residual_sums(ridge)[:, None]
        width = min(n_directions + SPARE, features.dim)
        block = np.random.default_rng([self.seed, 2]).normal(size=(features.dim, width))
        with threads_for_square(features.dim):
            lower = cholesky(variance + floor * np.eye(features.dim), lower=True)

            def apply(block: Float[np.ndarray, "dim columns"]) -> Float[np.ndarray, "dim columns"]:
                inner = features.matmul(solve_triangular(lower, block, lower=True, trans=1))
                return solve_triangular(lower, features.rmatmul(sums * inner), lower=True)

            for _ in range(POWERS):
                block = np.linalg.qr(apply(block))[0]
            values, turn = np.linalg.eigh(block.T @ apply(block))
        # of -S, in units of p(1 - p) and of the variance of a quadratic form of a difference
        bent = -values / (4.0 * AT_ZERO * rows)
        noise = max(-float(bent[-1]), 0.0)
        kept = np.arange(min(n_directions, width))
        sizes = np.maximum(bent[kept] - noise, LEAST * max(float(bent[0]), 1e-6))
        return Curvature(lower, block @ turn[:, kept], sizes)

    def _calibrated(
        self, heads: Float[np.ndarray, "dim groups"], labels: Int[np.ndarray, " users"], bend: Curvature | None
    ) -> tuple[Float[np.ndarray, "dim groups"], Curvature | None]:
        """Heads and bend times the two numbers under which the answers are most likely, users at their clusters.

        Newton steps from zero fall short where answers are far from even.
        """
        p = self.problem
        scores = self.features.matmul(heads)
        own = labels[p.user]
        columns = [scores[p.left, own] - scores[p.right, own]]
        if bend is not None:
            with threads_for_square(self.features.dim):
                rows = solve_triangular(bend.lower, bend.vectors * np.sqrt(bend.sizes), lower=True, trans=1)
            depth = np.sum(self.features.matmul(rows) ** 2, axis=1)
            columns.append(depth[p.right] - depth[p.left])
        x = np.stack(columns, axis=1)
        factor = np.ones(x.shape[1])
        for _ in range(CALIBRATION_STEPS):
            q = expit(x @ factor)
            slope = x.T @ (p.weight * (p.outcome - q)) - (factor - 1.0)
            curvature = (x * (p.weight * q * (1.0 - q))[:, None]).T @ x + np.eye(len(factor))
            factor = np.clip(factor + np.linalg.solve(curvature, slope), *CALIBRATION)
        if bend is not None:
            bend = replace(bend, sizes=bend.sizes * factor[1])
        return heads * factor[0], bend

    @property
    def _terms(self) -> Terms:
        return Terms(ridge=1e-6 * self.features.scale**2)

    @cached_property
    def _points(self) -> tuple[Float[np.ndarray, "users axes"], Float[np.ndarray, " users"]]:
        gram = self.gram * self.features.scale**2
        with threads_for_square(self.features.dim):
            return user_points(self.problem, MOST_GROUPS, self._terms, gram)

    def _cluster_heads(
        self, labels: Int[np.ndarray, " users"], n_groups: int, ridge: float
    ) -> Float[np.ndarray, "dim groups"]:
        """One Newton step from zero for the answers of each cluster."""
        p = self.problem
        residual = p.weight * (p.outcome - 0.5)
        cell = labels[p.user]
        size = p.n_items * n_groups
        sums = np.bincount(p.left * n_groups + cell, residual, size)
        sums = (sums - np.bincount(p.right * n_groups + cell, residual, size)).reshape(p.n_items, n_groups)
        mass = np.bincount(cell, p.weight, n_groups) / max(p.total_weight, 1e-12)
        moments = self.features.rmatmul(sums)
        heads = [
            solver_of(AT_ZERO * max(share, 1e-3) * self.gram, ridge)(moments[:, k : k + 1])
            for k, share in enumerate(mass)
        ]
        return np.hstack(heads)

    def _residual_sums(self, ridge: float) -> Float[np.ndarray, " items"]:
        """Sums over each item's answers of outcome minus probability, under one linear reward for all."""
        p = self.problem
        scores = self.features.matmul(self._cluster_heads(np.zeros(p.n_users, dtype=np.int64), 1, ridge))[:, 0]
        residual = p.weight * (p.outcome - expit(scores[p.left] - scores[p.right]))
        sums = np.bincount(p.left, residual, p.n_items) - np.bincount(p.right, residual, p.n_items)
        return sums.astype(np.float64)
