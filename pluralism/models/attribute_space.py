"""From predicted attributes to the coordinates in which directions live: decorrelated, and in units that compare."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

__all__ = ["attribute_space", "decorrelation"]

MOST_ROWS = 5000
FLOOR = 1e-6


def attribute_space(
    values: Float[np.ndarray, "items attributes"],
    *,
    against: int | None = None,
    by: str = "spearman",
    whiten: bool = False,
) -> tuple[Float[np.ndarray, " attributes"], Float[np.ndarray, "attributes attributes"]]:
    """Mean m and matrix A such that coordinates are A (value - m).

    First each attribute but `against` loses its multiple of `against` (`decorrelation`), then coordinates are divided
    by their standard deviations or, with `whiten`, by the symmetric square root of their covariance. An attribute
    that does not vary has the coordinate 0.
    """
    k = values.shape[1]
    mean = values.mean(axis=0)
    centred = values - mean
    remove = np.eye(k)
    if against is not None:
        for j in range(k):
            if j != against:
                remove[j, against] = -decorrelation(centred[:, j], centred[:, against], by)
    covariance = np.atleast_2d(np.cov(centred @ remove.T, rowvar=False, bias=True))
    variance = np.diag(covariance)
    alive = variance > 1e-12 * max(float(variance.max()), 1e-300)
    if whiten:
        scale = np.where(alive, 1.0 / np.sqrt(np.where(alive, variance, 1.0)), 0.0)
        eigenvalue, vector = np.linalg.eigh(covariance * np.outer(scale, scale))
        kept = eigenvalue > FLOOR * max(float(eigenvalue.max()), 1e-300)
        root = np.where(kept, 1.0 / np.sqrt(np.where(kept, eigenvalue, 1.0)), 0.0)
        return mean, (vector * root) @ vector.T @ (scale[:, None] * remove)
    return mean, np.where(alive, 1.0 / np.sqrt(np.where(alive, variance, 1.0)), 0.0)[:, None] * remove


def decorrelation(
    value: Float[np.ndarray, " items"], against: Float[np.ndarray, " items"], by: str = "spearman"
) -> float:
    """The multiple p, of either sign, at which value - p against is uncorrelated with `against`.

    "linear": the regression coefficient. "spearman": where the rank correlation, which falls in p, crosses 0, found
    by bisection (on 5,000 evenly spaced items where there are more). 0 where `against` does not vary.
    """
    value, against = value - value.mean(), against - against.mean()
    spread = float(against @ against)
    if spread <= 1e-300 or float(value @ value) <= 1e-300:
        return 0.0
    slope = float(value @ against) / spread
    if by == "linear":
        return slope
    rows = np.linspace(0, len(value) - 1, min(len(value), MOST_ROWS)).astype(np.int64)
    x, y = value[rows], against[rows]
    ranks = rankdata(y) - (len(y) + 1) / 2

    def correlation(p: float) -> float:
        left = rankdata(x - p * y) - (len(x) + 1) / 2
        return float(left @ ranks)

    step = max(abs(slope), float(np.sqrt((x @ x) / max(float(y @ y), 1e-300))))
    low, high = slope - step, slope + step
    for _ in range(40):
        if correlation(low) >= 0:
            break
        low -= step
        step *= 2
    for _ in range(40):
        if correlation(high) <= 0:
            break
        high += step
        step *= 2
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if correlation(middle) > 0 else (low, middle)
    return 0.5 * (low + high)
