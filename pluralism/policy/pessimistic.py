"""Pessimism over an ensemble of rewards: the policy that does best against the reward that suits it least."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pluralism.errors import UsageError
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import check_beta
from pluralism.policy.saddle_policy import saddle_policy
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.weight_sets import WeightSet

__all__ = ["pessimistic"]


def pessimistic(members: Utilities, *, beta: float, loss: ArrayLike | None = None, eta: float = 1.0) -> FinitePolicy:
    r"""The policy that maximises :math:`\min_j (E_q r_j - E_p r_j + \mathrm{NLL}_j/\eta) - \beta\,\mathrm{KL}(q\|p)`.

    An adversary picks the member of the ensemble, and pays for picking one that explains the data badly. With the loss
    of the best member as zero, a large eta trusts no member more than another.

    Parameters
    ----------
    members : Utilities
        With the members of an ensemble in the place of groups; any unit that is a shift of the raw rewards.
    beta : float
        Price of a nat of KL.
    loss : array of shape (members,), optional
        Negative log-likelihood of the data under each member, in nats; left out, all are equally credible.
    eta : float
        Above 0: nats of likelihood that outweigh a unit of reward.

    References
    ----------
    Z. Liu et al., Provably mitigating overoptimization in RLHF: your SFT loss is implicitly an adversarial regularizer,
    arXiv:2405.16436, objective (3.1), with an ensemble in the place of the class of rewards.
    """
    beta = check_beta(beta)
    if not (np.isfinite(eta) and eta > 0):
        raise UsageError(f"eta={eta!r} is not possible.", fix="It is a number above 0.")
    nll = np.zeros(members.n_groups) if loss is None else np.asarray(loss, dtype=np.float64)
    if nll.shape != (members.n_groups,) or not np.isfinite(nll).all():
        raise UsageError(f"loss is {members.n_groups} finite numbers.", fix="Give one for each member.")
    gains = members.values - members.reference_mean[:, None]
    offset = (nll - nll.min()) / eta
    inner = np.where(members.mask[..., None], gains, np.nan)
    worst, best = (members.prompt_weights @ each(inner, axis=1) + offset for each in (np.nanmin, np.nanmax))
    return saddle_policy(
        members,
        # a member so incredible that it is above another one under every policy is never the adversary's choice
        WeightSet.simplex(members.n_groups, members=worst <= best.min()),
        beta=beta,
        scope="global",
        problem="max_q min_j gain_j + NLL_j/eta - beta KL(q||p)",
        method=f"pessimistic, beta={beta:g}, eta={eta:g}",
        values=gains + offset,
    )
