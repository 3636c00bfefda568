"""Compiled single passes over rows, run in blocks on threads.

Blocks have a fixed size and their sums are added in order, so a result does not depend on the number of threads.
Threads are Python's own (the kernels release the GIL): no OpenMP, hence nothing that a later fork could break.
Rows are placed in short runs by a loop without branches, which the compiler vectorises, and then scattered to bins.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

BLOCK = 1 << 19
RUN = 1024
NEAR = 1e-9


def sum_over_blocks(pass_over: Callable[[slice], np.ndarray], n: int) -> np.ndarray:
    """Add `pass_over(slice)` over fixed blocks of `n` rows, in order."""
    blocks = [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    workers = min(len(blocks), numba.get_num_threads())
    if workers <= 1:
        parts = [pass_over(block) for block in blocks]
    else:
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(pass_over, blocks))
    return np.sum(parts, axis=0)


@numba.njit(nogil=True, cache=True)
def settle(value: float, b: int, edges: np.ndarray) -> int:
    """The right-closed bin of `value`, given a guess `b` that rounding may have put one off; edges decide."""
    last = len(edges) - 2
    b = min(max(b, 0), last)
    if b > 0 and value <= edges[b]:
        return b - 1
    if b < last and value > edges[b + 1]:
        return b + 1
    return b


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def place(p: np.ndarray, y: np.ndarray, edges: np.ndarray, index: np.ndarray, gap: np.ndarray) -> int:
    """Fill bin and confidence - correct of a run of rows; returns how many rows are invalid."""
    scale = 2.0 * (len(edges) - 1)
    invalid, near = 0, 0
    for j in range(len(p)):
        left, outcome = np.float64(p[j]), np.float64(y[j])
        position = (max(left, 1.0 - left) - 0.5) * scale
        near += int(abs(position - np.rint(position)) < NEAR)
        invalid += int(not ((left >= 0.0) & (left <= 1.0) & (outcome >= 0.0) & (outcome <= 1.0)))
        index[j] = np.int32(position)
        gap[j] = (np.float64(left > 0.5) - np.float64(left < 0.5)) * (left - outcome)
    if near > 0 and invalid == 0:
        for j in range(len(p)):
            left = np.float64(p[j])
            index[j] = settle(max(left, 1.0 - left), index[j], edges)
    return invalid


@numba.njit(nogil=True, cache=True, error_model="numpy")
def confidence_gaps(p: np.ndarray, y: np.ndarray, weight: np.ndarray | None, edges: np.ndarray) -> np.ndarray:
    """Per confidence bin the sum of weight * (confidence - correct); the last entry counts invalid rows."""
    bins = len(edges) - 1
    sums = np.zeros((4, bins))
    index, gap = np.empty(RUN, np.int32), np.empty(RUN)
    invalid = 0
    for start in range(0, len(p), RUN):
        m = min(RUN, len(p) - start)
        bad = place(p[start : start + m], y[start : start + m], edges, index, gap)
        if bad > 0:
            invalid += bad
            continue
        if weight is not None:
            for j in range(m):
                gap[j] *= weight[start + j]
        # Four histograms: the next row need not wait for the store of the last.
        fours = m - m % 4
        for j in range(0, fours, 4):
            sums[0, index[j]] += gap[j]
            sums[1, index[j + 1]] += gap[j + 1]
            sums[2, index[j + 2]] += gap[j + 2]
            sums[3, index[j + 3]] += gap[j + 3]
        for j in range(fours, m):
            sums[0, index[j]] += gap[j]
    out = np.empty(bins + 1)
    for b in range(bins):
        out[b] = sums[0, b] + sums[1, b] + sums[2, b] + sums[3, b]
    out[bins] = invalid
    return out


@numba.njit(nogil=True, cache=True)
def mirrored_gaps(p: np.ndarray, y: np.ndarray, weight: np.ndarray | None, edges: np.ndarray) -> np.ndarray:
    """Per bin of [0, 1] the sum of weight * (p - y) over both orders; the last entry counts invalid rows."""
    bins = len(edges) - 1
    sums = np.zeros(bins + 1)
    for i in range(len(p)):
        left, outcome = np.float64(p[i]), np.float64(y[i])
        if not (left >= 0.0 and left <= 1.0 and outcome >= 0.0 and outcome <= 1.0):
            sums[bins] += 1.0
            continue
        gap = left - outcome
        if weight is not None:
            gap *= weight[i]
        sums[settle(left, int(left * bins), edges)] += gap
        sums[settle(1.0 - left, int((1.0 - left) * bins), edges)] -= gap
    return sums


@numba.njit(nogil=True, cache=True)
def confidence_table(p: np.ndarray, y: np.ndarray, weight: np.ndarray | None, edges: np.ndarray) -> np.ndarray:
    """Per confidence bin: rows, weight, weight squared, weighted confidence, weighted correctness; shape (5, bins).

    Rows must be valid.
    """
    table = np.zeros((5, len(edges) - 1))
    index, gap = np.empty(RUN, np.int32), np.empty(RUN)
    for start in range(0, len(p), RUN):
        m = min(RUN, len(p) - start)
        place(p[start : start + m], y[start : start + m], edges, index, gap)
        for j in range(m):
            left = np.float64(p[start + j])
            confidence = max(left, 1.0 - left)
            w = 1.0 if weight is None else weight[start + j]
            b = index[j]
            table[0, b] += 1.0
            table[1, b] += w
            table[2, b] += w * w
            table[3, b] += w * confidence
            table[4, b] += w * (confidence - gap[j])
    return table
