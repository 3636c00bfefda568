"""Bootstrap over participants: what the ranking would be had other people of the same kind come.

Whole people are drawn again, for the answers of one person depend on each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from scipy.stats import t as student

from pluralism.calibration.text import json_ready
from pluralism.elicitation.aggregators.aggregator import Aggregator
from pluralism.elicitation.aggregators.ranking import ranks_within, titles_of
from pluralism.elicitation.tally import Tally
from pluralism.errors import UsageError
from pluralism.evaluation.bootstrap import interval, resample_users

__all__ = ["RankingUncertainty", "bootstrap_ranking", "tiers_by_overlap"]

_SHOWN = 6
BLOCK_CELLS = 1 << 24


@dataclass(frozen=True, eq=False, repr=False)
class RankingUncertainty:
    """Ranks and scores in resamples of the participants.

    Attributes
    ----------
    ids, titles : tuple of str
    component : int array of shape (values,)
        Ranks are among the values of one component.
    ranks : float array of shape (draws, values)
        One more than the number of ranked values where a draw does not rank a value; NaN for values that the rule does
        not rank on the observed votes.
    scores : array of shape (draws, values)
    score_interval : array of shape (values, 2)
        Of the draws that rank the value; NaN where there are none.
    edge_inclusion : array of shape (edges,) or None
        Share of the draws that keep each edge, where the rule leaves some out.
    level : float
        Of the intervals.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    component: Int[np.ndarray, " values"]
    ranks: Float[np.ndarray, "draws values"]
    scores: Float[np.ndarray, "draws values"]
    score_interval: Float[np.ndarray, "values two"]
    edge_inclusion: Float[np.ndarray, " edges"] | None
    level: float

    @property
    def n_draws(self) -> int:
        """Number of resamples."""
        return len(self.ranks)

    @cached_property
    def rank_interval(self) -> Float[np.ndarray, "values two"]:
        """Percentile interval of each rank, in whole ranks."""
        tail = (1.0 - self.level) / 2.0
        low = np.quantile(self.ranks, tail, axis=0, method="lower")
        high = np.quantile(self.ranks, 1.0 - tail, axis=0, method="higher")
        return np.stack([low, high], axis=1)

    def p_top_k(self, k: int) -> Float[np.ndarray, " values"]:
        """Share of the draws in which each value is among the k first; tied values share the places."""
        if k < 1:
            raise UsageError(f"k={k!r} is not possible.", fix="Use a whole number of at least 1.")
        out = np.zeros(len(self.ids))
        for label in range(int(self.component.max(initial=-1)) + 1):
            members = np.flatnonzero((self.component == label) & ~np.isnan(self.ranks[0]))
            ranks, scores = self.ranks[:, members], self.scores[:, members]
            ordered = np.sort(ranks, axis=1)
            same = np.array(
                [np.searchsorted(o, r, "right") - np.searchsorted(o, r) for o, r in zip(ordered, ranks, strict=True)]
            )
            share = np.clip((k + 1 - ranks) / same, 0.0, 1.0)
            out[members] = np.where(np.isnan(scores), 0.0, share).mean(axis=0)
        return out

    @cached_property
    def p_top(self) -> Float[np.ndarray, " values"]:
        """Probability of being the wisest of the component."""
        return self.p_top_k(1)

    @cached_property
    def tiers(self) -> Int[np.ndarray, " values"]:
        """Tier within the component, from 1; -1 for values that are not ranked."""
        out = np.full(len(self.ids), -1)
        for label in range(int(self.component.max(initial=-1)) + 1):
            members = np.flatnonzero((self.component == label) & ~np.isnan(self.ranks[0]))
            low, high = self.rank_interval[members].T
            out[members] = tiers_by_overlap(np.median(self.ranks[:, members], axis=0), low, high)
        return out

    @property
    def answer(self) -> str:
        """What may be said of the wisest value of the largest component, in one sentence."""
        names = dict(zip(self.ids, self.titles, strict=True))
        ranked = (self.component == 0) & (self.tiers > 0)
        first = [name for name, tier, here in zip(self.ids, self.tiers, ranked, strict=True) if here and tier == 1]
        n = int(ranked.sum())
        if n < 2 or len(first) == n:
            return f"Insufficient evidence: none of {n:,} values can be told from the others at {self.level:.0%}."
        best = self.ids[int(np.argmax(np.where(ranked, self.p_top, -1.0)))]
        sure = float(self.p_top[self.ids.index(best)])
        if len(first) == 1 and sure >= self.level:
            return f"{titles_of(first, names)!r} is the wisest of {n:,} values (P = {sure:.2f})."
        listed = titles_of(first[:_SHOWN], names) + (", ..." if len(first) > _SHOWN else "")
        return (
            f"The wisest is among {len(first):,} of {n:,} values: {listed}. The likeliest, {titles_of([best], names)}, "
            f"comes first with P = {sure:.2f}."
        )

    def columns(self) -> dict[str, Any]:
        """Columns for the table of a ranking: intervals, probabilities and tiers."""
        ranked = ~np.isnan(self.ranks[0]) if self.n_draws else np.zeros(len(self.ids), dtype=bool)

        def column(values: np.ndarray) -> pa.Array:
            return pa.array(np.where(ranked, values, 0), mask=~ranked)

        return {
            "rank_low": column(self.rank_interval[:, 0]),
            "rank_high": column(self.rank_interval[:, 1]),
            "score_low": column(self.score_interval[:, 0]),
            "score_high": column(self.score_interval[:, 1]),
            "p_top": column(self.p_top),
            "tier": column(self.tiers),
        }

    def to_frame(self) -> pa.Table:
        """One row a value: `id, title` and the columns of `columns`."""
        return pa.table({"id": list(self.ids), "title": list(self.titles), **self.columns()})

    def to_dict(self) -> dict[str, Any]:
        """A summary as plain types."""
        values: Mapping[str, Any] = {name: column.to_pylist() for name, column in self.columns().items()}
        included = None if self.edge_inclusion is None else self.edge_inclusion.tolist()
        return json_ready({"draws": self.n_draws, "level": self.level, **values, "edge_inclusion": included})

    def __repr__(self) -> str:
        return f"RankingUncertainty({self.n_draws:,} draws of the participants; {self.answer})"


