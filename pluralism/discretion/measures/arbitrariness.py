"""Discretion arbitrariness: how often an annotator decides against principles that all agree."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.calibration.text import format_table, json_ready
from pluralism.discretion.measures.counts import DiscretionCounts
from pluralism.discretion.measures.intervals import percentiles
from pluralism.evaluation.bootstrap import ratio

__all__ = ["Arbitrariness", "arbitrariness_of"]


@dataclass(frozen=True, eq=False, repr=False)
class Arbitrariness:
    """Shares of verdicts against a consensus of the principles, by annotator.

    Attributes
    ----------
    annotators, principles : tuple of str
    value : array of shape (annotators,)
        Among verdicts where the principles agree, those against them, in [0, 1]; NaN without such verdicts. A coin has
        0.5.
    interval : array of shape (annotators, 2)
    coverage : array of shape (annotators,)
        Share of the comparisons with a consensus on which the annotator has a verdict. Two annotators can be compared
        only where both decide alike often.
    by_principle : array of shape (annotators, principles)
        Where the principle is part of the consensus.
    by_principle_interval : array of shape (annotators, principles, 2)
    by_size : array of shape (annotators, principles)
        Where 1, 2, ... principles make the consensus.
    by_size_interval : array of shape (annotators, principles, 2)
    mass : array of shape (annotators,)
        Verdicts (weighted) behind `value`.
    size_mass : array of shape (annotators, principles)
        Verdicts behind `by_size`.
    """

    annotators: tuple[str, ...]
    principles: tuple[str, ...]
    value: Float[np.ndarray, " annotators"]
    interval: Float[np.ndarray, "annotators two"]
    coverage: Float[np.ndarray, " annotators"]
    by_principle: Float[np.ndarray, "annotators principles"]
    by_principle_interval: Float[np.ndarray, "annotators principles two"]
    by_size: Float[np.ndarray, "annotators principles"]
    by_size_interval: Float[np.ndarray, "annotators principles two"]
    mass: Float[np.ndarray, " annotators"]
    size_mass: Float[np.ndarray, "annotators principles"]

    @property
    def chance_corrected(self) -> Float[np.ndarray, " annotators"]:
        """1 - 2 value: 1 for who always follows a consensus, 0 for a coin, -1 for who never does.

        Chance is one half whatever the annotator's habits, since which item is the left one says nothing.
        """
        return 1.0 - 2.0 * self.value

    def to_frame(self) -> pa.Table:
        """Columns `annotator, arbitrariness, low, high, chance_corrected, coverage, verdicts`."""
        return pa.table(
            {
                "annotator": list(self.annotators),
                "arbitrariness": _nullable(self.value),
                "low": _nullable(self.interval[:, 0]),
                "high": _nullable(self.interval[:, 1]),
                "chance_corrected": _nullable(self.chance_corrected),
                "coverage": _nullable(self.coverage),
                "verdicts": self.mass,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return json_ready(
            {
                "annotators": self.to_frame().to_pylist(),
                "principles": list(self.principles),
                "by_principle": self.by_principle,
                "by_principle_interval": self.by_principle_interval,
                "by_size": self.by_size,
                "by_size_interval": self.by_size_interval,
                "size_verdicts": self.size_mass,
            }
        )

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        return format_table(
            {
                "annotator": list(self.annotators),
                "arbitrariness": self.value.tolist(),
                "low": self.interval[:, 0].tolist(),
                "high": self.interval[:, 1].tolist(),
                "coverage": self.coverage.tolist(),
            },
            3,
        )


def arbitrariness_of(
    annotators: tuple[str, ...],
    principles: tuple[str, ...],
    observed: DiscretionCounts,
    draws: DiscretionCounts | None,
    level: float,
) -> Arbitrariness:
    """From counts and, for intervals, those of resamples."""

    def span(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if draws is None:
            return np.full((*shape, 2), np.nan)
        return percentiles(_against(getattr(draws, name)), level)

    value = _against(observed.agreement)[0]
    by_principle, by_size = _against(observed.by_principle)[0], _against(observed.by_size)[0]
    mass = observed.agreement[0].sum(axis=1)
    consensus = np.full(len(mass), observed.categories[0, 0])
    return Arbitrariness(
        annotators,
        principles,
        value,
        span("agreement", value.shape),
        ratio(mass, consensus),
        by_principle,
        span("by_principle", by_principle.shape),
        by_size,
        span("by_size", by_size.shape),
        mass,
        observed.by_size[0].sum(axis=2),
    )


def _against(counts: np.ndarray) -> np.ndarray:
    return ratio(counts[..., 1], counts.sum(axis=-1))


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))
