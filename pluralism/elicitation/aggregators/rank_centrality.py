"""Rank Centrality on the answers: the stationary distribution of a walk towards values called wiser."""

from __future__ import annotations

import numpy as np

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator
from pluralism.elicitation.aggregators.support import Denial, support_matrices
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.errors import UsageError
from pluralism.solvers import rank_centrality as solver

__all__ = ["rank_centrality"]


@aggregator("rank-centrality", source="S. Negahban, S. Oh, D. Shah, Operations Research 65 (2017)", monotone=False)
def rank_centrality(
    graph: CountedGraph, counts: np.ndarray, note: Note, *, prior: float = 1.0, no_upgrade: Denial = "source"
) -> Scores:
    """Stationary probability of each value; scores sum to 1 within each component.

    Parameters
    ----------
    prior : float
        Ballots added to either side of every pair that was judged, above 0.
    no_upgrade : {"source", "tie"}
    """
    if not prior > 0:
        raise UsageError(f"prior={prior!r} is not possible.", fix="Use a number above 0.")
    support = support_matrices(graph, counts, no_upgrade).astype(np.float64)
    return Scores(np.stack([solver.rank_centrality(wins, prior=prior)[0] for wins in support]))
