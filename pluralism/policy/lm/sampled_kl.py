"""How far a policy is from its reference, by the log-probabilities of what it said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pluralism.errors import DataError

__all__ = ["MonteCarloKL", "monte_carlo_kl"]


@dataclass(frozen=True)
class MonteCarloKL:
    """KL divergence of a policy from its reference, of whole responses, in nats.

    Attributes
    ----------
    value : float
        Mean over prompts. An unbiased estimate, so it may be below 0 where the two hardly differ.
    standard_error : float
        Of `value`, from the spread over prompts; NaN for a single prompt.
    per_token : float
        The log-ratios of all responses over all their tokens.
    n_prompts, n_samples : int
        Prompts, and responses of all of them.
    """

    value: float
    standard_error: float
    per_token: float
    n_prompts: int
    n_samples: int

    def __repr__(self) -> str:
        return f"MonteCarloKL({self.value:.3f} ± {self.standard_error:.3f} nats, {self.n_samples:,} responses)"


def monte_carlo_kl(
    log_policy: ArrayLike, log_reference: ArrayLike, prompt: ArrayLike, n_tokens: ArrayLike
) -> MonteCarloKL:
    r"""Estimate :math:`E_x E_{y \sim \pi(\cdot \mid x)} [\log \pi(y \mid x) - \log p(y \mid x)]` from responses.

    Responses must be drawn from the policy itself, at temperature 1 and without cutting its tail off. Prompts count
    the same, and are what the standard error is over: responses to one prompt are not independent of it.

    Parameters
    ----------
    log_policy, log_reference : array of shape (rows,)
        Log-probabilities of each response under the policy that gave it, and under the reference.
    prompt : int array of shape (rows,)
        Which prompt each response answers.
    n_tokens : int array of shape (rows,)
        Tokens of each response, 1 or more.

    Examples
    --------
    >>> monte_carlo_kl([-1.0, -2.0], [-1.5, -2.5], [0, 1], [4, 6])
    MonteCarloKL(0.500 ± 0.000 nats, 2 responses)
    """
    policy, reference = (np.asarray(x, dtype=np.float64) for x in (log_policy, log_reference))
    codes, tokens = np.asarray(prompt), np.asarray(n_tokens)
    shape = policy.shape
    if len(shape) != 1 or not len(policy) or any(x.shape != shape for x in (reference, codes, tokens)):
        raise DataError(
            "Log-probabilities, prompts and tokens do not fit each other.", fix="Give one of each for every response."
        )
    ratio = policy - reference
    if not np.isfinite(ratio).all() or tokens.min() < 1:
        row = int(np.argmax(~np.isfinite(ratio) | (tokens < 1)))
        raise DataError(
            "A response has no finite log-probability, or no token.",
            where=f"response {row}",
            fix="Give responses that both models can say, with the token that ends them.",
        )
    means = prompt_means(ratio, codes)
    n = len(means)
    error = float(means.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return MonteCarloKL(float(means.mean()), error, float(ratio.sum() / tokens.sum()), n, len(ratio))


def prompt_means(values: Float[np.ndarray, " rows"], prompt: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " prompts"]:
    """Mean over the rows of each prompt that has any, in the order of their codes."""
    _, codes = np.unique(prompt, return_inverse=True)
    return np.bincount(codes, weights=values) / np.bincount(codes)
