"""Minimax regret: the policy under which no group loses much against what it could have alone."""

from __future__ import annotations

from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import check_beta
from pluralism.policy.saddle_policy import Scope, saddle_policy
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.weight_sets import WeightSet

__all__ = ["minimax_regret"]


def minimax_regret(utilities: Utilities, *, beta: float, scope: Scope = "global") -> FinitePolicy:
    r"""The policy that minimises :math:`\max_k (\max_{q'} u_k(q') - u_k(q)) + \beta\,\mathrm{KL}(q \,\|\, p)`.

    What a group could have is its best candidate of every prompt. It is `maxmin` in the unit "regret", whatever unit
    the utilities have; those of the policy are returned in the unit given.

    Parameters
    ----------
    utilities : Utilities
        The zero of each group does not matter, its scale does.
    beta, scope
        As in `maxmin`.

    References
    ----------
    L. J. Savage, The theory of statistical decision, JASA 1951.
    """
    beta = check_beta(beta)
    return saddle_policy(
        utilities,
        WeightSet.simplex(utilities.n_groups),
        beta=beta,
        scope=scope,
        problem="min_q max_k regret_k + beta KL(q||p), as a maximum",
        method=f"minimax regret, beta={beta:g}, {scope}",
        values=utilities.values - utilities.best[:, None],
    )
