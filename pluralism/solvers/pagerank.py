"""PageRank on weighted edges, for one vector of weights or for many at once.

The mass of nodes without outgoing weight either goes to all nodes alike, so that scores stay a distribution, or is
lost, as in implementations that forget it. L. Page, S. Brin, R. Motwani, T. Winograd, The PageRank citation ranking,
1999; A. Langville, C. Meyer, Google's PageRank and beyond, 2006, section 4.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit

__all__ = ["pagerank"]


def pagerank(
    tail: Int[np.ndarray, " edges"],
    head: Int[np.ndarray, " edges"],
    weight: Float[np.ndarray, "draws edges"],
    nodes: Bool[np.ndarray, "draws nodes"],
    *,
    damping: float = 0.85,
    dangling: bool = True,
    tol: float = 1e-12,
    max_iter: int = 1000,
) -> Float[np.ndarray, "draws nodes"]:
    """Scores of the nodes.

    Parameters
    ----------
    tail, head : int arrays of shape (edges,)
        Edges lead from tail to head, and rank flows along them.
    weight : array of shape (draws, edges)
        Not negative; 0 for an edge that is not there.
    nodes : bool array of shape (draws, nodes)
        Which nodes take part; the others have the score NaN.
    damping : float
        In [0, 1).
    dangling : bool
        Whether the mass of nodes without outgoing weight is spread over all nodes; else it is lost.
    tol : float
        Stop when scores change by less than this in sum; 0 to make `max_iter` steps whatever happens.
    max_iter : int
    """
    return _pagerank(tail, head, weight, nodes, damping, dangling, tol, max_iter)


@njit(cache=True, error_model="numpy")
def _pagerank(tail, head, weight, nodes, damping, dangling, tol, max_iter):
    n_draws, n = nodes.shape
    out = np.full((n_draws, n), np.nan)
    leaving, rank, moved, share = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(len(tail))
    for d in range(n_draws):
        total = 0
        for v in range(n):
            total += nodes[d, v]
            leaving[v] = 0.0
        if total == 0:
            continue
        for e in range(len(tail)):
            leaving[tail[e]] += weight[d, e]
        for e in range(len(tail)):
            share[e] = weight[d, e] / leaving[tail[e]] if weight[d, e] > 0.0 else 0.0
        for v in range(n):
            rank[v] = nodes[d, v] / total
        for _ in range(max_iter):
            lost = 0.0
            if dangling:
                for v in range(n):
                    lost += rank[v] if leaving[v] == 0.0 else 0.0
            for v in range(n):
                moved[v] = nodes[d, v] * (1.0 - damping + damping * lost) / total
            for e in range(len(tail)):
                moved[head[e]] += damping * share[e] * rank[tail[e]]
            change = 0.0
            for v in range(n):
                change += abs(moved[v] - rank[v])
                rank[v] = moved[v]
            if change < tol:
                break
        for v in range(n):
            if nodes[d, v]:
                out[d, v] = rank[v]
    return out
