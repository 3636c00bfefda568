r"""f-divergences of a policy q from a target t, :math:`D_f = \sum_y t\,f(q/t)`, and their gradients.

The six of D. Go et al., "Aligning language models with preferences through f-divergence minimization",
arXiv:2302.08215. "Reverse" is from the policy, (q||t), as in reinforcement learning with a KL penalty; "forward" from
the target, (t||q), as in likelihood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["F_DIVERGENCES", "FDivergence", "divergence_gradient", "divergence_values", "pseudo_reward"]

Array = Float[np.ndarray, "*shape"]
Matrix = Float[np.ndarray, "prompts candidates"]


@dataclass(frozen=True)
class FDivergence:
    """One f-divergence, in terms of log a, a = q / t.

    Attributes
    ----------
    name : str
    formula : str
    f : callable
        f(a) for a <= 1.
    adjoint : callable
        f(a) / a for a >= 1, in terms of log(1/a): with this the sum has no large numbers to multiply with small ones.
    derivative : callable
        f'(a).
    curvature : float
        f''(1): near the target the divergence is half of it times the squared relative distance. 0 where f has a kink.
    """

    name: str
    formula: str
    f: Callable[[Array], Array]
    adjoint: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    curvature: float


def _a_log_a(x: Array) -> Array:
    return np.where(x > -np.inf, np.exp(x) * np.where(x > -np.inf, x, 0.0), 0.0)


def _minus_log(x: Array) -> Array:
    return -x


def _half_distance(x: Array) -> Array:
    return -0.5 * np.expm1(x)


def _jensen_shannon(x: Array) -> Array:
    # a log(2a / (a + 1)) + log(2 / (a + 1)), the same for a and 1/a
    to_middle = np.log(2.0) - np.log1p(np.exp(x))
    return _a_log_a(x) + (np.exp(x) + 1.0) * to_middle


def _squared(x: Array) -> Array:
    return np.expm1(x) ** 2


def _squared_over(x: Array) -> Array:
    # (a - 1)^2 / a; infinite at 0
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(x > -np.inf, np.expm1(x) * -np.expm1(-x), np.inf)


F_DIVERGENCES: dict[str, FDivergence] = {
    entry.name: entry
    for entry in (
        FDivergence("reverse_kl", "KL(q||t)", _a_log_a, _minus_log, lambda x: x + 1.0, 1.0),
        FDivergence("forward_kl", "KL(t||q)", _minus_log, _a_log_a, lambda x: -np.exp(-x), 1.0),
        FDivergence(
            "total_variation", "sum |q - t| / 2", _half_distance, _half_distance, lambda x: 0.5 * np.sign(x), 0.0
        ),
        FDivergence(
            "jensen_shannon",
            "KL(q||m) + KL(t||m), m = (q + t) / 2",
            _jensen_shannon,
            _jensen_shannon,
            lambda x: np.log(2.0) - np.logaddexp(0.0, -x),
            0.5,
        ),
        FDivergence("reverse_chi2", "sum (q - t)^2 / t", _squared, _squared_over, lambda x: 2.0 * np.expm1(x), 2.0),
        FDivergence("forward_chi2", "sum (q - t)^2 / q", _squared_over, _squared, lambda x: -np.expm1(-2.0 * x), 2.0),
    )
}
"""By name."""


def divergence_values(divergence: FDivergence, log_policy: Matrix, log_target: Matrix) -> Float[np.ndarray, " prompts"]:
    """D_f of each prompt; infinite where the supports differ in a way that the divergence does not allow."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        x = np.where(log_policy == log_target, 0.0, log_policy - log_target)
        below = np.where(log_target > -np.inf, np.exp(log_target) * divergence.f(np.minimum(x, 0.0)), 0.0)
        above = np.where(log_policy > -np.inf, np.exp(log_policy) * divergence.adjoint(np.minimum(-x, 0.0)), 0.0)
    return np.where(x <= 0, below, above).sum(axis=1)


def pseudo_reward(divergence: FDivergence, log_policy: Matrix, log_target: Matrix) -> Matrix:
    """-f'(q/t): what a policy gradient maximises in the place of a reward; 0 where a candidate is in neither."""
    with np.errstate(invalid="ignore", over="ignore"):
        x = log_policy - log_target
        return np.where(np.isnan(x), 0.0, -divergence.derivative(np.where(np.isnan(x), 0.0, x)))


def divergence_gradient(divergence: FDivergence, log_policy: Matrix, log_target: Matrix) -> Matrix:
    r"""Gradient of D_f by the logits of each prompt, :math:`q_j (h_j - \sum_i q_i h_i)`, :math:`h = f'(q/t)`."""
    q = np.exp(log_policy)
    h = np.where(q > 0, -pseudo_reward(divergence, log_policy, log_target), 0.0)
    return q * (h - np.sum(q * h, axis=1, keepdims=True))
