"""Compiled loops of ranked pairs: lock majorities, strongest first, as bits of who is above whom."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["lock", "lock_groups", "locked", "relation"]


@njit(cache=True)
def locked(above, a, b):
    """Whether a is above b."""
    return (above[a, b >> 6] >> np.uint64(b & 63)) & np.uint64(1) != 0


@njit(cache=True)
def lock(above, a, b):
    """Put a, and all who are above it, above b and all who are below that."""
    m, words = above.shape
    below = above[b].copy()
    below[b >> 6] |= np.uint64(1) << np.uint64(b & 63)
    for x in range(m):
        if x == a or locked(above, x, a):
            for word in range(words):
                above[x, word] |= below[word]


@njit(cache=True)
def lock_groups(above, winners, losers, starts, group, kept):
    """Lock groups of equally strong majorities for as long as the order within a group makes no difference.

    Parameters
    ----------
    above : uint64 array of shape (candidates, words)
        Bit b of row a: a is above b. Changed in place.
    winners, losers : int64 arrays of shape (majorities,)
        Strongest first.
    starts : int64 array of shape (groups + 1,)
        Where each group of equal strength begins.
    group : int64
        Where to go on.
    kept : bool array of shape (majorities,)
        Becomes True for each majority that holds in the order, in place.

    Returns
    -------
    group : int64
        The first group of which not all that fit alone fit together; `above` is as before it. The number of groups,
        where there is none.
    """
    while group < len(starts) - 1:
        first, last = starts[group], starts[group + 1]
        fresh = 0
        for e in range(first, last):
            fresh += not locked(above, losers[e], winners[e]) and not locked(above, winners[e], losers[e])
        before = above.copy() if fresh > 1 else above
        together = np.zeros(last - first, dtype=np.bool_)
        for e in range(first, last):
            together[e - first] = not locked(above, losers[e], winners[e])
        for e in range(first, last):
            if not together[e - first] or locked(above, winners[e], losers[e]):
                continue
            if locked(above, losers[e], winners[e]):
                above[:] = before
                return group
            lock(above, winners[e], losers[e])
        for e in range(first, last):
            kept[e] = together[e - first]
        group += 1
    return group


@njit(cache=True)
def relation(above):
    """The bits as a bool array of shape (candidates, candidates)."""
    m = len(above)
    out = np.zeros((m, m), dtype=np.bool_)
    for a in range(m):
        for b in range(m):
            out[a, b] = locked(above, a, b)
    return out
