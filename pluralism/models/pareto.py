"""What pools of candidates make possible: Pareto fronts, their hypervolume, best-of-n by direction with bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from pluralism.data import Items

__all__ = [
    "Front",
    "best_of_n",
    "candidate_pools",
    "chebyshev",
    "front",
    "front_of_means",
    "hypervolume",
    "pareto_front",
]


@dataclass(frozen=True)
class Front:
    """Mean attributes of the candidates that each direction picks, one from each pool.

    Attributes
    ----------
    attributes : list of str
    directions : array of shape (directions, all_attributes)
        Over all attributes of the model, of which `attributes` may be some.
    mean, low, high : arrays of shape (directions, attributes)
        Mean over pools, and its bootstrap interval (NaN with one pool).
    on_front : bool array of shape (directions,)
        Whether no other direction's mean is at least as good on every attribute and better on one.
    hypervolume, hypervolume_low, hypervolume_high : float
        Of the means above `reference`.
    reference : array of shape (attributes,)
    n_pools : int
    """

    attributes: list[str]
    directions: Float[np.ndarray, "directions all_attributes"]
    mean: Float[np.ndarray, "directions attributes"]
    low: Float[np.ndarray, "directions attributes"]
    high: Float[np.ndarray, "directions attributes"]
    on_front: Bool[np.ndarray, " directions"]
    hypervolume: float
    hypervolume_low: float
    hypervolume_high: float
    reference: Float[np.ndarray, " attributes"]
    n_pools: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain lists; the points as rows."""
        rows = zip(self.directions, self.mean, self.low, self.high, self.on_front, strict=True)
        return {
            "attributes": self.attributes,
            "points": [
                {
                    "direction": direction.tolist(),
                    "mean": mean.tolist(),
                    "low": low.tolist(),
                    "high": high.tolist(),
                    "on_front": bool(kept),
                }
                for direction, mean, low, high, kept in rows
            ],
            "hypervolume": self.hypervolume,
            "hypervolume_interval": [self.hypervolume_low, self.hypervolume_high],
            "reference": self.reference.tolist(),
            "pools": self.n_pools,
        }


def pareto_front(points: Float[np.ndarray, "points attributes"]) -> Bool[np.ndarray, " points"]:
    """Which points no other point dominates; more is better, and of equal points all are kept.

    Examples
    --------
    >>> pareto_front(np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 1.0]])).tolist()
    [True, True, False]
    """
    kept = np.ones(len(points), bool)
    for i, point in enumerate(points):
        better = np.all(points >= point, axis=1) & np.any(points > point, axis=1)
        kept[i] = not better.any()
    return kept


def hypervolume(points: Float[np.ndarray, "points attributes"], reference: Float[np.ndarray, " attributes"]) -> float:
    """Volume of what the points dominate above a reference point, exact, by slicing along the last attribute.

    Examples
    --------
    >>> hypervolume(np.array([[2.0, 1.0], [1.0, 2.0]]), np.zeros(2))
    3.0
    """
    above = points[np.all(points > reference, axis=1)] - reference
    return _volume(above)


def _volume(points: np.ndarray) -> float:
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    points = points[pareto_front(points)]
    if points.shape[1] == 2:
        order = np.argsort(-points[:, 0])
        x, y = points[order].T
        top = np.maximum.accumulate(y)
        return float(np.sum(x * np.diff(top, prepend=0.0)))
    order = np.argsort(-points[:, -1])
    points = points[order]
    depth = points[:, -1] - np.append(points[1:, -1], 0.0)
    slices = [_volume(points[: i + 1, :-1]) if depth[i] > 0 else 0.0 for i in range(len(points))]
    return float(depth @ np.array(slices))


def chebyshev(
    points: Float[np.ndarray, "points attributes"],
    weights: Float[np.ndarray, " attributes"],
    *,
    ideal: Float[np.ndarray, " attributes"] | None = None,
    augmentation: float = 1e-3,
) -> Float[np.ndarray, " points"]:
    """Scores - max_k w_k (ideal_k - x_k): some weights make any point of the front the best, also off its hull.

    Linear scores (a direction) can pick points of the convex hull alone.

    Parameters
    ----------
    points : array of shape (points, attributes)
    weights : array of shape (attributes,)
        Not negative, not all 0.
    ideal : array of shape (attributes,), optional
        The best value of each attribute; left out, over the points.
    augmentation : float
        Share of the weighted mean that is added, so that of points with equal maximum the dominating one wins.

    Raises
    ------
    UsageError
        If a weight is negative, or all are 0.
    """
    w = np.asarray(weights, float)
    if not np.all(np.isfinite(w)) or np.any(w < 0) or not np.any(w > 0):
        raise UsageError("Chebyshev weights must not be negative, and not all be 0.", fix="Turn the attribute's sign.")
    best = points.max(axis=0) if ideal is None else np.asarray(ideal, float)
    short = w * (best - points)
    return -short.max(axis=1) - augmentation * short.sum(axis=1)


