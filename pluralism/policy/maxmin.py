"""MaxMin: the policy under which the group that has least has most."""

from __future__ import annotations

from pluralism.errors import UsageError
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import check_beta
from pluralism.policy.saddle_policy import Scope, saddle_policy
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.weight_sets import WeightSet

__all__ = ["maxmin"]


def maxmin(utilities: Utilities, *, beta: float, scope: Scope = "global", vertex: bool = False) -> FinitePolicy:
    r"""The policy that maximises :math:`\min_k u_k(q) - \beta\,\mathrm{KL}(q \,\|\, p)`.

    It is the KL-regularised optimum of a weighted mean of the groups' utilities, whose weights are found with it: they
    minimise :math:`\beta\,E_x \log E_p e^{w \cdot R / \beta}` over the simplex, and only groups that have least have
    weight. The certificate has the weights, the duality gap and complementary slackness.

    Parameters
    ----------
    utilities : Utilities
        Raw rewards are compared with a `ComparabilityWarning`: the least of them means nothing without an anchor.
    beta : float
        Price of a nat of KL, in units of utility; 0 is a linear program.
    scope : {"global", "per_prompt"}
        Whether the means over prompts are compared, or, which is stricter, every prompt by itself.
    vertex : bool
        With beta = 0 several policies can be optimal. Left out, the middle of them is returned; a vertex, found by
        HiGHS, mixes as few candidates as can be.

    Raises
    ------
    UsageError
        If a vertex is asked for although KL has a price: then the optimum is one policy.

    References
    ----------
    S. Chakraborty et al., MaxMin-RLHF: Alignment with diverse human preferences, ICML 2024 (arXiv:2402.08925); the
    published code optimises `sample_minimum`.

    Examples
    --------
    >>> opposed = Utilities.from_matrix([[2.0, 0.0], [0.0, 1.0]], shares=[0.9, 0.1], unit="gain")
    >>> policy = maxmin(opposed, beta=0.0)
    >>> policy.probs.round(6)
    array([[0.333333, 0.666667]])
    >>> policy.certificate.weights.round(6)
    array([[0.333333, 0.666667]])
    """
    utilities.warn_if_raw("maxmin")
    beta = check_beta(beta)
    if vertex and beta > 0:
        raise UsageError(f"With beta={beta:g} the optimum is no vertex.", fix="Leave vertex out, or set beta=0.")
    return saddle_policy(
        utilities,
        WeightSet.simplex(utilities.n_groups),
        beta=beta,
        scope=scope,
        problem="max_q min_k u_k - beta KL(q||p)",
        method=f"maxmin, beta={beta:g}, {scope}{', a vertex' if vertex else ''}",
        vertex=vertex,
    )
