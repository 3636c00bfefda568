"""Minimise an f-divergence from a target over policies: free softmax, log-linear in features, or by sampled gradients.

D. Go et al., "Aligning language models with preferences through f-divergence minimization", arXiv:2302.08215.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve

from pluralism.solvers.f_divergences import FDivergence, divergence_gradient, divergence_values, pseudo_reward
from pluralism.solvers.lbfgs import minimise
from pluralism.solvers.log_policies import log_normalise

__all__ = ["Descent", "descend_features", "descend_logits", "sampled_gradient"]

Matrix = Float[np.ndarray, "prompts candidates"]
Vector = Float[np.ndarray, " prompts"]

FARTHEST = 2.0
"""No logit moves by more than so many nats in a step."""
ARMIJO = 1e-4
MAX_HALVINGS = 50
RIDGE = 1e-10


@dataclass(frozen=True)
class Descent:
    """Where a descent stopped.

    Attributes
    ----------
    log_policy : array of shape (prompts, candidates)
    coef : array of shape (dim,)
        Of the features; empty for a free softmax.
    stationarity : float
        Norm of the gradient in the Fisher metric, in nats; for a free softmax the largest over prompts.
    n_iter : int
    """

    log_policy: Matrix
    coef: Float[np.ndarray, " dim"]
    stationarity: float
    n_iter: int


def descend_logits(
    log_start: Matrix, log_target: Matrix, divergence: FDivergence, *, tol: float = 1e-10, max_iter: int = 2000
) -> Descent:
    """Natural gradient descent on free logits, each prompt with a step of its own.

    The natural gradient of a logit is h - E h, h = f'(q/t), and a step of 1/f''(1) is Newton's near the target. Total
    variation has no curvature there but a known minimum of 0: its step is Polyak's, 4 D, by which KL(t||q) never rises.

    Parameters
    ----------
    log_start, log_target : arrays of shape (prompts, candidates)
        Log-probabilities.
    tol : float
        Of the stationarity, or of the divergence where it has a kink.
    """
    log_q = log_start.copy()
    there = log_q > -np.inf
    value = divergence_values(divergence, log_q, log_target)
    kink = divergence.curvature == 0
    longest = np.full(len(log_q), np.inf if kink else 1.0 / divergence.curvature)
    step = longest.copy()
    residual, iteration = np.inf, 0
    for iteration in range(max_iter + 1):
        q = np.exp(log_q)
        h = np.where(there, -pseudo_reward(divergence, log_q, log_target), 0.0)
        direction = np.where(there, np.sum(q * h, axis=1, keepdims=True) - h, 0.0)
        largest, slope = np.abs(direction).max(axis=1), np.sum(q * direction**2, axis=1)
        left = value if kink else np.sqrt(slope)
        open_, residual = left > tol, float(left.max())
        if not open_.any() or iteration == max_iter:
            break
        if kink:
            log_q = _moved(log_q, there, direction, np.where(open_, 4.0 * value, 0.0))
            value = divergence_values(divergence, log_q, log_target)
            continue
        step = np.minimum(step, FARTHEST / np.maximum(largest, 1e-300))
        for _ in range(MAX_HALVINGS):
            new = _moved(log_q, there, direction, np.where(open_, step, 0.0))
            new_value = divergence_values(divergence, new, log_target)
            # below what rounding shows of the value, a step of Newton's length is as good as any
            enough = ~open_ | (new_value <= value - ARMIJO * step * slope) | (step * slope <= 1e-15 * (1.0 + value))
            if enough.all():
                break
            step = np.where(enough, step, 0.5 * step)
        log_q, value = new, new_value
        step = np.minimum(2.0 * step, longest)
    return Descent(log_q, np.zeros(0), residual, iteration)


def descend_features(
    log_reference: Matrix,
    features: Float[np.ndarray, "prompts candidates dim"],
    log_target: Matrix,
    divergence: FDivergence,
    *,
    weights: Vector,
    tol: float = 1e-14,
    max_iter: int = 1000,
) -> Descent:
    """Minimise the mean divergence over policies log q = log p + features . coef + constant, from coef 0.

    The class may not hold the target, and then each divergence has another optimum. A divergence with a kink has no
    gradient to vanish: it goes by subgradients with steps that shrink as 1/sqrt(t), and the best point is kept.

    Parameters
    ----------
    weights : array of shape (prompts,)
        Of the prompts in the mean, summing to 1.
    tol : float
        Expected further decrease at which to stop.
    """
    dim = features.shape[2]

    def policy(coef: np.ndarray) -> Matrix:
        return log_normalise(log_reference + features @ coef)

    def objective(coef: np.ndarray) -> tuple[float, np.ndarray]:
        log_q = policy(coef)
        value = float(weights @ divergence_values(divergence, log_q, log_target))
        gradient = divergence_gradient(divergence, log_q, log_target)
        return value, np.einsum("x,xy,xyd->d", weights, gradient, features)

    def natural(coef: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        q = np.exp(policy(coef))
        centred = features - np.einsum("xy,xyd->xd", q, features)[:, None]
        fisher = np.einsum("x,xy,xyd,xye->de", weights, q, centred, centred)
        ridge = RIDGE * max(float(np.trace(fisher)) / dim, 1e-300)
        return cho_solve(cho_factor(fisher + ridge * np.eye(dim)), gradient)

    def logged(coef: np.ndarray) -> tuple[float, np.ndarray]:
        # chi-squared may start at 1e100; the minimum stays where it is
        value, gradient = objective(coef)
        return float(np.log1p(value)), gradient / (1.0 + value)

    coef = np.zeros(dim)
    if divergence.curvature > 0:
        natural_inverse = np.stack([natural(coef, row) for row in np.eye(dim)]) / divergence.curvature
        found = minimise(logged, coef, lambda g: natural_inverse @ g, tol=tol, max_iter=max_iter)
        gradient = objective(found.x)[1]
        norm = float(np.sqrt(max(gradient @ natural(found.x, gradient), 0.0)))
        return Descent(policy(found.x), found.x, norm, found.n_iter)
    best, best_coef = np.inf, coef
    for iteration in range(1, max_iter + 1):
        value, gradient = objective(coef)
        if value < best:
            best, best_coef = value, coef
        direction = natural(coef, gradient)
        length = float(np.sqrt(max(gradient @ direction, 0.0)))
        if length == 0.0:
            break
        coef = coef - direction / (length * np.sqrt(iteration))
    gradient = objective(best_coef)[1]
    norm = float(np.sqrt(max(gradient @ natural(best_coef, gradient), 0.0)))
    return Descent(policy(best_coef), best_coef, norm, iteration)


def sampled_gradient(
    divergence: FDivergence,
    log_policy: Matrix,
    log_target: Matrix,
    log_proposal: Matrix,
    samples: Int[np.ndarray, "prompts samples"],
    baseline: float | Vector = 0.0,
) -> Matrix:
    r"""Estimate of the gradient of D_f by the logits from samples of a proposal b.

    :math:`-\frac1n \sum_i \frac{q(y_i)}{b(y_i)} [r(y_i) - B] \nabla \log q(y_i)`, with the pseudo-reward r. Without
    bias where the target is normalised, B does not depend on these samples, and b is positive wherever q is.

    Parameters
    ----------
    log_policy, log_target, log_proposal : arrays of shape (prompts, candidates)
    samples : int array of shape (prompts, samples)
        Candidates drawn from the proposal.
    baseline : float or array of shape (prompts,)
    """
    reward = pseudo_reward(divergence, log_policy, log_target)
    drawn = np.take_along_axis(reward, samples, axis=1) - np.asarray(baseline).reshape(-1, 1)
    log_q, log_b = (np.take_along_axis(each, samples, axis=1) for each in (log_policy, log_proposal))
    weight = np.exp(log_q - log_b)
    push = weight * drawn / samples.shape[1]
    gradient = np.exp(log_policy) * push.sum(axis=1, keepdims=True)
    np.subtract.at(gradient, (np.arange(len(samples))[:, None], samples), push)
    return gradient


def _moved(log_q: Matrix, there: np.ndarray, direction: Matrix, step: Vector) -> Matrix:
    moved = np.where(there, log_q + np.where(step > 0, step, 0.0)[:, None] * direction, -np.inf)
    return log_normalise(moved)
