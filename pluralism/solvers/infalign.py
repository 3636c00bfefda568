"""The policy whose best (or worst) of n draws wins most, at a price for its KL: exactly, by a damped fixed point.

All is on reward levels in ascending order, for every prompt at once. With c the mid-CDF of T(p), the inference
procedure T run on the reference p, the objective is W(q) - beta KL(q||p), W(q) = E_{T(q)} c: the chance that T(q) beats
T(p), ties half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from pluralism.solvers.best_of_n import best_of_n_levels, worst_of_n_levels
from pluralism.solvers.kl_budget import tilt_to_kl
from pluralism.solvers.log_policies import expectation, kl_divergence, log_normalise
from pluralism.solvers.reward_levels import log_cdf, mid_cdf

__all__ = [
    "AlignedLevels",
    "Inference",
    "align_levels",
    "align_levels_to_kl",
    "inference_levels",
    "inference_win_rate",
    "win_rate_gradient",
]

Inference = Literal["best_of_n", "worst_of_n"]
Levels = Float[np.ndarray, "prompts levels"]
Vector = Float[np.ndarray, " prompts"]

TOLERANCE = 1e-10
MAX_ITER = 20_000
GROW, SHRINK = 1.3, 0.5
KL_TOLERANCE = 1e-10
MAX_STEPS = 200


@dataclass(frozen=True)
class AlignedLevels:
    """A fixed point q = softmax(log p + Phi(q) / beta) for every prompt.

    Attributes
    ----------
    log_mass : array of shape (prompts, levels)
    beta : array of shape (prompts,)
    residual : array of shape (prompts,)
        Largest distance between log q and log p + Phi(q) / beta over levels, free of the constant, as a share of the
        largest Phi / beta where that is above 1.
    n_iter : int
    """

    log_mass: Levels
    beta: Vector
    residual: Vector
    n_iter: int


def inference_levels(log_mass: Levels, n: float, inference: Inference) -> Levels:
    """Log-mass of the levels under the best or the worst of n draws."""
    return (best_of_n_levels if inference == "best_of_n" else worst_of_n_levels)(log_mass, n)


def inference_win_rate(log_policy: Levels, log_mass: Levels, n: float, inference: Inference) -> Vector:
    """Chance that T(policy) beats T(reference), ties half."""
    place = mid_cdf(inference_levels(log_mass, n, inference))
    return expectation(inference_levels(log_policy, n, inference), place)


def win_rate_gradient(log_policy: Levels, place: Levels, n: float, inference: Inference) -> Levels:
    r"""Derivative Phi of W by the mass of each level, up to one constant a prompt.

    :math:`-\sum_{i \ge j} n F_i^{n-1} (c_{i+1} - c_i)` for the best of n, and
    :math:`\sum_{i \le j} n S_i^{n-1} (c_i - c_{i-1})` for the worst, with S the mass on a level and those above.

    Parameters
    ----------
    log_policy : array of shape (prompts, levels)
    place : array of shape (prompts, levels)
        c, ascending.
    """
    steps = np.diff(place, axis=1)
    phi = np.zeros_like(place)
    if inference == "best_of_n":
        slope = n * np.exp((n - 1.0) * log_cdf(log_policy)[:, :-1]) * steps
        phi[:, :-1] = -np.cumsum(slope[:, ::-1], axis=1)[:, ::-1]
    else:
        with np.errstate(invalid="ignore"):
            survival = (n - 1.0) * log_cdf(log_policy[:, ::-1])[:, ::-1][:, 1:]
        slope = n * np.exp(np.where(np.isnan(survival), 0.0, survival)) * steps
        phi[:, 1:] = np.cumsum(slope, axis=1)
    return phi


def align_levels(
    log_mass: Levels, beta: float | Vector, n: float, inference: Inference, *, start: Levels | None = None
) -> AlignedLevels:
    """Iterate log q <- (1 - d) log q + d [log p + Phi(q) / beta], with a damping d of each prompt.

    For the best of n the objective is concave, and a step is kept if the objective still rises at its end, which
    bounds the objective from below; otherwise d is halved. For the worst of n, W is convex: the undamped step is the
    best answer to its tangent, and never lowers the objective, but there may be several fixed points.

    Parameters
    ----------
    log_mass : array of shape (prompts, levels)
        The reference.
    beta : float or array of shape (prompts,)
        Above 0.
    start : array of shape (prompts, levels), optional
        Log-mass to start from; the reference by default.
    """
    price = np.broadcast_to(np.asarray(beta, dtype=np.float64), len(log_mass)).copy()
    place = mid_cdf(inference_levels(log_mass, n, inference))
    there = log_mass > -np.inf
    base = np.where(there, log_mass, 0.0)

    def settle(log_q: Levels) -> tuple[Levels, Levels, Levels, Vector]:
        log_q = log_normalise(np.where(there, log_q, -np.inf))
        q = np.exp(log_q)
        pull = win_rate_gradient(log_q, place, n, inference) / price[:, None]
        gap = np.where(there, pull - (np.where(there, log_q, 0.0) - base), 0.0)
        gap = np.where(there, gap - np.sum(q * gap, axis=1, keepdims=True), 0.0)
        # figures of the gap are lost in proportion to its parts
        return log_q, q, gap, np.abs(gap).max(axis=1) / np.maximum(1.0, np.abs(pull).max(axis=1))

    log_q, q, gap, residual = settle(log_mass if start is None else start)
    damping = np.full(len(log_mass), 0.5 if inference == "best_of_n" else 1.0)
    iteration = 0
    while iteration < MAX_ITER:
        moving = residual > TOLERANCE
        if not moving.any():
            break
        iteration += 1
        new_log_q, new_q, new_gap, new_residual = settle(np.where(there, log_q, 0.0) + damping[:, None] * gap)
        rises = np.sum(new_gap * (new_q - q), axis=1) >= 0.0
        keep = moving & (rises if inference == "best_of_n" else True)
        log_q, q, gap = (
            np.where(keep[:, None], new, old) for new, old in ((new_log_q, log_q), (new_q, q), (new_gap, gap))
        )
        residual = np.where(keep, new_residual, residual)
        if inference == "best_of_n":
            damping = np.where(rises, np.minimum(GROW * damping, 1.0), SHRINK * damping)
    return AlignedLevels(log_q, price, residual, iteration)


def align_levels_to_kl(
    log_mass: Levels, budget: float | Vector, n: float, inference: Inference, *, start: Levels | None = None
) -> AlignedLevels:
    """The fixed point whose KL from the reference is the budget: max W(q) subject to KL(q||p) <= budget.

    A budget that even all mass on the highest level does not use up gives that (beta 0); a budget of 0 the reference
    (beta infinite).

    Parameters
    ----------
    log_mass : array of shape (prompts, levels)
    budget : float or array of shape (prompts,)
        In nats.
    """
    goal = np.broadcast_to(np.asarray(budget, dtype=np.float64), len(log_mass))
    top = np.arange(log_mass.shape[1]) == (log_mass > -np.inf).sum(axis=1)[:, None] - 1
    log_best = np.where(top, 0.0, -np.inf)
    rest, full = goal <= 0, goal >= kl_divergence(log_best, log_mass)
    out = np.where(full[:, None] & ~rest[:, None], log_best, log_mass)
    beta, residual = np.where(rest, np.inf, 0.0), np.zeros(len(log_mass))
    open_ = np.flatnonzero(~(rest | full))
    p, goal = log_mass[open_], goal[open_]
    log_q = (log_mass if start is None else start)[open_]
    solve = _by_price if inference == "best_of_n" else _by_tangents
    found = solve(p, goal, n, log_q)
    out[open_], beta[open_], residual[open_] = found.log_mass, found.beta, found.residual
    return AlignedLevels(out, beta, residual, found.n_iter)


def _by_price(p: Levels, goal: Vector, n: float, log_q: Levels) -> AlignedLevels:
    """Best of n: the objective is concave and KL falls with beta, so log beta is bracketed and bisected.

    Each beta starts from the fixed point of the last.
    """
    low, high = np.full(len(p), -np.inf), np.full(len(p), np.inf)  # of log 1/beta
    x, stride = np.zeros(len(p)), np.ones(len(p))
    found = AlignedLevels(log_q, np.exp(-x), np.zeros(len(p)), 0)
    n_iter = 0
    for _ in range(MAX_STEPS if len(p) else 0):
        found = align_levels(p, np.exp(-x), n, "best_of_n", start=log_q)
        log_q, n_iter = found.log_mass, n_iter + found.n_iter
        kl = kl_divergence(log_q, p)
        met = (np.abs(kl - goal) <= KL_TOLERANCE * goal) | (high - low <= 1e-14 * np.abs(x))
        if met.all():
            break
        low, high = np.where(kl <= goal, x, low), np.where(kl >= goal, x, high)
        inside = np.isfinite(low) & np.isfinite(high)
        reach = np.where(np.isfinite(high), high - stride, low + stride)
        x, stride = np.where(met, x, np.where(inside, 0.5 * (low + high), reach)), 2.0 * stride
    return AlignedLevels(log_q, found.beta, found.residual, n_iter)


def _by_tangents(p: Levels, goal: Vector, n: float, log_q: Levels) -> AlignedLevels:
    """Worst of n: W is convex, so the best policy of this KL by its tangent is never worse than where it touches.

    A price would not do: KL may jump as it changes.
    """
    place = mid_cdf(inference_levels(p, n, "worst_of_n"))
    beta, residual = np.full(len(p), np.inf), np.full(len(p), np.inf)
    moving = np.arange(len(p))
    n_iter = 0
    while len(moving) and n_iter < MAX_ITER:
        n_iter += 1
        pull = win_rate_gradient(log_q[moving], place[moving], n, "worst_of_n")
        new, price = tilt_to_kl(pull, p[moving], goal[moving])
        there = (p[moving] > -np.inf) & (log_q[moving] > -np.inf)
        moved = np.where(there, new, 0.0) - np.where(there, log_q[moving], 0.0)
        scale = np.maximum(1.0, np.abs(pull).max(axis=1) / np.where(price > 0, price, np.inf))
        log_q[moving], beta[moving] = new, price
        residual[moving] = np.abs(moved).max(axis=1) / scale
        moving = moving[residual[moving] > TOLERANCE]
    return AlignedLevels(log_q, beta, residual, n_iter)
