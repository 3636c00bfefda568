"""Compiled loops over ballots: in which order each lists the candidates, and whom it has first of those still in."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

__all__ = ["count_firsts", "listing_orders"]


PARALLEL = 1 << 16
"""Places of candidates on ballots from which on two threads are faster than one."""


def listing_orders(levels):
    """Candidates of each ballot, best first, as they are numbered within a tie; unlisted ones last.

    Parameters
    ----------
    levels : int16 array of shape (ballots, candidates)
        Dense; -1 is not listed.

    Returns
    -------
    order : int16 array of shape (ballots, candidates)
    tied : int64
        The most candidates that one ballot ties on one level.
    """
    order = np.empty(levels.shape, dtype=np.int16)
    most = np.zeros(len(levels), dtype=np.int64)
    if levels.size < PARALLEL:
        _order_serially(levels, order, most)
    else:
        _order_in_parallel(levels, order, most)
    return order, most.max(initial=0)


@njit(cache=True)
def _order_row(levels, order):
    m = len(levels)
    sizes = np.zeros(m + 2, dtype=np.int64)
    for c in range(m):
        sizes[(m if levels[c] < 0 else levels[c]) + 1] += 1
    most = 0
    for level in range(m):
        most = max(most, sizes[level + 1])
    starts = np.cumsum(sizes)
    for c in range(m):
        level = m if levels[c] < 0 else levels[c]
        order[starts[level]] = c
        starts[level] += 1
    return most


@njit(cache=True)
def _order_serially(levels, order, most):
    for row in range(len(levels)):
        most[row] = _order_row(levels[row], order[row])


@njit(cache=True, parallel=True)
def _order_in_parallel(levels, order, most):
    for row in prange(len(levels)):
        most[row] = _order_row(levels[row], order[row])


@njit(cache=True)
def count_firsts(levels, order, counts, standing, place, tally):
    """Give each ballot to those it has first of the candidates still standing; equals share.

    Parameters
    ----------
    levels, order : int16 arrays of shape (ballots, candidates)
        `order` from `listing_orders`.
    counts : int64 array of shape (ballots,)
    standing : bool array of shape (candidates,)
    place : int16 array of shape (ballots,)
        Where in its order each ballot stands; moved on, in place, to the first candidate that still stands.
    tally : int64 array of shape (most tied + 1, candidates)
        Zeros; ``tally[t, c]`` becomes the count of the ballots that c shares with t - 1 others.

    Returns
    -------
    exhausted : int64
        Count of the ballots that list nobody who still stands.
    """
    n, m = levels.shape
    exhausted = 0
    for row in range(n):
        at = place[row]
        while at < m and levels[row, order[row, at]] >= 0 and not standing[order[row, at]]:
            at += 1
        place[row] = at
        if at == m or levels[row, order[row, at]] < 0:
            exhausted += counts[row]
            continue
        level = levels[row, order[row, at]]
        stop, tied = at, 0
        while stop < m and levels[row, order[row, stop]] == level:
            tied += standing[order[row, stop]]
            stop += 1
        for k in range(at, stop):
            if standing[order[row, k]]:
                tally[tied, order[row, k]] += counts[row]
    return exhausted
