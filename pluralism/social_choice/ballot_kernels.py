"""Compiled loops over ballots: dense levels."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

__all__ = ["make_dense"]


PARALLEL = 1 << 16
"""Places of candidates on ballots from which on two threads are faster than one."""


def make_dense(levels):
    """Renumber the levels of each row, in place, to 0, 1, 2, ...; negative ones stay -1."""
    if levels.size < PARALLEL:
        _make_dense_serially(levels)
    else:
        _make_dense_in_parallel(levels)


@njit(cache=True)
def _make_dense_row(levels):
    m = len(levels)
    largest = -1
    for j in range(m):
        largest = max(largest, levels[j])
    if largest < 0:
        return
    if largest < 4 * m:
        rank = np.full(largest + 1, -1, dtype=np.int16)
        for j in range(m):
            if levels[j] >= 0:
                rank[levels[j]] = 0
        place = 0
        for level in range(largest + 1):
            if rank[level] == 0:
                rank[level] = place
                place += 1
        for j in range(m):
            if levels[j] >= 0:
                levels[j] = rank[levels[j]]
    else:
        used = np.unique(levels)
        used = used[used >= 0]
        for j in range(m):
            if levels[j] >= 0:
                levels[j] = np.searchsorted(used, levels[j])


@njit(cache=True)
def _make_dense_serially(levels):
    for row in range(len(levels)):
        _make_dense_row(levels[row])


@njit(cache=True, parallel=True)
def _make_dense_in_parallel(levels):
    for row in prange(len(levels)):
        _make_dense_row(levels[row])
