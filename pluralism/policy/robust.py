"""Between the mean and MaxMin: the worst-off share of people, and the worst mixture of groups near their shares."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pluralism.errors import UsageError
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import check_beta, kl_optimal
from pluralism.policy.saddle_policy import Scope, saddle_policy
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.weight_sets import WeightSet

__all__ = ["cvar", "robust_mean"]


def cvar(utilities: Utilities, *, alpha: float, beta: float, scope: Scope = "global") -> FinitePolicy:
    r"""The policy that maximises the mean utility of the worst-off share of people, less the price of KL.

    Weights of the groups are bounded by :math:`s_k / \alpha`: no group counts more than 1 / alpha times its share, so
    that a tiny group cannot decide alone.

    Parameters
    ----------
    alpha : float
        Share of people, in (0, 1]; 1 is the utilitarian mean, and a share no larger than the smallest group MaxMin.
    beta, scope
        As in `maxmin`.

    References
    ----------
    R. T. Rockafellar and S. Uryasev, Optimization of conditional value-at-risk, Journal of Risk 2000.
    """
    utilities.warn_if_raw("cvar")
    beta = check_beta(beta)
    if not 0 < alpha <= 1:
        raise UsageError(f"alpha={alpha!r} is no share of people.", fix="It is above 0 and at most 1.")
    if alpha == 1:
        return kl_optimal(utilities, beta=beta)
    return saddle_policy(
        utilities,
        WeightSet.cvar(utilities.shares, alpha),
        beta=beta,
        scope=scope,
        problem="max_q CVaR_alpha(u) - beta KL(q||p)",
        method=f"cvar, alpha={alpha:g}, beta={beta:g}, {scope}",
    )


def robust_mean(
    utilities: Utilities,
    *,
    radius: float,
    beta: float,
    divergence: Literal["chi_square", "kl"] = "chi_square",
    scope: Scope = "global",
) -> FinitePolicy:
    r"""The policy that maximises the mean utility under the worst shares within a ball round the groups' shares.

    Parameters
    ----------
    radius : float
        At least 0: largest :math:`\sum_k (w_k - s_k)^2 / s_k`, or KL(w || s) in nats; 0 is the utilitarian mean.
    divergence : {"chi_square", "kl"}
    beta, scope
        As in `maxmin`.

    References
    ----------
    J. Duchi and H. Namkoong, Learning models with uniform performance via distributionally robust optimization, Annals
    of Statistics 2021.
    """
    utilities.warn_if_raw("robust_mean")
    beta = check_beta(beta)
    if not np.isfinite(radius) or radius < 0 or divergence not in ("chi_square", "kl"):
        raise UsageError(
            f"radius={radius!r} with divergence={divergence!r} is not possible.",
            fix='radius is a number of at least 0, divergence "chi_square" or "kl".',
        )
    if radius == 0:
        return kl_optimal(utilities, beta=beta)
    ball = WeightSet.chi_square_ball if divergence == "chi_square" else WeightSet.kl_ball
    return saddle_policy(
        utilities,
        ball(utilities.shares, radius),
        beta=beta,
        scope=scope,
        problem="max_q min_w w.u - beta KL(q||p), w near the shares",
        method=f"robust mean, {divergence} radius {radius:g}, beta={beta:g}, {scope}",
    )
