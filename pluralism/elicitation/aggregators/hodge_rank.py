"""HodgeRank on the answers: the ranking that explains most of the flow, and how much of it goes in circles."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator
from pluralism.elicitation.aggregators.support import Denial, support_matrices
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.solvers.hodge import gradient_potential, hodge_decomposition

__all__ = ["hodge_rank"]


@aggregator(
    "hodge-rank", source="X. Jiang, L.-H. Lim, Y. Yao, Y. Ye, Mathematical Programming 127 (2011)", monotone=False
)
def hodge_rank(graph: CountedGraph, counts: np.ndarray, note: Note, *, no_upgrade: Denial = "source") -> Scores:
    """Least squares on the net share of ballots of each pair, weighed by how many there are.

    Details: `gradient_share`, `curl_share` and `harmonic_share` say how much of the weighted flow the ranking explains,
    how much goes round in triangles, and how much in longer circles. The two last are inconsistency (and chance).

    Parameters
    ----------
    no_upgrade : {"source", "tie"}
    """
    support = support_matrices(graph, counts, no_upgrade)
    scores = np.full((len(counts), graph.n_values), np.nan)
    for draw, wins in enumerate(support):
        tail, head, flow, weight = pair_flow(wins)
        judged = np.unique(np.concatenate([tail, head]))
        scores[draw, judged] = gradient_potential(tail, head, flow, weight, graph.n_values)[judged]
        if draw == 0:
            found = hodge_decomposition(tail, head, flow, weight, graph.n_values)
            note("gradient_share", found.gradient_share)
            note("curl_share", found.curl_share)
            note("harmonic_share", found.harmonic_share)
            note("triangles", found.n_triangles)
    return Scores(scores)


def pair_flow(
    wins: Int[np.ndarray, "values values"],
) -> tuple[
    Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]
]:
    """Pairs (first < second), the net share of ballots for the second, and how many ballots there are."""
    games = wins + wins.T
    first, second = np.nonzero(np.triu(games, 1))
    weight = games[first, second].astype(np.float64)
    return first, second, (wins[second, first] - wins[first, second]) / weight, weight
