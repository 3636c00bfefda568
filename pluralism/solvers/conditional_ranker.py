r"""A distribution over candidates that depends on a direction: log q = log p + phi . (theta_0 + Theta v) + constant."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pluralism.solvers.lbfgs import Minimum, minimise
from pluralism.solvers.log_policies import log_normalise

__all__ = ["conditional_log_probs", "fit_conditional_ranker"]

Coef = Float[np.ndarray, "terms dim"]
Matrix = Float[np.ndarray, "prompts candidates"]
Features = Float[np.ndarray, "prompts candidates dim"]
Directions = Float[np.ndarray, "prompts directions attributes"]
Conditional = Float[np.ndarray, "prompts directions candidates"]


def conditional_log_probs(coef: Coef, log_reference: Matrix, features: Features, directions: Directions) -> Conditional:
    """Log-probabilities of each prompt's candidates under each of its directions.

    Parameters
    ----------
    coef : array of shape (1 + attributes, dim)
        theta_0, and a row of Theta for each attribute.
    directions : array of shape (prompts, directions, attributes)
    """
    terms = features @ coef.T
    energy = log_reference[:, None, :] + terms[:, None, :, 0]
    energy = energy + np.einsum("xya,xma->xmy", terms[..., 1:], directions)
    flat = energy.reshape(-1, energy.shape[2])
    return log_normalise(flat).reshape(energy.shape)


def fit_conditional_ranker(
    coef: Coef,
    log_reference: Matrix,
    features: Features,
    directions: Directions,
    target: Conditional,
    *,
    penalty: float,
    tol: float = 1e-10,
    max_iter: int = 500,
) -> Minimum:
    """Maximise the mean log-likelihood of target distributions, less half the penalty times the squared coefficients.

    Parameters
    ----------
    coef : array of shape (1 + attributes, dim)
        Where to start.
    target : array of shape (prompts, directions, candidates)
        Probabilities: one at the candidate that is to be imitated, or a whole distribution.
    """
    rows = directions.shape[0] * directions.shape[1]
    shape = coef.shape

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        log_q = conditional_log_probs(x.reshape(shape), log_reference, features, directions)
        loss = -float(np.sum(np.where(target > 0, target * log_q, 0.0))) / rows
        residual = np.exp(log_q) - target
        terms = np.concatenate(
            [residual.sum(axis=1)[..., None], np.einsum("xmy,xma->xya", residual, directions)], axis=2
        )
        gradient = np.einsum("xya,xyd->ad", terms, features, optimize=True) / rows
        return loss + 0.5 * penalty * float(x @ x), gradient.ravel() + penalty * x

    # curvature at the reference, where the features have their largest spread
    p = np.exp(log_reference)
    mean = np.einsum("xy,xyd->xd", p, features)
    spread = np.einsum("xy,xyd->d", p, (features - mean[:, None]) ** 2) / len(p)
    weight = np.concatenate([[1.0], np.mean(directions**2, axis=(0, 1))])
    curvature = (weight[:, None] * spread).ravel() + penalty
    return minimise(objective, coef.ravel(), lambda g: g / curvature, tol=tol, max_iter=max_iter)
