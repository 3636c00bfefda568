"""Predictions for users whose factors are known up to a Gaussian."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit

__all__ = ["placed_logits", "placed_proba"]

BLOCK_ROWS = 16_384


def placed_logits(
    table: Float[np.ndarray, "items columns"],
    offset: Float[np.ndarray, "pairs columns"],
    left: Int[np.ndarray, " pairs"],
    right: Int[np.ndarray, " pairs"],
    user: Int[np.ndarray, " pairs"],
    mean: Float[np.ndarray, "users groups factors"],
    covariance: Float[np.ndarray, "users groups factors factors"],
    *,
    moderate: bool = True,
) -> Float[np.ndarray, "pairs groups"]:
    """Logits of each row under each group, for the row's user.

    With `moderate`, mean logits m of variance v are shrunk to m / sqrt(1 + pi v / 8), whose sigmoid is within .02 of
    the sigmoid averaged over the posterior (MacKay 1992).

    Parameters
    ----------
    table, offset : arrays
        Base scores of the groups, then loadings, of items and of the covariates of each row.
    """
    n_groups = mean.shape[1]
    out = np.empty((len(left), n_groups))
    for start in range(0, len(left), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        difference = table[left[rows]] - table[right[rows]] + offset[rows]
        z, x = difference[:, :n_groups], difference[:, n_groups:]
        at = user[rows]
        out[rows] = z + np.einsum("ij,ikj->ik", x, mean[at])
        if moderate and x.shape[1]:
            variance = np.einsum("ij,ikjl,il->ik", x, covariance[at], x, optimize=True)
            out[rows] /= np.sqrt(1.0 + np.pi / 8.0 * variance)
    return out


def placed_proba(
    logits: Float[np.ndarray, "pairs groups"], posterior: Float[np.ndarray, "pairs groups"]
) -> Float[np.ndarray, " pairs"]:
    """P(left preferred), averaged over the groups of each row's user."""
    return np.sum(posterior * expit(logits), axis=1)
