"""Compiled loops of Kemeny's rule: dynamic programming over sets, insertion search, and a bound from cycles."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["best_orders", "cycle_bound", "improve_by_insertion", "trace_orders"]

SATURATED = 2**62
"""Numbers of orders stop growing here."""


@njit(cache=True)
def _half_sums(against, first, last):
    """Sum of ``against[y, x]`` over the y of every subset of ``first..last - 1``, for each x."""
    k = len(against)
    sums = np.zeros((1 << (last - first), k), dtype=np.int64)
    for bit in range(last - first):
        step = 1 << bit
        for subset in range(step):
            for x in range(k):
                sums[subset + step, x] = sums[subset, x] + against[first + bit, x]
    return sums


@njit(cache=True)
def best_orders(against):
    """Least disagreement of an order of the first candidates, for every set of first candidates.

    Parameters
    ----------
    against : int64 array of shape (k, k)
        ``against[y, x]``: the cost of x above y, 0 on the diagonal.

    Returns
    -------
    best : int64 array of shape (2**k,)
        Cost of the members of each set above one another and above everybody else.

    Notes
    -----
    Held and Karp's recursion in 2^k k steps: what the next candidate costs comes from tables of both halves.
    """
    k = len(against)
    half = k // 2
    low, high = _half_sums(against, 0, half), _half_sums(against, half, k)
    mask = (1 << half) - 1
    total = against.sum(axis=0)
    best = np.empty(1 << k, dtype=np.int64)
    best[0] = 0
    for members in range(1, 1 << k):
        least = np.iinfo(np.int64).max
        for x in range(k):
            if members >> x & 1:
                before = members ^ (1 << x)
                cost = best[before] + total[x] - low[before & mask, x] - high[before >> half, x]
                least = min(least, cost)
        best[members] = least
    return best


@njit(cache=True)
def trace_orders(against, best):
    """Which sets begin some best order, and in how many best orders of its members each can stand.

    Returns
    -------
    begins : bool array of shape (2**k,)
    orders : int64 array of shape (2**k,)
        Saturated at 2**62; 0 for sets that begin no best order.
    """
    k = len(against)
    half = k // 2
    low, high = _half_sums(against, 0, half), _half_sums(against, half, k)
    mask = (1 << half) - 1
    total = against.sum(axis=0)
    begins = np.zeros(1 << k, dtype=np.bool_)
    begins[-1] = True
    for members in range((1 << k) - 1, 0, -1):
        if begins[members]:
            for x in range(k):
                if members >> x & 1:
                    before = members ^ (1 << x)
                    cost = best[before] + total[x] - low[before & mask, x] - high[before >> half, x]
                    if cost == best[members]:
                        begins[before] = True
    orders = np.zeros(1 << k, dtype=np.int64)
    orders[0] = 1
    for members in range(1, 1 << k):
        if begins[members]:
            for x in range(k):
                if members >> x & 1:
                    before = members ^ (1 << x)
                    cost = best[before] + total[x] - low[before & mask, x] - high[before >> half, x]
                    if cost == best[members]:
                        orders[members] = min(orders[members] + orders[before], SATURATED)
    return begins, orders


@njit(cache=True)
def improve_by_insertion(margins, order):
    """Move one candidate at a time to its best place, in place, until no move helps.

    Parameters
    ----------
    margins : int64 array of shape (k, k)
    order : int64 array of shape (k,)
        Candidates, best first.
    """
    k = len(order)
    improved = True
    while improved:
        improved = False
        for x in range(k):
            at = 0
            while order[at] != x:
                at += 1
            gain, where, run = 0, at, 0
            for j in range(at - 1, -1, -1):
                run += margins[x, order[j]]
                if run > gain:
                    gain, where = run, j
            run = 0
            for j in range(at + 1, k):
                run += margins[order[j], x]
                if run > gain:
                    gain, where = run, j
            if gain > 0:
                improved = True
                step = 1 if where > at else -1
                for j in range(at, where, step):
                    order[j] = order[j + step]
                order[where] = x


@njit(cache=True)
def cycle_bound(margins):
    """What cycles of three majorities, none of which shares votes with another, add to the least disagreement."""
    k = len(margins)
    left = np.maximum(margins, 0)
    bound = 0
    for a in range(k):
        for b in range(k):
            if left[a, b] > 0:
                for c in range(k):
                    least = min(left[a, b], left[b, c], left[c, a])
                    if least > 0:
                        bound += least
                        left[a, b] -= least
                        left[b, c] -= least
                        left[c, a] -= least
    return bound
