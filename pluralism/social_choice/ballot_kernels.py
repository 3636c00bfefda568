"""Compiled loops over ballots: dense levels."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

__all__ = ["make_dense"]


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
