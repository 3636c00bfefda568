"""How often a policy beats its reference."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.cdf import weighted_midrank
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import weighted_reward
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.log_policies import expectation

__all__ = ["reference_place", "win_rate"]


def win_rate(policy: FinitePolicy, *, weights: ArrayLike | None = None) -> Float[np.ndarray, " prompts"]:
    """Chance that a draw of the policy has a higher weighted reward than one of the reference, ties half.

    Each group's own win rate is `policy.group_utilities` where utilities are in the unit "cdf".

    Parameters
    ----------
    policy : FinitePolicy
    weights : array of shape (groups,), optional
        Weights of the groups; left out, their shares.
    """
    return expectation(policy.log_probs, reference_place(policy.utilities, weights))


def reference_place(utilities: Utilities, weights: ArrayLike | None) -> Float[np.ndarray, "prompts candidates"]:
    """Each candidate's chance to beat a draw of the reference by the weighted reward; its mean there is 1/2."""
    reward = weighted_reward(utilities, weights)
    return weighted_midrank(reward[..., None], np.exp(utilities.log_reference))[..., 0]
