"""Ranking accuracy: how often a policy finds the preferred response more likely than the other one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.calibration.text import format_table
from pluralism.diagnostics.instrument_result import InstrumentResult, interval_dots
from pluralism.diagnostics.pair_log_probs import PairLogProbs
from pluralism.diagnostics.rows import shares_with_intervals, splits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RankingAccuracy", "ranking_accuracy"]


@dataclass(frozen=True, eq=False, repr=False)
class RankingAccuracy(InstrumentResult):
    """Shares of pairs that a policy ranks right: of all, under "all", and of each group.

    Attributes
    ----------
    groups : tuple of str
    pairs, ties : int array of shape (groups,)
        How many pairs, and how many have equal log-probabilities, which is not right.
    accuracy, low, high : array of shape (groups,)
        Share of log-probabilities in the right order, and its Wilson interval.
    normalised : array of shape (groups,)
        The same of mean log-probabilities of a token; NaN where tokens were not counted.
    level : float
        Coverage of the intervals.
    """

    groups: tuple[str, ...]
    pairs: Int[np.ndarray, " groups"]
    ties: Int[np.ndarray, " groups"]
    accuracy: Float[np.ndarray, " groups"]
    low: Float[np.ndarray, " groups"]
    high: Float[np.ndarray, " groups"]
    normalised: Float[np.ndarray, " groups"]
    level: float

    def _columns(self) -> dict[str, Any]:
        names = ("pairs", "ties", "accuracy", "low", "high", "normalised")
        return {"group": list(self.groups), **{name: getattr(self, name) for name in names}}

    def to_frame(self) -> pa.Table:
        """One row for all pairs, and one for each group."""
        return pa.table(self._columns())

    def __repr__(self) -> str:
        return "RankingAccuracy\n" + format_table(self._columns(), digits=3)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the accuracies with their intervals, and chance."""
        return interval_dots(
            self.groups, self.accuracy, self.low, self.high, ax=ax, xlabel="share of pairs ranked right", reference=0.5
        )


def ranking_accuracy(
    policy: PairLogProbs, *, groups: Sequence[Hashable] | None = None, level: float = 0.95
) -> RankingAccuracy:
    r"""Share of the pairs with :math:`\log \pi(y_w | x) > \log \pi(y_l | x)` [1]_.

    Parameters
    ----------
    policy : PairLogProbs
    groups : sequence, optional
        The group of people, or any other label, that each pair comes from.
    level : float
        Coverage of the intervals.

    Raises
    ------
    DataError
        If there are no pairs, or not one group for each.
    UsageError
        If the level is no coverage.

    References
    ----------
    .. [1] A. Chen et al., "Preference learning algorithms do not learn preference rankings", NeurIPS 2024,
       arXiv:2405.19534.

    Examples
    --------
    >>> ranking_accuracy(PairLogProbs([-3.0, -9.0], [-4.0, -5.0], [1, 3], [1, 1])).accuracy
    array([0.5])
    """
    rows = splits(groups, len(policy))
    margin, normalised = policy.margin, policy.normalised_margin
    counts = np.array([here.sum() for here in rows.values()])
    share, low, high = shares_with_intervals([(margin[here] > 0).sum() for here in rows.values()], counts, level)
    return RankingAccuracy(
        groups=tuple(rows),
        pairs=counts,
        ties=np.array([(margin[here] == 0).sum() for here in rows.values()]),
        accuracy=share,
        low=low,
        high=high,
        normalised=np.array(
            [np.where(np.isnan(normalised), np.nan, normalised > 0)[here].mean() for here in rows.values()]
        ),
        level=level,
    )
