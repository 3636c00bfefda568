"""Bridging: a value is wise if every group calls it wiser, and not if one large group does."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator, check_option
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.errors import UsageError
from pluralism.solvers.pagerank import pagerank

__all__ = ["bridging", "bridging_support"]

Combine = Literal["minimum", "geometric_mean"]


@aggregator(
    "bridging",
    source="this package; support with a prior as in C. Small et al., Polis, RECERCA 2021",
    needs_groups=True,
    monotone=False,
)
def bridging(
    graph: CountedGraph,
    counts: np.ndarray,
    note: Note,
    *,
    combine: Combine = "minimum",
    least_groups: int | None = None,
    damping: float = 0.85,
) -> Scores:
    """PageRank on edges that weigh as much as the groups' common support for them exceeds that for the way back.

    The support of a group for an edge is the share of its answers on the pair that are upgrade votes along the edge,
    with one answer of either kind added; only upgrade votes count for it. Edges that a group has not judged bridge
    nothing to it.

    Parameters
    ----------
    combine : {"minimum", "geometric_mean"}
        Of the groups' supports. Both can be compared between studies with different numbers of groups, as a product
        cannot.
    least_groups : int, optional
        Groups that must have judged a pair for it to count, 2 or more; all of them by default.
    damping : float
        In [0, 1).
    """
    if not 0 <= damping < 1:
        raise UsageError(f"damping={damping!r} is not possible.", fix="Use a value from 0 to below 1.")
    support = bridging_support(graph, counts, combine=combine, least_groups=least_groups)
    back = np.concatenate([support, np.full((len(support), 1), np.nan)], axis=1)[:, graph.reverse]
    # a way back that nobody was asked for has no upgrade votes; its support is the prior's
    unasked = bridging_support(graph, counts, combine=combine, least_groups=least_groups, along=False)
    back = np.where(graph.reverse[None] >= 0, back, unasked)
    weight = np.maximum(np.nan_to_num(support - back), 0.0)
    nodes = np.zeros((len(counts), graph.n_values), dtype=bool)
    draw, edge = np.nonzero(~np.isnan(support))
    for ends in (graph.source, graph.wiser):
        nodes[draw, ends[edge]] = True
    note("support", support[0], per="edge")
    note("weight", weight[0], per="edge")
    return Scores(pagerank(graph.source, graph.wiser, weight, nodes, damping=damping), weight > 0)


def bridging_support(
    graph: CountedGraph,
    counts: np.ndarray,
    *,
    combine: Combine = "minimum",
    least_groups: int | None = None,
    along: bool = True,
) -> Float[np.ndarray, "draws edges"]:
    """Common support of the groups for each edge; NaN where too few groups judged the pair.

    Parameters
    ----------
    counts : array of shape (draws, edges, groups, 3)
    along : bool
        Whether for the edge itself, or for a way back that has no answers of its own.
    """
    check_option("combine", combine, ("minimum", "geometric_mean"))
    n_groups = counts.shape[2]
    least = n_groups if least_groups is None else least_groups
    if not (isinstance(least, int) and 1 <= least <= n_groups) or n_groups < 2:
        raise UsageError(
            f"least_groups={least_groups!r} is not possible with {n_groups} groups.",
            fix="Give two groups or more, and a number of them.",
        )
    padded = np.concatenate([counts, np.zeros((len(counts), 1, *counts.shape[2:]))], axis=1)
    total = counts.sum(axis=3) + padded[:, graph.reverse].sum(axis=3)
    upgrades = counts[..., 0] if along else np.zeros(counts.shape[:3])
    judged = total > 0
    log_support = np.where(judged, np.log((upgrades + 1.0) / (total + 2.0)), np.nan)
    enough = judged.sum(axis=2) >= least
    if combine == "minimum":
        combined = np.nanmin(np.where(judged, log_support, np.inf), axis=2)
    else:
        combined = np.where(judged, log_support, 0.0).sum(axis=2) / np.maximum(judged.sum(axis=2), 1)
    return np.where(enough, np.exp(np.where(enough, combined, 0.0)), np.nan)
