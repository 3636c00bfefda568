"""The KL-regularised optimum of a weighted mean of the groups' utilities."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.errors import UsageError
from pluralism.policy.certificate import Certificate
from pluralism.policy.finite_policy import FinitePolicy, kl_divergence
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.tilt import tilt

__all__ = ["check_beta", "kl_optimal", "weighted_reward"]


def kl_optimal(utilities: Utilities, *, beta: float, weights: ArrayLike | None = None) -> FinitePolicy:
    r"""The policy that maximises :math:`E_q \sum_k w_k r_k - \beta\,\mathrm{KL}(q \,\|\, p)`.

    It is :math:`q(y) \propto p(y) \exp(\sum_k w_k r_k(y) / \beta)`, of value :math:`\beta \log Z` [1]_.

    Parameters
    ----------
    utilities : Utilities
    beta : float
        Price of a nat of KL, in units of utility; 0 chooses among the best candidates, as the reference does.
    weights : array of shape (groups,), optional
        Weights of the groups, of either sign; left out, their shares.

    References
    ----------
    .. [1] J. Q. Yang et al., "Asymptotics of language model alignment", arXiv:2404.01730.
    """
    beta = check_beta(beta)
    reward = weighted_reward(utilities, weights)
    log_probs, value = tilt(reward, utilities.log_reference, beta)
    reached = np.sum(np.exp(log_probs) * reward, axis=1) - beta * kl_divergence(log_probs, utilities.log_reference)
    mean = np.array([utilities.prompt_weights @ reached]), np.array([utilities.prompt_weights @ value])
    certificate = Certificate("max E_q w.r - beta KL(q||p)", *mean)
    return FinitePolicy(log_probs, utilities, f"kl-optimal, beta={beta:g}", certificate)


def weighted_reward(utilities: Utilities, weights: ArrayLike | None) -> Float[np.ndarray, "prompts candidates"]:
    """One reward: the groups' utilities in a weighted sum, by default with their shares; weights may be negative."""
    w = utilities.shares if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (utilities.n_groups,) or not np.isfinite(w).all():
        raise UsageError(f"weights are {utilities.n_groups} finite numbers.", fix="Give one for each group.")
    return utilities.values @ w


def check_beta(beta: float, *, positive: bool = False) -> float:
    """A finite price of KL, at least 0 (or above 0)."""
    if not np.isfinite(beta) or beta < 0 or (positive and beta == 0):
        raise UsageError(
            f"beta={beta!r} is not possible.",
            fix=f"It is a finite price of KL, {'above' if positive else 'at least'} 0.",
        )
    return float(beta)
