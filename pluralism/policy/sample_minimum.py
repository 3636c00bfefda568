"""The published shortcut to MaxMin: optimise, for each candidate, the reward of the group that likes it least."""

from __future__ import annotations

import numpy as np

from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import check_beta
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.tilt import tilt

__all__ = ["sample_minimum"]


def sample_minimum(utilities: Utilities, *, beta: float) -> FinitePolicy:
    r"""The policy that maximises :math:`E_q \min_k r_k(y) - \beta\,\mathrm{KL}(q \,\|\, p)`: a baseline, not MaxMin.

    The published MaxMin training code [1]_ gives each sampled response the least of the groups' rewards. As
    :math:`E \min_k r_k \le \min_k E r_k`, that is a lower bound of what MaxMin maximises, with another optimum: it
    avoids candidates on which groups differ, even where a mixture of them serves all. Use `maxmin`.

    Parameters
    ----------
    utilities : Utilities
        Raw rewards are compared with a `ComparabilityWarning`.
    beta : float
        Price of a nat of KL; 0 chooses among the best candidates.

    References
    ----------
    .. [1] S. Chakraborty et al., MaxMin-RLHF, ICML 2024 (arXiv:2402.08925), as released.
    """
    utilities.warn_if_raw("sample_minimum")
    beta = check_beta(beta)
    log_probs, _ = tilt(np.min(utilities.values, axis=2), utilities.log_reference, beta)
    return FinitePolicy(log_probs, utilities, f"least reward of each candidate, beta={beta:g}")
