"""In-strength: the sum of the likelihoods of the edges that lead to a value."""

from __future__ import annotations

import numpy as np

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator
from pluralism.elicitation.aggregators.edge_statistics import wiser_likelihood
from pluralism.elicitation.aggregators.support import judged_values
from pluralism.elicitation.counted_graph import CountedGraph

__all__ = ["in_strength"]


@aggregator("in-strength", source="the original's list of wisest values", monotone=True)
def in_strength(graph: CountedGraph, counts: np.ndarray, note: Note) -> Scores:
    """Sum over edges to the value of (w - l) / (w + n + u + l), where above 0; the original lists values above 1.

    Parameters
    ----------
    graph, counts, note
        As in `Aggregator`.
    """
    w, n, u = (counts[:, :, k].astype(np.float64) for k in range(3))
    back = np.concatenate([w, np.zeros((len(w), 1))], axis=1)[:, graph.reverse]
    likelihood = np.maximum(wiser_likelihood(w, n, u, back), 0.0)
    scores = np.zeros((len(counts), graph.n_values))
    np.add.at(scores, (np.arange(len(counts))[:, None], graph.wiser[None]), likelihood)
    note("likelihood", likelihood[0], per="edge")
    return Scores(np.where(judged_values(graph, counts), scores, np.nan))
