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
from pluralism.discretion.measures.intervals import share_interval
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

    def share(name: str) -> tuple[np.ndarray, np.ndarray]:
        counts = getattr(observed, name)[0]
        value = _against(counts)
        drawn = np.empty((0, *value.shape)) if draws is None else _against(getattr(draws, name))
        return value, share_interval(value, counts.sum(axis=-1), drawn, level)

    mass = observed.agreement[0].sum(axis=1)
    consensus = np.full(len(mass), observed.categories[0, 0])
    return Arbitrariness(
        annotators,
        principles,
        *share("agreement"),
        ratio(mass, consensus),
        *share("by_principle"),
        *share("by_size"),
        mass,
        observed.by_size[0].sum(axis=2),
    )


def _against(counts: np.ndarray) -> np.ndarray:
    return ratio(counts[..., 1], counts.sum(axis=-1))


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))
