"""Copeland on the answers: how many values each beats, less how many beat it."""

from __future__ import annotations

import numpy as np

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator
from pluralism.elicitation.aggregators.support import Denial, judged_values, relation_scores, support_matrices
from pluralism.elicitation.counted_graph import CountedGraph

__all__ = ["copeland"]


@aggregator("copeland", source="A. H. Copeland 1951")
def copeland(graph: CountedGraph, counts: np.ndarray, note: Note, *, no_upgrade: Denial = "source") -> Scores:
    """Wins less losses by majority; pairs that nobody judged, and ties, count for neither.

    Parameters
    ----------
    no_upgrade : {"source", "tie"}
    """
    support = support_matrices(graph, counts, no_upgrade)
    scores = np.stack([relation_scores(wins > wins.T) for wins in support])
    return Scores(np.where(judged_values(graph, counts), scores, np.nan))
