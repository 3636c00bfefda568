"""The published scores: cosines of behaviour. Coevolve's pays for moving people to the last period at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError

__all__ = ["coevolve_bound", "coevolve_score", "cosine", "extrapolation_weights"]


def cosine(
    left: Float[np.ndarray, "*left dim"], right: Float[np.ndarray, "*right dim"]
) -> Float[np.ndarray, "*angles"]:
    """Cosine of the angle between vectors, which broadcast; 0 where one of them is 0, which has no direction."""
    norms = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    return np.divide((left * right).sum(axis=-1), norms, out=np.zeros(norms.shape), where=norms > 0)


def coevolve_score(
    people: Float[np.ndarray, "*batch dim"], history: Float[np.ndarray, "*histories periods dim"]
) -> Float[np.ndarray, "*batch"]:
    r"""Score of where people are: the mean over periods i of :math:`\max_{j \ge i} \cos(s, a_j)`.

    It does not matter when they are there, and whoever is at the last period scores 1: the way to the best score is to
    move people to the future in one step. Kept to reproduce published numbers; the default metric punishes it.

    Parameters
    ----------
    people : array of shape (..., dim)
        Behaviour s.
    history : array of shape (..., periods, dim)
        Behaviour of true history in each period.
    """
    angles = cosine(people[..., None, :], history)
    return np.asarray(np.maximum.accumulate(angles[..., ::-1], axis=-1).mean(axis=-1))


def coevolve_bound(history: Float[np.ndarray, "periods dim"]) -> float:
    r"""The best published score from a fixed start: :math:`[\mathrm{mean}_i \max_{j \ge i} \cos(a_0, a_j) + T-1]/T`."""
    return (float(coevolve_score(history[0], history)) + len(history) - 1) / len(history)


def extrapolation_weights(order: int) -> Float[np.ndarray, " orders"]:
    r"""Weights of the last M + 1 values, oldest first, if the (M+1)-th backward difference of the next vanishes.

    :math:`\hat p_{t+1} = \sum_{i=0}^{M} (-1)^{M-i} \binom{M+1}{i} p_{t-M+i}`.

    Examples
    --------
    >>> extrapolation_weights(2)
    array([ 1., -3.,  3.])
    """
    from math import comb

    if order < 0:
        raise UsageError(f"order must be at least 0, not {order}.", fix="Use 0 for the last value itself.")
    return np.array([(-1.0) ** (order - i) * comb(order + 1, i) for i in range(order + 1)])
