"""Distributions over candidates as log-probabilities: normalising, KL, means and variances, for all prompts at once.

Arrays are (prompts, candidates); a candidate that a prompt does not have has log-probability minus infinity, and
whatever value it has is never read.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["expectation", "kl_divergence", "log_normalise", "variance"]

Matrix = Float[np.ndarray, "prompts candidates"]
Vector = Float[np.ndarray, " prompts"]


def log_normalise(log_weights: Matrix) -> Matrix:
    """Log-probabilities in proportion to the weights of each prompt, of which one at least is not 0."""
    shifted = log_weights - log_weights.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def kl_divergence(log_policy: Matrix, log_reference: Matrix) -> Vector:
    """KL(policy || reference) of each prompt in nats; infinite where the policy leaves the reference's support."""
    q = np.exp(log_policy)
    with np.errstate(invalid="ignore"):
        ratio = np.where(q > 0, log_policy - log_reference, 0.0)
    # with p - q the summands are not negative, so nothing cancels between them; near 0 nothing cancels within them
    p = np.exp(log_reference)
    small = np.clip(ratio, -0.5, 0.5)
    inner = np.where(small == ratio, p * (small * np.exp(small) - np.expm1(small)), q * ratio + (p - q))
    return np.maximum(np.sum(np.where(q > 0, inner, p), axis=1), 0.0)


def expectation(log_policy: Matrix, values: Matrix) -> Vector:
    """Mean of the values under the policy, for each prompt."""
    return np.sum(np.exp(log_policy) * np.where(log_policy > -np.inf, values, 0.0), axis=1)


def variance(log_policy: Matrix, values: Matrix) -> Vector:
    """Variance of the values under the policy, for each prompt."""
    centred = values - expectation(log_policy, values)[:, None]
    return expectation(log_policy, centred**2)
