"""Scores of several predictions on the same rows, with the same users drawn again for all of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from pluralism.evaluation.bootstrap import interval, ratio, resample_users
from pluralism.evaluation.sums import UserSums, draw_totals, score_rows

if TYPE_CHECKING:
    from pluralism.evaluation.scoring import Settings

__all__ = ["Paired", "paired_scores"]


@dataclass(frozen=True)
class Paired:
    """Accuracy and nll of each prediction: the value and its bootstrap draws.

    Attributes
    ----------
    values : mapping of (metric, key) to float
    draws : mapping of (metric, key) to array of shape (draws,)
    level : float
    """

    values: Mapping[tuple[str, Hashable], float]
    draws: Mapping[tuple[str, Hashable], Float[np.ndarray, " draws"]]
    level: float

    def value(self, metric: str, key: Hashable) -> float:
        """Score of one prediction."""
        return self.values[metric, key]

    def interval(self, metric: str, key: Hashable) -> tuple[float, float]:
        """Its interval."""
        return interval(self.draws[metric, key], self.level)

    def difference(self, metric: str, key: Hashable, other: Hashable) -> tuple[float, float, float]:
        """Score of `key` less that of `other`, and the interval of the difference."""
        low, high = interval(self.draws[metric, key] - self.draws[metric, other], self.level)
        return self.values[metric, key] - self.values[metric, other], low, high


def paired_scores(
    predictions: Mapping[Hashable, Float[np.ndarray, " pairs"]],
    y: Float[np.ndarray, " pairs"],
    weight: Float[np.ndarray, " pairs"],
    user: Int[np.ndarray, " pairs"],
    settings: Settings,
) -> Paired:
    """Score each prediction and bootstrap them together over users."""
    first = score_rows(next(iter(predictions.values())), y, weight, user)
    sums = UserSums(first.user, first.n_users)
    sums.add("nll", weight)
    sums.add("accuracy", weight * first.decided)
    for key, p in predictions.items():
        rows = score_rows(p, y, weight, user)
        sums.add(f"nll {key!r}", weight * rows.log_loss)
        sums.add(f"accuracy {key!r}", weight * rows.decided * rows.correct)
    matrix = sums.matrix()
    n_draws = settings.n_bootstrap if first.n_users > 1 else 0
    blocks = [
        draw_totals(matrix, counts)
        for counts in resample_users(first.n_users, n_draws, np.random.default_rng([settings.seed, 0]))
    ]
    totals = np.concatenate(blocks) if blocks else np.full((1, matrix.shape[1]), np.nan)
    point = draw_totals(matrix, np.ones((1, first.n_users)))
    values, draws = {}, {}
    for metric in ("accuracy", "nll"):
        for key in predictions:
            name = f"{metric} {key!r}"
            values[metric, key] = float(ratio(sums.of(point, name), sums.of(point, metric))[0, 0])
            draws[metric, key] = ratio(sums.of(totals, name), sums.of(totals, metric))[:, 0]
    return Paired(values, draws, settings.level)
