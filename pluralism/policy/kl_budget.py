"""The most reward within a budget of KL divergence from the reference."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.errors import UsageError
from pluralism.policy.certificate import Certificate
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import weighted_reward
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.kl_budget import tilt_to_kl, tilt_to_mean_kl
from pluralism.solvers.log_policies import expectation
from pluralism.solvers.tilt import tilt

__all__ = ["Scope", "check_kl", "kl_budget", "span"]

Scope = Literal["global", "per_prompt"]


def kl_budget(
    utilities: Utilities, *, kl: ArrayLike, scope: Scope = "global", weights: ArrayLike | None = None
) -> FinitePolicy:
    r"""The policy that maximises :math:`E_q \sum_k w_k r_k` subject to :math:`\mathrm{KL}(q \,\|\, p) \le \Delta`.

    The solutions are those of `kl_optimal` [1]_: KL falls as beta rises, so the beta is found whose KL is the budget.
    A budget beyond that of the best candidates alone returns the reference restricted to them (beta 0); a budget of 0
    the reference (beta infinite). Policies are compared at equal KL, not at equal beta, whose unit is that of a reward.

    Parameters
    ----------
    utilities : Utilities
    kl : float, or array of shape (prompts,)
        The budget in nats, at least 0; one for each prompt with scope "per_prompt" alone.
    scope : {"global", "per_prompt"}
        Whether the budget is for the mean KL over prompts, which all share one beta, or for the KL of each.
    weights : array of shape (groups,), optional
        Weights of the groups, of either sign; left out, their shares.

    References
    ----------
    .. [1] J. Q. Yang et al., "Asymptotics of language model alignment", arXiv:2404.01730, section 2.

    Examples
    --------
    >>> utilities = Utilities.from_matrix([[3.0, 1.0, 0.0], [0.0, 1.5, 2.0]], shares=[0.7, 0.3]).to_unit("gain")
    >>> policy = kl_budget(utilities, kl=0.1)
    >>> policy.method, round(policy.kl_mean, 9)
    ('kl-budget 0.1 (global), beta=1.39', 0.1)
    """
    budget = check_kl(kl, utilities.n_prompts if scope == "per_prompt" else None)
    reward = weighted_reward(utilities, weights)
    p, w = utilities.log_reference, utilities.prompt_weights
    if scope == "per_prompt":
        log_probs, beta = tilt_to_kl(reward, p, budget)
        price = beta
    elif scope == "global":
        log_probs, single = tilt_to_mean_kl(reward, p, float(budget), w)
        beta = np.array([single])
        price = np.full(utilities.n_prompts, single)
    else:
        raise UsageError(f"scope={scope!r} is not possible.", fix='It is "global" or "per_prompt".')
    reached, bound = expectation(log_probs, reward), tilt(reward, p, price[:, None])[1]
    cost = np.where(np.isinf(price), 0.0, np.where(np.isinf(price), 0.0, price) * budget)
    primal, dual = reached, bound + cost
    if scope == "global":
        primal, dual = (np.array([w @ each]) for each in (primal, dual))
    text = f"beta={span(beta, 3)}"
    certificate = Certificate("max E_q w.r subject to KL(q||p) <= budget", primal, dual)
    return FinitePolicy(log_probs, utilities, f"kl-budget {span(budget)} ({scope}), {text}", certificate)


def check_kl(kl: ArrayLike, n_prompts: int | None = None) -> float | Float[np.ndarray, " prompts"]:
    """A budget of KL, finite and at least 0: one, or one for each prompt where their number is given."""
    budget = np.asarray(kl, dtype=float)
    if budget.shape not in ((), (n_prompts,)) or not np.isfinite(budget).all() or (budget < 0).any():
        many = "" if n_prompts is None else f", or {n_prompts} of them"
        raise UsageError(f"kl={kl!r} is no budget of KL.", fix=f"Give a finite number of nats, at least 0{many}.")
    return float(budget) if budget.ndim == 0 else budget


def span(values: ArrayLike, digits: int = 6) -> str:
    """A number, or the range of several, for the name of a policy."""
    low, high = (f"{number:.{digits}g}" for number in (np.min(values), np.max(values)))
    return low if low == high else f"{low} to {high}"
