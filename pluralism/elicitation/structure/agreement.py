"""Do the aggregators agree? Kendall's tau-b between their rankings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.stats import kendalltau

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.aggregators.catalogue import aggregators
from pluralism.elicitation.aggregators.ranking import GraphRanking
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.moral_graph import MoralGraph

__all__ = ["Agreement", "aggregator_agreement"]


@dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """How alike the rankings of several rules are.

    Attributes
    ----------
    rules : tuple of str
    tau : array of shape (rules, rules)
        Kendall's tau-b on the values of the largest component that both rank; NaN for fewer than two.
    rankings : tuple of GraphRanking
    """

    rules: tuple[str, ...]
    tau: Float[np.ndarray, "rules rules"]
    rankings: tuple[GraphRanking, ...]

    @property
    def winners(self) -> dict[str, tuple[str, ...]]:
        """Of each rule the values that it puts first in the largest component."""
        return {
            ranking.rule: tuple(
                name
                for name, rank, part in zip(ranking.ids, ranking.ranks, ranking.component, strict=True)
                if part == 0 and rank == 1
            )
            for ranking in self.rankings
        }

    def to_frame(self) -> pa.Table:
        """A column `rule`, and one of tau-b for each rule."""
        columns = {rule: pa.array(self.tau[:, i], mask=np.isnan(self.tau[:, i])) for i, rule in enumerate(self.rules)}
        return pa.table({"rule": list(self.rules), **columns})

    def to_dict(self) -> dict[str, Any]:
        """Rules, their tau-b and their winners."""
        tau = [[None if np.isnan(t) else t for t in row] for row in self.tau.tolist()]
        return {"rules": list(self.rules), "tau": tau, "winners": {k: list(v) for k, v in self.winners.items()}}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        width = max(map(len, self.rules), default=0)
        rows = [
            f"  {rule:<{width}} " + " ".join("    –" if np.isnan(t) else f"{t:5.2f}" for t in row)
            for rule, row in zip(self.rules, self.tau, strict=True)
        ]
        return "\n".join([f"Agreement of {len(self.rules)} aggregators (Kendall's tau-b)", *rows])


def aggregator_agreement(
    graph: MoralGraph | CountedGraph, rules: Sequence[str] | None = None, *, context: str | None = None
) -> Agreement:
    """Rank by several rules and compare.

    Parameters
    ----------
    rules : sequence of str, optional
        Names; left out, all that can be applied (those for groups need groups).
    context : str, optional
    """
    if rules is None:
        grouped = isinstance(graph, MoralGraph) and len(set(graph.groups.values())) > 1
        rules = [name for name, rule in aggregators().items() if grouped or not rule.needs_groups]
    rankings = tuple(aggregate(graph, rule, context=context, n_bootstrap=0) for rule in rules)
    tau = np.full((len(rankings), len(rankings)), np.nan)
    for i, first in enumerate(rankings):
        for j, second in enumerate(rankings):
            both = ~np.isnan(first.scores) & ~np.isnan(second.scores) & (first.component == 0)
            if both.sum() >= 2:
                tau[i, j] = 1.0 if i == j else kendalltau(first.ranks[both], second.ranks[both]).statistic
    return Agreement(tuple(ranking.rule for ranking in rankings), tau, rankings)
