"""One candidate for all groups, by a welfare function of their utilities."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.social_choice.outcome import Outcome
from pluralism.social_choice.utilities import Utilities
from pluralism.social_choice.welfare import (
    Totals,
    cvar,
    egalitarian,
    leximin_order,
    log_nash,
    max_regret,
    p_mean,
    utilitarian,
)

__all__ = ["Welfare", "choose_by_welfare"]

Welfare = Literal["utilitarian", "maxmin", "leximin", "nash", "pmean", "cvar", "minimax-regret"]
"""By what candidates are compared; see `choose_by_welfare`."""


def choose_by_welfare(
    utilities: Utilities,
    welfare: Welfare = "nash",
    *,
    rho: float | None = None,
    alpha: float | None = None,
    tolerance: float = 1e-9,
    comparable: bool = False,
) -> Outcome:
    """The candidate of a prompt that is best for all groups together.

    Parameters
    ----------
    utilities : Utilities
        Of one prompt.
    welfare : str
        - "utilitarian": the mean utility of a person;
        - "maxmin": the utility of the group that is worst off (egalitarian);
        - "leximin": that, then of the second worst off, and so on;
        - "nash": the product of gains over the reference policy, which no unit of any group can change;
        - "pmean": the generalised mean of these gains, with `rho`;
        - "cvar": the mean utility of the share `alpha` of people who are worst off;
        - "minimax-regret": the largest loss of a group against its own best candidate, made small.
    rho : float, optional
        For "pmean" alone: at most 1.
    alpha : float, optional
        For "cvar" alone: above 0 and at most 1.
    tolerance : float
        Candidates within this of the best, relative to the range of utilities, are tied.
    comparable : bool
        Whether raw rewards are known to be measured alike in all groups. All but "nash" compare groups, and refuse
        utilities in the unit "raw" otherwise.

    Returns
    -------
    Outcome
        With welfare as scores, but for "leximin", which has a ranking alone.

    Raises
    ------
    UsageError
        If there are several prompts, raw rewards would be compared, or an option does not belong to the rule.
    """
    _check(utilities, welfare, rho, alpha, tolerance, comparable)
    there = utilities.mask[0]
    values = utilities.values[0, there]
    names = tuple(utilities.candidates[i] for i in utilities.items[0, there])
    spread = float(np.ptp(values)) or 1.0
    notes: tuple[str, ...] = (f"in the unit {utilities.unit!r}",)
    if welfare == "leximin":
        order = leximin_order(values, tolerance=tolerance * spread)
        ranking = tuple(tuple(names[i] for i in tie) for tie in order)
        return Outcome("leximin", names, ranking[0], ranking=ranking, notes=notes)
    scores = np.asarray(_welfare(utilities, values, welfare, rho, alpha))
    if welfare in ("nash", "pmean") and not (scores > 0).any():
        notes += ("no candidate gives every group more than the reference policy does",)
    if welfare == "nash":
        # in the unit in which the geometric mean is, so that no group's unit decides what is tied
        widths = np.ptp(values, axis=0)
        spread = float(np.exp(utilities.shares @ np.log(np.where(widths > 0, widths, 1.0))))
    ranking = _tie_groups(names, scores, tolerance * spread)
    return Outcome(welfare, names, ranking[0], tuple(map(float, scores)), ranking, notes)


def _welfare(
    utilities: Utilities,
    values: Float[np.ndarray, "candidates groups"],
    welfare: str,
    rho: float | None,
    alpha: float | None,
) -> Totals:
    """Welfare of each candidate."""
    shares, reference = utilities.shares, utilities.reference_mean[0]
    if welfare == "utilitarian":
        return utilitarian(values, shares)
    if welfare == "maxmin":
        return egalitarian(values)
    if welfare == "cvar":
        return cvar(values, shares, alpha=1.0 if alpha is None else alpha)
    if welfare == "minimax-regret":
        return -max_regret(values, utilities.best[0])
    if welfare == "nash":
        # The geometric mean of gains: in the unit of gains, so that ties mean the same as elsewhere.
        return np.exp(log_nash(values, shares, disagreement=reference))
    return p_mean(values, shares, rho=1.0 if rho is None else rho, disagreement=reference)


def _tie_groups(
    names: tuple[str, ...], scores: Float[np.ndarray, " candidates"], tolerance: float
) -> tuple[tuple[str, ...], ...]:
    """Candidates within the tolerance of the best of those left, again and again."""
    left, groups = list(range(len(names))), []
    while left:
        top = max(scores[i] for i in left)
        best = [i for i in left if scores[i] >= top - tolerance]
        groups.append(tuple(names[i] for i in best))
        left = [i for i in left if i not in set(best)]
    return tuple(groups)


def _check(
    utilities: Utilities, welfare: str, rho: float | None, alpha: float | None, tolerance: float, comparable: bool
) -> None:
    if welfare not in get_args(Welfare):
        raise UsageError(f"There is no welfare {welfare!r}.", fix=f"Choose one of {', '.join(get_args(Welfare))}.")
    if utilities.n_prompts != 1:
        raise UsageError(
            f"There are {utilities.n_prompts:,} prompts, each with candidates of its own.",
            fix="Choose for one at a time, with utilities.take([i]); or find a policy for all of them.",
        )
    if (rho is not None) != (welfare == "pmean") or (alpha is not None) != (welfare == "cvar"):
        raise UsageError(
            f"{welfare!r} with rho={rho!r} and alpha={alpha!r} is not possible.",
            fix='"pmean" takes rho, "cvar" takes alpha, and the others neither.',
        )
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise UsageError(f"tolerance={tolerance!r} is not possible.", fix="It is a number of at least 0.")
    if utilities.unit == "raw" and welfare != "nash" and not comparable:
        raise UsageError(
            f"{welfare!r} would compare groups by raw rewards, whose zero and scale differ from group to group.",
            fix="Use utilities.to_unit('cdf'), say; or comparable=True if the rewards are measured alike.",
        )
