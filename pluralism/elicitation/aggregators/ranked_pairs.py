"""Ranked pairs on the answers: majorities are locked in, strongest first, unless they contradict those before."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator, check_option
from pluralism.elicitation.aggregators.support import Denial, judged_values, relation_scores, support_matrices
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.random import RNG, as_generator
from pluralism.social_choice.majority import Strength
from pluralism.social_choice.ranked_pairs_kernels import lock, locked, relation

__all__ = ["ranked_pairs"]


@aggregator("ranked-pairs", source="T. N. Tideman, Social Choice and Welfare 4 (1987)", monotone=True)
def ranked_pairs(
    graph: CountedGraph,
    counts: np.ndarray,
    note: Note,
    *,
    strength: Strength = "winning_votes",
    no_upgrade: Denial = "source",
    ties: RNG = 0,
) -> Scores:
    """How many values each is above, less how many are above it, once majorities are locked in.

    Parameters
    ----------
    strength : {"winning_votes", "margins"}
        How strong a majority is.
    no_upgrade : {"source", "tie"}
    ties : int or Generator
        Equally strong majorities are locked in a random order of the pairs, the same for all draws.
    """
    check_option("strength", strength, ("winning_votes", "margins"))
    order = as_generator(ties, "ranked pairs").permutation(graph.n_values**2).reshape(graph.n_values, -1)
    scores = []
    for draw, wins in enumerate(support_matrices(graph, counts, no_upgrade)):
        margins = wins - wins.T
        links = np.where(margins > 0, wins if strength == "winning_votes" else margins, 0)
        above, skipped = _lock_in(links, order)
        scores.append(relation_scores(above))
        if draw == 0:
            note("skipped_majorities", skipped)
    return Scores(np.where(judged_values(graph, counts), np.stack(scores), np.nan))


def _lock_in(
    links: Int64[np.ndarray, "values values"], order: Int64[np.ndarray, "values values"]
) -> tuple[Bool[np.ndarray, "values values"], int]:
    """Who is above whom, and how many majorities were skipped."""
    winners, losers = np.nonzero(links)
    above = np.zeros((len(links), -(-len(links) // 64)), dtype=np.uint64)
    skipped = 0
    for i in np.lexsort((order[winners, losers], -links[winners, losers])):
        if locked(above, losers[i], winners[i]):
            skipped += 1
        else:
            lock(above, winners[i], losers[i])
    return relation(above), skipped
