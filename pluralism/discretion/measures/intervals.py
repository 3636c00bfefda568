"""Intervals from resamples: of shares by percentiles, of estimates with nearly normal draws by their deviation.

Resamples of a share that is 0 or 1 are all the same, so intervals of shares are never narrower than Wilson's.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from pluralism.errors import UsageError

__all__ = ["check_level", "normal_interval", "percentiles", "share_interval"]


def check_level(level: float, n_bootstrap: int) -> None:
    """Refuse a level outside (0, 1) and a number of draws below 0."""
    if not 0 < level < 1 or n_bootstrap < 0:
        raise UsageError(
            f"level={level!r}, n_bootstrap={n_bootstrap!r} are not possible.", fix="Use 0.95 and 1000, say."
        )


def percentiles(draws: Float[np.ndarray, draws * shape], level: float) -> Float[np.ndarray, "*shape two"]:
    """Percentile interval over the first axis; NaN where no draw has a value."""
    out = np.full((*draws.shape[1:], 2), np.nan)
    known = ~np.isnan(draws).all(axis=0) if len(draws) else np.zeros(draws.shape[1:], dtype=bool)
    if known.any():
        tail = (1.0 - level) / 2.0
        out[known] = np.moveaxis(np.nanquantile(draws[:, known], [tail, 1.0 - tail], axis=0), 0, -1)
    return out


def share_interval(
    value: Float[np.ndarray, "*shape"],
    mass: Float[np.ndarray, "*shape"],
    draws: Float[np.ndarray, draws * shape],
    level: float,
) -> Float[np.ndarray, "*shape two"]:
    """Interval of shares: percentiles of the draws, and at least Wilson's interval; NaN without draws.

    Parameters
    ----------
    value : array
        Shares in [0, 1]; NaN where there are none.
    mass : array
        How many verdicts a share is of.
    draws : array of shape (draws, ...)
        Shares in resamples.
    level : float

    References
    ----------
    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.

    Examples
    --------
    >>> share_interval(np.array([0.0]), np.array([20.0]), np.zeros((100, 1)), 0.95).round(3).tolist()
    [[0.0, 0.161]]
    """
    if not len(draws):
        return np.full((*value.shape, 2), np.nan)
    span = percentiles(draws, level)
    z = ndtri(0.5 + level / 2.0)
    n = np.where(mass > 0, mass, 1.0)
    centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(np.maximum(value * (1 - value), 0.0) / n + z**2 / (4 * n**2))
    # a share of few verdicts may be in none of the draws
    low = np.fmin(span[..., 0], np.maximum(centre - half, 0.0))
    high = np.fmax(span[..., 1], np.minimum(centre + half, 1.0))
    return np.stack([np.where(value <= 0, 0.0, low), np.where(value >= 1, 1.0, high)], axis=-1)


def normal_interval(
    value: Float[np.ndarray, "*shape"], draws: Float[np.ndarray, draws * shape], level: float
) -> Float[np.ndarray, "*shape two"]:
    """So many standard deviations of the draws to either side of the value; NaN without at least two draws."""
    known = ~np.isnan(draws)
    count = known.sum(axis=0)
    filled = np.where(known, draws, 0.0)
    mean = filled.sum(axis=0) / np.maximum(count, 1)
    variance = np.where(known, (filled - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    wide = np.where(count > 1, np.sqrt(variance) * ndtri(0.5 + level / 2.0), np.nan)
    return np.stack([value - wide, value + wide], axis=-1)
