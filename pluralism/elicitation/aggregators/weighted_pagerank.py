"""PageRank on the net share of upgrade votes, with the mass of dead ends spread, and no cut on edges."""

from __future__ import annotations

import numpy as np

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator
from pluralism.elicitation.aggregators.edge_statistics import wiser_likelihood
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.errors import UsageError
from pluralism.solvers.pagerank import pagerank

__all__ = ["weighted_pagerank"]


@aggregator(
    "pagerank", source="L. Page, S. Brin, R. Motwani, T. Winograd, The PageRank citation ranking, 1999", monotone=False
)
def weighted_pagerank(graph: CountedGraph, counts: np.ndarray, note: Note, *, damping: float = 0.85) -> Scores:
    """PageRank among the values that were judged; scores sum to 1.

    An edge weighs (w - l) / (w + n + u + l) where that is above 0, with l the upgrade votes on the reversed edge.

    Parameters
    ----------
    damping : float
        In [0, 1).
    """
    if not 0 <= damping < 1:
        raise UsageError(f"damping={damping!r} is not possible.", fix="Use a value from 0 to below 1.")
    w, n, u = (counts[:, :, k].astype(np.float64) for k in range(3))
    back = np.concatenate([w, np.zeros((len(w), 1))], axis=1)[:, graph.reverse]
    weight = np.maximum(wiser_likelihood(w, n, u, back), 0.0)
    note("weight", weight[0], per="edge")
    judged = counts.sum(axis=2) > 0
    nodes = np.zeros((len(counts), graph.n_values), dtype=bool)
    draw, edge = np.nonzero(judged)
    for ends in (graph.source, graph.wiser):
        nodes[draw, ends[edge]] = True
    return Scores(pagerank(graph.source, graph.wiser, weight, nodes, damping=damping), weight > 0)
