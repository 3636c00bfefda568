"""How often principles agree, conflict, or leave open what is better."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.calibration.text import format_table, json_ready
from pluralism.discretion.preferences import PrinciplePreferences

__all__ = ["CATEGORIES", "SWEEP", "Categories", "categories_of", "threshold_sweep"]

CATEGORIES = ("consensus", "conflict", "indifference")
SWEEP = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, eq=False, repr=False)
class Categories:
    """Shares of comparisons in which discretion is not needed, or is.

    *Consensus*: one principle or more decides, and all that decide agree. *Conflict*: some favour either side.
    *Indifference*: none decides. Discretion is needed in the latter two.

    Attributes
    ----------
    shares : array of shape (3,)
        Of consensus, conflict and indifference, in [0, 1].
    intervals : array of shape (3, 2)
        NaN without a bootstrap.
    sweep : pyarrow.Table
        `threshold, consensus, conflict, indifference`: the shares if a principle decides where its probability of not
        applying is at most the threshold.
    """

    shares: Float[np.ndarray, " kinds"]
    intervals: Float[np.ndarray, "kinds two"]
    sweep: pa.Table

    def to_frame(self) -> pa.Table:
        """Columns `category, share, low, high`."""
        return pa.table(
            {
                "category": list(CATEGORIES),
                "share": self.shares,
                "low": pa.array(self.intervals[:, 0], from_pandas=True),
                "high": pa.array(self.intervals[:, 1], from_pandas=True),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return json_ready({"categories": self.to_frame().to_pylist(), "sweep": self.sweep.to_pylist()})

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __repr__(self) -> str:
        return format_table({"category": list(CATEGORIES), "share": self.shares.tolist()}, 3)


def categories_of(counts: Float[np.ndarray, "draws kinds"]) -> Float[np.ndarray, "draws kinds"]:
    """Shares from counts."""
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def threshold_sweep(
    preferences: PrinciplePreferences, weight: Float[np.ndarray, " pairs"], thresholds: Sequence[float] = SWEEP
) -> pa.Table:
    """Shares of the categories by the probability of not applying up to which a principle decides."""
    rows = []
    for threshold in thresholds:
        signs = preferences.signs(threshold)
        some_left, some_right = (signs > 0).any(axis=1), (signs < 0).any(axis=1)
        counts = np.array([weight @ (some_left ^ some_right), weight @ (some_left & some_right), 0.0])
        counts[2] = weight.sum() - counts.sum()
        rows.append([threshold, *categories_of(counts[None])[0].tolist()])
    return pa.table(dict(zip(("threshold", *CATEGORIES), map(list, zip(*rows, strict=True)), strict=True)))
