"""The original's rule, defects included: cuts on pooled counts, then PageRank that loses mass.

Known defects, each mended by `corrected`: the entropy counts impressions, which are the sum of the other counts; the
cut on it drops an edge when one more person agrees; contexts are pooled, and a person who judges a pair in a second
context loses the first answer; PageRank loses the mass of values without an outgoing edge, so that scores sum to less
than 1; nothing says how sure the order is.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator
from pluralism.elicitation.aggregators.edge_statistics import original_entropy, wiser_likelihood
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.solvers.pagerank import pagerank

__all__ = ["reference", "support_label"]

DAMPING, ITERATIONS = 0.85, 100


@aggregator(
    "reference",
    source="O. Klingefjord, R. Lowe, J. Edelman, arXiv 2404.10636, and its public implementation",
    unit="pair",
    monotone=False,
)
def reference(
    graph: CountedGraph,
    counts: np.ndarray,
    note: Note,
    *,
    min_upgrades: int = 2,
    min_likelihood: float = 0.33,
    max_entropy: float = 1.69,
) -> Scores:
    """The original's edges and its PageRank.

    An edge is kept if it has `min_upgrades` upgrade votes, a likelihood (w - l) / (w + n + u + l) of at least
    `min_likelihood` and an entropy of {w, n, l, u, m} of at most `max_entropy`, where l are upgrade votes on the
    reversed edge and m all votes on either. PageRank weighs edges by likelihood, makes 100 steps with damping 0.85
    among the values that have an edge, and forgets the mass of those without an outgoing one.

    Parameters
    ----------
    min_upgrades : int
    min_likelihood : float
    max_entropy : float
        In bits.
    """
    w, n, u = (counts[:, :, k].astype(np.float64) for k in range(3))
    back = _on_reverse(graph, w)
    impressions = w + n + u + _on_reverse(graph, w + n + u)
    likelihood = wiser_likelihood(w, n, u, back)
    entropy = original_entropy(w, n, u, back, impressions)
    kept = (w >= min_upgrades) & (likelihood >= min_likelihood) & (entropy <= max_entropy)
    nodes = np.zeros((len(counts), graph.n_values), dtype=bool)
    for ends in (graph.source, graph.wiser):
        draw, edge = np.nonzero(kept)
        nodes[draw, ends[edge]] = True
    scores = pagerank(
        graph.source,
        graph.wiser,
        np.where(kept, likelihood, 0.0),
        nodes,
        damping=DAMPING,
        dangling=False,
        tol=0.0,
        max_iter=ITERATIONS,
    )
    note("likelihood", likelihood[0], per="edge")
    note("entropy", entropy[0], per="edge")
    note("impressions", impressions[0], per="edge")
    note("sum_of_scores", float(np.nansum(scores[0])))
    note("support", support_label(scores[0]))
    return Scores(scores, kept)


def support_label(scores: Float[np.ndarray, " values"]) -> str:
    """The later report's word for how far the first value stands out: "broad", "some" or "contested".

    With z the distance of the highest score from the mean in standard deviations of the population (not of a sample,
    so that z is at most the root of n - 1), and g its ratio to the second: broad if z > 2.5 and g > 2, some if z > 1.5
    or g > 1.5; "" for fewer than two values.
    """
    ranked = np.sort(scores[~np.isnan(scores)])[::-1]
    if len(ranked) < 2:
        return ""
    deviation = float(ranked.std())
    z = (ranked[0] - ranked.mean()) / deviation if deviation > 0 else 0.0
    gap = ranked[0] / ranked[1] if ranked[1] > 0 else np.inf
    if z > 2.5 and gap > 2:
        return "broad"
    return "some" if z > 1.5 or gap > 1.5 else "contested"


def _on_reverse(graph: CountedGraph, values: Float[np.ndarray, "draws edges"]) -> Float[np.ndarray, "draws edges"]:
    padded = np.concatenate([values, np.zeros((len(values), 1))], axis=1)
    return padded[:, graph.reverse]
