"""Compiled loops over ballots: dense levels, and how many rank one candidate above another."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

__all__ = ["make_dense", "support_counts"]

BLOCK = 2048
"""Ballots at a time, so that the levels of all candidates on a block stay in cache."""


@njit(cache=True, parallel=True)
def make_dense(levels):
    """Renumber the levels of each row, in place, to 0, 1, 2, ...; negative ones stay -1."""
    n, m = levels.shape
    for row in prange(n):
        largest = -1
        for j in range(m):
            largest = max(largest, levels[row, j])
        if largest < 0:
            continue
        if largest < 4 * m:
            rank = np.full(largest + 1, -1, dtype=np.int16)
            for j in range(m):
                if levels[row, j] >= 0:
                    rank[levels[row, j]] = 0
            place = 0
            for level in range(largest + 1):
                if rank[level] == 0:
                    rank[level] = place
                    place += 1
            for j in range(m):
                if levels[row, j] >= 0:
                    levels[row, j] = rank[levels[row, j]]
        else:
            used = np.unique(levels[row])
            used = used[used >= 0]
            for j in range(m):
                if levels[row, j] >= 0:
                    levels[row, j] = np.searchsorted(used, levels[row, j])


@njit(cache=True, parallel=True)
def _add_support(better, worse, counts, out):
    """Add, for every pair, the counts of the ballots on which the first is above the second."""
    m, n = better.shape
    for a in prange(m):
        for b in range(m):
            total = 0
            for v in range(n):
                total += counts[v] if better[a, v] < worse[b, v] else 0
            out[a, b] += total


def support_counts(levels, counts, unlisted_below):
    """Sum of the counts of the ballots that rank the row's candidate strictly above the column's.

    Parameters
    ----------
    levels : int16 array of shape (ballots, candidates)
        -1 is not listed.
    counts : int64 array of shape (ballots,)
    unlisted_below : bool
        Whether listed candidates are above unlisted ones; else such pairs are not compared.
    """
    n, m = levels.shape
    out = np.zeros((m, m), dtype=np.int64)
    for start in range(0, n, BLOCK):
        block = np.ascontiguousarray(levels[start : start + BLOCK].T)
        better = np.where(block < 0, np.int16(np.iinfo(np.int16).max), block)
        worse = better if unlisted_below else block
        _add_support(better, worse, counts[start : start + BLOCK], out)
    return out
