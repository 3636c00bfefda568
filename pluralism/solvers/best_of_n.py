"""Best-of-n and worst-of-n of a distribution over reward levels, exactly, and estimators of the best of n samples."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

from pluralism.solvers.reward_levels import log_cdf, log_one_minus_exp, reward_levels

__all__ = [
    "best_of_n_kl_bound",
    "best_of_n_levels",
    "best_of_n_policy",
    "best_of_n_win_rate_bound",
    "expected_best_of_n",
    "worst_of_n_levels",
    "worst_of_n_policy",
]

Matrix = Float[np.ndarray, "prompts candidates"]
Levels = Float[np.ndarray, "prompts levels"]
UNDERFLOW = -700.0


def best_of_n_levels(log_mass: Levels, n: float) -> Levels:
    r"""Log-mass of each level under the best of n draws, :math:`F_i^n - F_{i-1}^n`.

    Written as :math:`F_i^n [1 - (1 - p_i / F_i)^n]`, which subtracts nothing nearly equal.

    Parameters
    ----------
    log_mass : array of shape (prompts, levels)
        In ascending order of reward; levels of no mass are allowed.
    n : float
        At least 1; the formula holds for any real n.
    """
    upto = log_cdf(log_mass)
    with np.errstate(invalid="ignore"):
        share = np.where(log_mass > -np.inf, np.minimum(log_mass - upto, 0.0), -np.inf)
        gained = log_one_minus_exp(n * log_one_minus_exp(share))
        # the share of a level whose probability is below the smallest number: its first order is exact
        gained = np.where(share < UNDERFLOW, np.log(n) + share, gained)
        return np.where(log_mass > -np.inf, n * upto + gained, -np.inf)


def worst_of_n_levels(log_mass: Levels, n: float) -> Levels:
    """Log-mass of each level under the worst of n draws: the best by the reversed order."""
    return best_of_n_levels(log_mass[:, ::-1], n)[:, ::-1]


def best_of_n_policy(reward: Matrix, log_reference: Matrix, n: float) -> Matrix:
    """Log-probabilities of the best of n draws; of equal rewards each is kept in proportion to its probability.

    Parameters
    ----------
    reward, log_reference : arrays of shape (prompts, candidates)
    n : float
        At least 1.
    """
    levels = reward_levels(reward, log_reference)
    return levels.spread(best_of_n_levels(levels.log_mass, n))


def worst_of_n_policy(reward: Matrix, log_reference: Matrix, n: float) -> Matrix:
    """Log-probabilities of the worst of n draws."""
    return best_of_n_policy(-reward, log_reference, n)


def best_of_n_kl_bound(n: float) -> float:
    """Bound log n - (n - 1) / n of KL(best-of-n || reference), met where no two rewards are equal nor have mass."""
    return float(np.log(n) - (n - 1.0) / n)


def best_of_n_win_rate_bound(n: float) -> float:
    """Bound n / (n + 1) of the chance that best-of-n beats a draw of the reference, ties half."""
    return float(n / (n + 1.0))


def expected_best_of_n(rewards: Float[np.ndarray, "prompts samples"], n: int) -> Float[np.ndarray, " prompts"]:
    r"""Unbiased estimate of E[max of n draws] from M >= n draws of each prompt.

    The mean of the maximum over all subsets of size n, :math:`\sum_i r_{(i)} \binom{i-1}{n-1} / \binom{M}{n}`.

    Parameters
    ----------
    rewards : array of shape (prompts, samples)
        NaN where a prompt has fewer draws than others.
    n : int
        At least 1 and at most the number of draws of each prompt.
    """
    ascending = np.sort(rewards, axis=1)  # NaN last
    drawn = np.sum(~np.isnan(ascending), axis=1)[:, None]
    i = np.arange(1, rewards.shape[1] + 1)
    counts = (i >= n) & (i <= drawn)
    log_weight = _log_binomial(np.maximum(i - 1, n - 1), n - 1) - _log_binomial(drawn, n)
    return np.sum(np.where(counts, np.exp(np.where(counts, log_weight, 0.0)) * ascending, 0.0), axis=1)


def _log_binomial(n: np.ndarray, k: int) -> np.ndarray:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
