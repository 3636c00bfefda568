"""Intervals from resamples: of shares by what resamples say they are worth, of estimates by the deviation of draws."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from pluralism.errors import UsageError

__all__ = ["check_level", "normal_interval", "percentiles", "share_interval"]

# Draws that differ by rounding alone are the same.
ROUNDING = 1e-12


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
    """Wilson's interval for as many independent verdicts as resamples say that a share is worth; NaN without draws.

    That is value (1 - value) over the variance of the draws; where these are all the same, as for a share of 0 or 1, it
    is `mass`. So clusters count as what they are, and a share of few verdicts is not sure because it is extreme.

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
    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927. With effective
    numbers: N. Dean, M. Pagano, Evaluating confidence interval methods for binomial proportions in clustered surveys,
    Journal of Survey Statistics and Methodology 3, 2015.

    Examples
    --------
    >>> share_interval(np.array([0.0]), np.array([20.0]), np.zeros((100, 1)), 0.95).round(3).tolist()
    [[0.0, 0.161]]
    """
    if not len(draws):
        return np.full((*value.shape, 2), np.nan)
    variance, own = _variance(draws), np.maximum(value * (1.0 - value), 0.0)
    varies = (variance > ROUNDING) & (own > ROUNDING)
    n = np.divide(own, variance, out=np.where(mass > 0, mass, 1.0), where=varies)
    z = ndtri(0.5 + level / 2.0)
    centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(own / n + z**2 / (4 * n**2))
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
    return np.stack([np.where(value <= 0, 0.0, low), np.where(value >= 1, 1.0, high)], axis=-1)


def _variance(draws: Float[np.ndarray, draws * shape]) -> Float[np.ndarray, "*shape"]:
    """Variance over the draws that have a value; 0 with fewer than two."""
    known = ~np.isnan(draws)
    count = known.sum(axis=0)
    filled = np.where(known, draws, 0.0)
    mean = filled.sum(axis=0) / np.maximum(count, 1)
    return np.where(known, (filled - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)


def normal_interval(
    value: Float[np.ndarray, "*shape"], draws: Float[np.ndarray, draws * shape], level: float
) -> Float[np.ndarray, "*shape two"]:
    """So many standard deviations of the draws to either side of the value; NaN without at least two draws."""
    count = (~np.isnan(draws)).sum(axis=0)
    wide = np.where(count > 1, np.sqrt(_variance(draws)) * ndtri(0.5 + level / 2.0), np.nan)
    return np.stack([value - wide, value + wide], axis=-1)
