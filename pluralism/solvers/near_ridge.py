"""Ridge systems whose matrices are near one another: one decomposition, and conjugate gradients for what differs.

Attributes that are rated on nearly the same rows have nearly the same Gram matrix A. With the eigenvectors of one of
them every other's (A + ridge I) x = b is preconditioned at any ridge and scale, so that all ridges and right-hand sides
are solved together in a few products, in the place of one factorisation for each.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve, eigh

__all__ = ["NearRidge", "ridge_by_cholesky"]

ROUNDS = 25
RESIDUAL = 1e-8


def ridge_by_cholesky(
    matrix: Float[np.ndarray, "dim dim"], b: Float[np.ndarray, "dim attributes"], ridge: float
) -> Float[np.ndarray, "dim attributes"]:
    """Solve (matrix + ridge I) x = b."""
    shifted = matrix.copy()
    shifted[np.diag_indices_from(shifted)] += ridge
    found: np.ndarray = cho_solve(cho_factor(shifted, overwrite_a=True, check_finite=False), b, check_finite=False)
    return found


class NearRidge:
    """Solves ridge systems near a reference.

    Parameters
    ----------
    reference : array of shape (dim, dim)
        Symmetric, not negative.
    """

    def __init__(self, reference: Float[np.ndarray, "dim dim"]) -> None:
        values, self.vectors = eigh(reference, check_finite=False)
        self.values = np.maximum(values, 0.0)
        self.trace = float(self.values.sum())

    def solve(
        self,
        matrix: Float[np.ndarray, "dim dim"],
        b: Float[np.ndarray, "dim attributes"],
        ridges: Float[np.ndarray, " ridges"],
    ) -> Float[np.ndarray, "dim ridges attributes"]:
        """Solve (matrix + ridge I) x = b for all ridges, which are positive; far matrices are factorised after all."""
        dim, k = b.shape
        shift = np.repeat(ridges, k)
        goal = np.tile(b, len(ridges))
        scale = float(np.trace(matrix)) / max(self.trace, 1e-300)
        weight = 1.0 / (scale * self.values[:, None] + shift)
        limit = RESIDUAL * np.maximum(np.linalg.norm(goal, axis=0), 1e-300)

        def near(r: Float[np.ndarray, "dim columns"]) -> Float[np.ndarray, "dim columns"]:
            return self.vectors @ (weight * (self.vectors.T @ r))

        x = near(goal)
        r = goal - matrix @ x - shift * x
        z = near(r)
        p, rz = z, np.sum(r * z, axis=0)
        for _ in range(ROUNDS):
            if np.all(np.linalg.norm(r, axis=0) <= limit):
                break
            ap = matrix @ p + shift * p
            step = rz / np.maximum(np.sum(p * ap, axis=0), 1e-300)
            x = x + step * p
            r = r - step * ap
            z = near(r)
            new = np.sum(r * z, axis=0)
            p, rz = z + new / np.maximum(rz, 1e-300) * p, new
        x = x.reshape(dim, len(ridges), k)
        open_ = (np.linalg.norm(r, axis=0) > limit).reshape(len(ridges), k).any(axis=1)
        for i in np.flatnonzero(open_):
            x[:, i] = ridge_by_cholesky(matrix, b, float(ridges[i]))
        return x
