"""From a welfare rule as a set of group weights to a policy with its proof."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from jaxtyping import Float

from pluralism.errors import ConvergenceWarning, UsageError
from pluralism.policy.certificate import Certificate
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.maxmin_lp import maxmin_lp, maxmin_lp_each
from pluralism.solvers.saddle import solve_saddle, solve_saddle_each
from pluralism.solvers.weight_sets import WeightSet

__all__ = ["Scope", "check_scope", "gains_over", "saddle_policy"]

Scope = Literal["global", "per_prompt"]
"""Whether means over prompts are compared, with one weight for each group, or every prompt is solved by itself."""

NO_GAIN = 1e-9
"""Gains of all groups below this share of the range of their utilities are rounding."""

SMALL = 1e-9
"""Differences of utilities below this share of their size are rounding."""

DEAREST = 1e14
"""A price of KL above this many ranges of the utilities leaves gains that rounding hides."""

OPEN = 1e-6
"""A gap above this share of the range of the utilities is worth a warning."""


def check_scope(scope: str) -> None:
    """Refuse what is no scope."""
    if scope not in ("global", "per_prompt"):
        raise UsageError(f"scope={scope!r} is not possible.", fix='It is "global" or "per_prompt".')


def gains_over(
    utilities: Utilities, disagreement: Float[np.ndarray, " groups"] | None
) -> Float[np.ndarray, "prompts candidates groups"]:
    """Utilities less what each group has if nothing is agreed on; by default under the reference, on each prompt."""
    if disagreement is None:
        return utilities.values - utilities.reference_mean[:, None]
    point = np.asarray(disagreement, dtype=np.float64)
    if point.shape != (utilities.n_groups,) or not np.isfinite(point).all():
        raise UsageError(
            f"A disagreement point is {utilities.n_groups} finite numbers.", fix="Give one utility for each group."
        )
    return utilities.values - point


def saddle_policy(
    utilities: Utilities,
    weight_set: WeightSet,
    *,
    beta: float,
    scope: Scope,
    problem: str,
    method: str,
    values: Float[np.ndarray, "prompts candidates groups"] | None = None,
    vertex: bool = False,
) -> FinitePolicy:
    """The policy of the largest welfare less beta times its KL; welfare is the least of w.u over a set of weights.

    Parameters
    ----------
    values : array of shape (prompts, candidates, groups), optional
        What welfare is of; left out, the utilities.
    vertex : bool
        For MaxMin with beta = 0: a vertex of the optimal policies, not the middle of them.

    Returns
    -------
    FinitePolicy
        Where the rule needs every group to gain and no policy does that, the reference policy, with a note.
    """
    check_scope(scope)
    worth = utilities.values if values is None else values
    logs = utilities.log_reference
    able = np.ones(utilities.n_prompts if scope == "per_prompt" else 1, dtype=bool)
    there = worth[utilities.mask]
    unit = 1.0 if weight_set.logarithmic else float(np.ptp(there, axis=0).max())
    if weight_set.positive:
        if beta > DEAREST * max(unit, float(np.finfo(float).tiny)):
            raise UsageError(
                f"beta={beta:g} is so high a price of KL that what the groups can gain is below rounding.",
                fix="Lower it, or take the reference policy.",
            )
        able = _all_can_gain(worth, utilities, weight_set, scope)
    if scope == "global":
        if not able[0]:
            return _nothing_to_gain(utilities, method)
        if vertex:
            found = maxmin_lp(worth, logs, utilities.prompt_weights)
        else:
            found = solve_saddle(worth, logs, weight_set, beta=beta, prompt_weights=utilities.prompt_weights)
        log_probs, weights = found.log_policy, found.weights
        reached = utilities.prompt_weights @ np.einsum("xy,xyk->xk", np.exp(log_probs), worth)
    else:
        rows = np.flatnonzero(able)
        if not len(rows):
            return _nothing_to_gain(utilities, method)
        if vertex:
            found = maxmin_lp_each(worth[rows], logs[rows])
        else:
            found = solve_saddle_each(worth[rows], logs[rows], weight_set, beta=beta)
        log_probs, weights = logs.copy(), found.weights
        log_probs[rows] = found.log_policy
        reached = np.einsum("xy,xyk->xk", np.exp(found.log_policy), worth[rows])
    slackness = None
    if weight_set.total and np.isinf(weight_set.cap).all() and weight_set.level == 0.0:
        least = np.atleast_2d(reached)
        slackness = np.max(weights * (least - least.min(axis=1, keepdims=True)), axis=1)
    if found.gap.max() > max(OPEN * unit, SMALL * float(np.abs(there).max())):
        warnings.warn(
            f"{method}: the optimum may be {found.gap.max():.2g} above what the policy reaches (see its certificate).",
            ConvergenceWarning,
            stacklevel=3,
        )
    certificate = Certificate(
        problem,
        found.value,
        found.value + found.gap,
        weights / weights.sum(axis=1, keepdims=True),
        slackness,
        beta * float(found.away.max()),
    )
    stuck = int((~able).sum())
    notes = (f"On {stuck:,} of {len(able):,} prompts no policy serves all groups better than the reference.",)
    return FinitePolicy(log_probs, utilities, method, certificate, notes if stuck else ())


def _all_can_gain(
    gains: Float[np.ndarray, "prompts candidates groups"], utilities: Utilities, weight_set: WeightSet, scope: Scope
) -> np.ndarray:
    """Whether some policy gives every group of positive share more than nothing, for each problem."""
    inner = weight_set.inner(gains)
    simplex = WeightSet.simplex(inner.shape[2])
    there = utilities.mask[..., None]
    width = np.where(there, inner, -np.inf).max(axis=1) - np.where(there, inner, np.inf).min(axis=1)
    # whether there is a gain does not depend on the units of the groups, and each is measured by its own
    if scope == "global":
        unit = width.max(axis=0)
        scaled = inner / np.where(unit > 0, unit, 1.0)
        best = solve_saddle(scaled, utilities.log_reference, simplex, beta=0.0, prompt_weights=utilities.prompt_weights)
    else:
        scaled = inner / np.where(width > 0, width, 1.0)[:, None]
        best = solve_saddle_each(scaled, utilities.log_reference, simplex, beta=0.0)
    return best.value > NO_GAIN


def _nothing_to_gain(utilities: Utilities, method: str) -> FinitePolicy:
    note = "No policy serves all groups better than the point of disagreement: this is the reference policy."
    return FinitePolicy(utilities.log_reference, utilities, method, notes=(note,))
