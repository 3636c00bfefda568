"""Compiled loops over ballots: at which places ties stand, and how many ballots have each candidate there."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["count_places"]


@njit(cache=True)
def _mark_groups(levels, row, sizes):
    """Sizes of the levels of one ballot, with those it does not list as one more level at the end; how many levels."""
    m = levels.shape[1]
    sizes[:] = 0
    deepest = -1
    for c in range(m):
        deepest = max(deepest, levels[row, c])
    for c in range(m):
        sizes[levels[row, c] if levels[row, c] >= 0 else deepest + 1] += 1
    return deepest + 1


@njit(cache=True)
def count_places(levels, counts):
    """How many ballots have each candidate in each tie group.

    Parameters
    ----------
    levels : int16 array of shape (ballots, candidates)
        Dense; -1 is not listed, and counts as tied last.
    counts : int64 array of shape (ballots,)

    Returns
    -------
    groups : int64 array of shape (groups, 2)
        First place, from 0, and size of each tie group that occurs.
    table : int64 array of shape (groups, candidates)
    """
    n, m = levels.shape
    number = np.full((m + 1, m + 1), -1, dtype=np.int64)
    groups = np.empty((m * (m + 1) // 2, 2), dtype=np.int64)
    sizes = np.zeros(m + 1, dtype=np.int64)
    found = 0
    for row in range(n):
        last = _mark_groups(levels, row, sizes)
        start = 0
        for level in range(last + 1):
            size = sizes[level]
            if size > 0 and number[start, size] < 0:
                number[start, size] = found
                groups[found, 0], groups[found, 1] = start, size
                found += 1
            start += size
    table = np.zeros((found, m), dtype=np.int64)
    starts = np.zeros(m + 1, dtype=np.int64)
    for row in range(n):
        last = _mark_groups(levels, row, sizes)
        for level in range(1, last + 1):
            starts[level] = starts[level - 1] + sizes[level - 1]
        for c in range(m):
            level = levels[row, c] if levels[row, c] >= 0 else last
            table[number[starts[level], sizes[level]], c] += counts[row]
    return groups[:found], table
