"""Tests of proportions with one more trial that succeeds, as Polis uses them: defined for no votes at all."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["SUFFICIENT", "proportion_z", "two_proportions_z"]

SUFFICIENT = 1.2816
"""Quantile of the normal distribution that a statistic must exceed: 90 % one-sided."""


def proportion_z(
    successes: Float[np.ndarray, "*shape"], trials: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Statistic of whether the proportion is above one half: 2 sqrt(n + 1) ((s + 1) / (n + 1) - 1/2)."""
    return 2 * np.sqrt(trials + 1) * ((successes + 1) / (trials + 1) - 0.5)


def two_proportions_z(
    successes: Float[np.ndarray, "*shape"],
    trials: Float[np.ndarray, "*shape"],
    other_successes: Float[np.ndarray, "*shape"],
    other_trials: Float[np.ndarray, "*shape"],
) -> Float[np.ndarray, "*shape"]:
    """Statistic of whether one proportion is above another, pooled, with 1 added to all counts; 0 if all succeed."""
    s, n, t, m = successes + 1, trials + 1, other_successes + 1, other_trials + 1
    pooled = (s + t) / (n + m)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled), 0.0) * (1 / n + 1 / m))
    return np.divide(s / n - t / m, spread, out=np.zeros_like(spread), where=spread > 0)
