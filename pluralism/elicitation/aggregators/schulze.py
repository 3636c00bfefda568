"""Schulze on the answers: who has the stronger chain of majorities to whom."""

from __future__ import annotations

import numpy as np

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator, check_option
from pluralism.elicitation.aggregators.support import Denial, judged_values, relation_scores, support_matrices
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.social_choice.majority import Strength
from pluralism.social_choice.pairwise_kernels import widest_paths

__all__ = ["schulze"]


@aggregator("schulze", source="M. Schulze, Social Choice and Welfare 36 (2011)")
def schulze(
    graph: CountedGraph,
    counts: np.ndarray,
    note: Note,
    *,
    strength: Strength = "winning_votes",
    no_upgrade: Denial = "source",
) -> Scores:
    """How many values each is ahead of, less how many are ahead of it.

    A value is ahead of another if its strongest path of majorities there is stronger than the one back.

    Parameters
    ----------
    strength : {"winning_votes", "margins"}
        How strong a majority is.
    no_upgrade : {"source", "tie"}
    """
    check_option("strength", strength, ("winning_votes", "margins"))
    scores = []
    for wins in support_matrices(graph, counts, no_upgrade):
        margins = wins - wins.T
        paths = widest_paths(np.where(margins > 0, wins if strength == "winning_votes" else margins, 0))
        np.fill_diagonal(paths, 0)
        scores.append(relation_scores(paths > paths.T))
    return Scores(np.where(judged_values(graph, counts), np.stack(scores), np.nan))
