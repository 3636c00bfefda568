r"""The distribution nearest to a reference, in KL(t||p), with given means of features.

It is :math:`t_\lambda \propto p\,e^{\lambda \cdot \phi}`; :math:`\lambda` minimises the convex dual
:math:`\log Z(\lambda) - \lambda \cdot \mu`, whose gradient is :math:`E_t \phi - \mu` and whose Hessian is the
covariance of the features (Csiszar 1975; M. Khalifa et al., arXiv:2012.11635). Either each prompt has a lambda of its
own, or all share one and the means are over prompts too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, vstack

from pluralism.errors import DataError

__all__ = ["MomentFit", "Violation", "fit_moments", "violations"]

Matrix = Float[np.ndarray, "prompts candidates"]
Features = Float[np.ndarray, "prompts candidates moments"]
Moments = Float[np.ndarray, "problems moments"]
Vector = Float[np.ndarray, " prompts"]

MAX_ITER = 200
MAX_HALVINGS = 40
ARMIJO = 1e-4
RIDGE = 1e-14
FARTHEST_STEP = 100.0
"""No multiplier of a feature of range 1 moves by more than that at once."""
INFEASIBLE = 1e-7
"""Of the range of a feature; what the linear programmes can tell."""


@dataclass(frozen=True)
class MomentFit:
    """Moment targets of problems: one for all prompts, or one for each.

    Attributes
    ----------
    log_target : array of shape (prompts, candidates)
    multipliers : array of shape (problems, moments)
        lambda. Where features are linearly dependent several give the same target.
    primal, dual : arrays of shape (problems,)
        KL(t||p), and lambda . mu - log Z: no distribution with these means is nearer than that.
    miss : array of shape (problems,)
        Largest distance of a mean from mu, as a share of the range of its feature.
    n_iter : int
    """

    log_target: Matrix
    multipliers: Moments
    primal: Float[np.ndarray, " problems"]
    dual: Float[np.ndarray, " problems"]
    miss: Float[np.ndarray, " problems"]
    n_iter: int


@dataclass(frozen=True)
class Violation:
    """A mean that cannot be had.

    Attributes
    ----------
    moment : int
    asked, low, high : float
        The mean that is asked for, and those that are attainable while all means that can be held are held.
    """

    moment: int
    asked: float
    low: float
    high: float


def fit_moments(
    log_reference: Matrix, features: Features, mu: Moments, weights: Vector | None, *, tol: float = 1e-12
) -> MomentFit:
    """Newton's method on the dual, with backtracking, for all problems at once.

    Where mu is on the edge of what is attainable the multipliers grow until the miss is below `tol`; where it is
    beyond, the miss stays.

    Parameters
    ----------
    log_reference : array of shape (prompts, candidates)
    features : array of shape (prompts, candidates, moments)
    mu : array of shape (problems, moments)
    weights : array of shape (prompts,) or None
        Of the prompts in the means, for one problem of all prompts; None for a problem of each prompt.
    tol : float
        Largest miss of a mean, as a share of the range of its feature.
    """
    there = log_reference > -np.inf
    low = np.where(there[..., None], features, np.inf).min(axis=(0, 1))
    high = np.where(there[..., None], features, -np.inf).max(axis=(0, 1))
    scale = np.where(high > low, high - low, 1.0)
    phi = np.where(there[..., None], (features - low) / scale, 0.0)
    goal = (mu - low) / scale

    def pooled(each: np.ndarray) -> np.ndarray:
        return each if weights is None else np.tensordot(weights, each, 1)[None]

    def dual(lam: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shared = np.broadcast_to(lam, (len(phi), lam.shape[1]))
        energy = np.where(there, log_reference + np.einsum("xyk,xk->xy", phi, shared), -np.inf)
        top = energy.max(axis=1, keepdims=True)
        log_z = top + np.log(np.exp(energy - top).sum(axis=1, keepdims=True))
        log_t = energy - log_z
        gradient = pooled(np.einsum("xy,xyk->xk", np.exp(log_t), phi)) - goal
        return pooled(log_z[:, 0]) - np.sum(lam * goal, axis=1), log_t, gradient

    farthest = pooled(np.where(there, -log_reference, 0.0).max(axis=1)) + 1.0
    lam = np.zeros(goal.shape)
    value, log_t, gradient = dual(lam)
    size, n_iter = np.ones(len(lam)), 0
    while n_iter < MAX_ITER and size.any():
        # no distribution is farther than its farthest candidate: a dual value beyond that proves that there is none
        open_ = (np.abs(gradient).max(axis=1) > tol) & (-value <= farthest)
        if not open_.any():
            break
        n_iter += 1
        t = np.exp(log_t)
        deviation = phi - np.einsum("xy,xyk->xk", t, phi)[:, None]
        hessian = pooled(np.einsum("xy,xyk,xyl->xkl", t, deviation, deviation, optimize=True))
        ridge = RIDGE * np.maximum(np.trace(hessian, axis1=1, axis2=2), 1e-200)
        step = -np.linalg.solve(hessian + ridge[:, None, None] * np.eye(lam.shape[1]), gradient[..., None])[..., 0]
        step *= np.minimum(1.0, FARTHEST_STEP / np.maximum(np.abs(step).max(axis=1), 1e-300))[:, None]
        slope = np.sum(gradient * step, axis=1)
        size = np.where(open_, 1.0, 0.0)
        for _ in range(MAX_HALVINGS):
            new_value, new_log_t, new_gradient = dual(lam + size[:, None] * step)
            # where rounding hides the decrease, the gradient decides
            flat = np.abs(new_gradient).max(axis=1) <= 0.9 * np.abs(gradient).max(axis=1)
            hidden = np.abs(slope) <= 1e-12 * (1.0 + np.abs(value))
            fine = (size == 0) | np.where(hidden, flat, new_value <= value + ARMIJO * size * slope)
            if fine.all():
                break
            size = np.where(fine, size, 0.5 * size)
        else:
            size = np.where(fine, size, 0.0)
            new_value, new_log_t, new_gradient = dual(lam + size[:, None] * step)
        lam, value, log_t, gradient = lam + size[:, None] * step, new_value, new_log_t, new_gradient
    with np.errstate(invalid="ignore"):
        kl = np.where(np.exp(log_t) > 0, np.exp(log_t) * (log_t - log_reference), 0.0).sum(axis=1)
    return MomentFit(log_t, lam / scale, pooled(kl), -value, np.abs(gradient).max(axis=1), n_iter)


def violations(
    there: Bool[np.ndarray, "prompts candidates"],
    features: Features,
    mu: Float[np.ndarray, " moments"],
    weights: Vector,
) -> list[Violation]:
    """Which means cannot be had together, by linear programmes; none where some distribution has them all.

    The means that miss are those of the smallest total miss, each as a share of the range of its feature.

    Parameters
    ----------
    there : bool array of shape (prompts, candidates)
    weights : array of shape (prompts,)
        Of the prompts in the means.
    """
    row, place = np.nonzero(there)
    phi, n = features[row, place], len(row)
    spread = np.ptp(phi, axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    sums = csr_array((np.ones(n), (row, np.arange(n))), shape=(len(there), n))
    means = csr_array((weights[row, None] * phi / scale).T)
    k = len(mu)
    slack = csr_array((np.r_[-np.ones(k), np.ones(k)], (np.r_[:k, :k], np.arange(2 * k))), shape=(k, 2 * k))
    empty = csr_array((len(there), 2 * k))
    equal = vstack([hstack([sums, empty]), hstack([means, slack])])
    target = np.concatenate([np.ones(len(there)), mu / scale])
    found = _solved(np.r_[np.zeros(n), np.ones(2 * k)], equal, target)
    missed = found.x[n : n + k] + found.x[n + k :]
    held = list(np.flatnonzero(missed <= INFEASIBLE))
    out = []
    for moment in sorted(np.flatnonzero(missed > INFEASIBLE), key=lambda j: missed[j]):
        equal = vstack([sums, means[held]]) if held else sums
        target = np.concatenate([np.ones(len(there)), (mu / scale)[held]])
        cost = weights[row] * phi[:, moment]
        low, high = (sign * float(_solved(sign * cost, equal, target).fun) for sign in (1.0, -1.0))
        edge = INFEASIBLE * scale[moment]
        if low - edge <= mu[moment] <= high + edge:
            held.append(moment)
        else:
            out.append(Violation(int(moment), float(mu[moment]), low, high))
    return out


def _solved(cost: np.ndarray, equal: Any, target: np.ndarray) -> Any:
    found = linprog(cost, A_eq=equal, b_eq=target, bounds=(0.0, None), method="highs")
    if found.status != 0:
        raise DataError(
            f"Which means are attainable could not be told: {found.message}",
            fix="Bring the features to one scale, such as 0 to 1.",
        )
    return found
