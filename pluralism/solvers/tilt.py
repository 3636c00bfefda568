"""The KL-regularised optimum on finite candidates: the reference tilted by exponentials of a reward."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["log_partition", "tilt"]


def tilt(
    reward: Float[np.ndarray, "prompts candidates"],
    log_reference: Float[np.ndarray, "prompts candidates"],
    beta: float | Float[np.ndarray, "prompts 1"],
) -> tuple[Float[np.ndarray, "prompts candidates"], Float[np.ndarray, " prompts"]]:
    """Log-probabilities of q proportional to p exp(r / beta), and the optimal values beta log Z.

    Parameters
    ----------
    reward : array of shape (prompts, candidates)
        Finite; what stands in place of absent candidates does not matter.
    log_reference : array of shape (prompts, candidates)
        -inf for absent candidates.
    beta : float or array of shape (prompts, 1)
        0 restricts the reference to the candidates of the highest reward; inf leaves it as it is.

    Returns
    -------
    log_probs : array of shape (prompts, candidates)
    value : array of shape (prompts,)
        max_q E_q r - beta KL(q || p).
    """
    there = np.isfinite(log_reference)
    best = np.where(there, reward, -np.inf).max(axis=1, keepdims=True)
    below = np.where(there, reward - best, -np.inf)
    beta = np.asarray(beta, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = np.where(below == 0, 0.0, below / beta)
    scaled = np.where(there, scaled, -np.inf)
    log_z = log_partition(scaled, log_reference)
    mean = np.sum(np.where(there, np.exp(np.where(there, log_reference, 0.0)) * reward, 0.0), axis=1)
    cost = np.where(np.isinf(beta), 0.0, beta)
    value = np.where(np.isinf(beta).reshape(-1), mean, best[:, 0] + cost.reshape(-1) * log_z)
    with np.errstate(invalid="ignore"):
        log_probs = np.where(there, log_reference + scaled - log_z[:, None], -np.inf)
    return log_probs, value


def log_partition(
    scaled: Float[np.ndarray, "prompts candidates"], log_reference: Float[np.ndarray, "prompts candidates"]
) -> Float[np.ndarray, " prompts"]:
    """Log sum_y p(y) exp(s(y)) for each prompt, exact to rounding also where all s are close to 0."""
    with np.errstate(invalid="ignore"):
        exponent = np.where(np.isneginf(log_reference) | np.isneginf(scaled), -np.inf, scaled + log_reference)
    top = exponent.max(axis=1, keepdims=True)
    p, there = np.exp(log_reference), np.isfinite(log_reference)
    away = np.where(there, p * np.expm1(np.where(there, np.minimum(scaled, 1.0), 0.0)), 0.0).sum(axis=1)
    near = np.where(there, np.abs(scaled), 0.0).max(axis=1) < 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(near, np.log1p(away / p.sum(axis=1)), top[:, 0] + np.log(np.exp(exponent - top).sum(axis=1)))