def bootstrap_ranking(
    rule: Aggregator,
    tally: Tally,
    scores: Float[np.ndarray, " values"],
    component: Int[np.ndarray, " values"],
    *,
    n_draws: int,
    level: float,
    rng: np.random.Generator,
    options: Mapping[str, Any],
) -> RankingUncertainty:
    """Score resamples of the participants.

    Parameters
    ----------
    scores : array of shape (values,)
        On the observed votes.
    """
    if tally.answers is not None and tally.n_participants < 2:
        raise UsageError(
            f"There are {tally.n_participants} participants; who would have come instead is not known.",
            fix="Use n_bootstrap=0, or ask more people.",
        )
    tally.known_answers()
    if rule.has_prior:
        options = {**options, "prior_rng": rng}
    drawn_scores, included, n_kept = [], np.zeros(tally.graph.n_edges), 0
    most = max(1, BLOCK_CELLS // max(int(np.prod(tally.shape)), tally.graph.n_values**2, 1))
    for weights in resample_users(tally.n_participants, n_draws, rng):
        for start in range(0, len(weights), most):
            found = rule(tally.graph, tally.counts(weights[start : start + most]), _silent, **options)
            drawn_scores.append(found.scores)
            if found.kept is not None:
                included += found.kept.sum(axis=0)
                n_kept += len(found.kept)
    drawn = np.concatenate(drawn_scores)
    ranks = ranks_within(drawn, component)
    for label in range(int(component.max(initial=-1)) + 1):
        members = component == label
        last = 1.0 + np.sum(~np.isnan(drawn[:, members]), axis=1, keepdims=True)
        ranks[:, members] = np.where(np.isnan(drawn[:, members]), last, ranks[:, members])
    ranks[:, np.isnan(scores)] = np.nan
    graph = tally.graph
    inclusion = included / n_kept if n_kept else None
    # strengths are nearly normal, and percentiles of few people too narrow; other scores are bounded, or whole numbers
    spans = _normal(scores, drawn, level, tally.n_participants) if rule.has_prior else _percentile(drawn, level)
    spans[np.isnan(scores)] = np.nan
    return RankingUncertainty(graph.ids, graph.titles, component, ranks, drawn, spans, inclusion, level)


def _percentile(drawn: Float[np.ndarray, "draws values"], level: float) -> Float[np.ndarray, "values two"]:
    return np.array([interval(column, level) for column in drawn.T]).reshape(-1, 2)


def _normal(
    scores: Float[np.ndarray, " values"], drawn: Float[np.ndarray, "draws values"], level: float, n: int
) -> Float[np.ndarray, "values two"]:
    """Scores with so many standard deviations of the draws to either side as Student's t for n people says."""
    known = ~np.isnan(drawn)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, drawn, 0.0).sum(axis=0) / count
    variance = np.where(known, drawn - mean, 0.0) ** 2
    wide = np.sqrt(variance.sum(axis=0) / count * n / (n - 1)) * student.ppf(0.5 + level / 2.0, n - 1)
    return np.stack([scores - wide, scores + wide], axis=1)


def tiers_by_overlap(
    centre: Float[np.ndarray, " values"], low: Float[np.ndarray, " values"], high: Float[np.ndarray, " values"]
) -> Int[np.ndarray, " values"]:
    """Tiers from 1: the best value that has no tier yet, and all whose interval of ranks overlaps with its own.

    Examples
    --------
    >>> tiers_by_overlap(np.array([1.0, 2, 3, 4]), np.array([1.0, 1, 2, 4]), np.array([2.0, 3, 3, 4])).tolist()
    [1, 1, 1, 2]
    """
    tiers = np.full(len(centre), -1)
    for tier in range(1, len(centre) + 1):
        left = np.flatnonzero(tiers < 0)
        if not len(left):
            break
        best = left[np.lexsort((high[left], centre[left]))[0]]
        tiers[left[low[left] <= high[best]]] = tier
    return tiers


def _silent(name: str, value: Any, per: str = "") -> None:
    """Note nothing."""
