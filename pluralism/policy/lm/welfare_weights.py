"""What each group counts where one policy serves all: the weights of a welfare rule at its optimum on samples."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64

from pluralism.errors import DataError, UsageError
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import kl_optimal
from pluralism.policy.maxmin import maxmin
from pluralism.policy.p_mean import nash
from pluralism.social_choice.utilities import Utilities

__all__ = ["Welfare", "welfare_weights"]

Welfare = Literal["utilitarian", "maxmin", "nash"]
"""Mean utility by size of group, utility of the group that has least, or the product of gains."""


def welfare_weights(
    utilities: Utilities, rule: Welfare, *, beta: float
) -> tuple[Float64[np.ndarray, " groups"], FinitePolicy]:
    r"""Weights w with which the KL-regularised optimum of :math:`\sum_k w_k r_k` is the policy of a welfare rule.

    A trainer maximises one reward less beta times KL. With these weights its optimum, on the samples, is that of the
    rule: the shares :math:`s_k` for "utilitarian", the dual weights for "maxmin", and
    :math:`s_k / (u_k - d_k)` for "nash", d being what groups have under the reference.

    Parameters
    ----------
    utilities : Utilities
        Of samples of the reference policy, in a unit that groups can be compared in; see `pluralism.policy.maxmin`.
    rule : {"utilitarian", "maxmin", "nash"}
    beta : float
        Price of a nat of KL: the trainer's.

    Returns
    -------
    weights : array of shape (groups,)
        They sum to 1, but for "nash".
    policy : FinitePolicy
        The optimum on the samples, with its certificate.

    Raises
    ------
    DataError
        With "nash": no policy serves all groups better than the reference.
    """
    if rule == "utilitarian":
        return utilities.shares.copy(), kl_optimal(utilities, beta=beta)
    if rule == "maxmin":
        policy = maxmin(utilities, beta=beta)
        if policy.certificate is None or policy.certificate.weights is None:
            raise DataError("MaxMin has no weights here.", fix="Give each prompt several samples.")
        return policy.certificate.weights[0], policy
    if rule != "nash":
        raise UsageError(f"rule={rule!r} is no welfare rule.", fix=f"It is one of {', '.join(get_args(Welfare))}.")
    policy = nash(utilities, beta=beta)
    gains = policy.group_utilities - policy.reference_utilities
    if policy.certificate is None:
        raise DataError(
            "No policy serves all groups better than the reference, so Nash welfare chooses the reference.",
            fix="Draw more reference responses, or use rule='maxmin'.",
        )
    weights = np.where(utilities.shares > 0, utilities.shares / np.where(utilities.shares > 0, gains, 1.0), 0.0)
    return weights, policy
