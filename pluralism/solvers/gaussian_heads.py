"""Covariances of the heads of a variational mixture: diagonal in the axes of the pooled Gram matrix, or full.

The optimum is S_k^-1 = Lambda + sum_i tilt_ik v_i v_i' with v = (feature difference, item indicators, covariates). Its
exact form costs rows x dim^2 a group; in the eigenvectors of the pooled Gram matrix these matrices are nearly diagonal,
and their diagonals cost rows x dim. A diagonal family is still a bound, so a fit climbs with it and ends with the full
one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.optimize import brentq

from pluralism.solvers.laplace import penalised_hessian
from pluralism.solvers.pairs import PairProblem
from pluralism.solvers.polya_gamma import BoundObjective
from pluralism.solvers.polya_gamma_kernels import curvature_sums, spread_sums

__all__ = ["DiagonalHeads", "FullHeads", "precision_by_evidence"]

ITEMS_AT_ONCE = 131_072
ROWS_AT_ONCE = 65_536


class RowBlocks:
    """Rows in blocks with the items each block needs, so that features of millions of items are never copied whole."""

    def __init__(self, problem: PairProblem) -> None:
        self.problem = problem
        self.blocks: list[tuple[slice, Int[np.ndarray, " items"], np.ndarray, np.ndarray]] = []
        n_rows = len(problem.left)
        step = n_rows if problem.n_items <= ITEMS_AT_ONCE else ROWS_AT_ONCE
        for start in range(0, n_rows, max(step, 1)):
            rows = slice(start, min(start + step, n_rows))
            both = np.concatenate([problem.left[rows], problem.right[rows]])
            items, code = np.unique(both, return_inverse=True)
            half = rows.stop - rows.start
            self.blocks.append((rows, items, code[:half].astype(np.int32), code[half:].astype(np.int32)))
        self.kept: tuple[Float[np.ndarray, "dim axes"], Float[np.ndarray, "items axes"]] | None = None

    def turned(self, axes: Float[np.ndarray, "dim axes"]) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        """(rows, features of the block's items times axes, left, right) of each block; a single block is kept."""
        features = self.problem.features
        if features is None:
            return
        for rows, items, left, right in self.blocks:
            if len(self.blocks) == 1 and self.kept is not None and self.kept[0] is axes:
                yield rows, self.kept[1], left, right
                continue
            turned = features.rows(items) @ axes.astype(features.compute_dtype)
            if len(self.blocks) == 1:
                self.kept = (axes, turned)
            yield rows, turned, left, right


class DiagonalHeads:
    """S_k = V diag(variance_k) V' for the features, and diagonal for item effects and covariates.

    Attributes
    ----------
    basis : array of shape (dim, dim)
        The orthonormal axes V: eigenvectors of the pooled Gram matrix.
    variance : array of shape (coefficients, groups)
    """

    def __init__(
        self,
        objective: BoundObjective,
        gram: Float[np.ndarray, "dim dim"] | None,
        *,
        basis: Float[np.ndarray, "dim dim"] | None = None,
        blocks: RowBlocks | None = None,
    ) -> None:
        self.objective = objective
        if basis is None:
            basis = np.zeros((0, 0)) if gram is None else eigh(gram)[1]
        self.basis = basis
        self.blocks = blocks or RowBlocks(objective.problem)
        self.variance = 1.0 / objective.precision

    def with_groups(self, objective: BoundObjective) -> DiagonalHeads:
        """The same axes and caches for an objective with another number of groups."""
        return DiagonalHeads(objective, None, basis=self.basis, blocks=self.blocks)

    def curvature(self, tilt: Float[np.ndarray, "pairs groups"]) -> Float[np.ndarray, "coefficients groups"]:
        """The diagonal of sum_i tilt_ik v_i v_i' in the axes."""
        problem, n_groups = self.objective.problem, tilt.shape[1]
        parts = []
        if problem.features is not None:
            total = np.zeros((n_groups, problem.features.dim))
            for rows, turned, left, right in self.blocks.turned(self.basis):
                bounds = _bounds(len(left))
                out = np.zeros((len(bounds) - 1, *total.shape))
                curvature_sums(bounds, left, right, turned, np.ascontiguousarray(tilt[rows]), out)
                total += out.sum(axis=0)
            parts.append(total.T)
        if self.objective.n_effects:
            by_item = np.empty((problem.n_items, n_groups))
            for k in range(n_groups):
                by_item[:, k] = np.bincount(problem.left, tilt[:, k], problem.n_items)
                by_item[:, k] += np.bincount(problem.right, tilt[:, k], problem.n_items)
            parts.append(by_item)
        return np.concatenate([*parts, (problem.design**2).T @ tilt])

    def update(self, curvature: Float[np.ndarray, "coefficients groups"]) -> None:
        """The best variances for a curvature and the objective's prior."""
        self.variance = 1.0 / (self.objective.precision + curvature)

    def spread(self) -> Float[np.ndarray, "pairs groups"]:
        """v_i' S_k v_i of each row and group."""
        problem, objective = self.objective.problem, self.objective
        head, item, covariate = np.split(self.variance, [objective.dim, objective.dim + objective.n_effects])
        out = problem.design**2 @ covariate
        if objective.n_effects:
            out += item[problem.left] + item[problem.right]
        for rows, turned, left, right in self.blocks.turned(self.basis):
            part = np.zeros((len(left), out.shape[1]))
            spread_sums(_bounds(len(left)), left, right, turned, np.ascontiguousarray(head.T), part)
            out[rows] += part
        return out

    def divergence(self) -> float:
        """Kullback-Leibler divergence from the prior but for the means' part."""
        ratio = self.objective.precision * self.variance
        return 0.5 * float(np.sum(ratio - 1.0 - np.log(ratio)))

    def __call__(self, gradient: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, " parameters"]:
        """S times a gradient: the natural gradient of the means."""
        block, dim = self.objective.block(gradient), self.objective.dim
        solved = self.variance * block
        if dim:
            solved[:dim] = self.basis @ (self.variance[:dim] * (self.basis.T @ block[:dim]))
        return solved.ravel()

    def permute(self, order: Int[np.ndarray, " groups"]) -> None:
        """Put the groups into another order."""
        self.variance = self.variance[:, order]


class FullHeads:
    """S_k without any restriction.

    Attributes
    ----------
    covariance : array of shape (groups, coefficients, coefficients)
    """

    def __init__(self, objective: BoundObjective, blocks: RowBlocks) -> None:
        self.objective, self.blocks = objective, blocks
        self.roots = [np.diag(column**-0.5) for column in objective.precision.T]
        self.covariance = np.stack([np.diag(1.0 / column) for column in objective.precision.T])

    def update(self, tilt: Float[np.ndarray, "pairs groups"], occupied: Float[np.ndarray, " groups"]) -> None:
        """The best covariances for the rows' curvature; groups that nobody is in keep the prior's."""
        objective = self.objective
        for k in range(objective.n_groups):
            if occupied[k]:
                hessian = penalised_hessian(objective.problem, tilt[:, k], objective.terms)
                lower = cholesky(hessian, lower=True, overwrite_a=True, check_finite=False)
                inverse = solve_triangular(lower, np.eye(len(hessian)), lower=True, check_finite=False)
                self.roots[k] = np.ascontiguousarray(inverse.T)
                self.covariance[k] = inverse.T @ inverse
            else:
                self.roots[k] = np.diag(objective.precision[:, k] ** -0.5)
                self.covariance[k] = np.diag(1.0 / objective.precision[:, k])

    def spread(self) -> Float[np.ndarray, "pairs groups"]:
        """v_i' S_k v_i of each row and group."""
        return np.stack([self._spread_of(root) for root in self.roots], axis=1)

    def _spread_of(self, root: Float[np.ndarray, "coefficients axes"]) -> Float[np.ndarray, " pairs"]:
        objective, problem = self.objective, self.objective.problem
        head, item, covariate = np.split(root, [objective.dim, objective.dim + objective.n_effects])
        out = np.empty(len(problem.left))
        for rows, items, left, right in self.blocks.blocks:
            turned = item[items] if objective.n_effects else np.zeros((len(items), root.shape[1]))
            if problem.features is not None:
                block = problem.features.rows(items)
                turned = turned.astype(block.dtype) + block @ head.astype(block.dtype)
            part = np.zeros((len(left), 1))
            spread_sums(_bounds(len(left)), left, right, turned, np.ones((1, root.shape[1])), part)
            if objective.n_covariates:
                design = problem.design[rows]
                cross = turned @ covariate.T
                part[:, 0] += 2.0 * np.sum((cross[left] - cross[right]) * design, axis=1)
                part[:, 0] += np.sum((design @ covariate) ** 2, axis=1)
            out[rows] = part[:, 0]
        return out

    def divergence(self) -> float:
        """Kullback-Leibler divergence from the prior but for the means' part."""
        total = 0.0
        for covariance, root, precision in zip(self.covariance, self.roots, self.objective.precision.T, strict=True):
            log_det = 2.0 * float(np.log(np.diag(root)).sum()) + float(np.log(precision).sum())
            total += 0.5 * (float(precision @ np.diag(covariance)) - len(precision) - log_det)
        return total

    def __call__(self, gradient: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, " parameters"]:
        """S times a gradient: the natural gradient of the means."""
        block = self.objective.block(gradient)
        return np.stack([c @ g for c, g in zip(self.covariance, block.T, strict=True)], axis=1).ravel()

    def permute(self, order: Int[np.ndarray, " groups"]) -> None:
        """Put the groups into another order."""
        self.covariance = self.covariance[order]
        self.roots = [self.roots[k] for k in order]


def precision_by_evidence(
    curvature: Float[np.ndarray, "coefficients groups"],
    mean: Float[np.ndarray, "coefficients groups"],
    bounds: tuple[float, float],
) -> float:
    """The prior precision of a block of coefficients that maximises the bound together with their variances.

    With the variances 1 / (p + C) at their best for each p, the bound is sum log(p / (p + C)) / 2 - p |m|^2 / 2 up to a
    constant: one maximum, where sum C / (p (p + C)) = |m|^2 (MacKay's effective number of parameters).
    """
    size = float(np.sum(mean**2))

    def slope(log_precision: float) -> float:
        p = np.exp(log_precision)
        return float(np.sum(curvature / (p * (p + curvature)))) - size

    low, high = np.log(bounds[0]), np.log(bounds[1])
    if slope(low) <= 0:
        return bounds[0]
    if slope(high) >= 0:
        return bounds[1]
    return float(np.exp(brentq(slope, low, high, xtol=1e-10)))


def _bounds(n_rows: int) -> Int[np.ndarray, " chunks_plus_1"]:
    n_chunks = max(1, min(numba.get_num_threads(), n_rows // 2048))
    return np.linspace(0, n_rows, n_chunks + 1).astype(np.int64)
