"""How many more votes each edge needs before one may say that its second value is, or is not, the wiser one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int
from scipy.special import betaincc
from scipy.stats import binom

from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.uncertainty.edge_posterior import EdgePosteriors, NotSure, edge_posteriors, opinions
from pluralism.errors import UsageError

__all__ = ["VotesNeeded", "votes_needed"]


@dataclass(frozen=True, eq=False, repr=False)
class VotesNeeded:
    """The power table of a graph.

    Attributes
    ----------
    posteriors : EdgePosteriors
    needed : int array of shape (edges,)
        Further votes; 0 where the edge is decided, -1 where `most` votes do not suffice.
    power : float
        Chance of a decision that the votes shall give.
    most : int
    """

    posteriors: EdgePosteriors
    needed: Int[np.ndarray, " edges"]
    power: float
    most: int

    @property
    def total(self) -> int | None:
        """Votes for all edges together; None where some cannot be decided."""
        return None if (self.needed < 0).any() else int(self.needed.sum())

    def to_frame(self) -> pa.Table:
        """The table of posteriors with `votes_needed`; null where `most` do not suffice."""
        return self.posteriors.to_frame().append_column(
            "votes_needed", [pa.array(np.maximum(self.needed, 0), mask=self.needed < 0)]
        )

    def to_dict(self) -> dict[str, Any]:
        """The settings and the rows of `to_frame`."""
        return {
            "level": self.posteriors.level,
            "power": self.power,
            "most": self.most,
            "total": self.total,
            "edges": self.to_frame().to_pylist(),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        decided, hopeless = int((self.needed == 0).sum()), int((self.needed < 0).sum())
        some = self.needed[self.needed > 0]
        middle = f", {int(np.median(some)):,} for the median of {len(some):,} others" if len(some) else ""
        far = f"; {hopeless:,} need more than {self.most:,}" if hopeless else ""
        return f"VotesNeeded({len(self.needed):,} edges, {decided:,} decided{middle}{far})"


def votes_needed(
    graph: MoralGraph | CountedGraph,
    *,
    context: str | None = None,
    pooled: bool = True,
    not_sure: NotSure = "abstain",
    prior: tuple[float, float] = (1.0, 1.0),
    level: float = 0.95,
    power: float = 0.8,
    most: int = 1000,
) -> VotesNeeded:
    """The fewest further votes after which an edge is decided with probability `power`.

    An edge is decided once P(share of upgrade > 1/2) is at least `level`, or at most 1 - `level`. The votes to come are
    taken to be upgrade with the posterior mean of the edge; those who are not sure come on top of them.

    Parameters
    ----------
    context, pooled, not_sure, prior, level
        As in `edge_posteriors`.
    power : float
        In (0, 1).
    most : int
        Where to give up, at most 100,000.
    """
    if not 0 < power < 1 or not 1 <= most <= 100_000:
        raise UsageError(
            f"power={power!r}, most={most!r} are not possible.", fix="Use 0.8 and up to 100,000 votes, say."
        )
    found = edge_posteriors(graph, context=context, pooled=pooled, not_sure=not_sure, prior=prior, level=level)
    yes, no = opinions(found.graph, not_sure)
    cache: dict[tuple[float, float], int] = {}
    needed = np.empty(found.graph.n_edges, dtype=np.int64)
    for edge, key in enumerate(zip((yes + prior[0]).tolist(), (no + prior[1]).tolist(), strict=True)):
        if key not in cache:
            cache[key] = _fewest(*key, level, power, most)
        needed[edge] = cache[key]
    return VotesNeeded(found, needed, power, most)


def _fewest(a: float, b: float, level: float, power: float, most: int) -> int:
    """The first number of votes that decides often enough; -1 if there is none up to `most`."""
    if max(betaincc(a, b, 0.5), 1.0 - betaincc(a, b, 0.5)) >= level:
        return 0
    start, size = 1, 64
    while start <= most:
        votes = np.arange(start, min(start + size, most + 1))
        # decided as wiser from `high` upgrade votes on, and as not wiser up to `low`
        high = _first(a, b, votes, level)
        low = _first(a, b, votes, 1.0 - level, strictly=True) - 1
        share = a / (a + b)
        enough = np.flatnonzero(binom.sf(high - 1, votes, share) + binom.cdf(low, votes, share) >= power)
        if len(enough):
            return int(votes[enough[0]])
        start, size = start + size, 2 * size
    return -1


def _first(
    a: float, b: float, votes: Int[np.ndarray, " tried"], level: float, *, strictly: bool = False
) -> Int[np.ndarray, " tried"]:
    """The fewest upgrade votes of so many that make P(share > 1/2) reach `level`; one more than all if none do."""
    low, high = np.zeros_like(votes), votes + 1
    while (low < high).any():
        middle = (low + high) // 2
        within = np.minimum(middle, votes)
        sure = betaincc(a + within, b + votes - within, 0.5)
        reached = (middle > votes) | ((sure > level) if strictly else (sure >= level))
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
    return low
