"""The weights of a reward that is linear in features, read off the reward itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

__all__ = ["affine_readout"]

_CHECKS = 16
_TOLERANCE = 1e-4


def affine_readout(
    read: Callable[[np.ndarray], np.ndarray], dim: int
) -> tuple[Float64[np.ndarray, "columns dim"], Float64[np.ndarray, " columns"]] | None:
    """Weights and constant of a function of features, or None if it is not affine.

    Parameters
    ----------
    read : callable
        From features of shape (rows, dim) to values of shape (rows, columns).
    dim : int
    """
    generator = np.random.default_rng(0)
    # A point and one step from it along each axis, so that no row is zero.
    start = np.full(dim, 0.5)
    base = np.vstack([start, start + np.eye(dim)])
    tried = generator.normal(size=(_CHECKS, dim)) / np.sqrt(dim)
    values = np.asarray(read(np.vstack([base, tried]).astype(np.float32)), dtype=np.float64)
    weights = (values[1 : dim + 1] - values[0]).T
    constant = values[0] - weights @ start
    expected = tried.astype(np.float32) @ weights.T + constant
    size = np.abs(values[dim + 1 :] - constant).max() or 1.0
    return (weights, constant) if np.abs(values[dim + 1 :] - expected).max() <= _TOLERANCE * size else None
