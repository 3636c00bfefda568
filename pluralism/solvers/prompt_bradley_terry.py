"""Bradley-Terry rewards of each prompt's candidates from counts of wins, all prompts at once."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float
from scipy.special import expit, log_expit

from pluralism.errors import ConvergenceWarning, UsageError

__all__ = ["fit_prompt_bradley_terry"]

MAX_ITER = 100
TOLERANCE = 1e-10
ROUNDING = 1e-13


def fit_prompt_bradley_terry(
    wins: Float[np.ndarray, "prompts candidates candidates"], *, precision: float
) -> Float[np.ndarray, "prompts candidates"]:
    r"""Rewards that minimise :math:`-\sum_{ij} n_{ij} \log \sigma(r_i - r_j) + \frac{\lambda}{2} \|r\|^2`.

    It is also the optimum of DPO on these comparisons for a softmax policy over the candidates: the reward is its
    implicit one, :math:`\beta \log \pi / p` up to a constant.

    Parameters
    ----------
    wins : array of shape (prompts, candidates, candidates)
        How often candidate i was preferred to candidate j of the same prompt.
    precision : float
        Of the prior, above 0; without it a candidate that always wins has no finite reward.

    Returns
    -------
    array of shape (prompts, candidates)
        Rewards in logits, which sum to 0 for each prompt.
    """
    if not precision > 0:
        raise UsageError(f"precision={precision!r} is not possible.", fix="It is above 0.")
    counts = wins + wins.transpose(0, 2, 1)
    reward = np.zeros(wins.shape[:2])
    diagonal = np.eye(wins.shape[1])

    def objective(r: Float[np.ndarray, "prompts candidates"]) -> Float[np.ndarray, " prompts"]:
        apart = r[:, :, None] - r[:, None, :]
        return -np.sum(wins * log_expit(apart), axis=(1, 2)) + 0.5 * precision * np.sum(r**2, axis=1)

    value = objective(reward)
    for _ in range(MAX_ITER):
        chance = expit(reward[:, :, None] - reward[:, None, :])
        gradient = np.sum(counts * chance - wins, axis=2) + precision * reward
        if (np.abs(gradient) <= TOLERANCE + ROUNDING * counts.sum(axis=2)).all():
            return reward - reward.mean(axis=1, keepdims=True)
        weight = counts * chance * (1 - chance)
        hessian = (weight.sum(axis=2)[..., None] + precision) * diagonal - weight
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        # Halved for the prompts where a full step goes too far.
        length = np.ones(len(reward))
        for _ in range(30):
            tried = objective(reward - length[:, None] * step)
            worse = tried > value + 1e-12 * np.abs(value)
            if not worse.any():
                break
            length[worse] *= 0.5
        reward, value = reward - length[:, None] * step, tried
    warnings.warn("Bradley-Terry rewards of prompts did not converge.", ConvergenceWarning, stacklevel=2)
    return reward - reward.mean(axis=1, keepdims=True)
