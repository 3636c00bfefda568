"""Welfare of groups: how well off all are together, from how well off each is.

Functions of utilities of shape (..., groups) and shares of shape (groups,), which say how large the groups are. All but
`log_nash` compare groups with each other: they mean something only if the groups' utilities share a unit and a zero,
as those of `Utilities` in the units "cdf", "normalised", "gain" or "regret" do, each in its way.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from pluralism.errors import UsageError

__all__ = [
    "Totals",
    "cvar",
    "cvar_weights",
    "disagreement_point",
    "effective_weights",
    "egalitarian",
    "leximin_order",
    "log_nash",
    "max_regret",
    "p_mean",
    "utilitarian",
]

Values = Float[np.ndarray, "*batch groups"]
"""Utilities of groups, of one or of many outcomes."""

Totals = Float[np.ndarray, "*batch"] | float
"""One number for each outcome."""


def utilitarian(utilities: Values, shares: ArrayLike | None = None) -> Totals:
    """Mean utility of a person."""
    return np.asarray(utilities) @ _checked(utilities, shares)


def egalitarian(utilities: Values) -> Totals:
    """Utility of the group that is worst off, however small it is."""
    return np.asarray(utilities).min(axis=-1)


def cvar(utilities: Values, shares: ArrayLike | None = None, *, alpha: float) -> Totals:
    """Mean utility of the share `alpha` of people who are worst off (conditional value at risk).

    With alpha = 1 it is `utilitarian`; with alpha no larger than the smallest share, `egalitarian`.
    """
    return (cvar_weights(utilities, shares, alpha=alpha) * utilities).sum(axis=-1)


def cvar_weights(
    utilities: Values, shares: ArrayLike | None = None, *, alpha: float
) -> Float[np.ndarray, "*batch groups"]:
    """How much each group weighs in `cvar`: worst off first, each up to its share / alpha, until the weights add to 1.

    They solve min over w of sum_k w_k u_k, with 0 <= w_k <= s_k / alpha and sum_k w_k = 1.
    """
    if not 0 < alpha <= 1:
        raise UsageError(f"alpha={alpha!r} is not possible.", fix="It is a share of people, above 0 and at most 1.")
    values, s = np.asarray(utilities, dtype=float), _checked(utilities, shares)
    order = np.argsort(values, axis=-1, kind="stable")
    cap = s[order] / alpha
    before = np.cumsum(cap, axis=-1) - cap
    weights = np.empty(values.shape)
    np.put_along_axis(weights, order, np.clip(1.0 - before, 0.0, cap), axis=-1)
    return weights / weights.sum(axis=-1, keepdims=True)


def log_nash(utilities: Values, shares: ArrayLike | None = None, *, disagreement: ArrayLike = 0.0) -> Totals:
    """Log of the Nash product of gains over the disagreement point: sum_k s_k log(u_k - d_k).

    It is -inf where a group of positive share gains nothing or loses. Which of two outcomes is better does not depend
    on the unit of any group (J. Nash, The Bargaining Problem, Econometrica 1950).
    """
    return _log_p_mean(*_gains(utilities, shares, disagreement), 0.0)


def p_mean(utilities: Values, shares: ArrayLike | None = None, *, rho: float, disagreement: ArrayLike = 0.0) -> Totals:
    """Generalised mean (sum_k s_k a_k^rho)^(1 / rho) of the gains a_k = u_k - d_k.

    rho = 1 is the mean, rho = 0 the geometric mean (Nash), rho = -inf the least. The smaller rho, the more the worse
    off count.

    Parameters
    ----------
    rho : float
        At most 1.
    disagreement : array of shape (groups,) or of the utilities
        What each group has if nothing is agreed on.

    Returns
    -------
    array of shape (...)
        -inf where a group of positive share loses and rho < 1, since powers of losses mean nothing.
    """
    if not rho <= 1:
        raise UsageError(f"rho={rho!r} is not possible.", fix="It is at most 1; -inf is the least gain.")
    gains, s = _gains(utilities, shares, disagreement)
    if rho == 1:
        return gains @ s
    loses = ((gains < 0) & (s > 0)).any(axis=-1)
    if np.isneginf(rho):
        least = np.where(s > 0, gains, np.inf).min(axis=-1)
        return np.where(loses, -np.inf, least)
    return np.where(loses, -np.inf, np.exp(_log_p_mean(gains, s, rho)))


def max_regret(utilities: Values, best: ArrayLike) -> Totals:
    """The largest loss of a group against the best that it could have, 0 or more; to be made small.

    Parameters
    ----------
    best : array of shape (groups,)
        Each group's utility of its best outcome.
    """
    return (np.asarray(best, dtype=float) - utilities).max(axis=-1)


def leximin_order(utilities: Float[np.ndarray, "outcomes groups"], *, tolerance: float = 0.0) -> list[list[int]]:
    """Outcomes in tie groups, best first: by the worst-off group, then by the second worst off, and so on.

    Parameters
    ----------
    utilities : array of shape (outcomes, groups)
    tolerance : float
        Utilities that differ by no more count as equal.
    """
    rising = np.sort(np.asarray(utilities, dtype=float), axis=1)
    left, order = list(range(len(rising))), []
    while left:
        best = left
        for column in rising.T:
            top = column[best].max()
            best = [i for i in best if column[i] >= top - tolerance]
        order.append(best)
        left = [i for i in left if i not in set(best)]
    return order


def disagreement_point(
    values: Float[np.ndarray, "prompts candidates groups"], log_reference: Float[np.ndarray, "prompts candidates"]
) -> Float[np.ndarray, "prompts groups"]:
    """What each group has under the reference policy: E_p r, for each prompt."""
    there = np.isfinite(log_reference)[..., None]
    return np.einsum("xy,xyk->xk", np.exp(log_reference), np.where(there, values, 0.0))


def effective_weights(
    utilities: Values, shares: ArrayLike | None = None, *, rho: float, disagreement: ArrayLike = 0.0
) -> Float[np.ndarray, "*batch groups"]:
    """How much each group counts at the margin under `p_mean`: s_k a_k^(rho - 1), normalised to 1.

    With rho = -inf the groups that gain least share the weight by their shares. NaN where a group of positive share
    gains nothing or loses and rho < 1.
    """
    if not rho <= 1:
        raise UsageError(f"rho={rho!r} is not possible.", fix="It is at most 1; -inf is the least gain.")
    gains, s = _gains(utilities, shares, disagreement)
    if rho == 1:
        return np.broadcast_to(s, gains.shape).copy()
    gaining = ~((gains <= 0) & (s > 0)).any(axis=-1, keepdims=True)
    if np.isneginf(rho):
        least = np.where(s > 0, gains, np.inf).min(axis=-1, keepdims=True)
        weights = np.where(gains == least, s, 0.0)
        return np.where(gaining, weights / weights.sum(axis=-1, keepdims=True), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(s > 0, np.log(s) + (rho - 1) * np.log(np.where(gains > 0, gains, 1.0)), -np.inf)
    return np.where(gaining, np.exp(logs - logsumexp(logs, axis=-1, keepdims=True)), np.nan)


def _log_p_mean(gains: Values, s: Float[np.ndarray, " groups"], rho: float) -> Totals:
    """Log of the generalised mean of gains, in log space, so that extreme powers neither overflow nor vanish."""
    counts = s > 0
    with np.errstate(divide="ignore"):
        logs = np.where(counts, np.log(np.maximum(gains, 0.0)), 0.0)
    none = (np.isneginf(logs) & counts).any(axis=-1)
    if rho == 0:
        return np.where(none, -np.inf, np.where(counts, s * np.where(np.isneginf(logs), 0.0, logs), 0.0).sum(axis=-1))
    if rho < 0:
        finite = np.where(np.isneginf(logs), 0.0, logs)
        return np.where(none, -np.inf, logsumexp(rho * finite, axis=-1, b=s) / rho)
    return logsumexp(np.where(counts, rho * logs, -np.inf), axis=-1, b=s) / rho


def _gains(
    utilities: Values, shares: ArrayLike | None, disagreement: ArrayLike
) -> tuple[Values, Float[np.ndarray, " groups"]]:
    """What each group gains over the disagreement point, and the shares."""
    return np.asarray(utilities, dtype=float) - np.asarray(disagreement, dtype=float), _checked(utilities, shares)


def _checked(utilities: Values, shares: ArrayLike | None) -> Float[np.ndarray, " groups"]:
    """Shares that add to 1, one for each group."""
    n = np.asarray(utilities).shape[-1]
    if shares is None:
        return np.full(n, 1.0 / n)
    s = np.asarray(shares, dtype=float)
    if s.shape != (n,) or not np.isfinite(s).all() or (s < 0).any() or not s.any():
        raise UsageError(f"shares are {n} numbers of at least 0, not all 0.", fix="Give one for each group.")
    return s / s.sum()
