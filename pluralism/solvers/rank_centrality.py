"""Rank Centrality: the stationary distribution of a walk that moves to whoever wins more often.

S. Negahban, S. Oh, D. Shah, Rank centrality: Ranking from pairwise comparisons, Operations Research 65 (2017).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pluralism.solvers.threads import threads_for_square

__all__ = ["rank_centrality"]


def rank_centrality(
    wins: Float[np.ndarray, "items items"], *, prior: float = 1.0
) -> tuple[Float[np.ndarray, " items"], Int[np.ndarray, " items"]]:
    """Stationary probabilities within each connected part.

    Parameters
    ----------
    wins : array of shape (items, items)
        How often the row was preferred to the column.
    prior : float
        Wins added to either side of every pair that was compared, above 0 unless each part is strongly connected.

    Returns
    -------
    scores : array of shape (items,)
        Sum to 1 in each part with two items or more; NaN for an item that was never compared.
    part : int array of shape (items,)
    """
    n = len(wins)
    games = wins + wins.T
    compared = (games > 0) & ~np.eye(n, dtype=bool)
    count, part = connected_components(csr_array(compared), directed=False)
    scores = np.full(n, np.nan)
    if not compared.any():
        return scores, part
    degree = float(compared.sum(axis=1).max())
    loses = np.where(compared, (wins.T + prior) / np.where(compared, games + 2.0 * prior, 1.0), 0.0)
    walk = loses / degree
    walk[np.diag_indices(n)] = 1.0 - walk.sum(axis=1)
    for label in range(count):
        members = np.flatnonzero(part == label)
        if len(members) < 2:
            continue
        # the stationary equations, one of which the sum replaces
        equations = walk[np.ix_(members, members)].T - np.eye(len(members))
        equations[0] = 1.0
        target = np.zeros(len(members))
        target[0] = 1.0
        with threads_for_square(len(members)):
            scores[members] = np.linalg.solve(equations, target)
    return scores, part
