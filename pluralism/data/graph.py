"""The graph of comparisons: which items can be ranked against each other, and by what evidence.

Items are nodes. Two items are *connected* when a chain of comparisons leads from one to the other; they are
*strongly* connected when a chain of wins leads from each to the other. A Bradley-Terry likelihood without a prior has
a finite maximum exactly when all items are strongly connected (Ford's condition).

References
----------
L. R. Ford Jr., Solution of a ranking problem from binary comparisons, American Mathematical Monthly 64 (1957).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.sparse import csgraph

__all__ = ["components", "strong_components", "undefeated_and_winless", "win_edges"]


def components(
    left: Int[np.ndarray, " pairs"], right: Int[np.ndarray, " pairs"], n_items: int
) -> Int[np.ndarray, " items"]:
    """Connected component of each item.

    Parameters
    ----------
    left, right : (pairs,) int
        Item codes in [0, n_items).
    n_items : int
        Number of items; an item in no comparison is a component of its own.

    Returns
    -------
    (items,) int32
        Component codes, the largest component first (ties: the one with the smallest item code).

    Examples
    --------
    >>> components(np.array([2, 3]), np.array([3, 4]), 5).tolist()
    [1, 2, 0, 0, 0]
    """
    return _labels(np.asarray(left), np.asarray(right), n_items, "weak")


def strong_components(
    winner: Int[np.ndarray, " edges"], loser: Int[np.ndarray, " edges"], n_items: int
) -> Int[np.ndarray, " items"]:
    """Strongly connected component of each item in the graph of wins, numbered as in `components`.

    Examples
    --------
    >>> strong_components(np.array([0, 1, 2, 0]), np.array([1, 2, 0, 3]), 4).tolist()
    [0, 0, 0, 1]
    """
    return _labels(np.asarray(winner), np.asarray(loser), n_items, "strong")


def win_edges(
    left: Int[np.ndarray, " pairs"], right: Int[np.ndarray, " pairs"], outcome: Float[np.ndarray, " pairs"]
) -> tuple[Int[np.ndarray, " edges"], Int[np.ndarray, " edges"]]:
    """Edges (winner, loser) of the graph of wins.

    A tie or a graded outcome has probability mass on both sides, so it is a win for either.

    Returns
    -------
    winner, loser : (edges,) int
    """
    left, right, outcome = np.asarray(left), np.asarray(right), np.asarray(outcome)
    for_left, for_right = outcome > 0, outcome < 1
    winner = np.concatenate([left[for_left], right[for_right]])
    loser = np.concatenate([right[for_left], left[for_right]])
    return winner, loser


def undefeated_and_winless(
    winner: Int[np.ndarray, " edges"], loser: Int[np.ndarray, " edges"], n_items: int
) -> tuple[Bool[np.ndarray, " items"], Bool[np.ndarray, " items"]]:
    """Which compared items never lose, and which never win."""
    wins = np.bincount(winner, minlength=n_items)
    losses = np.bincount(loser, minlength=n_items)
    return (wins > 0) & (losses == 0), (losses > 0) & (wins == 0)


def _labels(
    tail: Int[np.ndarray, " edges"],
    head: Int[np.ndarray, " edges"],
    n_items: int,
    connection: Literal["weak", "strong"],
) -> Int[np.ndarray, " items"]:
    if n_items == 0:
        return np.empty(0, dtype=np.int32)
    graph = sparse.csr_array((np.ones(len(tail)), (tail, head)), shape=(n_items, n_items))
    _, raw = csgraph.connected_components(graph, directed=True, connection=connection)
    _, first, label, size = np.unique(raw, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(first), dtype=np.int32)
    rank[np.lexsort((first, -size))] = np.arange(len(first), dtype=np.int32)
    return rank[label]
