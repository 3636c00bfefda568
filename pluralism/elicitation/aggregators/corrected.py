"""The original's idea without its five defects.

1. Nothing counts impressions: what people answered is all there is.
2. No cut on an entropy. An edge is kept if people probably call the second value wiser: with a flat prior and the
   answers yes and no, P(share of yes > 1/2) is at least `certainty`. One more yes can only raise that.
3. Contexts stay apart. An edge is kept, and weighs, within its context; the pooled view adds up the kept edges of all
   contexts. A person has one answer for each pair and context.
4. PageRank spreads the mass of values without an outgoing edge over all, and goes on until it has converged.
5. Intervals of ranks, and tiers instead of a winner, by a bootstrap over participants, which `aggregate` draws.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincc

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator
from pluralism.elicitation.aggregators.edge_statistics import wiser_likelihood
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.errors import UsageError
from pluralism.solvers.pagerank import pagerank

__all__ = ["corrected"]


@aggregator(
    "corrected",
    source="this package, after O. Klingefjord, R. Lowe, J. Edelman, arXiv 2404.10636",
    view="contexts",
    n_bootstrap=200,
    monotone=False,
)
def corrected(
    graph: CountedGraph, counts: np.ndarray, note: Note, *, certainty: float = 0.9, damping: float = 0.85
) -> Scores:
    """PageRank on the edges that people probably call wiser, weighed by their net share of upgrade votes.

    Parameters
    ----------
    certainty : float
        Least posterior probability, in (0, 1), that more than half of those with an opinion say upgrade. Upgrade votes
        on the reversed edge count against it.
    damping : float
        Of PageRank, in [0, 1).

    Notes
    -----
    An upgrade vote from a to b never removes an edge to b; as under every PageRank, the new or heavier edge may still
    move others past b in rare graphs, so that the rule is not declared monotone.
    """
    if not 0 < certainty < 1 or not 0 <= damping < 1:
        raise UsageError(
            f"certainty={certainty!r}, damping={damping!r} are not possible.", fix="Use values between 0 and 1."
        )
    w, n, u = (counts[:, :, k].astype(np.float64) for k in range(3))
    back = np.concatenate([w, np.zeros((len(w), 1))], axis=1)[:, graph.reverse]
    probability = betaincc(1.0 + w, 1.0 + n + back, 0.5)
    likelihood = wiser_likelihood(w, n, u, back)
    kept = (probability >= certainty) & (likelihood > 0)
    weight = np.where(kept, likelihood, 0.0)
    nodes = np.zeros((len(counts), graph.n_values), dtype=bool)
    draw, edge = np.nonzero(kept)
    for ends in (graph.source, graph.wiser):
        nodes[draw, ends[edge]] = True
    note("probability", probability[0], per="edge")
    note("likelihood", likelihood[0], per="edge")
    return Scores(pagerank(graph.source, graph.wiser, weight, nodes, damping=damping), kept)
