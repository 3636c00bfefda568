"""Intervals from resamples: of shares by percentiles, of estimates with nearly normal draws by their deviation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from pluralism.errors import UsageError

__all__ = ["check_level", "normal_interval", "percentiles"]


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
