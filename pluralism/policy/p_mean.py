"""Power means of gains, from the mean over Nash welfare to MaxMin."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pluralism.errors import UsageError
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import check_beta, kl_optimal
from pluralism.policy.saddle_policy import Scope, gains_over, saddle_policy
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.weight_sets import WeightSet

__all__ = ["nash", "p_mean"]


def p_mean(
    utilities: Utilities,
    *,
    rho: float,
    beta: float,
    disagreement: ArrayLike | None = None,
    scope: Scope = "global",
) -> FinitePolicy:
    r"""The policy that maximises :math:`(\sum_k s_k a_k^\rho)^{1/\rho} - \beta\,\mathrm{KL}(q \,\|\, p)`.

    :math:`a_k = u_k(q) - d_k` is what group k gains over the point of disagreement. rho = 1 is the utilitarian mean, 0
    the geometric mean, -inf MaxMin. The certificate's weights say how much each group counts at the optimum,
    :math:`w_k \propto s_k a_k^{\rho - 1}`.

    Parameters
    ----------
    rho : float
        At most 1; -inf is allowed.
    beta : float
        Price of a nat of KL, in units of utility.
    disagreement : array of shape (groups,), optional
        What each group has if nothing is agreed on; left out, its mean under the reference on each prompt.
    scope : {"global", "per_prompt"}
        As in `maxmin`.

    Returns
    -------
    FinitePolicy
        If no policy lets every group gain and rho < 1 is finite, the reference policy, with a note.
    """
    beta = check_beta(beta)
    if not rho <= 1:
        raise UsageError(f"rho={rho!r} is not possible.", fix="It is at most 1; -inf is MaxMin of the gains.")
    utilities.warn_if_raw("p_mean")
    point = None if disagreement is None else np.asarray(disagreement, dtype=np.float64)
    if rho == 1:
        return kl_optimal(utilities, beta=beta)
    if np.isneginf(rho):
        weights = WeightSet.simplex(utilities.n_groups, members=utilities.shares > 0)
    else:
        weights = WeightSet.power_mean(utilities.shares, rho)
    return saddle_policy(
        utilities,
        weights,
        beta=beta,
        scope=scope,
        problem="max_q (sum_k s_k a_k^rho)^(1/rho) - beta KL(q||p)",
        method=f"power mean of gains, rho={rho:g}, beta={beta:g}, {scope}",
        values=gains_over(utilities, point),
    )


def nash(
    utilities: Utilities, *, beta: float, disagreement: ArrayLike | None = None, scope: Scope = "global"
) -> FinitePolicy:
    r"""The policy that maximises :math:`\sum_k s_k \log a_k - \beta\,\mathrm{KL}(q \,\|\, p)`: Nash welfare.

    The unit of a group's utilities does not matter: multiplying them by a constant changes nothing, which is a reason
    to prefer the rule where scales cannot be compared. At the optimum
    :math:`q \propto p \exp(\frac{1}{\beta} \sum_k s_k R_k / a_k)`.

    Parameters
    ----------
    beta : float
        Price of a nat of KL, in units of log-welfare.
    disagreement, scope
        As in `p_mean`.

    Returns
    -------
    FinitePolicy
        If no policy lets every group gain, the reference policy, with a note.

    References
    ----------
    J. Nash, The bargaining problem, Econometrica 1950; M. Kaneko and K. Nakamura, Econometrica 1979.
    """
    beta = check_beta(beta)
    point = None if disagreement is None else np.asarray(disagreement, dtype=np.float64)
    return saddle_policy(
        utilities,
        WeightSet.nash(utilities.shares),
        beta=beta,
        scope=scope,
        problem="max_q sum_k s_k log a_k - beta KL(q||p)",
        method=f"nash, beta={beta:g}, {scope}",
        values=gains_over(utilities, point),
    )
