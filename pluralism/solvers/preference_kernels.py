"""Compiled rounds of multiplicative weights against oneself."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["play_rounds"]


@njit(cache=True, nogil=True, error_model="numpy")
def play_rounds(preferences, log_start, rate, average, last, mean, log_last):
    """Play every prompt's game; exploitability of the average and of each round go into `average` and `last`.

    `mean`, which starts at 0, receives the average policy, and `log_last` that of the last round. Candidates of start
    probability 0 are passed over.
    """
    rounds = len(average)
    for x in range(len(preferences)):
        there = np.flatnonzero(log_start[x] > -np.inf)
        n = len(there)
        p = np.empty((n, n))
        log_q = np.empty(n)
        for i in range(n):
            log_q[i] = log_start[x, there[i]]
            for j in range(n):
                p[i, j] = preferences[x, there[i], there[j]]
        q = np.empty(n)
        total = np.zeros(n)
        for t in range(rounds):
            top = log_q.max()
            mass = 0.0
            for i in range(n):
                q[i] = np.exp(log_q[i] - top)
                mass += q[i]
            shift = top + np.log(mass)
            for i in range(n):
                log_q[i] -= shift
                q[i] /= mass
                mean[x, there[i]] += q[i] / rounds
            if t == rounds - 1:
                for i in range(n):
                    log_last[x, there[i]] = log_q[i]
            best = best_total = 0.0
            for i in range(n):
                wins = 0.0
                for j in range(n):
                    wins += p[i, j] * q[j]
                total[i] += wins
                best = max(best, wins)
                best_total = max(best_total, total[i])
                log_q[i] += rate[x] * wins
            last[t, x] = best - 0.5
            average[t, x] = best_total / (t + 1.0) - 0.5
