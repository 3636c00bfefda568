"""A batch of comparisons by expected information, each chosen as if those before it were answered.

The most telling comparisons are often about the same thing; a batch of them tells little more than the first. After
each choice the draws of rewards are contracted as the answer would contract their posterior: for Gaussian log-odds z of
all comparisons and an answer on the r-th of curvature k, draw by draw,

    z <- z - cov(z, z_r) / var(z_r) (1 - 1 / sqrt(1 + k var(z_r))) (z_r - E z_r),

the square root of the rank-one update of the covariance (Potter 1963). The curvature is that of a logistic answer,
times the probability that the person is of the group whose rewards are updated.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit

from pluralism.elicitation.query_selection.acquisition import bald
from pluralism.elicitation.query_selection.reward_samples import RewardSamples

__all__ = ["batch_bald"]


def batch_bald(
    samples: RewardSamples,
    n: int,
    left: Int[np.ndarray, " pairs"],
    right: Int[np.ndarray, " pairs"],
    rng: np.random.Generator,
    *,
    most_per_item: int | None = None,
) -> Int[np.ndarray, " selected"]:
    """Rows of up to n comparisons, the most telling first.

    Parameters
    ----------
    samples : RewardSamples
    n : int
    left, right : int arrays of shape (pairs,)
        Codes of the items.
    rng : Generator
        Breaks ties.
    most_per_item : int, optional
        Comparisons chosen with one item; left out, any number.
    """
    jitter = 1e-12 * rng.random(len(left))
    still = np.ones(len(left), dtype=bool)
    used = np.zeros(int(max(left.max(initial=-1), right.max(initial=-1))) + 1, dtype=np.int64)
    chosen: list[int] = []
    z = samples.left - samples.right
    while len(chosen) < n and still.any():
        now = replace(samples, left=z, right=np.zeros_like(z))
        row = int(np.argmax(np.where(still, bald(now) + jitter, -np.inf)))
        chosen.append(row)
        still[row] = False
        if most_per_item is not None:
            used[[left[row], right[row]]] += 1
            still &= (used[left] < most_per_item) & (used[right] < most_per_item)
        z = _told(z, row, samples.group_weight[row])
    return np.array(chosen, dtype=np.int64)


def _told(
    z: Float[np.ndarray, "draws pairs groups"], row: int, weight: Float[np.ndarray, " groups"]
) -> Float[np.ndarray, "draws pairs groups"]:
    """The draws as if the comparison were answered."""
    out = z.copy()
    for group in range(z.shape[2]):
        off = z[:, row, group] - z[:, row, group].mean()
        variance = float(off @ off) / len(off)
        if variance <= 0 or weight[group] <= 0:
            continue
        p = expit(z[:, row, group])
        curvature = weight[group] * float(np.mean(p * (1.0 - p)))
        slope = (z[:, :, group] - z[:, :, group].mean(axis=0)).T @ off / len(off) / variance
        out[:, :, group] -= np.outer(off, slope) * (1.0 - 1.0 / np.sqrt(1.0 + curvature * variance))
    return out