def candidate_pools(items: Items) -> Int[np.ndarray, " items"]:
    """Pools of candidates: the prompts; items without a prompt are one pool together."""
    return np.unique(items.prompt_codes(), return_inverse=True)[1].astype(np.int64)


def best_of_n(
    scores: Float[np.ndarray, " items"], pool: Int[np.ndarray, " items"], n_pools: int
) -> Int[np.ndarray, " pools"]:
    """The item of the highest score in each pool (the first of equals); -1 for an empty pool."""
    order = np.lexsort((np.arange(len(scores)), -scores, pool))
    first = np.searchsorted(pool[order], np.arange(n_pools))
    inside = np.minimum(first, max(len(order) - 1, 0))
    found = order[inside] if len(order) else np.zeros(n_pools, np.int64)
    there = (first < len(order)) & (pool[found] == np.arange(n_pools)) if len(order) else np.zeros(n_pools, bool)
    return np.where(there, found, -1)


def front(
    scores: Float[np.ndarray, "items directions"],
    values: Float[np.ndarray, "items attributes"],
    pool: Int[np.ndarray, " items"],
    *,
    directions: Float[np.ndarray, "directions all_attributes"],
    attributes: list[str],
    reference: Float[np.ndarray, " attributes"] | None = None,
    n_bootstrap: int = 500,
    level: float = 0.95,
    rng: RNG = 0,
) -> Front:
    """Pick the best of each pool by every direction, and average what was picked.

    Parameters
    ----------
    scores : array of shape (items, directions)
    values : array of shape (items, attributes)
        What is averaged: predicted attributes or, better, ratings that the scores were not learnt from.
    pool : int array of shape (items,)
        Codes 0, 1, ... of the pools, such as prompts.
    reference : array of shape (attributes,), optional
        Left out, the mean over all items: what a random pick brings.
    n_bootstrap : int
        Draws of pools with replacement.
    """
    n_pools = int(pool.max(initial=-1)) + 1
    picked = np.stack([best_of_n(column, pool, n_pools) for column in scores.T])
    return front_of_means(
        values[picked],
        directions=directions,
        attributes=attributes,
        reference=values.mean(axis=0) if reference is None else np.asarray(reference, float),
        n_bootstrap=n_bootstrap,
        level=level,
        rng=rng,
    )


def front_of_means(
    taken: Float[np.ndarray, "directions pools attributes"],
    *,
    directions: Float[np.ndarray, "directions all_attributes"],
    attributes: list[str],
    reference: Float[np.ndarray, " attributes"],
    weights: Float[np.ndarray, " pools"] | None = None,
    n_bootstrap: int = 500,
    level: float = 0.95,
    rng: RNG = 0,
) -> Front:
    """Average what each direction brought in each pool, with a bootstrap over pools.

    Parameters
    ----------
    taken : array of shape (directions, pools, attributes)
    weights : array of shape (pools,), optional
        Of the pools in the means, at least 0 and not all 0; left out, all count the same.
    reference, n_bootstrap, level, rng
        As in `front`.
    """
    n_pools = taken.shape[1]
    w = np.ones(n_pools) if weights is None else weights
    mean = np.einsum("p,dpk->dk", w / w.sum(), taken)
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    volume = (np.nan, np.nan)
    if n_pools > 1 and n_bootstrap > 0:
        generator = as_generator(rng, "pareto front")
        counts = w * generator.multinomial(n_pools, np.full(n_pools, 1 / n_pools), n_bootstrap)
        # A draw without any pool that counts says nothing.
        counts = counts[counts.sum(axis=1) > 0]
        drawn = np.einsum("bp,dpk->bdk", counts / counts.sum(axis=1, keepdims=True), taken)
        tail = (1 - level) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
        volumes = [hypervolume(points, reference) for points in drawn]
        volume = (float(np.quantile(volumes, tail)), float(np.quantile(volumes, 1 - tail)))
    on_front, reached = pareto_front(mean), hypervolume(mean, reference)
    return Front(attributes, directions, mean, low, high, on_front, reached, *volume, reference, n_pools)
