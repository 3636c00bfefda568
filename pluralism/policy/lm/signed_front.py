"""Fronts of policies by direction, where directions ask for more of an attribute or for less of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from pluralism.models.pareto import hypervolume

__all__ = ["SignedVolumes", "signed_front", "signed_hypervolume", "signed_volumes"]


def signed_hypervolume(
    points: Float[np.ndarray, "points attributes"],
    directions: Float[np.ndarray, "directions attributes"],
    reference: Float[np.ndarray, " attributes"],
) -> float:
    """Volume between a reference and the points, on each side of it to which a direction points.

    Where all directions ask for more of every attribute this is the hypervolume above the reference. An attribute that
    some ask for less of counts on its other side too, so that short as well as long answers are an achievement where
    both are asked for.

    Examples
    --------
    >>> points = np.array([[1.0, 2.0], [1.0, -3.0]])
    >>> signed_hypervolume(points, np.array([[0.7, 0.7]]), np.zeros(2))
    2.0
    >>> signed_hypervolume(points, np.array([[0.7, 0.7], [0.7, -0.7]]), np.zeros(2))
    5.0
    """
    return sum(hypervolume(points * sides, reference * sides) for sides in _sides(directions))


def signed_front(
    points: Float[np.ndarray, "directions attributes"], directions: Float[np.ndarray, "directions attributes"]
) -> Bool[np.ndarray, " directions"]:
    """Whether no other direction's policy serves a direction better: as well on all it asks for, better on one.

    Examples
    --------
    >>> v = np.array([[0.7, 0.7], [0.7, -0.7]])
    >>> signed_front(np.array([[1.0, 2.0], [2.0, -1.0]]), v).tolist()
    [True, True]
    >>> signed_front(np.array([[1.0, 2.0], [2.0, 3.0]]), v).tolist()
    [False, True]
    """
    gain = np.sign(directions)[:, None] * (points[None] - points[:, None])
    better = np.all(gain >= 0, axis=2) & np.any(gain > 0, axis=2)
    return ~better.any(axis=1)


@dataclass(frozen=True, eq=False)
class SignedVolumes:
    """Volumes of one front a round, with intervals from a bootstrap over prompts.

    Attributes
    ----------
    value, low, high : arrays of shape (rounds,)
    gain, gain_low, gain_high : float
        Of the last over the first, on the same draws of prompts.
    """

    value: Float[np.ndarray, " rounds"]
    low: Float[np.ndarray, " rounds"]
    high: Float[np.ndarray, " rounds"]
    gain: float
    gain_low: float
    gain_high: float


def signed_volumes(
    taken: Float[np.ndarray, "rounds directions prompts attributes"],
    counts: Float[np.ndarray, "draws prompts"],
    directions: Float[np.ndarray, "directions attributes"],
    reference: Float[np.ndarray, " attributes"],
    *,
    level: float = 0.95,
) -> SignedVolumes:
    """`signed_hypervolume` of the mean over prompts.

    Parameters
    ----------
    taken : array of shape (rounds, directions, prompts, attributes)
    counts : array of shape (draws, prompts)
        Weight of each prompt in each bootstrap draw; rows sum to 1.
    """
    value = np.array([signed_hypervolume(points, directions, reference) for points in taken.mean(axis=2)])
    drawn = np.einsum("bp,rdpk->rbdk", counts, taken)
    volumes = np.array([[signed_hypervolume(points, directions, reference) for points in each] for each in drawn])
    tail = (1 - level) / 2
    low, high = np.quantile(volumes, [tail, 1 - tail], axis=1)
    gain_low, gain_high = np.quantile(volumes[-1] - volumes[0], [tail, 1 - tail])
    return SignedVolumes(value, low, high, float(value[-1] - value[0]), float(gain_low), float(gain_high))


def _sides(directions: Float[np.ndarray, "directions attributes"]) -> list[Float[np.ndarray, " attributes"]]:
    asked = [sorted({float(side) for side in np.sign(column) if side}) or [1.0] for column in directions.T]
    return [np.array(sides) for sides in itertools.product(*asked)]
