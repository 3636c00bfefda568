"""How readily each person calls a tie (Davidson 1970 with a parameter for each person).

Given that a decision goes left with probability p, Davidson's model says P(tie) = sigmoid(a + log(p (1 - p)) / 2) with
a = log nu, so that people differ by one number, a_u ~ N(mean, sd^2). Decisions do not depend on it, so it is fitted
after them, by EM with each person's posterior taken as Gaussian at its mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit

__all__ = ["TiePropensity", "fit_tie_propensity", "place_tie_propensity", "tie_offset"]

MAX_ITER = 500
TOL = 1e-7
LEAST_SD = 0.05


@dataclass(frozen=True)
class TiePropensity:
    """The population's mean and standard deviation of log nu, and each person's posterior mean and variance."""

    mean: float
    sd: float
    user_mean: Float[np.ndarray, " users"]
    user_variance: Float[np.ndarray, " users"]


def tie_offset(p: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
    """Log odds of a tie at a propensity of 0, given P(left) of a decision."""
    return 0.5 * np.log(np.clip(p * (1.0 - p), 1e-12, 0.25))


def fit_tie_propensity(
    user: Int[np.ndarray, " pairs"],
    tied: Bool[np.ndarray, " pairs"],
    offset: Float[np.ndarray, " pairs"],
    weight: Float[np.ndarray, " pairs"],
    n_users: int,
) -> TiePropensity:
    """Fit the population's distribution.

    Parameters
    ----------
    user : int array of shape (pairs,)
        Sorted.
    offset : float array of shape (pairs,)
        From `tie_offset`.
    """
    start = np.searchsorted(user, np.arange(n_users + 1))
    seen = np.bincount(user, weight, n_users) > 0
    share = (float(weight @ tied) + 0.5) / (float(weight.sum()) + 1.0)
    mean, sd = float(np.log(share / (1.0 - share)) - np.average(offset, weights=weight)), 1.0
    for _ in range(MAX_ITER):
        m, v = _modes(start, tied.astype(np.float64), offset, weight, mean, sd)
        new_mean = float(m[seen].mean())
        new_sd = max(float(np.sqrt(np.mean(v[seen] + (m[seen] - new_mean) ** 2))), LEAST_SD)
        moved = abs(new_mean - mean) + abs(new_sd - sd)
        mean, sd = new_mean, new_sd
        if moved < TOL:
            break
    m, v = _modes(start, tied.astype(np.float64), offset, weight, mean, sd)
    return TiePropensity(mean, sd, m, v)


def place_tie_propensity(
    user: Int[np.ndarray, " pairs"],
    tied: Bool[np.ndarray, " pairs"],
    offset: Float[np.ndarray, " pairs"],
    weight: Float[np.ndarray, " pairs"],
    n_users: int,
    mean: float,
    sd: float,
) -> tuple[Float[np.ndarray, " users"], Float[np.ndarray, " users"]]:
    """Posterior mean and variance of each person's propensity, given the population's; rows sorted by user."""
    start = np.searchsorted(user, np.arange(n_users + 1))
    return _modes(start, tied.astype(np.float64), offset, weight, mean, sd)


@njit(cache=True, error_model="numpy")
def _modes(start, tied, offset, weight, mean, sd):
    """Mode of each person's posterior by Newton's method (concave, one dimension), and the inverse curvature there."""
    n_users = len(start) - 1
    mode, variance = np.empty(n_users), np.empty(n_users)
    for u in range(n_users):
        a = mean
        bend = 1.0 / sd**2
        for _ in range(100):
            slope, bend = -(a - mean) / sd**2, 1.0 / sd**2
            for i in range(start[u], start[u + 1]):
                p = 1.0 / (1.0 + np.exp(-(a + offset[i])))
                slope += weight[i] * (tied[i] - p)
                bend += weight[i] * p * (1.0 - p)
            step = min(max(slope / bend, -2.0), 2.0)
            a += step
            if abs(step) < 1e-10:
                break
        mode[u], variance[u] = a, 1.0 / bend
    return mode, variance
