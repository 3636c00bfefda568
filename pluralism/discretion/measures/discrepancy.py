"""Discretion discrepancy: how differently two annotators rank principles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.calibration.text import format_table, json_ready
from pluralism.discretion.measures.intervals import normal_interval
from pluralism.discretion.measures.priority import TIE, Priority

__all__ = ["Discrepancy", "discretion_discrepancy", "order_signs", "rank_discrepancy"]

DRAW_CELLS = 1 << 22


@dataclass(frozen=True, eq=False, repr=False)
class Discrepancy:
    """(1 - tau_b) / 2 between the priorities of annotators: 0 the same order, 0.5 unrelated, 1 the reverse.

    Attributes
    ----------
    annotators : tuple of str
    value : array of shape (annotators, annotators)
        Over the pairs of principles that conflicts join for both; NaN where one of the two ties them all, or none is.
    interval : array of shape (annotators, annotators, 2)
        Within [0, 1], so many standard deviations of the resamples to either side; the same resamples for all.
    deviation : array of shape (annotators, annotators)
        Standard deviation of the resamples.
    pairs : int array of shape (annotators, annotators)
        Pairs of principles compared.
    draws : array of shape (draws, annotators, annotators)
    """

    annotators: tuple[str, ...]
    value: Float[np.ndarray, "annotators annotators"]
    interval: Float[np.ndarray, "annotators annotators two"]
    deviation: Float[np.ndarray, "annotators annotators"]
    pairs: Int[np.ndarray, "annotators annotators"]
    draws: Float[np.ndarray, "draws annotators annotators"]

    def of(self, one: str, other: str) -> float:
        """Between two annotators by name."""
        return float(self.value[self.annotators.index(one), self.annotators.index(other)])

    def to_frame(self) -> pa.Table:
        """A row for each unordered pair: `annotator, other, discrepancy, low, high, pairs`."""
        i, j = np.triu_indices(len(self.annotators), 1)
        names = np.array(self.annotators, dtype=object)

        def column(values: np.ndarray) -> pa.Array:
            return pa.array(values, mask=np.isnan(values))

        return pa.table(
            {
                "annotator": pa.array(names[i], pa.string()),
                "other": pa.array(names[j], pa.string()),
                "discrepancy": column(self.value[i, j]),
                "low": column(self.interval[i, j, 0]),
                "high": column(self.interval[i, j, 1]),
                "pairs": self.pairs[i, j],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything but the draws as plain types."""
        return json_ready(
            {
                "annotators": list(self.annotators),
                "value": self.value,
                "interval": self.interval,
                "deviation": self.deviation,
                "pairs": self.pairs,
            }
        )

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        columns: dict[str, list[Any]] = {"discrepancy": list(self.annotators)}
        columns |= {name: self.value[:, k].tolist() for k, name in enumerate(self.annotators)}
        return format_table(columns, 3)


def discretion_discrepancy(priorities: Sequence[Priority], level: float = 0.95) -> Discrepancy:
    """How differently annotators rank principles.

    Parameters
    ----------
    priorities : sequence of Priority
        Of the same principles; their draws, if any, are of the same resamples.
    level : float
        Of the intervals.
    """
    n = len(priorities)
    component = np.stack([priority.component for priority in priorities])
    signs = order_signs(np.stack([priority.weight for priority in priorities])[None], component)[0]
    value = rank_discrepancy(signs[None])[0]
    # a pair counts where neither annotator's order of it is unknown
    known = (~np.isnan(signs)).astype(np.int64)
    pairs = known @ known.T
    n_draws = min(len(priority.draws) for priority in priorities)
    draws = np.empty((n_draws, n, n))
    if n_draws:
        weights = np.stack([priority.draws for priority in priorities], axis=1)
        step = max(1, DRAW_CELLS // max(signs.size, 1))
        for start in range(0, n_draws, step):
            block = slice(start, start + step)
            draws[block] = rank_discrepancy(order_signs(weights[block], component))
    span = np.clip(normal_interval(value, draws, level), 0.0, 1.0)
    same = np.eye(n, dtype=bool) & ~np.isnan(value)
    span[same] = 0.0
    deviation = np.full((n, n), np.nan)
    if n_draws > 1:
        half = normal_interval(np.zeros((n, n)), draws, 0.6826894921370859)[..., 1]
        deviation = np.where(same, 0.0, half)
    return Discrepancy(tuple(p.annotator for p in priorities), value, span, deviation, pairs, draws)


def order_signs(
    weights: Float[np.ndarray, "draws annotators principles"], component: Int[np.ndarray, "annotators principles"]
) -> Float[np.ndarray, "draws annotators contests"]:
    """Which of two principles is heavier: 1 the first, -1 the second, 0 a tie, NaN where they cannot be compared."""
    first, second = np.triu_indices(weights.shape[-1], 1)
    lead = weights[..., first] - weights[..., second]
    with np.errstate(invalid="ignore"):
        signs = np.where(np.abs(lead) <= TIE, 0.0, np.sign(lead))
    apart = (component[:, first] != component[:, second]) | (component[:, first] < 0)
    return np.where(apart, np.nan, signs)


def rank_discrepancy(
    signs: Float[np.ndarray, "draws annotators contests"],
) -> Float[np.ndarray, "draws annotators annotators"]:
    """(1 - tau_b) / 2 of orders given pair by pair, over the pairs known to both of two annotators."""
    known = ~np.isnan(signs)
    filled = np.where(known, signs, 0.0)
    decided, there = np.abs(filled), known.astype(np.float64)
    together = np.einsum("dap,dbp->dab", filled, filled, optimize=True)
    own = np.einsum("dap,dbp->dab", decided, there, optimize=True)
    scale = np.sqrt(own * own.transpose(0, 2, 1))
    tau = np.divide(together, scale, out=np.full(scale.shape, np.nan), where=scale > 0)
    return np.clip((1.0 - tau) / 2.0, 0.0, 1.0)
