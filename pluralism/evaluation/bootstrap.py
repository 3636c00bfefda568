"""Bootstrap over users: whole users are drawn again, for the answers of one person are not independent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

__all__ = ["interval", "ratio", "resample_users", "weighted_quantile"]

BLOCK_CELLS = 1 << 22


def resample_users(n_users: int, n_draws: int, rng: np.random.Generator) -> Iterator[Float[np.ndarray, "draws users"]]:
    """Blocks of how often each user is drawn, in samples of `n_users` users with replacement."""
    block = max(1, BLOCK_CELLS // max(n_users, 1))
    for start in range(0, n_draws, block):
        rows = min(block, n_draws - start)
        cells = rng.integers(0, n_users, size=(rows, n_users)) + n_users * np.arange(rows)[:, None]
        yield np.bincount(cells.ravel(), minlength=rows * n_users).reshape(rows, n_users).astype(np.float64)


def weighted_quantile(
    values: Float[np.ndarray, " users"], counts: Float[np.ndarray, "draws users"], share: float
) -> Float[np.ndarray, " draws"]:
    """Smallest value that at least `share` of the counted users do not exceed; NaN where no user is counted."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(counts[:, order], axis=1)
    total = cumulated[:, -1]
    position = np.argmax(cumulated >= share * total[:, None] - 1e-9, axis=1)
    return np.where(total > 0, values[order][position], np.nan)


def interval(draws: Float[np.ndarray, " draws"], level: float) -> tuple[float, float]:
    """Percentile interval; draws that are NaN (nothing to score in them) are left out, NaN if none is left."""
    draws = draws[~np.isnan(draws)]
    if len(draws) == 0:
        return np.nan, np.nan
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def ratio(over: Float[np.ndarray, "*shape"], under: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Quotient that is NaN where the denominator is 0."""
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under > 0)
