"""Copy rows out of a store and check each on its way: one pass over the memory, no Python per row."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from jaxtyping import Int64, Shaped, UInt64

__all__ = ["gather_rows", "row_checks"]

_BLOCK = 16384
_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


def gather_rows(
    words: Shaped[np.ndarray, "stored words"],
    rows: Int64[np.ndarray, " found"],
    slots: Int64[np.ndarray, " found"],
    seeds: UInt64[np.ndarray, "stored 4"],
    out: Shaped[np.ndarray, "texts words"],
) -> UInt64[np.ndarray, " found"]:
    """Copy ``words[rows]`` to ``out[slots]`` and return the check of every copied row.

    Parameters
    ----------
    words : unsigned integer array, (stored, words)
        Rows of the store, seen as machine words.
    rows, slots : int64 arrays
        Where to read and where to write.
    seeds : uint64 array, (stored, 4)
        Digest of the text of each stored row: it enters the check, so that a vector beside another text's digest
        does not pass.
    out : unsigned integer array, (texts, words)
        Where the rows go; of the dtype of `words`.
    """
    checks = np.empty(len(rows), np.uint64)
    if len(rows) <= _BLOCK:
        _gather(words, rows, slots, seeds, out, checks)
        return checks
    parts = [slice(start, start + _BLOCK) for start in range(0, len(rows), _BLOCK)]
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        for done in [pool.submit(_gather, words, rows[p], slots[p], seeds, out, checks[p]) for p in parts]:
            done.result()
    return checks


def row_checks(
    words: Shaped[np.ndarray, "stored words"], seeds: UInt64[np.ndarray, "stored 4"]
) -> UInt64[np.ndarray, " stored"]:
    """Check of every row, as `gather_rows` computes it."""
    rows = np.arange(len(words))
    return gather_rows(words, rows, rows, seeds, np.empty_like(words))


@numba.njit(cache=True, nogil=True)
def _gather(
    words: np.ndarray, rows: np.ndarray, slots: np.ndarray, seeds: np.ndarray, out: np.ndarray, checks: np.ndarray
) -> None:
    width = words.shape[1]
    for i in range(len(rows)):
        row, slot = rows[i], slots[i]
        # Four chains that do not wait for each other. Each step is a bijection of the chain for a given word and of
        # the word for a given chain, so a change confined to one word can never cancel.
        a, b, c, d = seeds[row, 0], seeds[row, 1], seeds[row, 2], seeds[row, 3]
        for j in range(0, width - 3, 4):
            w0, w1, w2, w3 = words[row, j], words[row, j + 1], words[row, j + 2], words[row, j + 3]
            out[slot, j], out[slot, j + 1], out[slot, j + 2], out[slot, j + 3] = w0, w1, w2, w3
            a = (a ^ np.uint64(w0)) * _ODD
            b = (b ^ np.uint64(w1)) * _ODD
            c = (c ^ np.uint64(w2)) * _ODD
            d = (d ^ np.uint64(w3)) * _ODD
            a ^= a >> _SHIFT
            b ^= b >> _SHIFT
            c ^= c >> _SHIFT
            d ^= d >> _SHIFT
        for j in range(width - width % 4, width):
            out[slot, j] = words[row, j]
            a = (a ^ np.uint64(words[row, j])) * _ODD
            a ^= a >> _SHIFT
        checks[i] = (((a * _ODD) ^ b) * _ODD ^ c) * _ODD ^ d
