"""Preferences that may run in circles: a linear reward plus a skew-symmetric form of low rank.

    z_ab = r(a) - r(b) + p_a . q_b - q_a . p_b,   p = U'(e - mean), q = V'(e - mean),

so that z_ab = -z_ba for every pair. Without features e is the item's indicator and the rows of U, V are the items'. As
the form is centred at the mean of the compared items, it averages to 0 against them: r is the mean logit against the
compared items, and circles are what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numba import njit
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import eigsh

from pluralism.solvers.objective import BlockPreconditioner, MixtureObjective, Terms
from pluralism.solvers.pairs import PairProblem

__all__ = ["SkewObjective", "SkewPass", "SkewPreconditioner", "spectral_planes"]

TYPICAL_CURVATURE = 0.15
DENSE_SIZE = 200


@dataclass(frozen=True)
class SkewPass:
    """What one sweep gives: the logits of the rows, their log-likelihoods and residuals weight * (y - sigma(z))."""

    z: Float[np.ndarray, " pairs"]
    log_likelihood: float
    residual: Float[np.ndarray, " pairs"]


class SkewObjective:
    """x -> (penalised negative log-likelihood, gradient).

    The vector holds the linear coefficients (features, items, covariates) and then U and V, row by row.

    Parameters
    ----------
    problem : PairProblem
    terms : Terms
        Of the linear part.
    rank : int
        Columns of U and of V: planes in which preferences turn.
    skew_ridge : float
        Prior precision of the entries of U and V.
    """

    def __init__(self, problem: PairProblem, terms: Terms, rank: int, skew_ridge: float) -> None:
        self.problem, self.rank, self.skew_ridge = problem, rank, skew_ridge
        self.linear = MixtureObjective(problem, 1, terms)
        self.n_linear = self.linear.block_size
        self.n_skew_rows = problem.n_items if problem.features is None else problem.features.dim
        self.size = self.n_linear + 2 * self.n_skew_rows * rank
        self.share = problem.played / max(float(problem.played.sum()), 1e-300)

    def planes(self, x: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, "two skew_rows planes"]:
        """U and V within x, as a view."""
        return x[self.n_linear :].reshape(2, self.n_skew_rows, self.rank)

    def places(
        self, x: Float[np.ndarray, " parameters"]
    ) -> tuple[Float[np.ndarray, "items axes"], Float[np.ndarray, " axes"]]:
        """(p, q) of every item side by side, centred, and the centre that was taken off."""
        both = np.concatenate(list(self.planes(x)), axis=1)
        features = self.problem.features
        raw = both if features is None else features.matmul(both)
        centre = self.share @ raw
        return raw - centre, centre

    def sweep(self, x: Float[np.ndarray, " parameters"]) -> SkewPass:
        """The likelihood at x."""
        problem = self.problem
        parameters = self.linear.unpack(x[: self.n_linear])
        scores = self.linear.scores(parameters)[:, 0]
        z = scores[problem.left] - scores[problem.right] + problem.design @ parameters.covariate_effects[:, 0]
        if self.rank:
            _turn(problem.left, problem.right, self.places(x)[0], self.rank, z)
        log_likelihood = (problem.outcome - 0.5) * z - np.logaddexp(0.5 * z, -0.5 * z)
        residual = problem.weight * (problem.outcome - 0.5 - 0.5 * np.tanh(0.5 * z))
        return SkewPass(z, float(problem.weight @ log_likelihood), residual)

    def __call__(self, x: Float[np.ndarray, " parameters"]) -> tuple[float, Float[np.ndarray, " parameters"]]:
        """Value and gradient at x."""
        problem, found = self.problem, self.sweep(x)
        block, planes = x[: self.n_linear], x[self.n_linear :]
        precision = self.linear.precision[:, 0]
        value = -found.log_likelihood + 0.5 * float(precision @ block**2)
        value += 0.5 * self.skew_ridge * float(planes @ planes)
        by_item = np.bincount(problem.left, found.residual, problem.n_items)
        by_item -= np.bincount(problem.right, found.residual, problem.n_items)
        features = problem.features
        parts = [] if features is None else [features.rmatmul(by_item[:, None])[:, 0]]
        if self.linear.n_effects:
            parts.append(by_item)
        parts.append(problem.design.T @ found.residual)
        gradient = np.concatenate([precision * block - np.concatenate(parts), self.skew_ridge * planes])
        if self.rank:
            pull = np.zeros((problem.n_items, 2 * self.rank))
            _pull(problem.left, problem.right, self.places(x)[0], found.residual, self.rank, pull)
            pull -= self.share[:, None] * pull.sum(axis=0)
            both = pull if features is None else features.rmatmul(pull)
            gradient[self.n_linear :] -= np.stack([both[:, : self.rank], both[:, self.rank :]]).ravel()
        return value, gradient


class SkewPreconditioner:
    """Approximate inverse Hessian around a start: that of the linear part, and one factor a column of U and V."""

    def __init__(
        self, objective: SkewObjective, gram: Float[np.ndarray, "dim dim"] | None, x: Float[np.ndarray, " parameters"]
    ) -> None:
        self.objective = objective
        self.linear = BlockPreconditioner(objective.linear, gram)
        self.axes = None if gram is None else eigh(gram)
        if objective.rank == 0:
            return
        spread = objective.share @ objective.places(x)[0] ** 2
        # U moves z by q and V by p
        self.reach = np.concatenate([spread[objective.rank :], spread[: objective.rank]])

    def __call__(self, gradient: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, " parameters"]:
        """Approximate inverse Hessian times a gradient."""
        objective = self.objective
        linear = self.linear(gradient[: objective.n_linear])
        if objective.rank == 0:
            return linear
        both = np.concatenate(list(objective.planes(gradient)), axis=1)
        if self.axes is None:
            both = both / (objective.skew_ridge + TYPICAL_CURVATURE * objective.problem.played[:, None] * self.reach)
        else:
            values, vectors = self.axes
            curvature = TYPICAL_CURVATURE * np.maximum(values, 0.0)[:, None] * self.reach
            both = vectors @ ((vectors.T @ both) / (objective.skew_ridge + curvature))
        rank = objective.rank
        return np.concatenate([linear, np.stack([both[:, :rank], both[:, rank:]]).ravel()])


def spectral_planes(
    objective: SkewObjective,
    x: Float[np.ndarray, " parameters"],
    gram: Float[np.ndarray, "dim dim"] | None,
) -> Float[np.ndarray, " parameters"]:
    """`x` with U and V set to the planes in which the residuals at x (of a fit without planes) turn most.

    The gradient with respect to the form A is G = sum_i residual_i (e_a e_b' - e_b e_a'); whitened on both sides by the
    square root of the Gram matrix, the eigenvectors of i G are its planes, strongest first, each with the size of one
    Newton step. At U = V = 0 the gradient vanishes, so that a fit has to start somewhere else.
    """
    problem, rank = objective.problem, objective.rank
    out = x.copy()
    planes = objective.planes(out)
    planes[:] = 0.0
    residual = objective.sweep(out).residual
    shape = (problem.n_items, problem.n_items)
    turned = csr_matrix((residual, (problem.left, problem.right)), shape=shape)
    turned = (turned - turned.T).tocsr()
    features = problem.features
    root: Any
    if features is None or gram is None:
        root = diags_array(1.0 / np.sqrt(problem.played + objective.skew_ridge)).tocsr()
        vectors = _strongest((root @ turned @ root).tocsr(), rank)
    else:
        centre = objective.share @ features.matmul(np.eye(features.dim))
        by_item = features.left_multiply(turned) - np.outer(np.asarray(turned.sum(axis=1)).ravel(), centre)
        whole = features.rmatmul(by_item) - np.outer(centre, by_item.sum(axis=0))
        ridge = objective.skew_ridge + 1e-8 * float(np.trace(gram)) / len(gram)
        lower = cholesky(gram + ridge * np.eye(len(gram)), lower=True)
        root = solve_triangular(lower, np.eye(len(gram)), lower=True).T
        vectors = _strongest(root.T @ whole @ root, rank)
    for k in range(vectors.shape[1]):
        planes[:] = 0.0
        planes[0, :, k], planes[1, :, k] = root @ vectors[:, k].real, root @ vectors[:, k].imag
        h = np.zeros(len(problem.left))
        _turn(problem.left, problem.right, objective.places(out)[0], rank, h)
        step = float(residual @ h) / max(TYPICAL_CURVATURE * float(problem.weight @ h**2), 1e-300)
        scale = np.sqrt(max(abs(step), 1e-12))
        vectors[:, k] *= scale
        vectors[:, k] = vectors[:, k] if step >= 0 else np.conj(vectors[:, k])
    planes[:] = 0.0
    for k in range(vectors.shape[1]):
        planes[0, :, k], planes[1, :, k] = root @ vectors[:, k].real, root @ vectors[:, k].imag
    return out


def _strongest(skew: Any, rank: int) -> np.ndarray:
    """Eigenvectors of i times a skew-symmetric matrix (dense or sparse) of the `rank` largest eigenvalues, in order."""
    size = skew.shape[0]
    if size > DENSE_SIZE and 2 * rank < size:
        start = np.ones(size, dtype=np.complex128)
        values, vectors = eigsh((1j * skew).astype(np.complex128), k=rank, which="LA", v0=start)
        return vectors[:, np.argsort(-values)]
    dense: np.ndarray = skew if isinstance(skew, np.ndarray) else skew.toarray()
    dense = 0.5 * (dense - dense.T)
    return eigh(1j * dense, subset_by_index=[max(size - rank, 0), size - 1])[1][:, ::-1]


@njit(cache=True, error_model="numpy")
def _turn(left, right, places, rank, z):
    """Add p_a . q_b - q_a . p_b to every row's z."""
    for i in range(len(left)):
        a, b = left[i], right[i]
        total = 0.0
        for j in range(rank):
            total += places[a, j] * places[b, rank + j] - places[a, rank + j] * places[b, j]
        z[i] += total


@njit(cache=True, error_model="numpy")
def _pull(left, right, places, residual, rank, out):
    """Sum residual times the derivative of every row's z with respect to the items' (p, q)."""
    for i in range(len(left)):
        a, b, e = left[i], right[i], residual[i]
        for j in range(rank):
            out[a, j] += e * places[b, rank + j]
            out[b, j] -= e * places[a, rank + j]
            out[b, rank + j] += e * places[a, j]
            out[a, rank + j] -= e * places[b, j]
