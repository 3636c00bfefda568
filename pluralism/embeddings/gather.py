"""Find rows of a store by digest, copy them out, and check each on its way: no Python per row, several threads.

The check of a row is a sum over its machine words w, modulo 2^64, of ``(w ^ w >> 32) * key``, with an odd key for each
position; the digest of the row's text enters in the same way. The first factor is a bijection of w and the second is
invertible, so a change confined to one word is always seen; other damage passes with a chance of about 2^-64. It
guards against failing disks, not against people: who can write to the cache can write what they like.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numba
import numpy as np
from jaxtyping import Float, Int64, UInt64

__all__ = ["bucket_starts", "find_rows", "gather_rows", "row_checks"]

T = TypeVar("T")

_BLOCK = 8192
_HALF = np.uint64(32)
_WORDS = {8: np.uint64, 4: np.uint32, 2: np.uint16}


def bucket_starts(digests: UInt64[np.ndarray, "stored 4"]) -> Int64[np.ndarray, " buckets"]:
    """Where in the sorted digests each run of equal leading bits begins; they are uniform, so runs are short.

    Returns
    -------
    int64 array, (2^bits + 1,)
        The digests whose first ``bits`` bits are b lie in rows ``starts[b]`` to ``starts[b + 1]``; there are about as
        many runs as rows.
    """
    bits = max(1, len(digests).bit_length() - 1)
    buckets = (digests[:, 0] >> np.uint64(64 - bits)).astype(np.int64)
    starts = np.zeros(2**bits + 1, np.int64)
    np.cumsum(np.bincount(buckets, minlength=2**bits), out=starts[1:])
    return starts


def find_rows(
    starts: Int64[np.ndarray, " buckets"],
    digests: UInt64[np.ndarray, "stored 4"],
    wanted: UInt64[np.ndarray, "texts 4"],
    slots: Int64[np.ndarray, " open"],
) -> Int64[np.ndarray, " open"]:
    """Row of ``wanted[slot]`` for each of `slots`, -1 where it is not stored.

    Parameters
    ----------
    starts : int64 array
        `bucket_starts` of `digests`.
    digests : uint64 array, (stored, 4)
        The stored digests, ascending.
    wanted : uint64 array, (texts, 4)
        Digests to look for.
    slots : int64 array
        Which of them.
    """
    rows = np.empty(len(slots), np.int64)
    shift = np.uint64(64 - (len(starts) - 2).bit_length())
    _in_threads(lambda part: _find(starts, shift, digests, wanted, slots[part], rows[part]), len(slots))
    return rows


def gather_rows(
    vectors: Float[np.ndarray, "stored dim"],
    digests: UInt64[np.ndarray, "stored 4"],
    checks: UInt64[np.ndarray, " stored"],
    rows: Int64[np.ndarray, " found"],
    slots: Int64[np.ndarray, " found"],
    out: Float[np.ndarray, "texts dim"],
) -> bool:
    """Copy ``vectors[rows]`` to ``out[slots]``; True if every copied row has its check.

    Parameters
    ----------
    vectors : float32 or float16 array, (stored, dim)
        The store, C-contiguous.
    digests : uint64 array, (stored, 4)
        Of the text of each stored row: it enters the check, so that a vector beside another text's digest is seen.
    checks : uint64 array, (stored,)
        `row_checks`, from when the rows were written.
    rows, slots : int64 arrays
        Where to read and where to write.
    out : array, (texts, dim)
        Where the rows go: of the dtype of `vectors`, or float32, C-contiguous.
    """
    words = _as_words(vectors)
    keys = _keys(words.shape[1] + digests.shape[1])

    def copy(part: slice) -> bool:
        if out.dtype == vectors.dtype:
            return bool(_gather(words, digests, checks, rows[part], slots[part], keys, _as_words(out)))
        halves, bits = vectors.view(np.uint16), out.view(np.uint32)
        return bool(_gather_half(words, halves, digests, checks, rows[part], slots[part], keys, bits, out))

    return all(_in_threads(copy, len(rows)))


def row_checks(
    vectors: Float[np.ndarray, "stored dim"], digests: UInt64[np.ndarray, "stored 4"]
) -> UInt64[np.ndarray, " stored"]:
    """Check of every row."""
    words = _as_words(vectors)
    checks = np.empty(len(words), np.uint64)
    _row_checks(words, digests, _keys(words.shape[1] + digests.shape[1]), checks)
    return checks


def _in_threads(work: Callable[[slice], T], count: int) -> list[T]:
    parts = [slice(start, start + _BLOCK) for start in range(0, count, _BLOCK)]
    if len(parts) < 2:
        return [work(slice(0, count))]
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        return list(pool.map(work, parts))


@functools.lru_cache(maxsize=64)
def _keys(count: int) -> UInt64[np.ndarray, " count"]:
    """Odd pseudo-random multipliers: the output of SplitMix64 (Steele et al., OOPSLA 2014)."""
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (state ^ (state >> np.uint64(31))) | np.uint64(1)


def _as_words(vectors: Float[np.ndarray, "rows dim"]) -> np.ndarray:
    row_bytes = vectors.shape[1] * vectors.itemsize
    return vectors.view(_WORDS[next(size for size in _WORDS if row_bytes % size == 0)])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _find(
    starts: np.ndarray,
    shift: np.uint64,
    digests: np.ndarray,
    wanted: np.ndarray,
    slots: np.ndarray,
    rows: np.ndarray,
) -> None:
    for i in range(len(slots)):
        digest = wanted[slots[i]]
        bucket = np.int64(digest[0] >> shift)
        rows[i] = -1
        for row in range(starts[bucket], starts[bucket + 1]):
            stored = digests[row]
            if stored[0] == digest[0] and stored[1] == digest[1] and stored[2] == digest[2] and stored[3] == digest[3]:
                rows[i] = row
                break


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _check(source: np.ndarray, digest: np.ndarray, keys: np.ndarray) -> np.uint64:
    check = np.uint64(0)
    for j in range(len(source)):
        word = np.uint64(source[j])
        check += (word ^ (word >> _HALF)) * keys[j]
    for j in range(len(digest)):
        check += (digest[j] ^ (digest[j] >> _HALF)) * keys[len(source) + j]
    return check


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _row_checks(words: np.ndarray, digests: np.ndarray, keys: np.ndarray, checks: np.ndarray) -> None:
    for row in range(len(words)):
        checks[row] = _check(words[row], digests[row], keys)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gather(
    words: np.ndarray,
    digests: np.ndarray,
    checks: np.ndarray,
    rows: np.ndarray,
    slots: np.ndarray,
    keys: np.ndarray,
    out: np.ndarray,
) -> bool:
    good = True
    for i in range(len(rows)):
        source, target = words[rows[i]], out[slots[i]]
        for j in range(len(source)):
            target[j] = source[j]
        # The copy is checked, which is in the processor's cache now, and is what the caller gets.
        good &= _check(target, digests[rows[i]], keys) == checks[rows[i]]
    return good


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gather_half(
    words: np.ndarray,
    halves: np.ndarray,
    digests: np.ndarray,
    checks: np.ndarray,
    rows: np.ndarray,
    slots: np.ndarray,
    keys: np.ndarray,
    bits: np.ndarray,
    out: np.ndarray,
) -> bool:
    # A float16 moved into the fields of a float32 is too small by 2^(127 - 15), subnormal or not; the product is exact.
    scale = np.float32(2.0**112)
    good = True
    for i in range(len(rows)):
        half, raw, values = halves[rows[i]], bits[slots[i]], out[slots[i]]
        good &= _check(words[rows[i]], digests[rows[i]], keys) == checks[rows[i]]
        for j in range(len(half)):
            x = np.uint32(half[j])
            raw[j] = ((x & np.uint32(0x7FFF)) << np.uint32(13)) | ((x >> np.uint32(15)) << np.uint32(31))
        for j in range(len(values)):
            values[j] *= scale
    return good
