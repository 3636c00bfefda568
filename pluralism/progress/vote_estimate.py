"""Values from the answers to one period's questions: ridge logistic regression, many populations at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import expit

__all__ = ["vote_estimate"]

STEPS = 30
TOLERANCE = 1e-9


def vote_estimate(
    differences: Float[np.ndarray, "batch pairs dim"],
    share: Float[np.ndarray, "batch pairs"],
    n_votes: Float[np.ndarray, "batch pairs"],
    *,
    sharpness: float = 1.0,
    prior_std: float = 0.5,
    prior_mean: Float[np.ndarray, "batch dim"] | None = None,
) -> Float[np.ndarray, "batch dim"]:
    r"""Most likely mean values with a normal prior (Bradley-Terry on features, by Newton's method).

    Parameters
    ----------
    differences : array of shape (batch, pairs, dim)
        Features of the first option less those of the second.
    share, n_votes : arrays of shape (batch, pairs)
        Of the answers, how many prefer the first; pairs with 0 votes do not count.
    sharpness : float
        :math:`\beta`: the log-odds are :math:`\beta\, w \cdot` difference.
    prior_std : float
        Standard deviation of the prior in each dimension, above 0.
    prior_mean : array of shape (batch, dim), optional
        Left out, 0.
    """
    dim = differences.shape[-1]
    ridge = 1.0 / prior_std**2
    scaled = sharpness * differences
    start = np.zeros((len(differences), dim)) if prior_mean is None else prior_mean
    values = start

    def loss(at: Float[np.ndarray, "batch dim"]) -> Float[np.ndarray, " batch"]:
        odds = np.einsum("bqd,bd->bq", scaled, at)
        misfit = (n_votes * (np.logaddexp(0.0, odds) - share * odds)).sum(axis=1)
        return misfit + ridge / 2 * np.square(at - start).sum(axis=1)

    now = loss(values)
    for _ in range(STEPS):
        chance = expit(np.einsum("bqd,bd->bq", scaled, values))
        gradient = np.einsum("bq,bqd->bd", n_votes * (chance - share), scaled) + ridge * (values - start)
        if np.abs(gradient).max(initial=0.0) < TOLERANCE:
            break
        weight = n_votes * chance * (1 - chance)
        curvature = (scaled * weight[..., None]).swapaxes(1, 2) @ scaled + ridge * np.eye(dim)
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        size = np.ones(len(values))
        moved, then = values - step, loss(values - step)
        while (worse := ~(then <= now) & (size > 1e-6)).any():
            size[worse] /= 2
            moved[worse] = values[worse] - size[worse, None] * step[worse]
            then = loss(moved)
        values, now = moved, then
    return values
