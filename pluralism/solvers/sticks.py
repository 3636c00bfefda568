"""Stick-breaking weights of groups and their variational posterior.

v_k ~ Beta(1, a), pi_k = v_k prod_{j<k} (1 - v_j), and the last of T sticks takes what is left (Blei & Jordan 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import betaln, digamma

__all__ = ["Sticks"]


@dataclass(frozen=True)
class Sticks:
    """q(v) = prod_k Beta(first_k, second_k) over all sticks but the last, which is 1.

    Parameters
    ----------
    first, second : float arrays of shape (groups - 1,)
    concentration : float
        a of the prior: the expected number of groups grows with it.
    """

    first: Float[np.ndarray, " sticks"]
    second: Float[np.ndarray, " sticks"]
    concentration: float

    @classmethod
    def of_counts(cls, counts: Float[np.ndarray, " groups"], concentration: float) -> Sticks:
        """The best q(v) for expected numbers of users."""
        after = np.cumsum(counts[::-1])[::-1]
        return cls(1.0 + counts[:-1], concentration + after[1:], concentration)

    def expected_log_weights(self) -> Float[np.ndarray, " groups"]:
        """E log pi_k."""
        both = digamma(self.first + self.second)
        taken = np.append(digamma(self.first) - both, 0.0)
        left = np.cumsum(np.append(0.0, digamma(self.second) - both))
        return taken + left

    def expected_weights(self) -> Float[np.ndarray, " groups"]:
        """E pi_k; they sum to 1."""
        share = self.first / (self.first + self.second)
        return np.append(share, 1.0) * np.cumprod(np.append(1.0, 1.0 - share))

    def divergence(self) -> float:
        """Kullback-Leibler divergence from the prior, in nats."""
        a, b, c = self.first, self.second, self.concentration
        terms = betaln(1.0, c) - betaln(a, b) + (a - 1.0) * digamma(a) + (b - c) * digamma(b)
        return float(np.sum(terms + (1.0 + c - a - b) * digamma(a + b)))

    def draws(self, n: int, rng: np.random.Generator) -> Float[np.ndarray, "draws groups"]:
        """Group weights drawn from q."""
        v = np.hstack([rng.beta(self.first, self.second, size=(n, len(self.first))), np.ones((n, 1))])
        return v * np.cumprod(np.hstack([np.ones((n, 1)), 1.0 - v[:, :-1]]), axis=1)
