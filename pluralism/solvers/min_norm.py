"""The point of least norm in the convex hull of some gradients: an exact active-set method with a certificate.

P. Wolfe, Finding the nearest point in a polytope, Mathematical Programming 11 (1976), on the Gram matrix alone. A point
lambda of the simplex is optimal iff (M lambda)_i >= lambda' M lambda for all i; the residual is the largest violation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError

__all__ = ["MinNorm", "frank_wolfe", "min_norm"]

Weights = Float[np.ndarray, " sources"]
PRECISION = 1e-13


@dataclass(frozen=True)
class MinNorm:
    """Weights on the simplex, the squared norm they reach, and the certificate.

    Attributes
    ----------
    weights : array of shape (sources,)
    value : float
        weights' M weights.
    residual : float
        value - min_i (M weights)_i, at least 0 up to rounding and 0 at the optimum: a bound on the squared distance of
        the point found from the true one.
    n_iter : int
    """

    weights: Weights
    value: float
    residual: float
    n_iter: int


def min_norm(gram: Float[np.ndarray, "sources sources"]) -> MinNorm:
    """Minimise lambda' M lambda over the simplex.

    Parameters
    ----------
    gram : array of shape (sources, sources)
        Inner products of the gradients: symmetric, positive semi-definite.

    Raises
    ------
    UsageError
        If the matrix is not square, finite and symmetric.

    Examples
    --------
    >>> found = min_norm(np.diag([1.0, 2.0, 4.0]))
    >>> [round(float(w), 4) for w in found.weights]
    [0.5714, 0.2857, 0.1429]
    """
    m = np.asarray(gram, float)
    if m.ndim != 2 or m.shape[0] != m.shape[1] or not np.isfinite(m).all() or not np.allclose(m, m.T, atol=1e-8):
        raise UsageError("A Gram matrix is square, symmetric and finite.", fix="Pass G @ G.T of the gradients G.")
    k = len(m)
    scale = max(float(np.diag(m).max()), 1e-300)
    m = m / scale
    active = [int(np.argmin(np.diag(m)))]
    weights = np.zeros(k)
    weights[active[0]] = 1.0
    n_iter = 0
    for _ in range(20 * k + 20):
        n_iter += 1
        along = m @ weights
        value = float(weights @ along)
        j = int(np.argmin(along))
        if value - along[j] <= PRECISION or j in active:
            break
        active.append(j)
        while True:
            target = _affine(m[np.ix_(active, active)])
            if np.all(target > PRECISION):
                weights[:] = 0.0
                weights[active] = target
                break
            here = weights[active]
            falling = target <= PRECISION
            step = float(np.min(here[falling] / np.maximum(here[falling] - target[falling], 1e-300)))
            here = np.maximum((1.0 - step) * here + step * target, 0.0)
            here[falling & (here <= 10 * PRECISION)] = 0.0
            if np.all(here > 0):
                here[int(np.argmin(np.where(falling, here, np.inf)))] = 0.0
            weights[:] = 0.0
            weights[active] = here / here.sum()
            active = [i for i in active if weights[i] > 0]
    along = m @ weights
    value = float(weights @ along)
    return MinNorm(weights, value * scale, (value - float(along.min())) * scale, n_iter)


def _affine(m: Float[np.ndarray, "active active"]) -> Float[np.ndarray, " active"]:
    """Least norm over the affine hull: M a = mu 1, sum a = 1."""
    n = len(m)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n], system[:n, n], system[n, :n] = m, 1.0, 1.0
    right = np.zeros(n + 1)
    right[n] = 1.0
    return np.linalg.lstsq(system, right, rcond=1e-14)[0][:n]


def frank_wolfe(gram: Float[np.ndarray, "sources sources"], *, max_iter: int = 1000, tol: float = 1e-5) -> Weights:
    """The published approximation: from the best pair, exact line searches towards one source at a time.

    Stops when the weights move by less than `tol` in total, which is no statement about the optimum.
    """
    k = len(gram)
    if k == 1:
        return np.ones(1)
    best, weights = np.inf, np.full(k, 1.0 / k)
    for i in range(k):
        for j in range(i):
            share, value = _pair(gram[i, i], gram[i, j], gram[j, j])
            if value < best:
                best, weights = value, np.zeros(k)
                weights[i], weights[j] = share, 1.0 - share
    for _ in range(max_iter):
        along = gram @ weights
        t = int(np.argmin(along))
        share, _ = _pair(float(weights @ along), float(along[t]), float(gram[t, t]))
        new = share * weights
        new[t] += 1.0 - share
        moved = float(np.abs(new - weights).sum())
        weights = new
        if moved < tol:
            break
    return weights


def _pair(aa: float, ab: float, bb: float) -> tuple[float, float]:
    """Share of a in the point of least norm between two vectors, clipped as published, and its squared norm."""
    if ab >= aa:
        return 0.999, aa
    if ab >= bb:
        return 0.001, bb
    share = (bb - ab) / (aa + bb - 2.0 * ab)
    return share, bb + share * (ab - bb)
