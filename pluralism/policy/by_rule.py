"""Policies by the name of a rule: welfare functions, votes and baselines behind one door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pluralism.errors import UsageError
from pluralism.policy.best_of_n import best_of_n
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import kl_optimal
from pluralism.policy.leximin import leximin
from pluralism.policy.maxmin import maxmin
from pluralism.policy.minimax_regret import minimax_regret
from pluralism.policy.p_mean import nash, p_mean
from pluralism.policy.robust import cvar, robust_mean
from pluralism.policy.sample_minimum import sample_minimum
from pluralism.policy.voting import by_voting
from pluralism.social_choice.catalogue import rules
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.utilities import Utilities

__all__ = ["WELFARE_RULES", "meet_kl", "policy_by_rule", "policy_rules"]

WELFARE_RULES: Mapping[str, tuple[Callable[..., FinitePolicy], tuple[str, ...]]] = {
    "utilitarian": (kl_optimal, ("beta",)),
    "maxmin": (maxmin, ("beta", "scope")),
    "nash": (nash, ("beta", "scope")),
    "pmean": (p_mean, ("beta", "scope", "rho")),
    "cvar": (cvar, ("beta", "scope", "alpha")),
    "robust": (robust_mean, ("beta", "scope", "radius")),
    "minimax-regret": (minimax_regret, ("beta", "scope")),
    "leximin": (leximin, ("scope",)),
    "sample-minimum": (sample_minimum, ("beta",)),
    "best-of-n": (best_of_n, ("n",)),
}
"""Solvers by name, with the settings that each takes; the rules of rankings are taken from `social_choice`."""

_NEEDED = {"rho", "alpha", "radius", "n"}
MOST_HALVINGS = 60
WIDENINGS = (1.0, 2.0, 4.0, 8.0)
"""Decades of price by which a bracket grows, one after the other."""


def policy_rules() -> tuple[str, ...]:
    """Names of all rules that `policy_by_rule` knows: welfare rules, then rules of rankings."""
    votes = [name for name, each in rules().items() if each.takes is Profile]
    return (*WELFARE_RULES, *votes)


def policy_by_rule(
    utilities: Utilities,
    rule: str,
    *,
    beta: float | None = None,
    kl: float | None = None,
    **settings: Any,
) -> FinitePolicy:
    """The policy of a rule on these candidates.

    Parameters
    ----------
    utilities : Utilities
    rule : str
        One of `policy_rules()`.
    beta : float, optional
        Price of a nat of KL, for rules that have one; 0 by default.
    kl : float, optional
        In the place of beta: the price is chosen so that the mean KL from the reference is at most this, in nats.
    **settings
        What the rule takes beside: `scope`, `rho` (pmean), `alpha` (cvar), `radius` (robust), `n` (best-of-n).

    Raises
    ------
    UsageError
        If there is no such rule, or it takes other settings.
    """
    if rule not in policy_rules():
        raise UsageError(f"There is no rule {rule!r}.", fix=f"Rules are {', '.join(policy_rules())}.")
    if beta is not None and kl is not None:
        raise UsageError("beta and kl exclude each other.", fix="Give the price of KL, or how much of it there may be.")
    function, takes = WELFARE_RULES.get(rule, (None, ()))
    given = {name: value for name, value in settings.items() if value is not None}
    unknown = [name for name in given if name not in takes]
    if unknown or ("beta" not in takes and (beta is not None or kl is not None)):
        name = unknown[0] if unknown else "beta" if beta is not None else "kl"
        settings_of = ", ".join(takes) if takes else "no settings: it counts the orders of the groups alone"
        raise UsageError(f"The rule {rule!r} does not take {name}.", fix=f"It takes {settings_of}.")
    missing = [name for name in takes if name in _NEEDED and name not in given]
    if missing:
        name = missing[0]
        raise UsageError(f"The rule {rule!r} needs {name}.", fix=f"Give {name}=, on the command line --{name}.")
    if function is None:
        return by_voting(utilities, rule)
    if "beta" not in takes:
        return function(utilities, **given)
    if kl is not None:
        there = utilities.values[utilities.mask]
        unit = 1.0 if rule == "nash" else float(np.ptp(there, axis=0).max())
        return meet_kl(lambda price: function(utilities, beta=price, **given), kl, unit=unit)
    return function(utilities, beta=0.0 if beta is None else beta, **given)


def meet_kl(solve: Callable[[float], FinitePolicy], kl: float, *, unit: float = 1.0, tol: float = 1e-4) -> FinitePolicy:
    """The policy of the lowest price whose mean KL from the reference is at most `kl`, by bisection of the price.

    The KL of an optimum falls as its price rises, so that the price that meets a budget can be bracketed.

    Parameters
    ----------
    solve : callable
        From a price beta to the policy that is best at it.
    kl : float
        Budget in nats, above 0.
    unit : float
        Where the search for the price begins: at `unit` a budget. With the range of the utilities it begins at a price
        that is not too low, since a policy that pays for its KL gains what it pays.
    tol : float
        Share of the budget that may be left.

    Raises
    ------
    UsageError
        If the budget is so small that rounding hides it.
    """
    if not (np.isfinite(kl) and kl > 0):
        raise UsageError(f"kl={kl!r} is not possible.", fix="It is a budget in nats, above 0.")
    free = solve(0.0)
    if free.kl_mean <= kl:
        return free
    low = high = float(np.log10(unit) - np.log10(kl))
    best = solve(10.0**high)
    for decades in WIDENINGS:
        if best.kl_mean <= kl:
            break
        low, high = high, high + decades
        best = solve(10.0**high)
    if best.kl_mean > kl:
        raise UsageError(f"No price of KL keeps it at {kl:g}.", fix="Allow more, or set beta.")
    if low == high:
        for decades in WIDENINGS:
            low -= decades
            found = solve(10.0**low)
            if found.kl_mean > kl:
                break
            best, high = found, low
    for _ in range(MOST_HALVINGS):
        if best.kl_mean >= (1.0 - tol) * kl:
            break
        middle = 0.5 * (low + high)
        found = solve(10.0**middle)
        if found.kl_mean <= kl:
            best, high = found, middle
        else:
            low = middle
    return _within(best, 10.0**high, kl)


def _within(policy: FinitePolicy, price: float, kl: float) -> FinitePolicy:
    """The policy with what its certificate says of all policies within the budget, at whatever price.

    No policy has a welfare above the dual value plus the price of its own KL, and none within the budget pays for more
    than the budget.
    """
    proof = policy.certificate
    if proof is None or len(proof.primal) > 1:
        return policy
    paid = price * policy.kl_mean
    problem = proof.problem.split(" - beta")[0] + f", KL at most {kl:g}"
    return replace(
        policy, certificate=replace(proof, problem=problem, primal=proof.primal + paid, dual=proof.dual + price * kl)
    )
