"""Discretion between groups: does a minority rank principles otherwise, and whom does a pooled model follow?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.calibration.text import json_ready
from pluralism.discretion.measures.audit import DiscretionAudit
from pluralism.discretion.measures.intervals import normal_interval
from pluralism.errors import UsageError

__all__ = ["BetweenGroups", "between_groups"]


@dataclass(frozen=True, eq=False, repr=False)
class BetweenGroups:
    """How groups differ in their priorities, and which of them a pooled annotator follows.

    Attributes
    ----------
    groups : tuple of str
        The largest first.
    shares : array of shape (groups,)
    pooled : str or None
        The annotator that stands for all.
    minority : (float, (float, float))
        Discrepancy between the smallest group and the largest, with its interval.
    to_pooled : array of shape (groups,)
        Discrepancy between each group and the pooled annotator; NaN without one.
    to_pooled_interval : array of shape (groups, 2)
    follows : (float, (float, float))
        Discrepancy of the pooled annotator to the smallest group less that to the largest: above 0 it follows the
        majority's discretion. The interval is over the same resamples; NaN without a pooled annotator.
    contrast : pyarrow.Table
        `principle, majority, minority, difference, low, high`: weights of the largest and the smallest group.
    """

    groups: tuple[str, ...]
    shares: Float[np.ndarray, " groups"]
    pooled: str | None
    minority: tuple[float, tuple[float, float]]
    to_pooled: Float[np.ndarray, " groups"]
    to_pooled_interval: Float[np.ndarray, "groups two"]
    follows: tuple[float, tuple[float, float]]
    contrast: pa.Table

    @property
    def answer(self) -> str:
        """What may be said, in two sentences at most."""
        value, (low, high) = self.minority
        few, many = (f"{100 * self.shares[k]:.0f}\u00a0%" for k in (-1, 0))
        said = (
            f"{self.groups[-1]} ({few}) and {self.groups[0]} ({many}) rank principles "
            f"with a discrepancy of {value:.2f} ({low:.2f} to {high:.2f}; 0 is the same order, 0.5 unrelated)."
        )
        if self.pooled is None:
            return said
        value, (low, high) = self.follows
        if low > 0:
            told = f"{self.pooled} follows the discretion of {self.groups[0]}"
        elif high < 0:
            told = f"{self.pooled} follows the discretion of {self.groups[-1]}"
        else:
            told = f"{self.pooled} is not seen to follow one of them more"
        return f"{said} {told}: it is {value:+.2f} ({low:+.2f} to {high:+.2f}) further from the smaller group."

    def to_frame(self) -> pa.Table:
        """A row a group: `group, share, to_pooled, low, high`."""
        columns = {"to_pooled": self.to_pooled, "low": self.to_pooled_interval[:, 0]}
        columns["high"] = self.to_pooled_interval[:, 1]
        arrays = {name: pa.array(values, mask=np.isnan(values)) for name, values in columns.items()}
        return pa.table({"group": list(self.groups), "share": self.shares, **arrays})

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return json_ready(
            {
                "pooled": self.pooled,
                "answer": self.answer,
                "groups": self.to_frame().to_pylist(),
                "minority": [self.minority[0], *self.minority[1]],
                "follows": [self.follows[0], *self.follows[1]],
                "contrast": self.contrast.to_pylist(),
            }
        )

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        return f"BetweenGroups: {self.answer}"


def between_groups(audit: DiscretionAudit, groups: Sequence[str], *, pooled: str | None = None) -> BetweenGroups:
    """Compare groups, such as those of a mixture or known groups of people, and a pooled annotator, of one audit.

    Parameters
    ----------
    audit : DiscretionAudit
        Whose annotators include all of these.
    groups : sequence of str
        Names of two annotators or more, with shares.
    pooled : str, optional
        Name of the annotator that stands for all, such as one reward for everybody.

    Raises
    ------
    UsageError
        If an annotator is unknown, or a group has no share.
    """
    places = [audit._index(name) for name in groups]
    shares = [audit.annotators[place].share for place in places]
    if len(set(places)) < 2 or len(set(places)) < len(places) or any(share is None for share in shares):
        raise UsageError(
            "Groups are two annotators or more whose shares are known.",
            fix='Make them with model_verdicts(..., of="groups") or group_verdicts.',
        )
    known = np.array(shares, dtype=np.float64)
    order = np.argsort(-known, kind="stable")
    places = [places[k] for k in order]
    large, small = places[0], places[-1]
    found, level = audit.discrepancy, audit.level
    to_pooled, spans = np.full(len(places), np.nan), np.full((len(places), 2), np.nan)
    follows = (float("nan"), (float("nan"), float("nan")))
    if pooled is not None:
        whole = audit._index(pooled)
        to_pooled, spans = found.value[whole, places], found.interval[whole, places]
        value = np.array([found.value[whole, small] - found.value[whole, large]])
        drawn = found.draws[:, whole, small] - found.draws[:, whole, large]
        low, high = normal_interval(value, drawn[:, None], level)[0]
        follows = (float(value[0]), (float(low), float(high)))
    low, high = found.interval[small, large]
    return BetweenGroups(
        tuple(audit.names[place] for place in places),
        known[order],
        pooled,
        (float(found.value[small, large]), (float(low), float(high))),
        to_pooled,
        spans,
        follows,
        _contrast(audit, large, small),
    )


def _contrast(audit: DiscretionAudit, large: int, small: int) -> pa.Table:
    one, other = audit.priority[large], audit.priority[small]
    difference = other.weight - one.weight
    n = min(len(one.draws), len(other.draws))
    span = normal_interval(difference, other.draws[:n] - one.draws[:n], audit.level)
    columns = {
        "majority": one.weight,
        "minority": other.weight,
        "difference": difference,
        "low": span[:, 0],
        "high": span[:, 1],
    }
    arrays = {name: pa.array(values, mask=np.isnan(values)) for name, values in columns.items()}
    return pa.table({"principle": list(audit.principles), **arrays})
