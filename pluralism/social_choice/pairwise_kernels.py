"""Compiled loops over pairs of candidates: how many rank one above the other, and the widest paths between them."""

from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit, prange

__all__ = ["support_counts", "widest_paths"]

TILE = 16
"""Candidates a side of a tile, whose levels on a block of ballots stay in the first cache."""

PATH_TILE = 256
"""Candidates a side of a tile of strengths, three of which stay in the second cache."""

SMALL = 200_000_000
"""Comparisons that one thread makes in some milliseconds, in which waiting for another may cost more than it brings."""

UNLISTED = np.int16(np.iinfo(np.int16).max)


@njit(cache=True)
def _add_tile(better, worse, weight, out, first, last, start, stop, above_diagonal):
    """Add the weights of the ballots on which row a of `better` is below row b of `worse`, for a tile of pairs."""
    cast = weight.dtype.type
    for a in range(first, last):
        x = better[a]
        for b in range(max(start, a + 1) if above_diagonal else start, stop):
            y = worse[b]
            total = cast(0)
            for v in range(len(weight)):
                total = cast(total + (weight[v] if x[v] < y[v] else cast(0)))
            out[a, b] += total


@njit(cache=True)
def _add_tiles(better, worse, weight, out, above_diagonal):
    m = len(better)
    for first in range(0, m, TILE):
        for start in range(first if above_diagonal else 0, m, TILE):
            _add_tile(
                better, worse, weight, out, first, min(first + TILE, m), start, min(start + TILE, m), above_diagonal
            )


@njit(cache=True)
def _add_ballots(levels, counts, below, above_diagonal, block, out):
    """Add the support of some ballots, block by block, each in the narrowest whole numbers that hold its sum."""
    n, m = levels.shape
    for start in range(0, n, block):
        size = min(block, n - start)
        better = np.empty((m, size), dtype=np.int16)
        worse = better if below else np.empty((m, size), dtype=np.int16)
        total = 0
        for v in range(size):
            total += counts[start + v]
            for a in range(m):
                level = levels[start + v, a]
                worse[a, v] = level
                better[a, v] = UNLISTED if level < 0 else level
        weight = counts[start : start + size]
        if total < 2**15:
            _add_tiles(better, worse, weight.astype(np.int16), out, above_diagonal)
        elif total < 2**31:
            _add_tiles(better, worse, weight.astype(np.int32), out, above_diagonal)
        else:
            _add_tiles(better, worse, weight, out, above_diagonal)


@njit(cache=True, parallel=True)
def _add_chunks(levels, counts, below, above_diagonal, block, bounds):
    m = levels.shape[1]
    out = np.zeros((len(bounds) - 1, m, m), dtype=np.int64)
    for chunk in prange(len(bounds) - 1):
        first, last = bounds[chunk], bounds[chunk + 1]
        _add_ballots(levels[first:last], counts[first:last], below, above_diagonal, block, out[chunk])
    return out


@njit(cache=True)
def _all_strict(levels):
    """Whether every ballot has as many levels as there are candidates."""
    n, m = levels.shape
    for row in range(n):
        found = m == 0
        for c in range(m):
            found |= levels[row, c] == m - 1
        if not found:
            return False
    return True


@njit(cache=True)
def _fill_below_diagonal(support, total):
    """Of complete strict ballots, those that do not have one candidate above the other have it below."""
    for a in range(len(support)):
        for b in range(a):
            support[a, b] = total - support[b, a]


def support_counts(levels, counts, unlisted_below):
    """Sum of the counts of the ballots that rank the row's candidate strictly above the column's.

    Parameters
    ----------
    levels : int16 array of shape (ballots, candidates)
        Dense; -1 is not listed.
    counts : int64 array of shape (ballots,)
    unlisted_below : bool
        Whether listed candidates are above unlisted ones; else such pairs are not compared.

    Returns
    -------
    int64 array of shape (candidates, candidates)
    """
    n, m = levels.shape
    strict = _all_strict(levels)
    block = 512 if m <= 512 else 256
    if n * m * m < SMALL:
        support = np.zeros((m, m), dtype=np.int64)
        _add_ballots(levels, counts, unlisted_below, strict, block, support)
    else:
        bounds = np.linspace(0, n, get_num_threads() + 1).astype(np.int64)
        support = _add_chunks(levels, counts, unlisted_below, strict, block, bounds).sum(axis=0)
    if strict:
        _fill_below_diagonal(support, counts.sum())
    return support


@njit(cache=True)
def _widen_tile(width, i, j, k, tile):
    """Paths from tile i to tile j by way of each candidate of tile k."""
    m = len(width)
    first, last = j * tile, min((j + 1) * tile, m)
    for via in range(k * tile, min((k + 1) * tile, m)):
        onward = width[via, first:last]
        for a in range(i * tile, min((i + 1) * tile, m)):
            row, to_via = width[a, first:last], width[a, via]
            # Slices that begin at 0: an index that might be negative would keep the loop from being vectorised.
            for b in range(len(row)):
                row[b] = max(row[b], min(to_via, onward[b]))


@njit(cache=True, parallel=True)
def _widen(width, tile):
    tiles = -(-len(width) // tile)
    for k in range(tiles):
        _widen_tile(width, k, k, k, tile)
        for other in prange(2 * tiles):
            t = other // 2
            if t != k and other % 2 == 0:
                _widen_tile(width, k, t, k, tile)
            elif t != k:
                _widen_tile(width, t, k, k, tile)
        for i in prange(tiles):
            if i != k:
                for j in range(tiles):
                    if j != k:
                        _widen_tile(width, i, j, k, tile)


@njit(cache=True)
def _widen_small(width):
    _widen_tile(width, 0, 0, 0, len(width))


def widest_paths(strengths, tile=PATH_TILE):
    """Width of the widest path between any two candidates: the largest that the weakest link of a path can be.

    Parameters
    ----------
    strengths : int64 array of shape (candidates, candidates)
        Strength of the link from the row to the column, not negative; 0 is no link.
    tile : int
        Candidates a side of the blocks that are worked on at a time.

    Returns
    -------
    int64 array of shape (candidates, candidates)
        Of each path from row to column; the diagonal means nothing.

    Notes
    -----
    Floyd and Warshall's algorithm in blocks, on the narrowest whole numbers that hold the strengths.
    """
    largest = int(strengths.max(initial=0))
    kind = next(t for t in (np.int16, np.int32, np.int64) if largest <= np.iinfo(t).max)
    width = strengths.astype(kind)
    if len(width) <= 2 * tile:
        _widen_small(width)
    else:
        _widen(width, tile)
    return width.astype(np.int64)
