"""The best expected reward within a budget of KL divergence: the tilt whose KL meets the budget."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pluralism.solvers.log_policies import kl_divergence, variance
from pluralism.solvers.tilt import tilt

__all__ = ["largest_kl", "tilt_to_kl", "tilt_to_mean_kl"]

Matrix = Float[np.ndarray, "prompts candidates"]
Vector = Float[np.ndarray, " prompts"]
MAX_ITER = 200
RELATIVE = 1e-12
ABSOLUTE = 1e-15
UNDERFLOW = 750.0


def largest_kl(reward: Matrix, log_reference: Matrix) -> Vector:
    """KL of the reference restricted to the best candidates: what more of a budget cannot use."""
    return kl_divergence(tilt(reward, log_reference, 0.0)[0], log_reference)


def tilt_to_kl(reward: Matrix, log_reference: Matrix, budget: float | Vector) -> tuple[Matrix, Vector]:
    """Maximise E r subject to KL(q||p) <= budget in each prompt.

    Newton's method on log KL as a function of log 1/beta, where it starts as a line of slope 2, within a bracket that
    is halved whenever a step leaves it.

    Parameters
    ----------
    reward, log_reference : arrays of shape (prompts, candidates)
    budget : float or array of shape (prompts,)
        In nats, at least 0.

    Returns
    -------
    log_policy : array of shape (prompts, candidates)
    beta : array of shape (prompts,)
        Infinite for a budget of 0, 0 where the budget is not used up even by the best candidates alone.
    """
    target = np.broadcast_to(np.asarray(budget, dtype=np.float64), len(reward))
    beta = np.where(target <= 0, np.inf, 0.0)
    open_ = np.flatnonzero((target > 0) & (target < largest_kl(reward, log_reference)))
    p, r, goal = log_reference[open_], reward[open_], target[open_]
    low, high = _bracket(r, p, goal)
    x = np.minimum(low, high)
    for _ in range(MAX_ITER):
        q = tilt(r, p, np.exp(-x)[:, None])[0]
        kl = kl_divergence(q, p)
        low, high = np.where(kl <= goal, x, low), np.where(kl >= goal, x, high)
        met = (np.abs(kl - goal) <= RELATIVE * goal + ABSOLUTE) | (high - low <= 1e-15 * np.abs(x))
        if np.all(met):
            break
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = (np.log(goal) - np.log(kl)) * kl / (np.exp(2 * x) * variance(q, r))
        new = x + step
        x = np.where(met, x, np.where((new > low) & (new < high), new, 0.5 * (low + high)))
    beta[open_] = np.exp(-x)
    return tilt(reward, log_reference, beta[:, None])[0], beta


def tilt_to_mean_kl(
    reward: Matrix, log_reference: Matrix, budget: float, weights: Vector | None = None
) -> tuple[Matrix, float]:
    """Maximise the mean of E r over prompts subject to a mean KL of at most the budget: one beta for all prompts.

    Parameters
    ----------
    reward, log_reference : arrays of shape (prompts, candidates)
    budget : float
        In nats a prompt, at least 0.
    weights : array of shape (prompts,), optional
        Of the prompts in both means, summing to 1; equal by default.

    Returns
    -------
    log_policy : array of shape (prompts, candidates)
    beta : float
    """
    w = np.full(len(reward), 1.0 / len(reward)) if weights is None else weights
    if budget <= 0:
        return tilt(reward, log_reference, np.inf)[0], np.inf
    if budget >= w @ largest_kl(reward, log_reference):
        return tilt(reward, log_reference, 0.0)[0], 0.0
    # where every single prompt is below the budget (above it), so is the mean
    low, high = _bracket(reward, log_reference, np.full(len(reward), budget))
    finite = np.isfinite(low) & np.isfinite(high)
    a, b = float(low[finite].min()), float(high[finite].max())
    x = a
    for _ in range(MAX_ITER):
        q = tilt(reward, log_reference, np.exp(-x))[0]
        kl = float(w @ kl_divergence(q, log_reference))
        a, b = (x, b) if kl <= budget else (a, x)
        if abs(kl - budget) <= RELATIVE * budget + ABSOLUTE or b - a <= 1e-15 * abs(x):
            break
        slope = np.exp(2 * x) * float(w @ variance(q, reward))
        new = x + np.log(budget / kl) * kl / slope if slope > 0 and kl > 0 else np.nan
        x = new if a < new < b else 0.5 * (a + b)
    return q, float(np.exp(-x))


def _bracket(reward: Matrix, log_reference: Matrix, goal: Vector) -> tuple[Vector, Vector]:
    """Bounds of log 1/beta: from KL <= (range / beta)^2 / 8, and from where all but the best has underflown."""
    there = log_reference > -np.inf
    best = np.where(there, reward, -np.inf).max(axis=1)
    spread = best - np.where(there, reward, np.inf).min(axis=1)
    short = np.where(there & (reward < best[:, None]), best[:, None] - reward, np.inf).min(axis=1)
    log_best = np.log(np.sum(np.exp(log_reference) * (there & (reward == best[:, None])), axis=1))
    with np.errstate(divide="ignore"):
        low = 0.5 * np.log(8.0 * goal) - np.log(spread)
        high = np.log(UNDERFLOW - log_best) - np.log(short)
    return low, np.maximum(low, high)
