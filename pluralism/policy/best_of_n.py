"""Best-of-n and worst-of-n as policies, exactly, and what samples say of the best of n."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.errors import DataError, UsageError
from pluralism.models.settings import is_whole
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import weighted_reward
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.best_of_n import (
    best_of_n_kl_bound,
    best_of_n_policy,
    best_of_n_win_rate_bound,
    expected_best_of_n,
    worst_of_n_policy,
)

__all__ = ["best_of_n", "check_n", "estimate_best_of_n", "worst_of_n"]


def best_of_n(utilities: Utilities, n: float, *, weights: ArrayLike | None = None) -> FinitePolicy:
    r"""The policy that draws n candidates from the reference and keeps the best.

    A level of equal reward has the mass :math:`F_i^n - F_{i-1}^n`, F being the reference's mass up to it, shared inside
    the level as by the reference (ties are broken at random). The KL from the reference is at most
    :math:`\log n - (n-1)/n`, and the win rate against it at most :math:`n/(n+1)`, both reached where no candidate has
    mass of its own [1]_; on few candidates both bounds are loose, and the policy's own `kl` is exact.

    Parameters
    ----------
    utilities : Utilities
    n : float
        At least 1; between whole numbers the same formula holds.
    weights : array of shape (groups,), optional
        Weights of the groups in the reward; left out, their shares.

    References
    ----------
    .. [1] A. Beirami et al., "Theoretical guarantees on the best-of-n alignment policy", arXiv:2401.01879.

    Examples
    --------
    >>> policy = best_of_n(Utilities.from_matrix([[0.0, 1.0, 1.0, 2.0]], unit="gain"), 2)
    >>> policy.probs
    array([[0.0625, 0.25  , 0.25  , 0.4375]])
    """
    n = check_n(n)
    log_probs = best_of_n_policy(weighted_reward(utilities, weights), utilities.log_reference, n)
    note = f"KL is at most {best_of_n_kl_bound(n):.3g}, the win rate at most {best_of_n_win_rate_bound(n):.3g}."
    return FinitePolicy(log_probs, utilities, f"best-of-{n:g}", notes=(note,))


def worst_of_n(utilities: Utilities, n: float, *, weights: ArrayLike | None = None) -> FinitePolicy:
    """The policy that draws n candidates and keeps the worst, as an adversary would who may ask n times.

    Parameters
    ----------
    utilities, n, weights
        As in `best_of_n`.
    """
    n = check_n(n)
    log_probs = worst_of_n_policy(weighted_reward(utilities, weights), utilities.log_reference, n)
    return FinitePolicy(log_probs, utilities, f"worst-of-{n:g}")


def estimate_best_of_n(rewards: ArrayLike, n: int) -> Float[np.ndarray, " prompts"]:
    r"""Unbiased estimate of the expected best reward of n draws, from M >= n draws of each prompt.

    :math:`\sum_i r_{(i)} \binom{i-1}{n-1} / \binom{M}{n}`, the mean of the maximum over all sets of n of the M draws.
    The maximum of the first n draws has the same mean and more noise; that under the empirical distribution
    (`best_of_n` with the draws as candidates) draws with replacement, and is biased downwards. For the expected worst,
    turn the sign of the rewards and of the result.

    Parameters
    ----------
    rewards : array of shape (draws,) or (prompts, draws)
        NaN where a prompt has fewer draws than others.
    n : int

    Raises
    ------
    DataError
        If a prompt has fewer than n draws.

    Examples
    --------
    >>> estimate_best_of_n([1.0, 2.0, 4.0], 2)
    array([3.33333333])
    """
    values = np.atleast_2d(np.asarray(rewards, dtype=float))
    if values.ndim != 2 or np.isinf(values).any():
        raise DataError(
            f"Rewards of shape {values.shape} are no draws of prompts, or some are infinite.",
            fix="Give finite rewards of shape (prompts, draws), NaN where there is no draw.",
        )
    if not is_whole(n):
        raise UsageError(f"n={n!r} is not possible.", fix="It is a whole number of draws, at least 1.")
    drawn = np.sum(~np.isnan(values), axis=1)
    if (drawn < n).any():
        raise DataError(
            f"{n} draws are more than there are.",
            where=f"prompt {int(np.argmin(drawn))} has {int(drawn.min())}",
            fix="Draw more, or ask for a smaller n: no estimate without bias exists.",
        )
    return expected_best_of_n(values, n)


def check_n(n: float) -> float:
    """A number of draws, at least 1."""
    if not (np.isfinite(n) and n >= 1):
        raise UsageError(f"n={n!r} is not possible.", fix="It is a finite number of draws, at least 1.")
    return float(n)
