r"""How far a policy is from the best policy of each group, exactly, on finite candidates.

For :math:`F_u(\pi) = E_x [E_{\pi} r_u - \beta\,KL(\pi \| p)]` and its maximiser :math:`\pi^*_u`, any policy has
:math:`F_u(\pi^*_u) - F_u(\pi) = \beta\,E_x KL(\pi \| \pi^*_u)`. It takes the place of the bounds in Chakraborty et al.,
MaxMin-RLHF (ICML 2024, arXiv:2402.08925), Theorem 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.solvers.log_policies import expectation, kl_divergence
from pluralism.solvers.tilt import tilt

__all__ = ["alignment_gap"]


def alignment_gap(
    values: Float[np.ndarray, "prompts candidates groups"],
    log_reference: Float[np.ndarray, "prompts candidates"],
    log_policy: Float[np.ndarray, "prompts candidates"],
    *,
    beta: float,
    prompt_weights: Float[np.ndarray, " prompts"] | None = None,
) -> Float[np.ndarray, " groups"]:
    r"""Loss of each group's regularised objective against its own optimum, :math:`F_u(\pi^*_u) - F_u(\pi)`.

    Parameters
    ----------
    values : array of shape (prompts, candidates, groups)
        Rewards of the groups; not read where a candidate is absent.
    log_reference, log_policy : arrays of shape (prompts, candidates)
        Log-probabilities, -inf for absent candidates.
    beta : float
        Strength of the KL penalty, in units of reward a nat; at 0 the gap is the regret against the best candidate.
    prompt_weights : array of shape (prompts,), optional
        Summing to 1; equal by default.

    Returns
    -------
    array of shape (groups,)
        In units of reward, at least 0; infinite where the policy leaves the reference's support.

    Raises
    ------
    UsageError
        If beta is negative or not finite.

    Examples
    --------
    >>> values = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    >>> even = np.log([[0.5, 0.5]])
    >>> alignment_gap(values, even, even, beta=0.0)
    array([0.5, 0.5])
    >>> alignment_gap(values, even, even, beta=1.0).round(4)
    array([0.1201, 0.1201])
    """
    if not (np.isfinite(beta) and beta >= 0):
        raise UsageError(f"beta={beta} is no strength of a KL penalty.", fix="Give a finite number of at least 0.")
    weights = np.full(len(values), 1.0 / len(values)) if prompt_weights is None else prompt_weights
    gap = np.empty(values.shape[2])
    for k in range(values.shape[2]):
        reward = values[..., k]
        if beta > 0:
            loss = beta * kl_divergence(log_policy, tilt(reward, log_reference, beta)[0])
        else:
            best = np.where(log_reference > -np.inf, reward, -np.inf).max(axis=1)
            outside = np.any((log_policy > -np.inf) & np.isneginf(log_reference), axis=1)
            loss = np.where(outside, np.inf, best - expectation(log_policy, reward))
        gap[k] = weights @ loss
    return gap
